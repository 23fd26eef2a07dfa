//! Refresh tokens that a server rotated: who keeps the newest one for the next run.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::secret::{SecretStore, Secrets, rotated};

/// A file of this user, or a store.
pub(super) struct Rotation(Option<Store>);

struct Store {
    store: Arc<dyn SecretStore>,
    /// By name, as they were given.
    given: Vec<(String, SecretString)>,
}

impl Rotation {
    pub(super) fn new(secrets: &Secrets) -> Self {
        let given = || secrets.iter().map(|(name, secret)| (name.to_owned(), secret.clone())).collect();
        Self(secrets.store().map(|store| Store { store: store.clone(), given: given() }))
    }

    /// What an earlier run got in place of `given`. A store gives the newest one in the first place.
    pub(super) fn newest(&self, token_url: &str, given: &SecretString) -> Option<SecretString> {
        match &self.0 {
            Some(_) => None,
            None => rotated::find(token_url, given),
        }
    }

    /// Keeps the token that came in place of `given`.
    pub(super) async fn keep(&self, token_url: &str, given: &SecretString, new: &SecretString) {
        let kept = match &self.0 {
            None => rotated::keep(token_url, given, new).map_err(|error| error.to_string()),
            Some(Store { store, given: secrets }) => {
                let of = |(_, secret): &&(String, SecretString)| secret.expose_secret() == given.expose_secret();
                match secrets.iter().find(of) {
                    Some((name, _)) => store.rotated(name, new.clone()).await.map_err(|error| error.to_string()),
                    None => Err("it is made of several secrets".to_owned()),
                }
            }
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "the server's new refresh token can't be kept: the next run needs a fresh one");
        }
    }
}
