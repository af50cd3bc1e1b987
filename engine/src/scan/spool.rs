//! Private copies, for scanners that are told a path and cannot see the file at it.
//!
//! A copy belongs to root and to the directory's group, which may read it: the administrator gives the directory to the
//! scanner's group. It is locked (flock) for as long as it is needed, so that a copy without a lock is one that a
//! killed smbd has left behind.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, Gid, Mode, OFlags, fchmod, fchown, flock, fstat, open};
use rustix::io::{Errno, pread};
use rustix::rand::{GetRandomFlags, getrandom};

use super::marks::Marks;
use crate::identity::Identity;
use crate::privilege::Privilege;

/// How the names of copies begin. Behind it, they have so many hexadecimal digits.
const PREFIX: &[u8] = b"vscan-";
const DIGITS: usize = 16;

/// A younger copy may be one that is about to be locked.
const YOUNG: Duration = Duration::from_secs(60);

/// What is copied at once: as much as a stream sends at once.
const PIECE: usize = 64 * 1024;
const PIECES_AT_ONCE: usize = 4;

/// A copy of a file; gone when it is dropped.
pub struct Spooled {
    path: PathBuf,
    copy: OwnedFd,
    next: u64,
    /// What it was when all had been copied.
    complete: Option<Identity>,
    /// For a scanner that answers by what it leaves beside the copy.
    marks: Option<Marks>,
    privilege: Rc<dyn Privilege>,
}

/// How far a copy is.
pub(super) enum Copied {
    All,
    Part,
}

impl Spooled {
    /// An empty copy in this directory; the error is for people.
    pub fn create(directory: &Path, privilege: &Rc<dyn Privilege>) -> Result<Self, String> {
        let trouble = |why: &dyn std::fmt::Display| {
            format!("no copy for the scanner can be made in {} (spool directory): {why}", directory.display())
        };
        let (path, copy) =
            (**privilege).raised(|| create_file(directory)).map_err(|error| trouble(&error))?;
        Ok(Self { path, copy, next: 0, complete: None, marks: None, privilege: privilege.clone() })
    }

    /// The same for a scanner that leaves marks beside the copy. They are worth something only where nobody but root can make
    /// one, and where nobody else learns the copy's name: the scanner takes orders from others, too, and could be told to
    /// scan the copy before it is complete.
    pub fn create_for_marks(directory: &Path, privilege: &Rc<dyn Privilege>) -> Result<Self, String> {
        let mut spooled = Self::create(directory, privilege)?;
        let marks = (**privilege).raised(|| {
            let found = std::fs::symlink_metadata(directory).map_err(|error| error.to_string())?;
            if found.mode() & 0o077 != 0 {
                return Err("it must be root's alone, or marks in it could be forged (chmod 0700)".to_owned());
            }
            Marks::of(&spooled.path).map_err(|e| std::io::Error::from(e).to_string())
        });
        let trouble =
            |why| format!("marks in {} (spool directory) count for nothing: {why}", directory.display());
        spooled.marks = Some(marks.map_err(trouble)?);
        Ok(spooled)
    }

    /// What the scanner may leave beside the copy instead of speaking.
    pub(super) fn marks(&mut self) -> Option<&mut Marks> {
        self.marks.as_mut()
    }

    /// What it has left there since it was asked last.
    pub(super) fn look(&mut self) -> Option<Result<Option<Vec<u8>>, Errno>> {
        let marks = self.marks.as_mut()?;
        Some(fstat(&self.copy).and_then(|stat| marks.look(self.complete == Some(Identity::of(&stat)))))
    }

    /// Where it is.
    pub fn path(&self) -> &[u8] {
        self.path.as_os_str().as_bytes()
    }

    /// Copies a bounded piece more. The offset of the file's descriptor is neither used nor moved.
    pub(super) fn advance(&mut self, file: BorrowedFd<'_>) -> Result<Copied, Errno> {
        let mut piece = vec![0; PIECE];
        for _ in 0..PIECES_AT_ONCE {
            let count = rustix::io::retry_on_intr(|| pread(file, &mut piece[..], self.next))?;
            let mut left = piece.get(..count).unwrap_or_default();
            if left.is_empty() {
                self.complete = Some(Identity::of(&fstat(&self.copy)?));
                return Ok(Copied::All);
            }
            while !left.is_empty() {
                let written = rustix::io::retry_on_intr(|| rustix::io::write(&self.copy, left))?;
                left = left.get(written..).unwrap_or_default();
            }
            self.next += count as u64;
        }
        Ok(Copied::Part)
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // What cannot be removed now is swept away later.
        let _ = (*self.privilege).raised(|| {
            if let (Some(marks), Some(directory)) = (&mut self.marks, self.path.parent()) {
                marks.paths(directory).iter().for_each(|path| drop(std::fs::remove_file(path)));
            }
            std::fs::remove_file(&self.path)
        });
    }
}

