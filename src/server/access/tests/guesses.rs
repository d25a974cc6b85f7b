//! Wrong credentials, and names that may be guesses at keys: how they are delayed and limited.

use super::*;
use crate::server::access::throttle::Purpose;

#[test]
fn failures_delay_wrong_attempts_from_their_own_address_and_no_right_ones() {
    let guard = guard(&["s3cret"], &[]);
    let (bad, good) = (
        client("192.0.2.7", "live", ""),
        client("192.0.2.8", "live", ""),
    );
    let are_many = |client: &Client, now| {
        let address = client.address().ip();
        guard.throttle.are_many(address, Purpose::Publish, now)
    };
    let publish =
        |client: &Client, name, now| decide(&guard, Action::Publish, client, name, now).0.is_ok();
    // Without credentials there is no attempt.
    (0..9).for_each(|now| assert!(!publish(&bad, "door", now)));
    assert!(!are_many(&bad, 9));
    for (now, name) in [
        "door?key=a",
        "door?token=b",
        "door/c",
        "door/d",
        "door?user=e&pass=f",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(!are_many(&bad, 9), "{name}");
        assert!(!publish(&bad, name, now as Millis));
    }
    assert!(are_many(&bad, 9) && !are_many(&good, 9));

    // From now on, a delayed attempt fails. Right ones aren't delayed.
    guard.close();
    for client in [&bad, &good] {
        assert!(publish(client, "door?key=s3cret", 10));
        assert!(publish(client, "door/s3cret", 10));
    }
    // Failures stay counted: the right attempt may be from another client at the same address.
    assert!(are_many(&bad, 10));
    let (result, ..) = decide(&guard, Action::Publish, &bad, "door?key=g", 10);
    assert_eq!(result.unwrap_err().kind(), RefusalKind::ServerStops);
    assert!(!are_many(&bad, 61_000));
}

#[test]
fn beyond_twenty_guesses_a_second_right_and_wrong_get_the_same_answer() {
    let guard = guard(&["s3cret"], &[]);
    let client = client("192.0.2.7", "live", "");
    let publish = |name: &str, now| decide(&guard, Action::Publish, &client, name, now).0;
    for _ in 0..19 {
        let refusal = publish("door?key=wrong", 0).unwrap_err();
        assert!(refusal.reason().contains("a wrong key in ?key="));
        // Right ones are accepted without limit.
        assert_eq!(publish("door?key=s3cret", 0), Ok(()));
    }
    let refusal = publish("door?key=wrong", 0).unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Unauthorized);
    let wrong = publish("door?key=wrong", 0).unwrap_err();
    assert_eq!(publish("door?key=s3cret", 0), Err(wrong.clone()));
    assert_eq!(wrong.kind(), RefusalKind::TooManyAttempts);
    assert_eq!(publish("door?key=s3cret", 50), Ok(()));
}

#[test]
fn names_of_publishes_that_need_no_key_are_no_way_to_guess_at_keys() {
    let api = configured(Config {
        api_key: Some(Secret::new("s3cret")),
        ..Config::default()
    });
    for guard in [guard(&[], &["s3cret"]), api] {
        let (guesser, other) = (
            client("192.168.0.7", "live", ""),
            client("192.168.0.8", "live", ""),
        );
        let publish = |client: &Client, name: &str, now| {
            let (result, ..) = decide(&guard, Action::Publish, client, name, now);
            result.map_err(|refusal| refusal.kind())
        };
        let guess = |n: &u64| publish(&guesser, &format!("guess-{n}"), n % 1000).is_ok();
        assert_eq!((0..1000).filter(guess).count(), 59);
        // Right and wrong guesses get the same answer now, and others don't suffer.
        for name in ["s3cret", "guess"] {
            let answer = publish(&guesser, name, 999);
            assert_eq!(answer, Err(RefusalKind::TooManyAttempts), "{name}");
        }
        assert_eq!(publish(&other, "door", 999), Ok(()));
        // Several guesses in one name are refused, too.
        let many = "x/".repeat(40) + "s3cret";
        let answer = publish(&guesser, &many, 2_000);
        assert_eq!(answer, Err(RefusalKind::TooManyAttempts));
        let answer = publish(&guesser, "s3cret", 2_000);
        assert_eq!(answer, Err(RefusalKind::Forbidden));
    }
    // If nothing is secret, there is nothing to guess.
    let open = of(Access::default(), Access::default());
    let client = client("192.168.0.7", "live", "");
    let are_ok = |n| decide(&open, Action::Publish, &client, &format!("cam-{n}"), 0).0 == Ok(());
    assert!((0..1000).all(are_ok));
}
