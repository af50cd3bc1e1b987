//! Notes beside files that were taken away.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use super::super::*;
use super::rig::Rig;

const TEXT: &str = "It was infected.\r\n";

/// An owner of notes.
const ANN: u32 = 4711;

fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.note = Some(Note { text: TEXT, owner: Some(ANN) });
    rig
}

#[test]
fn a_note_is_the_users_and_readable_for_those_who_could_read_the_file() {
    for action in [Action::Quarantine, Action::Delete, Action::Rename] {
        let rig = rig();
        let mut scanned = rig.infect("a.doc");
        chown(rig.share("a.doc"), Some(12), Some(34)).unwrap();
        fs::set_permissions(rig.share("a.doc"), fs::Permissions::from_mode(0o3750)).unwrap();
        scanned.rescan();
        rig.act(action, &scanned).unwrap();
        assert_eq!(rig.noted.get(), Noted::Written);
        let note = rig.share("a.doc.VIRUS.txt");
        assert_eq!(fs::read_to_string(&note).unwrap(), TEXT);
        let metadata = note.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (ANN, 34, 0o640));
    }
}

#[test]
fn a_note_replaces_nothing_and_follows_no_link() {
    let rig = rig();
    let (note, elsewhere) = (rig.share("a.doc.VIRUS.txt"), rig.share("elsewhere"));
    fs::write(&note, "somebody's work").unwrap();
    rig.act(Action::Delete, &rig.infect("a.doc")).unwrap();
    assert_eq!(
        (rig.noted.get(), fs::read_to_string(&note).unwrap()),
        (Noted::Taken, "somebody's work".to_owned())
    );
    fs::remove_file(&note).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &note).unwrap();
    rig.act(Action::Delete, &rig.infect("a.doc")).unwrap();
    assert_eq!(rig.noted.get(), Noted::Taken);
    assert!(!elsewhere.exists());
}

#[test]
fn no_note_where_nothing_was_taken_away_and_none_of_notes() {
    let rig = rig();
    rig.act(Action::Nothing, &rig.infect("a.doc")).unwrap();
    assert_eq!(rig.noted.get(), Noted::NotNeeded);
    rig.act(Action::Delete, &rig.infect("a.doc.VIRUS.txt")).unwrap();
    assert_eq!(rig.noted.get(), Noted::NotNeeded);
    assert_eq!(fs::read_dir(rig.share("")).unwrap().count(), 1);
}

#[test]
fn any_name_can_have_a_note() {
    let rig = rig();
    let long = [&[b'x'; 250][..], b".doc"].concat();
    for name in [&b"a\nb"[..], b"\xff\xfe", b"$(touch x)\"'", b".hidden", &long] {
        rig.act(Action::Delete, &rig.infect(OsStr::from_bytes(name))).unwrap();
        assert_eq!(rig.noted.get(), Noted::Written, "{name:?}");
    }
    assert_eq!(fs::read_dir(rig.share("")).unwrap().count(), 5);
}

/// Quarantines a file and restores it, with something in between.
fn restored(meanwhile: impl FnOnce(&Rig)) -> Rig {
    let rig = rig();
    rig.act(Action::Quarantine, &rig.infect("a.doc")).unwrap();
    let (at, record) = rig.quarantined();
    assert_eq!(record.note.as_ref().unwrap().name.as_bytes(), b"a.doc.VIRUS.txt");
    meanwhile(&rig);
    let quarantine = Quarantine::open(&rig.quarantine).unwrap().unwrap();
    quarantine.restore(at.file_name().unwrap(), &record, None).unwrap();
    assert!(rig.share("a.doc").exists());
    rig
}

#[test]
fn a_restore_removes_the_note() {
    let rig = restored(|_| ());
    assert_eq!(fs::read_dir(rig.share("")).unwrap().count(), 1);
}

#[test]
fn a_restore_removes_nothing_that_somebody_has_written() {
    let rig = restored(|rig| fs::write(rig.share("a.doc.VIRUS.txt"), "my own words!!!!!\n").unwrap());
    assert_eq!(fs::read_to_string(rig.share("a.doc.VIRUS.txt")).unwrap(), "my own words!!!!!\n");
    let rig = restored(|rig| {
        fs::remove_file(rig.share("a.doc.VIRUS.txt")).unwrap();
        fs::write(rig.share("a.doc.VIRUS.txt"), TEXT).unwrap();
    });
    assert!(rig.share("a.doc.VIRUS.txt").exists());
    assert_eq!(fs::read_dir(rig.share("")).unwrap().count(), 2, "and no hidden name is left");
}

#[test]
fn a_record_from_before_there_were_notes_can_be_read() {
    let rig = rig();
    rig.act(Action::Quarantine, &rig.infect("a.doc")).unwrap();
    let (_, record) = rig.quarantined();
    let mut json = serde_json::to_value(&record).unwrap();
    assert!(json.as_object_mut().unwrap().remove("note").is_some());
    let old = Record::from_json(json.to_string().as_bytes()).unwrap();
    assert_eq!(old, Record { note: None, ..record });
}
