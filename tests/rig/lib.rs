//! The rig: a private smbd, a private clamd, a fake scanner and clients, for claims about the whole system.
//!
//! Everything runs in temporary directories, on loopback and on free ports; nothing of the machine is changed. It
//! needs root (smbd switches users, and gets a mount namespace of its own) and what `tests/setup.sh` installs.
//!
//! Every daemon is held by a [`keeper`], so none outlives the test process, however that ends. When a test panics,
//! the parts it used print what they know: configuration, logs, syslog.
//!
//! There is one place that sleeps: [`wait`].
//!
//! ```text
//! let scanner = FakeDaemon::in_front_of(Clamd::shared());      // a real clamd, with a counter and a brake
//! let conf = format!("[samba-vscan]\nscanner = clamav:{}\n", scanner.socket().display());
//! let smbd = Smbd::with(Share::vscan("s", &conf));
//! plant(&smbd.dir("s").join("slow.doc"), b"needle and hay");
//! plant(&smbd.dir("s").join("bad.com"), &eicar());
//! let client = Client::connect(&smbd, "s");
//! scanner.hold_only(b"needle");
//! let slow = client.open("slow.doc", Open::read());
//! slow.wait_until_pending();
//! assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
//! scanner.release();
//! assert_eq!(slow.wait().status, Status::OK);
//! assert_eq!(scanner.scans(), 2);
//! ```
#![forbid(unsafe_code)]
// The rig has one answer to trouble: the test fails, here, with these words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

pub mod cicap;
pub mod clamd;
pub mod client;
pub mod fake;
mod hex;
pub mod journal;
mod keeper;
pub mod module;
pub mod network;
pub mod peers;
pub mod popup;
pub mod process;
pub mod recorder;
pub mod redis;
pub mod relay;
pub mod samples;
pub mod scanned;
pub mod share;
pub mod sink;
pub mod smbclient;
pub mod smbd;
mod syslog;
mod tcp;
pub mod torture;
pub mod vscanctl;
pub mod wait;
