//! One request and one reply that is judged as a whole: for protocols that are not made of lines.

use crate::dialogue::{Ask, Dialogue, Framing, News, Outcome, Step};
use crate::verdict::{Fault, Verdict};
use crate::wire::{MAX_REPLY, quoted, shrank};

/// What a reply that has come so far says: `None` while it is not complete. The connection's end is told, for
/// protocols in which it ends the reply.
pub(crate) type Judge = fn(&[u8], Connection) -> Option<Outcome>;

/// Whether more can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    Open,
    Ended,
}

/// Asks with these bytes.
pub(crate) fn ask(request: Vec<u8>, judge: Judge) -> Step {
    begin(request, None, judge)
}

/// Asks with these bytes and so many bytes of the file behind them.
pub(crate) fn ask_with_content(request: Vec<u8>, size: u64, judge: Judge) -> Step {
    begin(request, Some(size), judge)
}

fn begin(request: Vec<u8>, content: Option<u64>, judge: Judge) -> Step {
    let exchange = Exchange { stage: Stage::Request, content, sent: Sent::Part, reply: Vec::new(), judge };
    Step::ask(Ask::Write(request.into()), Box::new(exchange))
}

struct Exchange {
    stage: Stage,
    /// How much of the file follows the request.
    content: Option<u64>,
    sent: Sent,
    reply: Vec<u8>,
    judge: Judge,
}

/// What was asked of the driver last.
#[derive(Clone, Copy)]
enum Stage {
    Request,
    Content(u64),
    Reply,
}

#[derive(Clone, Copy)]
enum Sent {
    Part,
    All,
}

impl Dialogue for Exchange {
    fn told(mut self: Box<Self>, news: News<'_>) -> Step {
        match (self.stage, self.content, news) {
            (Stage::Request, Some(size), News::Sent) => {
                let ask = Ask::Stream { offset: 0, length: Some(size), framing: Framing::Raw };
                self.go(Stage::Content(size), ask)
            }
            (Stage::Request, None, News::Sent) | (Stage::Content(_), _, News::Sent) => {
                self.sent = Sent::All;
                self.go(Stage::Reply, Ask::Read)
            }
            // The scanner may have said why it stopped listening.
            (Stage::Request | Stage::Content(_), _, News::SendFailed) => self.go(Stage::Reply, Ask::Read),
            (Stage::Content(size), _, News::FileEnded(length)) => Step::Done(Err(shrank(size, length))),
            (Stage::Content(_), _, News::Received(bytes)) => self.received(bytes, Ask::Resume),
            (Stage::Reply, _, News::Received(bytes)) => self.received(bytes, Ask::Read),
            (Stage::Reply, _, News::EndOfStream) => Step::Done(self.ended()),
            (_, _, news) => Step::out_of_turn(news),
        }
    }
}

impl Exchange {
    fn go(mut self: Box<Self>, stage: Stage, ask: Ask) -> Step {
        self.stage = stage;
        Step::ask(ask, self)
    }

    fn received(mut self: Box<Self>, bytes: &[u8], unfinished: Ask) -> Step {
        if self.reply.len().saturating_add(bytes.len()) > MAX_REPLY {
            let text = format!("over {MAX_REPLY} bytes and no end, beginning with {}", quoted(&self.reply));
            return Step::Done(Err(Fault::Garbled(text.into())));
        }
        self.reply.extend_from_slice(bytes);
        match (self.judge)(&self.reply, Connection::Open) {
            Some(outcome) => Step::Done(self.believe(outcome)),
            None => Step::ask(unfinished, self),
        }
    }

    fn ended(&self) -> Outcome {
        match (self.judge)(&self.reply, Connection::Ended) {
            Some(outcome) => self.believe(outcome),
            None if self.reply.is_empty() => {
                Err(Fault::Transport("the scanner closed the connection without an answer".into()))
            }
            None => {
                let reply = quoted(&self.reply);
                let text = format!("the scanner closed the connection in the middle of its answer {reply}");
                Err(Fault::Transport(text.into()))
            }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kse;
    use crate::testing::{FILE, assert_blamed, is_minor};
    use crate::transcript::Blame;
    use crate::verdict::MinorErrorKind;

    fn outcome(step: Step) -> Outcome {
        let Step::Done(outcome) = step else { panic!("is done") };
        outcome
    }

    /// As far as the content is asked for.
    fn streaming() -> Box<dyn Dialogue> {
        let scanner = kse::new("tcp:127.0.0.1:9999").unwrap();
        let Step::Ask(Ask::Write(_), words) = scanner.begin(&FILE) else { panic!("asks to write") };
        let Step::Ask(Ask::Stream { .. }, content) = words.told(News::Sent) else { panic!("asks to stream") };
        content
    }

    const CLEAN: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nCLEAN";

    #[test]
    fn refuses_clean_before_the_whole_file_was_sent() {
        assert_blamed(Blame::Misbehaved, &outcome(streaming().told(News::Received(CLEAN))));
        let Step::Ask(Ask::Read, reply) = streaming().told(News::SendFailed) else { panic!("asks to read") };
        assert_blamed(Blame::Misbehaved, &outcome(reply.told(News::Received(CLEAN))));
    }

    #[test]
    fn hears_a_reason_while_it_sends() {
        let Step::Ask(Ask::Resume, content) = streaming().told(News::Received(b"HTTP/1.0 200 OK\r\n")) else {
            panic!("goes on sending")
        };
        let rest = b"Content-Length: 22\r\n\r\nNON_SCANNED (TOO LARGE";
        let reason = outcome(content.told(News::Received(rest)));
        assert!(is_minor(MinorErrorKind::OverScannerLimit, &reason), "{reason:?}");
    }

    #[test]
    fn a_hang_up_a_short_file_and_a_bug_are_told_apart() {
        let Step::Ask(Ask::Read, reply) = streaming().told(News::SendFailed) else { panic!("asks to read") };
        assert_blamed(Blame::Transport, &outcome(reply.told(News::EndOfStream)));
        assert_blamed(Blame::Caller, &outcome(streaming().told(News::FileEnded(2))));
        assert_blamed(Blame::Caller, &outcome(streaming().told(News::EndOfStream)));
    }
}
