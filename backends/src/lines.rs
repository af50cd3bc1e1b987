//! Conversations in lines: the scanner greets, is told what is wanted, and answers with one or several lines.
//!
//! What all such protocols have in common is here: a threat counts wherever it is said, and `clean` counts only when
//! all of the request was sent and nothing that nobody asked for came with it.

use std::borrow::Cow;

use crate::dialogue::{Ask, Dialogue, Framing, News, Outcome, Step};
use crate::verdict::{Fault, MinorError, MinorErrorKind, ThreatName, Verdict};
use crate::wire::{LineReader, quoted, shrank};

/// One scanner's protocol: what it makes of each line, without the line's end.
pub(crate) trait Protocol: Send + Sized + 'static {
    /// The threat that a line reports, wherever it stands; also of the last line of a connection that was cut off.
    fn threat(&self, line: &[u8]) -> Option<ThreatName>;

    /// What any other line means at this point.
    fn heard(&mut self, line: &[u8]) -> Turn;

    /// What it means that the scanner closed the connection behind a line; `None` is that it should not have.
    fn ended(&self) -> Option<Outcome> {
        None
    }
}

/// What comes after a line.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The scanner has more to say.
    Listen,
    /// It is our turn.
    Say(Cow<'static, [u8]>),
    /// Send the file, which has this many bytes, as it is.
    SendFile(u64),
    /// The conversation is over.
    Done(Outcome),
}

impl Turn {
    /// Over, because the line has no meaning here.
    pub(crate) fn garbled(line: &[u8]) -> Self {
        Self::Done(Err(Fault::Garbled(format!("{} was not expected", quoted(line)).into())))
    }

    /// Over, because the scanner is in trouble by its own words.
    pub(crate) fn trouble(line: &[u8]) -> Self {
        Self::Done(Err(Fault::Misbehaved(format!("it says {}", quoted(line)).into())))
    }

    /// Over, because the scanner cannot judge this file.
    pub(crate) fn minor(kind: MinorErrorKind, text: &[u8]) -> Self {
        Self::Done(Ok(Verdict::MinorError(MinorError::new(kind, text))))
    }

    /// Over: nothing was found.
    pub(crate) fn clean() -> Self {
        Self::Done(Ok(Verdict::Clean))
    }
}

/// Begins a conversation in which the scanner speaks first.
pub(crate) fn listen(protocol: impl Protocol) -> Step {
    Step::ask(Ask::Read, Box::new(Conversation::new(protocol, Stage::Listening)))
}

/// Begins a conversation with these bytes of ours.
pub(crate) fn say(bytes: impl Into<Cow<'static, [u8]>>, protocol: impl Protocol) -> Step {
    Step::ask(Ask::Write(bytes.into()), Box::new(Conversation::new(protocol, Stage::Speaking)))
}

/// Begins a conversation with these bytes of ours, at once followed by the file, which has so many bytes.
pub(crate) fn say_and_send_file(bytes: Vec<u8>, size: u64, protocol: impl Protocol) -> Step {
    let mut conversation = Conversation::new(protocol, Stage::Announcing(size));
    conversation.sent = Sent::Part;
    Step::ask(Ask::Write(bytes.into()), Box::new(conversation))
}

struct Conversation<P> {
    protocol: P,
    stage: Stage,
    sent: Sent,
    lines: LineReader,
}

/// What was asked of the driver last.
#[derive(Clone, Copy)]
enum Stage {
    Speaking,
    /// The words before the file, which has this many bytes.
    Announcing(u64),
    /// The file, which has this many bytes.
    SendingFile(u64),
    Listening,
}

/// Whether the scanner was given all that it was to be told so far.
#[derive(Clone, Copy)]
enum Sent {
    Part,
    All,
}

