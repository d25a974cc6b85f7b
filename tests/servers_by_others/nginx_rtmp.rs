//! nginx with its module for RTMP, as Debian has it.

use crate::common::servers::RtmpServer;
use crate::scenario::Place;
use crate::source::Source;

#[test]
#[ignore = "needs nginx with its RTMP module, and ffmpeg"]
fn nginx_rtmp_takes_and_gives_identical_packets() {
    let server = RtmpServer::nginx("live on;");
    let place = Place {
        url: &|name| server.url(name),
        says_the_end: true,
    };
    place.take_and_give(&Source::encoded(4));
}
