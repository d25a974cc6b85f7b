//! The digest that Flash Player 9 introduced into the handshake. No specification describes it;
//! players of that family require it for H.264, and ffmpeg checks it when it plays.
//!
//! ```text
//! C1, S1   time(4) version(4) ... digest(32) ...      digest = HMAC-SHA256(NAME, the other 1504 bytes)
//! S2       any 1504 bytes, signature(32)              signature = HMAC-SHA256(K, those 1504 bytes)
//!                                                     K = HMAC-SHA256(NAME and TAIL, C1's digest)
//! ```
//!
//! The client's NAME is `Genuine Adobe Flash Player 001`, the server's is `Genuine Adobe Flash Media
//! Server 001`. The offset of the digest in a block is the sum of four bytes of the block, modulo 728,
//! counted from the byte after these four. They lie at offset 8 or at offset 772: there are two forms,
//! and S1 must have the form of C1.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

const DIGEST_LEN: usize = 32;

type Digest = [u8; DIGEST_LEN];

/// The client's name, the key of C1's digest.
const PLAYER_NAME: &[u8] = b"Genuine Adobe Flash Player 001";

/// The server's name and the tail of all keys.
const SERVER_KEY: &[u8] = b"Genuine Adobe Flash Media Server 001\
    \xF0\xEE\xC2\x4A\x80\x68\xBE\xE8\x2E\x00\xD0\xD1\x02\x9E\x7E\x57\
    \x6E\xEC\x5D\x2D\x29\x80\x6F\xAB\x93\xB8\xE6\x36\xCF\xEB\x31\xAE";

/// The length of the name in [`SERVER_KEY`], in bytes.
const SERVER_NAME_LEN: usize = 36;

/// Bytes 4 to 8 of S1. A first byte of 3 or more tells clients that there is a digest.
const VERSION_WITH_DIGEST: [u8; 4] = [4, 5, 0, 1];

/// Bytes 4 to 8 of a C1 with a digest: those of ffmpeg.
const PLAYER_VERSION: [u8; 4] = [9, 0, 0x7C, 2];

/// The number of possible positions of the digest in its half of the block.
const PLACES: usize = 728;

/// The offset of the four bytes whose sum gives the position of the digest, in the first or in the
/// second half of a block. The other half is for the public key of encrypted RTMP.
const DIGEST_FIRST: usize = 8;
const KEY_FIRST: usize = 772;

/// The valid digest of a C1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    /// [`DIGEST_FIRST`] or [`KEY_FIRST`].
    sum_at: usize,
    digest: Digest,
}

/// Returns the offset of a block's digest; at most 1504.
fn digest_at(sum_at: usize, block: &[u8]) -> Option<usize> {
    let summands = block.get(sum_at..sum_at + 4)?;
    let sum: usize = summands.iter().map(|&byte| usize::from(byte)).sum();
    Some(sum_at + 4 + sum % PLACES)
}

/// Returns the digest in a block, and the digest that `key` gives for the block.
fn digests(sum_at: usize, block: &[u8], key: &[u8]) -> Option<(Digest, Digest)> {
    let (before, rest) = block.split_at_checked(digest_at(sum_at, block)?)?;
    let (found, after) = rest.split_first_chunk()?;
    Some((*found, hmac(key, &[before, after])?))
}

impl Signed {
    /// Parses C1; `None` if it has no valid digest.
    pub(super) fn parse(c1: &[u8]) -> Option<Signed> {
        // Clients that use the plain handshake send version 0.
        if c1.get(4..8)? == [0; 4] {
            return None;
        }
        [KEY_FIRST, DIGEST_FIRST].into_iter().find_map(|sum_at| {
            let (digest, expected) = digests(sum_at, c1, PLAYER_NAME)?;
            bool::from(digest.ct_eq(&expected)).then_some(Signed { sum_at, digest })
        })
    }

    /// Writes version and digest into S1, and the signature at the end of S2. Returns `None` if they are
    /// too short.
    pub(super) fn sign(&self, s1: &mut [u8], s2: &mut [u8]) -> Option<()> {
        s1.get_mut(4..8)?.copy_from_slice(&VERSION_WITH_DIGEST);
        let name = SERVER_KEY.get(..SERVER_NAME_LEN)?;
        let (_, digest) = digests(self.sum_at, s1, name)?;
        let at = digest_at(self.sum_at, s1)?;
        s1.get_mut(at..at + DIGEST_LEN)?.copy_from_slice(&digest);
        let (text, signature) = s2.split_last_chunk_mut()?;
        let key = hmac(SERVER_KEY, &[&self.digest])?;
        *signature = hmac(&key, &[text])?;
        Some(())
    }
}

