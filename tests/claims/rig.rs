//! That the rig works: what other claims lean on is claimed here, on shares without our module.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use vscan_tests::clamd::{Clamd, THREAT};
use vscan_tests::client::{Client, Open, Status, access, lease};
use vscan_tests::fake::{Conduct, FakeDaemon};
use vscan_tests::process::Process;
use vscan_tests::samples::{clean, eicar, encrypted_zip, infected_zip, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::SOON;

#[test]
fn smbd_serves_a_file() {
    let smbd = Smbd::with(Share::plain("s"));
    smbd.smbclient("s").put("a.txt", b"hello").ok();
    assert_eq!(smbd.smbclient("s").get("a.txt").unwrap(), b"hello");
    smbd.smbclient("s").rename("a.txt", "b.txt").ok();
    smbd.smbclient("s").del("b.txt").ok();
    smbd.smbclient("s").del("b.txt").refused_with("NT_STATUS_NO_SUCH_FILE");
}

#[test]
fn the_module_is_built_once() {
    let path = vscan_tests::module::module();
    assert!(path.exists());
    assert_eq!(path, vscan_tests::module::module());
}

#[test]
fn smbd_serves_smb1_when_told_to() {
    let smbd = Smbd::new().share(Share::plain("s")).smb1().start();
    plant(&smbd.dir("s").join("a.txt"), b"hello");
    assert_eq!(smbd.smbclient("s").smb1().get("a.txt").unwrap(), b"hello");
}

#[test]
fn smbd_ends_on_sigterm_and_leaves_no_process() {
    let mut smbd = Smbd::with(Share::plain("s"));
    let (client, parent) = (Client::connect(&smbd, "s"), smbd.process());
    let child = client.server();
    assert!(child.is_alive());
    smbd.terminate();
    drop(smbd);
    assert!(!parent.is_alive());
    child.wait_for_end(SOON);
}

#[test]
fn no_daemon_outlives_a_killed_test_process() {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "rig::a_process_to_be_killed", "--nocapture"])
        .env("VSCAN_RIG_VICTIM", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let home = lines.by_ref().find_map(|line| Some(line.split_once("home ")?.1.to_owned())).unwrap();
    let pids = lines.filter_map(|line| line.split_once("daemon ")?.1.parse().ok());
    let daemons: Vec<_> = pids.take(2).map(|pid| Process(Pid::from_raw(pid).unwrap())).collect();
    assert_eq!(daemons.iter().filter(|daemon| daemon.is_alive()).count(), 2);
    victim.kill().unwrap();
    victim.wait().unwrap();
    daemons.iter().for_each(|daemon| daemon.wait_for_end(SOON));
    // Nobody was left to remove it.
    std::fs::remove_dir_all(home).unwrap();
}

#[test]
#[ignore = "is run, and killed, by the claim above"]
fn a_process_to_be_killed() {
    if std::env::var_os("VSCAN_RIG_VICTIM").is_some() {
        let smbd = Smbd::with(Share::plain("s"));
        println!("home {}", smbd.path("").display());
        for process in [smbd.process(), Clamd::shared().process()] {
            println!("daemon {}", process.0.as_raw_nonzero());
        }
        loop {
            std::thread::park();
        }
    }
}

#[test]
fn virusfilter_and_clamd_refuse_eicar() {
    let scanner = FakeDaemon::in_front_of(Clamd::shared());
    let smbd = Smbd::with(Share::virusfilter("s", &scanner.socket()));
    plant(&smbd.dir("s").join("bad.com"), &eicar());
    plant(&smbd.dir("s").join("good.txt"), &clean(1, 100));
    smbd.smbclient("s").get("bad.com").unwrap_err().refused_with("NT_STATUS_ACCESS_DENIED");
    assert_eq!(scanner.scans(), 1);
    assert_eq!(smbd.smbclient("s").get("good.txt").unwrap(), clean(1, 100));
    assert_eq!(scanner.scans(), 2);
}

#[test]
fn log_lines_after_a_mark_can_be_waited_for() {
    let smbd = Smbd::new().share(Share::plain("s")).global("log level", "3").start();
    let mark = smbd.log_mark();
    smbd.smbclient("s").ls().ok();
    smbd.wait_for_log_since(mark, "connect to service s", SOON);
}

#[test]
fn syslog_lines_are_captured() {
    let share = Share::plain("s").option("vfs objects", "full_audit").option("full_audit:success", "connect");
    let smbd = Smbd::with(share);
    smbd.smbclient("s").ls().ok();
    smbd.wait_for_syslog("connect|ok|s", SOON);
}

