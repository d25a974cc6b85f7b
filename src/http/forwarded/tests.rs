use proptest::prelude::*;

use super::*;

fn head(fields: &[(&str, &[u8])]) -> Head<'static> {
    let mut bytes = b"GET / HTTP/1.1\r\nHost: h\r\n".to_vec();
    for (name, value) in fields {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    Head::parse(bytes.leak()).unwrap()
}

/// Whether an address belongs to the trusted proxies of these tests, at 10.x.x.x and fd00::x.
fn is_ours(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 10,
        IpAddr::V6(ip) => ip.octets()[0] == 0xFD,
    }
}

fn sender_of(fields: &[(&str, &[u8])]) -> Option<Sender> {
    sender(&head(fields), &is_ours)
}

/// Formats a sender as in the tables below: an address with its port, or "hidden".
fn shown(sender: Option<Sender>) -> String {
    match sender {
        Some(Sender::At(address)) => address.to_string(),
        Some(Sender::Hidden) => "hidden".into(),
        None => "none".into(),
    }
}

#[test]
fn the_right_most_who_is_no_proxy_of_ours_is_the_client() {
    for (fields, client) in [
        (&[][..], "none"),
        (&[&b"203.0.113.5"[..]][..], "203.0.113.5:0"),
        // Entries on the left are the client's own claims.
        (&[b"127.0.0.1, 203.0.113.5"], "203.0.113.5:0"),
        (&[b"192.168.1.9,203.0.113.5,10.0.0.1"], "203.0.113.5:0"),
        (&[b"203.0.113.5, 10.0.0.2, 10.0.0.1"], "203.0.113.5:0"),
        (&[b"10.0.0.1, 203.0.113.5", b"10.0.0.2"], "203.0.113.5:0"),
        (&[b"203.0.113.5", b"192.0.2.1"], "192.0.2.1:0"),
        (&[b"10.0.0.3, 10.0.0.2"], "10.0.0.3:0"),
        (&[b"203.0.113.5:4711"], "203.0.113.5:4711"),
        (&[b"2001:db8::1"], "[2001:db8::1]:0"),
        (&[b"[2001:db8::1]"], "[2001:db8::1]:0"),
        (&[b"[2001:db8::1]:4711"], "[2001:db8::1]:4711"),
        (&[b"::ffff:203.0.113.5"], "203.0.113.5:0"),
        (&[b"2001:db8::1, fd00::7"], "[2001:db8::1]:0"),
        (&[b"\xFF, 203.0.113.5"], "203.0.113.5:0"),
        // Nobody can tell who these clients are.
        (&[b""], "hidden"),
        (&[b"\xFF"], "hidden"),
        (&[b"203.0.113.5, "], "hidden"),
        (&[b"203.0.113.5, unknown"], "hidden"),
        (&[b"203.0.113.5, unknown, 10.0.0.1"], "hidden"),
        (&[b"_gazonk"], "hidden"),
        (&[b"203.0.113.5:"], "hidden"),
        (&[b"203.0.113.5:+1"], "hidden"),
        (&[b"203.0.113.5:99999"], "hidden"),
        (&[b"203.0.113"], "hidden"),
        (&[b"203.0.113.5 10.0.0.1"], "hidden"),
        (&[b"[2001:db8::1"], "hidden"),
        (&[b"[2001:db8::1]x"], "hidden"),
        (&[b"[2001:db8::1]:"], "hidden"),
        (&[b"[203.0.113.5]"], "hidden"),
        (&[b"fe80::1%eth0"], "hidden"),
        (&[b"0.0.0.0"], "hidden"),
        (&[b"::"], "hidden"),
        (&[b"localhost"], "hidden"),
        (&[b"\"203.0.113.5\""], "hidden"),
    ] {
        let named: Vec<_> = fields
            .iter()
            .map(|value| ("X-Forwarded-For", *value))
            .collect();
        assert_eq!(shown(sender_of(&named)), client, "{named:?}");
    }
}