fn create_file(directory: &Path) -> Result<(PathBuf, OwnedFd), String> {
    let group = trusted_group(directory)?;
    let mut random = [0; 8];
    getrandom(&mut random, GetRandomFlags::empty()).map_err(|e| std::io::Error::from(e).to_string())?;
    let digits = format!("{:0DIGITS$x}", u64::from_ne_bytes(random));
    let path = directory.join(OsStr::from_bytes(&[PREFIX, digits.as_bytes()].concat()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let make = || -> rustix::io::Result<OwnedFd> {
        let copy = open(&path, flags, Mode::RUSR | Mode::WUSR)?;
        flock(&copy, FlockOperation::NonBlockingLockExclusive)?;
        fchown(&copy, None, Some(Gid::from_raw(group)))?;
        fchmod(&copy, Mode::RUSR | Mode::WUSR | Mode::RGRP)?;
        Ok(copy)
    };
    let copy = make().map_err(|e| {
        let _ = std::fs::remove_file(&path);
        std::io::Error::from(e).to_string()
    })?;
    Ok((path, copy))
}

/// Whether copies can be made in this directory; the error says why not.
pub fn check(directory: &Path) -> Result<(), String> {
    trusted_group(directory).map(drop)
}

/// The group that the directory is for. Whoever else could write there could give the scanner another file.
fn trusted_group(directory: &Path) -> Result<u32, String> {
    let found = std::fs::symlink_metadata(directory).map_err(|error| error.to_string())?;
    if !found.is_dir() {
        return Err("it is no directory".to_owned());
    }
    if found.uid() != 0 || found.mode() & 0o022 != 0 {
        return Err("it must belong to root, and nobody else may write there (chmod 2750)".to_owned());
    }
    Ok(found.gid())
}

/// Removes copies that nobody needs any more, and what scanners have left beside them.
pub fn sweep(directory: &Path, now: SystemTime) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if names_copy(entry.file_name().as_bytes()) && is_left_over(&entry.path(), now) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Whether the name of a copy is a part of this one.
fn names_copy(name: &[u8]) -> bool {
    name.windows(PREFIX.len() + DIGITS)
        .any(|part| part.strip_prefix(PREFIX).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

fn is_left_over(path: &Path, now: SystemTime) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(copy) = open(path, flags, Mode::empty()).map(File::from) else { return false };
    let age = copy.metadata().and_then(|found| found.modified()).map(|then| now.duration_since(then));
    matches!(age, Ok(Ok(age)) if age >= YOUNG)
        && flock(&copy, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::privilege::AsIs;

    fn as_is() -> Rc<dyn Privilege> {
        Rc::new(AsIs)
    }

    #[test]
    fn a_copy_is_made_in_pieces_and_gone_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), None, Some(1234)).unwrap();
        let original = folder.path().join("original");
        let content: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        fs::write(&original, &content).unwrap();
        let file = fs::File::open(&original).unwrap();
        let mut copy = Spooled::create(folder.path(), &as_is()).unwrap();
        let path = PathBuf::from(OsStr::from_bytes(copy.path()));
        let mut turns = 1;
        while let Copied::Part = copy.advance(file.as_fd()).unwrap() {
            turns += 1;
        }
        assert_eq!((fs::read(&path).unwrap(), turns), (content, 5));
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o640, 0, 1234));
        drop(copy);
        assert!(!path.exists());
    }

    #[test]
    fn no_copy_is_made_where_others_could_swap_it() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o770, 0o777, 0o1777] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            let wrong = Spooled::create(folder.path(), &as_is()).err().unwrap();
            assert!(wrong.contains("must belong to root") && wrong.contains("spool directory"), "{wrong}");
        }
        assert!(
            Spooled::create(&folder.path().join("none"), &as_is()).err().unwrap().contains("No such file")
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn marks_count_only_where_nobody_but_root_looks_in_and_go_with_the_copy() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o750, 0o701, 0o704] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            let wrong = Spooled::create_for_marks(folder.path(), &as_is()).err().unwrap();
            assert!(wrong.contains("chmod 0700") && wrong.contains("spool directory"), "{wrong}");
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let mut spooled = Spooled::create_for_marks(folder.path(), &as_is()).unwrap();
        while let Copied::Part = spooled.advance(fs::File::open("/dev/null").unwrap().as_fd()).unwrap() {}
        assert_eq!(spooled.look(), Some(Ok(None)));
        let name = spooled.path.file_name().unwrap().to_str().unwrap().to_owned();
        fs::write(folder.path().join(format!(".scanned:{name}")), "").unwrap();
        let told =
            |spooled: &mut Spooled| String::from_utf8(spooled.look().unwrap().unwrap().unwrap()).unwrap();
        assert_eq!(told(&mut spooled), format!(".scanned:{name}\n{name}\n\n"));
        fs::write(&spooled.path, "another file").unwrap();
        assert_eq!(told(&mut spooled), format!(".scanned:{name}\n\n"));
        drop(spooled);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_old_copies_that_nobody_holds_are_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let held = Spooled::create(folder.path(), &as_is()).unwrap();
        let path = |name| folder.path().join(name);
        fs::write(path("vscan-0123456789abcdef"), "left over").unwrap();
        fs::write(path(".virus:vscan-0123456789abcdef.txt"), "of a late scanner").unwrap();
        fs::write(path("somebody's"), "not ours").unwrap();
        fs::write(path("vscan-notes-of-somebody"), "not ours").unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().count();
        sweep(folder.path(), SystemTime::now());
        assert_eq!(names(), 5, "all are young");
        sweep(folder.path(), SystemTime::now() + YOUNG * 2);
        assert_eq!(names(), 3);
        assert!(path("somebody's").exists() && path("vscan-notes-of-somebody").exists());
        assert!(Path::new(OsStr::from_bytes(held.path())).exists());
    }
}
