//! ClamAV's clamd, one command per connection.
//!
//! On a unix socket the daemon is passed a descriptor (FILDES): it needs no right to the file and cannot be shown
//! another one. Over TCP it is sent the content (INSTREAM). Both commands take the `z` form, which is answered by one
//! line that ends with NUL. See clamd(8).
//!
//! clamd says `OK` of a file that exceeds its limits unless `AlertExceedsMax yes` stands in clamd.conf; a client
//! cannot tell that from a file that was scanned.

use std::borrow::Cow;

use crate::address::Endpoint;
use crate::dialogue::{Ask, Dialogue, Framing, News, Object, Outcome, Scanner, Step, Takes, VersionQuery};
use crate::verdict::{Fault, MinorError, MinorErrorKind, ThreatName, Verdict};
use crate::wire::{LineReader, judge_cut_off, judge_single_line, quoted, shrank, version_in_lines};

/// The command, and the one byte that the descriptor must ride on, in one message.
const FILDES: &[u8] = b"zFILDES\0\0";
const INSTREAM: &[u8] = b"zINSTREAM\0";
const VERSION: &[u8] = b"zVERSION\0";
const STATS: &[u8] = b"zSTATS\0";
/// A piece of length 0 ends the stream.
const END_OF_STREAM: &[u8] = &[0; 4];

/// clamd answers a `z` command with NUL, but complains of its own accord with a newline.
const TERMINATORS: &[u8] = b"\0\n";

/// clamd at this address.
pub fn new(endpoint: Endpoint) -> Box<dyn Scanner> {
    Box::new(ClamAv { endpoint })
}

struct ClamAv {
    endpoint: Endpoint,
}

impl Scanner for ClamAv {
    fn name(&self) -> &'static str {
        "clamav"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.endpoint)
    }

    fn takes(&self) -> Takes {
        match self.endpoint {
            Endpoint::Unix(_) => Takes::Descriptor,
            Endpoint::Tcp { .. } => Takes::Stream,
        }
    }

    fn begin(&self, object: &Object<'_>) -> Step {
        let (command, stage, ask) = match self.endpoint {
            Endpoint::Unix(_) => {
                (Command::Fildes, Stage::Descriptor, Ask::PassDescriptor(Cow::Borrowed(FILDES)))
            }
            Endpoint::Tcp { .. } => (Command::Instream, Stage::Command, Ask::Write(Cow::Borrowed(INSTREAM))),
        };
        let request = Request { command, size: object.size, sent: Sent::Part };
        Step::ask(ask, Box::new(Conversation { stage, request, reply: LineReader::new(TERMINATORS) }))
    }

    fn version_query(&self) -> Option<VersionQuery> {
        Some(VersionQuery { request: VERSION.to_vec(), answer: version_told })
    }

    fn load_query(&self) -> Option<VersionQuery> {
        Some(VersionQuery { request: STATS.to_vec(), answer: load_told })
    }
}

/// `ClamAV <program>/<number of the daily signatures>/<their date>`. Signatures from elsewhere do not show in it.
fn version_told(received: &[u8]) -> Option<Result<String, Fault>> {
    version_in_lines(received, 0, |line| {
        Some(if line.starts_with(b"ClamAV ") { Ok(line) } else { Err(garbled(line)) })
    })
}

/// Of several lines: `THREADS: live <n>  idle <n> max <n> ...`, and `QUEUE: <n> items`.
fn load_told(received: &[u8]) -> Option<Result<String, Fault>> {
    let text = received.strip_suffix(b"\0")?;
    let text = String::from_utf8_lossy(text);
    let number_after = |line: &str, word: &str| {
        let mut words = text.lines().find(|found| found.starts_with(line))?.split_whitespace();
        words.find(|found| *found == word)?;
        words.next()?.parse::<u32>().ok()
    };
    let numbers = || {
        let (live, idle) = (number_after("THREADS:", "live")?, number_after("THREADS:", "idle")?);
        Some((live.saturating_sub(idle), number_after("THREADS:", "max")?, number_after("QUEUE:", "QUEUE:")?))
    };
    Some(match numbers() {
        Some((busy, most, waiting)) => Ok(format!("{busy} of {most} threads busy, {waiting} waiting")),
        None => Err(garbled(text.lines().next().unwrap_or_default().as_bytes())),
    })
}

