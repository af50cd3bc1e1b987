//! Restore: a file leaves quarantine for its place, as it was.
//!
//! The inverse of `quarantine.rs`, and the same promise: the file leaves quarantine only by the step that puts it into its
//! place, or after its copy is there for good; its record goes last. Nothing is ever replaced, and no directory is made.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown, flistxattr,
    fremovexattr, fsetxattr, fstat, fsync, futimens, linkat, openat, unlinkat,
};
use rustix::io::{Errno, pread};

use super::entry::open_directory;
use super::moves::{hidden_name, release};
use super::store::{errno_of, record_name};
use super::{ActionError, Quarantine, Record, RestoreTrouble, Step, Steps, Straight, Timestamp};

/// Bytes per read of a copy.
const BLOCK: usize = 64 * 1024;

/// Longest list of names of a file's extended attributes on Linux, in bytes.
const XATTR_MAX: usize = 65536;

/// The system's own label, which belongs to the place and not to the file.
const LABEL: &[u8] = b"security.selinux";

impl Quarantine {
    /// Puts a file back as its record describes it: content, owner, permissions, extended attributes with all access
    /// control lists, times. `to` is its whole path; None: where it was.
    pub fn restore(&self, id: &OsStr, record: &Record, to: Option<&Path>) -> Result<PathBuf, ActionError> {
        self.restore_in_steps(id, record, to, &Straight)
    }

    pub(super) fn restore_in_steps(
        &self,
        id: &OsStr,
        record: &Record,
        to: Option<&Path>,
        steps: &dyn Steps,
    ) -> Result<PathBuf, ActionError> {
        let place = Place::find(to.unwrap_or_else(|| Path::new(OsStr::from_bytes(record.path.as_bytes()))))?;
        let file = self.open_file(id)?;
        let stat = fstat(&file).map_err(ActionError::NoFacts)?;
        if u64::try_from(stat.st_size) != Ok(record.size) {
            return Err(place.trouble(RestoreTrouble::OtherContent));
        }
        steps.reached(Step::Located, id);
        let work = Restore { quarantine: self, id, record, file, place, steps };
        work.run()?;
        remove_note(record, steps);
        Ok(work.place.path)
    }
}

/// Removes the note that said where the file was. It is beside the file's first place.
fn remove_note(record: &Record, steps: &dyn Steps) {
    let path = Path::new(OsStr::from_bytes(record.path.as_bytes()));
    if let (Some(note), Some(directory)) = (&record.note, path.parent())
        && let Ok(dir) = open_directory(directory)
    {
        note.remove(dir.as_fd(), steps);
    }
}

/// Where a file goes: a name in a directory that is held open.
struct Place {
    dir: OwnedFd,
    name: OsString,
    path: PathBuf,
}

impl Place {
    fn find(path: &Path) -> Result<Self, ActionError> {
        let trouble = |trouble| ActionError::Restore { path: path.to_owned(), trouble };
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(trouble(RestoreTrouble::System("find", Errno::INVAL)));
        };
        let dir = open_directory(directory).map_err(|errno| {
            trouble(match errno {
                Errno::NOENT => RestoreTrouble::NoDirectory,
                Errno::NOTDIR | Errno::LOOP => RestoreTrouble::LinkOnTheWay,
                errno => RestoreTrouble::System("reach the directory of", errno),
            })
        })?;
        Ok(Self { dir, name: name.to_owned(), path: path.to_owned() })
    }

    fn at(&self) -> (BorrowedFd<'_>, &OsStr) {
        (self.dir.as_fd(), &self.name)
    }

    fn trouble(&self, trouble: RestoreTrouble) -> ActionError {
        ActionError::Restore { path: self.path.clone(), trouble }
    }

    fn failed(&self, doing: &'static str, errno: Errno) -> ActionError {
        self.trouble(if errno == Errno::EXIST {
            RestoreTrouble::Taken
        } else {
            RestoreTrouble::System(doing, errno)
        })
    }

    /// Makes the name safe from a power failure. The directory is held by `O_PATH`, which cannot be synced.
    fn sync(&self) -> rustix::io::Result<()> {
        fsync(openat(&self.dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }
}

/// One file's way back.
struct Restore<'a> {
    quarantine: &'a Quarantine,
    id: &'a OsStr,
    record: &'a Record,
    file: File,
    place: Place,
    steps: &'a dyn Steps,
}

