//! `vscanctl scan`.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use vscan_tests::clamd::Clamd;
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::vscanctl::Said;
use vscan_tests::wait::{SOON, eventually};

use crate::protected::{Protected, SHARE, clamav_at, conf, settle};

fn scan(it: &Protected, more: &[&str]) -> Said {
    let share = it.smbd.dir("s").display().to_string();
    it.smbd.vscanctl(&[&["scan", share.as_str()], more].concat())
}

/// The lines of `--json`: those of files by their names, and the sum.
fn lines(said: &Said) -> (Vec<serde_json::Value>, serde_json::Value) {
    let mut lines: Vec<serde_json::Value> =
        said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sum = lines.pop().unwrap();
    lines.sort_by_key(|line| line["path"].to_string());
    (lines, sum["summary"].clone())
}

#[test]
fn every_file_is_scanned_with_the_settings_of_its_share() {
    let it = Protected::with("exclude paths = keep\nmax file size = 1K");
    for dir in ["keep", "deep/er"] {
        std::fs::create_dir_all(it.path(dir)).unwrap();
    }
    it.plant("deep/er/a.doc", &clean(1, 100));
    it.plant("deep/b.com", &eicar());
    it.plant("keep/c.com", &eicar());
    it.plant("large.doc", &clean(2, 2000));
    it.plant("empty.doc", b"");
    // Nothing of these is scanned, or waited for.
    plant(&it.smbd.path("outside.com"), &eicar());
    symlink(it.smbd.path("outside.com"), it.path("link.com")).unwrap();
    symlink("/", it.path("root")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(it.path("pipe")).status().unwrap().success());
    let said = scan(&it, &[]).exits(1);
    let said = said.says(&["/deep/b.com: infected with Eicar-Test"]).says(&[
        "5 files",
        "1 infected, 1 clean",
        "3 not scanned",
    ]);
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
    assert_eq!(it.scanner.scans(), 2);
    assert!(it.path("deep/b.com").exists(), "nothing is done to it");
    let (files, sum) = lines(&scan(&it, &["--json", "--verbose"]).exits(1));
    assert_eq!((files.len(), sum["infected"].as_u64()), (5, Some(1)));
    assert!(files[0]["path"]["text"].as_str().unwrap().ends_with("/deep/b.com"));
    assert_eq!(
        (files[0]["threat"].as_str(), files[0]["result"].as_str()),
        (Some("Eicar-Test.UNOFFICIAL"), Some("infected"))
    );
}

#[test]
fn a_share_behind_a_link_is_scanned_like_any_other() {
    let options = "exclude paths = @RIG@/way/s/mine";
    let it = Protected::share(options, |share| share.option("path", "@RIG@/way/s"));
    symlink("shares", it.smbd.path("way")).unwrap();
    std::fs::create_dir(it.path("mine")).unwrap();
    it.plant("mine/too.com", &eicar());
    it.plant("good.doc", &clean(1, 100));
    it.plant("bad.com", &eicar());
    let by_its_link = it.smbd.path("way/s/bad.com").display().to_string();
    for what in [&["--share", "s"][..], &["--all"], &[&by_its_link]] {
        let said = it.smbd.vscanctl(&[&["scan"], what].concat()).exits(1);
        let said = said.says(&["/shares/s/bad.com: infected"]);
        assert!(!said.out.contains("too.com"), "rules are about the path that smbd goes by: {}", said.out);
    }
    it.smbd.vscanctl(&["explain", &by_its_link]).exits(1).says(&["denied: NT_STATUS_VIRUS_INFECTED"]);
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(it.scanner.scans(), 2, "smbd and vscanctl mean the same files");
}

/// What one share leaves out, another one may have scanned.
#[test]
fn all_shares_are_scanned_each_by_its_own_rules() {
    let clamd = Clamd::shared();
    let conf = |more: &str| conf(&clamav_at(&clamd.socket()), more);
    let smbd = Smbd::new()
        .share(Share::vscan("outer", &conf("exclude paths = inner")))
        .share(Share::vscan("inner", &conf("")).option("path", "@RIG@/shares/outer/inner"))
        .share(Share::vscan("away", &conf("")).option("path", "@RIG@/not-mounted"))
        .share(Share::vscan("homes", &conf("")).option("path", "@RIG@/homes/%U"))
        .start();
    plant(&smbd.dir("outer").join("good.doc"), &clean(1, 100));
    std::fs::create_dir(smbd.dir("outer").join("inner")).unwrap();
    plant(&smbd.dir("outer").join("inner/bad.com"), &eicar());
    let said = smbd.vscanctl(&["scan", "--all"]).exits(1).says(&["/outer/inner/bad.com: infected"]);
    let said = said.says(&["3 files", "1 infected, 1 clean, 1 not scanned", "1 that could not be scanned"]);
    for complaint in ["/homes/%U: name the paths in it; it is left out", "/not-mounted: No such file"] {
        assert!(said.err.contains(complaint), "{}", said.err);
    }
}

