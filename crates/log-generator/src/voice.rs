//! An archetype made ready for use: templates parsed, weights laid out for one look-up.
//! Invariant: both tables are non-empty, and hold every line as often as its weight.

use contracts::Level;
use rand_distr::{Distribution as _, StandardNormal};

use crate::{
    catalog::{About, Archetype},
    random::{self, Rng},
    template::{BadTemplate, Template},
};

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
            voice.lines.push(ReadyLine {
                level: level_text(line.level),
                about: line.about,
                message: Template::parse(line.text)?,
            });
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
