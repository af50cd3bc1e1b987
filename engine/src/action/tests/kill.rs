//! The process is killed between any two steps: the file is in its place, or in quarantine with its record.

use std::cell::Cell;
use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use rustix::process::{Signal, getpid, kill_process};

use super::super::*;
use super::rig::{CONTENT, Rig, Scanned, names_in, with_json};

const AFTER: &str = "VSCAN_TEST_KILLED_AFTER";
const ROOT: &str = "VSCAN_TEST_ROOT";
const ACTION: &str = "VSCAN_TEST_ACTION";

/// Kills the process that takes the steps, after so many of them.
struct Killed(Cell<usize>);

impl Steps for Killed {
    fn reached(&self, _step: Step, _name: &OsStr) {
        match self.0.get().checked_sub(1) {
            Some(left) => self.0.set(left),
            None => kill_process(getpid(), Signal::KILL).unwrap(),
        }
    }
}

/// Runs in a child process of the tests below, and does nothing when it is run as a test.
#[test]
fn child() {
    let Ok(after) = env::var(AFTER) else { return };
    let rig = Rig::around(env::var(ROOT).unwrap().into());
    let steps = Killed(Cell::new(after.parse().unwrap()));
    if env::var(ACTION).unwrap() == "restore" {
        return super::restore::restore_and_be_killed(&rig, &steps);
    }
    let action = if env::var(ACTION).unwrap() == "delete" { Action::Delete } else { Action::Quarantine };
    let scanned = Scanned::open(&rig.share("a.doc"));
    rig.act_in_steps(action, &scanned, &steps).unwrap();
}

pub(super) fn act_and_be_killed(rig: &Rig, action: &str, after: usize) -> ExitStatus {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "action::tests::kill::child", "--nocapture"])
        .env(AFTER, after.to_string())
        .env(ROOT, rig.path(""))
        .env(ACTION, action)
        .output()
        .unwrap()
        .status
}

/// Whether the file is where its record says, or somewhere in its directory.
fn in_quarantine_with_record(rig: &Rig) -> bool {
    names_in(&rig.quarantine).iter().any(|name| {
        let at = rig.quarantine.join(name);
        let record = fs::read(with_json(&at)).ok().map(|json| Record::from_json(&json).unwrap());
        record.is_some_and(|record| {
            record.path.as_bytes().ends_with(b"/share/a.doc") && fs::read(&at).is_ok_and(|is| is == CONTENT)
        })
    })
}

/// Every file in quarantine that looks finished has a record.
fn assert_nothing_without_record(rig: &Rig, after: usize) {
    for name in names_in(&rig.quarantine) {
        let text = name.to_str().unwrap();
        if !text.ends_with(".json") && !text.ends_with(".part") {
            assert!(with_json(&rig.quarantine.join(&name)).exists(), "{name:?} after {after} steps");
        }
    }
}

fn kill_at_every_step(mut new_rig: impl FnMut() -> Rig, action: &str, mut check: impl FnMut(&Rig, usize)) {
    for after in 0..100 {
        let rig = new_rig();
        rig.infect("a.doc");
        let status = act_and_be_killed(&rig, action, after);
        check(&rig, after);
        if status.success() {
            assert!(after >= 3, "killed {after} times only");
            return;
        }
        assert_eq!(status.signal(), Some(9), "after {after} steps: {status}");
    }
    panic!("the action does not end");
}

#[test]
fn a_file_that_is_moved_is_never_in_neither_place() {
    kill_at_every_step(Rig::new, "quarantine", |rig, after| {
        let in_place = fs::read(rig.share("a.doc")).is_ok_and(|is| is == CONTENT);
        assert!(in_place != in_quarantine_with_record(rig), "after {after} steps");
        assert_nothing_without_record(rig, after);
    });
}

#[test]
fn a_file_that_is_copied_is_never_in_neither_place() {
    let new_rig = || Rig::with_quarantine_on_tmpfs("size=1m,mode=700");
    kill_at_every_step(new_rig, "quarantine", |rig, after| {
        let in_place = fs::read(rig.share("a.doc")).is_ok_and(|is| is == CONTENT);
        assert!(in_place || in_quarantine_with_record(rig), "after {after} steps");
        assert_nothing_without_record(rig, after);
    });
}

#[test]
fn a_file_that_is_deleted_is_gone_or_in_its_directory() {
    kill_at_every_step(Rig::new, "delete", |rig, after| {
        let names = names_in(&rig.path("share"));
        assert!(names.len() <= 1, "after {after} steps: {names:?}");
        assert!(names.iter().all(|name| fs::read(rig.share(name)).unwrap() == CONTENT));
    });
}
