//! Which client listens to what.

use contracts::websocket::Filter;

/// Clients that one anomaly of a group reaches.
const GROUP: u64 = 500;
/// One of so many does not read.
const STUCK_EVERY: u64 = 100;

/// A crowd of clients, numbered from 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) clients: u64,
}

impl Plan {
    pub(super) fn is_stuck(client: u64) -> bool {
        client % STUCK_EVERY == STUCK_EVERY - 1
    }

    pub(super) fn stuck(self) -> u64 {
        self.clients / STUCK_EVERY
    }

    pub(super) fn reading(self) -> u64 {
        self.clients - self.stuck()
    }

    /// Clients of a group: 500, or all that read if they are fewer.
    pub(super) fn group_size(self) -> u64 {
        GROUP.min(self.reading())
    }

    pub(super) fn groups(self) -> u64 {
        self.reading() / self.group_size().max(1)
    }

    /// Clients that read and belong to no group.
    pub(super) fn idle(self) -> u64 {
        self.reading() - self.groups() * self.group_size()
    }

    pub(super) fn filter(self, client: u64) -> Filter {
        let services = if Self::is_stuck(client) {
            vec![FLOOD.to_owned()]
        } else {
            let group = (client - client / STUCK_EVERY) / self.group_size();
            let mut services = vec![EVERYONE.to_owned()];
            if group < self.groups() {
                services.push(service_of(group));
            }
            services
        };
        Filter {
            services,
            ..Filter::default()
        }
    }
}

pub(super) const EVERYONE: &str = "everyone";
pub(super) const FLOOD: &str = "flood";

pub(super) fn service_of(group: u64) -> String {
    format!("group-{group}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_group_has_its_clients_and_every_hundredth_is_stuck() {
        let plan = Plan { clients: 18_000 };
        let mut by_service = BTreeMap::<String, u64>::new();
        for client in 0..plan.clients {
            for service in plan.filter(client).services {
                *by_service.entry(service).or_default() += 1;
            }
        }
        assert_eq!(by_service[FLOOD], 180);
        assert_eq!(by_service[EVERYONE], 17_820);
        assert_eq!((plan.groups(), plan.idle()), (35, 320));
        assert!((0..35).all(|group| by_service[&service_of(group)] == 500));
    }

    #[test]
    fn a_small_crowd_is_one_group() {
        let plan = Plan { clients: 200 };
        assert_eq!((plan.groups(), plan.group_size(), plan.idle()), (1, 198, 0));
    }
}
