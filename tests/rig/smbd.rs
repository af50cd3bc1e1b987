//! A private smbd, from 4.13 on, with its own state, users, log, syslog and folder of modules.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::journal::Journal;
use crate::keeper::{Kept, Mounts};
use crate::process::Process;
use crate::share::Share;
use crate::syslog::Syslog;
use crate::tcp;
use crate::wait::{SOON, eventually};

mod layout;
mod system;

/// The user that clients log in as and that owns the shares' folders: on every Debian, and of few rights.
pub const USER: &str = "daemon";
/// A second user, for claims about two people.
pub const OTHER_USER: &str = "bin";
/// Everybody's password.
pub const PASSWORD: &str = "rig";

/// A server to be.
#[derive(Clone)]
pub struct Builder {
    shares: Vec<Share>,
    options: Vec<(String, String)>,
    valgrind: bool,
    preload: Option<PathBuf>,
    module: Option<PathBuf>,
    port: Option<u16>,
    journald: bool,
}

impl Builder {
    /// Listens on this port; otherwise, on one that is free.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Adds a share.
    pub fn share(mut self, share: Share) -> Self {
        self.shares.push(share);
        self
    }

    /// One more line of `[global]`, or another value for an earlier one.
    pub fn global(mut self, name: &str, value: &str) -> Self {
        self.options.retain(|(known, _)| known != name);
        self.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets SMB1 clients in.
    pub fn smb1(self) -> Self {
        self.global("server min protocol", "NT1")
    }

    /// Runs a journald beside it.
    pub fn journald(mut self) -> Self {
        self.journald = true;
        self
    }

    /// Runs smbd under valgrind; so does the environment variable `VSCAN_VALGRIND=1` for every smbd.
    pub fn valgrind(mut self) -> Self {
        self.valgrind = true;
        self
    }

    /// Loads this library into smbd before all others (`LD_PRELOAD`), to put something wrong under its feet.
    pub fn preload(mut self, library: &Path) -> Self {
        self.preload = Some(library.to_owned());
        self
    }

    /// Loads this vscan.so instead of the one under test.
    pub fn module(mut self, module: &Path) -> Self {
        self.module = Some(module.to_owned());
        self
    }

    /// Starts it; returns when it accepts connections.
    pub fn start(self) -> Smbd {
        // Between our choice of a port and smbd's bind, somebody else may take it.
        for _ in 0..5 {
            if let Some(smbd) = self.try_start() {
                return smbd;
            }
        }
        panic!("smbd does not start");
    }

    fn try_start(&self) -> Option<Smbd> {
        let home = tempfile::Builder::new().prefix("vscan-rig-").tempdir_in("/tmp").unwrap();
        let root = home.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        for dir in
            ["state", "lock", "cache", "private", "pid", "ncalrpc", "shares", "conf", "samba-modules", "run"]
        {
            fs::create_dir(root.join(dir)).unwrap();
        }
        fs::set_permissions(root.join("private"), fs::Permissions::from_mode(0o700)).unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = self.port.unwrap_or_else(free);
        fs::write(root.join("smb.conf"), self.smb_conf(root, port)).unwrap();
        let needs_module = self.shares.iter().any(|share| share.conf.is_some());
        let module = needs_module.then(|| self.module.clone().unwrap_or_else(crate::module::module));
        layout::lay_out(root, module.as_deref());
        layout::add_users(root);
        let syslog = Syslog::listen(&root.join("dev/log"));
        let journal = self.journald.then(|| Journal::start(&root.join("run")));
        let prepare = layout::prepare(root);
        let command = self.command_line(root);
        let mut daemon = Kept::start(Mounts::Private, &prepare, &command, &root.join("log.smbd"));
        let listens = eventually("smbd listens", SOON, || {
            if daemon.has_ended() {
                return Some(false);
            }
            // Not whoever else may have taken the port.
            let listener = tcp::socket_at(port, None)?;
            Process(daemon.pid()).descriptors().contains(&listener).then_some(true)
        });
        if !listens {
            eprintln!(
                "--- smbd ended at once:\n{}",
                fs::read_to_string(root.join("log.smbd")).unwrap_or_default()
            );
            return None;
        }
        Some(Smbd { home, daemon, port, syslog, journal })
    }

    fn smb_conf(&self, root: &Path, port: u16) -> String {
        let at = root.display();
        let mut text = format!(
            "[global]\n    smb ports = {port}\n    interfaces = 127.0.0.1/8\n    bind interfaces only = yes\n    \
             state directory = {at}/state\n    lock directory = {at}/lock\n    cache directory = {at}/cache\n    \
             private dir = {at}/private\n    pid directory = {at}/pid\n    ncalrpc dir = {at}/ncalrpc\n    \
             log file = {at}/log.smbd\n    logging = file\n    max log size = 0\n    server role = standalone server\n    \
             disable spoolss = yes\n    disable netbios = yes\n    load printers = no\n"
        );
        for (name, value) in &self.options {
            text += &format!("    {name} = {value}\n");
        }
        for share in &self.shares {
            let (dir, conf) = (root.join("shares").join(&share.name), conf_path(root, &share.name));
            fs::create_dir(&dir).unwrap();
            chown(&dir, Some(layout::id_of(USER, "-u")), Some(layout::id_of(USER, "-g"))).unwrap();
            if let Some(conf_text) = &share.conf {
                fs::write(&conf, in_home(conf_text, root)).unwrap();
            }
            text += &share.section(&dir, &conf);
        }
        in_home(&text, root)
    }

    fn command_line(&self, root: &Path) -> Vec<String> {
        let mut line = Vec::new();
        if let Some(library) = &self.preload {
            line.extend(["env".to_owned(), format!("LD_PRELOAD={}", library.display())]);
        }
        if self.valgrind || std::env::var_os("VSCAN_VALGRIND").is_some() {
            let log = format!("--log-file={}/valgrind.%p", root.display());
            line.extend(
                [
                    "valgrind",
                    "--quiet",
                    "--trace-children=yes",
                    "--child-silent-after-fork=no",
                    "--leak-check=full",
                    "--show-leak-kinds=definite",
                    "--num-callers=40",
                ]
                .map(String::from),
            );
            line.extend([
                log,
                concat!("--suppressions=", env!("CARGO_MANIFEST_DIR"), "/rig/smbd/valgrind.supp").into(),
            ]);
        }
        // A session of its own (see keeper) and no process group: on SIGTERM smbd would signal all of it.
        line.extend(["smbd", "--foreground", "--no-process-group", "--configfile"].map(String::from));
        line.push(root.join("smb.conf").display().to_string());
        line
    }
}

/// A running server. It ends, with all its processes, when this is dropped.
pub struct Smbd {
    // Dropped in this order: the processes first, their folders last.
    daemon: Kept,
    syslog: Syslog,
    journal: Option<Journal>,
    port: u16,
    home: TempDir,
}

impl Smbd {
    /// Describes a server.
    #[expect(clippy::new_ret_no_self, reason = "a server is there when it is started")]
    pub fn new() -> Builder {
        Builder {
            shares: Vec::new(),
            options: Vec::new(),
            valgrind: false,
            preload: None,
            module: None,
            port: None,
            journald: false,
        }
        .global("log level", "1 vscan:5")
    }

