//! A channel's desk: the threads that send its messages.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vscan_engine::log::Printable;
use vscan_engine::notify::Event;

use crate::channels::{Channel, Message, Trouble};
use crate::ledger::Ledger;
use crate::merge::{Absent, Batch, Groups, Key};
use crate::syslog;

/// Messages that cannot be sent for so long are given up.
const GIVE_UP: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a recipient that is not there is left alone, and how often trouble with the same recipient is logged.
const LEAVE_ALONE: Duration = Duration::from_secs(60 * 60);

/// Where one channel's messages are put together and sent.
pub(crate) struct Desk {
    channel: &'static Channel,
    ledger: Arc<Ledger>,
    groups: Mutex<Groups>,
    changed: Condvar,
    /// When trouble with a recipient was last logged.
    complained: Mutex<HashMap<Key, u64>>,
}

impl Desk {
    /// Opens it, with as many threads as the channel wants.
    pub(crate) fn open(channel: &'static Channel, ledger: &Arc<Ledger>) -> Arc<Self> {
        let desk = Arc::new(Self {
            channel,
            ledger: ledger.clone(),
            groups: Mutex::new(Groups::new(ledger.rests(channel.name))),
            changed: Condvar::new(),
            complained: Mutex::default(),
        });
        for _ in 0..channel.threads {
            let desk = desk.clone();
            thread::spawn(move || desk.serve());
        }
        desk
    }

    /// The channel's name.
    pub(crate) fn channel(&self) -> &'static str {
        self.channel.name
    }

    /// Whether the channel has somebody to tell of an event.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        (self.channel.recipient)(event).is_some()
    }

    /// Takes an event that it wants.
    pub(crate) fn take(&self, event: &Arc<Event>) {
        let Some(recipient) = (self.channel.recipient)(event) else { return };
        let pace = (self.channel.pace)(event);
        let key = Key {
            recipient,
            share: event.share.clone(),
            kind: if self.channel.mixes_kinds { "any".to_owned() } else { format!("{:?}", event.kind()) },
            event: pace.longest.is_zero().then(|| event.id.clone()),
        };
        let added = self.groups().add(key, event, pace, now());
        match added {
            Ok(()) => self.changed.notify_one(),
            Err(Absent { key, rest }) => {
                self.ledger.done(self.channel.name, &key, &rest, vec![event.id.clone()])
            }
        }
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        loop {
            let batch = self.wait();
            self.send(batch);
        }
    }

    fn wait(&self) -> Batch {
        let mut groups = self.groups();
        loop {
            let now = now();
            if let Some(batch) = groups.take(now) {
                return batch;
            }
            // A second at most: the clock may be set.
            let wait = groups.next(now).map_or(1000, |next| next.saturating_sub(now).clamp(1, 1000));
            let waited = self.changed.wait_timeout(groups, Duration::from_millis(wait));
            (groups, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn send(&self, mut batch: Batch) {
        let trouble = (self.channel.send)(&Message { events: &batch.events });
        let now = now();
        let rest = match trouble {
            Ok(()) => {
                // Of programs that are run for each event, others may still fail.
                if batch.key.event.is_none() {
                    self.complained().remove(&batch.key);
                }
                self.groups().sent(&batch.key, now)
            }
            Err(Trouble::Nobody(why)) => {
                self.complain(&batch.key, &why, now);
                let (rest, missed) = self.groups().absent(&batch.key, now, milliseconds(LEAVE_ALONE));
                batch.events.extend(missed);
                rest
            }
            Err(Trouble::Failed(why)) => {
                self.complain(&batch.key, &why, now);
                self.groups().sent(&batch.key, now)
            }
            Err(Trouble::Later(why)) => {
                self.complain(&batch.key, &why, now);
                let oldest = batch.events.first().map_or(0, |event| event.time);
                if now.saturating_sub(oldest) <= milliseconds(GIVE_UP) {
                    return self.groups().put_back(batch, now);
                }
                self.groups().sent(&batch.key, now)
            }
        };
        let ids = batch.events.iter().map(|event| event.id.clone()).collect();
        self.ledger.done(self.channel.name, &batch.key, &rest, ids);
    }

    /// Says what is wrong, once an hour for each recipient and share.
    fn complain(&self, key: &Key, why: &str, now: u64) {
        let about = Key { event: None, ..key.clone() };
        let last = self.complained().get(&about).copied();
        if last.is_none_or(|last| now.saturating_sub(last) >= milliseconds(LEAVE_ALONE)) {
            self.complained().insert(about, now);
            let recipient = Printable(key.recipient.as_bytes());
            syslog::line(&format!("{} to {recipient}: {why}", self.channel.name));
        }
    }

    fn complained(&self) -> MutexGuard<'_, HashMap<Key, u64>> {
        self.complained.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
