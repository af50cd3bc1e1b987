//! The scans that are under way in this smbd, and who waits for them.
//!
//! A scan begins here when a file is opened or closed, goes on whenever smbd's event loop has news of it, and ends with an
//! answer for the requests that were parked for it. Nothing here waits, but for the few places that say so.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use vscan_engine::identity::{FileKey, FileTime, Identity, granularity};
use vscan_engine::log::{Level, Printable};
use vscan_engine::policy::Status;
use vscan_engine::protection::{Allowance, Denial, Judgement, Occasion, Scan, Settled};
use vscan_engine::queue::{Lane, Queue, Ticket, Urgency};
use vscan_engine::scan::exchange::{Progress, Wait};

use crate::host::event::{self, Timer, Watch};
use crate::host::park::{self, Parkable, RequestId};
use crate::share::Share;

/// Each scan that waits for its turn holds a descriptor. Beyond this many, a closed file is left to its next open.
const MOST_WAITING: usize = 1000;

/// How often one request is parked for a file that has changed again by the time it was scanned.
const MOST_VISITS: u32 = 3;

/// How long the scan of a closed file may be put off so that its result can be kept.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// The timer that starts what waits, rather than any one scan.
const EVERYBODY: Ticket = Ticket(0);

thread_local! {
    /// smbd calls us on one thread only. Nothing is borrowed while a scan makes progress.
    static SCANS: RefCell<Scans> = RefCell::new(Scans::default());
}

#[derive(Default)]
struct Scans {
    queue: Queue,
    jobs: HashMap<Ticket, Job>,
    requests: HashMap<RequestId, Request>,
    last_ticket: u64,
    starter: Option<Timer>,
    is_starting: bool,
    finishes_at_exit: bool,
}

/// One file that is being scanned, or waits for it.
struct Job {
    share: Rc<Share>,
    key: FileKey,
    path: Vec<u8>,
    lane: Lane,
    /// It was changed and closed: wanted even if nobody waits.
    was_closed: bool,
    waiters: Vec<RequestId>,
    /// When it must be over, counted from when it was asked for.
    deadline: Instant,
    // Before the stage, whose socket it watches: fields are dropped in order.
    watch: Option<(Watch, Wait)>,
    timer: Option<Timer>,
    stage: Stage,
}

enum Stage {
    /// Closed a moment ago; not in the queue yet.
    Resting(OwnedFd),
    /// In the queue.
    Waiting(OwnedFd),
    Running(Box<Scan>),
    /// Its answer is on the way.
    Over,
}

impl Job {
    /// On whose behalf the file is scanned.
    fn occasion(&self) -> Occasion {
        if self.waiters.is_empty() { Occasion::Close } else { Occasion::Open }
    }
}

/// A client's request that needs, or needed, a scan.
#[derive(Default)]
struct Request {
    parked: Parked,
    answer: Option<Answer>,
    visits: u32,
}

/// Where a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Parked {
    /// In create_file, or parked by somebody else.
    #[default]
    No,
    /// Parked by us.
    Yes,
    /// On its way back to create_file.
    Resumed,
}

/// What a request was parked for.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The file that was scanned.
    pub key: FileKey,
    /// What came of it.
    pub judgement: Judgement,
}

impl Answer {
    /// The judgement, if it is about the file in this state.
    pub fn about(&self, identity: &Identity) -> Option<Judgement> {
        match self.judgement {
            _ if self.key != identity.key => None,
            Judgement::Allowed(Allowance::Exactly(scanned)) if scanned != *identity => None,
            judgement @ (Judgement::Allowed(_) | Judgement::Denied(_)) => Some(judgement),
        }
    }
}

/// What becomes of an open whose file needs a scan.
pub enum Verdict {
    /// There is an answer.
    Now(Judgement),
    /// The request is parked, and comes back when there is one.
    Later,
    /// vscan cannot open the file.
    Unreadable,
}

