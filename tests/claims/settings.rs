use vscan_tests::clamd::Clamd;
use vscan_tests::fake::{Conduct, FakeDaemon};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::SOON;

use crate::protected::{SHARE, clamav_at, conf};

/// The option lines of samba-vscan's sample files, with the scanner's own.
fn samba_vscan(own: &str) -> String {
    format!(
        "[samba-vscan]\n; comment\nmax file size = 0 \nverbose file logging = no \nscan on open = yes\n\
         scan on close = yes \ndeny access on error = yes\ndeny access on minor error = yes\n\
         send warning message = yes\ninfected file action = quarantine\nquarantine directory  = @RIG@/quarantine\n\
         quarantine prefix = vir-\nmax lru files entries = 100\nlru file entry lifetime = 5\nexclude file types =\n\
         exclude file regexp =\n{own}\n"
    )
}

/// Lines that say that something in the configuration is not in force.
fn mistakes(smbd: &Smbd) -> Vec<String> {
    let log = smbd.log();
    let lines: Vec<&str> = log.lines().collect();
    let is_mistake = |pair: &&[&str]| pair[0].contains(",  0]") && pair[1].contains(".conf, ");
    lines.windows(2).filter(is_mistake).map(|pair| pair[1].to_owned()).collect()
}

fn with_an_infected_file(text: &str) -> Smbd {
    let smbd = Smbd::with(Share::vscan(SHARE, text));
    plant(&smbd.dir(SHARE).join("bad.com"), &eicar());
    smbd
}

fn assert_quarantined(smbd: &Smbd) {
    assert!(!smbd.dir(SHARE).join("bad.com").exists());
    let files = crate::protected::files_in_quarantine(&smbd.path("quarantine"));
    assert!(files.len() == 1 && files[0].file_name().unwrap().to_str().unwrap().starts_with("vir-"));
    assert_eq!(mistakes(smbd), [""; 0]);
}

#[test]
fn a_file_written_for_vscan_clamav_works() {
    let socket = Clamd::shared().socket();
    let own = format!("clamd socket name = {}\nscan archives = yes", socket.display());
    let smbd = with_an_infected_file(&samba_vscan(&own));
    smbd.smbclient(SHARE).get("bad.com").unwrap_err().refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_quarantined(&smbd);
    smbd.smbclient(SHARE).put("a.doc", &clean(1, 100)).ok();
    assert_eq!(smbd.smbclient(SHARE).get("a.doc").unwrap(), clean(1, 100));
}

#[test]
fn a_mistake_in_such_a_file_is_complained_about_and_leaves_the_share_protected() {
    let own = format!("clamd socket name = {}\nscan on opne = no", Clamd::shared().socket().display());
    let smbd = with_an_infected_file(&samba_vscan(&own));
    smbd.smbclient(SHARE).get("bad.com").unwrap_err().refused_with("NT_STATUS_VIRUS_INFECTED");
    let [mistake] = &mistakes(&smbd)[..] else { panic!("one mistake, not {:?}", mistakes(&smbd)) };
    assert!(mistake.contains("scan on opne") && mistake.contains("scan on open"), "{mistake}");
}

/// A scanner that is given paths, as Sophie and Trophie are.
fn scanner_of_paths(option: &str) {
    let scanner = FakeDaemon::unix(Conduct::Answer(b"1:Some-Virus\n".to_vec()));
    let own = format!("{option} = {}", scanner.socket().display());
    let smbd = with_an_infected_file(&samba_vscan(&own));
    let path = smbd.dir(SHARE).join("bad.com");
    smbd.smbclient(SHARE).get("bad.com").unwrap_err().refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(scanner.requests()[0].bytes, format!("{}\n", path.display()).into_bytes());
    smbd.wait_for_log("is infected with Some-Virus: access denied", SOON);
    assert_quarantined(&smbd);
    scanner.now(Conduct::Answer(b"0\n".to_vec()));
    smbd.smbclient(SHARE).put("a.doc", &clean(1, 100)).ok();
    assert_eq!(smbd.smbclient(SHARE).get("a.doc").unwrap(), clean(1, 100));
    scanner.now(Conduct::Answer(b"-1:Cannot look\n".to_vec()));
    plant(&smbd.dir(SHARE).join("odd.doc"), &clean(2, 100));
    smbd.smbclient(SHARE).get("odd.doc").unwrap_err().refused_with("NT_STATUS_ACCESS_DENIED");
    smbd.wait_for_log("could not be scanned (Cannot look): access denied", SOON);
}

