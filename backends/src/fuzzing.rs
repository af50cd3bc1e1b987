//! What a fuzzer throws at the dialogues, and what must be true of them whatever it throws.
//!
//! An input is a small script for the scanner and the network. Its first byte chooses the file, the second the address
//! (of those that a scanner is given different things at). Then come cues of two bytes, a kind and a length, with so
//! many bytes behind them:
//!
//! | kind modulo 8 | meaning |
//! |---|---|
//! | 0 to 3 | these bytes come when the dialogue reads |
//! | 4 | the connection ends; a program with the first of these bytes as its exit code |
//! | 5 | what is being sent does not arrive |
//! | 6 | the file that is being sent has ended |
//! | 7 | these bytes come while the file is being sent |
//!
//! A cue that does not fit what the dialogue asks for waits until one does; when there are no more, everything is sent
//! and the connection ends. A program is killed then.

use crate::command::{CommandOptions, PRESETS};
use crate::dialogue::{Ask, Dialogue, Exit, News, Object, Outcome, Scanner, Step};
use crate::registry::{SCANNERS, SpecError};
use crate::transcript::{Event, Recording};
use crate::verdict::Verdict;

/// So often a dialogue may ask without having been told anything but that its bytes were sent.
const PATIENCE: usize = 16;

/// The files, and that of the transcripts first; at last some of a series.
const FILES: &[Object<'static>] = &[
    Object::new(b"/share/letter.doc", 12),
    Object::new(b"/share/bad.com", 68),
    Object::new(b"/share/large.txt", 5000),
    Object::new(b"/share/a b%\\\xe9\xff", 1),
    Object::new(b"/share/empty", 0),
    Object::new(b"/share/iso", 5 << 30),
    Object { series: Some(0), ..Object::new(b"/share/letter.doc", 12) },
    Object { series: Some(1), ..Object::new(b"/share/bad.com", 68) },
    Object { series: Some(u64::MAX), ..Object::new(b"/share/empty", 0) },
];

/// Plays an input against a dialogue of the scanner with this scheme, and judges how that went.
///
/// # Panics
///
/// When the dialogue broke a promise: it went on for ever, or called a file clean that the scanner cannot have judged.
#[expect(clippy::panic, reason = "that is how a fuzzer is told")]
pub fn dialogue(scheme: &str, input: &[u8]) {
    let Some((spec, object, cues)) = read_input(scheme, input) else { return };
    let Ok(scanner) = parse_scanner(&spec) else { return };
    if let Some(query) = scanner.version_query() {
        let said: Vec<u8> = cues.iter().flat_map(|cue| cue.bytes).copied().collect();
        let _ = (query.answer)(&said);
    }
    let played = play(&spec, object, &cues);
    if played.is_at_rest && (played.was_not_sent_all || played.ended) {
        panic!("at rest, but not all was sent, or the connection is over");
    }
    if played.is_at_rest && is_at_rest_with_more(&spec, object, &cues, played.cues) {
        panic!("at rest, but more came than the answer");
    }
    if played.outcome != Ok(Verdict::Clean) {
        return;
    }
    if played.was_not_sent_all {
        panic!("clean, but the scanner was not sent all of the file");
    }
    if played.ended || scanner.endpoint().is_none() {
        return;
    }
    let bytewise: Vec<Cue<'_>> = cues.iter().flat_map(Cue::bytewise).collect();
    if play(&spec, object, &bytewise).outcome != Ok(Verdict::Clean) {
        panic!("clean, but not when the same bytes come one by one");
    }
    let cut = cut_short(&spec, object, bytewise);
    if play(&spec, object, &cut).outcome == Ok(Verdict::Clean) {
        panic!("clean, although the answer was cut off");
    }
}

