//! ICAP (RFC 3507): the file is shown to an antivirus service as if it were a web server's answer (RESPMOD).
//!
//! A preview is never the whole file, however small that is: c-icap says `204` to the preview of a file that it does
//! not scan, and that gives it away only if there was more to see.
//!
//! A scan is RESPMOD, and before it OPTIONS, to learn how large a preview the service wants, if that has not been told
//! yet or holds no longer. What is in an answer's heads decides; the body that comes with a block page or with the
//! returned object is not read. So a connection can serve the next scan after a `204`, which has no body, and after no
//! other answer.
//!
//! Only `204` after the whole file says that a file is clean. A service that returns the object with `200`, or is
//! content with a preview of a larger file, has not scanned it: it is too large for the service, or of a kind that it
//! leaves out.

mod address;
mod answer;
mod options;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use self::address::Address;
use self::answer::{Answer, Seen};
use self::options::{Memory, Options};
use crate::address::{AddressError, Endpoint};
use crate::dialogue::{Ask, Dialogue, Framing, News, Object, Outcome, Scanner, Step, Takes, VersionQuery};
use crate::head::{Head, HeadReader};
use crate::verdict::{Fault, Verdict};
use crate::wire::{quoted, shrank, version};

/// The last chunk.
const END: &[u8] = b"0\r\n\r\n";

/// What a name may have in a URL as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An ICAP service under this scheme at `//host:port/service`. A product whose scheme implies the service's name
/// gives it.
pub fn new(
    scheme: &'static str,
    address: &str,
    own_service: Option<&str>,
) -> Result<Box<dyn Scanner>, AddressError> {
    Ok(Box::new(Icap { scheme, address: Address::parse(address, own_service)?, memory: Memory::default() }))
}

struct Icap {
    scheme: &'static str,
    address: Address,
    memory: Memory,
}

impl Scanner for Icap {
    fn name(&self) -> &'static str {
        self.scheme
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.address.endpoint)
    }

    fn takes(&self) -> Takes {
        Takes::Stream
    }

    fn begin(&self, object: &Object<'_>) -> Step {
        let request = Request::new(&self.address, object);
        let memory = self.memory.clone();
        if let Some(options) = memory.recall(object.asked_at) {
            return ask_about_file(request, options, memory);
        }
        let reply = HeadReader::new();
        let asked_at = object.asked_at;
        Step::ask(
            Ask::Write(self.options().into()),
            Box::new(AskOptions { request, reply, was_cut: false, asked_at, memory }),
        )
    }

    fn version_query(&self) -> Option<VersionQuery> {
        Some(VersionQuery { request: self.options(), answer: version_told })
    }
}

impl Icap {
    /// Asks for the OPTIONS of the service.
    fn options(&self) -> Vec<u8> {
        let Address { authority, .. } = &self.address;
        format!("OPTIONS {} ICAP/1.0\r\nHost: {authority}\r\n\r\n", self.address.uri()).into_bytes()
    }
}

/// The ISTag, which changes with the signatures and the settings of a service.
fn version_told(received: &[u8]) -> Option<Result<String, Fault>> {
    let mut reply = HeadReader::new();
    if let Err(fault) = reply.push(received) {
        return Some(Err(fault));
    }
    Some(reply.take(b"ICAP")?.and_then(|head| match head.value("istag") {
        Some(tag) if head.status == 200 => Ok(version(tag)),
        Some(_) | None => Err(Fault::Misbehaved("the ICAP server tells no ISTag".into())),
    }))
}

/// The request about one file.
struct Request {
    uri: String,
    authority: String,
    service: String,
    /// The head of the web server's answer that the file is made out to be, and that of its request.
    heads: [String; 2],
    size: u64,
}

impl Request {
    fn new(address: &Address, object: &Object<'_>) -> Self {
        // The name alone: servers judge by its end, log it, and refuse long URLs.
        let name = object.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let name = percent_encode(name, PLAIN);
        let size = object.size;
        let get = format!("GET http://vscan/{name} HTTP/1.1\r\nHost: vscan\r\n\r\n");
        let ok = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
        );
        let (uri, authority, service) = (address.uri(), address.authority.clone(), address.service.clone());
        Self { uri, authority, service, heads: [get, ok], size }
    }

    /// How much of this file the service is to see first.
    fn preview(&self, options: &Options) -> Option<u64> {
        Some(options.preview?.min(self.size.checked_sub(1)?))
    }

    /// RESPMOD up to where the file begins.
    fn head(&self, options: &Options) -> Vec<u8> {
        let Self { uri, authority, heads: [get, ok], .. } = self;
        let preview = self.preview(options).map(|size| format!("Preview: {size}\r\n")).unwrap_or_default();
        let (get_length, both) = (get.len(), get.len() + ok.len());
        let encapsulated = format!("req-hdr=0, res-hdr={get_length}, res-body={both}");
        format!(
            "RESPMOD {uri} ICAP/1.0\r\nHost: {authority}\r\nAllow: 204\r\n{preview}Encapsulated: {encapsulated}\r\n\r\n\
             {get}{ok}"
        )
        .into_bytes()
    }
}

