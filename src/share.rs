//! One client's connection to one share: its protection, and what is going on in it.
#![forbid(unsafe_code)]

use std::cell::{OnceCell, RefCell};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat, openat, openat2, readlinkat, statat};
use rustix::process::{Gid, getegid, geteuid, getgroups};
use vscan_engine::identity::{FileKey, FileTime, Identity, granularity};
use vscan_engine::log::Log;
use vscan_engine::notify::{Rights, Session};
use vscan_engine::policy::Status;
use vscan_engine::protection::{Allowance, Context, Denial, Judgement, Place, Protection};

use vscan_engine::settings::ScanOnClose;

use crate::host::NtStatus;
use crate::host::client::ClientSockets;
use crate::private_file::{self, proc_name};

/// A connection. Hooks nest, so everything that changes is in cells that are borrowed for a moment only.
pub struct Share {
    protection: Protection,
    name: String,
    user: String,
    client: String,
    /// Known when the client has asked for a file: before, smbd is not the client's user.
    session: OnceCell<Session>,
    /// The same without the user's rights.
    strangers_session: Session,
    /// The share's root as configured: what patterns and log lines are about.
    path: Vec<u8>,
    /// The same without symlinks: what the kernel says of descriptors.
    real_path: Vec<u8>,
    /// Points at the root directory.
    root: Option<OwnedFd>,
    sockets: ClientSockets,
    /// For the opens that are under way, innermost last.
    grants: RefCell<Vec<Grant>>,
}

/// What create_file has decided about a file, for the openat that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which file.
    pub key: FileKey,
    /// What of it may be seen. A client that cannot see content, or discards it, may have any.
    pub allowance: Allowance,
}

/// Who connected to what.
pub struct Connected<'a> {
    /// The share's name.
    pub share: &'a str,
    /// The client's user.
    pub user: &'a str,
    /// The client's address.
    pub client: &'a str,
    /// All that smbd knows of client and server.
    pub session: Session,
    /// The share's root directory.
    pub path: &'a [u8],
}

impl Share {
    /// A connection that was accepted.
    pub fn new(connected: Connected<'_>, protection: Protection) -> Self {
        let path = trim_slashes(connected.path).to_vec();
        let real_path = std::fs::canonicalize(os_str(&path))
            .map_or_else(|_| path.clone(), |real| trim_slashes(real.as_os_str().as_encoded_bytes()).to_vec());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, os_str(&path), flags, Mode::empty()).ok();
        Self {
            protection,
            name: connected.share.to_owned(),
            user: connected.user.to_owned(),
            client: connected.client.to_owned(),
            session: OnceCell::new(),
            strangers_session: connected.session,
            path,
            real_path,
            root,
            sockets: ClientSockets::find(),
            grants: RefCell::default(),
        }
    }

    /// The rules, the scanner and the results of this share.
    pub fn protection(&self) -> &Protection {
        &self.protection
    }

    /// The share's log.
    pub fn log(&self) -> &dyn Log {
        self.protection.log()
    }

    /// Who is asking.
    pub fn context(&self) -> Context<'_> {
        Context {
            share: &self.name,
            share_path: &self.path,
            user: &self.user,
            client: &self.client,
            session: self.session.get().unwrap_or(&self.strangers_session),
        }
    }

    /// To be called when smbd runs as the client's user.
    pub fn meet_user(&self) {
        self.session.get_or_init(|| Session { rights: rights_in_force(), ..self.strangers_session.clone() });
    }

    /// The client's connections.
    pub fn sockets(&self) -> &ClientSockets {
        &self.sockets
    }

    /// Whether files are scanned when they are opened.
    pub fn scans_opens(&self) -> bool {
        self.protection.settings().scan_on_open
    }

    /// Whether files are scanned when they are closed after a change.
    pub fn scans_closes(&self) -> bool {
        match self.protection.settings().scan_on_close {
            ScanOnClose::Yes | ScanOnClose::Wait => true,
            ScanOnClose::No => false,
        }
    }

    /// The answer when a bug of ours leaves a file without a verdict.
    pub fn judgement_on_error(&self) -> Judgement {
        let settings = self.protection.settings();
        if settings.deny_access_on_error && settings.enforce {
            Judgement::Denied(Denial { status: Status::AccessDenied, infected: false })
        } else {
            Judgement::Allowed(Allowance::AnyContent)
        }
    }

    /// The absolute path of a name below the share's root.
    pub fn path_of(&self, name: &[u8]) -> Vec<u8> {
        match name {
            b"" | b"." => self.path.clone(),
            name => [self.path.as_slice(), b"/", name].concat(),
        }
    }

    /// The path at which an open file is now, below the share's root as configured.
    pub fn path_of_descriptor(&self, descriptor: impl AsFd) -> Vec<u8> {
        let real = real_path(descriptor);
        match below(&self.real_path, &real) {
            Some(name) => self.path_of(name),
            None => real,
        }
    }

    /// Looks a name up, as smbd does from the share's root; quicker than by its path.
    pub fn stat(&self, name: &CStr) -> rustix::io::Result<Stat> {
        match &self.root {
            Some(root) if !name.is_empty() => statat(root, name, AtFlags::empty()),
            Some(_) | None => statat(CWD, self.path_of(name.to_bytes()).as_slice(), AtFlags::empty()),
        }
    }

    /// Points at the file with this path, if the kernel finds it without leaving the share on the way. That is quicker than
    /// to ask where a file [is](Share::contains), but says nothing about a file that it does not find: a symlink may lead
    /// out of the share and back, and a kernel older than 5.6 finds none.
    pub fn find_inside(&self, path: &[u8]) -> Option<OwnedFd> {
        let (root, name) = (self.root.as_ref()?, below(&self.path, path)?);
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        openat2(root, name, flags, Mode::empty(), ResolveFlags::BENEATH).ok()
    }

    /// Whether an open file is inside the share.
    pub fn contains(&self, descriptor: impl AsFd) -> bool {
        below(&self.real_path, &real_path(descriptor)).is_some()
    }

    /// A path, and its part below the share's root.
    pub fn place<'a>(&self, path: &'a [u8]) -> Place<'a> {
        Place { path, path_in_share: below(&self.path, path).unwrap_or(path) }
    }

    /// Whether a scan for the other share tells all that there is to tell here: with the same settings it leads to the same
    /// answer and the same action, and the user who hears of it is the one whom the log names.
    pub fn judges_like(&self, other: &Self) -> bool {
        self.user == other.user && self.protection.settings() == other.protection.settings()
    }

    /// Remembers what create_file decided, for the openat that smbd does next.
    pub fn grant(&self, grant: Grant) {
        self.grants.borrow_mut().push(grant);
    }

    /// Whether an open under way covers this file in this state.
    pub fn is_granted(&self, identity: &Identity) -> bool {
        self.grants.borrow().iter().any(|grant| {
            grant.key == identity.key
                && match grant.allowance {
                    Allowance::AnyContent => true,
                    Allowance::Exactly(granted) => granted == *identity,
                }
        })
    }

    /// How many grants there are now.
    pub fn grants(&self) -> usize {
        self.grants.borrow().len()
    }

    /// Forgets all but the first so many.
    pub fn end_grants_above(&self, count: usize) {
        self.grants.borrow_mut().truncate(count);
    }
}

