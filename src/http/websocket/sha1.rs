//! SHA-1 (RFC 3174), only for WebSocket's handshake, where it proves that a server speaks WebSocket and
//! protects nothing. The crate `sha1` is unrolled for speed and adds several KB to the binary.

/// Returns the digest of a message.
pub(super) fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((message.len() + 9).next_multiple_of(64) - 8, 0);
    padded.extend((message.len() as u64 * 8).to_be_bytes());

    let mut state = [
        0x6745_2301,
        0xEFCD_AB89,
        0x98BA_DCFE,
        0x1032_5476,
        0xC3D2_E1F0,
    ];
    for block in padded.chunks_exact(64) {
        let sum = round_of_80(state, block);
        for (total, part) in state.iter_mut().zip(sum) {
            *total = u32::wrapping_add(*total, part);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

fn round_of_80(state: [u32; 5], block: &[u8]) -> [u32; 5] {
    // The last 16 words of the schedule; the oldest is at the front.
    let mut words = [0_u32; 16];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    let [mut a, mut b, mut c, mut d, mut e] = state;
    for round in 0..80 {
        let (f, k) = match round {
            0..20 => ((b & c) | (!b & d), 0x5A82_7999),
            20..40 => (b ^ c ^ d, 0x6ED9_EBA1),
            40..60 => ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC),
            _ => (b ^ c ^ d, 0xCA62_C1D6),
        };
        let [word, _, second, .., eighth, _, _, _, _, _, _, _] = words;
        let [.., thirteenth, _, _] = words;
        let next = a
            .rotate_left(5)
            .wrapping_add(f)
            .wrapping_add(e)
            .wrapping_add(k)
            .wrapping_add(word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        words.rotate_left(1);
        let newest = (thirteenth ^ eighth ^ second ^ word).rotate_left(1);
        let [.., last] = &mut words;
        *last = newest;
    }
    [a, b, c, d, e]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        let long = "a".repeat(1_000);
        for (message, digest) in [
            ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            ),
            (&long, "291e9a6c66994949b57ba5e650361e98fc36b1ba"),
            // Lengths around which another block is needed.
            (&long[..55], "c1c8bbdc22796e28c0e15163d20899b65621d65a"),
            (&long[..56], "c2db330f6083854c99d4b5bfb6e8f29f201be699"),
            (&long[..63], "03f09f5b158a7a8cdad920bddc29b81c18a551f5"),
            (&long[..64], "0098ba824b5c16427bd7a1122a5a442a25ec644d"),
            (&long[..65], "11655326c708d70319be2610e8a57d9a5b959d3b"),
        ] {
            let hex: String = sha1(message.as_bytes())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(hex, digest, "{} bytes", message.len());
        }
    }
}
