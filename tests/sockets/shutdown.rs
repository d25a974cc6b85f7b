//! A stop tells everybody and ends everything.

use brooklet::Config;

use crate::client::{Client, server};

#[test]
fn players_and_publishers_are_told_and_all_threads_end() {
    let mut server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::publishing(address, "live", "door");
    let mut player = Client::playing(address, "live", "door");
    let mut waiting = Client::playing(address, "live", "other");
    let _idle = Client::connected(address, "live");
    publisher.send_headers();
    publisher.send_picture(1, 0, true, 5_000);
    player.wait_for_media();

    server.stop();
    assert_eq!(server.connections(), 0);
    for player in [&mut player, &mut waiting] {
        let codes: Vec<_> = player
            .until_closed()
            .iter()
            .filter_map(|m| m.status())
            .map(|s| s.1)
            .collect();
        assert_eq!(
            codes,
            ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop"]
        );
    }
    let rest = publisher.until_closed();
    let codes: Vec<_> = rest
        .iter()
        .filter_map(|m| m.status())
        .map(|s| s.1)
        .collect();
    assert_eq!(codes, ["NetConnection.Connect.AppShutdown"]);
    assert!(std::net::TcpStream::connect(address).is_err());
}
