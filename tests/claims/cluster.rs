use std::time::{Duration, Instant};

use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Status};
use vscan_tests::fake::FakeDaemon;
use vscan_tests::redis::{PASSWORD, Redis};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::SOON;

use crate::protected::{clamav_at, conf, settle};

/// Two servers of one filesystem, each with results of its own, a scanner that both ask, and a Redis.
struct Cluster {
    nodes: [Smbd; 2],
    scanner: FakeDaemon,
    redis: Redis,
}

impl Cluster {
    fn new() -> Self {
        let (scanner, redis) = (FakeDaemon::in_front_of(Clamd::shared()), Redis::start());
        let options = format!("cache server = {}\ninfected file action = nothing", redis.address());
        let conf = conf(&clamav_at(&scanner.socket()), &options);
        let one = Smbd::with(Share::vscan("s", &conf));
        let path = one.dir("s").display().to_string();
        let other = Smbd::with(Share::vscan("s", &conf).option("path", &path));
        Self { nodes: [one, other], scanner, redis }
    }

    fn plant(&self, name: &str, content: &[u8]) {
        let path = self.nodes[0].dir("s").join(name);
        plant(&path, content);
        settle(&path);
    }

    fn read(&self, node: usize, name: &str) -> Result<Vec<u8>, Status> {
        Client::connect(&self.nodes[node], "s").read(name)
    }

    fn lines(&self, node: usize) -> Vec<String> {
        let log = self.nodes[node].log();
        log.lines().filter(|line| line.contains("cache server")).map(str::to_owned).collect()
    }
}

#[test]
fn what_one_server_has_scanned_another_one_knows() {
    let it = Cluster::new();
    it.plant("a.doc", &clean(1, 100));
    it.plant("bad.com", &eicar());
    // A node hears the version of the signatures for itself first.
    it.plant("first.doc", &clean(2, 100));
    it.read(0, "first.doc").unwrap();
    it.read(1, "first.doc").unwrap();
    let scans = it.scanner.scans();
    for node in [0, 1] {
        assert_eq!(it.read(node, "a.doc"), Ok(clean(1, 100)));
        assert_eq!(it.read(node, "bad.com"), Err(Status::VIRUS_INFECTED));
    }
    assert_eq!(it.scanner.scans(), scans + 2);
    assert_eq!((it.lines(0), it.lines(1)), (Vec::new(), Vec::new()));
}

#[test]
fn what_one_server_forgets_it_does_not_learn_again() {
    let mut it = Cluster::new();
    it.plant("a.doc", &clean(1, 100));
    it.plant("b.doc", &clean(2, 100));
    for name in ["a.doc", "b.doc"] {
        it.read(0, name).unwrap();
        it.read(1, name).unwrap();
    }
    let path = it.nodes[0].dir("s").join("a.doc").display().to_string();
    for arguments in [vec!["cache", "flush", &path], vec!["cache", "flush"]] {
        let scans = it.scanner.scans();
        it.nodes[1].vscanctl(&arguments).exits(0);
        it.read(1, "a.doc").unwrap();
        assert_eq!(it.scanner.scans(), scans + 1, "{arguments:?}");
    }
    let scans = it.scanner.scans();
    it.read(1, "b.doc").unwrap();
    assert_eq!(it.scanner.scans(), scans + 1);
    it.redis.kill();
    let said = it.nodes[1].vscanctl(&["cache", "flush", &path]).exits(2);
    assert!(said.err.contains("has not forgotten them"), "{}", said.err);
    it.redis.start_again();
    it.read(1, "a.doc").unwrap();
    assert_eq!(it.scanner.scans(), scans + 2, "this one has");
}

#[test]
fn a_server_that_is_gone_or_silent_costs_scans_alone() {
    let mut it = Cluster::new();
    for (number, name) in (1..).zip(["a.doc", "b.doc", "c.doc"]) {
        it.plant(name, &clean(number, 100));
    }
    assert_eq!(it.read(0, "a.doc"), Ok(clean(1, 100)));
    it.redis.pause(true);
    let client = Client::connect(&it.nodes[1], "s");
    let started = Instant::now();
    assert_eq!(client.read("a.doc"), Ok(clean(1, 100)));
    assert_eq!(client.read("b.doc"), Ok(clean(2, 100)));
    assert!(started.elapsed() < Duration::from_secs(10));
    it.nodes[1].wait_for_log("is down", SOON);
    it.redis.pause(false);
    it.redis.kill();
    assert_eq!(client.read("c.doc"), Ok(clean(3, 100)));
    assert_eq!(it.read(0, "c.doc"), Ok(clean(3, 100)));
    assert_eq!(it.lines(1).len(), 1, "{:?}", it.lines(1));
    assert!(!it.nodes[1].log().contains(PASSWORD));
}
