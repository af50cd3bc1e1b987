//! close: the content that a client has written is complete.

use std::os::fd::OwnedFd;

use rustix::fs::fstat;
use vscan_engine::filetype;
use vscan_engine::identity::Identity;
use vscan_engine::protection::{Considered, Judgement, Occasion};

use crate::host::root::Root;
use crate::host::views::HostFd;
use crate::private_file;
use crate::share::{Share, Writer};

/// A file to look at once smbd has closed it.
pub struct CloseScan {
    file: OwnedFd,
    opened_as: Writer,
}

/// Takes a descriptor of our own before smbd closes its one.
pub fn before(share: &Share, descriptor: HostFd<'_>, writer: &Writer) -> Option<CloseScan> {
    let stat = fstat(descriptor.as_fd()).ok()?;
    if Identity::of(&stat).key != writer.key() {
        return None;
    }
    match private_file::open_again(descriptor.as_fd()) {
        Some(file) => Some(CloseScan { file, opened_as: *writer }),
        None => {
            let path = share.path_of_descriptor(descriptor.as_fd());
            share.protection().cannot_read(&share.place(&path), Occasion::Close, &share.context());
            None
        }
    }
}

/// Scans what was written; whether the client is to be told that its file was refused.
pub fn after(share: &Share, scan: CloseScan) -> bool {
    let Ok(stat) = fstat(&scan.file) else { return false };
    let identity = Identity::of(&stat);
    // Removed while it was open: nobody can open it any more.
    if stat.st_nlink == 0 || !scan.opened_as.has_changed(&identity) {
        return false;
    }
    let path = share.path_of_descriptor(&scan.file);
    let place = share.place(&path);
    let file_type = || filetype::of(&scan.file);
    let judgement = match share.protection().consider(&place, &identity, &file_type) {
        Considered::Judged(judgement) => judgement,
        Considered::KnownInfected(threat) => {
            share.protection().act_on_known(&threat, &scan.file, &place, Occasion::Close, &share.context())
        }
        Considered::Unknown => share.protection().scan(scan.file, &place, Occasion::Close, &share.context(), &Root),
    };
    match judgement {
        Judgement::Allowed(_) => false,
        Judgement::Denied(denial) => denial.is_find(),
    }
}