/// What was asked for, as far as it matters for the meaning of the answer.
#[derive(Clone, Copy)]
struct Request {
    command: Command,
    size: u64,
    sent: Sent,
}

#[derive(Clone, Copy)]
enum Command {
    Fildes,
    Instream,
}

/// How much of the request the daemon was given. `OK` is worth something only after all of it.
#[derive(Clone, Copy)]
enum Sent {
    Part,
    All,
}

struct Conversation {
    stage: Stage,
    request: Request,
    reply: LineReader,
}

/// What was asked of the driver last.
#[derive(Clone, Copy)]
enum Stage {
    Descriptor,
    Command,
    Content,
    EndOfStream,
    Reply,
}

impl Dialogue for Conversation {
    fn told(mut self: Box<Self>, news: News<'_>) -> Step {
        match (self.stage, news) {
            (Stage::Command, News::Sent) => {
                let length = Some(self.request.size);
                self.go(Stage::Content, Ask::Stream { offset: 0, length, framing: Framing::LengthPrefixed })
            }
            (Stage::Content, News::Sent) => {
                self.go(Stage::EndOfStream, Ask::Write(Cow::Borrowed(END_OF_STREAM)))
            }
            (Stage::Descriptor | Stage::EndOfStream, News::Sent) => {
                self.request.sent = Sent::All;
                self.go(Stage::Reply, Ask::Read)
            }
            // clamd says why it stopped listening ("size limit exceeded") before it hangs up.
            (Stage::Descriptor | Stage::Command | Stage::Content | Stage::EndOfStream, News::SendFailed) => {
                self.go(Stage::Reply, Ask::Read)
            }
            (Stage::Content, News::FileEnded(length)) => Step::Done(Err(shrank(self.request.size, length))),
            (Stage::Content, News::Received(bytes)) => self.received(bytes, Ask::Resume),
            (Stage::Reply, News::Received(bytes)) => self.received(bytes, Ask::Read),
            (Stage::Reply, News::EndOfStream) => Step::Done(self.cut_off()),
            (_, news) => Step::out_of_turn(news),
        }
    }
}

impl Conversation {
    fn go(mut self: Box<Self>, stage: Stage, ask: Ask) -> Step {
        self.stage = stage;
        Step::ask(ask, self)
    }

    fn received(mut self: Box<Self>, bytes: &[u8], unfinished: Ask) -> Step {
        if let Err(fault) = self.reply.push(bytes) {
            return Step::Done(Err(fault));
        }
        let request = self.request;
        match judge_single_line(&mut self.reply, |line| judge(line, request)) {
            Some(outcome) => Step::Done(outcome),
            None => Step::ask(unfinished, self),
        }
    }

    fn cut_off(&self) -> Outcome {
        match (self.request.command, self.request.sent) {
            (Command::Instream, Sent::Part) if self.reply.rest().is_empty() => Err(Fault::Transport(
                "clamd hung up while it was sent the file, without saying why (StreamMaxLength in clamd.conf?)".into(),
            )),
            (Command::Fildes | Command::Instream, Sent::Part | Sent::All) => {
                judge_cut_off(&self.reply, |line| judge(line, self.request))
            }
        }
    }
}

/// Errors that are not about this file: the daemon is in trouble, or it did not get what we meant to send.
const DAEMON_TROUBLE: [&[u8]; 10] = [
    b"No file descriptor received",
    b"PROTOCOL ERROR",
    b"Error processing command",
    b"UNKNOWN COMMAND",
    b"COMMAND UNAVAILABLE",
    b"COMMAND READ TIMED OUT",
    b"temporary file",
    b"temporary directory",
    b"Can't write to file",
    b"Can't allocate memory",
];

