//! A publisher on simulated clocks.

use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::allowance::Allowance;
use crate::live::life::{Grace, Publisher};
use crate::live::out::sink::Sink;
use crate::live::stream::Stream;
use crate::media::Medium;
use crate::record::WallMillis;

/// H.264, Constrained Baseline, level 3.0, 640x360; and another one, level 3.1.
pub(super) const AVC: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\
    \x2F\xF9\x70\x11\0\0\x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";
pub(super) const OTHER_AVC: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xC0\x1F\xFF\xE1\0\x19\x67\x42\xC0\x1F\xD9\0\xA0\
    \x2F\xF9\x70\x11\0\0\x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";
pub(super) const AAC: &[u8] = b"\xAF\0\x12\x10";

struct NoSink;

impl Sink for NoSink {
    fn try_send(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
    fn shutdown(&self) {}
    fn finish(&self) {}
}

/// A publisher, and the clocks.
pub(super) struct Feed {
    pub(super) stream: Arc<Stream>,
    pub(super) now: u64,
    /// The wall clock when the server's clock was 0.
    pub(super) wall: WallMillis,
    generation: u64,
    /// The number of frames so far, and of those since the last keyframe.
    pub(super) sent: u32,
    in_gop: u32,
    /// The number of video frames in a GOP.
    pub(super) gop: u32,
    /// The timestamp of the next frame.
    pub(super) timestamp: u32,
    /// The first bytes of keyframes and other frames.
    pub(super) tags: [u8; 2],
    pub(super) frame_len: usize,
    pub(super) is_live: bool,
    pub(super) has_audio: bool,
    /// How long each write takes, while the publisher goes on.
    pub(super) slow: u64,
}

impl Feed {
    /// A stream without a publisher. `wall`: the wall clock when the server's clock was 0.
    pub(super) fn new(stream: Arc<Stream>, wall: WallMillis) -> Feed {
        Feed {
            stream,
            now: 1_000,
            wall,
            generation: 0,
            sent: 0,
            in_gop: 0,
            gop: 25,
            timestamp: 0,
            tags: [0x17, 0x27],
            frame_len: 200,
            is_live: false,
            has_audio: true,
            slow: 0,
        }
    }

    pub(super) fn clock(&self) -> (u64, WallMillis) {
        (self.now, self.wall + self.now)
    }

    pub(super) fn publish(&mut self, video: &[u8]) {
        let publisher = Publisher {
            connection: 1,
            is_trusted: true,
            address: [192, 0, 2, 1].into(),
            sink: Arc::new(NoSink),
            allowance: Allowance::default(),
        };
        self.generation = self.stream.publish(publisher, self.now).unwrap().generation;
        self.is_live = true;
        self.in_gop = 0;
        if !video.is_empty() {
            self.append(Medium::Video, video);
        }
        if self.has_audio {
            self.append(Medium::Audio, AAC);
        }
    }

    /// Ends the stream, whether somebody publishes it or not.
    pub(super) fn end(&self) {
        self.stream.end(self.generation, self.now);
    }

    pub(super) fn unpublish(&mut self) {
        let grace = Grace {
            until: self.now + 60_000,
            longer_for_hls: 0,
        };
        self.stream.unpublish(self.generation, grace, self.now);
        self.is_live = false;
    }

    pub(super) fn append(&self, medium: Medium, payload: &[u8]) {
        let (stream, now) = (&self.stream, self.now);
        stream.heard(now);
        let payload = std::iter::once(payload);
        let timestamp = self.timestamp;
        let appended = stream.append(self.generation, medium, timestamp, payload, now);
        appended.unwrap();
    }

    fn frame(&mut self, medium: Medium, tag: &[u8], len: usize) {
        let mut payload = tag.to_vec();
        payload.extend(self.sent.to_be_bytes());
        payload.push(0x41);
        payload.resize(len, self.sent as u8);
        self.append(medium, &payload);
        self.sent += 1;
    }

    /// Lets time pass; frames come if there is a publisher. Even numbers are video, odd ones are audio.
    pub(super) fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 40 {
            if self.is_live {
                let is_keyframe = self.in_gop % self.gop == 0;
                let tag = [self.tags[usize::from(!is_keyframe)], 1, 0, 0, 0];
                self.frame(Medium::Video, &tag, self.frame_len);
                if self.has_audio {
                    self.frame(Medium::Audio, &[0xAF, 1, 0, 0, 0], 60);
                }
                self.in_gop += 1;
            }
            self.now += 40;
            self.timestamp = self.timestamp.wrapping_add(40);
        }
    }
}
