use std::path::Path;

use vscan_backends::transcript::{Ending, Recording};
use vscan_tests::cicap::{CIcap, LIMITED, MAX_OBJECT_SIZE, UNLIMITED};
use vscan_tests::clamd::{Clamd, THREAT};
use vscan_tests::exim::{self, Judgement};
use vscan_tests::fake::replay::{Client, Replay};
use vscan_tests::samples::{clean, eicar, plant};
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;
use vscan_tests::wait::SOON;

use crate::protected::{SHARE, conf};
use crate::scanner_products::recordings;

/// What Exim says before it asks, and what the daemon is known to answer.
const SMALL_TALK: &[(&str, &str)] = &[("CONFIGURE\t", "OK\tdone\n")];

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

/// A scanner of ours, and what Exim calls it: of the kind that takes `address`.
struct Known {
    scheme: &'static str,
    address: &'static str,
    av_scanner: fn(&Replay) -> String,
}

fn at_socket(scanner: &str, replay: &Replay) -> String {
    format!("{scanner}:{}", Path::new(&replay.socket()).display())
}

fn at_port(scanner: &str, replay: &Replay) -> String {
    format!("{scanner}:127.0.0.1 {}", replay.port())
}

const KNOWN_TO_EXIM: &[Known] = &[
    Known { scheme: "sophie", address: "sophie:/", av_scanner: |replay| at_socket("sophie", replay) },
    Known { scheme: "avast", address: "avast:/", av_scanner: |replay| at_socket("avast", replay) },
    Known { scheme: "fsav", address: "fsav:/", av_scanner: |replay| at_socket("fsecure", replay) },
    Known { scheme: "drweb", address: "drweb:/", av_scanner: |replay| at_socket("drweb", replay) },
    Known { scheme: "drweb", address: "drweb:tcp:", av_scanner: |replay| at_port("drweb", replay) },
    Known { scheme: "clamav", address: "clamav:tcp:", av_scanner: |replay| at_port("clamd", replay) },
    Known { scheme: "fprot", address: "fprot:", av_scanner: |replay| at_port("f-prot6d", replay) },
    Known { scheme: "fprotd", address: "fprotd:", av_scanner: |replay| at_port("f-protd", replay) },
];

#[test]
#[ignore = "needs Exim: tests/peers.sh installs and runs it"]
fn exim_agrees_about_the_scanners_that_it_knows() {
    let mut disagreements = Vec::new();
    for known in KNOWN_TO_EXIM {
        let recordings = verdicts(known.scheme, known.address);
        assert!(recordings.len() >= 2, "{}", known.scheme);
        for recording in recordings {
            let wanted = match &recording.ending {
                // Exim 4.96 finds the name in drwebd's answer, and crashes when it uses it.
                Ending::Infected(_) if known.scheme == "drweb" => continue,
                Ending::Infected(name) => Judgement::Malware(name.clone()),
                Ending::Clean => Judgement::Clean,
                Ending::MinorError(_) | Ending::Fault(_) => panic!("only verdicts were asked for"),
            };
            let replay = Replay::new(&recording, Client::Foreign(SMALL_TALK), "/share/");
            let judgement = exim::judge(&(known.av_scanner)(&replay));
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
