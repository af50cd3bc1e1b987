//! The worst name that a file can have is harmless in every way to tell people.
//!
//! Clients cannot say such a name, for Windows forbids most of these letters; they open it by the short one that Samba offers
//! for it. Where `unix charset` is UTF-8, as by default, Samba offers no name with other bytes to anybody; with a
//! character set of single bytes it offers all. So no byte is left out here but 0 and `/`, which no name has.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use vscan_tests::clamd::THREAT;
use vscan_tests::client::Status;
use vscan_tests::module::vscan_notify;
use vscan_tests::popup::Popups;
use vscan_tests::recorder::Recorder;
use vscan_tests::samples::eicar;
use vscan_tests::sink::Sink;
use vscan_tests::smbd::Builder;
use vscan_tests::wait::{SOON, eventually};

use crate::odd_files::plant_and_list;
use crate::protected::{Protected, SHARE};

/// An option, the end of a mail and one of its headers, a field of the journal, scripts, a template, and a byte that is not UTF-8.
const NAME: &[u8] = b"-b\xf6se\r\n.\r\nBcc: eve@example.org\r\nMESSAGE=all is well\n\"'$(touch owned)`touch owned`;|&%v\\.com";

/// The same where people read it.
const SHOWN: &str = "-b\\xf6se\\r\\n.\\r\\nBcc: eve@example.org\\r\\nMESSAGE=all is well\\n\"'$(touch owned)`touch owned`;|&%v\\\\.com";

/// A share where a client has just been refused a file of this name, in the folder `bad`.
fn found(options: &str) -> Protected {
    found_by(options, |server| server)
}

fn found_by(options: &str, server: impl FnOnce(Builder) -> Builder) -> Protected {
    let it = ready(options, server);
    find(&it);
    it
}

/// The same before the client comes.
fn ready(options: &str, server: impl FnOnce(Builder) -> Builder) -> Protected {
    let options =
        format!("notify program = {}\ninfected file action = nothing\n{options}", vscan_notify().display());
    Protected::server(&options, |builder| {
        server(builder.global("unix charset", "ISO8859-1").global("logging", "file"))
    })
}

fn find(it: &Protected) {
    let offered = plant_and_list(&it.smbd, "bad", NAME, &eicar());
    assert_eq!(it.client().read(&offered), Err(Status::VIRUS_INFECTED));
}

/// The file's absolute path.
fn path(it: &Protected) -> Vec<u8> {
    it.path("bad").join(OsStr::from_bytes(NAME)).into_os_string().into_encoded_bytes()
}

fn path_in_share() -> Vec<u8> {
    [b"bad/", NAME].concat()
}

/// The end of the path in a line of the log, where it stands in double quotes.
fn quoted() -> String {
    format!("/bad/{}\" is infected with {THREAT}", SHOWN.replace('"', "\\\""))
}

#[test]
fn in_sambas_log_and_in_syslog_it_is_one_line() {
    let it = found("");
    let line = it.smbd.wait_for_syslog("is infected", SOON);
    assert!(line.contains(&quoted()), "{line}");
    assert_eq!(it.smbd.syslog().iter().filter(|line| line.contains("touch owned")).count(), 1);
    let log = it.smbd.log();
    assert_eq!(log.lines().filter(|line| line.contains(&quoted())).count(), 1, "{log}");
    assert!(!log.lines().any(|line| line.starts_with("Bcc") || line.starts_with("MESSAGE")), "{log}");
}

#[test]
fn old_readers_of_logs_see_where_it_ends() {
    let it = found("syslog format = samba-vscan");
    let line = it.smbd.wait_for_syslog("ALERT", SOON);
    let end =
        format!("/bad/{}' infected with virus '{THREAT}', client: '127.0.0.1'", SHOWN.replace('\'', "\\x27"));
    assert!(line.ends_with(&end), "{line}");
    assert_eq!(it.smbd.syslog().iter().filter(|line| line.contains("touch owned")).count(), 1);
}

#[test]
fn in_the_journal_it_is_a_field_byte_for_byte() {
    const INFECTED: &str = "MESSAGE_ID=bf279eab132245e5b05a2ca56049deed";
    let it = found_by("", |server| server.journald());
    let entry = it.smbd.journal().wait_for(&[INFECTED], SOON);
    assert_eq!(entry.field("VSCAN_PATH"), path(&it));
    assert!(entry.text("MESSAGE").contains(&quoted()), "{entry:?}");
    assert_eq!(it.smbd.journal().entries(&[INFECTED]).len(), 1);
}

