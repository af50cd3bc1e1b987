//! Plays the driver's part: recorded dialogues and made-up replies, delivered in whatever pieces.

use crate::command::CommandOptions;
use crate::dialogue::{Ask, Judge, News, Object, Outcome, Program, Scanner, Step};
use crate::registry::parse_scanner;
use crate::transcript::{self, Blame, Ending, Event, Recording};
use crate::verdict::{MinorErrorKind, Verdict};

/// A file to ask about.
pub(crate) const FILE: Object<'static> = Object::new(b"/share/letter.doc", 12);

/// In what pieces a run of the server's bytes arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delivery {
    /// In one.
    Whole,
    /// In two.
    SplitAt(usize),
    /// In pieces of this many bytes.
    Pieces(usize),
}

impl Delivery {
    fn pieces(self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let pieces: Vec<&[u8]> = match self {
            Self::Whole => vec![bytes],
            Self::SplitAt(at) => {
                bytes.split_at_checked(at).map_or(vec![bytes], |(head, tail)| vec![head, tail])
            }
            Self::Pieces(size) => bytes.chunks(size).collect(),
        };
        pieces.into_iter().filter(|piece| !piece.is_empty()).map(<[u8]>::to_vec).collect()
    }
}

/// The outcome for a reply after which the server closes; all that the dialogue sends is taken as sent.
pub(crate) fn play_reply(
    scanner: &dyn Scanner,
    object: &Object<'_>,
    reply: &[u8],
    delivery: Delivery,
) -> Outcome {
    play_turns(scanner, object, &[], reply, delivery)
}

/// The same for a server with more to say: `turns` are said one after the other, each when the dialogue has answered
/// the one before; then comes the reply, and the end.
pub(crate) fn play_turns(
    scanner: &dyn Scanner,
    object: &Object<'_>,
    turns: &[&[u8]],
    reply: &[u8],
    delivery: Delivery,
) -> Outcome {
    match last_step(scanner, object, turns, reply, delivery) {
        Step::Done(outcome) => outcome,
        Step::Rest(verdict) => Ok(verdict),
        Step::Ask(..) | Step::Run(..) => panic!("that is no end"),
    }
}

/// The end of such a dialogue, which also says whether the connection may serve another one.
pub(crate) fn last_step(
    scanner: &dyn Scanner,
    object: &Object<'_>,
    turns: &[&[u8]],
    reply: &[u8],
    delivery: Delivery,
) -> Step {
    let mut turns = turns.iter().map(|turn| delivery.pieces(turn)).chain([delivery.pieces(reply)]);
    let mut pieces = Vec::new().into_iter();
    let mut may_begin = true;
    let mut step = scanner.begin(object);
    loop {
        step = match step {
            end @ (Step::Done(_) | Step::Rest(_)) => return end,
            Step::Run(program, _) => panic!("no daemon, but {program:?}"),
            Step::Ask(
                Ask::Write(_) | Ask::PassDescriptor(_) | Ask::Stream { .. } | Ask::Resume,
                dialogue,
            ) => {
                may_begin = true;
                dialogue.told(News::Sent)
            }
            Step::Ask(Ask::Read, dialogue) => {
                if pieces.len() == 0 && std::mem::take(&mut may_begin) {
                    pieces = turns.next().unwrap_or_default().into_iter();
                }
                match pieces.next() {
                    Some(piece) => dialogue.told(News::Received(&piece)),
                    None => dialogue.told(News::EndOfStream),
                }
            }
        };
    }
}

/// The outcome of a reply, whole and split at every byte; all must come to the same.
pub(crate) fn judge_everywhere(scanner: &dyn Scanner, object: &Object<'_>, reply: &[u8]) -> Outcome {
    judge_turns_everywhere(scanner, object, &[], reply)
}

