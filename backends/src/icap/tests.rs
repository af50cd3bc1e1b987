use super::*;
use crate::testing::{
    Delivery, FILE, assert_blamed, assert_bounded_and_deaf_to_noise, assert_recorded, clean_turns_of_noise,
    ending, infected, is_minor, judge_turns_everywhere, last_step, play_turns,
};
use crate::transcript::{Blame, Ending};
use crate::verdict::MinorErrorKind;

const OPTIONS: &[u8] = b"ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nISTag: \"1\"\r\n\r\n";
const SMALL_PREVIEW: &[u8] = b"ICAP/1.0 200 OK\r\nPREVIEW: 4\r\n\r\n";
const CONTINUE: &[u8] = b"ICAP/1.0 100 Continue\r\n\r\n";
const UNMODIFIED: &[u8] = b"ICAP/1.0 204 Unmodified\r\nISTag: \"1\"\r\n\r\n";

const GARBLED: Ending = Ending::Fault(Blame::Garbled);
const MISBEHAVED: Ending = Ending::Fault(Blame::Misbehaved);
const NOT_SCANNABLE: Ending = Ending::MinorError(MinorErrorKind::NotScannable);

fn scanner() -> Box<dyn Scanner> {
    new("icap", "//127.0.0.1/avscan", None).unwrap()
}

/// How the answer to a whole file ends.
fn answer(reply: &str) -> Ending {
    ending(&*scanner(), &[OPTIONS], reply.as_bytes())
}

/// An answer of status 200 with these lines in its head, and this HTTP head within.
fn ok(headers: &str, http: &str) -> Ending {
    let found = answer(&format!(
        "ICAP/1.0 200 OK\r\n{headers}Encapsulated: res-hdr=0, res-body={}\r\n\r\n{http}5\r\nhello\r\n0\r\n\r\n",
        http.len()
    ));
    let bare = format!("ICAP/1.0 200 OK\n{headers}ENCAPSULATED: Res-Hdr=0, null-body=9\n\n{http}");
    assert_eq!(found, answer(&bare), "{bare}");
    found
}

const RETURNED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: ICAP/1.0 x\r\n\r\n";
const BLOCK_PAGE: &str = "HTTP/1.0 403 Forbidden\r\nContent-Type: text/html\r\n\r\n";

#[test]
fn recorded_dialogues_come_to_their_verdicts() {
    for scheme in ["icap", "symantec", "mcafee"] {
        assert_recorded(scheme);
    }
}

#[test]
fn keeps_what_every_scanner_owes() {
    assert_bounded_and_deaf_to_noise(&*scanner(), &[OPTIONS], UNMODIFIED);
    assert_bounded_and_deaf_to_noise(&*scanner(), &[SMALL_PREVIEW, CONTINUE], UNMODIFIED);
}

#[test]
fn an_object_that_is_returned_is_not_clean() {
    assert_eq!(ok("", RETURNED), NOT_SCANNABLE);
    assert_eq!(ok("X-Virus-ID: no threats\r\n", RETURNED), NOT_SCANNABLE);
    for reply in [
        "ICAP/1.0 200 OK\r\n\r\n",
        "ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        assert_eq!(answer(reply), NOT_SCANNABLE, "{reply}");
    }
}

#[test]
fn an_empty_file_that_is_returned_is_clean() {
    let empty = Object { size: 0, ..FILE };
    let reply = format!("ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=9\r\n\r\n{RETURNED}0\r\n\r\n");
    let judge = |reply: &[u8]| judge_turns_everywhere(&*scanner(), &empty, &[OPTIONS], reply);
    assert_eq!(judge(reply.as_bytes()), Ok(Verdict::Clean));
    let block_page = reply.replace("1.1 200", "1.1 403");
    assert_eq!(Ending::from(&judge(block_page.as_bytes())), infected("unknown"));
}

#[test]
fn a_file_of_which_not_all_was_looked_at_is_not_clean() {
    assert_eq!(ending(&*scanner(), &[SMALL_PREVIEW], UNMODIFIED), NOT_SCANNABLE);
    for size in 1..=4 {
        let small = Object { size, ..FILE };
        let judge =
            |turns: &[&[u8]]| Ending::from(&judge_turns_everywhere(&*scanner(), &small, turns, UNMODIFIED));
        assert_eq!(judge(&[SMALL_PREVIEW]), NOT_SCANNABLE, "{size}");
        assert_eq!(judge(&[SMALL_PREVIEW, CONTINUE]), Ending::Clean, "{size}");
    }
    let empty = Object { size: 0, ..FILE };
    assert_eq!(judge_turns_everywhere(&*scanner(), &empty, &[SMALL_PREVIEW], UNMODIFIED), Ok(Verdict::Clean));
}