/// Writes version and digest into a client's C1. Returns `None` if it is too short.
pub(super) fn sign_c1(c1: &mut [u8]) -> Option<()> {
    c1.get_mut(4..8)?.copy_from_slice(&PLAYER_VERSION);
    let (_, digest) = digests(DIGEST_FIRST, c1, PLAYER_NAME)?;
    let at = digest_at(DIGEST_FIRST, c1)?;
    c1.get_mut(at..at + DIGEST_LEN)?.copy_from_slice(&digest);
    Some(())
}

/// Returns the signature at the end of the C2 that answers this S1 and repeats its other bytes; `None` if
/// S1 has no valid digest.
pub(super) fn c2_signature(s1: &[u8]) -> Option<Digest> {
    if s1.get(4..8)? == [0; 4] {
        return None;
    }
    let name = SERVER_KEY.get(..SERVER_NAME_LEN)?;
    let digest = [KEY_FIRST, DIGEST_FIRST].into_iter().find_map(|sum_at| {
        let (digest, expected) = digests(sum_at, s1, name)?;
        (digest == expected).then_some(digest)
    })?;
    let (text, _) = s1.split_last_chunk::<DIGEST_LEN>()?;
    let key = [PLAYER_NAME, SERVER_KEY.get(SERVER_NAME_LEN..)?].concat();
    hmac(&hmac(&key, &[&digest])?, &[text])
}

