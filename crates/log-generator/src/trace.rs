//! Which request a record belongs to.
//!
//! A request enters at the gateway and spreads along a route. Nobody keeps a table of requests:
//! request number `n` of a cell starts at time `n / rate`, and its route, user and trace id are
//! hashes of the seed, the cell and `n`. So every service finds the same requests by itself.
//! Invariant: a service only joins requests whose route leads through it, and only after they
//! had the time to get there.

use primitives::splitmix::mix;

use crate::{
    catalog::ARCHETYPES,
    random::{self, Purpose},
};

/// Between two neighbours of the call graph.
const HOP_MS: f64 = 4.0;
/// How far back a service looks for a request that leads through it.
const LOOK_BACK_MS: f64 = 2_000.0;
const LOOK_BACK_MOST: u64 = 64;
/// Requests per gateway record: most write two lines there, so that few write none.
const REQUESTS_PER_RECORD: f64 = 0.5;

/// A kind of request: how often, and how deep each service is on its way.
struct Route {
    weight: u8,
    way: &'static [(&'static str, u8)],
}

/// In the order of the gateway's endpoints.
const ROUTES: [Route; 6] = [
    Route {
        weight: 40,
        way: &[("gateway", 0), ("catalog", 1), ("inventory", 2)],
    },
    Route {
        weight: 24,
        way: &[("gateway", 0), ("search", 1), ("catalog", 2)],
    },
    Route {
        weight: 8,
        way: &[("gateway", 0), ("auth", 1)],
    },
    Route {
        weight: 14,
        way: &[("gateway", 0), ("auth", 1), ("cart", 1), ("catalog", 2)],
    },
    Route {
        weight: 6,
        way: &[
            ("gateway", 0),
            ("auth", 1),
            ("checkout", 1),
            ("cart", 2),
            ("payments", 2),
            ("inventory", 2),
            ("orders", 2),
            ("shipping", 3),
            ("notifications", 3),
        ],
    },
    Route {
        weight: 8,
        way: &[("gateway", 0), ("auth", 1), ("orders", 1), ("shipping", 2)],
    },
];

/// The request that a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub trace_id: u128,
    /// Names the user.
    pub user: u64,
    /// Index into the gateway's endpoints.
    pub route: usize,
}

/// Finds requests.
#[derive(Debug)]
pub(crate) struct Requests {
    seed: u64,
    /// Route by a hash.
    by_weight: Vec<u8>,
    /// `depth[route][archetype]`
    depth: Vec<[Option<u8>; ARCHETYPES.len()]>,
}

/// Where and when a record asks for its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking {
    pub cell: u64,
    pub archetype: usize,
    /// Milliseconds since the epoch.
    pub at_ms: f64,
    /// Records that the cell's gateway writes in a millisecond.
    pub gateway_per_ms: f64,
}

impl Requests {
    pub(crate) fn new(seed: u64) -> Self {
        let mut by_weight = Vec::new();
        let mut depth = Vec::new();
        for (index, route) in ROUTES.iter().enumerate() {
            by_weight.extend(std::iter::repeat_n(index as u8, route.weight.into()));
            depth.push(ARCHETYPES.map(|archetype| {
                let stop = route.way.iter().find(|(name, _)| *name == archetype.name);
                stop.map(|(_, depth)| *depth)
            }));
        }
        Self {
            seed,
            by_weight,
            depth,
        }
    }

    /// The newest request that can have reached the service. `None`: the record is the service's
    /// own business.
    pub(crate) fn find(&self, asking: Asking) -> Option<Request> {
        let per_ms = asking.gateway_per_ms * REQUESTS_PER_RECORD;
        let newest = (asking.at_ms * per_ms) as u64;
        let most = ((LOOK_BACK_MS * per_ms) as u64).clamp(1, LOOK_BACK_MOST);
        for number in (newest.saturating_sub(most)..=newest).rev() {
            let hash = random::derive(self.seed, Purpose::Traces, asking.cell, number);
            let route = self.by_weight[random::scaled(hash, self.by_weight.len())];
            let Some(depth) = self.depth[usize::from(route)][asking.archetype] else {
                continue;
            };
            let arrived = number as f64 / per_ms + f64::from(depth) * HOP_MS;
            if depth > 0 && arrived > asking.at_ms {
                continue;
            }
            let low = mix(hash);
            return Some(Request {
                trace_id: u128::from(hash.max(1)) << 64 | u128::from(low),
                user: mix(low),
                route: usize::from(route),
            });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(name: &str) -> usize {
        ARCHETYPES.iter().position(|a| a.name == name).unwrap()
    }

    fn asking(name: &str, at_ms: f64) -> Asking {
        Asking {
            cell: 0,
            archetype: index(name),
            at_ms,
            gateway_per_ms: 0.3,
        }
    }

    #[test]
    fn routes_follow_the_call_graph_and_the_gateways_endpoints() {
        assert_eq!(ROUTES.len(), ARCHETYPES[0].endpoints.len());
        for route in &ROUTES {
            for &(name, depth) in route.way.iter().filter(|(_, depth)| *depth > 0) {
                let called = route.way.iter().any(|&(caller, above)| {
                    above + 1 == depth && ARCHETYPES[index(caller)].calls.contains(&name)
                });
                assert!(called, "{name} at {depth}");
            }
        }
    }

    #[test]
    fn a_request_seen_downstream_was_at_the_gateway_before() {
        let requests = Requests::new(3);
        let start = 1_795_244_400_000.0;
        let mut at_gateway = std::collections::BTreeMap::new();
        for step in 0..20_000 {
            let at = start + f64::from(step);
            let request = requests.find(asking("gateway", at)).unwrap();
            at_gateway.entry(request.trace_id).or_insert(at);
        }
        let mut joined = 0;
        for step in 3_000..20_000 {
            let at = start + f64::from(step);
            let Some(request) = requests.find(asking("payments", at)) else {
                continue;
            };
            assert!(at_gateway[&request.trace_id] < at);
            joined += 1;
        }
        assert!(joined > 16_000, "{joined}");
    }

    #[test]
    fn a_batch_job_has_no_requests() {
        let own = Requests::new(3).find(asking("billing-batch", 1_795_244_400_000.0));
        assert_eq!(own, None);
    }
}
