//! Mail to the administrator, and a web service that is told.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use vscan_tests::clamd::THREAT;
use vscan_tests::client::Status;
use vscan_tests::module::vscan_notify;
use vscan_tests::samples::{eicar, plant};
use vscan_tests::sink::Sink;
use vscan_tests::wait::{SOON, eventually, patience};

use crate::protected::{Protected, SHARE};

fn options(options: &str) -> String {
    format!("notify program = {}\n{options}", vscan_notify().display())
}

fn mail_to(port: u16) -> String {
    format!("mail to = root@example.org; ann@example.org\nmail server = smtp://127.0.0.1:{port}\n")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

/// A file for root's eyes.
fn secret(directory: &Path, content: &str) -> PathBuf {
    let path = directory.join("secret");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn the_administrator_gets_a_mail_about_a_find() {
    let sink = Sink::start("smtp", &["250"]);
    let it = Protected::with(&options(&mail_to(sink.port)));
    let path = it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let mail = text(&sink.wait_for(1)[0]);
    assert!(mail.contains("\r\nTo: root@example.org, ann@example.org\r\n"), "{mail}");
    assert!(mail.contains(&format!(": 1 infected file ({SHARE})\r\n")), "{mail}");
    let unfolded = mail.replace("=\r\n", "");
    assert!(
        unfolded.contains(&format!("  {}\r\n    {THREAT}; moved to quarantine as /", path.display())),
        "{mail}"
    );
    assert!(unfolded.contains("; opened by daemon from 127.0.0.1\r\n"), "{mail}");
}

#[test]
fn there_is_one_mail_in_an_interval_and_the_numbers_add_up() {
    const FILES: usize = 120;
    let sink = Sink::start("smtp", &["250"]);
    let lines = format!("{}mail interval = 5\ninfected file action = nothing", mail_to(sink.port));
    let it = Protected::with(&options(&lines));
    let client = it.client();
    for i in 0..FILES {
        plant(&it.path(&format!("bad{i}.com")), &eicar());
        assert_eq!(client.read(&format!("bad{i}.com")), Err(Status::VIRUS_INFECTED));
    }
    let told = || -> usize {
        let count = |mail: &Vec<u8>| {
            let mail = text(mail).replace("\r\n ", " ");
            let words = mail.lines().find_map(|line| line.strip_prefix("Subject: vscan on ")).unwrap();
            words.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
        };
        sink.received().iter().map(count).sum()
    };
    eventually("all files are told of", SOON, || (told() >= FILES).then_some(()));
    assert_eq!((told(), sink.received().len() < 8), (FILES, true));
}

#[test]
fn a_mail_server_may_want_encryption_and_a_password() {
    for kind in ["smtps", "starttls"] {
        let sink = Sink::start(kind, &["250"]);
        let scheme = if kind == "starttls" { "smtp+starttls" } else { kind };
        let home = tempfile::tempdir().unwrap();
        let lines = format!(
            "mail to = root@example.org\nmail from = fs@example.org\nmail server = {scheme}://localhost:{}\n\
             mail ca file = {}\nmail password file = {}",
            sink.port,
            sink.path("ca.pem").display(),
            secret(home.path(), "vscan:secret\n").display()
        );
        let it = Protected::with(&options(&lines));
        it.plant("bad.com", &eicar());
        it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
        assert!(text(&sink.wait_for(1)[0]).contains("From: vscan <fs@example.org>"), "{kind}");
    }
}

#[test]
fn a_web_service_gets_what_happened_over_https_with_a_header_of_ours() {
    let sink = Sink::start("https", &["200"]);
    let home = tempfile::tempdir().unwrap();
    let lines = format!(
        "webhook = https://localhost:{}/hooks\nwebhook ca file = {}\nwebhook header file = {}",
        sink.port,
        sink.path("ca.pem").display(),
        secret(home.path(), "Authorization: Bearer abc\n").display()
    );
    let it = Protected::with(&options(&lines));
    let path = it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let message = json(&sink.wait_for(1)[0]);
    let headers = sink.headers(0).to_lowercase();
    assert!(
        headers.contains("authorization: bearer abc") && headers.contains("application/json"),
        "{headers}"
    );
    assert_eq!((&message["schema"], &message["count"]), (&1.into(), &1.into()));
    let (event, moved) = (&message["events"][0], it.quarantine().remove(0));
    let expected = [
        ("path", path.to_str().unwrap()),
        ("path_in_share", "bad.com"),
        ("threat", THREAT),
        ("action", "quarantine"),
        ("destination", moved.to_str().unwrap()),
        ("user", "daemon"),
        ("client", "127.0.0.1"),
        ("occasion", "open"),
        ("scanner", "clamav"),
    ];
    for (name, value) in expected {
        assert_eq!(event[name], value, "{name}");
    }
}

#[test]
fn a_web_service_whose_certificate_nobody_vouches_for_gets_nothing() {
    let sink = Sink::start("https", &["200"]);
    let it = Protected::with(&options(&format!("webhook = https://localhost:{}/", sink.port)));
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    it.smbd.wait_for_syslog("webhook to https://localhost:", SOON);
    assert_eq!(sink.received(), [b""; 0]);
}

#[test]
fn what_a_web_service_does_not_take_comes_again_with_what_happened_meanwhile() {
    let sink = Sink::start("http", &["503", "200"]);
    let lines = format!(
        "webhook = http://127.0.0.1:{}/\nnotify interval = 2\ninfected file action = nothing",
        sink.port
    );
    let it = Protected::with(&options(&lines));
    for name in ["one.com", "two.com"] {
        it.plant(name, &eicar());
        it.refused(name).refused_with("NT_STATUS_VIRUS_INFECTED");
        it.smbd.wait_for_syslog("the answer is 503", SOON);
    }
    let told =
        || -> u64 { sink.received().iter().map(|message| json(message)["count"].as_u64().unwrap()).sum() };
    eventually("both are told of", SOON, || (told() == 2).then_some(()));
}

/// How long a client waits for the refusal of each of ten files.
fn ten_opens(it: &Protected) -> Duration {
    let client = it.client();
    for i in 0..10 {
        plant(&it.path(&format!("bad{i}.com")), &eicar());
    }
    let began = Instant::now();
    for i in 0..10 {
        assert_eq!(client.read(&format!("bad{i}.com")), Err(Status::VIRUS_INFECTED));
    }
    began.elapsed()
}

/// The same where nobody is told: what the others are to be compared with.
fn ten_opens_in_silence() -> Duration {
    ten_opens(&Protected::with("infected file action = nothing"))
}

#[test]
fn a_mail_server_that_is_dead_slow_or_refusing_holds_up_neither_clients_nor_other_ways() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = Sink::start("smtp", &["554"]);
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    // Nobody listens where somebody has just stopped to.
    let dead = port(&TcpListener::bind("127.0.0.1:0").unwrap());
    let in_silence = ten_opens_in_silence();
    for (kind, port, has_trouble) in
        [("dead", dead, true), ("slow", port(&silent), false), ("refusing", refusing.port, true)]
    {
        let web = Sink::start("http", &["200"]);
        let lines = format!(
            "{}mail interval = 1\nwebhook = http://127.0.0.1:{}/\nnotify interval = 1\ninfected file action = nothing",
            mail_to(port),
            web.port
        );
        let it = Protected::with(&options(&lines));
        let took = ten_opens(&it);
        eprintln!(
            "a mail server that is {kind}: ten opens took {took:?}, {in_silence:?} where nobody is told"
        );
        assert!(took < patience(Duration::from_secs(10)), "{kind}: {took:?}");
        let told =
            || -> u64 { web.received().iter().map(|message| json(message)["count"].as_u64().unwrap()).sum() };
        eventually("the web service hears of all", SOON, || (told() == 10).then_some(()));
        if has_trouble {
            let words = "mail to root@example.org, ann@example.org: by 127.0.0.1:";
            it.smbd.wait_for_syslog(words, SOON);
            assert_eq!(it.smbd.syslog().iter().filter(|line| line.contains(words)).count(), 1, "{kind}");
        }
    }
}

#[test]
fn a_web_service_that_is_dead_slow_or_refusing_holds_up_neither_clients_nor_other_ways() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = Sink::start("http", &["503"]);
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let dead = port(&TcpListener::bind("127.0.0.1:0").unwrap());
    let in_silence = ten_opens_in_silence();
    for (kind, port, has_trouble) in
        [("dead", dead, true), ("slow", port(&silent), false), ("refusing", refusing.port, true)]
    {
        let mail = Sink::start("smtp", &["250"]);
        let lines = format!(
            "{}mail interval = 1\nwebhook = http://127.0.0.1:{port}/\nnotify interval = 1\ninfected file action = nothing",
            mail_to(mail.port)
        );
        let it = Protected::with(&options(&lines));
        let took = ten_opens(&it);
        eprintln!(
            "a web service that is {kind}: ten opens took {took:?}, {in_silence:?} where nobody is told"
        );
        assert!(took < patience(Duration::from_secs(10)), "{kind}: {took:?}");
        mail.wait_for(1);
        if has_trouble {
            let words = format!("webhook to http://127.0.0.1:{port}/");
            it.smbd.wait_for_syslog(&words, SOON);
            // It is tried again after a second: when the administrators hear of this one, that is over.
            eventually("another mail", SOON, || {
                plant(&it.path("bad0.com"), &eicar());
                assert_eq!(it.client().read("bad0.com"), Err(Status::VIRUS_INFECTED));
                (mail.received().len() > 1).then_some(())
            });
            assert_eq!(it.smbd.syslog().iter().filter(|line| line.contains(&words)).count(), 1, "{kind}");
        }
    }
}

