use vscan_tests::clamd::{Clamd, THREAT};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::SOON;

use crate::protected::{Protected, clamav_at, conf};

/// At this of Samba's log levels.
fn at_level(level: &str, options: &str) -> Protected {
    Protected::server(options, |server| server.global("log level", level))
}

/// Where Samba keeps its own lines out of syslog: by default it sends those of level 0.
fn with_syslog_to_ourselves(options: &str) -> Protected {
    Protected::server(options, |server| server.global("logging", "file"))
}

/// What follows a find, in the order of an administrator's questions.
fn assert_says_all(line: &str) {
    let words = [
        format!("bad.com\" is infected with {THREAT}: access denied; moved to quarantine as /"),
        "(open, share s, user daemon, client 127.0.0.1, scanner clamav)".to_owned(),
    ];
    assert!(words.iter().all(|words| line.contains(words)), "{line}");
}

#[test]
fn a_find_is_logged_at_every_level() {
    let it = at_level("0", "");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_says_all(&it.wait_for_line("bad.com", "is infected"));
}

#[test]
fn a_find_takes_one_line() {
    let it = at_level("1", "");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    it.wait_for_line("bad.com", "is infected");
    assert_eq!(it.smbd.log().matches("bad.com").count(), 1, "{}", it.smbd.log());
}

#[test]
fn a_find_at_close_is_logged_as_such() {
    let it = at_level("0", "infected file action = delete");
    it.put("bad.com", &eicar()).refused_with("NT_STATUS_ACCESS_DENIED");
    it.wait_for_line("bad.com", &format!("{THREAT}: access denied from now on; deleted (close, share s,"));
}

#[test]
fn a_clean_file_is_not_logged() {
    let it = at_level("1", "");
    it.plant("bad.com", &eicar());
    it.plant("a.doc", &clean(1, 100));
    it.get("a.doc").unwrap();
    it.put("b.doc", &clean(2, 100)).ok();
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    it.wait_for_line("bad.com", "is infected");
    assert_eq!((it.line("a.doc", ""), it.line("b.doc", "")), (None, None));
    assert!(!it.smbd.syslog().iter().any(|line| line.contains(".doc")));
}

#[test]
fn verbose_logging_shows_every_decision() {
    let it = at_level("1", "verbose file logging = yes");
    it.plant("a.doc", &clean(1, 100));
    it.smbd.smbclient("s").run("get a.doc /dev/null; get a.doc /dev/null").ok();
    it.wait_for_line("a.doc", "clean (scanned by clamav in ");
    it.wait_for_line("a.doc", "clean, as scanned earlier");
    it.smbd.wait_for_syslog("clean, as scanned earlier", SOON);
}

#[test]
fn the_log_level_of_vscan_shows_every_decision_too() {
    let it = at_level("0 vscan:5", "");
    it.plant("a.doc", &clean(1, 100));
    it.get("a.doc").unwrap();
    it.wait_for_line("a.doc", "clean (scanned by clamav in ");
}

/// Lines in syslog begin with their facility and priority.
fn assert_code(line: &str, facility: u32, priority: u32) {
    assert!(line.starts_with(&format!("<{}>", facility * 8 + priority)), "{line}");
}

const USER: u32 = 1;
const LOCAL3: u32 = 19;
const CRIT: u32 = 2;
const ERR: u32 = 3;
const NOTICE: u32 = 5;
const INFO: u32 = 6;

#[test]
fn a_find_goes_to_syslog_as_an_error() {
    let it = with_syslog_to_ourselves("");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let line = it.smbd.wait_for_syslog("is infected", SOON);
    assert_says_all(&line);
    assert_code(&line, USER, ERR);
}

#[test]
fn facility_and_priority_can_be_chosen() {
    let it = with_syslog_to_ourselves(
        "verbose file logging = yes\nsyslog facility = local3\nsyslog priority = info",
    );
    it.plant("bad.com", &eicar());
    it.plant("a.doc", &clean(1, 100));
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    it.get("a.doc").unwrap();
    assert_code(&it.smbd.wait_for_syslog("is infected", SOON), LOCAL3, ERR);
    assert_code(&it.smbd.wait_for_syslog("a.doc\": clean", SOON), LOCAL3, INFO);
}

#[test]
fn a_more_urgent_priority_is_used_for_finds_too() {
    let it = with_syslog_to_ourselves("syslog priority = crit");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_code(&it.smbd.wait_for_syslog("is infected", SOON), USER, CRIT);
}

#[test]
fn ordinary_lines_are_notices_in_syslog() {
    let it = with_syslog_to_ourselves("verbose file logging = yes");
    it.plant("a.doc", &clean(1, 100));
    it.get("a.doc").unwrap();
    assert_code(&it.smbd.wait_for_syslog("a.doc\": clean", SOON), USER, NOTICE);
}

#[test]
fn a_share_can_keep_out_of_syslog() {
    let clamav = clamav_at(&Clamd::shared().socket());
    let silent = Share::vscan("silent", &conf(&clamav, "syslog = no"));
    let smbd = Smbd::new()
        .share(silent)
        .share(Share::vscan("loud", &conf(&clamav, "")))
        .global("logging", "file")
        .start();
    for share in ["silent", "loud"] {
        plant(&smbd.dir(share).join("bad.com"), &eicar());
        smbd.smbclient(share).get("bad.com").unwrap_err().refused_with("NT_STATUS_VIRUS_INFECTED");
    }
    smbd.wait_for_syslog("share loud", SOON);
    smbd.wait_for_log("share silent", SOON);
    assert!(!smbd.syslog().iter().any(|line| line.contains("share silent")));
}

#[test]
fn every_blocked_open_is_logged() {
    let it = at_level("0", "infected file action = nothing");
    it.plant("bad.com", &eicar());
    it.smbd.smbclient("s").run("get bad.com /dev/null; get bad.com /dev/null").refused_with("VIRUS_INFECTED");
    it.wait_for_line("bad.com", "is infected");
    assert_eq!(it.smbd.log().matches("bad.com\" is infected").count(), 2);
}
