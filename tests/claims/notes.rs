use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};

use vscan_tests::clamd::THREAT;
use vscan_tests::samples::eicar;
use vscan_tests::smbd::USER;
use vscan_tests::wait::{SOON, eventually};

use crate::protected::Protected;

const NOTE: &str = "bad.com.VIRUS.txt";

fn noted(options: &str) -> Protected {
    Protected::with(&format!("warning file = yes\n{options}"))
}

/// The user's number, from what smbd makes for that user.
fn user_id(it: &Protected) -> u32 {
    it.put("mine.txt", b"mine").ok();
    it.path("mine.txt").metadata().unwrap().uid()
}

#[test]
fn a_note_says_where_an_infected_file_went() {
    let it = noted("");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let text = String::from_utf8(it.get(NOTE).unwrap()).unwrap();
    assert!(
        text.starts_with("The file bad.com is no longer here: it was infected with a virus.\r\n\r\n"),
        "{text}"
    );
    assert!(
        text.contains(&format!("Virus: {THREAT}\r\nFound: 2")) && text.contains(&format!("when {USER} used"))
    );
    assert!(text.contains("What was done: it was moved to quarantine\r\n"), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert_eq!(it.path(NOTE).metadata().unwrap().uid(), user_id(&it));
    it.smbd.smbclient("s").del(NOTE).ok();
    assert!(!it.path(NOTE).exists(), "the user can remove it");
}

#[test]
fn an_infected_upload_leaves_a_note_too() {
    let it = noted("infected file action = delete\nwarning file text = %f: %v (%a)");
    it.put("bad.com", &eicar()).refused_with("NT_STATUS_ACCESS_DENIED");
    let expected = format!("bad.com: {THREAT} (it was deleted)");
    assert_eq!(String::from_utf8(it.get(NOTE).unwrap()).unwrap(), expected);
}

#[test]
fn the_text_of_notes_can_be_a_file() {
    let it = noted("warning file text = @RIG@/note");
    std::fs::write(it.smbd.path("note"), "Größe: %f\nAsk Ann.\n").unwrap();
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(String::from_utf8(it.get(NOTE).unwrap()).unwrap(), "Größe: bad.com\r\nAsk Ann.\r\n");
}

#[test]
fn a_note_is_scanned_once_like_any_file() {
    let it = noted("");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(it.scanner.scans(), 1, "writing it is not a change by a client");
    crate::protected::settle(&it.path(NOTE));
    let client = it.client();
    client.read(NOTE).unwrap();
    client.read(NOTE).unwrap();
    assert_eq!(it.scanner.scans(), 2);
}

#[test]
fn a_note_with_a_virus_in_it_has_no_note() {
    // An administrator who tries what happens.
    let it = noted("warning file text = @RIG@/note");
    std::fs::write(it.smbd.path("note"), eicar()).unwrap();
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    it.refused(NOTE).refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(std::fs::read_dir(it.path("")).unwrap().count(), 0);
}

#[test]
fn a_restore_removes_the_note() {
    let it = noted("");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert!(it.path(NOTE).exists());
    let id = it.quarantine()[0].file_name().unwrap().to_str().unwrap().to_owned();
    it.smbd.vscanctl(&["quarantine", "restore", &id]).exits(0);
    assert!(it.path("bad.com").exists() && !it.path(NOTE).exists());
}

/// Has a file found infected that cannot have its note; all else is done and said as ever.
#[track_caller]
fn is_dealt_with_without_a_note(it: &Protected) {
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert!(!it.path("bad.com").exists());
    assert_eq!(std::fs::read(&it.quarantine()[0]).unwrap(), eicar());
    it.wait_for_line(
        "bad.com",
        &format!("is infected with {THREAT}: access denied; moved to quarantine as "),
    );
    it.wait_for_line("bad.com", "there is a note already");
}

#[test]
fn a_file_that_has_the_notes_name_stays_as_it_is() {
    let it = noted("");
    std::fs::write(it.path(NOTE), "Ann's work").unwrap();
    is_dealt_with_without_a_note(&it);
    assert_eq!(std::fs::read(it.path(NOTE)).unwrap(), b"Ann's work");
    let id = it.quarantine()[0].file_name().unwrap().to_str().unwrap().to_owned();
    it.smbd.vscanctl(&["quarantine", "restore", &id]).exits(0);
    assert_eq!(std::fs::read(it.path(NOTE)).unwrap(), b"Ann's work", "it is not taken for the note");
}

#[test]
fn a_note_is_not_written_through_a_symlink_that_has_its_name() {
    let it = noted("");
    let target = it.smbd.path("passwords");
    std::fs::write(&target, "root's").unwrap();
    symlink(&target, it.path(NOTE)).unwrap();
    is_dealt_with_without_a_note(&it);
    assert_eq!(std::fs::read(&target).unwrap(), b"root's");
    assert_eq!(std::fs::read_link(it.path(NOTE)).unwrap(), target);
}

#[test]
fn a_note_makes_no_file_at_the_end_of_a_symlink_that_has_its_name() {
    let it = noted("");
    let target = it.smbd.path("nologin");
    symlink(&target, it.path(NOTE)).unwrap();
    is_dealt_with_without_a_note(&it);
    assert!(!target.exists());
    assert_eq!(std::fs::read_link(it.path(NOTE)).unwrap(), target);
}

#[test]
fn any_name_has_its_note() {
    let it = noted("infected file action = delete");
    let names: [&[u8]; 4] = [b"a\nb.com", b"$(touch x) \"'`.com", b"\xff\xfe.com", &[b'x'; 255]];
    for name in names {
        std::fs::write(it.path("").join(OsStr::from_bytes(name)), eicar()).unwrap();
    }
    // Samba gives odd names a short one; clients open all that they see.
    it.smbd.smbclient("s").run("prompt; lcd /tmp; mget *").refused_with("NT_STATUS");
    eventually("the last one is dealt with", SOON, || {
        let left = std::fs::read_dir(it.path("")).unwrap().flatten();
        let names: Vec<_> = left.map(|entry| entry.file_name()).collect();
        names
            .iter()
            .all(|name| name.as_bytes().ends_with(b".VIRUS.txt") || name.as_bytes().contains(&0xff))
            .then_some(())
    });
    let text = std::fs::read_to_string(it.path("a\nb.com.VIRUS.txt")).unwrap();
    assert!(text.starts_with("The file a\\nb.com is no longer here"), "{text}");
}

#[test]
fn no_note_is_left_unless_it_is_asked_for() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert_eq!(std::fs::read_dir(it.path("")).unwrap().count(), 0);
}
