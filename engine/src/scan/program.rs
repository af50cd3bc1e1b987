//! A scanner that is a program: how it is run, and what its end means for the scan.

use std::ffi::{CString, OsStr};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Access, SeekFrom, access, seek};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use vscan_backends::dialogue::{Exit, Program, RunAs};
use vscan_backends::verdict::Fault;

use crate::sys::program::{self, Ended, Ending, Identity, Input, Output, Running, text};

/// The deadline of a scan is the driver's to keep. Should smbd be held up, the program's keeper keeps it, a little later.
const GRACE: Duration = Duration::from_secs(1);

/// Starts a scanner program with the file as its standard input, opened for reading.
pub(super) fn start(program: &Program, file: BorrowedFd<'_>, deadline: Instant) -> Result<Running, Fault> {
    let input = fcntl_dupfd_cloexec(file, 0).map_err(|e| failed(&std::io::Error::from(e)))?;
    // An earlier scanner may have moved it.
    seek(&input, SeekFrom::Start(0)).map_err(|e| failed(&std::io::Error::from(e)))?;
    let place = Path::new(found(&program.places)?);
    let limit = deadline.saturating_duration_since(Instant::now()) + GRACE;
    let mut command = program::Program::new(place, limit).map_err(|error| failed(&error))?;
    let argument = |bytes: &Vec<u8>| text(OsStr::from_bytes(bytes));
    command.arguments = program
        .arguments
        .iter()
        .map(argument)
        .collect::<Result<Vec<CString>, _>>()
        .map_err(|error| failed(&error))?;
    // In its own language, nobody understands it.
    command.environment.extend([c"LC_ALL=C".to_owned(), c"HOME=/".to_owned()]);
    command.input = Input::Descriptor(input);
    command.output = Output::Kept(program.max_output);
    if let Some(RunAs { user, group, groups }) = &program.run_as {
        command.identity = Identity { user: *user, group: *group, groups: groups.clone() };
    }
    command.start().map_err(|error| failed(&error))
}

/// The first place where there is a program that root may run. access(2) asks for the real user, which is root in smbd
/// whoever the client is.
fn found(places: &[String]) -> Result<&str, Fault> {
    let mut missing = None;
    for place in places {
        match access(place.as_str(), Access::EXEC_OK) {
            Ok(()) => return Ok(place),
            Err(Errno::NOENT) => missing = missing.or(Some(Errno::NOENT)),
            Err(error) => missing = Some(error),
        }
    }
    let why = std::io::Error::from(missing.unwrap_or(Errno::NOENT));
    Err(failed(&format!("{} ({why})", places.join(", "))))
}

fn failed(why: &dyn std::fmt::Display) -> Fault {
    Fault::Transport(format!("the scanner program cannot be started: {why}").into())
}

/// Whether it is there.
pub(super) fn check(program: &Program) -> Result<(), Fault> {
    found(&program.places).map(drop)
}

/// Why a program that has ended gives no verdict.
pub(super) enum Failure {
    /// It never ran.
    Unreachable(Fault),
    /// It took too long.
    OutOfTime,
    /// It ended in a way that no scanner should.
    Conduct(Fault),
}

/// How a program ended that may have a verdict.
pub(super) fn told(ended: &Ended) -> Result<Exit, Failure> {
    match ended.ending {
        // The kernel keeps the last eight bits.
        Ending::Exited(code) => Ok(Exit::Code(code.to_le_bytes()[0])),
        Ending::Killed(signal) => Ok(Exit::Signal(signal)),
        Ending::OutOfTime => Err(Failure::OutOfTime),
        Ending::TooMuchOutput => {
            let text = format!("it wrote more than {} bytes", ended.output.len());
            Err(Failure::Conduct(Fault::Misbehaved(text.into())))
        }
        Ending::NotStarted(error) => Err(Failure::Unreachable(failed(&std::io::Error::from(error)))),
        Ending::Lost => {
            let text = "somebody killed the process that watches the scanner program (was memory short?)";
            Err(Failure::Conduct(Fault::Transport(text.into())))
        }
    }
}
