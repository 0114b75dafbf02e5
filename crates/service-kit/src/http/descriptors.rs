//! How many descriptors the process may have open, and how many of them strangers may take.
//! Invariant: what [`for_admin`] and [`for_clients`] grant leaves a reserve for everybody else here:
//! brokers, ClickHouse, files.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than this helps nobody, and some systems allow a thousand million.
const MOST: u64 = 1 << 20;
/// Connections of Prometheus, of health checks and of an operator.
const ADMIN: usize = 64;

/// Raises the soft limit to the hard one, once, and says how many there may be.
pub fn limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(raise)
}

fn raise() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let now = limits.current.unwrap_or(MOST);
    let wanted = limits.maximum.unwrap_or(MOST).min(MOST);
    if wanted <= now {
        return as_count(now);
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limits.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => as_count(wanted),
        Err(error) => {
            tracing::warn!(%error, now, wanted, "the limit of open files cannot be raised");
            as_count(now)
        }
    }
}

fn as_count(limit: u64) -> usize {
    usize::try_from(limit.min(MOST)).unwrap_or(usize::MAX)
}

/// Connections to the admin endpoints, of so many descriptors.
pub fn for_admin(limit: usize) -> usize {
    (limit / 8).clamp(2, ADMIN)
}

/// Connections of clients, of so many descriptors.
pub fn for_clients(limit: usize) -> usize {
    let reserve = (limit / 8).clamp(128, 1024).min(limit / 2);
    (limit - reserve).saturating_sub(for_admin(limit)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_left_whatever_the_limit_is() {
        for (limit, admin, clients) in [
            (64, 8, 24),
            (256, 32, 96),
            (300, 37, 135),
            (1024, 64, 832),
            (4096, 64, 3520),
            (1 << 20, 64, (1 << 20) - 1024 - 64),
        ] {
            assert_eq!(
                (for_admin(limit), for_clients(limit)),
                (admin, clients),
                "{limit}"
            );
        }
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let most = getrlimit(Resource::Nofile).maximum.unwrap_or(MOST);
        assert_eq!(limit() as u64, most.min(MOST));
        assert_eq!(getrlimit(Resource::Nofile).current, Some(limit() as u64));
    }
}
