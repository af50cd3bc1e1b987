//! Filesystems that cannot promise to replace nothing.

use std::fs;

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
