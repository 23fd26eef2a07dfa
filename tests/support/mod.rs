//! What the tests stand on: a mock API, a command that runs the host, and a reader of what it loaded.
//! Must never assert anything that belongs to one test.

#[cfg(target_os = "linux")]
pub(crate) mod children;
pub(crate) mod host_command;
pub(crate) mod mock_api;
pub(crate) mod warehouse;
