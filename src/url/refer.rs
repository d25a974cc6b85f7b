//! Where a server refers its client to: a redirect of RTMP or HTTP, or a request to reconnect (E2, "Reconnect
//! Request").

use super::{MAX_LEN, Url, UrlError, without_query};

impl Url {
    /// The URL to which the server behind this one refers, absolute or relative to the own one; the same URL
    /// if the reference is empty. RTMP stays RTMP, HTTP stays HTTP, and TLS stays TLS.
    ///
    /// An RTMP server refers to a tcUrl.
    /// Stream name, pin and, if the reference has none, user and password stay. A reference that ends with
    /// the stream name, as some servers send it, gives the same.
    ///
    /// ```text
    /// rtmp://a/live/door   rtmp://b:1936/cdn    rtmp://b:1936/cdn/door
    ///                      //b/live             rtmp://b/live/door
    ///                      /edge?token=1        rtmp://a/edge?token=1/door
    ///                      rtmp://b/live/door   rtmp://b/live/door
    /// ```
    ///
    /// Fails if the reference is none, or this build can't connect there.
    pub fn refer(&self, reference: &str) -> Result<Url, UrlError> {
        self.referred(reference).and_then(Url::usable)
    }

    fn referred(&self, reference: &str) -> Result<Url, UrlError> {
        if reference.is_empty() {
            return Ok(self.clone());
        }
        let (reference, _) = reference.split_once('#').unwrap_or((reference, ""));
        let absolute = self.absolute(reference);
        let other = match self.scheme.is_rtmp() {
            true => self.with_tc_url(&absolute)?,
            false => Url::parse(&absolute)?,
        };
        if other.scheme.is_rtmp() != self.scheme.is_rtmp() {
            return Err(UrlError::UnknownScheme(other.scheme.name().to_owned()));
        }
        if self.scheme.is_tls() && !other.scheme.is_tls() {
            return Err(UrlError::Unencrypted);
        }
        Ok(other)
    }

    /// Makes a reference absolute (RFC 3986, 5.2), which is relative to the tcUrl or to the file.
    fn absolute(&self, reference: &str) -> String {
        let scheme = self.scheme.name();
        match (reference.contains("://"), reference.strip_prefix('/')) {
            (true, _) => reference.to_owned(),
            (_, Some(rest)) if rest.starts_with('/') => format!("{scheme}:{reference}"),
            (_, Some(_)) => format!("{scheme}://{}{reference}", self.place()),
            (_, None) => {
                let own = match self.scheme.is_rtmp() {
                    true => self.app(),
                    false => self.path().trim_start_matches('/'),
                };
                let parent = without_query(own)
                    .rsplit_once('/')
                    .map_or("", |(parent, _)| parent);
                let slash = if parent.is_empty() { "" } else { "/" };
                let place = self.place();
                format!("{scheme}://{place}/{parent}{slash}{reference}")
            }
        }
    }

    /// The same stream at another tcUrl.
    fn with_tc_url(&self, absolute: &str) -> Result<Url, UrlError> {
        let (scheme, rest) = absolute.split_once("://").ok_or(UrlError::NoScheme)?;
        let (place, app) = rest.split_once('/').unwrap_or((rest, ""));
        // Parsed with an app of its own, because app and query of a reference aren't split from a name.
        let other = Url::parse(&format!("{scheme}://{place}/app/name"))?;
        let app = self.without_name(app.trim_matches('/'));
        let app = if app.is_empty() { self.app() } else { app };
        if app.contains(|c: char| c.is_control() || c == ' ') {
            return Err(UrlError::BadCharacter);
        }
        let path = ["/", app, "/", self.name()].concat();
        if path.len() > MAX_LEN {
            return Err(UrlError::TooLong);
        }
        let has_login = other.user.is_some();
        let login = if has_login { &other } else { self };
        Ok(Url {
            user: login.user.clone(),
            password: login.password.clone(),
            path: path.into(),
            app_len: app.len(),
            pin: self.pin,
            ..other
        })
    }