    /// A server with this one share.
    pub fn with(share: Share) -> Self {
        Self::new().share(share).start()
    }

    /// What the smbd that is tested calls its version, such as `4.17.12-Debian`.
    pub fn version() -> String {
        let output = system::tool("smbd").arg("--version").output().expect("smbd can be run");
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().strip_prefix("Version ").expect("smbd tells its version").to_owned()
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its smb.conf, for Samba's tools.
    pub fn smb_conf(&self) -> PathBuf {
        self.home.path().join("smb.conf")
    }

    /// Where a share's files are.
    pub fn dir(&self, share: &str) -> PathBuf {
        self.home.path().join("shares").join(share)
    }

    /// A path in the server's temporary folder, for a quarantine or a socket.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Replaces a share's vscan.conf. New connections see it.
    pub fn rewrite_conf(&self, share: &str, text: &str) {
        fs::write(conf_path(self.home.path(), share), in_home(text, self.home.path())).unwrap();
    }

    /// Mounts a tmpfs with these options (`size=64k`) on a folder, for smbd alone; a second time with `remount,...`.
    pub fn mount_tmpfs(&self, folder: &Path, options: &str) {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.process().0.as_raw_nonzero().to_string(), "mount"]);
        command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder);
        assert!(command.status().expect("nsenter (util-linux) can be run").success(), "mount {options}");
    }

    /// A path as smbd sees it, with what [`Smbd::mount_tmpfs`] has put there.
    pub fn as_seen_by_smbd(&self, path: &Path) -> PathBuf {
        let root = format!("/proc/{}/root", self.process().0.as_raw_nonzero());
        Path::new(&root).join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The whole log.
    pub fn log(&self) -> String {
        read_lossy(&self.home.path().join("log.smbd"))
    }

    /// Where the log ends now; [`Smbd::log_since`] begins there.
    pub fn log_mark(&self) -> usize {
        self.log().len()
    }

    /// What was logged after a mark.
    pub fn log_since(&self, mark: usize) -> String {
        self.log().split_off(mark)
    }

    /// Waits until the log holds `text`; gives that line.
    pub fn wait_for_log(&self, text: &str, deadline: Duration) -> String {
        self.wait_for_log_since(0, text, deadline)
    }

    /// Waits until the log holds `text` after a mark; gives that line.
    pub fn wait_for_log_since(&self, mark: usize, text: &str, deadline: Duration) -> String {
        eventually(&format!("smbd logs {text:?}"), deadline, || {
            self.log_since(mark).lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// What its processes sent to syslog: `<priority>date tag: text`.
    pub fn syslog(&self) -> Vec<String> {
        self.syslog.lines()
    }

    /// Waits until syslog got a line with `text`; gives that line.
    pub fn wait_for_syslog(&self, text: &str, deadline: Duration) -> String {
        eventually(&format!("syslog gets {text:?}"), deadline, || {
            self.syslog().into_iter().find(|line| line.contains(text))
        })
    }

    /// Its journald, if it has one ([`Builder::journald`]).
    pub fn journal(&self) -> &Journal {
        self.journal.as_ref().expect("this smbd was started without a journald")
    }

    /// What valgrind says of all processes that have been running under it; empty when all is well.
    pub fn valgrind_report(&self) -> String {
        let entries = fs::read_dir(self.home.path()).unwrap().flatten();
        let logs = entries.filter(|e| e.file_name().to_string_lossy().starts_with("valgrind."));
        logs.map(|e| read_lossy(&e.path())).collect()
    }

    /// The parent process.
    pub fn process(&self) -> Process {
        Process(self.daemon.pid())
    }

    /// The process that serves the client whose end of the connection is this local port. Under valgrind, smbd takes its time to
    /// begin.
    pub fn serving(&self, client_port: u16) -> Process {
        eventually("some smbd serves the client", SOON * 5, || {
            let socket = tcp::socket_at(self.port, Some(client_port))?;
            self.process().children().into_iter().find(|p| p.descriptors().contains(&socket))
        })
    }

    /// Tells the parent to read smb.conf again.
    pub fn reload(&self) {
        self.daemon.signal(Signal::HUP);
    }

    /// `smbcontrol <pid> <message>`, such as `reload-config`, to one of its processes.
    pub fn control(&self, process: Process, message: &str) {
        let output = Command::new("nsenter")
            .args(["--mount", "--target", &self.process().0.as_raw_nonzero().to_string(), "smbcontrol"])
            .args(["--configfile".as_ref(), self.smb_conf().as_os_str()])
            .args([&process.0.as_raw_nonzero().to_string(), message])
            .output()
            .expect("smbcontrol can be run");
        assert!(output.status.success(), "smbcontrol: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Signals one of its processes.
    pub fn signal(&self, process: Process, signal: Signal) {
        rustix::process::kill_process(process.0, signal).expect("the process has ended");
    }

    /// SIGTERM, as an administrator's `systemctl stop` does; waits for the end of the parent.
    pub fn terminate(&mut self) {
        self.daemon.terminate();
    }
}

impl Smbd {
    /// Errors found under `VSCAN_VALGRIND` outlive the server, in target/valgrind.
    fn keep_valgrind_report(&self) {
        let report = self.valgrind_report();
        if report.is_empty() {
            return;
        }
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/valgrind");
        let file = dir.join(self.home.path().file_name().unwrap());
        eprintln!("--- valgrind ({})\n{report}", file.display());
        let _ = fs::create_dir_all(&dir).and_then(|()| fs::write(file, report));
    }
}

impl Drop for Smbd {
    fn drop(&mut self) {
        self.keep_valgrind_report();
        if !std::thread::panicking() {
            return;
        }
        eprintln!("--- smb.conf\n{}", read_lossy(&self.smb_conf()));
        for conf in fs::read_dir(self.home.path().join("conf")).unwrap().flatten() {
            eprintln!("--- {}\n{}", conf.file_name().display(), read_lossy(&conf.path()));
        }
        let log = self.log();
        let tail = log.lines().count().saturating_sub(80);
        eprintln!("--- smbd's log, from line {tail}");
        log.lines().skip(tail).for_each(|line| eprintln!("{line}"));
        eprintln!("--- syslog\n{}", self.syslog().join("\n"));
        crate::clamd::print_shared_log();
    }
}

/// `@RIG@` in a configuration stands for the server's temporary folder, whose name nobody knows before.
fn in_home(text: &str, root: &Path) -> String {
    text.replace("@RIG@", &root.display().to_string())
}

fn conf_path(root: &Path, share: &str) -> PathBuf {
    root.join("conf").join(format!("{share}.conf"))
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Lets every user write: connecting to a unix socket takes that.
pub(crate) fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
}
