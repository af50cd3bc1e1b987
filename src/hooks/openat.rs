//! openat: a descriptor is about to leave for smbd. The point of enforcement, whatever way led here.

use std::os::fd::AsFd as _;
use std::rc::Rc;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use vscan_engine::counters::Event;
use vscan_engine::filetype::mime_type;
use vscan_engine::identity::Identity;
use vscan_engine::log::Level;
use vscan_engine::protection::{Considered, Judgement, Occasion};

use crate::host::views::HostFd;
use crate::private_file;
use crate::scans::{self, Opening};
use crate::share::{Share, Writer};

/// What becomes of a fresh descriptor.
pub enum Descriptor {
    /// smbd gets it: it points at a file (O_PATH), and shows nothing of it.
    PointsOnly,
    /// smbd gets it; with a [`Writer`] when its close is to be watched.
    Granted(Option<Writer>),
    /// smbd gets EACCES instead.
    Refused,
}

/// Decides about a descriptor that the next module has opened.
pub fn after(share: &Rc<Share>, descriptor: HostFd<'_>) -> Descriptor {
    // The descriptor itself says what it is good for: the flags of the call do not, because smbd's lowest module opens
    // with O_PATH what it only wants to point at. Most descriptors are of that kind.
    let Ok(flags) = fcntl_getfl(descriptor.as_fd()) else { return unseen(share) };
    if flags.contains(OFlags::PATH) {
        return Descriptor::PointsOnly;
    }
    let Ok(stat) = fstat(descriptor.as_fd()) else { return unseen(share) };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Descriptor::Granted(None);
    }
    let identity = Identity::of(&stat);
    let access = flags & OFlags::RWMODE;
    // O_TRUNC has emptied the file by now; an empty file has nothing to hide.
    let shows_content = access != OFlags::WRONLY && identity.size > 0;
    if shows_content
        && share.scans_opens()
        && !share.is_granted(&identity)
        && !judge(share, descriptor, &identity)
    {
        return Descriptor::Refused;
    }
    let watched = access != OFlags::RDONLY && share.scans_closes();
    Descriptor::Granted(watched.then(|| Writer::new(descriptor.as_fd(), identity)))
}

/// A number that is no descriptor: a module below keeps its files to itself, as those for Ceph and Gluster do.
fn unseen(share: &Share) -> Descriptor {
    let why = "access denied: a VFS module below vscan opens files that vscan cannot see. Mount the filesystem instead, or \
               leave this share without vscan";
    share.log().line(Level::Error, &format!("share {}: {why}", share.context().share));
    Descriptor::Refused
}

/// What becomes of it when [`after`] has panicked.
pub fn after_panic(share: &Share) -> Descriptor {
    match share.judgement_on_error() {
        Judgement::Allowed(_) => Descriptor::Granted(None),
        Judgement::Denied(_) => Descriptor::Refused,
    }
}

/// Whether the content may be seen; scans on the spot if need be.
fn judge(share: &Rc<Share>, descriptor: HostFd<'_>, identity: &Identity) -> bool {
    let (protection, context) = (share.protection(), share.context());
    protection.count(Event::Open);
    let path = share.path_of_descriptor(descriptor.as_fd());
    let place = share.place(&path);
    let open = || private_file::open_again(descriptor.as_fd());
    let file_type = || open().and_then(|file| mime_type(file.as_fd()));
    let judgement = match protection.consider(&place, identity, &file_type) {
        Considered::Judged(judgement) => Some(judgement),
        Considered::KnownInfected(found) => {
            open().map(|file| protection.act_on_known(&found, &file, &place, Occasion::Open, &context))
        }
        Considered::Unknown => match scans::judge_open(share, None, &path, identity, open) {
            Opening::Judged(judgement) => Some(judgement),
            Opening::Parked | Opening::Unreadable => None,
        },
    };
    match judgement.unwrap_or_else(|| protection.cannot_read(&place, identity, Occasion::Open, &context)) {
        Judgement::Allowed(_) => true,
        Judgement::Denied(_) => false,
    }
}
