//! The contents of the synthetic streams: valid sequence headers, and frames whose bytes tell which
//! frame of which stream they are. No decoder ever sees them.

/// The most bytes in front of a frame's mark.
const MARK_LEN: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Video {
    /// Width and height, multiples of 16.
    Avc(u16, u16),
    Hevc,
    Av1,
    Vp9,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audio {
    /// The sample rate: 44,100 or 48,000.
    Aac(u32),
    Opus,
    Flac,
}

/// libx265, 1920x1080.
const HEVC: &[u8] = b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\x03\
    \x20\0\x01\0\x18\x40\x01\x0C\x01\xFF\xFF\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x78\x95\x98\
    \x09\x21\0\x01\0\x2A\x42\x01\x01\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x78\xA0\x03\xC0\x80\
    \x10\xE5\x96\x56\x69\x24\xCA\xF0\x16\x80\x80\0\0\x03\0\x80\0\0\x0F\x04\
    \x22\0\x01\0\x07\x44\x01\xC1\x72\xB4\x62\x40";

/// libaom, 322x180.
const AV1: &[u8] = b"\x81\0\x0C\0\x0A\x0B\0\0\0\x04\x3D\x06\xCC\xDA\xF9\0\x40";

/// libvpx, with version and flags.
const VP9: &[u8] = b"\x01\0\0\0\0\x0A\x82\x02\x02\x02\0\0";

/// libopus, stereo, 312 samples to be dropped.
const OPUS: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0";

/// ffmpeg, 44.1 kHz mono.
const FLAC: &[u8] = b"\x10\0\x10\0\0\0\x0E\0\x10\xF2\x0A\xC4\x40\xF0\0\0\0\0\
    \xD4\x1D\x8C\xD9\x8F\0\xB2\x04\xE9\x80\x09\x98\xEC\xF8\x42\x7E";

/// Bits, most significant first, as in a parameter set of H.264.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn plain(&mut self, count: u32, value: u32) {
        let bits = (0..count).rev().map(|bit| value >> bit & 1 == 1);
        self.0.extend(bits);
    }

    /// Appends an Exp-Golomb number (H.264, 9.1).
    fn golomb(&mut self, value: u32) {
        let len = (value + 1).ilog2();
        self.plain(len, 0);
        self.plain(len + 1, value + 1);
    }

    /// Appends the stop bit.
    fn into_bytes(mut self) -> Vec<u8> {
        self.0.push(true);
        let byte = |bits: &[bool]| {
            let value = bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
            value << (8 - bits.len())
        };
        self.0.chunks(8).map(byte).collect()
    }
}

/// A configuration record of H.264 (main profile, level 3) without a frame rate.
fn avc_record(width: u16, height: u16) -> Vec<u8> {
    let mut bits = Bits::default();
    // Id of the set, digits of frame_num and of the order of frames (type 0), frames kept.
    for value in [0, 0, 0, 4, 4] {
        bits.golomb(value);
    }
    bits.plain(1, 0);
    bits.golomb(u32::from(width) / 16 - 1);
    bits.golomb(u32::from(height) / 16 - 1);
    // Whole frames, direct_8x8_inference; neither cropping nor VUI.
    bits.plain(4, 0b1100);
    let set = [&b"\x67\x4D\x40\x1E"[..], &bits.into_bytes()].concat();
    let len = set.len() as u8;
    [
        b"\x01\x4D\x40\x1E\xFF\xE1\0",
        &[len][..],
        &set,
        b"\x01\0\x04\x68\xCE\x38\x80",
    ]
    .concat()
}

impl Video {
    /// The configuration as in the box of the sample entry.
    pub(crate) fn record(self) -> Vec<u8> {
        match self {
            Video::Avc(width, height) => avc_record(width, height),
            Video::Hevc => HEVC.into(),
            Video::Av1 => AV1.into(),
            Video::Vp9 => VP9.into(),
        }
    }

    /// The names of the sample entry and of the box in it.
    pub(crate) fn entry(self) -> (&'static str, &'static str) {
        match self {
            Video::Avc(..) => ("avc1", "avcC"),
            Video::Hevc => ("hvc1", "hvcC"),
            Video::Av1 => ("av01", "av1C"),
            Video::Vp9 => ("vp09", "vpcC"),
        }
    }

