//! The quarantine cannot take the file: it stays where it is, and denied.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use vscan_tests::clamd::{Clamd, THREAT};
use vscan_tests::samples::{eicar, plant};
use vscan_tests::smbd::Smbd;

use super::{protected, the_line_about};

fn with_quarantine() -> Smbd {
    let smbd = protected(&Clamd::shared().socket(), "quarantine directory = @RIG@/q/uarantine");
    plant(&smbd.dir("s").join("bad.com"), &eicar());
    smbd
}

fn quarantine(smbd: &Smbd) -> PathBuf {
    smbd.path("q/uarantine")
}

fn make(path: &Path, mode: u32) {
    fs::create_dir_all(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The files in a quarantine, without and with the records.
fn files(dir: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let all = fs::read_dir(dir).map_or_else(|_| Vec::new(), |dir| dir.map(|e| e.unwrap().path()).collect());
    all.into_iter().filter(|path| path.is_file()).partition(|path| path.extension().is_none())
}

#[track_caller]
fn holds_the_file(dir: &Path) {
    let (content, records) = files(dir);
    assert_eq!((content.len(), records.len()), (1, 1), "{content:?} {records:?}");
    assert_eq!(fs::read(&content[0]).unwrap(), eicar());
    assert!(fs::read_to_string(&records[0]).unwrap().contains(THREAT));
}

/// Opens the infected file. It is denied in any case; the line about it holds these words.
#[track_caller]
fn open(smbd: &Smbd, words: &[&str]) {
    let mark = smbd.log_mark();
    smbd.smbclient("s").get("bad.com").expect_err("it is denied").refused_with("NT_STATUS_VIRUS_INFECTED");
    the_line_about(smbd, mark, "s/bad.com", &[&["access denied; "], words].concat());
}

#[track_caller]
fn stays(smbd: &Smbd, words: &[&str]) {
    open(smbd, &[words, &["the file stays in place and denied"]].concat());
    assert_eq!(fs::read(smbd.dir("s").join("bad.com")).unwrap(), eicar());
}

#[track_caller]
fn goes(smbd: &Smbd, words: &[&str]) {
    open(smbd, words);
    assert!(!smbd.dir("s").join("bad.com").exists());
}

#[test]
fn a_missing_directory_is_made_for_root_alone() {
    let smbd = with_quarantine();
    goes(&smbd, &["moved to quarantine as"]);
    let directory = fs::metadata(quarantine(&smbd)).unwrap();
    assert_eq!((directory.uid(), directory.mode() & 0o7777), (0, 0o700));
    holds_the_file(&quarantine(&smbd));
}

#[test]
fn a_read_only_directory_is_named_until_it_is_mended() {
    let smbd = with_quarantine();
    make(&quarantine(&smbd), 0o700);
    smbd.mount_tmpfs(&quarantine(&smbd), "mode=0700,ro");
    stays(&smbd, &["is on a read-only filesystem: remount it or set \"quarantine directory\""]);
    stays(&smbd, &["is on a read-only filesystem"]);
    smbd.mount_tmpfs(&quarantine(&smbd), "remount,rw");
    goes(&smbd, &["copied from another filesystem to quarantine as"]);
    holds_the_file(&smbd.as_seen_by_smbd(&quarantine(&smbd)));
}

#[test]
fn a_full_directory_is_named_until_there_is_space() {
    let smbd = with_quarantine();
    make(&quarantine(&smbd), 0o700);
    // One page, or one inode besides the directory's own: in both cases there is no space for file and record.
    for size in ["size=4k", "size=64k,nr_inodes=2"] {
        smbd.mount_tmpfs(&quarantine(&smbd), &format!("mode=0700,{size}"));
        stays(&smbd, &["is full", "free space there or set \"quarantine directory\""]);
        let (content, others) = files(&smbd.as_seen_by_smbd(&quarantine(&smbd)));
        assert_eq!((content, others), (vec![], vec![]), "nothing half is left behind");
    }
    smbd.mount_tmpfs(&quarantine(&smbd), "remount,size=64k,nr_inodes=100");
    goes(&smbd, &["copied from another filesystem to quarantine as"]);
    holds_the_file(&smbd.as_seen_by_smbd(&quarantine(&smbd)));
}

#[test]
fn a_directory_on_another_filesystem_gets_a_copy() {
    let smbd = with_quarantine();
    make(&quarantine(&smbd), 0o700);
    smbd.mount_tmpfs(&quarantine(&smbd), "mode=0700");
    goes(&smbd, &["copied from another filesystem to quarantine as"]);
    holds_the_file(&smbd.as_seen_by_smbd(&quarantine(&smbd)));
}

#[test]
fn a_directory_like_tmp_gets_a_private_one_inside() {
    let smbd = with_quarantine();
    make(&quarantine(&smbd), 0o1777);
    goes(&smbd, &["moved to quarantine as", "/vscan-quarantine/"]);
    let private = quarantine(&smbd).join("vscan-quarantine");
    assert_eq!(fs::metadata(&private).unwrap().mode() & 0o7777, 0o700);
    holds_the_file(&private);
}

#[test]
fn a_directory_that_only_others_may_read_gets_a_private_one_inside() {
    let smbd = with_quarantine();
    make(&quarantine(&smbd), 0o755);
    goes(&smbd, &["moved to quarantine as", "/vscan-quarantine/"]);
    holds_the_file(&quarantine(&smbd).join("vscan-quarantine"));
}

/// Without the sticky bit, anybody could exchange the private directory inside for another one.
#[test]
fn a_directory_that_anybody_may_change_is_refused() {
    let smbd = with_quarantine();
    make(&quarantine(&smbd), 0o777);
    stays(&smbd, &["is writable for others than root: chmod 700 it"]);
    assert_eq!(fs::read_dir(quarantine(&smbd)).unwrap().count(), 0);
}

#[test]
fn a_file_or_a_link_in_its_place_is_refused() {
    let smbd = with_quarantine();
    make(&smbd.path("q"), 0o700);
    make(&smbd.path("elsewhere"), 0o700);
    fs::write(quarantine(&smbd), "x").unwrap();
    stays(&smbd, &["is a file or a symbolic link"]);
    fs::remove_file(quarantine(&smbd)).unwrap();
    std::os::unix::fs::symlink(smbd.path("elsewhere"), quarantine(&smbd)).unwrap();
    stays(&smbd, &["is a file or a symbolic link"]);
    assert_eq!(fs::read_dir(smbd.path("elsewhere")).unwrap().count(), 0);
}
