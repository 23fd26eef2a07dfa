//! Folders for what nobody else may change: compiled code, locks, tokens.
//!
//! Must never be skipped for a folder whose files are believed: somebody else could have made it first.

use std::fs;
use std::io::{Error, Result};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

/// Makes the folder if it is not there, for this user alone.
///
/// Errors: it is not a folder, is somebody else's, or can be written to by others.
pub(crate) fn create(folder: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = fs::symlink_metadata(folder)?;
    if metadata.is_dir() && metadata.uid() == own_user() && metadata.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(Error::other(format!("{} can be changed by somebody else", folder.display())))
    }
}

/// Whether nobody else can put another folder in its place.
pub(crate) fn stays(folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    folder.ancestors().all(|ancestor| {
        fs::symlink_metadata(ancestor).is_ok_and(|metadata| {
            let is_trusted = metadata.uid() == 0 || metadata.uid() == own_user();
            let is_sticky = metadata.mode() & 0o1000 != 0;
            is_trusted && (metadata.mode() & 0o002 == 0 || is_sticky)
        })
    })
}

/// Who runs this.
fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn folders_of_others_are_refused() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("a/b");
        create(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert!(stays(&folder));
        std::os::unix::fs::symlink(&folder, base.path().join("link")).unwrap();
        assert!(create(&base.path().join("link")).is_err(), "somebody may have laid it");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(create(&folder).is_err());
        fs::set_permissions(base.path().join("a"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(!stays(&folder), "the folder above it can be changed");
    }
}
