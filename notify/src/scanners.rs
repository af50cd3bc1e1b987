//! Which scanners are down. Every smbd notices that by itself, some much later than others; people are told once.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use vscan_engine::notify::{Channels, Event, Occurrence, Spool};

/// Kept in the spool from one process to the next.
const FILE: &str = "scanners";

/// More are not remembered: each change of the settings leaves one behind.
const MOST: usize = 200;

/// What was told of all scanners.
pub(crate) struct Scanners {
    file: File,
    told: Vec<Told>,
}

/// What those who have the same settings were told of a scanner last.
#[derive(Serialize, Deserialize)]
struct Told {
    scanner: String,
    channels: Channels,
    is_up: bool,
    /// The event that told so: it may come again, if a process was killed before it was done with it.
    event: String,
}

impl Scanners {
    /// Reads what an earlier process has left.
    pub(crate) fn open(spool: &Spool) -> io::Result<Self> {
        let mut file = spool.open_private(FILE, OFlags::RDWR)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        // What a full disk has cut off costs a message that comes twice.
        Ok(Self { file, told: serde_json::from_slice(&text).unwrap_or_default() })
    }

    /// Whether an event says what its recipients do not know. All but those of scanners do.
    pub(crate) fn is_news(&mut self, event: &Event) -> bool {
        let Occurrence::ScannerState { is_up, .. } = event.occurrence else { return true };
        let known = self
            .told
            .iter_mut()
            .find(|told| told.scanner == event.scanner && told.channels == *event.channels);
        match known {
            Some(told) if told.event == event.id => return true,
            Some(told) if told.is_up == is_up => return false,
            Some(told) => (told.is_up, told.event) = (is_up, event.id.clone()),
            // Nobody has heard that it was down.
            None if is_up => return false,
            None => self.told.push(Told {
                scanner: event.scanner.clone(),
                channels: Channels::clone(&event.channels),
                is_up,
                event: event.id.clone(),
            }),
        }
        if self.told.len() > MOST {
            self.told.remove(0);
        }
        // As above.
        let _ = self.write();
        true
    }

    fn write(&mut self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.told)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::tests::event;

    fn spool() -> (tempfile::TempDir, Spool) {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(&dir.path().join("spool")).unwrap();
        (dir, spool)
    }

    fn state(id: &str, scanner: &str, is_up: bool) -> Event {
        let occurrence = Occurrence::ScannerState { is_up, reason: String::new() };
        Event { occurrence, scanner: scanner.to_owned(), ..event(id) }
    }

    #[test]
    fn many_processes_notice_and_one_message_tells() {
        let (_dir, spool) = spool();
        let mut scanners = Scanners::open(&spool).unwrap();
        let mut news = |id: &str, scanner: &str, is_up| scanners.is_news(&state(id, scanner, is_up));
        assert!(!news("0", "a", true), "it was never down");
        assert_eq!(["1", "2", "3"].map(|id| news(id, "a", false)), [true, false, false]);
        assert!(news("4", "b", false), "another one");
        assert_eq!(["5", "6"].map(|id| news(id, "a", true)), [true, false]);
        // By a process that has noticed nothing of all that.
        assert!(news("7", "a", false));
    }

    #[test]
    fn another_process_knows_it_and_repeats_what_was_not_done() {
        let (_dir, spool) = spool();
        assert!(Scanners::open(&spool).unwrap().is_news(&state("1", "a", false)));
        let mut scanners = Scanners::open(&spool).unwrap();
        assert!(!scanners.is_news(&state("2", "a", false)));
        assert!(scanners.is_news(&state("1", "a", false)));
        assert!(scanners.is_news(&event("3")) && scanners.is_news(&event("4")), "files are always news");
    }
}