/// OPTIONS is asked.
struct AskOptions {
    request: Request,
    reply: HeadReader,
    /// Whether the server stopped listening on the way. It may have said why.
    was_cut: bool,
    asked_at: Duration,
    memory: Memory,
}

impl Dialogue for AskOptions {
    fn told(mut self: Box<Self>, news: News<'_>) -> Step {
        match news {
            News::Sent => Step::ask(Ask::Read, self),
            News::SendFailed => {
                self.was_cut = true;
                Step::ask(Ask::Read, self)
            }
            News::Received(bytes) => match self.options(bytes) {
                Ok(None) => Step::ask(Ask::Read, self),
                Ok(Some(options)) => {
                    self.memory.keep(&options, self.asked_at);
                    ask_about_file(self.request, options, self.memory)
                }
                Err(fault) => Step::Done(Err(fault)),
            },
            News::EndOfStream => Step::Done(Err(hung_up(&self.reply))),
            News::FileEnded(_) => Step::out_of_turn(news),
        }
    }
}

impl AskOptions {
    fn options(&mut self, bytes: &[u8]) -> Result<Option<Options>, Fault> {
        self.reply.push(bytes)?;
        let Some(head) = self.reply.take(b"ICAP").transpose()? else { return Ok(None) };
        let options = Options::of(&head, &self.request.service)?;
        if self.was_cut {
            return Err(hung_up_on_us());
        }
        if self.reply.is_in_midst() {
            let text = format!("it said more than was asked: {}", quoted(self.reply.rest()));
            return Err(Fault::Misbehaved(text.into()));
        }
        Ok(Some(options))
    }
}

/// RESPMOD, with what is known of the service.
fn ask_about_file(request: Request, options: Options, memory: Memory) -> Step {
    let head = request.head(&options);
    let seen = Seen { bytes: 0, of: request.size };
    let preview = request.preview(&options);
    let reply = Reply::new();
    let scan = Scan { stage: Stage::Head, request, options, memory, preview, seen, was_cut: false, reply };
    Step::ask(Ask::Write(head.into()), Box::new(scan))
}

/// RESPMOD is under way.
struct Scan {
    stage: Stage,
    request: Request,
    options: Options,
    memory: Memory,
    preview: Option<u64>,
    seen: Seen,
    /// Whether the server stopped listening on the way.
    was_cut: bool,
    reply: Reply,
}

/// What was asked of the driver last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    /// Content up to this byte.
    Content(u64),
    /// The last chunk, behind content up to this byte.
    End(u64),
    /// The answer, to a preview or to all.
    Answer,
}

impl Dialogue for Scan {
    fn told(self: Box<Self>, news: News<'_>) -> Step {
        let memory = self.memory.clone();
        let step = self.proceed(news);
        if matches!(step, Step::Done(Err(_))) {
            // What is remembered of the service may be the reason.
            memory.forget();
        }
        step
    }
}

impl Scan {
    fn proceed(mut self: Box<Self>, news: News<'_>) -> Step {
        match (self.stage, news) {
            (Stage::Head, News::Sent) => {
                let size = self.request.size;
                let first = self.preview.unwrap_or(size);
                self.send_content(first)
            }
            (Stage::Content(end), News::Sent) => self.end_content(end),
            (Stage::End(end), News::Sent) => {
                self.seen.bytes = end;
                self.go(Stage::Answer, Ask::Read)
            }
            // The server may have said why it stopped listening.
            (Stage::Head | Stage::Content(_) | Stage::End(_), News::SendFailed) => {
                self.was_cut = true;
                self.go(Stage::Answer, Ask::Read)
            }
            (Stage::Content(_), News::FileEnded(sent)) => {
                let length = self.seen.bytes.saturating_add(sent);
                Step::Done(Err(shrank(self.request.size, length)))
            }
            (Stage::Content(_), News::Received(bytes)) => self.received(bytes, Ask::Resume),
            (Stage::Answer, News::Received(bytes)) => self.received(bytes, Ask::Read),
            (Stage::Answer, News::EndOfStream) => Step::Done(Err(hung_up(&self.reply.heads))),
            (_, news) => Step::out_of_turn(news),
        }
    }

