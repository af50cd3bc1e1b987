//! A file whose touch voids all results: for signatures that no scanner's version shows.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::stat;
use rustix::io::Errno;

use crate::fingerprint::Fingerprint;
use crate::identity::Identity;
use crate::privilege::Privilege;

/// How often the file is looked at, at most.
const EVERY: Duration = Duration::from_secs(1);

/// The file, and how often it has changed.
pub(crate) struct Epoch {
    file: Option<PathBuf>,
    looked: Cell<Option<Instant>>,
    /// None while there is no such file.
    state: Cell<Option<Identity>>,
    changes: Cell<u64>,
}

impl Epoch {
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self { file, looked: Cell::new(None), state: Cell::new(None), changes: Cell::new(0) }
    }

    /// How often it has changed since the first look.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// The state in which it was last seen: the same in all processes, and after a reboot.
    pub(crate) fn stamp(&self, all: Fingerprint) -> Fingerprint {
        match self.state.get() {
            None => all.bytes(b""),
            Some(Identity { key, size: _, mtime, ctime }) => {
                all.bytes(&key.ino.to_le_bytes()).bytes(&mtime.0.to_le_bytes()).bytes(&ctime.0.to_le_bytes())
            }
        }
    }

    /// Looks at the file, unless it has done so a moment ago. The file, if it has changed.
    pub(crate) fn look(&self, now: Instant, privilege: &dyn Privilege) -> Option<&PathBuf> {
        let file = self.file.as_ref()?;
        let last = self.looked.get();
        if last.is_some_and(|last| now.saturating_duration_since(last) < EVERY) {
            return None;
        }
        self.looked.set(Some(now));
        let state = match stat(file) {
            // The directory is root's.
            Err(Errno::ACCESS) => privilege.raised(|| stat(file)),
            other => other,
        };
        let state = state.ok().map(|stat| Identity::of(&stat));
        let has_changed = self.state.replace(state) != state && last.is_some();
        if !has_changed {
            return None;
        }
        self.changes.set(self.changes.get() + 1);
        Some(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::AsIs;

    #[test]
    fn every_touch_counts_but_not_the_first_look() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("epoch");
        let epoch = Epoch::new(Some(file.clone()));
        let mut now = Instant::now();
        assert_eq!(epoch.look(now, &AsIs), None);
        std::fs::write(&file, "").unwrap();
        assert_eq!(epoch.look(now + EVERY / 2, &AsIs), None, "not yet");
        for changes in 1..=3 {
            now += EVERY;
            assert_eq!(epoch.look(now, &AsIs), Some(&file));
            assert_eq!(epoch.changes(), changes);
            let later = std::time::SystemTime::now() + Duration::from_secs(changes);
            std::fs::File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
        }
    }

    #[test]
    fn without_a_file_nothing_changes() {
        let epoch = Epoch::new(None);
        assert_eq!((epoch.look(Instant::now(), &AsIs), epoch.changes()), (None, 0));
    }
}
