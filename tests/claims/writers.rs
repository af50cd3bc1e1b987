//! Files that a local program writes to while they are scanned: their results are not remembered.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use vscan_tests::client::{Open, Status};
use vscan_tests::samples::{clean, eicar};
use vscan_tests::wait::SOON;

use crate::protected::{Protected, settle};

/// A local program with a file open, as programs on the server are: unseen by smbd.
struct Writer {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Maps the file and touches the mapping, so that later writes to it leave no trace; or does nothing with it. Then does
/// what it is told.
const PROGRAM: &str = r#"
import mmap, sys
path, how = sys.argv[1:]
file = open(path, "r+b")
if how == "map":
    view = mmap.mmap(file.fileno(), 0)
    view[0] = view[0]
print("ready", flush=True)
for line in sys.stdin:
    content = bytes.fromhex(line)
    if how == "map":
        view[:len(content)] = content
    else:
        file.write(content)
        file.flush()
    print("written", flush=True)
if how == "map":
    view.close()
file.close()
"#;

impl Writer {
    fn start(path: &Path, how: &str) -> Self {
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", PROGRAM])
            .arg(path)
            .arg(how)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut writer = Self { child, commands, answers };
        writer.hear("ready");
        writer
    }

    fn hear(&mut self, word: &str) {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), word);
    }

    fn write(&mut self, content: &[u8]) {
        let hex: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(self.commands, "{hex}").unwrap();
        self.hear("written");
    }

    /// Closes the file, and ends.
    fn end(self) {
        let Self { mut child, commands, .. } = self;
        drop(commands);
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_change_through_a_mapping_during_a_scan_is_not_overlooked() {
    let it = Protected::with("infected file action = nothing");
    let path = it.plant("a.doc", &clean(1, 4096));
    let mut writer = Writer::start(&path, "map");
    settle(&path);
    let before = path.metadata().unwrap();
    let client = it.client();
    it.scanner.hold();
    let open = client.open("a.doc", Open::read());
    it.scanner.wait_for_answers(1, SOON);
    writer.write(&eicar());
    writer.write(&[eicar(), vec![b' '; 4096 - eicar().len()]].concat());
    writer.end();
    let after = path.metadata().unwrap();
    assert_eq!(
        (before.ctime(), before.ctime_nsec(), before.size()),
        (after.ctime(), after.ctime_nsec(), after.size()),
        "this leaves no trace, or there is nothing to claim"
    );
    it.scanner.release();
    open.wait();
    std::fs::write(&path, eicar()).unwrap();
    for client in [&client, &it.client()] {
        assert_eq!(client.read("a.doc"), Err(Status::VIRUS_INFECTED));
    }
}

#[test]
fn while_somebody_has_a_file_open_for_writing_its_result_is_not_kept() {
    let it = Protected::with("");
    let path = it.plant("a.doc", &clean(1, 4096));
    let client = it.client();
    let writer = Writer::start(&path, "open");
    for scans in [1, 2] {
        assert_eq!(client.read("a.doc"), Ok(clean(1, 4096)));
        assert_eq!(it.scanner.scans(), scans);
    }
    writer.end();
    for _ in 0..2 {
        assert_eq!(client.read("a.doc"), Ok(clean(1, 4096)));
        assert_eq!(it.client().read("a.doc"), Ok(clean(1, 4096)));
        assert_eq!(it.scanner.scans(), 3);
    }
}

#[test]
fn a_second_open_during_a_scan_keeps_its_result_from_being_kept() {
    let it = Protected::with("infected file action = nothing");
    let path = it.plant("a.doc", &clean(1, 4096));
    let client = it.client();
    it.scanner.hold();
    let open = client.open("a.doc", Open::read());
    it.scanner.wait_for_answers(1, SOON);
    let mut writer = Writer::start(&path, "open");
    it.scanner.release();
    assert_eq!(open.wait().status, Status::OK);
    assert_eq!(client.read("a.doc"), Ok(clean(1, 4096)));
    assert_eq!(it.scanner.scans(), 2);
    writer.write(&eicar());
    writer.end();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(68).unwrap();
    assert_eq!(client.read("a.doc"), Err(Status::VIRUS_INFECTED));
}

#[test]
fn a_scan_ends_no_process_that_opens_the_file_for_writing() {
    let it = Protected::with("cache = off\nscan on close = no");
    let path = it.plant("a.doc", &clean(1, 4096));
    let cached = Protected::with("scan on close = no");
    let other = cached.plant("a.doc", &clean(1, 4096));
    let writers = std::thread::spawn(move || {
        for _ in 0..3000 {
            drop(std::fs::File::options().write(true).open(&other).unwrap());
        }
    });
    let client = cached.client();
    while !writers.is_finished() {
        assert_eq!(client.read("a.doc"), Ok(clean(1, 4096)));
    }
    writers.join().unwrap();
    assert!(client.server().is_alive() && path.exists());
}
