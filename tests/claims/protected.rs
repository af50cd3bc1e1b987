//! A share behind vscan, with a real clamd that is counted.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vscan_tests::clamd::Clamd;
use vscan_tests::client::Client;
use vscan_tests::fake::FakeDaemon;
use vscan_tests::samples::plant;
use vscan_tests::share::Share;
use vscan_tests::smbclient::Outcome;
use vscan_tests::smbd::{Builder, Smbd};
use vscan_tests::wait::{SOON, eventually};

/// The share's name.
pub const SHARE: &str = "s";

/// A server with one protected share.
pub struct Protected {
    pub smbd: Smbd,
    pub scanner: FakeDaemon,
}

/// A vscan.conf for a share whose scanner is at `address`, with a quarantine of its own. Closes wait for their scans, so
/// that a claim knows when they are over.
pub fn conf(address: &str, options: &str) -> String {
    format!(
        "[vscan]\nscanner = {address}\nquarantine directory = @RIG@/quarantine\nscan on close = wait\n{options}\n"
    )
}

/// The address of a scanner that speaks clamd's protocol.
pub fn clamav_at(socket: &Path) -> String {
    format!("clamav:{}", socket.display())
}

impl Protected {
    /// With these lines in its vscan.conf.
    pub fn with(options: &str) -> Self {
        Self::build(options, |share| share, |server| server)
    }

    /// The same for a share with more to it.
    pub fn share(options: &str, share: impl FnOnce(Share) -> Share) -> Self {
        Self::build(options, share, |server| server)
    }

    /// The same for a server with more to it.
    pub fn server(options: &str, server: impl FnOnce(Builder) -> Builder) -> Self {
        Self::build(options, |share| share, server)
    }

    /// The same with both.
    pub fn build(
        options: &str,
        share: impl FnOnce(Share) -> Share,
        server: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        Self::scanned_by(FakeDaemon::in_front_of(Clamd::shared()), options, share, server)
    }

    /// The same with another clamd.
    pub fn by(clamd: &Clamd, options: &str) -> Self {
        Self::scanned_by(FakeDaemon::in_front_of(clamd), options, |share| share, |server| server)
    }

    /// The same for a server with more to it.
    pub fn build_by(clamd: &Clamd, options: &str, server: impl FnOnce(Builder) -> Builder) -> Self {
        Self::scanned_by(FakeDaemon::in_front_of(clamd), options, |share| share, server)
    }

    fn scanned_by(
        scanner: FakeDaemon,
        options: &str,
        share: impl FnOnce(Share) -> Share,
        server: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let conf = conf(&clamav_at(&scanner.socket()), options);
        let smbd = server(Smbd::new().share(share(Share::vscan(SHARE, &conf)))).start();
        Self { smbd, scanner }
    }

    /// Where a file of the share is on the server.
    pub fn path(&self, name: &str) -> PathBuf {
        self.smbd.dir(SHARE).join(name)
    }

    /// Puts a file there behind smbd's back, long enough ago for its result to be remembered.
    pub fn plant(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        plant(&path, content);
        settle(&path);
        path
    }

    /// Reads with smbclient.
    pub fn get(&self, name: &str) -> Result<Vec<u8>, Outcome> {
        self.smbd.smbclient(SHARE).get(name)
    }

    /// Reads with smbclient, in vain, and gives what it said.
    #[track_caller]
    pub fn refused(&self, name: &str) -> Outcome {
        self.get(name).expect_err("smbclient could read the file")
    }

    /// Writes with smbclient.
    pub fn put(&self, name: &str, content: &[u8]) -> Outcome {
        self.smbd.smbclient(SHARE).put(name, content)
    }

    /// A client with a connection that lasts.
    pub fn client(&self) -> Client {
        Client::connect(&self.smbd, SHARE)
    }

    /// The files in quarantine, without their records.
    pub fn quarantine(&self) -> Vec<PathBuf> {
        files_in_quarantine(&self.smbd.path("quarantine"))
    }

    /// Waits for a line of the log about this file, with this text in it.
    #[track_caller]
    pub fn wait_for_line(&self, name: &str, text: &str) -> String {
        eventually(&format!("a line about {name:?} says {text:?}"), SOON, || self.line(name, text))
    }

    /// The line, if it is there.
    pub fn line(&self, name: &str, text: &str) -> Option<String> {
        let about = format!("/{name}\"");
        self.smbd.log().lines().find(|line| line.contains(&about) && line.contains(text)).map(str::to_owned)
    }
}

/// The files in a quarantine, without their records.
pub fn files_in_quarantine(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_none_or(|extension| extension != "json")).collect()
}

/// Waits until nothing that happens to the file from now on can carry the ctime that it has: a result about a younger
/// state is not remembered.
pub fn settle(path: &Path) {
    eventually("the file's ctime is past", SOON, || {
        let metadata = path.metadata().unwrap();
        let changed = Duration::new(
            u64::try_from(metadata.ctime()).unwrap(),
            u32::try_from(metadata.ctime_nsec()).unwrap(),
        );
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        (now.saturating_sub(changed) > Duration::from_millis(50)).then_some(())
    });
}
