#![no_main]

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

#[path = "../src/kept.rs"]
mod kept;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fuzz_target!(|data: &[u8]| kept::kept(data, || HEAP.current_usage()).unwrap());
