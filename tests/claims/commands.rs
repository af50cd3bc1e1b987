//! Programs that are run when something has happened.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use vscan_tests::clamd::{Clamd, THREAT};
use vscan_tests::client::{Client, Status, example};
use vscan_tests::module::vscan_notify;
use vscan_tests::recorder::Recorder;
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::wait::{SOON, eventually, patience};

use crate::messages::spool_is_empty;
use crate::protected::{Protected, SHARE};

const COMMAND: &str = "infected file command = @RIG@/recorder/run";

fn options(options: &str) -> String {
    format!("notify program = {}\n{options}", vscan_notify().display())
}

fn protected(lines: &str) -> Protected {
    Protected::with(&options(lines))
}

fn by(clamd: &Clamd, lines: &str) -> Protected {
    Protected::by(clamd, &options(lines))
}

fn ids(user: &str) -> String {
    let id = |which| {
        let output = std::process::Command::new("id").args([which, user]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    format!("{}{}{}", id("-u"), id("-g"), id("-G"))
}

#[test]
fn a_find_runs_the_command_as_the_clients_user_with_the_variables_of_virusfilter() {
    let it = protected(&format!("{COMMAND} --cc \"%U@example.org\" '%S: %v' %F"));
    let recorder = Recorder::at(&it.smbd, "");
    let path = it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let run = recorder.wait_for(1).remove(0);
    let words: [&[u8]; 4] = [
        b"--cc",
        b"daemon@example.org",
        &format!("{SHARE}: {THREAT}").into_bytes(),
        path.as_os_str().as_bytes(),
    ];
    assert_eq!(run.arguments, words);
    assert_eq!(run.ids, ids("daemon"));
    let share = it.smbd.dir(SHARE);
    let moved = it.quarantine().remove(0);
    let expected = [
        ("VIRUSFILTER_INFECTED_SERVICE_FILE_PATH", "bad.com"),
        ("VIRUSFILTER_INFECTED_FILE_REPORT", THREAT),
        ("VIRUSFILTER_INFECTED_FILE_ACTION", "quarantine"),
        ("VIRUSFILTER_QUARANTINED_FILE_PATH", moved.to_str().unwrap()),
        ("VIRUSFILTER_MODULE_NAME", "clamav"),
        ("VIRUSFILTER_SERVICE_NAME", SHARE),
        ("VIRUSFILTER_SERVICE_PATH", share.to_str().unwrap()),
        ("VIRUSFILTER_CLIENT_IP", "127.0.0.1"),
        ("VIRUSFILTER_SERVER_IP", "127.0.0.1"),
        ("VIRUSFILTER_USER_NAME", "daemon"),
        ("VSCAN_PATH", path.to_str().unwrap()),
        ("VSCAN_EVENTS", "1"),
    ];
    for (name, value) in expected {
        assert_eq!(run.text(name), value, "{name}");
    }
    // Scripts that say `set -u` need these, whatever is in them.
    for rest in ["CLIENT_NAME", "CLIENT_NETBIOS_NAME", "SERVER_NAME", "SERVER_NETBIOS_NAME", "SERVER_PID"] {
        assert!(!run.text(&format!("VIRUSFILTER_{rest}")).is_empty(), "{rest}");
    }
    assert!(
        run.variable("VIRUSFILTER_USER_DOMAIN").is_some() && run.variable("VIRUSFILTER_VERSION").is_some()
    );
    assert_eq!(run.variable("VIRUSFILTER_RESULT_IS_CACHE"), None);
    let json: serde_json::Value = serde_json::from_slice(&run.input).unwrap();
    assert_eq!((&json["schema"], &json["events"][0]["threat"]), (&1.into(), &THREAT.into()));
}

/// Samba's own script for vfs_virusfilter's commands, from its source package; where everybody may run it.
fn virusfilter_notify(it: &Protected) {
    let script = fs::read(example("virusfilter-notify.ksh")).expect("run tests/setup.sh first");
    let place = it.smbd.path("virusfilter-notify");
    fs::write(&place, script).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The command line of such a script as it was under vfs_virusfilter; the programs that it calls are the recorder.
fn virusfilter_commands() -> String {
    let words = "/usr/bin/env VIRUSFILTER_NOTIFY_SENDMAIL_COMMAND=@RIG@/recorder/run \
                 VIRUSFILTER_NOTIFY_SMBCLIENT_COMMAND=@RIG@/recorder/run @RIG@/virusfilter-notify \
                 --mail-to %U@example.org --cc root@example.org --from samba@example.org --subject-prefix \"[%S] \"";
    format!("infected file command = {words} --winpopup-to %m\nscan error command = {words}")
}

#[test]
fn sambas_script_for_virusfilter_works_unchanged() {
    let clamd = Clamd::new().start();
    let it = by(&clamd, &virusfilter_commands());
    let recorder = Recorder::at(&it.smbd, "");
    virusfilter_notify(&it);
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let mut runs = recorder.wait_for(2);
    runs.sort_by_key(|run| run.arguments[0] != b"-t");
    let (mail, popup) = (&runs[0], &runs[1]);
    assert_eq!(mail.arguments, ["-t", "-i", "-f", "samba@example.org"].map(str::as_bytes));
    assert_eq!((&popup.arguments[0][..], &popup.arguments[2][..]), (&b"-M"[..], &b"-U%"[..]));
    assert_eq!((mail.ids.as_str(), popup.ids.as_str()), (ids("daemon").as_str(), ids("daemon").as_str()));
    let text = String::from_utf8(mail.input.clone()).unwrap();
    let moved = it.quarantine().remove(0);
    let lines = [
        format!("Subject: [{SHARE}] {THREAT}"),
        "To: daemon@example.org".to_owned(),
        "Cc: root@example.org".to_owned(),
        "X-VIRUSFILTER-Module-Name: clamav".to_owned(),
        format!("Service name: {SHARE}"),
        format!("Infected file report: {THREAT}"),
        format!("Infected file path: {}", it.path("bad.com").display()),
        "Infected file action: quarantine".to_owned(),
        format!("Quarantined/Renamed file path: {}", moved.display()),
    ];
    for line in &lines {
        assert!(text.lines().any(|found| found == line), "{line:?} in {text}");
    }
    assert!(text.contains("(127.0.0.1)\n") && text.contains("\\daemon\n"), "client and user: {text}");
    let body = text.split_once("\n\n").unwrap().1.trim();
    assert_eq!(String::from_utf8_lossy(&popup.input).trim(), body);
}

#[test]
fn sambas_script_for_virusfilter_tells_of_errors_and_knows_earlier_results() {
    let mut clamd = Clamd::new().start();
    let it = by(&clamd, &format!("{}\ninfected file action = nothing", virusfilter_commands()));
    let recorder = Recorder::at(&it.smbd, "");
    virusfilter_notify(&it);
    it.plant("bad.com", &eicar());
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    // It says nothing of what was known before.
    for _ in 0..2 {
        assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    }
    recorder.wait_for(2);
    clamd.kill();
    assert_eq!(client.read("a.doc"), Err(Status::ACCESS_DENIED));
    let runs = recorder.wait_for(3);
    let error = String::from_utf8(runs[2].input.clone()).unwrap();
    let line = format!("Scan error file path: {}", it.path("a.doc").display());
    assert!(error.contains(&line) && error.contains("Scan error report: "), "{error}");
    assert_eq!(runs.len(), 3);
}

#[test]
fn an_earlier_result_is_told_as_such() {
    let it = protected(&format!("{COMMAND}\ninfected file action = nothing"));
    let recorder = Recorder::at(&it.smbd, "");
    it.plant("bad.com", &eicar());
    it.smbd
        .smbclient(SHARE)
        .run("get bad.com /dev/null; get bad.com /dev/null")
        .refused_with("VIRUS_INFECTED");
    let runs = recorder.wait_for(2);
    assert_eq!(runs.iter().filter(|run| run.variable("VIRUSFILTER_RESULT_IS_CACHE").is_some()).count(), 1);
}

#[test]
fn a_name_is_never_an_option() {
    let it = protected(&format!("{COMMAND} %f x%f"));
    let recorder = Recorder::at(&it.smbd, "");
    it.plant("-rf.com", &eicar());
    it.refused("-rf.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(recorder.wait_for(1)[0].arguments, [&b"./-rf.com"[..], b"x-rf.com"]);
}

#[test]
fn a_shell_runs_only_where_the_command_is_one() {
    let script = r#"/bin/sh -c 'printf %s "$VSCAN_THREAT" >"$0/said"; exec "$0/run" "%f"' @RIG@/recorder"#;
    let it = protected(&format!("infected file command = {script}"));
    let recorder = Recorder::at(&it.smbd, "");
    it.plant("bad$(id).com", &eicar());
    it.refused("bad$(id).com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(recorder.wait_for(1)[0].arguments, [b"%f"], "no name is put into a script");
    assert!(fs::read_to_string(recorder.path("said")).unwrap().contains(THREAT));
}

#[test]
fn a_command_that_hangs_is_killed_and_nobody_waits_for_it() {
    let it = protected(&format!("{COMMAND}\ncommand timeout = 2"));
    let recorder = Recorder::at(&it.smbd, "sleep 1000");
    let client = it.client();
    for i in 0..6 {
        it.plant(&format!("bad{i}.com"), &eicar());
    }
    let began = Instant::now();
    for i in 0..6 {
        assert_eq!(client.read(&format!("bad{i}.com")), Err(Status::VIRUS_INFECTED));
    }
    assert!(began.elapsed() < patience(Duration::from_secs(10)), "{:?}", began.elapsed());
    recorder.wait_for(4);
    assert_eq!(recorder.runs().len(), 4, "four at once");
    recorder.wait_for(6);
    it.smbd.wait_for_syslog("killed after 2 s (command timeout)", SOON);
}

#[test]
fn a_command_that_never_works_is_one_line_in_syslog() {
    for (command, trouble) in [("/nowhere/x", "there is no such program"), ("/bin/false", "exit status 1")] {
        let it = protected(&format!("infected file command = {command}\ninfected file action = nothing"));
        it.plant("bad.com", &eicar());
        let client = it.client();
        for _ in 0..5 {
            assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
        }
        it.smbd.wait_for_syslog(trouble, SOON);
        eventually("all events are done with", SOON, || spool_is_empty(&it).then_some(()));
        let lines = it.smbd.syslog();
        let about: Vec<_> = lines.iter().filter(|line| line.contains(command)).collect();
        assert!(matches!(about.as_slice(), [line] if line.contains(trouble)), "{about:?}");
    }
}

#[test]
fn a_file_without_a_verdict_runs_its_command() {
    let mut clamd = Clamd::new().start();
    let it = by(&clamd, "scan error command = @RIG@/recorder/run");
    let recorder = Recorder::at(&it.smbd, "");
    it.plant("a.doc", &clean(1, 100));
    clamd.kill();
    it.refused("a.doc").refused_with("NT_STATUS_ACCESS_DENIED");
    let run = recorder.wait_for(1).remove(0);
    assert_eq!(run.text("VIRUSFILTER_SCAN_ERROR_SERVICE_FILE_PATH"), "a.doc");
    assert!(!run.text("VIRUSFILTER_SCAN_ERROR_REPORT").is_empty());
    assert_eq!(run.variable("VIRUSFILTER_INFECTED_FILE_ACTION"), None);
    assert_eq!(run.ids, ids("daemon"));
}

#[test]
fn a_scanner_that_goes_and_comes_back_is_told_once_whoever_notices() {
    let mut clamd = Clamd::new().start();
    let it = by(&clamd, "scanner state command = @RIG@/recorder/run %n");
    let recorder = Recorder::at(&it.smbd, "");
    it.plant("a.doc", &clean(1, 100));
    let clients: Vec<Client> = (0..3).map(|_| it.client()).collect();
    let read_all = |is_clean: bool| {
        for client in &clients {
            eventually("every smbd notices", SOON, || {
                plant(&it.path("a.doc"), &clean(1, 100));
                Some(client.read("a.doc")).filter(|read| read.is_ok() == is_clean)
            })
            .ok();
        }
    };
    clamd.kill();
    read_all(false);
    let down = recorder.wait_for(1).remove(0);
    assert_eq!((down.text("VSCAN_SCANNER_STATE"), down.ids.as_str()), ("down", ids("root").as_str()));
    assert!(down.arguments[0].starts_with(b"clamav at unix:/"), "{down:?}");
    clamd.start();
    read_all(true);
    let runs = recorder.wait_for(2);
    assert_eq!(runs[1].text("VSCAN_SCANNER_STATE"), "up");
    // The others' notices are in the spool by now, or gone from it.
    let spool = it.smbd.path("spool");
    eventually("the spool is empty", SOON, || {
        let names = fs::read_dir(&spool).unwrap().flatten().map(|entry| entry.file_name());
        (!names.into_iter().any(|name| name.to_string_lossy().ends_with(".json"))).then_some(())
    });
    assert_eq!(recorder.runs().len(), 2);
}

#[test]
fn runs_can_be_fewer_than_files_and_say_how_many() {
    const FILES: usize = 30;
    let it = protected(&format!("{COMMAND}\ncommand interval = 3\ninfected file action = nothing"));
    let recorder = Recorder::at(&it.smbd, "");
    let client = it.client();
    for i in 0..FILES {
        plant(&it.path(&format!("bad{i}.com")), &eicar());
        assert_eq!(client.read(&format!("bad{i}.com")), Err(Status::VIRUS_INFECTED));
    }
    let told = || recorder.runs().iter().map(|run| run.text("VSCAN_EVENTS").parse::<usize>().unwrap()).sum();
    eventually("all files are told of", SOON, || (told() >= FILES).then_some(()));
    let total: usize = told();
    assert_eq!(total, FILES);
    assert!(recorder.runs().len() < 10, "{}", recorder.runs().len());
}
