//! create_file: a client asks to open a file. The place to refuse it with a status that Windows understands.
//!
//! The name is looked up here and again by smbd when it opens the file, so nothing is decided here that `openat`
//! does not check once more on the descriptor: it finds what was [granted](crate::share::Grant) here, for which file.

use std::os::fd::AsFd as _;
use std::rc::Rc;

use rustix::fs::FileType;
use vscan_engine::counters::Event;
use vscan_engine::filetype::mime_type;
use vscan_engine::identity::Identity;
use vscan_engine::protection::{Allowance, Considered, Judgement, Occasion};

use crate::host::NtStatus;
use crate::host::views::OpenRequest;
use crate::private_file;
use crate::scans::{self, Answer, Opening};
use crate::share::{Grant, Share, nt_status};

/// What happens before smbd opens the file.
pub enum Before {
    /// smbd may try.
    GoOn,
    /// The client gets this.
    Refuse(NtStatus),
    /// The request is parked until the file is scanned; then it comes here again.
    Parked,
}

/// The rights that let a client see content: FILE_READ_DATA, FILE_EXECUTE, MAXIMUM_ALLOWED, GENERIC_ALL,
/// GENERIC_EXECUTE, GENERIC_READ (MS-SMB2 2.2.13.1.1).
const SEES_CONTENT: u32 = 0x0000_0001 | 0x0000_0020 | 0x0200_0000 | 0x1000_0000 | 0x2000_0000 | 0x8000_0000;

/// FILE_DIRECTORY_FILE (MS-SMB2 2.2.13).
const DIRECTORY_FILE: u32 = 0x1;

/// FILE_CREATE: what is there already is not opened.
const CREATES_ONLY: u32 = 2;

/// FILE_SUPERSEDE, FILE_OVERWRITE, FILE_OVERWRITE_IF: the old content is gone once the open succeeds.
const DISCARDS_CONTENT: [u32; 3] = [0, 4, 5];

/// Decides about an open as far as its name allows.
pub fn before(share: &Rc<Share>, request: &OpenRequest<'_>) -> Before {
    share.meet_user();
    let opens_no_file =
        request.create_options & DIRECTORY_FILE != 0 || request.create_disposition == CREATES_ONLY;
    // The name is not that of the file in question; openat sees which one it is.
    let is_other_file = request.is_stream || request.is_previous_version;
    if !share.scans_opens() || opens_no_file || is_other_file {
        return Before::GoOn;
    }
    let answer = request.parkable.as_ref().and_then(scans::arrived);
    let discards = DISCARDS_CONTENT.contains(&request.create_disposition);
    let sees_content = !discards && request.access_mask & SEES_CONTENT != 0;
    if sees_content {
        scans::check_signatures(share);
        if answer.is_none() && is_known(share, request) {
            return grant(share, &request.looked_up, Allowance::Exactly(request.looked_up));
        }
    }
    // As the client's user, like smbd. What cannot be looked up is smbd's to refuse; a name that only a module below
    // can resolve (a mapped character) reaches openat as a descriptor.
    let Ok(stat) = share.stat(request.name) else {
        return gone(answer);
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Before::GoOn;
    }
    let identity = Identity::of(&stat);
    if !sees_content {
        return grant(share, &identity, Allowance::AnyContent);
    }
    let judgement = match answer.and_then(|answer| answer.about(&identity)) {
        Some(judgement) => judgement,
        None => match judge(share, request, identity) {
            Opening::Judged(judgement) => judgement,
            Opening::Parked => return Before::Parked,
            Opening::Unreadable => return Before::GoOn,
        },
    };
    match judgement {
        Judgement::Allowed(allowance) => grant(share, &identity, allowance),
        Judgement::Denied(denial) => Before::Refuse(nt_status(denial.status)),
    }
}

/// What happens when [`before`] has panicked.
pub fn after_panic(share: &Share) -> Before {
    match share.judgement_on_error() {
        Judgement::Denied(denial) => Before::Refuse(nt_status(denial.status)),
        Judgement::Allowed(_) => Before::GoOn,
    }
}

/// Tells openat what may be opened without asking again.
fn grant(share: &Share, identity: &Identity, allowance: Allowance) -> Before {
    share.grant(Grant { key: identity.key, allowance });
    Before::GoOn
}

/// The name leads nowhere. If the client has waited for the file that was there, it should hear why that is gone.
fn gone(answer: Option<Answer>) -> Before {
    match answer.map(|answer| answer.judgement()) {
        Some(Judgement::Denied(denial)) => Before::Refuse(nt_status(denial.status)),
        Some(Judgement::Allowed(_)) | None => Before::GoOn,
    }
}

/// Whether the file that smbd has looked up is known to be clean. It spares a known file a look at its name; should another
/// file be opened after all, or this one in another state, openat finds it without a grant.
fn is_known(share: &Share, request: &OpenRequest<'_>) -> bool {
    let protection = share.protection();
    let is_known = protection.recalls_clean(&request.looked_up, || share.path_of(request.name.to_bytes()));
    if is_known {
        protection.count(Event::Open);
    }
    is_known
}

fn judge(share: &Rc<Share>, request: &OpenRequest<'_>, identity: Identity) -> Opening {
    share.protection().count(Event::Open);
    let path = &share.path_of(request.name.to_bytes());
    let (protection, place, context) = (share.protection(), share.place(path), share.context());
    let open = || private_file::open_by_name(share, path, &identity);
    let file_type = || open().and_then(|file| mime_type(file.as_fd()));
    match protection.consider(&place, &identity, &file_type) {
        Considered::Judged(judgement) => Opening::Judged(judgement),
        // To act on the file takes a descriptor; without one openat decides.
        Considered::KnownInfected(found) => open().map_or(Opening::Unreadable, |file| {
            Opening::Judged(protection.act_on_known(&found, &file, &place, Occasion::Open, &context))
        }),
        Considered::Unknown => scans::judge_open(share, request.parkable.as_ref(), path, &identity, open),
    }
}
