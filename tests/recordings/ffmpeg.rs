//! Spans and playlists as ffmpeg reads them.

use super::*;
