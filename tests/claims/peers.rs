use vscan_backends::transcript::{Ending, Recording};
use vscan_tests::cicap::{CIcap, LIMITED, MAX_OBJECT_SIZE, UNLIMITED};
use vscan_tests::clamd::{Clamd, THREAT};
use vscan_tests::fake::replay::{Client, Replay};
use vscan_tests::peers::squid::Squid;
use vscan_tests::peers::{Judgement, amavis, c_icap_client, exim, fuglu, rspamd};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::SOON;

use crate::protected::{SHARE, conf};
use crate::scanner_products::recordings;

/// What a client says before it asks, and what the daemons are known to answer.
type SmallTalk = &'static [(&'static str, &'static str)];

const SMALL_TALK_OF_EXIM: SmallTalk = &[("CONFIGURE\t", "OK\tdone\n")];

const SMALL_TALK_OF_RSPAMD: SmallTalk = &[
    ("SET PRODUCT ", "100 PRODUCT\n"),
    (
        "OPTIONS ",
        "ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nISTag: \"1\"\r\nAllow: 204\r\nEncapsulated: null-body=0\r\n\r\n",
    ),
];

/// It waits for each word of SSSP before it says the next.
const SMALL_TALK_OF_FUGLU: SmallTalk = &[
    ("SSSP/1.0 QUERY", "ACC 4F1/1\r\nmaxscandata: 0\r\n\r\n"),
    ("SSSP/1.0", "ACC 4F1\r\n"),
    ("OPTIONS", "ACC 4F1/2\r\nDONE OK 0000 The function call succeeded\r\n\r\n"),
    ("SCANDATA ", "ACC 4F1/3\r\n"),
];

/// The recordings whose verdicts nobody can read in two ways.
fn verdicts(scheme: &str, address: &str) -> Vec<Recording> {
    let plain = |recording: &Recording| {
        let is_verdict = matches!(recording.ending, Ending::Clean | Ending::Infected(_));
        is_verdict && recording.scanner.starts_with(address) && matches!(recording.size, 1..100)
    };
    recordings(scheme).into_iter().filter(plain).collect()
}

fn behind_c_icap(service: &str, options: &str) -> (Smbd, CIcap) {
    let server = CIcap::start(Clamd::shared());
    (Smbd::with(Share::vscan(SHARE, &conf(&server.scanner(service), options))), server)
}

fn plant_in(smbd: &Smbd, name: &str, content: &[u8]) {
    plant(&smbd.dir(SHARE).join(name), content);
}

#[test]
fn clean_files_pass_a_real_icap_server() {
    let (smbd, _server) = behind_c_icap(UNLIMITED, "");
    for size in [1, 1023, 1024, 1025, 5000, 300_000, MAX_OBJECT_SIZE - 1] {
        plant_in(&smbd, "a.txt", &clean(1, size));
        assert_eq!(smbd.smbclient(SHARE).get("a.txt").unwrap(), clean(1, size), "{size} bytes");
    }
    smbd.smbclient(SHARE).put("new.txt", &clean(2, 70_000)).ok();
    assert_eq!(smbd.smbclient(SHARE).get("new.txt").unwrap(), clean(2, 70_000));
}

#[test]
fn infected_files_do_not_pass_a_real_icap_server() {
    let (smbd, _server) = behind_c_icap(UNLIMITED, "infected file action = nothing");
    let late = [clean(1, 200_000), eicar()].concat();
    for (name, content) in [("bad.com", &eicar()), ("bad late.txt", &late)] {
        plant_in(&smbd, name, content);
        let refused = smbd.smbclient(SHARE).get(name).unwrap_err();
        refused.refused_with("NT_STATUS_VIRUS_INFECTED");
        let line = smbd.wait_for_log(&format!("/{name}\""), SOON);
        assert!(line.contains(THREAT), "{line}");
    }
}

#[test]
fn what_a_real_icap_server_does_not_look_at_is_not_called_clean() {
    let content = clean(1, 3 * MAX_OBJECT_SIZE);
    let (smbd, _server) = behind_c_icap(LIMITED, "deny access on minor error = yes");
    plant_in(&smbd, "big.txt", &content);
    smbd.smbclient(SHARE).get("big.txt").unwrap_err().refused_with("NT_STATUS_ACCESS_DENIED");
    smbd.wait_for_log("could not be scanned", SOON);
    let (smbd, _server) = behind_c_icap(LIMITED, "deny access on minor error = no");
    plant_in(&smbd, "big.txt", &content);
    assert_eq!(smbd.smbclient(SHARE).get("big.txt").unwrap(), content);
    smbd.wait_for_log("could not be scanned", SOON);
}

/// Contents for an ICAP server, around the size of its preview and far beyond. Of more than 64 KiB, squid wants
/// everything back instead of a 204, and c-icap's virus_scan does not give it.
fn contents() -> Vec<Vec<u8>> {
    let sizes = [1, 1023, 1024, 1025, 60_000];
    let infected = [eicar(), [clean(1, 60_000), eicar()].concat()];
    sizes.into_iter().map(|size| clean(1, size)).chain(infected).collect()
}

