use vscan_tests::client::{Client, Open, Status};
use vscan_tests::samples::{clean, eicar};

use crate::protected::Protected;

/// A share whose streams are kept by this module.
fn with_streams_in(module: &str) -> Protected {
    Protected::share("infected file action = nothing", |share| {
        share.option("vfs objects", &format!("vscan {module}"))
    })
}

fn written_and_read(
    client: &Client,
    name: &str,
    content: &[u8],
) -> (Result<(), Status>, Result<Vec<u8>, Status>) {
    (client.write(name, content), client.read(name))
}

#[test]
fn clean_streams_are_written_and_read_as_they_are() {
    for module in ["streams_xattr", "streams_depot"] {
        let it = with_streams_in(module);
        it.plant("a.doc", &clean(1, 100));
        let client = it.client();
        let note = clean(2, 1000);
        assert_eq!(written_and_read(&client, "a.doc:note", &note), (Ok(()), Ok(note)), "{module}");
        assert_eq!(client.read("a.doc"), Ok(clean(1, 100)), "{module}");
    }
}

#[test]
fn an_infected_stream_in_a_file_is_refused() {
    let it = with_streams_in("streams_depot");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    assert_eq!(client.write("a.doc:evil", &eicar()), Err(Status::ACCESS_DENIED));
    assert_eq!(client.read("a.doc:evil"), Err(Status::ACCESS_DENIED));
    assert_eq!(client.read("a.doc"), Ok(clean(1, 100)));
}

#[test]
/// A limit that the README names: what streams_xattr keeps in attributes is no file.
fn a_stream_in_an_attribute_is_not_scanned() {
    let it = with_streams_in("streams_xattr");
    it.plant("a.doc", &clean(1, 100));
    let client = it.client();
    assert_eq!(client.write("a.doc:note", &eicar()), Ok(()));
    assert_eq!(client.read("a.doc:note"), Ok(eicar()));
    assert_eq!(it.scanner.scans(), 0);
}

#[test]
fn a_stream_of_an_infected_file_leaves_the_file_refused() {
    let it = with_streams_in("streams_xattr");
    it.plant("bad.com", &eicar());
    let client = it.client();
    assert_eq!(client.write("bad.com:note", b"hello"), Ok(()));
    assert_eq!(client.read("bad.com:note"), Ok(b"hello".to_vec()));
    assert_eq!(client.open("bad.com", Open::read()).wait().status, Status::VIRUS_INFECTED);
    assert_eq!(client.open("bad.com::$DATA", Open::read()).wait().status, Status::VIRUS_INFECTED);
}
