//! The ClickHouse engine as a library, in a process of its own, behind ClickHouse's HTTP protocol.
//!
//! Where to start reading: `serve` (the process), `handle` (one request), `run` (one query on the
//! engine), `ffi` (the engine's C API).
//! Invariant: an engine connection serves one request or one session and is then closed, so that
//! no setting, database or temporary table of a request is ever seen by another one.

mod block;
mod body;
pub mod confine;
mod encoding;
mod exception;
mod ffi;
mod form;
mod format;
mod grants;
mod handle;
mod kinds;
mod lexer;
mod lock;
pub mod options;
mod patient;
mod places;
mod reply;
mod request;
mod results;
mod run;
mod running;
pub mod serve;
mod sessions;
pub mod sources;
mod sql_text;
mod statement;
mod status;
mod unpack;
mod user_files;

pub use options::{ENGINE_VERSION, default_library_path};