#[test]
fn hears_of_a_threat_in_either_head() {
    for header in [
        "X-Infection-Found: Type=0; Resolution=2; Threat=Test-A;\r\n",
        "x-infection-found:type=0;threat= Test-A\r\n",
        "X-Infection-Found: Threat=Test-A\r\n",
        "X-Infection-Found: Type=0;\r\n Resolution=0;\r\n\tThreat=Test-A;\r\n",
        "X-Infection-Found: Type=2; Threat=Encrypted container violation\r\nX-Infection-Found: Type=0; Threat=Test-A\r\n",
        "X-Violations-Found: 1\r\n\tletter.doc\r\n\tTest-A\r\n\t11101\r\n\t2\r\n",
        "X-Virus-ID: Test-A\r\n",
        "X-Virus-Name: Test-A\r\nX-Block-Reason: Media type\r\n",
        "X-FSecure-Scan-Result: infected\r\nX-FSecure-Infection-Name: \"Test-A\"\r\n",
    ] {
        assert_eq!(ok(header, RETURNED), infected("Test-A"), "{header}");
        let http = format!("HTTP/1.1 200 OK\r\n{header}\r\n");
        assert_eq!(ok("", &http), infected("Test-A"), "{header}");
        let not_modified = format!("ICAP/1.0 204 No\r\n{header}\r\n");
        assert_eq!(answer(&not_modified), infected("Test-A"), "{header}");
    }
}

#[test]
fn a_block_page_is_a_threat_without_a_name() {
    assert_eq!(ok("", BLOCK_PAGE), infected("unknown"));
    assert_eq!(ok("X-Response-Info: blocked\r\n", RETURNED), infected("unknown"));
    assert_eq!(ok("X-Violations-Found: garbage\r\n", RETURNED), infected("unknown"));
    assert_eq!(ok("X-Response-Info: passed\r\nX-Violations-Found: 0\r\n", RETURNED), NOT_SCANNABLE);
}

#[test]
fn another_page_in_the_place_of_the_file_is_no_threat() {
    for status in ["307 Redirect", "407 Authenticate", "404 Not found", "500 Error", "206 Part"] {
        assert_eq!(ok("", &format!("HTTP/1.1 {status}\r\n\r\n")), NOT_SCANNABLE, "{status}");
    }
}

#[test]
fn what_kept_the_server_from_looking_is_a_minor_error() {
    let limit = Ending::MinorError(MinorErrorKind::OverScannerLimit);
    let encrypted = Ending::MinorError(MinorErrorKind::Encrypted);
    for (header, wanted) in [
        ("X-Infection-Found: Type=2; Resolution=2; Threat=Encrypted container violation;", &encrypted),
        ("X-Infection-Found: Type=2; Resolution=0; Threat=Container size violation", &limit),
        ("X-Infection-Found: Type=2; Threat=Malformed container", &NOT_SCANNABLE),
        ("X-Infection-Found: Type=0; Threat=Heuristics.Limits.Exceeded.MaxFileSize;", &limit),
        ("X-Violations-Found: 1\r\n a\r\n Container Depth Violation\r\n 1\r\n 2", &limit),
        ("X-Block-Reason: Media type blocked", &NOT_SCANNABLE),
        ("X-Block-Result: Encrypted", &encrypted),
    ] {
        assert_eq!(&ok(&format!("{header}\r\n"), BLOCK_PAGE), wanted, "{header}");
    }
    assert_eq!(ok("X-Block-Reason: Malware found\r\n", BLOCK_PAGE), infected("Malware found"));
}

#[test]
fn an_icap_error_is_the_servers_fault_and_no_threat() {
    for status in ["400", "403 Forbidden", "404 Not found", "408", "413", "500", "503", "206", "101", "300"] {
        let reply = format!("ICAP/1.0 {status}\r\nEncapsulated: null-body=0\r\n\r\n");
        assert_eq!(answer(&reply), MISBEHAVED, "{status}");
        if status != "101" {
            assert_eq!(ending(&*scanner(), &[], reply.as_bytes()), MISBEHAVED, "{status}");
        }
    }
    assert_eq!(
        answer("ICAP/1.0 403 Forbidden\r\nX-Infection-Found: Type=0; Threat=Test-A\r\n\r\n"),
        infected("Test-A")
    );
}

