//! The page and its files, which are part of the program and the same for everybody.

use super::Reply;
use super::exchange::Exchange;
use crate::http::conditions::{self, hash};
use crate::http::{Response, Route, Status};
use crate::rtmp::stream_key::StreamKey;

/// A file of the page.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    /// The file as gzip, which every browser understands.
    bytes: &'static [u8],
    /// The hash of the bytes, so that browsers load a file again only if it has changed.
    hash: u64,
}

/// A file that `build.rs` has compressed.
macro_rules! asset {
    ($name:literal, $content_type:literal) => {{
        const BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz"));
        Asset {
            name: $name,
            content_type: concat!($content_type, "; charset=utf-8"),
            bytes: BYTES,
            hash: hash(BYTES),
        }
    }};
}

/// The page itself. Its script decides by the URL what to show.
const PAGE: Asset = asset!("index.html", "text/html");

/// The files that the page loads.
const ASSETS: &[Asset] = &[
    asset!("app.js", "text/javascript"),
    asset!("parts.js", "text/javascript"),
    asset!("player.js", "text/javascript"),
    #[cfg(feature = "record")]
    asset!("recordings.js", "text/javascript"),
    asset!("style.css", "text/css"),
];

/// The cost of unpacking a file, in streams that could be listed in the same time.
const UNPACKING: usize = 50;

/// The permissions of the page: it may load its own files, talk to its own server, and play media that
/// it assembles from the received bytes. A stranger's text that got into the page as a script wouldn't
/// run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    media-src 'self' blob:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'";

/// Whether the page is served under the name of this stream. An unknown name of one part is more often a
/// mistake than a stream that isn't published yet. But if a key is needed to play, the answer must not
/// reveal which streams exist.
fn may_have_page(exchange: &Exchange<'_>, key: &StreamKey) -> bool {
    let shared = exchange.shared;
    let stream = || shared.table.find(key);
    key.as_str().contains('/')
        || !shared.guard.may_all_play()
        || stream().is_some_and(|stream| stream.was_published())
}

/// Answers a request for the page or a part of it.
#[inline(never)] // Keeps these locals off the stack of viewers.
pub(super) fn reply(exchange: &Exchange<'_>, route: &Route) -> Result<Reply<'static>, Response> {
    let asset = match route {
        Route::Asset(name) => ASSETS.iter().find(|asset| asset.name == name),
        Route::Player(key) if !may_have_page(exchange, key) => None,
        _ => Some(&PAGE),
    };
    let asset = asset.ok_or_else(Response::not_found)?;
    let head = exchange.head;
    // The page of a stream requests its files by paths relative to its own, and is redirected by a
    // relative path, too: a proxy may serve everything below a prefix that isn't known here.
    let up = head.path().matches('/').count().saturating_sub(1);
    if up > 1 && matches!(route, Route::Asset(_)) {
        let place = ["../".repeat(up).as_str(), "page/", asset.name].concat();
        let mut response = Response::text(Status::MovedPermanently, "the page is further up");
        response.cache = "max-age=3600";
        return Err(response.header("Location", &place));
    }
    // The packed and the unpacked file have different tags.
    let is_packed = head.takes_gzip();
    let hash = asset.hash ^ u64::from(!is_packed);
    let tag = conditions::tag(&format_args!("{hash:016x}"));
    let mut response = Response::new(asset.content_type, asset.bytes)
        .header("ETag", &tag)
        .header("Vary", "Accept-Encoding")
        .header("Content-Security-Policy", POLICY);
    response.cache = "no-cache";
    if conditions::lists(&head.known_tags(), &tag) {
        response.status = Status::NotModified;
    } else if is_packed {
        response = response.header("Content-Encoding", "gzip");
    } else {
        exchange.look_at(UNPACKING)?;
        return Ok(Reply::Packed(response));
    }
    Ok(Reply::Response(response))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::writer::HEAD_ROOM;
    use super::*;
    use crate::http::inflate;
    use crate::live::arena::BLOCK_LEN;

    #[test]
    fn the_page_has_a_hash_of_its_own() {
        assert_eq!(PAGE.hash, hash(PAGE.bytes));
        assert!(ASSETS.iter().all(|asset| asset.hash != PAGE.hash));
    }

    #[test]
    fn the_page_is_small_and_asks_nobody_else() {
        let all = ASSETS.iter().chain([&PAGE]);
        let (mut len, mut sent) = (0, 0);
        for asset in all {
            let mut text = String::new();
            let mut decoder = flate2::read::GzDecoder::new(asset.bytes);
            decoder.read_to_string(&mut text).unwrap();
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/page/");
            len += std::fs::read(folder.to_owned() + asset.name).unwrap().len();
            sent += asset.bytes.len();
            // A block holds it together with its head.
            let mut unpacked = [0; BLOCK_LEN - HEAD_ROOM];
            let unpacked_len = inflate::unpack(asset.bytes, &mut unpacked);
            assert_eq!(unpacked_len, Some(text.len()), "{}", asset.name);
            assert!(unpacked.starts_with(text.as_bytes()), "{}", asset.name);
            // Its references must resolve from every path at which the page is served.
            let is_absolute = |at: &(usize, &str)| {
                let mut rest = text[at.0 + 2..].chars();
                // A regular expression has an end and perhaps a letter.
                rest.by_ref().take(2).all(|c| c.is_ascii_alphabetic())
            };
            for quote in ["\"/", "'/", "`/"] {
                let found = text.match_indices(quote).find(is_absolute);
                assert_eq!(found, None, "in {}", asset.name);
            }
            // The name of a language in a drawing, not an address.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            let text = text.replace("import('./", "");
            let urls = ["http://", "https://", "src=\"//", "url(//", "import("];
            let found = urls.iter().find(|url| text.contains(*url));
            assert_eq!(found, None, "in {}", asset.name);
        }
        // With pushes and pulls, and a form for them.
        assert!(len < 42 * 1024, "{len} bytes");
        assert!(sent < 15_000, "{sent} bytes as gzip");
    }
}
