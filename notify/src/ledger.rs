//! What was sent: so that a process that is killed loses nothing, and the next one repeats nothing.
//!
//! A message that was sent is one line in the journal, written in one piece, with all the events that it told of. When
//! every channel is done with all events of a file, it goes. The journal also keeps how often each recipient was told, so
//! that a process that ends forgets no limit.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{OFlags, ftruncate};
use serde::{Deserialize, Serialize};
use vscan_engine::notify::Spool;

use crate::desk::now;
use crate::merge::{Key, Rest};
use crate::syslog;

const JOURNAL: &str = "journal";

/// Beyond this many bytes, the journal is shortened as soon as no event is under way.
const LONG: usize = 1 << 16;

/// The ledger of one spool.
pub(crate) struct Ledger {
    spool: Arc<Spool>,
    state: Mutex<State>,
}

struct State {
    journal: File,
    length: usize,
    /// By channel: what was done before this process began.
    done: HashMap<String, HashSet<String>>,
    /// By channel: when somebody may be told again.
    rests: HashMap<String, HashMap<Key, Rest>>,
    under_way: HashMap<String, UnderWay>,
    /// How many events of a file are still under way.
    files: HashMap<OsString, usize>,
}

/// An event.
struct UnderWay {
    file: OsString,
    channels: usize,
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
struct Line {
    channel: String,
    key: Key,
    rest: Rest,
    /// The events that are done with.
    ids: Vec<String>,
}

impl Ledger {
    /// Reads what an earlier process has left.
    pub(crate) fn open(spool: &Arc<Spool>) -> io::Result<Self> {
        let mut journal = spool.open_private(JOURNAL, OFlags::RDWR | OFlags::APPEND)?;
        let mut text = String::new();
        journal.read_to_string(&mut text)?;
        let mut state = State {
            journal,
            length: text.len(),
            done: HashMap::new(),
            rests: HashMap::new(),
            under_way: HashMap::new(),
            files: HashMap::new(),
        };
        // A line that a full disk has cut off counts as not written.
        for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
            state.done.entry(line.channel.clone()).or_default().extend(line.ids);
            state.rests.entry(line.channel).or_default().insert(line.key, line.rest);
        }
        if !text.is_empty() && !text.ends_with('\n') {
            state.append(b"\n")?;
        }
        Ok(Self { spool: spool.clone(), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the recipients of a channel may be told again.
    pub(crate) fn rests(&self, channel: &str) -> HashMap<Key, Rest> {
        self.state().rests.get(channel).cloned().unwrap_or_default()
    }

    /// Whether a channel was done with an event before this process began.
    pub(crate) fn is_done(&self, channel: &str, id: &str) -> bool {
        self.state().done.get(channel).is_some_and(|ids| ids.contains(id))
    }

    /// A file of so many events, each of which will be [entered](Ledger::enter).
    pub(crate) fn open_file(&self, file: &OsStr, events: usize) {
        let mut state = self.state();
        state.files.insert(file.to_owned(), events);
        if events == 0 {
            self.close_file(&mut state, file);
        }
    }

    /// An event that so many channels are to be done with.
    pub(crate) fn enter(&self, id: &str, file: &OsStr, channels: usize) {
        let mut state = self.state();
        state.under_way.insert(id.to_owned(), UnderWay { file: file.to_owned(), channels });
        if channels == 0 {
            self.finish(&mut state, id);
        }
    }

    /// A channel is done with these events, and its recipient has a rest.
    pub(crate) fn done(&self, channel: &str, key: &Key, rest: &Rest, ids: Vec<String>) {
        let mut state = self.state();
        state.rests.entry(channel.to_owned()).or_default().insert(key.clone(), rest.clone());
        let line = Line { channel: channel.to_owned(), key: key.clone(), rest: rest.clone(), ids };
        if let Err(error) = state.write(&line) {
            syslog::line(&format!("the journal in the spool: {error}: a message may come twice"));
        }
        for id in &line.ids {
            if let Some(event) = state.under_way.get_mut(id) {
                event.channels = event.channels.saturating_sub(1);
                if event.channels == 0 {
                    self.finish(&mut state, id);
                }
            }
        }
        if state.files.is_empty() && state.length > LONG {
            // Nothing refers to it any more but the rests.
            let _ = state.shorten(now());
        }
    }

    fn finish(&self, state: &mut State, id: &str) {
        let Some(UnderWay { file, .. }) = state.under_way.remove(id) else { return };
        let Some(events) = state.files.get_mut(&file) else { return };
        *events = events.saturating_sub(1);
        if *events == 0 {
            self.close_file(state, &file);
        }
    }

    fn close_file(&self, state: &mut State, file: &OsStr) {
        state.files.remove(file);
        if let Err(error) = self.spool.remove(file) {
            syslog::line(&format!("{} cannot be removed from the spool: {error}", file.display()));
        }
    }
}

impl State {
    fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.append(&text)
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.journal.write_all(text)?;
        self.length += text.len();
        Ok(())
    }

    /// Forgets all events, and the rests that are. Being killed in the middle costs a few rests.
    fn shorten(&mut self, now: u64) -> io::Result<()> {
        self.done.clear();
        self.rests.values_mut().for_each(|rests| rests.retain(|_, rest| !rest.is_forgotten(now)));
        ftruncate(&self.journal, 0)?;
        self.length = 0;
        let mut text = Vec::new();
        for (channel, rests) in &self.rests {
            for (key, rest) in rests {
                let (channel, key, rest) = (channel.clone(), key.clone(), rest.clone());
                serde_json::to_writer(&mut text, &Line { channel, key, rest, ids: Vec::new() })?;
                text.push(b'\n');
            }
        }
        self.append(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_forgets_what_nobody_needs() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::open(&dir.path().join("spool")).unwrap());
        let ledger = Ledger::open(&spool).unwrap();
        let file = OsStr::new("1.2000.json");
        std::fs::write(dir.path().join("spool").join(file), "").unwrap();
        ledger.open_file(file, 2000);
        let key = |event: &str| Key {
            recipient: "root".to_owned(),
            share: "s".to_owned(),
            kind: "Infected".to_owned(),
            event: Some(event.to_owned()),
        };
        for n in 0..2000 {
            let id = n.to_string();
            ledger.enter(&id, file, 1);
            // The last one has a rest that goes on.
            let milliseconds = if n == 1999 { 1_000_000 } else { 0 };
            let rest = Rest { since: now() - 1, milliseconds, is_absent: false };
            ledger.done("command", &key(&id), &rest, vec![id]);
        }
        assert!(spool.names().unwrap().is_empty());
        let length = std::fs::metadata(dir.path().join("spool").join(JOURNAL)).unwrap().len();
        assert!(length < 1000, "{length}");
        let ledger = Ledger::open(&spool).unwrap();
        assert_eq!(ledger.rests("command").into_keys().collect::<Vec<_>>(), [key("1999")]);
        assert!(!ledger.is_done("command", "1999"), "there is no such event any more");
    }
}
