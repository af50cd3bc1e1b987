//! Scanners that open the path that they are told.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use tempfile::TempDir;
use vscan_tests::client::{Client, Open, Status};
use vscan_tests::fake::{Conduct, FakeDaemon};
use vscan_tests::samples::{clean, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::{SOON, eventually};

use crate::protected::{SHARE, conf};

#[test]
fn a_scanner_is_told_the_path_at_which_it_sees_the_file() {
    let scanner = FakeDaemon::unix(Conduct::Answer(b"0\n".to_vec()));
    let address = format!("sophie:{}", scanner.socket().display());
    let smbd = Smbd::with(Share::vscan(SHARE, &conf(&address, "path map = @RIG@:/mnt/rig; /srv:/elsewhere")));
    plant(&smbd.dir(SHARE).join("a.doc"), &clean(1, 100));
    assert_eq!(Client::connect(&smbd, SHARE).read("a.doc"), Ok(clean(1, 100)));
    let here = smbd.dir(SHARE).join("a.doc");
    let below = here.strip_prefix(smbd.path("")).unwrap();
    let told = String::from_utf8(scanner.requests()[0].bytes.clone()).unwrap();
    assert_eq!(told, format!("/mnt/rig/{}\n", below.display()));
}

#[test]
fn what_such_a_scanner_finds_is_refused() {
    let scanner = FakeDaemon::unix(Conduct::Answer(b"1:Some.Threat\n".to_vec()));
    let address = format!("sophie:{}", scanner.socket().display());
    let options = "path map = @RIG@:/mnt/rig\ninfected file action = nothing";
    let smbd = Smbd::with(Share::vscan(SHARE, &conf(&address, options)));
    plant(&smbd.dir(SHARE).join("a.doc"), &clean(1, 100));
    assert_eq!(Client::connect(&smbd, SHARE).read("a.doc"), Err(Status::VIRUS_INFECTED));
}

/// A share whose scanner sees nothing but what is in a spool directory, which is where `place` says.
fn spooled(conduct: Conduct, place: &str, options: &str) -> (Smbd, FakeDaemon, TempDir) {
    let scanner = FakeDaemon::unix(conduct);
    let spool = tempfile::Builder::new().prefix("vscan-rig-spool-").tempdir_in("/tmp").unwrap();
    let address = format!("sophie:{}", scanner.socket().display());
    let place = place.replace("@SPOOL@", &spool.path().display().to_string());
    let options = format!("spool directory = {place}\n{options}");
    (Smbd::with(Share::vscan(SHARE, &conf(&address, &options))), scanner, spool)
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_scanner_that_does_not_see_the_share_is_told_of_a_copy() {
    let (smbd, scanner, spool) = spooled(Conduct::Answer(b"0\n".to_vec()), "@SPOOL@", "");
    // Of several turns.
    let content = clean(1, 3_000_000);
    plant(&smbd.dir(SHARE).join("a.doc"), &content);
    scanner.hold();
    let client = Client::connect(&smbd, SHARE);
    let open = client.open("a.doc", Open::read());
    let request = eventually("the scanner is asked", SOON, || scanner.requests().into_iter().next());
    let told = String::from_utf8(request.bytes.clone()).unwrap();
    let copy = PathBuf::from(told.trim_end());
    assert_eq!(copy.parent(), Some(spool.path()));
    assert_eq!(fs::read(&copy).unwrap(), content);
    scanner.release();
    let handle = open.wait().handle().unwrap();
    assert_eq!(client.read_at(handle, 0, 100).wait().data, content[..100]);
    assert_eq!(files_in(spool.path()), Vec::<PathBuf>::new());
}

#[test]
fn what_is_found_in_a_copy_is_refused_and_the_copy_removed() {
    let options = "path map = @RIG@:/no; /tmp:/mnt/tmp\ninfected file action = nothing";
    let answer = Conduct::Answer(b"1:Some.Threat\n".to_vec());
    let (smbd, scanner, spool) = spooled(answer, "@SPOOL@", options);
    plant(&smbd.dir(SHARE).join("a.doc"), &clean(1, 100));
    assert_eq!(Client::connect(&smbd, SHARE).read("a.doc"), Err(Status::VIRUS_INFECTED));
    let told = String::from_utf8(scanner.requests()[0].bytes.clone()).unwrap();
    assert!(told.starts_with("/mnt/tmp/vscan-rig-spool-"), "the map is for copies, too: {told}");
    assert_eq!(files_in(spool.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_full_spool_directory_is_an_error_that_leaves_nothing_behind() {
    for (policy, expected) in [("yes", Err(Status::ACCESS_DENIED)), ("no", Ok(3_000_000))] {
        let options = format!("deny access on error = {policy}");
        let (smbd, scanner, spool) = spooled(Conduct::Answer(b"0\n".to_vec()), "@SPOOL@", &options);
        smbd.mount_tmpfs(spool.path(), "size=1m,mode=0700");
        plant(&smbd.dir(SHARE).join("a.doc"), &clean(1, 3_000_000));
        let read = Client::connect(&smbd, SHARE).read("a.doc");
        assert_eq!(read.map(|content| content.len()), expected);
        let line = smbd.wait_for_log("a.doc\" could not be scanned", SOON);
        assert!(line.contains("No space left") && line.contains("(spool directory)"), "{line}");
        assert_eq!(scanner.requests().len(), 0, "nobody is asked about half a copy");
        assert_eq!(files_in(&smbd.as_seen_by_smbd(spool.path())), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_copy_that_a_killed_smbd_left_behind_is_swept_away() {
    let (smbd, scanner, spool) = spooled(Conduct::Answer(b"0\n".to_vec()), "@SPOOL@", "");
    plant(&smbd.dir(SHARE).join("a.doc"), &clean(1, 1000));
    scanner.hold();
    let client = Client::connect(&smbd, SHARE);
    let open = client.open("a.doc", Open::read());
    eventually("the scanner is asked", SOON, || scanner.requests().into_iter().next());
    open.wait_until_pending();
    smbd.signal(client.server(), Signal::KILL);
    client.server().wait_for_end(SOON);
    scanner.release();
    let [left] = files_in(spool.path()).try_into().unwrap();
    let later = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(&left).unwrap().set_modified(later).unwrap();
    assert_eq!(Client::connect(&smbd, SHARE).read("a.doc"), Ok(clean(1, 1000)));
    assert_eq!(files_in(spool.path()), Vec::<PathBuf>::new());
}
