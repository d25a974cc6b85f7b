//! The size and frame rate of video, as found in a sequence parameter set.

use std::fmt;

use super::decimal::Thousandths;

/// The size and frame rate of the video as presented. Displayed as `1920x1080 30 fps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoFormat {
    /// The width in pixels after cropping; at least 1.
    pub width: u16,
    /// The height in pixels after cropping; at least 1.
    pub height: u16,
    /// The frame rate in hundredths of frames per second, if the encoder announces it; above 0, at most
    /// 1000 fps.
    pub frame_rate: Option<u32>,
}

impl VideoFormat {
    /// Returns the format of frames of `coded` pixels, `cropped` of which are cut off, in each
    /// direction. Returns `None` if nothing is left, or if a size exceeds 16 bits, the limit of MP4.
    pub(super) fn new(coded: [u64; 2], cropped: [u64; 2]) -> Option<VideoFormat> {
        let [width, height] = coded;
        let [left_right, top_bottom] = cropped;
        let size = |coded: u64, cropped| match u16::try_from(coded.checked_sub(cropped)?) {
            Ok(size) if size > 0 => Some(size),
            _ => None,
        };
        Some(VideoFormat {
            width: size(width, left_right)?,
            height: size(height, top_bottom)?,
            frame_rate: None,
        })
    }

    /// Returns width and height.
    pub fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    /// Returns the same format with a rate of `frames` in `seconds`, or without a rate if that is
    /// implausible.
    pub(super) fn with_frame_rate(self, frames: u32, seconds: u64) -> VideoFormat {
        // Two digits distinguish 29.97 from 30. More would only show rounding in the encoder's fraction.
        let rate = (u64::from(frames) * 100 + seconds / 2).checked_div(seconds);
        let rate = rate.filter(|rate| (1..=100_000).contains(rate));
        VideoFormat {
            frame_rate: rate.map(|rate| rate as u32),
            ..self
        }
    }
}

impl fmt::Display for VideoFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)?;
        match self.frame_rate {
            Some(rate) => write!(f, " {} fps", Thousandths(u64::from(rate) * 10)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_displayed_with_up_to_two_decimals() {
        let format = VideoFormat::new([1920, 1088], [0, 8]).unwrap();
        assert_eq!(format.to_string(), "1920x1080");
        for (frames, seconds, expected) in [
            (30, 1, "1920x1080 30 fps"),
            (30000, 1001, "1920x1080 29.97 fps"),
            (25, 2, "1920x1080 12.5 fps"),
        ] {
            let format = format.with_frame_rate(frames, seconds);
            assert_eq!(format.to_string(), expected);
        }
    }

    #[test]
    fn absurd_sizes_and_rates_are_none() {
        assert_eq!(VideoFormat::new([16, 16], [0, 16]), None);
        assert_eq!(VideoFormat::new([16, 16], [17, 0]), None);
        assert_eq!(VideoFormat::new([65536, 16], [0, 0]), None);
        let format = VideoFormat::new([16, 16], [0, 0]).unwrap();
        for (frames, seconds) in [(0, 1), (1, 0), (0, 0), (1, u64::MAX), (2_000_000_000, 1)] {
            assert_eq!(format.with_frame_rate(frames, seconds).frame_rate, None);
        }
    }
}
