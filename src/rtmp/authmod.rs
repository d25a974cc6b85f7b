//! Authentication by challenge and response in `connect`, as encoders implement it ("Use
//! authentication" in OBS, `rtmp://user:password@host` in ffmpeg). No specification describes it; the
//! schemes are named after the servers that introduced them, Adobe's and Limelight's.
//!
//! The client makes up to three connections. The server refuses the first two, and the description of
//! the refusal says what the client has to do next:
//!
//! ```text
//! app live
//!     [ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] :
//! app live?authmod=adobe&user=bob
//!     [ AccessManager.Reject ] : [ authmod=adobe ] :
//!     ?reason=needauth&user=bob&salt=S&challenge=C&opaque=C          (all in one line)
//! app live?authmod=adobe&user=bob&challenge=D&response=R&opaque=C
//!     accepted, or [ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=-
//!
//! adobe: R = base64(md5(base64(md5(user S password)) C D))
//! llnw:  R = hex(md5(hex(md5(user:live:password)):C:nc:D:auth:hex(md5(publish:/app))))
//! ```
//!
//! Here `salt`, `challenge` and `opaque` come from the server and consist of hexadecimal digits only,
//! since some clients decode percent signs. The client repeats `opaque` so that its challenge is found,
//! and `opaque` is the challenge itself: if both are sent, ffmpeg, librtmp and GStreamer hash `opaque`,
//! and Wirecast is said to hash `challenge`.
//!
//! The password is never sent, but MD5 is weak: on untrusted networks, use this inside TLS.

mod login;

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::base64;
pub use login::{RANDOM_LEN, Reply, is_challenge};

/// The longest user name in bytes. A description must stay below 256 bytes, ffmpeg's limit.
const MAX_USER_LEN: usize = 80;

/// The longest app or tcUrl in bytes that is parsed. librtmp appends to both each time it is refused.
const MAX_TEXT_LEN: usize = 2048;

/// The number of random bytes for a salt; the remaining ones are for the challenge.
const SALT_LEN: usize = 8;

/// The way in which response and challenge are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Adobe's, which nearly every encoder knows.
    Adobe,
    /// Limelight's, which resembles HTTP's digest authentication.
    Limelight,
}

impl Scheme {
    /// The name that clients and servers use.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Adobe => "adobe",
            Scheme::Limelight => "llnw",
        }
    }
}

/// The authentication that a client put into the query of its app or tcUrl.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt<'a> {
    /// Asks for a challenge.
    Hello {
        /// The scheme that the server named, or that the client is configured to use.
        scheme: Scheme,
        /// The user's name, 1 to 80 bytes without control characters.
        user: &'a str,
    },
    /// The answer to a challenge. Values that weren't sent are empty.
    Answer {
        /// The scheme that the server named.
        scheme: Scheme,
        /// The user's name, 1 to 80 bytes without control characters.
        user: &'a str,
        /// The identifier of the challenge: `opaque`, or `nonce` of `llnw`. Empty if a client of Adobe's
        /// scheme doesn't know `opaque`.
        token: &'a str,
        /// The client's own challenge: `challenge`, or `cnonce` of `llnw`.
        client_challenge: &'a str,
        /// `nc` of `llnw`.
        count: &'a str,
        /// The proof that the client knows the password.
        response: &'a str,
    },
}

impl<'a> Attempt<'a> {
    /// Parses an app or tcUrl as sent. Returns `None` if it has no authentication, or if the scheme is
    /// unknown, or the user name is missing or too long.
    ///
    /// Values are not decoded, neither percent signs nor `+`: clients send base64 unescaped. Clients put
    /// a `?` before the first key even if the user's own app already has a query, so `?` separates pairs
    /// just as `&` does. If a key occurs twice, the last value counts: librtmp appends its answers to
    /// what it sent before.
    pub fn parse(text: &'a str) -> Option<Attempt<'a>> {
        if text.len() > MAX_TEXT_LEN {
            return None;
        }
        let (_, query) = text.split_once('?')?;
        let scheme = match last_value(query, "authmod")? {
            "adobe" => Scheme::Adobe,
            "llnw" => Scheme::Limelight,
            _ => return None,
        };
        let user = last_value(query, "user")?;
        if user.is_empty() || user.len() > MAX_USER_LEN || user.contains(char::is_control) {
            return None;
        }
        let Some(response) = last_value(query, "response") else {
            return Some(Attempt::Hello { scheme, user });
        };
        let (token, client_challenge) = match scheme {
            Scheme::Adobe => ("opaque", "challenge"),
            Scheme::Limelight => ("nonce", "cnonce"),
        };
        let value = |name| last_value(query, name).unwrap_or_default();
        Some(Attempt::Answer {
            scheme,
            user,
            token: value(token),
            client_challenge: value(client_challenge),
            count: value("nc"),
            response,
        })
    }
}

fn last_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .rsplit(['?', '&'])
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// A challenge of the server for one attempt. The caller must make sure that it is used only once, and
/// soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    salt: String,
    /// `challenge` and `opaque` of `adobe`, `nonce` of `llnw`.
    token: String,
}

