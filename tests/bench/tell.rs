//! Opens of clients while people are told of infected files, by ways that are dead, slow or refusing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use vscan_tests::clamd::Clamd;
use vscan_tests::module::vscan_notify;
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::{Smbd, USER};

use crate::client::Client;
use crate::measure::{median, percentile, seconds};
use crate::table::{Row, Table, Target};
use crate::{Plan, SMALL, settle};

/// Where nobody is told either, so often beside the one that all are compared with: how much these differ is the noise.
const SILENT: usize = 4;

/// How long nothing happens between two turns, so that what one leaves to be done is not done in another's.
const REST: Duration = Duration::from_millis(200);

/// Clean files that are opened before a look at the clock.
const OPENS: usize = 4;

/// How often an infected file is opened between them: a thousand in a minute, as a worm has them.
const FIND_EVERY: Duration = Duration::from_millis(60);

const INFECTED: &str = "bad.com";
const CLEAN: &str = "good.txt";

/// How long a client waited for opens of the clean file, and for refusals of the infected one, in one turn: seconds.
#[derive(Default)]
struct Turn {
    opens: Vec<f64>,
    finds: Vec<f64>,
}

/// Some of them.
type Times = fn(&Turn) -> &Vec<f64>;

/// What is made of times.
type Number = fn(&[f64]) -> f64;

/// A share whose users or administrators are told in some way, and each of its turns beside one where nobody is told.
struct Contender {
    name: &'static str,
    client: Client,
    turns: Vec<[Turn; 2]>,
}

/// Prints part (g).
pub fn run(plan: &Plan) {
    let clamd = Clamd::new().start();
    let ways = ways();
    let mut smbd = Smbd::new().global("log level", "0");
    for (number, (_, options)) in ways.iter().enumerate() {
        smbd = smbd.share(share(number, &clamd.socket(), options));
    }
    let smbd = smbd.start();
    let mut contenders = ways.iter().enumerate().map(|(number, (name, _))| {
        let dir = smbd.dir(&share_name(number));
        plant(&dir.join(INFECTED), &eicar());
        plant(&dir.join(CLEAN), &clean(1, SMALL));
        Contender { name, client: Client::connect(&smbd, &share_name(number)), turns: Vec::new() }
    });
    let mut nobody = contenders.next().unwrap();
    let mut contenders: Vec<Contender> = contenders.collect();
    settle();
    // The first round has the files scanned.
    for round in 0..=plan.tell_rounds {
        for contender in &mut contenders {
            let mut turns = <[Turn; 2]>::default();
            for which in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                let contender = if which == 0 { &mut nobody } else { &mut *contender };
                turns[which] = contender.turn(plan.tell_turn);
                std::thread::sleep(REST);
            }
            if round > 0 {
                contender.turns.push(turns);
            }
        }
    }
    print(&contenders, plan);
}

impl Contender {
    /// Opens the clean file, and the infected one now and then.
    fn turn(&mut self, length: Duration) -> Turn {
        let mut turn = Turn::default();
        let began = Instant::now();
        while began.elapsed() < length {
            turn.opens.extend(seconds(&self.client.visit_all(&[CLEAN; OPENS].map(str::to_owned), 1)));
            if began.elapsed() >= FIND_EVERY.saturating_mul(turn.finds.len() as u32) {
                turn.finds.extend(seconds(&[self.client.find(INFECTED)]));
            }
        }
        turn
    }

    /// The middle of the ratios of each turn to that beside it.
    fn ratio(&self, times: Times, of: Number) -> f64 {
        let ratio = |[nobody, told]: &[Turn; 2]| of(times(told)) / of(times(nobody));
        median(&self.turns.iter().map(ratio).collect::<Vec<_>>())
    }
}

fn share_name(number: usize) -> String {
    format!("way{number}")
}

fn share(number: usize, clamd: &Path, options: &str) -> Share {
    let conf = format!(
        "[vscan]\nscanner = clamav:{}\ninfected file action = nothing\nnotify program = {}\n{options}\n",
        clamd.display(),
        vscan_notify().display()
    );
    Share::vscan(&share_name(number), &conf)
        .option("vscan:notify spool", &format!("@RIG@/spool{number}"))
        .option("guest ok", "yes")
        .option("force user", USER)
}

