//! The driver against a real socket whose other end a test plays by hand.

use std::fs::File;
use std::io::{IoSliceMut, Read as _, Seek as _, SeekFrom, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use vscan_backends::address::Endpoint;
use vscan_backends::clamav;
use vscan_backends::dialogue::{Object, Outcome};
use vscan_backends::verdict::{Fault, Verdict};

use super::Timeouts;
use super::blocking::{self, Waiting};
use super::exchange::{Exchange, Progress, Wait};
use crate::privilege::AsIs;

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_millis(300),
    io: Duration::from_millis(300),
    scan: Duration::from_secs(20),
};

/// Scans `content` with clamd's protocol while `daemon` plays clamd on the accepted connection.
fn scan_with(
    content: &[u8],
    timeouts: Timeouts,
    daemon: impl FnOnce(UnixStream) + Send + 'static,
) -> Outcome {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("clamd");
    let listener = UnixListener::bind(&socket).unwrap();
    let daemon = thread::spawn(move || daemon(listener.accept().unwrap().0));
    let mut exchange = exchange(&socket, file_with(content), content.len() as u64, timeouts);
    let outcome = blocking::run(&mut exchange, &AsIs);
    drop(exchange);
    daemon.join().unwrap();
    outcome
}

fn exchange(socket: &Path, file: OwnedFd, size: u64, timeouts: Timeouts) -> Exchange {
    let scanner = clamav::new(Endpoint::Unix(socket.to_owned()));
    let object = Object::new(b"/f", size);
    let now = Instant::now();
    Exchange::new(&*scanner, None, file, &object, timeouts, now + timeouts.scan, now)
}

fn file_with(content: &[u8]) -> OwnedFd {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.into()
}

/// What came in one message, with the descriptor that came along.
fn receive(stream: &UnixStream) -> (Vec<u8>, Option<File>) {
    let mut bytes = [0; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::empty()).unwrap();
    let mut passed = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(files) = message {
            passed = files.last().map(File::from);
        }
    }
    (bytes[..received.bytes].to_vec(), passed)
}

#[test]
fn passes_the_descriptor_in_the_message_with_the_request() {
    let outcome = scan_with(b"content", TIMEOUTS, |mut stream| {
        let (bytes, file) = receive(&stream);
        assert_eq!(bytes, b"zFILDES\0\0");
        let mut text = String::new();
        let mut file = file.unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        stream.write_all(b"fd[9]: OK\0").unwrap();
    });
    assert_eq!(outcome, Ok(Verdict::Clean));
}

#[test]
fn hears_an_answer_that_comes_in_pieces() {
    let outcome = scan_with(b"content", TIMEOUTS, |mut stream| {
        receive(&stream);
        for piece in [&b"fd[9]: Ev"[..], b"il FOU", b"ND", b"\0"] {
            stream.write_all(piece).unwrap();
            // So that the pieces arrive one by one.
            thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(matches!(outcome, Ok(Verdict::Infected(threat)) if threat.as_str() == "Evil"));
}

#[test]
fn a_daemon_that_hangs_up_gives_no_verdict() {
    let outcome = scan_with(b"content", TIMEOUTS, |stream| {
        receive(&stream);
    });
    assert!(matches!(outcome, Err(Fault::Transport(_) | Fault::Misbehaved(_))), "{outcome:?}");
}

#[test]
fn silence_ends_at_the_io_timeout_and_says_so() {
    let outcome = scan_with(b"content", TIMEOUTS, |stream| {
        receive(&stream);
        // Until the other side gives up.
        let _ = (&stream).read(&mut [0; 1]);
    });
    let Err(Fault::Transport(why)) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("io timeout") && why.contains("0.3 s"), "{why}");
}

#[test]
fn signs_of_life_do_not_help_past_the_scan_timeout() {
    let timeouts = Timeouts { scan: Duration::from_millis(400), ..TIMEOUTS };
    let outcome = scan_with(b"content", timeouts, |mut stream| {
        receive(&stream);
        // Ends when the other side is gone.
        while stream.write_all(b"f").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let Err(Fault::Transport(why)) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("scan timeout"), "{why}");
}

#[test]
fn a_missing_socket_is_named() {
    let mut exchange = exchange(Path::new("/nowhere/clamd"), file_with(b"x"), 1, TIMEOUTS);
    let outcome = blocking::run(&mut exchange, &AsIs);
    let Err(Fault::Transport(why)) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("/nowhere/clamd") && why.contains("is the scanner running"), "{why}");
}

#[test]
fn a_full_listener_is_asked_again_until_the_connect_timeout() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("clamd");
    let listener = UnixListener::bind(&socket).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    // One connection fits into a backlog of 0.
    let _waiting = UnixStream::connect(&socket).unwrap();
    let mut exchange = exchange(&socket, file_with(b"x"), 1, TIMEOUTS);
    assert!(matches!(exchange.advance(Instant::now(), &AsIs), Progress::Waiting(Wait::Pause, _)));
    let outcome = blocking::run(&mut exchange, &AsIs);
    let Err(Fault::Transport(why)) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("connect timeout"), "{why}");
}

