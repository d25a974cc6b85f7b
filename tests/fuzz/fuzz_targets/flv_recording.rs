#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../src/flv_recording.rs"]
mod flv_recording;

fuzz_target!(|data: &[u8]| flv_recording::flv_recording(data));
