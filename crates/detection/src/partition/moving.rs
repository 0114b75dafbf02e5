//! Services whose lines go to another partition, because the topic has more of them.
//!
//! There is no one moment at which they go: producers hear of new partitions minutes apart, of one
//! service's hosts each by itself, and what they wrote before may be read much later. So it is known for a
//! while of each service whether it moves, and until then fewer lines of it here say nothing.

use std::{fmt, sync::Arc};

use crate::codec::{Loaded, Reader, Writer};

/// For how long lines may come here of producers that have not heard of the new partitions, ms. Java's
/// clients ask every five minutes (`metadata.max.age.ms`), librdkafka's too.
const HEARD_WITHIN_MS: i64 = 15 * 60_000;

/// Whether a service's lines go elsewhere now.
#[derive(Clone)]
pub struct Moves(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Moves {
    pub fn if_so(moves: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(moves))
    }

    pub(crate) fn moves(&self, service: &str) -> bool {
        (self.0)(service)
    }
}

impl fmt::Debug for Moves {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Moves")
    }
}

/// That the topic has grown, as long as it matters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moving {
    /// Partitions before; 0: nothing moves.
    pub(crate) from: u32,
    /// By the pace. `None`: what was written before may not all be read.
    until: Option<i64>,
    /// Who moves. It is not kept in a snapshot: who goes on from one says it again.
    pub(crate) who: Option<Moves>,
}

impl Moving {
    pub(crate) fn since(from: u32, who: Moves) -> Self {
        Self {
            from,
            until: None,
            who: Some(who),
        }
    }

    pub(crate) fn moves(&self, service: &str) -> bool {
        self.who.as_ref().is_some_and(|who| who.moves(service))
    }

    /// Everything that was written before is read.
    pub(crate) fn at_end(&mut self, now: i64) {
        if self.from > 0 {
            self.until.get_or_insert(now + HEARD_WITHIN_MS);
        }
    }

    pub(crate) fn is_over(&self, now: i64) -> bool {
        self.until.is_some_and(|until| now > until)
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.u32(self.from);
        to.i64(self.until.unwrap_or(i64::MIN));
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let before = from.u32()?;
        let until = from.i64()?;
        Ok(Self {
            from: before,
            until: (until != i64::MIN).then_some(until),
            who: None,
        })
    }
}
