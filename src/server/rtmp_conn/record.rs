//! The recording of what a connection publishes.

use super::RtmpConnection;
use crate::record::report::RecordingState;
use crate::rtmp::server_session::PublishKind;
use crate::rtmp::stream_key::StreamKey;
use crate::server::lines::About;
use crate::server::recording::{Why, why};

impl RtmpConnection {
    /// Begins to record a stream that was just published, if the settings or its publisher want it. A
    /// publisher that has asked is told, but goes on in any case: no status here has the level "error",
    /// at which encoders give up.
    #[inline(never)] // Keeps these locals off the stack of idle connection threads.
    pub(super) fn record(&mut self, message_stream_id: u32, key: &StreamKey, kind: PublishKind) {
        let shared = &self.shared;
        let is_asked = kind != PublishKind::Live;
        let Some(why) = why(&shared.config.record, key, kind) else {
            if is_asked {
                let (id, address) = (self.client.id(), self.client.address().ip());
                let line = shared.info(About::Publishing, address);
                line.say(format_args!(
                    "#{id} {key}: its publisher asks for a recording, and gets none. To allow it, \
                     add --record DIR --record-on-request on"
                ));
            }
            return;
        };
        let result = shared.recordings.start(shared, key, why, None);
        if let Err(refused) = &result {
            let (id, address) = (self.client.id(), self.client.address().ip());
            let line = shared.warn(About::Publishing, address);
            line.say(format_args!("#{id} {key}: not recorded: {refused}"));
        }
        if why == Why::Configured && !is_asked {
            return;
        }
        // A recorder waits for a disk that can't be used now.
        let disk = shared.recordings.disk().unwrap_or_default().state;
        let trouble = match result {
            Ok(_) => disk.recording().map(RecordingState::name),
            Err(refused) => Some(refused.text()),
        };
        let (level, code, description) = match trouble {
            None => ("status", "NetStream.Record.Start", "Recording."),
            Some(why) => ("warning", "NetStream.Record.Failed", why),
        };
        self.session
            .note_recording(message_stream_id, level, code, description);
    }
}
