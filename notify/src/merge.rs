//! Many events, few messages.
//!
//! Events of one kind for the same recipient and share are a group. The first one is told at once. Then the group has a
//! rest, in which events are collected; what has come by its end is told as one. Each rest is four times as long as the
//! one before, up to a limit. A group that has been quiet for four of its rests is forgotten.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vscan_engine::notify::{Event, Pace};

const GROWTH: u64 = 4;

/// Whom a message is for, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Key {
    /// As the channel names it.
    pub(crate) recipient: String,
    pub(crate) share: String,
    pub(crate) kind: String,
    /// For channels that never merge: the event.
    pub(crate) event: Option<String>,
}

/// A recipient's rest after a message. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rest {
    pub(crate) since: u64,
    pub(crate) milliseconds: u64,
    /// Nobody was there: what comes during this rest is not for sending.
    pub(crate) is_absent: bool,
}

/// Events that make one message.
pub(crate) struct Batch {
    pub(crate) key: Key,
    pub(crate) events: Vec<Arc<Event>>,
}

/// A recipient who is not there.
pub(crate) struct Absent {
    pub(crate) key: Key,
    pub(crate) rest: Rest,
}

struct Group {
    events: Vec<Arc<Event>>,
    pace: Pace,
    rest: Option<Rest>,
    /// A message is being sent.
    is_busy: bool,
}

/// All groups of a channel.
pub(crate) struct Groups {
    groups: HashMap<Key, Group>,
}

impl Groups {
    /// With the rests that an earlier process has left.
    pub(crate) fn new(rests: HashMap<Key, Rest>) -> Self {
        let group = |(key, rest)| (key, Group::new(Pace::default(), Some(rest)));
        Self { groups: rests.into_iter().map(group).collect() }
    }

    /// One more event; or the rest of a recipient who is not there, and is not to be told.
    pub(crate) fn add(&mut self, key: Key, event: &Arc<Event>, pace: Pace, now: u64) -> Result<(), Absent> {
        let new = || Group::new(pace, None);
        let group = self.groups.entry(key.clone()).or_insert_with(new);
        group.pace = pace;
        if let Some(rest) = group.rest.as_ref().filter(|rest| rest.is_absent && group.due(now) > now) {
            return Err(Absent { key, rest: rest.clone() });
        }
        group.events.push(event.clone());
        Ok(())
    }

    /// Takes a message that is due. It must be [ended](Groups::end).
    pub(crate) fn take(&mut self, now: u64) -> Option<Batch> {
        self.groups.retain(|_, group| !group.is_forgotten(now));
        let due = self.groups.iter_mut().filter(|(_, group)| group.is_ready() && group.due(now) <= now);
        // Who has waited longest.
        let (key, group) = due.min_by_key(|(_, group)| group.events.first().map(|event| event.time))?;
        group.is_busy = true;
        Some(Batch { key: key.clone(), events: std::mem::take(&mut group.events) })
    }

    /// When the next message is due, if nothing else happens.
    pub(crate) fn next(&self, now: u64) -> Option<u64> {
        self.groups.values().filter(|group| group.is_ready()).map(|group| group.due(now)).min()
    }

    /// A message was sent; the rest that follows.
    pub(crate) fn sent(&mut self, key: &Key, now: u64) -> Rest {
        self.end(key, |group| group.next_rest(now)).0
    }

    /// Nobody was there; the rest that follows, and what has come meanwhile.
    pub(crate) fn absent(&mut self, key: &Key, now: u64, milliseconds: u64) -> (Rest, Vec<Arc<Event>>) {
        let (rest, group) = self.end(key, |_| Rest { since: now, milliseconds, is_absent: true });
        (rest, std::mem::take(&mut group.events))
    }

    /// A message is to be tried again, after a rest, with what has come meanwhile.
    pub(crate) fn put_back(&mut self, batch: Batch, now: u64) {
        let (_, group) = self.end(&batch.key, |group| group.next_rest(now));
        let since = std::mem::replace(&mut group.events, batch.events);
        group.events.extend(since);
    }

    fn end(&mut self, key: &Key, rest: impl FnOnce(&Group) -> Rest) -> (Rest, &mut Group) {
        let new = || Group::new(Pace::default(), None);
        // It is there: a group that is busy is never forgotten.
        let group = self.groups.entry(key.clone()).or_insert_with(new);
        group.is_busy = false;
        let rest = rest(group);
        group.rest = Some(rest.clone());
        (rest, group)
    }
}

impl Group {
    fn new(pace: Pace, rest: Option<Rest>) -> Self {
        Self { events: Vec::new(), pace, rest, is_busy: false }
    }

    fn is_ready(&self) -> bool {
        !self.is_busy && !self.events.is_empty()
    }

    fn due(&self, now: u64) -> u64 {
        match &self.rest {
            // A rest from the future: the clock was set back.
            Some(rest) if rest.since <= now => rest.since + rest.milliseconds,
            Some(_) | None => now,
        }
    }

    fn next_rest(&self, now: u64) -> Rest {
        let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (first, longest) = (milliseconds(self.pace.first), milliseconds(self.pace.longest));
        let length = match &self.rest {
            Some(rest) if !rest.is_absent && !rest.is_forgotten(now) => {
                rest.milliseconds.saturating_mul(GROWTH).max(first)
            }
            Some(_) | None => first,
        };
        Rest { since: now, milliseconds: length.min(longest), is_absent: false }
    }

    fn is_forgotten(&self, now: u64) -> bool {
        !self.is_busy
            && self.events.is_empty()
            && self.rest.as_ref().is_none_or(|rest| rest.is_forgotten(now))
    }
}

impl Rest {
    fn is_forgotten(&self, now: u64) -> bool {
        now < self.since || now - self.since > self.milliseconds.saturating_mul(GROWTH)
    }
}