    /// As in CODECS (RFC 6381).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Video::Avc(..) => "avc1.4D401E",
            Video::Hevc => "hvc1.1.6.L120.90",
            Video::Av1 => "av01.0.00M.08",
            Video::Vp9 => "vp09.00.10.08",
        }
    }

    /// As in RESOLUTION.
    pub(crate) fn size(self) -> String {
        match self {
            Video::Avc(width, height) => format!("{width}x{height}"),
            Video::Hevc => "1920x1080".into(),
            Video::Av1 => "322x180".into(),
            Video::Vp9 => "1280x718".into(),
        }
    }

    /// The message with the sequence header.
    pub(crate) fn header(self) -> Vec<u8> {
        match self {
            Video::Avc(..) => [&b"\x17\0\0\0\0"[..], &self.record()].concat(),
            _ => [b"\x90", self.entry().0.as_bytes(), &self.record()].concat(),
        }
    }

    /// The message with a frame.
    pub(crate) fn message(self, is_key: bool, composition_time: u32, body: &[u8]) -> Vec<u8> {
        let time = &composition_time.to_be_bytes()[1..];
        let kind = if is_key { 0x10 } else { 0x20 };
        match self {
            Video::Avc(..) => [&[kind | 7, 1][..], time, body].concat(),
            Video::Hevc => [&[0x81 | kind][..], b"hvc1", time, body].concat(),
            _ => [&[0x81 | kind][..], self.entry().0.as_bytes(), body].concat(),
        }
    }

    /// A frame of this length, whose mark is [`mark_of`] this.
    pub(crate) fn body(self, is_key: bool, len: usize, mark: Mark) -> Vec<u8> {
        let prefix: Vec<u8> = match self {
            Video::Avc(..) => {
                // The slice of the first macroblock, I or P.
                let unit = if is_key { [0x65, 0x88] } else { [0x41, 0x9A] };
                [&(len as u32 - 4).to_be_bytes()[..], &unit].concat()
            }
            Video::Hevc => {
                let unit = if is_key { 19 << 1 } else { 1 << 1 };
                // The first segment of the frame.
                [&(len as u32 - 4).to_be_bytes()[..], &[unit, 1, 0xAF]].concat()
            }
            Video::Av1 => {
                let rest = len - 3;
                let kind = if is_key { 0x10 } else { 0x30 };
                vec![0x32, rest as u8 | 0x80, (rest >> 7) as u8, kind]
            }
            // Of the same length, since the mark is found by that.
            Video::Vp9 if is_key => b"\x82\x49\x83\x42\0\x4F\xF0\x2C\xD6\x06\x38".into(),
            Video::Vp9 => b"\x86\0\x40\x92\xF0\x21\x40\x06\0\xF0\x6F".into(),
        };
        marked(&prefix, len, mark)
    }

    fn prefix_len(self) -> usize {
        match self {
            Video::Avc(..) => 6,
            Video::Hevc => 7,
            Video::Av1 => 4,
            Video::Vp9 => 11,
        }
    }

    pub(crate) fn mark_of(self, body: &[u8]) -> Option<Mark> {
        Mark::parse(body.get(self.prefix_len()..)?)
    }
}

impl Audio {
    /// The sample rate.
    pub(crate) fn rate(self) -> u32 {
        match self {
            Audio::Aac(rate) => rate,
            Audio::Opus => 48_000,
            Audio::Flac => 44_100,
        }
    }

    /// The samples per frame.
    pub(crate) fn frame_len(self) -> u32 {
        match self {
            Audio::Aac(_) => 1024,
            Audio::Opus => 960,
            Audio::Flac => 4096,
        }
    }

    /// The duration of a frame, in ms.
    pub(crate) fn frame_ms(self) -> f64 {
        f64::from(self.frame_len()) * 1000.0 / f64::from(self.rate())
    }

    pub(crate) fn entry(self) -> &'static str {
        match self {
            Audio::Aac(_) => "mp4a",
            Audio::Opus => "Opus",
            Audio::Flac => "fLaC",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Audio::Aac(_) => "mp4a.40.2",
            Audio::Opus => "Opus",
            Audio::Flac => "fLaC",
        }
    }

    pub(crate) fn header(self) -> Vec<u8> {
        match self {
            Audio::Aac(44_100) => b"\xAF\0\x12\x10".into(),
            Audio::Aac(_) => b"\xAF\0\x11\x90".into(),
            Audio::Opus => [b"\x90Opus", OPUS].concat(),
            Audio::Flac => [b"\x90fLaC", FLAC].concat(),
        }
    }

    pub(crate) fn message(self, body: &[u8]) -> Vec<u8> {
        match self {
            Audio::Aac(_) => [b"\xAF\x01", body].concat(),
            Audio::Opus => [b"\x91Opus", body].concat(),
            Audio::Flac => [b"\x91fLaC", body].concat(),
        }
    }

    /// A frame of this length, whose mark is [`mark_of`](Self::mark_of) this.
    pub(crate) fn body(self, len: usize, mark: Mark) -> Vec<u8> {
        marked(self.prefix(), len, mark)
    }

    fn prefix(self) -> &'static [u8] {
        match self {
            Audio::Aac(_) => b"\x21",
            // 20 ms, stereo, one frame.
            Audio::Opus => b"\xFC",
            // 4096 samples, mono.
            Audio::Flac => b"\xFF\xF8\xC9\x08\0",
        }
    }

    pub(crate) fn mark_of(self, body: &[u8]) -> Option<Mark> {
        Mark::parse(body.get(self.prefix().len()..)?)
    }
}

/// Which frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) stream: u16,
    /// 0 video, 1 audio.
    pub(crate) track: u8,
    pub(crate) index: u32,
}

impl Mark {
    fn parse(bytes: &[u8]) -> Option<Mark> {
        let rest = bytes.strip_prefix(b"mark:")?;
        let (stream, rest) = rest.split_first_chunk()?;
        let (track, rest) = rest.split_first()?;
        let (index, _) = rest.split_first_chunk()?;
        Some(Mark {
            stream: u16::from_be_bytes(*stream),
            track: *track,
            index: u32::from_be_bytes(*index),
        })
    }
}

/// `prefix`, the mark, and bytes that no other frame has.
fn marked(prefix: &[u8], len: usize, mark: Mark) -> Vec<u8> {
    assert!(len >= prefix.len() + MARK_LEN, "{len}");
    let mut body = prefix.to_vec();
    body.extend(b"mark:");
    body.extend(mark.stream.to_be_bytes());
    body.push(mark.track);
    body.extend(mark.index.to_be_bytes());
    let mut state = u32::from(mark.stream) << 8 ^ u32::from(mark.track) << 31 ^ mark.index;
    state = state.wrapping_mul(0x9E37_79B9) | 1;
    while body.len() < len {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        body.push(state as u8);
    }
    body
}
