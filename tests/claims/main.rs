//! Claims about the whole system, by theme. One binary, so that one clamd serves them all.
//!
//! Run `tests/setup.sh` once, then `cargo test -p vscan-tests` as root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

/// A wrong configuration costs a line in the log, never the protection.
mod config_errors;
/// What goes wrong around an open: the scanner, the quarantine, the file itself, the client, and we.
mod faults;
/// Files of unusual names, sizes and kinds.
mod odd_files;
/// Opens that wait for a scan.
mod parked;
/// The rig itself, on shares without our module.
mod rig;
/// Thousands of opens over one connection.
mod soak;
