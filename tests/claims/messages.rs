use std::path::Path;
use std::process::{Child, Command, Stdio};

use vscan_tests::clamd::THREAT;
use vscan_tests::module::vscan_notify;
use vscan_tests::network::in_own_network;
use vscan_tests::popup::{OneBlock, Popup, Popups, Recorder, smbclient_message};
use vscan_tests::samples::eicar;
use vscan_tests::wait::{SOON, eventually};

use crate::protected::Protected;

/// A share whose users are told, by pop-ups to this port of theirs.
fn told_at(port: u16, options: &str) -> Protected {
    let program = vscan_notify();
    let options = format!("messenger port = {port}\nnotify program = {}\n{options}", program.display());
    Protected::share(&options, |share| share.option("vscan:send warning message", "yes"))
}

fn wait_for(popups: &Popups, count: usize) -> Vec<Popup> {
    eventually(&format!("{count} messages"), SOON, || {
        Some(popups.received()).filter(|received| received.len() >= count)
    })
}

#[test]
fn whoever_opens_an_infected_file_gets_a_pop_up() {
    let popups = Popups::new();
    let it = told_at(popups.port(), "");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let popup = wait_for(&popups, 1).remove(0);
    assert!(popup.from.ends_with("_VIRUS_SCANNER"), "{popup:?}");
    let text =
        format!("bad.com on s is infected with {THREAT}.\n\nAccess was denied; moved to quarantine as /");
    assert!(popup.text.starts_with(&text), "{popup:?}");
    assert!(popup.text.ends_with(".\nPlease ask your administrator for help."), "{popup:?}");
}

#[test]
fn the_text_of_a_pop_up_can_be_chosen() {
    let popups = Popups::new();
    let it = told_at(popups.port(), "warning message = %u: Größe %f!\\nVirus: %v, 100%%");
    it.plant("böse.com", &eicar());
    it.refused("böse.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let expected = format!("daemon: Größe böse.com!\nVirus: {THREAT}, 100%");
    assert_eq!(wait_for(&popups, 1)[0].text, expected);
}

/// Without what differs between two processes: SMB1's PIDLow.
fn comparable(mut packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    for packet in packets.iter_mut().filter(|packet| packet[0] == 0) {
        packet[4 + 26..4 + 28].fill(0);
    }
    packets
}

/// Longer than fits in one block, and nothing that smbclient would cut in two.
fn long_text(file: &str) -> String {
    format!("The file {file} is infected with a virus. ").repeat(8)
}

/// What is sent for an infected file, and what smbclient sends for the same.
fn ours_and_smbclients(port: u16) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let recorder = Recorder::on(port);
    let text = long_text("%f");
    let it = told_at(recorder.port(), &format!("warning message = {text}\\nAsk for help.\\n"));
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let ours = eventually("a whole message", SOON, || {
        recorder.packets().last().is_some_and(|packet| packet.get(8) == Some(&0xd6)).then(|| recorder.take())
    });
    let (from, to) = names(ours.iter().find(|packet| packet[0] == 0).unwrap());
    let text = format!("{}\nAsk for help.\n", long_text("bad.com"));
    smbclient_message(recorder.port(), &from, &to, &text);
    (comparable(ours), comparable(recorder.take()))
}

#[test]
fn a_pop_up_goes_over_the_wire_as_smbclient_sends_it() {
    let (ours, smbclients) = ours_and_smbclients(0);
    assert_eq!(ours.len(), 5);
    assert_eq!(ours, smbclients);
}

#[test]
fn its_netbios_session_is_that_of_smbclient() {
    if in_own_network("messages::its_netbios_session_is_that_of_smbclient") {
        let (ours, smbclients) = ours_and_smbclients(139);
        assert_eq!(ours.len(), 6);
        assert_eq!(ours, smbclients);
    }
}

#[test]
fn a_pop_up_reaches_smbd_over_netbios() {
    if in_own_network("messages::a_pop_up_reaches_smbd_over_netbios") {
        let popups = Popups::with_netbios();
        let it = told_at(139, "");
        it.plant("bad.com", &eicar());
        it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
        assert!(wait_for(&popups, 1)[0].text.starts_with("bad.com on s is infected with "));
    }
}

/// The two names at the start of a message.
fn names(start: &[u8]) -> (String, String) {
    // Behind the headers: the number of words, that of bytes, and each name between its format and a zero.
    let mut names = start[4 + 32 + 3..].split(|byte| *byte == 0);
    let mut next = || String::from_utf8(names.next().unwrap()[1..].to_vec()).unwrap();
    (next(), next())
}

#[test]
fn smbd_gets_from_us_what_it_gets_from_smbclient() {
    let popups = Popups::new();
    let it = told_at(popups.port(), "warning message = %f: Grüße, and a virus!");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let ours = wait_for(&popups, 1).remove(0);
    smbclient_message(
        popups.port(),
        &ours.from.replace('_', " "),
        "somebody",
        "bad.com: Grüße, and a virus!",
    );
    let both = wait_for(&popups, 2);
    // smbclient adds the end of a line.
    let shown = |popup: &Popup| (popup.from.clone(), popup.text.trim_end().to_owned());
    assert_eq!(both.iter().map(shown).collect::<Vec<_>>(), [shown(&ours), shown(&ours)]);
}

#[test]
fn smbd_reads_a_message_of_one_block_as_it_is_meant() {
    let popups = Popups::new();
    let old = OneBlock::before(&popups);
    let it = told_at(old.port(), "warning message = %f: Grüße, and a virus!\\nAsk for help.");
    it.plant("bad.com", &eicar());
    it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    let popup = wait_for(&popups, 1).remove(0);
    assert!(popup.from.ends_with("_VIRUS_SCANNER"), "{popup:?}");
    assert_eq!(popup.text, "bad.com: Grüße, and a virus!\nAsk for help.");
}

