//! Doing to an infected file what the settings say, and leaving a note about it.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use vscan_backends::verdict::ThreatName;

use super::{Context, Occasion, Place, Protection};
use crate::action::{self, Action, Find, Infected, Note, Noted, Places};
use crate::identity::Identity;
use crate::notify::{ActionTaken, FileEvent, Occurrence, fill};
use crate::report;

/// An infected file, and how it was catch.
pub(super) struct Catch<'a> {
    pub(super) file: BorrowedFd<'a>,
    pub(super) identity: Identity,
    pub(super) threat: &'a ThreatName,
    pub(super) scanner: &'a str,
    pub(super) place: &'a Place<'a>,
    pub(super) occasion: Occasion,
    pub(super) context: &'a Context<'a>,
}

impl Protection {
    /// Does it; what came of it.
    pub(super) fn act(&self, action: Action, catch: &Catch<'_>) -> ActionTaken {
        let context = catch.context;
        let find = Find {
            share: context.share,
            share_path: Path::new(OsStr::from_bytes(context.share_path)),
            user: context.user,
            client: context.client,
            threat: catch.threat.as_str(),
            scanner: catch.scanner,
        };
        let infected = Infected { file: catch.file, identity: catch.identity, find };
        let places = Places {
            quarantine_directory: &self.settings.quarantine_directory,
            quarantine_prefix: OsStr::new(&self.settings.quarantine_prefix),
            rename_prefix: OsStr::new(&self.settings.rename_prefix),
            rename_suffix: OsStr::new(&self.settings.rename_suffix),
        };
        let text = self.settings.notify.warning_file.then(|| self.note_text(action, catch));
        // Root has no files among those of users.
        let owner = context.session.rights.as_ref().map(|rights| rights.uid).filter(|uid| *uid != 0);
        let note = text.as_deref().map(|text| Note { text, owner });
        let (done, noted) = self.privilege.raised(|| action::act(action, &infected, &places, note.as_ref()));
        match noted {
            Noted::NotNeeded | Noted::Written => {}
            Noted::Taken => report::decision(self.log(), catch.place, &"there is a note already"),
            Noted::Failed(errno) => report::no_note(self.log(), catch.place, "cannot be written", errno),
            Noted::Unrecorded(errno) => {
                report::no_note(
                    self.log(),
                    catch.place,
                    "stays after a restore: its record cannot be written",
                    errno,
                );
            }
        }
        match done {
            Ok(done) => ActionTaken::of(&done),
            Err(error) => ActionTaken::failed(error.to_string()),
        }
    }

    /// What a note says if the action succeeds. Where the quarantine is, users need not know.
    fn note_text(&self, action: Action, catch: &Catch<'_>) -> String {
        let text = match action {
            Action::Nothing => "nothing",
            Action::Quarantine => "it was moved to quarantine",
            Action::Delete => "it was deleted",
            Action::Rename => "it was renamed",
        };
        let place = catch.place;
        let file = FileEvent {
            path: place.path.into(),
            path_in_share: place.path_in_share.into(),
            was_closed: catch.occasion == Occasion::Close,
            was_known: false,
            is_denied: true,
        };
        let action = ActionTaken { text: text.to_owned(), ..ActionTaken::nothing() };
        let threat = catch.threat.as_str().to_owned();
        let event = self.event(Occurrence::Infected { file, threat, action }, catch.scanner, catch.context);
        let text = fill(&self.settings.notify.warning_file_text, &|letter| event.value(letter));
        text.replace("\r\n", "\n").replace('\n', "\r\n")
    }
}