impl Challenge {
    /// Makes a challenge from random bytes.
    pub fn new(random: &[u8; 24]) -> Challenge {
        let (salt, token) = random.split_at(SALT_LEN);
        Challenge {
            salt: hex(salt),
            token: hex(token),
        }
    }

    /// Returns the token by which the server finds the challenge again: 32 hexadecimal digits.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether an attempt answers this challenge with the right password. The time taken doesn't depend
    /// on how much of the response is right. `app` is the app as sent, query included; `llnw` hashes its
    /// path.
    ///
    /// With `adobe` the token may be empty: the response depends on the challenge anyway.
    pub fn verify(&self, attempt: &Attempt<'_>, password: &str, app: &str) -> bool {
        let Attempt::Answer {
            scheme,
            user,
            token,
            client_challenge,
            count,
            response,
        } = *attempt
        else {
            return false;
        };
        let is_mine = bool::from(token.as_bytes().ct_eq(self.token.as_bytes()))
            || (scheme == Scheme::Adobe && token.is_empty());
        let is_right =
            |expected: String| bool::from(response.as_bytes().ct_eq(expected.as_bytes()));
        is_mine
            && match scheme {
                Scheme::Adobe => {
                    let secret = base64::encode(&md5(&[user, &self.salt, password]));
                    let parts = [&secret, &self.token, client_challenge];
                    is_right(base64::encode(&md5(&parts)))
                }
                Scheme::Limelight => {
                    let secret = hex(&md5(&[user, ":live:", password]));
                    paths(app).into_iter().any(|path| {
                        // Clients add the default instance to an app that has none.
                        let instance = if path.contains('/') { "" } else { "/_definst_" };
                        let place = hex(&md5(&["publish:/", path, instance]));
                        let token = &self.token;
                        let parts = [&secret, token, count, client_challenge, "auth", &place];
                        is_right(hex(&md5(&[&parts.join(":")])))
                    })
                }
            }
    }
}

/// The strings that clients may hash as the path of the app. They differ when the user's own app has a
/// query, as in `live?key=1?authmod=llnw&...`: librtmp hashes `live`, ffmpeg `live?key=1`.
fn paths(app: &str) -> [&str; 2] {
    let [first, last] = [app.split_once('?'), app.rsplit_once('?')];
    [first, last].map(|parts| parts.map_or(app, |(path, _)| path))
}

/// Describes the refusal of a client that hasn't sent any authentication.
pub fn describe_need_auth(scheme: Scheme) -> String {
    let scheme = scheme.as_str();
    format!("[ AccessManager.Reject ] : [ code=403 need auth; authmod={scheme} ] : ")
}

/// Describes the answer to [`Attempt::Hello`], including the user's name; below 256 bytes.
pub fn describe_challenge(scheme: Scheme, user: &str, challenge: &Challenge) -> String {
    let Challenge { salt, token } = challenge;
    let reason = match scheme {
        Scheme::Adobe => {
            format!("needauth&user={user}&salt={salt}&challenge={token}&opaque={token}")
        }
        Scheme::Limelight => format!("needauth&user={user}&nonce={token}"),
    };
    reject(scheme, &reason)
}

/// Describes the refusal of an answer. It is the same for a wrong response, an unknown challenge and an
/// unknown user.
pub fn describe_failed(scheme: Scheme) -> String {
    let reason = match scheme {
        // Adobe's server sends an `opaque` here too. Clients only look at the reason.
        Scheme::Adobe => "authfailed&opaque=-",
        Scheme::Limelight => "authfail",
    };
    reject(scheme, reason)
}

/// Formats a refusal. ffmpeg requires the space after the scheme, and the reason at the very end.
fn reject(scheme: Scheme, reason: &str) -> String {
    let scheme = scheme.as_str();
    format!("[ AccessManager.Reject ] : [ authmod={scheme} ] : ?reason={reason}")
}

/// Returns the MD5 of the concatenated parts.
fn md5(parts: &[&str]) -> [u8; 16] {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    md5.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