#[test]
fn a_client_holds_many_opens_in_flight() {
    let smbd = Smbd::with(Share::plain("s"));
    for i in 0..40 {
        plant(&smbd.dir("s").join(format!("f{i}")), &clean(i, 100));
    }
    let client = Client::connect(&smbd, "s");
    let opens: Vec<_> = (0..40).map(|i| client.open(&format!("f{i}"), Open::read())).collect();
    for open in opens {
        let handle = open.wait().handle().unwrap();
        assert_eq!(client.close(handle).wait().status, Status::OK);
    }
    assert_eq!(client.read("f7"), Ok(clean(7, 100)));
    assert_eq!(client.read("nothing"), Err(Status::OBJECT_NAME_NOT_FOUND));
}

#[test]
fn a_client_writes_and_reads_large_files() {
    let smbd = Smbd::with(Share::plain("s"));
    let client = Client::connect(&smbd, "s");
    let content = clean(3, 300_000);
    client.write("big", &content).unwrap();
    assert_eq!(client.read("big"), Ok(content));
}

#[test]
fn a_compound_is_answered_as_a_whole() {
    let smbd = Smbd::with(Share::plain("s"));
    plant(&smbd.dir("s").join("f"), b"hello");
    let client = Client::connect(&smbd, "s");
    let [open, read, close] = client.compound_read("f", Open::read(), 100);
    assert_eq!((open.wait().status, close.wait().status), (Status::OK, Status::OK));
    assert_eq!(read.wait().data, b"hello");
}

/// A lease that somebody must give back first makes smbd park an open, without any module.
#[test]
fn a_pending_open_can_be_seen_and_resumed() {
    let smbd = Smbd::with(Share::plain("s"));
    plant(&smbd.dir("s").join("f"), b"hello");
    let (holder, other) = (Client::connect(&smbd, "s"), Client::connect(&smbd, "s"));
    let lease = Open::read_write().lease(1, lease::READ | lease::WRITE | lease::HANDLE);
    assert_eq!(holder.open("f", lease).wait().lease, 7);
    let open = other.open("f", Open::read());
    open.wait_until_pending();
    assert!(!open.is_answered());
    let broken = holder.next_break();
    assert!(broken.wants_answer);
    assert_eq!(holder.acknowledge(&broken).wait().status, Status::OK);
    assert_eq!(open.wait().status, Status::OK);
}

#[test]
fn a_pending_open_can_be_cancelled() {
    let smbd = Smbd::with(Share::plain("s"));
    plant(&smbd.dir("s").join("f"), b"hello");
    let (holder, other) = (Client::connect(&smbd, "s"), Client::connect(&smbd, "s"));
    let lease = Open::read_write().lease(1, lease::READ | lease::WRITE | lease::HANDLE);
    holder.open("f", lease).wait().handle().unwrap();
    let open = other.open("f", Open::read());
    open.wait_until_pending();
    other.cancel(&open);
    assert_eq!(open.wait().status, Status::CANCELLED);
}

#[test]
fn a_durable_handle_survives_its_connection() {
    let share = Share::plain("s").option("kernel share modes", "no").option("kernel oplocks", "no");
    let smbd = Smbd::with(share.option("posix locking", "no"));
    plant(&smbd.dir("s").join("f"), b"hello");
    let client = Client::connect(&smbd, "s");
    let all = lease::READ | lease::WRITE | lease::HANDLE;
    let opened = client.open("f", Open::read_write().lease(1, all).durable(1)).wait();
    assert!(opened.durable);
    client.disconnect();
    let again = client.connect_again(&smbd, "s");
    let handle =
        again.open("f", Open::read_write().lease(1, all).reconnect(1, &opened.file_id)).wait().handle();
    assert_eq!(again.read_at(handle.unwrap(), 0, 100).wait().data, b"hello");
}

#[test]
fn a_lost_connection_ends_what_was_pending() {
    let smbd = Smbd::with(Share::plain("s"));
    plant(&smbd.dir("s").join("f"), b"hello");
    let (holder, other) = (Client::connect(&smbd, "s"), Client::connect(&smbd, "s"));
    let lease = Open::read_write().lease(1, lease::READ | lease::WRITE | lease::HANDLE);
    holder.open("f", lease).wait().handle().unwrap();
    let open = other.open("f", Open::read());
    open.wait_until_pending();
    other.disconnect();
    assert_eq!(open.wait().status, Status::DISCONNECTED);
    other.server().wait_for_end(SOON);
}

#[test]
fn the_process_that_serves_a_client_can_be_watched() {
    let smbd = Smbd::with(Share::plain("s"));
    plant(&smbd.dir("s").join("f"), b"hello");
    let client = Client::connect(&smbd, "s");
    let path = smbd.dir("s").join("f").display().to_string();
    let handle = client.open("f", Open::with_access(access::READ_DATA)).wait().handle().unwrap();
    assert!(client.server().descriptors().contains(&path));
    client.close(handle).wait();
    assert!(!client.server().descriptors().contains(&path));
    assert!(client.server().private_kib() > 100);
}

