//! Time that passes, for leases, and the day of the wall clock, for how long rows are kept.

use std::time::Duration;

use pipeline::{Day, ports::Clock};
use rustix::time::{ClockId, clock_gettime};

/// Counts while the process is stopped, and while the machine is suspended.
#[derive(Debug, Clone, Copy)]
pub struct BootClock;

impl Clock for BootClock {
    async fn sleep(&self, how_long: Duration) {
        tokio::time::sleep(how_long).await;
    }

    fn now(&self) -> Duration {
        let now = clock_gettime(ClockId::Boottime);
        Duration::new(now.tv_sec.cast_unsigned(), now.tv_nsec as u32)
    }

    fn today(&self) -> Day {
        Day::of_millis(jiff::Timestamp::now().as_millisecond())
    }
}
