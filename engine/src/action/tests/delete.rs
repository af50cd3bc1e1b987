use std::fs;

use super::super::*;
use super::rig::{CONTENT, Once, Rig, names_in};

#[test]
fn deletes_the_file_and_leaves_nothing_behind() {
    let rig = Rig::new();
    let scanned = rig.infect("a.doc");
    assert_eq!(rig.act(Action::Delete, &scanned), Ok(Done::Deleted { other_names: 0 }));
    assert!(names_in(&rig.path("share")).is_empty());
}

#[test]
fn nothing_is_nothing() {
    let rig = Rig::new();
    let scanned = rig.infect("a.doc");
    assert_eq!(rig.act(Action::Nothing, &scanned), Ok(Done::Nothing));
    assert!(scanned.is_at(&rig.share("a.doc")));
}

#[test]
fn deletes_one_name_and_mentions_the_others() {
    let rig = Rig::new();
    let mut scanned = rig.infect("a.doc");
    fs::hard_link(rig.share("a.doc"), rig.share("b.doc")).unwrap();
    scanned.rescan();
    let done = rig.act(Action::Delete, &scanned).unwrap();
    assert_eq!(done.to_string(), "deleted; another name of it (a hard link) is left and stays denied");
    assert_eq!(names_in(&rig.path("share")), ["b.doc"]);
}

#[test]
fn a_file_that_is_gone_needs_no_action() {
    for action in [Action::Quarantine, Action::Delete, Action::Rename] {
        let rig = Rig::new();
        let scanned = rig.infect("a.doc");
        fs::remove_file(rig.share("a.doc")).unwrap();
        assert_eq!(rig.act(action, &scanned), Ok(Done::AlreadyGone { other_names: 0 }));
        // The same when one of two names is gone; the kernel does not say where the other is.
        let scanned = rig.infect("b.doc");
        fs::hard_link(rig.share("b.doc"), rig.share("other")).unwrap();
        fs::remove_file(rig.share("b.doc")).unwrap();
        assert_eq!(rig.act(action, &scanned), Ok(Done::AlreadyGone { other_names: 1 }));
        assert!(scanned.is_at(&rig.share("other")));
    }
}

#[test]
fn a_file_may_be_called_deleted() {
    let rig = Rig::new();
    let scanned = rig.infect("a (deleted)");
    assert_eq!(rig.act(Action::Delete, &scanned), Ok(Done::Deleted { other_names: 0 }));
    // A name that only looks like what the kernel says of a removed one.
    let scanned = rig.infect("b");
    fs::remove_file(rig.share("b")).unwrap();
    fs::write(rig.share("b (deleted)"), "innocent").unwrap();
    assert_eq!(rig.act(Action::Delete, &scanned), Ok(Done::AlreadyGone { other_names: 0 }));
    assert_eq!(fs::read(rig.share("b (deleted)")).unwrap(), b"innocent");
}

#[test]
fn refuses_a_file_that_is_not_what_was_scanned() {
    for action in [Action::Quarantine, Action::Delete, Action::Rename] {
        let rig = Rig::new();
        let scanned = rig.infect("a.doc");
        fs::write(rig.share("a.doc"), "clean by now").unwrap();
        let path = rig.share("a.doc");
        assert_eq!(rig.act(action, &scanned), Err(ActionError::Changed { path }));
        assert_eq!(names_in(&rig.path("share")), ["a.doc"]);
        rig.assert_quarantine_empty();
    }
}

#[test]
fn refuses_what_the_system_forbids_and_says_why() {
    let mut rig = Rig::new();
    rig.mount_share("size=64k");
    let scanned = rig.infect("a.doc");
    rig.remount_share_read_only();
    for (action, doing) in
        [(Action::Delete, "delete"), (Action::Rename, "rename"), (Action::Quarantine, "remove")]
    {
        let copy = Once::at(Step::CopyCreated, |_| {});
        let error = rig.act_in_steps(action, &scanned, &copy).unwrap_err().to_string();
        assert!(!copy.was_reached(), "a copy would be in vain");
        let path = rig.share("a.doc");
        assert_eq!(
            error,
            format!(
                "cannot {doing} {} (Read-only file system): its filesystem is mounted read-only; \
                 the file stays in place and denied",
                path.display()
            )
        );
    }
    assert_eq!(fs::read(rig.share("a.doc")).unwrap(), CONTENT);
    rig.assert_quarantine_empty();
}
