//! The host's parsers, compiled from its source without its sandbox and its destinations, which take long to build.
//! Must never hold code of its own.

#[path = "../host/src/config/mod.rs"]
pub mod config;
#[path = "../host/src/diagnostic.rs"]
pub mod diagnostic;
#[path = "../host/src/error.rs"]
pub mod error;
#[path = "../host/src/normalize/mod.rs"]
pub mod normalize;
#[path = "../host/src/package.rs"]
pub mod package;
#[path = "../host/src/schema/mod.rs"]
pub mod schema;
#[path = "../host/src/state.rs"]
pub mod state;
