//! vscan.so is built with other headers here, so that the Samba that is there is one that it does not know.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use vscan_tests::module;
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::SOON;

/// The headers of this source, each changed or left out.
fn headers(change: impl Fn(&str) -> Option<String>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../samba-headers")).unwrap().flatten()
    {
        let name = entry.file_name().into_string().unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        let text = if name.starts_with("vfs-") { change(&text) } else { Some(text) };
        if let Some(text) = text {
            fs::write(folder.path().join(name), text).unwrap();
        }
    }
    folder
}

/// A number that a header states.
fn number(header: &str, fact: &str) -> u64 {
    let stated =
        header.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(fact)?.strip_prefix(' '));
    stated.unwrap_or_else(|| panic!("{fact} is not stated")).parse().unwrap()
}

/// The headers with this number 8 higher in each.
fn headers_with_more(fact: &str) -> TempDir {
    headers(|header| {
        let true_one = number(header, fact);
        let (truth, lie) =
            (format!("#define {fact} {true_one}\n"), format!("#define {fact} {}\n", true_one + 8));
        assert!(header.contains(&truth));
        Some(header.replace(&truth, &lie))
    })
}

/// A server with this module on the share `s`, where an infected and a clean file lie, and a share `plain` without it.
/// Nobody is asked to scan: what is not refused would be read.
fn server(headers: &TempDir) -> Smbd {
    let conf = "[vscan]\nscanner = dummy:*.none\nenforce = no\n";
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("other-headers");
    let module = module::with_headers(headers.path(), &target);
    let smbd = Smbd::new().module(&module);
    let smbd = smbd.share(Share::vscan("s", conf)).share(Share::plain("plain")).start();
    plant(&smbd.dir("s").join("bad.com"), &eicar());
    plant(&smbd.dir("s").join("a.doc"), &clean(1, 100));
    plant(&smbd.dir("plain").join("a.doc"), &clean(2, 100));
    smbd
}

/// Asserts that smbd goes on with the other share.
#[track_caller]
fn serves_the_other_share(smbd: &Smbd) {
    assert_eq!(smbd.smbclient("plain").get("a.doc").unwrap(), clean(2, 100));
    assert!(!smbd.log().contains("PANIC") && !smbd.log().contains("INTERNAL ERROR"));
}

/// Asserts that nobody gets into the share, that smbd goes on, and that one line has these words in it.
#[track_caller]
fn stays_closed(smbd: &Smbd, words: &[&str]) {
    for name in ["bad.com", "a.doc"] {
        smbd.smbclient("s").get(name).expect_err("the share is open").refused_with("tree connect failed");
        serves_the_other_share(smbd);
    }
    says(smbd, words);
}

#[track_caller]
fn says(smbd: &Smbd, words: &[&str]) {
    let line = smbd.wait_for_log(words[0], SOON);
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line:?}");
    }
}

/// What the Samba that is there calls itself, and its minor version.
fn samba() -> (String, u64) {
    let version = Smbd::version();
    let minor = version.split('.').nth(1).unwrap().parse().unwrap();
    (version, minor)
}

#[test]
fn an_unknown_version_is_refused_with_both_versions() {
    let (version, minor) = samba();
    let known = headers(|header| {
        let minors = number(header, "SAMBA_MINOR_FIRST")..=number(header, "SAMBA_MINOR_LAST");
        (!minors.contains(&minor)).then(|| header.to_owned())
    });
    let words = [
        "does not know the VFS interface of",
        &format!("Samba {version}: it serves Samba 4."),
        "install a vscan",
    ];
    stays_closed(&server(&known), &words);
}

#[test]
fn a_connection_of_another_size_is_refused_with_both_sizes() {
    let headers = headers_with_more("SIZE_CONNECTION_STRUCT");
    stays_closed(
        &server(&headers),
        &["its connection_struct has ", " bytes where the headers say ", "build it with a header made from"],
    );
}

#[test]
fn a_request_of_another_size_is_refused_with_both_sizes() {
    let headers = headers_with_more("SIZE_SMB_REQUEST");
    let smbd = server(&headers);
    for name in ["bad.com", "a.doc"] {
        smbd.smbclient("s")
            .get(name)
            .expect_err("the file was opened")
            .refused_with("NT_STATUS_ACCESS_DENIED");
        serves_the_other_share(&smbd);
    }
    says(&smbd, &["its smb_request has ", " bytes where the headers say "]);
}