/// Allows as many scans at once as a share asks for.
pub fn allow_in_flight(limit: usize) {
    SCANS.with_borrow_mut(|scans| scans.queue.raise_limit(limit));
}

/// A request has entered create_file, perhaps once more; what it was parked for, if so.
pub fn arrived(parkable: &Parkable) -> Option<Answer> {
    let (parked, answer) = SCANS.with_borrow_mut(|scans| {
        let request = scans.requests.get_mut(&parkable.id())?;
        Some((mem::take(&mut request.parked), request.answer))
    })?;
    match parked {
        Parked::No => {}
        Parked::Yes | Parked::Resumed => parkable.unpark(),
    }
    answer
}

/// Gets a verdict for an open: from the scan of this file that is under way, or from a new one.
pub fn judge_open(
    share: &Rc<Share>,
    request: Option<&Parkable>,
    path: &[u8],
    identity: &Identity,
    open: impl FnOnce() -> Option<OwnedFd>,
) -> Verdict {
    let under_way = SCANS.with_borrow(|scans| scans.find(share, identity.key));
    let Some(request) = request else {
        let judgement =
            under_way.and_then(wait_for).or_else(|| open().map(|file| scan_now(share, file, path)));
        return judgement.map_or(Verdict::Unreadable, Verdict::Now);
    };
    if SCANS.with_borrow_mut(|scans| scans.visit(request.id())) > MOST_VISITS {
        let place = share.place(path);
        return Verdict::Now(share.protection().give_up(&place, identity, &share.context()));
    }
    let ticket = match under_way {
        Some(ticket) => ticket,
        None => match open() {
            Some(file) => SCANS.with_borrow_mut(|scans| scans.add_for_open(share, identity, path, file)),
            None => return Verdict::Unreadable,
        },
    };
    SCANS.with_borrow_mut(|scans| scans.join(ticket, request.id()));
    start_what_waits();
    // A scanner that needs no connection has answered already.
    if let Some(answer) = answer_of(request) {
        return Verdict::Now(answer.judgement);
    }
    if request.park() {
        SCANS.with_borrow_mut(|scans| scans.requests.entry(request.id()).or_default().parked = Parked::Yes);
        return Verdict::Later;
    }
    wait_for(ticket).map_or(Verdict::Unreadable, Verdict::Now)
}

fn answer_of(parkable: &Parkable) -> Option<Answer> {
    SCANS.with_borrow(|scans| scans.requests.get(&parkable.id())?.answer)
}

/// Has a file scanned that was changed and closed; nobody waits for it.
pub fn scan_closed(share: &Rc<Share>, path: &[u8], identity: &Identity, file: OwnedFd) {
    let crowded = SCANS.with_borrow_mut(|scans| scans.add_for_close(share, identity, path, file));
    if crowded {
        let text = format!(
            "\"{}\" was changed, but {MOST_WAITING} scans are waiting already: it is scanned at its next open",
            Printable(path)
        );
        share.log().line(Level::Notice, &text);
    }
}

/// Scans a file on the spot and waits for the end.
pub fn scan_now(share: &Share, file: OwnedFd, path: &[u8]) -> Judgement {
    share.protection().scan(file, &share.place(path), Occasion::Open, &share.context())
}

/// A socket has news for a scan.
pub fn on_socket(ticket: Ticket) {
    if let Some(job) = take(ticket) {
        go_on(ticket, job);
    }
}

