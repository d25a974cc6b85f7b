//! The newest keyframe of a stream, as an MP4 file of one frame.

use std::sync::Arc;

use super::Reply;
use super::exchange::{Exchange, not_live};
use super::sending;
use super::writer::Writer;
use crate::allowance::Allowance;
use crate::http::response::Length;
use crate::http::{Response, Status};
use crate::live::stream::Stream;
use crate::media::mp4::Presentation;
use crate::rtmp::stream_key::StreamKey;
use crate::server::http_conn::HttpEnd;

/// The reply to a request for the newest keyframe of a stream.
pub(super) struct Keyframe(Arc<Stream>);

/// Answers a request for the newest keyframe of a stream.
pub(super) fn keyframe(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
) -> Result<Reply<'static>, Response> {
    let stream = exchange.authorize(key)?.published(exchange.shared);
    let stream = stream.ok_or_else(|| not_live(key))?;
    Ok(Reply::Keyframe(Keyframe(stream)))
}

impl Keyframe {
    #[inline(never)]
    pub(super) fn write(
        self,
        writer: &mut Writer<'_>,
        allowance: &Allowance,
    ) -> Result<(), HttpEnd> {
        let Some((tracks, mut reading)) = self.0.keyframe() else {
            let key = self.0.key();
            if !self.0.is_live() {
                return writer.respond(not_live(key));
            }
            let why = [key.as_str(), " has no keyframe now"].concat();
            return writer.respond(Response::text(Status::NotFound, &why));
        };
        let presentation = Presentation {
            video: tracks.presentation.video.clone(),
            audio: None,
        };
        let init = presentation.init_segment();
        let response = Response::new(presentation.content_type(), Vec::new());
        drop((tracks, presentation));
        // Held until the init segment is sent.
        let Ok(_paid) = allowance.take(init.capacity()) else {
            return writer.respond(super::no_memory());
        };
        writer.begin(response, Length::Known(init.len() as u64 + reading.len))?;
        writer.write(&init)?;
        drop(init);
        sending::send(writer, &self.0, &mut reading, &[])
    }
}