#[test]
fn forwarded_is_read_as_the_specification_has_it() {
    for (fields, client) in [
        // RFC 7239, sections 4, 6 and 7.
        (&[&b"for=\"_gazonk\""[..]][..], "hidden"),
        (
            &[b"For=\"[2001:db8:cafe::17]:4711\""],
            "[2001:db8:cafe::17]:4711",
        ),
        (
            &[b"for=192.0.2.60;proto=http;by=203.0.113.43"],
            "192.0.2.60:0",
        ),
        (&[b"for=192.0.2.43, for=198.51.100.17"], "198.51.100.17:0"),
        (
            &[b"for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown"],
            "hidden",
        ),
        (&[b"for=_hidden, for=_SEVKISEK"], "hidden"),
        (
            &[b"for=192.0.2.43", b"for=\"[2001:db8:cafe::17]\""],
            "[2001:db8:cafe::17]:0",
        ),
        (&[b"for=\"192.0.2.43:47011\""], "192.0.2.43:47011"),
        (
            &[b"by=203.0.113.43 ; FOR=192.0.2.60 ;proto=https"],
            "192.0.2.60:0",
        ),
        (
            &[b"for=192.0.2.60, for=10.0.0.2;by=10.0.0.1"],
            "192.0.2.60:0",
        ),
        // Without the required quotes.
        (&[b"for=[2001:db8::1]:4711"], "[2001:db8::1]:4711"),
        // Commas and semicolons of a client inside quotes.
        (
            &[b"for=\"127.0.0.1, for=127.0.0.1\", for=192.0.2.60"],
            "192.0.2.60:0",
        ),
        (
            &[b"for=\"a\\\"b, for=1.2.3.4\", for=192.0.2.60"],
            "192.0.2.60:0",
        ),
        // A quote that the client left open.
        (&[b"for=127.0.0.1, for=\", for=192.0.2.60"], "hidden"),
        (&[b"for=127.0.0.1, for=\"\\\", for=192.0.2.60"], "hidden"),
        (&[b""], "hidden"),
        (&[b"proto=https"], "hidden"),
        (&[b"for=192.0.2.60, proto=https"], "hidden"),
        (&[b"for=192.0.2.60,"], "hidden"),
        (&[b"for=192.0.2.60;for=127.0.0.1"], "hidden"),
        (&[b"for"], "hidden"),
        (&[b"for="], "hidden"),
        (&[b"for =192.0.2.60"], "hidden"),
        (&[b"for=\"192.0.2.60"], "hidden"),
        (&[b"for=\"192.0.2.60\"x"], "hidden"),
        (&[b"for=\xFF"], "hidden"),
        (&[b"192.0.2.60"], "hidden"),
    ] {
        let named: Vec<_> = fields.iter().map(|value| ("Forwarded", *value)).collect();
        assert_eq!(shown(sender_of(&named)), client, "{named:?}");
    }
}

#[test]
fn two_fields_that_do_not_agree_name_nobody() {
    for (commas, elements, client) in [
        ("203.0.113.5", "for=203.0.113.5", "203.0.113.5:0"),
        ("203.0.113.5:80", "for=203.0.113.5", "203.0.113.5:80"),
        (
            "127.0.0.1, 203.0.113.5",
            "for=203.0.113.5, for=10.0.0.1",
            "203.0.113.5:0",
        ),
        ("203.0.113.5", "for=192.168.1.9", "hidden"),
        ("192.168.1.9", "for=unknown", "hidden"),
        ("unknown", "for=192.168.1.9", "hidden"),
        ("", "for=192.168.1.9", "hidden"),
    ] {
        let fields = [("X-Forwarded-For", commas), ("Forwarded", elements)];
        let fields = fields.map(|(name, value)| (name, value.as_bytes()));
        assert_eq!(shown(sender_of(&fields)), client, "{commas} {elements}");
    }
}

