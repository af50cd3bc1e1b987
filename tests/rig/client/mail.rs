//! Answers, sorted by the request they belong to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Handle, Status};
use crate::hex;
use crate::wait::{SOON, patience};

/// The letter box of one connection; clones share it.
#[derive(Clone, Default)]
pub(super) struct Mail(Arc<(Mutex<Letters>, Condvar)>);

#[derive(Default)]
struct Letters {
    pending: Vec<u64>,
    done: HashMap<u64, Value>,
    breaks: VecDeque<Break>,
    disconnected: bool,
}

/// A request in flight.
#[derive(Clone)]
pub struct Pending {
    id: u64,
    mail: Mail,
}

/// The server's answer to one request.
#[derive(Clone, Debug)]
pub struct Reply {
    id: u64,
    /// How it went.
    pub status: Status,
    /// From sending the request to the final answer.
    pub took: Duration,
    /// What was read.
    pub data: Vec<u8>,
    /// The size of the file that was opened.
    pub size: u64,
    /// The granted lease ([`super::lease`]), when one was asked for.
    pub lease: u32,
    /// The granted oplock ([`super::oplock`]).
    pub oplock: u32,
    /// Whether the handle is durable.
    pub durable: bool,
    /// The server's own id of the handle, with which a durable handle is taken up again.
    pub file_id: String,
}

/// The server takes (part of) a lease back.
#[derive(Clone, Debug)]
pub struct Break {
    /// The key of the lease; empty for an oplock.
    pub lease: String,
    /// The server's own id of the handle that has the oplock; empty for a lease.
    pub file_id: String,
    /// What is left of it.
    pub new: u32,
    /// Whether the server waits for [`super::Client::acknowledge`].
    pub wants_answer: bool,
}

impl Reply {
    /// The file that was opened, or why it was not.
    pub fn handle(&self) -> Result<Handle, Status> {
        self.status.ok().map(|()| Handle(self.id))
    }
}

impl Pending {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the final answer.
    #[track_caller]
    pub fn wait(&self) -> Reply {
        self.wait_for(Duration::from_secs(60))
    }

    /// Waits for the final answer, but not for long.
    #[track_caller]
    pub fn wait_for(&self, deadline: Duration) -> Reply {
        self.mail.until("the server answers", deadline, |mail| self.reply(mail))
    }

    /// Waits until the server has said STATUS_PENDING.
    #[track_caller]
    pub fn wait_until_pending(&self) {
        self.mail.until("the server says STATUS_PENDING", SOON, |mail| {
            assert!(!mail.done.contains_key(&self.id), "was answered at once: {:?}", mail.done[&self.id]);
            mail.pending.contains(&self.id).then_some(())
        });
    }

    /// Whether the server has said STATUS_PENDING at any time.
    pub fn was_pending(&self) -> bool {
        self.mail.0.0.lock().unwrap().pending.contains(&self.id)
    }

    /// Whether the final answer has come.
    pub fn is_answered(&self) -> bool {
        self.mail.0.0.lock().unwrap().done.contains_key(&self.id)
    }

    fn reply(&self, mail: &mut Letters) -> Option<Reply> {
        let Some(event) = mail.done.get(&self.id) else {
            return mail.disconnected.then(|| self.disconnected());
        };
        if event["event"] == "failed" {
            assert!(mail.disconnected, "the client could not send this: {}", event["error"]);
            return Some(self.disconnected());
        }
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        Some(Reply {
            id: self.id,
            status: Status(event["status"].as_u64().and_then(|n| n.try_into().ok()).unwrap()),
            took: Duration::from_secs_f64(event["ms"].as_f64().unwrap() / 1000.0),
            data: hex::decode(&text("data")),
            size: event["size"].as_u64().unwrap_or(0),
            lease: event["lease_state"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(0),
            oplock: event["oplock"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(0),
            durable: event["durable"].as_bool().unwrap_or(false),
            file_id: text("file_id"),
        })
    }

    fn disconnected(&self) -> Reply {
        Reply {
            id: self.id,
            status: Status::DISCONNECTED,
            took: Duration::ZERO,
            data: Vec::new(),
            size: 0,
            lease: 0,
            oplock: 0,
            durable: false,
            file_id: String::new(),
        }
    }
}

impl Mail {
    pub(super) fn pending(&self, id: u64) -> Pending {
        Pending { id, mail: self.clone() }
    }

    #[track_caller]
    pub(super) fn next_break(&self) -> Break {
        self.until("the server breaks a lease", SOON, |mail| mail.breaks.pop_front())
    }

    pub(super) fn deliver(&self, event: &Value) {
        let mut mail = self.0.0.lock().unwrap();
        let id = event["id"].as_u64();
        match (event["event"].as_str().unwrap(), id) {
            ("pending", Some(id)) => mail.pending.push(id),
            ("done" | "failed", Some(id)) => drop(mail.done.insert(id, event.clone())),
            ("break", _) => mail.breaks.push_back(Break {
                lease: event["lease"].as_str().unwrap_or_default().to_owned(),
                file_id: event["file_id"].as_str().unwrap_or_default().to_owned(),
                new: event["new"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(0),
                wants_answer: event["wants_answer"].as_bool().unwrap_or(false),
            }),
            ("disconnected", _) => mail.disconnected = true,
            (other, _) => panic!("the client says {other:?}"),
        }
        self.0.1.notify_all();
    }

    #[track_caller]
    fn until<T>(&self, what: &str, deadline: Duration, mut look: impl FnMut(&mut Letters) -> Option<T>) -> T {
        let end = Instant::now() + patience(deadline);
        let mut mail = self.0.0.lock().unwrap();
        loop {
            if let Some(found) = look(&mut mail) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited {deadline:?} in vain: {what}");
            mail = self.0.1.wait_timeout(mail, left).unwrap().0;
        }
    }
}
