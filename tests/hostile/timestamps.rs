//! Timestamps that cross the limits of their fields.

use brooklet::rtmp::message::type_id;

use crate::case::Case;
use crate::common::client::Client;
use crate::wire::{basic, header, set_chunk_size};

/// A frame that contains its number.
fn frame(number: u32) -> Vec<u8> {
    let mut payload = vec![if number == 0 { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    payload.extend(number.to_be_bytes());
    payload.resize(1_000, number as u8);
    payload
}

/// The choices of a publisher where senders differ in how they write timestamps.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    /// Absolute timestamps, with the extended timestamp repeated in each chunk.
    Repeats,
    /// Absolute timestamps without repetition, as sent by old librtmp and hardware encoders.
    Omits,
    /// An absolute first timestamp, followed by deltas.
    Deltas,
}

fn chunks(style: Style, number: u32, timestamp: u32) -> Vec<u8> {
    let payload = frame(number);
    let len = payload.len() as u32;
    let mut out = if style == Style::Deltas && number > 0 {
        let mut out = basic(1, 6);
        out.extend([0, 0, 40]);
        out.extend(&len.to_be_bytes()[1..]);
        out.push(type_id::VIDEO);
        out
    } else {
        header(6, timestamp, len, type_id::VIDEO, 1)
    };
    let is_extended = timestamp >= 0xFF_FFFF && (style != Style::Deltas || number == 0);
    for (index, chunk) in payload.chunks(128).enumerate() {
        if index > 0 {
            out.extend(basic(3, 6));
            if is_extended && style != Style::Omits {
                out.extend(timestamp.to_be_bytes());
            }
        }
        out.extend(chunk);
    }
    out
}

#[test]
fn timestamps_go_on_through_the_extended_field_and_the_wrap() {
    let case = Case::start("clocks at their limits", &[]);
    for start in [0xFF_FFFF_u32 - 200, 0xFF_FFFF, 0x7FFF_FF00, 0xFFFF_FF00] {
        for style in [Style::Repeats, Style::Omits, Style::Deltas] {
            let name = format!("clock{start}{style:?}");
            let mut player = Client::playing(case.address(), "live", &name);
            let mut publisher = Client::publishing(case.address(), "live", &name);
            publisher.send(&set_chunk_size(128));
            let mut first = None;
            for number in 0..20_u32 {
                let timestamp = start.wrapping_add(number * 40);
                publisher.send(&chunks(style, number, timestamp));
                let came = player.wait_for_media();
                assert_eq!(came.payload, frame(number), "{name}");
                let first = *first.get_or_insert(came.timestamp);
                assert_eq!(
                    came.timestamp.wrapping_sub(first),
                    number * 40,
                    "{name}, picture {number}"
                );
            }
        }
    }
    case.finish(2);
}

#[test]
fn jumping_timestamps_end_no_stream() {
    let case = Case::start("clocks that jump", &[]);
    let mut player = Client::playing(case.address(), "live", "jumps");
    let mut publisher = Client::publishing(case.address(), "live", "jumps");
    publisher.send_headers();
    let times = [
        0,
        0xFFFF_FFFF,
        5,
        0x8000_0000,
        0x7FFF_FFFF,
        0xFF_FFFF,
        0,
        0,
        0x9000_0000,
        1,
    ];
    for (number, timestamp) in times.into_iter().cycle().take(60).enumerate() {
        publisher.send_frame(number as u32, timestamp, number % 5 == 0, 1_000);
        assert_eq!(player.wait_for_media().number(), number as u32);
    }
    drop((player, publisher));
    case.finish(2);
}
