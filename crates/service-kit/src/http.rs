//! The HTTP server of a service, for whoever comes: which names it answers to, how many may be
//! connected, and how long and with how many bytes one of them may keep it waiting.
//!
//! Invariants: a connection ends that sends no request in time, or takes nothing of what waits for
//! it in time; connections and the bytes that wait for them are bounded over all of them; descriptors
//! are left for the rest of the service. A request whose host is none of ours reaches no route.

pub mod descriptors;
mod hosts;
mod metrics;
mod paced;
mod places;
mod refusal;
mod serve;
#[cfg(test)]
mod tests;

pub use hosts::{AllowedHosts, Hosts};
pub use metrics::{CONNECTIONS, DROPPED, Dropped, Listener, REFUSED, Refused, register};
pub use serve::{Limits, Server, WITHIN};