/// An input that plays what the scanner and the network do in a recording. `None` if it has no dialogue, or is of
/// another address than those that are tried.
pub fn seed(recording: &Recording) -> Option<Vec<u8>> {
    let spec = recording.scanner.as_str();
    let scheme = spec.split(':').next()?;
    let takes = parse_scanner(spec).ok()?.takes();
    let address = addresses(scheme).iter().position(|address| {
        if scheme == "command" {
            return spec == format!("command:{address}");
        }
        let scanner = parse_scanner(&format!("{scheme}:{address}"));
        scanner.is_ok_and(|scanner| scanner.takes() == takes) && address.contains('@') == spec.contains('@')
    })?;
    let is_like_it = |file: &Object<'_>| (file.size, file.series) == (recording.size, recording.series);
    let file = FILES.iter().position(is_like_it);
    let file = file.or_else(|| FILES.iter().position(|file| file.series == recording.series)).unwrap_or(0);
    let mut input = vec![u8::try_from(file).ok()?, u8::try_from(address).ok()?];
    for event in &recording.events {
        match event {
            Event::Server(bytes) => {
                for piece in bytes.chunks(255) {
                    input.extend([0, u8::try_from(piece.len()).ok()?]);
                    input.extend(piece);
                }
            }
            Event::ServerEnd => input.extend([4, 0]),
            Event::Exit(Exit::Code(code)) => input.extend([4, 1, *code]),
            // All cues are over then.
            Event::Exit(Exit::Signal(_)) => {}
            Event::ClientContentCut(_) => input.extend([5, 0]),
            Event::Client(_) | Event::ClientWithDescriptor(_) | Event::ClientContent(_) | Event::Run(_) => {}
        }
    }
    (!recording.events.is_empty()).then_some(input)
}

fn parse_scanner(spec: &str) -> Result<Box<dyn Scanner>, SpecError> {
    crate::registry::parse_scanner(spec, &CommandOptions::default())
}

/// Where the scanner may listen, as far as that makes a difference.
fn addresses(scheme: &str) -> Vec<&'static str> {
    let usual =
        SCANNERS.iter().find(|scanner| scanner.scheme == scheme).map(|scanner| scanner.default_address);
    if scheme == "command" {
        return PRESETS.iter().map(|preset| preset.name).collect();
    }
    usual.into_iter().chain(["/run/scanner", "tcp:127.0.0.1:9", "7@/run/scanner"]).collect()
}

/// What happens next.
#[derive(Clone, Copy)]
struct Cue<'a> {
    kind: Kind,
    bytes: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Received,
    End,
    SendFailed,
    FileEnded,
    Interrupted,
}

impl<'a> Cue<'a> {
    /// The same in cues of one byte each.
    fn bytewise(&self) -> Vec<Cue<'a>> {
        match self.kind {
            Kind::Received | Kind::Interrupted => {
                self.bytes.chunks(1).map(|bytes| Cue { kind: self.kind, bytes }).collect()
            }
            Kind::End | Kind::SendFailed | Kind::FileEnded => vec![*self],
        }
    }
}

fn read_input<'a>(scheme: &str, input: &'a [u8]) -> Option<(String, &'static Object<'static>, Vec<Cue<'a>>)> {
    let [file, address, rest @ ..] = input else { return None };
    let mut rest = rest;
    let addresses = addresses(scheme);
    let address = addresses.get(usize::from(*address) % addresses.len())?;
    let spec = format!("{scheme}:{address}");
    parse_scanner(&spec).ok()?;
    let object = FILES.get(usize::from(*file) % FILES.len())?;
    let mut cues = Vec::new();
    while let [kind, length, tail @ ..] = rest {
        let (bytes, tail) = tail.split_at_checked(usize::from(*length)).unwrap_or((tail, &[]));
        let kind = match kind % 8 {
            0..=3 => Kind::Received,
            4 => Kind::End,
            5 => Kind::SendFailed,
            6 => Kind::FileEnded,
            _ => Kind::Interrupted,
        };
        // Nothing is never told.
        if !bytes.is_empty() || !matches!(kind, Kind::Received | Kind::Interrupted) {
            cues.push(Cue { kind, bytes });
        }
        rest = tail;
    }
    Some((spec, object, cues))
}

/// How a dialogue went.
struct Played {
    outcome: Outcome,
    /// How many cues were used.
    cues: usize,
    /// Whether the connection may serve another scan.
    is_at_rest: bool,
    /// Whether the scanner answered for a file, or a request, of which it was not sent everything, or was a program that
    /// was killed.
    was_not_sent_all: bool,
    /// Whether the end of the connection was told.
    ended: bool,
}

