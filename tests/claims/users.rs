use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use vscan_tests::client::{Client, Open, Status, access};
use vscan_tests::samples::{clean, eicar};

use crate::protected::{Protected, SHARE, settle};

impl Protected {
    /// An infected file with these permissions.
    fn plant_with_mode(&self, name: &str, mode: u32) {
        let path = self.plant(name, &eicar());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        settle(&path);
    }
}

#[test]
fn a_file_that_the_user_may_not_read_is_neither_scanned_nor_touched_for_him() {
    let it = Protected::with("");
    it.plant_with_mode("bad.com", 0o600);
    chown(it.path("bad.com"), Some(0), Some(0)).unwrap();
    it.refused("bad.com").refused_with("NT_STATUS_ACCESS_DENIED");
    assert_eq!(it.scanner.scans(), 0);
    assert!(it.path("bad.com").exists());
}

#[test]
fn what_is_written_to_a_file_that_nobody_can_read_is_scanned() {
    let it = Protected::with("");
    it.plant("drop.box", &clean(1, 10));
    std::fs::set_permissions(it.path("drop.box"), std::fs::Permissions::from_mode(0o622)).unwrap();
    let other = Client::connect_as_other_user(&it.smbd, SHARE);
    assert_eq!(other.open("drop.box", Open::read()).wait().status, Status::ACCESS_DENIED);
    let handle = other.open("drop.box", Open::with_access(access::WRITE_DATA)).wait().handle().unwrap();
    assert_eq!(other.write_at(handle, 0, &eicar()).wait().status, Status::OK);
    assert_eq!(other.close(handle).wait().status, Status::ACCESS_DENIED);
    assert!(!it.path("drop.box").exists());
}

#[test]
fn the_second_user_is_refused_like_the_first_and_named() {
    let it = Protected::with("infected file action = nothing");
    it.plant_with_mode("bad.com", 0o644);
    it.smbd.smbclient(SHARE).as_other_user().get("bad.com").unwrap_err().refused_with("VIRUS_INFECTED");
    it.wait_for_line("bad.com", "user bin, client 127.0.0.1");
}

#[test]
fn a_scan_changes_nothing_about_a_file() {
    let it = Protected::with("");
    let path = it.plant("a.doc", &clean(1, 100));
    let state = |path: &std::path::Path| {
        let of = path.metadata().unwrap();
        (of.ino(), of.size(), of.mode(), of.uid(), of.mtime_nsec(), of.ctime_nsec())
    };
    let before = state(&path);
    it.get("a.doc").unwrap();
    assert_eq!(state(&path), before);
}

#[test]
fn an_infected_file_on_a_share_for_reading_goes_to_quarantine() {
    let it = Protected::share("", |share| share.option("read only", "yes"));
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!((it.path("bad.com").exists(), it.quarantine().len()), (false, 1));
}