#[test]
fn refuses_what_is_no_icap() {
    for reply in ["HTTP/1.1 204 No Content\r\n\r\n", "ICAP/1.0 20x\r\n\r\n", "fd[12]: OK\r\n\r\n", "\r\n"] {
        assert_eq!(answer(reply), GARBLED, "{reply}");
        assert_eq!(ending(&*scanner(), &[], reply.as_bytes()), GARBLED, "{reply}");
    }
    assert_eq!(answer("ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0\r\n\r\nrubbish\r\n\r\n"), GARBLED);
}

#[test]
fn refuses_a_service_that_cannot_be_asked() {
    for headers in
        ["Methods: REQMOD\r\n", "Connection: Close\r\n", "Encapsulated: opt-body=0\r\n", "Methods:\r\n"]
    {
        let options = format!("ICAP/1.0 200 OK\r\n{headers}\r\n");
        assert_eq!(ending(&*scanner(), &[options.as_bytes()], UNMODIFIED), MISBEHAVED, "{headers}");
    }
}

#[test]
fn a_service_without_options_is_asked_without_a_preview() {
    for options in ["405 Method not allowed", "501 Not implemented", "200 OK\r\nPreview: many"] {
        let options = format!("ICAP/1.0 {options}\r\n\r\n");
        assert_eq!(ending(&*scanner(), &[options.as_bytes()], UNMODIFIED), Ending::Clean, "{options}");
    }
}

#[test]
fn refuses_to_go_on_where_there_is_nothing_more() {
    let early = [OPTIONS, CONTINUE];
    assert_eq!(ending(&*scanner(), &early, UNMODIFIED), MISBEHAVED);
    let twice = [SMALL_PREVIEW, CONTINUE, CONTINUE];
    assert_eq!(ending(&*scanner(), &twice, UNMODIFIED), MISBEHAVED);
}

#[test]
fn refuses_a_second_answer() {
    let two = [UNMODIFIED, UNMODIFIED].concat();
    let outcome = play_turns(&*scanner(), &FILE, &[OPTIONS], &two, Delivery::Whole);
    assert_blamed(Blame::Misbehaved, &outcome);
    let both = [OPTIONS, UNMODIFIED].concat();
    assert_blamed(Blame::Misbehaved, &play_turns(&*scanner(), &FILE, &[], &both, Delivery::Whole));
}

/// Whether the next scan may use the connection after this answer to a whole file.
fn leaves_the_connection(reply: &str) -> bool {
    let step = last_step(&*scanner(), &FILE, &[OPTIONS], reply.as_bytes(), Delivery::Whole);
    matches!(step, Step::Rest(Verdict::Clean))
}

#[test]
fn a_connection_serves_the_next_scan_after_an_answer_without_a_body() {
    let after_preview =
        last_step(&*scanner(), &FILE, &[SMALL_PREVIEW, CONTINUE], UNMODIFIED, Delivery::Pieces(1));
    assert!(matches!(after_preview, Step::Rest(Verdict::Clean)));
    assert!(leaves_the_connection("ICAP/1.0 204 Unmodified\r\nConnection: keep-alive\r\n\r\n"));
    for reply in [
        "ICAP/1.0 204 Unmodified\r\nConnection: Close\r\n\r\n",
        "ICAP/1.0 204 Unmodified\r\nConnection: x, close\r\n\r\n",
        "ICAP/1.0 204 Unmodified\r\n\r\n\r\n",
        "ICAP/1.0 204 Unmodified\r\nX-Virus-ID: Test-A\r\n\r\n",
        "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, null-body=19\r\n\r\nHTTP/1.1 403 No\r\n\r\n",
        "ICAP/1.0 500 Oops\r\n\r\n",
    ] {
        assert!(!leaves_the_connection(reply), "{reply}");
    }
    let early = last_step(&*scanner(), &FILE, &[SMALL_PREVIEW], UNMODIFIED, Delivery::Whole);
    assert!(matches!(early, Step::Done(_)), "the server has not seen all of the file");
}

