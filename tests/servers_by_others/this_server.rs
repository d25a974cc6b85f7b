//! This server, by the same measure as the others.

use crate::common::Brooklet;
use crate::scenario::Place;
use crate::source::Source;

#[test]
fn this_server_takes_and_gives_identical_packets() {
    let server = Brooklet::start(&["--grace", "500ms"]);
    let place = Place {
        url: &|name| server.url(name),
        says_the_end: true,
    };
    place.take_and_give(&Source::made_up(3));
}
