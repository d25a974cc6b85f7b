use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[derive(Default)]
struct TestSink(AtomicBool);

impl Sink for TestSink {
    fn try_send(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(0)
    }

    fn shutdown(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn finish(&self) {}
}

fn publisher(host: u8) -> Publisher {
    publisher_on(host, &Arc::default())
}

fn publisher_on(host: u8, sink: &Arc<TestSink>) -> Publisher {
    Publisher {
        connection: 1,
        address: IpAddr::from([192, 0, 2, host]),
        is_trusted: false,
        sink: sink.clone(),
        allowance: Allowance::default(),
    }
}

const GRACE: Grace = Grace {
    until: 10_000,
    longer_for_hls: 0,
};
const LOST: Grace = Grace {
    longer_for_hls: 10_000,
    ..GRACE
};

fn life(phase: LifePhase) -> Life {
    Life {
        phase,
        ..Life::default()
    }
}

#[test]
fn time_and_audience_decide_what_happens_next() {
    use LifePhase::{Awaited, Closed, Idle, Live, Tail};
    use LifeStep::{Close, End, Stay};

    let live = || Live(publisher(1));
    let tail = |until, subscribers_until| Tail {
        until,
        subscribers_until,
    };
    for (name, phase, has_subscribers, hls_for, now, expected) in [
        ("nothing came of it", Idle, false, 0, 0, Close),
        (
            "players wait for the first",
            Idle,
            true,
            0,
            1 << 40,
            Stay(None),
        ),
        ("a publish", live(), false, 0, 1 << 40, Stay(None)),
        (
            "a publish with players",
            live(),
            true,
            5,
            1 << 40,
            Stay(None),
        ),
        ("awaited by nobody", Awaited(GRACE), false, 0, 1_000, Close),
        (
            "awaited",
            Awaited(GRACE),
            true,
            0,
            1_000,
            Stay(Some(10_000)),
        ),
        (
            "at the last",
            Awaited(GRACE),
            true,
            0,
            9_999,
            Stay(Some(10_000)),
        ),
        ("in vain", Awaited(GRACE), true, 0, 10_000, End),
        (
            "by both",
            Awaited(GRACE),
            true,
            30_000,
            1_000,
            Stay(Some(10_000)),
        ),
        (
            "by HLS",
            Awaited(GRACE),
            false,
            30_000,
            1_000,
            Stay(Some(10_000)),
        ),
        (
            "by HLS for a while",
            Awaited(GRACE),
            false,
            500,
            1_000,
            Stay(Some(1_500)),
        ),
        ("by HLS in vain", Awaited(GRACE), false, 30_000, 10_000, End),
        ("lost", Awaited(LOST), true, 0, 10_000, End),
        (
            "lost, by HLS",
            Awaited(LOST),
            false,
            30_000,
            10_000,
            Stay(Some(20_000)),
        ),
        (
            "lost, by both",
            Awaited(LOST),
            true,
            1,
            10_000,
            Stay(Some(20_000)),
        ),
        ("lost, by HLS in vain", Awaited(LOST), false, 1, 20_000, End),
        (
            "lost, nobody is left",
            Awaited(LOST),
            false,
            0,
            15_000,
            Close,
        ),
        (
            "ended, still to be found",
            tail(16_000, 3_000),
            false,
            0,
            15_999,
            Stay(Some(16_000)),
        ),
        (
            "ended, while players take the last bytes",
            tail(0, 3_000),
            true,
            0,
            2_999,
            Stay(Some(3_000)),
        ),
        (
            "ended, but players don't hang up",
            tail(0, 3_000),
            true,
            0,
            3_000,
            Close,
        ),
        (
            "ended, all players have hung up",
            tail(0, 3_000),
            false,
            0,
            1_000,
            Close,
        ),
        (
            "ended, seen",
            tail(16_000, 3_000),
            true,
            30_000,
            16_000,
            Close,
        ),
        ("closed", Closed(None), true, 30_000, 0, Close),
    ] {
        let step = life(phase).step(has_subscribers, false, hls_for, now);
        assert_eq!(step, expected, "{name}");
    }
}

#[test]
fn who_may_publish_depends_on_the_one_before() {
    use LifePhase::{Awaited, Closed, Idle, Live, Tail};
    let in_use = |retry_in| Err(PublishRefused::InUse { retry_in });
    let fighting = |retry_in| Err(PublishRefused::Fighting { retry_in });
    let live = || Live(publisher(1));
    for (name, phase, last_takeover, host, silence, expected) in [
        ("nobody before", Idle, None, 1, 0, Ok(())),
        ("a return", Awaited(GRACE), Some(9_999), 2, 0, Ok(())),
        ("another's, in use", live(), None, 2, 500, in_use(1_500)),
        ("another's, silent", live(), Some(9_999), 2, 2_000, Ok(())),
        ("its own", live(), None, 1, 0, Ok(())),
        ("its own, again", live(), Some(6_000), 1, 0, fighting(1_000)),
        ("its own, later", live(), Some(5_000), 1, 0, Ok(())),
        (
            "ended",
            Tail {
                until: 1 << 40,
                subscribers_until: 0,
            },
            None,
            1,
            0,
            Err(PublishRefused::Closed),
        ),
        (
            "closed",
            Closed(None),
            None,
            1,
            0,
            Err(PublishRefused::Closed),
        ),
    ] {
        let mut life = life(phase);
        life.last_takeover = last_takeover.map_or(When::default(), When::at);
        let admitted = life.admit(&publisher(host), silence, 10_000);
        assert_eq!(admitted, expected, "{name}");
    }
    let trusted = Publisher {
        is_trusted: true,
        ..publisher(2)
    };
    assert_eq!(life(live()).admit(&trusted, 0, 10_000), Ok(()));
}

#[test]
fn each_publish_gets_the_next_number_and_a_takeover_cuts_the_one_before() {
    let sink = Arc::new(TestSink::default());
    let mut life = Life::default();
    let first = life.publish(publisher_on(1, &sink), 0);
    let second = life.publish(publisher(1), 0);
    life.unpublish(GRACE);
    let third = life.publish(publisher(1), 0);
    let what = |accepted: Accepted| {
        let Accepted {
            generation,
            is_takeover,
            is_return,
        } = accepted;
        (generation, is_takeover, is_return)
    };
    assert_eq!(what(first), (1, false, false));
    assert_eq!(what(second), (2, true, true));
    assert_eq!(what(third), (3, false, true));
    assert!(sink.0.load(Ordering::Relaxed));
    assert!(life.is_published_by(3) && !life.is_published_by(2));
}

#[test]
fn a_stream_in_its_tail_has_ended_and_is_not_closed() {
    let life = life(LifePhase::Tail {
        until: 1,
        subscribers_until: 0,
    });
    assert!(life.has_ended() && !life.is_closed());
}

#[test]
fn a_closed_stream_stays_closed_but_its_publisher_may_finish() {
    let mut life = Life::default();
    life.publish(publisher(1), 0);
    life.close();
    assert!(life.has_ended() && life.is_closed() && life.is_published_by(1));
    life.unpublish(GRACE);
    assert!(life.is_closed() && !life.is_published_by(1));
}
