use vscan_tests::clamd::Clamd;
use vscan_tests::samples::{clean, eicar, encrypted_zip};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::SOON;

use crate::protected::{Protected, SHARE, conf};

const STRICT: &str = "deny access on minor error = yes";
const LENIENT: &str = "deny access on minor error = no";

fn clamd_that_reports_encryption() -> Clamd {
    Clamd::new().option("AlertEncrypted", "yes").start()
}

fn clamd_with_a_limit() -> Clamd {
    Clamd::new().option("AlertExceedsMax", "yes").option("MaxFileSize", "1M").start()
}

/// A share whose clamd is reached over TCP, and takes streams of 1 MB.
fn over_tcp(options: &str) -> (Smbd, Clamd) {
    let clamd = Clamd::new().tcp().option("StreamMaxLength", "1M").start();
    let address = format!("clamav:tcp:127.0.0.1:{}", clamd.port());
    (Smbd::with(Share::vscan(SHARE, &conf(&address, options))), clamd)
}

#[test]
fn an_encrypted_archive_is_refused_by_a_strict_share() {
    let clamd = clamd_that_reports_encryption();
    let it = Protected::by(&clamd, STRICT);
    it.plant("secret.zip", &encrypted_zip());
    it.refused("secret.zip").refused_with("NT_STATUS_ACCESS_DENIED");
    it.wait_for_line("secret.zip", "could not be scanned (Heuristics.Encrypted.Zip): access denied");
    assert!(it.path("secret.zip").exists(), "only infected files are acted on");
}

#[test]
fn an_encrypted_archive_is_accepted_by_a_lenient_share() {
    let clamd = clamd_that_reports_encryption();
    let it = Protected::by(&clamd, LENIENT);
    // Every archive is encrypted differently.
    let archive = encrypted_zip();
    it.plant("secret.zip", &archive);
    assert_eq!(it.get("secret.zip").unwrap(), archive);
    it.wait_for_line(
        "secret.zip",
        "could not be scanned (Heuristics.Encrypted.Zip): allowed by the settings",
    );
}

#[test]
fn a_file_beyond_clamds_limits_is_refused_by_a_strict_share() {
    let clamd = clamd_with_a_limit();
    let it = Protected::by(&clamd, STRICT);
    it.plant("big.doc", &clean(1, 2_000_000));
    it.refused("big.doc").refused_with("NT_STATUS_ACCESS_DENIED");
    it.wait_for_line("big.doc", "could not be scanned (Heuristics.Limits.Exceeded");
}

#[test]
fn a_file_beyond_clamds_limits_is_accepted_by_a_lenient_share() {
    let clamd = clamd_with_a_limit();
    let it = Protected::by(&clamd, LENIENT);
    it.plant("big.doc", &clean(1, 2_000_000));
    assert_eq!(it.get("big.doc").unwrap(), clean(1, 2_000_000));
    it.wait_for_line("big.doc", "allowed by the settings");
}

#[test]
fn an_infected_file_is_refused_over_tcp() {
    let (smbd, _clamd) = over_tcp("");
    vscan_tests::samples::plant(&smbd.dir(SHARE).join("bad.com"), &eicar());
    smbd.smbclient(SHARE).get("bad.com").unwrap_err().refused_with("NT_STATUS_VIRUS_INFECTED");
    smbd.smbclient(SHARE).put("new.com", &eicar()).refused_with("NT_STATUS_ACCESS_DENIED");
}

#[test]
fn clean_files_pass_over_tcp() {
    let (smbd, _clamd) = over_tcp("");
    for size in [1, 65_536, 65_537, 1_000_000] {
        smbd.smbclient(SHARE).put("a.doc", &clean(1, size)).ok();
        assert_eq!(smbd.smbclient(SHARE).get("a.doc").unwrap(), clean(1, size), "{size} bytes");
    }
}

#[test]
fn a_file_longer_than_clamds_streams_is_refused_by_a_strict_share() {
    let (smbd, _clamd) = over_tcp(STRICT);
    vscan_tests::samples::plant(&smbd.dir(SHARE).join("big.doc"), &clean(1, 3_000_000));
    smbd.smbclient(SHARE).get("big.doc").unwrap_err().refused_with("NT_STATUS_ACCESS_DENIED");
    smbd.wait_for_log("could not be scanned (INSTREAM size limit exceeded.): access denied", SOON);
}

#[test]
fn a_file_longer_than_clamds_streams_is_accepted_by_a_lenient_share() {
    let (smbd, _clamd) = over_tcp(LENIENT);
    vscan_tests::samples::plant(&smbd.dir(SHARE).join("big.doc"), &clean(1, 3_000_000));
    assert_eq!(smbd.smbclient(SHARE).get("big.doc").unwrap(), clean(1, 3_000_000));
    smbd.wait_for_log("could not be scanned (INSTREAM size limit exceeded.): allowed by the settings", SOON);
}
