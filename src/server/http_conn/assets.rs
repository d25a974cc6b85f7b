//! The page and what it is made of: part of the program, the same for everybody.

use super::super::end::End;
use super::exchange::{Exchange, Reply};
use crate::http::{Response, Route, Status};

/// A file of the page.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    /// As gzip: whoever doesn't say what it takes takes it, and browsers do (RFC 9110, 12.5.3).
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

/// All that the page may do: its own files, its own server, and what it makes of the bytes. Texts
/// of strangers that were taken for a script would not run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    media-src 'self' blob:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'";

/// FNV-1a.
const fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325;
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01B3);
        rest = after;
    }
    hash
}

/// Answers a request for the page or a part of it.
#[inline(never)] // Its variables are not to be part of the stack of a viewer's thread.
pub(super) fn reply(exchange: &Exchange<'_>, route: &Route) -> Result<Reply<'static>, End> {
    let asset = match route {
        Route::Asset(name) => ASSETS.iter().find(|asset| asset.name == name),
        _ => Some(&PAGE),
    };
    let Some(asset) = asset else {
        return Ok(Response::not_found().into());
    };
    let tag = format!("\"{:016x}\"", asset.hash);
    let mut response = Response::of_static(asset.content_type, asset.bytes)
        .header("ETag", &tag)
        .header("Content-Encoding", "gzip")
        .header("Content-Security-Policy", POLICY);
    response.cache = "no-cache";
    if exchange.head.has_tag(&tag) {
        response.status = Status::NotModified;
    }
    Ok(response.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(hash(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(hash(b"a"), 0xAF63_DC4C_8601_EC8C);
        assert_eq!(hash(b"foobar"), 0x8594_4171_F739_67E8);
    }

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
            // The name of a language in a drawing, not an address.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            let urls = ["http://", "https://", "src=\"//", "url(//", "import("];
            let found = urls.iter().find(|url| text.contains(*url));
            assert_eq!(found, None, "in {}", asset.name);
        }
        assert!(len < 24_000, "{len} bytes");
    }
}
