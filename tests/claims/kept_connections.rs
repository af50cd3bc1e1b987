//! ICAP servers leave a connection open for the next request, or do not.

use std::time::{Duration, Instant};

use vscan_backends::transcript::{self, Recording};
use vscan_tests::cicap::{CIcap, UNLIMITED};
use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Status};
use vscan_tests::fake::replay::{self, Pace, Replay};
use vscan_tests::relay::Relay;
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::{SOON, eventually};

use crate::protected::{SHARE, conf};

/// A share behind an ICAP server that is asked about files and for nothing else.
fn share(scanner: &str) -> Smbd {
    let options = "infected file action = nothing\nsignature check interval = 0";
    Smbd::with(Share::vscan(SHARE, &conf(scanner, options)))
}

fn plant_in(smbd: &Smbd, name: &str, content: &[u8]) {
    plant(&smbd.dir(SHARE).join(name), content);
}

#[test]
fn scans_share_a_connection_to_a_real_icap_server() {
    const SCANS: u64 = 20;
    let server = CIcap::start(Clamd::shared());
    let relay = Relay::to(server.port());
    let smbd = share(&format!("icap://127.0.0.1:{}/{UNLIMITED}", relay.port()));
    let client = Client::connect(&smbd, SHARE);
    for number in 0..SCANS {
        let (name, content) =
            (format!("{number}.txt"), clean(number, 1 + 700 * usize::try_from(number).unwrap()));
        plant_in(&smbd, &name, &content);
        assert_eq!(client.read(&name), Ok(content), "{name}");
    }
    assert!((1..10).contains(&relay.connections()), "{} connections", relay.connections());

    // What is found on a connection says nothing of the files before and after.
    for (name, content, is_clean) in
        [("a.txt", clean(30, 2000), true), ("b.com", eicar(), false), ("c.txt", clean(31, 2000), true)]
    {
        plant_in(&smbd, name, &content);
        let expected = if is_clean { Ok(content) } else { Err(Status::VIRUS_INFECTED) };
        assert_eq!(client.read(name), expected, "{name}");
    }
}

#[test]
fn a_server_that_is_started_anew_between_two_scans_costs_no_error() {
    let mut server = CIcap::start(Clamd::shared());
    let smbd = share(&server.scanner(UNLIMITED));
    let client = Client::connect(&smbd, SHARE);
    for number in 0..3 {
        let name = format!("{number}.txt");
        plant_in(&smbd, &name, &clean(number, 5000));
        assert_eq!(client.read(&name), Ok(clean(number, 5000)));
        server.restart();
    }
    assert!(!smbd.log().contains("is down"), "{}", smbd.log());
}

/// A server that has seen one file of five bytes, says this about it, and then goes on like this.
fn server(last_header: &str, then: &[&str]) -> Replay {
    Replay::new(&recording(last_header, then), replay::Client::Ours(Pace::AtOnce), "/share/")
}

const QUESTION: &str = r"C: OPTIONS icap://127.0.0.1:1344/s ICAP/1.0\r\nHost: 127.0.0.1:1344\r\n\r\n";

fn recording(last_header: &str, then: &[&str]) -> Recording {
    let answer = format!(r"S: ICAP/1.0 204 Unmodified\r\n{last_header}\r\n");
    let scan = [
        r"[one after the other]",
        r"scanner: icap://127.0.0.1:1344/s",
        r"file: /share/a.txt 5",
        QUESTION,
        r"S: ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\n\r\n",
        r"C: RESPMOD icap://127.0.0.1:1344/s ICAP/1.0\r\nHost: 127.0.0.1:1344\r\nAllow: 204\r\nEncapsulated: req-hdr=0, res-hdr=48, res-body=126\r\n\r\nGET http://vscan/a.txt HTTP/1.1\r\nHost: vscan\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 5\r\n\r\n",
        r"C-FILE: http-chunks",
        r"C: 0\r\n\r\n",
        answer.as_str(),
    ];
    let lines = [&scan, then, &["= clean"]].concat();
    transcript::parse(&lines.join("\n")).unwrap().remove(0)
}

/// Reads the file in its first state, in its second and so on: five bytes each time.
fn read_states(smbd: &Smbd, client: &Client, count: u64) -> Vec<Result<Vec<u8>, Status>> {
    let read = |number| {
        plant_in(smbd, "a.txt", &clean(number, 5));
        client.read("a.txt").inspect(|content| assert_eq!(*content, clean(number, 5)))
    };
    (0..count).map(read).collect()
}

#[test]
fn a_server_that_hangs_up_as_it_is_asked_again_is_asked_once_more_and_nobody_notices() {
    let server = server("", &[QUESTION, "S-EOF"]);
    let smbd = share(server.spec());
    let client = Client::connect(&smbd, SHARE);
    let read = read_states(&smbd, &client, 4);
    assert!(read.iter().all(Result::is_ok), "{read:?}");
    assert_eq!(server.complaints(), [""; 0]);
    assert_eq!(server.connections(), 4);
    assert!(
        !smbd.log().contains("is down") && !smbd.log().contains("could not be scanned"),
        "{}",
        smbd.log()
    );
}

#[test]
fn a_server_that_hangs_up_in_mid_answer_is_not_asked_again() {
    let server = server("", &[QUESTION, "S: ICAP/1.0 2", "S-EOF"]);
    let smbd = share(server.spec());
    let client = Client::connect(&smbd, SHARE);
    assert_eq!(read_states(&smbd, &client, 2)[1], Err(Status::ACCESS_DENIED));
    smbd.wait_for_log("closed the connection in the middle of its answer", SOON);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_server_that_wants_to_hang_up_is_not_asked_on_that_connection() {
    let server = server(r"Connection: close\r\n", &[]);
    let smbd = share(server.spec());
    let client = Client::connect(&smbd, SHARE);
    let read = read_states(&smbd, &client, 3);
    assert!(read.iter().all(Result::is_ok), "{read:?}");
    assert_eq!((server.connections(), server.open_connections()), (3, 0));
    assert_eq!(server.complaints(), [""; 0]);
}

#[test]
fn a_connection_that_a_close_has_waited_for_is_closed_too() {
    let server = server("", &[]);
    let smbd = share(server.spec());
    let client = Client::connect(&smbd, SHARE);
    client.write("a.txt", &clean(1, 5)).unwrap();
    assert_eq!((server.connections(), server.complaints()), (1, Vec::new()));
    eventually("it is closed", SOON, || (server.open_connections() == 0).then_some(()));
    assert!(client.server().is_alive());
}

#[test]
fn a_connection_that_nobody_uses_is_closed_while_the_client_stays() {
    let server = server("", &[]);
    let smbd = share(server.spec());
    let client = Client::connect(&smbd, SHARE);
    let before = Instant::now();
    assert!(read_states(&smbd, &client, 1)[0].is_ok());
    let was_open = server.open_connections() == 1;
    assert!(was_open || before.elapsed() > Duration::from_secs(1), "it was closed at once");
    eventually("it is closed", SOON, || (server.open_connections() == 0).then_some(()));
    assert!(read_states(&smbd, &client, 1)[0].is_ok());
    assert_eq!((server.connections(), server.complaints()), (2, Vec::new()));
}
