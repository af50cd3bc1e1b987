//! Which scans there are, which requests wait for them, and whose turn it is. Nothing here makes a scan progress.

use std::collections::HashMap;
use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use vscan_engine::counters;
use vscan_engine::identity::{FileKey, FileTime, Identity, granularity};
use vscan_engine::protection::Judgement;
use vscan_engine::queue::{Queue, Ticket, Urgency};

use super::Answer;
use super::check::Checking;
use super::job::{Job, Stage};
use crate::hooks::close::CloseScan;
use crate::host::event;
use crate::host::park::RequestId;
use crate::later::{self, Work};
use crate::share::Share;

/// Each scan that waits for its turn holds a descriptor. Beyond this many, a closed file is left to its next open.
pub(super) const MOST_WAITING: usize = 1000;

/// How long the scan of a closed file may be put off so that its result can be kept.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// What is under way in this process.
#[derive(Default)]
pub(super) struct Registry {
    /// Which of the jobs run and which wait for their turn; those that rest are not in it.
    pub(super) queue: Queue,
    /// All scans, but for one that makes progress at this moment.
    jobs: HashMap<Ticket, Job>,
    /// Questions for versions of signatures. They need no turn.
    pub(super) checks: HashMap<Ticket, Checking>,
    requests: HashMap<RequestId, Request>,
    last_ticket: u64,
    /// Files that were closed a moment ago, not looked at yet.
    pub(super) closed: Vec<(Rc<Share>, CloseScan)>,
    /// Those with results that are to be written for other processes.
    pub(super) with_results: Vec<Rc<Share>>,
    /// Scans are being started, further up the stack.
    pub(super) is_starting: bool,
}

/// A client's request that needs, or needed, a scan; from its first visit to create_file until smbd has freed it.
struct Request {
    parked: Parked,
    job: Option<Ticket>,
    answer: Option<Answer>,
    visits: u32,
    /// Counted as parked.
    counted: Option<counters::Parked>,
    /// The answer if a panic has cost us the scan.
    if_lost: Judgement,
}

/// Where a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Parked {
    /// In create_file, or parked by somebody else.
    #[default]
    No,
    /// Parked by us.
    Yes,
    /// On its way back to create_file.
    Resumed,
}

impl Registry {
    /// The scan of a file, for this share or for another one with the same answer.
    pub(super) fn find(&self, share: &Rc<Share>, key: FileKey) -> Option<Ticket> {
        let serves = |other: &Rc<Share>| Rc::ptr_eq(other, share) || other.judges_like(share);
        let same = |job: &Job| job.key == key && serves(&job.share);
        self.jobs.iter().find(|(_, job)| same(job)).map(|(ticket, _)| *ticket)
    }

    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Job> {
        self.jobs.remove(&ticket)
    }

    pub(super) fn put_back(&mut self, ticket: Ticket, job: Job) {
        self.jobs.insert(ticket, job);
    }

    /// The one whose time is up first comes first: finished in this order, most of them are in time.
    pub(super) fn take_all(&mut self) -> Vec<Job> {
        let mut jobs: Vec<Job> = mem::take(&mut self.jobs).into_values().collect();
        jobs.sort_by_key(|job| job.deadline);
        jobs
    }

    pub(super) fn new_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    fn insert(&mut self, job: Job) -> Ticket {
        let ticket = self.new_ticket();
        self.jobs.insert(ticket, job);
        ticket
    }

    pub(super) fn add_for_open(
        &mut self,
        share: &Rc<Share>,
        identity: &Identity,
        path: &[u8],
        file: OwnedFd,
    ) -> Ticket {
        let job = Job::new(share, identity, path, Stage::Waiting(file));
        let lane = job.lane;
        let ticket = self.insert(job);
        self.queue.add(ticket, lane, Urgency::Open);
        ticket
    }

    /// Whether there was room for one more.
    pub(super) fn add_for_close(
        &mut self,
        share: &Rc<Share>,
        identity: &Identity,
        path: &[u8],
        file: OwnedFd,
    ) -> bool {
        if let Some(job) = self.find(share, identity.key).and_then(|ticket| self.jobs.get_mut(&ticket)) {
            // A scan that has begun sees at its end that the file has changed, and begins again.
            job.was_closed = true;
            return true;
        }
        if self.jobs.len() >= MOST_WAITING {
            return false;
        }
        let rest = rest(identity, granularity(&file));
        let mut job = Job::new(share, identity, path, Stage::Resting(file));
        job.was_closed = true;
        let ticket = self.insert(job);
        if let Some(job) = self.jobs.get_mut(&ticket) {
            job.wake_at(Instant::now() + rest, ticket);
        }
        true
    }

    /// Puts a job that nobody waits for in the queue, for no longer than its deadline.
    pub(super) fn enqueue(&mut self, ticket: Ticket, mut job: Job, file: OwnedFd) {
        job.stage = Stage::Waiting(file);
        job.wake_at(job.deadline, ticket);
        self.queue.add(ticket, job.lane, Urgency::Close);
        self.jobs.insert(ticket, job);
    }

