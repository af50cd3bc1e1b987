//! A client that holds many requests in flight on one connection, and says when the server answered which.
//!
//! ```text
//! let client = Client::connect(&smbd, "share");
//! let slow = client.open("big.doc", Open::read());      // sent, not waited for
//! slow.wait_until_pending();                            // the server said STATUS_PENDING
//! assert_eq!(client.read("small.doc"), Ok(content));    // meanwhile
//! assert_eq!(slow.wait().status, Status::VIRUS_INFECTED);
//! ```
//!
//! The protocol is spoken by `client.py` (python-smbprotocol), one process per connection.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::process::Process;
use crate::smbd::{OTHER_USER, PASSWORD, Smbd, USER};
use crate::wait::SOON;

mod mail;
mod open;
mod status;

pub use mail::{Break, Pending, Reply};
pub use open::{Open, access, disposition, lease, oplock, option, sharing};
pub use status::Status;

use mail::Mail;

/// One TCP connection with one session, at one share.
pub struct Client {
    child: Child,
    commands: Mutex<ChildStdin>,
    mail: Mail,
    next_id: AtomicU64,
    smbd: Process,
    /// By which the server knows a machine again; its leases and durable handles hang on it.
    guid: u64,
}

/// An open file: the id of the request that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(u64);

impl Client {
    /// Logs in as the shares' owner.
    pub fn connect(smbd: &Smbd, share: &str) -> Self {
        Self::connect_as(smbd, share, USER, new_guid())
    }

    /// Logs in as the second user.
    pub fn connect_as_other_user(smbd: &Smbd, share: &str) -> Self {
        Self::connect_as(smbd, share, OTHER_USER, new_guid())
    }

    /// Connects as the same machine after [`Client::disconnect`], to take up durable handles.
    pub fn connect_again(&self, smbd: &Smbd, share: &str) -> Self {
        self.smbd.wait_for_end(SOON);
        Self::connect_as(smbd, share, USER, self.guid)
    }

    /// Ends the connection, and waits until the client's smbd has ended.
    #[track_caller]
    pub fn leave(self) {
        let server = self.smbd;
        drop(self);
        server.wait_for_end(SOON);
    }

