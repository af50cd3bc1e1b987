use super::*;
use crate::testing::{
    Delivery, FILE, assert_blamed, assert_recorded, clean_replies_of_noise, is_minor, judge_everywhere,
    last_step, play_reply,
};
use crate::transcript::Blame;
use crate::verdict::{MinorErrorKind, ThreatName, Verdict};

const IN_SESSION: Object<'static> = Object { series: Some(0), ..FILE };

fn over_unix() -> Box<dyn Scanner> {
    new("/run/clamav/clamd.ctl".parse().unwrap())
}

fn over_tcp() -> Box<dyn Scanner> {
    new("tcp:127.0.0.1:3310".parse().unwrap())
}

fn fildes(reply: &[u8]) -> Outcome {
    judge_everywhere(&*over_unix(), &FILE, reply)
}

fn instream(reply: &[u8]) -> Outcome {
    judge_everywhere(&*over_tcp(), &FILE, reply)
}

fn infected(name: &str) -> Outcome {
    Ok(Verdict::Infected(ThreatName::new(name.as_bytes())))
}

#[test]
fn tells_how_much_it_has_to_do() {
    let told = b"POOLS: 1\n\nSTATE: VALID PRIMARY\nTHREADS: live 3  idle 1 max 12 idle-timeout 30\n\
                 QUEUE: 5 items\n\tSTATS 0.000\n\nEND\0";
    assert_eq!(load_told(told), Some(Ok("2 of 12 threads busy, 5 waiting".to_owned())));
    assert_eq!(load_told(&told[..told.len() - 1]), None, "there may be more");
    assert!(matches!(load_told(b"UNKNOWN COMMAND\0"), Some(Err(Fault::Garbled(_)))));
}

#[test]
fn recorded_dialogues_come_to_their_verdicts() {
    assert_recorded("clamav");
}

#[test]
fn accepts_ok_for_exactly_the_request_that_was_made() {
    assert_eq!(fildes(b"fd[0]: OK\0"), Ok(Verdict::Clean));
    assert_eq!(fildes(b"fd[1234567]: OK\0"), Ok(Verdict::Clean));
    assert_eq!(instream(b"stream: OK\0"), Ok(Verdict::Clean));
}

#[test]
fn refuses_every_other_word_and_label() {
    let labels =
        "OK|: OK|x: OK|fd: OK|fd[]: OK|fd[x]: OK|fd[-1]: OK|fd[12] OK|fd[12]:OK| fd[12]: OK|stream: OK";
    let words =
        "fd[12]: ok|fd[12]: OK |fd[12]:  OK|fd[12]: |fd[12]: KO|fd[12]: FOUND|fd[12]: OK\r|fd[1]: a: OK";
    let others = "PONG|HTTP/1.1 400 Bad Request\r|| |/share/x: OK: OK";
    for reply in [labels, words, others].iter().flat_map(|replies| replies.split('|')) {
        assert_blamed(Blame::Garbled, &fildes(format!("{reply}\0").as_bytes()));
    }
    for reply in ["OK", "fd[12]: OK", "stream:OK", "Stream: OK", "stream: OK stream: OK", "instream: OK"] {
        assert_blamed(Blame::Garbled, &instream(format!("{reply}\0").as_bytes()));
    }
}

#[test]
fn takes_all_before_found_for_the_name() {
    assert_eq!(fildes(b"fd[12]: Win.Test-1 FOUND\0"), infected("Win.Test-1"));
    assert_eq!(instream(b"stream: {HEX}a: OK FOUND FOUND\0"), infected("{HEX}a: OK FOUND"));
    assert_eq!(instream(b"stream:  FOUND\0"), infected("unknown"));
}

#[test]
fn strips_the_details_of_old_daemons_and_nothing_else() {
    assert_eq!(instream(b"stream: X(44d88612fea8a8f36de82e1278abb02f:68) FOUND\0"), infected("X"));
    for name in ["X(44d8)", "X(:68)", "X(44d8:)", "X(zz:68)", "X(44d8:68", "X(44d8:6 8)"] {
        assert_eq!(instream(format!("stream: {name} FOUND\0").as_bytes()), infected(name));
    }
}

