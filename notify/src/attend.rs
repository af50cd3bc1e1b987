//! Attending to the spool: from the files of smbd to the channels, until nothing is left.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use vscan_engine::notify::{Event, Spool};

use crate::channels::CHANNELS;
use crate::desk::Desk;
use crate::ledger::Ledger;
use crate::scanners::Scanners;
use crate::syslog;

/// How often the spool is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How long to stay when there is nothing to do: the next event need not start a process then.
const IDLE: Duration = Duration::from_secs(3);

/// Sends what is in the spool, and what comes meanwhile. Returns at once if another process does that.
pub(crate) fn attend(path: &Path) -> io::Result<()> {
    let spool = Arc::new(Spool::open(path)?);
    let Some(mut attendance) = spool.attend()? else { return Ok(()) };
    let mut office = Office::open(&spool)?;
    loop {
        office.work()?;
        drop(attendance);
        // smbd may have put something there, and seen that somebody attends.
        if spool.names()?.is_empty() {
            return Ok(());
        }
        match spool.attend()? {
            Some(again) => attendance = again,
            None => return Ok(()),
        }
    }
}

struct Office {
    spool: Arc<Spool>,
    ledger: Arc<Ledger>,
    scanners: Scanners,
    desks: Vec<Arc<Desk>>,
    /// What the desks have, or had.
    seen: HashSet<OsString>,
}

impl Office {
    fn open(spool: &Arc<Spool>) -> io::Result<Self> {
        let ledger = Arc::new(Ledger::open(spool)?);
        let desks = CHANNELS.iter().map(|channel| Desk::open(channel, &ledger)).collect();
        let scanners = Scanners::open(spool)?;
        Ok(Self { spool: spool.clone(), ledger, scanners, desks, seen: HashSet::new() })
    }

    /// Works until nothing has been left for a while.
    fn work(&mut self) -> io::Result<()> {
        let mut busy = Instant::now();
        loop {
            self.tell_of_overflow()?;
            let names = self.spool.names()?;
            let new: Vec<_> = names.iter().filter(|name| !self.seen.contains(*name)).cloned().collect();
            for name in new {
                self.hand_out(name)?;
            }
            if names.is_empty() {
                self.seen.clear();
            } else {
                busy = Instant::now();
            }
            if busy.elapsed() >= IDLE {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
    }

    fn hand_out(&mut self, name: OsString) -> io::Result<()> {
        let events = match self.spool.read(&name) {
            Ok(events) => events,
            Err(error) => {
                let shown = name.to_string_lossy();
                syslog::line(&format!(
                    "{shown} in the spool is no list of events ({error}): it is kept as {shown}.bad"
                ));
                return self.spool.put_aside(&name);
            }
        };
        self.seen.insert(name.clone());
        self.ledger.open_file(&name, events.len());
        for event in events {
            self.hand_out_event(Arc::new(event), &name);
        }
        Ok(())
    }

    fn hand_out_event(&mut self, event: Arc<Event>, file: &OsStr) {
        let wants = |desk: &&Arc<Desk>| desk.wants(&event) && !self.ledger.is_done(desk.channel(), &event.id);
        let is_news = self.scanners.is_news(&event);
        let desks: Vec<_> = self.desks.iter().filter(|_| is_news).filter(wants).cloned().collect();
        self.ledger.enter(&event.id, file, desks.len());
        for desk in desks {
            desk.take(&event);
        }
    }

    fn tell_of_overflow(&self) -> io::Result<()> {
        let lost = self.spool.take_overflow()?;
        if lost > 0 {
            syslog::line(&format!(
                "the spool was full: nobody is told of {lost} more events; see Samba's log"
            ));
        }
        Ok(())
    }
}
