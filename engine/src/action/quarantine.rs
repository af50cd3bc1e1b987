//! Quarantine: the infected file leaves its directory for one that only root can enter.
//!
//! The order of the steps is the promise: the record is in its place before the file is, and the file leaves its place
//! only by the step that puts it into quarantine, or after its copy is there for good.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{Stat, StatVfsMountFlags, fstat, fstatvfs, fsync};
use rustix::io::{Errno, pread};

use super::entry::{Entry, links, other_names};
use super::moves::MoveError;
use super::rename::check_affix;
use super::store::{Provisional, Store, errno_of, part_name, record_name};
use super::{ActionError, Done, Job, Method, PutBack, Record, Step};
use crate::identity::Identity;

/// Names have 64 random bits: who needs a third one has another problem than bad luck.
const NAMES_TO_TRY: usize = 5;

/// Bytes per read of a copy.
const BLOCK: usize = 64 * 1024;

/// Why one try failed. Nothing is left of it in quarantine.
enum Hitch {
    /// The name was taken: try another.
    Taken,
    /// The file cannot be moved there: copy it.
    OtherFilesystem,
    /// That is all.
    Failed(ActionError),
}

/// One try: a file, its facts, and a name in quarantine.
struct Try<'a> {
    entry: &'a Entry,
    stat: &'a Stat,
    store: &'a Store,
    name: &'a OsStr,
}

impl Job<'_> {
    pub(super) fn quarantine(&self, entry: &Entry) -> Result<Done, ActionError> {
        check_affix("quarantine prefix", self.places.quarantine_prefix)?;
        let store = Store::open(self.places.quarantine_directory)?;
        if store.is(entry.at().0) {
            return Ok(Done::AlreadyQuarantined { at: entry.path() });
        }
        let stat = self.unchanged(entry)?;
        let mut method = Method::Moved;
        for _ in 0..NAMES_TO_TRY {
            let name =
                Store::new_name(self.places.quarantine_prefix).map_err(|errno| store.trouble(errno))?;
            self.steps.reached(Step::Named, &name);
            let to = Try { entry, stat: &stat, store: &store, name: &name };
            let tried = match method {
                Method::Moved => self.move_in(&to),
                Method::Copied => self.copy_in(&to),
            };
            match tried {
                Ok(()) => {
                    self.steps.reached(Step::Finished, &name);
                    let (at, other_names) = (store.path.join(&name), other_names(&stat));
                    return Ok(Done::Quarantined { at, method, other_names });
                }
                Err(Hitch::Taken) => {}
                Err(Hitch::OtherFilesystem) => method = Method::Copied,
                Err(Hitch::Failed(error)) => return Err(error),
            }
        }
        Err(store.trouble(Errno::EXIST))
    }

    fn move_in(&self, to: &Try<'_>) -> Result<(), Hitch> {
        let record = self.record(to, Method::Moved)?;
        match self.carry(to.entry, to.store.at(to.name)) {
            Ok(()) => record.keep(),
            Err(trouble) => {
                // Another file that is stuck in quarantine keeps the record, which says where it came from.
                if matches!(trouble, MoveError::Swapped(PutBack::Stuck { .. })) {
                    record.keep();
                }
                return Err(to.move_hitch(trouble));
            }
        }
        // The file is there. Taking it back because the disk did not confirm it would gain nothing.
        let _ = to.store.sync();
        Ok(())
    }

    fn copy_in(&self, to: &Try<'_>) -> Result<(), Hitch> {
        to.refuse_read_only_source()?;
        let hitch = |errno| to.hitch(errno);
        let (file, part) = to.store.create(part_name(to.name)).map_err(hitch)?;
        self.steps.reached(Step::CopyCreated, to.name);
        self.copy(to, &file)?;
        self.steps.reached(Step::CopyWritten, to.name);
        let record = self.record(to, Method::Copied)?;
        let copy = part.rename(to.name.to_owned(), self.steps).map_err(hitch)?;
        to.store.sync().map_err(hitch)?;
        self.steps.reached(Step::CopyInPlace, to.name);
        if let Err(trouble) = self.remove(to.entry) {
            // If somebody else removed the file in the meantime, the copy is all there is.
            let file_is_gone = fstat(self.infected.file).is_ok_and(|stat| links(&stat) == 0);
            if !file_is_gone {
                return Err(Hitch::Failed(trouble.explain("remove", to.entry)));
            }
        }
        copy.keep();
        record.keep();
        Ok(())
    }

    fn record<'a>(&self, to: &Try<'a>, method: Method) -> Result<Provisional<'a>, Hitch> {
        let (infected, path) = (self.infected, to.entry.path());
        let record = Record::of(infected.file, to.stat, &path, &infected.find, method)
            .map_err(|errno| to.source_hitch("read the extended attributes of", errno))?;
        let record = to.store.write_record(record_name(to.name), &record, self.steps);
        let record = record.map_err(|errno| to.hitch(errno))?;
        self.steps.reached(Step::Recorded, to.name);
        Ok(record)
    }

    /// Copies the content, and makes sure that it is what was scanned and that it is on the disk.
    fn copy(&self, to: &Try<'_>, copy: &File) -> Result<(), Hitch> {
        let changed = || Hitch::Failed(ActionError::Changed { path: to.entry.path() });
        let written = |done: std::io::Result<()>| done.map_err(|error| to.hitch(errno_of(&error)));
        let size = self.infected.identity.size;
        let mut block = vec![0; BLOCK];
        let mut offset = 0;
        while offset < size {
            let read = match pread(self.infected.file, &mut block[..], offset) {
                Err(Errno::INTR) => continue,
                read => read.map_err(|errno| to.source_hitch("read", errno))?,
            };
            if read == 0 {
                return Err(changed());
            }
            // What is all zeros stays a hole: a sparse file must not fill the disk.
            if block[..read].iter().any(|&byte| byte != 0) {
                written(copy.write_all_at(&block[..read], offset))?;
            }
            offset += read as u64;
        }
        written(copy.set_len(size))?;
        fsync(copy).map_err(|errno| to.hitch(errno))?;
        let now = fstat(self.infected.file).map_err(|errno| Hitch::Failed(ActionError::NoFacts(errno)))?;
        if Identity::of(&now) != self.infected.identity { Err(changed()) } else { Ok(()) }
    }
}

