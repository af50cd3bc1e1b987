use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::super::*;
use super::rig::{CONTENT, Rig, names_in};

#[test]
fn renames_in_the_same_directory() {
    let rig = Rig::new();
    let scanned = rig.infect("a.doc");
    let to = rig.share("virus.a.doc.infected");
    assert_eq!(rig.act(Action::Rename, &scanned), Ok(Done::Renamed { to: to.clone(), other_names: 0 }));
    assert!(scanned.is_at(&to));
    assert_eq!(names_in(&rig.path("share")).len(), 1);
}

#[test]
fn never_replaces_a_file() {
    let rig = Rig::new();
    for number in 0..12 {
        let scanned = rig.infect("a.doc");
        assert!(matches!(rig.act(Action::Rename, &scanned), Ok(Done::Renamed { .. })), "{number}");
    }
    let names = names_in(&rig.path("share"));
    assert_eq!(names.len(), 12);
    assert!(names.contains(&"virus.a (2).doc.infected".into()), "{names:?}");
    assert!(names.iter().all(|name| fs::read(rig.share(name)).unwrap() == CONTENT));
}

#[test]
fn does_not_rename_what_was_renamed() {
    let rig = Rig::new();
    let mut scanned = rig.infect("a.doc");
    rig.act(Action::Rename, &scanned).unwrap();
    scanned.rescan();
    assert_eq!(rig.act(Action::Rename, &scanned), Ok(Done::AlreadyRenamed));
    assert_eq!(names_in(&rig.path("share")), ["virus.a.doc.infected"]);
}

#[test]
fn renames_names_of_any_bytes_and_length() {
    let longest = [&"ß".repeat(125).into_bytes()[..], b".docx"].concat();
    for name in [&b"two\nlines"[..], b"\xff\xfe.exe", b"-rf *", b"a (deleted)", &longest] {
        let rig = Rig::new();
        let scanned = rig.infect(OsStr::from_bytes(name));
        rig.act(Action::Rename, &scanned).unwrap();
        let [renamed] = &names_in(&rig.path("share"))[..] else { panic!("one file") };
        assert!(renamed.as_bytes().starts_with(b"virus."), "{renamed:?}");
        assert!(renamed.as_bytes().ends_with(b".infected"), "{renamed:?}");
        assert!(scanned.is_at(&rig.share(renamed)));
    }
}

#[test]
fn refuses_settings_that_make_no_name() {
    let mut rig = Rig::new();
    let scanned = rig.infect("a.doc");
    for (prefix, suffix, option) in
        [("", "", "rename prefix"), ("../", "", "rename prefix"), ("v-", "/x", "rename suffix")]
    {
        (rig.rename_prefix, rig.rename_suffix) = (prefix.to_owned(), suffix.to_owned());
        let error = rig.act(Action::Rename, &scanned).unwrap_err();
        assert!(error.to_string().contains(&format!("the setting \"{option}\" cannot be used")), "{error}");
    }
    (rig.rename_prefix, rig.rename_suffix) = ("x".repeat(251), String::new());
    let error = rig.act(Action::Rename, &scanned).unwrap_err();
    assert!(error.to_string().contains("File name too long"), "{error}");
    assert!(scanned.is_at(&rig.share("a.doc")));
}
