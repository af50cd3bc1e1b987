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
    /// Whether it was over so long ago that the next message is the first again.
    pub(crate) fn is_forgotten(&self, now: u64) -> bool {
        now < self.since || now - self.since > self.milliseconds.saturating_mul(GROWTH)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::channels::tests::event;

    const PACE: Pace = Pace { first: Duration::from_secs(10), longest: Duration::from_secs(100) };

    fn key(recipient: &str) -> Key {
        Key { recipient: recipient.into(), share: "s".into(), kind: "Infected".into(), event: None }
    }

    /// Sends what is due at each of these seconds: how many events each message had.
    fn sent(groups: &mut Groups, seconds: std::ops::Range<u64>) -> Vec<(u64, usize)> {
        let mut sent = Vec::new();
        for second in seconds {
            while let Some(batch) = groups.take(second * 1000) {
                sent.push((second, batch.events.len()));
                groups.sent(&batch.key, second * 1000);
            }
        }
        sent
    }

    fn add(groups: &mut Groups, second: u64, count: usize) {
        for _ in 0..count {
            let added = groups.add(key("a"), &Arc::new(event("worm")), PACE, second * 1000);
            assert!(added.is_ok());
        }
    }

    #[test]
    fn a_storm_becomes_a_few_messages_whose_counts_add_up() {
        let mut groups = Groups::new(HashMap::new());
        let mut messages = Vec::new();
        for second in 0..600 {
            add(&mut groups, second, 20);
            messages.extend(sent(&mut groups, second..second + 1));
        }
        messages.extend(sent(&mut groups, 600..1000));
        assert_eq!(messages.first(), Some(&(0, 20)), "the first is told at once");
        assert!(messages.len() <= 10, "{messages:?}");
        assert_eq!(messages.iter().map(|(_, count)| count).sum::<usize>(), 12_000);
    }

    #[test]
    fn rests_grow_and_are_forgotten_when_it_is_quiet() {
        let mut groups = Groups::new(HashMap::new());
        add(&mut groups, 0, 1);
        assert_eq!(sent(&mut groups, 0..1), [(0, 1)]);
        add(&mut groups, 1, 5);
        assert_eq!(sent(&mut groups, 1..30), [(10, 5)]);
        add(&mut groups, 30, 1);
        assert_eq!(sent(&mut groups, 30..60), [(50, 1)], "40 s after the second");
        // 100 s, the limit, after the third; it is over, but not forgotten.
        add(&mut groups, 200, 2);
        assert_eq!(sent(&mut groups, 200..201), [(200, 2)]);
        add(&mut groups, 201, 1);
        assert_eq!(sent(&mut groups, 201..400), [(300, 1)]);
        // Four rests later it is.
        add(&mut groups, 800, 1);
        assert_eq!(sent(&mut groups, 800..801), [(800, 1)]);
        add(&mut groups, 801, 1);
        assert_eq!(sent(&mut groups, 801..900), [(810, 1)]);
    }

    #[test]
    fn recipients_do_not_wait_for_each_other() {
        let mut groups = Groups::new(HashMap::new());
        for recipient in ["a", "b"] {
            assert!(groups.add(key(recipient), &Arc::new(event("x")), PACE, 0).is_ok());
        }
        let (one, other) = (groups.take(0).unwrap(), groups.take(0).unwrap());
        assert_ne!(one.key, other.key);
        assert!(groups.add(one.key.clone(), &Arc::new(event("y")), PACE, 0).is_ok());
        assert!(groups.take(0).is_none(), "a message to this one is under way");
        groups.sent(&one.key, 0);
        assert_eq!(groups.next(0), Some(10_000));
    }

    #[test]
    fn what_could_not_be_sent_is_sent_later_with_what_came_meanwhile() {
        let mut groups = Groups::new(HashMap::new());
        add(&mut groups, 0, 2);
        let batch = groups.take(0).unwrap();
        add(&mut groups, 1, 3);
        groups.put_back(batch, 2000);
        assert_eq!(sent(&mut groups, 2..100), [(12, 5)]);
    }

    #[test]
    fn who_is_not_there_is_left_alone() {
        let mut groups = Groups::new(HashMap::new());
        add(&mut groups, 0, 1);
        let batch = groups.take(0).unwrap();
        add(&mut groups, 1, 3);
        let (rest, missed) = groups.absent(&batch.key, 3000, 60_000);
        assert_eq!(missed.len(), 3);
        assert!(groups.add(key("a"), &Arc::new(event("x")), PACE, 62_000).is_err());
        // And by another process.
        let mut groups = Groups::new(HashMap::from([(key("a"), rest)]));
        assert!(groups.add(key("a"), &Arc::new(event("x")), PACE, 62_000).is_err());
        add(&mut groups, 64, 1);
        assert_eq!(sent(&mut groups, 64..65), [(64, 1)]);
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nobody_up() {
        let rest = Rest { since: 1_000_000, milliseconds: 60_000, is_absent: true };
        let mut groups = Groups::new(HashMap::from([(key("a"), rest)]));
        add(&mut groups, 5, 1);
        assert_eq!(sent(&mut groups, 5..6), [(5, 1)]);
    }
}
