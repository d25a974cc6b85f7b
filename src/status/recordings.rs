//! The list of recordings in JSON.

use std::fmt::Write;

use super::json::Json;
use crate::record::WallMillis;
use crate::record::playback::time::Shown;
use crate::record::playback::{Recording, Shelf};
use crate::rtmp::stream_key::StreamKey;

/// Files that follow each other within this time are one span, in ms. Some file systems keep times in
/// steps of 2 s.
const JOINED: WallMillis = 2_000;

/// The recordings that are listed.
pub(crate) struct Wanted {
    /// The stream whose files are listed; `None` for the spans of all streams.
    pub(crate) stream: Option<StreamKey>,
    /// Files that end before this time are left out.
    pub(crate) from: WallMillis,
    /// Files that begin after this time are left out.
    pub(crate) to: WallMillis,
}

/// Writes the response to `GET /api/v1/recordings`, without the streams that the client may not see. One
/// file is looked up at a time.
pub(crate) fn list(
    out: &mut dyn Write,
    shelf: &dyn Shelf,
    wanted: &Wanted,
    may_list: &dyn Fn(&StreamKey) -> bool,
) {
    let mut json = Json::new(out);
    let mut is_locked = false;
    json.begin('{');
    json.name("recordings");
    json.begin('[');
    let mut last = None;
    loop {
        let key = match &wanted.stream {
            Some(key) => Some(key.clone()).filter(|_| last.is_none()),
            None => shelf.stream_after(last.as_ref()),
        };
        let Some(key) = key else {
            break;
        };
        if may_list(&key) {
            write_stream(&mut json, shelf, wanted, &key);
        } else {
            is_locked = true;
        }
        last = Some(key);
    }
    json.end(']');
    json.named_value("locked", Some(&is_locked));
    json.end('}');
}

/// Writes the recordings of a stream, unless it has none that are wanted.
fn write_stream(json: &mut Json<'_>, shelf: &dyn Shelf, wanted: &Wanted, key: &StreamKey) {
    let next = |name: Option<&str>| shelf.file_after(key, wanted.from, wanted.to, name);
    let Some(first) = next(None) else {
        return;
    };
    json.begin('{');
    json.named_text("stream", key.as_str());
    json.named_value("is_recording", Some(&shelf.is_recording(key)));
    json.name("spans");
    json.begin('[');
    let mut span = Recording {
        len: 0,
        ..first.clone()
    };
    let mut file = Some(first);
    while let Some(found) = file {
        if found.from.saturating_sub(span.to) > JOINED {
            write_span(json, &span);
            span = found.clone();
        } else {
            span.to = span.to.max(found.to);
            span.len += found.len;
        }
        file = next(Some(&found.name));
    }
    write_span(json, &span);
    json.end(']');
    if wanted.stream.is_some() {
        json.name("files");
        json.begin('[');
        let mut name = None;
        while let Some(file) = next(name.as_deref()) {
            json.begin('{');
            json.named_text("name", &file.name);
            write_times(json, &file);
            json.named_value("is_open", Some(&file.is_open));
            json.end('}');
            name = Some(file.name);
        }
        json.end(']');
    }
    json.end('}');
}

fn write_span(json: &mut Json<'_>, span: &Recording) {
    json.begin('{');
    write_times(json, span);
    json.end('}');
}

fn write_times(json: &mut Json<'_>, of: &Recording) {
    json.named_text("from", &Shown(of.from).to_string());
    json.named_text("to", &Shown(of.to).to_string());
    json.named_number("bytes", of.len);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of streams with start and end in seconds; each has 10 bytes.
    struct Files(Vec<(&'static str, u64, u64)>);

    impl Files {
        fn all(&self) -> impl Iterator<Item = (StreamKey, Recording)> {
            self.0.iter().map(|(stream, from, to)| {
                let name = format!("2026-11-28T{from:02}Z.mp4");
                let file = Recording {
                    path: name.clone().into(),
                    name,
                    from: from * 1000,
                    to: to * 1000,
                    len: 10,
                    is_open: *to > 90,
                };
                (StreamKey::new("", stream).unwrap(), file)
            })
        }
    }

    impl Shelf for Files {
        fn stream_after(&self, stream: Option<&StreamKey>) -> Option<StreamKey> {
            let keys = self.all().map(|(key, _)| key);
            keys.filter(|key| stream.is_none_or(|stream| key > stream))
                .min()
        }

        fn file_after(
            &self,
            stream: &StreamKey,
            from: WallMillis,
            to: WallMillis,
            name: Option<&str>,
        ) -> Option<Recording> {
            let files = self.all().filter(|(key, _)| key == stream);
            let mut files = files.map(|(_, file)| file);
            files.find(|file| {
                let follows = name.is_none_or(|name| file.name.as_str() > name);
                follows && file.to >= from && file.from <= to
            })
        }

        fn file(&self, _: &StreamKey, _: &str) -> Option<Recording> {
            None
        }

        fn is_recording(&self, stream: &StreamKey) -> bool {
            self.all().any(|(key, file)| key == *stream && file.is_open)
        }
    }

    fn listed(wanted: &Wanted, locked: &str) -> serde_json::Value {
        let files = Files(vec![
            ("live/door", 10, 20),
            ("live/door", 22, 30),
            ("live/door", 33, 40),
            ("live/door", 40, 95),
            ("live/yard", 5, 6),
        ]);
        let mut text = String::new();
        list(&mut text, &files, wanted, &|key| key.as_str() != locked);
        serde_json::from_str(&text).unwrap()
    }

    const ALL: Wanted = Wanted {
        stream: None,
        from: 0,
        to: u64::MAX,
    };

    #[test]
    fn files_that_follow_each_other_are_one_span() {
        let time = |s: u64| format!("1970-01-01T00:{:02}:{:02}.000Z", s / 60, s % 60);
        let span = |from, to, bytes: u64| serde_json::json!({"from": time(from), "to": time(to), "bytes": bytes});
        let expected = serde_json::json!({
            "recordings": [
                {"stream": "live/door", "is_recording": true,
                 "spans": [span(10, 30, 20), span(33, 95, 20)]},
                {"stream": "live/yard", "is_recording": false, "spans": [span(5, 6, 10)]},
            ],
            "locked": false,
        });
        assert_eq!(listed(&ALL, ""), expected);
    }

    #[test]
    fn one_stream_is_listed_with_its_files() {
        let stream = StreamKey::new("live", "door").ok();
        let wanted = Wanted {
            stream,
            from: 21_000,
            to: 33_000,
        };
        let list = listed(&wanted, "");
        let door = &list["recordings"][0];
        assert_eq!(door["spans"].as_array().unwrap().len(), 2);
        let names = door["files"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|file| file["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["2026-11-28T22Z.mp4", "2026-11-28T33Z.mp4"]);
        assert_eq!(door["files"][1]["is_open"], false);
    }

    #[test]
    fn a_stream_that_needs_a_key_is_left_out() {
        let list = listed(&ALL, "live/door");
        assert_eq!(list["recordings"][0]["stream"], "live/yard");
        assert_eq!(list["recordings"][1], serde_json::Value::Null);
        assert_eq!(list["locked"], true);
        let stream = StreamKey::new("live", "nothing").ok();
        let wanted = Wanted { stream, ..ALL };
        assert_eq!(listed(&wanted, "")["recordings"], serde_json::json!([]));
    }
}
