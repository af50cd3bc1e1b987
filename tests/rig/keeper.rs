//! Holds a daemon so that it cannot outlive the test process.
//!
//! The daemon is a child of a small shell, in a session of its own. The shell's standard input is a pipe whose other
//! end only this process has: when it closes, because the test is over or because the test process was killed, the
//! shell kills the daemon's whole process group. (A parent-death signal would not do: the kernel clears it when the
//! process changes its user, as smbd does, and it follows the thread, not the process.)

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::process::Process;
use crate::wait::{SOON, eventually, within};

/// `$1` is a script to run first, the rest is the daemon's command line. The script may name a folder, `SCRATCH`, to
/// be removed at the end.
const SCRIPT: &str = r#"
set -e
SCRATCH=
eval "$1"; shift
setsid "$@" </dev/null >&2 &
daemon=$!
echo "$daemon"
exec 3<&0
{ cat >/dev/null || :; kill -s KILL -- -"$daemon" || :; [ -z "$SCRATCH" ] || rm -rf "$SCRATCH"; } <&3 >/dev/null 2>&1 &
exec 3<&- >/dev/null
wait "$daemon"
"#;

/// Whether the daemon sees the machine's mounts or a private copy of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mounts {
    /// The machine's.
    Shared,
    /// A private copy, which the preparing script may change.
    Private,
}

/// A running daemon.
pub(crate) struct Kept {
    shell: Child,
    pid: Pid,
}

impl Kept {
    /// Runs the shell script `prepare`, then `command`. What either says goes to the file `output`.
    pub(crate) fn start(mounts: Mounts, prepare: &str, command: &[impl AsRef<OsStr>], output: &Path) -> Self {
        let mut keeper = match mounts {
            Mounts::Shared => Command::new("sh"),
            Mounts::Private => {
                let mut unshare = Command::new("unshare");
                unshare.args(["--mount", "--propagation", "private", "sh"]);
                unshare
            }
        };
        keeper.args(["-c", SCRIPT, "keeper", prepare]).args(command);
        let output_file = std::fs::OpenOptions::new().create(true).append(true).open(output).unwrap();
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output_file);
        // Ctrl-C is for the test process; the keeper notices by the pipe.
        std::os::unix::process::CommandExt::process_group(&mut keeper, 0);
        let mut shell = keeper.spawn().expect("sh and unshare (util-linux) are needed");
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(pid) = line.trim().parse().ok().and_then(Pid::from_raw) else {
            let said = std::fs::read_to_string(output).unwrap_or_default();
            panic!(
                "{:?} could not be prepared (is this root, with CAP_SYS_ADMIN?): {said}",
                command[0].as_ref()
            );
        };
        Self { shell, pid }
    }

    /// The daemon's process; also its session and its process group.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether the daemon has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.shell.try_wait().unwrap().is_some()
    }

    /// Signals the daemon alone, not its children.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the daemon has ended");
    }

    /// Asks the daemon to end, and waits until it has.
    pub(crate) fn terminate(&mut self) {
        self.signal(Signal::TERM);
        eventually("the daemon ends after SIGTERM", SOON, || self.has_ended().then_some(()));
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = self.shell.wait();
        // A child of the daemon may take a moment more to die, and still writes into the directory that goes next.
        within(SOON, || Process::of_group(self.pid).is_empty().then_some(()));
    }
}