impl Restore<'_> {
    fn run(&self) -> Result<(), ActionError> {
        // In quarantine nobody else reaches the file: it can become what it was before it is seen.
        let same_filesystem = self.is_on_the_same_filesystem();
        if same_filesystem {
            self.give_attributes(self.file.as_fd())?;
            self.steps.reached(Step::Attributed, self.id);
        }
        let moved = match same_filesystem {
            true => release(self.steps, self.quarantine.store.at(self.id), self.place.at()),
            false => Err(Errno::XDEV),
        };
        match moved {
            Ok(()) => {
                self.steps.reached(Step::Placed, self.id);
                // The file is there. That the disk does not confirm it is no reason to take it back.
                let _ = self.place.sync();
            }
            Err(Errno::XDEV) => {
                self.copy_out()?;
                self.steps.reached(Step::Placed, self.id);
                // A copy that the disk does not confirm is no reason to remove the file.
                self.place.sync().map_err(|errno| self.place.failed("confirm", errno))?;
                self.quarantine.remove(self.id)?;
            }
            Err(errno) => return Err(self.place.failed("move to", errno)),
        }
        self.steps.reached(Step::Emptied, self.id);
        self.quarantine.remove(&record_name(self.id))?;
        let _ = self.quarantine.store.sync();
        self.steps.reached(Step::Finished, self.id);
        Ok(())
    }

    fn is_on_the_same_filesystem(&self) -> bool {
        matches!((fstat(&self.file), fstat(&self.place.dir)), (Ok(file), Ok(dir)) if file.st_dev == dir.st_dev)
    }

    /// A copy that nobody sees before it is complete.
    fn copy_out(&self) -> Result<(), ActionError> {
        let draft = Draft::new(&self.place).map_err(|errno| self.place.failed("write to", errno))?;
        self.steps.reached(Step::CopyCreated, self.id);
        self.copy(&draft.file)?;
        self.give_attributes(draft.file.as_fd())?;
        fsync(&draft.file).map_err(|errno| self.place.failed("write to", errno))?;
        self.steps.reached(Step::CopyWritten, self.id);
        draft.appear(self.steps).map_err(|errno| self.place.failed("give its name to", errno))
    }

    fn copy(&self, copy: &File) -> Result<(), ActionError> {
        let written =
            |done: std::io::Result<()>| done.map_err(|error| self.place.failed("write to", errno_of(&error)));
        let mut block = vec![0; BLOCK];
        let mut offset = 0;
        while offset < self.record.size {
            let read = match pread(&self.file, &mut block[..], offset) {
                Err(Errno::INTR) => continue,
                read => read.map_err(|errno| self.quarantine.trouble("read", self.id, errno))?,
            };
            if read == 0 {
                return Err(self.place.trouble(RestoreTrouble::OtherContent));
            }
            // What is all zeros stays a hole.
            if block[..read].iter().any(|&byte| byte != 0) {
                written(copy.write_all_at(&block[..read], offset))?;
            }
            offset += read as u64;
        }
        written(copy.set_len(self.record.size))
    }

    /// Owner, extended attributes, permissions, times: each may change those before it.
    fn give_attributes(&self, file: BorrowedFd<'_>) -> Result<(), ActionError> {
        let record = self.record;
        let failed = |doing| move |errno| self.place.failed(doing, errno);
        fchown(file, Some(Uid::from_raw(record.uid)), Some(Gid::from_raw(record.gid)))
            .map_err(failed("give its owner to"))?;
        self.give_xattrs(file)?;
        // With an access control list, the group's bits are those of its mask, in the record as well.
        fchmod(file, Mode::from_raw_mode(record.mode & 0o7777)).map_err(failed("give its permissions to"))?;
        let times =
            Timestamps { last_access: timespec(record.atime), last_modification: timespec(record.mtime) };
        futimens(file, &times).map_err(failed("give its times to"))
    }

    fn give_xattrs(&self, file: BorrowedFd<'_>) -> Result<(), ActionError> {
        let failed = |name: &[u8], errno| {
            let name = OsStr::from_bytes(name).to_owned();
            self.place.trouble(RestoreTrouble::Attribute { name, errno })
        };
        for name in names_of_xattrs(file).map_err(|errno| failed(b"*", errno))? {
            let is_wanted = self.record.xattrs.iter().any(|xattr| xattr.name.as_bytes() == name);
            if is_wanted || name == LABEL {
                continue;
            }
            // What the directory has given to a new file.
            match fremovexattr(file, name.as_slice()) {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(errno) => return Err(failed(&name, errno)),
            }
        }
        for xattr in &self.record.xattrs {
            let name = xattr.name.as_bytes();
            match fsetxattr(file, name, xattr.value.as_bytes(), XattrFlags::empty()) {
                Err(Errno::NOTSUP | Errno::PERM | Errno::ACCESS) if name == LABEL => {}
                set => set.map_err(|errno| failed(name, errno))?,
            }
        }
        Ok(())
    }
}

fn names_of_xattrs(file: BorrowedFd<'_>) -> rustix::io::Result<Vec<Vec<u8>>> {
    let mut names = vec![0; XATTR_MAX];
    let length = match flistxattr(file, &mut names[..]) {
        // A filesystem without them.
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        listed => listed?,
    };
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(<[u8]>::to_vec).collect())
}

fn timespec(time: Timestamp) -> Timespec {
    Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() }
}

/// A file in the making. It has no name, and is gone if the process is; where the filesystem has no such files, it has
/// one of ours.
struct Draft<'a> {
    file: File,
    place: &'a Place,
    hidden: Option<OsString>,
}

impl<'a> Draft<'a> {
    fn new(place: &'a Place) -> rustix::io::Result<Self> {
        let (flags, mode) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
        match openat(&place.dir, ".", flags | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(Self { file: file.into(), place, hidden: None }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                let name = hidden_name()?;
                let file = openat(
                    &place.dir,
                    &name,
                    flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW,
                    mode,
                )?;
                Ok(Self { file: file.into(), place, hidden: Some(name) })
            }
            Err(errno) => Err(errno),
        }
    }

    /// Gives it its name, if that is free.
    fn appear(mut self, steps: &dyn Steps) -> rustix::io::Result<()> {
        match &self.hidden {
            None => {
                let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                let (dir, name) = self.place.at();
                linkat(CWD, unnamed, dir, name, AtFlags::SYMLINK_FOLLOW)
            }
            Some(hidden) => {
                release(steps, (self.place.dir.as_fd(), hidden), self.place.at())?;
                self.hidden = None;
                Ok(())
            }
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            // What cannot be removed is left: only root can read it.
            let _ = unlinkat(&self.place.dir, hidden, AtFlags::empty());
        }
    }
}