#[test]
fn the_actions_are_those_of_the_settings() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    let said = scan(&it, &["--act", "--json"]).exits(1);
    let (files, _) = lines(&said);
    assert_eq!(files[0]["action"], "quarantine");
    assert!(!it.path("bad.com").exists());
    assert_eq!(it.quarantine().len(), 1);
    let list = it.smbd.vscanctl(&["quarantine", "list", "--json"]).exits(0).json();
    assert_eq!(
        (list[0]["record"]["user"].as_str(), list[0]["record"]["client"].as_str()),
        (Some("root"), Some("vscanctl"))
    );
    scan(&it, &[]).exits(0).says(&["0 files"]);
}

#[test]
fn a_scanner_that_is_down_ends_it_and_says_so() {
    let it = Protected::with("");
    for number in 0..200 {
        plant(&it.path(&format!("{number}.doc")), &clean(number, 100));
    }
    let mut conf = conf("clamav:/nowhere/clamd.sock", "");
    conf += "connect timeout = 1s\n";
    it.smbd.rewrite_conf("s", &conf);
    let said = scan(&it, &[]).exits(2).says(&["could not be scanned: cannot reach the scanner"]);
    assert!(said.err.contains("given up, because the scanner does not answer"), "{}", said.err);
    assert!(said.out.lines().count() < 150, "{}", said.out.lines().count());
}

/// Of these, every seventh is infected.
fn plant_many(share: &Path, count: u64) {
    for number in 0..count {
        let (end, content) = if number % 7 == 3 { ("com", eicar()) } else { ("txt", clean(number, 500)) };
        plant(&share.join(format!("{number}.{end}")), &content);
    }
}

/// The results of `--json` by their words: of infected files, and of others.
fn results(said: &Said) -> [Vec<String>; 2] {
    let (files, _) = lines(said);
    let is_infected = |line: &serde_json::Value| line["path"]["text"].as_str().unwrap().ends_with(".com");
    [true, false].map(|infected| {
        let of_them = files.iter().filter(|line| is_infected(line) == infected);
        of_them.map(|line| line["result"].as_str().unwrap().to_owned()).collect()
    })
}

#[test]
fn a_connection_serves_many_files() {
    let it = Protected::with("signature check interval = 0");
    plant_many(&it.smbd.dir(SHARE), 490);
    let [infected, others] = results(&scan(&it, &["--jobs", "2", "--json", "--verbose"]).exits(1));
    assert_eq!((infected, others), (vec!["infected".to_owned(); 70], vec!["clean".to_owned(); 420]));
    assert_eq!(it.scanner.scans(), 490);
    assert!(it.scanner.connections() < 245, "{} connections", it.scanner.connections());
    assert_eq!(it.scanner.open_connections(), 0);
}

#[test]
fn a_clamd_that_is_started_anew_meanwhile_costs_verdicts_and_makes_none() {
    let mut clamd = Clamd::new().start();
    let conf = conf(&clamav_at(&clamd.socket()), "");
    let smbd = Smbd::with(Share::vscan(SHARE, &conf));
    plant_many(&smbd.dir(SHARE), 3500);
    let share = smbd.dir(SHARE).display().to_string();
    let arguments = ["scan", "--json", "--verbose", share.as_str()];
    let running = smbd.vscanctl_command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let begun = clamd.log().len();
    eventually("it is in the middle", SOON, || (clamd.log().len() > begun + 10_000).then_some(()));
    clamd.kill();
    clamd.start();
    let said = Said::from(running.wait_with_output().unwrap());
    let [infected, others] = results(&said);
    assert!(infected.iter().all(|result| result == "infected" || result == "error"), "{infected:?}");
    assert!(others.iter().all(|result| result == "clean" || result == "error"), "{others:?}");
    assert!(infected.contains(&"infected".to_owned()) && others.contains(&"error".to_owned()));
    said.exits(1);
    let [infected, others] = results(&smbd.vscanctl(&arguments).exits(1));
    assert_eq!((infected, others), (vec!["infected".to_owned(); 500], vec!["clean".to_owned(); 3000]));
}

/// Its threads have read the shared results, and must be gone when those are closed.
#[test]
fn it_ends_well_each_time() {
    let it = Protected::with("");
    (0..8).for_each(|number| plant(&it.path(&format!("{number}.doc")), &clean(number, 100)));
    for _ in 0..100 {
        scan(&it, &["--jobs", "32"]).exits(0).says(&["8 files"]);
    }
}