/// The same after these turns of the server.
pub(crate) fn judge_turns_everywhere(
    scanner: &dyn Scanner,
    object: &Object<'_>,
    turns: &[&[u8]],
    reply: &[u8],
) -> Outcome {
    let whole = play_turns(scanner, object, turns, reply, Delivery::Whole);
    let longest = turns.iter().chain([&reply]).map(|turn| turn.len()).max().unwrap_or(0);
    for delivery in (1..longest).map(Delivery::SplitAt).chain([Delivery::Pieces(1)]) {
        let outcome = play_turns(scanner, object, turns, reply, delivery);
        assert_eq!(outcome, whole, "{delivery:?} of {}", reply.escape_ascii());
    }
    whole
}

/// What every scanner owes whatever its protocol: an answer without an end, of noise or of nothing is no verdict, and
/// neither is a beginning of the answer that says `clean`.
pub(crate) fn assert_bounded_and_deaf_to_noise(scanner: &dyn Scanner, turns: &[&[u8]], clean: &[u8]) {
    assert_eq!(judge_turns_everywhere(scanner, &FILE, turns, clean), Ok(Verdict::Clean));
    for length in 0..clean.len().saturating_sub(1) {
        let cut = clean.get(..length).unwrap_or_default();
        let outcome = play_turns(scanner, &FILE, turns, cut, Delivery::Whole);
        assert!(outcome.is_err(), "cut off after {}: {outcome:?}", cut.escape_ascii());
    }
    let endless = vec![b'x'; 200_000];
    let noise: Vec<u8> = (0..=255).rev().collect();
    for reply in
        [endless.as_slice(), &noise, b"\n\n\n", b"\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"OK?\n"]
    {
        for delivery in [Delivery::Whole, Delivery::Pieces(4096)] {
            let outcome = play_turns(scanner, &FILE, turns, reply, delivery);
            assert!(outcome.is_err(), "{}: {outcome:?}", reply.get(..40).unwrap_or(reply).escape_ascii());
        }
    }
    // The same where a greeting should be.
    if !turns.is_empty() {
        for reply in [endless.as_slice(), &noise, b"", clean] {
            let outcome = play_turns(scanner, &FILE, &[], reply, Delivery::Pieces(4096));
            assert!(outcome.is_err(), "{outcome:?}");
        }
    }
}

/// How the scanner ends after these turns and this reply, split everywhere.
pub(crate) fn ending(scanner: &dyn Scanner, turns: &[&[u8]], reply: &[u8]) -> Ending {
    Ending::from(&judge_turns_everywhere(scanner, &FILE, turns, reply))
}

/// The ending of a threat of this name.
pub(crate) fn infected(name: &str) -> Ending {
    Ending::Infected(name.to_owned())
}

/// Claims that these paths are refused before anything is sent.
pub(crate) fn assert_refuses_paths(scanner: &dyn Scanner, paths: &[&[u8]]) {
    for path in paths {
        let Step::Done(outcome) = scanner.begin(&Object::new(path, 1)) else {
            panic!("asks the daemon about {}", path.escape_ascii())
        };
        assert_blamed(Blame::Caller, &outcome);
    }
}

/// Plays all recordings of a scheme, whole and split at every byte.
pub(crate) fn assert_recorded(scheme: &str) {
    for recording in recordings(scheme) {
        let longest =
            recording.events.iter().filter_map(Event::said_by_server).map(<[u8]>::len).max().unwrap_or(0);
        for delivery in
            [Delivery::Whole, Delivery::Pieces(1)].into_iter().chain((1..longest).map(Delivery::SplitAt))
        {
            let outcome = play(&recording, delivery);
            assert_eq!(
                Ending::from(&outcome),
                recording.ending,
                "[{}] {delivery:?}: {outcome:?}",
                recording.title
            );
        }
    }
}

/// The transcript of a scheme.
pub(crate) fn recordings(scheme: &str) -> Vec<Recording> {
    let path = format!("{}/transcripts/{scheme}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    transcript::parse(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Holds a dialogue to its recording: it must ask for exactly what the client did, in that order.
fn play(recording: &Recording, delivery: Delivery) -> Outcome {
    let scanner = parse_scanner(&recording.scanner, &CommandOptions::default()).unwrap();
    let mut events = recording.events.iter().flat_map(|event| in_pieces(event, delivery));
    let mut step = scanner.begin(&recording.object());
    loop {
        let (ask, dialogue) = match step {
            Step::Done(outcome) => return outcome,
            Step::Rest(verdict) => return Ok(verdict),
            Step::Run(program, judge) => return run(recording, &program, judge),
            Step::Ask(ask, dialogue) => (ask, dialogue),
        };
        let event = events.next();
        step = match (ask, event) {
            (Ask::Write(asked), Some(Event::Client(recorded))) => {
                assert_eq!(asked, recorded, "[{}]", recording.title);
                dialogue.told(News::Sent)
            }
            (Ask::PassDescriptor(asked), Some(Event::ClientWithDescriptor(recorded))) => {
                assert_eq!(asked, recorded, "[{}]", recording.title);
                dialogue.told(News::Sent)
            }
            (Ask::Stream { framing, .. }, Some(Event::ClientContent(recorded))) if framing == recorded => {
                dialogue.told(News::Sent)
            }
            (Ask::Stream { framing, .. }, Some(Event::ClientContentCut(recorded))) if framing == recorded => {
                dialogue.told(News::SendFailed)
            }
            (Ask::Read, Some(Event::Server(bytes))) => dialogue.told(News::Received(&bytes)),
            (Ask::Read, Some(Event::ServerEnd)) => dialogue.told(News::EndOfStream),
            (ask, event) => panic!("[{}] the dialogue asks {ask:?}, recorded is {event:?}", recording.title),
        };
    }
}

fn run(recording: &Recording, program: &Program, judge: Judge) -> Outcome {
    let [Event::Run(arguments), written @ .., Event::Exit(exit)] = recording.events.as_slice() else {
        panic!("[{}] is not about a program", recording.title)
    };
    let asked = program.arguments.join(&b' ');
    assert_eq!(
        asked.escape_ascii().to_string(),
        arguments.escape_ascii().to_string(),
        "[{}]",
        recording.title
    );
    judge(*exit, &written.iter().filter_map(Event::said_by_server).flatten().copied().collect::<Vec<_>>())
}

fn in_pieces(event: &Event, delivery: Delivery) -> Vec<Event> {
    match event.said_by_server() {
        Some(bytes) => delivery.pieces(bytes).into_iter().map(Event::Server).collect(),
        None => vec![event.clone()],
    }
}

/// Those of many replies made of these words at random that were called clean. At least one is, or the words are ill
/// chosen.
pub(crate) fn clean_replies_of_noise(scanner: &dyn Scanner, words: &[&str]) -> Vec<String> {
    clean_turns_of_noise(scanner, &[], words)
}

/// The same after these turns of the server.
pub(crate) fn clean_turns_of_noise(scanner: &dyn Scanner, turns: &[&[u8]], words: &[&str]) -> Vec<String> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap() % limit
    };
    let mut clean = Vec::new();
    for _ in 0..40_000 {
        let length = below(8);
        let reply: String = (0..length).map(|_| words[below(words.len())]).collect();
        let outcome = play_turns(scanner, &FILE, turns, reply.as_bytes(), Delivery::Whole);
        if outcome == Ok(Verdict::Clean) {
            clean.push(reply);
        }
    }
    assert!(!clean.is_empty(), "no reply at all was called clean");
    clean
}

/// Claims that an outcome is a fault, and whose.
pub(crate) fn assert_blamed(blame: Blame, outcome: &Outcome) {
    assert_eq!(Ending::from(outcome), Ending::Fault(blame), "{outcome:?}");
}

/// Whether an outcome is a minor error of this kind.
pub(crate) fn is_minor(kind: MinorErrorKind, outcome: &Outcome) -> bool {
    Ending::from(outcome) == Ending::MinorError(kind)
}
