//! The boxes of a `moov`, around its tables.
//!
//! ```text
//! moov
//!   mvhd                     for the whole
//!   trak                     one for each track with samples
//!     tkhd                   id, frame size
//!     edts [ elst ]          if the track begins later than the movie
//!     mdia
//!       mdhd                 timescale
//!       hdlr                 video or audio
//!       minf
//!         vmhd / smhd
//!         dinf [ dref [ url ] ]
//!         stbl
//!           stsd             from the file's beginning
//!           stts  ctts  stss  stsc  stsz  co64
//! ```

use super::table::Table;
use super::times::{Times, TrackTimes};
use super::totals::{Totals, TrackTotals};
use crate::media::Medium;
use crate::media::mp4::boxes::{Begun, Boxes};
use crate::media::mp4::init::{
    AUDIO_HEADER, DATA_INFORMATION, MATRIX, UNDETERMINED, VIDEO_HEADER, handler_reference,
};
use crate::media::mp4::read::{InitMoov, InitTrack};
use crate::media::mp4::{AUDIO_TRACK_ID, VIDEO_TRACK_ID};

/// Version 1, with times of 64 bits.
const LONG: u32 = 0x0100_0000;

/// The seconds from 1904 to 1970.
const EPOCH: u64 = 2_082_844_800;

/// A table, cut out of the other bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) medium: Medium,
    pub(super) table: Table,
    /// The number of other bytes in front of it.
    pub(super) at: usize,
    /// The number of bytes of tables in front of it.
    pub(super) tables_before: u64,
    /// Its length in bytes.
    pub(super) len: u64,
}

impl Cut {
    /// Where it begins in the `moov`.
    pub(super) fn start(&self) -> u64 {
        self.at as u64 + self.tables_before
    }
}

/// The bytes of a `moov` without its tables.
pub(super) struct Layout {
    pub(super) boxes: Boxes,
    pub(super) cuts: Vec<Cut>,
    /// The number of bytes of all tables so far.
    pub(super) tables: u64,
}

/// An open box, with the number of bytes of tables in front of it.
#[must_use]
struct Open(Begun, u64);

/// What a track is laid out from.
struct Track<'a> {
    medium: Medium,
    init: &'a InitTrack,
    totals: &'a TrackTotals,
    times: &'a TrackTimes,
}

impl Layout {
    /// `None` if there are no samples, or a track has samples but no times.
    pub(super) fn new(
        init: &InitMoov,
        totals: &Totals,
        times: &Times,
        created: u64,
    ) -> Option<Layout> {
        let mut layout = Layout {
            boxes: Boxes(Vec::with_capacity(2048)),
            cuts: Vec::with_capacity(10),
            tables: 0,
        };
        let created = match created / 1000 {
            0 => 0,
            seconds => seconds.saturating_add(EPOCH),
        };
        let timescale = timescale(init);
        let mut tracks = [None, None];
        for (place, medium) in tracks.iter_mut().zip([Medium::Video, Medium::Audio]) {
            let totals = totals.track(medium);
            if totals.samples > 0 {
                *place = Some(Track {
                    medium,
                    init: init.track(medium)?,
                    totals,
                    times: times.track(medium)?,
                });
            }
        }
        let durations = tracks.iter().flatten().map(|t| t.duration(timescale));
        let duration = durations.max()?;
        let moov = layout.begin(b"moov");
        layout.movie_header(timescale, created, duration);
        for track in tracks.iter().flatten() {
            layout.track(track, timescale, created);
        }
        layout.end(moov);
        Some(layout)
    }

    fn begin(&mut self, name: &[u8; 4]) -> Open {
        Open(self.boxes.begin(name), self.tables)
    }

    fn end(&mut self, Open(begun, tables): Open) {
        self.boxes.end_with(begun, self.tables - tables);
    }

    fn movie_header(&mut self, timescale: u32, created: u64, duration: u64) {
        let b = &mut self.boxes;
        let header = b.begin_full(b"mvhd", LONG);
        b.u64(created);
        b.u64(created); // modification_time
        b.u32(timescale);
        b.u64(duration);
        b.u32(0x0001_0000); // rate 1.0
        b.u16(0x0100); // volume 1.0
        b.zeros(10);
        b.bytes(MATRIX);
        b.zeros(24);
        b.u32(AUDIO_TRACK_ID + 1); // next_track_ID
        b.end(header);
    }

    fn track(&mut self, track: &Track<'_>, timescale: u32, created: u64) {
        let trak = self.begin(b"trak");
        self.track_header(track, timescale, created);
        if track.times.first > 0 {
            self.edits(track, timescale);
        }
        let media = self.begin(b"mdia");
        let b = &mut self.boxes;
        let header = b.begin_full(b"mdhd", LONG);
        b.u64(created);
        b.u64(created);
        b.u32(track.init.timescale);
        b.u64(track.media_duration());
        b.u16(UNDETERMINED);
        b.zeros(2);
        b.end(header);
        let is_video = track.medium == Medium::Video;
        handler_reference(b, if is_video { b"vide" } else { b"soun" });
        let information = self.begin(b"minf");
        let b = &mut self.boxes;
        b.bytes(if is_video { VIDEO_HEADER } else { AUDIO_HEADER });
        b.bytes(DATA_INFORMATION);
        self.sample_tables(track, is_video);
        self.end(information);
        self.end(media);
        self.end(trak);
    }

