//! The test vectors were captured from clients that used the password `pw`; those without `opaque` were
//! computed.

use super::*;

/// Whether an app answers the challenge with this salt and token, using this password.
fn is_right(app: &str, salt: &str, token: &str, password: &str) -> bool {
    let challenge = Challenge {
        salt: salt.to_owned(),
        token: token.to_owned(),
    };
    challenge.verify(&Attempt::parse(app).unwrap(), password, app)
}

#[test]
fn answers_made_with_the_password_are_accepted() {
    for (name, app, salt, token) in [
        (
            "ffmpeg, adobe",
            "live?authmod=adobe&user=bob&challenge=d1543d20\
             &response=+W3BWHgzbaWg/PT04clfFg==&opaque=OpAq",
            "SaLt",
            "OpAq",
        ),
        (
            "librtmp, adobe: its challenge is base64",
            "live?authmod=adobe&user=bob&challenge=rOH4Qw==\
             &response=5ia/YQcaYX6SO1id51WFfA==&opaque=c2b74b89fab15f80a38f80e37507c3a8",
            "6716c08a31139404",
            "c2b74b89fab15f80a38f80e37507c3a8",
        ),
        (
            "adobe, an empty opaque",
            "live?authmod=adobe&user=bob&challenge=d1543d20\
             &response=0BQhHpYfdcvw+pLnYUGHUA==&opaque=",
            "SaLt",
            "ChAl",
        ),
        (
            "adobe, no opaque",
            "live?authmod=adobe&user=bob&challenge=d1543d20\
             &response=0BQhHpYfdcvw+pLnYUGHUA==",
            "SaLt",
            "ChAl",
        ),
        (
            "ffmpeg, llnw",
            "live?authmod=llnw&user=bob&nonce=NoNcE&cnonce=cbcbfe85&nc=00000001\
             &response=0f28eb639a4579772cd151a8fbbe5ed8",
            "",
            "NoNcE",
        ),
        (
            "ffmpeg, llnw, app of two parts",
            "live/cam?authmod=llnw&user=bob&nonce=aad83084a25ed87ad3335f63928da173\
             &cnonce=4db0cf8f&nc=00000001&response=2dd5157b2e3a5c3e31787e6c282db29c",
            "",
            "aad83084a25ed87ad3335f63928da173",
        ),
        (
            "GStreamer, adobe",
            "live?authmod=adobe&user=bob&challenge=26dffafe\
             &response=6oYNAFgMyWYHLxg5KnDhtg==&opaque=c2fe04d5a96d02bd60bd1c8b8dd579fe",
            "4b8081d03584fab5",
            "c2fe04d5a96d02bd60bd1c8b8dd579fe",
        ),
        (
            "librtmp, adobe, after its first answer came too late",
            "live?authmod=adobe&user=bob&challenge=rOH4Qw==\
             &response=t/4k8FiCV4gbBo0H6GCVjg==&opaque=10c1ea45ce6c9f279ba499de6c0ad126\
             &challenge=qn18MA==\
             &response=u1UlAht+lHd/ZJsojQu0jA==&opaque=36055563dd8d9437eaf246f82b491c3f",
            "57ce2f820c08868c",
            "36055563dd8d9437eaf246f82b491c3f",
        ),
        (
            "librtmp, llnw, after its first answer came too late",
            "live?authmod=llnw&user=bob&nonce=856cc7cdcebd216c3817efbf252d4f1d\
             &cnonce=43f8e1ac&nc=00000001&response=1e884523268bf60af400f2bd114d0d70\
             &nonce=ff7ab5757fdffb8778e11fafb3781b9c\
             &cnonce=307c7daa&nc=00000001&response=bae2a45586a42edde60675d8eff66951",
            "",
            "ff7ab5757fdffb8778e11fafb3781b9c",
        ),
        (
            "librtmp, llnw, app with a query of its own",
            "live?key=1?authmod=llnw&user=bob&nonce=658c3c87537d68dfd2e6ed43604e14f6\
             &cnonce=43f8e1ac&nc=00000001&response=be999cee14aa98036c9ecdca7ec59c9b",
            "",
            "658c3c87537d68dfd2e6ed43604e14f6",
        ),
        (
            "ffmpeg, llnw, app with a query of its own",
            "live?key=1?authmod=llnw&user=bob&nonce=c3a8defa3e8e78dce4f03156e0d73a42\
             &cnonce=fb787b2d&nc=00000001&response=f1caa3bf74bdc3fe1e2367ca7aa3990c",
            "",
            "c3a8defa3e8e78dce4f03156e0d73a42",
        ),
    ] {
        assert!(is_right(app, salt, token, "pw"), "{name}");
        for password in ["", "p", "Pw", "pw "] {
            assert!(!is_right(app, salt, token, password), "{name}: {password}");
        }
    }
}

