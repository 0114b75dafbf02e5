//! Says how a dependency is: a readiness latch, and one log line when it changes.

use service_kit::Latch;

pub struct Health {
    latch: Latch,
    name: &'static str,
    /// `None`: never said anything. Then whether it was well, and if not why.
    said: Option<Result<(), String>>,
}

impl Health {
    pub fn new(latch: Latch, name: &'static str) -> Self {
        Self {
            latch,
            name,
            said: None,
        }
    }

    pub fn well(&mut self) {
        if self.said != Some(Ok(())) {
            self.latch.set_ready();
            self.said = Some(Ok(()));
        }
    }

    /// `reason` says what is the matter and stays the same while that does; `detail` may vary.
    pub fn unwell(&mut self, reason: &str, detail: &dyn std::fmt::Display) {
        let now = Some(Err(reason.to_owned()));
        if self.said != now {
            tracing::warn!(dependency = self.name, reason, %detail, "waiting");
            self.latch.set_unready(reason);
            self.said = now;
        }
    }
}
