//! A private clamd that knows one signature, EICAR's.
//!
//! To count its scans, or to delay them, put a [`crate::fake::FakeDaemon`] in front of it: clamd's log trails behind
//! its answers.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::keeper::{Kept, Mounts};
use crate::process::Process;
use crate::wait::{SOON, eventually};

/// The name under which clamd reports [`crate::samples::eicar`].
pub const THREAT: &str = "Eicar-Test.UNOFFICIAL";

static SHARED: OnceLock<Clamd> = OnceLock::new();

/// A daemon to be.
#[derive(Clone, Default)]
pub struct Builder {
    options: Vec<(String, String)>,
    tcp: bool,
    shared: bool,
}

impl Builder {
    /// One more line of clamd.conf, such as `("MaxFileSize", "1M")`.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Also listens on a TCP port of 127.0.0.1.
    pub fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Starts it; returns when it answers.
    pub fn start(self) -> Clamd {
        let home = tempfile::Builder::new().prefix("vscan-rig-clamd-").tempdir_in("/tmp").unwrap();
        let root = home.path();
        // Users connect to the socket in it.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        for dir in ["db", "tmp"] {
            fs::create_dir(root.join(dir)).unwrap();
        }
        let signature = crate::hex::encode(&crate::samples::eicar());
        fs::write(root.join("db/rig.ndb"), format!("Eicar-Test:0:*:{signature}\n")).unwrap();
        let port = self.tcp.then(|| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        fs::write(root.join("clamd.conf"), self.conf(&root.display().to_string(), port)).unwrap();
        let mut clamd = Clamd { daemon: None, port, home, shared: self.shared };
        clamd.start();
        clamd
    }

    fn conf(&self, at: &str, port: Option<u16>) -> String {
        let mut text = format!(
            "Foreground yes\nLocalSocket {at}/clamd.sock\nLocalSocketMode 666\nFixStaleSocket yes\n\
             DatabaseDirectory {at}/db\nTemporaryDirectory {at}/tmp\nLogFile {at}/clamd.log\nLogClean yes\n\
             MaxThreads 4\nMaxQueue 50\n"
        );
        if let Some(port) = port {
            text += &format!("TCPSocket {port}\nTCPAddr 127.0.0.1\n");
        }
        for (name, value) in &self.options {
            text += &format!("{name} {value}\n");
        }
        text
    }
}

/// A clamd of our own; ends when it is dropped.
pub struct Clamd {
    daemon: Option<Kept>,
    port: Option<u16>,
    home: TempDir,
    /// Nothing drops the shared daemon: its keeper tidies up after it.
    shared: bool,
}

impl Clamd {
    /// Describes a daemon.
    #[expect(clippy::new_ret_no_self, reason = "a daemon is there when it is started")]
    pub fn new() -> Builder {
        Builder::default()
    }

    /// The daemon that all tests share which do not disturb it.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(|| Builder { shared: true, ..Self::new() }.start())
    }

    /// Its unix socket.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("clamd.sock")
    }

    /// Its configuration, for clamdscan.
    pub fn conf(&self) -> PathBuf {
        self.home.path().join("clamd.conf")
    }

    /// Its TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.expect("built with tcp()")
    }

    /// Its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("clamd.log")).unwrap_or_default()
    }

    /// Starts it again after [`Clamd::stop`] or [`Clamd::kill`].
    pub fn start(&mut self) {
        let conf = format!("--config-file={}", self.conf().display());
        let output = self.home.path().join("output");
        let prepare =
            if self.shared { format!("SCRATCH={}", self.home.path().display()) } else { String::new() };
        let mut daemon = Kept::start(Mounts::Shared, &prepare, &["clamd", conf.as_str()], &output);
        eventually("clamd listens", SOON, || {
            assert!(!daemon.has_ended(), "clamd ended: {}", fs::read_to_string(&output).unwrap_or_default());
            UnixStream::connect(self.socket()).ok()
        });
        self.daemon = Some(daemon);
    }

    /// SIGTERM: clamd ends and takes its socket away.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.terminate();
        }
    }

    /// SIGKILL: the socket stays, and nobody listens.
    pub fn kill(&mut self) {
        self.daemon = None;
    }

    /// SIGSTOP: connections are accepted by the kernel, and never answered.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT, after [`Clamd::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Its process.
    pub fn process(&self) -> Process {
        Process(self.daemon.as_ref().expect("clamd runs").pid())
    }

    fn signal(&self, signal: Signal) {
        self.daemon.as_ref().expect("clamd runs").signal(signal);
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- clamd's log\n{}", self.log());
        }
    }
}

/// For a test that failed: the shared daemon's last words.
pub(crate) fn print_shared_log() {
    if let Some(clamd) = SHARED.get() {
        let log = clamd.log();
        eprintln!("--- the shared clamd's log, last lines");
        log.lines().skip(log.lines().count().saturating_sub(20)).for_each(|line| eprintln!("{line}"));
    }
}
