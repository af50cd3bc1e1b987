use vscan_tests::samples::{clean, eicar};
use vscan_tests::smbclient::SmbClient;
use vscan_tests::smbd::Builder;

use crate::protected::{Protected, SHARE};

impl Protected {
    fn smb1(&self) -> SmbClient<'_> {
        self.smbd.smbclient(SHARE).smb1()
    }
}

#[test]
fn an_infected_file_cannot_be_read_over_smb1() {
    let it = Protected::server("", Builder::smb1);
    it.plant("bad.com", &eicar());
    it.smb1().get("bad.com").unwrap_err().refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn a_clean_file_is_read_over_smb1() {
    let it = Protected::server("", Builder::smb1);
    it.plant("a.doc", &clean(1, 100_000));
    assert_eq!(it.smb1().get("a.doc").unwrap(), clean(1, 100_000));
}

#[test]
fn an_infected_upload_over_smb1_is_caught_at_close() {
    let it = Protected::server("", Builder::smb1);
    it.smb1().put("bad.com", &eicar()).refused_with("NT_STATUS_ACCESS_DENIED");
    assert!(!it.path("bad.com").exists());
    assert_eq!(it.quarantine().len(), 1);
}

#[test]
fn an_infected_file_is_replaced_over_smb1() {
    let it = Protected::server("", Builder::smb1);
    it.plant("bad.com", &eicar());
    it.smb1().put("bad.com", &clean(1, 100)).ok();
    assert_eq!(it.smb1().get("bad.com").unwrap(), clean(1, 100));
}

#[test]
fn a_clean_upload_over_smb1_is_kept() {
    let it = Protected::server("", Builder::smb1);
    it.smb1().put("a.doc", &clean(1, 100_000)).ok();
    assert_eq!(std::fs::read(it.path("a.doc")).unwrap(), clean(1, 100_000));
    assert_eq!(it.scanner.scans(), 1);
}
