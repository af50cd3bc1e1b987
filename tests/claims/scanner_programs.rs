use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Open, Status};
use vscan_tests::fake::program::write_script;
use vscan_tests::process::Process;
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::{SOON, eventually};

use crate::protected::{SHARE, conf};

/// A share whose scanner is a program.
struct Scanned {
    smbd: Smbd,
    dir: TempDir,
}

impl Scanned {
    /// `command:custom` runs this script, with `@DIR@` in it for a directory of its own.
    fn by_script(script: &str, arguments: &str, options: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("vscan-rig-program-").tempdir_in("/tmp").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let script = format!("#!/bin/sh\n{}", script.replace("@DIR@", &dir.path().display().to_string()));
        let program = write_script(dir.path(), &script);
        let options = format!("scanner command = {} {arguments}\n{options}", program.display());
        let smbd = Smbd::with(Share::vscan(SHARE, &conf("command:custom", &options)));
        Self { smbd, dir }
    }

    fn plant(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.smbd.dir(SHARE).join(name);
        plant(&path, content);
        path
    }

    #[track_caller]
    fn refused(&self, name: &str, status: &str) {
        self.smbd.smbclient(SHARE).get(name).expect_err("the file could be read").refused_with(status);
    }

    /// What the script has written into this file of its directory: a process.
    fn process(&self, name: &str) -> Process {
        let number = eventually("the program has said who it is", SOON, || {
            fs::read_to_string(self.dir.path().join(name)).ok()?.trim().parse().ok()
        });
        Process(Pid::from_raw(number).unwrap())
    }
}

/// clamscan with the rig's one signature.
fn clamscan() -> String {
    let database = Clamd::shared().conf().with_file_name("db");
    format!("/usr/bin/clamscan --database={} --stdout --no-summary", database.display())
}

fn by_clamscan(arguments: &str) -> Smbd {
    let options = format!(
        "scanner command = {} {arguments}\nscanner command threat regexp = (?m): (.+) FOUND$",
        clamscan()
    );
    Smbd::with(Share::vscan(SHARE, &conf("command:custom", &options)))
}

fn finds_and_passes(smbd: &Smbd) {
    let path = |name| smbd.dir(SHARE).join(name);
    plant(&path("bad.com"), &eicar());
    plant(&path("good.doc"), &clean(1, 100_000));
    assert_eq!(smbd.smbclient(SHARE).get("good.doc").unwrap(), clean(1, 100_000));
    smbd.smbclient(SHARE).get("bad.com").unwrap_err().refused_with("NT_STATUS_VIRUS_INFECTED");
    smbd.wait_for_log("bad.com\" is infected with Eicar-Test.UNOFFICIAL", SOON);
    assert!(!path("bad.com").exists(), "it is in quarantine");
    smbd.smbclient(SHARE).put("new.com", &eicar()).refused_with("NT_STATUS_ACCESS_DENIED");
    smbd.smbclient(SHARE).put("new.doc", &clean(2, 5000)).ok();
}

#[test]
fn the_real_clamscan_scans_what_it_is_given_as_its_input() {
    finds_and_passes(&by_clamscan("-"));
}

#[test]
fn the_real_clamscan_scans_by_path() {
    finds_and_passes(&by_clamscan("%f"));
}

#[test]
fn the_real_clamscan_is_known_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let wrapper = write_script(dir.path(), &format!("#!/bin/sh\nexec {} \"$@\"\n", clamscan()));
    let address = format!("command:clamscan:{}", wrapper.display());
    finds_and_passes(&Smbd::with(Share::vscan(SHARE, &conf(&address, ""))));
}

#[test]
fn no_name_means_anything_but_itself() {
    let script = "[ $# = 1 ] && [ -f \"$1\" ] && cmp -s \"$1\" /proc/self/fd/0 || exit 2\nexit 0";
    let it = Scanned::by_script(script, "%f", "");
    let client = Client::connect(&it.smbd, SHARE);
    for name in ["-rf", "$(touch gone) `id`;x&", "it's", "a  b", "--help", "%f", "\u{e9}\u{1f41f}"] {
        it.plant(name, &clean(1, 1000));
        assert_eq!(client.read(name), Ok(clean(1, 1000)), "{name}");
    }
    // A name that SMB cannot carry: the client sees another one, the scanner the true one.
    it.plant("new\nline", &clean(2, 1000));
    let listing = it.smbd.smbclient(SHARE).ls().output;
    let mangled = listing.split_whitespace().find(|word| word.contains('~')).unwrap().to_owned();
    assert_eq!(client.read(&mangled), Ok(clean(2, 1000)));
}

#[test]
fn no_end_but_a_clean_one_lets_a_file_through() {
    for (script, why) in [
        ("exit 2", "exit code 2"),
        ("echo all is well; exit 77", "exit code 77: \"all is well\""),
        ("kill -9 $$", "killed by signal 9"),
        ("kill -SEGV $$", "killed by signal 11"),
        ("yes; exit 0", "wrote more than 65536 bytes"),
        ("exec /nonexistent", "exit code 127"),
        ("rm @DIR@/program; kill -9 $PPID; sleep 1000", "process that watches"),
    ] {
        let it = Scanned::by_script(script, "", "");
        it.plant("a.doc", &clean(1, 1000));
        it.refused("a.doc", "NT_STATUS_ACCESS_DENIED");
        it.smbd.wait_for_log(why, SOON);
        it.smbd.wait_for_log("a.doc\" could not be scanned", SOON);
    }
}

