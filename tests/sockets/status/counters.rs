//! Counters of a stream name, across the lives of its streams.

use super::*;

#[test]
fn counters_of_a_name_survive_its_stream() {
    let server = server(short_grace().max_connect_rate(10_000));
    let http = server.http_addresses()[0];
    let figures = || {
        let text = get(http, "/metrics").text();
        [
            "brooklet_stream_publishes_total{stream=\"live/door\"}",
            "brooklet_stream_received_messages_total{stream=\"live/door\",medium=\"video\"}",
            "brooklet_stream_received_messages_total{stream=\"live/door\",medium=\"audio\"}",
            "brooklet_stream_live{stream=\"live/door\"}",
        ]
        .map(|series| metric(&text, series))
    };
    let are =
        |expected: [Option<f64>; 4]| wait_until("the figures are right", || figures() == expected);
    for life in [1.0, 2.0] {
        let first = camera(&server, "a camera", "door");
        // Sixty frames and a header each.
        let publishes = 2.0 * life - 1.0;
        are([
            Some(publishes),
            Some(61.0 * publishes),
            Some(publishes),
            Some(1.0),
        ]);
        // Another publish within the stream's life.
        let second = camera(&server, "a camera", "door");
        let publishes = 2.0 * life;
        are([
            Some(publishes),
            Some(61.0 * publishes),
            Some(publishes),
            Some(1.0),
        ]);
        drop((first, second));
        are([
            Some(publishes),
            Some(61.0 * publishes),
            Some(publishes),
            None,
        ]);
        assert_eq!(streams(http)["streams"], json!([]));
        // A waiting player changes nothing.
        let waiting = Client::playing(server.rtmp_addresses()[0], "live", "door");
        are([
            Some(publishes),
            Some(61.0 * publishes),
            Some(publishes),
            None,
        ]);
        assert_eq!(streams(http)["streams"], json!([]));
        drop(waiting);
        wait_until("it has left", || server.connection_count() == 0);
    }
}

#[test]
fn counters_of_64_published_names_are_remembered() {
    let server = server(short_grace().max_connect_rate(10_000));
    let http = server.http_addresses()[0];
    let _waiting = Client::playing(server.rtmp_addresses()[0], "live", "secret");
    let count = |text: &str| text.matches("brooklet_stream_publishes_total{").count();
    for number in 0..80 {
        drop(Client::publishing(
            server.rtmp_addresses()[0],
            "live",
            &format!("n{number}"),
        ));
    }
    wait_until("all are gone", || {
        !get(http, "/metrics")
            .text()
            .contains("brooklet_stream_live{")
    });
    let text = get(http, "/metrics").text();
    assert_eq!(count(&text), 64);
    assert!(text.contains("live/n79") && !text.contains("live/n0\"") && !text.contains("secret"));
}
