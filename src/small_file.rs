//! Files with keys, URLs or certificates, which are small: one that isn't, such as a device that never ends,
//! is an error before it takes the memory.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The most bytes of a file with one value, such as a URL or a password.
pub const ONE_VALUE: u64 = 64 * 1024;

/// The most bytes of a file with many, such as keys or certificates.
pub const MANY_VALUES: u64 = 1024 * 1024;

/// Reads a file that may have up to `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => {
            let text = format!("more than {most} bytes, expected a short text");
            Err(io::Error::new(ErrorKind::FileTooLarge, text))
        }
        false => Ok(bytes),
    }
}

/// Reads a file of text that may have up to `most` bytes.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let text = String::from_utf8(read(path, most)?);
    text.map_err(|_| io::Error::new(ErrorKind::InvalidData, "not UTF-8, expected a short text"))
}
