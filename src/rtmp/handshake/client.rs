//! The client side of the handshake (5.2).
//!
//! ```text
//! client  C0 (03)  C1 time(4) 0(4) random(1528)            C2 = S1
//! server           S0 (03)  S1 time(4) version(4) random(1528)     S2
//! ```
//!
//! C1 is plain, which every current server accepts; a client that was turned away may try again with a
//! digest. If S1 has one, C2 ends with the client's signature in place of the last bytes of S1. S2 is read
//! but never compared.

use super::digest;
use super::{BLOCK_LEN, NONCE_LEN, VERSION};
use crate::rtmp::Error;

/// See the module's documentation.
#[derive(Debug)]
pub struct ClientHandshake {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Waiting for S0.
    Version,
    /// Collecting S1, which C2 repeats.
    First {
        s1: Vec<u8>,
    },
    /// Skipping S2; holds the number of bytes left.
    Second {
        left: usize,
    },
    Done,
}

impl ClientHandshake {
    /// Writes C0 and C1. `nonce` fills C1's random bytes. `has_digest`: C1 is signed, for servers that
    /// turn other clients away.
    pub fn begin(nonce: fn(&mut [u8]), has_digest: bool, out: &mut Vec<u8>) -> ClientHandshake {
        out.reserve_exact(1 + BLOCK_LEN);
        out.push(VERSION);
        let c1_at = out.len();
        // Time and version bytes are 0: a version above 0 would tell servers that C1 has a digest.
        out.resize(c1_at + BLOCK_LEN, 0);
        let c1 = out.get_mut(c1_at..).unwrap_or_default();
        nonce(c1.get_mut(BLOCK_LEN - NONCE_LEN..).unwrap_or_default());
        if has_digest {
            digest::sign_c1(c1);
        }
        ClientHandshake {
            state: State::Version,
        }
    }

    /// Consumes input up to the end of S2. Returns true when the handshake is complete; bytes after S2 are
    /// left in the input.
    pub fn handle(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, Error> {
        loop {
            match &mut self.state {
                State::Version => {
                    let Some((&version, rest)) = input.split_first() else {
                        return Ok(false);
                    };
                    check_version(version)?;
                    *input = rest;
                    let s1 = Vec::with_capacity(BLOCK_LEN);
                    self.state = State::First { s1 };
                }
                State::First { s1 } => {
                    let (taken, rest) = input.split_at(input.len().min(BLOCK_LEN - s1.len()));
                    s1.extend_from_slice(taken);
                    *input = rest;
                    if s1.len() < BLOCK_LEN {
                        return Ok(false);
                    }
                    let signature = digest::c2_signature(s1);
                    let c2_at = out.len();
                    out.extend_from_slice(s1);
                    let c2 = out.get_mut(c2_at..).unwrap_or_default();
                    if let (Some(signature), Some(end)) = (signature, c2.last_chunk_mut()) {
                        *end = signature;
                    }
                    self.state = State::Second { left: BLOCK_LEN };
                }
                State::Second { left } => {
                    let (taken, rest) = input.split_at(input.len().min(*left));
                    *left -= taken.len();
                    *input = rest;
                    if *left > 0 {
                        return Ok(false);
                    }
                    self.state = State::Done;
                }
                State::Done => return Ok(true),
            }
        }
    }
}

/// Checks the version in S0. Servers that answer with another unencrypted version speak version 3 all the
/// same.
fn check_version(version: u8) -> Result<(), Error> {
    match version {
        b'H' => Err(Error::unsupported(
            "an answer in HTTP, expected an RTMP server: is this the port of a web server?",
        )),
        0x15 | 0x16 => Err(Error::unsupported(
            "an answer in TLS, expected an RTMP server: try rtmps://",
        )),
        6 | 8 | 9 => Err(Error::unsupported(
            "encrypted RTMP (RTMPE), expected plain RTMP",
        )),
        version if version >= 32 => Err(Error::malformed(format!(
            "first byte 0x{version:02X}, expected the RTMP version 0x03"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::handshake::Handshake;

    fn nonce(bytes: &mut [u8]) {
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = (index * 7 + 3) as u8;
        }
    }

    /// Lets both sides talk; each is passed the other's bytes in pieces of `len` bytes.
    fn talk(has_digest: bool, len: usize) -> (Vec<u8>, bool) {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        let mut client = ClientHandshake::begin(nonce, has_digest, &mut to_server);
        let mut server = Handshake::default();
        let (mut is_client_done, mut is_server_done) = (false, false);
        let mut c = Vec::new();
        while !(is_client_done && is_server_done) {
            c.extend_from_slice(&to_server);
            for mut piece in std::mem::take(&mut to_server).chunks(len) {
                is_server_done |= server.handle(&mut piece, nonce, &mut to_client).unwrap();
            }
            for mut piece in std::mem::take(&mut to_client).chunks(len) {
                is_client_done |= client.handle(&mut piece, &mut to_server).unwrap();
            }
        }
        (c, server.has_digest())
    }

    #[test]
    fn a_plain_client_repeats_s1() {
        for len in [1, 7, 1536, 5000] {
            let (sent, has_digest) = talk(false, len);
            assert!(!has_digest);
            assert_eq!(sent.len(), 1 + 2 * BLOCK_LEN);
            assert_eq!(sent[..9], [3, 0, 0, 0, 0, 0, 0, 0, 0]);
            // The server of this test has the same random bytes.
            assert_eq!(sent[1 + BLOCK_LEN..], sent[1..1 + BLOCK_LEN]);
        }
    }

    #[test]
    fn a_server_recognizes_the_digest_and_gets_a_signature() {
        let (sent, has_digest) = talk(true, 4096);
        assert!(has_digest);
        let (c1, c2) = sent[1..].split_at(BLOCK_LEN);
        assert_ne!(c1[4..8], [0; 4]);
        let signature = digest::tests::player_signature(c2);
        assert_eq!(c2[BLOCK_LEN - 32..], signature);
    }

    #[test]
    fn other_servers_are_told_apart() {
        for (first, word) in [
            (b'H', "HTTP"),
            (0x15, "rtmps://"),
            (6, "RTMPE"),
            (b'2', "0x32"),
        ] {
            let mut client = ClientHandshake::begin(nonce, false, &mut Vec::new());
            let error = client.handle(&mut [first].as_slice(), &mut Vec::new());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