impl<P: Protocol> Dialogue for Conversation<P> {
    fn told(mut self: Box<Self>, news: News<'_>) -> Step {
        match (self.stage, news) {
            (Stage::Speaking | Stage::SendingFile(_), News::Sent) => {
                self.sent = Sent::All;
                self.go(Stage::Listening, Ask::Read)
            }
            (Stage::Announcing(size), News::Sent) => self.go(Stage::SendingFile(size), content(size)),
            // The scanner may have said why it stopped listening.
            (Stage::Speaking | Stage::Announcing(_) | Stage::SendingFile(_), News::SendFailed) => {
                self.sent = Sent::Part;
                self.go(Stage::Listening, Ask::Read)
            }
            (Stage::SendingFile(size), News::FileEnded(length)) => Step::Done(Err(shrank(size, length))),
            (Stage::SendingFile(_), News::Received(bytes)) => self.received(bytes, Ask::Resume),
            (Stage::Listening, News::Received(bytes)) => self.received(bytes, Ask::Read),
            (Stage::Listening, News::EndOfStream) => Step::Done(self.cut_off()),
            (_, news) => Step::out_of_turn(news),
        }
    }
}

impl<P: Protocol> Conversation<P> {
    fn new(protocol: P, stage: Stage) -> Self {
        Self { protocol, stage, sent: Sent::All, lines: LineReader::new(b"\n") }
    }

    fn go(mut self: Box<Self>, stage: Stage, ask: Ask) -> Step {
        self.stage = stage;
        Step::ask(ask, self)
    }

    fn received(mut self: Box<Self>, bytes: &[u8], unfinished: Ask) -> Step {
        if let Err(fault) = self.lines.push(bytes) {
            return Step::Done(Err(fault));
        }
        while let Some(line) = self.lines.take_line() {
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if let Some(name) = self.protocol.threat(line) {
                return Step::Done(Ok(Verdict::Infected(name)));
            }
            match self.protocol.heard(line) {
                Turn::Listen => {}
                Turn::Say(bytes) => return self.take_turn(Stage::Speaking, Ask::Write(bytes)),
                Turn::SendFile(size) => {
                    return self.take_turn(Stage::SendingFile(size), content(size));
                }
                Turn::Done(outcome) => return Step::Done(self.end(outcome)),
            }
        }
        Step::ask(unfinished, self)
    }

    /// Speaks, if the scanner has said all that it had to say.
    fn take_turn(mut self: Box<Self>, stage: Stage, ask: Ask) -> Step {
        if matches!(self.stage, Stage::SendingFile(_)) {
            return Step::Done(Err(Fault::Misbehaved(
                "it answered before it was sent the whole file".into(),
            )));
        }
        if matches!(self.sent, Sent::Part) {
            return Step::Done(Err(Fault::Transport("the scanner hung up on what it was told".into())));
        }
        if !self.lines.rest().is_empty() {
            let rest = quoted(self.lines.rest());
            return Step::Done(Err(Fault::Misbehaved(format!("it said more than was asked: {rest}").into())));
        }
        self.sent = Sent::Part;
        self.go(stage, ask)
    }

    /// The end of the conversation: with these last words, and whatever came behind them.
    fn end(&mut self, outcome: Outcome) -> Outcome {
        let mut further = Vec::new();
        while let Some(line) = self.lines.take_line() {
            further.push(line);
        }
        further.push(self.lines.rest().to_vec());
        if let Some(name) = further.iter().find_map(|line| self.protocol.threat(line)) {
            return Ok(Verdict::Infected(name));
        }
        if outcome != Ok(Verdict::Clean) {
            return outcome;
        }
        match further.iter().find(|line| !line.trim_ascii().is_empty()) {
            Some(line) => {
                Err(Fault::Misbehaved(format!("a second answer to one request: {}", quoted(line)).into()))
            }
            None => self.believe(outcome),
        }
    }

    /// `Clean` is worth something only after all of the request.
    fn believe(&self, outcome: Outcome) -> Outcome {
        match (self.sent, outcome) {
            (Sent::Part, Ok(Verdict::Clean)) => {
                Err(Fault::Misbehaved("it answered before it was sent the whole request".into()))
            }
            (Sent::Part | Sent::All, outcome) => outcome,
        }
    }

    fn cut_off(&self) -> Outcome {
        let rest = self.lines.rest();
        match self.protocol.threat(rest) {
            Some(name) => Ok(Verdict::Infected(name)),
            None if rest.is_empty() => self.protocol.ended().map_or_else(
                || {
                    Err(Fault::Transport(
                        "the scanner closed the connection without a complete answer".into(),
                    ))
                },
                |outcome| self.believe(outcome),
            ),
            None => Err(Fault::Transport(
                format!("the scanner closed the connection in the middle of its answer {}", quoted(rest))
                    .into(),
            )),
        }
    }
}

