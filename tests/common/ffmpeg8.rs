//! FFmpeg 8; see `ffmpeg8.py`.

use std::process::Command;

/// Returns a command that runs FFmpeg 8 with these arguments first.
pub(crate) fn ffmpeg8(arguments: &[&str]) -> Command {
    let package = std::env::var("BROOKLET_PYAV").unwrap_or_else(|_| {
        panic!(
            "set BROOKLET_PYAV to the folder in which the Python package av is, of a version with \
             FFmpeg 8: python3 -m pip install --target FOLDER av==18.1.0"
        )
    });
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", package);
    command.arg(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/common/ffmpeg8.py"
    ));
    command.args(arguments);
    command
}