    fn connect_as(smbd: &Smbd, share: &str, user: &str, guid: u64) -> Self {
        let python = python();
        let mut child = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/rig/client.py"))
            .args([&smbd.port().to_string(), share, user, PASSWORD, &guid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}: run tests/setup.sh", python.display()));
        let commands = Mutex::new(child.stdin.take().unwrap());
        let mut events = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        events.read_line(&mut first).unwrap();
        let event: Value = serde_json::from_str(&first).expect("the client can log in");
        let port = u16::try_from(event["port"].as_u64().unwrap()).unwrap();
        let mail = Mail::default();
        let sink = mail.clone();
        std::thread::spawn(move || {
            for line in events.lines().map_while(Result::ok) {
                sink.deliver(&serde_json::from_str(&line).unwrap());
            }
            sink.deliver(&json!({ "event": "disconnected" }));
        });
        Self { child, commands, mail, next_id: AtomicU64::new(1), smbd: smbd.serving(port), guid }
    }

    /// The smbd process at the other end.
    pub fn server(&self) -> Process {
        self.smbd
    }

    /// Asks to open a file.
    pub fn open(&self, name: &str, open: Open) -> Pending {
        self.send(open.command(name))
    }

    /// Asks to read from an open file.
    pub fn read_at(&self, handle: Handle, offset: u64, length: u32) -> Pending {
        self.send(json!({ "op": "read", "handle": handle.0, "offset": offset, "length": length }))
    }

    /// Asks to write to an open file.
    pub fn write_at(&self, handle: Handle, offset: u64, data: &[u8]) -> Pending {
        self.send(
            json!({ "op": "write", "handle": handle.0, "offset": offset, "data": crate::hex::encode(data) }),
        )
    }

    /// Asks to flush an open file to the disk.
    pub fn flush(&self, handle: Handle) -> Pending {
        self.send(json!({ "op": "flush", "handle": handle.0 }))
    }

    /// Asks to close an open file.
    pub fn close(&self, handle: Handle) -> Pending {
        self.send(json!({ "op": "close", "handle": handle.0 }))
    }

    /// Answers a lease or oplock break.
    pub fn acknowledge(&self, it: &Break) -> Pending {
        if it.lease.is_empty() {
            return self.send(json!({ "op": "ack_oplock", "file_id": it.file_id, "level": it.new }));
        }
        self.send(json!({ "op": "ack_lease", "lease": it.lease, "state": it.new }))
    }

    /// Goes to one more share, or once more to the same one.
    pub fn add_tree(&self, share: &str) -> Pending {
        self.send(json!({ "op": "add_tree", "share": share }))
    }

    /// Asks to open a file of the [second tree](Client::add_tree).
    pub fn open_in_second_tree(&self, name: &str, open: Open) -> Pending {
        let mut command = open.command(name);
        command["tree"] = 1.into();
        self.send(command)
    }

    /// Leaves the share.
    pub fn disconnect_tree(&self) -> Pending {
        self.send(json!({ "op": "tree_disconnect" }))
    }

    /// Ends the session.
    pub fn log_off(&self) -> Pending {
        self.send(json!({ "op": "logoff" }))
    }

    /// Sends SMB2 CANCEL for a request; its answer still has to come.
    pub fn cancel(&self, pending: &Pending) {
        self.post(&json!({ "op": "cancel", "of": pending.id() }));
    }

    /// CREATE, READ and CLOSE as one related compound; their answers in this order.
    pub fn compound_read(&self, name: &str, open: Open, length: u32) -> [Pending; 3] {
        let ids = [self.id(), self.id(), self.id()];
        let mut create = open.command(name);
        create["id"] = ids[0].into();
        self.post(&json!({ "op": "compound", "parts": [
            create,
            { "id": ids[1], "op": "read", "handle": ids[0], "offset": 0, "length": length },
            { "id": ids[2], "op": "close", "handle": ids[0] },
        ]}));
        ids.map(|id| self.mail.pending(id))
    }

    /// Opens, reads all and closes; waits for each.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, Status> {
        let opened = self.open(name, Open::read()).wait();
        let handle = opened.handle()?;
        let mut content = Vec::new();
        while (content.len() as u64) < opened.size {
            let part = self.read_at(handle, content.len() as u64, 65536).wait();
            part.status.ok()?;
            content.extend(part.data);
        }
        self.close(handle).wait().status.ok()?;
        Ok(content)
    }

    /// Creates or overwrites, writes and closes; waits for each. Gives the status of the first failure.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), Status> {
        let handle = self.open(name, Open::overwrite()).wait().handle()?;
        for (i, part) in content.chunks(65536).enumerate() {
            self.write_at(handle, i as u64 * 65536, part).wait().status.ok()?;
        }
        self.close(handle).wait().status.ok()
    }

    /// Opens a second TCP connection for the same session.
    pub fn add_channel(&self) -> Pending {
        self.send(json!({ "op": "add_channel" }))
    }

    /// Asks to open a file, over the second connection.
    pub fn open_on_second_channel(&self, name: &str, open: Open) -> Pending {
        let mut command = open.command(name);
        command["channel"] = 1.into();
        self.send(command)
    }

    /// Drops the second connection without a word. What is outstanding there is not answered.
    pub fn disconnect_second_channel(&self) {
        self.post(&json!({ "op": "kill", "channel": 1 }));
    }

    /// Drops the TCP connection without a word. All that is outstanding ends with [`Status::DISCONNECTED`].
    pub fn disconnect(&self) {
        self.post(&json!({ "op": "kill" }));
    }

    /// The next lease or oplock break that the server sends.
    pub fn next_break(&self) -> Break {
        self.mail.next_break()
    }

    fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&self, mut command: Value) -> Pending {
        let id = self.id();
        command["id"] = id.into();
        self.post(&command);
        self.mail.pending(id)
    }

    fn post(&self, command: &Value) {
        // A client that has ended leaves its requests unanswered: they say so by themselves.
        let _ = writeln!(self.commands.lock().unwrap(), "{command}");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn new_guid() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(1);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// A file of Samba's source package, which tests/setup.sh fetches.
pub fn example(name: &str) -> PathBuf {
    venv().with_file_name("examples").join(name)
}

/// The Python that has the packages of tests/requirements.txt: tests/setup.sh makes it.
pub(crate) fn python() -> PathBuf {
    venv().join("bin/python")
}

fn venv() -> PathBuf {
    std::env::var_os("VSCAN_VENV")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../target/venv").into(), PathBuf::from)
}