impl Try<'_> {
    /// The quarantine's trouble.
    fn hitch(&self, errno: Errno) -> Hitch {
        if errno == Errno::EXIST { Hitch::Taken } else { Hitch::Failed(self.store.trouble(errno)) }
    }

    /// The infected file's trouble.
    fn source_hitch(&self, doing: &'static str, errno: Errno) -> Hitch {
        Hitch::Failed(ActionError::Source { doing, path: self.entry.path(), errno })
    }

    fn move_hitch(&self, trouble: MoveError) -> Hitch {
        match trouble {
            MoveError::System(Errno::XDEV) => Hitch::OtherFilesystem,
            MoveError::System(errno @ (Errno::EXIST | Errno::NOSPC | Errno::DQUOT)) => self.hitch(errno),
            MoveError::System(_)
            | MoveError::Elsewhere
            | MoveError::Changed
            | MoveError::Swapped(_)
            | MoveError::Misplaced(_) => Hitch::Failed(trouble.explain("move to quarantine", self.entry)),
        }
    }

    /// Spares a copy that would have to be thrown away, for instance of a file in a snapshot.
    fn refuse_read_only_source(&self) -> Result<(), Hitch> {
        match fstatvfs(&self.entry.dir) {
            Ok(facts) if facts.f_flag.contains(StatVfsMountFlags::RDONLY) => {
                Err(self.source_hitch("remove", Errno::ROFS))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
