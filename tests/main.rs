//! The one test binary of the host. What is here goes through the binary and sees what a user sees; only the suite for
//! destinations calls the library.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "tests start the program and are told by variables what to run")]

mod attacks;
mod conformance;
mod crash;
mod destination;
mod docs;
mod embedding;
mod examples;
mod fuzz_seeds;
mod layers;
mod manners;
mod readme;
mod screens;
mod sequences;
mod support;
