//! Finds what the lines of a log have in common: the template that their program printed, and the
//! parameters in it. Online, in one pass, with one configuration for all logs.
//!
//! Invariants:
//! - pure: no I/O, no clock, no randomness; what the miner knows depends on the lines alone;
//! - what a line *is* (its form) is a function of its text; templates are sets of forms, joined by
//!   evidence that only grows, so that their ids don't depend on the order of the lines;
//! - Σ of the templates' counts, evicted ones included, is the number of lines;
//! - what it keeps is bounded by [`Limits`], and the work per line by the bytes looked at.
//!
//! `docs/templates.md` explains the algorithm. In short: [`scan`] takes a line apart into words, marks
//! and parameters; [`miner`] looks the form up; [`merging`] finds out that a word is a parameter too,
//! because too many different ones stand in its place.

mod address;
mod atom;
mod bytes;
mod clock;
mod colour;
mod enclosed;
mod encoded;
mod fold;
mod hash;
mod ids;
mod merging;
mod miner;
mod mixed;
mod reading;
mod scan;
mod state;
mod swar;
mod template;
mod token;
mod trace;
mod vocabulary;

pub use ids::Ids;
pub use miner::{Changes, Described, Limits, Merge, Miner, TemplateId, View};
pub use state::SnapshotError;
pub use token::{Kind, Parameter};
