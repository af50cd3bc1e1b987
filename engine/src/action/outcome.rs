//! What became of an infected file, in words for the administrator.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;
use std::os::unix::ffi::OsStrExt;

use super::Method;
use crate::log::{Printable, shown};

/// What was done. Shown as the tail of a log line about the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// [`super::Action::Nothing`].
    Nothing,
    /// Somebody removed the name under which the file was open.
    AlreadyGone {
        /// Hard links that are left.
        other_names: u64,
    },
    /// The file is in quarantine already: another process was quicker.
    AlreadyQuarantined {
        /// Its name there.
        at: PathBuf,
    },
    /// The file carries the name of a renamed one already.
    AlreadyRenamed,
    /// The file is in quarantine, with its record beside it (the same name and `.json`).
    Quarantined {
        /// Its name there.
        at: PathBuf,
        /// How it came there.
        method: Method,
        /// Hard links that are left.
        other_names: u64,
    },
    /// The file's name was removed.
    Deleted {
        /// Hard links that are left.
        other_names: u64,
    },
    /// The file has a new name in its directory.
    Renamed {
        /// The new name.
        to: PathBuf,
        /// Hard links that are left.
        other_names: u64,
    },
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("it stays in place and denied"),
            Self::AlreadyGone { other_names } => {
                write!(f, "it was removed meanwhile{}", Others(*other_names))
            }
            Self::AlreadyQuarantined { at } => write!(f, "it is in quarantine already as {}", shown(at)),
            Self::AlreadyRenamed => f.write_str("it was renamed earlier; it stays in place and denied"),
            Self::Quarantined { at, method, other_names } => {
                let how = match method {
                    Method::Moved => "moved",
                    Method::Copied => "copied from another filesystem",
                };
                write!(f, "{how} to quarantine as {}{}", shown(at), Others(*other_names))
            }
            Self::Deleted { other_names } => write!(f, "deleted{}", Others(*other_names)),
            Self::Renamed { to, other_names } => {
                write!(f, "renamed to {}{}", shown(to), Others(*other_names))
            }
        }
    }
}

/// Hard links elsewhere: nobody can say where, but a scan finds the same file behind them.
struct Others(u64);

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str("; another name of it (a hard link) is left and stays denied"),
            more => write!(f, "; {more} other names of it (hard links) are left and stay denied"),
        }
    }
}

/// Why nothing was done. Shown as the tail of a log line about the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionError {
    /// The kernel does not describe the open file.
    NoFacts(Errno),
    /// The kernel does not say under which name the file is open.
    NoPath(Errno),
    /// The file is not in the state that was scanned.
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The name does not lead to the file any more, and nothing was touched.
    Elsewhere {
        /// The name that the kernel gave.
        path: PathBuf,
    },
    /// The name led to another file when it was moved, and that file was given back.
    Swapped {
        /// The name.
        path: PathBuf,
        /// Where the other file is now.
        other: PutBack,
    },
    /// Nothing could be done with the file, and it could not be given its name again.
    Misplaced {
        /// The name.
        path: PathBuf,
        /// Where the infected file is now.
        now: PutBack,
    },
    /// The file could not be read, moved or removed.
    Source {
        /// A verb: what was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        errno: Errno,
    },
    /// The quarantine cannot take the file.
    Quarantine {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        trouble: StoreTrouble,
    },
    /// A file in quarantine could not be read or removed.
    Kept {
        /// A verb: what was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        errno: Errno,
    },
    /// A file could not be put back, and is in quarantine still.
    Restore {
        /// Where it was to go.
        path: PathBuf,
        /// Why it could not.
        trouble: RestoreTrouble,
    },
    /// A setting that makes the action impossible.
    Setting {
        /// Its name.
        option: &'static str,
        /// What is wrong with it, as a clause.
        problem: &'static str,
    },
}

/// Where a file is that had to be moved back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// Where it was.
    InPlace,
    /// Beside that: its name was taken meanwhile.
    Beside(PathBuf),
    /// It could not be given back.
    Stuck {
        /// Where it is.
        at: PathBuf,
        /// The system's answer.
        errno: Errno,
    },
    /// Somebody moved or removed it before we did.
    Vanished,
}

/// Why a file could not be put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreTrouble {
    /// Another file has its name.
    Taken,
    /// The directory is not there any more.
    NoDirectory,
    /// A symbolic link or a file is in the place of a directory.
    LinkOnTheWay,
    /// The file in quarantine is not the one that the record describes.
    OtherContent,
    /// An extended attribute cannot be set or removed.
    Attribute {
        /// Its name.
        name: OsString,
        /// The system's answer.
        errno: Errno,
    },
    /// The system refused: a verb, and its answer.
    System(&'static str, Errno),
}

/// What is wrong with a quarantine directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreTrouble {
    /// No space, or a quota.
    Full(Errno),
    /// The filesystem is read-only.
    ReadOnly,
    /// The path is relative: smbd's working directory changes.
    Relative,
    /// A file, or a symbolic link that may lead anywhere.
    NotADirectory,
    /// Others could move away what is put into it.
    OpenToOthers,
    /// Anything else.
    System(Errno),
}

impl StoreTrouble {
    pub(super) fn new(errno: Errno) -> Self {
        match errno {
            Errno::NOSPC | Errno::DQUOT => Self::Full(errno),
            Errno::ROFS => Self::ReadOnly,
            Errno::NOTDIR | Errno::LOOP => Self::NotADirectory,
            other => Self::System(other),
        }
    }
}

