//! Codecs that a service may not take.

/// Services that take more than H.264 and AAC, by the ends of their hosts' names.
const KNOWN: &[&str] = &["youtube.com", "bilivideo.com", "millicast.com"];

/// The codecs that every service takes.
const USUAL: &[&str] = &["H.264", "AAC", "HE-AAC", "MP3"];

/// Whether a codec needs Enhanced RTMP.
pub(crate) fn is_enhanced(codec: &str) -> bool {
    !USUAL.contains(&codec)
}

/// Returns a warning if a host isn't known to take one of these codecs.
pub(crate) fn about(host: &str, codecs: impl Iterator<Item = String>) -> Option<String> {
    let is_known = |end: &str| {
        let before = host.strip_suffix(end);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    if KNOWN.iter().any(|end| is_known(end)) {
        return None;
    }
    let unusual: Vec<String> = codecs.filter(|codec| is_enhanced(codec)).collect();
    if unusual.is_empty() {
        return None;
    }
    let codecs = unusual.join(" and ");
    Some(format!(
        "{host} isn't known to take {codecs}. If nothing is seen there, send H.264 and AAC"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusual_codecs_are_warned_of_unless_the_service_is_known_to_take_them() {
        for (host, codecs, is_warned) in [
            ("a.rtmp.youtube.com", &["HEVC", "AAC"][..], false),
            ("notyoutube.com", &["HEVC"], true),
            ("live.twitch.tv", &["HEVC", "AAC"], true),
            ("live.twitch.tv", &["H.264", "AAC"], false),
            ("live.twitch.tv", &[], false),
        ] {
            let warning = about(host, codecs.iter().map(|codec| (*codec).to_owned()));
            assert_eq!(warning.is_some(), is_warned, "{host}");
        }
    }
}
