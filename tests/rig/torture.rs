//! Samba's own test suite for servers, and what became of each of its tests.

use std::collections::BTreeMap;
use std::process::Command;

use crate::smbd::{PASSWORD, Smbd, USER};

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As the suite expects.
    Passed,
    /// Not as it expects, or not at all.
    Failed,
    /// It does not apply.
    Skipped,
}

/// One run of smbtorture.
#[derive(Debug)]
pub struct Run {
    /// How each test ended, by its full name.
    pub endings: BTreeMap<String, Ending>,
    /// All that smbtorture said.
    pub output: String,
}

impl Run {
    /// What smbtorture said of one test that did not pass.
    pub fn words_about(&self, test: &str) -> String {
        let head = [format!("failure: {test} ["), format!("error: {test} ["), format!("skip: {test} [")];
        let lines = self.output.lines().skip_while(|line| !head.iter().any(|head| line == head));
        lines.skip(1).take_while(|line| *line != "]").collect::<Vec<_>>().join(" ")
    }
}

impl Smbd {
    /// Runs one suite, or one test of a suite, against a share. `options` are smbtorture's own, such as
    /// `--option=torture:timelimit=2`.
    pub fn torture(&self, share: &str, suite: &str, options: &[&str]) -> Run {
        let output = Command::new("smbtorture")
            .args([&format!("//127.0.0.1/{share}"), suite])
            .args(["--fullname", "--format=subunit", "--configfile=/dev/null", "--maximum-runtime=600"])
            .args(["-p", &self.port().to_string(), "-U", &format!("{USER}%{PASSWORD}")])
            .args(options)
            .current_dir("/tmp")
            .output()
            .expect("smbtorture is installed: run tests/setup.sh");
        let output = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Run { endings: output.lines().filter_map(ending).collect(), output }
    }
}

fn ending(line: &str) -> Option<(String, Ending)> {
    let (word, name) = line.split_once(": ")?;
    let ending = match word {
        "success" => Ending::Passed,
        "failure" | "error" => Ending::Failed,
        "skip" => Ending::Skipped,
        _ => return None,
    };
    let name = name.split(" [").next()?.trim();
    name.starts_with("smb2.").then(|| (name.to_owned(), ending))
}
