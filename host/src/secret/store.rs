//! Secrets that a program holds or fetches itself: a platform's vault.

use futures::future::BoxFuture;

use super::SecretString;
use crate::error::Result;

/// Asked for each secret that a configuration names and that has no other source.
pub trait SecretStore: Send + Sync {
    /// None: there is no secret of this name.
    ///
    /// Errors: whatever keeps the secret from being there in time; the connection is not opened then.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretString>>>;

    /// A server gave another refresh token in place of this secret, which is spent: from now on `get` has to give the new one.
    /// Without a store, the host keeps it in a file that only this user can read.
    ///
    /// Errors: it can't be kept; the run goes on with it, and warns.
    fn rotated<'a>(&'a self, name: &'a str, new: SecretString) -> BoxFuture<'a, Result<()>>;
}
