//! What the transcripts show of every scanner.

use crate::command::{CommandOptions, PRESETS};
use crate::registry::{SCANNERS, parse_scanner};
use crate::testing::{Delivery, play_turns, recordings};
use crate::transcript::{Ending, Event, Recording};
use crate::verdict::Verdict;

/// Whether the README's table knows minor errors of what is written like this.
fn has_minor_errors(spec: &str) -> bool {
    let rows = include_str!("../README.md").lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let of_it: Vec<bool> = cells
        .filter_map(|cells| match cells.as_slice() {
            [_, _, _, _, written, minor, _, _] => {
                written.starts_with(&format!("`{spec}")).then(|| !minor.starts_with("none"))
            }
            _ => None,
        })
        .collect();
    assert!(!of_it.is_empty(), "the README has no row for {spec}");
    of_it.contains(&true)
}

#[test]
fn every_kind_of_answer_is_recorded() {
    for scanner in SCANNERS.iter().filter(|scanner| scanner.scheme != "dummy") {
        let recordings = recordings(scanner.scheme);
        let products: Vec<String> = match scanner.scheme {
            "command" => PRESETS.iter().map(|preset| format!("command:{}", preset.name)).collect(),
            scheme => vec![scheme.to_owned()],
        };
        for product in products {
            let is_its = |recording: &&Recording| recording.scanner.starts_with(&product);
            let has = |wanted: fn(&Ending) -> bool| {
                recordings.iter().filter(is_its).any(|recording| wanted(&recording.ending))
            };
            assert!(has(|ending| *ending == Ending::Clean), "{product}: clean");
            assert!(has(|ending| matches!(ending, Ending::Infected(_))), "{product}: infected");
            assert!(has(|ending| matches!(ending, Ending::Fault(_))), "{product}: a fault");
            let is_minor = |ending: &Ending| matches!(ending, Ending::MinorError(_));
            assert_eq!(has(is_minor), has_minor_errors(&product), "{product}: a minor error");
        }
    }
}

/// What the server says, each time that it is its turn.
fn turns(recording: &Recording) -> Vec<Vec<u8>> {
    let events = recording.events.split(|event| event.said_by_server().is_none());
    let said = events.map(|events| -> Vec<u8> {
        events.iter().filter_map(Event::said_by_server).flatten().copied().collect()
    });
    said.filter(|turn| !turn.is_empty()).collect()
}

#[test]
fn nothing_but_the_recorded_answer_is_clean() {
    let endless = vec![b'x'; 200_000];
    let noise: Vec<u8> = (0..=255).rev().collect();
    for recording in SCANNERS.iter().flat_map(|scanner| recordings(scanner.scheme)) {
        // A new one each time: some remember what they were told.
        let scanner = || parse_scanner(&recording.scanner, &CommandOptions::default()).unwrap();
        if recording.ending != Ending::Clean || scanner().endpoint().is_none() {
            continue;
        }
        let object = recording.object();
        let turns = turns(&recording);
        let (answer, before) = turns.split_last().unwrap();
        let before: Vec<&[u8]> = before.iter().map(Vec::as_slice).collect();
        let outcome = |answer: &[u8], delivery| play_turns(&*scanner(), &object, &before, answer, delivery);
        assert_eq!(outcome(answer, Delivery::Whole), Ok(Verdict::Clean), "[{}]", recording.title);
        // Not of the end of a line: some daemons leave it out.
        let words = answer.iter().rposition(|byte| !matches!(byte, b'\0' | b'\r' | b'\n')).unwrap_or(0) + 1;
        let half = answer.get(..words / 2).unwrap_or_default();
        let without_end = [half, &endless].concat();
        for other in [
            b"".as_slice(),
            half,
            &without_end,
            &endless,
            &noise,
            b"\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
        ] {
            for delivery in [Delivery::Whole, Delivery::Pieces(4096)] {
                let outcome = outcome(other, delivery);
                let shown = other.get(..60).unwrap_or(other).escape_ascii();
                assert!(outcome.is_err(), "{} [{}] {shown}: {outcome:?}", recording.scanner, recording.title);
            }
        }
    }
}