fn clamdscan(conf: &std::path::Path, options: &[&str], file: &std::path::Path) -> String {
    let config = format!("--config-file={}", conf.display());
    let output = Command::new("clamdscan").arg(config).args(options).arg(file).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_fake_daemon_receives_a_descriptor() {
    let fake = FakeDaemon::unix(Conduct::Infected("Fake-Threat".to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let (file, conf) = (dir.path().join("f"), dir.path().join("clamd.conf"));
    std::fs::write(&file, b"hello").unwrap();
    std::fs::write(&conf, format!("LocalSocket {}\n", fake.socket().display())).unwrap();
    assert!(clamdscan(&conf, &["--fdpass"], &file).contains("Fake-Threat FOUND"));
    let requests = fake.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].descriptor_content(), b"hello");
    assert_eq!(requests[0].descriptor_offset(), 0);
    assert!(
        !requests[0].descriptor_flags().intersects(rustix::fs::OFlags::RDWR | rustix::fs::OFlags::WRONLY)
    );
}

#[test]
fn a_fake_daemon_relays_descriptors_and_streams_to_clamd() {
    let fake = FakeDaemon::in_front_of(Clamd::shared());
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("clamd.conf");
    std::fs::write(&conf, format!("LocalSocket {}\n", fake.socket().display())).unwrap();
    for (name, content, found) in
        [("bad", eicar(), true), ("bad.zip", infected_zip(), true), ("good", clean(5, 99), false)]
    {
        let file = dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        for option in ["--fdpass", "--stream"] {
            assert_eq!(clamdscan(&conf, &[option], &file).contains(THREAT), found, "{name} {option}");
        }
    }
    assert_eq!(fake.scans(), 6);
}

#[test]
fn a_fake_daemon_holds_its_answers() {
    let fake = FakeDaemon::unix(Conduct::Clean);
    fake.hold();
    let smbd = Smbd::with(Share::virusfilter("s", &fake.socket()));
    plant(&smbd.dir("s").join("f"), b"hello");
    let client = Client::connect(&smbd, "s");
    let open = client.open("f", Open::read());
    fake.wait_for_scans(1, SOON);
    assert!(!open.is_answered());
    fake.release();
    assert_eq!(open.wait().status, Status::OK);
}

#[test]
fn a_fake_daemon_holds_the_answer_about_one_file() {
    let fake = FakeDaemon::unix(Conduct::Infected("Fake".to_owned()));
    fake.hold_only(b"/slow");
    let smbd = Smbd::with(Share::virusfilter("s", &fake.socket()));
    plant(&smbd.dir("s").join("slow"), b"hello");
    plant(&smbd.dir("s").join("quick"), b"hello");
    let (one, other) = (Client::connect(&smbd, "s"), Client::connect(&smbd, "s"));
    let slow = one.open("slow", Open::read());
    fake.wait_for_scans(1, SOON);
    assert_eq!(other.read("quick"), Err(Status::ACCESS_DENIED));
    assert!(!slow.is_answered());
    fake.release();
    assert_eq!(slow.wait().status, Status::ACCESS_DENIED);
}

#[test]
fn a_fake_daemon_answers_in_the_words_of_the_request() {
    let fake = FakeDaemon::tcp(Conduct::Clean);
    let ask = |request: &[u8]| {
        let mut line = std::net::TcpStream::connect(("127.0.0.1", fake.port())).unwrap();
        std::io::Write::write_all(&mut line, request).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut line, &mut answer).unwrap();
        answer
    };
    assert_eq!(ask(b"zSCAN /a b\0"), "/a b: OK\0");
    assert_eq!(ask(b"zINSTREAM\0\0\0\0\x02hi\0\0\0\0"), "stream: OK\0");
    fake.version("ClamAV 1.4.6/27000/today");
    assert_eq!(ask(b"nVERSION\n"), "ClamAV 1.4.6/27000/today\n");
    assert_eq!(fake.scans(), 2);
}

#[test]
fn a_fake_daemon_fails_to_order() {
    let fake = FakeDaemon::unix(Conduct::CloseAtOnce);
    let ask = || {
        let mut line = std::os::unix::net::UnixStream::connect(fake.socket()).unwrap();
        let mut answer = Vec::new();
        // A daemon that has hung up already may refuse even this.
        let _ = std::io::Write::write_all(&mut line, b"zSCAN /x\0");
        let _ = std::io::Read::read_to_end(&mut line, &mut answer);
        answer
    };
    assert_eq!(ask(), b"");
    fake.now(Conduct::CloseAfterRequest);
    assert_eq!(ask(), b"");
    fake.now(Conduct::AnswerSlowly(b"/x: OK\0".to_vec(), 2, Duration::from_millis(10)));
    assert_eq!(ask(), b"/x: OK\0");
    fake.now(Conduct::Clean);
    fake.delay(Duration::from_millis(100));
    let began = Instant::now();
    assert_eq!(ask(), b"/x: OK\0");
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!((fake.connections(), fake.scans()), (4, 3));
}

