//! What is in quarantine, for the administrator.

use std::path::Path;

use super::ActionError;
use super::store::Store;

/// A quarantine directory that is there.
pub struct Quarantine {
    store: Store,
}

impl Quarantine {
    /// Opens the configured directory, or the private one inside it. None if nothing was ever put there.
    pub fn open(configured: &Path) -> Result<Option<Self>, ActionError> {
        Ok(Store::find(configured)?.map(|store| Self { store }))
    }

    /// Where the files are.
    pub fn path(&self) -> &Path {
        &self.store.path
    }
}
