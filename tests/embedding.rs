//! The host inside other programs: the service of `examples/embedded-host`, spoken to as its tenants would (`service`), and
//! the library, by those who bring a vault or a destination of their own (`library`).

mod library;
mod service;
