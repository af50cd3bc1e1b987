//! The administrator's command, beside a private smbd: it sees the modules and filesystems that smbd sees.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};

use crate::smbd::Smbd;

/// What one run of vscanctl has said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit code; 128 and the signal's number if one has ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// The answer to `--json`.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    /// Asserts that standard output has a line with all of these words.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        let has_all = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(self.out.lines().any(has_all), "no line has {words:?}:\n{}\n{}", self.out, self.err);
        self
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().or_else(|| Some(128 + output.status.signal()?));
        Self { code: code.unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Smbd {
    /// Runs `vscanctl` with these arguments, for this server's smb.conf.
    #[must_use]
    pub fn vscanctl(&self, arguments: &[&str]) -> Said {
        self.vscanctl_command(arguments).output().expect("vscanctl can be run").into()
    }

    /// The same, yet to be started.
    pub fn vscanctl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.process().0.as_raw_nonzero().to_string()]);
        command.arg(crate::module::vscanctl()).arg("--config").arg(self.smb_conf()).args(arguments);
        command.env_remove("NO_COLOR");
        command
    }
}
