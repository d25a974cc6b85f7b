//! The servers through which a stream has come, in the `flashVer` of connect, so that a stream that would
//! return to a server is found.
//!
//! ```text
//! camera -> A      FMLE/3.0
//! A -> B           FMLE/3.0 (compatible; brooklet/1.2.0; via 0a1b2c3d)
//! B -> C           FMLE/3.0 (compatible; brooklet/1.2.0; via 0a1b2c3d 4e5f6071)
//! C -> A           FMLE/3.0 (compatible; brooklet/1.2.0; via 0a1b2c3d 4e5f6071 8293a4b5)     refused by A
//! ```
//!
//! An id has two parts: `0a1b2` is the server, and `c3d` a hash of the stream's name there.
//!
//! Players say by the same means for whom they ask: B, which plays from A for C, names C and then itself. If A
//! pushes a stream to B, and pulls it from there into itself, B finds the same id in the lists of a publisher and
//! a player of one stream, and refuses the later one. A may pull what it pushes under another name, to see what
//! arrives: then the ids differ. Players begin as Flash Player does: who is FMLE is taken for a publisher, and may
//! be asked to log in as one.
//!
//! A circle isn't found if it leads through a server of another kind, which doesn't pass the list on, or if a pull
//! gives the stream another name and a push takes it on from there: a pull gets no list.

use std::fmt;

use super::stream_key::StreamKey;

/// The number of servers through which a stream may come.
pub const MAX_HOPS: usize = 8;

/// What comes before the list.
const BEFORE: &str = "; via ";

/// The number of hexadecimal digits of an id.
const ID_DIGITS: usize = 8;

/// The words for a publisher or player of a stream that would go in a circle.
pub const CIRCLE: &str = "this stream comes from this server: it would go in a circle";

/// The words for a publisher or player of a stream that has come too far.
pub const TOO_FAR: &str = "this stream has come through 8 servers already";

/// The bits of an id that tell the stream.
const STREAM_BITS: u32 = 12;

/// The number of a running server: random, made when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerId(u32);

impl ServerId {
    /// A number from random bytes.
    pub const fn new(random: [u8; 4]) -> ServerId {
        ServerId(u32::from_be_bytes(random) >> STREAM_BITS)
    }

    /// The id of one of the server's streams.
    pub fn hop(self, stream: &StreamKey) -> Hop {
        let fnv = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let name = stream.as_str().bytes().fold(0x811C_9DC5, fnv);
        Hop((self.0 << STREAM_BITS) | (name >> (u32::BITS - STREAM_BITS)))
    }
}

/// A server on the way of a stream, and the stream's name there: 20 bits of the [`ServerId`], and a hash of the
/// name of 12 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop(u32);

impl Hop {
    fn parse(text: &str) -> Option<Hop> {
        let is_id = text.len() == ID_DIGITS && text.bytes().all(|c| c.is_ascii_hexdigit());
        let number = u32::from_str_radix(text, 16).ok();
        number.filter(|_| is_id).map(Hop)
    }

    fn is_of(self, server: ServerId) -> bool {
        self.0 >> STREAM_BITS == server.0
    }
}

