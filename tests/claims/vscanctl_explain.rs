//! `vscanctl explain` says what smbd does.

use std::os::unix::fs::symlink;

use vscan_tests::samples::{clean, eicar};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;

use crate::protected::Protected;

const OPTIONS: &str = "max file size = 1K\nfiles over the limit = deny\nexclude paths = keep\n\
                       exclude file regexp = [.]iso$\nexclude file types = image/png\n\
                       infected file action = nothing";

fn explain(it: &Protected, name: &str, more: &[&str]) -> vscan_tests::vscanctl::Said {
    let path = it.path(name).display().to_string();
    it.smbd.vscanctl(&[&["explain", path.as_str()], more].concat())
}

#[test]
fn each_rule_that_decides_is_named_and_smbd_agrees() {
    let it = Protected::with(OPTIONS);
    std::fs::create_dir(it.path("keep")).unwrap();
    for (name, content, words) in [
        ("empty.doc", Vec::new(), ["=>", "size", "it is empty"]),
        ("keep/a.doc", clean(1, 100), ["=>", "exclude paths = keep", "not scanned"]),
        ("a.iso", clean(2, 100), ["=>", "exclude file regexp = [.]iso$", "not scanned"]),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), ["=>", "exclude file types", "image/png"]),
    ] {
        it.plant(name, &content);
        explain(&it, name, &[]).exits(0).says(&words).says(&["allowed without a scan"]);
        assert_eq!(it.get(name).unwrap(), content);
    }
    assert_eq!(it.scanner.scans(), 0);
    it.plant("large.doc", &clean(3, 2000));
    explain(&it, "large.doc", &[]).exits(1).says(&["=>", "max file size = 1K", "refused"]).says(&["denied"]);
    it.refused("large.doc").refused_with("NT_STATUS_ACCESS_DENIED");
}

#[test]
fn paths_are_those_that_smbd_goes_by() {
    let options = "exclude paths = @RIG@/way/s/keep\nexclude file regexp = /way/.*[.]iso$";
    let it = Protected::share(options, |share| share.option("path", "@RIG@/way/s"));
    symlink("shares", it.smbd.path("way")).unwrap();
    std::fs::create_dir(it.path("keep")).unwrap();
    for name in ["keep/a.com", "b.iso"] {
        it.plant(name, &eicar());
        explain(&it, name, &[]).exits(0).says(&["allowed without a scan"]);
        assert_eq!(it.get(name).unwrap(), eicar());
    }
    symlink("b.iso", it.path("link")).unwrap();
    explain(&it, "link", &[]).exits(0).says(&["=>", "exclude file regexp"]);
    symlink("/etc/passwd", it.path("out")).unwrap();
    let said = explain(&it, "out", &[]).exits(2);
    assert!(said.err.contains("/etc/passwd is in no share"), "{}", said.err);
}

#[test]
fn only_a_scan_can_tell_the_rest() {
    let it = Protected::with(OPTIONS);
    it.plant("bad.com", &eicar());
    it.plant("good.doc", &clean(1, 100));
    explain(&it, "good.doc", &[]).exits(0).says(&["=>", "scanner", "no rule decides"]);
    assert_eq!(it.scanner.scans(), 0, "nothing was scanned");
    explain(&it, "good.doc", &["--scan"]).exits(0).says(&["allowed: it is clean"]);
    let said = explain(&it, "bad.com", &["--scan", "--json"]).exits(1).json();
    assert_eq!(said["answer"], "denied_infected");
    assert!(said["text"].as_str().unwrap().contains("Eicar-Test"));
    let said = explain(&it, "bad.com", &[]).exits(1);
    assert_eq!(said.err, "", "nobody was denied anything: that is not for a log");
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert!(it.path("bad.com").exists());
}

#[test]
fn what_is_no_file_of_a_share_gets_a_word() {
    let it = Protected::with("");
    let said = it.smbd.vscanctl(&["explain", "/etc/passwd"]).exits(2);
    assert!(said.err.contains("is in no share of smb.conf"), "{}", said.err);
    let said = explain(&it, "nosuch", &[]).exits(2);
    assert!(said.err.contains("/nosuch: No such file"), "{}", said.err);
    let open = Smbd::with(Share::plain("open"));
    let file = open.dir("open").join("a.doc").display().to_string();
    let said = open.vscanctl(&["explain", &file]).exits(2);
    assert!(said.err.contains("/a.doc: No such file"), "{}", said.err);
    std::fs::write(&file, eicar()).unwrap();
    open.vscanctl(&["explain", &file]).exits(0).says(&["allowed: share open is not protected"]);
    let said = explain(&it, ".", &[]).exits(2);
    assert!(said.err.contains("is not a regular file"), "{}", said.err);
}
