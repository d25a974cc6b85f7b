//! The tracks of a file.

use super::Sample;
use super::codec::{LeftOut, TrackCodec, entry_numbers};
use super::fragment::{Defaults, Fragment};
use super::table::{Table, Totals};
use crate::media::codec::FourCc;
use crate::media::mp4::boxes_read::{find, next_box};
use crate::media::mp4::fields::Fields;
use crate::media::{Error, Medium};

/// The longest shift of a track, in s: a year.
const MAX_DELAY: i128 = 365 * 86_400;

/// The number of samples of a track that may wait for the other one to have some, which may have ended.
const MAX_WAITING: usize = 4096;

/// The number of tracks that are looked at.
const MAX_TRACKS: usize = 32;

/// A track that is read.
pub(super) struct Track {
    id: u32,
    pub(super) codec: TrackCodec,
    /// Width and height, or channels and sample rate; 0 if they aren't known.
    pub(super) numbers: [u16; 2],
    /// The ticks per second; above 0.
    pub(super) timescale: u32,
    /// The time before the first frame, in ticks; negative if frames before the presentation are cut off.
    pub(super) delay: i64,
    samples: Samples,
    /// The sample that comes next.
    next: Option<Sample>,
    defaults: Defaults,
}

enum Samples {
    Table(Table),
    /// The rest of a fragment, and the decode time after it.
    Fragment(Fragment),
}

/// The tracks that are read, at most one of each medium.
pub(super) struct Tracks {
    video: Option<Track>,
    audio: Option<Track>,
    is_fragmented: bool,
    others: Vec<LeftOut>,
}

impl Tracks {
    /// Reads a `moov`.
    pub(super) fn parse(moov: &[u8]) -> Result<Tracks, Error> {
        let broken = || Error::malformed("a damaged box moov");
        let (_, _, body) = next_box(&mut Fields(moov)).ok_or_else(broken)?;
        let movie_timescale = movie_timescale(body).unwrap_or(1000).max(1);
        let mvex = find(body, b"mvex").map(|(_, mvex)| mvex);
        let mut tracks = Tracks {
            video: None,
            audio: None,
            is_fragmented: mvex.is_some(),
            others: Vec::new(),
        };
        let mut f = Fields(body);
        let mut count = 0;
        while let Some((name, _, body)) = next_box(&mut f) {
            if name != *b"trak" || count == MAX_TRACKS {
                continue;
            }
            count += 1;
            match Track::parse(body, mvex, movie_timescale) {
                Ok(Some(track)) => {
                    let place = match track.codec.is_video() {
                        true => &mut tracks.video,
                        false => &mut tracks.audio,
                    };
                    place.get_or_insert(track);
                }
                Ok(None) => {}
                Err(why) => tracks.others.push(why),
            }
        }
        if tracks.video.is_none() && tracks.audio.is_none() {
            return Err(Error::unsupported(match tracks.others() {
                None => "no video or audio track".to_owned(),
                Some(others) => format!(
                    "no track that can be read: {others}; expected H.264, HEVC, AV1, VP8, VP9, AAC, \
                     MP3, Opus, FLAC or AC-3"
                ),
            }));
        }
        Ok(tracks)
    }

    /// Whether the frames are in fragments.
    pub(super) fn is_fragmented(&self) -> bool {
        self.is_fragmented
    }

    /// The tracks that are left out, and why, if there are any.
    pub(super) fn others(&self) -> Option<String> {
        let others: Vec<_> = self.others.iter().map(LeftOut::to_string).collect();
        Some(others.join(", ")).filter(|others| !others.is_empty())
    }

    pub(super) fn of(&mut self, medium: Medium) -> Option<&mut Track> {
        match medium {
            Medium::Video => self.video.as_mut(),
            Medium::Audio => self.audio.as_mut(),
        }
    }

    fn each(&mut self) -> impl Iterator<Item = &mut Track> {
        self.video.iter_mut().chain(&mut self.audio)
    }

    /// Whether a track has no frame, so that another fragment is needed.
    pub(super) fn needs_fragment(&mut self) -> bool {
        let are_many_waiting = self.each().any(|track| match &track.samples {
            Samples::Fragment(fragment) => fragment.len() > MAX_WAITING,
            Samples::Table(_) => false,
        });
        !are_many_waiting && self.each().any(|track| track.peek().is_none())
    }

    /// The time of the first frame, in ms.
    pub(super) fn first_time(&mut self) -> i64 {
        let times = self.each().filter_map(Track::first_time);
        times.min().unwrap_or(0)
    }

    /// The track whose frame is decoded next. Video comes first at the same time.
    pub(super) fn next(&mut self) -> Option<(Medium, &mut Track)> {
        let video = self.video.as_mut().and_then(Track::first_time);
        let audio = self.audio.as_mut().and_then(Track::first_time);
        let medium = match (video, audio) {
            (None, None) => return None,
            (Some(_), None) => Medium::Video,
            (None, Some(_)) => Medium::Audio,
            (Some(video), Some(audio)) if video <= audio => Medium::Video,
            _ => Medium::Audio,
        };
        self.of(medium).map(|track| (medium, track))
    }

