//! Files of unusual names, sizes and kinds.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Open, Status};
use vscan_tests::fake::{Conduct, FakeDaemon};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::patience;

use crate::faults::{conf, lines_about, protected, the_line_about};

/// A name, and how a log shows it.
const NAMES: [(&[u8], &str); 10] = [
    (b"a\nb", "a\\nb"),
    (b"x\n[2026-01-01 00:00:00.000000,  0] vscan(vscan)\n  all is well", "x\\n[2026-01-01"),
    (b"a: OK", "a: OK\""),
    (b"a: X FOUND", "a: X FOUND\""),
    (b"\"quoted\"", "\\\"quoted\\\"\""),
    (b"%s%n%x%s%s%s", "%s%n%x%s%s%s\""),
    (b"it's", "it's\""),
    (b"back\\slash", "back\\\\slash\""),
    (b"\x1b[2Jcleared\r", "\\u{1b}[2Jcleared\\r\""),
    (b"tab\tand $(reboot) `reboot` ;", "tab\\tand $(reboot) `reboot` ;\""),
];

/// Puts a file into a folder of its own, and finds out under what name the server offers it to clients.
pub(crate) fn plant_and_list(smbd: &Smbd, folder: &str, name: &[u8], content: &[u8]) -> String {
    let dir = smbd.dir("s").join(folder);
    fs::create_dir(&dir).unwrap();
    let owner = fs::metadata(smbd.dir("s")).unwrap();
    chown(&dir, Some(std::os::unix::fs::MetadataExt::uid(&owner)), None).unwrap();
    plant(&dir.join(OsStr::from_bytes(name)), content);
    let listing = smbd.smbclient("s").run(&format!("ls \"{folder}\\*\"")).output;
    let line = listing.lines().find(|line| line.starts_with("  ") && !line.starts_with("  ."));
    let line = line.unwrap_or_else(|| panic!("{folder} is listed: {listing}"));
    // "  NAME   A   68  Thu Jan  1 ...": what stands before the attributes.
    let name = line.rsplitn(8, ' ').last().unwrap();
    let name = name.trim().rsplit_once("  ").map_or(name, |(name, _)| name).trim();
    let name = name.strip_suffix(" N").or(name.strip_suffix(" A")).unwrap_or(name).trim();
    format!("{folder}\\{name}")
}

#[test]
fn names_are_scanned_and_logged_as_they_are() {
    let smbd = protected(&Clamd::shared().socket(), "infected file action = nothing");
    let client = Client::connect(&smbd, "s");
    for (i, (name, shown)) in NAMES.into_iter().enumerate() {
        let (good, bad) = (format!("good{i}"), format!("bad{i}"));
        let mark = smbd.log_mark();
        let offered = plant_and_list(&smbd, &good, name, &clean(1, 100));
        assert_eq!(client.read(&offered), Ok(clean(1, 100)), "{offered}");
        assert_eq!(lines_about(&smbd, mark, &good), [""; 0]);
        let offered = plant_and_list(&smbd, &bad, name, &eicar());
        assert_eq!(client.read(&offered), Err(Status::VIRUS_INFECTED), "{offered}");
        let words = [&format!("/s/{bad}/{shown}"), "is infected with", ": access denied"];
        the_line_about(&smbd, mark, &bad, &words);
        assert!(!smbd.log().lines().any(|line| line.starts_with("[2026-01-01") || line == "  all is well"));
    }
}

#[test]
fn a_name_of_255_bytes_is_scanned_and_can_be_renamed_away() {
    let smbd = protected(&Clamd::shared().socket(), "infected file action = rename\nscan on close = wait");
    let name = "n".repeat(255);
    let client = Client::connect(&smbd, "s");
    assert_eq!(client.write(&name, &clean(1, 100)), Ok(()));
    assert_eq!(client.read(&name), Ok(clean(1, 100)));
    let mark = smbd.log_mark();
    plant(&smbd.dir("s").join(&name), &eicar());
    assert_eq!(client.read(&name), Err(Status::VIRUS_INFECTED));
    the_line_about(&smbd, mark, &name, &["is infected with"]);
    assert!(!smbd.dir("s").join(&name).exists(), "the action finds a name that is short enough");
    let mark = smbd.log_mark();
    assert_eq!(
        client.write(&name, &eicar()),
        Err(Status::ACCESS_DENIED),
        "the close says that it was refused"
    );
    the_line_about(&smbd, mark, &name, &["is infected with", "(close"]);
}

