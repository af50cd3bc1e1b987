//! Opening LMDB. It maps its file into memory and trusts what is there, which is why `heed` calls this unsafe.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use heed::{Env, EnvFlags, EnvOpenOptions, WithTls};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// More processes than this have no slot to read with; they go on without the database.
const MOST_READERS: u32 = 4096;
/// What each takes in LMDB's lock file; a few more are for its head.
const READER_BYTES: u64 = 64;
const LOCK_FILE_BYTES: u64 = (MOST_READERS as u64 + 64) * READER_BYTES;

/// Opens the database in a directory that only root can change, or makes one there.
///
/// Nothing is synced: LMDB never overwrites a page that a committed state needs, so a process may die anywhere, and the
/// kernel still has all pages. After the machine has died the file is not to be opened again; the caller sees to that.
pub(crate) fn open(directory: &Path, map_size: usize) -> heed::Result<Env<WithTls>> {
    take_room(directory)?;
    let mut options = EnvOpenOptions::new();
    options.map_size(map_size).max_readers(MOST_READERS).max_dbs(4);
    // SAFETY: NO_SYNC and NO_READ_AHEAD are about durability and speed; what a lost write could do to later readers is
    // kept away from them by `shared::directory`, which sets a file aside that a dead machine has left.
    unsafe { options.flags(EnvFlags::NO_SYNC | EnvFlags::NO_READ_AHEAD) };
    // SAFETY: the file changes under the mapping through LMDB alone, as far as anybody can see to that: the directory
    // belongs to root and lets nobody else in (checked by the caller), and all who use it lock by LMDB's own file. No
    // process opens it twice (`heed` refuses that), nor takes it along through a fork: smbd opens it in the client's own
    // process. What remains is root or a dying disk taking pages away: SIGBUS, see SAFETY.md.
    unsafe { options.open(directory) }
}

/// LMDB makes its lock file without giving it blocks, and writes to it through a mapping: on a full disk, that would be a
/// SIGBUS. So the blocks are there before.
fn take_room(directory: &Path) -> std::io::Result<()> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    // Closing it drops this process's locks on it: LMDB has none there yet.
    let file = options.open(directory.join("lock.mdb"))?;
    match fallocate(&file, FallocateFlags::empty(), 0, LOCK_FILE_BYTES) {
        // Some filesystems cannot say.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        taken => Ok(taken?),
    }
}

/// Maps more of a database that another process has let grow.
pub(crate) fn grow(env: &Env<WithTls>, map_size: usize) -> heed::Result<()> {
    // SAFETY: no transaction may be alive in this process. Those of `shared::database`, the only ones, end in the function
    // that began them, which calls this when its own has not begun; and it holds the lock that they all take.
    unsafe { env.resize(map_size) }
}
