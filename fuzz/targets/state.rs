//! The state that a destination gives back: what is understood is kept as it was, and any run can begin with it.
#![cfg_attr(fuzzing, no_main)]

use airlock_host::mode::RunMode;
use airlock_host::schema::{StreamSpec, WriteDisposition};
use airlock_host::state::{Names, State};
use airlock_host::streams::Streams;

pub(crate) fn run(data: &[u8]) {
    let Ok(state) = serde_json::from_slice::<State>(data) else { return };
    let text = serde_json::to_string(&state).expect("a state can be written");
    assert_eq!(serde_json::from_str::<State>(&text).ok().as_ref(), Some(&state));
    state.position("tasks", "tasks", "all");
    let stream = |name: &str, parent: Option<&str>| StreamSpec {
        name: name.to_owned(),
        parent: parent.map(str::to_owned),
        selected: true,
        primary_key: Vec::new(),
        merge_key: Vec::new(),
        cursor_field: None,
        write_disposition: WriteDisposition::Append,
        hints: serde_json::Map::new(),
    };
    let streams = Streams::new([stream("posts", None), stream("comments", Some("posts")), stream("tasks", None)]);
    let consumers: Names = ["posts", "comments"].map(str::to_owned).into();
    let beginning = RunMode { consumers, full_refresh: false }.begin(state, &streams, "0123");
    for pass in beginning.passes {
        let mut state = beginning.state.clone();
        let finished = state.passes.remove(&pass).expect("a pass that begins is there");
        state.finish(finished);
    }
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));