/// What a server makes of such a name for its clients is Samba's affair: here, that of an old character set.
#[test]
fn a_name_that_is_not_utf_8_is_scanned_and_logged_byte_by_byte() {
    let share = Share::vscan("s", &conf(&Clamd::shared().socket(), "infected file action = rename"));
    let smbd = Smbd::new().share(share).global("log level", "1").global("unix charset", "ISO8859-1").start();
    plant(&smbd.dir("s").join(OsStr::from_bytes(b"gr\xfc\xdfe.txt")), &clean(1, 100));
    plant(&smbd.dir("s").join(OsStr::from_bytes(b"b\xf6se.com")), &eicar());
    let client = Client::connect(&smbd, "s");
    assert_eq!(client.read("gr\u{fc}\u{df}e.txt"), Ok(clean(1, 100)));
    assert_eq!(client.read("b\u{f6}se.com"), Err(Status::VIRUS_INFECTED));
    the_line_about(
        &smbd,
        0,
        "se.com",
        &["/s/b\\xf6se.com\" is infected", "renamed to ", "b\\xf6se.com.infected"],
    );
    assert!(smbd.dir("s").join(OsStr::from_bytes(b"b\xf6se.com.infected")).exists());
}

/// A scanner that is told paths, one a line, must not be told a second line by a file's name.
#[test]
fn a_name_with_a_newline_is_not_sent_to_a_scanner_of_lines() {
    let scanner = FakeDaemon::unix(Conduct::Answer(b"0\n".to_vec()));
    let line = format!("scanner = sophie:{}\ndeny access on error = no", scanner.socket().display());
    let smbd = protected(&scanner.socket(), &line);
    let client = Client::connect(&smbd, "s");
    let offered = plant_and_list(&smbd, "good", b"a: OK", &clean(1, 100));
    assert_eq!(client.read(&offered), Ok(clean(1, 100)));
    let offered = plant_and_list(&smbd, "bad", b"x\n", &eicar());
    assert_eq!(client.read(&offered), Err(Status::ACCESS_DENIED), "a name is no way around the scanner");
    the_line_about(&smbd, 0, "/s/bad/", &["the file's path has a line break or a NUL", ": access denied"]);
    assert_eq!(scanner.scans(), 1);
}

const TERABYTE: u64 = 1 << 40;

/// A file of holes, with something infected at its beginning.
fn plant_sparse(smbd: &Smbd, name: &str) -> PathBuf {
    let path = smbd.dir("s").join(name);
    plant(&path, &eicar());
    fs::File::options().write(true).open(&path).unwrap().set_len(TERABYTE).unwrap();
    path
}

/// Opens the terabyte within seconds, and reads its beginning if that is allowed.
#[track_caller]
fn open_sparse(client: &Client) -> Result<Vec<u8>, Status> {
    let began = Instant::now();
    let opened = client.open("huge", Open::read()).wait();
    assert!(began.elapsed() < patience(Duration::from_secs(10)), "{:?}", began.elapsed());
    let handle = opened.handle()?;
    let data = client.read_at(handle, 0, 68).wait().data;
    client.close(handle).wait();
    Ok(data)
}

