//! `vscanctl quarantine`: the way there by smbd, and the way back.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use vscan_tests::samples::{clean, eicar};
use vscan_tests::vscanctl::Said;
use vscan_tests::wait::{SOON, eventually};

use crate::protected::{Protected, settle};

fn run(command: &str, path: &Path) -> String {
    let output = Command::new("sh").args(["-c", &format!("{command} \"$0\"")]).arg(path).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A full stat, all access control lists, all attributes and a checksum; the inode's number and ctime are the kernel's.
fn everything(path: &Path) -> String {
    [
        run("stat -c '%A %h %u %g %s %.9X %.9Y %F'", path),
        run("getfacl -n --absolute-names", path),
        run("getfattr -d -m - -e hex --absolute-names", path),
        run("sha256sum", path),
    ]
    .concat()
}

/// A file with something of everything.
fn plant_with_attributes(it: &Protected, name: &str) -> String {
    let path = it.plant(name, &eicar());
    run("setfacl -m u:12345:r--,g:bin:rw-", &path);
    run("setfattr -n user.note -v 'by hand'", &path);
    run("setfattr -n security.NTACL -v 0x0400040099", &path);
    let touch = || run("touch -a -d '2020-02-02 02:02:02.123456789'", &path);
    touch();
    run("touch -m -d '2021-03-03 03:03:03.987654321'", &path);
    let everything = everything(&path);
    // The checksum was an access.
    touch();
    settle(&path);
    everything
}

fn quarantine(it: &Protected, words: &[&str]) -> Said {
    it.smbd.vscanctl(&[&["quarantine"], words].concat())
}

fn only_id(it: &Protected) -> String {
    let list = quarantine(it, &["list", "--json"]).exits(0).json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list:#}");
    list[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_file_comes_back_exactly_as_it_was() {
    for other_filesystem in [false, true] {
        let it = Protected::with("");
        std::fs::create_dir(it.smbd.path("quarantine")).unwrap();
        if other_filesystem {
            it.smbd.mount_tmpfs(&it.smbd.path("quarantine"), "size=1m,mode=700");
        }
        let before = plant_with_attributes(&it, "a b.com");
        it.refused("a b.com").refused_with("NT_STATUS_VIRUS_INFECTED");
        assert!(!it.path("a b.com").exists());
        let method = if other_filesystem { "copied" } else { "moved" };
        let list = quarantine(&it, &["list", "--json"]).json();
        assert_eq!(list[0]["record"]["method"], method, "{list:#}");
        quarantine(&it, &["restore", &only_id(&it)]).exits(0).says(&["/a b.com is back", "scans it again"]);
        assert_eq!(everything(&it.path("a b.com")), before);
        quarantine(&it, &["list"]).exits(0).says(&["The quarantine is empty."]);
        it.refused("a b.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    }
}

#[test]
fn a_file_that_is_trusted_does_not_go_back() {
    let it = Protected::with("");
    it.plant("a.com", &eicar());
    it.refused("a.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let path = it.path("a.com").display().to_string();
    quarantine(&it, &["restore", "--trust", &path]).exits(0).says(&["is back", "trusted from now on"]);
    for _ in 0..2 {
        assert_eq!(it.get("a.com").unwrap(), eicar());
    }
    it.wait_for_line("a.com", "but its content is trusted (trusted files): allowed");
    it.plant("copy.com", &eicar());
    assert_eq!(it.get("copy.com").unwrap(), eicar(), "wherever it turns up");
    it.plant("other.com", &[eicar(), b" ".to_vec()].concat());
    it.refused("other.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    std::fs::remove_file(it.smbd.path("trusted")).unwrap();
    it.refused("a.com").refused_with("NT_STATUS_VIRUS_INFECTED");
}

#[test]
fn nothing_is_replaced_and_no_directory_is_made() {
    let it = Protected::with("");
    std::fs::create_dir(it.path("dir")).unwrap();
    std::fs::set_permissions(it.path("dir"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    it.plant("dir/a.com", &eicar());
    it.refused("dir\\\\a.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let id = only_id(&it);
    it.plant("dir/a.com", &clean(1, 100));
    let said = quarantine(&it, &["restore", "--trust", &id]).exits(2);
    assert!(said.err.contains("/dir/a.com: a file of that name is there"), "{}", said.err);
    assert_eq!(std::fs::read(it.path("dir/a.com")).unwrap(), clean(1, 100));
    std::fs::remove_dir_all(it.path("dir")).unwrap();
    let said = quarantine(&it, &["restore", &id]).exits(2);
    assert!(said.err.contains("its directory is not there any more: make it"), "{}", said.err);
    let said =
        quarantine(&it, &["restore", &id, "--to", &it.path("no/where").display().to_string()]).exits(2);
    assert!(said.err.contains("make it first"), "{}", said.err);
    let to = it.path("b.com");
    quarantine(&it, &["restore", &id, "--to", &to.display().to_string()]).exits(0).says(&["/b.com is back"]);
    assert_eq!(std::fs::read(to).unwrap(), eicar());
}

#[test]
fn an_archive_is_whole_or_not_there() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let [kept] = &it.quarantine()[..] else { panic!("not one file in quarantine") };
    // Takes long, and room only where it is copied to.
    std::fs::File::options().write(true).open(kept).unwrap().set_len(1 << 33).unwrap();
    let disk = it.smbd.path("disk");
    std::fs::create_dir(&disk).unwrap();
    it.smbd.mount_tmpfs(&disk, "size=1m");
    let said = quarantine(&it, &["export", "*", "--to", disk.join("out.zip").to_str().unwrap()]).exits(2);
    assert!(said.err.contains("No space left on device"), "{}", said.err);
    assert_eq!(std::fs::read_dir(it.smbd.as_seen_by_smbd(&disk)).unwrap().count(), 0);

    let to = it.smbd.path("out.zip");
    let mut command = it.smbd.vscanctl_command(&["quarantine", "export", "*", "--to", to.to_str().unwrap()]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("it is in the middle", SOON, || (to.metadata().ok()?.len() > 10_000).then_some(()));
    // nsenter has become vscanctl.
    let pid = Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let said = Said::from(running.wait_with_output().unwrap()).exits(130);
    assert!(said.err.contains("interrupted") && said.err.contains("/out.zip is removed"), "{}", said.err);
    assert!(!to.exists() && kept.exists());
}

#[test]
fn shows_and_exports_and_deletes() {
    let it = Protected::with("");
    for name in ["one.com", "two.com", "three.doc"] {
        it.plant(name, &eicar());
        it.refused(name).refused_with("NT_STATUS_VIRUS_INFECTED");
    }
    quarantine(&it, &["list"])
        .exits(0)
        .says(&["ID", "THREAT", "FILE"])
        .says(&["vir-", "Eicar", "daemon", "/one.com"]);
    quarantine(&it, &["show", "*/one.com"])
        .exits(0)
        .says(&["was", "/one.com"])
        .says(&["opened by", "daemon from 127.0.0.1"])
        .says(&["SHA-256", "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"]);
    let zip = it.smbd.path("out.zip").display().to_string();
    quarantine(&it, &["export", "*.doc", "--to", &zip]).exits(0).says(&["with the password \"infected\""]);
    let unzip = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); [print(z.read(n, pwd=b'infected')) for n in z.namelist()]";
    let output = Command::new("/usr/bin/python3").args(["-c", unzip, &zip]).output().unwrap();
    let content = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(content.contains("STANDARD-ANTIVIRUS") && content.contains("\"threat\""), "{output:?}");
    let said = quarantine(&it, &["export", "*.doc", "--to", &zip]).exits(2);
    assert!(said.err.contains("File exists"), "{}", said.err);
    quarantine(&it, &["purge", "--older-than", "1h"]).exits(0);
    assert_eq!(it.quarantine().len(), 3);
    quarantine(&it, &["delete", "*.com"]).exits(0).says(&["deleted", "/two.com"]);
    assert_eq!(it.quarantine().len(), 1);
    quarantine(&it, &["purge", "--older-than", "0h", "--dry-run"])
        .exits(0)
        .says(&["would be deleted", "/three.doc"]);
    assert_eq!(it.quarantine().len(), 1);
    quarantine(&it, &["purge", "--older-than", "0h"]).exits(0).says(&["deleted", "/three.doc"]);
    assert_eq!(it.quarantine().len(), 0);
    let said = quarantine(&it, &["restore", "*.com"]).exits(2);
    assert!(said.err.contains("nothing in quarantine is called *.com"), "{}", said.err);
}

#[test]
fn a_name_of_any_bytes_can_be_restored_by_its_id() {
    use std::os::unix::ffi::OsStrExt as _;
    let it = Protected::with("scan on close = yes");
    let name = std::ffi::OsStr::from_bytes(b"a\xff\n.com");
    let path = it.smbd.dir("s").join(name);
    it.plant("z.com", &eicar());
    std::fs::rename(it.path("z.com"), &path).unwrap();
    settle(&path);
    let client = it.client();
    // smbd shows such a name in a form of its own, so the file is found under another name.
    std::fs::hard_link(&path, it.path("z.com")).unwrap();
    settle(&path);
    drop(client);
    it.refused("z.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    it.smbd.wait_for_log("another name of it (a hard link) is left", SOON);
    let id = only_id(&it);
    let to = it.smbd.dir("s").join(std::ffi::OsStr::from_bytes(b"b\xff\n.com"));
    let mut command = it.smbd.vscanctl_command(&["--json", "quarantine", "restore", &id, "--to"]);
    let said: Said = command.arg(&to).output().unwrap().into();
    let said = said.exits(0).json();
    assert!(said[0]["now"]["base64"].is_string(), "{said:#}");
    assert_eq!(std::fs::read(to).unwrap(), eicar());
}