#[test]
fn a_modified_answer_is_rejected() {
    let adobe = "live?authmod=adobe&user=bob&challenge=d1543d20\
                 &response=+W3BWHgzbaWg/PT04clfFg==&opaque=OpAq";
    let llnw = "live?authmod=llnw&user=bob&nonce=NoNcE&cnonce=cbcbfe85&nc=00000001\
                &response=0f28eb639a4579772cd151a8fbbe5ed8";
    let token_of = |app| if app == adobe { "OpAq" } else { "NoNcE" };
    for (app, old, new) in [
        (adobe, "bob", "bobo"),
        (adobe, "d1543d20", "d1543d21"),
        (adobe, "d1543d20", ""),
        (adobe, "+W3B", " W3B"),
        (adobe, "Fg==", "Fg="),
        (adobe, "Fg==", "Fg==="),
        (adobe, "+W3BWHgzbaWg/PT04clfFg==", ""),
        (adobe, "=OpAq", "=OpAr"),
        (adobe, "=OpAq", "=OpAqq"),
        (adobe, "=adobe", "=llnw"),
        (llnw, "bob", "bobo"),
        (llnw, "live?", "live2?"),
        (llnw, "live?", "live/?"),
        (llnw, "cbcbfe85", "cbcbfe86"),
        (llnw, "00000001", "00000002"),
        (llnw, "NoNcE", "NoNcF"),
        (llnw, "NoNcE", ""),
        (llnw, "0f28", "0F28"),
        (llnw, "5ed8", "5ed"),
        (llnw, "=llnw", "=adobe"),
    ] {
        let changed = app.replace(old, new);
        assert_ne!(changed, app);
        assert!(is_right(app, "SaLt", token_of(app), "pw"));
        let is_right = is_right(&changed, "SaLt", token_of(app), "pw");
        assert!(!is_right, "{changed}");
    }
    assert!(!is_right(adobe, "SaLT", "OpAq", "pw"), "another salt");
    assert!(!is_right(adobe, "SaLt", "ChAl", "pw"), "another challenge");
}

#[test]
fn asking_for_a_challenge_answers_none() {
    let challenge = Challenge::new(&[7; 24]);
    let hello = Attempt::parse("live?authmod=adobe&user=bob").unwrap();
    assert!(!challenge.verify(&hello, "", "live"));
}

#[test]
fn queries_are_read_as_clients_write_them() {
    let hello = |scheme, user| Some(Attempt::Hello { scheme, user });
    let adobe = |user| hello(Scheme::Adobe, user);
    for (text, attempt) in [
        ("live", None),
        ("live?key=1", None),
        ("live?authmod=adobe&user=bob", adobe("bob")),
        ("?authmod=adobe&user=bob", adobe("bob")),
        ("rtmp://host:1935/live?authmod=adobe&user=bob", adobe("bob")),
        (
            "live?authmod=llnw&user=bob",
            hello(Scheme::Limelight, "bob"),
        ),
        ("live?user=bob&authmod=adobe", adobe("bob")),
        // The user's own query comes first: ffmpeg and librtmp add a second `?`.
        ("live?key=1?authmod=adobe&user=bob", adobe("bob")),
        ("live?key=1&authmod=adobe&user=bob", adobe("bob")),
        // Pairs are split at the first `=`, and nothing is decoded.
        ("live?authmod=adobe&user=a=b==", adobe("a=b==")),
        ("live?authmod=adobe&user=a+b%20c", adobe("a+b%20c")),
        ("live?authmod=adobe&user=j\u{f6}rg", adobe("j\u{f6}rg")),
        // The last value counts.
        ("live?user=eve&authmod=adobe&user=bob", adobe("bob")),
        (
            "live?authmod=llnw&user=eve?authmod=adobe&user=bob",
            adobe("bob"),
        ),
        ("live?authmod=adobe&user=bob&user=", None),
        // Attempts without a known scheme or a valid user name.
        ("live?authmod=adobe", None),
        ("live?authmod=adobe&user=", None),
        ("live?authmod=adobe&user", None),
        ("live?authmod=&user=bob", None),
        ("live?authmod=basic&user=bob", None),
        ("live?authmod=Adobe&user=bob", None),
        ("live?xauthmod=adobe&user=bob", None),
        ("live?authmod=adobe&user=b\nb", None),
        ("live?authmod=adobe&user=b\0b", None),
        ("live&authmod=adobe&user=bob", None),
        ("?", None),
        ("", None),
    ] {
        assert_eq!(Attempt::parse(text), attempt, "{text:?}");
    }
}