#[test]
fn that_a_field_is_there_is_enough() {
    for (name, is_it) in [
        ("Forwarded", true),
        ("X-Forwarded-For", true),
        ("x-forwarded-HOST", true),
        ("X-Forwarded", true),
        ("Forwarded-For", true),
        ("Via", true),
        ("X-Real-IP", true),
        ("CF-Connecting-IP", true),
        ("True-Client-Ip", true),
        ("Client-IP", true),
        ("Accept", false),
        ("Viable", false),
        ("-ip", false),
        ("User-Agent", false),
    ] {
        for value in [&b""[..], b"\xFF", b"127.0.0.1"] {
            assert_eq!(is_forwarded(&head(&[(name, value)])), is_it, "{name}");
        }
    }
}

/// Fields that a client may send: pieces of both fields in any order, mixed with arbitrary bytes.
fn claims() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(
        &[
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.9",
            "[::1]:80",
            "for=",
            "For=\"",
            "\"",
            "\\",
            ",",
            ", ",
            ";",
            ";by=",
            "unknown",
            "\u{f6}",
            "=",
            ":",
            "[",
            "]",
            "\t",
            "0",
        ][..],
    );
    let bytes = prop::collection::vec(
        any::<u8>().prop_filter("a header can hold it", |byte| {
            *byte >= b' ' && *byte != 0x7F
        }),
        0..4,
    );
    let any = prop_oneof![piece.prop_map(|text| text.as_bytes().to_vec()), bytes];
    prop::collection::vec(any, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_a_client_claims_the_proxy_that_appends_has_the_last_word(claim in claims()) {
        let value = [&claim[..], b", 203.0.113.5"].concat();
        let found = sender_of(&[("X-Forwarded-For", &value)]);
        prop_assert_eq!(shown(found), "203.0.113.5:0");
        // Here, the client can at most hide itself.
        let value = [&claim[..], b", for=203.0.113.5"].concat();
        let found = shown(sender_of(&[("Forwarded", &value)]));
        prop_assert!(found == "203.0.113.5:0" || found == "hidden", "{}", found);
    }

    #[test]
    fn a_line_of_its_own_is_the_last_word_in_any_case(claim in claims()) {
        for (name, value) in [("X-Forwarded-For", "203.0.113.5"), ("Forwarded", "for=203.0.113.5")] {
            let found = sender_of(&[(name, &claim), (name, value.as_bytes())]);
            prop_assert_eq!(shown(found), "203.0.113.5:0");
        }
    }

    #[test]
    fn who_sends_both_fields_does_not_become_somebody_else(commas in claims(), elements in claims()) {
        // The proxy knows only one of the fields, and passes the other on unchanged.
        let appended = [&commas[..], b", 203.0.113.5"].concat();
        let fields = [("X-Forwarded-For", &appended[..]), ("Forwarded", &elements)];
        let found = shown(sender_of(&fields));
        prop_assert!(found.starts_with("203.0.113.5:") || found == "hidden", "{}", found);
    }

    #[test]
    fn every_address_is_read_in_every_form(ip in any::<[u8; 16]>(), is_v4: bool, port: u16) {
        let v4 = IpAddr::from([203, ip[0], ip[1], ip[2]]);
        let ip = if is_v4 { v4 } else { IpAddr::from(ip).to_canonical() };
        prop_assume!(!ip.is_unspecified());
        let address = SocketAddr::new(ip, port);
        let text = address.to_string();
        for (name, value) in [
            ("X-Forwarded-For", text.clone()),
            ("Forwarded", format!("proto=http;for=\"{text}\"")),
            ("Forwarded", format!("for={text};by=_x")),
        ] {
            let found = sender_of(&[(name, value.as_bytes())]);
            prop_assert_eq!(found, Some(Sender::At(address)));
        }
        let found = sender_of(&[("X-Forwarded-For", ip.to_string().as_bytes())]);
        prop_assert_eq!(found, Some(Sender::At(SocketAddr::new(ip, 0))));
    }
}
