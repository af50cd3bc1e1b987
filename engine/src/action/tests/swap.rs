//! Somebody puts another file in the infected one's place while an action is under way.

use std::fs;
use std::os::unix::fs::symlink;
use std::thread::sleep;
use std::time::Duration;

use super::super::*;
use super::rig::{Both, CONTENT, Once, Rig, WithoutNoreplace, names_in};

const ACTIONS: [Action; 3] = [Action::Quarantine, Action::Delete, Action::Rename];

/// The infected file gets away, and an innocent one has its name.
fn swap(rig: &Rig) {
    fs::rename(rig.share("a.doc"), rig.share("away.doc")).unwrap();
    fs::write(rig.share("a.doc"), "innocent").unwrap();
}

fn assert_innocent_in_place(rig: &Rig, names: &[&str]) {
    assert_eq!(names_in(&rig.path("share")), names);
    assert_eq!(fs::read(rig.share("a.doc")).unwrap(), b"innocent");
    assert_eq!(fs::read(rig.share("away.doc")).unwrap(), CONTENT);
    rig.assert_quarantine_empty();
}

#[test]
fn gives_an_innocent_file_back() {
    for action in ACTIONS {
        let rig = Rig::new();
        let scanned = rig.infect("a.doc");
        let steps = Once::at(Step::Checked, |_| swap(&rig));
        let error = rig.act_in_steps(action, &scanned, &steps).unwrap_err();
        assert!(matches!(&error, ActionError::Swapped { other: PutBack::InPlace, .. }), "{error}");
        assert!(error.to_string().contains("that file is back in its place"), "{error}");
        assert_innocent_in_place(&rig, &["a.doc", "away.doc"]);
    }
}

#[test]
fn gives_an_innocent_file_back_without_noreplace() {
    for action in ACTIONS {
        let rig = Rig::new();
        let scanned = rig.infect("a.doc");
        let steps = WithoutNoreplace(Once::at(Step::Checked, |_| swap(&rig)));
        let error = rig.act_in_steps(action, &scanned, &steps).unwrap_err();
        assert!(matches!(&error, ActionError::Swapped { other: PutBack::InPlace, .. }), "{error}");
        assert_innocent_in_place(&rig, &["a.doc", "away.doc"]);
    }
}

#[test]
fn gives_an_innocent_file_back_after_a_copy() {
    let rig = Rig::with_quarantine_on_tmpfs("size=1m,mode=700");
    let scanned = rig.infect("a.doc");
    let steps = Once::at(Step::CopyInPlace, |_| swap(&rig));
    let error = rig.act_in_steps(Action::Quarantine, &scanned, &steps).unwrap_err();
    assert!(matches!(&error, ActionError::Swapped { other: PutBack::InPlace, .. }), "{error}");
    assert_innocent_in_place(&rig, &["a.doc", "away.doc"]);
}

#[test]
fn loses_neither_of_two_innocent_files() {
    for action in ACTIONS {
        let rig = Rig::new();
        let scanned = rig.infect("a.doc");
        // When the wrong file has been moved, yet another one takes its name.
        let again = Once::at(Step::Checked, |_| swap(&rig));
        let steps = Both(again, Once::at(Step::Moved, |_| fs::write(rig.share("a.doc"), "third").unwrap()));
        let error = rig.act_in_steps(action, &scanned, &steps).unwrap_err();
        assert!(error.to_string().contains("a (2).doc, for its name was taken meanwhile"), "{error}");
        assert_eq!(names_in(&rig.path("share")), ["a (2).doc", "a.doc", "away.doc"]);
        assert_eq!(fs::read(rig.share("a (2).doc")).unwrap(), b"innocent");
        assert_eq!(fs::read(rig.share("a.doc")).unwrap(), b"third");
        rig.assert_quarantine_empty();
    }
}

#[test]
fn does_not_follow_a_symbolic_link_in_the_files_place() {
    for action in ACTIONS {
        let rig = Rig::new();
        let scanned = rig.infect("a.doc");
        let steps = Once::at(Step::Checked, |_| {
            fs::rename(rig.share("a.doc"), rig.share("away.doc")).unwrap();
            symlink("away.doc", rig.share("a.doc")).unwrap();
        });
        let error = rig.act_in_steps(action, &scanned, &steps).unwrap_err();
        assert!(matches!(&error, ActionError::Swapped { other: PutBack::InPlace, .. }), "{error}");
        assert_eq!(names_in(&rig.path("share")), ["a.doc", "away.doc"]);
        assert!(rig.share("a.doc").is_symlink());
    }
}

