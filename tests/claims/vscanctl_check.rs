//! `vscanctl check`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use vscan_tests::clamd::Clamd;
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;

use crate::protected::{SHARE, clamav_at, conf};

fn clamav() -> String {
    clamav_at(&Clamd::shared().socket())
}

#[test]
fn a_sound_configuration_has_no_mistakes() {
    let smbd = Smbd::with(Share::vscan(SHARE, &conf(&clamav(), "scan timeout = 10")));
    let said = smbd.vscanctl(&["check"]).exits(0);
    said.says(&["ok", "smbd", "vscan knows"])
        .says(&["ok", "vfs/vscan.so can be loaded"])
        .says(&["scan timeout = 10", "/conf/s.conf:5"])
        .says(&["ok", "clamav at ", "ClamAV"])
        .says(&["quarantine", "is not there yet"])
        .says(&["No mistakes."]);
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let own = conf(&clamav(), "scan on opne = no\nmax file size = lots");
    let share = Share::vscan(SHARE, &own).option("vscan:scan on clsoe", "no");
    let smbd = Smbd::new().share(share).share(Share::plain("open")).start();
    smbd.vscanctl(&["check"])
        .exits(1)
        .says(&["MISTAKE", "/conf/s.conf, line 5", "scan on opne", "did you mean \"scan on open\"?"])
        .says(&["MISTAKE", "/conf/s.conf, line 6", "max file size = lots", "in force: max file size = 0"])
        .says(&["MISTAKE", "smb.conf, share s", "vscan:scan on clsoe", "did you mean \"scan on close\"?"])
        .says(&["open", "/shares/open"])
        .says(&["3 mistakes."]);
    smbd.vscanctl(&["check", "--share", "open"]).exits(1).says(&["MISTAKE", "no share is protected"]);
    let said = smbd.vscanctl(&["check", "--share", "nosuch"]).exits(2);
    assert!(said.err.contains("there is no share nosuch; the shares are: s, open"), "{}", said.err);
}

#[test]
fn a_scanner_that_is_down_is_a_mistake() {
    let smbd = Smbd::with(Share::vscan(SHARE, &conf("clamav:/nowhere/clamd.sock", "")));
    let said = smbd.vscanctl(&["check", "--json"]).exits(1).json();
    assert_eq!(said["mistakes"], 1, "{said:#}");
    assert_eq!(said["scanners"][0]["answers"], false);
    assert!(said["scanners"][0]["remark"]["text"].as_str().unwrap().contains("is the scanner running?"));
}

#[test]
fn a_quarantine_and_a_configuration_that_others_can_write_to_are_mistakes() {
    let smbd = Smbd::with(Share::vscan(SHARE, &conf(&clamav(), "")));
    fs::create_dir(smbd.path("quarantine")).unwrap();
    fs::set_permissions(smbd.path("quarantine"), Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(smbd.path("conf/s.conf"), Permissions::from_mode(0o666)).unwrap();
    smbd.vscanctl(&["check"])
        .exits(1)
        .says(&["MISTAKE", "quarantine", "writable for others than root"])
        .says(&["MISTAKE", "configuration", "/conf/s.conf", "can turn scanning off"]);
    fs::set_permissions(smbd.path("quarantine"), Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(smbd.path("conf/s.conf"), Permissions::from_mode(0o644)).unwrap();
    smbd.vscanctl(&["check"]).exits(0).says(&["ok", "quarantine", "for root only", "free"]);
}

#[test]
fn the_directories_of_results_and_of_events_must_be_roots_alone() {
    let smbd = Smbd::with(Share::vscan(SHARE, &conf(&clamav(), "")));
    for (setting, directory) in [("cache directory", "vscan-cache"), ("notify spool", "spool")] {
        let at = smbd.path(directory);
        smbd.vscanctl(&["check"]).exits(0).says(&["ok", setting, directory, "is not there yet"]);
        fs::create_dir(&at).unwrap();
        fs::set_permissions(&at, Permissions::from_mode(0o777)).unwrap();
        smbd.vscanctl(&["check"]).exits(1).says(&["MISTAKE", setting, directory, "cannot be used"]);
        fs::set_permissions(&at, Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&at, Some(1), None).unwrap();
        smbd.vscanctl(&["check"]).exits(1).says(&["MISTAKE", setting, directory, "cannot be used"]);
        std::os::unix::fs::chown(&at, Some(0), None).unwrap();
        smbd.vscanctl(&["check"]).exits(0).says(&["ok", setting, directory, "nobody but root", "free"]);
        fs::remove_dir(&at).unwrap();
        fs::write(&at, "").unwrap();
        smbd.vscanctl(&["check"]).exits(1).says(&["MISTAKE", setting, directory, "cannot be used"]);
        fs::remove_file(&at).unwrap();
    }
}

#[test]
fn the_list_of_trusted_content_and_the_directory_of_copies_must_be_roots() {
    let options = "spool directory = @RIG@/copies";
    let smbd = Smbd::with(Share::vscan(SHARE, &conf(&clamav(), options)));
    smbd.vscanctl(&["check"])
        .exits(1)
        .says(&["ok", "trusted files", "/trusted is not there: no content is trusted"])
        .says(&["MISTAKE", "spool directory", "/copies cannot be used: No such file or directory"])
        .says(&["ok", "counters file", "is not there yet"]);
    fs::write(smbd.path("trusted"), "").unwrap();
    fs::create_dir(smbd.path("copies")).unwrap();
    for (mode, code, mark) in [(0o755, 0, "ok"), (0o777, 1, "MISTAKE"), (0o700, 0, "ok")] {
        for name in ["trusted", "copies"] {
            fs::set_permissions(smbd.path(name), Permissions::from_mode(mode)).unwrap();
        }
        smbd.vscanctl(&["check"]).exits(code).says(&[mark, "trusted files", "/trusted"]).says(&[
            mark,
            "spool directory",
            "/copies",
        ]);
    }
}

#[test]
fn a_module_that_smbd_cannot_load_is_a_mistake() {
    let smbd = Smbd::with(Share::vscan(SHARE, &conf(&clamav(), "")));
    let module = smbd.path("modules/vscan.so");
    fs::remove_file(&module).unwrap();
    smbd.vscanctl(&["check"]).exits(1).says(&["MISTAKE", "vfs/vscan.so cannot be found"]);
    fs::write(&module, "no library at all").unwrap();
    smbd.vscanctl(&["check"]).exits(1).says(&["MISTAKE", "vfs/vscan.so"]);
    fs::set_permissions(&module, Permissions::from_mode(0o666)).unwrap();
    smbd.vscanctl(&["check"]).exits(1).says(&["MISTAKE", "vfs/vscan.so", "chmod 644"]);
}

#[test]
fn json_has_every_setting_with_its_source() {
    let share = Share::vscan(SHARE, &conf(&clamav(), "")).option("vscan:scan timeout", "20");
    let smbd = Smbd::with(share);
    let said = smbd.vscanctl(&["check", "--json"]).exits(0).json();
    let settings = said["shares"][0]["settings"].as_array().unwrap().clone();
    let of = |name: &str| settings.iter().find(|setting| setting["name"] == name).unwrap().clone();
    assert_eq!(
        (of("scan timeout")["value"].as_str(), of("scan timeout")["source"].as_str()),
        (Some("20"), Some("smb.conf"))
    );
    assert_eq!(
        (of("enforce")["value"].as_str(), of("enforce")["source"].as_str()),
        (Some("yes"), Some("default"))
    );
    assert!(said["shares"][0]["path"]["text"].as_str().unwrap().ends_with("/shares/s"));
}
