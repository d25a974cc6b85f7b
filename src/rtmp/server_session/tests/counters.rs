//! Acknowledgements, and the limit on what a client may send before it publishes or plays.

use super::*;

/// A session that has received and acknowledged this many bytes.
fn publishing_since(received: u64) -> Scenario {
    let mut scenario = Scenario::publishing();
    scenario.session.received = received;
    scenario.session.acknowledged = received;
    scenario.session.received_in_use = received;
    scenario
}

#[test]
fn a_client_that_announces_no_window_gets_an_acknowledgement_per_million_bytes() {
    let mut scenario = publishing_since(5_000_000);
    scenario.session.received += 1_000_000 - 24;
    let video = message(type_id::VIDEO, 1, 0, &[0x17; 11]);
    assert_eq!(video.len(), 23);
    scenario.send(&video);
    assert_eq!(scenario.replies(), [""; 0]);
    scenario.send(&video);
    assert_eq!(scenario.replies(), ["Acknowledgement(6000022)"]);
    scenario.send(&video);
    assert_eq!(scenario.replies(), [""; 0]);
}

#[test]
fn acknowledgements_come_at_half_the_clients_window() {
    for (window, after) in [
        (2000, 1000),
        (3, 1),
        (1, 1),
        (2_000_000, 1_000_000),
        (u32::MAX, 1_000_000),
        // No window at all: the default stays in effect.
        (0, 1_000_000),
    ] {
        let filler = message(type_id::VIDEO, 1, 0, &[0x17; 11]);
        for missing in [1, 0] {
            let mut scenario = publishing_since(5_000_000);
            scenario.send(&control(Control::WindowAcknowledgementSize(window)));
            scenario.replies();
            let after_filler = scenario.session.received + filler.len() as u64;
            scenario.session.acknowledged = after_filler + missing - after;
            scenario.send(&filler);
            let expected = (missing == 0).then(|| format!("Acknowledgement({after_filler})"));
            assert_eq!(scenario.replies(), Vec::from_iter(expected), "{window}");
        }
    }
}

#[test]
fn acknowledgements_wrap_at_2_to_the_32() {
    let mut scenario = publishing_since((1 << 32) - 20);
    scenario.send(&control(Control::WindowAcknowledgementSize(80)));
    assert_eq!(scenario.replies(), [""; 0]);
    scenario.send(&message(type_id::VIDEO, 1, 0, &[0x17; 20]));
    // 16 + 32 bytes.
    assert_eq!(scenario.replies(), ["Acknowledgement(28)"]);
    assert_eq!(scenario.session.received, (1 << 32) + 28);
    scenario.send(&message(type_id::VIDEO, 1, 0, &[0x17; 40]));
    assert_eq!(scenario.replies(), ["Acknowledgement(80)"]);
}

#[test]
fn the_handshake_counts_as_received_and_is_not_acknowledged() {
    let scenario = Scenario::handshaken();
    assert_eq!(scenario.session.received, HANDSHAKE_LEN as u64);
    assert_eq!(scenario.session.acknowledged, 0);
}

#[test]
fn a_client_that_neither_publishes_nor_plays_may_send_256_kib() {
    let filler = message(type_id::AUDIO, 1, 0, &[0; 4096]);
    let is_over = |scenario: &Scenario| scenario.session.received > 262_144;
    for mut scenario in [Scenario::handshaken(), Scenario::created()] {
        let error = loop {
            match scenario.try_send(&filler) {
                Ok(_) => assert!(!is_over(&scenario)),
                Err(error) => break error,
            }
        };
        assert!(is_over(&scenario));
        assert_eq!(
            error.to_string(),
            format!(
                "bytes without publish or play: {} exceeds the limit of 262144",
                scenario.session.received
            )
        );
    }
}

/// A long publish once always ended in an error, because the limit counted from the beginning of the
/// connection as soon as no stream was published anymore.
#[test]
fn a_long_publish_or_play_may_end_and_begin_again() {
    for (mut scenario, name) in [
        (Scenario::publishing(), "publish"),
        (Scenario::playing(), "play"),
    ] {
        let filler = message(type_id::AUDIO, 9, 0, &[0; 4096]);
        for _ in 0..100 {
            scenario.send(&filler);
        }
        assert_eq!(scenario.call(1, "closeStream", 0.0, &[]), [stop(1)]);
        for _ in 0..60 {
            scenario.send(&filler);
        }
        scenario.call(1, name, 0.0, &[text("door")]);
        assert!(scenario.session.is_in_use());
        assert_eq!(
            scenario.call(0, "deleteStream", 0.0, &[Value::Number(1.0)]),
            [stop(1)]
        );
        // From then on, the limit applies again.
        let mut times = 0;
        while scenario.try_send(&filler).is_ok() {
            times += 1;
        }
        assert!((60..64).contains(&times), "{times} times 4096 bytes");
    }
}

#[test]
fn what_comes_in_one_piece_with_the_end_of_a_publish_doesnt_count() {
    let filler = message(type_id::AUDIO, 1, 0, &[0; 4096]).repeat(80);
    let close = command(1, "closeStream", 0.0, &[]);
    let events = Scenario::publishing().send(&[filler, close].concat());
    assert_eq!(events.len(), 81);
    assert_eq!(events.last(), Some(&stop(1)));
}
