//! What a scanner leaves beside a private copy instead of an answer.
//!
//! The directory is open from the beginning, so that to look into it again and again takes no rights.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::io::Errno;

/// Between two looks: at first, and when the scanner takes its time.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The files whose names have that of a copy in them.
pub(super) struct Marks {
    directory: Dir,
    copy: Vec<u8>,
    /// What was there at the last look.
    told: Vec<Vec<u8>>,
    pause: Duration,
}

impl Marks {
    /// Beside this copy, which has a name that nobody can have guessed.
    pub(super) fn of(copy: &Path) -> Result<Self, Errno> {
        let directory = copy.parent().ok_or(Errno::NOTDIR)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = Dir::new(open(directory, flags, Mode::empty())?)?;
        let copy = copy.file_name().map(OsStr::as_bytes).unwrap_or_default().to_vec();
        Ok(Self { directory, told: vec![copy.clone()], copy, pause: SHORTEST_PAUSE })
    }

    /// The names of all, if they are other ones than at the last look: with a line feed behind each and behind the last of
    /// them. That of the copy is among them while it is unchanged.
    pub(super) fn look(&mut self, is_unchanged: bool) -> Result<Option<Vec<u8>>, Errno> {
        let mut names = self.names()?;
        names.retain(|name| is_unchanged || *name != self.copy);
        if names == self.told {
            return Ok(None);
        }
        let mut listing = names.join(&b'\n');
        listing.extend_from_slice(if names.is_empty() { b"\n" } else { b"\n\n" });
        self.told = names;
        Ok(Some(listing))
    }

    /// How long to wait before the next look.
    pub(super) fn next_pause(&mut self) -> Duration {
        let next = (self.pause * 2).min(LONGEST_PAUSE);
        std::mem::replace(&mut self.pause, next)
    }

    /// All of them, the copy as well; of a directory that can no longer be read, none.
    pub(super) fn paths(&mut self, directory: &Path) -> Vec<PathBuf> {
        let names = self.names().unwrap_or_default();
        names.iter().map(|name| directory.join(OsStr::from_bytes(name))).collect()
    }

    fn names(&mut self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut names = Vec::new();
        self.directory.rewind();
        for entry in &mut self.directory {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name.windows(self.copy.len().max(1)).any(|part| part == self.copy) {
                names.push(name.to_vec());
            }
        }
        names.sort();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn tells_the_names_with_that_of_the_copy_whenever_they_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let plant = |names: &[&str]| names.iter().for_each(|name| fs::write(path(name), "").unwrap());
        plant(&["vscan-1", "vscan-2", ".scanned:vscan-2"]);
        let mut marks = Marks::of(&path("vscan-1")).unwrap();
        let mut look = |is_unchanged| {
            let told = marks.look(is_unchanged).unwrap();
            told.map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(look(true), None);
        plant(&[".scanned:vscan-1", "vscan-1.txt"]);
        assert_eq!(look(true).as_deref(), Some(".scanned:vscan-1\nvscan-1\nvscan-1.txt\n\n"));
        assert_eq!(look(true), None);
        assert_eq!(look(false).as_deref(), Some(".scanned:vscan-1\nvscan-1.txt\n\n"));
        for gone in ["vscan-1", "vscan-1.txt", ".scanned:vscan-1"] {
            fs::remove_file(path(gone)).unwrap();
        }
        assert_eq!(look(true).as_deref(), Some("\n"));
    }

    #[test]
    fn the_pause_grows_to_its_limit() {
        let mut marks = Marks::of(Path::new("/tmp/vscan-none")).unwrap();
        let pauses: Vec<u128> = (0..8).map(|_| marks.next_pause().as_millis()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 50, 50]);
    }
}
