//! What was wrong, and what was expected. Exit code 2 for usage, 1 for what failed.

use std::io::Write;

use super::*;

const TABLES: &[u8] = include_bytes!("../../data/mp4/tables.mp4");

/// The place of a box.
fn place(name: &[u8; 4]) -> usize {
    TABLES.windows(4).position(|four| four == name).unwrap() - 4
}

/// The MP4 file with other codecs: as many as there are names.
fn with_codecs(names: &[(&[u8; 4], &[u8; 4])]) -> Vec<u8> {
    let mut bytes = TABLES.to_vec();
    for (from, to) in names {
        for at in place(b"moov")..bytes.len() - 4 {
            if bytes[at..at + 4] == **from {
                bytes[at..at + 4].copy_from_slice(*to);
            }
        }
    }
    bytes
}

#[test]
fn bad_files_and_urls_are_errors_that_say_what_was_expected() {
    let server = server(Config::default());
    let url = url(&server, "bad");
    let whole = flv(&messages());
    let foreign_codecs = with_codecs(&[(b"avc1", b"mp4v"), (b"mp4a", b"sowt")]);
    let mut open = TABLES[..place(b"moov")].to_vec();
    open[place(b"mdat")..][..4].fill(0);
    let files: Vec<PathBuf> = [
        ("cut.flv", &whole[..whole.len() - 10]),
        ("cut-header.flv", &whole[..15]),
        ("foreign", b"hello, this is no video"),
        ("empty", b""),
        ("no-moov.mp4", &TABLES[..place(b"moov") - 100]),
        ("open.mp4", &open),
        ("cut-moov.mp4", &TABLES[..TABLES.len() - 1]),
        ("codecs.mp4", &foreign_codecs),
        ("empty-line", b"\n# a comment\n"),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        let path = path(&format!("bad-{name}"));
        fs::write(&path, bytes).unwrap();
        path
    })
    .collect();
    let names: Vec<&str> = files.iter().map(|path| path.to_str().unwrap()).collect();
    let &[
        cut,
        cut_header,
        foreign,
        empty,
        no_moov,
        open,
        cut_moov,
        codecs,
        empty_line,
    ] = &*names
    else {
        panic!()
    };
    let empty_line = format!("@{empty_line}");
    let dir = std::env::temp_dir();
    let dir = dir.to_str().unwrap();
    // A port on which nobody listens any more.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed_url = format!("rtmp://{}/a/key-47", closed.local_addr().unwrap());
    drop(closed);
    let expected_url = "not a URL, expected one such as";
    for (arguments, code, words) in [
        // Files.
        (
            &["publish", "--no-pace", cut, &url][..],
            1,
            "in the middle of a tag",
        ),
        (
            &["publish", cut_header, &url],
            1,
            "in the middle of a tag's header",
        ),
        (
            &["publish", foreign, &url],
            1,
            "is neither FLV nor MP4: it begins with \"hello, t\"",
        ),
        (
            &["publish", empty, &url],
            1,
            "is empty, expected FLV or MP4",
        ),
        (
            &["publish", no_moov, &url],
            1,
            "is cut: it ends in its box mdat",
        ),
        (
            &["publish", open, &url],
            1,
            "its recording was never completed",
        ),
        (
            &["publish", cut_moov, &url],
            1,
            "a box or frame ends: the file is cut",
        ),
        (
            &["publish", codecs, &url],
            1,
            "no track that can be read: mp4v, which FLV can't carry, sowt, which FLV can't carry; expected H.264",
        ),
        (
            &["publish", "/nowhere.flv", &url],
            1,
            "cannot read /nowhere.flv: No such file",
        ),
        (&["publish", dir, &url], 1, "Is a directory"),
        (&["publish", "--loop", "-", &url], 2, "--loop needs a file"),
        // URLs.
        (
            &["publish", cut, "http://h/a/key-47"],
            2,
            "expected rtmp:// or rtmps://",
        ),
        (
            &["publish", cut, "srt://h/a/key-47"],
            2,
            "unknown scheme srt://, expected rtmp:// or rtmps://",
        ),
        (&["play", "rtmp:/h/key-47"], 2, expected_url),
        (&["play", "key-47"], 2, expected_url),
        (&["play", ""], 2, expected_url),
        (&["probe", "rtmp://"], 2, "expected"),
        (
            &["probe", "rtmp://h:70000/a/key-47"],
            2,
            "the port isn't a number from 1 to 65535",
        ),
        (&["play", "rtpm://h/a/key-47"], 2, "unknown scheme rtpm://"),
        (&["probe", "rtsp://h/a/key-47"], 2, "unknown scheme rtsp://"),
        (&["play", &empty_line], 2, "is empty, expected one line"),
        (
            &["play", "@/nowhere"],
            2,
            "cannot read /nowhere: No such file",
        ),
        (
            &["play", "@/dev/zero"],
            2,
            "/dev/zero: more than 65536 bytes, expected a short text",
        ),
        (
            &["probe", &url, "--user", "u", "--password", "@/dev/zero"],
            2,
            "/dev/zero: more than 65536 bytes, expected a short text",
        ),
        // Servers.
        (
            &["play", "rtmp://nowhere.invalid/a/key-47"],
            1,
            "cannot resolve nowhere.invalid",
        ),
        (&["play", &closed_url], 1, "refused"),
        (
            &["play", &url, "/nowhere/x.flv"],
            1,
            "cannot write /nowhere/x.flv: No such file",
        ),
        // Usage.
        (&["publsh", cut], 2, "Did you mean publish?"),
        (
            &["publish", cut],
            2,
            "expected brooklet publish FILE.flv|FILE.mp4|- URL",
        ),
        (&["play"], 2, "expected brooklet play URL"),
        (&["probe", &url, "key-47"], 2, "expected brooklet probe URL"),
        (
            &["probe", &url, "--tme", "1s"],
            2,
            "unknown option --tme of probe",
        ),
        (
            &["probe", &url, "--time", "soon"],
            2,
            "expected a time such as 5s",
        ),
        (&["play", &url, "--user", "u"], 2, "--user needs --password"),
        (
            &["play", &url, "/nowhere/a.MP4"],
            2,
            "play writes FLV, expected a name such as /nowhere/a.flv",
        ),
        // Of the server.
        (&["--push", "live/door=rtmp:/h/key-47"], 2, expected_url),
        (
            &["--push", "live/door=ftp://h/a/key-47"],
            2,
            "unknown scheme ftp://",
        ),
        (&["--pull", "live/door=key-47"], 2, expected_url),
        (
            &["--publish-key", "@/dev/zero"],
            2,
            "cannot read /dev/zero for --publish-key: more than 1048576 bytes",
        ),
        (
            &["--push", "@/dev/zero"],
            2,
            "cannot read /dev/zero for --push: more than 1048576 bytes",
        ),
        (
            &["--push", "live/door=@/dev/zero"],
            2,
            "/dev/zero: more than 65536 bytes",
        ),
    ] {
        let (got, out, errors) = run(arguments);
        assert_eq!(got, Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(words), "{arguments:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(!errors.contains("key-47") && out.is_empty(), "{errors}");
    }
    // What probe says is its output.
    let (code, out, errors) = run(&["probe", &closed_url]);
    assert_eq!((code, &*errors), (Some(1), ""));
    assert!(
        out.contains("not live: ") && !out.contains("key-47"),
        "{out}"
    );
    files
        .into_iter()
        .for_each(|file| fs::remove_file(file).unwrap());
}

