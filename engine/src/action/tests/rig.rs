//! A share with an infected file, a quarantine, and filesystems to mount.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::fstat;
use rustix::io::Errno;

use super::super::*;

pub(super) const CONTENT: &[u8] = b"this stands for a virus";

/// A directory with `share` and, once it is used, `quarantine`.
pub(super) struct Rig {
    // Dropped first: nothing can be removed while it is mounted.
    mounts: Vec<Mount>,
    // Removed when it is dropped, except in a child process.
    _temp: Option<tempfile::TempDir>,
    root: PathBuf,
    pub(super) quarantine: PathBuf,
    pub(super) rename_prefix: String,
    pub(super) rename_suffix: String,
    pub(super) note: Option<Note<'static>>,
    pub(super) noted: Cell<Noted>,
}

impl Rig {
    pub(super) fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests must run as root, as smbd does");
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        fs::create_dir(root.join("share")).unwrap();
        Self { _temp: Some(temp), ..Self::around(root) }
    }

    /// Another process's rig.
    pub(super) fn around(root: PathBuf) -> Self {
        let quarantine = root.join("quarantine");
        let (rename_prefix, rename_suffix) = ("virus.".to_owned(), ".infected".to_owned());
        let (note, noted) = (None, Cell::new(Noted::NotNeeded));
        Self { mounts: Vec::new(), _temp: None, root, quarantine, rename_prefix, rename_suffix, note, noted }
    }

    /// With the quarantine on a filesystem of its own.
    pub(super) fn with_quarantine_on_tmpfs(options: &str) -> Self {
        let mut rig = Self::new();
        rig.mount_quarantine(options);
        rig
    }

    pub(super) fn mount_quarantine(&mut self, options: &str) {
        fs::create_dir_all(&self.quarantine).unwrap();
        self.mounts.push(Mount::tmpfs(&self.quarantine, options));
    }

    /// With the share, and all that is in it, on a filesystem of its own.
    pub(super) fn mount_share(&mut self, options: &str) {
        self.mounts.push(Mount::tmpfs(&self.path("share"), options));
    }

    pub(super) fn remount_share_read_only(&self) {
        mount(&["-o", "remount,ro", self.path("share").to_str().unwrap()]);
    }

    pub(super) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }

    pub(super) fn share(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path("share").join(name)
    }

    /// An infected file in the share, open as smbd would have it.
    pub(super) fn infect(&self, name: impl AsRef<Path>) -> Scanned {
        self.infect_with(name, CONTENT)
    }

    pub(super) fn infect_with(&self, name: impl AsRef<Path>, content: &[u8]) -> Scanned {
        let path = self.share(name);
        fs::write(&path, content).unwrap();
        Scanned::open(&path)
    }

    pub(super) fn act(&self, action: Action, scanned: &Scanned) -> Result<Done, ActionError> {
        self.act_in_steps(action, scanned, &Straight)
    }

    pub(super) fn act_in_steps(
        &self,
        action: Action,
        scanned: &Scanned,
        steps: &dyn Steps,
    ) -> Result<Done, ActionError> {
        let share = self.path("share");
        let find = Find {
            share: "docs",
            share_path: &share,
            user: "alice",
            client: "192.0.2.7",
            threat: "Test.Virus",
            scanner: "clamd",
        };
        let infected = Infected { file: scanned.file.as_fd(), identity: scanned.identity, find };
        let places = Places {
            quarantine_directory: &self.quarantine,
            quarantine_prefix: OsStr::new("vir-"),
            rename_prefix: OsStr::new(&self.rename_prefix),
            rename_suffix: OsStr::new(&self.rename_suffix),
        };
        let job =
            Job { infected: &infected, places: &places, note: self.note.as_ref(), noted: &self.noted, steps };
        job.run(action)
    }

    /// The only file in quarantine and its record, which must fit together.
    pub(super) fn quarantined(&self) -> (PathBuf, Record) {
        let names = names_in(&self.quarantine);
        assert_eq!(names.len(), 2, "one file and its record: {names:?}");
        let at = self.quarantine.join(&names[0]);
        let record = Record::from_json(&fs::read(with_json(&at)).unwrap()).unwrap();
        (at, record)
    }

    pub(super) fn assert_quarantine_empty(&self) {
        assert_eq!(names_in(&self.quarantine), Vec::<OsString>::new());
    }
}

pub(super) fn with_json(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".json");
    path.into()
}

/// Sorted.
pub(super) fn names_in(directory: &Path) -> Vec<OsString> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        entries => entries.unwrap(),
    };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// A file that a scanner has just found to be infected.
pub(super) struct Scanned {
    pub(super) file: File,
    pub(super) identity: Identity,
}

impl Scanned {
    pub(super) fn open(path: &Path) -> Self {
        let file = File::open(path).unwrap();
        Self { identity: Identity::of(&fstat(&file).unwrap()), file }
    }

    /// The identity is that of now.
    pub(super) fn rescan(&mut self) {
        self.identity = Identity::of(&fstat(&self.file).unwrap());
    }

    pub(super) fn is_at(&self, path: &Path) -> bool {
        rustix::fs::lstat(path).is_ok_and(|stat| Identity::of(&stat).key == self.identity.key)
    }
}

/// Does something once, when a step has been reached.
pub(super) struct Once<F: Fn(&OsStr)> {
    step: Step,
    done: Cell<bool>,
    then: F,
}

impl<F: Fn(&OsStr)> Once<F> {
    pub(super) fn at(step: Step, then: F) -> Self {
        Self { step, done: Cell::new(false), then }
    }

    pub(super) fn was_reached(&self) -> bool {
        self.done.get()
    }
}

impl<F: Fn(&OsStr)> Steps for Once<F> {
    fn reached(&self, step: Step, name: &OsStr) {
        if step == self.step && !self.done.replace(true) {
            (self.then)(name);
        }
    }
}

/// Two things that happen, each at its step.
pub(super) struct Both<A, B>(pub(super) A, pub(super) B);

impl<A: Steps, B: Steps> Steps for Both<A, B> {
    fn reached(&self, step: Step, name: &OsStr) {
        self.0.reached(step, name);
        self.1.reached(step, name);
    }
}

/// A filesystem that cannot promise to replace nothing.
pub(super) struct WithoutNoreplace<S>(pub(super) S);

impl<S: Steps> Steps for WithoutNoreplace<S> {
    fn reached(&self, step: Step, name: &OsStr) {
        self.0.reached(step, name);
    }

    fn rename_noreplace(
        &self,
        _from: (BorrowedFd<'_>, &OsStr),
        _to: (BorrowedFd<'_>, &OsStr),
    ) -> rustix::io::Result<()> {
        Err(Errno::INVAL)
    }
}

struct Mount(PathBuf);

impl Mount {
    fn tmpfs(at: &Path, options: &str) -> Self {
        mount(&["-t", "tmpfs", "-o", options, "tmpfs", at.to_str().unwrap()]);
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str]) {
    let done = Command::new("mount").args(arguments).output().expect("mount(8) is needed for this test");
    let why = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "this test must be allowed to mount a tmpfs: {why}");
}
