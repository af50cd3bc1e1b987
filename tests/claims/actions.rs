use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{XattrFlags, setxattr};
use serde_json::{Value, json};
use vscan_tests::clamd::THREAT;
use vscan_tests::client::Status;
use vscan_tests::samples::eicar;

use crate::protected::{Protected, files_in_quarantine, settle};

fn record_of(file: &Path) -> Value {
    let mut name = file.as_os_str().to_owned();
    name.push(".json");
    serde_json::from_slice(&std::fs::read(name).unwrap()).unwrap()
}

fn mode_of(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn an_infected_file_goes_to_quarantine_as_it_was() {
    let it = Protected::with("infected file action = quarantine");
    let path = it.plant("bad.com", &eicar());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    setxattr(&path, "user.note", b"\xff!", XattrFlags::empty()).unwrap();
    let before = path.metadata().unwrap();
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert!(!path.exists());
    let [file] = &it.quarantine()[..] else { panic!("one file is in quarantine") };
    let after = file.metadata().unwrap();
    assert_eq!((after.ino(), after.uid(), mode_of(file)), (before.ino(), before.uid(), 0o640));
    assert_eq!(std::fs::read(file).unwrap(), eicar());
    it.wait_for_line("bad.com", &format!("moved to quarantine as {}", file.display()));
}

#[test]
fn the_record_in_quarantine_says_all_that_a_restore_needs() {
    let it = Protected::with("");
    let path = it.plant("bad.com", &eicar());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    setxattr(&path, "user.note", b"\xff!", XattrFlags::empty()).unwrap();
    let before = path.metadata().unwrap();
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let record = record_of(&it.quarantine()[0]);
    for (field, value) in [
        ("path", json!({ "text": path.to_str().unwrap() })),
        ("share", json!("s")),
        ("share_path", json!({ "text": it.path("").to_str().unwrap().trim_end_matches('/') })),
        ("user", json!("daemon")),
        ("client", json!("127.0.0.1")),
        ("threat", json!(THREAT)),
        ("scanner", json!("clamav")),
        ("method", json!("moved")),
        ("uid", json!(before.uid())),
        ("gid", json!(before.gid())),
        ("mode", json!(before.mode())),
        ("size", json!(68)),
        ("mtime", json!({ "seconds": before.mtime(), "nanoseconds": before.mtime_nsec() })),
        ("xattrs", json!([{ "name": { "text": "user.note" }, "value": { "base64": "/yE=" } }])),
    ] {
        assert_eq!(record[field], value, "{field} in {record:#}");
    }
}

#[test]
fn only_root_can_enter_the_quarantine() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let quarantine = it.smbd.path("quarantine");
    assert_eq!((mode_of(&quarantine), quarantine.metadata().unwrap().uid()), (0o700, 0));
}

#[test]
fn names_in_quarantine_begin_with_the_prefix() {
    for (options, prefix) in [("", "vir-"), ("quarantine prefix = found.", "found.")] {
        let it = Protected::with(options);
        it.plant("bad.com", &eicar());
        it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
        let name = it.quarantine()[0].file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.starts_with(prefix) && !name.contains("bad"), "{name}");
    }
}

#[test]
fn files_of_one_name_do_not_replace_each_other_in_quarantine() {
    let it = Protected::with("");
    let client = it.client();
    for _ in 0..3 {
        assert_eq!(client.write("bad.com", &eicar()), Err(Status::ACCESS_DENIED));
    }
    assert_eq!(it.quarantine().len(), 3);
}

#[test]
fn a_quarantine_on_another_filesystem_gets_a_copy() {
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    let quarantine = other.path().join("quarantine");
    let it = Protected::with(&format!("quarantine directory = {}", quarantine.display()));
    let path = it.plant("bad.com", &eicar());
    assert_ne!(other.path().metadata().unwrap().dev(), path.metadata().unwrap().dev());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert!(!path.exists());
    let [file] = &files_in_quarantine(&quarantine)[..] else { panic!("one file is in quarantine") };
    assert_eq!(std::fs::read(file).unwrap(), eicar());
    assert_eq!(record_of(file)["method"], json!("copied"));
    it.wait_for_line("bad.com", "copied from another filesystem to quarantine as");
}

#[test]
fn an_infected_file_is_deleted() {
    let it = Protected::with("infected file action = delete");
    let path = it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert!(!path.exists() && it.quarantine().is_empty());
    it.wait_for_line("bad.com", "access denied; deleted (open,");
}

#[test]
fn an_infected_upload_is_deleted() {
    let it = Protected::with("infected file action = delete");
    it.put("bad.com", &eicar()).refused_with("NT_STATUS_ACCESS_DENIED");
    assert!(!it.path("bad.com").exists() && it.quarantine().is_empty());
    it.wait_for_line("bad.com", "deleted (close,");
}

#[test]
fn a_clean_file_is_never_acted_on() {
    for action in ["quarantine", "delete", "rename"] {
        let it = Protected::with(&format!("infected file action = {action}"));
        let path = it.plant("a.doc", b"clean");
        it.get("a.doc").unwrap();
        it.put("a.doc", b"still clean").ok();
        assert_eq!(std::fs::read(path).unwrap(), b"still clean");
    }
}

#[test]
fn an_infected_file_is_renamed_once_and_stays_refused() {
    let it = Protected::with("infected file action = rename\nrename prefix = virus-");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert!(!it.path("bad.com").exists() && it.path("virus-bad.com.infected").exists());
    it.wait_for_line("bad.com", "renamed to ");
    settle(&it.path("virus-bad.com.infected"));
    it.refused("virus-bad.com.infected").refused_with("NT_STATUS_VIRUS_INFECTED");
    it.wait_for_line("virus-bad.com.infected", "it was renamed earlier; it stays in place and denied");
    assert_eq!(std::fs::read_dir(it.path("")).unwrap().count(), 1);
}

#[test]
fn renaming_replaces_no_other_file() {
    let it = Protected::with("infected file action = rename");
    it.plant("bad.com.infected", b"somebody's work");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(it.get("bad.com.infected").unwrap(), b"somebody's work");
    assert_eq!(std::fs::read(it.path("bad (2).com.infected")).unwrap(), eicar());
}

#[test]
fn an_infected_file_can_be_left_where_it_is() {
    let it = Protected::with("infected file action = nothing");
    let path = it.plant("bad.com", &eicar());
    for _ in 0..2 {
        it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    }
    assert!(path.exists() && it.quarantine().is_empty());
}

#[test]
fn a_file_that_cannot_be_quarantined_stays_and_stays_denied() {
    let it = Protected::with("");
    std::fs::write(it.smbd.path("quarantine"), "in the way").unwrap();
    let path = it.plant("bad.com", &eicar());
    let client = it.client();
    for _ in 0..2 {
        assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    }
    assert_eq!(std::fs::read(path).unwrap(), eicar());
    let line = it.wait_for_line("bad.com", "is a file or a symbolic link");
    assert!(
        line.contains("set \"quarantine directory\" to a real directory; the file stays in place and denied")
    );
}

#[test]
fn a_file_is_quarantined_as_soon_as_that_is_possible_again() {
    let it = Protected::with("");
    std::fs::write(it.smbd.path("quarantine"), "in the way").unwrap();
    let path = it.plant("bad.com", &eicar());
    let client = it.client();
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    std::fs::remove_file(it.smbd.path("quarantine")).unwrap();
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    assert!(!path.exists());
    assert_eq!((it.quarantine().len(), it.scanner.scans()), (1, 1));
}
