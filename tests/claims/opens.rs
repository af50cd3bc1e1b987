use std::os::unix::fs::PermissionsExt;

use vscan_tests::client::{Open, Status, access, disposition, option};
use vscan_tests::samples::{clean, eicar};
use vscan_tests::scanned::Scanned;
use vscan_tests::wait::SOON;

use crate::protected::{Protected, SHARE, settle};

const SHOWING_CONTENT: [u32; 8] = [
    access::READ_DATA,
    access::EXECUTE,
    access::GENERIC_READ,
    access::GENERIC_EXECUTE,
    access::GENERIC_ALL,
    access::MAXIMUM_ALLOWED,
    access::READ_DATA | access::WRITE_DATA,
    access::DELETE | access::EXECUTE,
];

#[test]
fn every_right_that_shows_content_needs_a_verdict() {
    let it = Protected::with("infected file action = nothing");
    it.plant("bad.com", &eicar());
    let client = it.client();
    for right in SHOWING_CONTENT {
        let opened = client.open("bad.com", Open::with_access(right)).wait();
        assert_eq!(opened.status, Status::VIRUS_INFECTED, "{right:#x}");
    }
}

#[test]
fn the_same_rights_open_a_clean_file() {
    let it = Protected::with("");
    let path = it.plant("a.exe", &clean(1, 100));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    settle(&path);
    let client = it.client();
    for right in SHOWING_CONTENT {
        let handle = client.open("a.exe", Open::with_access(right)).wait().handle().unwrap();
        assert_eq!(client.read_at(handle, 0, 100).wait().data, clean(1, 100), "{right:#x}");
        assert_eq!(client.close(handle).wait().status, Status::OK);
    }
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn rights_that_show_no_content_need_no_verdict() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    let client = it.client();
    for right in [
        access::DELETE,
        access::READ_ATTRIBUTES,
        access::READ_CONTROL,
        access::WRITE_DATA,
        access::APPEND_DATA,
        access::GENERIC_WRITE,
    ] {
        let handle = client.open("bad.com", Open::with_access(right)).wait().handle().unwrap();
        assert_ne!(client.read_at(handle, 0, 100).wait().status, Status::OK, "{right:#x}");
        assert_eq!(client.close(handle).wait().status, Status::OK, "{right:#x}");
    }
    assert_eq!(it.scanner.scans(), 0);
    assert!(it.path("bad.com").exists());
}

#[test]
fn an_infected_file_can_be_deleted() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    it.smbd.smbclient(SHARE).del("bad.com").ok();
    assert!(!it.path("bad.com").exists());
    assert_eq!(it.scanner.scans(), 0);
}

#[test]
fn an_infected_file_can_be_deleted_on_close() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    let client = it.client();
    let delete = Open::with_access(access::DELETE).options(option::DELETE_ON_CLOSE);
    let handle = client.open("bad.com", delete).wait().handle().unwrap();
    assert_eq!(client.close(handle).wait().status, Status::OK);
    assert!(!it.path("bad.com").exists());
}

#[test]
fn an_infected_file_can_be_renamed_and_stays_refused() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    it.smbd.smbclient(SHARE).rename("bad.com", "evil.com").ok();
    assert_eq!(it.scanner.scans(), 0);
    it.refused("evil.com").refused_with("NT_STATUS_VIRUS_INFECTED");
}

#[test]
fn an_infected_file_can_be_overwritten() {
    let it = Protected::with("");
    let client = it.client();
    let rights = [access::GENERIC_WRITE, access::GENERIC_READ | access::GENERIC_WRITE];
    let ways = [disposition::OVERWRITE, disposition::OVERWRITE_IF, disposition::SUPERSEDE];
    for (way, right) in ways.into_iter().flat_map(|way| rights.map(|right| (way, right))) {
        it.plant("bad.com", &eicar());
        let before = it.scanner.scans();
        let open = Open::with_access(right).disposition(way);
        let handle = client.open("bad.com", open).wait().handle().unwrap();
        assert_eq!(it.scanner.scans(), before, "nothing is scanned for {way} {right:#x}");
        let old = client.read_at(handle, 0, 100).wait();
        assert!(old.status != Status::OK && old.data.is_empty(), "{old:?}");
        assert_eq!(client.write_at(handle, 0, &clean(1, 50)).wait().status, Status::OK);
        assert_eq!(client.close(handle).wait().status, Status::OK);
        assert_eq!(it.scanner.scans(), before + 1, "the new content is scanned");
        assert_eq!(client.read("bad.com"), Ok(clean(1, 50)));
    }
}