#[test]
fn people_hear_of_a_find_within_a_second() {
    let sink = Sink::start("http", &["200"]);
    let lines = format!(
        "webhook = http://127.0.0.1:{}/\nnotify interval = 10ms\nlongest notify interval = 10ms\n\
         infected file action = nothing",
        sink.port
    );
    let it = Protected::with(&options(&lines));
    it.plant("bad.com", &eicar());
    let client = it.client();
    let took = (0..5).map(|before| {
        assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
        let refused = Instant::now();
        sink.wait_for(before + 1);
        refused.elapsed()
    });
    // Of a machine that does many things at once, the quickest says what vscan needs.
    let shortest = took.min().unwrap();
    assert!(shortest < patience(Duration::from_secs(1)), "{shortest:?}");
}

#[test]
fn the_log_has_what_a_killed_smbd_has_not_told() {
    let sink = Sink::start("http", &["200"]);
    let lines = format!("webhook = http://127.0.0.1:{}/\ninfected file action = nothing", sink.port);
    let it = Protected::with(&options(&lines));
    it.plant("bad.com", &eicar());
    let client = it.client();
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    it.smbd.signal(client.server(), Signal::KILL);
    it.wait_for_line("bad.com", "is infected");
    it.smbd.wait_for_syslog("is infected", SOON);
    // The next one is told of whatever became of the first.
    assert_eq!(it.client().read("bad.com"), Err(Status::VIRUS_INFECTED));
    sink.wait_for(1);
}
