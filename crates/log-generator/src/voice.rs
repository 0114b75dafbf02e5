//! An archetype made ready for use: templates parsed, weights laid out for one look-up.
//! Invariant: no table is empty (each archetype has lines for all of them, test in `catalog`), and those that
//! are drawn from by weight hold every line as often as its weight.

use contracts::Level;
use rand_distr::{Distribution as _, StandardNormal};

use crate::{
    catalog::{About, Archetype},
    random::{self, Rng},
    template::{BadTemplate, Template},
};

/// Shares of what a service says that make a line one of those it is known by.
const CHARACTERISTIC: std::ops::Range<f64> = 0.04..0.35;

/// A line that can be rendered.
#[derive(Debug)]
pub(crate) struct ReadyLine {
    pub(crate) level: &'static [u8],
    pub(crate) about: About,
    pub(crate) message: Template,
}

/// An endpoint that can be rendered, with its latencies.
#[derive(Debug)]
pub(crate) struct ReadyEndpoint {
    pub(crate) method: &'static [u8],
    pub(crate) path: Template,
    log_median: f64,
    sigma: f64,
}

impl ReadyEndpoint {
    /// Milliseconds; lognormal.
    pub(crate) fn latency(&self, rng: &mut Rng) -> f64 {
        let deviation: f64 = StandardNormal.sample(rng);
        (self.log_median + self.sigma * deviation).exp()
    }
}

/// What a kind of service can say.
#[derive(Debug)]
pub(crate) struct Voice {
    lines: Vec<ReadyLine>,
    usual: Vec<u8>,
    errors: Vec<u8>,
    debug: Vec<u8>,
    /// Lines that are a part of all but not most of it.
    characteristic: Vec<u8>,
    endpoints: Vec<ReadyEndpoint>,
    by_weight: Vec<u8>,
    pub(crate) public: bool,
}

impl Voice {
    pub(crate) fn new(archetype: &Archetype) -> Result<Self, BadTemplate> {
        let mut voice = Self {
            lines: Vec::new(),
            usual: Vec::new(),
            errors: Vec::new(),
            debug: Vec::new(),
            characteristic: Vec::new(),
            endpoints: Vec::new(),
            by_weight: Vec::new(),
            public: archetype.public,
        };
        for (index, line) in archetype.lines.iter().enumerate() {
            let table = if line.is_error() {
                &mut voice.errors
            } else {
                &mut voice.usual
            };
            table.extend(std::iter::repeat_n(index as u8, line.weight.into()));
            if line.level == Level::Debug {
                voice.debug.push(index as u8);
            }
            voice.lines.push(ReadyLine {
                level: level_text(line.level),
                about: line.about,
                message: Template::parse(line.text)?,
            });
        }
        let all = voice.usual.len() as f64;
        for (index, line) in archetype.lines.iter().enumerate() {
            let share = f64::from(line.weight) / all;
            if (Level::Info..Level::Error).contains(&line.level) && CHARACTERISTIC.contains(&share)
            {
                voice.characteristic.push(index as u8);
            }
        }
        for (index, endpoint) in archetype.endpoints.iter().enumerate() {
            let times = usize::from(endpoint.weight);
            voice
                .by_weight
                .extend(std::iter::repeat_n(index as u8, times));
            voice.endpoints.push(ReadyEndpoint {
                method: endpoint.method.as_bytes(),
                path: Template::parse_path(endpoint.path)?,
                log_median: endpoint.median_ms.ln(),
                sigma: endpoint.sigma,
            });
        }
        Ok(voice)
    }

    pub(crate) fn line(&self, error: bool, rng: &mut Rng) -> &ReadyLine {
        let table = if error { &self.errors } else { &self.usual };
        &self.lines[pick(table, rng)]
    }

    /// Any of what it says when somebody wants to know all.
    pub(crate) fn debug_line(&self, rng: &mut Rng) -> &ReadyLine {
        &self.lines[pick(&self.debug, rng)]
    }

    /// One of the lines that it is known by: the same for the same number.
    pub(crate) fn characteristic(&self, number: u32) -> &ReadyLine {
        let at = number as usize % self.characteristic.len();
        &self.lines[usize::from(self.characteristic[at])]
    }

    /// How many lines there are of the last two sorts.
    #[cfg(test)]
    pub(crate) fn lines_to_choose_from(&self) -> [usize; 2] {
        [self.debug.len(), self.characteristic.len()]
    }

    /// The endpoint of a route at the gateway, or any other by weight.
    pub(crate) fn endpoint(&self, of_route: Option<usize>, rng: &mut Rng) -> &ReadyEndpoint {
        &self.endpoints[of_route.unwrap_or_else(|| pick(&self.by_weight, rng))]
    }
}

fn pick(table: &[u8], rng: &mut Rng) -> usize {
    table[random::below(rng, table.len() as u32) as usize].into()
}

fn level_text(level: Level) -> &'static [u8] {
    level.as_str().as_bytes()
}
