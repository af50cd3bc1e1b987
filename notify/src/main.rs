//! vscan-notify: tells people what vscan has found.
//!
//! smbd leaves events in a spool and starts this program when nobody attends to it. One process at a time does
//! ([`attend`]). It gives every event to the channels that want it ([`channels`]); each has threads of its own, so that one
//! that is dead or slow holds up no other ([`desk`]). Events for the same recipient become one message ([`merge`]). An
//! event stays in the spool until all its channels are done with it, and what was sent is written down ([`ledger`]): being
//! killed loses nothing and repeats nothing. With nothing left to do, the program ends.
#![forbid(unsafe_code)]

mod attend;
mod channels;
mod desk;
mod ledger;
mod merge;
mod scanners;
mod syslog;

use std::path::PathBuf;
use std::process::ExitCode;

use rustix::process::getpriority_process;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(spool), None) = (arguments.next(), arguments.next()) else {
        syslog::line("usage: vscan-notify <spool>; smbd starts it by itself (notify program)");
        return ExitCode::from(2);
    };
    step_back();
    let spool = PathBuf::from(spool);
    match attend::attend(&spool) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            syslog::line(&format!("{}: {error}: nobody is told of what is found", spool.display()));
            ExitCode::FAILURE
        }
    }
}

/// smbd has made this process nice, for its clients shall not wait for the processor because of messages. Where the kernel
/// groups processes by their sessions (sched(7), autogroup), that holds in this process's own session only; then the session
/// has to be nice as well.
fn step_back() {
    if let Ok(niceness) = getpriority_process(None) {
        let _ = std::fs::write("/proc/self/autogroup", niceness.to_string());
    }
}
