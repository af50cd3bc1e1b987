//! A scanner that is missing, silent, cut off or lying. `deny access on error` decides, and one line says why.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use vscan_tests::clamd::{Clamd, THREAT};
use vscan_tests::client::{Client, Status};
use vscan_tests::fake::{Conduct, FakeDaemon};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::patience;

use super::{lines_about, protected, the_line_about};

/// A server with two shares that differ in `deny access on error`, and a clean file in each.
struct Policies {
    smbd: Smbd,
}

impl Policies {
    fn with(scanner: &str, more: &str) -> Self {
        let share = |name, deny| {
            let conf = format!("[samba-vscan]\nscanner = {scanner}\ndeny access on error = {deny}\n{more}\n");
            Share::vscan(name, &conf)
        };
        let smbd = Smbd::new().share(share("strict", "yes")).share(share("lenient", "no"));
        let smbd = smbd.global("log level", "1").start();
        for share in ["strict", "lenient"] {
            plant(&smbd.dir(share).join("f.txt"), &clean(1, 100));
        }
        Self { smbd }
    }

    fn of(socket: &Path, more: &str) -> Self {
        Self::with(&format!("clamav:{}", socket.display()), more)
    }

    /// The scanner fails: the strict share refuses, the lenient one does not, and each says in one line why.
    #[track_caller]
    fn decide(&self, words: &[&str]) {
        let mark = self.smbd.log_mark();
        let refused = self.smbd.smbclient("strict").get("f.txt").expect_err("the strict share refuses");
        refused.refused_with("NT_STATUS_ACCESS_DENIED");
        let line = the_line_about(&self.smbd, mark, "f.txt", words);
        assert!(line.contains("could not be scanned") && line.contains(": access denied (open,"), "{line}");
        let mark = self.smbd.log_mark();
        assert_eq!(
            self.smbd.smbclient("lenient").get("f.txt").expect("the lenient share allows"),
            clean(1, 100)
        );
        let line = the_line_about(&self.smbd, mark, "f.txt", words);
        assert!(line.contains(": allowed by the settings (open,"), "{line}");
    }

    /// The scanner is understood: both shares give the same answer.
    #[track_caller]
    fn agree(&self, verdict: Result<(), &str>) {
        for share in ["strict", "lenient"] {
            let got = self.smbd.smbclient(share).get("f.txt");
            match verdict {
                Ok(()) => assert_eq!(got.expect("a clean file can be read"), clean(1, 100)),
                Err(status) => got.expect_err("an infected file cannot").refused_with(status),
            }
        }
    }
}

#[test]
fn no_socket_is_an_error_that_names_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("none.sock");
    let shown = socket.display().to_string();
    Policies::of(&socket, "").decide(&[&shown, "there is no such socket; is the scanner running?"]);
}

#[test]
fn a_socket_without_listener_is_an_error() {
    let mut clamd = Clamd::new().start();
    clamd.kill();
    Policies::of(&clamd.socket(), "").decide(&["nobody listens there; is the scanner running?"]);
}

#[test]
fn a_path_that_is_no_socket_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for path in [dir.path(), &file] {
        let shown = path.display().to_string();
        Policies::of(path, "").decide(&["cannot reach the scanner", &shown, "is the scanner running?"]);
    }
}

#[test]
fn a_closed_port_is_an_error() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let policies = Policies::with(&format!("clamav:tcp:127.0.0.1:{port}"), "connect timeout = 60");
    let began = Instant::now();
    policies.decide(&[&format!("127.0.0.1:{port}"), "nobody listens there; is the scanner running?"]);
    assert!(began.elapsed() < patience(Duration::from_secs(30)), "{:?}", began.elapsed());
}

