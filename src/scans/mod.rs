//! The scans that are under way in this smbd, and who waits for them.
//!
//! A scan begins here when a file is opened or closed, goes on whenever smbd's event loop has news of it, and ends with an
//! answer for the requests that were parked for it. Nothing here waits for longer than two milliseconds, but for the few
//! functions that say so.
#![forbid(unsafe_code)]

mod check;
mod job;
mod registry;
mod wakeup;

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use vscan_engine::identity::{FileKey, Identity};
use vscan_engine::log::{Level, Printable};
use vscan_engine::protection::{Allowance, Judgement, Occasion};
use vscan_engine::queue::Ticket;
use vscan_engine::shared;

use crate::hooks::close::{self, CloseScan};
use crate::host::log::ShareLog;
use crate::host::park::{self, Parkable, RequestId};
use crate::host::root::Root;
use crate::later::{self, Work};
use crate::share::Share;
use check::Checking;
use job::{Job, Patience, Stage};
use registry::{MOST_WAITING, Parked, Registry};

/// How often one request is parked for a file that has changed again by the time it was scanned.
const MOST_VISITS: u32 = 3;

/// When to try again while somebody else is writing results: it takes them less than a millisecond.
const ANOTHER_MOMENT: Duration = Duration::from_millis(5);

thread_local! {
    /// smbd calls us on one thread only. Nothing is borrowed while a scan makes progress.
    static SCANS: RefCell<Registry> = RefCell::new(Registry::default());
}

fn with<T>(work: impl FnOnce(&mut Registry) -> T) -> T {
    SCANS.with_borrow_mut(work)
}

/// What a request was parked for.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    key: FileKey,
    judgement: Judgement,
}

