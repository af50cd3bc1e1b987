use vscan_tests::client::Status;
use vscan_tests::samples::{clean, eicar};

use crate::protected::Protected;

/// Asserts that a share with these modules is protected, and works.
#[track_caller]
fn protects_with(modules: &str) {
    let it = Protected::share("", |share| share.option("vfs objects", modules));
    it.plant("bad.com", &eicar());
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED), "{modules}");
    assert_eq!(client.write("new.com", &eicar()), Err(Status::ACCESS_DENIED), "{modules}");
    assert!(!it.path("new.com").exists(), "{modules}");
    assert_eq!(client.read("a.doc"), Ok(clean(1, 100)), "{modules}");
    assert_eq!(client.write("b.doc", &clean(2, 100)), Ok(()), "{modules}");
    assert_eq!(client.read("b.doc"), Ok(clean(2, 100)), "{modules}");
}

#[test]
fn protects_in_front_of_acl_xattr() {
    protects_with("vscan acl_xattr");
}

#[test]
fn protects_behind_acl_xattr() {
    protects_with("acl_xattr vscan");
}

#[test]
fn protects_with_what_apples_clients_need() {
    protects_with("vscan catia fruit streams_xattr");
}

#[test]
fn protects_with_a_recycle_bin_and_an_audit() {
    protects_with("vscan recycle full_audit");
}

#[test]
fn protects_with_asynchronous_io() {
    protects_with("vscan aio_pthread");
}

/// A folder of old versions, as clients ask for it.
const OLD: &str = "@GMT-2020.01.01-00.00.00";

/// A share with a file as it is now and as it was.
fn with_a_previous_version(now: &[u8], then: &[u8]) -> Protected {
    let it = Protected::share("", |share| {
        share
            .option("vfs objects", "vscan shadow_copy2")
            .option("shadow:basedir", "@RIG@/shares/s")
            .option("shadow:snapdir", "@RIG@/shares/s/.old")
    });
    std::fs::create_dir_all(it.path(".old").join(OLD)).unwrap();
    it.plant("a.com", now);
    it.plant(&format!(".old/{OLD}/a.com"), then);
    it
}

#[test]
fn an_infected_previous_version_of_a_clean_file_is_refused() {
    let it = with_a_previous_version(&clean(1, 68), &eicar());
    assert_eq!(it.get("a.com").unwrap(), clean(1, 68));
    it.refused(&format!("{OLD}/a.com")).refused_with("NT_STATUS_ACCESS_DENIED");
    assert_eq!(std::fs::read(it.path("a.com")).unwrap(), clean(1, 68));
}

#[test]
fn a_clean_previous_version_of_an_infected_file_can_be_read() {
    let it = with_a_previous_version(&eicar(), &clean(2, 68));
    assert_eq!(it.get(&format!("{OLD}/a.com")).unwrap(), clean(2, 68));
    assert_eq!(std::fs::read(it.path("a.com")).unwrap(), eicar(), "nobody has asked for this one");
}

/// What Windows cannot say in a name, such as a colon, clients see as another character.
#[test]
fn files_whose_names_are_mapped_are_scanned() {
    let it = Protected::share("infected file action = nothing", |share| {
        share.option("vfs objects", "vscan catia").option("catia:mappings", "0x3a:0xf022")
    });
    it.plant("bad:1.com", &eicar());
    it.plant("a:1.doc", &clean(1, 100));
    it.refused("bad\u{f022}1.com").refused_with("NT_STATUS_ACCESS_DENIED");
    assert_eq!(it.get("a\u{f022}1.doc").unwrap(), clean(1, 100));
    assert_eq!(it.scanner.scans(), 2);
}
