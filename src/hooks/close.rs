//! close: the content that a client has written is complete.

use std::os::fd::{AsFd as _, OwnedFd};
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
            // Nothing more to do: an open will need a verdict, and does not find one.
            let (place, context) = (share.place(&path), share.context());
            let _ = share.protection().cannot_read(&place, &Identity::of(&stat), Occasion::Close, &context);
            None
        }
    }
}

/// Looks at the file now, or once the client has its answer; whether it is to be told that the file was refused.
pub fn after(share: &Rc<Share>, scan: CloseScan) -> bool {
    match share.protection().settings().scan_on_close {
        ScanOnClose::Wait => look(share, scan),
        ScanOnClose::Yes | ScanOnClose::No => {
            scans::look_later(share, scan);
            false
        }
    }
}

/// Scans what was written, or has it scanned; whether it was refused.
pub fn look(share: &Rc<Share>, scan: CloseScan) -> bool {
    let Ok(stat) = fstat(&scan.file) else { return false };
    let identity = Identity::of(&stat);
    // Removed while it was open: nobody can open it any more.
    if stat.st_nlink == 0 || !scan.opened_as.has_changed(&identity) {
        return false;
    }
    let path = share.path_of_descriptor(&scan.file);
    let place = share.place(&path);
    let file_type = || mime_type(scan.file.as_fd());
    let (protection, context) = (share.protection(), share.context());
    let judgement = match protection.consider(&place, &identity, &file_type) {
        Considered::Judged(judgement) => judgement,
        Considered::KnownInfected(found) => {
            protection.act_on_known(&found, &scan.file, &place, Occasion::Close, &context)
        }
        Considered::Unknown => match protection.settings().scan_on_close {
            ScanOnClose::Wait => {
                let judgement = protection.scan(scan.file, &place, Occasion::Close, &context);
                scans::write_results_soon(share);
                judgement
            }
            ScanOnClose::Yes | ScanOnClose::No => {
                scans::scan_closed(share, &path, &identity, scan.file);
                return false;
            }
        },
    };
    match judgement {
        Judgement::Denied(denial) => denial.infected,
        Judgement::Allowed(_) => false,
    }
}
