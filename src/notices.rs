//! Events that people should hear of, gathered so that no client waits while they are written.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;

use vscan_engine::log::Log;
use vscan_engine::notify::{Event, Notify, Outbox};

use crate::host::event;
use crate::host::log::ShareLog;
use crate::host::root::Root;
use crate::later::{self, Work};

/// More events than these wait for nothing: a client that never lets smbd's loop turn must not fill the memory.
const MOST_WAITING: usize = 1000;

thread_local! {
    /// An smbd that is killed loses them; its log has them.
    static WAITING: RefCell<Vec<(Rc<Line>, Event)>> = RefCell::default();
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
            waiting.push((self.0.clone(), event));
            waiting.len() >= MOST_WAITING
        });
        event::finish_at_exit();
        later::plan(Work::SendNotices);
        if is_full {
            send_all();
        }
    }
}

/// Puts all events into their spools. At smbd's end, too.
pub fn send_all() {
    let mut events = WAITING.take();
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