#[test]
fn smbclient_replaces_an_infected_file_by_a_clean_one() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    it.put("bad.com", &clean(1, 50)).ok();
    assert_eq!(it.get("bad.com").unwrap(), clean(1, 50));
}

#[test]
fn opening_or_creating_finds_what_is_there() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    let client = it.client();
    let open = Open::read_write().disposition(disposition::OPEN_IF);
    assert_eq!(client.open("bad.com", open.clone()).wait().status, Status::VIRUS_INFECTED);
    assert_eq!(client.open("new.doc", open).wait().status, Status::OK);
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn creating_a_file_whose_name_is_taken_says_so_and_scans_nothing() {
    let it = Protected::with("");
    it.plant("bad.com", &eicar());
    let client = it.client();
    let create = Open::read_write().disposition(disposition::CREATE);
    assert_eq!(client.open("bad.com", create).wait().status, Status::OBJECT_NAME_COLLISION);
    assert_eq!(it.scanner.scans(), 0);
    assert!(it.path("bad.com").exists());
}

#[test]
fn a_file_that_is_gone_after_its_close_is_not_scanned() {
    let it = Protected::with("");
    let client = it.client();
    let temporary = Open::with_access(access::GENERIC_WRITE | access::DELETE)
        .disposition(disposition::CREATE)
        .options(option::DELETE_ON_CLOSE);
    let handle = client.open("new.tmp", temporary).wait().handle().unwrap();
    assert_eq!(client.write_at(handle, 0, &eicar()).wait().status, Status::OK);
    assert_eq!(client.close(handle).wait().status, Status::OK);
    assert!(!it.path("new.tmp").exists());
    assert_eq!(it.scanner.scans(), 0);
}

#[test]
fn what_one_client_still_writes_is_scanned_for_the_other_that_reads_it() {
    let it = Protected::with("infected file action = nothing");
    let (writer, reader) = (it.client(), it.client());
    let handle = writer.open("a.com", Open::overwrite()).wait().handle().unwrap();
    assert_eq!(writer.write_at(handle, 0, &clean(1, 68)).wait().status, Status::OK);
    assert_eq!(reader.read("a.com"), Ok(clean(1, 68)));
    assert_eq!(writer.write_at(handle, 0, &eicar()).wait().status, Status::OK);
    assert_eq!(reader.read("a.com"), Err(Status::VIRUS_INFECTED));
    assert_eq!(writer.close(handle).wait().status, Status::ACCESS_DENIED);
}

/// Its close does not wait for the scan, and the scan is one of another process.
#[test]
fn what_one_client_has_closed_has_a_verdict_before_another_reads_it() {
    let it = Scanned::new("infected file action = nothing\n");
    let ((one, quiet), (other, _)) = (it.connect(), it.connect());
    it.scanner.hold();
    for (name, content, ending) in
        [("bad.com", eicar(), Err(Status::VIRUS_INFECTED)), ("good.doc", clean(1, 100), Ok(clean(1, 100)))]
    {
        let scans = it.scanner.scans();
        one.write(name, &content).unwrap();
        it.scanner.wait_for_scans(scans + 1, SOON);
        let open = it.park(&other, name);
        assert!(!open.is_answered());
        it.scanner.release();
        let read = open.wait().handle().map(|handle| {
            let data = other.read_at(handle, 0, 1000).wait().data;
            other.close(handle).wait().status.ok().unwrap();
            data
        });
        assert_eq!(read, ending, "{name}");
        it.scanner.hold();
    }
    it.is_quiet(&quiet);
}