/// What a client gets for a denied open.
pub fn nt_status(status: Status) -> NtStatus {
    match status {
        Status::Infected => NtStatus::VIRUS_INFECTED,
        Status::AccessDenied => NtStatus::ACCESS_DENIED,
    }
}

/// A file that is open for writing, as it was when it was opened.
#[derive(Debug)]
pub struct Writer {
    at_open: Identity,
    /// Taken at the open, because it would make the close slower. `None`: there are too many already.
    anchor: Option<OwnedFd>,
    /// Whether any later change makes the file differ from `at_open`.
    changes_show: bool,
}

impl Writer {
    /// Remembers a file in the state in which it has just been opened.
    pub fn new(file: impl AsFd, at_open: Identity) -> Self {
        let file = file.as_fd();
        let changes_show = at_open.shows_changes_since(FileTime::now(), granularity(file));
        Self { at_open, anchor: private_file::lasting_anchor(file), changes_show }
    }

    /// Takes what points at the file once smbd has closed it.
    pub fn take_anchor(&mut self) -> Option<OwnedFd> {
        self.anchor.take()
    }

    /// Whether this is the file, and may have changed since.
    pub fn has_changed(&self, now: &Identity) -> bool {
        self.at_open.key == now.key && (!self.changes_show || self.at_open != *now)
    }
}

/// Those of the user that smbd is at the moment.
fn rights_in_force() -> Option<Rights> {
    let groups = getgroups().ok()?.into_iter().map(Gid::as_raw).collect();
    Some(Rights { uid: geteuid().as_raw(), gid: getegid().as_raw(), groups })
}

fn real_path(descriptor: impl AsFd) -> Vec<u8> {
    readlinkat(CWD, proc_name(descriptor), Vec::new()).map_or_else(|_| Vec::new(), |path| path.into_bytes())
}

/// The part of `path` below the directory `root` (which has no trailing slash; the root of all is empty).
fn below<'a>(root: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    match path.strip_prefix(root)? {
        [] => Some(b""),
        [b'/', name @ ..] => Some(name),
        _ => None,
    }
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&b| b != b'/').map_or(0, |last| last + 1);
    path.get(..end).unwrap_or(path)
}

fn os_str(path: &[u8]) -> &std::ffi::OsStr {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(if path.is_empty() { b"/" } else { path })
}