#[test]
fn the_last_of_several_appended_answers_counts() {
    let first = "live?authmod=adobe&user=bob&challenge=AAAA==&response=first&opaque=O1";
    let second = format!("{first}&challenge=BBBB==&response=second&opaque=O2");
    let answer = |client_challenge, response, token| {
        Some(Attempt::Answer {
            scheme: Scheme::Adobe,
            user: "bob",
            token,
            client_challenge,
            count: "",
            response,
        })
    };
    assert_eq!(Attempt::parse(first), answer("AAAA==", "first", "O1"));
    assert_eq!(Attempt::parse(&second), answer("BBBB==", "second", "O2"));
}

#[test]
fn values_that_were_not_sent_are_empty() {
    for (scheme, name) in [(Scheme::Adobe, "adobe"), (Scheme::Limelight, "llnw")] {
        let text = format!("live?authmod={name}&user=bob&response=");
        let answer = Attempt::Answer {
            scheme,
            user: "bob",
            token: "",
            client_challenge: "",
            count: "",
            response: "",
        };
        assert_eq!(Attempt::parse(&text), Some(answer));
    }
}

#[test]
fn long_texts_are_refused() {
    let with_user = |len| format!("live?authmod=adobe&user={}", "u".repeat(len));
    assert!(Attempt::parse(&with_user(80)).is_some());
    assert_eq!(Attempt::parse(&with_user(81)), None);
    let with_key = |len| format!("live?authmod=adobe&user=bob&key={}", "k".repeat(len));
    assert!(Attempt::parse(&with_key(MAX_TEXT_LEN - with_key(0).len())).is_some());
    assert_eq!(Attempt::parse(&with_key(MAX_TEXT_LEN)), None);
    let long = format!("{}&response={}", with_user(80), "=".repeat(1900));
    let attempt = Attempt::parse(&long).unwrap();
    assert!(!Challenge::new(&[0; 24]).verify(&attempt, "pw", &long));
}

#[test]
fn a_challenge_is_hexadecimal_digits_of_all_its_random_bytes() {
    let random: [u8; 24] = std::array::from_fn(|i| 0xF0 + i as u8 % 16);
    let challenge = Challenge::new(&random);
    assert_eq!(challenge.salt, "f0f1f2f3f4f5f6f7");
    assert_eq!(challenge.token(), "f8f9fafbfcfdfefff0f1f2f3f4f5f6f7");
    for at in 0..random.len() {
        let mut other = random;
        other[at] ^= 1;
        assert_ne!(Challenge::new(&other), challenge, "byte {at}");
    }
}

#[test]
fn descriptions_are_those_that_clients_look_for() {
    let challenge = Challenge::new(&[0x5A; 24]);
    for (description, text) in [
        (
            describe_need_auth(Scheme::Adobe),
            "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
        ),
        (
            describe_need_auth(Scheme::Limelight),
            "[ AccessManager.Reject ] : [ code=403 need auth; authmod=llnw ] : ",
        ),
        (
            describe_challenge(Scheme::Adobe, "bob", &challenge),
            "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=bob\
             &salt=5a5a5a5a5a5a5a5a&challenge=5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\
             &opaque=5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
        ),
        (
            describe_challenge(Scheme::Limelight, "bob", &challenge),
            "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=needauth&user=bob\
             &nonce=5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
        ),
        (
            describe_failed(Scheme::Adobe),
            "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=-",
        ),
        (
            describe_failed(Scheme::Limelight),
            "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=authfail",
        ),
    ] {
        assert_eq!(description, text);
    }
}

#[test]
fn a_description_with_the_longest_name_is_short_enough_for_ffmpeg() {
    let challenge = Challenge::new(&[0xFF; 24]);
    let user = "u".repeat(MAX_USER_LEN);
    for scheme in [Scheme::Adobe, Scheme::Limelight] {
        let description = describe_challenge(scheme, &user, &challenge);
        assert!(description.len() < 256, "{}", description.len());
    }
}

/// If server and client both send `opaque`, clients differ in what they hash.
#[test]
fn clients_that_hash_the_challenge_instead_of_opaque_are_accepted() {
    let challenge = Challenge::new(&std::array::from_fn(|i| i as u8));
    let description = describe_challenge(Scheme::Adobe, "bob", &challenge);
    let query = description.split_once('?').unwrap().1;
    let sent = |name| last_value(query, name).unwrap();
    for hashed in [sent("challenge"), sent("opaque")] {
        let secret = base64::encode(&md5(&["bob", sent("salt"), "pw"]));
        let response = base64::encode(&md5(&[&secret, hashed, "c2"]));
        let app = format!(
            "live?authmod=adobe&user=bob&challenge=c2&response={response}&opaque={}",
            sent("opaque")
        );
        let attempt = Attempt::parse(&app).unwrap();
        assert!(challenge.verify(&attempt, "pw", &app));
        assert!(!Challenge::new(&[1; 24]).verify(&attempt, "pw", &app));
    }
}
