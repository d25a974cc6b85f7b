//! Malformed values in commands, in the command object of connect, and in metadata.

use brooklet::rtmp::message::type_id;

use crate::case::Case;
use crate::common::client::Client;
use crate::wire::{self, command, message, metadata};

/// The longest command and the longest data message that the server reads, in bytes.
const MAX_COMMAND: usize = 64 * 1024;
const MAX_DATA: usize = 256 * 1024;

/// Returns malformed values of at most `len` bytes, each with a description of its defect.
fn values(len: usize) -> Vec<(String, Vec<u8>)> {
    let mut values: Vec<(String, Vec<u8>)> = [
        (
            "strict array that counts too much",
            &b"\x0A\xFF\xFF\xFF\xFF\x05"[..],
        ),
        (
            "ECMA array that counts too much",
            b"\x08\xFF\xFF\xFF\xFF\0\x01a\x05",
        ),
        (
            "long string that is longer than all",
            b"\x0C\xFF\xFF\xFF\xFFabc",
        ),
        ("XML that is longer than all", b"\x0F\xFF\xFF\xFF\xFF<a>"),
        ("string that is cut off", b"\x02\xFF\xFFabc"),
        ("key that is cut off", b"\x03\xFF\xFFabc"),
        ("object without an end", b"\x03\0\x01a\x02\0\x01b"),
        ("empty keys", b"\x03\0\0\x05\0\0\x05\0\0\x05\0\0\x09"),
        ("end of an object", b"\0\0\x09\x09"),
        ("reference to itself", b"\x03\0\x01a\x07\0\0\0\0\x09"),
        ("reference to nothing", b"\x07\xFF\xFF"),
        (
            "array of references",
            b"\x0A\0\0\0\x04\x07\0\0\x07\0\x01\x07\0\0\x07\0\0",
        ),
        (
            "class",
            b"\x10\0\x11java.lang.Runtime\0\x04exec\x02\0\x02id\0\0\x09",
        ),
        ("class without a name that ends", b"\x10\xFF\xFFjava"),
        ("movie clip and record set", b"\x04\x0E"),
        ("AMF3", b"\x11\x0A\x0B\x01\x03a\x0A\x00\x01"),
        ("AMF3 that refers to itself", b"\x11\x09\x03\x01\x09\x00"),
        ("AMF3 that counts too much", b"\x11\x09\xFF\xFF\xFF\xFF"),
        (
            "AMF3 byte array that is longer than all",
            b"\x11\x0C\xFF\xFF\xFF\xFF",
        ),
        ("NaN", b"\0\x7F\xF8\0\0\0\0\0\0"),
        ("infinity", b"\0\x7F\xF0\0\0\0\0\0\0"),
        ("minus infinity", b"\0\xFF\xF0\0\0\0\0\0\0"),
        ("1e300", b"\0\x7E\x37\xE4\x3C\x88\0\x75\x9C"),
        ("bytes that aren't UTF-8", b"\x02\0\x04\xFF\xFE\xC0\x80"),
        ("date out of time", b"\x0B\x7F\xF0\0\0\0\0\0\0\xFF\xFF"),
    ]
    .into_iter()
    .map(|(name, bytes)| (name.to_owned(), bytes.to_vec()))
    .collect();
    for marker in 0x12..=0xFF {
        values.push((format!("marker {marker:02X}"), vec![marker, 0, 0, 0, 1]));
    }
    for (name, level) in [
        ("objects in objects", &b"\x03\0\0"[..]),
        ("ECMA arrays in ECMA arrays", b"\x08\0\0\0\x01\0\0"),
        ("arrays in arrays", b"\x0A\0\0\0\x01"),
        ("wide arrays in wide arrays", b"\x0A\0\0\xFF\xFF"),
        ("typed objects in typed objects", b"\x10\0\0\0\0"),
        ("AMF3 arrays in AMF3 arrays", b"\x11\x09\x03\x01"),
    ] {
        values.push((name.to_owned(), level.repeat(len / level.len())));
    }
    values.push(("many nulls".to_owned(), vec![5; len]));
    let mut nulls = b"\x0A\x7F\xFF\xFF\xFF".to_vec();
    nulls.resize(len, 5);
    values.push(("array of many nulls".to_owned(), nulls));
    let mut keys = vec![3];
    keys.extend(b"\0\x01a\x05".repeat(len / 4 - 1));
    values.push(("the same key many times".to_owned(), keys));
    values.push(("AMF3 class with a long name in it".to_owned(), class(len)));
    values
}

