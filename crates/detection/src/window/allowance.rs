//! How long windows wait beyond the grace.

use super::counts::MOST_AHEAD;
use crate::{
    codec::{Loaded, Reader, Writer},
    config::Config,
};

/// How long windows wait beyond the grace for lines that are regularly behind: a host whose clock is
/// slow, a shipper that takes its time.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance {
    /// What windows wait for now, ms.
    pub(super) granted: i64,
    /// Of lines behind by more than the grace since the last look: how many, and what the furthest
    /// behind but one would have needed, and the furthest one.
    lines: u32,
    needed: i64,
    furthest: i64,
    /// Windows closed since the last look.
    windows: u32,
}

/// Lines behind that are no accident.
const REGULAR: u32 = 8;
/// Closed windows between two looks at what is needed.
const LOOK_EVERY: u32 = 30;

impl Allowance {
    /// A line came that is `behind` the stream time by so many ms.
    pub(super) fn note(&mut self, behind: i64, config: &Config) {
        let needed = behind - config.grace_ms;
        if needed <= 0 || needed > config.window_ms * MOST_AHEAD {
            return;
        }
        self.lines = self.lines.saturating_add(1);
        if needed > self.furthest {
            (self.needed, self.furthest) = (self.furthest, needed);
        } else {
            self.needed = self.needed.max(needed);
        }
        if self.lines >= REGULAR {
            self.granted = self.granted.max(self.needed);
        }
    }

    pub(super) fn window_closed(&mut self) {
        self.windows += 1;
        if self.windows >= LOOK_EVERY {
            let is_regular = self.lines >= REGULAR;
            *self = Self {
                granted: if is_regular { self.needed } else { 0 },
                ..Self::default()
            };
        }
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.i64(self.granted);
        to.u32(self.lines);
        to.i64(self.needed);
        to.i64(self.furthest);
        to.u32(self.windows);
    }

    pub(super) fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let allowance = Self {
            granted: from.i64()?,
            lines: from.u32()?,
            needed: from.i64()?,
            furthest: from.i64()?,
            windows: from.u32()?,
        };
        let most = config.window_ms * MOST_AHEAD;
        let longest = allowance
            .granted
            .max(allowance.needed)
            .max(allowance.furthest);
        if longest > most || allowance.granted < 0 {
            return Err("windows that wait longer than they may");
        }
        Ok(allowance)
    }
}
