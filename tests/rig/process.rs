//! What /proc tells about a process.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Pid;

use crate::wait::eventually;

/// A process to be watched from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub Pid);

impl Process {
    fn path(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0.as_raw_nonzero()))
    }

    /// What its open descriptors refer to, as /proc shows it (`/srv/f.doc`, `socket:[4711]`).
    pub fn descriptors(self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("fd")) else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|e| Some(fs::read_link(e.path()).ok()?.to_string_lossy().into_owned()))
            .collect()
    }

    /// Its private memory in KiB: what would be given back if it ended.
    pub fn private_kib(self) -> u64 {
        let rollup = fs::read_to_string(self.path("smaps_rollup")).unwrap();
        let field = |line: &str| line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
        rollup.lines().filter(|line| line.starts_with("Private_")).filter_map(field).sum()
    }

    /// Its memory that no file backs, in KiB: this moves only when the process allocates or frees, while
    /// [`Process::private_kib`] also depends on who else maps the same libraries.
    pub fn anonymous_kib(self) -> u64 {
        let rollup = fs::read_to_string(self.path("smaps_rollup")).unwrap();
        let line = rollup.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Whether it is there and not a zombie.
    pub fn is_alive(self) -> bool {
        self.stat().is_some()
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn wait_for_end(self, deadline: Duration) {
        eventually(&format!("{self:?} ends"), deadline, || (!self.is_alive()).then_some(()));
    }

    /// Its children.
    pub fn children(self) -> Vec<Process> {
        Self::all(|stat| stat.parent == self.0.as_raw_nonzero().get())
    }

    /// All members of a process group.
    pub(crate) fn of_group(group: Pid) -> Vec<Process> {
        Self::all(|stat| stat.group == group.as_raw_nonzero().get())
    }

    fn all(wanted: impl Fn(&Stat) -> bool) -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|e| Pid::from_raw(e.file_name().to_str()?.parse().ok()?))
            .map(Process)
            .filter(|process| process.stat().is_some_and(|stat| wanted(&stat)))
            .collect()
    }

    /// Nothing for a zombie: how soon it is buried is up to the machine's init.
    fn stat(self) -> Option<Stat> {
        let stat = fs::read_to_string(self.path("stat")).ok()?;
        // The name, in parentheses, may hold anything.
        let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
        (rest.next()? != "Z").then_some(())?;
        Some(Stat { parent: rest.next()?.parse().ok()?, group: rest.next()?.parse().ok()? })
    }
}

/// What matters here of /proc/PID/stat.
struct Stat {
    parent: i32,
    group: i32,
}
