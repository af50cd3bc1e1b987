//! Scanners that open the path that they are told.

use vscan_tests::client::{Client, Status};
use vscan_tests::fake::{Conduct, FakeDaemon};
use vscan_tests::samples::{clean, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;

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