/// Returns the HMAC-SHA256 of the concatenated parts. Always `Some`, since keys may have any length.
fn hmac(key: &[u8], parts: &[&[u8]]) -> Option<Digest> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().into())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const FORMS: [usize; 2] = [DIGEST_FIRST, KEY_FIRST];

    /// A block with ffmpeg's version bytes.
    fn block() -> Vec<u8> {
        let mut block: Vec<u8> = (0..1536).map(|i| (i * 7 + 3) as u8).collect();
        block[..8].copy_from_slice(&[0, 0, 0, 0, 9, 0, 0x7C, 2]);
        block
    }

    /// A client's block with a digest at `place`, to which the block's own bytes must point.
    fn signed_at(mut block: Vec<u8>, place: usize) -> Vec<u8> {
        let others = [&block[..place], &block[place + 32..]].concat();
        let digest = mac(b"Genuine Adobe Flash Player 001", &others);
        block[place..place + 32].copy_from_slice(&digest);
        block
    }

    /// One C1 for each form.
    pub(in crate::rtmp::handshake) fn signed_blocks() -> [Vec<u8>; 2] {
        [signed_at(block(), 290), signed_at(block(), 942)]
    }

    fn mac(key: &[u8], text: &[u8]) -> Digest {
        hmac(key, &[text]).unwrap()
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digit = |c: u8| char::from(c).to_digit(16).unwrap() as u8;
        let pairs = text.as_bytes().chunks(2);
        pairs.map(|p| digit(p[0]) << 4 | digit(p[1])).collect()
    }

    /// The signature that a server expects at the end of a C2 that repeats an S1 with a digest.
    pub(in crate::rtmp::handshake) fn player_signature(c2: &[u8]) -> Digest {
        let tail = "F0EEC24A8068BEE82E00D0D1029E7E576EEC5D2D29806FAB93B8E636CFEB31AE";
        let key = [&b"Genuine Adobe Flash Player 001"[..], &unhex(tail)].concat();
        let sum: usize = c2[8..12].iter().map(|b| *b as usize).sum();
        let place = sum % 728 + 12;
        mac(&mac(&key, &c2[place..place + 32]), &c2[..1504])
    }

    /// Checks S1 and S2 as ffmpeg does before it plays, and returns the place of S1's digest.
    pub(in crate::rtmp::handshake) fn ffmpeg_accepts(c1: &[u8], s1: &[u8], s2: &[u8]) -> usize {
        let tail = "F0EEC24A8068BEE82E00D0D1029E7E576EEC5D2D29806FAB93B8E636CFEB31AE";
        let name = b"Genuine Adobe Flash Media Server 001";
        let place_in = |block: &[u8], at: usize| {
            let sum: usize = block[at..at + 4].iter().map(|b| *b as usize).sum();
            sum % 728 + at + 4
        };
        assert!(s1[4] >= 3, "S1 promises no digest");
        let at = [772, 8]
            .into_iter()
            .find(|&at| {
                let place = place_in(s1, at);
                let others = [&s1[..place], &s1[place + 32..]].concat();
                s1[place..place + 32] == mac(name, &others)
            })
            .expect("S1's digest is valid");
        // ffmpeg remembers where it put its own digest; the form is the same.
        let place = place_in(c1, at);
        let key = mac(&[&name[..], &unhex(tail)].concat(), &c1[place..place + 32]);
        assert_eq!(s2[1504..], mac(&key, &s2[..1504]), "S2's signature");
        place_in(s1, at)
    }

    #[test]
    fn digests_and_signatures_are_those_of_other_servers() {
        for (form, place, digest, signature) in [
            (
                DIGEST_FIRST,
                290,
                "612af37c38c4a1b74e5737fc4021ded17ed92a9431c19bc665cf421131bad8a6",
                "8a2d73685433e1a7b878a44eb5e7fa880e0c485cedc03fbbc22673a71cc11515",
            ),
            (
                KEY_FIRST,
                942,
                "e6a7fbdda4aab503b4e693e92d6f18d9d4b89f3ef0e95fffe767a4830aa37109",
                "450c3737d5920b31f1e480201f462fc99cf59d1039195692c5ea5e121b3bfb3d",
            ),
        ] {
            assert_eq!(digest_at(form, &block()), Some(place));
            let mut c1 = block();
            c1[place..place + 32].copy_from_slice(&unhex(digest));
            let signed = Signed::parse(&c1).unwrap();
            assert_eq!(signed.sum_at, form);
            assert_eq!(signed.digest[..], unhex(digest));

            let mut s1 = vec![0x77; 1536];
            let mut s2 = vec![0x5A; 1536];
            signed.sign(&mut s1, &mut s2).unwrap();
            assert_eq!(s1[..8], [0x77, 0x77, 0x77, 0x77, 4, 5, 0, 1]);
            assert_eq!(s2[..1504], [0x5A; 1504]);
            assert_eq!(s2[1504..], unhex(signature));
        }
    }

    #[test]
    fn captured_clients_are_told_apart() {
        let ffmpeg_publish = &include_bytes!("../../../tests/data/ffmpeg_publish.bin")[1..1537];
        let ffmpeg_play = &include_bytes!("../../../tests/data/ffmpeg_play.bin")[1..1537];
        let gstreamer = &include_bytes!("../../../tests/data/gst_rtmp2sink.bin")[1..1537];
        let rtmpdump = &include_bytes!("../../../tests/data/rtmpdump_play.bin")[1..1537];
        for (name, c1, form) in [
            ("ffmpeg, publishing", ffmpeg_publish, Some(DIGEST_FIRST)),
            ("ffmpeg, playing", ffmpeg_play, Some(DIGEST_FIRST)),
            ("GStreamer", gstreamer, None),
            ("rtmpdump", rtmpdump, None),
        ] {
            assert_eq!(Signed::parse(c1).map(|c1| c1.sum_at), form, "{name}");
        }
    }

    #[test]
    fn a_damaged_digest_is_none() {
        for c1 in signed_blocks() {
            assert!(Signed::parse(&c1).is_some());
            for at in 0..c1.len() {
                let mut damaged = c1.clone();
                damaged[at] ^= 1;
                assert_eq!(Signed::parse(&damaged), None, "byte {at}");
            }
        }
    }

    #[test]
    fn a_client_that_says_version_0_gets_no_digest() {
        for place in [290, 942] {
            let mut block = block();
            block[4..8].fill(0);
            assert_eq!(Signed::parse(&signed_at(block, place)), None);
        }
    }

    #[test]
    fn a_block_that_is_too_short_is_none() {
        for c1 in signed_blocks() {
            for len in 0..c1.len() {
                assert_eq!(Signed::parse(&c1[..len]), None, "{len} bytes");
            }
        }
    }

    #[test]
    fn the_first_and_the_last_place_lie_in_their_half_of_the_block() {
        for (summands, first_half, second_half) in [
            ([0, 0, 0, 0], 12, 776),
            ([255, 255, 217, 0], 12 + 727, 776 + 727),
            ([255, 255, 218, 0], 12, 776),
            ([255, 255, 255, 255], 12 + 292, 776 + 292),
        ] {
            for (form, sum_at, place) in
                [(DIGEST_FIRST, 8, first_half), (KEY_FIRST, 772, second_half)]
            {
                let mut c1 = block();
                c1[sum_at..sum_at + 4].copy_from_slice(&summands);
                assert_eq!(digest_at(form, &c1), Some(place));
                let c1 = signed_at(c1, place);
                let signed = Signed::parse(&c1).unwrap();
                assert_eq!(signed.sum_at, form);

                let mut s1 = vec![0xA5; 1536];
                s1[sum_at..sum_at + 4].copy_from_slice(&summands);
                let mut s2 = c1.clone();
                signed.sign(&mut s1, &mut s2).unwrap();
                assert_eq!(ffmpeg_accepts(&c1, &s1, &s2), place);
                assert_eq!(s1[place + 32..], vec![0xA5; 1536 - place - 32]);
            }
        }
    }

    #[test]
    fn s1_has_the_form_of_c1() {
        for (c1, form) in signed_blocks().iter().zip(FORMS) {
            let mut s1 = block();
            let mut s2 = c1.clone();
            let signed = Signed::parse(c1).unwrap();
            signed.sign(&mut s1, &mut s2).unwrap();
            let place = ffmpeg_accepts(c1, &s1, &s2);
            assert_eq!(digest_at(form, &s1), Some(place));
        }
    }
}
