//! What `brooklet probe` says.

use brooklet::client::ClientErrorKind;

use super::*;

#[test]
fn probe_says_what_a_stream_has_and_whether_it_is_live() {
    let server = server(Config::default());
    let url = url(&server, "secret-name");
    let (code, text, _) = run(&["probe", &url, "--timeout", "200ms"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("not live: no audio or video"), "{text}");

    let source = path("probe.flv");
    fs::write(&source, flv(&messages())).unwrap();
    let _publisher = start(&["publish", "--loop", source.to_str().unwrap(), &url]);
    let (code, text, _) = run(&["probe", &url, "--time", "2500ms", "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["live"], true);
    assert_eq!(report["video"]["codec"], "H.264");
    assert_eq!(report["audio"]["codec"], "AAC");
    assert_eq!(report["timestamps_in_order"], true);
    assert!(!text.contains("secret-name"), "{text}");
    let _ = fs::remove_file(source);
}

#[test]
fn a_stream_whose_publisher_is_away_is_not_live() {
    let server = server(Config::default().grace(Duration::from_secs(600)));
    let url = url(&server, "away");
    let source = path("away.flv");
    fs::write(&source, flv(&messages())).unwrap();
    let publisher = start(&["publish", "--loop", source.to_str().unwrap(), &url]);
    let mut player = Client::new(&url).unwrap().timeout(SOON).play().unwrap();
    while !player.recv(SOON).unwrap().unwrap().is_keyframe() {}
    drop(publisher);
    // What the server keeps comes at once, and then nothing.
    wait_until("the publisher is away", SOON, || {
        let error = player.recv(Duration::from_millis(500)).err();
        error.is_some_and(|error| error.kind() == ClientErrorKind::TimedOut)
    });
    let words = "s: its publisher is away";
    let (code, text, _) = run(&["probe", &url, "--time", "1s"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("not live: nothing came in the last "),
        "{text}"
    );
    assert!(text.contains(words), "{text}");
    let (code, text, _) = run(&["probe", &url, "--time", "1s", "--json"]);
    assert_eq!(code, Some(1), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["live"], false);
    assert!(report["why"].as_str().unwrap().contains(words), "{text}");
    let _ = fs::remove_file(source);
}

/// Twenty seconds with a keyframe of 5,000 bytes each second, and 24 frames of 500 bytes after it.
fn known() -> Vec<Message> {
    let mut messages = vec![(9, 0, AVC_HEADER.to_vec()), (8, 0, AAC_HEADER.to_vec())];
    for frame in 0..500 {
        let (first, nal, len) = match frame % 25 {
            0 => (0x17, 0x65, 5000),
            _ => (0x27, 0x41, 500),
        };
        let mut video = vec![first, 1, 0, 0, 0, 0, 0, 0, 0, nal];
        video.resize(len, 1);
        video[7..9].copy_from_slice(&(len as u16 - 9).to_be_bytes());
        messages.push((9, frame * 40, video));
        messages.push((8, frame * 40, vec![0xAF, 1, 1, 2, 3]));
    }
    messages
}

#[test]
fn probe_measures_media_and_not_the_burst_of_a_join() {
    let server = server(Config::default());
    let url = url(&server, "rates");
    let source = path("rates.flv");
    fs::write(&source, flv(&known())).unwrap();
    // A player that sees where in the second the stream is.
    let mut player = Client::new(&url).unwrap().timeout(SOON).play().unwrap();
    let _publisher = start(&["publish", "--loop", source.to_str().unwrap(), &url]);
    let mut bits = Vec::new();
    for time in ["300ms", "500ms", "3s"] {
        // Joins late in a second, so that most of it comes at once.
        let mut since_keyframe = 0;
        while since_keyframe < 20 {
            let message = player.recv(SOON).unwrap().unwrap();
            if message.medium() == Some(Medium::Video) && !message.is_sequence_header() {
                since_keyframe = if message.is_keyframe() {
                    0
                } else {
                    since_keyframe + 1
                };
            }
        }
        let (code, text, _) = run(&["probe", &url, "--time", time, "--json"]);
        assert_eq!(code, Some(0), "{text}");
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            report["video"]["frames_per_1000_s"], 25_000,
            "{time}: {text}"
        );
        assert_eq!(
            report["audio"]["frames_per_1000_s"], 25_000,
            "{time}: {text}"
        );
        assert_eq!(
            report["audio"]["bits_per_second"],
            25 * 5 * 8,
            "{time}: {text}"
        );
        assert_eq!(report["timestamps_in_order"], true, "{text}");
        assert_eq!(report["video"]["longest_gap_ms"], 40, "{text}");
        bits.push((report["video"]["bits_per_second"].as_u64().unwrap(), text));
    }
    let (last, text) = bits.pop().unwrap();
    // Three seconds have two keyframes, from the one to the other of which is what all of it has.
    assert_eq!(last, (5_000 + 24 * 500) * 8, "{text}");
    assert!(text.contains("\"keyframe_interval_ms\":1000"), "{text}");
    // Less than a second has one keyframe or none: with 7 frames at least, which 300 ms have.
    for (bits, text) in bits {
        let most = (5_000 + 6 * 500) * 8 * 25 / 7;
        assert!((25 * 500 * 8..=most).contains(&bits), "{text}");
    }
    let (_, text, _) = run(&["probe", &url, "--time", "3s"]);
    assert!(
        text.contains(", 25.00 frames/s, 136 kbit/s, keyframe every 1.0 s"),
        "{text}"
    );
    let _ = fs::remove_file(source);
}
