//! A real journald, for the /run of one smbd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::keeper::{Kept, Mounts};
use crate::process::Process;
use crate::wait::{SOON, eventually};

/// Keeps what it gets in memory, and reads nothing of the machine's.
const CONFIGURATION: &str = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\n";

/// A running journald.
pub struct Journal {
    daemon: Kept,
    directory: PathBuf,
}

impl Journal {
    /// Starts one that takes `run` for /run; returns when it listens there.
    pub(crate) fn start(run: &Path) -> Self {
        let conf = run.join("systemd/journald.conf.d");
        fs::create_dir_all(&conf).unwrap();
        fs::write(conf.join("rig.conf"), CONFIGURATION).unwrap();
        let prepare = format!("mount --bind {} /run", run.display());
        let command = ["/lib/systemd/systemd-journald"];
        let mut daemon = Kept::start(Mounts::Private, &prepare, &command, &run.join("log.journald"));
        let socket = run.join("systemd/journal/socket");
        eventually("journald (package systemd) listens", SOON, || {
            assert!(!daemon.has_ended(), "{}", fs::read_to_string(run.join("log.journald")).unwrap());
            socket.exists().then_some(())
        });
        Self { daemon, directory: run.join("log/journal") }
    }

    /// Its process.
    pub fn process(&self) -> Process {
        Process(self.daemon.pid())
    }

    /// The entries with all of these fields (`NAME=value`), oldest first, as `journalctl` reads them.
    pub fn entries(&self, matches: &[&str]) -> Vec<Entry> {
        let mut command = Command::new("journalctl");
        command.args(["--quiet", "--all", "--output=json", "--directory"]).arg(&self.directory).args(matches);
        let output = command.output().expect("journalctl (package systemd) can be run");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| Entry(serde_json::from_str(line).unwrap())).collect()
    }

    /// Waits until there is an entry with all of these fields.
    pub fn wait_for(&self, matches: &[&str], deadline: Duration) -> Entry {
        eventually(&format!("the journal holds {matches:?}"), deadline, || self.entries(matches).pop())
    }
}

/// An entry of the journal.
#[derive(Debug)]
pub struct Entry(Map<String, Value>);

impl Entry {
    /// The bytes of a field.
    #[track_caller]
    pub fn field(&self, name: &str) -> Vec<u8> {
        match self.0.get(name) {
            Some(Value::String(text)) => text.clone().into_bytes(),
            // What is not text.
            Some(Value::Array(bytes)) => {
                bytes.iter().map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap()).collect()
            }
            other => panic!("{name} is {other:?} in {:?}", self.0),
        }
    }

    /// A field that is text.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.field(name)).unwrap()
    }
}