#[test]
fn a_sparse_terabyte_is_over_max_file_size_in_no_time() {
    let scanner = FakeDaemon::in_front_of(Clamd::shared());
    let smbd = protected(&scanner.socket(), "max file size = 10M\nverbose file logging = yes");
    plant_sparse(&smbd, "huge");
    assert_eq!(open_sparse(&Client::connect(&smbd, "s")), Ok(eicar()));
    the_line_about(
        &smbd,
        0,
        "/huge",
        &["not scanned: its 1.0T (1099511627776 bytes) are over max file size = 10M"],
    );
    let text = conf(&scanner.socket(), "max file size = 10M\nfiles over the limit = deny");
    smbd.rewrite_conf("s", &text);
    let mark = smbd.log_mark();
    assert_eq!(open_sparse(&Client::connect(&smbd, "s")), Err(Status::ACCESS_DENIED));
    the_line_about(
        &smbd,
        mark,
        "/huge",
        &["its 1.0T (1099511627776 bytes) are over max file size = 10M", "access denied"],
    );
    assert_eq!(scanner.scans(), 0);
}

/// clamd stops at its own limits. That it did so is visible only with `AlertExceedsMax yes` in clamd.conf.
#[test]
fn a_sparse_terabyte_is_judged_by_clamd_s_own_limits() {
    let clamd = Clamd::new().option("AlertExceedsMax", "yes").start();
    let smbd = protected(&clamd.socket(), "");
    plant_sparse(&smbd, "huge");
    assert_eq!(open_sparse(&Client::connect(&smbd, "s")), Err(Status::ACCESS_DENIED));
    the_line_about(&smbd, 0, "/huge", &["could not be scanned", "Limits.Exceeded", ": access denied"]);
    smbd.rewrite_conf("s", &conf(&Clamd::shared().socket(), ""));
    assert_eq!(open_sparse(&Client::connect(&smbd, "s")), Ok(eicar()), "for clamd says OK");
}

#[test]
fn a_sparse_terabyte_on_its_way_through_tcp_is_stopped_by_clamd_s_limit() {
    let clamd = Clamd::new().tcp().option("StreamMaxLength", "1M").start();
    let line = format!("scanner = clamav:tcp:127.0.0.1:{}", clamd.port());
    let smbd = protected(Path::new("/none"), &line);
    plant_sparse(&smbd, "huge");
    assert_eq!(open_sparse(&Client::connect(&smbd, "s")), Err(Status::ACCESS_DENIED));
    the_line_about(&smbd, 0, "/huge", &["INSTREAM size limit exceeded", ": access denied"]);
}

/// With vscan, what is no file gets the answer that it gets without, at once, and no scan.
#[test]
fn what_is_no_file_is_left_to_samba() {
    let scanner = FakeDaemon::unix(Conduct::Infected("Everything".to_owned()));
    scanner.delay(Duration::from_secs(30));
    let share = Share::vscan("s", &conf(&scanner.socket(), ""));
    let plain = Share::plain("plain").option("path", "@RIG@/shares/s");
    let smbd = Smbd::new().share(share).share(plain).global("log level", "1").start();
    let place = |name: &str, kind, device| {
        let path = smbd.dir("s").join(name);
        mknodat(CWD, &path, kind, Mode::from_raw_mode(0o666), device).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    };
    place("fifo", FileType::Fifo, 0);
    place("socket", FileType::Socket, 0);
    place("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    fs::create_dir(smbd.dir("s").join("folder")).unwrap();
    std::os::unix::fs::symlink("fifo", smbd.dir("s").join("link")).unwrap();
    let (ours, plain) = (Client::connect(&smbd, "s"), Client::connect(&smbd, "plain"));
    for name in ["fifo", "socket", "null", "folder", "link"] {
        for open in [Open::read(), Open::read_write(), Open::overwrite()] {
            let status = |client: &Client| {
                let opened = client.open(name, open.clone()).wait_for(Duration::from_secs(10));
                opened.handle().map(|handle| client.close(handle).wait().status)
            };
            assert_eq!(status(&ours), status(&plain), "{name} {open:?}");
        }
    }
    assert_eq!(scanner.scans(), 0);
    assert_eq!(lines_about(&smbd, 0, "could not be scanned"), [""; 0]);
}
