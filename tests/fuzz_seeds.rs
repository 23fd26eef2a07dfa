//! What fuzzing starts from, and what it once found, goes through the same functions in every test run. `make fuzz` looks
//! for more.

use std::panic::catch_unwind;
use std::path::Path;

#[path = "../fuzz/targets/config.rs"]
mod config;
#[path = "../fuzz/targets/link.rs"]
mod link;
#[path = "../fuzz/targets/plan.rs"]
mod plan;
#[path = "../fuzz/targets/records.rs"]
mod records;
#[path = "../fuzz/targets/selector.rs"]
mod selector;
#[path = "../fuzz/targets/state.rs"]
mod state;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 6] = [
    ("config", config::run),
    ("link", link::run),
    ("plan", plan::run),
    ("records", records::run),
    ("selector", selector::run),
    ("state", state::run),
];

#[test]
fn no_seed_panics() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    for (name, run) in TARGETS {
        let mut seeds = 0;
        for seed in std::fs::read_dir(root.join("seeds").join(name)).unwrap() {
            let path = seed.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            assert!(catch_unwind(|| run(&bytes)).is_ok(), "{} panics", path.display());
            seeds += 1;
        }
        assert!(seeds > 1, "{name} has no seeds");
    }
    let targets = std::fs::read_dir(root.join("targets")).unwrap().count();
    assert_eq!(targets, TARGETS.len(), "a target is not replayed");
}