/// Each way to be told: its name and its options.
fn ways() -> Vec<(&'static str, String)> {
    let mut ways = vec![("nobody is told", String::new()); 1 + SILENT];
    let dead = dead();
    let slow = serve(b"", None);
    let mail = |port| format!("mail to = root@example.org\nmail server = smtp://127.0.0.1:{port}");
    let web = |port| format!("webhook = http://127.0.0.1:{port}/");
    let command = |line| format!("infected file command = {line}");
    let popup = |port| format!("send warning message = yes\nmessenger port = {port}");
    ways.extend([
        ("mail, dead", mail(dead)),
        ("mail, slow", mail(slow)),
        ("mail, refusing", mail(serve(b"554 no\r\n", None))),
        ("webhook, dead", web(dead)),
        ("webhook, slow", web(slow)),
        ("webhook, refusing", web(serve(b"", Some(b"HTTP/1.1 503 no\r\ncontent-length: 0\r\n\r\n")))),
        ("messenger, dead", popup(dead)),
        ("messenger, slow", popup(slow)),
        // It hangs up: what smbd does that takes no messages.
        ("messenger, refusing", popup(serve(b"", Some(b"")))),
        ("command, dead", command("/nowhere/to/be/found")),
        ("command, slow", command("/bin/sleep 1000")),
        ("command, refusing", command("/bin/false")),
    ]);
    ways
}

/// A port at which nobody listens.
fn dead() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server that says this, and then says nothing; or else answers whatever it is told and hangs up.
fn serve(greeting: &'static [u8], answer: Option<&'static [u8]>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut held: Vec<TcpStream> = Vec::new();
        for mut stream in listener.incoming().flatten() {
            // A client that has gone away meanwhile is nothing to us.
            let _ = stream.write_all(greeting);
            let Some(answer) = answer else {
                held.push(stream);
                continue;
            };
            let _ = stream.read(&mut [0; 65536]);
            let _ = stream.write_all(answer);
        }
    });
    port
}

fn print(contenders: &[Contender], plan: &Plan) {
    let title = format!(
        "(g) known clean files, and an infected one now and then, {} turns of {} ms: time / that where nobody is told",
        plan.tell_rounds,
        plan.tell_turn.as_millis()
    );
    let columns = vec!["open: median", "99 of 100", "find: median", "99 of 100"];
    let mut table = Table::with_columns(&title, columns);
    let (opens, finds): (Times, Times) = (|turn| &turn.opens, |turn| &turn.finds);
    let p99: Number = |times| percentile(times, 99);
    let columns = [(opens, median as Number), (opens, p99), (finds, median), (finds, p99)];
    let nobody = columns.map(|(times, of)| {
        let turns = contenders.iter().flat_map(|contender| &contender.turns);
        median(&turns.map(|[nobody, _]| of(times(nobody))).collect::<Vec<_>>())
    });
    table.row(Row::times("nobody is told", nobody.map(Some)));
    let (mut noise, mut worst) = ([0.0_f64; 4], [0.0_f64; 4]);
    for (number, contender) in contenders.iter().enumerate() {
        let ratios = columns.map(|(times, of)| contender.ratio(times, of));
        table.row(Row::ratios(contender.name, ratios.map(Some)));
        let largest = if number < SILENT { &mut noise } else { &mut worst };
        largest.iter_mut().zip(ratios).for_each(|(largest, ratio)| *largest = largest.max(ratio));
    }
    for (what, which, limit) in [("median", [0, 2], 1.05), ("99 of 100", [1, 3], 1.25)] {
        let largest = |ratios: [f64; 4]| ratios[which[0]].max(ratios[which[1]]);
        table.target(Target::at_most(
            &format!("{what}: largest ratio of all ways / largest of nobody"),
            largest(worst) / largest(noise),
            limit,
        ));
    }
    table.print();
}