#[test]
fn a_client_without_such_a_service_costs_one_line_in_syslog() {
    // Somebody listens, and hangs up.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let it = told_at(port, "infected file action = nothing\nnotify interval = 100ms");
    it.plant("bad.com", &eicar());
    for _ in 0..3 {
        it.refused("bad.com").refused_with("NT_STATUS_VIRUS_INFECTED");
        eventually("the event is done with", SOON, || spool_is_empty(&it).then_some(()));
    }
    let lines = it.smbd.syslog();
    let about: Vec<_> = lines.iter().filter(|line| line.contains("no pop-up was shown")).collect();
    assert_eq!(about.len(), 1, "{about:?}");
    assert!(about[0].contains("vscan-notify") && about[0].contains("messenger to 127.0.0.1"), "{about:?}");
}

/// Whether nothing is left to be told.
pub(crate) fn spool_is_empty(it: &Protected) -> bool {
    events(&it.smbd.path("spool")).is_empty()
}

fn events(spool: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(spool) else { return vec!["not there".into()] };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

/// How many events there are in all files.
fn count_events(spool: &Path) -> usize {
    let content =
        |path| -> serde_json::Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    events(spool).into_iter().map(|path| content(path)["events"].as_array().unwrap().len()).sum()
}

#[test]
fn a_missing_program_is_one_line_in_the_log() {
    let it =
        Protected::share("notify program = /nowhere/vscan-notify\ninfected file action = nothing", |share| {
            share.option("vscan:send warning message", "yes")
        });
    it.plant("bad.com", &eicar());
    it.smbd.smbclient("s").run("get bad.com /dev/null; get bad.com /dev/null").refused_with("VIRUS_INFECTED");
    it.smbd.wait_for_log("/nowhere/vscan-notify (notify program): No such file", SOON);
    eventually("both events are kept", SOON, || (count_events(&it.smbd.path("spool")) == 2).then_some(()));
    assert_eq!(it.smbd.log().matches("notify program").count(), 1);
}

/// The program, started by hand at a share's spool.
fn start(it: &Protected) -> Child {
    let spool = it.smbd.path("spool");
    Command::new(vscan_notify()).arg(spool).stdin(Stdio::null()).spawn().unwrap()
}

/// How many files a message counts.
fn count(popup: &Popup) -> usize {
    let more = popup
        .text
        .split_once("(And ")
        .map_or(0, |(_, rest)| rest.split(' ').next().unwrap().parse().unwrap());
    more + 1
}

#[test]
fn a_thousand_files_are_a_few_messages_whose_counts_add_up() {
    let popups = Popups::new();
    let it = told_at(popups.port(), "notify interval = 2\ninfected file action = delete");
    for n in 0..1000 {
        std::fs::write(it.path(&format!("bad{n}.com")), eicar()).unwrap();
    }
    let client = it.client();
    for n in 0..1000 {
        client.read(&format!("bad{n}.com")).unwrap_err();
    }
    // Rests grow: on a slow machine the last one takes more than a minute.
    let received = eventually("all are told", 12 * SOON, || {
        let received = popups.received();
        (received.iter().map(count).sum::<usize>() >= 1000).then_some(received)
    });
    assert_eq!(received.iter().map(count).sum::<usize>(), 1000);
    assert!(received.len() <= 6, "{} messages", received.len());
    eventually("the spool is empty", SOON, || spool_is_empty(&it).then_some(()));
}

#[test]
fn a_program_that_is_killed_loses_nothing_and_repeats_nothing() {
    let popups = Popups::new();
    // Nobody starts it but this claim.
    let options = format!(
        "messenger port = {}\nnotify interval = 3\nlongest notify interval = 3\nnotify program = /bin/true",
        popups.port()
    );
    let it = Protected::share(&options, |share| share.option("vscan:send warning message", "yes"));
    let client = it.client();
    let infect = |name: String| {
        it.plant(&name, &eicar());
        client.read(&name).unwrap_err();
    };
    for round in 0..3 {
        for n in 0..5 {
            infect(format!("bad{round}-{n}.com"));
        }
        let mut program = start(&it);
        eventually("all are told", SOON, || spool_is_empty(&it).then_some(()));
        for n in 5..10 {
            infect(format!("bad{round}-{n}.com"));
        }
        // It collects these now, and would send them after their rest.
        program.kill().unwrap();
        program.wait().unwrap();
    }
    let mut program = start(&it);
    let received = eventually("all are told", SOON, || {
        let received = popups.received();
        (received.iter().map(count).sum::<usize>() >= 30).then_some(received)
    });
    assert!(program.wait().unwrap().success(), "it ends by itself");
    assert_eq!(received.iter().map(count).sum::<usize>(), 30);
    assert!(spool_is_empty(&it));
    assert_eq!(popups.received().len(), received.len());
}

#[test]
fn nobody_waits_for_a_client_that_does_not_answer() {
    // It accepts, and says nothing: each message takes five seconds.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let it = told_at(silent.local_addr().unwrap().port(), "infected file action = nothing");
    it.plant("bad.com", &eicar());
    let client = it.client();
    client.read("bad.com").unwrap_err();
    let (_held, _) = silent.accept().unwrap();
    // The program is in the middle of its message now, and these are answered all the same.
    for _ in 0..20 {
        client.read("bad.com").unwrap_err();
    }
    assert!(
        !it.smbd.syslog().iter().any(|line| line.contains("no pop-up was shown")),
        "it has not given up yet"
    );
    it.smbd.wait_for_syslog("no pop-up was shown", SOON);
}
