//! vscan: the virus scanner inside a Samba file server.
//!
//! This is the Samba module, and translation only: what smbd asks becomes a question to `vscan_engine`, and the answer
//! becomes what smbd understands. The journey of an open:
//!
//! 1. smbd calls `create_file` ([`host::entry`]), which sees the name: [`hooks::create_file`] looks the file up, asks the
//!    engine, and refuses infected files with a status that Windows shows to its user.
//! 2. smbd opens the file, through `openat`: [`hooks::openat`] checks the descriptor, since the name may have come to mean
//!    another file, and scans what nobody has judged yet.
//! 3. smbd closes the file: [`hooks::close`] scans what was written.
#![deny(unsafe_code)]

mod hooks;
#[allow(unsafe_code)]
mod host;
mod later;
mod notices;
mod private_file;
mod scans;
mod share;
