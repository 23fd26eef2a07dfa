//! Where secrets go: shown before anything is sent, and kept by a lock.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::secret_binding::Binding;
use crate::sandbox::{GrantRequest, printable};

/// By secret: each way that it goes, or that it would be refused.
pub type Ways = BTreeMap<String, BTreeSet<String>>;

/// `grants`: what the connector asks for; `bindings`: where each secret may go.
pub fn ways_of_secrets(grants: &[GrantRequest], bindings: &BTreeMap<String, Binding>) -> Ways {
    let mut ways = Ways::new();
    for grant in grants {
        for travel in grant.credentials.iter().flat_map(|credential| credential.travels(&grant.origin)) {
            let refused =
                if travel.is_within(bindings.get(&travel.secret)) { "" } else { ": REFUSED, it does not belong there" };
            ways.entry(travel.secret.clone()).or_default().insert(format!("{}{refused}", travel.shown()));
        }
    }
    for (secret, binding) in bindings {
        let elsewhere =
            || binding.origins().into_iter().map(|origin| format!("at {origin} where the configuration has it"));
        ways.entry(secret.clone()).or_insert_with(|| elsewhere().collect());
    }
    ways
}

/// A line for each.
pub fn shown(ways: &Ways) -> impl Iterator<Item = String> {
    ways.iter().flat_map(|(secret, ways)| ways.iter().map(move |way| format!("{}: {way}", printable(secret))))
}