/// Each time with a scanner of its own, which remembers nothing of the times before.
#[expect(clippy::panic, clippy::expect_used, reason = "that is how a fuzzer is told")]
fn play(spec: &str, object: &Object<'_>, cues: &[Cue<'_>]) -> Played {
    let scanner = parse_scanner(spec).expect("it was read before");
    let mut stage = Stage { cues, used: 0, was_not_sent_all: false, is_sending: false, ended: false };
    let mut step = scanner.begin(object);
    let mut patience = PATIENCE;
    loop {
        let (ask, dialogue) = match step {
            Step::Done(outcome) => return stage.end(outcome, false),
            Step::Rest(verdict) => return stage.end(Ok(verdict), true),
            Step::Run(_, judge) => {
                let (exit, output) = stage.run();
                step = Step::Done(judge(exit, &output));
                continue;
            }
            Step::Ask(ask, dialogue) => (ask, dialogue),
        };
        if stage.ended {
            panic!("asks for {ask:?} after the end of the connection");
        }
        let used = stage.used;
        step = stage.answer(&ask, dialogue);
        patience = if stage.used > used { PATIENCE } else { patience - 1 };
        if patience == 0 {
            panic!("asks and asks, at last for {ask:?}");
        }
    }
}

/// The scanner and the network.
struct Stage<'a> {
    cues: &'a [Cue<'a>],
    used: usize,
    was_not_sent_all: bool,
    is_sending: bool,
    ended: bool,
}

impl<'a> Stage<'a> {
    fn end(&self, outcome: Outcome, is_at_rest: bool) -> Played {
        let was_not_sent_all = self.was_not_sent_all || self.is_sending;
        Played { outcome, cues: self.used, is_at_rest, was_not_sent_all, ended: self.ended }
    }

    fn answer(&mut self, ask: &Ask, dialogue: Box<dyn Dialogue>) -> Step {
        self.is_sending = false;
        match ask {
            Ask::Write(_) | Ask::PassDescriptor(_) => match self.take(&[Kind::SendFailed]) {
                Some(_) => self.lose(dialogue, News::SendFailed),
                None => dialogue.told(News::Sent),
            },
            Ask::Stream { .. } | Ask::Resume => {
                match self.take(&[Kind::SendFailed, Kind::FileEnded, Kind::Interrupted]) {
                    None => dialogue.told(News::Sent),
                    Some(Cue { kind: Kind::Interrupted, bytes }) => {
                        self.is_sending = true;
                        dialogue.told(News::Received(bytes))
                    }
                    Some(Cue { kind: Kind::FileEnded, .. }) => self.lose(dialogue, News::FileEnded(0)),
                    Some(Cue { kind: Kind::SendFailed | Kind::Received | Kind::End, .. }) => {
                        self.lose(dialogue, News::SendFailed)
                    }
                }
            }
            Ask::Read => match self.take(&[Kind::Received]) {
                Some(cue) => dialogue.told(News::Received(cue.bytes)),
                None => {
                    self.used = self.cues.len();
                    self.ended = true;
                    dialogue.told(News::EndOfStream)
                }
            },
        }
    }

    /// How a program ends, and what it wrote. It is killed if nothing else is said.
    fn run(&mut self) -> (Exit, Vec<u8>) {
        let mut output = Vec::new();
        while let Some(cue) = self.take(&[Kind::Received]) {
            output.extend_from_slice(cue.bytes);
        }
        let code = self.take(&[Kind::End]).and_then(|cue| cue.bytes.first());
        self.was_not_sent_all = code.is_none();
        self.ended = true;
        (code.map_or(Exit::Signal(9), |code| Exit::Code(*code)), output)
    }

    fn lose(&mut self, dialogue: Box<dyn Dialogue>, news: News<'_>) -> Step {
        self.was_not_sent_all = true;
        dialogue.told(news)
    }

    /// The next cue, if it is of these kinds.
    fn take(&mut self, kinds: &[Kind]) -> Option<Cue<'a>> {
        let cue = self.cues.get(self.used).filter(|cue| kinds.contains(&cue.kind))?;
        self.used += 1;
        Some(*cue)
    }
}

