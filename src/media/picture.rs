//! Size and rate of a picture, as a sequence parameter set has them.

use std::fmt;

use super::decimal::Thousandths;

/// What a player shows. Written as `1920x1080 30 fps`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picture {
    /// Pixels, cropped; at least 1.
    pub width: u16,
    /// Pixels, cropped; at least 1.
    pub height: u16,
    /// Pictures per second, if the encoder says; above 0, at most 1000.
    pub frame_rate: Option<f64>,
}

impl Picture {
    /// A picture of `coded` pixels of which `cropped` are cut off, in each direction. `None` when
    /// nothing is left, or more than fits into 16 bits, which is as much as MP4 can say.
    pub(super) fn new(coded: [u64; 2], cropped: [u64; 2]) -> Option<Picture> {
        let [width, height] = coded;
        let [left_right, top_bottom] = cropped;
        let size = |coded: u64, cropped| match u16::try_from(coded.checked_sub(cropped)?) {
            Ok(size) if size > 0 => Some(size),
            _ => None,
        };
        Some(Picture {
            width: size(width, left_right)?,
            height: size(height, top_bottom)?,
            frame_rate: None,
        })
    }

    /// The same picture with a rate of `pictures` in `seconds`; without one when that is absurd.
    pub(super) fn with_frame_rate(self, pictures: f64, seconds: f64) -> Picture {
        let rate = pictures / seconds;
        // NaN is in no range.
        let is_sane = rate > 0.0 && rate <= 1000.0;
        Picture {
            frame_rate: is_sane.then_some(rate),
            ..self
        }
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)?;
        match self.frame_rate {
            // Two digits tell 29.97 from 30; more would only show how it was divided.
            Some(rate) => {
                let hundredths = (rate * 100.0).round() as u64;
                write!(f, " {} fps", Thousandths(hundredths * 10))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_reads_well() {
        let picture = Picture::new([1920, 1088], [0, 8]).unwrap();
        assert_eq!(picture.to_string(), "1920x1080");
        assert_eq!(
            picture.with_frame_rate(30.0, 1.0).to_string(),
            "1920x1080 30 fps"
        );
        assert_eq!(
            picture.with_frame_rate(30000.0, 1001.0).to_string(),
            "1920x1080 29.97 fps"
        );
    }

    #[test]
    fn absurd_sizes_and_rates_are_none() {
        assert_eq!(Picture::new([16, 16], [0, 16]), None);
        assert_eq!(Picture::new([16, 16], [17, 0]), None);
        assert_eq!(Picture::new([65536, 16], [0, 0]), None);
        let picture = Picture::new([16, 16], [0, 0]).unwrap();
        for (pictures, seconds) in [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (2e9, 1.0)] {
            assert_eq!(picture.with_frame_rate(pictures, seconds).frame_rate, None);
        }
    }
}