/// A moment has come for a scan, or for all.
pub fn on_time(ticket: Ticket) {
    if ticket == EVERYBODY {
        if let Some(timer) = SCANS.with_borrow_mut(|scans| scans.starter.take()) {
            timer.has_fired();
        }
        return start_what_waits();
    }
    let Some(mut job) = take(ticket) else { return };
    if let Some(timer) = job.timer.take() {
        timer.has_fired();
    }
    match mem::replace(&mut job.stage, Stage::Over) {
        Stage::Resting(file) => {
            job.stage = Stage::Waiting(file);
            SCANS.with_borrow_mut(|scans| {
                scans.queue.add(ticket, job.lane, Urgency::Close);
                scans.keep(ticket, job);
            });
            start_what_waits();
        }
        Stage::Waiting(file) => {
            job.stage = Stage::Waiting(file);
            // The wall clock, by which smbd's timers go, may have jumped.
            if Instant::now() < job.deadline {
                SCANS.with_borrow_mut(|scans| scans.keep(ticket, job));
            } else {
                expire(ticket, &job);
            }
        }
        running @ Stage::Running(_) => {
            job.stage = running;
            go_on(ticket, job);
        }
        Stage::Over => {}
    }
}

/// A request has gone, answered or not. A scan that only this request has waited for is cancelled.
pub fn forget(request: RequestId) {
    let cancelled = SCANS.with_borrow_mut(|scans| {
        scans.requests.remove(&request);
        let (ticket, job) = scans.jobs.iter_mut().find(|(_, job)| job.waiters.contains(&request))?;
        let ticket = *ticket;
        job.waiters.retain(|waiter| *waiter != request);
        if job.was_closed || !job.waiters.is_empty() {
            return None;
        }
        scans.queue.remove(ticket);
        scans.start_soon();
        scans.jobs.remove(&ticket)
    });
    if let Some(job) = cancelled {
        let text = format!("\"{}\": nobody waits for its scan any more: cancelled", Printable(&job.path));
        job.share.log().line(Level::Decision, &text);
    }
}

/// A panic has left a scan in an unknown state: whoever waits for it gets the answer for errors.
pub fn give_up_after_panic(ticket: Ticket) {
    if let Some(job) = take(ticket) {
        let denied = Judgement::Denied(Denial { status: Status::AccessDenied, infected: false });
        let allowed = Judgement::Allowed(Allowance::AnyContent);
        let judgement = if job.share.denies_on_error() { denied } else { allowed };
        answer_all(ticket, &job, judgement);
    }
}

/// smbd ends: finishes the scans of closed files, each within its deadline, and names those it could not finish.
pub fn finish_all() {
    let jobs = SCANS.with_borrow_mut(|scans| {
        scans.starter = None;
        mem::take(&mut scans.jobs)
    });
    for (_, mut job) in jobs {
        if !job.was_closed {
            continue;
        }
        if Instant::now() < job.deadline {
            // Nobody is left to be told; what is to be done and logged has been.
            let _ = run_to_end(&mut job);
        } else {
            let text = format!(
                "\"{}\" was changed and could not be scanned before its client's smbd ended: it is scanned at its \
                 next open",
                Printable(&job.path)
            );
            job.share.log().line(Level::Notice, &text);
        }
    }
}

impl Scans {
    fn find(&self, share: &Rc<Share>, key: FileKey) -> Option<Ticket> {
        let same = |job: &Job| job.key == key && Rc::ptr_eq(&job.share, share);
        self.jobs.iter().find(|(_, job)| same(job)).map(|(ticket, _)| *ticket)
    }

    /// Counts a visit of a request that needs a scan.
    fn visit(&mut self, request: RequestId) -> u32 {
        let request = self.requests.entry(request).or_default();
        request.answer = None;
        request.visits += 1;
        request.visits
    }

    fn add_for_open(&mut self, share: &Rc<Share>, identity: &Identity, path: &[u8], file: OwnedFd) -> Ticket {
        let (ticket, job) = self.job(share, identity, path, Stage::Waiting(file));
        self.queue.add(ticket, job.lane, Urgency::Open);
        self.keep(ticket, job);
        ticket
    }

