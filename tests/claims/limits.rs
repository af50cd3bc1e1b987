use vscan_tests::samples::{clean, eicar};

use crate::protected::Protected;

/// Infected, and of this size.
fn infected(size: usize) -> Vec<u8> {
    let mut content = eicar();
    content.resize(size, b'x');
    content
}

#[test]
fn a_file_over_the_limit_is_allowed_without_a_scan() {
    let it = Protected::with("max file size = 1K");
    it.plant("big.com", &infected(1025));
    assert_eq!(it.get("big.com").unwrap(), infected(1025));
    assert_eq!(it.scanner.scans(), 0);
    it.wait_for_line("big.com", "not scanned: its 1.0K (1025 bytes) are over max file size = 1K");
}

#[test]
fn a_file_at_the_limit_is_scanned() {
    let it = Protected::with("max file size = 1K");
    it.plant("big.com", &infected(1024));
    it.refused("big.com").refused_with("NT_STATUS_VIRUS_INFECTED");
}

#[test]
fn files_over_the_limit_can_be_denied() {
    let it = Protected::with("max file size = 1K\nfiles over the limit = deny");
    it.plant("big.doc", &clean(1, 1025));
    it.plant("small.doc", &clean(1, 1024));
    it.refused("big.doc").refused_with("NT_STATUS_ACCESS_DENIED");
    let why = "not scanned: its 1.0K (1025 bytes) are over max file size = 1K: access denied";
    it.wait_for_line("big.doc", why);
    assert_eq!(it.scanner.scans(), 0);
    assert_eq!(it.get("small.doc").unwrap(), clean(1, 1024));
}

#[test]
fn an_upload_over_the_limit_is_kept_without_a_scan() {
    let it = Protected::with("max file size = 1K");
    it.put("big.com", &infected(1025)).ok();
    assert_eq!(std::fs::read(it.path("big.com")).unwrap(), infected(1025));
    assert_eq!(it.scanner.scans(), 0);
}

#[test]
fn an_upload_at_the_limit_is_scanned() {
    let it = Protected::with("max file size = 1K");
    it.put("big.com", &infected(1024)).refused_with("NT_STATUS_ACCESS_DENIED");
    assert!(!it.path("big.com").exists());
}

#[test]
fn no_limit_means_that_large_files_are_scanned() {
    let it = Protected::with("max file size = 0");
    it.plant("big.com", &infected(5_000_000));
    it.refused("big.com").refused_with("NT_STATUS_VIRUS_INFECTED");
}

#[test]
fn a_file_under_the_lower_limit_is_allowed_without_a_scan() {
    let it = Protected::with("min file size = 100");
    it.plant("small.com", &infected(99));
    assert_eq!(it.get("small.com").unwrap(), infected(99));
    assert_eq!(it.scanner.scans(), 0);
    it.wait_for_line("small.com", "not scanned: its 99 bytes are under min file size = 100");
}

#[test]
fn a_file_at_the_lower_limit_is_scanned() {
    let it = Protected::with("min file size = 100");
    it.plant("small.com", &infected(100));
    it.refused("small.com").refused_with("NT_STATUS_VIRUS_INFECTED");
}