const STAYS: &str = "the file stays in place and denied";

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFacts(errno) => {
                write!(f, "the open file cannot be looked at ({}); {STAYS}", Reason(*errno))
            }
            Self::NoPath(errno) => {
                write!(
                    f,
                    "/proc/self/fd does not say where it is ({}): is /proc mounted? {STAYS}",
                    Reason(*errno)
                )
            }
            Self::Changed { path } => {
                write!(
                    f,
                    "{} changed after it was scanned, so it is left alone until the next scan",
                    shown(path)
                )
            }
            Self::Elsewhere { path } => write!(
                f,
                "{} is not its name any more: it was moved meanwhile, and stays denied wherever it is",
                shown(path)
            ),
            Self::Swapped { path, other } => {
                write!(f, "{} was exchanged for another file meanwhile; ", shown(path))?;
                write!(f, "{other}; the infected file has another name now and stays denied")
            }
            Self::Misplaced { path, now } => {
                write!(f, "{} was moved in vain; {now}; it stays denied", shown(path))
            }
            Self::Source { doing, path, errno } => {
                write!(f, "cannot {doing} {} ({}){}; {STAYS}", shown(path), Reason(*errno), cure(*errno))
            }
            Self::Quarantine { directory, trouble } => {
                write!(f, "the quarantine directory {} {trouble}; {STAYS}", shown(directory))
            }
            Self::Kept { doing, path, errno } => {
                write!(f, "cannot {doing} {} ({})", shown(path), Reason(*errno))
            }
            Self::Restore { path, trouble } => {
                write!(f, "cannot restore {}: {trouble}; the file stays in quarantine", shown(path))
            }
            Self::Setting { option, problem } => {
                write!(f, "the setting \"{option}\" cannot be used: {problem}; {STAYS}")
            }
        }
    }
}

impl std::error::Error for ActionError {}

impl fmt::Display for PutBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InPlace => f.write_str("that file is back in its place"),
            Self::Beside(path) => {
                write!(f, "that file is now {}, for its name was taken meanwhile", shown(path))
            }
            Self::Stuck { at, errno } => write!(
                f,
                "that file is now {} and cannot be moved back ({}): move it back by hand",
                shown(at),
                Reason(*errno)
            ),
            Self::Vanished => f.write_str("that file was moved on by somebody else"),
        }
    }
}

impl fmt::Display for RestoreTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elsewhere = "or choose another place with --to";
        match self {
            Self::Taken => write!(f, "a file of that name is there: move it away, {elsewhere}"),
            Self::NoDirectory => write!(f, "its directory is not there any more: make it, {elsewhere}"),
            Self::LinkOnTheWay => {
                write!(f, "its path leads over a symbolic link or a file by now: mend that, {elsewhere}")
            }
            Self::OtherContent => f.write_str(
                "the file in quarantine has another size than its record says: it was changed since",
            ),
            Self::Attribute { name, errno } => {
                let name = Printable(name.as_bytes());
                write!(f, "its attribute {name} cannot be restored there ({}): ", Reason(*errno))?;
                write!(f, "make room for it, {elsewhere}")
            }
            Self::System(doing, errno) => {
                write!(f, "cannot {doing} it ({}){}", Reason(*errno), cure(*errno))
            }
        }
    }
}

impl fmt::Display for StoreTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = "set \"quarantine directory\"";
        match self {
            Self::Full(errno) => write!(f, "is full ({}): free space there or {set}", Reason(*errno)),
            Self::ReadOnly => write!(f, "is on a read-only filesystem: remount it or {set}"),
            Self::Relative => write!(f, "is not an absolute path: {set} to one that begins with /"),
            Self::NotADirectory => {
                write!(f, "is a file or a symbolic link, or below a file: {set} to a real directory")
            }
            Self::OpenToOthers => {
                write!(
                    f,
                    "belongs to or is writable for others than root: chmod 700 it, chown it to root, or {set}"
                )
            }
            Self::System(errno) => write!(f, "cannot be used ({}): mend it or {set}", Reason(*errno)),
        }
    }
}

fn cure(errno: Errno) -> &'static str {
    match errno {
        Errno::PERM => ": is it or its directory immutable (see lsattr)?",
        Errno::ACCESS => ": does SELinux, AppArmor or an NFS server's root_squash forbid it?",
        Errno::ROFS => ": its filesystem is mounted read-only",
        _ => "",
    }
}

/// The system's words without the number that Rust adds.
struct Reason(Errno);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_done_in_one_line() {
        let at = PathBuf::from("/q/vir-1\n");
        let done = Done::Quarantined { at, method: Method::Moved, other_names: 2 };
        assert_eq!(
            done.to_string(),
            "moved to quarantine as /q/vir-1\\n; 2 other names of it (hard links) are left and stay denied"
        );
        assert_eq!(Done::Deleted { other_names: 0 }.to_string(), "deleted");
    }

    #[test]
    fn names_cause_and_cure_of_a_failure() {
        let trouble = StoreTrouble::new(Errno::NOSPC);
        assert_eq!(
            ActionError::Quarantine { directory: "/q".into(), trouble }.to_string(),
            "the quarantine directory /q is full (No space left on device): free space there or set \
             \"quarantine directory\"; the file stays in place and denied"
        );
        assert_eq!(
            ActionError::Source { doing: "delete", path: "/s/a".into(), errno: Errno::PERM }.to_string(),
            "cannot delete /s/a (Operation not permitted): is it or its directory immutable (see lsattr)?; \
             the file stays in place and denied"
        );
    }
}
