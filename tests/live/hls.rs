//! HLS: every file that a playlist lists exists, is complete, and is the same for everyone.

mod files;
mod memory;
mod playlists;
mod requests;
mod samples;
mod tracks;
mod uneven;

use std::net::{IpAddr, Ipv4Addr};

use brooklet::live::hls::file_name::{FileKind, FileName};
use brooklet::live::hls::reader::{Evicted, FragmentReader};
use brooklet::live::hls::requests::{Answer, Asker, HlsRequest, Look, Playlist, Unavailable};
use brooklet::live::hls::segments::Listing;
use brooklet::live::kind::Kind;

use crate::files::SMALL;
use crate::fixture::{AAC_HEADER, Fixture};

const LIFE: u32 = 0xC0FFEE;

fn published(blocks: usize) -> Fixture {
    let fixture = Fixture::with(blocks, 0);
    fixture.publish();
    headers(&fixture);
    fixture
}

fn headers(fixture: &Fixture) {
    fixture.append(Kind::Video, 0, SMALL);
    fixture.append(Kind::Audio, 0, AAC_HEADER);
}

/// Sends GOPs of two seconds, one after another, starting now.
fn gops(fixture: &Fixture, count: u32) {
    for _ in 0..count {
        fixture.gop(fixture.now.get() as u32, 50);
    }
}

/// Makes a stream that is watched from the beginning. Segments 3 to 6 are listed; segment 7 has all of
/// its frames, and three parts.
fn watched(blocks: usize) -> Fixture {
    let fixture = published(blocks);
    ask(&fixture);
    gops(&fixture, 4);
    listing(&fixture);
    gops(&fixture, 3);
    fixture
}

/// Requests the playlist and ignores the answer.
fn ask(fixture: &Fixture) {
    let _ = listed(fixture);
}

fn asker(fixture: &Fixture) -> Asker {
    Asker {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        connection: 1,
        now: fixture.now.get(),
        nonce: || LIFE,
    }
}

fn request(fixture: &Fixture, request: HlsRequest) -> Result<Look, Unavailable> {
    fixture.stream.ask_hls(request, &asker(fixture))
}

/// Returns the playlist that a client receives after waiting in vain for a better one.
fn playlist(fixture: &Fixture) -> Result<Playlist, Unavailable> {
    let media = HlsRequest::Media(None);
    let mut look = request(fixture, media)?;
    if let Look::Wait { .. } = look {
        look = fixture.stream.look_again(media, &asker(fixture), true)?;
    }
    match look {
        Look::Answer(Answer::Playlist(playlist)) => Ok(*playlist),
        look => panic!("no playlist: {look:?}"),
    }
}

/// Returns the listing; `None` if there is none yet.
fn listed(fixture: &Fixture) -> Option<Listing> {
    match request(fixture, HlsRequest::Media(None)) {
        Ok(Look::Answer(Answer::Playlist(playlist))) => Some(playlist.listing),
        _ => None,
    }
}

fn listing(fixture: &Fixture) -> Listing {
    playlist(fixture).unwrap().listing
}

fn numbers(listing: &Listing) -> Vec<u64> {
    listing.segments.iter().map(|s| s.number).collect()
}

fn file(fixture: &Fixture, kind: FileKind) -> Result<Look, Unavailable> {
    request(fixture, HlsRequest::File(FileName { life: LIFE, kind }))
}

/// Returns a reader of a segment or part, if it exists.
fn reader(fixture: &Fixture, kind: FileKind) -> Option<FragmentReader> {
    match file(fixture, kind) {
        Ok(Look::Answer(Answer::Media(reader))) => Some(reader),
        _ => None,
    }
}

/// Reads up to `most` bytes and appends them to `bytes`. Returns their number.
fn read(
    fixture: &Fixture,
    reader: &mut FragmentReader,
    most: usize,
    bytes: &mut Vec<u8>,
) -> Result<usize, Evicted> {
    let end = bytes.len() + most;
    let (room, now) = (&mut [0; 4 * 112], fixture.now.get());
    let sent = fixture.stream.send(reader, &[], room, now, &mut |slices| {
        let before = bytes.len();
        for slice in slices {
            bytes.extend_from_slice(&slice[..slice.len().min(end - bytes.len())]);
        }
        Ok(bytes.len() - before)
    });
    sent.map(Result::unwrap)
}

/// Returns all bytes of a segment or part, read `step` bytes at a time.
fn fetch(fixture: &Fixture, kind: FileKind, step: usize) -> Result<Vec<u8>, Evicted> {
    let mut reader = reader(fixture, kind).ok_or(Evicted)?;
    let len = reader.len;
    let mut bytes = Vec::new();
    while read(fixture, &mut reader, step, &mut bytes)? > 0 {}
    assert_eq!((bytes.len() as u64, reader.len), (len, 0), "{kind:?}");
    Ok(bytes)
}

/// Returns the concatenated parts of a listed segment.
fn parts(fixture: &Fixture, listing: &Listing, number: u64) -> Vec<u8> {
    let segments = listing.segments.iter().chain(&listing.open);
    let segment = segments.clone().find(|s| s.number == number).unwrap();
    let count = listing.parts(segment).len() as u64;
    let fetch = |part| fetch(fixture, FileKind::Part(number, part), 999);
    (0..count).flat_map(|part| fetch(part).unwrap()).collect()
}
