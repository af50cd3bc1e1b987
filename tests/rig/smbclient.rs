//! Samba's own client: one process per command, as a person would use it.

use std::path::Path;
use std::process::Command;

use crate::smbd::{OTHER_USER, PASSWORD, Smbd, USER};

/// smbclient at one share.
pub struct SmbClient<'a> {
    smbd: &'a Smbd,
    share: String,
    user: &'static str,
    arguments: Vec<String>,
}

/// What came of one run.
#[derive(Clone, Debug)]
#[must_use]
pub struct Outcome {
    /// Whether its exit status was 0.
    pub success: bool,
    /// All that it said.
    pub output: String,
}

impl Outcome {
    /// Asserts that all went well.
    #[track_caller]
    pub fn ok(&self) {
        assert!(self.success && !self.output.contains("NT_STATUS_"), "smbclient failed: {}", self.output);
    }

    /// Asserts that it failed with this status, such as `NT_STATUS_VIRUS_INFECTED`.
    #[track_caller]
    pub fn refused_with(&self, status: &str) {
        assert!(self.output.contains(status), "expected {status}, smbclient said: {}", self.output);
    }
}

impl Smbd {
    /// smbclient at one of our shares.
    pub fn smbclient(&self, share: &str) -> SmbClient<'_> {
        SmbClient { smbd: self, share: share.to_owned(), user: USER, arguments: Vec::new() }
    }
}

impl SmbClient<'_> {
    /// As the second user.
    pub fn as_other_user(mut self) -> Self {
        self.user = OTHER_USER;
        self
    }

    /// Speaks SMB1; the server must have been built with `smb1()`.
    pub fn smb1(mut self) -> Self {
        self.arguments = ["-m", "NT1", "--option=client min protocol=NT1"].map(String::from).into();
        self
    }

    /// Reads a file.
    pub fn get(&self, name: &str) -> Result<Vec<u8>, Outcome> {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("got");
        let outcome = self.run(&format!("get \"{name}\" \"{}\"", target.display()));
        if outcome.success { Ok(std::fs::read(target).unwrap()) } else { Err(outcome) }
    }

    /// Writes a file.
    pub fn put(&self, name: &str, content: &[u8]) -> Outcome {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        std::fs::write(&source, content).unwrap();
        self.run(&format!("put \"{}\" \"{name}\"", source.display()))
    }

    /// Deletes a file.
    pub fn del(&self, name: &str) -> Outcome {
        self.run(&format!("del \"{name}\""))
    }

    /// Renames a file.
    pub fn rename(&self, from: &str, to: &str) -> Outcome {
        self.run(&format!("rename \"{from}\" \"{to}\""))
    }

    /// Lists the share's folder.
    pub fn ls(&self) -> Outcome {
        self.run("ls")
    }

    /// Any commands of smbclient's.
    pub fn run(&self, commands: &str) -> Outcome {
        // Not the server's smb.conf: the client would log into the server's file.
        let output = Command::new("smbclient")
            .arg(format!("//127.0.0.1/{}", self.share))
            .args(["--configfile=/dev/null", "-p", &self.smbd.port().to_string()])
            .args(["-U", &format!("{}%{PASSWORD}", self.user), "-t", "120"])
            .args(&self.arguments)
            .args(["-c", commands])
            .current_dir(Path::new("/tmp"))
            .output()
            .expect("smbclient is installed: run tests/setup.sh");
        let said = [output.stdout, output.stderr].concat();
        Outcome { success: output.status.success(), output: String::from_utf8_lossy(&said).into_owned() }
    }
}
