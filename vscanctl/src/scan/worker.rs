//! One thread, with several scans under way at once.
//!
//! To wait for a scanner and to be woken up costs a thread more than all that it does for a file. While it waits for several
//! answers, some come together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use vscan_engine::scan;
use vscan_engine::scan::blocking;

use super::file::{Report, Scans, Step, UnderWay};
use super::patience::Patience;
use super::queue::{Found, Queue};
use super::{Message, Tree};

/// So many files that need no scan are looked at before those are heard of that do.
const AT_ONCE: usize = 64;

/// How long a worker that has room for more waits for answers alone.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What all workers share.
pub struct Shared<'a> {
    pub trees: &'a [Tree<'a>],
    pub queue: &'a Queue,
    pub stop: &'a AtomicBool,
    pub patience: &'a Patience,
}

pub struct Worker<'a> {
    shared: &'a Shared<'a>,
    reports: SyncSender<Message>,
    /// How many scans may be under way.
    most: usize,
    /// Of each tree, made when the first file of it comes.
    scans: Vec<Option<Scans<'a>>>,
    /// Each with its tree.
    under_way: Vec<(usize, UnderWay)>,
}

impl<'a> Worker<'a> {
    pub fn new(shared: &'a Shared<'a>, reports: SyncSender<Message>, most: usize) -> Self {
        let scans = shared.trees.iter().map(|_| None).collect();
        Self { shared, reports, most, scans, under_way: Vec::new() }
    }

    /// Scans until nothing is left. After a stop, what is left is taken and dropped: the walk may wait for room.
    pub fn work(mut self) {
        loop {
            scan::close_idle_connections(Instant::now());
            let patience = self.begin_some();
            if !self.under_way.is_empty() {
                self.hear(patience);
            } else if patience > Duration::ZERO {
                let Some(found) = self.shared.queue.wait() else { return };
                self.begin(found);
            }
        }
    }

    /// Begins as many scans as may be under way. How long to wait for their answers.
    fn begin_some(&mut self) -> Duration {
        for _ in 0..AT_ONCE {
            if self.under_way.len() >= self.most {
                return Duration::MAX;
            }
            let Some(found) = self.shared.queue.ready() else {
                // Others may use them, until there is more.
                scan::close_connections();
                return LOOK_EVERY;
            };
            self.begin(found);
        }
        Duration::ZERO
    }

    fn begin(&mut self, found: Found) {
        let Found { path, tree } = found;
        let (Some(place), Some(scans)) = (self.shared.trees.get(tree), self.scans.get_mut(tree)) else {
            return;
        };
        if !self.shared.stop.load(Ordering::Relaxed) {
            let step = scans.get_or_insert_with(|| Scans::new(place)).begin(path);
            self.follow(tree, step);
        }
    }

    /// Waits for answers. Whatever has one makes way for another file at once, which gets its connection.
    fn hear(&mut self, patience: Duration) {
        let waiting: Vec<_> = self.under_way.iter().map(|(_, under_way)| under_way.waits()).collect();
        let is_ready = blocking::wait_for_any(&waiting, patience);
        // From the end: the place of one that is taken out gets the last one, which was looked at by then.
        for (index, _) in is_ready.iter().enumerate().rev().filter(|(_, is_ready)| **is_ready) {
            let (tree, under_way) = self.under_way.swap_remove(index);
            if let Some(Some(scans)) = self.scans.get(tree) {
                let step = scans.go_on(under_way);
                self.follow(tree, step);
            }
            self.begin_some();
        }
    }

    fn follow(&mut self, tree: usize, step: Step) {
        match step {
            Step::Waiting(under_way) => self.under_way.push((tree, under_way)),
            Step::Done(report) => self.hand_in(report),
        }
    }

    fn hand_in(&self, report: Report) {
        let Shared { stop, patience, .. } = self.shared;
        let has_verdict = !report.is_without_verdict();
        if self.reports.send(Message::Done(report)).is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        patience.heed(has_verdict, stop);
    }
}
