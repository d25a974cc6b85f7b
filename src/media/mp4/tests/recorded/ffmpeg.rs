//! Judged by ffmpeg.