#[test]
fn a_program_that_is_missing_is_a_scanner_that_is_down() {
    let address = "command:uvscan:/nonexistent/uvscan, command:custom";
    let options = format!("scanner command = {} -", clamscan());
    let smbd = Smbd::with(Share::vscan(SHARE, &conf(address, &options)));
    plant(&smbd.dir(SHARE).join("a.doc"), &clean(1, 1000));
    assert_eq!(smbd.smbclient(SHARE).get("a.doc").unwrap(), clean(1, 1000));
    let line = smbd.wait_for_log("scanner command /nonexistent/uvscan is down", SOON);
    assert!(line.contains("No such file") && line.contains("using command /usr/bin/clamscan"), "{line}");

    smbd.rewrite_conf(SHARE, &conf("command:uvscan:/nonexistent/uvscan", ""));
    smbd.smbclient(SHARE).get("a.doc").unwrap_err().refused_with("NT_STATUS_ACCESS_DENIED");
}

#[test]
fn a_program_that_takes_too_long_is_killed_and_nobody_else_waits() {
    let script = "[ -s /proc/self/fd/0 ] && grep -q hay /proc/self/fd/0 && exit 0\n\
                  sleep 1000 & echo $! >@DIR@/child; echo $$ >@DIR@/self; sleep 1000";
    let it = Scanned::by_script(script, "", "scan timeout = 3");
    it.plant("slow.doc", b"needle");
    it.plant("quick.doc", b"hay");
    let client = Client::connect(&it.smbd, SHARE);
    let open = client.open("slow.doc", Open::read());
    open.wait_until_pending();
    let (child, program) = (it.process("child"), it.process("self"));
    assert_eq!(client.read("quick.doc"), Ok(b"hay".to_vec()));
    assert!(program.is_alive(), "the slow scan goes on");
    assert_eq!(client.server().children(), [], "no program is a child of smbd's");
    assert_eq!(open.wait().status, Status::ACCESS_DENIED);
    let line = it.smbd.wait_for_log("slow.doc\" could not be scanned", SOON);
    assert!(line.contains("(scan timeout)"), "{line}");
    for process in [child, program] {
        process.wait_for_end(SOON);
    }
}

#[test]
fn a_program_ends_with_its_smbd() {
    let it = Scanned::by_script("echo $$ >@DIR@/self; sleep 1000", "", "");
    it.plant("slow.doc", b"needle");
    let client = Client::connect(&it.smbd, SHARE);
    let open = client.open("slow.doc", Open::read());
    open.wait_until_pending();
    let program = it.process("self");
    it.smbd.signal(client.server(), Signal::KILL);
    program.wait_for_end(SOON);
}

#[test]
fn smbd_keeps_no_zombies_and_no_descriptors() {
    let it = Scanned::by_script("exit 0", "", "lru entries = 0");
    let client = Client::connect(&it.smbd, SHARE);
    let mut descriptors = None;
    for round in 0..20 {
        let name = format!("{round}.doc");
        it.plant(&name, &clean(round, 100));
        assert_eq!(client.read(&name), Ok(clean(round, 100)));
        // The first scans open what stays open.
        let now = client.server().descriptors().len();
        assert!(now <= *descriptors.get_or_insert(now + 2), "{:?}", client.server().descriptors());
    }
    let process = client.server().0.as_raw_nonzero();
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
    assert_eq!(children, "");
}

#[test]
fn a_program_may_run_as_another_user_on_a_file_it_could_not_open() {
    let script = "[ $(id -u) = 65534 ] && [ \"$(id -G)\" = 65534 ] || exit 3\n\
                  head -c 6 /proc/self/fd/0 2>/dev/null && exit 4\ngrep -q needle && exit 1\nexit 0";
    let it = Scanned::by_script(script, "", "scanner command user = nobody");
    for (name, content) in [("bad.doc", "needle"), ("good.doc", "hay")] {
        let path = it.plant(name, content.as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    it.refused("bad.doc", "NT_STATUS_VIRUS_INFECTED");
    assert_eq!(it.smbd.smbclient(SHARE).get("good.doc").unwrap(), b"hay");
}

#[test]
fn half_a_command_is_said_and_does_not_run() {
    let options = "scanner command = uvscan %f\nscanner command clean exit codes = none";
    let smbd = Smbd::with(Share::vscan(SHARE, &conf("command:custom", options)));
    plant(&smbd.dir(SHARE).join("a.doc"), &clean(1, 1000));
    smbd.smbclient(SHARE).get("a.doc").unwrap_err().refused_with("NT_STATUS_ACCESS_DENIED");
    smbd.wait_for_log("\"uvscan\" is no absolute path", SOON);
    smbd.wait_for_log("\"none\" is no exit code", SOON);
    smbd.wait_for_log("\"scanner command\" does not say what to run", Duration::from_secs(1));
}