    fn go(mut self: Box<Self>, stage: Stage, ask: Ask) -> Step {
        self.stage = stage;
        Step::ask(ask, self)
    }

    /// Sends the file from where it was left to this byte.
    fn send_content(self: Box<Self>, end: u64) -> Step {
        let (offset, length) = (self.seen.bytes, end.saturating_sub(self.seen.bytes));
        if length == 0 {
            return self.end_content(end);
        }
        let ask = Ask::Stream { offset, length: Some(length), framing: Framing::HttpChunks };
        self.go(Stage::Content(end), ask)
    }

    /// All up to this byte is sent; says so.
    fn end_content(self: Box<Self>, end: u64) -> Step {
        self.go(Stage::End(end), Ask::Write(Cow::Borrowed(END)))
    }

    fn received(mut self: Box<Self>, bytes: &[u8], unfinished: Ask) -> Step {
        match self.reply.push(bytes) {
            Err(fault) => Step::Done(Err(fault)),
            Ok(None) => Step::ask(unfinished, self),
            Ok(Some(answer)) if answer.icap.status == 100 => self.go_on(),
            Ok(Some(answer)) => match self.judge(&answer) {
                Ok(verdict @ Verdict::Clean) if self.is_at_rest_after(&answer.icap) => Step::Rest(verdict),
                outcome => Step::Done(outcome),
            },
        }
    }

    /// The server has seen the preview and wants the rest.
    fn go_on(mut self: Box<Self>) -> Step {
        let size = self.request.size;
        let waits = self.stage == Stage::Answer && self.preview == Some(self.seen.bytes);
        if !waits || self.reply.heads.is_in_midst() {
            let text = "100 Continue out of turn: there is no more of the file, or no preview was sent";
            return Step::Done(Err(Fault::Misbehaved(text.into())));
        }
        self.preview = None;
        self.send_content(size)
    }

    /// Whether all was sent and heard, and the server waits for the next request.
    fn is_at_rest_after(&self, answer: &Head) -> bool {
        self.stage == Stage::Answer
            && answer.status == 204
            && !answer.lists("connection", "close")
            && !self.reply.heads.is_in_midst()
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        if !self.options.are_of(&answer.icap) {
            self.memory.forget();
        }
        let outcome = answer::judge(answer, self.seen, &self.request.service)?;
        let rest = self.reply.heads.rest();
        // 204 has no body.
        if answer.icap.status == 204 && outcome == Verdict::Clean && !rest.trim_ascii().is_empty() {
            let text = format!("a second answer to one request: {}", quoted(rest));
            return Err(Fault::Misbehaved(text.into()));
        }
        // Of an empty file nothing is missing but the request.
        if self.was_cut && outcome == Verdict::Clean {
            return Err(hung_up_on_us());
        }
        Ok(outcome)
    }
}

/// The server has closed its end before it was told everything.
fn hung_up_on_us() -> Fault {
    Fault::Transport("the ICAP server hung up on what it was told".into())
}

/// The heads of an answer, as they come.
struct Reply {
    heads: HeadReader,
    icap: Option<Head>,
}

impl Reply {
    fn new() -> Self {
        Self { heads: HeadReader::new(), icap: None }
    }

    /// Takes bytes as they came; the answer when enough of it is there.
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Answer>, Fault> {
        self.heads.push(bytes)?;
        let icap = match self.icap.take() {
            Some(icap) => icap,
            None => match self.heads.take(b"ICAP").transpose()? {
                Some(icap) => icap,
                None => return Ok(None),
            },
        };
        if !answer::needs_http_head(&icap) {
            return Ok(Some(Answer { icap, http: None }));
        }
        let http = self.heads.take(b"HTTP").transpose()?;
        if http.is_none() {
            self.icap = Some(icap);
            return Ok(None);
        }
        Ok(Some(Answer { icap, http }))
    }
}

fn hung_up(reply: &HeadReader) -> Fault {
    let when = if reply.is_in_midst() { "in the middle of its answer" } else { "without an answer" };
    Fault::Transport(format!("the ICAP server closed the connection {when}").into())
}
