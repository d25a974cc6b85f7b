//! Login challenges that wait for their answers.
//!
//! A challenge is valid for one client, once, and for a minute. The table is small: asking for a
//! challenge costs a client nothing, so a client that asks for many loses its own first.

use std::net::IpAddr;
use std::sync::Mutex;

use crate::config::one_client;
use crate::live::{Millis, lock};
use crate::rtmp::authmod::Challenge;

/// How long a challenge can be answered, in ms.
const LIFE: Millis = 60_000;

/// The maximum number of challenges of all clients together, and of one.
const MAX: usize = 64;
const MAX_PER_CLIENT: usize = 8;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Challenges {
    /// Sorted by age, the oldest first.
    pending: Mutex<Vec<Pending>>,
}

struct Pending {
    client: IpAddr,
    user: String,
    challenge: Challenge,
    since: Millis,
}

impl Challenges {
    /// Adds a challenge that is sent to a client that claims to be `user`.
    pub(super) fn add(&self, address: IpAddr, user: &str, challenge: Challenge, now: Millis) {
        let client = one_client(address);
        let mut pending = lock(&self.pending);
        pending.retain(|pending| pending.is_alive(now));
        let is_own = |pending: &Pending| pending.client == client;
        let own = pending.iter().filter(|pending| is_own(pending)).count();
        if own >= MAX_PER_CLIENT {
            if let Some(oldest) = pending.iter().position(is_own) {
                pending.remove(oldest);
            }
        } else if pending.len() >= MAX {
            pending.remove(0);
        }
        pending.push(Pending {
            client,
            user: user.to_owned(),
            challenge,
            since: now,
        });
    }

    /// Removes and returns the challenge that a client answers. An empty token means the newest
    /// challenge: simple clients send no token.
    pub(super) fn take(
        &self,
        address: IpAddr,
        user: &str,
        token: &str,
        now: Millis,
    ) -> Option<Challenge> {
        let client = one_client(address);
        let mut pending = lock(&self.pending);
        let index = pending.iter().rposition(|pending| {
            pending.client == client
                && pending.user == user
                && (token.is_empty() || pending.challenge.token() == token)
                && pending.is_alive(now)
        })?;
        Some(pending.remove(index).challenge)
    }
}

impl Pending {
    fn is_alive(&self, now: Millis) -> bool {
        now.saturating_sub(self.since) < LIFE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u32) -> IpAddr {
        IpAddr::V4((0x0A00_0000 + number).into())
    }

    fn challenge(number: u8) -> Challenge {
        Challenge::new(&[number; 24])
    }

    fn token(number: u8) -> String {
        challenge(number).token().to_owned()
    }

    #[test]
    fn a_challenge_is_for_one_client_one_user_and_one_use() {
        let challenges = Challenges::default();
        challenges.add(host(1), "bob", challenge(7), 0);
        let take =
            |address, user: &str, number| challenges.take(address, user, &token(number), 59_999);
        assert_eq!(take(host(2), "bob", 7), None);
        assert_eq!(take(host(1), "eve", 7), None);
        assert_eq!(take(host(1), "bob", 8), None);
        assert_eq!(take(host(1), "bob", 7), Some(challenge(7)));
        assert_eq!(take(host(1), "bob", 7), None);
    }

    #[test]
    fn a_challenge_lives_for_a_minute() {
        let challenges = Challenges::default();
        challenges.add(host(1), "bob", challenge(7), 1_000);
        assert_eq!(challenges.take(host(1), "bob", &token(7), 61_000), None);
        // Expired challenges don't occupy the places of others.
        (0..MAX as u8).for_each(|n| challenges.add(host(n.into()), "bob", challenge(n), 61_000));
        assert_eq!(lock(&challenges.pending).len(), MAX);
        assert!(challenges.take(host(0), "bob", &token(0), 61_000).is_some());
    }

    #[test]
    fn an_answer_without_a_token_is_for_the_newest_challenge() {
        let challenges = Challenges::default();
        challenges.add(host(1), "bob", challenge(1), 0);
        challenges.add(host(1), "bob", challenge(2), 0);
        challenges.add(host(2), "bob", challenge(3), 0);
        let found = challenges.take(host(1), "bob", "", 0);
        assert_eq!(found, Some(challenge(2)));
    }

    #[test]
    fn a_client_that_asks_for_many_loses_its_own() {
        let challenges = Challenges::default();
        challenges.add(host(1), "bob", challenge(0), 0);
        (1..=200).for_each(|n| challenges.add(host(2), "eve", challenge(n), 0));
        assert_eq!(lock(&challenges.pending).len(), 1 + MAX_PER_CLIENT);
        assert!(challenges.take(host(1), "bob", &token(0), 0).is_some());
        assert!(challenges.take(host(2), "eve", &token(192), 0).is_none());
        assert!(challenges.take(host(2), "eve", &token(193), 0).is_some());
    }

    #[test]
    fn the_table_is_bounded_for_many_clients() {
        let challenges = Challenges::default();
        (0..1_000).for_each(|n| challenges.add(host(n), "bob", challenge(1), 0));
        assert_eq!(lock(&challenges.pending).len(), MAX);
        assert!(challenges.take(host(999), "bob", &token(1), 0).is_some());
    }
}