/// As far as the first content is asked for.
fn streaming(options: &[u8]) -> Box<dyn Dialogue> {
    let Step::Ask(_, options_asked) = scanner().begin(&FILE) else { panic!("asks to write") };
    let Step::Ask(Ask::Read, reply) = options_asked.told(News::Sent) else { panic!("asks to read") };
    let Step::Ask(Ask::Write(_), head) = reply.told(News::Received(options)) else { panic!("asks to write") };
    let Step::Ask(Ask::Stream { .. }, content) = head.told(News::Sent) else { panic!("asks to stream") };
    content
}

fn outcome(step: Step) -> Outcome {
    let Step::Done(outcome) = step else { panic!("is done") };
    outcome
}

#[test]
fn hears_an_early_answer_while_it_sends() {
    let Step::Ask(Ask::Resume, content) = streaming(OPTIONS).told(News::Received(b"ICAP/1.0 2")) else {
        panic!("goes on sending")
    };
    let infected = b"00 OK\r\nX-Virus-ID: Test-A\r\n\r\n";
    assert_eq!(Ending::from(&outcome(content.told(News::Received(infected)))), self::infected("Test-A"));

    let early = outcome(streaming(OPTIONS).told(News::Received(UNMODIFIED)));
    assert!(is_minor(MinorErrorKind::NotScannable, &early), "{early:?}");
    assert_blamed(Blame::Misbehaved, &outcome(streaming(SMALL_PREVIEW).told(News::Received(CONTINUE))));
}

#[test]
fn reads_the_reason_after_sending_failed() {
    let broken = || match streaming(OPTIONS).told(News::SendFailed) {
        Step::Ask(Ask::Read, reply) => reply,
        Step::Ask(..) | Step::Done(_) | Step::Rest(_) | Step::Run(..) => panic!("asks to read"),
    };
    assert_blamed(Blame::Misbehaved, &outcome(broken().told(News::Received(b"ICAP/1.0 503 Busy\r\n\r\n"))));
    assert_blamed(Blame::Transport, &outcome(broken().told(News::EndOfStream)));
    let cut = outcome(broken().told(News::Received(UNMODIFIED)));
    assert!(is_minor(MinorErrorKind::NotScannable, &cut), "{cut:?}");
}

#[test]
fn believes_no_answer_about_an_empty_file_to_a_request_that_was_cut_off() {
    let empty = Object::new(b"/share/empty", 0);
    let Step::Ask(_, options) = scanner().begin(&empty) else { panic!("asks to write") };
    let Step::Ask(Ask::Read, reply) = options.told(News::Sent) else { panic!("asks to read") };
    let Step::Ask(Ask::Write(_), request) = reply.told(News::Received(OPTIONS)) else {
        panic!("asks to write")
    };
    let Step::Ask(Ask::Read, reply) = request.told(News::SendFailed) else { panic!("asks to read") };
    assert_blamed(Blame::Transport, &outcome(reply.told(News::Received(UNMODIFIED))));
}

#[test]
fn sends_no_file_to_a_server_that_hung_up_on_the_question() {
    let Step::Ask(_, options) = scanner().begin(&FILE) else { panic!("asks to write") };
    let Step::Ask(Ask::Read, reply) = options.told(News::SendFailed) else { panic!("asks to read") };
    assert_blamed(Blame::Transport, &outcome(reply.told(News::Received(OPTIONS))));
}

#[test]
fn refuses_a_file_that_shrank_and_news_it_did_not_ask_for() {
    assert_blamed(Blame::Caller, &outcome(streaming(OPTIONS).told(News::FileEnded(2))));
    assert_blamed(Blame::Caller, &outcome(streaming(OPTIONS).told(News::EndOfStream)));
}

#[test]
fn no_name_changes_the_request() {
    let object = Object::new(b"/a/x y\r\nX-Evil: \xff?#/", 1);
    let request = Request::new(&Address::parse("//h/s", None).unwrap(), &object);
    assert_eq!(request.heads[0], "GET http://vscan/ HTTP/1.1\r\nHost: vscan\r\n\r\n");
    let object = Object::new(b"/a/x y\r\nX: \xff?#", 1);
    let request = Request::new(&Address::parse("//h/s", None).unwrap(), &object);
    let head = String::from_utf8(request.head(&Options { preview: Some(0), ..Options::default() })).unwrap();
    assert!(head.contains("GET http://vscan/x%20y%0D%0AX%3A%20%FF%3F%23 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nPreview: 0\r\n"), "{head}");
}