#[test]
fn mp4_on_standard_input_is_an_error_that_says_what_to_do() {
    let server = server(Config::default());
    let url = url(&server, "stdin");
    for (input, words) in [
        (
            TABLES,
            "standard input is MP4, which is read at many places",
        ),
        (b"hello", "standard input is neither FLV nor MP4"),
        (b"", "standard input is empty"),
    ] {
        let mut command = command(&["publish", "-", &url]);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have seen enough before everything is written.
        let _ = child.stdin.take().unwrap().write_all(input);
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        let errors = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{errors}");
        assert!(errors.contains(words), "{errors}");
    }
}

#[test]
fn what_a_server_refuses_is_said_and_fails() {
    let access = Access::default().keys(vec![Key::parse("right-key").unwrap()]);
    let server = server(Config::default().publish(access.clone()).play(access));
    let url = url(&server, "door?key=wrong-key");
    let source = path("refused.flv");
    fs::write(&source, flv(&messages())).unwrap();
    for arguments in [
        &["publish", source.to_str().unwrap(), &url][..],
        &["play", &url],
        &["probe", &url],
    ] {
        let (code, out, errors) = run(arguments);
        assert_eq!(code, Some(1), "{arguments:?}");
        let text = out + &errors;
        assert!(text.contains("refused"), "{text}");
        assert!(!text.contains("wrong-key"), "{text}");
    }
    let _ = fs::remove_file(source);
}