#[test]
fn what_kept_clamd_from_looking_is_a_minor_error() {
    for (answer, kind) in [
        ("Heuristics.Limits.Exceeded.MaxScanSize FOUND", MinorErrorKind::OverScannerLimit),
        ("Heuristics.Limits.Exceeded FOUND", MinorErrorKind::OverScannerLimit),
        ("Heuristics.Encrypted.PDF FOUND", MinorErrorKind::Encrypted),
        ("CL_ETIMEOUT: Time limit reached ERROR", MinorErrorKind::OverScannerLimit),
        ("Not a regular file ERROR", MinorErrorKind::NotScannable),
        ("Can't open file or directory ERROR", MinorErrorKind::NotScannable),
        ("Excluded", MinorErrorKind::NotScannable),
        ("Empty file", MinorErrorKind::NotScannable),
    ] {
        assert!(is_minor(kind, &fildes(format!("fd[9]: {answer}\0").as_bytes())), "{answer}");
    }
    assert_eq!(
        instream(b"stream: Heuristics.OLE2.ContainsMacros.VBA FOUND\0"),
        infected("Heuristics.OLE2.ContainsMacros.VBA")
    );
}

#[test]
fn an_empty_file_is_clean_only_if_it_is_empty() {
    let empty = Object { size: 0, ..FILE };
    assert_eq!(judge_everywhere(&*over_unix(), &empty, b"fd[9]: Empty file\0"), Ok(Verdict::Clean));
    assert!(is_minor(MinorErrorKind::NotScannable, &fildes(b"fd[9]: Empty file\0")));
}

#[test]
fn the_daemons_own_trouble_is_not_the_files() {
    for reply in [
        "No file descriptor received. ERROR\0",
        "PROTOCOL ERROR: ancillary data sent without FILDES. ERROR\0Error processing command. ERROR\0",
        "Error processing command. ERROR\0fd[11]: OK\0",
        "UNKNOWN COMMAND\0",
        "COMMAND UNAVAILABLE\0",
        "COMMAND READ TIMED OUT\n",
        "Error writing to temporary file. ERROR\0",
        "fd[11]: Can't create temporary file ERROR\0",
        "fd[11]: Can't allocate memory ERROR\0",
        "3: fd[12]: OK\0",
        "1: PONG\0",
    ] {
        assert_blamed(
            Blame::Misbehaved,
            &play_reply(&*over_unix(), &FILE, reply.as_bytes(), Delivery::Whole),
        );
    }
}

#[test]
fn no_threat_is_lost_behind_another_answer() {
    for reply in ["stream: OK\0stream: X FOUND\0", "Error processing command. ERROR\0stream: X FOUND\0"] {
        assert_eq!(play_reply(&*over_tcp(), &FILE, reply.as_bytes(), Delivery::Whole), infected("X"));
    }
    let two = play_reply(&*over_tcp(), &FILE, b"stream: OK\0stream: OK\0", Delivery::Whole);
    assert_blamed(Blame::Misbehaved, &two);
}

#[test]
fn refuses_a_reply_that_was_cut_off_anywhere() {
    let reply = b"stream: OK\0";
    for length in 0..reply.len() {
        assert_blamed(Blame::Transport, &instream(&reply[..length]));
    }
    assert_eq!(instream(b"stream: X FOUND"), infected("X"));
}

#[test]
fn refuses_a_reply_without_end() {
    assert_blamed(Blame::Garbled, &play_reply(&*over_unix(), &FILE, &[b'f'; 70_000], Delivery::Pieces(4096)));
}

/// Begins INSTREAM and goes as far as the stream of the content.
fn streaming() -> Box<dyn Dialogue> {
    let Step::Ask(_, command) = over_tcp().begin(&FILE) else { panic!("asks to write") };
    let Step::Ask(Ask::Stream { .. }, content) = command.told(News::Sent) else { panic!("asks to stream") };
    content
}

fn outcome(step: Step) -> Outcome {
    let Step::Done(outcome) = step else { panic!("is done") };
    outcome
}

#[test]
fn reads_the_reason_after_sending_failed() {
    let Step::Ask(Ask::Read, reply) = streaming().told(News::SendFailed) else { panic!("asks to read") };
    let step = reply.told(News::Received(b"INSTREAM size limit exceeded. ERROR\0"));
    assert!(is_minor(MinorErrorKind::OverScannerLimit, &outcome(step)));
}

