//! A server with a camera, which sends frames when it is told to, and an HTTP client that watches.

use brooklet::rtmp::amf0::Value;
use brooklet::{Config, Server};

use crate::client::{AAC_HEADER, AVC_320X240, Client, server};
use crate::common::http::{Answer, HttpClient};

/// See the module's documentation. The stream is `live/door`.
pub(crate) struct Scene {
    _server: Server,
    camera: Client,
    frames: u32,
    /// The number of frames in a GOP.
    gop: u32,
    pub(crate) client: HttpClient,
}

impl Scene {
    pub(crate) fn start(config: Config, gop: u32) -> Scene {
        let server = server(config);
        let mut camera = Client::publishing(server.rtmp_addresses()[0], "live", "door");
        camera.send_message(9, 1, 0, AVC_320X240);
        camera.send_message(8, 1, 0, AAC_HEADER);
        let client = HttpClient::connect(server.http_addresses()[0]);
        Scene {
            _server: server,
            camera,
            frames: 0,
            gop,
            client,
        }
    }

    /// Sends frames, 25 for each second, with audio beside them. Returns when the server has them.
    pub(crate) fn frames(&mut self, count: u32) {
        for _ in 0..count {
            let (number, time) = (self.frames, self.frames * 40);
            let is_keyframe = number % self.gop == 0;
            self.camera.send_frame(number, time, is_keyframe, 3_000);
            let audio = b"\xAF\x01\x21\x10\x05";
            self.camera.send_message(8, 1, time, audio);
            self.frames += 1;
        }
        // Once this command is answered, the server has processed all frames.
        let (id, nothing) = (9.0, Value::Null);
        self.camera
            .send_command(0, "createStream", id, nothing, Vec::new());
        self.camera.wait_for_command("_result");
    }

    pub(crate) fn get(&mut self, target: &str, headers: &str) -> Answer {
        self.client.request("GET", target, headers);
        self.client.answer()
    }

    pub(crate) fn head(&mut self, target: &str, headers: &str) -> Answer {
        self.client.request("HEAD", target, headers);
        self.client.bodiless_answer()
    }
}
