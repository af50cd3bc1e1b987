//! A scanner program that says what a recorded one said.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vscan_backends::dialogue::Exit;
use vscan_backends::transcript::{Event, Recording};

/// A program that is gone when this is dropped.
pub struct FakeProgram {
    dir: TempDir,
    spec: String,
    arguments: Vec<u8>,
}

impl FakeProgram {
    /// Of a recording about a program; its file is in `folder` instead of `/share/`.
    pub fn new(recording: &Recording, folder: &str) -> Self {
        let [Event::Run(arguments), written @ .., Event::Exit(exit)] = recording.events.as_slice() else {
            panic!("[{}] is not about a program", recording.title)
        };
        let output = written.iter().flat_map(|event| {
            let written = event.said_by_server().unwrap_or_else(|| panic!("{event:?} while a program runs"));
            super::replay::replace(written, "/share/", folder)
        });
        let end = match exit {
            Exit::Code(code) => format!("exit {code}"),
            Exit::Signal(signal) => format!("kill -{signal} $$"),
        };
        let mut escaped = String::new();
        for byte in output {
            write!(escaped, "\\{byte:03o}").unwrap();
        }
        let dir = super::socket_dir();
        let script = format!(
            "#!/bin/sh\necho \"$*\" >>{}\nprintf '{escaped}'\n{end}\n",
            dir.path().join("told").display()
        );
        let path = write_script(dir.path(), &script);
        let spec = format!("{}:{}", recording.scanner, path.display());
        Self { dir, spec, arguments: super::replay::replace(arguments, "/share/", folder) }
    }

    /// As `scanner =` names it.
    pub fn spec(&self) -> &str {
        &self.spec
    }

    /// What was wrong with the arguments of its runs, or that there were none.
    pub fn complaints(&self) -> Vec<String> {
        let told = fs::read(self.dir.path().join("told")).unwrap_or_default();
        let lines: Vec<&[u8]> = told.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
        let others = lines.iter().filter(|line| **line != self.arguments);
        let mut complaints: Vec<String> =
            others.map(|line| format!("it was run with {}", line.escape_ascii())).collect();
        if lines.is_empty() {
            complaints.push("it was not run".to_owned());
        }
        complaints
    }
}

/// Makes an executable of a script.
pub fn write_script(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("program");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}
