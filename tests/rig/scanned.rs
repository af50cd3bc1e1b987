//! A share with a scanner that can be made to wait, and what must be true of both whatever has happened.

use std::path::PathBuf;

use crate::clamd::Clamd;
use crate::client::{Client, Open, Pending};
use crate::fake::FakeDaemon;
use crate::process::Process;
use crate::samples::{clean, plant};
use crate::share::Share;
use crate::smbd::{Builder, Smbd};
use crate::wait::{SOON, within};

/// A server whose share `s` is scanned by a real clamd behind a relay.
pub struct Scanned {
    /// The server.
    pub smbd: Smbd,
    /// The relay.
    pub scanner: FakeDaemon,
}

/// What a process had open when all was quiet.
#[must_use]
pub struct Quiet {
    process: Process,
    descriptors: Vec<String>,
}

impl Scanned {
    /// With these lines in vscan.conf.
    pub fn new(options: &str) -> Self {
        Self::with(options, |share| share, |builder| builder)
    }

    /// With more lines in smb.conf.
    pub fn with(
        options: &str,
        share: impl FnOnce(Share) -> Share,
        builder: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let scanner = FakeDaemon::in_front_of(Clamd::shared());
        let conf = format!("scanner = clamav:{}\n{options}", scanner.socket().display());
        Self::behind(scanner, &conf, share, builder)
    }

    /// With a scanner, and vscan.conf, of the caller's own.
    pub fn behind(
        scanner: FakeDaemon,
        conf: &str,
        share: impl FnOnce(Share) -> Share,
        builder: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let conf = format!("[samba-vscan]\nquarantine directory = @RIG@/quarantine\n{conf}");
        let smbd = builder(Smbd::new().share(share(Share::vscan("s", &conf)))).start();
        std::fs::create_dir(smbd.path("quarantine")).unwrap();
        Self { smbd, scanner }
    }

    /// Where a file of the share is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.smbd.dir("s").join(name)
    }

    /// Writes a file into the share behind smbd's back.
    pub fn plant(&self, name: &str, content: &[u8]) {
        plant(&self.path(name), content);
    }

    /// The names of the infected files in quarantine, without their records.
    pub fn quarantine(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.smbd.path("quarantine/vscan-quarantine")) else {
            return Vec::new();
        };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("vir-") && !name.ends_with(".json")).collect()
    }

    /// A client whose smbd has done all that it does only once, and what that smbd has open.
    pub fn connect(&self) -> (Client, Quiet) {
        let client = Client::connect(&self.smbd, "s");
        self.plant("warm.txt", b"warm");
        client.read("warm.txt").unwrap();
        let quiet = Quiet::of(client.server());
        (client, quiet)
    }

    /// Opens a file that has to be scanned while the scanner is held, so that the open is parked.
    #[track_caller]
    pub fn park(&self, client: &Client, name: &str) -> Pending {
        let scans = self.scanner.scans();
        let open = client.open(name, Open::read());
        open.wait_until_pending();
        self.scanner.wait_for_scans(scans + 1, SOON);
        open
    }

    /// Claims that nothing is left of what has been: no connection to the scanner, no descriptor, no panic; and that
    /// an unknown file can still be opened.
    #[track_caller]
    pub fn is_quiet(&self, before: &Quiet) {
        self.scanner.release();
        self.scanner.wait_until_alone(SOON);
        before.is_back();
        self.plant("next.txt", &clean(7, 100));
        assert_eq!(Client::connect(&self.smbd, "s").read("next.txt").unwrap(), clean(7, 100));
        self.is_unharmed();
    }

    /// Claims that no process of smbd has panicked.
    #[track_caller]
    pub fn is_unharmed(&self) {
        let log = self.smbd.log().to_lowercase();
        let trouble = log.lines().find(|line| line.contains("panic") || line.contains("internal error"));
        assert_eq!(trouble, None);
    }
}

impl Quiet {
    /// What a process has open now.
    pub fn of(process: Process) -> Self {
        Self { process, descriptors: process.descriptors() }
    }

    /// Claims that the process has not kept a descriptor since.
    #[track_caller]
    pub fn is_back(&self) {
        let mut more = Vec::new();
        let found = within(SOON, || {
            more = self.more_descriptors();
            more.is_empty().then_some(())
        });
        assert!(found.is_some(), "smbd has kept {more:?}");
    }

    fn more_descriptors(&self) -> Vec<String> {
        let mut more = self.process.descriptors();
        for known in &self.descriptors {
            if let Some(at) = more.iter().position(|descriptor| descriptor == known) {
                more.remove(at);
            }
        }
        more
    }
}
