use std::fs::hard_link;
use std::os::unix::fs::symlink;

use vscan_tests::samples::{clean, eicar, plant};

use vscan_tests::wait::SOON;

use crate::protected::{Protected, settle};

/// A file outside of the share, and a share with a symlink to it.
fn with_a_link_that_leads_out(wide_links: &str, content: &[u8]) -> (Protected, tempfile::TempDir) {
    let it = Protected::build(
        "",
        |share| share.option("wide links", wide_links),
        |server| server.global("allow insecure wide links", "yes"),
    );
    let outside = it.outside();
    plant(&outside.path().join("file"), content);
    settle(&outside.path().join("file"));
    symlink(outside.path().join("file"), it.path("link")).unwrap();
    (it, outside)
}

impl Protected {
    /// A folder that everybody can enter, on the share's filesystem.
    fn outside(&self) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let everybody = std::fs::Permissions::from_mode(0o755);
        tempfile::Builder::new().permissions(everybody).tempdir_in(self.smbd.path("")).unwrap()
    }
}

#[test]
fn a_symlink_to_an_infected_file_is_refused() {
    let it = Protected::with("infected file action = nothing");
    it.plant("bad.com", &eicar());
    symlink("bad.com", it.path("link")).unwrap();
    it.refused("link").refused_with("NT_STATUS_VIRUS_INFECTED");
}

#[test]
fn what_a_symlink_leads_to_is_acted_on() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    symlink("bad.com", it.path("link")).unwrap();
    let _ = it.refused("link");
    assert!(!it.path("bad.com").exists() && it.path("link").is_symlink());
}

#[test]
fn a_symlink_whose_target_goes_to_quarantine_is_refused() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    symlink("bad.com", it.path("link")).unwrap();
    // A request that had to be parked hears that there is no such file: when it is taken up again, smbd follows the link,
    // which dangles by then, before it asks anybody.
    let outcome = it.refused("link");
    let says = |status: &str| outcome.output.contains(status);
    assert!(says("NT_STATUS_VIRUS_INFECTED") || says("NT_STATUS_OBJECT_NAME_NOT_FOUND"));
    assert!(!it.path("bad.com").exists());
}

#[test]
fn a_symlink_to_a_clean_file_is_followed() {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 50));
    symlink("a.doc", it.path("link")).unwrap();
    assert_eq!(it.get("link").unwrap(), clean(1, 50));
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn a_wide_link_to_an_infected_file_is_refused() {
    let (it, outside) = with_a_link_that_leads_out("yes", &eicar());
    it.refused("link").refused_with("NT_STATUS_ACCESS_DENIED");
    assert!(!outside.path().join("file").exists(), "smbd had opened it, so it was acted on");
}

#[test]
fn a_wide_link_to_a_clean_file_is_followed() {
    let (it, _outside) = with_a_link_that_leads_out("yes", &clean(1, 50));
    assert_eq!(it.get("link").unwrap(), clean(1, 50));
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn what_a_forbidden_link_leads_to_is_neither_scanned_nor_touched() {
    let (it, outside) = with_a_link_that_leads_out("no", &eicar());
    let _ = it.refused("link");
    assert_eq!(std::fs::read(outside.path().join("file")).unwrap(), eicar());
    assert_eq!(it.scanner.scans(), 0);
}

#[test]
fn a_share_may_be_reached_by_a_symlink() {
    let it = Protected::share("exclude paths = builds", |share| share.option("path", "@RIG@/way"));
    symlink(it.path(""), it.smbd.path("way")).unwrap();
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    it.smbd.wait_for_log("/way/bad.com\" is infected", SOON);
    std::fs::create_dir(it.path("builds")).unwrap();
    it.plant("builds/a.com", &eicar());
    assert_eq!(it.get("builds/a.com").unwrap(), eicar());
}

#[test]
fn every_hard_link_to_an_infected_file_is_refused() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    hard_link(it.path("bad.com"), it.path("other.com")).unwrap();
    settle(&it.path("bad.com"));
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    it.wait_for_line("bad.com", "another name of it (a hard link) is left and stays denied");
    it.refused("other.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(it.quarantine().len(), 2);
}

#[test]
fn a_second_hard_link_to_a_clean_file_is_not_scanned_again() {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 50));
    hard_link(it.path("a.doc"), it.path("b.doc")).unwrap();
    settle(&it.path("a.doc"));
    let client = it.client();
    assert_eq!((client.read("a.doc"), client.read("b.doc")), (Ok(clean(1, 50)), Ok(clean(1, 50))));
    assert_eq!(it.scanner.scans(), 1);
}
