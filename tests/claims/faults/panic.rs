//! We have a bug, and a hook panics. The panic is real: the clock, without which the module cannot go on, fails it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Open, Status};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::SOON;

use super::{conf, lines_about};

/// `clock_gettime` fails those who call it from vscan.so, while the file `TRIGGER` exists. Rust's standard library
/// answers that with a panic; everybody else in smbd is served.
const NO_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int before = errno;
    Dl_info caller;
    if (access(TRIGGER, F_OK) == 0 && dladdr(__builtin_return_address(0), &caller)
        && strstr(caller.dli_fname, "vscan.so")) {
        errno = EINVAL;
        return -1;
    }
    errno = before;
    return syscall(SYS_clock_gettime, clock, now);
}
"#;

/// A clock that can be taken away.
struct Clock(TempDir);

impl Clock {
    fn new() -> Self {
        let everybody = fs::Permissions::from_mode(0o755);
        let dir = tempfile::Builder::new().permissions(everybody).tempdir_in("/tmp").unwrap();
        let (source, clock) = (dir.path().join("no_clock.c"), Self(dir));
        fs::write(&source, NO_CLOCK).unwrap();
        let trigger = format!("-DTRIGGER=\"{}\"", clock.trigger().display());
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", &trigger, "-o"])
            .arg(clock.library())
            .arg(&source)
            .arg("-ldl");
        assert!(compiler.status().expect("cc can be run").success());
        clock
    }

    fn library(&self) -> PathBuf {
        self.0.path().join("no_clock.so")
    }

    fn trigger(&self) -> PathBuf {
        self.0.path().join("gone")
    }

    fn take_away(&self) {
        fs::write(self.trigger(), "").unwrap();
    }

    fn give_back(&self) {
        fs::remove_file(self.trigger()).unwrap();
    }

    fn smbd(&self, policy: &str) -> Smbd {
        let policy = format!("deny access on error = {policy}\ninfected file action = nothing");
        let share = Share::vscan("s", &conf(&Clamd::shared().socket(), &policy));
        let smbd = Smbd::new().share(share).global("log level", "1").preload(&self.library()).start();
        plant(&smbd.dir("s").join("good.txt"), &clean(1, 100));
        plant(&smbd.dir("s").join("bad.com"), &eicar());
        smbd
    }
}

const WORDS: &str = "vscan has a bug, please report it: panicked at";

#[test]
fn a_panic_refuses_the_file_and_smbd_goes_on() {
    let clock = Clock::new();
    let smbd = clock.smbd("yes");
    let client = Client::connect(&smbd, "s");
    clock.take_away();
    for name in ["good.txt", "bad.com"] {
        let mark = smbd.log_mark();
        assert_eq!(client.read(name), Err(Status::ACCESS_DENIED));
        let lines = lines_about(&smbd, mark, WORDS);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].ends_with("; the file is treated as after a scan error"), "one line: {}", lines[0]);
    }
    clock.give_back();
    assert_eq!(client.read("good.txt"), Ok(clean(1, 100)));
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    assert!(client.server().is_alive());
    assert!(!smbd.log().contains("INTERNAL ERROR"));
}

#[test]
fn a_panic_allows_the_file_if_errors_do() {
    let clock = Clock::new();
    let smbd = clock.smbd("no");
    let client = Client::connect(&smbd, "s");
    clock.take_away();
    assert_eq!(client.read("good.txt"), Ok(clean(1, 100)));
    assert!(!lines_about(&smbd, 0, WORDS).is_empty());
    clock.give_back();
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
}

#[test]
fn a_panic_at_close_keeps_what_was_written_and_the_next_open_scans_it() {
    let clock = Clock::new();
    let smbd = clock.smbd("yes");
    let client = Client::connect(&smbd, "s");
    let handle = client.open("up.com", Open::overwrite()).wait().handle().unwrap();
    assert_eq!(client.write_at(handle, 0, &eicar()).wait().status, Status::OK);
    clock.take_away();
    assert_eq!(client.close(handle).wait().status, Status::OK);
    smbd.wait_for_log(WORDS, SOON);
    assert_eq!(fs::read(smbd.dir("s").join("up.com")).unwrap(), eicar());
    assert_eq!(client.read("up.com"), Err(Status::ACCESS_DENIED));
    clock.give_back();
    assert_eq!(client.read("up.com"), Err(Status::VIRUS_INFECTED));
}
