//! What stands above a configuration that others wrote: a platform's rules for its tenants.

use serde_json::{Value, json};

use crate::config::Settings;
use crate::config::settings::Limits;

/// The default lets a configuration say what it likes, as its own operator's.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Only public addresses are dialled, whatever was granted: none of this machine, none of a private network.
    pub public_addresses_only: bool,
    /// The most that each limit may be.
    pub most: Option<Limits>,
}

impl Policy {
    /// Settings within the rules.
    pub(super) fn applied(&self, mut settings: Settings) -> Settings {
        if let Some(most) = &self.most {
            settings.limits = lowered(&settings.limits, most);
        }
        settings
    }
}

/// The lower of each. A limit that is not set is higher than any.
fn lowered(limits: &Limits, most: &Limits) -> Limits {
    let (mut lowered, most) = (json!(limits), json!(most));
    let pairs = lowered.as_object_mut().into_iter().flatten();
    for (name, limit) in pairs {
        let Some(ceiling) = most.get(name).and_then(Value::as_f64) else { continue };
        if limit.as_f64().is_none_or(|limit| limit > ceiling) {
            limit.clone_from(&most[name.as_str()]);
        }
    }
    serde_json::from_value(lowered).unwrap_or_else(|_| limits.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_above_its_ceiling() {
        let (mut written, mut most) = (Limits::default(), Limits::default());
        (written.requests, written.page_secs, written.run_secs) = (u64::MAX, 1.5, None);
        (most.requests, most.page_secs, most.run_secs) = (1000, 20.0, Some(60.0));
        let policy = Policy { most: Some(most), ..Policy::default() };
        let limits = policy.applied(Settings { limits: written, ..Settings::default() }).limits;
        assert_eq!((limits.requests, limits.page_secs, limits.run_secs), (1000, 1.5, Some(60.0)));
    }
}
