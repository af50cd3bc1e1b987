//! Which scan is next.
//!
//! Scans that a client waits for go before those of files that were closed, and large files have a lane of their own, so
//! that a few of them never hold up documents.

use std::collections::VecDeque;

/// One scan, running or waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Which scans wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Files of ordinary size.
    Documents,
    /// Files over `large file size`.
    Large,
}

/// Who waits for a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A client that opens the file.
    Open,
    /// Nobody yet: the file was closed after a change.
    Close,
}

/// The scans of one process.
#[derive(Debug)]
pub struct Queue {
    limit: usize,
    documents: LaneState,
    large: LaneState,
}

#[derive(Debug, Default)]
struct LaneState {
    running: Vec<Ticket>,
    opens: VecDeque<Ticket>,
    closes: VecDeque<Ticket>,
}

impl Queue {
    /// A queue that lets one scan run at a time, until [`Queue::raise_limit`] says more.
    pub const fn new() -> Self {
        Self { limit: 1, documents: LaneState::new(), large: LaneState::new() }
    }

    /// Lets so many scans run at once; of all shares of a process the most generous counts.
    pub fn raise_limit(&mut self, limit: usize) {
        self.limit = self.limit.max(limit);
    }

    /// A scan that is to be done.
    pub fn add(&mut self, ticket: Ticket, lane: Lane, urgency: Urgency) {
        let state = match lane {
            Lane::Documents => &mut self.documents,
            Lane::Large => &mut self.large,
        };
        match urgency {
            Urgency::Open => state.opens.push_back(ticket),
            Urgency::Close => state.closes.push_back(ticket),
        }
    }

    /// Takes the next scan that may start now; it runs until [`Queue::remove`].
    pub fn start_next(&mut self) -> Option<Ticket> {
        let limit = self.limit;
        self.documents.start_next(limit).or_else(|| self.large.start_next((limit / 4).max(1)))
    }

    /// Somebody waits for this scan now.
    pub fn hurry(&mut self, ticket: Ticket) {
        for lane in [&mut self.documents, &mut self.large] {
            if let Some(at) = lane.closes.iter().position(|t| *t == ticket) {
                lane.closes.remove(at);
                lane.opens.push_back(ticket);
            }
        }
    }

    /// The scan is over, or no longer wanted.
    pub fn remove(&mut self, ticket: Ticket) {
        for lane in [&mut self.documents, &mut self.large] {
            lane.running.retain(|t| *t != ticket);
            lane.opens.retain(|t| *t != ticket);
            lane.closes.retain(|t| *t != ticket);
        }
    }

    /// How many scans run.
    pub fn running(&self) -> usize {
        self.documents.running.len() + self.large.running.len()
    }

    /// How many scans wait for their turn.
    pub fn waiting(&self) -> usize {
        [&self.documents, &self.large].iter().map(|lane| lane.opens.len() + lane.closes.len()).sum()
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl LaneState {
    const fn new() -> Self {
        Self { running: Vec::new(), opens: VecDeque::new(), closes: VecDeque::new() }
    }

    fn start_next(&mut self, limit: usize) -> Option<Ticket> {
        if self.running.len() >= limit {
            return None;
        }
        let next = self.opens.pop_front().or_else(|| self.closes.pop_front())?;
        self.running.push(next);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(limit: usize) -> Queue {
        let mut queue = Queue::new();
        queue.raise_limit(limit);
        queue
    }

    fn started(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.start_next()).map(|t| t.0).collect()
    }

    #[test]
    fn as_many_run_as_the_limit_says() {
        let mut queue = queue(2);
        for n in 1..=4 {
            queue.add(Ticket(n), Lane::Documents, Urgency::Open);
        }
        assert_eq!(started(&mut queue), [1, 2]);
        queue.remove(Ticket(1));
        assert_eq!(started(&mut queue), [3]);
        assert_eq!(queue.waiting(), 1);
    }

    #[test]
    fn opens_go_before_closes() {
        let mut queue = queue(1);
        queue.add(Ticket(1), Lane::Documents, Urgency::Close);
        queue.add(Ticket(2), Lane::Documents, Urgency::Open);
        assert_eq!(started(&mut queue), [2]);
    }

    #[test]
    fn a_close_that_somebody_waits_for_becomes_an_open() {
        let mut queue = queue(1);
        for n in 1..=3 {
            queue.add(Ticket(n), Lane::Documents, Urgency::Close);
        }
        queue.hurry(Ticket(3));
        assert_eq!(started(&mut queue), [3]);
    }

    #[test]
    fn large_files_do_not_hold_up_documents() {
        let mut queue = queue(4);
        for n in 1..=6 {
            queue.add(Ticket(n), Lane::Large, Urgency::Open);
        }
        queue.add(Ticket(7), Lane::Documents, Urgency::Close);
        assert_eq!(started(&mut queue), [7, 1]);
    }

    #[test]
    fn what_is_not_wanted_any_more_does_not_start() {
        let mut queue = queue(1);
        queue.add(Ticket(1), Lane::Documents, Urgency::Open);
        queue.remove(Ticket(1));
        assert_eq!(started(&mut queue), [0u64; 0]);
    }
}
