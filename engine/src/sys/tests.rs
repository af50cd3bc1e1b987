//! As root, as in smbd.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::detached;
use super::program::{Ended, Ending, Identity, Input, Lifetime, Output, Program, Running, text};

const LONG: Duration = Duration::from_secs(60);

fn program(path: &str, arguments: &[&str]) -> Program {
    let mut program = Program::new(Path::new(path), LONG).unwrap();
    program.arguments = arguments.iter().map(|argument| text(argument).unwrap()).collect();
    program.output = Output::Kept(1 << 16);
    program
}

fn shell(script: &str) -> Program {
    program("/bin/sh", &["-c", script])
}

fn wait(mut running: Running) -> Ended {
    let give_up = Instant::now() + LONG;
    loop {
        if let Some(ended) = running.advance() {
            return ended;
        }
        assert!(Instant::now() < give_up, "the program does not end");
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        poll(&mut [PollFd::from_borrowed_fd(running.watch(), PollFlags::IN)], Some(&second)).unwrap();
    }
}

fn run(program: Program) -> (Ending, String) {
    let ended = wait(program.start().unwrap());
    (ended.ending, String::from_utf8(ended.output).unwrap())
}

/// What a program printed that ended well.
fn printed(program: Program) -> String {
    let (ending, output) = run(program);
    assert_eq!(ending, Ending::Exited(0), "{output}");
    output
}

