//! The codecs that RTMP carries and browsers may know: those that this browser can decode play; for
//! the others the page says which they are.

use std::process::Command;

use super::common::TempDir;
use super::common::ffmpeg8::ffmpeg8;
use super::common::media::quiet;
use super::common::process::{Program, run};
use super::{SAID, SHOWN, Watched};

struct Case {
    name: &'static str,
    /// The page's names for them. Before they were measured, these differ by case only.
    codecs: &'static [&'static str],
    /// The browser's names, to query its support.
    mime_codecs: &'static str,
    encoders: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "av1-opus",
        codecs: &["AV1", "Opus"],
        mime_codecs: "av01.0.00M.08,opus",
        encoders: "-c:v libsvtav1 -preset 12 -c:a libopus -b:a 64k -ac 2",
    },
    Case {
        name: "vp9-opus",
        codecs: &["VP9", "Opus"],
        mime_codecs: "vp09.00.10.08,opus",
        encoders: "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 500k -c:a libopus -b:a 64k -ac 2",
    },
    Case {
        name: "h264-b-frames-mp3",
        codecs: &["H.264", "MP3"],
        mime_codecs: "avc1.64001e,mp4a.40.34",
        encoders: "-c:v libx264 -preset veryfast -bf 3 -c:a libmp3lame",
    },
    Case {
        name: "h264-flac",
        codecs: &["H.264", "FLAC"],
        mime_codecs: "avc1.64001e,flac",
        encoders: "-c:v libx264 -preset veryfast -c:a flac -strict experimental",
    },
    Case {
        name: "hevc-aac",
        codecs: &["HEVC", "AAC"],
        mime_codecs: "hvc1.1.6.L60.90,mp4a.40.2",
        encoders: "-c:v libx265 -preset ultrafast -x265-params log-level=none:open-gop=0 -tag:v hvc1 \
                   -c:a aac -ac 2",
    },
    Case {
        name: "h264-ac3",
        codecs: &["H.264", "AC-3"],
        mime_codecs: "avc1.64001e,ac-3",
        encoders: "-c:v libx264 -preset veryfast -c:a ac3 -ac 2",
    },
];

/// Makes twenty seconds with a keyframe every two, and the command that publishes them, which lacks
/// its last argument, the URL.
pub(crate) fn make(dir: &TempDir, name: &str, encoders: &str) -> Command {
    let file = dir.join(&format!("{name}.mp4"));
    let mut command = quiet("ffmpeg");
    let inputs = "-f lavfi -i testsrc=size=320x180:rate=25 -f lavfi -i sine=beep_factor=4:sample_rate=48000 \
                  -t 20 -pix_fmt yuv420p -g 50";
    command.args(inputs.split_whitespace());
    command.args(encoders.split_whitespace());
    run(command.arg(&file));
    let mut command = ffmpeg8(&["--realtime"]);
    command.arg(file).arg("flv");
    command
}

#[test]
#[ignore = "needs Chromium, ffmpeg, BROOKLET_PYAV"]
fn supported_codecs_play_and_the_page_names_the_others() {
    let dir = TempDir::new();
    let mut watched = Watched::start(&[]);
    for case in CASES {
        let mut command = make(&dir, case.name, case.encoders);
        let url = watched.server.url(case.name);
        let mut publisher = Program::start(command.arg(&url));
        watched.open_path(&format!("/live/{}", case.name));
        let asked = format!(
            "MediaSource.isTypeSupported('video/mp4; codecs=\"{}\"')",
            case.mime_codecs
        );
        let has_said = format!("{SAID}.includes('cannot play')");
        if watched.evaluate(&asked) != true {
            // It may have other ways, such as native HLS.
            watched.wait_for(
                "it says or shows something",
                &format!("{has_said} || {SHOWN} > 5"),
            );
        }
        if watched.evaluate(&has_said) != true {
            watched.wait_until_it_plays();
            watched.wait_for_frames(101);
            println!("{} plays", case.name);
        } else {
            let said = watched.said();
            println!("{}: {said}", case.name);
            assert_ne!(watched.evaluate(&asked), true, "it has these codecs");
            // Silent video is better than none.
            assert!(!case.codecs.contains(&"H.264"), "{said}");
            let words = said.to_lowercase();
            let names = case.codecs.iter().map(|codec| codec.to_lowercase());
            assert!(
                names.into_iter().any(|name| words.contains(&name)),
                "{said}"
            );
            let urls = watched.number("document.querySelectorAll('.message input').length");
            assert_eq!(urls, 5.0, "URLs for other players");
        }
        watched.screenshot(case.name);
        publisher.kill();
    }
    watched.check();
}