/// Eight hexadecimal digits.
impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The servers through which a stream has come, the first one first: at most [`MAX_HOPS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Via {
    ids: [Option<Hop>; MAX_HOPS],
}

impl Via {
    /// Reads the list in a client's `flashVer`: empty if there is none. What isn't an id ends it.
    pub fn parse(flash_ver: &str) -> Via {
        let mut via = Via::default();
        let list = flash_ver.split_once(BEFORE).map_or("", |(_, list)| list);
        let list = list.split_once(')').map_or(list, |(list, _)| list);
        let ids = list.split(' ').map_while(Hop::parse);
        for (place, id) in via.ids.iter_mut().zip(ids) {
            *place = Some(id);
        }
        via
    }

    /// The ids.
    pub fn ids(&self) -> impl Iterator<Item = Hop> + '_ {
        self.ids.iter().flatten().copied()
    }

    /// Adds the ids of another list that aren't in this one, as far as there is room: a server that plays a
    /// stream for several players names the servers of all of them.
    pub fn merge(&mut self, other: &Via) {
        for id in other.ids() {
            if self.ids().all(|own| own != id) {
                self.push(id);
            }
        }
    }

    /// Adds an id at the end. Returns false if there is no room.
    pub fn push(&mut self, id: Hop) -> bool {
        let place = self.ids.iter_mut().find(|place| place.is_none());
        place.map(|place| *place = Some(id)).is_some()
    }

    /// Whether an id is in both lists: what the publisher with one of them sends, and the player with the other
    /// gets, would come back.
    pub fn meets(&self, other: &Via) -> bool {
        self.ids()
            .any(|id| other.ids().any(|of_other| of_other == id))
    }

    /// Checks a client's list at this server. Returns the reason for a refusal.
    pub fn check(&self, own: ServerId) -> Result<(), &'static str> {
        if self.ids().any(|id| id.is_of(own)) {
            return Err(CIRCLE);
        }
        // A full list has no room for this server's own id.
        if self.ids().count() == MAX_HOPS {
            return Err(TOO_FAR);
        }
        Ok(())
    }

    /// The `flashVer` of a publisher or player of the server with this id, at most 128 bytes for versions of up to 10
    /// bytes; without a list for a client that is no server.
    ///
    /// The list is what came with the stream. If it is full, the own id takes the last place, so that at
    /// least the next server refuses the stream.
    pub fn flash_ver(&self, is_publisher: bool, version: &str, own: Option<Hop>) -> String {
        let kind = match is_publisher {
            true => "FMLE/3.0",
            false => "LNX 9,0,124,2",
        };
        self.with_list(format!("{kind} (compatible; brooklet/{version}"), own)
    }

    /// The `User-Agent` of a client that plays over HTTP, with the list of its `flashVer`.
    pub fn user_agent(&self, version: &str) -> String {
        match self.ids().next() {
            Some(_) => self.with_list(format!("brooklet/{version} (relay"), None),
            None => format!("brooklet/{version}"),
        }
    }

    fn with_list(&self, mut text: String, own: Option<Hop>) -> String {
        let others = self.ids().filter(|id| Some(*id) != own);
        let most = MAX_HOPS - usize::from(own.is_some());
        for (place, id) in others.take(most).chain(own).enumerate() {
            text.push_str(if place == 0 { BEFORE } else { " " });
            text.push_str(&id.to_string());
        }
        text.push(')');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::connect::MAX_FLASH_VER_LEN;
    use proptest::prelude::*;

    fn id(number: u32) -> Hop {
        Hop(number)
    }

    fn door() -> StreamKey {
        StreamKey::new("live", "door").unwrap()
    }

    fn numbers(via: &Via) -> Vec<u32> {
        via.ids().map(|id| id.0).collect()
    }

    #[test]
    fn lists_are_read_up_to_what_isnt_an_id() {
        for (flash_ver, ids) in [
            (
                "FMLE/3.0 (compatible; brooklet/1; via 0a1b2c3d)",
                &[0x0A1B_2C3D][..],
            ),
            ("FMLE/3.0 (compatible; x; via 0000000A 00000002)", &[10, 2]),
            ("FMLE/3.0 (compatible; brooklet/1)", &[]),
            ("FMLE/3.0", &[]),
            ("", &[]),
            ("x; via ", &[]),
            ("x; via 00000001", &[1]),
            ("x; via 00000001 2 00000003)", &[1]),
            ("x; via 00000001  00000003)", &[1]),
            ("x; via +0000001)", &[]),
            ("x; via 000000011)", &[]),
        ] {
            assert_eq!(numbers(&Via::parse(flash_ver)), ids, "{flash_ver}");
        }
    }

    #[test]
    fn a_stream_that_returns_is_refused() {
        let [a, b, c, d] = [1, 2, 3, 4].map(ServerId);
        let from = |via: &Via, server: ServerId| {
            Via::parse(&via.flash_ver(true, "1.2.0", Some(server.hop(&door()))))
        };
        let from_camera = Via::parse("FMLE/3.0");
        assert_eq!(from_camera.check(a), Ok(()));
        let from_a = from(&from_camera, a);
        assert_eq!((from_a.check(a), from_a.check(b)), (Err(CIRCLE), Ok(())));
        let from_b = from(&from_a, b);
        let servers = numbers(&from_b).into_iter().map(|id| id >> STREAM_BITS);
        assert_eq!(servers.collect::<Vec<_>>(), [1, 2]);
        let from_c = from(&from_b, c);
        assert_eq!(
            (from_c.check(a), from_c.check(b)),
            (Err(CIRCLE), Err(CIRCLE))
        );
        assert_eq!(from_c.check(d), Ok(()));
    }

    #[test]
    fn a_list_meets_another_only_where_a_server_means_the_same_stream() {
        let server = ServerId::new([0x0A, 0x1B, 0x2C, 0x3D]);
        let list = |name| {
            let mut via = Via::default();
            assert!(via.push(server.hop(&StreamKey::new("live", name).unwrap())));
            via
        };
        assert!(list("door").meets(&list("door")));
        assert!(!list("door").meets(&list("return")));
        assert!(list("return").ids().all(|hop| hop.is_of(server)));
    }

    #[test]
    fn eight_servers_are_the_limit() {
        let mut via = Via::default();
        for number in 1..=8 {
            assert_eq!(via.check(ServerId(99)), Ok(()), "{number}");
            via = Via::parse(&via.flash_ver(true, "10.20.3000", Some(id(number))));
        }
        assert_eq!(via.check(ServerId(99)), Err(TOO_FAR));
        assert!(!via.push(id(99)));
        let longest = via.flash_ver(false, "10.20.3000", Some(id(9)));
        assert!(longest.len() <= MAX_FLASH_VER_LEN, "{longest}");
        assert_eq!(numbers(&Via::parse(&longest)), [1, 2, 3, 4, 5, 6, 7, 9]);
    }

    #[test]
    fn a_program_that_is_no_server_names_nobody() {
        let text = |is_publisher| Via::default().flash_ver(is_publisher, "1.2.0", None);
        assert_eq!(text(true), "FMLE/3.0 (compatible; brooklet/1.2.0)");
        assert_eq!(text(false), "LNX 9,0,124,2 (compatible; brooklet/1.2.0)");
    }

    #[test]
    fn lists_are_merged_without_repeating_anybody() {
        let mut via = Via::parse("x; via 00000001 00000002)");
        via.merge(&Via::parse("x; via 00000002 00000003)"));
        assert_eq!(numbers(&via), [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ids in prop::collection::vec(any::<u32>(), 0..12), own: u32) {
            let mut via = Via::default();
            let fits = ids.iter().map(|number| via.push(id(*number))).filter(|fits| *fits).count();
            prop_assert_eq!(fits, ids.len().min(MAX_HOPS));
            let read = Via::parse(&via.flash_ver(own % 2 == 0, "1", Some(id(own))));
            prop_assert_eq!(read.ids().last(), Some(id(own)));
            prop_assert_eq!(read.check(ServerId(own >> STREAM_BITS)), Err(CIRCLE));
        }

        #[test]
        fn any_text_can_be_read(text in "\\PC{0,20}(; via )?[0-9a-f ]{0,80}\\PC{0,20}") {
            prop_assert!(Via::parse(&text).ids().count() <= MAX_HOPS);
        }
    }
}
