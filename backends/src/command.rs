//! Scanner programs: started for each file, judged by their exit code and by what they write.
//!
//! A program always has the file as its standard input, opened for reading. One that wants a path is best given
//! `/proc/self/fd/0`: that is the very file, whatever has become of its name. Some refuse what is not an ordinary path, and
//! get the file's own, `%f`. No shell is involved, so a name means nothing but itself; and a path begins with `/`, so it
//! is never taken for an option.
//!
//! Only a code that stands for "clean" is clean. A code that nobody has explained, a signal, too much output: no verdict.

mod presets;

use std::borrow::Cow;
use std::sync::Arc;

use regex::bytes::Regex;

use crate::address::{AddressError, Endpoint};
use crate::dialogue::{Exit, Object, Outcome, Program, RunAs, Scanner, Step, Takes};
use crate::verdict::{Fault, MinorError, MinorErrorKind, ThreatName, Verdict};
use crate::wire::{MAX_REPLY, quoted};

pub use presets::PRESETS;

/// Stands for the path of the file.
const PATH: &str = "%f";

/// The word for a command that the administrator has written.
const CUSTOM: &str = "custom";

/// How an address is written.
const FORMS: &str = "command:clamscan, or savscan, uvscan, kavscanner, bdscan, esets, fpscan, f-prot, avscan or drweb in \
     its place, with another colon and the program's path behind it if it is not where it usually is; or command:custom";

/// What the configuration says of `command:`, apart from its address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommandOptions {
    /// What `command:custom` runs.
    pub custom: Option<CustomCommand>,
    /// The user that any `command:` runs as; None: root.
    pub run_as: Option<RunAs>,
}

/// A scanner program that is known to nobody but the administrator.
#[derive(Clone, Debug)]
pub struct CustomCommand {
    /// An absolute path.
    pub program: String,
    /// `%f` in them stands for the path of the file.
    pub arguments: Vec<String>,
    /// What its exit codes mean; all others are errors.
    pub codes: ExitCodes,
    /// Output that means a threat, whatever the exit code says. Its first group that takes part is the threat's name.
    pub threat: Option<Regex>,
}

impl PartialEq for CustomCommand {
    fn eq(&self, other: &Self) -> bool {
        let Self { program, arguments, codes, threat } = self;
        let text = |regex: &Option<Regex>| regex.as_ref().map(|regex| regex.as_str().to_owned());
        (program, arguments, codes) == (&other.program, &other.arguments, &other.codes)
            && text(threat) == text(&other.threat)
    }
}

/// What exit codes mean. One that stands in several lists means the worst of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExitCodes {
    /// Nothing was found.
    pub clean: Vec<u8>,
    /// Something was.
    pub infected: Vec<u8>,
    /// This file could not be judged.
    pub minor_error: Vec<u8>,
}

/// A program that is known here.
pub struct Preset {
    /// The word behind `command:`.
    pub name: &'static str,
    /// Where it may be; the first that is there is run.
    places: &'static [&'static str],
    /// What it is run with; `%f` stands for the path of the file.
    arguments: &'static [&'static str],
    /// Of its exit codes.
    meaning: fn(u8) -> Meaning,
    threat: Threat,
    /// Without this in its output, nothing is clean.
    clean_words: Option<&'static str>,
}

/// What an exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Clean,
    Infected,
    MinorError(MinorErrorKind),
    /// Anything else.
    Error,
}

impl ExitCodes {
    fn meaning(&self, code: u8) -> Meaning {
        if self.infected.contains(&code) {
            Meaning::Infected
        } else if self.minor_error.contains(&code) {
            Meaning::MinorError(MinorErrorKind::NotScannable)
        } else if self.clean.contains(&code) {
            Meaning::Clean
        } else {
            Meaning::Error
        }
    }
}