    /// Whether there are too many scans to add this one.
    fn add_for_close(&mut self, share: &Rc<Share>, identity: &Identity, path: &[u8], file: OwnedFd) -> bool {
        if let Some(job) = self.find(share, identity.key).and_then(|ticket| self.jobs.get_mut(&ticket)) {
            // A scan that has begun sees at its end that the file has changed, and begins again.
            job.was_closed = true;
            return false;
        }
        if self.jobs.len() >= MOST_WAITING {
            return true;
        }
        if !mem::replace(&mut self.finishes_at_exit, true) {
            event::finish_at_exit();
        }
        let rest = rest(identity, granularity(&file));
        let (ticket, mut job) = self.job(share, identity, path, Stage::Resting(file));
        job.was_closed = true;
        job.timer = Timer::new(Instant::now() + rest, ticket);
        self.jobs.insert(ticket, job);
        false
    }

    fn job(&mut self, share: &Rc<Share>, identity: &Identity, path: &[u8], stage: Stage) -> (Ticket, Job) {
        self.last_ticket += 1;
        let settings = share.protection().settings();
        let is_large = settings.large_file_size.is_some_and(|large| identity.size > large.0);
        let job = Job {
            share: share.clone(),
            key: identity.key,
            path: path.to_vec(),
            lane: if is_large { Lane::Large } else { Lane::Documents },
            was_closed: false,
            waiters: Vec::new(),
            deadline: Instant::now() + settings.scan_timeout,
            watch: None,
            timer: None,
            stage,
        };
        (Ticket(self.last_ticket), job)
    }

    /// Keeps a job that waits in the queue, for no longer than its deadline.
    fn keep(&mut self, ticket: Ticket, mut job: Job) {
        job.timer = Timer::new(job.deadline, ticket);
        self.jobs.insert(ticket, job);
    }

    /// A request waits for a scan.
    fn join(&mut self, ticket: Ticket, request: RequestId) {
        let Some(mut job) = self.jobs.remove(&ticket) else { return };
        if !job.waiters.contains(&request) {
            job.waiters.push(request);
        }
        if let Stage::Resting(file) = job.stage {
            job.stage = Stage::Waiting(file);
            self.queue.add(ticket, job.lane, Urgency::Open);
            self.keep(ticket, job);
        } else {
            self.queue.hurry(ticket);
            self.jobs.insert(ticket, job);
        }
    }

    /// Starts what waits once smbd is back in its loop.
    fn start_soon(&mut self) {
        if self.starter.is_none() && self.queue.waiting() > 0 {
            self.starter = Timer::new(Instant::now(), EVERYBODY);
        }
    }
}

/// How long to leave a file alone that was changed a moment ago: a result of a scan that begins in the same tick of the
/// kernel's clock could not be kept (see [`Identity::shows_changes_since`]).
fn rest(identity: &Identity, granularity: Duration) -> Duration {
    if granularity > LONGEST_REST {
        return Duration::ZERO;
    }
    let age = FileTime::now().0 - identity.ctime.0;
    let age = Duration::from_nanos(u64::try_from(age).unwrap_or(0));
    (granularity + Duration::from_millis(1)).saturating_sub(age)
}

fn take(ticket: Ticket) -> Option<Job> {
    SCANS.with_borrow_mut(|scans| scans.jobs.remove(&ticket))
}

fn put_back(ticket: Ticket, job: Job) {
    SCANS.with_borrow_mut(|scans| scans.jobs.insert(ticket, job));
}

/// Starts scans for as long as there are some and the queue lets them run.
fn start_what_waits() {
    // A scan that ends at once starts the next one: here, and not deeper and deeper inside each other.
    if SCANS.with_borrow_mut(|scans| mem::replace(&mut scans.is_starting, true)) {
        return;
    }
    while let Some(ticket) = SCANS.with_borrow_mut(|scans| scans.queue.start_next()) {
        if let Some(job) = take(ticket) {
            go_on(ticket, job);
        }
    }
    SCANS.with_borrow_mut(|scans| scans.is_starting = false);
}

