//! create_file: a client asks to open a file. The place to refuse it with a status that Windows understands.
//!
//! The name is looked up here and again by smbd when it opens the file, so nothing is decided here that `openat`
//! does not check once more on the descriptor: it finds what was [granted](crate::share::Grant) here, for which file.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, FileType, statat};
use vscan_engine::identity::Identity;
use vscan_engine::protection::{Considered, Judgement, Occasion};

use crate::host::NtStatus;
use crate::host::root::Root;
use crate::host::views::OpenRequest;
use crate::private_file;
use crate::share::{Grant, OpenFile, Share, nt_status};

/// What happens before smbd opens the file.
pub enum Before {
    /// smbd may try.
    GoOn,
    /// The client gets this.
    Refuse(NtStatus),
}

/// The rights that let a client see content: FILE_READ_DATA, FILE_EXECUTE, MAXIMUM_ALLOWED, GENERIC_ALL,
/// GENERIC_EXECUTE, GENERIC_READ (MS-SMB2 2.2.13.1.1).
const SEES_CONTENT: u32 = 0x0000_0001 | 0x0000_0020 | 0x0200_0000 | 0x1000_0000 | 0x2000_0000 | 0x8000_0000;

/// FILE_DIRECTORY_FILE (MS-SMB2 2.2.13).
const DIRECTORY_FILE: u32 = 0x1;

/// FILE_SUPERSEDE, FILE_OVERWRITE, FILE_OVERWRITE_IF: the old content is gone once the open succeeds.
const DISCARDS_CONTENT: [u32; 3] = [0, 4, 5];

/// Decides about an open as far as its name allows.
pub fn before(share: &Share, request: &OpenRequest<'_>) -> Before {
    // A stream is a file of its own below, or none; openat sees which.
    if !share.scans_opens() || request.create_options & DIRECTORY_FILE != 0 || request.is_stream {
        return Before::GoOn;
    }
    let path = share.path_of(request.name);
    // As the client's user, like smbd. What cannot be looked up is smbd's to refuse; a name that only a module below
    // can resolve (a snapshot, a mapped character) reaches openat as a descriptor.
    let Ok(stat) = statat(CWD, path.as_slice(), AtFlags::empty()) else { return Before::GoOn };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Before::GoOn;
    }
    let identity = Identity::of(&stat);
    let discards = DISCARDS_CONTENT.contains(&request.create_disposition);
    if discards || request.access_mask & SEES_CONTENT == 0 {
        share.grant(OpenFile { key: identity.key, grant: Grant::AnyContent });
        return Before::GoOn;
    }
    judge(share, &path, identity)
}

/// What happens when [`before`] has panicked.
pub fn after_panic(share: &Share) -> Before {
    if share.protection().settings().denies_on_error() { Before::Refuse(NtStatus::ACCESS_DENIED) } else { Before::GoOn }
}

fn judge(share: &Share, path: &[u8], identity: Identity) -> Before {
    let place = share.place(path);
    let open = || private_file::open_by_name(share, path, &identity);
    let file_type = || open().and_then(|file| vscan_engine::filetype::of(&file));
    let considered = share.protection().consider(&place, &identity, &file_type);
    let judgement = match considered {
        Considered::Judged(judgement) => judgement,
        // To act on the file, or to scan it, takes a descriptor; without one openat decides.
        Considered::KnownInfected(threat) => match open() {
            Some(file) => share.protection().act_on_known(&threat, &file, &place, Occasion::Open, &share.context()),
            None => return Before::GoOn,
        },
        Considered::Unknown => match open() {
            Some(file) => scan(share, &place, file),
            None => return Before::GoOn,
        },
    };
    match judgement {
        Judgement::Allowed(allowed) => {
            share.grant(OpenFile { key: allowed.key, grant: Grant::Exactly(allowed) });
            Before::GoOn
        }
        Judgement::Denied(denial) => Before::Refuse(nt_status(denial)),
    }
}

fn scan(share: &Share, place: &vscan_engine::protection::Place, file: OwnedFd) -> Judgement {
    share.protection().scan(file, place, Occasion::Open, &share.context(), &Root)
}