#[test]
fn a_command_gets_it_byte_for_byte_as_argument_and_variable() {
    let it = ready("infected file command = @RIG@/recorder/run %f x%f", |server| server);
    let recorder = Recorder::at(&it.smbd, "");
    find(&it);
    let run = recorder.wait_for(1).remove(0);
    assert_eq!(run.arguments, [path_in_share(), [b"x", path_in_share().as_slice()].concat()]);
    assert_eq!(run.variable("VIRUSFILTER_INFECTED_SERVICE_FILE_PATH"), Some(path_in_share().as_slice()));
    assert_eq!(run.variable("VSCAN_PATH"), Some(path(&it).as_slice()));
    assert_eq!(run.variable("MESSAGE"), None);
}

#[test]
fn a_shells_script_gets_it_in_a_variable_alone() {
    let script = r#"/bin/sh -c 'printf %s "$VSCAN_PATH" >"$0/said"; exec "$0/run" "%f"' @RIG@/recorder %f"#;
    let it = ready(&format!("infected file command = {script}"), |server| server);
    let recorder = Recorder::at(&it.smbd, "");
    find(&it);
    let run = recorder.wait_for(1).remove(0);
    assert_eq!(run.arguments, [b"%f"], "no name is put into a script");
    assert_eq!(fs::read(recorder.path("said")).unwrap(), path(&it));
}

#[test]
fn in_a_mail_it_is_text_and_nothing_else() {
    let sink = Sink::start("smtp", &["250"]);
    let _it = found(&format!("mail to = root@example.org\nmail server = smtp://127.0.0.1:{}", sink.port));
    let received = String::from_utf8(sink.wait_for(1).remove(0)).unwrap();
    assert!(!received.lines().any(|line| line.starts_with("Bcc") || line == "."), "{received}");
    assert!(received.contains("\r\nTo: root@example.org\r\n"), "{received}");
    let unfolded = received.replace("=\r\n", "");
    // As quoted-printable has it.
    assert!(unfolded.contains(&format!("/bad/{}\r\n", SHOWN.replace('=', "=3D"))), "{received}");
}

#[test]
fn a_web_service_gets_it_byte_for_byte() {
    let sink = Sink::start("http", &["200"]);
    let _it = found(&format!("webhook = http://127.0.0.1:{}/", sink.port));
    let message: serde_json::Value = serde_json::from_slice(&sink.wait_for(1)[0]).unwrap();
    let event = &message["events"][0];
    assert_eq!(event["path_in_share"]["base64"].as_str().unwrap(), base64(&path_in_share()));
    assert_eq!(message["count"], 1);
}

/// As the tool of the system does it.
fn base64(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let output = std::process::Command::new("base64").arg("--wrap=0").arg(file.path()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_pop_up_shows_it_in_one_line() {
    let popups = Popups::new();
    let options = format!(
        "notify program = {}\ninfected file action = nothing\nmessenger port = {}\nwarning message = %f is bad: %v",
        vscan_notify().display(),
        popups.port()
    );
    let it = Protected::build(
        &options,
        |share| share.option("vscan:send warning message", "yes"),
        |server| server.global("unix charset", "ISO8859-1"),
    );
    find(&it);
    let popup = eventually("a pop-up", SOON, || popups.received().pop());
    assert_eq!(popup.text, format!("bad/{SHOWN} is bad: {THREAT}"));
}

#[test]
fn a_note_has_it_in_its_name_byte_for_byte_and_in_its_text_in_one_line() {
    let it = found("warning file = yes\ninfected file action = delete");
    let left: Vec<_> =
        fs::read_dir(it.path("bad")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    let [note] = left.as_slice() else { panic!("{left:?}") };
    assert_eq!(note.as_bytes(), [NAME, b".VIRUS.txt"].concat());
    let text = fs::read_to_string(it.path("bad").join(note)).unwrap();
    let first = text.lines().next().unwrap();
    assert!(first.starts_with(&format!("The file bad/{SHOWN} is no longer here")), "{text}");
    assert_eq!(it.smbd.dir(SHARE).read_dir().unwrap().count(), 1);
}
