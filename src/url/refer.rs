//! Where a server refers its client to: a redirect of RTMP or HTTP, or a request to reconnect (E2, "Reconnect
//! Request").

use std::sync::Arc;

use super::{MAX_LEN, Url, UrlError, is_bad, without_query};

impl Url {
    /// The URL to which the server behind this one refers, absolute or relative to the own one; the same URL
    /// if the reference is empty. RTMP stays RTMP, HTTP stays HTTP, and TLS stays TLS. The pin stays. User
    /// and password, unless the reference has its own, are for the host and port with which they were given,
    /// and stay there.
    ///
    /// An RTMP server refers to a tcUrl. The stream name stays. A reference that ends with it, as some
    /// servers send it, gives the same.
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
            true => self.with_tc_url(&absolute),
            false => Url::parse(&absolute),
        };
        let other = match other {
            Err(UrlError::UnknownScheme(name)) => return Err(self.other_protocol(&name)),
            other => other?,
        };
        if other.scheme.is_rtmp() != self.scheme.is_rtmp() {
            return Err(self.other_protocol(other.scheme.name()));
        }
        if self.scheme.is_tls() && !other.scheme.is_tls() {
            return Err(UrlError::Unencrypted);
        }
        let origin = match &self.origin {
            Some(origin) => Arc::clone(origin),
            None => Arc::new(self.clone()),
        };
        let is_here = |url: &&Url| {
            let is_same_host = url.host.eq_ignore_ascii_case(&other.host);
            is_same_host && url.port == other.port
        };
        let own = || [self, &*origin].into_iter().find(is_here);
        let login = Some(&other).filter(|other| other.user.is_some());
        let login = login
            .or_else(own)
            .map(|url| (url.user.clone(), url.password.clone()));
        let (user, password) = login.unwrap_or_default();
        Ok(Url {
            user,
            password,
            pin: self.pin,
            origin: Some(origin),
            ..other
        })
    }

    fn other_protocol(&self, name: &str) -> UrlError {
        let (from, to) = (self.scheme, self.scrub(name));
        UrlError::OtherProtocol { from, to }
    }

    /// Makes a reference absolute (RFC 3986, 5.2), which is relative to the tcUrl or to the file.
    fn absolute(&self, reference: &str) -> String {
        let scheme = self.scheme.name();
        match (reference.contains("://"), reference.strip_prefix('/')) {
            (true, _) => reference.to_owned(),
            (_, Some(rest)) if rest.starts_with('/') => format!("{scheme}:{reference}"),
            (_, Some(_)) => format!("{scheme}://{}{reference}", self.authority()),
            (_, None) => {
                let own = match self.scheme.is_rtmp() {
                    true => self.app(),
                    false => self.path().trim_start_matches('/'),
                };
                let parent = without_query(own)
                    .rsplit_once('/')
                    .map_or("", |(parent, _)| parent);
                let slash = if parent.is_empty() { "" } else { "/" };
                let place = self.authority();
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
        if app.contains(is_bad) {
            return Err(UrlError::BadCharacter);
        }
        let path = ["/", app, "/", self.name()].concat();
        if path.len() > MAX_LEN {
            return Err(UrlError::TooLong);
        }
        Ok(Url {
            path: path.into(),
            app_len: app.len(),
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
    use super::super::Scheme;
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
        assert_eq!(error, other_protocol(Scheme::Http, "rtmp"));
        let said = "a reference from http:// to rtmp://, expected http:// or https://";
        assert_eq!(error.to_string(), said);
        let url = Url::parse("https://a.example/door.flv").unwrap();
        assert_eq!(url.referred("b.flv").unwrap().path(), "/b.flv");
        let error = url.referred("http://a.example/door.flv").unwrap_err();
        assert_eq!(error, UrlError::Unencrypted);
    }

    fn other_protocol(from: Scheme, to: &str) -> UrlError {
        let to = to.to_owned();
        UrlError::OtherProtocol { from, to }
    }

    #[test]
    fn the_pin_stays_and_the_login_only_at_its_host_and_port() {
        let pin = "ab".repeat(32);
        let bob = Some(("bob", Some("pass")));
        for (from, to, expected) in [
            (
                "rtmps://bob:pass@a/live/k",
                "rtmps://b/live#sha256=00",
                None,
            ),
            ("rtmps://bob:pass@a/live/k", "rtmps://a:444/live", None),
            ("rtmps://bob:pass@a/live/k", "rtmps://A:443/cdn", bob),
            ("rtmps://bob:pass@a/live/k", "/cdn", bob),
            ("rtmps://bob:pass@a/live/k", "cdn", bob),
            ("rtmp://bob:pass@a:443/live/k", "rtmps://a/live", bob),
            (
                "rtmps://bob:pass@a/live/k",
                "rtmps://eve@b/live",
                Some(("eve", None)),
            ),
            ("https://bob:pass@a/x", "https://a/y", bob),
            ("https://bob:pass@a/x", "y", bob),
            ("https://bob:pass@a/x", "https://a:8443/y", None),
            ("https://bob:pass@a/x", "//b/y", None),
            ("http://bob:pass@a/x", "https://a/y", None),
        ] {
            let url = Url::parse(&format!("{from}#sha256={pin}")).unwrap();
            let other = url.referred(to).unwrap();
            let login = other.user().map(|user| (user, other.password()));
            assert_eq!(login, expected, "{from} {to}");
            assert_eq!(other.pin(), Some(&[0xAB; 32]));
            // There and back again, unless that is without TLS.
            if let Ok(back) = other.referred(&from.replace("bob:pass@", "")) {
                assert_eq!((back.user(), back.password()), (Some("bob"), Some("pass")));
            }
        }
    }

    #[test]
    fn references_to_anything_else_are_errors() {
        let long = format!("rtmps://b/{}", "x".repeat(MAX_LEN));
        for (to, error) in [
            ("rtmp://b/live", UrlError::Unencrypted),
            ("https://b/live", other_protocol(Scheme::Rtmps, "https")),
            ("file:///etc", other_protocol(Scheme::Rtmps, "file")),
            ("rtmps://b/li ve", UrlError::BadCharacter),
            ("rtmps://b/l\u{202e}ve", UrlError::BadCharacter),
            ("rtmps://b\u{2028}/live", UrlError::BadCharacter),
            ("rtmps:///live", UrlError::NoHost),
            (&long, UrlError::TooLong),
        ] {
            assert_eq!(referred("rtmps://a/live/k", to), Err(error), "{to}");
        }
    }
}
