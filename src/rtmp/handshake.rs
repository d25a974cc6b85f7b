//! The server side of the handshake (5.2), with a digest for clients whose C1 has one.
//!
//! ```text
//! client  C0 (03)  C1 time(4) version(4) random(1528)            C2
//! server           S0 (03)  S1 time(4) 0(4) random(1528)  S2 = C1
//! ```
//!
//! S0, S1 and S2 are sent as soon as C1 is complete: ffmpeg and GStreamer read all three before they
//! send C2. S2 is a copy of C1, which some clients check; with a digest, its last 32 bytes are the
//! server's signature. C2 is read but never compared: many clients send different bytes.

mod client;
mod digest;

use std::borrow::Cow;

pub use self::client::ClientHandshake;
use self::digest::Signed;
use super::Error;

/// The length of C1, S1, C2 and S2 in bytes.
pub const BLOCK_LEN: usize = 1536;

/// The number of random bytes in S1.
pub const NONCE_LEN: usize = BLOCK_LEN - 8;

const VERSION: u8 = 3;

/// See the module's documentation.
#[derive(Debug)]
pub struct Handshake {
    state: HandshakeState,
    has_digest: bool,
}

#[derive(Debug)]
enum HandshakeState {
    /// Waiting for C0.
    Version,
    /// Collecting C1, which S2 repeats.
    First {
        c1: Vec<u8>,
    },
    /// Skipping C2; holds the number of bytes left.
    Second {
        left: usize,
    },
    Done,
}

impl Default for Handshake {
    fn default() -> Handshake {
        Handshake {
            state: HandshakeState::Version,
            has_digest: false,
        }
    }
}

impl Handshake {
    /// Whether C1 had a digest, so that S1 and S2 have one too.
    pub fn has_digest(&self) -> bool {
        self.has_digest
    }

    /// Consumes input up to the end of C2. Returns true when the handshake is complete; bytes after C2
    /// are left in the input. `nonce` is called once, to fill S1's random bytes.
    pub fn handle(
        &mut self,
        input: &mut &[u8],
        nonce: impl Fn(&mut [u8]),
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        loop {
            match &mut self.state {
                HandshakeState::Version => {
                    let Some((&version, rest)) = input.split_first() else {
                        return Ok(false);
                    };
                    check_version(version)?;
                    *input = rest;
                    self.state = HandshakeState::First {
                        c1: Vec::with_capacity(BLOCK_LEN),
                    };
                }
                HandshakeState::First { c1 } => {
                    let (taken, rest) = input.split_at(input.len().min(BLOCK_LEN - c1.len()));
                    c1.extend_from_slice(taken);
                    *input = rest;
                    if c1.len() < BLOCK_LEN {
                        return Ok(false);
                    }
                    self.has_digest = answer(c1, &nonce, out);
                    self.state = HandshakeState::Second { left: BLOCK_LEN };
                }
                HandshakeState::Second { left } => {
                    let (taken, rest) = input.split_at(input.len().min(*left));
                    *left -= taken.len();
                    *input = rest;
                    if *left > 0 {
                        return Ok(false);
                    }
                    self.state = HandshakeState::Done;
                }
                HandshakeState::Done => return Ok(true),
            }
        }
    }
}

/// Writes S0, S1 and S2. Returns true if they are signed.
fn answer(c1: &[u8], nonce: impl Fn(&mut [u8]), out: &mut Vec<u8>) -> bool {
    out.reserve_exact(1 + 2 * BLOCK_LEN);
    out.push(VERSION);
    let s1_at = out.len();
    // Time and version bytes are 0: a version above 0 would tell clients that S1 has a digest.
    out.resize(s1_at + BLOCK_LEN, 0);
    let nonce_at = s1_at + BLOCK_LEN - NONCE_LEN;
    nonce(out.get_mut(nonce_at..).unwrap_or_default());
    out.extend_from_slice(c1);
    let blocks = out.get_mut(s1_at..).unwrap_or_default();
    if let (Some(signed), Some((s1, s2))) =
        (Signed::parse(c1), blocks.split_at_mut_checked(BLOCK_LEN))
    {
        signed.sign(s1, s2);
        return true;
    }
    false
}

/// The error for an HTTP client on the RTMP port.
pub const HTTP: Error = Error::Unsupported(Cow::Borrowed(
    "an HTTP or RTSP request on the RTMP port, expected an rtmp:// client",
));

