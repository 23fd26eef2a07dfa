//! The declarative REST source: interprets dlt's REST API configuration inside the sandbox.
//!
//! A configuration becomes a plan (`dialect`), a plan is explained and split into partitions (`connection`), a partition
//! is read page by page (`read`). Nothing behind `plan` knows a dialect's keys or how it writes values, nothing but
//! `http` knows how requests are sent, and nothing but `contract` knows the WIT. Holds no secret, opens no file.

// From a configuration to a plan.
pub mod dialect;
pub mod expression;
pub mod plan;

// From a plan to pages.
pub mod connection;
pub mod explain;
pub mod parent;
pub mod read;

// One request and its response.
pub mod address;
pub mod http;
pub mod request;
pub mod response_action;

// From a response to records.
pub mod document;
pub mod format;
pub mod graphql;
pub mod incremental;
pub mod paginator;
pub mod scan;
pub mod selection;
pub mod selector;
pub mod step;

pub mod error;
pub mod log;

#[cfg(test)]
mod layers;

// The contract with the host, which exists only in the sandbox.
#[cfg(target_family = "wasm")]
mod contract;

#[cfg(target_family = "wasm")]
mod bindings {
    #![expect(unsafe_code, reason = "generated from the WIT")]

    wit_bindgen::generate!({ path: "../wit", world: "connector" });

    export!(Component);

    use super::contract::Component;
}