#[test]
fn does_not_follow_a_directory_that_became_a_symbolic_link() {
    for action in ACTIONS {
        let rig = Rig::new();
        fs::create_dir(rig.share("dir")).unwrap();
        fs::create_dir(rig.path("elsewhere")).unwrap();
        fs::write(rig.path("elsewhere/a.doc"), "innocent").unwrap();
        let scanned = rig.infect("dir/a.doc");
        let steps = Once::at(Step::PathRead, |_| {
            fs::rename(rig.share("dir"), rig.share("moved")).unwrap();
            symlink(rig.path("elsewhere"), rig.share("dir")).unwrap();
        });
        // The second look finds the file where it really is.
        rig.act_in_steps(action, &scanned, &steps).unwrap();
        assert!(steps.was_reached());
        assert!(!scanned.is_at(&rig.share("moved/a.doc")), "{action:?}");
        assert_eq!(fs::read(rig.path("elsewhere/a.doc")).unwrap(), b"innocent");
        assert_eq!(names_in(&rig.path("elsewhere")), ["a.doc"]);
    }
}

#[test]
fn works_in_the_directory_that_was_checked_even_if_that_is_moved() {
    for action in ACTIONS {
        let rig = Rig::new();
        fs::create_dir(rig.share("dir")).unwrap();
        let scanned = rig.infect("dir/a.doc");
        let steps = Once::at(Step::Checked, |_| {
            fs::rename(rig.share("dir"), rig.share("moved")).unwrap();
            fs::create_dir(rig.share("dir")).unwrap();
            fs::write(rig.share("dir/a.doc"), "innocent").unwrap();
        });
        rig.act_in_steps(action, &scanned, &steps).unwrap();
        assert_eq!(fs::read(rig.share("dir/a.doc")).unwrap(), b"innocent");
        assert!(!scanned.is_at(&rig.share("moved/a.doc")));
    }
}

#[test]
fn a_name_that_is_gone_at_the_last_moment_is_not_an_error() {
    for action in ACTIONS {
        let rig = Rig::new();
        let scanned = rig.infect("a.doc");
        let steps = Once::at(Step::Checked, |_| fs::remove_file(rig.share("a.doc")).unwrap());
        assert_eq!(
            rig.act_in_steps(action, &scanned, &steps),
            Ok(Done::AlreadyGone { other_names: 0 }),
            "{action:?}"
        );
        rig.assert_quarantine_empty();
    }
}

#[test]
fn a_file_that_was_moved_at_the_last_moment_is_left_for_the_next_scan() {
    for action in ACTIONS {
        let rig = Rig::new();
        let scanned = rig.infect("a.doc");
        let steps = Once::at(Step::Checked, |_| {
            // A rename moves the ctime, unless it comes in the same tick of the clock.
            sleep(Duration::from_millis(20));
            fs::rename(rig.share("a.doc"), rig.share("away.doc")).unwrap();
        });
        let error = rig.act_in_steps(action, &scanned, &steps).unwrap_err();
        assert!(matches!(&error, ActionError::Changed { path } if path.ends_with("away.doc")), "{error}");
        assert!(scanned.is_at(&rig.share("away.doc")));
        rig.assert_quarantine_empty();
    }
}

#[test]
fn does_not_remove_what_was_put_under_the_hidden_name() {
    let rig = Rig::new();
    let scanned = rig.infect("a.doc");
    let steps = Once::at(Step::Moved, |hidden| {
        fs::rename(rig.share(hidden), rig.share("away.doc")).unwrap();
        fs::write(rig.share(hidden), "innocent").unwrap();
    });
    let error = rig.act_in_steps(Action::Delete, &scanned, &steps).unwrap_err();
    assert!(matches!(&error, ActionError::Swapped { other: PutBack::InPlace, .. }), "{error}");
    assert_innocent_in_place(&rig, &["a.doc", "away.doc"]);
}
