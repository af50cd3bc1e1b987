//! Whether a scanner can be reached, how fast it answers and what it says of itself: for an administrator who asks.

use std::borrow::Cow;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vscan_backends::address::Endpoint;
use vscan_backends::dialogue::{Ask, Dialogue, News, Object, Scanner, Step, Takes};
use vscan_backends::verdict::{Fault, Verdict};

use super::exchange::Exchange;
use super::program;
use super::version::Question;
use super::{Timeouts, blocking};
use crate::privilege::Privilege;

/// A scanner's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// From the first step of the connection to the last byte of the answer.
    pub round_trip: Duration,
    /// What it tells of its signatures; None for a protocol that has no question for it.
    pub version: Option<String>,
    /// How much it has to do, if it tells that.
    pub load: Option<String>,
}

/// Asks a scanner for its version, or only connects when its protocol has no question for that. Waits for the answer.
/// Of a program only whether it is there. None for a scanner that is neither.
pub fn probe(
    scanner: &dyn Scanner,
    timeouts: Timeouts,
    privilege: &dyn Privilege,
) -> Option<Result<Answer, Fault>> {
    if let Step::Run(wanted, _) = scanner.begin(&Object::new(b"/", 0)) {
        return Some(program::check(&wanted).map(|()| Answer {
            round_trip: Duration::ZERO,
            version: None,
            load: None,
        }));
    }
    let endpoint = scanner.endpoint()?.clone();
    let told = Arc::new(Mutex::new(None));
    let asked: Box<dyn Scanner> = match scanner.version_query() {
        Some(query) => Box::new(Question::new(endpoint, query, told.clone())),
        None => Box::new(Knock { endpoint }),
    };
    Some(ask(&*asked, timeouts, privilege).map(|round_trip| {
        let version = told.lock().unwrap_or_else(PoisonError::into_inner).take();
        Answer { round_trip, version, load: load(scanner, timeouts, privilege) }
    }))
}

/// A scanner that does not tell is none the worse.
fn load(scanner: &dyn Scanner, timeouts: Timeouts, privilege: &dyn Privilege) -> Option<String> {
    let told = Arc::new(Mutex::new(None));
    let question = Question::new(scanner.endpoint()?.clone(), scanner.load_query()?, told.clone());
    ask(&question, timeouts, privilege).ok()?;
    told.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn ask(asked: &dyn Scanner, timeouts: Timeouts, privilege: &dyn Privilege) -> Result<Duration, Fault> {
    // An exchange is about a file; this one is about none.
    let nothing = File::open("/dev/null")
        .map_err(|error| Fault::Caller(format!("/dev/null cannot be opened: {error}").into()))?;
    let started = Instant::now();
    let deadline = started + timeouts.connect + timeouts.io;
    let object = Object::new(b"", 0);
    let mut exchange = Exchange::new(asked, None, nothing.into(), &object, timeouts, deadline, started);
    blocking::run(&mut exchange, privilege)?;
    Ok(started.elapsed())
}

/// A connection, and nothing said on it.
struct Knock {
    endpoint: Endpoint,
}

impl Scanner for Knock {
    fn name(&self) -> &'static str {
        "knock"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.endpoint)
    }

    fn takes(&self) -> Takes {
        Takes::Stream
    }

    fn begin(&self, _: &Object<'_>) -> Step {
        Step::ask(Ask::Write(Cow::Borrowed(b"")), Box::new(Opened))
    }
}

struct Opened;

impl Dialogue for Opened {
    fn told(self: Box<Self>, _: News<'_>) -> Step {
        // The driver knows no other way to end well.
        Step::Done(Ok(Verdict::Clean))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    use vscan_backends::command::CommandOptions;
    use vscan_backends::registry::parse_scanner;

    use super::*;
    use crate::privilege::AsIs;

    const PATIENCE: Duration = Duration::from_secs(5);
    const TIMEOUTS: Timeouts = Timeouts { connect: PATIENCE, io: PATIENCE, scan: PATIENCE };

    fn probed(spec: &str) -> Option<Result<Answer, Fault>> {
        probe(&*parse_scanner(spec, &CommandOptions::default()).unwrap(), TIMEOUTS, &AsIs)
    }

    #[test]
    fn tells_the_version_of_a_scanner_that_can_be_asked() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let daemon = std::thread::spawn(move || {
            let answer = |text: &[u8]| {
                let (mut peer, _) = listener.accept().unwrap();
                let mut request = [0; 64];
                let length = peer.read(&mut request).unwrap();
                peer.write_all(text).unwrap();
                String::from_utf8_lossy(&request[..length]).into_owned()
            };
            let version = answer(b"ClamAV 1.4.3/27000/today\0");
            version + &answer(b"THREADS: live 2  idle 1 max 4\nQUEUE: 0 items\nEND\0")
        });
        let answer = probed(&format!("clamav:{}", socket.display())).unwrap().unwrap();
        assert_eq!(answer.version.as_deref(), Some("ClamAV 1.4.3/27000/today"));
        assert_eq!(answer.load.as_deref(), Some("1 of 4 threads busy, 0 waiting"));
        assert!(daemon.join().unwrap().contains("VERSION"));
    }

    #[test]
    fn only_connects_to_one_that_cannot() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("s");
        let _listener = UnixListener::bind(&socket).unwrap();
        let answer = probed(&format!("sophie:{}", socket.display())).unwrap().unwrap();
        assert_eq!(answer.version, None);
    }

    #[test]
    fn says_why_a_scanner_cannot_be_reached_and_leaves_one_without_a_daemon_alone() {
        let fault = probed("clamav:/nowhere/s").unwrap().unwrap_err().to_string();
        assert!(fault.contains("/nowhere/s") && fault.contains("is the scanner running?"), "{fault}");
        assert_eq!(probed("dummy:*.vir"), None);
    }
}
