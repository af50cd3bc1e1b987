//! A program that writes down how it was run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::smbd::Smbd;
use crate::wait::{SOON, eventually};

/// Each run has a folder of its own, which gets its last name when all is written.
const SCRIPT: &str = r#"#!/bin/sh
run=$(mktemp -d "${0%/*}/runs/part.XXXXXX")
printf '%s\0' "$@" >"$run/arguments"
env -0 >"$run/environment"
cat >"$run/input"
{ id -u; id -g; id -G; } >"$run/ids"
mv "$run" "${run%/*}/$(date +%s%N).${run##*.}"
"#;

/// The program, and what it has written.
pub struct Recorder {
    directory: PathBuf,
}

/// One run.
#[derive(Debug)]
pub struct Run {
    /// The arguments.
    pub arguments: Vec<Vec<u8>>,
    /// The environment, as `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    /// What it read.
    pub input: Vec<u8>,
    /// The user, its first group and all its groups, a line for each.
    pub ids: String,
}

impl Recorder {
    /// Where a server's commands will find it, as `@RIG@/recorder/run`. `then` is what it does at the end, in sh.
    pub fn at(smbd: &Smbd, then: &str) -> Self {
        let directory = smbd.path("recorder");
        fs::create_dir_all(directory.join("runs")).unwrap();
        for open in [&directory, &directory.join("runs")] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let program = directory.join("run");
        fs::write(&program, format!("{SCRIPT}{then}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory }
    }

    /// A file beside the program.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// All runs, oldest first.
    pub fn runs(&self) -> Vec<Run> {
        let entries = fs::read_dir(self.directory.join("runs")).unwrap().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with("part."));
        paths.sort();
        paths.iter().map(|path| Run::read(path)).collect()
    }

    /// Waits for so many of them.
    pub fn wait_for(&self, count: usize) -> Vec<Run> {
        eventually(&format!("{count} commands are run"), SOON, || {
            Some(self.runs()).filter(|runs| runs.len() >= count)
        })
    }
}

impl Run {
    fn read(path: &Path) -> Self {
        let list = |name: &str| {
            let mut items: Vec<_> =
                fs::read(path.join(name)).unwrap().split(|b| *b == 0).map(<[u8]>::to_vec).collect();
            items.pop();
            items
        };
        Self {
            arguments: list("arguments"),
            environment: list("environment"),
            input: fs::read(path.join("input")).unwrap(),
            ids: fs::read_to_string(path.join("ids")).unwrap(),
        }
    }

    /// A variable's value.
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        let beginning = format!("{name}=");
        self.environment.iter().find_map(|variable| variable.strip_prefix(beginning.as_bytes()))
    }

    /// A variable that is text.
    #[track_caller]
    pub fn text(&self, name: &str) -> &str {
        let value = self.variable(name).unwrap_or_else(|| panic!("{name} is not set"));
        std::str::from_utf8(value).unwrap()
    }
}
