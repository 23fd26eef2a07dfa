//! The state that a destination gives back: what is understood is kept as it was.
#![cfg_attr(fuzzing, no_main)]

use airlock_host::state::State;

pub(crate) fn run(data: &[u8]) {
    let Ok(mut state) = serde_json::from_slice::<State>(data) else { return };
    let text = serde_json::to_string(&state).expect("a state can be written");
    assert_eq!(serde_json::from_str::<State>(&text).ok().as_ref(), Some(&state));
    state.next_number();
    state.of_partition("tasks", "all");
    state.forget_foreign_run("0123");
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));
