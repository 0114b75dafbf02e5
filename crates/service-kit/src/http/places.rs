//! How many may be connected, in all and from one address.
//! Invariant: a place is taken from when it is given until it is dropped.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::metrics::{Listener, Metrics, Refused};

#[derive(Clone)]
pub(super) struct Places(Arc<Shared>);

struct Shared {
    most: usize,
    most_from_one: usize,
    taken: Mutex<Taken>,
    metrics: Metrics,
    listener: Listener,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

pub(super) struct Place {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Places {
    pub(super) fn new(
        most: usize,
        most_from_one: usize,
        listener: Listener,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Shared {
            most,
            most_from_one,
            taken: Mutex::default(),
            metrics,
            listener,
        }))
    }

    pub(super) fn take(&self, address: IpAddr) -> Result<Place, Refused> {
        let address = network_of(address);
        let mut taken = self.0.taken();
        let here = taken.by_address.get(&address).copied().unwrap_or(0);
        let refused = if taken.all >= self.0.most {
            Some(Refused::Full)
        } else {
            (here >= self.0.most_from_one).then_some(Refused::Address)
        };
        if let Some(why) = refused {
            self.0.metrics.refused.at(why).inc();
            return Err(why);
        }
        taken.all += 1;
        taken.by_address.insert(address, here + 1);
        self.0.show(&taken);
        Ok(Place {
            shared: Arc::clone(&self.0),
            address,
        })
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> usize {
        self.0.taken().all
    }
}

impl Shared {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, taken: &Taken) {
        let gauge = self.metrics.connections.at(self.listener);
        gauge.set(taken.all as f64);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shared.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(here) = taken.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                taken.by_address.remove(&self.address);
            }
        }
        self.shared.show(&taken);
    }
}

/// Whoever has one IPv6 address has the 2⁶⁴ beside it, too.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place_and_a_place_that_is_left_is_free() {
        let metrics = Metrics::new(&crate::Registry::new());
        let places = Places::new(3, 2, Listener::Clients, metrics);
        let take = |address: &str| places.take(address.parse().unwrap());
        let first = take("192.0.2.1").unwrap();
        let _second = take("::ffff:192.0.2.1").unwrap();
        assert_eq!(take("192.0.2.1").err(), Some(Refused::Address));
        let _third = take("2001:db8::1").unwrap();
        assert_eq!(take("192.0.2.2").err(), Some(Refused::Full));
        drop(first);
        let fourth = take("2001:db8::2").unwrap();
        drop(take("192.0.2.9"));
        drop(fourth);
        let _fifth = take("2001:db8::ffff").unwrap();
        assert_eq!(places.all(), 3);
    }
}
