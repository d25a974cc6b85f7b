//! Compresses the page's files, without indentation and comments: the program holds and sends them as
//! gzip, which every browser takes. They are 27 KB smaller for it.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> std::io::Result<()> {
    let out = env::var_os("OUT_DIR").expect("cargo says where to put what is built");
    println!("cargo:rerun-if-changed=src/page");
    let scripts = ["app.js", "parts.js", "player.js", "recordings.js"];
    for name in ["index.html", "style.css"].into_iter().chain(scripts) {
        let text = fs::read_to_string(Path::new("src/page").join(name))?;
        let compressed = File::create(Path::new(&out).join(format!("{name}.gz")))?;
        let mut encoder = GzEncoder::new(compressed, Compression::best());
        encoder.write_all(lines_of_code(&text).as_bytes())?;
        encoder.finish()?;
    }
    Ok(())
}

/// Leaves out indentation, and lines that are only comments.
fn lines_of_code(text: &str) -> String {
    let mut code = String::new();
    let mut is_comment = false;
    for line in text.lines().map(str::trim) {
        is_comment |= line.starts_with("/*");
        if !is_comment && !line.is_empty() && !line.starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
        is_comment &= !line.ends_with("*/");
    }
    code
}