    fn track_header(&mut self, track: &Track<'_>, timescale: u32, created: u64) {
        const ENABLED_IN_MOVIE: u32 = 3;
        let (track_id, volume) = match track.medium {
            Medium::Video => (VIDEO_TRACK_ID, 0),
            Medium::Audio => (AUDIO_TRACK_ID, 0x0100),
        };
        let b = &mut self.boxes;
        let header = b.begin_full(b"tkhd", LONG | ENABLED_IN_MOVIE);
        b.u64(created);
        b.u64(created);
        b.u32(track_id);
        b.zeros(4);
        b.u64(track.duration(timescale));
        b.zeros(8 + 2 + 2); // reserved, layer, alternate_group
        b.u16(volume);
        b.zeros(2);
        b.bytes(MATRIX);
        track.init.size.into_iter().for_each(|pixels| b.u32(pixels));
        b.end(header);
    }

    /// Nothing until the first sample is presented, then everything. ffmpeg moves a track with an edit
    /// list so that its first sample is presented when the edit begins, so it must begin there.
    fn edits(&mut self, track: &Track<'_>, timescale: u32) {
        const RATE: u32 = 0x0001_0000;
        let empty = track.in_movie(track.times.shown, timescale);
        let all = track.duration(timescale).saturating_sub(empty);
        let b = &mut self.boxes;
        let edits = b.begin(b"edts");
        let list = b.begin_full(b"elst", LONG);
        b.u32(2);
        let delay = track.times.shown - track.times.first;
        for (duration, media_time) in [(empty, u64::MAX), (all, delay)] {
            b.u64(duration);
            b.u64(media_time);
            b.u32(RATE);
        }
        b.end(list);
        b.end(edits);
    }

    fn sample_tables(&mut self, track: &Track<'_>, is_video: bool) {
        let tables = self.begin(b"stbl");
        self.boxes.bytes(&track.init.sample_description);
        let last = [1, track.times.last_duration]
            .map(u32::to_be_bytes)
            .concat();
        self.table(b"stts", 0, track, Table::Stts, &last);
        if is_video {
            self.table(b"ctts", LONG, track, Table::Ctts, &[]);
            self.table(b"stss", 0, track, Table::Stss, &[]);
        }
        self.table(b"stsc", 0, track, Table::Stsc, &[]);
        self.table(b"stsz", 0, track, Table::Stsz, &[]);
        self.table(b"co64", 0, track, Table::Co64, &[]);
        self.end(tables);
    }

    /// Writes a table, of which pieces are cut out, with `end` behind them.
    fn table(&mut self, name: &[u8; 4], version: u32, track: &Track<'_>, table: Table, end: &[u8]) {
        let (entries, entry_len) = (table.entries(track.totals), table.entry_len());
        let open = self.begin(name);
        self.boxes.u32(version);
        if table == Table::Stsz {
            self.boxes.zeros(4); // sample_size: each has its own
        }
        // Movie::new refuses what doesn't fit.
        self.boxes
            .u32((entries + end.len() as u64 / entry_len) as u32);
        let cut = Cut {
            medium: track.medium,
            table,
            at: self.boxes.0.len(),
            tables_before: self.tables,
            len: entries * entry_len,
        };
        self.tables += cut.len;
        self.cuts.push(cut);
        self.boxes.bytes(end);
        self.end(open);
    }
}

impl Track<'_> {
    /// In ticks of the track.
    fn media_duration(&self) -> u64 {
        let TrackTimes {
            first,
            last,
            last_duration,
            ..
        } = *self.times;
        last.saturating_sub(first)
            .saturating_add(last_duration.into())
    }

    /// The end of its last edit, in ticks of the movie.
    fn duration(&self, timescale: u32) -> u64 {
        match self.times.first {
            0 => self.in_movie(self.media_duration(), timescale),
            _ => self.in_movie(self.times.end, timescale),
        }
    }

    fn in_movie(&self, ticks: u64, timescale: u32) -> u64 {
        ticks.saturating_mul(timescale.into()) / u64::from(self.init.timescale)
    }
}

/// The ticks per second of the movie: all times of both tracks are whole numbers of them, if possible.
fn timescale(init: &InitMoov) -> u32 {
    const MILLISECONDS: u32 = 1000;
    let rate = |medium| init.track(medium).map_or(1, |track| track.timescale);
    let (a, b) = (rate(Medium::Video), rate(Medium::Audio));
    let (mut divisor, mut rest) = (a, b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor).checked_mul(b).unwrap_or(MILLISECONDS)
}