/// smbd serves the client as the client's user, who has no right to this socket.
#[test]
fn a_socket_that_only_root_may_use_is_used() {
    let scanner = FakeDaemon::unix(Conduct::Infected("Found".to_owned()));
    std::fs::set_permissions(scanner.socket(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let folder = scanner.socket().parent().unwrap().to_owned();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    Policies::of(&scanner.socket(), "infected file action = nothing").agree(Err("NT_STATUS_VIRUS_INFECTED"));
}

#[test]
fn a_scanner_that_hangs_up_is_an_error() {
    let scanner = FakeDaemon::unix(Conduct::CloseAtOnce);
    let policies = Policies::of(&scanner.socket(), "");
    policies.decide(&["the scanner closed the connection without an answer"]);
    scanner.now(Conduct::CloseAfterRequest);
    policies.decide(&["the scanner closed the connection without an answer"]);
    for part in ["f", "fd[12]: ", "fd[12]: OK"] {
        scanner.now(Conduct::Answer(part.as_bytes().to_vec()));
        policies.decide(&[&format!("closed the connection in the middle of its answer \"{part}\"")]);
    }
}

#[test]
fn a_scanner_that_hangs_up_in_the_middle_of_the_file_is_an_error() {
    let scanner = FakeDaemon::tcp(Conduct::CloseAtOnce);
    let policies = Policies::with(&format!("clamav:tcp:127.0.0.1:{}", scanner.port()), "");
    for share in ["strict", "lenient"] {
        // More than the sockets' buffers take: somebody has to read it.
        let path = policies.smbd.dir(share).join("f.txt");
        std::fs::File::options().write(true).open(path).unwrap().set_len(64 << 20).unwrap();
    }
    let mark = policies.smbd.log_mark();
    policies.smbd.smbclient("strict").get("f.txt").unwrap_err().refused_with("NT_STATUS_ACCESS_DENIED");
    the_line_about(&policies.smbd, mark, "f.txt", &["hung up while it was sent the file", ": access denied"]);
    let mark = policies.smbd.log_mark();
    assert_eq!(policies.smbd.smbclient("lenient").get("f.txt").unwrap().len(), 64 << 20);
    the_line_about(
        &policies.smbd,
        mark,
        "f.txt",
        &["hung up while it was sent the file", "allowed by the settings"],
    );
}

#[test]
fn a_scanner_that_is_silent_is_an_error_after_the_io_timeout() {
    let scanner = FakeDaemon::unix(Conduct::NeverAnswer);
    let policies = Policies::of(&scanner.socket(), "io timeout = 300ms");
    for conduct in [Conduct::NeverAnswer, Conduct::NeverRead] {
        scanner.now(conduct);
        let began = Instant::now();
        policies.decide(&["showed no sign of life for 0.3 s (io timeout)"]);
        assert!(began.elapsed() < patience(Duration::from_secs(5)), "{:?}", began.elapsed());
    }
}

#[test]
fn a_scanner_that_dawdles_is_an_error_after_the_scan_timeout() {
    let endless = Conduct::AnswerSlowly(vec![b'f'; 10_000], 1, Duration::from_millis(20));
    let scanner = FakeDaemon::unix(endless);
    let began = Instant::now();
    Policies::of(&scanner.socket(), "io timeout = 30\nscan timeout = 500ms")
        .decide(&["gave no verdict within 0.5 s (scan timeout)"]);
    assert!(began.elapsed() < patience(Duration::from_secs(8)), "{:?}", began.elapsed());
}

#[test]
fn a_scanner_that_does_not_accept_is_an_error_after_the_connect_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("full.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _waiting = UnixStream::connect(&socket).unwrap();
    let began = Instant::now();
    Policies::of(&socket, "connect timeout = 300ms")
        .decide(&["did not accept a connection for 0.3 s (connect timeout)"]);
    assert!(began.elapsed() < patience(Duration::from_secs(5)), "{:?}", began.elapsed());
}

#[test]
fn a_tcp_scanner_that_does_not_accept_is_an_error_after_the_connect_timeout() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let _waiting = std::net::TcpStream::connect(address).unwrap();
    Policies::with(&format!("clamav:tcp:{address}"), "connect timeout = 300ms")
        .decide(&["did not accept a connection for 0.3 s (connect timeout)"]);
}

#[test]
fn rubbish_is_an_error_that_quotes_it() {
    let scanner = FakeDaemon::unix(Conduct::Clean);
    let policies = Policies::of(&scanner.socket(), "");
    let no_clamd = "is it clamd that listens there?";
    for (answer, shown) in [
        (b"hello\0".as_slice(), "\"hello\""),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "\"HTTP/1.1 400 Bad Request\\r\""),
        (b"\xff\xfe\x1b[2J\0", "\\xff\\xfe\\x1b[2J"),
        (b"OK\0", "\"OK\""),
        (b"\0", "\"\""),
        (b"fd[12]: \0", "\"fd[12]: \""),
        (b"fd[12]: MAYBE\0", "\"fd[12]: MAYBE\""),
        (b"stream: OK\0", "\"stream: OK\""),
    ] {
        scanner.now(Conduct::Answer(answer.to_vec()));
        policies.decide(&["the scanner's reply makes no sense", shown, no_clamd]);
    }
}

#[test]
fn an_answer_without_end_is_an_error_after_64_kib() {
    let scanner = FakeDaemon::unix(Conduct::Answer(vec![b'x'; 1 << 20]));
    Policies::of(&scanner.socket(), "").decide(&["over 65536 bytes and no end, beginning with \"xxx"]);
}

#[test]
fn an_answer_to_another_request_is_an_error() {
    let scanner = FakeDaemon::unix(Conduct::Answer(b"3: fd[12]: OK\0".to_vec()));
    let policies = Policies::of(&scanner.socket(), "");
    policies.decide(&["\"3: fd[12]: OK\" answers another request"]);
    scanner.now(Conduct::Answer(b"fd[12]: OK\0fd[13]: OK\0".to_vec()));
    policies.decide(&["a second answer to one request: \"fd[13]: OK\""]);
}

