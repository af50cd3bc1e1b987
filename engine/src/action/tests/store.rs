//! Quarantine directories that are not as they should be.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use super::super::*;
use super::rig::{CONTENT, Rig, names_in};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn make_quarantine(rig: &Rig, mode: u32) {
    fs::create_dir(&rig.quarantine).unwrap();
    fs::set_permissions(&rig.quarantine, Permissions::from_mode(mode)).unwrap();
}

fn refused(rig: &Rig) -> String {
    let scanned = rig.infect("a.doc");
    let error = rig.act(Action::Quarantine, &scanned).unwrap_err();
    assert!(scanned.is_at(&rig.share("a.doc")), "it stays in place");
    assert_eq!(names_in(&rig.path("share")), ["a.doc"]);
    assert!(matches!(error, ActionError::Quarantine { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("set \"quarantine directory\""), "names the cure: {text}");
    text
}

#[test]
fn makes_a_missing_directory_with_its_parents() {
    let mut rig = Rig::new();
    rig.quarantine = rig.path("var/lib/q/");
    let scanned = rig.infect("a.doc");
    rig.act(Action::Quarantine, &scanned).unwrap();
    assert!(scanned.is_at(&rig.quarantined().0));
    assert_eq!(mode(&rig.path("var/lib/q")), 0o700);
}

#[test]
fn uses_a_private_directory_as_it_is() {
    let rig = Rig::new();
    make_quarantine(&rig, 0o700);
    let scanned = rig.infect("a.doc");
    rig.act(Action::Quarantine, &scanned).unwrap();
    assert!(scanned.is_at(&rig.quarantined().0));
}

#[test]
fn makes_a_private_directory_inside_one_that_others_can_read_or_use() {
    for others in [0o755, 0o710, 0o1777] {
        let mut rig = Rig::new();
        make_quarantine(&rig, others);
        for name in ["a.doc", "b.doc"] {
            let scanned = rig.infect(name);
            let done = rig.act(Action::Quarantine, &scanned).unwrap();
            assert!(done.to_string().contains("/quarantine/vscan-quarantine/vir-"), "{done}");
        }
        assert_eq!(names_in(&rig.quarantine), ["vscan-quarantine"]);
        assert_eq!(mode(&rig.quarantine), others, "it may be /tmp");
        rig.quarantine.push("vscan-quarantine");
        assert_eq!(mode(&rig.quarantine), 0o700);
        assert_eq!(names_in(&rig.quarantine).len(), 4);
    }
}

#[test]
fn refuses_a_directory_out_of_which_others_could_move_things() {
    let rig = Rig::new();
    make_quarantine(&rig, 0o777);
    assert!(refused(&rig).contains("writable for others"));
    let rig = Rig::new();
    make_quarantine(&rig, 0o1777);
    chown(&rig.quarantine, Some(12345), None).unwrap();
    assert!(refused(&rig).contains("belongs to"));
}

#[test]
fn refuses_a_private_directory_that_somebody_else_has_prepared() {
    type Prepare = fn(&Path);
    let prepared: [Prepare; 4] = [
        |inner| {
            fs::create_dir(inner).unwrap();
            chown(inner, Some(12345), None).unwrap();
        },
        |inner| {
            fs::create_dir(inner).unwrap();
            fs::set_permissions(inner, Permissions::from_mode(0o755)).unwrap();
        },
        |inner| symlink("/root", inner).unwrap(),
        |inner| fs::write(inner, "").unwrap(),
    ];
    for prepare in prepared {
        let rig = Rig::new();
        make_quarantine(&rig, 0o1777);
        prepare(&rig.quarantine.join("vscan-quarantine"));
        refused(&rig);
    }
}

#[test]
fn refuses_a_symbolic_link() {
    for slash in ["", "/"] {
        let mut rig = Rig::new();
        fs::create_dir(rig.path("real")).unwrap();
        fs::set_permissions(rig.path("real"), Permissions::from_mode(0o700)).unwrap();
        symlink("real", rig.path("link")).unwrap();
        rig.quarantine = rig.path(format!("link{slash}"));
        assert!(refused(&rig).contains("is a file or a symbolic link"));
        assert!(names_in(&rig.path("real")).is_empty());
    }
}

#[test]
fn refuses_a_file_and_what_is_below_a_file() {
    let mut rig = Rig::new();
    fs::write(&rig.quarantine, "").unwrap();
    assert!(refused(&rig).contains("is a file"));
    rig.quarantine.push("below");
    assert!(refused(&rig).contains("below a file"));
}

#[test]
fn refuses_a_relative_path() {
    let mut rig = Rig::new();
    rig.quarantine = PathBuf::from("quarantine");
    assert!(refused(&rig).contains("not an absolute path"));
}

#[test]
fn refuses_a_full_disk_and_leaves_nothing_behind() {
    // Not even the record, the record but not the copy, and some of the copy.
    for (filler, content) in [(60, CONTENT.to_vec()), (0, vec![b'x'; 64 * 1024]), (0, vec![b'x'; 1 << 20])] {
        let rig = Rig::with_quarantine_on_tmpfs("size=64k,mode=700");
        let full = rig.quarantine.join("filler");
        if filler > 0 {
            // As much as there is room for.
            let _ = fs::write(&full, vec![b'x'; 128 * 1024]);
        }
        let scanned = rig.infect_with("a.doc", &content);
        let error = rig.act(Action::Quarantine, &scanned).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "the quarantine directory {} is full (No space left on device): free space there or set \
                 \"quarantine directory\"; the file stays in place and denied",
                rig.quarantine.display()
            )
        );
        assert!(scanned.is_at(&rig.share("a.doc")));
        let _ = fs::remove_file(full);
        rig.assert_quarantine_empty();
    }
}

#[test]
fn refuses_a_full_disk_on_the_same_filesystem() {
    let mut rig = Rig::new();
    rig.mount_share("size=64k");
    rig.quarantine = rig.share("quarantine");
    let scanned = rig.infect("a.doc");
    make_quarantine(&rig, 0o700);
    let _ = fs::write(rig.share("filler"), vec![b'x'; 128 * 1024]);
    let error = rig.act(Action::Quarantine, &scanned).unwrap_err().to_string();
    assert!(error.contains("is full (No space left on device)"), "{error}");
    assert!(scanned.is_at(&rig.share("a.doc")));
    rig.assert_quarantine_empty();
}

#[test]
fn refuses_a_read_only_disk() {
    let mut rig = Rig::with_quarantine_on_tmpfs("ro,mode=700");
    assert!(refused(&rig).contains("is on a read-only filesystem"));
    rig.quarantine.push("missing");
    assert!(refused(&rig).contains("is on a read-only filesystem"));
}
