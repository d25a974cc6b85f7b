//! The server's side of the simple handshake (5.2), without digest.
//!
//! ```text
//! client  C0 (03)  C1 time(4) version(4) random(1528)            C2
//! server           S0 (03)  S1 time(4) 0(4) random(1528)  S2 = C1
//! ```
//!
//! S0, S1 and S2 leave at once, when C1 is complete: ffmpeg and GStreamer read all three before
//! they send C2. S2 is an exact copy of C1, which some clients check. C2 is read and never
//! compared: many clients send something else.

use super::Error;

/// Length of C1, S1, C2 and S2 in bytes.
pub const BLOCK_LEN: usize = 1536;

/// Random bytes of S1.
pub const NONCE_LEN: usize = BLOCK_LEN - 8;

const VERSION: u8 = 3;

/// See the module's documentation.
#[derive(Debug)]
pub struct Handshake {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Waiting for C0.
    Version,
    /// Collecting C1, which S2 repeats.
    First {
        c1: Vec<u8>,
    },
    /// Skipping C2; bytes left.
    Second {
        left: usize,
    },
    Done,
}

impl Default for Handshake {
    fn default() -> Handshake {
        Handshake {
            state: State::Version,
        }
    }
}

impl Handshake {
    /// Consumes input up to the end of C2; true when the handshake is complete. What follows C2
    /// in the input is left there. `nonce` is called once, to fill S1's random bytes.
    pub fn handle(
        &mut self,
        input: &mut &[u8],
        nonce: impl Fn(&mut [u8]),
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        loop {
            match &mut self.state {
                State::Version => {
                    let Some((&version, rest)) = input.split_first() else {
                        return Ok(false);
                    };
                    check_version(version)?;
                    *input = rest;
                    self.state = State::First {
                        c1: Vec::with_capacity(BLOCK_LEN),
                    };
                }
                State::First { c1 } => {
                    let (taken, rest) = input.split_at(input.len().min(BLOCK_LEN - c1.len()));
                    c1.extend_from_slice(taken);
                    *input = rest;
                    if c1.len() < BLOCK_LEN {
                        return Ok(false);
                    }
                    out.reserve_exact(1 + 2 * BLOCK_LEN);
                    out.push(VERSION);
                    // Time 0, and version bytes 0: anything else there promises a digest.
                    out.extend_from_slice(&[0; BLOCK_LEN - NONCE_LEN]);
                    let nonce_at = out.len();
                    out.resize(nonce_at + NONCE_LEN, 0);
                    nonce(out.get_mut(nonce_at..).unwrap_or_default());
                    out.extend_from_slice(c1);
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

/// Clients that ask for another plain version get ours; the encrypted ones and other protocols
/// can't go on.
fn check_version(version: u8) -> Result<(), Error> {
    match version {
        6 | 8 | 9 => Err(Error::unsupported(format!(
            "encrypted RTMP (RTMPE, version {version}), expected rtmp://"
        ))),
        b'G' | b'P' | b'H' | b'O' => Err(Error::unsupported(
            "an HTTP request on the RTMP port, expected an rtmp:// client",
        )),
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
    use super::*;

    fn client_bytes() -> Vec<u8> {
        let mut bytes = vec![3];
        bytes.extend((0..BLOCK_LEN).map(|i| (i * 7 + 3) as u8));
        bytes.extend([0xEE; BLOCK_LEN]);
        bytes.extend(b"surplus");
        bytes
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
    fn every_cut_gives_the_same_answer() {
        let bytes = client_bytes();
        let whole = run(&bytes, 0);
        for cut in 1..bytes.len() {
            assert_eq!(run(&bytes, cut), whole, "cut at {cut}");
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
