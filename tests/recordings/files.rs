//! Recordings to be played, written into a folder before a server starts.

use std::fs::File;
use std::path::Path;

use brooklet::StreamKey;
use brooklet::live::arena::{Arena, BLOCK_LEN};
use brooklet::live::cut::{CopyPlace, Cut, CutSample, Evicted};
use brooklet::live::kind::Kind;
use brooklet::media::mp4::{AudioTrack, Presentation, VideoTrack};
use brooklet::record::WallMillis;
use brooklet::record::disk::Disk;
use brooklet::record::disk::os::OsDisk;
use brooklet::record::mp4::writer::Mp4Writer;
use brooklet::record::name::{FileName, Format, path};
use brooklet::record::staging::Staging;

/// H.264, Constrained Baseline, level 3.0, 640x360.
const AVC: &[u8] = b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\
    \x2F\xF9\x70\x11\0\0\x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";

/// AAC LC, 48 kHz, two channels.
const AAC: &[u8] = b"\xAF\0\x11\x90";

/// 2026-11-28T11:30:00Z: when the first file of a stream begins.
pub(crate) const START: WallMillis = 1_795_865_400_000;

/// The duration of a fragment in ms.
pub(crate) const FRAGMENT: u64 = 1_000;

/// The lengths in bytes of keyframes, of other frames, and of frames of audio.
pub(crate) type Lens = [u32; 3];

/// Writes files of so many seconds each, one after another, and returns their names.
pub(crate) fn write(folder: &Path, stream: &str, files: &[u64]) -> Vec<String> {
    write_with(folder, stream, files, [20_000, 1_500, 300])
}

/// The same with frames of other lengths.
pub(crate) fn write_with(folder: &Path, stream: &str, files: &[u64], lens: Lens) -> Vec<String> {
    let disk = OsDisk::new(folder.to_owned(), std::process::id());
    disk.claim().unwrap();
    let key = StreamKey::new("", stream).unwrap();
    let (mut time, mut names) = (0, Vec::new());
    for seconds in files {
        let name = FileName::dated(START + time, Format::Mp4);
        let presentation = Presentation {
            video: VideoTrack::from_sequence_header(AVC),
            audio: AudioTrack::from_sequence_header(AAC),
        };
        let path = path(&key, name);
        let writer = Mp4Writer::begin(&disk, &path, &presentation, START + time, 0);
        let mut writer = writer.unwrap();
        for _ in 0..*seconds {
            append(&mut writer, time, lens);
            time += FRAGMENT;
        }
        let mut staging = Staging::new(&Arena::new(64 * BLOCK_LEN)).unwrap();
        writer.close_with(&disk, &mut staging).unwrap().unwrap();
        names.push(name.to_string());
    }
    names
}

/// Appends a second that begins at this time: 25 frames, and the audio beside them.
fn append(writer: &mut Mp4Writer, time: u64, [keyframe, other, audio_len]: Lens) {
    let mut cut = Cut {
        is_start: true,
        ..Cut::default()
    };
    for frame in 0..25 {
        let decode_time = time + frame * 40;
        cut.samples.push(CutSample {
            number: decode_time * 2,
            kind: Kind::Video,
            timestamp: 0,
            len: if frame == 0 { keyframe } else { other },
            decode_time,
            duration: 40,
            composition_time: [0, 80, 40][frame as usize % 3],
            is_sync: frame == 0,
        });
        let audio = |time: u64| (time * 48).div_ceil(1_024);
        for number in audio(decode_time)..audio(decode_time + 40) {
            cut.samples.push(CutSample {
                number: decode_time * 2 + 1,
                kind: Kind::Audio,
                timestamp: 0,
                len: audio_len,
                decode_time: number * 1_024,
                duration: 1_024,
                composition_time: 0,
                is_sync: false,
            });
        }
    }
    let arena = Arena::new(64 * BLOCK_LEN);
    let mut staging = Staging::new(&arena).unwrap();
    let mut source = |samples: &[CutSample], place: &mut CopyPlace, out: &mut [u8]| {
        let mut done = 0;
        while let Some(sample) = samples.get(place.index).filter(|_| done < out.len()) {
            let count = (out.len() - done).min((sample.len - place.offset) as usize);
            for byte in &mut out[done..done + count] {
                let seed = sample.decode_time as u32 ^ place.offset;
                *byte = (seed.wrapping_mul(0x9E37_79B1) >> 24) as u8;
                place.offset += 1;
            }
            done += count;
            if place.offset == sample.len {
                (place.index, place.offset) = (place.index + 1, 0);
            }
        }
        Ok::<usize, Evicted>(done)
    };
    let wall = START + time;
    writer
        .append(&mut cut, wall, &mut source, &mut staging)
        .unwrap();
}

/// Writes a file that has nothing but a length.
pub(crate) fn write_sparse(folder: &Path, stream: &str, len: u64, format: Format) -> String {
    let disk = OsDisk::new(folder.to_owned(), std::process::id());
    disk.claim().unwrap();
    let key = StreamKey::new("", stream).unwrap();
    let name = FileName::dated(START, format);
    let path = folder.join(path(&key, name));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    file.set_len(len).unwrap();
    let modified = std::time::UNIX_EPOCH + std::time::Duration::from_millis(START + 60_000);
    file.set_modified(modified).unwrap();
    name.to_string()
}