impl Answer {
    /// What the client is to hear when the file is no longer there.
    pub fn judgement(&self) -> Judgement {
        self.judgement
    }

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
pub enum Opening {
    /// There is an answer.
    Judged(Judgement),
    /// The request is parked, and comes back when there is one.
    Parked,
    /// vscan cannot open the file.
    Unreadable,
}

/// Allows as many scans at once as a share asks for.
pub fn allow_in_flight(limit: usize) {
    with(|scans| scans.queue.raise_limit(limit));
}

/// A request has entered create_file, perhaps once more; what it was parked for, if so.
pub fn arrived(request: &Parkable) -> Option<Answer> {
    let (parked, answer) = with(|scans| scans.arrived(request.id()));
    match parked {
        Parked::No => {}
        Parked::Yes | Parked::Resumed => request.unpark(),
    }
    answer
}

/// Gets a verdict for an open: from the scan of this file that is under way, or from a new one. Waits for it if there is no
/// request that can be parked.
pub fn judge_open(
    share: &Rc<Share>,
    request: Option<&Parkable>,
    path: &[u8],
    identity: &Identity,
    open: impl FnOnce() -> Option<OwnedFd>,
) -> Opening {
    let under_way = with(|scans| scans.find(share, identity.key));
    let Some(request) = request.filter(|request| request.follow()) else {
        let judgement = under_way
            .and_then(wait_for)
            .or_else(|| open().map(|file| scan_now(share, path, file, Occasion::Open)));
        return judgement.map_or(Opening::Unreadable, Opening::Judged);
    };
    if with(|scans| scans.visit(request.id(), share.judgement_on_error())) > MOST_VISITS {
        let place = share.place(path);
        return Opening::Judged(share.protection().give_up(&place, identity, &share.context()));
    }
    let ticket = match under_way {
        Some(ticket) => ticket,
        None => match open() {
            Some(file) => with(|scans| scans.add_for_open(share, identity, path, file)),
            None => return Opening::Unreadable,
        },
    };
    with(|scans| scans.join(ticket, request.id()));
    start_what_waits();
    // A scanner that needs no connection, or has none, has answered already.
    if let Some(answer) = with(|scans| scans.answer_of(request.id())) {
        return Opening::Judged(answer.judgement);
    }
    if request.park() {
        with(|scans| scans.parked(request.id(), ticket));
        return Opening::Parked;
    }
    wait_for(ticket).map_or(Opening::Unreadable, Opening::Judged)
}

/// Puts off the look at a closed file until smbd has answered the client.
pub fn look_later(share: &Rc<Share>, closed: CloseScan) {
    with(|scans| scans.look_later(share, closed));
}

fn look_at_closed_files() {
    for (share, closed) in with(|scans| std::mem::take(&mut scans.closed)) {
        // Whoever closed it does not wait for what comes of it.
        let _ = close::look(&share, closed);
    }
}

/// Has a file scanned that was changed and closed; nobody waits for it.
pub fn scan_closed(share: &Rc<Share>, path: &[u8], identity: &Identity, file: OwnedFd) {
    if !with(|scans| scans.add_for_close(share, identity, path, file)) {
        let why = format!("{MOST_WAITING} scans are waiting already");
        left_to_next_open(share, path, &why);
    }
}

/// Has the scanners asked for the version of their signatures, if it is time. Nothing waits for the answers.
pub fn check_signatures(share: &Rc<Share>) {
    while let Some(check) = share.protection().begin_check() {
        let ticket = with(Registry::new_ticket);
        go_on_checking(ticket, Checking::new(share, check));
    }
}

fn go_on_checking(ticket: Ticket, checking: Checking) {
    if let Some(checking) = checking.go_on(ticket) {
        with(|scans| scans.checks.insert(ticket, checking));
    }
}

/// Has what was found out written for other processes, once smbd has answered its client.
fn write_results_soon(share: &Rc<Share>) {
    if share.protection().has_results_to_write() {
        with(|scans| scans.write_soon(share));
    }
}

/// Writes what was found out for other processes. When to come back, if it is somebody else's turn.
pub fn write_results() -> Option<Instant> {
    let mut shares = with(|scans| std::mem::take(&mut scans.with_results));
    shares.retain(|share| share.protection().write_results());
    if shares.is_empty() {
        return None;
    }
    with(|scans| scans.with_results.extend(shares));
    Some(Instant::now() + ANOTHER_MOMENT)
}

/// A scan of this share is over.
fn tidy_up_after(share: &Rc<Share>) {
    write_results_soon(share);
    later::plan(Work::CloseConnections);
}

/// Scans a file on the spot and waits for the end.
pub fn scan_now(share: &Rc<Share>, path: &[u8], file: OwnedFd, occasion: Occasion) -> Judgement {
    let judgement = share.protection().scan(file, &share.place(path), occasion, &share.context());
    tidy_up_after(share);
    judgement
}

/// Waits for the end of a scan that others may wait for, too.
fn wait_for(ticket: Ticket) -> Option<Judgement> {
    let mut job = with(|scans| scans.take(ticket))?;
    let judgement = job.run_to_end()?;
    answer_all(ticket, &job, judgement);
    Some(judgement)
}

/// A socket has news for a scan.
pub fn on_socket(ticket: Ticket) {
    if let Some(job) = with(|scans| scans.take(ticket)) {
        go_on(ticket, job, Patience::None);
    } else if let Some(checking) = with(|scans| scans.checks.remove(&ticket)) {
        go_on_checking(ticket, checking);
    }
}

/// A moment has come for a scan.
pub fn on_time(ticket: Ticket) {
    if let Some(mut job) = with(|scans| scans.take(ticket)) {
        job.woken();
        go_on_in_time(ticket, job);
    } else if let Some(mut checking) = with(|scans| scans.checks.remove(&ticket)) {
        checking.woken();
        go_on_checking(ticket, checking);
    }
}

/// Does with a scan what it is time for.
fn go_on_in_time(ticket: Ticket, mut job: Job) {
    match std::mem::replace(&mut job.stage, Stage::Over) {
        Stage::Resting(file) => {
            with(|scans| scans.enqueue(ticket, job, file));
            start_what_waits();
        }
        // smbd's timers go by the wall clock, which may have jumped.
        Stage::Waiting(file) if Instant::now() < job.deadline => {
            job.stage = Stage::Waiting(file);
            job.wake_at(job.deadline, ticket);
            with(|scans| scans.put_back(ticket, job));
        }
        Stage::Waiting(_) => answer_all(ticket, &job, job.expire()),
        stage @ (Stage::Running(_) | Stage::Over) => {
            job.stage = stage;
            go_on(ticket, job, Patience::None);
        }
    }
}

/// A request has gone, answered or not. A scan that only this request has waited for is cancelled.
pub fn forget(request: RequestId) {
    if let Some(job) = with(|scans| scans.forget(request)) {
        let text = format!("\"{}\": nobody waits for its scan any more: cancelled", Printable(&job.path));
        job.share.log().line(Level::Decision, &text);
    }
}

/// A panic may have cost us a scan: whoever waits for it gets the answer for errors.
pub fn recover_from_panic() {
    with(|scans| scans.is_starting = false);
    for id in with(Registry::answer_lost) {
        park::resume(id);
    }
}

/// smbd ends: finishes the scans of closed files, each within its deadline, and names those it could not finish. Waits.
pub fn finish_all() {
    look_at_closed_files();
    for mut job in with(Registry::take_all) {
        if !job.was_closed {
            continue;
        }
        if Instant::now() < job.deadline {
            // Nobody is left to be answered; what had to be done and logged has been.
            let _ = job.run_to_end();
        } else {
            left_to_next_open(&job.share, &job.path, "its client's smbd ended before its scan did");
        }
    }
    with(|scans| std::mem::take(&mut scans.checks)).into_values().for_each(Checking::end);
    // What is not written yet is written as the results are closed.
    drop(with(|scans| std::mem::take(&mut scans.with_results)));
    shared::close_all(&ShareLog::new(false, None), &Root);
}

fn left_to_next_open(share: &Share, path: &[u8], why: &str) {
    let text = format!("\"{}\" was changed, but {why}: it is scanned at its next open", Printable(path));
    share.log().line(Level::Notice, &text);
}

/// smbd has answered its client: starts the scans of the files that it has closed, and those that wait for their turn.
pub fn start() {
    look_at_closed_files();
    start_what_waits();
}

/// Starts scans for as long as there are some and the queue lets them run.
fn start_what_waits() {
    // A scan that ends at once starts the next one: here, and not deeper and deeper inside each other.
    if with(|scans| std::mem::replace(&mut scans.is_starting, true)) {
        return;
    }
    while let Some(ticket) = with(|scans| scans.queue.start_next()) {
        if let Some(job) = with(|scans| scans.take(ticket)) {
            // Only the first scan of all, and only for a client that waits for it.
            let alone = with(|scans| scans.queue.running()) == 1 && !job.waiters.is_empty();
            go_on(ticket, job, if alone { Patience::Moment } else { Patience::None });
        }
    }
    with(|scans| scans.is_starting = false);
}

/// Takes a scan as far as it goes.
fn go_on(ticket: Ticket, mut job: Job, patience: Patience) {
    match job.go_on(ticket, patience) {
        Some(judgement) => answer_all(ticket, &job, judgement),
        None => with(|scans| scans.put_back(ticket, job)),
    }
}

/// Ends a scan: everybody who waits for it is answered, and the next ones start.
fn answer_all(ticket: Ticket, job: &Job, judgement: Judgement) {
    tidy_up_after(&job.share);
    let answer = Answer { key: job.key, judgement };
    for id in with(|scans| scans.answer(ticket, &job.waiters, answer)) {
        park::resume(id);
    }
    start_what_waits();
}