#[test]
fn an_error_of_clamds_own_is_an_error() {
    let scanner = FakeDaemon::unix(Conduct::Answer(b"fd[12]: Can't allocate memory ERROR\0".to_vec()));
    Policies::of(&scanner.socket(), "").decide(&["clamd says \"Can", "t allocate memory\""]);
}

#[test]
fn a_clean_answer_in_pieces_is_accepted() {
    let scanner = FakeDaemon::unix(Conduct::Clean);
    let policies = Policies::of(&scanner.socket(), "");
    for piece in [1, 4, 9, 10] {
        scanner.now(Conduct::AnswerSlowly(b"fd[12]: OK\0".to_vec(), piece, Duration::from_millis(5)));
        policies.agree(Ok(()));
    }
    assert_eq!(lines_about(&policies.smbd, 0, "f.txt"), [""; 0]);
}

#[test]
fn a_find_is_refused_wherever_its_line_is_split() {
    let scanner = FakeDaemon::unix(Conduct::Clean);
    let smbd = protected(&scanner.socket(), "infected file action = nothing\nmax lru files entries = 0");
    plant(&smbd.dir("s").join("f.txt"), &clean(1, 100));
    let client = Client::connect(&smbd, "s");
    let answer = b"fd[12]: Some.Threat FOUND\0";
    for piece in 1..=answer.len() {
        scanner.now(Conduct::AnswerSlowly(answer.to_vec(), piece, Duration::from_millis(2)));
        let mark = smbd.log_mark();
        assert_eq!(client.read("f.txt"), Err(Status::VIRUS_INFECTED), "in pieces of {piece}");
        the_line_about(&smbd, mark, "f.txt", &["is infected with Some.Threat: access denied"]);
    }
}

#[test]
fn a_find_without_its_end_is_refused_whatever_the_policy() {
    let scanner = FakeDaemon::unix(Conduct::Answer(b"fd[12]: Some.Threat FOUND".to_vec()));
    Policies::of(&scanner.socket(), "infected file action = nothing").agree(Err("NT_STATUS_VIRUS_INFECTED"));
}

#[test]
fn a_frozen_clamd_is_an_error_until_it_is_thawed() {
    let clamd = Clamd::new().start();
    let smbd = protected(&clamd.socket(), "io timeout = 500ms\ninfected file action = nothing");
    for name in ["1.txt", "2.txt"] {
        plant(&smbd.dir("s").join(name), &clean(1, 100));
    }
    plant(&smbd.dir("s").join("bad.com"), &eicar());
    let client = Client::connect(&smbd, "s");
    assert_eq!(client.read("1.txt"), Ok(clean(1, 100)));
    clamd.freeze();
    assert_eq!(client.read("2.txt"), Err(Status::ACCESS_DENIED));
    the_line_about(&smbd, 0, "2.txt", &["showed no sign of life for 0.5 s (io timeout)"]);
    assert_eq!(client.read("1.txt"), Ok(clean(1, 100)), "the cache needs no scanner");
    clamd.thaw();
    assert_eq!(client.read("2.txt"), Ok(clean(1, 100)));
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
}

#[test]
fn a_clamd_that_was_restarted_is_used_without_reconnecting() {
    let mut clamd = Clamd::new().start();
    let smbd = protected(&clamd.socket(), "infected file action = nothing");
    let client = Client::connect(&smbd, "s");
    for (round, stop) in [Clamd::stop as fn(&mut Clamd), Clamd::kill].into_iter().enumerate() {
        let (good, bad) = (format!("good{round}.txt"), format!("bad{round}.com"));
        plant(&smbd.dir("s").join(&good), &clean(1, 100));
        plant(&smbd.dir("s").join(&bad), &eicar());
        stop(&mut clamd);
        assert_eq!(client.read(&good), Err(Status::ACCESS_DENIED));
        assert_eq!(client.read(&bad), Err(Status::ACCESS_DENIED));
        the_line_about(&smbd, 0, &bad, &["is the scanner running?"]);
        clamd.start();
        assert_eq!(client.read(&good), Ok(clean(1, 100)));
        assert_eq!(client.read(&bad), Err(Status::VIRUS_INFECTED));
    }
}

#[test]
fn a_file_that_was_written_while_clamd_was_away_is_kept_and_scanned_at_the_next_open() {
    let mut clamd = Clamd::new().start();
    let smbd = protected(&clamd.socket(), "infected file action = nothing\nscan on close = wait");
    let client = Client::connect(&smbd, "s");
    clamd.stop();
    assert_eq!(client.write("up.com", &eicar()), Ok(()));
    the_line_about(&smbd, 0, "up.com", &["is the scanner running?", "access denied from now on (close"]);
    assert_eq!(client.read("up.com"), Err(Status::ACCESS_DENIED));
    clamd.start();
    let mark = smbd.log_mark();
    assert_eq!(client.read("up.com"), Err(Status::VIRUS_INFECTED));
    the_line_about(&smbd, mark, "up.com", &[THREAT]);
    assert_eq!(std::fs::read(smbd.dir("s").join("up.com")).unwrap(), eicar());
}
