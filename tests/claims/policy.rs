use vscan_tests::client::{Client, Status};
use vscan_tests::fake::Conduct;
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::SOON;

use crate::protected::{Protected, SHARE, conf};

/// A share whose scanner is not there.
fn without_scanner(options: &str) -> Smbd {
    let smbd = Smbd::with(Share::vscan(SHARE, &conf("clamav:@RIG@/nobody.sock", options)));
    plant(&smbd.dir(SHARE).join("a.doc"), &clean(1, 100));
    smbd
}

const NOBODY: &str = "/nobody.sock: there is no such socket; is the scanner running?)";

#[test]
fn without_a_scanner_files_are_denied() {
    let smbd = without_scanner("");
    smbd.smbclient(SHARE).get("a.doc").unwrap_err().refused_with("NT_STATUS_ACCESS_DENIED");
    smbd.wait_for_log(&format!("{NOBODY}: access denied (open,"), SOON);
}

#[test]
fn without_a_scanner_files_are_allowed_if_the_settings_say_so() {
    let smbd = without_scanner("deny access on error = no");
    assert_eq!(smbd.smbclient(SHARE).get("a.doc").unwrap(), clean(1, 100));
    smbd.wait_for_log(&format!("{NOBODY}: allowed by the settings (open,"), SOON);
}

#[test]
fn without_a_scanner_uploads_are_kept_and_denied_from_then_on() {
    let smbd = without_scanner("");
    let client = Client::connect(&smbd, SHARE);
    assert_eq!(client.write("new.doc", &clean(2, 100)), Ok(()));
    smbd.wait_for_log(&format!("{NOBODY}: access denied from now on (close,"), SOON);
    assert_eq!(client.read("new.doc"), Err(Status::ACCESS_DENIED));
    assert_eq!(std::fs::read(smbd.dir(SHARE).join("new.doc")).unwrap(), clean(2, 100));
}

#[test]
fn a_share_that_is_lenient_about_errors_still_refuses_infected_files() {
    let it = Protected::with("deny access on error = no\ndeny access on minor error = no");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
}

/// clamd's word for a file that it cannot read.
fn that_cannot_be_scanned(options: &str) -> Protected {
    let it = Protected::with(options);
    it.scanner.now(Conduct::Answer(b"fd[10]: Not a regular file ERROR\0".to_vec()));
    it.plant("a.doc", &clean(1, 100));
    it
}

#[test]
fn a_file_that_cannot_be_scanned_is_denied() {
    let it = that_cannot_be_scanned("deny access on error = no");
    it.refused("a.doc").refused_with("NT_STATUS_ACCESS_DENIED");
    it.wait_for_line("a.doc", "could not be scanned (Not a regular file): access denied");
}

#[test]
fn a_file_that_cannot_be_scanned_is_allowed_if_the_settings_say_so() {
    let it = that_cannot_be_scanned("deny access on minor error = no");
    assert_eq!(it.get("a.doc").unwrap(), clean(1, 100));
    it.wait_for_line("a.doc", "could not be scanned (Not a regular file): allowed by the settings");
}

const TRIAL: &str = "enforce = no";
const WOULD_BE: &str = "would be denied, but allowed because of \"enforce = no\"";

#[test]
fn a_trial_lets_an_infected_file_be_read_and_leaves_it_alone() {
    let it = Protected::with(TRIAL);
    it.plant("bad.com", &eicar());
    assert_eq!(it.get("bad.com").unwrap(), eicar());
    it.wait_for_line("bad.com", WOULD_BE);
    assert!(it.path("bad.com").exists() && it.quarantine().is_empty());
}

#[test]
fn a_trial_lets_an_infected_file_be_written_and_leaves_it_alone() {
    let it = Protected::with(TRIAL);
    it.put("bad.com", &eicar()).ok();
    it.wait_for_line("bad.com", WOULD_BE);
    assert!(it.path("bad.com").exists() && it.quarantine().is_empty());
}

#[test]
fn a_trial_without_a_scanner_denies_nothing() {
    let smbd = without_scanner(TRIAL);
    assert_eq!(smbd.smbclient(SHARE).get("a.doc").unwrap(), clean(1, 100));
    smbd.wait_for_log(&format!("{NOBODY}: {WOULD_BE}"), SOON);
}

#[test]
fn a_trial_denies_no_large_file() {
    let it = Protected::with(&format!("{TRIAL}\nmax file size = 50\nfiles over the limit = deny"));
    it.plant("big.doc", &clean(1, 51));
    assert_eq!(it.get("big.doc").unwrap(), clean(1, 51));
    it.wait_for_line("big.doc", "it would be refused, but enforce = no");
}