/// Whether the dialogue still leaves its connection to others when something comes behind the answer, in one piece with it.
fn is_at_rest_with_more(spec: &str, object: &Object<'_>, cues: &[Cue<'_>], used: usize) -> bool {
    let Some((last, before)) = cues.get(..used).and_then(<[_]>::split_last) else { return false };
    let more = [last.bytes, b"x"].concat();
    let cues: Vec<_> = before.iter().copied().chain([Cue { kind: last.kind, bytes: &more }]).collect();
    play(spec, object, &cues).is_at_rest
}

/// The cues up to the one that made the dialogue call the file clean, less what may follow the last word and one byte
/// of that.
fn cut_short<'a>(spec: &str, object: &Object<'_>, mut bytewise: Vec<Cue<'a>>) -> Vec<Cue<'a>> {
    bytewise.truncate(play(spec, object, &bytewise).cues);
    let ends_words = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    while bytewise.pop_if(|cue| cue.bytes.iter().all(ends_words)).is_some() {}
    bytewise.pop();
    bytewise
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::recordings;
    use crate::transcript::Ending;

    /// Inputs that are tried of each scanner; a fuzzer tries millions.
    const TRIES: usize = 3_000;

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
        }

        /// A recording with a few things changed, one or two of them for those of another.
        fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
            let mut input = seeds[self.below(seeds.len())].clone();
            for _ in 0..=self.below(4) {
                let at = self.below(input.len());
                match self.below(6) {
                    0 => input[at] = u8::try_from(self.below(256)).unwrap(),
                    1 => input[at] ^= 1 << self.below(8),
                    2 if input.len() > 2 => drop(input.remove(at)),
                    2 | 3 => input.truncate(at + 1),
                    4 => input.insert(at, b"\0\n\r 019:+-"[self.below(10)]),
                    _ => {
                        let other = &seeds[self.below(seeds.len())];
                        let from = self.below(other.len());
                        input.splice(at.., other[from..].iter().copied());
                    }
                }
            }
            input
        }
    }

    fn seeds(scheme: &str) -> Vec<Vec<u8>> {
        recordings(scheme).iter().filter_map(seed).collect()
    }

    #[test]
    fn what_is_near_a_recording_keeps_every_promise() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for scanner in SCANNERS {
            let seeds = seeds(scanner.scheme);
            for _ in 0..TRIES {
                let input = if seeds.is_empty() { vec![0, 0] } else { random.mutate(&seeds) };
                let result = std::panic::catch_unwind(|| dialogue(scanner.scheme, &input));
                assert!(result.is_ok(), "{}: {}", scanner.scheme, input.escape_ascii());
            }
        }
    }

    #[test]
    fn seeds_play_their_recordings() {
        for scanner in SCANNERS {
            let mut clean = 0;
            for recording in recordings(scanner.scheme) {
                let Some(input) = seed(&recording) else { continue };
                dialogue(scanner.scheme, &input);
                let (spec, object, cues) = read_input(scanner.scheme, &input).unwrap();
                let ending = Ending::from(&play(&spec, object, &cues).outcome);
                let is_same_file = (object.size, object.series) == (recording.size, recording.series);
                assert!(ending == recording.ending || !is_same_file, "[{}] {ending:?}", recording.title);
                clean += usize::from(ending == Ending::Clean);
            }
            assert!(clean > 0 || scanner.scheme == "dummy", "{} is never clean", scanner.scheme);
        }
    }

    #[test]
    fn every_scanner_has_its_fuzz_target() {
        let fuzz = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz");
        let manifest = std::fs::read_to_string(format!("{fuzz}/Cargo.toml")).unwrap();
        for scanner in SCANNERS {
            let scheme = scanner.scheme;
            let target = format!("fuzz_targets/{scheme}.rs");
            let text = std::fs::read_to_string(format!("{fuzz}/{target}"))
                .unwrap_or_else(|error| panic!("fuzz/{target}: {error}"));
            assert!(text.contains(&format!("dialogue(\"{scheme}\", ")), "fuzz/{target}: {text}");
            assert!(manifest.contains(&format!("name = \"{scheme}\"")), "{scheme} is not in fuzz/Cargo.toml");
        }
    }
}
