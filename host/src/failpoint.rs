//! Named places at which a test lets the process die, as if it were killed there.
//!
//! `AIRLOCK_FAILPOINT=destination.before_commit:3` aborts the process when it comes to that place for the third time. Unset,
//! a failpoint costs one comparison. Must never do anything else.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

struct Armed {
    name: String,
    left: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

pub fn hit(name: &str) {
    let Some(armed) = ARMED.get_or_init(armed) else { return };
    if armed.name == name && armed.left.fetch_sub(1, Ordering::SeqCst) == 1 {
        std::process::abort();
    }
}

fn armed() -> Option<Armed> {
    #[expect(clippy::disallowed_methods, reason = "set by tests only, before the process starts")]
    let text = std::env::var("AIRLOCK_FAILPOINT").ok()?;
    let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
    Some(Armed { name: name.to_owned(), left: AtomicU64::new(count.parse().ok()?) })
}
