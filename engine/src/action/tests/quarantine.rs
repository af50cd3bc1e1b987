use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::fs::{XattrFlags, setxattr};

use super::super::*;
use super::rig::{Both, CONTENT, Once, Rig, Scanned, names_in, with_json};

/// A POSIX access ACL in the kernel's format: version 2, then tag, permissions and id of each entry.
const ACL: &[u8] =
    b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x39\x30\0\0\x04\0\x04\0\xff\xff\xff\xff\
                     \x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";

fn set_attributes(path: &Path) {
    for (name, value) in [
        ("user.plain", &b"text"[..]),
        ("user.empty", b""),
        ("user.DOSATTRIB", b"\0\0\x05\0\xff\xfe"),
        ("security.NTACL", b"\x04\0\x04\0\x80\x99"),
        ("system.posix_acl_access", ACL),
    ] {
        setxattr(path, name, value, XattrFlags::empty()).unwrap();
    }
}

fn value<'a>(record: &'a Record, name: &str) -> &'a [u8] {
    let found = record.xattrs.iter().find(|xattr| xattr.name.as_bytes() == name.as_bytes());
    found.unwrap_or_else(|| panic!("{name} is missing from the record")).value.as_bytes()
}

fn assert_recorded(rig: &Rig, record: &Record, before: &fs::Metadata, method: Method) {
    assert_eq!(record.version, 1);
    assert_eq!(record.method, method);
    let path = rig.share("a.doc");
    assert_eq!(record.path.as_bytes(), path.as_os_str().as_bytes());
    assert_eq!(record.share_path.as_bytes(), rig.path("share").as_os_str().as_bytes());
    assert_eq!(
        [&record.share, &record.user, &record.client, &record.threat, &record.scanner],
        ["docs", "alice", "192.0.2.7", "Test.Virus", "clamd"]
    );
    assert_eq!((record.dev, record.ino, record.links), (before.dev(), before.ino(), 1));
    assert_eq!((record.size, record.mode), (before.size(), before.mode()));
    assert_eq!((record.uid, record.gid), (12345, 54321));
    for (recorded, seconds, nanoseconds) in [
        (record.atime, before.atime(), before.atime_nsec()),
        (record.mtime, before.mtime(), before.mtime_nsec()),
        (record.ctime, before.ctime(), before.ctime_nsec()),
    ] {
        assert_eq!((recorded.seconds, i64::from(recorded.nanoseconds)), (seconds, nanoseconds));
    }
    assert_eq!(value(record, "user.plain"), b"text");
    assert_eq!(value(record, "user.empty"), b"");
    assert_eq!(value(record, "user.DOSATTRIB"), b"\0\0\x05\0\xff\xfe");
    assert_eq!(value(record, "security.NTACL"), b"\x04\0\x04\0\x80\x99");
    assert_eq!(value(record, "system.posix_acl_access"), ACL);
}

fn infect_with_attributes(rig: &Rig) -> (Scanned, fs::Metadata) {
    let mut scanned = rig.infect("a.doc");
    let path = rig.share("a.doc");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&path, Some(12345), Some(54321)).unwrap();
    set_attributes(&path);
    scanned.rescan();
    let before = scanned.file.metadata().unwrap();
    (scanned, before)
}

