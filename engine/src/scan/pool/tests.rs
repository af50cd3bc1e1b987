//! Rounds that a test plays by hand: no scanner is there.

use std::cell::RefCell;
use std::time::Duration;

use vscan_backends::command::CommandOptions;
use vscan_backends::verdict::{MinorError, MinorErrorKind};

use super::*;

struct Bench {
    pool: Pool,
    lines: RefCell<Vec<String>>,
    now: Instant,
}

const LONG: Duration = Duration::from_secs(3600);

impl Bench {
    /// With the scanners clamav, sophie and fsav.
    fn new(mode: ScannerMode) -> Self {
        let specs = ["clamav:/a", "sophie:/b", "fsav:/c"].map(str::to_owned);
        let pool = Pool::new(&specs, &CommandOptions::default(), mode).unwrap();
        pool.start.set(0);
        Self { pool, lines: RefCell::default(), now: Instant::now() }
    }

    fn next(&self, round: &mut Round) -> Option<&'static str> {
        self.pool.next(round, self.now).map(|member| member.scanner().name())
    }

    fn heard(&self, round: &mut Round, outcome: &Outcome) {
        let tell = |change: Change| self.lines.borrow_mut().push(change.line);
        let within = Within { now: self.now, deadline: self.now + LONG, tell: &tell };
        self.pool.heard(round, outcome, true, &within);
    }

    /// It took so long to find that it cannot be reached.
    fn unreachable(&mut self, round: &mut Round, took: Duration) {
        self.now += took;
        let tell = |change: Change| self.lines.borrow_mut().push(change.line);
        let within = Within { now: self.now, deadline: self.now + LONG, tell: &tell };
        self.pool.heard(round, &down(), false, &within);
    }

    /// A whole round, in which the scanners say this one after the other: who was asked, and what came of it.
    fn play(&self, outcomes: &[Outcome]) -> (Vec<&'static str>, Answer) {
        let (mut round, mut asked, mut outcomes) = (Round::default(), Vec::new(), outcomes.iter());
        while let Some(name) = self.next(&mut round) {
            asked.push(name);
            self.heard(&mut round, outcomes.next().expect("no other scanner is asked"));
        }
        assert_eq!(outcomes.next(), None, "another scanner is asked");
        (asked, self.pool.answer(&round, Outcome::is_err))
    }

    fn lines(&self) -> Vec<String> {
        self.lines.take()
    }
}

fn clean() -> Outcome {
    Ok(Verdict::Clean)
}

fn infected(name: &str) -> Outcome {
    Ok(Verdict::Infected(ThreatName::new(name.as_bytes())))
}

fn minor() -> Outcome {
    Ok(Verdict::MinorError(MinorError::new(MinorErrorKind::Encrypted, b"locked")))
}

fn down() -> Outcome {
    Err(Fault::Transport("nobody listens".into()))
}

fn garbled() -> Outcome {
    Err(Fault::Garbled("hello".into()))
}

#[test]
fn any_verdict_of_the_first_is_the_last_word() {
    for verdict in [clean(), infected("Evil"), minor()] {
        let (asked, answer) = Bench::new(ScannerMode::First).play(std::slice::from_ref(&verdict));
        assert_eq!((asked, answer.outcome, answer.scanner.as_str()), (vec!["clamav"], verdict, "clamav"));
    }
}

#[test]
fn without_a_verdict_the_next_one_is_asked() {
    let mut bench = Bench::new(ScannerMode::First);
    for fault in
        [down(), garbled(), Err(Fault::Misbehaved("no memory".into())), Err(Fault::Caller("name".into()))]
    {
        let (asked, answer) = bench.play(&[fault, infected("Evil")]);
        assert_eq!((asked, answer.outcome), (vec!["clamav", "sophie"], infected("Evil")));
        assert_eq!(answer.scanner, "sophie");
        // By then, all are tried again.
        bench.now += LONG;
    }
}

#[test]
fn when_all_fail_each_says_why() {
    let (asked, answer) = Bench::new(ScannerMode::First).play(&[down(), garbled(), down()]);
    assert_eq!(asked, ["clamav", "sophie", "fsav"]);
    let why = answer.outcome.unwrap_err().to_string();
    assert_eq!(
        why,
        "clamav: nobody listens; sophie: the scanner's reply makes no sense: hello; fsav: nobody listens"
    );
}

#[test]
fn each_change_is_said_once() {
    let mut bench = Bench::new(ScannerMode::First);
    bench.play(&[down(), clean()]);
    assert_eq!(
        bench.lines(),
        ["scanner clamav at unix:/a is down (nobody listens); using sophie at unix:/b"]
    );
    assert_eq!(bench.play(&[clean()]).0, ["sophie"]);
    bench.now += Duration::from_secs(1);
    assert_eq!(bench.play(&[down(), clean()]).0, ["clamav", "sophie"]);
    assert_eq!(bench.lines(), [""; 0]);
    bench.now += Duration::from_secs(2);
    assert_eq!(bench.play(&[clean()]).0, ["clamav"]);
    assert_eq!(bench.lines(), ["scanner clamav at unix:/a is back"]);
    assert_eq!(bench.play(&[clean()]).0, ["clamav"]);
    assert_eq!(bench.lines(), [""; 0]);
}

#[test]
fn scanners_that_fail_at_once_are_asked_while_there_is_no_other() {
    let bench = Bench::new(ScannerMode::First);
    bench.play(&[down(), down(), down()]);
    assert_eq!(bench.play(&[clean()]).0, ["clamav"]);
}

