//! Streams with irregular video and audio. Browsers discard frames up to the next keyframe when a
//! decode time is further ahead than the duration of the sample before it (Media Source Extensions,
//! coded frame processing), so a server that announces a duration before it knows it stops the
//! video.

use std::time::{Duration, Instant};

use super::Watched;
use super::common::media::quiet;
use super::common::process::Program;

/// Publishes 30 frames per second with a keyframe every ten seconds, after filters have removed
/// some video or audio frames.
fn publish(url: &str, video_filter: &str, audio_filter: &str) -> Program {
    let mut command = quiet("ffmpeg");
    command.args(["-re", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=30"]);
    command.args(["-f", "lavfi", "-i", "sine=beep_factor=4:sample_rate=48000"]);
    command.args(["-vf", video_filter, "-af", audio_filter]);
    let rest = "-vsync vfr -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 300 \
                -keyint_min 300 -sc_threshold 0 -c:a aac -ac 2 -f flv";
    command.args(rest.split_whitespace()).arg(url);
    Program::start(&mut command)
}

/// Plays until as many frames are decoded as fifteen seconds have. A browser that discards frames up
/// to the next keyframe decodes fewer than 400 before the deadline; one that only leaves some out, as
/// Chromium does where audio is missing and on a busy machine, gets there.
fn play(watched: &mut Watched) {
    watched.open_path("/live/door");
    watched.wait_until_it_plays();
    let began = Instant::now();
    watched.wait_for_frames(450);
    println!("450 frames in {:?}", began.elapsed());
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn missing_video_frames_do_not_stop_the_others() {
    let mut watched = Watched::start(&[]);
    // Four of 30 are missing, one of them alone.
    let filter = "select='not(eq(mod(n,30),7)+eq(mod(n,30),20)+eq(mod(n,30),21)+eq(mod(n,30),22))'";
    let _publisher = publish(&watched.server.url("door"), filter, "anull");
    play(&mut watched);
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn missing_audio_frames_do_not_stop_the_video() {
    let mut watched = Watched::start(&[]);
    // A fifth of a second is missing every two seconds.
    let filter = "aselect='gt(mod(t,2),0.2)'";
    let _publisher = publish(&watched.server.url("door"), "null", filter);
    play(&mut watched);
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn video_without_audio_plays_at_the_live_edge() {
    let mut watched = Watched::start(&[]);
    let mut command = quiet("ffmpeg");
    let arguments = "-re -f lavfi -i testsrc=size=320x180:rate=30 -c:v libx264 -preset ultrafast \
                     -bf 2 -pix_fmt yuv420p -g 60 -f flv";
    command.args(arguments.split_whitespace());
    let _publisher = Program::start(command.arg(watched.server.url("door")));
    play(&mut watched);
    let behind = "(v => v.buffered.end(v.buffered.length - 1) - v.currentTime)";
    let behind = format!("{behind}(document.querySelector('.player video'))");
    println!("{:.2} s behind the newest frame", watched.number(&behind));
    watched.wait_for("it is at the edge", &format!("{behind} < 2.5"));
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn audio_without_video_plays() {
    let mut watched = Watched::start(&[]);
    let mut command = quiet("ffmpeg");
    let arguments = "-re -f lavfi -i sine=beep_factor=4:sample_rate=48000 -c:a aac -ac 2 -f flv";
    command.args(arguments.split_whitespace());
    let _publisher = Program::start(command.arg(watched.server.url("door")));
    watched.open_path("/live/door");
    let plays = "document.querySelector('.player video').currentTime > 3";
    watched.wait_for("it plays", plays);
    assert_eq!(watched.said(), "Sound without a picture.");
    watched.check();
}

/// A browser that is told to forget the beginning of a GOP forgets all of it.
#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn a_gop_longer_than_the_pages_buffer_is_played_to_its_end() {
    let mut watched = Watched::start(&[]);
    let mut command = quiet("ffmpeg");
    let arguments = "-re -f lavfi -i testsrc=size=320x180:rate=30 -f lavfi -i sine=sample_rate=48000 \
                     -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 100000 -c:a aac -f flv";
    command.args(arguments.split_whitespace());
    let _publisher = Program::start(command.arg(watched.server.url("door")));
    watched.server.wait_for_log("publishing from", 1);
    watched.open_path("/live/door");
    watched.wait_until_it_plays();
    super::common::wait_until("45 s are played", Duration::from_secs(90), || {
        watched.number("document.querySelector('.player video').currentTime") > 45.0
    });
    watched.wait_for_frames(30);
    watched.check();
}