/// Takes a scan as far as it goes without waiting.
fn go_on(ticket: Ticket, mut job: Job) {
    let share = job.share.clone();
    let path = job.path.clone();
    let place = share.place(&path);
    let mut scan = match mem::replace(&mut job.stage, Stage::Over) {
        Stage::Running(scan) => scan,
        Stage::Resting(file) | Stage::Waiting(file) => {
            Box::new(share.protection().begin(file, &place, job.deadline))
        }
        Stage::Over => return,
    };
    loop {
        let outcome = match share.protection().advance(&mut scan) {
            Progress::Waiting(wait, until) => {
                arm(&mut job, &scan, ticket, wait, until);
                job.stage = Stage::Running(scan);
                return put_back(ticket, job);
            }
            Progress::Done(outcome) => outcome,
        };
        // Before the exchange closes the socket that is watched.
        job.watch = None;
        match share.protection().settle(*scan, outcome, &place) {
            Settled::Again(next) => scan = next,
            Settled::Ended(ended) => {
                let judgement = share.protection().conclude(&ended, &place, job.occasion(), &share.context());
                return answer_all(ticket, &job, judgement);
            }
        }
    }
}

/// Has smbd's loop wake a scan up.
fn arm(job: &mut Job, scan: &Scan, ticket: Ticket, wait: Wait, until: Instant) {
    match (&mut job.watch, scan.exchange.socket(), wait) {
        (watch, None, _) | (watch, Some(_), Wait::Pause) => *watch = None,
        (Some((watch, current)), Some(_), wait) => {
            if *current != wait {
                watch.set(wait);
                *current = wait;
            }
        }
        (watch @ None, Some(socket), wait) => *watch = Watch::new(socket, wait, ticket).map(|w| (w, wait)),
    }
    // A timer that goes off early does no harm, and a deadline moves with each sign of life.
    if job.timer.as_ref().is_none_or(|timer| timer.at() > until) {
        job.timer = Timer::new(until, ticket);
    }
}

/// Ends a scan: everybody who waits for it is answered, and the next ones start.
fn answer_all(ticket: Ticket, job: &Job, judgement: Judgement) {
    let parked: Vec<RequestId> = SCANS.with_borrow_mut(|scans| {
        scans.queue.remove(ticket);
        let answer = Answer { key: job.key, judgement };
        let mut parked = Vec::new();
        for id in &job.waiters {
            if let Some(request) = scans.requests.get_mut(id) {
                request.answer = Some(answer);
                if request.parked == Parked::Yes {
                    request.parked = Parked::Resumed;
                    parked.push(*id);
                }
            }
        }
        parked
    });
    for id in parked {
        park::resume(id);
    }
    start_what_waits();
}

/// Ends a scan that has waited for its turn until its time was up.
fn expire(ticket: Ticket, job: &Job) {
    let place = job.share.place(&job.path);
    let judgement = job.share.protection().out_of_time(&place, job.occasion(), &job.share.context());
    answer_all(ticket, job, judgement);
}

/// Waits for the end of a scan that others may wait for, too.
fn wait_for(ticket: Ticket) -> Option<Judgement> {
    let mut job = take(ticket)?;
    let judgement = run_to_end(&mut job)?;
    answer_all(ticket, &job, judgement);
    Some(judgement)
}

/// Drives a scan to its end without smbd's loop.
fn run_to_end(job: &mut Job) -> Option<Judgement> {
    job.watch = None;
    job.timer = None;
    let share = job.share.clone();
    let scan = match mem::replace(&mut job.stage, Stage::Over) {
        Stage::Running(scan) => *scan,
        Stage::Resting(file) | Stage::Waiting(file) => {
            share.protection().begin(file, &share.place(&job.path), job.deadline)
        }
        // Not reached: a job leaves the map with this stage.
        Stage::Over => return None,
    };
    Some(share.protection().wait_for(scan, &share.place(&job.path), job.occasion(), &share.context()))
}
