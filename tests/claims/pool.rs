//! Several scanners that stand in for each other, share the work or have to agree.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Open, Status};
use vscan_tests::fake::{Conduct, FakeDaemon};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::{SOON, eventually, patience};

use crate::protected::{SHARE, clamav_at, conf};

/// A share with these scanners.
fn share(scanners: &[String], options: &str) -> Smbd {
    let options = format!("infected file action = nothing\n{options}");
    let share = Share::vscan(SHARE, &conf(&scanners.join(", "), &options));
    Smbd::new().share(share).global("log level", "1").start()
}

/// A share with two scanners.
struct Pair {
    one: FakeDaemon,
    other: FakeDaemon,
    smbd: Smbd,
}

impl Pair {
    fn new(one: Conduct, other: Conduct, options: &str) -> Self {
        let (one, other) = (FakeDaemon::unix(one), FakeDaemon::unix(other));
        let smbd = share(&[clamav_at(&one.socket()), clamav_at(&other.socket())], options);
        Self { one, other, smbd }
    }

    fn plant(&self, name: &str) {
        plant(&self.smbd.dir(SHARE).join(name), &clean(1, 100));
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Status> {
        self.plant(name);
        Client::connect(&self.smbd, SHARE).read(name)
    }

    fn scans(&self) -> (usize, usize) {
        (self.one.scans(), self.other.scans())
    }
}

fn count(smbd: &Smbd, text: &str) -> usize {
    smbd.log().lines().filter(|line| line.contains(text)).count()
}

fn threat() -> Conduct {
    Conduct::Infected("Some.Threat".to_owned())
}

fn rubbish() -> Conduct {
    Conduct::Answer(b"220 mail.example.com ESMTP\0".to_vec())
}

#[test]
fn no_request_is_lost_when_the_primary_is_killed_under_load_and_it_is_used_again_when_it_is_back() {
    let mut primary = Clamd::new().start();
    let secondary = FakeDaemon::in_front_of(Clamd::shared());
    let smbd = share(&[clamav_at(&primary.socket()), clamav_at(&secondary.socket())], "");
    let name = |i| if i % 10 == 0 { format!("bad{i}.com") } else { format!("good{i}.txt") };
    for i in 0..60 {
        plant(&smbd.dir(SHARE).join(name(i)), &if i % 10 == 0 { eicar() } else { clean(i, 200) });
    }
    plant(&smbd.dir(SHARE).join("first.txt"), &clean(100, 200));
    let client = Client::connect(&smbd, SHARE);
    client.read("first.txt").unwrap();
    assert_eq!(secondary.scans(), 0);
    // Frozen, it takes connections, and everything waits for it.
    primary.freeze();
    let opens: Vec<_> = (0..60).map(|i| client.open(&name(i), Open::read())).collect();
    opens.iter().for_each(|open| open.wait_until_pending());
    primary.kill();
    for (i, open) in (0..60).zip(&opens) {
        let expected = if i % 10 == 0 { Status::VIRUS_INFECTED } else { Status::OK };
        assert_eq!(open.wait().status, expected, "{}", name(i));
    }
    assert_eq!(secondary.scans(), 60);
    assert_eq!(count(&smbd, "is down ("), 1);
    let using = format!("; using clamav at unix:{}", secondary.socket().display());
    smbd.wait_for_log(&using, SOON);
    primary.start();
    let mut i = 0;
    eventually("the primary is used again", patience(Duration::from_secs(60)), || {
        i += 1;
        let name = format!("more{i}.txt");
        plant(&smbd.dir(SHARE).join(&name), &clean(i, 100));
        client.read(&name).unwrap();
        smbd.log().contains(" is back").then_some(())
    });
    let scans = secondary.scans();
    plant(&smbd.dir(SHARE).join("last.txt"), &clean(1, 100));
    client.read("last.txt").unwrap();
    assert_eq!(secondary.scans(), scans);
    assert_eq!((count(&smbd, "is down ("), count(&smbd, " is back")), (1, 1));
}

#[test]
fn a_verdict_of_the_first_is_never_second_guessed() {
    let minor = Conduct::Answer(b"fd[12]: Heuristics.Encrypted.Zip FOUND\0".to_vec());
    for (conduct, expected) in [
        (threat(), Err(Status::VIRUS_INFECTED)),
        (minor, Err(Status::ACCESS_DENIED)),
        (Conduct::Clean, Ok(clean(1, 100))),
    ] {
        let it = Pair::new(conduct, Conduct::Clean, "");
        assert_eq!(it.read("a.txt"), expected);
        assert_eq!(it.scans(), (1, 0));
    }
}

#[test]
fn a_scanner_that_talks_rubbish_is_replaced_by_the_next() {
    let it = Pair::new(rubbish(), threat(), "");
    assert_eq!(it.read("bad.txt"), Err(Status::VIRUS_INFECTED));
    it.smbd.wait_for_log("is down (the scanner's reply makes no sense", SOON);
    it.other.now(Conduct::Clean);
    assert_eq!(it.read("good.txt"), Ok(clean(1, 100)));
}

#[test]
fn without_any_scanner_the_policy_decides() {
    for mode in ["first", "balance", "all"] {
        for (deny, expected) in [("yes", Err(Status::ACCESS_DENIED)), ("no", Ok(clean(1, 100)))] {
            let options = format!("scanner mode = {mode}\ndeny access on error = {deny}");
            let it = Pair::new(Conduct::CloseAtOnce, rubbish(), &options);
            let client = Client::connect(&it.smbd, SHARE);
            for name in ["a.txt", "b.txt"] {
                it.plant(name);
                assert_eq!(client.read(name), expected, "{mode}");
            }
            assert_eq!(count(&it.smbd, "is down ("), 2, "{mode}");
            // As soon as there is one again, it is used.
            it.other.now(Conduct::Clean);
            it.one.now(Conduct::Clean);
            it.plant("c.txt");
            assert_eq!(client.read("c.txt"), Ok(clean(1, 100)), "{mode}");
        }
    }
}

#[test]
fn a_scanner_that_does_not_accept_costs_one_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let secondary = FakeDaemon::unix(Conduct::Clean);
    let primary = format!("clamav:tcp:{}", listener.local_addr().unwrap());
    let smbd = share(&[primary, clamav_at(&secondary.socket())], "connect timeout = 500ms");
    let client = Client::connect(&smbd, SHARE);
    for i in 0..20 {
        plant(&smbd.dir(SHARE).join(format!("f{i}")), &clean(i, 100));
    }
    client.read("f0").unwrap();
    let began = Instant::now();
    for i in 1..20 {
        client.read(&format!("f{i}")).unwrap();
    }
    // One of them may have been the next trial.
    assert!(began.elapsed() < patience(Duration::from_secs(2)), "{:?}", began.elapsed());
    assert_eq!((secondary.scans(), count(&smbd, "is down (")), (20, 1));
}

