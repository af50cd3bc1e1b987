//! A private c-icap with its virus_scan module before a clamd.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::clamd::Clamd;
use crate::keeper::{Kept, Mounts};
use crate::wait::{SOON, eventually};

/// The service that looks at files of any size.
pub const UNLIMITED: &str = "avscan";
/// The service that passes what is longer than [`MAX_OBJECT_SIZE`].
pub const LIMITED: &str = "srv_clamav";
/// In bytes.
pub const MAX_OBJECT_SIZE: usize = 1 << 20;

/// A running server; ends when it is dropped.
pub struct CIcap {
    /// Nothing only while it is started anew.
    daemon: Option<Kept>,
    port: u16,
    home: TempDir,
}

impl CIcap {
    /// Starts it; returns when it accepts connections.
    pub fn start(clamd: &Clamd) -> Self {
        // Between our choice of a port and the server's bind, somebody else may take it.
        for _ in 0..5 {
            if let Some(server) = Self::try_start(clamd) {
                return server;
            }
        }
        panic!("c-icap does not start");
    }

    fn try_start(clamd: &Clamd) -> Option<Self> {
        let home = tempfile::Builder::new().prefix("vscan-rig-cicap-").tempdir_in("/tmp").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::write(home.path().join("c-icap.conf"), conf(home.path(), port, clamd)).unwrap();
        let mut server = Self { daemon: None, port, home };
        server.run().then_some(server)
    }

    /// Whether it runs and accepts connections.
    fn run(&mut self) -> bool {
        let conf = self.home.path().join("c-icap.conf").display().to_string();
        let command = ["c-icap", "-N", "-f", &conf];
        let mut daemon = Kept::start(Mounts::Shared, "", &command, &self.home.path().join("output"));
        let listens = eventually("c-icap listens", SOON, || {
            if daemon.has_ended() {
                return Some(false);
            }
            TcpStream::connect(("127.0.0.1", self.port)).is_ok().then_some(true)
        });
        self.daemon = Some(daemon);
        if !listens {
            eprintln!("--- c-icap ended at once:\n{}", self.log());
        }
        listens
    }

    /// Kills it, and starts it at the same port.
    pub fn restart(&mut self) {
        self.daemon = None;
        assert!(self.run(), "c-icap starts again");
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A service, as `scanner =` names it.
    pub fn scanner(&self, service: &str) -> String {
        format!("icap://127.0.0.1:{}/{service}", self.port)
    }

    fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.home.path().join(name)).unwrap_or_default();
        read("output") + &read("server.log")
    }
}

impl Drop for CIcap {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- c-icap's log\n{}", self.log());
        }
    }
}

fn conf(home: &Path, port: u16, clamd: &Clamd) -> String {
    let (at, modules) = (home.display(), modules().display().to_string());
    format!(
        "PidFile {at}/pid\nCommandsSocket {at}/ctl\nPort 127.0.0.1:{port}\nServerLog {at}/server.log\n\
         AccessLog {at}/access.log\nModulesDir {modules}\nServicesDir {modules}\n\
         LoadMagicFile /etc/c-icap/c-icap.magic\nTemplateDir /usr/share/c_icap/templates/\nTmpDir {at}\n\
         StartServers 1\nMaxServers 2\nModule common clamd_mod.so\nclamd_mod.ClamdSocket {}\n\
         Service antivirus_module virus_scan.so\n\
         ServiceAlias {LIMITED} virus_scan\n\
         ServiceAlias {UNLIMITED} virus_scan?allow204=on&sizelimit=off&mode=simple\n\
         virus_scan.DefaultEngine clamd\n\
         virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE\n\
         virus_scan.MaxObjectSize {MAX_OBJECT_SIZE}\n",
        clamd.socket().display()
    )
}

/// Where Debian puts its modules.
fn modules() -> PathBuf {
    let libraries = fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path().join("c_icap"));
    let mut found = libraries.filter(|dir| dir.join("virus_scan.so").exists());
    found.next().expect("c-icap and its virus_scan are installed: run tests/setup.sh")
}