    /// A request waits for a scan from now on.
    pub(super) fn join(&mut self, ticket: Ticket, id: RequestId) {
        let Some(mut job) = self.jobs.remove(&ticket) else { return };
        if job.waiters.is_empty() && matches!(job.stage, Stage::Resting(_) | Stage::Waiting(_)) {
            // Until now nobody has waited, however long ago the file was closed.
            job.deadline = Instant::now() + job.share.protection().settings().scan_timeout;
        }
        if !job.waiters.contains(&id) {
            job.waiters.push(id);
        }
        if let Some(request) = self.requests.get_mut(&id) {
            request.job = Some(ticket);
        }
        match job.stage {
            Stage::Resting(file) => {
                job.stage = Stage::Waiting(file);
                self.queue.add(ticket, job.lane, Urgency::Open);
            }
            Stage::Waiting(_) => self.queue.hurry(ticket),
            Stage::Running(_) | Stage::Over => {}
        }
        self.jobs.insert(ticket, job);
    }

    /// Counts a visit of a request to create_file that needs a scan.
    pub(super) fn visit(&mut self, id: RequestId, if_lost: Judgement) -> u32 {
        let new =
            || Request { parked: Parked::No, job: None, answer: None, visits: 0, counted: None, if_lost };
        let request = self.requests.entry(id).or_insert_with(new);
        request.answer = None;
        request.visits += 1;
        request.visits
    }

    pub(super) fn answer_of(&self, id: RequestId) -> Option<Answer> {
        self.requests.get(&id)?.answer
    }

    /// A request is back in create_file: where it was, and what it was parked for.
    pub(super) fn arrived(&mut self, id: RequestId) -> (Parked, Option<Answer>) {
        match self.requests.get_mut(&id) {
            Some(request) => {
                request.counted = None;
                (mem::take(&mut request.parked), request.answer)
            }
            None => (Parked::No, None),
        }
    }

    /// A request has been parked; its job must not wait for its turn for ever.
    pub(super) fn parked(&mut self, id: RequestId, ticket: Ticket) {
        let counted = self.jobs.get(&ticket).and_then(|job| job.share.protection().count_parked());
        if let Some(request) = self.requests.get_mut(&id) {
            request.parked = Parked::Yes;
            request.counted = counted;
        }
        if let Some(job) = self.jobs.get_mut(&ticket) {
            job.wake_at(job.deadline, ticket);
        }
    }

    /// Hands out an answer; which requests are to be resumed.
    pub(super) fn answer(&mut self, ticket: Ticket, waiters: &[RequestId], answer: Answer) -> Vec<RequestId> {
        self.queue.remove(ticket);
        let mut resumed = Vec::new();
        for id in waiters {
            if let Some(request) = self.requests.get_mut(id) {
                request.answer = Some(answer);
                if request.parked == Parked::Yes {
                    request.parked = Parked::Resumed;
                    resumed.push(*id);
                }
            }
        }
        resumed
    }

    /// A request has gone. The scan that only this request has waited for, if there is one.
    pub(super) fn forget(&mut self, id: RequestId) -> Option<Job> {
        let ticket = self.requests.remove(&id)?.job?;
        let job = self.jobs.get_mut(&ticket)?;
        job.waiters.retain(|waiter| *waiter != id);
        if job.was_closed || !job.waiters.is_empty() {
            return None;
        }
        self.queue.remove(ticket);
        if self.queue.waiting() > 0 {
            // Not here: smbd is in the middle of freeing something.
            later::plan(Work::StartScans);
        }
        self.jobs.remove(&ticket)
    }

    pub(super) fn look_later(&mut self, share: &Rc<Share>, closed: CloseScan) {
        event::finish_at_exit();
        self.closed.push((share.clone(), closed));
        later::plan(Work::StartScans);
    }

    /// Has the results of a share written, with those that come soon.
    pub(super) fn write_soon(&mut self, share: &Rc<Share>) {
        if !self.with_results.iter().any(|known| Rc::ptr_eq(known, share)) {
            self.with_results.push(share.clone());
        }
        later::plan(Work::WriteResults);
    }

    /// After a panic: answers the requests whose scan got lost with it.
    pub(super) fn answer_lost(&mut self) -> Vec<RequestId> {
        let mut resumed = Vec::new();
        for (id, request) in &mut self.requests {
            let Some(ticket) = request.job.filter(|ticket| !self.jobs.contains_key(ticket)) else { continue };
            self.queue.remove(ticket);
            if request.parked == Parked::Yes {
                request.answer = Some(Answer { key: FileKey::default(), judgement: request.if_lost });
                request.parked = Parked::Resumed;
                resumed.push(*id);
            }
        }
        resumed
    }
}

/// How long to leave a file alone that was changed a moment ago: a result of a scan that begins in the same tick of the
/// kernel's clock could not be kept (see [`Identity::shows_changes_since`]).
fn rest(identity: &Identity, granularity: Duration) -> Duration {
    if granularity > LONGEST_REST {
        return Duration::ZERO;
    }
    let age = FileTime::now().since(identity.ctime).unwrap_or_default();
    (granularity + Duration::from_millis(1)).saturating_sub(age)
}
