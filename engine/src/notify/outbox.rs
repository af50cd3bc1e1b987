//! From smbd to the spool: off the path of every request.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::spool::{MOST_EVENTS, Room};
use super::{Event, Spool, Stored};
use crate::log::{Level, Log, Printable};
use crate::privilege::Privilege;
use crate::sys::program::{Lifetime, Program};

/// How long the program may run at a stretch. Being killed costs it nothing, and an event starts it again.
const LONGEST_RUN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How often the same trouble is logged.
const AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

/// Who takes events during a request. It only remembers them: they go to an [`Outbox`] once the client has its answer.
pub trait Notify {
    /// This has happened.
    fn notify(&self, event: Event);
}

/// Nobody hears of anything.
pub struct Unheard;

impl Notify for Unheard {
    fn notify(&self, _: Event) {}
}

/// Where the events of one share go.
pub struct Outbox {
    spool: PathBuf,
    program: PathBuf,
    room: Room,
    complained: Cell<Option<Instant>>,
}

impl Outbox {
    /// `notify spool` and `notify program`.
    pub fn new(spool: &Path, program: &Path) -> Self {
        Self {
            spool: spool.to_owned(),
            program: program.to_owned(),
            room: Room::default(),
            complained: Cell::new(None),
        }
    }

    /// Puts events into the spool and sees to it that somebody sends them. What goes wrong is logged, once an hour.
    pub fn deliver(&self, events: &[Event], privilege: &dyn Privilege, log: &dyn Log) {
        if let Err(trouble) = privilege.raised(|| self.put(events)) {
            self.complain(log, &trouble);
        }
    }

    fn put(&self, events: &[Event]) -> Result<(), String> {
        let (shown, events_lost) = (printable(&self.spool), events.len());
        let in_spool = |error: io::Error| {
            format!("{shown} (notify spool): {error}: nobody is told of {events_lost} events")
        };
        let spool = Spool::open(&self.spool).map_err(in_spool)?;
        let stored = spool.store(events, &self.room, Instant::now()).map_err(in_spool)?;
        if !spool.is_attended().map_err(in_spool)? {
            self.start()?;
        }
        match stored {
            Stored::All => Ok(()),
            Stored::Not(count) => Err(format!(
                "{shown} (notify spool) holds {MOST_EVENTS} events that were not sent: {count} more are only counted"
            )),
        }
    }

    /// Starts the program that sends the events. It looks for itself whether another one is quicker.
    fn start(&self) -> Result<(), String> {
        let shown = printable(&self.program);
        let failed = |why: &dyn std::fmt::Display| {
            format!("{shown} (notify program): {why}: nobody is told of what is found")
        };
        let is_there = std::fs::metadata(&self.program).and_then(|program| {
            if program.is_file() { Ok(()) } else { Err(io::Error::other("it is no file")) }
        });
        is_there.map_err(|error| failed(&error))?;
        let mut program = Program::new(&self.program, LONGEST_RUN).map_err(|error| failed(&error))?;
        program.arguments = vec![crate::sys::program::text(&self.spool).map_err(|error| failed(&error))?];
        program.lifetime = Lifetime::Independent;
        program.start().map_err(|error| failed(&error)).map(drop)
    }

    fn complain(&self, log: &dyn Log, trouble: &str) {
        let now = Instant::now();
        if self.complained.get().is_none_or(|last| now.saturating_duration_since(last) >= AGAIN_AFTER) {
            self.complained.set(Some(now));
            log.line(Level::Error, trouble);
        }
    }
}

fn printable(path: &Path) -> String {
    Printable(path.as_os_str().as_encoded_bytes()).to_string()
}
