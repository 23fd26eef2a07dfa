//! Attacks: a malicious connector (`tests/guests`), run by the real program against a hostile server.
//!
//! Every attack is an entry in a table, one file per class. `arena` holds what must be true after each of them.

mod arena;
mod certificates;
mod components;
mod data;
mod generator;
mod hostile_api;
#[cfg(target_os = "linux")]
mod isolation;
mod limits;
mod lock;
mod memory;
mod promises;
mod recursion;
mod requests;
mod resources;
mod secrets;
mod signature;
mod terminal;
mod words;