#[test]
fn a_scanner_that_keeps_us_waiting_is_not_asked_even_then() {
    let mut bench = Bench::new(ScannerMode::First);
    let mut round = Round::default();
    for name in ["clamav", "sophie", "fsav"] {
        assert_eq!(bench.next(&mut round), Some(name));
        bench.unreachable(&mut round, Duration::from_millis(200));
    }
    let (asked, answer) = bench.play(&[]);
    assert_eq!(asked, [""; 0]);
    let why = answer.outcome.unwrap_err().to_string();
    assert!(why.contains("clamav: nobody listens; it is left alone for now; sophie: "), "{why}");
    bench.now += Duration::from_secs(1);
    assert_eq!(bench.play(&[clean()]).0, ["clamav"]);
}

#[test]
fn one_scan_tries_a_scanner_that_was_down() {
    let mut bench = Bench::new(ScannerMode::First);
    bench.play(&[down(), clean()]);
    bench.now += Duration::from_secs(1);
    let (mut trial, mut other) = (Round::default(), Round::default());
    assert_eq!(bench.next(&mut trial), Some("clamav"));
    assert_eq!(bench.next(&mut other), Some("sophie"));
    drop(trial);
    assert_eq!(bench.next(&mut Round::default()), Some("clamav"), "the trial was cancelled");
}

#[test]
fn a_file_that_takes_all_the_time_brings_no_scanner_down() {
    let bench = Bench::new(ScannerMode::First);
    let mut round = Round::default();
    bench.next(&mut round);
    let tell = |change: Change| bench.lines.borrow_mut().push(change.line);
    let within = Within { now: bench.now, deadline: bench.now, tell: &tell };
    bench.pool.heard(&mut round, &down(), true, &within);
    assert_eq!(bench.lines(), [""; 0]);
    assert_eq!(bench.pool.answer(&round, |_| true).outcome, down());
    assert_eq!(bench.play(&[clean()]).0, ["clamav"]);
}

#[test]
fn the_one_with_the_least_to_do_is_asked() {
    let bench = Bench::new(ScannerMode::Balance);
    let mut rounds: Vec<Round> = (0..6).map(|_| Round::default()).collect();
    let mut asked: Vec<_> = rounds.iter_mut().map(|round| bench.next(round).unwrap()).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["clamav", "clamav", "fsav", "fsav", "sophie", "sophie"]);
    let busy = rounds.pop().unwrap();
    let free = bench.pool.members[busy.asked.as_ref().unwrap().0].scanner().name();
    drop(busy);
    assert_eq!(bench.next(&mut Round::default()), Some(free));
}

#[test]
fn one_scan_at_a_time_goes_around_too() {
    let bench = Bench::new(ScannerMode::Balance);
    let asked: Vec<_> = (0..4).map(|_| bench.play(&[clean()]).0[0]).collect();
    assert_eq!(asked, ["clamav", "sophie", "fsav", "clamav"]);
}

#[test]
fn all_have_to_say_clean() {
    let (asked, answer) = Bench::new(ScannerMode::All).play(&[clean(), clean(), clean()]);
    assert_eq!((asked.len(), answer.outcome), (3, clean()));
    assert_eq!(answer.scanner, "clamav, sophie, fsav");
}

#[test]
fn what_one_finds_is_found_whatever_the_others_say() {
    for others in [[clean(), minor()], [down(), clean()], [garbled(), down()]] {
        let [one, other] = others;
        let (_, answer) = Bench::new(ScannerMode::All).play(&[one, infected("Evil"), other]);
        assert_eq!(answer.outcome, infected("Evil (found by 1 of 3)"));
        assert_eq!(answer.scanner, "sophie");
    }
    let (_, answer) = Bench::new(ScannerMode::All).play(&[infected("A"), clean(), infected("B")]);
    assert_eq!((answer.outcome, answer.scanner.as_str()), (infected("A (found by 2 of 3)"), "clamav, fsav"));
}

#[test]
fn a_long_name_does_not_push_out_who_found_it() {
    let (_, answer) = Bench::new(ScannerMode::All).play(&[infected(&"x".repeat(500)), clean(), clean()]);
    let Ok(Verdict::Infected(threat)) = answer.outcome else { panic!("{:?}", answer.outcome) };
    assert!(threat.as_str().ends_with("x (found by 1 of 3)"), "{threat}");
}

#[test]
fn what_is_denied_goes_before_what_is_not() {
    // Here, errors are denied and minor errors are not.
    let (_, answer) = Bench::new(ScannerMode::All).play(&[minor(), clean(), down()]);
    assert_eq!(answer.outcome, down());
    let (_, answer) = Bench::new(ScannerMode::All).play(&[clean(), clean(), minor()]);
    assert_eq!((answer.outcome, answer.scanner.as_str()), (minor(), "fsav"));
}

#[test]
fn clean_by_some_is_not_clean_by_all() {
    let bench = Bench::new(ScannerMode::All);
    let mut round = Round::default();
    assert_eq!(bench.next(&mut round), Some("clamav"));
    bench.heard(&mut round, &clean());
    let answer = bench.pool.answer(&round, |_| true);
    assert!(matches!(answer.outcome, Err(Fault::Transport(why)) if why.contains("scan timeout")));
}

#[test]
fn shares_know_the_same_scanners() {
    let (one, other) = (Bench::new(ScannerMode::First), Bench::new(ScannerMode::First));
    one.play(&[down(), clean()]);
    assert_eq!(other.play(&[clean()]).0, ["sophie"]);
    assert_eq!(other.lines(), [""; 0]);
}
