//! Where an open file is: its directory, held open, and its name there.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat, open, openat, readlink, statat};
use rustix::io::Errno;

use super::{ActionError, Job, Step};
use crate::identity::{FileKey, Identity};

/// A name in a directory that cannot be swapped, because it is held open.
pub(super) struct Entry {
    /// Held by `O_PATH`.
    pub(super) dir: OwnedFd,
    /// For messages and the record only.
    pub(super) directory: PathBuf,
    pub(super) name: OsString,
}

impl Entry {
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// This name, as the system calls take it.
    pub(super) fn at(&self) -> (BorrowedFd<'_>, &OsStr) {
        (self.dir.as_fd(), &self.name)
    }

    /// `None` if the path does not lead to that file, by way of directories only.
    fn find(path: &Path, key: FileKey) -> rustix::io::Result<Option<Self>> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let found = open_directory(directory).and_then(|dir| {
            let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let entry = Self { dir, directory: directory.to_owned(), name: name.to_owned() };
            Ok((Identity::of(&stat).key == key).then_some(entry))
        });
        match found {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            found => found,
        }
    }
}

/// What became of the name under which a file was opened.
pub(super) enum Located {
    /// It leads to the file.
    At(Entry),
    /// It was removed. Hard links may be left, and nobody can say where.
    Gone { other_names: u64 },
}

impl Job<'_> {
    /// Asks the kernel under which name the file is open, and makes sure that this name leads to it.
    pub(super) fn locate(&self) -> Result<Located, ActionError> {
        let file = self.infected.file;
        let links = links(&fstat(file).map_err(ActionError::NoFacts)?);
        if links == 0 {
            return Ok(Located::Gone { other_names: 0 });
        }
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        let path = readlink(link, Vec::new()).map_err(ActionError::NoPath)?;
        let path = PathBuf::from(OsString::from_vec(path.into_bytes()));
        self.steps.reached(Step::PathRead, path.as_os_str());
        match Entry::find(&path, self.infected.identity.key) {
            Ok(Some(entry)) => return Ok(Located::At(entry)),
            Ok(None) => {}
            Err(errno) => return Err(ActionError::Source { doing: "reach", path, errno }),
        }
        // A file may really be called that; then its entry was found above.
        if path.as_os_str().as_bytes().ends_with(b" (deleted)") {
            return Ok(Located::Gone { other_names: links });
        }
        Err(ActionError::Elsewhere { path })
    }

    /// The last look before anything is touched: the verdict is about this state of the file and no other.
    pub(super) fn unchanged(&self, entry: &Entry) -> Result<Stat, ActionError> {
        let stat = fstat(self.infected.file).map_err(ActionError::NoFacts)?;
        if Identity::of(&stat) != self.infected.identity {
            return Err(ActionError::Changed { path: entry.path() });
        }
        self.steps.reached(Step::Checked, &entry.name);
        Ok(stat)
    }
}

pub(super) fn leads_to(at: (BorrowedFd<'_>, &OsStr), key: FileKey) -> bool {
    statat(at.0, at.1, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| Identity::of(&stat).key == key)
}

/// How many names the file has.
// The type of the field differs between platforms.
#[allow(clippy::useless_conversion)]
pub(super) fn links(stat: &Stat) -> u64 {
    u64::from(stat.st_nlink)
}

/// How many names are left when one is taken away.
pub(super) fn other_names(stat: &Stat) -> u64 {
    links(stat).saturating_sub(1)
}

/// Opens a directory by its canonical path. The kernel gave that path, so a symbolic link on the way was put there
/// since, and is refused. One step per component does the same on every kernel, with or without `openat2`.
pub(super) fn open_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    if !path.is_absolute() {
        return Err(Errno::NOENT);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut dir = open("/", flags, Mode::empty())?;
    for component in path.components() {
        if let Component::Normal(name) = component {
            dir = openat(&dir, name, flags, Mode::empty())?;
        }
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_a_directory_by_its_canonical_path() {
        let temp = tempfile::tempdir().unwrap();
        let real = temp.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("a/b")).unwrap();
        assert!(open_directory(&real.join("a/b")).is_ok());
    }

    #[test]
    fn refuses_a_symbolic_link_anywhere_on_the_way() {
        let temp = tempfile::tempdir().unwrap();
        let real = temp.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("a/b")).unwrap();
        std::os::unix::fs::symlink(real.join("a"), real.join("link")).unwrap();
        assert!(open_directory(&real.join("link")).is_err());
        assert!(open_directory(&real.join("link/b")).is_err());
    }

    #[test]
    fn refuses_a_path_that_the_process_cannot_reach() {
        assert!(open_directory(Path::new("(unreachable)/a")).is_err());
    }
}