/// Others have their turn in between, however fast the scanner takes it.
#[test]
fn a_file_is_never_sent_in_one_go() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Room for all of it.
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&listener, 64 << 20).unwrap();
    let scanner = clamav::new(Endpoint::Tcp { host: "127.0.0.1".to_owned(), port });
    let content = vec![7; 3_000_000];
    let object = Object::new(b"/f", content.len() as u64);
    let now = Instant::now();
    let mut exchange =
        Exchange::new(&*scanner, None, file_with(&content), &object, TIMEOUTS, now + TIMEOUTS.scan, now);
    let mut accepted = None;
    let mut before = 0;
    while before < content.len() as u64 {
        assert!(matches!(exchange.advance(Instant::now(), &AsIs), Progress::Waiting(..)));
        let stream = accepted.get_or_insert_with(|| listener.accept().unwrap().0);
        let there = rustix::io::ioctl_fionread(stream).unwrap();
        assert!(there - before < 300_000, "{} bytes at once", there - before);
        before = there;
        assert!(now.elapsed() < TIMEOUTS.scan, "{there} bytes have come");
    }
}

#[test]
fn streams_a_file_piece_by_piece_with_the_socket_it_has() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let content: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let sent = content.clone();
    let daemon = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut command = [0; 10];
        stream.read_exact(&mut command).unwrap();
        assert_eq!(&command, b"zINSTREAM\0");
        let mut received = Vec::new();
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let length = u32::from_be_bytes(length) as usize;
            if length == 0 {
                break;
            }
            let from = received.len();
            received.resize(from + length, 0);
            stream.read_exact(&mut received[from..]).unwrap();
        }
        assert!(received == sent, "the content arrives as it is");
        stream.write_all(b"stream: OK\0").unwrap();
    });
    let scanner = clamav::new(Endpoint::Tcp { host: "127.0.0.1".to_owned(), port });
    let file = file_with(&content);
    let object = Object::new(b"/f", content.len() as u64);
    let now = Instant::now();
    let mut exchange = Exchange::new(&*scanner, None, file, &object, TIMEOUTS, now + TIMEOUTS.scan, now);
    assert_eq!(blocking::run(&mut exchange, &AsIs), Ok(Verdict::Clean));
    daemon.join().unwrap();
}

#[test]
fn of_several_scans_the_one_with_an_answer_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("clamd");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut exchanges = [1, 2, 3].map(|_| exchange(&socket, file_with(b"x"), 1, TIMEOUTS));
    let untils = exchanges.each_mut().map(|exchange| match exchange.advance(Instant::now(), &AsIs) {
        Progress::Waiting(wait, until) => (wait, until),
        Progress::Done(outcome) => panic!("{outcome:?}"),
    });
    let mut daemons: Vec<UnixStream> = (0..3).map(|_| listener.accept().unwrap().0).collect();
    let ready = |exchanges: &[Exchange; 3], longest| {
        let waits = exchanges.iter().zip(untils);
        let all: Vec<_> = waits.map(|(exchange, (wait, until))| Waiting { exchange, wait, until }).collect();
        blocking::wait_for_any(&all, longest)
    };
    assert_eq!(ready(&exchanges, Duration::ZERO), [false; 3]);
    daemons[1].write_all(b"fd[9]: OK\0").unwrap();
    assert_eq!(ready(&exchanges, Duration::MAX), [false, true, false]);
    let outcome = blocking::run(&mut exchanges[1], &AsIs);
    assert_eq!(outcome, Ok(Verdict::Clean));
    // The others have waited for as long as they may.
    thread::sleep(TIMEOUTS.io);
    let [first, _, third] = ready(&exchanges, Duration::MAX)[..] else { panic!() };
    assert!(first && third);
}