#[test]
fn moves_the_inode_and_records_everything() {
    let rig = Rig::new();
    let (scanned, before) = infect_with_attributes(&rig);
    let done = rig.act(Action::Quarantine, &scanned).unwrap();
    let (at, record) = rig.quarantined();
    assert_eq!(done, Done::Quarantined { at: at.clone(), method: Method::Moved, other_names: 0 });
    assert!(names_in(&rig.path("share")).is_empty());
    assert!(scanned.is_at(&at), "the inode itself");
    let after = fs::metadata(&at).unwrap();
    assert_eq!((after.uid(), after.gid(), after.mode()), (12345, 54321, before.mode()));
    assert_recorded(&rig, &record, &before, Method::Moved);
    assert_eq!(fs::metadata(with_json(&at)).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(&rig.quarantine).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn copies_to_another_filesystem_and_records_everything() {
    let rig = Rig::with_quarantine_on_tmpfs("size=1m,mode=700");
    let (scanned, before) = infect_with_attributes(&rig);
    let done = rig.act(Action::Quarantine, &scanned).unwrap();
    let (at, record) = rig.quarantined();
    assert_eq!(done, Done::Quarantined { at: at.clone(), method: Method::Copied, other_names: 0 });
    assert!(names_in(&rig.path("share")).is_empty());
    assert_eq!(fs::read(&at).unwrap(), CONTENT);
    assert_eq!(fs::metadata(&at).unwrap().mode() & 0o7777, 0o600);
    assert_recorded(&rig, &record, &before, Method::Copied);
}

#[test]
fn copies_long_and_sparse_files_and_leaves_the_offset_alone() {
    let rig = Rig::with_quarantine_on_tmpfs("size=1m,mode=700");
    let mut content = vec![0; 8 << 20];
    content[100_000..300_000].fill(b'x');
    let mut scanned = rig.infect_with("a.bin", &content);
    scanned.file.seek(SeekFrom::Start(7)).unwrap();
    rig.act(Action::Quarantine, &scanned).unwrap();
    let (at, record) = rig.quarantined();
    assert!(fs::read(at).unwrap() == content, "8 MB on a disk of 1 MB");
    assert_eq!(record.size, 8 << 20);
    assert_eq!(scanned.file.stream_position().unwrap(), 7);
    assert_eq!(scanned.file.read(&mut [0; 4]).unwrap(), 4);
}

#[test]
fn quarantines_names_of_any_bytes_and_length() {
    for name in [&b"two\nlines"[..], b"\xff\xfe.exe", b"vir-a.json", &[b'x'; 255]] {
        let rig = Rig::new();
        let scanned = rig.infect(OsStr::from_bytes(name));
        rig.act(Action::Quarantine, &scanned).unwrap();
        let (at, record) = rig.quarantined();
        assert!(scanned.is_at(&at));
        assert!(record.path.as_bytes().ends_with(name));
    }
}

#[test]
fn names_tell_prefix_and_time() {
    let rig = Rig::new();
    let scanned = rig.infect("a.doc");
    rig.act(Action::Quarantine, &scanned).unwrap();
    let (at, record) = rig.quarantined();
    let name = at.file_name().unwrap().to_str().unwrap();
    let time = record.found.replace(['-', ':'], "");
    assert!(name.starts_with("vir-2") && name.len() == "vir-20260801T120102Z-0123456789abcdef".len());
    assert_eq!(name[4..18], time[..14], "{name} to the minute, and {time}");
}

#[test]
fn mentions_hard_links() {
    let rig = Rig::new();
    let mut scanned = rig.infect("a.doc");
    fs::hard_link(rig.share("a.doc"), rig.share("b.doc")).unwrap();
    scanned.rescan();
    let done = rig.act(Action::Quarantine, &scanned).unwrap();
    let (at, record) = rig.quarantined();
    assert_eq!(
        done.to_string(),
        format!(
            "moved to quarantine as {}; another name of it (a hard link) is left and stays denied",
            at.display()
        )
    );
    assert_eq!(record.links, 2);
    assert_eq!(names_in(&rig.path("share")), ["b.doc"]);
}

#[test]
fn a_second_process_finds_it_in_quarantine() {
    let rig = Rig::new();
    let scanned = rig.infect("a.doc");
    // Before the first one moves it, and after it was moved away under the second one's hands.
    let other = Once::at(Step::Named, |_| {
        rig.act(Action::Quarantine, &scanned).unwrap();
    });
    let done = rig.act_in_steps(Action::Quarantine, &scanned, &other);
    let (at, _) = rig.quarantined();
    assert_eq!(done, Ok(Done::AlreadyQuarantined { at: at.clone() }));
    assert_eq!(rig.act(Action::Quarantine, &scanned), Ok(Done::AlreadyQuarantined { at }));
}

#[test]
fn never_replaces_what_is_in_quarantine() {
    for options in [None, Some("size=1m,mode=700")] {
        for suffix in ["", ".json", ".json.part", ".part"] {
            let rig = options.map_or_else(Rig::new, Rig::with_quarantine_on_tmpfs);
            let scanned = rig.infect("a.doc");
            let squatter = Once::at(Step::Named, |name| {
                let mut name = name.to_owned();
                name.push(suffix);
                fs::write(rig.quarantine.join(name), "earlier").unwrap();
            });
            let done = rig.act_in_steps(Action::Quarantine, &scanned, &squatter).unwrap();
            let Done::Quarantined { at, .. } = done else { panic!("{done}") };
            assert_eq!(fs::read(at).unwrap(), CONTENT);
            let names = names_in(&rig.quarantine);
            assert_eq!(names.len(), 3, "{names:?}");
            let earlier = |name: &OsString| fs::read(rig.quarantine.join(name)).unwrap() == b"earlier";
            assert_eq!(names.iter().filter(|name| earlier(name)).count(), 1, "{names:?}");
        }
    }
}

#[test]
fn a_write_during_the_copy_stops_it() {
    for step in [Step::CopyCreated, Step::CopyWritten, Step::CopyInPlace, Step::Hidden] {
        let rig = Rig::with_quarantine_on_tmpfs("size=1m,mode=700");
        let scanned = rig.infect("a.doc");
        let writer = fs::OpenOptions::new().append(true).open(rig.share("a.doc")).unwrap();
        let write = Once::at(step, |_| {
            use std::io::Write;
            (&writer).write_all(b"more").unwrap();
        });
        let placed = Once::at(Step::CopyInPlace, |_| {});
        let steps = Both(write, placed);
        let result = rig.act_in_steps(Action::Quarantine, &scanned, &steps);
        assert_eq!(steps.1.was_reached(), step != Step::CopyCreated, "seen as soon as it is copied");
        assert!(matches!(result, Err(ActionError::Changed { .. })), "{step:?}: {result:?}");
        assert_eq!(fs::read(rig.share("a.doc")).unwrap(), [CONTENT, b"more"].concat());
        rig.assert_quarantine_empty();
    }
}

#[test]
fn a_copy_is_kept_when_somebody_else_removes_the_file() {
    let rig = Rig::with_quarantine_on_tmpfs("size=1m,mode=700");
    let scanned = rig.infect("a.doc");
    let remover = Once::at(Step::CopyInPlace, |_| fs::remove_file(rig.share("a.doc")).unwrap());
    assert!(matches!(
        rig.act_in_steps(Action::Quarantine, &scanned, &remover),
        Ok(Done::Quarantined { method: Method::Copied, .. })
    ));
    assert_eq!(fs::read(rig.quarantined().0).unwrap(), CONTENT);
}
