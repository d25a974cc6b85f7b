//! Streams whose pictures and sounds come irregularly. Browsers throw pictures away up to the next
//! keyframe when a decode time is further ahead than the sample before it lasts (Media Source
//! Extensions, coded frame processing), so a server that says how long something lasts before it
//! knows stops the picture.

use std::time::{Duration, Instant};

use super::common::media::quiet;
use super::common::process::Program;
use super::{SHOWN, Watched};

/// Publishes 30 pictures a second with a keyframe every ten seconds, after filters have removed
/// some pictures or sounds.
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

/// Counts the decoded pictures of ten seconds, which must be most of those that were published:
/// Chromium leaves some out where sound is missing, and a busy machine does. Those that are thrown
/// away up to a keyframe are nearly all.
fn count(watched: &mut Watched, published_per_second: f64) {
    watched.open_path("/live/door");
    watched.wait_until_it_plays();
    let begin = Instant::now();
    let first = watched.number(SHOWN);
    let mut now = first;
    super::common::wait_until("ten seconds are over", Duration::from_secs(60), || {
        now = watched.number(SHOWN);
        begin.elapsed() > Duration::from_secs(10)
    });
    let published = begin.elapsed().as_secs_f64() * published_per_second;
    let decoded = now - first;
    println!("{decoded} of {published:.0} pictures");
    assert!(decoded > published * 0.6, "{decoded} of {published:.0}");
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn pictures_that_are_missing_do_not_stop_the_others() {
    let mut watched = Watched::start(&[]);
    // Four of 30 are missing, one of them alone.
    let filter = "select='not(eq(mod(n,30),7)+eq(mod(n,30),20)+eq(mod(n,30),21)+eq(mod(n,30),22))'";
    let _publisher = publish(&watched.server.url("door"), filter, "anull");
    count(&mut watched, 26.0);
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn sounds_that_are_missing_do_not_stop_the_pictures() {
    let mut watched = Watched::start(&[]);
    // A fifth of a second is missing every two seconds.
    let filter = "aselect='gt(mod(t,2),0.2)'";
    let _publisher = publish(&watched.server.url("door"), "null", filter);
    count(&mut watched, 30.0);
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn pictures_without_sound_play_at_the_live_edge() {
    let mut watched = Watched::start(&[]);
    let mut command = quiet("ffmpeg");
    let arguments = "-re -f lavfi -i testsrc=size=320x180:rate=30 -c:v libx264 -preset ultrafast \
                     -bf 2 -pix_fmt yuv420p -g 60 -f flv";
    command.args(arguments.split_whitespace());
    let _publisher = Program::start(command.arg(watched.server.url("door")));
    count(&mut watched, 30.0);
    let behind = "(v => v.buffered.end(v.buffered.length - 1) - v.currentTime)";
    let behind = watched.number(&format!(
        "{behind}(document.querySelector('.player video'))"
    ));
    println!("{behind:.2} s behind the newest picture");
    assert!(behind < 2.5, "{behind}");
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn sound_without_pictures_plays() {
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

/// Browsers that are to forget the beginning of a GOP forget all of it.
#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn a_gop_longer_than_the_page_keeps_pictures_is_played_to_its_end() {
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
    watched.wait_for_pictures(30);
    watched.check();
}