/// Checks the version in C0. Clients that ask for another unencrypted version are answered with version
/// 3; encrypted versions and other protocols are errors.
fn check_version(version: u8) -> Result<(), Error> {
    match version {
        6 | 8 | 9 => Err(Error::unsupported(format!(
            "encrypted RTMP (RTMPE, version {version}), expected rtmp://"
        ))),
        b'G' | b'P' | b'H' | b'O' => Err(HTTP),
        0x16 => Err(Error::unsupported(
            "TLS (rtmps:// or https://) on the RTMP port, expected rtmp://",
        )),
        version if version >= 32 => Err(Error::malformed(format!(
            "first byte 0x{version:02X}, expected the RTMP version 0x03"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::digest::tests::{ffmpeg_accepts, signed_blocks};
    use super::*;

    fn client_bytes() -> Vec<u8> {
        let c1: Vec<u8> = (0..BLOCK_LEN).map(|i| (i * 7 + 3) as u8).collect();
        client_bytes_with(&c1)
    }

    fn client_bytes_with(c1: &[u8]) -> Vec<u8> {
        [&[3], c1, &[0xEE; BLOCK_LEN], b"surplus"].concat()
    }

    fn run(bytes: &[u8], cut: usize) -> (Vec<u8>, Vec<u8>) {
        let mut handshake = Handshake::default();
        let mut out = Vec::new();
        let mut surplus = Vec::new();
        let mut is_done = false;
        for mut part in [&bytes[..cut], &bytes[cut..]] {
            if !is_done {
                is_done = handshake
                    .handle(&mut part, |r| r.fill(0x77), &mut out)
                    .unwrap();
            }
            surplus.extend_from_slice(part);
        }
        assert!(is_done);
        (out, surplus)
    }

    #[test]
    fn s2_repeats_c1_and_s1_promises_no_digest() {
        let bytes = client_bytes();
        let (out, surplus) = run(&bytes, 0);
        assert_eq!(out.len(), 3073);
        assert_eq!(out[..9], [3, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(out[9..1537], [0x77; NONCE_LEN]);
        assert_eq!(out[1537..], bytes[1..1537]);
        assert_eq!(surplus, b"surplus");
    }

    #[test]
    fn a_client_with_a_digest_gets_a_digest_and_a_signature() {
        for c1 in signed_blocks() {
            let (out, surplus) = run(&client_bytes_with(&c1), 0);
            let (s1, s2) = out[1..].split_at(BLOCK_LEN);
            let place = ffmpeg_accepts(&c1, s1, s2);
            assert_eq!(s1[..8], [0, 0, 0, 0, 4, 5, 0, 1]);
            assert_eq!(s1[8..place], vec![0x77; place - 8]);
            assert_eq!(s1[place + 32..], vec![0x77; BLOCK_LEN - place - 32]);
            assert_eq!(s2[..1504], c1[..1504]);
            assert_eq!(surplus, b"surplus");
        }
    }

    #[test]
    fn a_client_with_a_damaged_digest_gets_the_simple_answer() {
        for mut c1 in signed_blocks() {
            c1[1535] ^= 1;
            let (out, _) = run(&client_bytes_with(&c1), 0);
            assert_eq!(out[..9], [3, 0, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(out[9..1537], [0x77; NONCE_LEN]);
            assert_eq!(out[1537..], c1);
        }
    }

    #[test]
    fn every_cut_gives_the_same_answer() {
        let [_, key_first] = signed_blocks();
        for bytes in [client_bytes(), client_bytes_with(&key_first)] {
            let whole = run(&bytes, 0);
            for cut in 1..bytes.len() {
                assert_eq!(run(&bytes, cut), whole, "cut at {cut}");
            }
        }
    }

    #[test]
    fn the_answer_leaves_before_c2_comes() {
        let mut out = Vec::new();
        let bytes = client_bytes();
        let mut input = &bytes[..1537];
        assert!(
            !Handshake::default()
                .handle(&mut input, |_| {}, &mut out)
                .unwrap()
        );
        assert_eq!(out.len(), 3073);
    }

    #[test]
    fn other_protocols_are_told_apart() {
        for (first, word) in [(b'G', "HTTP"), (0x16, "TLS"), (6, "RTMPE"), (0x80, "0x80")] {
            let error = Handshake::default()
                .handle(&mut [first].as_slice(), |_| {}, &mut Vec::new())
                .unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        for version in [0, 2, 3, 4, 31] {
            assert!(check_version(version).is_ok());
        }
    }
}
