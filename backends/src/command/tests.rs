use super::*;
use crate::testing::{FILE, assert_recorded};
use crate::transcript::{Blame, Ending};

fn custom(codes: ExitCodes, threat: Option<&str>) -> Box<dyn Scanner> {
    let custom = CustomCommand {
        program: "/opt/scanner".to_owned(),
        arguments: vec!["--file=%f;".to_owned(), "%%f".to_owned()],
        codes,
        threat: threat.map(|text| Regex::new(text).unwrap()),
    };
    new("custom", &CommandOptions { custom: Some(custom), run_as: None }).unwrap()
}

fn preset(address: &str) -> Box<dyn Scanner> {
    new(address, &CommandOptions::default()).unwrap()
}

fn program(scanner: &dyn Scanner, path: &[u8]) -> Program {
    match scanner.begin(&Object::new(path, 1)) {
        Step::Run(program, _) => program,
        Step::Ask(ask, _) => panic!("{ask:?}"),
        Step::Done(outcome) => panic!("{outcome:?}"),
        Step::Rest(verdict) => panic!("{verdict:?}"),
    }
}

fn outcome(scanner: &dyn Scanner, exit: Exit, output: &[u8]) -> Outcome {
    let Step::Run(_, judge) = scanner.begin(&FILE) else { panic!("runs nothing") };
    judge(exit, output)
}

fn ending(scanner: &dyn Scanner, code: u8, output: &[u8]) -> Ending {
    Ending::from(&outcome(scanner, Exit::Code(code), output))
}

#[test]
fn recorded_runs_come_to_their_verdicts() {
    assert_recorded("command");
}

#[test]
fn every_expression_of_a_preset_can_be_read() {
    for preset in PRESETS {
        let (Threat::Name(text) | Threat::Found(text) | Threat::ClamAv(text)) = preset.threat;
        for text in [Some(text), preset.clean_words].into_iter().flatten() {
            assert!(Regex::new(text).is_ok(), "{} {text}", preset.name);
        }
        assert!(preset.places.iter().all(|place| place.starts_with('/')) && !preset.places.is_empty());
        assert!(FORMS.contains(preset.name), "{}", preset.name);
    }
}

#[test]
fn a_preset_may_be_elsewhere() {
    let here = program(&*preset("clamscan:/opt/x/clamscan"), b"/a");
    assert_eq!(here.places, ["/opt/x/clamscan"]);
    assert!(program(&*preset("CLAMSCAN"), b"/a").places.len() > 1);
    assert_eq!(preset("uvscan").shown(), "command uvscan");
    assert_eq!(preset("uvscan:/opt/u").shown(), "command /opt/u");
}

#[test]
fn refuses_what_names_no_program() {
    for (address, problem) in [
        ("", "no program that is known"),
        ("clamdscan", "no program that is known"),
        ("/usr/bin/clamscan", "no program that is known"),
        ("clamscan:", "begins with /"),
        ("clamscan:bin/clamscan", "begins with /"),
        ("custom", "\"scanner command\""),
        ("custom:/x", "no program that is known"),
    ] {
        let error = new(address, &CommandOptions::default()).err().unwrap().to_string();
        assert!(error.contains(problem) && error.contains("command:clamscan"), "{error}");
    }
}

#[test]
fn a_path_is_one_argument_whatever_is_in_it() {
    let scanner = custom(ExitCodes::default(), None);
    let path = b"/share/-a $(id) \"'\n\xff%f";
    let arguments = program(&*scanner, path).arguments;
    assert_eq!(arguments, [&b"--file=/share/-a $(id) \"'\n\xff%f;"[..], b"%/share/-a $(id) \"'\n\xff%f"]);
    assert_eq!(scanner.takes(), Takes::Path);
    assert_eq!(preset("clamscan").takes(), Takes::Descriptor);
}

#[test]
fn only_told_codes_mean_something() {
    let scanner = custom(ExitCodes { clean: vec![0, 4], infected: vec![1], minor_error: vec![7] }, None);
    for code in 0..=255 {
        let expected = match code {
            0 | 4 => Ending::Clean,
            1 => Ending::Infected("unknown".to_owned()),
            7 => Ending::MinorError(MinorErrorKind::NotScannable),
            _ => Ending::Fault(Blame::Misbehaved),
        };
        assert_eq!(ending(&*scanner, code, b""), expected, "{code}");
    }
}

#[test]
fn the_worst_meaning_of_a_code_counts() {
    let codes = |infected, minor_error| ExitCodes { clean: vec![0], infected, minor_error };
    assert!(matches!(ending(&*custom(codes(vec![0], vec![0]), None), 0, b""), Ending::Infected(_)));
    assert!(matches!(ending(&*custom(codes(vec![], vec![0]), None), 0, b""), Ending::MinorError(_)));
}

#[test]
fn output_proves_a_threat_whatever_the_code() {
    let codes = ExitCodes { clean: vec![0], infected: vec![1], minor_error: vec![2] };
    let scanner = custom(codes, Some(r"(?m)^(?:bad: (.*)|worse=(\S+)|worst)"));
    for code in [0, 1, 2, 3] {
        for (output, name) in [("x\nbad: A b\n", "A b"), ("worse=C", "C"), ("worst", "unknown")] {
            let expected = Ending::Infected(name.to_owned());
            assert_eq!(ending(&*scanner, code, output.as_bytes()), expected, "{code} {output}");
        }
    }
    assert_eq!(ending(&*scanner, 0, b"not bad: A"), Ending::Clean);
}

#[test]
fn a_program_that_was_killed_has_said_nothing() {
    for scanner in [preset("clamscan"), custom(ExitCodes::default(), Some("OK"))] {
        let outcome = outcome(&*scanner, Exit::Signal(11), b"/proc/self/fd/0: OK\n");
        assert_eq!(Ending::from(&outcome), Ending::Fault(Blame::Misbehaved));
        assert!(outcome.unwrap_err().to_string().contains("killed by signal 11"));
    }
}

#[test]
fn an_error_says_why_as_far_as_the_program_does() {
    let scanner = preset("clamscan");
    let text = |output: &[u8]| outcome(&*scanner, Exit::Code(2), output).unwrap_err().to_string();
    assert_eq!(text(b""), "the scanner failed: it ended with exit code 2");
    assert_eq!(
        text(b"LibClamAV Error: no\nERROR: Cannot\x1b get\n \n"),
        "the scanner failed: it ended with exit code 2: \"ERROR: Cannot\\x1b get\""
    );
}

#[test]
fn runs_as_whoever_it_is_told() {
    let run_as = RunAs { user: 7, group: 8, groups: vec![9] };
    let options = CommandOptions { custom: None, run_as: Some(run_as.clone()) };
    assert_eq!(program(&*new("uvscan", &options).unwrap(), b"/a").run_as, Some(run_as));
}