/// Errors that say that the file exceeds what the daemon is willing to look at.
const LIMITS: [&[u8]; 3] = [b"size limit exceeded", b"Time limit reached", b"CL_EMAX"];

/// What one line of clamd says. Lines are read from their end, where the verdict is.
fn judge(line: &[u8], request: Request) -> Outcome {
    let Some(about_file) = after_label(line, request.command) else { return judge_unlabelled(line) };
    if let Some(name) = about_file.strip_suffix(b" FOUND") {
        return Ok(threat(name));
    }
    if let Some(text) = about_file.strip_suffix(b" ERROR") {
        return judge_error(text);
    }
    match (about_file, request.sent) {
        (b"OK", Sent::All) => Ok(Verdict::Clean),
        (b"OK", Sent::Part) => {
            Err(Fault::Misbehaved("clamd said OK before it was sent the whole file".into()))
        }
        // Only worth its name when the file is: otherwise clamd did not look at the file that was meant.
        (b"Empty file", Sent::All) if request.size == 0 => Ok(Verdict::Clean),
        (b"Empty file" | b"Excluded", _) => {
            Ok(Verdict::MinorError(MinorError::new(MinorErrorKind::NotScannable, about_file)))
        }
        _ => Err(garbled(line)),
    }
}

/// What follows the label of an answer about the file: `fd[<number>]: ` or `stream: `.
fn after_label(line: &[u8], command: Command) -> Option<&[u8]> {
    match command {
        Command::Instream => line.strip_prefix(b"stream: "),
        Command::Fildes => skip_digits(line.strip_prefix(b"fd[")?)?.strip_prefix(b"]: "),
    }
}

/// An answer that names no file.
fn judge_unlabelled(line: &[u8]) -> Outcome {
    if skip_digits(line).is_some_and(|rest| rest.starts_with(b": ")) {
        let text = format!("{} answers another request, in a session that nobody opened", quoted(line));
        return Err(Fault::Misbehaved(text.into()));
    }
    if line == b"INSTREAM size limit exceeded. ERROR" || contains_any(line, &DAEMON_TROUBLE) {
        return judge_error(line.strip_suffix(b" ERROR").unwrap_or(line));
    }
    Err(garbled(line))
}

fn judge_error(text: &[u8]) -> Outcome {
    if contains_any(text, &DAEMON_TROUBLE) {
        return Err(Fault::Misbehaved(format!("clamd says {}", quoted(text)).into()));
    }
    let kind = if contains_any(text, &LIMITS) {
        MinorErrorKind::OverScannerLimit
    } else {
        MinorErrorKind::NotScannable
    };
    Ok(Verdict::MinorError(MinorError::new(kind, text)))
}

/// clamd reports as "found" also what kept it from looking.
pub(crate) fn threat(name: &[u8]) -> Verdict {
    let name = without_details(name);
    if name.starts_with(b"Heuristics.Limits.Exceeded") {
        return Verdict::MinorError(MinorError::new(MinorErrorKind::OverScannerLimit, name));
    }
    if name.starts_with(b"Heuristics.Encrypted.") {
        return Verdict::MinorError(MinorError::new(MinorErrorKind::Encrypted, name));
    }
    Verdict::Infected(ThreatName::new(name))
}

/// Old daemons with ExtendedDetectionInfo add `(<MD5 in hexadecimal>:<size>)` to a name.
fn without_details(name: &[u8]) -> &[u8] {
    let details = || {
        let open = name.iter().rposition(|&byte| byte == b'(')?;
        let (name, details) = name.split_at_checked(open)?;
        let inner = details.strip_prefix(b"(")?.strip_suffix(b")")?;
        let colon = inner.iter().position(|&byte| byte == b':')?;
        let (hash, size) = inner.split_at_checked(colon)?;
        let is_hash = !hash.is_empty() && hash.iter().all(u8::is_ascii_hexdigit);
        let is_size = skip_digits(size.strip_prefix(b":")?)?.is_empty();
        (is_hash && is_size).then_some(name)
    };
    details().unwrap_or(name)
}

