//! Options of a service, read from the environment and a `.env` file.
//!
//! Invariant: every problem is reported at once, and the value of a secret is never part of a report.
//! What is read and what is documented come from one declaration, [`options!`](crate::options).

mod describe;
mod environment;
mod groups;
mod help;
mod macros;
mod problems;
mod quantities;
mod setting;
mod values;

pub use describe::markdown;
pub use environment::{Environment, Reported};
pub use groups::{
    ClickHouseOptions, KafkaOptions, LogFormat, SaslMechanism, SecurityProtocol, ServiceOptions,
};
pub use help::answer_help;
pub use problems::Problems;
pub use quantities::{Bounded, ByteSize, Period, Ratio};
pub use setting::{FieldValue, FromText};
pub use values::{BrokerList, HttpUrl, ListenAddress, LogFilter, Name, Secret};

/// One environment variable, as the documentation and `.env.example` show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    /// Other names that are read when `name` is absent, in this order.
    pub aliases: Vec<String>,
    /// `None`: there is no default. See `required` for what absence means then.
    pub default: Option<String>,
    /// What a right value looks like.
    pub expected: String,
    pub about: &'static str,
    pub secret: bool,
    pub required: bool,
}

/// Default that a service gives to a field of a group it includes: field name, text.
pub type DefaultOverride = (&'static str, &'static str);

/// Options that are read together. [`options!`](crate::options) implements it.
pub trait Group: Sized {
    /// `None` when a problem was found in these options; it is in `problems` then.
    fn read(
        environment: &Environment,
        defaults: &[DefaultOverride],
        problems: &mut Problems,
    ) -> Option<Self>;

    /// In the order of declaration, groups first.
    fn variables_with(defaults: &[DefaultOverride]) -> Vec<Variable>;
}

/// The default that counts: a service's own, or the one of the declaration.
#[doc(hidden)]
pub fn default_of(
    field: &str,
    defaults: &[DefaultOverride],
    declared: Option<&'static str>,
) -> Option<&'static str> {
    let overridden = defaults.iter().find(|(name, _)| *name == field);
    overridden.map(|(_, text)| *text).or(declared)
}