/// Returns an AMF3 array of objects of one class, whose only member has a name that occupies three
/// quarters of the message. Without the name, an object has three bytes.
fn class(len: usize) -> Vec<u8> {
    let inline = |count: usize| {
        let number = (count as u32) << 1 | 1;
        [14, 7]
            .map(|shift| (number >> shift) as u8 | 0x80)
            .into_iter()
            .chain([number as u8 & 0x7F])
    };
    let (name_len, count) = (len / 4 * 3, (len / 12 - 10).min(4000));
    let mut bytes = b"\x11\x09".to_vec();
    bytes.extend(inline(count));
    bytes.extend(b"\x01\x0A\x13\x01");
    bytes.extend(inline(name_len));
    bytes.resize(bytes.len() + name_len, b'a');
    bytes.push(1);
    bytes.extend(b"\x0A\x01\x01".repeat(count - 1));
    bytes
}

#[test]
fn malformed_arguments_count_as_missing() {
    let case = Case::start("arguments", &[]);
    for (name, value) in values(MAX_COMMAND - 100) {
        let mut client = Client::connected(case.address(), "live");
        for command in [
            command("createStream", 7.0, &value),
            command("doesNotExist", f64::NAN, &value),
            command(
                "deleteStream",
                f64::NEG_INFINITY,
                &[&[5], value.as_slice()].concat(),
            ),
        ] {
            client.send(&message(type_id::COMMAND, 0, &command));
        }
        assert!(wire::is_served(&mut client), "{name}");
    }
    case.finish(1).memory_grew_at_most(1024 + 4 * 1024);
}

#[test]
fn nameless_and_truncated_commands_end_only_their_connection() {
    let case = Case::start("commands cut off", &[]);
    let whole = command("createStream", 3.0, b"\x03\0\x01a\x02\0\x01b\0\0\x09\x05");
    for len in 0..whole.len() {
        let mut client = Client::connected(case.address(), "live");
        client.send(&message(type_id::COMMAND, 0, &whole[..len]));
        let is_served = wire::is_served(&mut client);
        // The name is readable.
        assert!(is_served || len < 15, "{len} bytes");
    }
    for (name, value) in values(MAX_COMMAND - 100) {
        let mut client = Client::connected(case.address(), "live");
        client.send(&message(type_id::COMMAND, 0, &value));
        client.send(&message(type_id::COMMAND_AMF3, 0, &value));
        println!("{name}: {}", wire::is_served(&mut client));
    }
    case.finish(1);
}

#[test]
fn connect_with_a_malformed_object_ends_only_its_connection() {
    let case = Case::start("connect objects", &[]);
    for (name, value) in values(MAX_COMMAND - 100) {
        let mut client = Client::handshaken(case.address());
        let connect = command("connect", 1.0, &value);
        // No chunk size was announced yet, so chunks have 128 bytes.
        let mut bytes = wire::header(3, 0, connect.len() as u32, type_id::COMMAND, 0);
        for (index, chunk) in connect.chunks(128).enumerate() {
            if index > 0 {
                bytes.push(0xC3);
            }
            bytes.extend(chunk);
        }
        client.send(&bytes);
        let answer = client.next();
        println!(
            "{name}: {}",
            if answer.is_some() {
                "answered"
            } else {
                "closed"
            }
        );
    }
    case.finish(1);
}

#[test]
fn malformed_metadata_is_left_out_and_its_stream_goes_on() {
    let case = Case::start("metadata", &[]);
    let mut player = Client::playing(case.address(), "live", "described");
    let mut publisher = Client::publishing(case.address(), "live", "described");
    publisher.send_headers();
    for (number, (_, value)) in (0..).zip(values(MAX_DATA - 100)) {
        let metadata = metadata(&value);
        publisher.send(&message(type_id::DATA, 1, &metadata));
        publisher.send(&message(
            type_id::DATA_AMF3,
            1,
            &[&[0], metadata.as_slice()].concat(),
        ));
        publisher.send(&message(type_id::DATA, 1, &value));
        publisher.send_frame(number, number * 40, true, 500);
        assert_eq!(player.wait_for_media().number(), number);
    }
    drop((player, publisher));
    case.finish(2).memory_grew_at_most(8 * 1024);
}

#[test]
fn values_nested_a_hundred_thousand_deep_are_refused_for_their_length() {
    let case = Case::start("100,000 levels", &[]);
    let deep = metadata(&b"\x03\0\0".repeat(100_000));
    for type_id in [
        type_id::DATA,
        type_id::COMMAND,
        type_id::DATA_AMF3,
        type_id::COMMAND_AMF3,
    ] {
        let mut client = Client::publishing(case.address(), "live", "deep");
        client.send(&message(type_id, 1, &deep));
        client.until_closed();
    }
    case.finish(1).memory_grew_at_most(1024);
}
