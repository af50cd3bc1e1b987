//! Real mail and web servers that write down what they get.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::client::python;
use crate::keeper::{Kept, Mounts};
use crate::wait::{SOON, eventually};

/// A running server on 127.0.0.1.
pub struct Sink {
    _daemon: Kept,
    home: TempDir,
    /// Its port.
    pub port: u16,
}

impl Sink {
    /// A server of this kind (`smtp`, `smtps`, `starttls`, `http` or `https`), which answers one message after the other
    /// with these codes, and further ones with the last.
    pub fn start(kind: &str, statuses: &[&str]) -> Self {
        let home = tempfile::Builder::new().prefix("vscan-rig-sink-").tempdir_in("/tmp").unwrap();
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/rig/sink.py");
        let mut command = vec![python().display().to_string(), program.to_owned()];
        command.extend([home.path().display().to_string(), kind.to_owned()]);
        command.extend(statuses.iter().map(|status| (*status).to_owned()));
        let log = home.path().join("log");
        let mut daemon = Kept::start(Mounts::Shared, "", &command, &log);
        let port = eventually("the sink listens", SOON, || {
            assert!(!daemon.has_ended(), "{}", fs::read_to_string(&log).unwrap());
            fs::read_to_string(home.path().join("port")).ok()?.parse().ok()
        });
        Self { _daemon: daemon, home, port }
    }

    /// A file of its own, such as `ca.pem`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// All messages that it took, oldest first.
    pub fn received(&self) -> Vec<Vec<u8>> {
        (0..).map_while(|number: usize| fs::read(self.path(&number.to_string())).ok()).collect()
    }

    /// The headers of a web request that it took.
    pub fn headers(&self, number: usize) -> String {
        fs::read_to_string(self.path(&format!("{number}.headers"))).unwrap()
    }

    /// Waits for so many messages.
    pub fn wait_for(&self, count: usize) -> Vec<Vec<u8>> {
        eventually(&format!("{count} messages come"), SOON, || {
            Some(self.received()).filter(|received| received.len() >= count)
        })
    }
}
