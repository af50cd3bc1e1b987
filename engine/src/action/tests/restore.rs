//! Files come back from quarantine exactly as they were, or not at all.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use rustix::fs::{Timespec, Timestamps, XattrFlags, fgetxattr, flistxattr, futimens, setxattr};

use super::super::*;
use super::kill::act_and_be_killed;
use super::rig::{CONTENT, Once, Rig, WithoutNoreplace, names_in};

/// A POSIX ACL in the kernel's format: version 2, then tag, permissions and id of each entry.
const ACL: &[u8] =
    b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x39\x30\0\0\x04\0\x04\0\xff\xff\xff\xff\
                     \x10\0\x05\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";

const TMPFS: &str = "size=1m,mode=700";

/// All that a restore promises.
#[derive(Debug, PartialEq, Eq)]
struct Everything {
    content: Vec<u8>,
    owner: (u32, u32),
    mode: u32,
    mtime: (i64, i64),
    atime: (i64, i64),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Everything {
    fn of(path: &Path) -> Self {
        // Before the content is read.
        let stat = fs::symlink_metadata(path).unwrap();
        let file = fs::File::open(path).unwrap();
        let (mut names, mut value) = (vec![0; 65536], vec![0; 65536]);
        let length = flistxattr(&file, &mut names[..]).unwrap();
        let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
        let mut xattrs: Vec<_> = names
            .map(|name| {
                let length = fgetxattr(&file, name, &mut value[..]).unwrap();
                (name.to_vec(), value[..length].to_vec())
            })
            .collect();
        xattrs.sort();
        Self {
            content: fs::read(path).unwrap(),
            owner: (stat.uid(), stat.gid()),
            mode: stat.mode(),
            mtime: (stat.mtime(), stat.mtime_nsec()),
            atime: (stat.atime(), stat.atime_nsec()),
            xattrs,
        }
    }
}

/// A file with something of everything goes to quarantine.
fn quarantine_one(rig: &Rig) -> Everything {
    let path = rig.share("a.doc");
    let mut scanned = rig.infect("a.doc");
    chown(&path, Some(12345), Some(54321)).unwrap();
    for (name, value) in [
        ("user.plain", &b"text"[..]),
        ("user.DOSATTRIB", b"\0\0\x05\0\xff\xfe"),
        ("security.NTACL", b"\x04\0\x04\0\x80\x99"),
        ("system.posix_acl_access", ACL),
    ] {
        setxattr(&path, name, value, XattrFlags::empty()).unwrap();
    }
    fs::set_permissions(&path, Permissions::from_mode(0o4650)).unwrap();
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times =
        Timestamps { last_access: time(1_000_000_000, 7), last_modification: time(900_000_000, 123_456_789) };
    futimens(&scanned.file, &times).unwrap();
    scanned.rescan();
    let before = Everything::of(&path);
    // Looking at it was an access.
    futimens(&scanned.file, &times).unwrap();
    scanned.rescan();
    rig.act(Action::Quarantine, &scanned).unwrap();
    assert!(!path.exists());
    before
}

fn quarantine_of(rig: &Rig) -> Quarantine {
    Quarantine::open(&rig.quarantine).unwrap().unwrap()
}

fn restore_in_steps(rig: &Rig, to: Option<&Path>, steps: &dyn Steps) -> Result<PathBuf, ActionError> {
    let quarantine = quarantine_of(rig);
    let items = quarantine.items().unwrap();
    let item = items.iter().find(|item| item.state == State::Kept).unwrap();
    let record = item.record.as_ref().unwrap().as_ref().unwrap();
    quarantine.restore_in_steps(&item.id, record, to, steps)
}

fn restore(rig: &Rig, to: Option<&Path>) -> Result<PathBuf, ActionError> {
    restore_in_steps(rig, to, &Straight)
}

#[track_caller]
fn refused(rig: &Rig, to: Option<&Path>) -> RestoreTrouble {
    let error = restore(rig, to).unwrap_err();
    assert_eq!(quarantine_of(rig).items().unwrap()[0].state, State::Kept);
    let ActionError::Restore { trouble, .. } = error else { panic!("{error}") };
    trouble
}

fn rigs() -> [Rig; 2] {
    [Rig::new(), Rig::with_quarantine_on_tmpfs(TMPFS)]
}

#[test]
fn everything_comes_back_and_nothing_is_left() {
    for rig in rigs() {
        let before = quarantine_one(&rig);
        assert_eq!(restore(&rig, None), Ok(rig.share("a.doc")));
        assert_eq!(Everything::of(&rig.share("a.doc")), before);
        assert_eq!(names_in(&rig.path("share")), ["a.doc"]);
        rig.assert_quarantine_empty();
    }
}

#[test]
fn everything_comes_back_to_another_place() {
    for rig in rigs() {
        let before = quarantine_one(&rig);
        fs::create_dir(rig.path("elsewhere")).unwrap();
        let to = rig.path("elsewhere/b.doc");
        assert_eq!(restore(&rig, Some(&to)), Ok(to.clone()));
        assert_eq!(Everything::of(&to), before);
        rig.assert_quarantine_empty();
    }
}

#[test]
fn a_moved_file_comes_back_to_another_filesystem() {
    let mut rig = Rig::new();
    let scanned = rig.infect("a.doc");
    rig.act(Action::Quarantine, &scanned).unwrap();
    rig.mount_share("size=1m");
    assert_eq!(restore(&rig, None), Ok(rig.share("a.doc")));
    assert_eq!(fs::read(rig.share("a.doc")).unwrap(), CONTENT);
    rig.assert_quarantine_empty();
}

#[test]
fn holes_come_back_as_holes() {
    let rig = Rig::with_quarantine_on_tmpfs(TMPFS);
    let mut content = vec![0; 8 << 20];
    content[100_000..300_000].fill(b'x');
    let scanned = rig.infect_with("a.bin", &content);
    rig.act(Action::Quarantine, &scanned).unwrap();
    restore(&rig, None).unwrap();
    assert!(fs::read(rig.share("a.bin")).unwrap() == content);
    assert!(fs::metadata(rig.share("a.bin")).unwrap().blocks() * 512 < 1 << 20);
}

#[test]
fn what_the_directory_gives_to_new_files_is_taken_off() {
    for rig in rigs() {
        setxattr(rig.path("share"), "system.posix_acl_default", ACL, XattrFlags::empty()).unwrap();
        let mut scanned = rig.infect("a.doc");
        rustix::fs::fremovexattr(&scanned.file, "system.posix_acl_access").unwrap();
        fs::set_permissions(rig.share("a.doc"), Permissions::from_mode(0o604)).unwrap();
        scanned.rescan();
        rig.act(Action::Quarantine, &scanned).unwrap();
        restore(&rig, None).unwrap();
        let after = Everything::of(&rig.share("a.doc"));
        assert_eq!((after.mode & 0o7777, after.xattrs), (0o604, Vec::new()));
    }
}

#[test]
fn nothing_is_ever_replaced() {
    for rig in rigs() {
        quarantine_one(&rig);
        fs::write(rig.share("a.doc"), "new").unwrap();
        assert_eq!(refused(&rig, None), RestoreTrouble::Taken);
        assert_eq!(fs::read(rig.share("a.doc")).unwrap(), b"new");
        assert_eq!(names_in(&rig.path("share")), ["a.doc"]);
    }
}

#[test]
fn nothing_is_replaced_at_the_last_moment_either() {
    for (rig, step) in rigs().into_iter().zip([Step::Attributed, Step::CopyWritten]) {
        quarantine_one(&rig);
        let squatter = || Once::at(step, |_| fs::write(rig.share("a.doc"), "new").unwrap());
        for error in [
            restore_in_steps(&rig, None, &squatter()).unwrap_err(),
            restore_in_steps(&rig, None, &WithoutNoreplace(squatter())).unwrap_err(),
        ] {
            assert!(matches!(error, ActionError::Restore { trouble: RestoreTrouble::Taken, .. }), "{error}");
            assert_eq!(fs::read(rig.share("a.doc")).unwrap(), b"new");
            assert_eq!(quarantine_of(&rig).items().unwrap()[0].state, State::Kept);
        }
    }
}

#[test]
fn works_where_replacing_nothing_cannot_be_promised() {
    for rig in rigs() {
        let before = quarantine_one(&rig);
        restore_in_steps(&rig, None, &WithoutNoreplace(Straight)).unwrap();
        assert_eq!(Everything::of(&rig.share("a.doc")), before);
        rig.assert_quarantine_empty();
    }
}

#[test]
fn no_directory_is_made_and_no_link_followed() {
    let rig = Rig::new();
    quarantine_one(&rig);
    fs::rename(rig.path("share"), rig.path("away")).unwrap();
    assert_eq!(refused(&rig, None), RestoreTrouble::NoDirectory);
    symlink(rig.path("away"), rig.path("share")).unwrap();
    assert_eq!(refused(&rig, None), RestoreTrouble::LinkOnTheWay);
    assert!(names_in(&rig.path("away")).is_empty());
}

#[test]
fn a_file_that_is_not_what_the_record_says_stays() {
    let rig = Rig::new();
    quarantine_one(&rig);
    let (at, _) = rig.quarantined();
    fs::write(at, "shorter").unwrap();
    assert_eq!(refused(&rig, None), RestoreTrouble::OtherContent);
}

#[test]
fn a_disk_that_is_full_leaves_it_in_quarantine() {
    let mut rig = Rig::new();
    let scanned = rig.infect_with("a.doc", &vec![b'x'; 1 << 20]);
    rig.act(Action::Quarantine, &scanned).unwrap();
    rig.mount_share("size=64k");
    let trouble = refused(&rig, None);
    assert_eq!(trouble, RestoreTrouble::System("write to", rustix::io::Errno::NOSPC));
    assert!(names_in(&rig.path("share")).is_empty());
}

/// Runs in a child process of the next test: see `kill.rs`.
pub(super) fn restore_and_be_killed(rig: &Rig, steps: &dyn Steps) {
    restore_in_steps(rig, None, steps).unwrap();
}

#[test]
fn a_file_is_never_in_neither_place() {
    for new_rig in [Rig::new, || Rig::with_quarantine_on_tmpfs(TMPFS)] {
        let mut killed = 0;
        loop {
            let rig = new_rig();
            let before = quarantine_one(&rig);
            let status = act_and_be_killed(&rig, "restore", killed);
            let items = quarantine_of(&rig).items().unwrap();
            let in_place = rig.share("a.doc").exists();
            assert!(in_place || items[0].state == State::Kept, "after {killed} steps: {items:?}");
            let is_whole = |item: &Item| fs::read(rig.quarantine.join(&item.id)).unwrap() == CONTENT;
            assert!(items.iter().all(|item| item.state != State::Kept || is_whole(item)));
            if in_place {
                assert_eq!(Everything::of(&rig.share("a.doc")), before, "after {killed} steps");
            } else {
                restore(&rig, None).unwrap();
                assert_eq!(Everything::of(&rig.share("a.doc")), before, "again after {killed} steps");
            }
            assert_eq!(names_in(&rig.path("share")), ["a.doc"]);
            if status.success() {
                break;
            }
            killed += 1;
        }
        assert!(killed >= 5, "killed {killed} times only");
    }
}

#[test]
fn lists_what_is_whole_and_what_is_not() {
    let rig = Rig::new();
    quarantine_one(&rig);
    let (at, _) = rig.quarantined();
    for name in ["x-file", "y-record.json", "z-part.part", "z-part.json.part"] {
        fs::write(rig.quarantine.join(name), "?").unwrap();
    }
    let items = quarantine_of(&rig).items().unwrap();
    let states: Vec<_> = items.iter().map(|item| (item.id.clone(), item.state)).collect();
    let expected = [
        (at.file_name().unwrap().to_owned(), State::Kept),
        (OsString::from("x-file"), State::FileOnly),
        (OsString::from("y-record"), State::RecordOnly),
        (OsString::from("z-part"), State::Unfinished),
    ];
    assert_eq!(states, expected);
    assert!(items[0].record.as_ref().unwrap().is_ok() && items[2].record.as_ref().unwrap().is_err());
    for item in &items {
        quarantine_of(&rig).delete(&item.id).unwrap();
    }
    rig.assert_quarantine_empty();
}
