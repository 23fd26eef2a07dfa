//! Airlock: runs sandboxed data connectors. A connector is a WebAssembly component that knows one kind of API and nothing
//! else; this host holds what is worth protecting (secrets, network, disk, state) and lends it out, one grant at a time.
//!
//! In reading order: a `command` opens a `Pipeline`, whose `run` is the spine. The modules below it stand in the order of
//! the journey; one may use those that stand below it.

pub mod command;
pub mod isolated;
pub mod output;

pub mod connection;
pub mod host;
pub mod pipeline;
pub mod report;

pub mod destination;
pub mod event;
pub mod extract;
pub mod mode;
pub mod normalize;
pub mod package;
pub mod packaging;
pub mod progress;
mod refused;

pub mod egress;
pub mod sandbox;
pub mod secret;

pub mod config;
pub mod failpoint;
pub mod isolation;
pub mod lock;
mod private_folder;
pub mod schema;
pub mod state;
pub mod streams;

pub mod diagnostic;
pub mod error;