#[test]
fn a_file_written_for_vscan_sophos_works() {
    scanner_of_paths("sophie socket name");
}

#[test]
fn a_file_written_for_vscan_trend_works() {
    scanner_of_paths("trophie socket name");
}

fn clamav() -> String {
    clamav_at(&Clamd::shared().socket())
}

/// Asserts what an infected file in the share is answered with.
#[track_caller]
fn assert_answer(smbd: &Smbd, share: &str, status: &str) {
    plant(&smbd.dir(share).join("bad.com"), &eicar());
    smbd.smbclient(share).get("bad.com").unwrap_err().refused_with(status);
}

#[test]
fn a_section_named_like_the_share_counts_more() {
    let text = conf(&clamav(), "[s]\ninfected status = access denied\n[other]\nscan on open = no");
    assert_answer(&Smbd::with(Share::vscan(SHARE, &text)), SHARE, "NT_STATUS_ACCESS_DENIED");
}

#[test]
fn a_section_named_like_another_share_does_not_count() {
    let text = conf(&clamav(), "[other]\ninfected status = access denied\nscan on open = no");
    assert_answer(&Smbd::with(Share::vscan(SHARE, &text)), SHARE, "NT_STATUS_VIRUS_INFECTED");
}

#[test]
fn smb_conf_counts_more_than_the_file() {
    let text = conf(&clamav(), "scan on open = no\n[s]\ninfected status = virus infected");
    let share = Share::vscan(SHARE, &text)
        .option("vscan:infected status", "access denied")
        .option("vscan:scan on open", "yes");
    assert_answer(&Smbd::with(share), SHARE, "NT_STATUS_ACCESS_DENIED");
}

#[test]
fn global_options_in_smb_conf_count_for_every_share() {
    let share = Share::vscan(SHARE, &conf(&clamav(), ""));
    let smbd = Smbd::new().share(share).global("vscan:infected status", "access denied").start();
    assert_answer(&smbd, SHARE, "NT_STATUS_ACCESS_DENIED");
}

#[test]
fn smb_conf_alone_is_enough() {
    let share = Share::vscan(SHARE, "")
        .option("vscan:scanner", &clamav())
        .option("vscan:quarantine directory", "@RIG@/quarantine");
    let smbd = Smbd::with(share);
    assert_answer(&smbd, SHARE, "NT_STATUS_VIRUS_INFECTED");
    assert_quarantined(&smbd);
}

#[test]
fn two_shares_have_two_sets_of_settings() {
    let one = conf(&clamav(), "infected status = access denied\ninfected file action = nothing");
    let two = conf(&clamav(), "infected file action = delete");
    let smbd = Smbd::new().share(Share::vscan("one", &one)).share(Share::vscan("two", &two)).start();
    assert_answer(&smbd, "one", "NT_STATUS_ACCESS_DENIED");
    assert_answer(&smbd, "two", "NT_STATUS_VIRUS_INFECTED");
    let stays = |share| smbd.dir(share).join("bad.com").exists();
    assert_eq!((stays("one"), stays("two")), (true, false));
}

#[test]
fn one_file_can_hold_the_settings_of_two_shares() {
    let text = conf(&clamav(), "infected file action = nothing\n[two]\ninfected status = access denied");
    let two = Share::vscan("two", "").option("vscan:config-file", "@RIG@/conf/one.conf");
    let smbd = Smbd::new().share(Share::vscan("one", &text)).share(two).start();
    assert_answer(&smbd, "one", "NT_STATUS_VIRUS_INFECTED");
    assert_answer(&smbd, "two", "NT_STATUS_ACCESS_DENIED");
}

#[test]
fn a_share_without_vscan_is_left_alone() {
    let smbd =
        Smbd::new().share(Share::vscan(SHARE, &conf(&clamav(), ""))).share(Share::plain("open")).start();
    plant(&smbd.dir("open").join("bad.com"), &eicar());
    assert_eq!(smbd.smbclient("open").get("bad.com").unwrap(), eicar());
    assert_answer(&smbd, SHARE, "NT_STATUS_VIRUS_INFECTED");
    assert!(smbd.dir("open").join("bad.com").exists());
}

#[test]
fn new_connections_see_changed_settings() {
    let smbd = Smbd::with(Share::vscan(SHARE, &conf(&clamav(), "infected status = access denied")));
    assert_answer(&smbd, SHARE, "NT_STATUS_ACCESS_DENIED");
    smbd.rewrite_conf(SHARE, &conf(&clamav(), ""));
    assert_answer(&smbd, SHARE, "NT_STATUS_VIRUS_INFECTED");
}