#[test]
fn refuses_ok_for_a_file_that_was_not_sent_whole() {
    let Step::Ask(Ask::Read, reply) = streaming().told(News::SendFailed) else { panic!("asks to read") };
    assert_blamed(Blame::Misbehaved, &outcome(reply.told(News::Received(b"stream: OK\0"))));
    assert_blamed(Blame::Misbehaved, &outcome(streaming().told(News::Received(b"stream: OK\0"))));
}

#[test]
fn hears_a_threat_while_it_sends() {
    let Step::Ask(Ask::Resume, content) = streaming().told(News::Received(b"stream: X FO")) else {
        panic!("goes on sending")
    };
    assert_eq!(outcome(content.told(News::Received(b"UND\0"))), infected("X"));
}

#[test]
fn a_silent_hang_up_while_sending_names_the_likely_setting() {
    let Step::Ask(Ask::Read, reply) = streaming().told(News::SendFailed) else { panic!("asks to read") };
    let fault = outcome(reply.told(News::EndOfStream)).unwrap_err();
    assert!(fault.to_string().contains("StreamMaxLength"), "{fault}");
}

#[test]
fn refuses_a_file_that_shrank() {
    assert_blamed(Blame::Caller, &outcome(streaming().told(News::FileEnded(2))));
}

#[test]
fn refuses_news_it_did_not_ask_for() {
    assert_blamed(Blame::Caller, &outcome(streaming().told(News::EndOfStream)));
}

#[test]
fn asks_for_the_version_of_the_signatures() {
    let query = over_unix().version_query().unwrap();
    assert_eq!(query.request, b"zVERSION\0");
    let told = b"ClamAV 1.4.6/27501/Mon Dec 30 09:41:35 2024\0";
    for length in 0..told.len() {
        assert_eq!((query.answer)(&told[..length]), None);
    }
    assert_eq!((query.answer)(told).unwrap().unwrap(), "ClamAV 1.4.6/27501/Mon Dec 30 09:41:35 2024");
    for reply in [b"COMMAND UNAVAILABLE\0".as_slice(), b"UNKNOWN COMMAND\0", b"\0", &[b'x'; 70_000]] {
        assert!((query.answer)(reply).unwrap().is_err());
    }
}

/// What is said about files one after the other in one session, split everywhere: the last of these answers decides.
fn in_session(answers: &[&[u8]]) -> Vec<Step> {
    let step = |(before, answer): (u64, &&[u8])| {
        let object = Object { series: Some(before), ..FILE };
        let end = |delivery| last_step(&*over_unix(), &object, &[], answer, delivery);
        for delivery in (1..answer.len()).map(Delivery::SplitAt).chain([Delivery::Pieces(1)]) {
            assert_eq!(ended(end(delivery)).0, ended(end(Delivery::Whole)).0, "{}", answer.escape_ascii());
        }
        end(Delivery::Whole)
    };
    (0..).zip(answers).map(step).collect()
}

/// The outcome, and whether the session goes on.
fn ended(step: Step) -> (Outcome, bool) {
    match step {
        Step::Rest(verdict) => (Ok(verdict), true),
        Step::Done(outcome) => (outcome, false),
        Step::Ask(..) | Step::Run(..) => panic!("that is no end"),
    }
}

#[test]
fn a_session_goes_on_after_each_verdict() {
    let answers: [&[u8]; 5] = [
        b"1: fd[11]: OK\0",
        b"2: fd[11]: X FOUND\0",
        b"3: fd[9]: Not a regular file ERROR\0",
        b"4: fd[11]: Heuristics.Encrypted.PDF FOUND\0",
        b"5: fd[11]: OK\0",
    ];
    let ends: Vec<(Outcome, bool)> = in_session(&answers).into_iter().map(ended).collect();
    assert!(ends.iter().all(|(_, goes_on)| *goes_on), "{ends:?}");
    let outcomes: Vec<Outcome> = ends.into_iter().map(|(outcome, _)| outcome).collect();
    assert_eq!((&outcomes[0], &outcomes[1]), (&Ok(Verdict::Clean), &infected("X")));
    assert!(is_minor(MinorErrorKind::NotScannable, &outcomes[2]));
    assert!(is_minor(MinorErrorKind::Encrypted, &outcomes[3]));
    assert_eq!(outcomes[4], Ok(Verdict::Clean));
}

