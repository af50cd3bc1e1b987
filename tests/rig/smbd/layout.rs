//! What smbd finds around it: its own /dev and /run, its own folder of modules, its own users.
//!
//! smbd runs in a private mount namespace. There, [`prepare`] puts folders of the rig in the place of /dev, of /run (where
//! the machine's journald would listen) and of Samba's modules; the machine sees nothing of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{OTHER_USER, PASSWORD, USER, system};

/// A /dev with our syslog socket in it, and a folder of modules with ours in it.
const MOUNTS: &str = r#"
for node in null zero full random urandom tty shm pts; do mount --bind /dev/$node "$RIG/dev/$node"; done
mount --rbind "$RIG/dev" "$SYSTEM/dev"
mount --bind "$RIG/run" "$SYSTEM/run"
mount --bind "$SYSTEM$MODULES" "$RIG/samba-modules"
mount --bind "$RIG/modules" "$SYSTEM$MODULES"
"#;

/// The folders that must be there before the shell script `prepare`.
pub(super) fn lay_out(root: &Path, vscan: Option<&Path>) {
    lay_out_modules(root, vscan);
    lay_out_dev(root);
}

/// The shell script that mounts what [`lay_out`] made.
pub(super) fn prepare(root: &Path) -> String {
    let names = format!("RIG={}; MODULES={}", root.display(), modules_dir().display());
    format!("{names}\n{}", system::with_mounts(MOUNTS))
}

/// Where smbd looks for VFS modules, as it sees it.
fn modules_dir() -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let output = system::tool("smbd").arg("-b").output().expect("smbd is installed: run tests/setup.sh");
        let text = String::from_utf8(output.stdout).unwrap();
        let dir = text.lines().find_map(|line| line.trim().strip_prefix("MODULESDIR: ")).unwrap();
        Path::new(dir).join("vfs")
    };
    DIR.get_or_init(find).clone()
}

/// A folder that stands for Samba's own: the same modules, by way of `samba-modules`, and ours.
///
/// smbd refuses `vfs objects = /path/to/vscan` (NT_STATUS_INVALID_PARAMETER), so the module must be found by name.
fn lay_out_modules(root: &Path, vscan: Option<&Path>) {
    let dir = root.join("modules");
    fs::create_dir(&dir).unwrap();
    for entry in fs::read_dir(system::on_the_machine(&modules_dir())).unwrap().flatten() {
        symlink(root.join("samba-modules").join(entry.file_name()), dir.join(entry.file_name())).unwrap();
    }
    if let Some(module) = vscan {
        let place = dir.join("vscan.so");
        let _ = fs::remove_file(&place);
        match system::root() {
            None => symlink(module, place).unwrap(),
            // A link would lead nowhere in there.
            Some(_) => drop(fs::copy(module, place).unwrap()),
        }
    }
}

/// A folder that stands for /dev. What is only named here becomes a mount point.
fn lay_out_dev(root: &Path) {
    let dev = root.join("dev");
    for dir in ["shm", "pts"] {
        fs::create_dir_all(dev.join(dir)).unwrap();
    }
    for node in ["null", "zero", "full", "random", "urandom", "tty"] {
        fs::write(dev.join(node), "").unwrap();
    }
    let links = [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")];
    for (name, rest) in links {
        symlink(format!("/proc/self/fd{rest}"), dev.join(name)).unwrap();
    }
    symlink("pts/ptmx", dev.join("ptmx")).unwrap();
}

/// What holds the users and the identity of the machine that they belong to.
const ACCOUNTS: [&str; 2] = ["private/passdb.tdb", "private/secrets.tdb"];

/// The same users for every server: made once, for that takes its time.
pub(super) fn add_users(root: &Path) {
    static MADE: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        make_users(&root.join("smb.conf"));
        ACCOUNTS.map(|name| fs::read(root.join(name)).unwrap())
    });
    for (name, content) in ACCOUNTS.iter().zip(made) {
        fs::write(root.join(name), content).unwrap();
    }
}

fn make_users(smb_conf: &Path) {
    for user in [USER, OTHER_USER] {
        let mut tool = system::tool("smbpasswd")
            .arg("-c")
            .arg(smb_conf)
            .args(["-s", "-a", user])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("smbpasswd can be run");
        std::io::Write::write_all(
            &mut tool.stdin.take().unwrap(),
            format!("{PASSWORD}\n{PASSWORD}\n").as_bytes(),
        )
        .unwrap();
        assert!(tool.wait().unwrap().success(), "smbpasswd adds {user}");
    }
}

pub(super) fn id_of(user: &str, which: &str) -> u32 {
    let output = Command::new("id").args([which, user]).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("there is no user {user}"))
}
