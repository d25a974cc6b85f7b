//! Programs between pipes, signals, and other programs that look.

use std::io::{Read, Write};

use brooklet::rtmp::bytes::Bytes;
use brooklet::rtmp::metadata;

use super::*;

fn piped(arguments: &[&str]) -> Running {
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Running(command.stderr(Stdio::piped()).spawn().unwrap())
}

#[test]
fn a_stream_goes_through_pipes_on_both_ends() {
    let server = server(Config::default().grace(Duration::from_millis(500)));
    let url = url(&server, "pipes");
    let mut player = piped(&["play", &url, "-"]);
    // Its output begins once play was accepted.
    let mut out = player.0.stdout.take().unwrap();
    let mut played = vec![0; 13];
    out.read_exact(&mut played).unwrap();
    let mut publisher = piped(&["publish", "-", &url]);
    let mut input = publisher.0.stdin.take().unwrap();
    input.write_all(&flv(&messages())).unwrap();
    drop(input);
    assert_eq!(publisher.0.wait().unwrap().code(), Some(0));
    // The publisher's end is that of the player.
    out.read_to_end(&mut played).unwrap();
    assert_eq!(player.0.wait().unwrap().code(), Some(0));
    assert_eq!(read(&played), messages());
    for program in [&mut publisher, &mut player] {
        let mut errors = String::new();
        let stderr = program.0.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        assert_eq!(errors, "", "no progress in a pipe");
    }
}

