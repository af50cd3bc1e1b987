//! One file: what smbd does at an open, done ahead of it.

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::Errno;
use vscan_backends::verdict::Verdict;
use vscan_engine::action::Action;
use vscan_engine::filetype::mime_type;
use vscan_engine::identity::Identity;
use vscan_engine::log::{Level, Log};
use vscan_engine::notify::{ActionTaken, Event, Occurrence};
use vscan_engine::policy::{self, Facts, Plan};
use vscan_engine::protection::{Considered, Ended, Judgement, Occasion, Place, Protection, Scan, Settled};
use vscan_engine::scan::blocking::Waiting;
use vscan_engine::scan::exchange::{Progress, Wait};

use super::Tree;
use crate::output::reason;
use crate::protection::{Visitor, protect};

const ANCHOR: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A file, and what came of it.
pub struct Report {
    pub path: PathBuf,
    pub share: String,
    pub size: u64,
    pub result: Outcome,
}

/// What there is to say of a file.
pub enum Outcome {
    Clean {
        was_known: bool,
    },
    Infected {
        threat: String,
        was_known: bool,
        action: Option<ActionTaken>,
    },
    /// Something was found in it, and its content is trusted.
    Trusted {
        threat: String,
    },
    /// The rules leave it alone.
    NotScanned(String),
    /// It works, but not for this file.
    Unscannable(String),
    /// The scanner did not answer.
    NoVerdict(String),
    /// It was removed or renamed meanwhile.
    Gone,
}

impl Report {
    pub fn is_without_verdict(&self) -> bool {
        matches!(self.result, Outcome::NoVerdict(_))
    }
}

/// What looking at a file has brought.
enum Looked {
    Known(Outcome),
    /// Only this can tell.
    Unknown(Box<Scan>),
}

/// How far a file has come.
pub enum Step {
    Done(Report),
    Waiting(UnderWay),
}

/// A file whose scan waits for the scanner.
pub struct UnderWay {
    path: PathBuf,
    size: u64,
    scan: Box<Scan>,
    wait: Wait,
    until: Instant,
}

impl UnderWay {
    /// For what, and until when.
    pub fn waits(&self) -> Waiting<'_> {
        Waiting { exchange: &self.scan.exchange, wait: self.wait, until: self.until }
    }
}

/// One thread's scans of files of one tree.
pub struct Scans<'a> {
    tree: &'a Tree<'a>,
    /// The share's root by the path that smbd goes by: that is what rules and records are about.
    root_as_seen: PathBuf,
    visitor: Visitor<'a>,
    protection: Result<Protection, String>,
    heard: Rc<Heard>,
}

impl<'a> Scans<'a> {
    pub fn new(tree: &'a Tree<'a>) -> Self {
        let heard = Rc::new(Heard::default());
        let protection = protect(&tree.loaded, Box::new(heard.clone())).map(Protection::in_sessions);
        let root_as_seen = tree.share.as_seen_by_smbd(&tree.root);
        Self { tree, root_as_seen, visitor: Visitor::new(&tree.share.name, &tree.root), protection, heard }
    }

    /// Looks at a file, and begins its scan if that takes one.
    pub fn begin(&self, path: PathBuf) -> Step {
        let (size, looked) = self.look(&path);
        match looked {
            Looked::Known(result) => self.done(path, size, result),
            Looked::Unknown(scan) => self.drive(path, size, scan),
        }
    }

    /// Goes on with a scan that was waited for.
    pub fn go_on(&self, under_way: UnderWay) -> Step {
        let UnderWay { path, size, scan, .. } = under_way;
        self.drive(path, size, scan)
    }

    fn done(&self, path: PathBuf, size: u64, result: Outcome) -> Step {
        Step::Done(Report { path, share: self.tree.share.name.clone(), size, result })
    }

