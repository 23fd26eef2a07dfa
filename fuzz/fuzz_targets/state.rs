//! State as a destination hands it back: read, or refused; what is read is written the same again.
#![no_main]

use airlock_host::state::State;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(state) = serde_json::from_slice::<State>(bytes) else { return };
    let text = serde_json::to_string(&state).expect("state is JSON");
    assert_eq!(serde_json::from_str::<State>(&text).expect("what was written is read"), state);
});