#[test]
fn an_answer_counts_only_under_the_number_of_its_request() {
    let second = |answer: &[u8]| ended(in_session(&[b"1: fd[11]: OK\0", answer]).remove(1));
    for answer in ["1: fd[11]: OK", "3: fd[11]: OK", "3: fd[11]: X FOUND", "02: fd[11]: OK", "22: fd[11]: OK"]
    {
        let (outcome, goes_on) = second(format!("{answer}\0").as_bytes());
        assert_blamed(Blame::Misbehaved, &outcome);
        assert!(!goes_on, "{answer}");
    }
    let others =
        "fd[11]: OK|2 fd[11]: OK|2:fd[11]: OK| 2: fd[11]: OK|2: OK|2: stream: OK|2: fd[11]: ok|2: PONG";
    for answer in others.split('|') {
        let (outcome, goes_on) = second(format!("{answer}\0").as_bytes());
        assert_blamed(Blame::Garbled, &outcome);
        assert!(!goes_on, "{answer}");
    }
    assert_blamed(Blame::Garbled, &second(b"2: Command invalid inside IDSESSION. ERROR\0").0);
    for answer in
        ["2: No file descriptor received. ERROR\0", "COMMAND READ TIMED OUT\n", "2: 2: fd[11]: OK\0"]
    {
        assert_blamed(Blame::Misbehaved, &second(answer.as_bytes()).0);
    }
    // By itself, nothing has a number.
    assert_blamed(Blame::Misbehaved, &fildes(b"1: fd[11]: OK\0"));
}

#[test]
fn a_session_that_ends_or_says_more_is_over() {
    let first = |answer: &[u8]| ended(in_session(&[answer]).remove(0));
    let answer = b"1: fd[11]: OK\0";
    for length in 0..answer.len() {
        assert_blamed(Blame::Transport, &first(&answer[..length]).0);
    }
    assert_eq!(first(b"1: fd[11]: X FOUND"), (infected("X"), false));
    for more in ["1: fd[11]: OK\0", "2: fd[11]: OK\0", "COMMAND READ TIMED OUT\n"] {
        let both = [answer, more.as_bytes()].concat();
        let end = ended(last_step(&*over_unix(), &IN_SESSION, &[], &both, Delivery::Whole));
        assert_blamed(Blame::Misbehaved, &end.0);
    }
    for end in ["\n", "\0", "\0 "] {
        let both = [b"1: fd[11]: OK".as_slice(), end.as_bytes()].concat();
        let step = last_step(&*over_unix(), &IN_SESSION, &[], &both, Delivery::Whole);
        assert_eq!(ended(step), (Ok(Verdict::Clean), end == "\0"), "{end:?}");
    }
}

#[test]
fn only_a_descriptor_is_passed_in_a_session() {
    assert!(over_unix().has_sessions() && !over_tcp().has_sessions());
    let asks = |before| match over_unix().begin(&Object { series: before, ..FILE }) {
        Step::Ask(Ask::PassDescriptor(bytes), _) => bytes,
        Step::Ask(..) | Step::Done(_) | Step::Rest(_) | Step::Run(..) => panic!("passes a descriptor"),
    };
    assert_eq!(asks(None), b"zFILDES\0\0".as_slice());
    assert_eq!(asks(Some(0)), b"zIDSESSION\0zFILDES\0\0".as_slice());
    assert_eq!(asks(Some(1)), b"zFILDES\0\0".as_slice());
}

#[test]
fn noise_is_clean_only_if_well_formed() {
    let is_end = |end: &str| !end.is_empty() && end.chars().all(|c| matches!(c, '\0' | '\n' | ' '));
    let words = ["fd[", "12", "]: OK", "]: ", "OK", " FOUND", "stream: ", "\0", "\n", "X", " "];
    for reply in clean_replies_of_noise(&*over_unix(), &words) {
        let line = reply.strip_prefix("fd[").and_then(|rest| rest.split_once("]: OK"));
        let well_formed = line.is_some_and(|(number, end)| number.parse::<u128>().is_ok() && is_end(end));
        assert!(well_formed, "{reply:?}");
    }
    for reply in clean_replies_of_noise(&*over_tcp(), &words) {
        assert!(reply.strip_prefix("stream: OK").is_some_and(is_end), "{reply:?}");
    }
}