#[test]
fn the_server_copies_clean_files_only() {
    let it = Protected::with("infected file action = nothing");
    it.plant("a.doc", &clean(1, 100_000));
    it.plant("bad.com", &eicar());
    it.smbd.smbclient(SHARE).run("scopy a.doc b.doc").ok();
    assert_eq!(std::fs::read(it.path("b.doc")).unwrap(), clean(1, 100_000));
    assert_eq!(it.scanner.scans(), 2, "the source at open, the copy at close");
    it.smbd.smbclient(SHARE).run("scopy bad.com c.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    assert!(!it.path("c.com").exists());
}

#[test]
fn a_name_in_other_letters_leads_to_the_same_file() {
    let it = Protected::with("");
    it.plant("Bad.com", &eicar());
    it.plant("A.doc", &clean(1, 100));
    assert_eq!(it.get("a.DOC").unwrap(), clean(1, 100));
    it.refused("BAD.COM").refused_with("NT_STATUS_VIRUS_INFECTED");
    it.wait_for_line("Bad.com", "is infected");
}

#[test]
fn a_new_file_is_scanned_at_close_only() {
    let it = Protected::with("");
    let client = it.client();
    let create = Open::read_write().disposition(disposition::CREATE);
    let handle = client.open("new.doc", create).wait().handle().unwrap();
    assert_eq!(client.write_at(handle, 0, &clean(1, 50)).wait().status, Status::OK);
    assert_eq!(client.read_at(handle, 0, 50).wait().data, clean(1, 50));
    assert_eq!(it.scanner.scans(), 0);
    assert_eq!(client.close(handle).wait().status, Status::OK);
    assert_eq!(it.scanner.scans(), 1);
}

#[test]
fn a_new_file_that_stays_empty_is_not_scanned() {
    let it = Protected::with("");
    let client = it.client();
    assert_eq!(client.write("new.doc", b""), Ok(()));
    assert_eq!(client.read("new.doc"), Ok(Vec::new()));
    assert_eq!(it.scanner.scans(), 0);
}

#[test]
fn a_directory_is_not_scanned() {
    let it = Protected::with("");
    std::fs::create_dir(it.path("folder")).unwrap();
    let client = it.client();
    for open in [Open::read(), Open::read().options(option::DIRECTORY_FILE)] {
        let handle = client.open("folder", open).wait().handle().unwrap();
        assert_eq!(client.close(handle).wait().status, Status::OK);
    }
    it.smbd.smbclient(SHARE).ls().ok();
    assert_eq!(it.scanner.scans(), 0);
}

#[test]
fn what_is_appended_is_scanned_with_the_rest() {
    let it = Protected::with("");
    it.plant("a.log", &clean(1, 50));
    let client = it.client();
    let append = |content: &[u8], at| {
        let handle = client.open("a.log", Open::with_access(access::APPEND_DATA)).wait().handle().unwrap();
        assert_eq!(client.write_at(handle, at, content).wait().status, Status::OK);
        client.close(handle).wait().status
    };
    assert_eq!(append(&clean(2, 50), 50), Status::OK);
    assert_eq!(client.read("a.log"), Ok([clean(1, 50), clean(2, 50)].concat()));
    assert_eq!(append(&eicar(), 100), Status::ACCESS_DENIED);
    assert!(!it.path("a.log").exists());
}

#[test]
fn a_clean_file_can_be_opened_for_reading_and_writing() {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 50));
    let client = it.client();
    let handle = client.open("a.doc", Open::read_write()).wait().handle().unwrap();
    assert_eq!(it.scanner.scans(), 1);
    assert_eq!(client.read_at(handle, 0, 50).wait().data, clean(1, 50));
    assert_eq!(client.write_at(handle, 0, b"!").wait().status, Status::OK);
    assert_eq!(client.close(handle).wait().status, Status::OK);
    assert_eq!(it.scanner.scans(), 2);
}

#[test]
fn a_clean_file_that_is_not_changed_is_not_scanned_at_close() {
    let it = Protected::with("");
    it.plant("a.doc", &clean(1, 50));
    let client = it.client();
    let handle = client.open("a.doc", Open::read_write()).wait().handle().unwrap();
    assert_eq!(client.close(handle).wait().status, Status::OK);
    assert_eq!(it.scanner.scans(), 1);
}
