//! How recordings begin.

use super::movie::Movie;
use super::*;
use common::client::{AAC_HEADER, AVC_320X240, Client};

#[test]
fn a_recording_begins_with_the_first_frame_however_short_gops_are() {
    let dir = TempDir::new();
    let mut server = start_library_server(|config| {
        config.record.dir = Some(dir.path().to_owned());
        config.record.free = Some(0);
        config.max_connect_rate = 1_000;
        config.grace = std::time::Duration::from_millis(200);
    });
    let mut publisher = Client::publishing(server.rtmp_addresses()[0], "live", "door");
    publisher.send_message(9, 1, 0, AVC_320X240);
    publisher.send_message(8, 1, 0, AAC_HEADER);
    // Nobody records before there are tracks; by the next look, there are GOPs as well.
    for number in 0..40 {
        publisher.send_frame(number, number * 20, number % 4 == 0, 500);
        publisher.send_message(8, 1, number * 20, &[0xAF, 1, 0, 0, 0, 0]);
    }
    let address = server.http_addresses()[0];
    let streams = || {
        let answer = HttpClient::connect(address).get("/api/v1/streams");
        let api: Value = serde_json::from_str(&answer.text()).unwrap();
        api["streams"].clone()
    };
    wait_until("it is recorded", SOON, || {
        streams()[0]["recording"]["bytes"].as_u64() > Some(0)
    });
    drop(publisher);
    wait_until("it has ended", SOON, || streams() == serde_json::json!([]));
    server.stop();
    let files = std::fs::read_dir(dir.join("live").join("door")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let movies = files.iter().map(|file| Movie::read(file));
    let samples = movies.flat_map(|movie| movie.video);
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap());
    let numbers: Vec<u32> = samples.map(|sample| number(&sample.bytes)).collect();
    assert_eq!(numbers, Vec::from_iter(0..40));
}
