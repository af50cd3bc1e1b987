//! Starting a program from inside smbd: never through a shell, with nothing of smbd's, and never forgotten.
//!
//! smbd is no ordinary parent. Its SIGCHLD handler waits for *any* child and throws the exit status away; many of its
//! descriptors survive an exec, the client's connection among them; it ignores and blocks signals; and its user changes
//! from call to call. So a program does not become smbd's child. A *keeper* in between, a process of ours whose parent is
//! init, starts it, waits for it, kills it when its time is up or when nobody wants the answer any more, and
//! tells through a pipe how it ended (`keeper`). smbd itself waits only until the keeper exists.
//!
//! Nothing here waits for the program: [`Running::watch`] is one descriptor for an event loop or for poll(2), and
//! [`Running::advance`] takes what is there.

use std::ffi::{CStr, CString, NulError, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::event::epoll;
use rustix::fs::{MemfdFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use super::keeper;

/// What is in the environment of every program.
pub(super) const PATH: &CStr = c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How much output is read at once.
const PIECE: usize = 4096;

/// A program to start.
///
/// Its working directory is `/` and its umask 077. It leads a session of its own, all its signals are at their defaults
/// and none is blocked, and it has no descriptors but 0, 1 and 2.
#[derive(Debug)]
pub struct Program {
    /// What to run, absolute; `PATH` is not searched. The first argument repeats it.
    pub path: CString,
    /// The arguments behind the first.
    pub arguments: Vec<CString>,
    /// The whole environment, as `NAME=value`.
    pub environment: Vec<CString>,
    /// What it reads.
    pub input: Input,
    /// What becomes of what it writes.
    pub output: Output,
    /// Who it runs as.
    pub identity: Identity,
    /// When it is killed, with all of its process group.
    pub limit: Duration,
    /// What happens to it when nobody waits for it.
    pub lifetime: Lifetime,
}

/// A program's standard input.
#[derive(Debug)]
pub enum Input {
    /// Nothing.
    Nothing,
    /// This descriptor. Its offset is shared with the program.
    Descriptor(OwnedFd),
}

impl Input {
    /// These bytes, from memory.
    pub fn bytes(bytes: &[u8]) -> io::Result<Self> {
        let memory = rustix::fs::memfd_create("vscan", MemfdFlags::CLOEXEC)?;
        let mut left = bytes;
        while !left.is_empty() {
            let written = rustix::io::write(&memory, left)?;
            left = left.get(written..).unwrap_or_default();
        }
        rustix::fs::seek(&memory, SeekFrom::Start(0))?;
        Ok(Self::Descriptor(memory))
    }
}

/// A program's standard output and its standard error output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Both are thrown away.
    Discarded,
    /// Both are kept, in the order of writing, up to so many bytes. A program that writes more is killed.
    Kept(usize),
}

/// A user and all of its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Real, effective and saved.
    pub user: u32,
    /// Real, effective and saved.
    pub group: u32,
    /// The others.
    pub groups: Vec<u32>,
}

impl Identity {
    /// The superuser, without further groups.
    pub const ROOT: Self = Self { user: 0, group: 0, groups: Vec::new() };
}

/// What happens to a program when its [`Running`] is dropped, also because the process that started it has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It is killed at once, with all of its process group.
    UntilDropped,
    /// It goes on until it ends or its time is up.
    Independent,
}

/// How a program came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was not over in time and has been killed.
    OutOfTime,
    /// It wrote more than was to be kept and has been killed.
    TooMuchOutput,
    /// It was never started.
    NotStarted(Errno),
    /// Its keeper was killed, and the program with it. Somebody else did that, such as the kernel when memory was short.
    Lost,
}

/// What a program that has ended leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub ending: Ending,
    /// What it wrote, as far as that was kept.
    pub output: Vec<u8>,
}

/// A program under way.
#[derive(Debug)]
pub struct Running {
    /// Readable when there is output or the end is known.
    watch: OwnedFd,
    /// Its end in the keeper tells the keeper whether anybody still waits.
    report: OwnedFd,
    output: Option<OwnedFd>,
    max_output: usize,
    received: Vec<u8>,
}

