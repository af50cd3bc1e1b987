//! Memory errors and leaks: what valgrind finds in smbd with our frames in it.

use rustix::process::Signal;
use vscan_tests::clamd::Clamd;
use vscan_tests::client::{Client, Open, Pending, Status};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::scanned::Scanned;
use vscan_tests::share::Share;
use vscan_tests::smbd::{Builder, Smbd};
use vscan_tests::wait::SOON;

use super::conf;

/// What valgrind reports, error by error; Samba has its own, which are none of our business.
fn ours(report: &str) -> Vec<String> {
    // Every line begins with the process; one with nothing else ends an error.
    let text = |line: &str| line.splitn(3, "==").nth(2).unwrap_or(line).trim_end().to_owned();
    let lines: Vec<String> = report.lines().map(text).collect();
    let errors = lines.split(|line| line.trim().is_empty()).map(|error| error.join("\n"));
    errors.filter(|error| error.contains("vscan")).collect()
}

#[test]
fn a_frame_of_ours_is_recognised() {
    let report = "==7== Invalid read of size 8\n==7==    at 0x1: f (in /usr/lib/samba/libsmbd.so)\n==7== \n\
                  ==7== 8 bytes in 1 blocks are definitely lost in loss record 1 of 2\n\
                  ==7==    at 0x2: malloc (vg_replace_malloc.c:381)\n==7==    by 0x3: g (in /x/vscan.so)\n==7== \n";
    let found = ours(report);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("definitely lost"));
}

#[test]
fn a_session_with_everything_in_it_has_no_memory_error_and_no_leak_of_ours() {
    let mut clamd = Clamd::new().start();
    let more = "quarantine directory = @RIG@/quarantine\nexclude file regexp = \\.skip$\nexclude file types = image/*\n\
                colour = blue\nverbose file logging = yes";
    let share = Share::vscan("s", &conf(&clamd.socket(), more));
    let mut smbd = Smbd::new().share(share).valgrind().start();
    for (name, content) in [
        ("good.txt", clean(1, 100_000)),
        ("bad.com", eicar()),
        ("a.skip", eicar()),
        ("later.txt", clean(2, 100)),
    ] {
        plant(&smbd.dir("s").join(name), &content);
    }
    let client = Client::connect(&smbd, "s");
    assert_eq!(client.read("good.txt"), Ok(clean(1, 100_000)));
    assert_eq!(client.read("good.txt"), Ok(clean(1, 100_000)), "from the cache");
    assert_eq!(client.read("bad.com"), Err(Status::VIRUS_INFECTED));
    assert!(!smbd.dir("s").join("bad.com").exists(), "it is in quarantine");
    assert_eq!(client.read("a.skip"), Ok(eicar()));
    assert_eq!(client.write("up.txt", &clean(3, 1000)), Ok(()));
    assert_eq!(client.write("up.com", &eicar()), Ok(()), "its scan comes after the close");
    let after = client.read("up.com").unwrap_err();
    assert!(
        [Status::VIRUS_INFECTED, Status::OBJECT_NAME_NOT_FOUND].contains(&after),
        "in quarantine or on its way"
    );
    assert_eq!(client.read("nothing"), Err(Status::OBJECT_NAME_NOT_FOUND));
    clamd.stop();
    assert_eq!(client.read("later.txt"), Err(Status::ACCESS_DENIED));
    // A file that is still open for writing when the client goes has state of ours on it.
    client.open("open.txt", Open::overwrite()).wait().handle().unwrap();
    let server = client.server();
    client.disconnect();
    server.wait_for_end(SOON * 5);
    smbd.terminate();
    let report = smbd.valgrind_report();
    assert_eq!(ours(&report), [""; 0]);
    assert!(!smbd.log().contains("INTERNAL ERROR"), "no process has crashed");
}

/// What makes a request end while its scan goes on.
type End = fn(&Client, &Pending);

#[test]
fn requests_that_end_before_their_scans_cost_no_memory_error() {
    let ends: [(End, Status); 4] = [
        (|client, open| client.cancel(open), Status::CANCELLED),
        (|client, _| drop(client.disconnect_tree()), Status::CANCELLED),
        (|client, _| drop(client.log_off()), Status::CANCELLED),
        (|client, _| client.disconnect(), Status::DISCONNECTED),
    ];
    let mut it = Scanned::with("", |share| share, Builder::valgrind);
    let parked = |number: u64| {
        let (name, other) = (format!("{number}.doc"), format!("{number}.txt"));
        it.plant(&name, &clean(number, 100));
        it.plant(&other, &eicar());
        let client = Client::connect(&it.smbd, "s");
        it.scanner.hold();
        let scans = it.scanner.scans();
        let open = client.open(&name, Open::read());
        it.scanner.wait_for_scans(scans + 1, SOON * 5);
        let compound = client.compound_read(&other, Open::read(), 100);
        it.scanner.wait_for_scans(scans + 2, SOON * 5);
        (client, open, compound)
    };
    for (number, (end, status)) in (0..).zip(ends) {
        let (client, open, compound) = parked(number);
        let server = client.server();
        end(&client, &open);
        assert_eq!(open.wait_for(SOON * 5).status, status, "{number}");
        it.scanner.release();
        for part in compound {
            assert_ne!(part.wait_for(SOON * 5).status, Status::OK, "{number}");
        }
        client.disconnect();
        server.wait_for_end(SOON * 5);
    }
    let (client, open, _compound) = parked(4);
    let server = client.server();
    it.smbd.signal(server, Signal::TERM);
    assert_eq!(open.wait_for(SOON * 5).status, Status::DISCONNECTED);
    server.wait_for_end(SOON * 5);
    it.scanner.release();
    it.smbd.terminate();
    assert_eq!(ours(&it.smbd.valgrind_report()), [""; 0]);
    it.is_unharmed();
}

/// People are told later of what is found. At this time there is no later.
#[test]
fn an_infected_file_that_is_found_as_smbd_ends_costs_no_memory_error() {
    let options = "infected file command = /bin/true\n";
    let mut it =
        Scanned::with(options, |share| share, |server| server.global("log level", "1 vscan:10").valgrind());
    let (client, _) = it.connect();
    let scans = it.scanner.scans();
    it.scanner.hold();
    client.write("bad.com", &eicar()).unwrap();
    it.scanner.wait_for_scans(scans + 1, SOON * 5);
    let server = client.server();
    client.disconnect();
    it.smbd.wait_for_log("disconnect: share s", SOON * 5);
    it.scanner.release();
    server.wait_for_end(SOON * 5);
    it.smbd.terminate();
    assert_eq!(ours(&it.smbd.valgrind_report()), [""; 0]);
    assert_eq!(it.quarantine().len(), 1);
    it.is_unharmed();
}
