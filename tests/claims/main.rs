//! Claims about the whole system, by theme. One binary, so that one clamd serves them all.
//!
//! Run `tests/setup.sh` once, then `cargo test -p vscan-tests` as root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

/// Scans of files that were closed.
mod close_scans;
/// Scans that take too long.
mod deadlines;
/// Every end of a request.
mod ends;
/// Opens that wait for a scan.
mod parked;
/// The rig itself, on shares without our module.
mod rig;
/// Samba's own test suite.
mod torture;