/// What vscan says about the file, in words of the other clients.
fn judgement_of_vscan(smbd: &Smbd, name: &str, content: &[u8]) -> Judgement {
    plant_in(smbd, name, content);
    match smbd.smbclient(SHARE).get(name) {
        Ok(read) if read == content => Judgement::Clean,
        Ok(_) => Judgement::Trouble("other content".to_owned()),
        Err(refused) => {
            refused.refused_with("NT_STATUS_VIRUS_INFECTED");
            Judgement::Malware(THREAT.to_owned())
        }
    }
}

#[test]
fn vscan_and_the_server_s_own_client_agree_about_files() {
    let (smbd, server) = behind_c_icap(UNLIMITED, "infected file action = nothing");
    for (number, content) in contents().iter().enumerate() {
        let ours = judgement_of_vscan(&smbd, &format!("{number}.bin"), content);
        assert_eq!(c_icap_client::judge(server.port(), UNLIMITED, content), ours, "{} bytes", content.len());
    }
}

#[test]
#[ignore = "needs squid: tests/peers.sh installs and runs it"]
fn vscan_and_squid_agree_about_files() {
    let (smbd, server) = behind_c_icap(UNLIMITED, "infected file action = nothing");
    let mut squid = Squid::start(server.port(), UNLIMITED);
    for (number, content) in contents().iter().enumerate() {
        let ours = judgement_of_vscan(&smbd, &format!("{number}.bin"), content);
        match (squid.judge(content), ours) {
            (Judgement::Clean, Judgement::Clean) => {}
            (Judgement::Malware(page), Judgement::Malware(name)) => assert!(page.contains(&name), "{page}"),
            (squid, ours) => panic!("{} bytes: squid {squid:?}, vscan {ours:?}", content.len()),
        }
    }
}

/// A scanner of ours, of the kind that takes `address`, and how another program judges what it says.
struct Known {
    scheme: &'static str,
    address: &'static str,
    judge: fn(&Replay) -> Judgement,
}

fn exim_at_socket(scanner: &str, replay: &Replay) -> Judgement {
    exim::judge(&format!("{scanner}:{}", replay.socket().display()))
}

fn exim_at_port(scanner: &str, replay: &Replay) -> Judgement {
    exim::judge(&format!("{scanner}:127.0.0.1 {}", replay.port()))
}

const KNOWN_TO_EXIM: &[Known] = &[
    Known { scheme: "sophie", address: "sophie:/", judge: |replay| exim_at_socket("sophie", replay) },
    Known { scheme: "avast", address: "avast:/", judge: |replay| exim_at_socket("avast", replay) },
    Known { scheme: "fsav", address: "fsav:/", judge: |replay| exim_at_socket("fsecure", replay) },
    Known { scheme: "drweb", address: "drweb:/", judge: |replay| exim_at_socket("drweb", replay) },
    Known { scheme: "drweb", address: "drweb:tcp:", judge: |replay| exim_at_port("drweb", replay) },
    Known { scheme: "clamav", address: "clamav:tcp:", judge: |replay| exim_at_port("clamd", replay) },
    Known { scheme: "fprot", address: "fprot:", judge: |replay| exim_at_port("f-prot6d", replay) },
    Known { scheme: "fprotd", address: "fprotd:", judge: |replay| exim_at_port("f-protd", replay) },
];

fn rspamd_at_port(kind: &str, replay: &Replay) -> Judgement {
    rspamd::judge(kind, &format!("127.0.0.1:{}", replay.port()))
}

const KNOWN_TO_RSPAMD: &[Known] = &[
    Known { scheme: "sssp", address: "sssp:tcp:", judge: |replay| rspamd_at_port("sophos", replay) },
    Known { scheme: "savapi", address: "savapi:", judge: |replay| rspamd_at_port("savapi", replay) },
    Known { scheme: "kse", address: "kse:", judge: |replay| rspamd_at_port("kaspersky_se", replay) },
    Known { scheme: "fprot", address: "fprot:", judge: |replay| rspamd_at_port("fprot", replay) },
    Known { scheme: "clamav", address: "clamav:tcp:", judge: |replay| rspamd_at_port("clamav", replay) },
    Known { scheme: "icap", address: "icap:", judge: |replay| rspamd_at_port("icap", replay) },
    Known {
        scheme: "avast",
        address: "avast:/",
        judge: |replay| rspamd::judge("avast", &replay.socket().display().to_string()),
    },
];

fn amavis_at_socket(entry: &str, replay: &Replay) -> Judgement {
    amavis::judge(entry, &replay.socket().display().to_string())
}