/// An argument, or a variable of the environment. It cannot hold a zero byte.
pub fn text(text: impl AsRef<OsStr>) -> Result<CString, NulError> {
    CString::new(text.as_ref().as_bytes())
}

impl Program {
    /// A program without arguments, input and output, that runs as root and is killed when it is dropped.
    pub fn new(path: &Path, limit: Duration) -> Result<Self, NulError> {
        Ok(Self {
            path: text(path)?,
            arguments: Vec::new(),
            environment: vec![PATH.to_owned()],
            input: Input::Nothing,
            output: Output::Discarded,
            identity: Identity::ROOT,
            limit,
            lifetime: Lifetime::UntilDropped,
        })
    }

    /// Starts it. Whether the program exists and may be run is told by its [`Ending`].
    ///
    /// The rights of root are needed, but not in force: it is enough that the process may take them on, as smbd may in
    /// every hook.
    pub fn start(self) -> io::Result<Running> {
        let nothing = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let (report, report_writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (output, output_writer, max_output) = match self.output {
            Output::Discarded => (None, None, 0),
            Output::Kept(max) => {
                let (output, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
                (Some(output), Some(writer), max)
            }
        };
        let watch = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for end in [Some(&report), output.as_ref()].into_iter().flatten() {
            // Only our end: a scanner that writes must be able to wait.
            rustix::io::ioctl_fionbio(end, true)?;
            epoll::add(&watch, end, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        }
        keeper::start(&keeper::Plan {
            path: &self.path,
            arguments: &self.arguments,
            environment: &self.environment,
            input: match &self.input {
                Input::Nothing => nothing.as_fd(),
                Input::Descriptor(input) => input.as_fd(),
            },
            output: output_writer.as_ref().unwrap_or(&nothing).as_fd(),
            report: report_writer.as_fd(),
            identity: &self.identity,
            limit: self.limit,
            lifetime: self.lifetime,
        })?;
        Ok(Running { watch, report, output, max_output, received: Vec::new() })
    }
}

impl Running {
    /// Becomes readable when [`Running::advance`] has something to do.
    pub fn watch(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }

    /// Takes what the program has written, and says how it ended once it has. Never waits.
    ///
    /// A program has ended when the process that was started has. What it leaves running in its process group is killed
    /// then.
    pub fn advance(&mut self) -> Option<Ended> {
        // First: whatever was written before the end is there once the end is known.
        let ending = self.ending();
        if self.take_output().is_err() {
            return Some(self.ended(Ending::TooMuchOutput));
        }
        ending.map(|ending| self.ended(ending))
    }

    fn ended(&mut self, ending: Ending) -> Ended {
        Ended { ending, output: std::mem::take(&mut self.received) }
    }

    fn ending(&self) -> Option<Ending> {
        let mut report = [0; keeper::Report::BYTES];
        loop {
            return match rustix::io::read(&self.report, &mut report) {
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => None,
                Ok(keeper::Report::BYTES) => Some(keeper::Report::from_bytes(report).ending()),
                // Reports are written in one piece, or not at all.
                Ok(_) | Err(_) => Some(Ending::Lost),
            };
        }
    }

    fn take_output(&mut self) -> Result<(), TooMuch> {
        let Some(output) = &self.output else { return Ok(()) };
        let mut piece = [0; PIECE];
        loop {
            match rustix::io::read(output, &mut piece) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Ok(0) | Err(_) => {
                    // It would be readable for ever.
                    let _ = epoll::delete(&self.watch, output);
                    self.output = None;
                    return Ok(());
                }
                Ok(count) => {
                    let bytes = piece.get(..count).unwrap_or_default();
                    let room = self.max_output.saturating_sub(self.received.len());
                    self.received.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                    if count > room {
                        return Err(TooMuch);
                    }
                }
            }
        }
    }
}

struct TooMuch;
