use std::path::Path;

use proptest::prelude::*;

use super::*;

fn key(name: &str) -> StreamKey {
    StreamKey::new("", name).unwrap()
}

#[test]
fn a_file_is_named_after_the_second_in_which_it_began() {
    let wall = 1_795_865_400_250;
    let name = FileName::dated(wall, Format::Mp4);
    assert_eq!(name.to_string(), "2026-11-28T11-30-00Z.mp4");
    assert_eq!(name.start(), 1_795_865_400_000);
    let next = name.next();
    assert_eq!(next.to_string(), "2026-11-28T11-30-00Z_2.mp4");
    let path = path(&key("live/door"), next);
    assert_eq!(path.to_str(), Some("live/door/2026-11-28T11-30-00Z_2.mp4"));
    let flv = FileName::dated(wall, Format::Flv);
    assert_eq!(
        part_path(&key("live/door"), flv).to_str(),
        Some("live/door/2026-11-28T11-30-00Z.flv.part")
    );
}

#[test]
fn without_a_clock_boots_and_seconds_are_counted() {
    for (boot, now, name) in [
        (3, 765_432, "0000-boot0003-000765s.mp4"),
        (0, 0, "0000-boot0001-000000s.mp4"),
        (1, 1_000_000_000, "0000-boot0002-000000s.mp4"),
        (u16::MAX, u64::MAX, "0000-boot1700-709551s.mp4"),
    ] {
        let booted = FileName::booted(boot, now, Format::Mp4);
        assert_eq!(booted.to_string(), name);
        assert!(booted < FileName::dated(0, Format::Mp4));
        assert!(booted.start() < crate::record::clock::UNSET_BEFORE);
    }
}

#[test]
fn names_sort_as_the_files_began() {
    let mut names = vec![FileName::booted(1, 0, Format::Mp4)];
    names.push(FileName::booted(1, 5_000, Format::Mp4));
    names.push(FileName::booted(2, 1_000, Format::Mp4));
    names.push(FileName::dated(1_795_865_400_000, Format::Mp4));
    for _ in 0..25 {
        names.push(names[names.len() - 1].next());
    }
    let text: Vec<_> = names.iter().map(FileName::to_string).collect();
    assert!(text.windows(2).all(|pair| pair[0] < pair[1]), "{text:#?}");
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(
        names
            .windows(2)
            .all(|pair| pair[0].start() <= pair[1].start())
    );
}

#[test]
fn other_names_are_ignored() {
    for name in [
        "",
        ".mp4",
        "a.mp4",
        "2026-11-28T11-30-00Z",
        "2026-11-28T11-30-00Z.MP4",
        "2026-11-28T11-30-00Z.avi",
        "2026-11-28T11-30-00Z.mp4.part.part",
        "2026-11-28T11-30-00Z.part",
        "2026-11-28T11-30-00Z_1.mp4",
        "2026-11-28T11-30-00Z_02.mp4",
        "2026-11-28T11-30-00Z_10.mp4",
        "2026-11-28T11-30-00Z_.mp4",
        "2026-11-28T11-30-00Z_2_2.mp4",
        "2026-11-28T11-30-0Z.mp4",
        "2026-11-28T11-30-+0Z.mp4",
        "2026-11-28T11-30-60Z.mp4",
        "2026-11-31T11-30-00Z.mp4",
        "2026-11-28-11-30-00Z.mp4",
        "2026-11-28T11-30-00-00Z.mp4",
        "2026-11-28T11-30-00.mp4",
        "2026-11-28T99999999999999999999-30-00Z.mp4",
        "9999-11-28T11-30-00Z.mp4",
        "0000-11-28T11-30-00Z.mp4",
        "0000-boot0000-000765s.mp4",
        "0000-boot1701-000765s.mp4",
        "0000-boot0003-1000000s.mp4",
        "0000-boot3-000765s.mp4",
        "0000-boot0003-000765.mp4",
        "0000-boot0003.mp4",
        " 2026-11-28T11-30-00Z.mp4",
        "2026-11-28T11-30-00Z.mp4 ",
        "２０２６-11-28T11-30-00Z.mp4",
    ] {
        assert_eq!(FileName::parse(name), None, "{name}");
    }
}

#[test]
fn a_path_belongs_to_a_stream_only_if_it_is_written_as_ours() {
    let file = "2026-11-28T11-30-00Z.mp4";
    for (folder, stream) in [
        ("live/door", Some("live/door")),
        ("door", Some("door")),
        ("live/=door", Some("live/Door")),
        ("live/=Door", None),
        ("live/Door", None),
        ("live/a%3Ab", Some("live/a:b")),
        ("live/a%3ab", None),
        ("live/%61b", None),
        ("live/%63on", Some("live/con")),
        ("live/con", None),
        ("live/%2E%2E", None),
        ("live/..", None),
        ("../door", None),
        ("live//door", None),
        ("/live/door", None),
        ("live/door%", None),
        ("live/door%2", None),
        ("live/door%/x", None),
        ("live/door=", None),
        ("live/=%41", None),
        ("live/%FF", None),
        ("live%2Fdoor", None),
        ("live/door.flv", None),
        ("_definst_/door", Some("_definst_/door")),
        ("", None),
    ] {
        let found = parse_path(&Path::new(folder).join(file));
        let found = found.as_ref().map(|(key, _, _)| key.as_str());
        assert_eq!(found, stream, "{folder}");
    }
    assert!(parse_path(Path::new(file)).is_none());
}