fn amavis_at_port(entry: &str, replay: &Replay) -> Judgement {
    amavis::judge(entry, &format!("127.0.0.1:{}", replay.port()))
}

const KNOWN_TO_AMAVIS: &[Known] = &[
    Known { scheme: "sophie", address: "sophie:/", judge: |replay| amavis_at_socket("Sophie", replay) },
    Known { scheme: "trophie", address: "trophie:/", judge: |replay| amavis_at_socket("Trophie", replay) },
    Known { scheme: "oav", address: "oav:", judge: |replay| amavis_at_port("OpenAntiVirus", replay) },
    Known {
        scheme: "avg",
        address: "avg:",
        judge: |replay| match amavis_at_port("AVG", replay) {
            // It takes these words for a part of the name.
            Judgement::Malware(name) => Judgement::Malware(name.replace("Virus identified ", "")),
            other @ (Judgement::Clean | Judgement::Trouble(_)) => other,
        },
    },
    Known { scheme: "fprot", address: "fprot:", judge: |replay| amavis_at_port("F-Prot fpscand", replay) },
    Known { scheme: "fprotd", address: "fprotd:", judge: |replay| amavis_at_port("F-Prot f-protd", replay) },
];

/// Symantec's old engines say 403 in ICAP's own status line, which samba-vscan knew and others do not.
const OLD_ICAP: &str = "403 of old products";

const KNOWN_TO_FUGLU: &[Known] = &[
    Known {
        scheme: "sssp",
        address: "sssp:tcp:",
        judge: |replay| fuglu::judge("SSSPPlugin", replay.port(), &[]),
    },
    Known {
        scheme: "fprot",
        address: "fprot:",
        judge: |replay| fuglu::judge("FprotPlugin", replay.port(), &["networkmode=True"]),
    },
    Known {
        scheme: "drweb",
        address: "drweb:tcp:",
        judge: |replay| fuglu::judge("DrWebPlugin", replay.port(), &[]),
    },
    Known {
        scheme: "icap",
        address: "icap:",
        judge: |replay| fuglu::judge("ICAPPlugin", replay.port(), &[]),
    },
];

#[test]
#[ignore = "needs Exim: tests/peers.sh installs and runs it"]
fn exim_agrees_about_the_scanners_that_it_knows() {
    // Exim 4.96 finds the name in drwebd's answer, and crashes when it uses it.
    let crashes = |known: &Known, recording: &Recording| {
        known.scheme == "drweb" && matches!(recording.ending, Ending::Infected(_))
    };
    agree(KNOWN_TO_EXIM, SMALL_TALK_OF_EXIM, crashes);
}

#[test]
#[ignore = "needs rspamd: tests/peers.sh installs and runs it"]
fn rspamd_agrees_about_the_scanners_that_it_knows() {
    agree(KNOWN_TO_RSPAMD, SMALL_TALK_OF_RSPAMD, |_, recording| recording.title.contains(OLD_ICAP));
}

#[test]
#[ignore = "needs fuglu: tests/peers.sh installs and runs it"]
fn fuglu_agrees_about_the_scanners_that_it_knows() {
    // fuglu 1.7 cannot read the names in drwebd's answer: it mixes up texts and bytes.
    let fails = |known: &Known, recording: &Recording| {
        let is_infected = matches!(recording.ending, Ending::Infected(_));
        recording.title.contains(OLD_ICAP) || (known.scheme == "drweb" && is_infected)
    };
    agree(KNOWN_TO_FUGLU, SMALL_TALK_OF_FUGLU, fails);
}

#[test]
#[ignore = "needs amavis: tests/peers.sh installs and runs it"]
fn amavis_agrees_about_the_scanners_that_it_knows() {
    agree(KNOWN_TO_AMAVIS, &[], |_, _| false);
}

/// Every recorded verdict is to be understood by the other program as by us.
fn agree(all_known: &[Known], small_talk: SmallTalk, is_left_out: impl Fn(&Known, &Recording) -> bool) {
    let mut disagreements = Vec::new();
    for known in all_known {
        let recordings = verdicts(known.scheme, known.address);
        assert!(recordings.len() >= 2, "{}", known.scheme);
        for recording in recordings {
            if is_left_out(known, &recording) {
                continue;
            }
            let wanted = match &recording.ending {
                Ending::Infected(name) => Judgement::Malware(name.clone()),
                Ending::Clean => Judgement::Clean,
                Ending::MinorError(_) | Ending::Fault(_) => panic!("only verdicts were asked for"),
            };
            let replay = Replay::new(&recording, Client::Foreign(small_talk), "/share/");
            let judgement = (known.judge)(&replay);
            if judgement != wanted || replay.connections() == 0 {
                let heard = replay.heard().escape_ascii().to_string();
                let title = &recording.title;
                disagreements.push(format!(
                    "{} [{title}]: {judgement:?}, recorded {wanted:?}; it said {heard}",
                    known.scheme
                ));
            }
        }
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}