/// The whole file as it is.
fn content(size: u64) -> Ask {
    Ask::Stream { offset: 0, length: Some(size), framing: Framing::Raw }
}

/// What stands before the first of this byte, and what behind it; all and nothing when there is none.
pub(crate) fn split_once(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|&byte| byte == at).and_then(|position| text.split_at_checked(position)) {
        Some((before, from)) => (before, from.get(1..).unwrap_or_default()),
        None => (text, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Delivery, FILE, assert_blamed, play_turns};
    use crate::transcript::Blame;
    use crate::{fprot, fprotd, oav};

    fn outcome(step: Step) -> Outcome {
        let Step::Done(outcome) = step else { panic!("is done") };
        outcome
    }

    /// As far as the content is asked for.
    fn streaming() -> Box<dyn Dialogue> {
        let scanner = fprot::new("tcp:127.0.0.1:10200".parse().unwrap());
        let Step::Ask(Ask::Write(_), words) = scanner.begin(&FILE) else { panic!("asks to write") };
        let Step::Ask(Ask::Stream { .. }, content) = words.told(News::Sent) else { panic!("asks to stream") };
        content
    }

    #[test]
    fn refuses_clean_before_the_whole_file_was_sent() {
        let early = outcome(streaming().told(News::Received(b"0 <clean> file\n")));
        assert_blamed(Blame::Misbehaved, &early);
        let Step::Ask(Ask::Read, reply) = streaming().told(News::SendFailed) else { panic!("asks to read") };
        assert_blamed(Blame::Misbehaved, &outcome(reply.told(News::Received(b"0 <clean> file\n"))));
    }

    #[test]
    fn hears_a_threat_and_a_reason_while_it_sends() {
        let Step::Ask(Ask::Resume, content) = streaming().told(News::Received(b"1 <infected: ")) else {
            panic!("goes on sending")
        };
        let threat = outcome(content.told(News::Received(b"Test> file\n")));
        assert_eq!(threat, Ok(Verdict::Infected(ThreatName::new(b"Test"))));
        let reason = outcome(streaming().told(News::Received(b"8 <too large> file\n")));
        assert!(matches!(reason, Ok(Verdict::MinorError(_))), "{reason:?}");
    }

    #[test]
    fn a_hang_up_a_short_file_and_a_bug_are_told_apart() {
        let Step::Ask(Ask::Read, reply) = streaming().told(News::SendFailed) else { panic!("asks to read") };
        assert_blamed(Blame::Transport, &outcome(reply.told(News::EndOfStream)));
        assert_blamed(Blame::Caller, &outcome(streaming().told(News::FileEnded(2))));
        assert_blamed(Blame::Caller, &outcome(streaming().told(News::EndOfStream)));
    }

    #[test]
    fn an_end_is_an_answer_only_after_all_was_asked_and_said() {
        let scanner = fprotd::new("tcp:127.0.0.1:10200".parse().unwrap());
        let Step::Ask(_, asking) = scanner.begin(&FILE) else { panic!("asks to write") };
        let Step::Ask(Ask::Read, reply) = asking.told(News::SendFailed) else { panic!("asks to read") };
        let Step::Ask(Ask::Read, reply) = reply.told(News::Received(b"<summary>clean</summary>\n")) else {
            panic!("asks to read")
        };
        assert_blamed(Blame::Misbehaved, &outcome(reply.told(News::EndOfStream)));
    }

    #[test]
    fn no_threat_is_lost_behind_another_answer() {
        let scanner = oav::new("tcp:127.0.0.1:8127".parse().unwrap());
        let play = |reply: &[u8]| play_turns(&*scanner, &FILE, &[], reply, Delivery::Whole);
        for reply in ["OK\nFOUND: X\n", "OK\nFOUND: X", "ERROR\nFOUND: X\n", "OK\njunk\nFOUND: X\n"] {
            assert_eq!(play(reply.as_bytes()), Ok(Verdict::Infected(ThreatName::new(b"X"))), "{reply:?}");
        }
        for reply in ["OK\nOK\n", "OK\njunk", "OK\n x\n"] {
            assert_blamed(Blame::Misbehaved, &play(reply.as_bytes()));
        }
    }
}
