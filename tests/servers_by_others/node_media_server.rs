//! Node-Media-Server 4. It doesn't tell players that a stream is over, and keeps the stream's name for 30 s.

use crate::common::servers::RtmpServer;
use crate::scenario::Place;
use crate::source::Source;

#[test]
#[ignore = "needs Node-Media-Server, and ffmpeg"]
fn node_media_server_takes_and_gives_identical_packets() {
    let server = RtmpServer::node_media_server();
    let place = Place {
        url: &|name| server.url(name),
        says_the_end: false,
    };
    place.take_and_give(&Source::encoded(4));
}
