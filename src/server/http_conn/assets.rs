//! The page and what it is made of: part of the program, the same for everybody.

use super::Reply;
use super::end::HttpEnd;
use super::exchange::Exchange;
use crate::http::conditions::{self, hash};
use crate::http::{Response, Route, Status};
use crate::rtmp::stream_key::StreamKey;

/// A file of the page.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    /// As gzip, which every browser takes.
    bytes: &'static [u8],
    /// Of the bytes, so that a browser asks for those again that changed and for no others.
    hash: u64,
}

impl Asset {
    const fn new(name: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Asset {
        let hash = hash(bytes);
        Asset {
            name,
            content_type,
            bytes,
            hash,
        }
    }
}

/// What the build has made of a file.
macro_rules! compressed {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz"))
    };
}

/// The page itself, which finds out by its address what it is to show.
const PAGE: Asset = Asset::new(
    "index.html",
    "text/html; charset=utf-8",
    compressed!("index.html"),
);

/// What the page asks for.
const ASSETS: &[Asset] = &[
    Asset::new(
        "app.js",
        "text/javascript; charset=utf-8",
        compressed!("app.js"),
    ),
    Asset::new(
        "player.js",
        "text/javascript; charset=utf-8",
        compressed!("player.js"),
    ),
    Asset::new(
        "style.css",
        "text/css; charset=utf-8",
        compressed!("style.css"),
    ),
];

/// To unpack a file takes as long as to look at so many streams.
const UNPACKING: usize = 50;

/// All that the page may do: its own files, its own server, and what it makes of the bytes. Texts
/// of strangers that were taken for a script would not run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    media-src 'self' blob:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'";

/// Whether the page is where this stream would be. A name of one part is more often a mistake than
/// a stream that is still to come; but who needs a key isn't told which streams there are.
fn may_have_page(exchange: &Exchange<'_>, key: &StreamKey) -> bool {
    let shared = exchange.shared;
    let stream = || shared.table.find(key);
    key.as_str().contains('/')
        || !shared.guard.may_all_play()
        || stream().is_some_and(|stream| stream.was_published())
}

/// Answers a request for the page or a part of it.
#[inline(never)] // Its variables are not to be part of the stack of a viewer's thread.
pub(super) fn reply(exchange: &Exchange<'_>, route: &Route) -> Result<Reply<'static>, HttpEnd> {
    let asset = match route {
        Route::Asset(name) => ASSETS.iter().find(|asset| asset.name == name),
        Route::Player(key) if !may_have_page(exchange, key) => None,
        _ => Some(&PAGE),
    };
    let Some(asset) = asset else {
        return Ok(Response::not_found().into());
    };
    let head = exchange.head;
    // The page of a stream asks for its files beside itself, and is led to where the page is by the
    // steps up to it. What stands in front of all paths, as a proxy may have it, nobody here knows.
    let up = head.path().matches('/').count().saturating_sub(1);
    if up > 1 && matches!(route, Route::Asset(_)) {
        let place = ["../".repeat(up).as_str(), "page/", asset.name].concat();
        let mut response = Response::text(Status::MovedPermanently, "the page is further up");
        response.cache = "max-age=3600";
        return Ok(response.header("Location", &place).into());
    }
    // Of two forms, each has a tag of its own.
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
        let (shared, address) = (exchange.shared, exchange.client.address().ip());
        return Ok(
            match shared.looks.allow_many(address, UNPACKING, shared.now()) {
                true => Reply::Packed(response),
                false => super::too_many().into(),
            },
        );
    }
    Ok(response.into())
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
        let mut len = 0;
        for asset in all {
            let mut text = String::new();
            let mut decoder = flate2::read::GzDecoder::new(asset.bytes);
            decoder.read_to_string(&mut text).unwrap();
            len += text.len();
            // A block holds it together with its head.
            let mut unpacked = [0; BLOCK_LEN - HEAD_ROOM];
            let unpacked_len = inflate::unpack(asset.bytes, &mut unpacked);
            assert_eq!(unpacked_len, Some(text.len()), "{}", asset.name);
            assert!(unpacked.starts_with(text.as_bytes()), "{}", asset.name);
            // Whatever path it is found at, what it asks for is found from there.
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
            let urls = ["http://", "https://", "src=\"//", "url(//", "import("];
            let found = urls.iter().find(|url| text.contains(*url));
            assert_eq!(found, None, "in {}", asset.name);
        }
        assert!(len < 25_000, "{len} bytes");
    }
}
