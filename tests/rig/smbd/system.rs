//! Whose smbd runs: the machine's, or that of another release, in the root file system that `VSCAN_ROOT` names.
//!
//! Such an smbd sees the other root, but the machine's /tmp and /proc: what the rig made is where it was.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Puts the other root in the place of the machine's, in a mount namespace of its own.
const ENTER: &str = r#"
mount --rbind /tmp "$SYSTEM/tmp"
mount --rbind /proc "$SYSTEM/proc"
cd "$SYSTEM"
pivot_root . mnt
cd /
umount --lazy /mnt
"#;

/// The other root.
pub(super) fn root() -> Option<&'static Path> {
    static ROOT: OnceLock<Option<PathBuf>> = OnceLock::new();
    ROOT.get_or_init(|| std::env::var_os("VSCAN_ROOT").map(PathBuf::from)).as_deref()
}

/// The shell script that runs `mounts` with the root's path in `$SYSTEM`, and enters it; empty for the machine's own.
pub(super) fn with_mounts(mounts: &str) -> String {
    match root() {
        None => format!("SYSTEM=\n{mounts}"),
        Some(root) => {
            let root = root.display();
            format!("SYSTEM='{root}'\nmount --rbind \"$SYSTEM\" \"$SYSTEM\"\n{mounts}\n{ENTER}")
        }
    }
}

/// Where the machine sees a folder of the smbd's system.
pub(super) fn on_the_machine(path: &Path) -> PathBuf {
    let below = path.strip_prefix("/").unwrap_or(path);
    root().unwrap_or(Path::new("/")).join(below)
}

/// One of Samba's tools, of the smbd's own release.
pub(super) fn tool(name: &str) -> Command {
    if root().is_none() {
        return Command::new(name);
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
    command.arg(with_mounts("") + "exec \"$@\"").args(["sh", name]);
    command
}
