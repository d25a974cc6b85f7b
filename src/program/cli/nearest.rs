//! The search for the option that was probably meant.

use super::options;

/// Returns the option whose name is closest to an unknown one; see [`nearest_of`].
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    nearest_of(&mut options().map(|option| option.name), name)
}

/// Returns the name that is closest to an unknown one, if any is close: a typo or two away, or one name a
/// prefix of the other. Upper case and underscores don't matter.
pub(super) fn nearest_of(
    names: &mut dyn Iterator<Item = &'static str>,
    name: &str,
) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let most = name.len().div_ceil(3);
    let rated = names.map(|known| {
        let is_part = name.len() > 2 && (known.starts_with(&name) || name.starts_with(known));
        let distance = if is_part { 0 } else { distance(known, &name) };
        (distance, known)
    });
    // Of several of which the name is a part, the one with the fewest other letters.
    let (distance, known) =
        rated.min_by_key(|(distance, known)| (*distance, known.len().abs_diff(name.len())))?;
    (distance <= most).then_some(known)
}

/// Returns the number of bytes to insert, remove or replace to turn `a` into `b` (Levenshtein distance).
fn distance(a: &str, b: &str) -> usize {
    // The distances from the part of `a` read so far to each prefix of `b`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, of_a) in a.bytes().enumerate() {
        let (mut diagonal, mut left) = (index, index + 1);
        for (above, of_b) in row[1..].iter_mut().zip(b.bytes()) {
            let replaced = diagonal + usize::from(of_a != of_b);
            diagonal = *above;
            left = replaced.min(diagonal + 1).min(left + 1);
            *above = left;
        }
        row[0] = index + 1;
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_names_lead_to_the_option_that_was_meant() {
        for (name, option) in [
            ("publish-keys", Some("publish-key")),
            ("PUBLISHKEY", Some("publish-key")),
            ("Play_Key", Some("play-key")),
            ("rmtp", Some("rtmp")),
            ("https", Some("https")),
            ("httpz", Some("http")),
            ("maxlag", Some("max-lag")),
            ("log-level", Some("log")),
            ("mem", Some("memory")),
            ("max-conn", Some("max-connections")),
            ("api-kye", Some("api-key")),
            ("frob", None),
            ("ffmpeg7", None),
            ("", None),
            ("x", None),
            ("k\u{fc}che", None),
        ] {
            assert_eq!(nearest(name), option, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(100_000)), None);
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("rtmp", "rmtp", 2),
            ("same", "same", 0),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