/// What follows one or more digits.
fn skip_digits(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 { None } else { text.get(digits..) }
}

fn contains_any(text: &[u8], phrases: &[&[u8]]) -> bool {
    phrases.iter().any(|phrase| text.windows(phrase.len()).any(|window| window == *phrase))
}

fn garbled(line: &[u8]) -> Fault {
    Fault::Garbled(format!("{} is not what clamd says; is it clamd that listens there?", quoted(line)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Delivery, FILE, assert_blamed, assert_recorded, clean_replies_of_noise, is_minor, judge_everywhere,
        play_reply,
    };
    use crate::transcript::Blame;

    fn over_unix() -> Box<dyn Scanner> {
        new("/run/clamav/clamd.ctl".parse().unwrap())
    }

    fn over_tcp() -> Box<dyn Scanner> {
        new("tcp:127.0.0.1:3310".parse().unwrap())
    }

    fn fildes(reply: &[u8]) -> Outcome {
        judge_everywhere(&*over_unix(), &FILE, reply)
    }

    fn instream(reply: &[u8]) -> Outcome {
        judge_everywhere(&*over_tcp(), &FILE, reply)
    }

    fn infected(name: &str) -> Outcome {
        Ok(Verdict::Infected(ThreatName::new(name.as_bytes())))
    }

    #[test]
    fn tells_how_much_it_has_to_do() {
        let told = b"POOLS: 1\n\nSTATE: VALID PRIMARY\nTHREADS: live 3  idle 1 max 12 idle-timeout 30\n\
                     QUEUE: 5 items\n\tSTATS 0.000\n\nEND\0";
        assert_eq!(load_told(told), Some(Ok("2 of 12 threads busy, 5 waiting".to_owned())));
        assert_eq!(load_told(&told[..told.len() - 1]), None, "there may be more");
        assert!(matches!(load_told(b"UNKNOWN COMMAND\0"), Some(Err(Fault::Garbled(_)))));
    }

    #[test]
    fn recorded_dialogues_come_to_their_verdicts() {
        assert_recorded("clamav");
    }

    #[test]
    fn accepts_ok_for_exactly_the_request_that_was_made() {
        assert_eq!(fildes(b"fd[0]: OK\0"), Ok(Verdict::Clean));
        assert_eq!(fildes(b"fd[1234567]: OK\0"), Ok(Verdict::Clean));
        assert_eq!(instream(b"stream: OK\0"), Ok(Verdict::Clean));
    }

    #[test]
    fn refuses_every_other_word_and_label() {
        let labels =
            "OK|: OK|x: OK|fd: OK|fd[]: OK|fd[x]: OK|fd[-1]: OK|fd[12] OK|fd[12]:OK| fd[12]: OK|stream: OK";
        let words =
            "fd[12]: ok|fd[12]: OK |fd[12]:  OK|fd[12]: |fd[12]: KO|fd[12]: FOUND|fd[12]: OK\r|fd[1]: a: OK";
        let others = "PONG|HTTP/1.1 400 Bad Request\r|| |/share/x: OK: OK";
        for reply in [labels, words, others].iter().flat_map(|replies| replies.split('|')) {
            assert_blamed(Blame::Garbled, &fildes(format!("{reply}\0").as_bytes()));
        }
        for reply in ["OK", "fd[12]: OK", "stream:OK", "Stream: OK", "stream: OK stream: OK", "instream: OK"]
        {
            assert_blamed(Blame::Garbled, &instream(format!("{reply}\0").as_bytes()));
        }
    }

    #[test]
    fn takes_all_before_found_for_the_name() {
        assert_eq!(fildes(b"fd[12]: Win.Test-1 FOUND\0"), infected("Win.Test-1"));
        assert_eq!(instream(b"stream: {HEX}a: OK FOUND FOUND\0"), infected("{HEX}a: OK FOUND"));
        assert_eq!(instream(b"stream:  FOUND\0"), infected("unknown"));
    }

    #[test]
    fn strips_the_details_of_old_daemons_and_nothing_else() {
        assert_eq!(instream(b"stream: X(44d88612fea8a8f36de82e1278abb02f:68) FOUND\0"), infected("X"));
        for name in ["X(44d8)", "X(:68)", "X(44d8:)", "X(zz:68)", "X(44d8:68", "X(44d8:6 8)"] {
            assert_eq!(instream(format!("stream: {name} FOUND\0").as_bytes()), infected(name));
        }
    }

    #[test]
    fn what_kept_clamd_from_looking_is_a_minor_error() {
        for (answer, kind) in [
            ("Heuristics.Limits.Exceeded.MaxScanSize FOUND", MinorErrorKind::OverScannerLimit),
            ("Heuristics.Limits.Exceeded FOUND", MinorErrorKind::OverScannerLimit),
            ("Heuristics.Encrypted.PDF FOUND", MinorErrorKind::Encrypted),
            ("CL_ETIMEOUT: Time limit reached ERROR", MinorErrorKind::OverScannerLimit),
            ("Not a regular file ERROR", MinorErrorKind::NotScannable),
            ("Can't open file or directory ERROR", MinorErrorKind::NotScannable),
            ("Excluded", MinorErrorKind::NotScannable),
            ("Empty file", MinorErrorKind::NotScannable),
        ] {
            assert!(is_minor(kind, &fildes(format!("fd[9]: {answer}\0").as_bytes())), "{answer}");
        }
        assert_eq!(
            instream(b"stream: Heuristics.OLE2.ContainsMacros.VBA FOUND\0"),
            infected("Heuristics.OLE2.ContainsMacros.VBA")
        );
    }

    #[test]
    fn an_empty_file_is_clean_only_if_it_is_empty() {
        let empty = Object { size: 0, ..FILE };
        assert_eq!(judge_everywhere(&*over_unix(), &empty, b"fd[9]: Empty file\0"), Ok(Verdict::Clean));
        assert!(is_minor(MinorErrorKind::NotScannable, &fildes(b"fd[9]: Empty file\0")));
    }

    #[test]
    fn the_daemons_own_trouble_is_not_the_files() {
        for reply in [
            "No file descriptor received. ERROR\0",
            "PROTOCOL ERROR: ancillary data sent without FILDES. ERROR\0Error processing command. ERROR\0",
            "Error processing command. ERROR\0fd[11]: OK\0",
            "UNKNOWN COMMAND\0",
            "COMMAND UNAVAILABLE\0",
            "COMMAND READ TIMED OUT\n",
            "Error writing to temporary file. ERROR\0",
            "fd[11]: Can't create temporary file ERROR\0",
            "fd[11]: Can't allocate memory ERROR\0",
            "3: fd[12]: OK\0",
            "1: PONG\0",
        ] {
            assert_blamed(
                Blame::Misbehaved,
                &play_reply(&*over_unix(), &FILE, reply.as_bytes(), Delivery::Whole),
            );
        }
    }

    #[test]
    fn no_threat_is_lost_behind_another_answer() {
        for reply in ["stream: OK\0stream: X FOUND\0", "Error processing command. ERROR\0stream: X FOUND\0"] {
            assert_eq!(play_reply(&*over_tcp(), &FILE, reply.as_bytes(), Delivery::Whole), infected("X"));
        }
        let two = play_reply(&*over_tcp(), &FILE, b"stream: OK\0stream: OK\0", Delivery::Whole);
        assert_blamed(Blame::Misbehaved, &two);
    }

    #[test]
    fn refuses_a_reply_that_was_cut_off_anywhere() {
        let reply = b"stream: OK\0";
        for length in 0..reply.len() {
            assert_blamed(Blame::Transport, &instream(&reply[..length]));
        }
        assert_eq!(instream(b"stream: X FOUND"), infected("X"));
    }

    #[test]
    fn refuses_a_reply_without_end() {
        assert_blamed(
            Blame::Garbled,
            &play_reply(&*over_unix(), &FILE, &[b'f'; 70_000], Delivery::Pieces(4096)),
        );
    }

    /// Begins INSTREAM and goes as far as the stream of the content.
    fn streaming() -> Box<dyn Dialogue> {
        let Step::Ask(_, command) = over_tcp().begin(&FILE) else { panic!("asks to write") };
        let Step::Ask(Ask::Stream { .. }, content) = command.told(News::Sent) else {
            panic!("asks to stream")
        };
        content
    }

    fn outcome(step: Step) -> Outcome {
        let Step::Done(outcome) = step else { panic!("is done") };
        outcome
    }

    #[test]
    fn reads_the_reason_after_sending_failed() {
        let Step::Ask(Ask::Read, reply) = streaming().told(News::SendFailed) else { panic!("asks to read") };
        let step = reply.told(News::Received(b"INSTREAM size limit exceeded. ERROR\0"));
        assert!(is_minor(MinorErrorKind::OverScannerLimit, &outcome(step)));
    }

    #[test]
    fn refuses_ok_for_a_file_that_was_not_sent_whole() {
        let Step::Ask(Ask::Read, reply) = streaming().told(News::SendFailed) else { panic!("asks to read") };
        assert_blamed(Blame::Misbehaved, &outcome(reply.told(News::Received(b"stream: OK\0"))));
        assert_blamed(Blame::Misbehaved, &outcome(streaming().told(News::Received(b"stream: OK\0"))));
    }

    #[test]
    fn hears_a_threat_while_it_sends() {
        let Step::Ask(Ask::Resume, content) = streaming().told(News::Received(b"stream: X FO")) else {
            panic!("goes on sending")
        };
        assert_eq!(outcome(content.told(News::Received(b"UND\0"))), infected("X"));
    }

    #[test]
    fn a_silent_hang_up_while_sending_names_the_likely_setting() {
        let Step::Ask(Ask::Read, reply) = streaming().told(News::SendFailed) else { panic!("asks to read") };
        let fault = outcome(reply.told(News::EndOfStream)).unwrap_err();
        assert!(fault.to_string().contains("StreamMaxLength"), "{fault}");
    }

    #[test]
    fn refuses_a_file_that_shrank() {
        assert_blamed(Blame::Caller, &outcome(streaming().told(News::FileEnded(2))));
    }

    #[test]
    fn refuses_news_it_did_not_ask_for() {
        assert_blamed(Blame::Caller, &outcome(streaming().told(News::EndOfStream)));
    }

    #[test]
    fn asks_for_the_version_of_the_signatures() {
        let query = over_unix().version_query().unwrap();
        assert_eq!(query.request, b"zVERSION\0");
        let told = b"ClamAV 1.4.6/27501/Mon Dec 30 09:41:35 2024\0";
        for length in 0..told.len() {
            assert_eq!((query.answer)(&told[..length]), None);
        }
        assert_eq!((query.answer)(told).unwrap().unwrap(), "ClamAV 1.4.6/27501/Mon Dec 30 09:41:35 2024");
        for reply in [b"COMMAND UNAVAILABLE\0".as_slice(), b"UNKNOWN COMMAND\0", b"\0", &[b'x'; 70_000]] {
            assert!((query.answer)(reply).unwrap().is_err());
        }
    }

    #[test]
    fn noise_is_clean_only_if_well_formed() {
        let is_end = |end: &str| !end.is_empty() && end.chars().all(|c| matches!(c, '\0' | '\n' | ' '));
        let words = ["fd[", "12", "]: OK", "]: ", "OK", " FOUND", "stream: ", "\0", "\n", "X", " "];
        for reply in clean_replies_of_noise(&*over_unix(), &words) {
            let line = reply.strip_prefix("fd[").and_then(|rest| rest.split_once("]: OK"));
            let well_formed = line.is_some_and(|(number, end)| number.parse::<u128>().is_ok() && is_end(end));
            assert!(well_formed, "{reply:?}");
        }
        for reply in clean_replies_of_noise(&*over_tcp(), &words) {
            assert!(reply.strip_prefix("stream: OK").is_some_and(is_end), "{reply:?}");
        }
    }
}
