//! Where the contenders meet: one smbd, one clamd, and a share for each.

use std::fs;
use std::path::PathBuf;

use vscan_tests::clamd::Clamd;
use vscan_tests::fake::FakeDaemon;
use vscan_tests::process::Process;
use vscan_tests::samples::{clean, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::{Smbd, USER};

use crate::client::Client;

/// What guards a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    Plain,
    Vscan,
    Virusfilter,
}

impl Guard {
    pub const ALL: [Self; 3] = [Self::Plain, Self::Vscan, Self::Virusfilter];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Vscan => "vscan",
            Self::Virusfilter => "virusfilter",
        }
    }

    /// Its share whose scanner can be slow.
    fn slow_share(self) -> String {
        format!("slow-{}", self.name())
    }
}

/// The daemons. All shares have the same options but for their guard.
pub struct Ground {
    smbd: Smbd,
    slow_scanner: FakeDaemon,
    clamd: Clamd,
}

/// In the name and in the content of a file that takes the slow scanner long: a scanner is told one or the other.
pub const SLOW: &str = "slow-to-scan";

impl Ground {
    pub fn prepare() -> Self {
        // Beyond its defaults clamd calls a large file clean without a look.
        let clamd = Clamd::new().option("MaxFileSize", "1000M").option("MaxScanSize", "1000M").start();
        let slow_scanner = FakeDaemon::in_front_of(&clamd);
        let mut smbd = Smbd::new().global("log level", "0");
        for guard in Guard::ALL {
            for (name, socket) in
                [(guard.name().to_owned(), clamd.socket()), (guard.slow_share(), slow_scanner.socket())]
            {
                smbd = smbd
                    .share(share(guard, &name, socket).option("guest ok", "yes").option("force user", USER));
            }
        }
        Self { smbd: smbd.start(), slow_scanner, clamd }
    }

    pub fn clamd(&self) -> &Clamd {
        &self.clamd
    }

    pub fn slow_scanner(&self) -> &FakeDaemon {
        &self.slow_scanner
    }

    pub fn connect(&self, guard: Guard) -> Client {
        Client::connect(&self.smbd, guard.name())
    }

    pub fn connect_to_slow(&self, guard: Guard) -> Client {
        Client::connect(&self.smbd, &guard.slow_share())
    }

    /// The process that serves a client.
    pub fn serving(&self, client: &Client) -> Process {
        self.smbd.serving(client.port())
    }

    /// The directory of a share.
    pub fn dir(&self, guard: Guard) -> PathBuf {
        self.smbd.dir(guard.name())
    }

    /// Puts files of this size and never-seen content into a share; their names.
    pub fn plant(&self, guard: Guard, seeds: &mut Seeds, count: usize, size: usize) -> Vec<String> {
        plant_in(&self.dir(guard), seeds, count, size)
    }

    pub fn plant_in_slow(&self, guard: Guard, seeds: &mut Seeds, count: usize, size: usize) -> Vec<String> {
        let dir = self.smbd.dir(&guard.slow_share());
        plant(&dir.join(SLOW), SLOW.as_bytes());
        plant_in(&dir, seeds, count, size)
    }

    /// The same for a folder that is no share.
    pub fn plant_beside(&self, seeds: &mut Seeds, count: usize, size: usize) -> Vec<PathBuf> {
        let dir = self.smbd.path("beside");
        fs::create_dir_all(&dir).unwrap();
        plant_in(&dir, seeds, count, size).iter().map(|name| dir.join(name)).collect()
    }

    pub fn remove(&self, guard: Guard, name: &str) {
        fs::remove_file(self.dir(guard).join(name)).unwrap();
    }
}

/// Where content comes from that no scanner has seen: clamd remembers what it found clean by its hash.
pub struct Seeds(u64);

impl Seeds {
    pub fn new() -> Self {
        Self(0)
    }

    pub fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

fn share(guard: Guard, name: &str, socket: PathBuf) -> Share {
    match guard {
        Guard::Plain => Share::plain(name),
        Guard::Vscan => {
            let conf =
                format!("[vscan]\nscanner = clamav:{}\nmax lru files entries = 100000\n", socket.display());
            Share::vscan(name, &conf)
        }
        // All that vscan does by default, and results that are remembered as long.
        Guard::Virusfilter => Share::virusfilter(name, &socket)
            .option("virusfilter:scan on open", "yes")
            .option("virusfilter:scan on close", "yes")
            .option("virusfilter:max file size", "1000000000")
            .option("virusfilter:cache entry limit", "100000")
            .option("virusfilter:cache time limit", "-1"),
    }
}

fn plant_in(dir: &std::path::Path, seeds: &mut Seeds, count: usize, size: usize) -> Vec<String> {
    let plant_one = |_| {
        let seed = seeds.next();
        let name = format!("{seed}.txt");
        plant(&dir.join(&name), &clean(seed, size));
        name
    };
    (0..count).map(plant_one).collect()
}