#[test]
fn a_push_to_the_server_itself_is_refused_and_the_log_says_why() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = free.local_addr().unwrap().to_string();
    drop(free);
    let push = format!("live/door=rtmp://{place}/live/key-47");
    let source = path("itself.flv");
    fs::write(&source, flv(&messages())).unwrap();
    let mut server = Program::start(&mut command(&[
        "--rtmp", &place, "--http", "off", "--push", &push,
    ]));
    let url = format!("rtmp://{place}/live/door");
    let _publisher = {
        let is_up = || std::net::TcpStream::connect(&*place).is_ok();
        wait_until("the server listens", SOON, is_up);
        start(&["publish", "--loop", source.to_str().unwrap(), &url])
    };
    wait_until("the log says it", SOON, || {
        server.with_stderr(|log| log.contains("it would go in a circle"))
    });
    assert!(server.is_running());
    assert!(!(server.stdout() + &server.stderr()).contains("key-47"));
    let _ = fs::remove_file(source);
}

#[test]
fn tracks_that_flv_cannot_carry_are_named_and_the_others_published() {
    let server = server(Config::default().grace(Duration::from_millis(500)));
    let url = url(&server, "partly");
    let source = path("partly.mp4");
    fs::write(&source, with_codecs(&[(b"mp4a", b"sowt")])).unwrap();
    let (code, _, errors) = run(&["publish", "--no-pace", source.to_str().unwrap(), &url]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(
        errors.contains("published without sowt, which FLV can't carry"),
        "{errors}"
    );
    let _ = fs::remove_file(source);
}

#[test]
fn damaged_tracks_are_named_and_the_others_published() {
    let server = server(Config::default().grace(Duration::from_millis(500)));
    let url = url(&server, "damaged");
    let source = path("damaged.mp4");
    for (from, codec, name) in [(b"esds", "mp4a", "esds"), (b"avcC", "avc1", "avcC")] {
        fs::write(&source, with_codecs(&[(from, b"free")])).unwrap();
        let (code, _, errors) = run(&["publish", "--no-pace", source.to_str().unwrap(), &url]);
        assert_eq!(code, Some(0), "{errors}");
        let words = format!("published without {codec}, whose box {name} is damaged or missing");
        assert!(errors.contains(&words), "{errors}");
        assert!(!errors.contains("FLV can't carry"), "{errors}");
    }
    fs::write(
        &source,
        with_codecs(&[(b"esds", b"free"), (b"avcC", b"free")]),
    )
    .unwrap();
    let (code, _, errors) = run(&["publish", source.to_str().unwrap(), &url]);
    assert_eq!(code, Some(1), "{errors}");
    let words = "no track that can be read: avc1, whose box avcC is damaged or missing, mp4a, whose box esds";
    assert!(errors.contains(words), "{errors}");
    let _ = fs::remove_file(source);
}
