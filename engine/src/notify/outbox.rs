//! From smbd to the spool: off the path of every request.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::spool::{MOST_EVENTS, Room};
use super::{Event, Spool, Stored};
use crate::log::{Level, Log, shown};
use crate::privilege::Privilege;
use crate::sys::detached;
use crate::sys::program::text;

/// The program is nothing that a client waits for.
const NICENESS: i32 = 10;

/// How often the same trouble is logged.
const AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

/// Who takes events during a request. It only remembers them: they go to an [`Outbox`] a little later.
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
        let (shown, events_lost) = (shown(&self.spool), events.len());
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

    /// Starts the program that sends the events. It looks for itself whether another one is quicker, and ends by itself.
    fn start(&self) -> Result<(), String> {
        let shown = shown(&self.program);
        let failed = |why: &dyn std::fmt::Display| {
            format!("{shown} (notify program): {why}: nobody is told of what is found")
        };
        let text = |path: &Path| text(path).map_err(|error| failed(&error));
        let (program, arguments) = (text(&self.program)?, [text(&self.spool)?]);
        detached::start(&program, &arguments, NICENESS).map_err(|error| failed(&error))
    }

    fn complain(&self, log: &dyn Log, trouble: &str) {
        let now = Instant::now();
        if self.complained.get().is_none_or(|last| now.saturating_duration_since(last) >= AGAIN_AFTER) {
            self.complained.set(Some(now));
            log.line(Level::Error, trouble);
        }
    }
}