#[test]
fn a_lone_scanner_that_does_not_accept_costs_one_connect_timeout_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let scanner = format!("clamav:tcp:{}", listener.local_addr().unwrap());
    let smbd = share(&[scanner], "connect timeout = 500ms");
    let client = Client::connect(&smbd, SHARE);
    for i in 0..20 {
        plant(&smbd.dir(SHARE).join(format!("f{i}")), &clean(i, 100));
    }
    let began = Instant::now();
    for i in 0..20 {
        assert_eq!(client.read(&format!("f{i}")), Err(Status::ACCESS_DENIED));
    }
    assert!(began.elapsed() < patience(Duration::from_secs(3)), "{:?}", began.elapsed());
    smbd.wait_for_log("(connect timeout); it is left alone for now): access denied", SOON);
}

#[test]
fn balanced_scanners_share_the_work() {
    let it = Pair::new(Conduct::Clean, Conduct::Clean, "scanner mode = balance");
    it.one.hold();
    it.other.hold();
    for i in 0..6 {
        it.plant(&format!("f{i}"));
    }
    let client = Client::connect(&it.smbd, SHARE);
    let opens: Vec<_> = (0..6).map(|i| client.open(&format!("f{i}"), Open::read())).collect();
    it.one.wait_for_scans(3, SOON);
    it.other.wait_for_scans(3, SOON);
    it.one.release();
    it.other.release();
    for open in opens {
        assert_eq!(open.wait().status, Status::OK);
    }
    assert_eq!(it.scans(), (3, 3));
}

#[test]
fn a_balanced_scanner_that_is_down_loses_no_file() {
    let it = Pair::new(Conduct::CloseAtOnce, Conduct::Clean, "scanner mode = balance");
    let client = Client::connect(&it.smbd, SHARE);
    for i in 0..10 {
        it.plant(&format!("f{i}"));
        assert_eq!(client.read(&format!("f{i}")), Ok(clean(1, 100)));
    }
    assert_eq!((it.scans().1, count(&it.smbd, "is down (")), (10, 1));
}

#[test]
fn what_one_of_all_finds_is_refused_and_shown() {
    for (one, other) in
        [(Conduct::Clean, threat()), (threat(), Conduct::Clean), (threat(), Conduct::CloseAtOnce)]
    {
        let it = Pair::new(one, other, "scanner mode = all\ndeny access on error = no");
        assert_eq!(it.read("bad.txt"), Err(Status::VIRUS_INFECTED));
        it.smbd.wait_for_log("bad.txt\" is infected with Some.Threat (found by 1 of 2): access denied", SOON);
    }
    let it = Pair::new(threat(), threat(), "scanner mode = all");
    assert_eq!(it.read("bad.txt"), Err(Status::VIRUS_INFECTED));
    it.smbd.wait_for_log("is infected with Some.Threat (found by 2 of 2)", SOON);
}

#[test]
fn what_all_call_clean_is_clean_and_remembered() {
    let it = Pair::new(Conduct::Clean, Conduct::Clean, "scanner mode = all");
    let path = it.smbd.dir(SHARE).join("a.txt");
    it.plant("a.txt");
    crate::protected::settle(&path);
    let client = Client::connect(&it.smbd, SHARE);
    for _ in 0..3 {
        assert_eq!(client.read("a.txt"), Ok(clean(1, 100)));
    }
    assert_eq!(it.scans(), (1, 1));
}

#[test]
fn of_all_one_without_a_verdict_counts_by_the_policy() {
    let strict = Pair::new(Conduct::Clean, rubbish(), "scanner mode = all");
    assert_eq!(strict.read("a.txt"), Err(Status::ACCESS_DENIED));
    let lenient = Pair::new(Conduct::Clean, rubbish(), "scanner mode = all\ndeny access on error = no");
    assert_eq!(lenient.read("a.txt"), Ok(clean(1, 100)));
    lenient.smbd.wait_for_log("a.txt\" could not be scanned", SOON);
}
