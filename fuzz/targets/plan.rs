//! A configuration as the connector gets it, in JSON: a plan that can be explained, or mistakes that have a place.
#![cfg_attr(fuzzing, no_main)]

use serde_json::Value;

pub(crate) fn run(data: &[u8]) {
    let Ok(config) = serde_json::from_slice::<Value>(data) else { return };
    match connector::dialect::plan(&config) {
        Ok((plan, _)) => drop(connector::explain::explain(&plan)),
        Err(mistakes) => assert!(!mistakes.is_empty()),
    }
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));