    /// Adds the frames of a `moof` at this offset of the file.
    pub(super) fn add_fragment(&mut self, moof: &[u8], at: u64) -> Result<(), Error> {
        let broken = || Error::malformed(format!("a damaged box moof at byte {at}"));
        let (_, _, body) = next_box(&mut Fields(moof)).ok_or_else(broken)?;
        let mut f = Fields(body);
        while let Some((name, _, traf)) = next_box(&mut f) {
            if name != *b"traf" {
                continue;
            }
            for track in self.each() {
                if let Samples::Fragment(fragment) = &mut track.samples {
                    fragment
                        .add(traf, track.id, at, &track.defaults)
                        .ok_or_else(broken)?;
                }
            }
        }
        Ok(())
    }
}

impl Track {
    /// Reads a `trak`; `None` if it is neither video nor audio, or too damaged to say.
    fn parse(
        trak: &[u8],
        mvex: Option<&[u8]>,
        movie_timescale: u32,
    ) -> Result<Option<Track>, LeftOut> {
        let Some(parts) = Parts::find(trak) else {
            return Ok(None);
        };
        let is_video = match &parts.handler {
            b"vide" => true,
            b"soun" => false,
            _ => return Ok(None),
        };
        let (_, stsd) = find(parts.stbl, b"stsd").ok_or(LeftOut::Track(is_video, *b"stsd"))?;
        let codec = TrackCodec::parse(stsd, is_video)?;
        let defaults = mvex.map(|mvex| Defaults::of(mvex, parts.id));
        let samples = match &defaults {
            Some(_) => Samples::Fragment(Fragment::default()),
            None => {
                let table = Table::parse(parts.stbl, is_video);
                Samples::Table(table.ok_or(LeftOut::Track(is_video, *b"stbl"))?)
            }
        };
        let delay = delay(trak, movie_timescale, parts.timescale).unwrap_or(0);
        Ok(Some(Track {
            id: parts.id,
            codec,
            numbers: entry_numbers(stsd, is_video).unwrap_or_default(),
            timescale: parts.timescale,
            delay,
            samples,
            next: None,
            defaults: defaults.unwrap_or_default(),
        }))
    }

    /// The time of the sample that comes next, in ms.
    pub(super) fn first_time(&mut self) -> Option<i64> {
        let sample = self.peek()?;
        Some(self.ms(sample.decode_time))
    }

    /// What is known of its frames: of all, or of those in fragments that were read.
    pub(super) fn totals(&self) -> Totals {
        match &self.samples {
            Samples::Table(table) => table.totals(),
            Samples::Fragment(fragment) => {
                Totals::of(self.next.into_iter().chain(fragment.samples()))
            }
        }
    }

    fn peek(&mut self) -> Option<Sample> {
        if self.next.is_none() {
            self.next = match &mut self.samples {
                Samples::Table(table) => table.next(),
                Samples::Fragment(fragment) => fragment.next(),
            };
        }
        self.next
    }

    /// Takes the next sample.
    pub(super) fn take(&mut self) -> Result<Option<Sample>, Error> {
        self.peek();
        Ok(self.next.take())
    }
}

/// What is needed of a `trak`.
struct Parts<'a> {
    id: u32,
    timescale: u32,
    handler: FourCc,
    stbl: &'a [u8],
}

impl<'a> Parts<'a> {
    fn find(trak: &'a [u8]) -> Option<Parts<'a>> {
        let (_, tkhd) = find(trak, b"tkhd")?;
        let (_, mdia) = find(trak, b"mdia")?;
        let (_, mdhd) = find(mdia, b"mdhd")?;
        let (_, hdlr) = find(mdia, b"hdlr")?;
        let (_, minf) = find(mdia, b"minf")?;
        let (_, stbl) = find(minf, b"stbl")?;
        let id_at = if tkhd.first() == Some(&1) { 20 } else { 12 };
        let timescale_at = if mdhd.first() == Some(&1) { 20 } else { 12 };
        Some(Parts {
            id: Fields(tkhd.get(id_at..)?).u32()?,
            timescale: Fields(mdhd.get(timescale_at..)?)
                .u32()
                .filter(|ticks| *ticks > 0)?,
            handler: Fields(hdlr.get(8..)?).array()?,
            stbl,
        })
    }
}

fn movie_timescale(moov: &[u8]) -> Option<u32> {
    let (_, mvhd) = find(moov, b"mvhd")?;
    let at = if mvhd.first() == Some(&1) { 20 } else { 12 };
    Fields(mvhd.get(at..)?).u32()
}

/// The shift of a track by its edit list, in its ticks (ISO/IEC 14496-12, 8.6.6): empty edits at the beginning
/// delay it, and the first other one says which media time is shown first.
fn delay(trak: &[u8], movie_timescale: u32, timescale: u32) -> Option<i64> {
    let most = MAX_DELAY * i128::from(timescale);
    let (_, edts) = find(trak, b"edts")?;
    let (_, elst) = find(edts, b"elst")?;
    let mut f = Fields(elst);
    let [version, ..] = f.array::<4>()?;
    let count = f.u32()?;
    let mut delay = 0;
    for _ in 0..count {
        let (duration, media_time) = match version {
            1 => (f.u64()?, f.u64()? as i64),
            _ => (f.u32()?.into(), i64::from(f.u32()? as i32)),
        };
        f.u32()?;
        if media_time >= 0 {
            delay -= i128::from(media_time);
            break;
        }
        delay += i128::from(duration) * i128::from(timescale) / i128::from(movie_timescale);
        delay = delay.min(most);
    }
    Some(delay.clamp(-most, most) as i64)
}