    /// Removes the own stream name from the end of a path.
    fn without_name<'a>(&self, path: &'a str) -> &'a str {
        let name = self.name();
        let names = [name, without_query(name)];
        let mut apps = names
            .iter()
            .filter_map(|name| path.strip_suffix(*name)?.strip_suffix('/'));
        apps.next().unwrap_or(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn referred(from: &str, to: &str) -> Result<(String, String, String), UrlError> {
        let url = Url::parse(from).unwrap().referred(to)?;
        let shown = format!("{}://{}", url.scheme().name(), url.place());
        Ok((shown, url.app().to_owned(), url.name().to_owned()))
    }

    #[test]
    fn references_keep_the_stream_name() {
        for (from, to, place, app) in [
            (
                "rtmp://a/live/k?t=/1",
                "rtmp://b:1936/cdn",
                "rtmp://b:1936",
                "cdn",
            ),
            (
                "rtmp://a/live/k?t=/1",
                "rtmp://b/cdn/two/",
                "rtmp://b:1935",
                "cdn/two",
            ),
            (
                "rtmp://a/live/k?t=/1",
                "rtmp://b/cdn/k",
                "rtmp://b:1935",
                "cdn",
            ),
            (
                "rtmp://a/live/k?t=/1",
                "rtmp://b/cdn/k?t=/1",
                "rtmp://b:1935",
                "cdn",
            ),
            ("rtmp://a/live/k?t=/1", "rtmp://b", "rtmp://b:1935", "live"),
            (
                "rtmp://a/live/k?t=/1",
                "rtmps://b/a/b?x=1",
                "rtmps://b:443",
                "a/b?x=1",
            ),
            (
                "rtmp://a:9/live/k?t=/1",
                "//b/edge",
                "rtmp://b:1935",
                "edge",
            ),
            (
                "rtmp://a:9/live/k?t=/1",
                "/edge?x=1",
                "rtmp://a:9",
                "edge?x=1",
            ),
            ("rtmp://a:9/live/k?t=/1", "edge", "rtmp://a:9", "edge"),
            (
                "rtmp://a:9/live/one/k?t=/1",
                "two",
                "rtmp://a:9",
                "live/two",
            ),
            ("rtmp://[::1]/live/k?t=/1", "", "rtmp://[::1]:1935", "live"),
        ] {
            let expected = (place.to_owned(), app.to_owned(), "k?t=/1".to_owned());
            assert_eq!(referred(from, to), Ok(expected), "{to}");
        }
    }

    #[test]
    fn http_servers_refer_to_files() {
        let url = Url::parse("http://a.example/live/door.flv?key=7").unwrap();
        for (to, expected) in [
            ("/x.flv", "/x.flv"),
            ("y.flv?a", "/live/y.flv?a"),
            ("http://b.example/z", "/z"),
            ("//b.example/z", "/z"),
            ("", "/live/door.flv?key=7"),
        ] {
            assert_eq!(url.referred(to).unwrap().path(), expected);
        }
        let error = url.referred("rtmp://b.example/live/door").unwrap_err();
        assert_eq!(error, UrlError::UnknownScheme("rtmp".into()));
        let url = Url::parse("https://a.example/door.flv").unwrap();
        assert_eq!(url.referred("b.flv").unwrap().path(), "/b.flv");
        let error = url.referred("http://a.example/door.flv").unwrap_err();
        assert_eq!(error, UrlError::Unencrypted);
    }

    #[test]
    fn login_and_pin_stay() {
        let from = format!("rtmps://bob:pass@a/live/k#sha256={}", "ab".repeat(32));
        let url = Url::parse(&from).unwrap();
        let other = url.referred("rtmps://b/live#sha256=00").unwrap();
        assert_eq!(
            (other.user(), other.password()),
            (Some("bob"), Some("pass"))
        );
        assert_eq!(other.pin(), Some(&[0xAB; 32]));
        let other = url.referred("rtmps://eve@b/live").unwrap();
        assert_eq!((other.user(), other.password()), (Some("eve"), None));
    }

    #[test]
    fn references_to_anything_else_are_errors() {
        let long = format!("rtmps://b/{}", "x".repeat(MAX_LEN));
        for (to, error) in [
            ("rtmp://b/live", UrlError::Unencrypted),
            ("https://b/live", UrlError::UnknownScheme("https".into())),
            ("file:///etc", UrlError::UnknownScheme("file".into())),
            ("rtmps://b/li ve", UrlError::BadCharacter),
            ("rtmps:///live", UrlError::NoHost),
            (&long, UrlError::TooLong),
        ] {
            assert_eq!(referred("rtmps://a/live/k", to), Err(error), "{to}");
        }
    }
}
