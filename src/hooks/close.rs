//! close: the content that a client has written is complete.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::fstat;
use vscan_engine::filetype::mime_type;
use vscan_engine::identity::Identity;
use vscan_engine::protection::{Considered, Judgement, Occasion};
use vscan_engine::settings::ScanOnClose;

use crate::host::views::HostFd;
use crate::private_file;
use crate::scans;
use crate::share::{Share, Writer};

/// A file to look at once smbd has closed it.
pub struct CloseScan {
    anchor: OwnedFd,
    opened_as: Writer,
}

/// Makes sure that the file can be found once smbd has closed it. The client waits for this: what can be done later is.
pub fn before(share: &Share, descriptor: HostFd<'_>, mut writer: Writer) -> Option<CloseScan> {
    let anchor = writer.take_anchor().or_else(|| private_file::anchor(descriptor.as_fd()));
    if anchor.is_none() {
        cannot_read(share, descriptor.as_fd());
    }
    Some(CloseScan { anchor: anchor?, opened_as: writer })
}

/// Says so. Nothing more to do: an open will need a verdict, and does not find one.
fn cannot_read(share: &Share, file: BorrowedFd<'_>) {
    let Ok(stat) = fstat(file) else { return };
    let path = share.path_of_descriptor(file);
    let (place, context) = (share.place(&path), share.context());
    let _ = share.protection().cannot_read(&place, &Identity::of(&stat), Occasion::Close, &context);
}

/// Looks at the file now, or once the client has its answer; whether that answer is to be that the file is infected.
pub fn after(share: &Rc<Share>, scan: CloseScan) -> bool {
    match share.protection().settings().scan_on_close {
        ScanOnClose::Wait => look(share, scan),
        ScanOnClose::Yes | ScanOnClose::No => {
            scans::look_later(share, scan);
            false
        }
    }
}

/// Scans what was written, or has it scanned; whether it is known to be infected.
pub fn look(share: &Rc<Share>, scan: CloseScan) -> bool {
    let CloseScan { anchor, opened_as } = scan;
    let Ok(stat) = fstat(&anchor) else { return false };
    let identity = Identity::of(&stat);
    // Removed while it was open: nobody can open it any more.
    if stat.st_nlink == 0 || !opened_as.has_changed(&identity) {
        return false;
    }
    let Some(file) = private_file::open_again(&anchor) else {
        cannot_read(share, anchor.as_fd());
        return false;
    };
    match judge(share, &identity, file) {
        Some(Judgement::Denied(denial)) => denial.infected,
        Some(Judgement::Allowed(_)) | None => false,
    }
}

/// The judgement, unless nobody waits for it and it takes a scan.
fn judge(share: &Rc<Share>, identity: &Identity, file: OwnedFd) -> Option<Judgement> {
    let path = share.path_of_descriptor(&file);
    let place = share.place(&path);
    let file_type = || mime_type(file.as_fd());
    let (protection, context) = (share.protection(), share.context());
    match protection.consider(&place, identity, &file_type) {
        Considered::Judged(judgement) => Some(judgement),
        Considered::KnownInfected(found) => {
            Some(protection.act_on_known(&found, &file, &place, Occasion::Close, &context))
        }
        Considered::Unknown => match protection.settings().scan_on_close {
            ScanOnClose::Wait => Some(scans::scan_now(share, &path, file, Occasion::Close)),
            ScanOnClose::Yes | ScanOnClose::No => {
                scans::scan_closed(share, &path, identity, file);
                None
            }
        },
    }
}
