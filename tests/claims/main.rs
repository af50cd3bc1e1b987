//! Claims about the whole system, by theme. One binary, so that one clamd serves them all.
//!
//! Run `tests/setup.sh` once, then `cargo test -p vscan-tests` as root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

/// What is done with an infected file.
mod actions;
/// The benchmark command.
mod benchmark;
/// Which results are remembered, and for how long.
mod cache;
/// Scans of files that were closed.
mod close_scans;
/// Several servers with one Redis.
mod cluster;
/// Programs that are run when something has happened.
mod commands;
/// A wrong configuration costs a line in the log, never the protection.
mod config_errors;
/// What all smbds count together.
mod counters;
/// Scans that take too long.
mod deadlines;
/// Every end of a request.
mod ends;
/// What is left out, by name, place and type.
mod exclusions;
/// What goes wrong around an open: the scanner, the quarantine, the file itself, the client, and we.
mod faults;
/// The headers of Samba's structures.
mod headers;
/// The worst name that a file can have.
mod hostile_names;
/// What systemd's journal gets.
mod journal;
/// ICAP servers are asked several times on one connection.
mod kept_connections;
/// smbds that are killed at random.
mod kills;
/// What is left out, by size.
mod limits;
/// Files with more than one way to them.
mod links;
/// Where is said what happened.
mod log;
/// Mail and web services.
mod mail;
/// The manual pages.
mod manuals;
/// Who is told.
mod messages;
/// Other modules on the same share.
mod modules;
/// Notes beside files that were taken away.
mod notes;
/// Files of unusual names, sizes and kinds.
mod odd_files;
/// One scan for all who ask for a file.
mod one_scan;
/// Which ways to open a file need a verdict.
mod opens;
/// Opens that wait for a scan.
mod parked;
/// Scanners that open paths.
mod paths;
/// Others that speak the scanners' protocols.
mod peers;
/// What follows when there is no verdict, or when it is not enforced.
mod policy;
/// Several scanners.
mod pool;
/// Shares for the claims.
mod protected;
/// Sambas that vscan does not know.
mod refusals;
/// The rig itself, on shares without our module.
mod rig;
/// A scanner that leaves marks beside private copies.
mod scannedonly;
/// What scanners say that cannot be had, replayed.
mod scanner_products;
/// Scanners that are programs.
mod scanner_programs;
/// What clamd says, over either kind of socket.
mod scanners;
/// Where settings come from.
mod settings;
/// What one smbd has found out, all know.
mod shared;
/// New signatures.
mod signatures;
/// Clients of yesterday.
mod smb1;
/// Thousands of opens over one connection.
mod soak;
/// What is below a file.
mod streams;
/// Samba's own test suite.
mod torture;
/// Who may do what.
mod users;
/// The main thing: infected files are refused, clean ones are not.
mod verdicts;
/// What the administrator's command says of the configuration.
mod vscanctl_check;
/// What holds for every command of it.
mod vscanctl_commands;
/// What it says of a file.
mod vscanctl_explain;
/// What it does with files in quarantine.
mod vscanctl_quarantine;
/// What it knows together with smbds.
mod vscanctl_results;
/// What it finds in whole trees.
mod vscanctl_scan;
/// Files that somebody writes to while they are scanned.
mod writers;
