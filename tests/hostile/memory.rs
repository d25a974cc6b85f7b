//! More media than there is memory for.

use std::thread;

use brooklet::rtmp::message::type_id;

use crate::canary::Load;
use crate::case::Case;
use crate::common::client::Client;
use crate::wire::{self, header, message, set_chunk_size};

/// The least memory that the server takes, in MiB.
const LEAST: u64 = 1;

#[test]
fn keyframes_larger_than_the_memory_cost_only_their_own_stream() {
    let case = Case::start_with("huge keyframes", LEAST, Load::LIGHT, &[]);
    thread::scope(|scope| {
        for number in 0..6 {
            let case = &case;
            scope.spawn(move || {
                let mut keyframe = vec![0x17, 1, 0, 0, 0];
                keyframe.resize(200_000 << (number % 4), number);
                let keyframe = message(type_id::VIDEO, 1, &keyframe);
                for _ in 0..5 {
                    let publisher =
                        Client::publishing(case.address(), "live", &format!("huge{number}"));
                    wire::flood(publisher.socket(), &keyframe, 3_000_000);
                }
            });
        }
    });
    case.finish(6);
}

#[test]
fn messages_that_are_begun_and_never_end_leave_memory_for_the_others() {
    let case = Case::start_with("memory held", LEAST, Load::LIGHT, &[]);
    let mut holders: Vec<_> = (0..8)
        .map(|number| Client::publishing(case.address(), "live", &format!("held{number}")))
        .collect();
    for holder in &mut holders {
        for chunk_stream_id in 10..17 {
            holder.send(&set_chunk_size(100_000));
            holder.send(&header(chunk_stream_id, 0, 500_000, type_id::VIDEO, 1));
            holder.send(&[0x17; 100_000]);
        }
    }
    // While they hold what they got, another stream begins.
    let mut player = Client::playing(case.address(), "live", "late");
    let mut publisher = Client::publishing(case.address(), "live", "late");
    publisher.send_headers();
    for number in 0..50 {
        publisher.send_picture(number, number * 40, number % 10 == 0, 1_000);
        assert_eq!(player.wait_for_media().number(), number);
    }
    drop((holders, player, publisher));
    case.finish(10);
}