#[test]
fn the_metadata_of_an_mp4_file_is_published_with_the_names_of_ffmpeg() {
    let server = server(Config::default());
    let url = url(&server, "metadata");
    let mut player = Client::new(&url).unwrap().timeout(SOON).play().unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/mp4/tables.mp4");
    let _publisher = start(&["publish", "--loop", file, &url]);
    let mut numbers = Vec::new();
    while numbers.is_empty() {
        let message = player.recv(SOON).unwrap().unwrap();
        assert_ne!(
            message.medium(),
            Some(Medium::Audio),
            "metadata comes first"
        );
        let properties = metadata::parse(Bytes::from(message.payload())).flatten();
        let found = properties
            .filter(|_| message.medium().is_none())
            .into_iter()
            .flatten();
        numbers.extend(found.filter_map(|(name, value)| {
            let number = value.as_f64()?;
            Some((name.to_string(), number))
        }));
    }
    let number = |name: &str| {
        let found = numbers.iter().find(|(of, _)| of == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {numbers:?}"))
            .1
    };
    // Those of `ffmpeg -i tables.mp4 -c copy -f flv pipe:1`.
    for (name, value) in [
        ("width", 32.0),
        ("height", 32.0),
        ("framerate", 25.0),
        ("videocodecid", 7.0),
        ("videodatarate", 11.703125),
        ("audiodatarate", 22.6455078125),
        ("audiosamplerate", 44_100.0),
        ("audiocodecid", 10.0),
    ] {
        assert!(
            (number(name) - value).abs() < 0.001,
            "{name}: {}",
            number(name)
        );
    }
    assert_eq!(number("audiochannels"), 1.0);
}

#[test]
fn without_a_pace_an_hour_takes_no_hour_and_repeats_go_on_in_time() {
    let server = server(Config::default().grace(Duration::from_millis(500)));
    let url = url(&server, "hour");
    let source = path("hour.flv");
    // A keyframe each two seconds.
    let hour: Vec<Message> = messages()
        .into_iter()
        .filter(|message| message.0 == 9)
        .enumerate()
        .map(|(index, (kind, _, payload))| (kind, index as u32 * 144_000, payload))
        .collect();
    fs::write(&source, flv(&hour)).unwrap();
    // The test's own deadline is a minute.
    let (code, _, errors) = run(&["publish", "--no-pace", source.to_str().unwrap(), &url]);
    assert_eq!((code, &*errors), (Some(0), ""));
    let _ = fs::remove_file(source);
}

#[test]
fn an_interrupted_play_leaves_a_whole_file() {
    let server = server(Config::default());
    let url = url(&server, "interrupted");
    let [source, target] = [path("interrupted.flv"), path("interrupted-target.flv")];
    fs::write(&source, flv(&messages())).unwrap();
    for signal in ["-INT", "-TERM"] {
        let _ = fs::remove_file(&target);
        let _publisher = start(&["publish", "--loop", source.to_str().unwrap(), &url]);
        let mut player = Client::new(&url).unwrap().timeout(SOON).play().unwrap();
        let mut program = start(&["play", &url, target.to_str().unwrap()]);
        wait_until("the file is created", SOON, || target.exists());
        for _ in 0..60 {
            player.recv(SOON).unwrap().unwrap();
        }
        let id = program.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(program.0.wait().unwrap().code(), Some(0), "{signal}");
        let bytes = fs::read(&target).unwrap();
        let played = read(&bytes);
        assert!(
            played
                .iter()
                .any(|message| message.0 == 9 && message.2[0] == 0x17)
        );
        let last = played.iter().map(|message| message.1).max().unwrap();
        let end = bytes
            .windows(8)
            .position(|eight| eight == b"duration")
            .unwrap()
            + 9;
        let duration = f64::from_be_bytes(bytes[end..end + 8].try_into().unwrap());
        assert_eq!((duration * 1000.0).round() as u32, last);
        // Audio and video, as the flags of the file say.
        assert_eq!(bytes[4], 5);
    }
    let _ = (fs::remove_file(source), fs::remove_file(target));
}

#[test]
fn secrets_come_from_files_and_are_not_in_the_list_of_processes() {
    let user = User::parse("bob:s3cret-word").unwrap();
    let server = server(Config::default().publish(Access::default().users(vec![user])));
    let place = server.rtmp_addresses()[0];
    let [source, password, address] = ["secret.flv", "password", "address"].map(path);
    fs::write(&source, flv(&messages())).unwrap();
    fs::write(&password, "# for the door\ns3cret-word\n").unwrap();
    fs::write(
        &address,
        format!("rtmp://bob:s3cret-word@{place}/live/in-url\n"),
    )
    .unwrap();
    let file = source.to_str().unwrap();
    let at = |path: &PathBuf| format!("@{}", path.to_str().unwrap());
    let (password_file, address_file) = (at(&password), at(&address));
    let plain = format!("rtmp://{place}/live/plain-key-47");
    let other = format!("rtmp://{place}/live/other-key-47");
    let with_login = format!("rtmp://bob:s3cret-word@{place}/live/typed-key-47");
    for (name, arguments) in [
        ("in-url", &["publish", "--loop", file, &address_file][..]),
        (
            "plain-key-47",
            &[
                "publish",
                "--loop",
                file,
                &plain,
                "--user",
                "bob",
                "--password",
                &password_file,
            ],
        ),
        (
            "other-key-47",
            &[
                "publish",
                "--loop",
                file,
                &other,
                "--user=bob",
                "--password=s3cret-word",
            ],
        ),
        ("typed-key-47", &["publish", "--loop", file, &with_login]),
    ] {
        let mut program = start(arguments);
        let url = url(&server, name);
        let mut player = Client::new(&url).unwrap().timeout(SOON).play().unwrap();
        player.recv(SOON).unwrap().unwrap();
        let shown = fs::read(format!("/proc/{}/cmdline", program.0.id())).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains("publish\0--loop"), "{shown}");
        for secret in ["s3cret-word", "key-47"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let _ = program.0.kill();
        program.0.wait().unwrap();
    }
    for path in [source, password, address] {
        fs::remove_file(path).unwrap();
    }
}

#[test]
#[ignore = "needs script (util-linux)"]
fn progress_is_shown_on_a_terminal() {
    let server = server(Config::default().grace(Duration::from_millis(500)));
    let url = url(&server, "terminal");
    let source = path("terminal.flv");
    fs::write(&source, flv(&messages())).unwrap();
    let line = format!(
        "{} publish {} {url}",
        PROGRAM.unwrap(),
        source.to_str().unwrap()
    );
    let mut script = Command::new("script");
    without_settings(&mut script).args(["-qec", &line, "/dev/null"]);
    let out = script.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success() && text.contains(" kbit/s"), "{text}");
    let _ = fs::remove_file(source);
}
