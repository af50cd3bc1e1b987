use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use vscan_backends::registry::SCANNERS;
use vscan_backends::transcript::{self, Blame, Ending, Event, Recording};
use vscan_backends::verdict::MinorErrorKind;
use vscan_tests::fake::program::FakeProgram;
use vscan_tests::fake::replay::{Client, Pace, Replay};
use vscan_tests::samples::clean;
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;

use crate::protected::{SHARE, conf};

/// For smbd alone, the share's files are here: every Debian has it, and its name is as long as that in the recordings.
const FOLDER: &str = "/media/";

/// Those that say nothing that could be replayed: `dummy` has no daemon, and `scannedonly` has claims of its own.
const MUTE: [&str; 2] = ["dummy", "scannedonly"];

/// What to do without a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Strict,
    Lenient,
}

/// What plays the scanner's part.
enum Player {
    Daemon(Replay),
    Program(FakeProgram),
}

impl Player {
    fn new(recording: &Recording, pace: Pace) -> Self {
        match recording.events.first() {
            Some(Event::Run(_)) => Self::Program(FakeProgram::new(recording, FOLDER)),
            _ => Self::Daemon(Replay::new(recording, Client::Ours(pace), FOLDER)),
        }
    }

    fn spec(&self) -> &str {
        match self {
            Self::Daemon(replay) => replay.spec(),
            Self::Program(program) => program.spec(),
        }
    }

    /// What was not as recorded.
    fn complaints(&self) -> Vec<String> {
        match self {
            Self::Daemon(replay) if replay.connections() == 0 => vec!["the scanner was not asked".to_owned()],
            Self::Daemon(replay) => replay.complaints(),
            Self::Program(program) => program.complaints(),
        }
    }
}

/// A server whose scanner is another one for each file.
struct Products {
    smbd: Smbd,
}

pub fn recordings(scheme: &str) -> Vec<Recording> {
    let path = format!("{}/../backends/transcripts/{scheme}.txt", env!("CARGO_MANIFEST_DIR"));
    transcript::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The name of the file, if a client can ask for it and a scanner is asked about it. A connection that breaks while
/// content is sent cannot be replayed at will; the real clamd does that elsewhere. smbd opens no sessions: those are for
/// `vscanctl scan`.
fn playable(recording: &Recording) -> Option<String> {
    let name = String::from_utf8(recording.path.strip_prefix(b"/share/")?.to_vec()).ok()?;
    let is_cut = recording.events.iter().any(|event| matches!(event, Event::ClientContentCut(_)));
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != '\\' || c == ' ');
    let is_in_session = recording.series.is_some();
    (is_plain && !is_cut && !is_in_session && recording.size > 0 && !recording.events.is_empty())
        .then_some(name)
}

impl Products {
    fn new() -> Self {
        let share = Share::vscan(SHARE, "").option("path", FOLDER.trim_end_matches('/'));
        let smbd = Smbd::with(share);
        smbd.mount_tmpfs(Path::new(FOLDER), "size=64m,mode=1777");
        Self { smbd }
    }

