//! Who uses the fleet: names, addresses, browsers, prepared once at start.
//! Invariant: everything is already escaped for JSON, and the same user always has the same address.

use fake::{
    Fake as _,
    faker::{
        address::en::CityName,
        internet::en::{IPv4, SafeEmail, UserAgent, Username},
        name::en::Name,
    },
};

use crate::{
    json,
    random::{self, Purpose},
};

/// Users of the fleet. More of them would not make the text more varied to a reader.
const USERS: usize = 2048;
const SMALL_POOL: usize = 64;

/// One user, as a log line may mention them.
#[derive(Debug)]
pub(crate) struct User {
    pub login: Box<[u8]>,
    pub email: Box<[u8]>,
    pub name: Box<[u8]>,
    pub address: Box<[u8]>,
}

/// The pools that lines draw from.
#[derive(Debug)]
pub(crate) struct People {
    users: Vec<User>,
    agents: Vec<Box<[u8]>>,
    cities: Vec<Box<[u8]>>,
}

impl People {
    pub(crate) fn new(seed: u64) -> Self {
        let rng = &mut random::stream(seed, Purpose::People, 0, 0);
        let escaped = |text: String| json::escaped_box(&text);
        Self {
            users: (0..USERS)
                .map(|_| User {
                    login: escaped(Username().fake_with_rng(rng)),
                    email: escaped(SafeEmail().fake_with_rng(rng)),
                    name: escaped(Name().fake_with_rng(rng)),
                    address: escaped(IPv4().fake_with_rng(rng)),
                })
                .collect(),
            agents: (0..SMALL_POOL)
                .map(|_| escaped(UserAgent().fake_with_rng(rng)))
                .collect(),
            cities: (0..SMALL_POOL)
                .map(|_| escaped(CityName().fake_with_rng(rng)))
                .collect(),
        }
    }

    /// A user by a hash. A few users are much busier than the rest.
    pub(crate) fn user(&self, hash: u64) -> &User {
        let spread = (hash >> 32) * (hash >> 32);
        &self.users[random::scaled(spread, self.users.len())]
    }

    pub(crate) fn agent(&self, hash: u64) -> &[u8] {
        &self.agents[random::scaled(hash, self.agents.len())]
    }

    pub(crate) fn city(&self, hash: u64) -> &[u8] {
        &self.cities[random::scaled(hash, self.cities.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_people() {
        let (one, other) = (People::new(7), People::new(7));
        for hash in [0, u64::MAX / 3, u64::MAX] {
            assert_eq!(one.user(hash).login, other.user(hash).login);
            assert_eq!(one.user(hash).address, other.user(hash).address);
            assert_eq!(one.agent(hash), other.agent(hash));
            assert_eq!(one.city(hash), other.city(hash));
        }
    }
}