#[test]
fn folders_are_legal_on_fat() {
    for (stream, expected) in [
        ("live/door", "live/door"),
        ("live/Door", "live/=door"),
        ("live/a=b%c", "live/a%3Db%25c"),
        ("live/a<b>c:d\"e|f*g", "live/a%3Cb%3Ec%3Ad%22e%7Cf%2Ag"),
        ("live/a.", "live/a%2E"),
        ("live/a ", "live/a%20"),
        ("live/ a", "live/%20a"),
        ("live/a b.c", "live/a b.c"),
        ("con/aux.txt", "%63on/%61ux.txt"),
        ("com1/com/com12", "%63om1/com/com12"),
        ("nul1/nul .x", "nul1/%6Eul .x"),
        ("live/record~1", "live/record%7E1"),
        (
            "live/2026-11-28T11-30-00Z.mp4/x",
            "live/2026-11-28=t11-30-00=z%2Emp4/x",
        ),
        ("live/Küche", "live/=küche"),
        ("live/Übung", "live/%C3%9Cbung"),
        ("live/カメラ", "live/カメラ"),
    ] {
        let stream = key(stream);
        assert_eq!(folder(&stream), expected);
        assert_eq!(stream_of(expected), Some(stream));
    }
}

/// What a file system may take for the same: no case, no trailing periods and spaces.
fn folded(path: &str) -> String {
    let parts = path.split('/');
    let parts: Vec<_> = parts
        .map(|part| part.trim_end_matches(['.', ' ']).to_uppercase())
        .collect();
    parts.join("/")
}

/// Streams with all that is special in their names.
fn streams() -> impl Strategy<Value = StreamKey> {
    "[a-cA-C=%.~: éÉſςсС/+\u{1F4F7}]{1,60}|(a{0,3}[%=.é:A\u{1F4F7}]){1,120}"
        .prop_filter_map("no key", |name| StreamKey::new("", &name).ok())
}

proptest! {
    #[test]
    fn names_that_differ_only_in_case_have_folders_that_differ_in_more(
        a in streams(), toggled in prop::collection::vec(any::<bool>(), 120),
    ) {
        let toggle = |(c, toggle): (char, &bool)| match c {
            'a'..='z' if *toggle => c.to_ascii_uppercase(),
            'A'..='Z' if *toggle => c.to_ascii_lowercase(),
            _ => c,
        };
        let b: String = a.as_str().chars().zip(toggled.iter().cycle()).map(toggle).collect();
        if let Ok(b) = StreamKey::new("", &b) {
            prop_assert_eq!(a == b, folded(&folder(&a)) == folded(&folder(&b)));
        }
    }

    #[test]
    fn a_folder_belongs_to_one_stream((a, b) in (streams(), streams())) {
        let (of_a, of_b) = (folder(&a), folder(&b));
        prop_assert_eq!(stream_of(&of_a), Some(a.clone()));
        prop_assert_eq!(a == b, folded(&of_a) == folded(&of_b));
        for part in of_a.split('/') {
            prop_assert!(part.len() <= 255 && !part.is_empty(), "{}", of_a);
            prop_assert!(!part.starts_with(['.', ' ']) && !part.ends_with(['.', ' ']), "{}", of_a);
            prop_assert!(!part.contains(['<', '>', ':', '"', '|', '?', '*', '\\', '~']));
            prop_assert!(!part.contains(|c: char| c.is_uppercase() && !c.is_ascii()));
            prop_assert!(FileName::parse(part).is_none());
        }
    }

    #[test]
    fn whatever_is_found_is_ignored_or_the_very_path_of_a_file(
        path in "(live|=a|%3A|%2E|[.%=]|con|\u{e9}|/){0,8}/(2026-11-28T11-30-00Z|0000-boot0003-000765s|x)(_2|_9)?\\.(mp4|flv)(\\.part)?",
    ) {
        if let Some((key, name, is_part)) = parse_path(Path::new(&path)) {
            let whole = if is_part { part_path(&key, name) } else { super::path(&key, name) };
            prop_assert_eq!(whole.to_str(), Some(path.as_str()));
        }
    }

    #[test]
    fn any_text_is_parsed_without_panic(text in ".{0,40}") {
        let _ = FileName::parse(&text);
        let _ = parse_path(Path::new(&text));
    }
}