fn is_alive(process: &str) -> bool {
    // A zombie is dead: somebody else reaps it.
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn assert_dies(process: &str) {
    let give_up = Instant::now() + LONG;
    while is_alive(process) {
        assert!(Instant::now() < give_up, "process {process} lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The first line of what a program says, while it runs.
fn first_line(running: &mut Running, file: &Path) -> String {
    let give_up = Instant::now() + LONG;
    loop {
        assert_eq!(running.advance(), None);
        if let Ok(text) = fs::read_to_string(file)
            && let Some((line, _)) = text.split_once('\n')
        {
            return line.to_owned();
        }
        assert!(Instant::now() < give_up, "the program says nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn tells_the_exit_code_and_what_was_written() {
    let (ending, output) = run(shell("echo one; echo two >&2; echo three; exit 42"));
    assert_eq!((ending, output.as_str()), (Ending::Exited(42), "one\ntwo\nthree\n"));
    assert_eq!(run(shell("kill -9 $$")).0, Ending::Killed(9));
    let mut silent = shell("echo much; exit 3");
    silent.output = Output::Discarded;
    assert_eq!(run(silent), (Ending::Exited(3), String::new()));
}

#[test]
fn says_why_a_program_could_not_be_started() {
    assert_eq!(run(program("/nonexistent/scanner", &[])).0, Ending::NotStarted(Errno::NOENT));
    assert_eq!(run(program("/etc/passwd", &[])).0, Ending::NotStarted(Errno::ACCESS));
}

#[test]
fn arguments_arrive_as_they_are() {
    let arguments = ["%s\n", "$(id)", "-rf", "a b\nc", "'\"`;|&*", "\\"];
    assert_eq!(printed(program("/usr/bin/printf", &arguments)), "$(id)\n-rf\na b\nc\n'\"`;|&*\n\\\n");
}

#[test]
fn nothing_of_the_parent_comes_along() {
    // A descriptor that an exec would not close.
    let kept = rustix::io::dup(fs::File::open("/dev/null").unwrap()).unwrap();
    // SAFETY: the call changes nothing but what becomes of the signal USR2.
    unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
    let script = "env; pwd; umask; echo $(ls /proc/self/fd); ps -o pid=,sid=,pgid= -p $$";
    let output = printed(shell(script));
    let lines: Vec<&str> = output.lines().collect();
    // The shell itself adds PWD. The fourth descriptor is the directory that ls reads.
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert!(lines.starts_with(&[path, "PWD=/", "/", "0077", "0 1 2 3"]) || lines.contains(&path), "{output}");
    assert_eq!(lines.get(2..5).unwrap(), ["/", "0077", "0 1 2 3"], "{output}");
    let ids: Vec<&str> = lines.last().unwrap().split_whitespace().collect();
    assert!(matches!(ids.as_slice(), [pid, sid, group] if pid == sid && pid == group), "{output}");

    let status = printed(program("/bin/cat", &["/proc/self/status"]));
    for signals in ["SigBlk", "SigIgn", "SigCgt"] {
        assert!(status.contains(&format!("{signals}:\t0000000000000000\n")), "{status}");
    }
    drop(kept);
}

#[test]
fn reads_what_it_is_given() {
    let mut cat = program("/bin/cat", &[]);
    assert_eq!(printed(program("/bin/cat", &[])), "");
    cat.input = Input::bytes(b"a message\n").unwrap();
    assert_eq!(printed(cat), "a message\n");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("content");
    fs::write(&file, "content").unwrap();
    let mut by_path = program("/bin/cat", &["/proc/self/fd/0"]);
    by_path.input = Input::Descriptor(fs::File::open(&file).unwrap().into());
    assert_eq!(printed(by_path), "content");
}

#[test]
fn runs_as_who_it_should_whoever_we_are_at_the_moment() {
    let ids = "grep -E '^(Uid|Gid|Groups)' /proc/self/status";
    let set_user = |user: u32| {
        // SAFETY: changes the effective user of this thread only, as smbd does it.
        let done = unsafe { libc::syscall(libc::SYS_setresuid, u32::MAX, user, u32::MAX) };
        assert_eq!(done, 0);
    };
    set_user(65534);
    let root = shell(ids).start().unwrap();
    let mut other = shell(ids);
    other.identity = Identity { user: 1001, group: 1002, groups: vec![1003, 1004] };
    let other = other.start().unwrap();
    set_user(0);
    let printed = |running| String::from_utf8(wait(running).output).unwrap().replace([' ', '\t'], ",");
    assert_eq!(printed(root), "Uid:,0,0,0,0\nGid:,0,0,0,0\nGroups:,,\n");
    let expected = "Uid:,1001,1001,1001,1001\nGid:,1002,1002,1002,1002\nGroups:,1003,1004,\n";
    assert_eq!(printed(other), expected);
}

#[test]
fn is_killed_with_its_children_when_its_time_is_up() {
    let mut slow = shell("sleep 1000 & echo $!; echo $$; exec sleep 1000");
    slow.limit = Duration::from_millis(700);
    let (ending, output) = run(slow);
    assert_eq!(ending, Ending::OutOfTime);
    assert_eq!(output.lines().count(), 2, "{output}");
    output.lines().for_each(assert_dies);
}

#[test]
fn is_killed_with_its_children_when_nobody_waits_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let mut running =
        shell(&format!("sleep 1000 & echo $! $$ >{}; sleep 1000", told.display())).start().unwrap();
    let processes = first_line(&mut running, &told);
    assert!(processes.split(' ').all(is_alive), "{processes}");
    drop(running);
    processes.split(' ').for_each(assert_dies);
}

#[test]
fn leaves_nothing_running_when_it_ends() {
    let output = printed(shell("sleep 1000 & echo $!"));
    assert_dies(output.trim());
}

#[test]
fn goes_on_alone_if_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let (told, go) = (folder.path().join("told"), folder.path().join("go"));
    let script = format!(
        "echo $$ >{0}; while [ ! -e {1} ]; do sleep 0.05; done; rm {1}",
        told.display(),
        go.display()
    );
    let mut alone = shell(&script);
    alone.output = Output::Discarded;
    alone.lifetime = Lifetime::Independent;
    let mut running = alone.start().unwrap();
    let process = first_line(&mut running, &told);
    drop(running);
    fs::write(&go, "").unwrap();
    assert_dies(&process);
    assert!(!go.exists(), "it has gone on to its end");
}

#[test]
fn is_killed_when_it_writes_too_much() {
    let mut flood = program("/usr/bin/yes", &[]);
    flood.output = Output::Kept(1000);
    let ended = wait(flood.start().unwrap());
    assert_eq!((ended.ending, ended.output.len()), (Ending::TooMuchOutput, 1000));
    let mut exact = shell("printf 12345");
    exact.output = Output::Kept(5);
    assert_eq!(printed(exact), "12345");
}

#[test]
fn output_that_ends_early_is_no_end() {
    let (ending, output) = run(shell("echo early; exec >/dev/null 2>&1; sleep 0.3; exit 7"));
    assert_eq!((ending, output.as_str()), (Ending::Exited(7), "early\n"));
}

#[test]
fn is_no_child_that_somebody_else_could_reap() {
    let running = shell("sleep 0.2").start().unwrap();
    let children = fs::read_to_string("/proc/thread-self/children").unwrap();
    assert_eq!(children, "");
    assert_eq!(wait(running).ending, Ending::Exited(0));
}

#[test]
fn costs_little_more_than_a_fork() {
    // Memory such as a large smbd has, all of it in use.
    let memory = vec![1_u8; 64 << 20];
    let began = Instant::now();
    let running: Vec<Running> = (0..10).map(|_| program("/bin/true", &[]).start().unwrap()).collect();
    let took = began.elapsed() / 10;
    assert!(took < Duration::from_secs(1), "{took:?}");
    println!("{took:?} to start a program from a process of {} MiB", memory.len() >> 20);
    for running in running {
        assert_eq!(wait(running).ending, Ending::Exited(0));
    }
}

/// Waits for what a detached program writes.
fn written(file: &Path) -> String {
    let give_up = Instant::now() + LONG;
    loop {
        if let Ok(text) = fs::read_to_string(file)
            && text.ends_with("done\n")
        {
            return text;
        }
        assert!(Instant::now() < give_up, "the program writes nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn start_detached(path: &str, arguments: &[&str]) -> std::io::Result<()> {
    let arguments: Vec<_> = arguments.iter().map(|argument| text(argument).unwrap()).collect();
    detached::start(&text(path).unwrap(), &arguments, 7)
}

#[test]
fn a_detached_program_is_nobodys_child_and_has_nothing_of_the_parent() {
    let kept = rustix::io::dup(fs::File::open("/dev/null").unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let script =
        "exec >\"$0\"; ls -l /proc/$$/fd | grep -c /dev/null; pwd; umask; ps -o sid=,pgid= -p $$; env
        cat /proc/self/status; sleep 0.2; ps -o ni=,ppid= -p $$; echo done";
    start_detached("/bin/sh", &["-c", script, told.to_str().unwrap()]).unwrap();
    assert_eq!(fs::read_to_string("/proc/thread-self/children").unwrap(), "");
    let told = written(&told);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..3], ["2", "/", "0077"], "{told}");
    let ids: Vec<&str> = lines[3].split_whitespace().collect();
    assert!(matches!(ids.as_slice(), [session, group] if session == group), "{told}");
    assert!(lines.contains(&"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), "{told}");
    for signals in ["SigBlk", "SigIgn", "SigCgt"] {
        assert!(told.contains(&format!("{signals}:\t0000000000000000\n")), "{told}");
    }
    assert!(told.contains("Uid:\t0\t0\t0\t0\n") && told.contains("Groups:\t \n"), "{told}");
    let [niceness, parent] =
        lines[lines.len() - 2].split_whitespace().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(niceness, "7");
    assert_ne!(parent, std::process::id().to_string());
    drop(kept);
}

#[test]
fn a_detached_program_that_cannot_be_run_is_told_at_once() {
    let kind = |path| start_detached(path, &[]).unwrap_err().kind();
    assert_eq!(kind("/nonexistent/program"), std::io::ErrorKind::NotFound);
    assert_eq!(kind("/etc/passwd"), std::io::ErrorKind::PermissionDenied);
    assert_eq!(kind("/etc"), std::io::ErrorKind::PermissionDenied);
}

#[test]
fn a_detached_program_costs_the_same_whatever_memory_there_is() {
    let time = || {
        let began = Instant::now();
        (0..20).for_each(|_| start_detached("/bin/true", &[]).unwrap());
        began.elapsed() / 20
    };
    let small = time();
    let memory = vec![1_u8; 256 << 20];
    let large = time();
    println!("{small:?} to start a program, {large:?} with {} MiB more", memory.len() >> 20);
    assert!(large < small * 10 + Duration::from_millis(20), "{small:?}, {large:?}");
}