    fn look(&self, path: &Path) -> (u64, Looked) {
        let protection = match &self.protection {
            Ok(protection) => protection,
            Err(why) => return (0, Looked::Known(Outcome::NoVerdict(why.clone()))),
        };
        let gone = (0, Looked::Known(Outcome::Gone));
        let Some(anchor) = anchor_at(path) else { return gone };
        let Ok(stat) = fstat(&anchor) else { return gone };
        // Not one that waits, or acts, when it is opened.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return gone;
        }
        let identity = Identity::of(&stat);
        (identity.size, self.consider(protection, path, &anchor, &identity))
    }

    fn as_seen_by_smbd(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.tree.root)
            .map_or_else(|_| path.to_owned(), |in_share| self.root_as_seen.join(in_share))
    }

    fn place<'b>(&self, as_seen: &'b Path) -> Place<'b> {
        let in_share = as_seen.strip_prefix(&self.root_as_seen).unwrap_or(as_seen);
        Place { path: as_seen.as_os_str().as_bytes(), path_in_share: in_share.as_os_str().as_bytes() }
    }

    fn consider(
        &self,
        protection: &Protection,
        path: &Path,
        anchor: &OwnedFd,
        identity: &Identity,
    ) -> Looked {
        let as_seen = self.as_seen_by_smbd(path);
        let place = self.place(&as_seen);
        let file_type = || reopen(anchor).ok().and_then(|file| mime_type(file.as_fd()));
        Looked::Known(match protection.consider(&place, identity, &file_type) {
            Considered::Judged(judgement) => {
                let facts = Facts {
                    path: place.path,
                    path_in_share: place.path_in_share,
                    size: identity.size,
                    file_type: &file_type,
                };
                match (policy::before(&facts, protection.settings()), judgement) {
                    (Plan::Skip(reason) | Plan::Refuse(reason), _) => Outcome::NotScanned(reason.to_string()),
                    (Plan::Scan, Judgement::Allowed(_)) => Outcome::Clean { was_known: true },
                    (Plan::Scan, Judgement::Denied(_)) => {
                        Outcome::NoVerdict("the configuration has mistakes (see vscanctl check)".to_owned())
                    }
                }
            }
            Considered::KnownInfected(found) => {
                let Ok(file) = reopen(anchor) else { return Looked::Known(Outcome::Gone) };
                let context = self.visitor.context();
                let judgement = protection.act_on_known(&found, &file, &place, Occasion::Open, &context);
                self.infected(found.threat.to_string(), true, judgement)
            }
            Considered::Unknown => match reopen(anchor) {
                Ok(file) => {
                    let deadline = Instant::now() + protection.settings().scan_timeout;
                    return Looked::Unknown(Box::new(protection.begin(file, &place, deadline)));
                }
                Err(errno) => Outcome::Unscannable(format!("cannot be opened: {}", reason(&errno.into()))),
            },
        })
    }

    /// Takes a scan as far as it goes without waiting.
    fn drive(&self, path: PathBuf, size: u64, mut scan: Box<Scan>) -> Step {
        let protection = match &self.protection {
            Ok(protection) => protection,
            Err(why) => return self.done(path, size, Outcome::NoVerdict(why.clone())),
        };
        loop {
            let outcome = match protection.advance(&mut scan) {
                Progress::Waiting(wait, until) => {
                    return Step::Waiting(UnderWay { path, size, scan, wait, until });
                }
                Progress::Done(outcome) => outcome,
            };
            let as_seen = self.as_seen_by_smbd(&path);
            let place = self.place(&as_seen);
            match protection.settle(*scan, outcome, &place, &self.visitor.context()) {
                Settled::Again(next) => scan = next,
                Settled::Ended(ended) => {
                    let result = self.conclude(protection, &ended, &place);
                    return self.done(path, size, result);
                }
            }
        }
    }

    fn conclude(&self, protection: &Protection, ended: &Ended, place: &Place<'_>) -> Outcome {
        let judgement = protection.conclude(ended, place, Occasion::Open, &self.visitor.context());
        match &ended.answer().outcome {
            Ok(Verdict::Clean) => Outcome::Clean { was_known: false },
            Ok(Verdict::Infected(threat)) => self.infected(threat.to_string(), false, judgement),
            Ok(Verdict::MinorError(error)) => Outcome::Unscannable(error.text.clone()),
            Err(fault) => Outcome::NoVerdict(fault.to_string()),
        }
    }

    fn infected(&self, threat: String, was_known: bool, judgement: Judgement) -> Outcome {
        use vscan_engine::protection::Allowance;
        let action = self.heard.action.take();
        match judgement {
            Judgement::Allowed(Allowance::Exactly(_)) => Outcome::Trusted { threat },
            Judgement::Allowed(Allowance::AnyContent) | Judgement::Denied(_) => {
                let acts = self.tree.loaded.settings.infected_file_action != Action::Nothing;
                Outcome::Infected { threat, was_known, action: action.filter(|_| acts) }
            }
        }
    }
}

/// Points at what is at this path, if no link is on the way.
fn anchor_at(path: &Path) -> Option<OwnedFd> {
    match openat2(CWD, path, ANCHOR, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // A kernel before 5.6, or a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => anchor_checked_at(path),
        anchor => anchor.ok(),
    }
}

/// The same where the kernel does not look at links by itself.
fn anchor_checked_at(path: &Path) -> Option<OwnedFd> {
    let anchor = openat(CWD, path, ANCHOR, Mode::empty()).ok()?;
    let name = format!("/proc/self/fd/{}", anchor.as_raw_fd());
    let real = readlinkat(CWD, name, Vec::new()).ok()?;
    (real.as_bytes() == path.as_os_str().as_bytes()).then_some(anchor)
}

/// A descriptor for reading, which does not count as an access.
fn reopen(anchor: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let name = format!("/proc/self/fd/{}", anchor.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    openat(CWD, name.as_str(), flags | OFlags::NOATIME, Mode::empty())
        .or_else(|_| openat(CWD, name.as_str(), flags, Mode::empty()))
}

/// What the engine says of a file is part of the answer. What it says of scanners shows in the files' results.
#[derive(Default)]
struct Heard {
    action: RefCell<Option<ActionTaken>>,
}

impl Log for Heard {
    fn wants(&self, _: Level) -> bool {
        false
    }

    fn line(&self, _: Level, _: &str) {}

    fn event(&self, _: Level, _: &str, event: &Event) {
        if let Occurrence::Infected { action, .. } = &event.occurrence {
            self.action.replace(Some(action.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_on_the_way_is_followed() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().canonicalize().unwrap().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/file"), "content").unwrap();
        symlink("real", at("way")).unwrap();
        symlink("file", at("real/link")).unwrap();
        for anchor in [anchor_at, anchor_checked_at] {
            assert!(anchor(&at("real/file")).is_some());
            assert!(anchor(&at("way/file")).is_none());
            assert!(anchor(&at("real/none")).is_none());
            // The link itself is no regular file, and not scanned.
            let link = anchor(&at("real/link")).unwrap();
            assert_eq!(FileType::from_raw_mode(fstat(&link).unwrap().st_mode), FileType::Symlink);
        }
    }
}