/// What a regular expression for threats says when it is found. Its first group that takes part is the name.
enum Threat {
    /// How the threat is called. Whether there is one, the exit code says.
    Name(&'static str),
    /// That there is one, whatever the exit code.
    Found(&'static str),
    /// The name, which may also say that clamscan did not look.
    ClamAv(&'static str),
}

/// `command:<preset>`, `command:<preset>:<path of the program>` or `command:custom`.
pub fn new(address: &str, options: &CommandOptions) -> Result<Box<dyn Scanner>, AddressError> {
    let wrong = |problem| Err(AddressError::new(address, problem, FORMS));
    let (name, place) = match address.split_once(':') {
        Some((name, place)) => (name, Some(place)),
        None => (address, None),
    };
    if let Some(place) = place
        && !place.starts_with('/')
    {
        return wrong("the path of a program begins with /");
    }
    let rules = match PRESETS.iter().find(|preset| preset.name.eq_ignore_ascii_case(name)) {
        Some(preset) => Rules::of_preset(preset, place),
        None if name.eq_ignore_ascii_case(CUSTOM) && place.is_none() => match &options.custom {
            Some(custom) => Rules::of_custom(custom),
            None => return wrong("\"scanner command\" does not say what to run"),
        },
        None => return wrong("this is no program that is known here"),
    };
    Ok(Box::new(Command { rules: Arc::new(rules), run_as: options.run_as.clone() }))
}

struct Command {
    rules: Arc<Rules>,
    run_as: Option<RunAs>,
}

/// How a program is run and understood.
struct Rules {
    places: Vec<String>,
    arguments: Vec<String>,
    codes: Codes,
    threat: Option<Regex>,
    /// A match is a threat, whatever the exit code.
    is_proof: bool,
    clean_words: Option<Regex>,
    /// What a name means.
    verdict: fn(&[u8]) -> Verdict,
}

enum Codes {
    Known(fn(u8) -> Meaning),
    Told(ExitCodes),
}

fn infected(name: &[u8]) -> Verdict {
    Verdict::Infected(ThreatName::new(name))
}

impl Rules {
    fn of_preset(preset: &Preset, place: Option<&str>) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        // The tests compile them all.
        let compiled = |text: &str| Regex::new(text).ok();
        let (threat, is_proof, verdict): (_, _, fn(&[u8]) -> Verdict) = match preset.threat {
            Threat::Name(text) => (text, false, infected),
            Threat::Found(text) => (text, true, infected),
            Threat::ClamAv(text) => (text, false, crate::clamav::threat),
        };
        Self {
            places: place.map_or_else(|| owned(preset.places), |place| vec![place.to_owned()]),
            arguments: owned(preset.arguments),
            codes: Codes::Known(preset.meaning),
            threat: compiled(threat),
            is_proof,
            clean_words: preset.clean_words.and_then(compiled),
            verdict,
        }
    }

    fn of_custom(custom: &CustomCommand) -> Self {
        let CustomCommand { program, arguments, codes, threat } = custom;
        Self {
            places: vec![program.clone()],
            arguments: arguments.clone(),
            codes: Codes::Told(codes.clone()),
            threat: threat.clone(),
            is_proof: true,
            clean_words: None,
            verdict: infected,
        }
    }

    fn judge(&self, exit: Exit, output: &[u8]) -> Outcome {
        let code = match exit {
            Exit::Code(code) => code,
            Exit::Signal(signal) => {
                return Err(Fault::Misbehaved(
                    format!("it was killed by signal {signal}{}", said(output)).into(),
                ));
            }
        };
        let meaning = match &self.codes {
            Codes::Known(meaning) => meaning(code),
            Codes::Told(codes) => codes.meaning(code),
        };
        let ended = || format!("it ended with exit code {code}{}", said(output));
        match (meaning, self.threat_in(output)) {
            (_, Some(name)) if self.is_proof => Ok((self.verdict)(&name)),
            (Meaning::Infected, name) => Ok((self.verdict)(&name.unwrap_or_default())),
            (Meaning::MinorError(kind), _) => {
                Ok(Verdict::MinorError(MinorError::new(kind, ended().as_bytes())))
            }
            (Meaning::Error, _) => Err(Fault::Misbehaved(ended().into())),
            (Meaning::Clean, _) if self.clean_words.as_ref().is_some_and(|words| !words.is_match(output)) => {
                Err(Fault::Garbled(format!("{}, and does not say that it scanned anything", ended()).into()))
            }
            (Meaning::Clean, _) => Ok(Verdict::Clean),
        }
    }

    fn threat_in<'a>(&self, output: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let found = self.threat.as_ref()?.captures(output)?;
        let name = found.iter().skip(1).flatten().next();
        Some(name.map_or_else(Cow::default, |name| Cow::Borrowed(name.as_bytes())))
    }
}

/// The last line of what a program wrote, behind a colon: usually the reason.
fn said(output: &[u8]) -> String {
    let mut lines = output.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    match lines.rfind(|line| !line.is_empty()) {
        Some(line) => format!(": {}", quoted(line)),
        None => String::new(),
    }
}

impl Scanner for Command {
    fn name(&self) -> &'static str {
        "command"
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        None
    }

    fn shown(&self) -> String {
        match self.rules.places.as_slice() {
            [place] => format!("command {place}"),
            [first, ..] => format!("command {}", first.rsplit('/').next().unwrap_or(first)),
            [] => self.name().to_owned(),
        }
    }

    fn takes(&self) -> Takes {
        let wants_path = self.rules.arguments.iter().any(|argument| argument.contains(PATH));
        if wants_path { Takes::Path } else { Takes::Descriptor }
    }

    fn begin(&self, object: &Object<'_>) -> Step {
        let argument = |argument: &String| match argument.split_once(PATH) {
            Some((before, after)) => [before.as_bytes(), object.path, after.as_bytes()].concat(),
            None => argument.clone().into_bytes(),
        };
        let program = Program {
            places: self.rules.places.clone(),
            arguments: self.rules.arguments.iter().map(argument).collect(),
            max_output: MAX_REPLY,
            run_as: self.run_as.clone(),
        };
        let rules = self.rules.clone();
        Step::Run(program, Box::new(move |exit, output| rules.judge(exit, output)))
    }
}

#[cfg(test)]
mod tests;