#[test]
fn an_interruption_ends_it_cleanly_and_the_next_scan_goes_on_there() {
    let it = Protected::with("");
    for number in 0..50 {
        plant(&it.path(&format!("{number}.doc")), &clean(number, 100));
    }
    settle(&it.path("49.doc"));
    it.scanner.hold();
    let mut command = it.smbd.vscanctl_command(&["scan", "--share", "s", "--jobs", "2"]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    it.scanner.wait_for_scans(2, SOON);
    // nsenter has become vscanctl.
    let pid = Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    it.scanner.release();
    let said: Said = running.wait_with_output().unwrap().into();
    let said = said.exits(130).says(&[" files, ", "0 infected"]);
    // How many it begins between the signal and its notice is up to the machine.
    let files: usize =
        said.out.split_once(" files, ").unwrap().0.rsplit('\n').next().unwrap().parse().unwrap();
    assert!((2..50).contains(&files), "{}", said.out);
    assert!(said.err.contains("goes on where this one has stopped"), "{}", said.err);
    scan(&it, &[]).exits(0).says(&["50 files", &format!("{files} known from earlier scans")]);
    assert_eq!(it.scanner.scans(), 50, "none twice");
}

#[test]
fn what_cannot_be_scanned_at_all_gets_a_word() {
    let it = Protected::with("");
    for (arguments, word) in [
        (&["scan"][..], "what is to be scanned?"),
        (&["scan", "/nosuch"], "/nosuch: No such file or directory"),
        (&["scan", "/etc"], "/etc is in no share of smb.conf"),
        (&["scan", "--share", "nosuch"], "there is no share nosuch"),
    ] {
        let said = it.smbd.vscanctl(arguments).exits(2);
        assert!(said.err.contains(word), "{}", said.err);
    }
    eventually("nobody has asked the scanner", SOON, || (it.scanner.scans() == 0).then_some(()));
}

/// What a terminal of this width gets to see; a pipe takes standard output, if that is wanted.
fn on_terminal(it: &Protected, columns: u16, arguments: &[&str], into_pipe: bool) -> String {
    on_terminal_with("", it, columns, arguments, into_pipe)
}

/// The same with a variable of the environment.
fn on_terminal_with(
    variable: &str,
    it: &Protected,
    columns: u16,
    arguments: &[&str],
    into_pipe: bool,
) -> String {
    let command = it.smbd.vscanctl_command(arguments);
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_str().unwrap())
        .collect();
    assert!(words.iter().all(|word| !word.contains(['\'', ' '])), "{words:?}");
    let pipe = if into_pipe { "| cat" } else { "" };
    let line = format!("stty cols {columns}; {variable} {} {pipe}", words.join(" "));
    let mut script = Command::new("script");
    script.args(["--quiet", "--command", &line, "/dev/null"]).stdin(Stdio::null()).env("TERM", "xterm");
    String::from_utf8(script.env_remove("NO_COLOR").output().expect("script of util-linux").stdout).unwrap()
}

#[test]
fn on_a_terminal_a_bar_shows_how_far_it_is() {
    const FILES: u64 = 400;
    let it = Protected::with("");
    for number in 0..FILES {
        plant(&it.path(&format!("{number}.doc")), &clean(number, 100));
    }
    plant(&it.path("bad.com"), &eicar());
    let scan = ["scan", "--share", "s"];
    let seen = on_terminal(&it, 100, &scan, false);
    assert!(seen.contains("of 401 files, ") && seen.contains(" left"), "{seen:?}");
    assert!(seen.contains("\u{1b}[1;31minfected"), "{seen:?}");
    assert!(seen.contains("1 infected, 400 clean"), "{seen:?}");
    // The bar is gone in the end: nothing is left in the line but the sum.
    let last = seen.lines().last().unwrap();
    assert!(last.rsplit("\u{1b}[2K").next().unwrap().contains("401 files, "), "{last:?}");
    let narrow = on_terminal(&it, 40, &scan, false);
    assert!(!narrow.contains('░') && !narrow.contains("of 401 files"), "{narrow:?}");
    let colourless = on_terminal_with("NO_COLOR=1", &it, 100, &scan, false);
    assert!(
        colourless.contains("bad.com: infected with") && !colourless.contains("\u{1b}[1;31m"),
        "{colourless:?}"
    );
    let piped = on_terminal(&it, 100, &scan, true);
    assert!(!piped.contains('\u{1b}') && !piped.contains(" left"), "{piped:?}");
}
