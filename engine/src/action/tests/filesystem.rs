//! Filesystems that cannot promise to replace nothing, or that fail.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use rustix::io::Errno;

use super::super::*;
use super::rig::{CONTENT, Once, Rig, WithoutNoreplace, names_in};

#[test]
fn every_action_works() {
    let steps = WithoutNoreplace(Straight);
    for options in [None, Some("size=1m,mode=700")] {
        let rig = options.map_or_else(Rig::new, Rig::with_quarantine_on_tmpfs);
        let scanned = rig.infect("a.doc");
        rig.act_in_steps(Action::Quarantine, &scanned, &steps).unwrap();
        assert_eq!(fs::read(rig.quarantined().0).unwrap(), CONTENT);
        let scanned = rig.infect("b.doc");
        rig.act_in_steps(Action::Delete, &scanned, &steps).unwrap();
        assert!(names_in(&rig.path("share")).is_empty());
        let scanned = rig.infect("c.doc");
        rig.act_in_steps(Action::Rename, &scanned, &steps).unwrap();
        assert_eq!(names_in(&rig.path("share")), ["virus.c.doc.infected"]);
        assert!(scanned.is_at(&rig.share("virus.c.doc.infected")));
    }
}

#[test]
fn rename_still_replaces_nothing() {
    let rig = Rig::new();
    let scanned = rig.infect("a.doc");
    fs::write(rig.share("virus.a.doc.infected"), "earlier").unwrap();
    rig.act_in_steps(Action::Rename, &scanned, &WithoutNoreplace(Straight)).unwrap();
    assert_eq!(names_in(&rig.path("share")), ["virus.a (2).doc.infected", "virus.a.doc.infected"]);
    assert_eq!(fs::read(rig.share("virus.a.doc.infected")).unwrap(), b"earlier");
}

#[test]
fn quarantine_still_replaces_nothing() {
    let rig = Rig::new();
    let scanned = rig.infect("a.doc");
    let squatter = Once::at(Step::Named, |name| {
        fs::write(rig.quarantine.join(name), "earlier").unwrap();
    });
    rig.act_in_steps(Action::Quarantine, &scanned, &WithoutNoreplace(squatter)).unwrap();
    assert_eq!(names_in(&rig.quarantine).len(), 3);
}

/// Nor has it hard links.
struct WithoutLinks<S>(WithoutNoreplace<S>);

impl<S: Steps> Steps for WithoutLinks<S> {
    fn reached(&self, step: Step, name: &OsStr) {
        self.0.reached(step, name);
    }

    fn rename_noreplace(
        &self,
        from: (BorrowedFd<'_>, &OsStr),
        to: (BorrowedFd<'_>, &OsStr),
    ) -> rustix::io::Result<()> {
        self.0.rename_noreplace(from, to)
    }

    fn link(&self, _from: (BorrowedFd<'_>, &OsStr), _to: (BorrowedFd<'_>, &OsStr)) -> rustix::io::Result<()> {
        Err(Errno::PERM)
    }
}

#[test]
fn rename_works_and_replaces_nothing_without_hard_links_too() {
    let rig = Rig::new();
    let steps = WithoutLinks(WithoutNoreplace(Straight));
    for _ in 0..3 {
        let scanned = rig.infect("a.doc");
        rig.act_in_steps(Action::Rename, &scanned, &steps).unwrap();
    }
    assert_eq!(
        names_in(&rig.path("share")),
        ["virus.a (2).doc.infected", "virus.a (3).doc.infected", "virus.a.doc.infected"]
    );
}

/// A disk that fails after so many moves.
struct Failing(Cell<usize>);

impl Steps for Failing {
    fn rename_noreplace(
        &self,
        from: (BorrowedFd<'_>, &OsStr),
        to: (BorrowedFd<'_>, &OsStr),
    ) -> rustix::io::Result<()> {
        let left = self.0.get().checked_sub(1).ok_or(Errno::IO)?;
        self.0.set(left);
        Straight.rename_noreplace(from, to)
    }
}

#[test]
fn a_disk_that_fails_leaves_the_file_in_place() {
    // The record's move, and the file's.
    for moves in [0, 1] {
        let rig = Rig::new();
        let scanned = rig.infect("a.doc");
        let error = rig.act_in_steps(Action::Quarantine, &scanned, &Failing(Cell::new(moves))).unwrap_err();
        assert!(error.to_string().contains("(Input/output error)"), "{error}");
        assert!(scanned.is_at(&rig.share("a.doc")));
        rig.assert_quarantine_empty();
    }
}

/// Swaps the file, and then fails.
struct SwappedAndFailing<'a>(&'a Rig, Failing);

impl Steps for SwappedAndFailing<'_> {
    fn reached(&self, step: Step, _name: &OsStr) {
        if step == Step::Checked {
            fs::rename(self.0.share("a.doc"), self.0.share("away.doc")).unwrap();
            fs::write(self.0.share("a.doc"), "innocent").unwrap();
        }
    }

    fn rename_noreplace(
        &self,
        from: (BorrowedFd<'_>, &OsStr),
        to: (BorrowedFd<'_>, &OsStr),
    ) -> rustix::io::Result<()> {
        self.1.rename_noreplace(from, to)
    }
}

#[test]
fn a_file_that_cannot_be_given_back_is_named_and_keeps_its_record() {
    let rig = Rig::new();
    let scanned = rig.infect("a.doc");
    let steps = SwappedAndFailing(&rig, Failing(Cell::new(2)));
    let error = rig.act_in_steps(Action::Quarantine, &scanned, &steps).unwrap_err();
    let (at, record) = rig.quarantined();
    assert_eq!(fs::read(&at).unwrap(), b"innocent");
    assert!(record.path.as_bytes().ends_with(b"/share/a.doc"));
    let named = format!("that file is now {} and cannot be moved back (Input/output error)", at.display());
    assert!(error.to_string().contains(&named), "{error}");

    // The same with the infected file, when it has been hidden to be removed and was written to.
    let scanned = rig.infect("b.doc");
    let steps = WrittenAndFailing(rig.share("b.doc"), Failing(Cell::new(1)));
    let error = rig.act_in_steps(Action::Delete, &scanned, &steps).unwrap_err();
    assert!(matches!(&error, ActionError::Misplaced { now: PutBack::Stuck { .. }, .. }), "{error}");
    assert_eq!(names_in(&rig.path("share")).len(), 2, "away.doc and the hidden one");
}

/// Writes to the file at the last moment, and then fails.
struct WrittenAndFailing(PathBuf, Failing);

impl Steps for WrittenAndFailing {
    fn reached(&self, step: Step, name: &OsStr) {
        if step == Step::Hidden {
            fs::write(self.0.with_file_name(name), "something else").unwrap();
        }
    }

    fn rename_noreplace(
        &self,
        from: (BorrowedFd<'_>, &OsStr),
        to: (BorrowedFd<'_>, &OsStr),
    ) -> rustix::io::Result<()> {
        self.1.rename_noreplace(from, to)
    }
}
