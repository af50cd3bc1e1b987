//! Events that people should hear of, gathered so that no client waits while they are written.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;
use std::time::{Duration, Instant};

use vscan_engine::log::Log;
use vscan_engine::notify::{Event, Notify, Outbox};
use vscan_engine::queue::Ticket;

use crate::host::event::{self, Timer};
use crate::host::log::ShareLog;
use crate::host::root::Root;

/// The timer of the events, among those of the scans.
pub const TICKET: Ticket = Ticket(u64::MAX);

/// How long events are gathered. Whoever comes upon one infected file soon asks for the next, and that request would wait
/// while the first event is written and the program started that sends it. People learn of it within a second all the same.
/// An smbd that is killed in between loses them; its log has them.
const GATHER: Duration = Duration::from_millis(150);

/// More events than these wait for nothing: a client that never lets smbd's loop turn must not fill the memory.
const MOST_WAITING: usize = 1000;

thread_local! {
    static WAITING: RefCell<Waiting> = RefCell::default();
}

#[derive(Default)]
struct Waiting {
    events: Vec<(Rc<Line>, Event)>,
    timer: Option<Timer>,
}

/// The way of one share's events out of smbd.
pub struct Line {
    outbox: Outbox,
    log: Rc<ShareLog>,
}

impl Line {
    /// A way out that logs what goes wrong on it.
    pub fn new(outbox: Outbox, log: Rc<ShareLog>) -> Rc<Self> {
        Rc::new(Self { outbox, log })
    }
}

/// What a share's protection gives its events to.
pub struct Notices(pub Rc<Line>);

impl Notify for Notices {
    fn notify(&self, event: Event) {
        let is_full = WAITING.with_borrow_mut(|waiting| {
            waiting.events.push((self.0.clone(), event));
            if waiting.timer.is_none() {
                event::finish_at_exit();
                waiting.timer = Timer::new(Instant::now() + GATHER, TICKET);
            }
            waiting.events.len() >= MOST_WAITING
        });
        if is_full {
            send_all();
        }
    }
}

/// Enough was gathered.
pub fn on_time() {
    if let Some(timer) = WAITING.with_borrow_mut(|waiting| waiting.timer.take()) {
        timer.has_fired();
    }
    send_all();
}

/// Puts all events into their spools. At smbd's end, too.
pub fn send_all() {
    let mut events = WAITING.with_borrow_mut(|waiting| mem::take(&mut waiting.events));
    while let Some((line, _)) = events.first() {
        let line = line.clone();
        let (ours, others): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|(other, _)| Rc::ptr_eq(other, &line));
        let ours: Vec<Event> = ours.into_iter().map(|(_, event)| event).collect();
        let log: &dyn Log = &*line.log;
        line.outbox.deliver(&ours, &Root, log);
        events = others;
    }
}