#[test]
fn clamd_says_encrypted_when_told_to() {
    let clamd = Clamd::new().option("AlertEncryptedArchive", "yes").start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret.zip");
    std::fs::write(&file, encrypted_zip()).unwrap();
    assert!(clamdscan(&clamd.conf(), &["--fdpass"], &file).contains("Heuristics.Encrypted.Zip FOUND"));
    assert!(clamdscan(&Clamd::shared().conf(), &["--fdpass"], &file).contains(": OK"));
}

#[test]
fn clamd_can_be_stopped_killed_frozen_and_started() {
    let mut clamd = Clamd::new().tcp().start();
    let ping = |clamd: &Clamd| {
        let mut line = std::net::TcpStream::connect(("127.0.0.1", clamd.port())).ok()?;
        line.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        std::io::Write::write_all(&mut line, b"zPING\0").ok()?;
        let mut answer = [0; 5];
        std::io::Read::read_exact(&mut line, &mut answer).ok().map(|()| answer)
    };
    assert_eq!(ping(&clamd).as_ref(), Some(b"PONG\0"));
    clamd.freeze();
    assert_eq!(ping(&clamd), None);
    clamd.thaw();
    clamd.kill();
    assert!(clamd.socket().exists());
    assert_eq!(ping(&clamd), None);
    clamd.start();
    assert_eq!(ping(&clamd).as_ref(), Some(b"PONG\0"));
    clamd.stop();
    assert!(!clamd.socket().exists());
}

/// Why `ends::a_lost_channel_does_not_take_the_scan_from_the_other` is no claim about Samba 4.13: there, opens that wait
/// for a lease are enough, and vscan is not even loaded.
#[test]
fn samba_4_13_alone_crashes_when_a_channel_is_lost_while_opens_wait() {
    let smbd = Smbd::new().share(Share::plain("s")).global("server multi channel support", "yes").start();
    let holder = Client::connect(&smbd, "s");
    let all = lease::READ | lease::WRITE | lease::HANDLE;
    for (key, name) in [(1, "slow.doc"), (2, "other.doc")] {
        plant(&smbd.dir("s").join(name), b"content");
        assert_eq!(holder.open(name, Open::read_write().lease(key, all)).wait().lease, all);
    }
    let client = Client::connect(&smbd, "s");
    client.add_channel().wait().status.ok().unwrap();
    let first = client.open("slow.doc", Open::read());
    first.wait_until_pending();
    for name in ["slow.doc", "other.doc"] {
        client.open_on_second_channel(name, Open::read()).wait_until_pending();
    }
    client.disconnect_second_channel();
    let next = client.open("nothing", Open::read()).wait().status;
    if Smbd::version().starts_with("4.13.") {
        smbd.wait_for_log("Signal 11: Segmentation fault", SOON);
        assert_eq!(next, Status::DISCONNECTED);
        return;
    }
    assert_eq!(next, Status::OBJECT_NAME_NOT_FOUND);
    for taken in [holder.next_break(), holder.next_break()] {
        holder.acknowledge(&taken).wait().status.ok().unwrap();
    }
    client.close(first.wait().handle().unwrap()).wait().status.ok().unwrap();
    assert!(client.server().is_alive());
}

/// Why `ends::a_durable_handle_is_taken_up_again_after_its_file_was_scanned_meanwhile` is no claim about Samba 4.13.
#[test]
fn samba_4_13_alone_keeps_a_durable_handle_to_itself_when_its_file_was_written() {
    let share = Share::plain("s").option("kernel share modes", "no").option("kernel oplocks", "no");
    let smbd = Smbd::with(share.option("posix locking", "no"));
    plant(&smbd.dir("s").join("f.doc"), b"hello");
    let client = Client::connect(&smbd, "s");
    let all = lease::READ | lease::WRITE | lease::HANDLE;
    let opened = client.open("f.doc", Open::read_write().lease(1, all).durable(1)).wait();
    client.write_at(opened.handle().unwrap(), 0, b"HELLO").wait().status.ok().unwrap();
    client.disconnect();
    let again = client.connect_again(&smbd, "s");
    let taken_up = again.open("f.doc", Open::read_write().lease(1, all).reconnect(1, &opened.file_id)).wait();
    assert_eq!(taken_up.handle().is_ok(), !Smbd::version().starts_with("4.13."), "{taken_up:?}");
}
