//! The client's side of a login: what to add to the app on the next connection.

use super::{Scheme, hex, last_value, md5, paths};
use crate::rtmp::base64;

/// The number of random bytes in a client's challenge.
pub const RANDOM_LEN: usize = 8;

/// Limelight's count of attempts with one nonce, which is always the first.
const COUNT: &str = "00000001";

/// Whether the description of a refusal asks for a login, or judges one.
pub fn is_challenge(description: &str) -> bool {
    Reply::parse(description).is_some()
}

/// What a server's refusal says about the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A user has to be named first.
    NeedsUser(Scheme),
    /// The password has to be proved.
    Challenge {
        /// The server's scheme.
        scheme: Scheme,
        /// `salt` of Adobe's scheme.
        salt: &'a str,
        /// The server's challenge: `challenge`, or `nonce`.
        challenge: &'a str,
        /// `opaque` of Adobe's scheme; empty if missing.
        opaque: &'a str,
    },
    /// User or password are wrong.
    Wrong,
}

impl<'a> Reply<'a> {
    /// Parses the description of a refusal of connect; `None` if it isn't about a login of a known scheme.
    pub fn parse(description: &'a str) -> Option<Reply<'a>> {
        let (_, after) = description.split_once("authmod=")?;
        let scheme = match after.split([' ', ']', '&']).next()? {
            "adobe" => Scheme::Adobe,
            "llnw" => Scheme::Limelight,
            _ => return None,
        };
        if description.contains("code=403 need auth") {
            return Some(Reply::NeedsUser(scheme));
        }
        let (_, query) = after.split_once('?')?;
        let value = |name| last_value(query, name).map(str::trim).unwrap_or_default();
        if value("reason") != "needauth" {
            return Some(Reply::Wrong);
        }
        Some(Reply::Challenge {
            scheme,
            salt: value("salt"),
            challenge: match scheme {
                Scheme::Adobe => value("challenge"),
                Scheme::Limelight => value("nonce"),
            },
            opaque: value("opaque"),
        })
    }

    /// Returns the query that the client appends, after a `?`, to the app and the tcUrl of its next
    /// connection; `None` if no further attempt makes sense. `app` is the app of the user's URL.
    pub fn query(
        &self,
        user: &str,
        password: &str,
        app: &str,
        random: &[u8; RANDOM_LEN],
    ) -> Option<String> {
        let own = hex(random);
        match *self {
            Reply::NeedsUser(scheme) => Some(format!("authmod={}&user={user}", scheme.as_str())),
            Reply::Challenge {
                scheme: Scheme::Adobe,
                salt,
                challenge,
                opaque,
            } => {
                let secret = base64::encode(&md5(&[user, salt, password]));
                let hashed = if opaque.is_empty() { challenge } else { opaque };
                let response = base64::encode(&md5(&[&secret, hashed, &own]));
                let mut query =
                    format!("authmod=adobe&user={user}&challenge={own}&response={response}");
                if !opaque.is_empty() {
                    query.push_str("&opaque=");
                    query.push_str(opaque);
                }
                Some(query)
            }
            Reply::Challenge { challenge, .. } => {
                let secret = hex(&md5(&[user, ":live:", password]));
                let [path, _] = paths(app);
                // The default instance is that of an app without one.
                let instance = if path.contains('/') { "" } else { "/_definst_" };
                let place = hex(&md5(&["publish:/", path, instance]));
                let parts = [&*secret, challenge, COUNT, &own, "auth", &place];
                let response = hex(&md5(&[&parts.join(":")]));
                Some(format!(
                    "authmod=llnw&user={user}&nonce={challenge}&cnonce={own}&nc={COUNT}&response={response}"
                ))
            }
            Reply::Wrong => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        Attempt, Challenge, describe_challenge, describe_failed, describe_need_auth,
    };
    use super::*;

    const OWN: [u8; RANDOM_LEN] = [1, 2, 3, 4, 5, 6, 7, 8];

    /// Logs in with a password at a server that expects `secret`.
    fn is_let_in(scheme: Scheme, app: &str, password: &str) -> bool {
        let said = describe_need_auth(scheme);
        let reply = Reply::parse(&said).unwrap();
        assert_eq!(reply, Reply::NeedsUser(scheme));
        let hello = reply.query("bob", password, app, &OWN).unwrap();
        let sent = format!("{app}?{hello}");
        let attempt = Attempt::parse(&sent).unwrap();
        assert_eq!(
            attempt,
            Attempt::Hello {
                scheme,
                user: "bob"
            }
        );
        let challenge = Challenge::new(&[7; 24]);
        let said = describe_challenge(scheme, "bob", &challenge);
        assert!(is_challenge(&said));
        let answer = Reply::parse(&said).unwrap();
        let answer = answer.query("bob", password, app, &OWN).unwrap();
        let sent = format!("{app}?{answer}");
        challenge.verify(&Attempt::parse(&sent).unwrap(), "secret", &sent)
    }

    #[test]
    fn the_server_accepts_the_right_password_only() {
        for scheme in [Scheme::Adobe, Scheme::Limelight] {
            for app in ["live", "live/inst", "live?key=1"] {
                assert!(is_let_in(scheme, app, "secret"), "{scheme:?} {app}");
                assert!(!is_let_in(scheme, app, "secre"), "{scheme:?} {app}");
            }
        }
    }

    #[test]
    fn a_failed_login_is_told_apart_from_other_refusals() {
        for scheme in [Scheme::Adobe, Scheme::Limelight] {
            let said = describe_failed(scheme);
            let reply = Reply::parse(&said).unwrap();
            assert_eq!(reply, Reply::Wrong);
            assert_eq!(reply.query("bob", "x", "live", &OWN), None);
        }
        for said in ["", "no such app", "authmod=other ] : ?reason=needauth"] {
            assert!(!is_challenge(said), "{said}");
        }
    }

    #[test]
    fn a_server_without_opaque_gets_its_challenge_hashed() {
        let said = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=bob&salt=S&challenge=C";
        let query = Reply::parse(said).unwrap().query("bob", "p", "live", &OWN);
        let own = "0102030405060708";
        let secret = base64::encode(&md5(&["bobSp"]));
        let response = base64::encode(&md5(&[&secret, "C", own]));
        let expected = format!("authmod=adobe&user=bob&challenge={own}&response={response}");
        assert_eq!(query, Some(expected));
    }
}