    /// Plays a recording through smbd; gives what went otherwise than recorded.
    fn play(&self, recording: &Recording, name: &str, policy: Policy, pace: Pace) -> Result<(), String> {
        let player = Player::new(recording, pace);
        let deny = if policy == Policy::Strict { "yes" } else { "no" };
        let options = format!(
            "infected file action = nothing\ndeny access on error = {deny}\ndeny access on minor error = {deny}"
        );
        self.smbd.rewrite_conf(SHARE, &conf(player.spec(), &options));
        let content = clean(1, usize::try_from(recording.size).unwrap());
        let path = self.smbd.as_seen_by_smbd(&Path::new(FOLDER).join(name));
        std::fs::write(&path, &content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let mark = self.smbd.log_mark();
        let got = self.smbd.smbclient(SHARE).get(name);
        std::fs::remove_file(&path).unwrap();
        let refusal = match (&recording.ending, policy) {
            (Ending::Clean, _) | (Ending::MinorError(_) | Ending::Fault(_), Policy::Lenient) => None,
            (Ending::Infected(_), _) => Some("NT_STATUS_VIRUS_INFECTED"),
            (Ending::MinorError(_) | Ending::Fault(_), Policy::Strict) => Some("NT_STATUS_ACCESS_DENIED"),
        };
        match (got, refusal) {
            (Ok(got), None) if got == content => {}
            (Err(outcome), Some(refusal)) if outcome.output.contains(refusal) => {}
            (Ok(_), _) => return Err("the file could be read".to_owned()),
            (Err(outcome), _) => return Err(outcome.output),
        }
        let log = self.smbd.log_since(mark);
        if !log.lines().any(|line| line.contains(name) && line.contains(word_of(&recording.ending))) {
            return Err(format!("the log says {log}"));
        }
        match player.complaints().as_slice() {
            [] => Ok(()),
            complaints => Err(complaints.join("; ")),
        }
    }
}

/// What the log says of such an ending.
fn word_of(ending: &Ending) -> &str {
    match ending {
        Ending::Clean => "",
        Ending::Infected(name) => name,
        Ending::MinorError(
            MinorErrorKind::Encrypted | MinorErrorKind::OverScannerLimit | MinorErrorKind::NotScannable,
        ) => "could not be scanned",
        Ending::Fault(Blame::Garbled | Blame::Misbehaved | Blame::Transport | Blame::Caller) => "",
    }
}

/// Whose recording this is: a scanner's, or that of one of the programs.
fn product(recording: &Recording) -> String {
    match recording.events.first() {
        Some(Event::Run(_)) => recording.scanner.clone(),
        _ => recording.scanner.split(':').next().unwrap().to_owned(),
    }
}

#[test]
fn what_each_scanner_was_recorded_to_say_is_enforced() {
    let products = Products::new();
    let mut trouble = Vec::new();
    let mut played: BTreeMap<String, Vec<Ending>> = BTreeMap::new();
    for scanner in SCANNERS.iter().filter(|scanner| !MUTE.contains(&scanner.scheme)) {
        for recording in recordings(scanner.scheme) {
            let Some(name) = playable(&recording) else { continue };
            for (policy, pace) in [(Policy::Strict, Pace::AtOnce), (Policy::Lenient, Pace::Slow)] {
                if let Err(what) = products.play(&recording, &name, policy, pace) {
                    trouble.push(format!("{} [{}] {policy:?}: {what}", scanner.scheme, recording.title));
                }
            }
            played.entry(product(&recording)).or_default().push(recording.ending);
        }
    }
    for (product, endings) in &played {
        let has = |wanted: fn(&Ending) -> bool| endings.iter().any(wanted);
        assert!(
            has(|e| *e == Ending::Clean)
                && has(|e| matches!(e, Ending::Infected(_)))
                && has(|e| matches!(e, Ending::Fault(_))),
            "{product} was not tried with all kinds of answers"
        );
    }
    let programs = played.keys().filter(|product| product.starts_with("command:")).count();
    assert_eq!((played.len() - programs, programs), (SCANNERS.len() - MUTE.len() - 1, 10));
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}

/// Those that are in use, or were in samba-vscan's time. Each speaks another kind of protocol.
const OF_EACH_KIND: [&str; 5] = ["clamav", "icap", "sophie", "trophie", "sssp"];

/// The same dialogue with something else for the last answer, after which the server hangs up.
fn answered(recording: &Recording, answer: impl Fn(&[u8]) -> Vec<u8>) -> Recording {
    let mut events = recording.events.clone();
    while events.pop_if(|event| event.said_by_server().is_none()).is_some() {}
    let answer =
        answer(events.pop().and_then(|last| last.said_by_server().map(<[u8]>::to_vec)).unwrap().as_slice());
    events.extend([Event::Server(answer), Event::ServerEnd]);
    Recording { events, ending: Ending::Fault(Blame::Garbled), ..recording.clone() }
}

#[test]
fn what_is_no_answer_to_smbd_is_not_clean() {
    let products = Products::new();
    let mut trouble = Vec::new();
    for scheme in OF_EACH_KIND {
        let all = recordings(scheme);
        let clean =
            all.iter().find(|recording| recording.ending == Ending::Clean && playable(recording).is_some());
        let clean = clean.unwrap();
        let name = playable(clean).unwrap();
        for (what, recording, pace) in [
            ("in single bytes", clean.clone(), Pace::Bytewise),
            (
                "cut off",
                answered(clean, |whole| whole[..whole.trim_ascii_end().len() / 2].to_vec()),
                Pace::AtOnce,
            ),
            ("without end", answered(clean, |_| vec![b'x'; 200_000]), Pace::AtOnce),
            ("rubbish", answered(clean, |_| (1..=255).rev().collect()), Pace::AtOnce),
            ("nothing", answered(clean, |_| Vec::new()), Pace::AtOnce),
        ] {
            for policy in [Policy::Strict, Policy::Lenient] {
                if let Err(why) = products.play(&recording, &name, policy, pace) {
                    trouble.push(format!("{scheme}, {what}, {policy:?}: {why}"));
                }
            }
        }
    }
    assert!(trouble.is_empty(), "{}", trouble.join("\n"));
}