#[test]
fn the_istag_is_the_version_of_the_signatures() {
    let query = scanner().version_query().unwrap();
    assert!(query.request.starts_with(b"OPTIONS icap://127.0.0.1:1344/avscan ICAP/1.0\r\n"));
    for length in 0..OPTIONS.len() {
        assert_eq!((query.answer)(&OPTIONS[..length]), None);
    }
    assert_eq!((query.answer)(OPTIONS).unwrap().unwrap(), "\"1\"");
    for reply in [SMALL_PREVIEW, b"ICAP/1.0 404 No\r\nISTag: \"1\"\r\n\r\n", b"rubbish\n\n", &[b'x'; 70_000]]
    {
        assert!((query.answer)(reply).unwrap().is_err());
    }
}

#[test]
fn noise_is_clean_only_if_well_formed() {
    let words =
        ["ICAP/1.0 ", "204", "200 OK", "100", "\r\n", "\n", "Encapsulated: res-hdr=0", " x", "HTTP/1.0 200"];
    for reply in clean_turns_of_noise(&*scanner(), &[OPTIONS], &words) {
        assert!(reply.starts_with("ICAP/1.0 204"), "{reply:?}");
        assert!(["\n\n", "\n\r\n"].iter().any(|end| reply.contains(end)), "{reply:?}");
    }
}

const FOR_A_MINUTE: &[u8] =
    b"ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nISTag: \"1\"\r\nPreview: 4\r\nOptions-TTL: 60\r\n\r\n";

/// Whether a scan that begins at this second asks for the options first.
fn asks_for_options(scanner: &dyn Scanner, second: u64) -> bool {
    match scanner.begin(&Object { asked_at: Duration::from_secs(second), ..FILE }) {
        Step::Ask(Ask::Write(request), _) => request.starts_with(b"OPTIONS "),
        Step::Ask(..) | Step::Done(_) | Step::Rest(_) | Step::Run(..) => panic!("nothing is sent"),
    }
}

/// A scan at second 100, with these turns of the server.
fn scan_at_100(scanner: &dyn Scanner, turns: &[&[u8]], reply: &[u8]) -> Outcome {
    let object = Object { asked_at: Duration::from_secs(100), ..FILE };
    play_turns(scanner, &object, turns, reply, Delivery::Whole)
}

#[test]
fn options_hold_as_long_as_the_service_says() {
    let scanner = scanner();
    assert_eq!(scan_at_100(&*scanner, &[FOR_A_MINUTE, CONTINUE], UNMODIFIED), Ok(Verdict::Clean));
    assert!(!asks_for_options(&*scanner, 101) && !asks_for_options(&*scanner, 159));
    assert!(asks_for_options(&*scanner, 160));
    // With the preview that was told.
    assert_eq!(scan_at_100(&*scanner, &[CONTINUE], UNMODIFIED), Ok(Verdict::Clean));
    let Ok(Verdict::MinorError(_)) = scan_at_100(&*scanner, &[], UNMODIFIED) else { panic!("4 of 12 bytes") };
}

#[test]
fn a_service_that_tells_no_time_is_asked_each_time() {
    let scanner = scanner();
    assert_eq!(scan_at_100(&*scanner, &[OPTIONS], UNMODIFIED), Ok(Verdict::Clean));
    assert!(asks_for_options(&*scanner, 100));
}

#[test]
fn nothing_holds_longer_than_an_hour() {
    let scanner = scanner();
    let forever = b"ICAP/1.0 200 OK\r\nOptions-TTL: 18446744073709551615\r\n\r\n";
    assert_eq!(scan_at_100(&*scanner, &[forever], UNMODIFIED), Ok(Verdict::Clean));
    assert!(!asks_for_options(&*scanner, 3699) && asks_for_options(&*scanner, 3700));
}

#[test]
fn a_new_tag_and_a_fault_end_what_was_remembered() {
    let new_tag = b"ICAP/1.0 204 Unmodified\r\nISTag: \"2\"\r\n\r\n";
    for (reply, is_clean) in [(new_tag.as_slice(), true), (b"ICAP/1.0 500 Oops\r\n\r\n", false), (b"", false)]
    {
        let scanner = scanner();
        let outcome = scan_at_100(&*scanner, &[FOR_A_MINUTE, CONTINUE], reply);
        assert_eq!(outcome == Ok(Verdict::Clean), is_clean);
        assert!(asks_for_options(&*scanner, 101), "{}", String::from_utf8_lossy(reply));
    }
}
