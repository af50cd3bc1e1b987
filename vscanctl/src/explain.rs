//! `vscanctl explain`: what would happen at an open of a file, rule by rule.
//!
//! The rules and what follows from a verdict are the engine's own ([`policy`]): what is said here is what smbd would do.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use serde::Serialize;
use vscan_backends::dialogue::Outcome;
use vscan_backends::verdict::Verdict;
use vscan_engine::action::{Action, Bytes};
use vscan_engine::filetype::mime_type;
use vscan_engine::identity::{FileTime, Identity};
use vscan_engine::policy::{self, Access, Facts, Plan, RULES, Rule, Status};
use vscan_engine::protection::{Allowance, Considered, Judgement, Occasion, Place, Protection, key_of};
use vscan_engine::settings::{Loaded, ScanOnClose, Settings, Size};
use vscan_engine::shared::Entry;

use crate::cli::{Cli, ExplainArguments};
use crate::output::{Colour, Out, exact, reason, shown, table};
use crate::protection::{OnlyTrouble, Visitor, protect};
use crate::samba::SmbConf;
use crate::shares::{self, Share};
use crate::{Exit, Trouble, output};

#[derive(Serialize)]
struct Explanation {
    path: Bytes,
    share: String,
    steps: Vec<Step>,
    answer: Answer,
    text: String,
}

/// One rule, and what it says.
#[derive(Serialize)]
struct Step {
    rule: &'static str,
    setting: Option<String>,
    says: String,
    decides: bool,
}

/// What the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Allowed,
    DeniedInfected,
    DeniedAccess,
    /// Only a scan can tell.
    Scanned,
}

pub fn run(arguments: &ExplainArguments, cli: &Cli, out: &Out) -> Result<Exit, Trouble> {
    let shares = shares::all(&SmbConf::read(cli.config.as_deref())?);
    let failed = |error| format!("{}: {}", shown(&arguments.path), reason(&error));
    let path = arguments.path.canonicalize().map_err(failed)?;
    let (share, root) = shares::reaching(&shares, &path, arguments.share.as_deref())?;
    let explanation = match &share.protection {
        None => unprotected(share, &path),
        Some(loaded) => Subject::open(share, loaded, root, &path)?.explain(arguments.scan)?,
    };
    out.answer(&explanation, |out| explanation.text(out))?;
    Ok(match explanation.answer {
        Answer::Allowed | Answer::Scanned => Exit::Good,
        Answer::DeniedInfected | Answer::DeniedAccess => Exit::Bad,
    })
}

fn unprotected(share: &Share, path: &Path) -> Explanation {
    Explanation {
        path: exact(path),
        share: share.name.clone(),
        steps: Vec::new(),
        answer: Answer::Allowed,
        text: format!("allowed: share {} is not protected (\"vfs objects\" has no vscan)", share.name),
    }
}

impl Explanation {
    fn text(&self, out: &Out) -> String {
        let rows = self.steps.iter().map(|step| {
            let setting = step.setting.as_deref().map(|value| format!(" = {value}")).unwrap_or_default();
            let mark = if step.decides { "=>" } else { "" };
            vec![mark.to_owned(), format!("{}{setting}", step.rule), step.says.clone()]
        });
        let colour = match self.answer {
            Answer::Allowed => Colour::Green,
            Answer::Scanned => Colour::Yellow,
            Answer::DeniedInfected | Answer::DeniedAccess => Colour::Red,
        };
        table(&rows.collect::<Vec<_>>(), 0) + &out.coloured(&self.text, colour) + "\n"
    }
}

/// A file in a protected share.
struct Subject<'a> {
    share: &'a Share,
    loaded: &'a Loaded,
    root: PathBuf,
    path: PathBuf,
    /// The path by which smbd goes, links on the way to the share included.
    as_seen: PathBuf,
    in_share: Vec<u8>,
    file: File,
    identity: Identity,
}

impl<'a> Subject<'a> {
    fn open(share: &'a Share, loaded: &'a Loaded, root: PathBuf, path: &Path) -> Result<Self, Trouble> {
        // Not one that waits, or acts, when it is opened.
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let failed = |error: std::io::Error| format!("{}: {}", shown(path), reason(&error));
        let anchor = open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let stat = fstat(&anchor).map_err(|errno| failed(errno.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(format!("{} is not a regular file: vscan does not look at it", shown(path)));
        }
        let file = File::open(path).map_err(failed)?;
        let in_share = path.strip_prefix(&root).unwrap_or(path);
        let as_seen = share.as_seen_by_smbd(&root).join(in_share);
        let in_share = in_share.as_os_str().as_bytes().to_vec();
        let path = path.to_owned();
        Ok(Self { share, loaded, root, path, as_seen, in_share, file, identity: Identity::of(&stat) })
    }

    fn settings(&self) -> &Settings {
        &self.loaded.settings
    }

    fn explain(&self, may_scan: bool) -> Result<Explanation, Trouble> {
        let mut steps =
            vec![self.step("share", format!("{} ({})", self.share.name, shown(&self.share.path)))];
        let (answer, text) = self.answer(&mut steps, may_scan)?;
        if let Some(last) = steps.last_mut() {
            last.decides = true;
        }
        Ok(Explanation { path: exact(&self.path), share: self.share.name.clone(), steps, answer, text })
    }

    fn step(&self, rule: &'static str, says: impl Into<String>) -> Step {
        let in_force = self.loaded.in_force.iter().find(|option| option.name == rule);
        let setting = in_force.map(|option| option.value.clone());
        Step { rule, setting, says: says.into(), decides: false }
    }

    fn answer(&self, steps: &mut Vec<Step>, may_scan: bool) -> Result<(Answer, String), Trouble> {
        if self.loaded.refuses_opens() {
            steps.push(self.step("on config error", "the configuration has mistakes (see vscanctl check)"));
            return Ok((
                Answer::DeniedAccess,
                "denied: access denied, for every file of this share".to_owned(),
            ));
        }
        if !self.settings().scan_on_open {
            steps.push(self.step("scan on open", "files are not scanned when they are opened"));
            let after = if self.settings().scan_on_close == ScanOnClose::No {
                ""
            } else {
                "; scanned when it was changed and is closed"
            };
            return Ok((Answer::Allowed, format!("allowed without a scan{after}")));
        }
        if let Some(plan) = self.ask_the_rules(steps) {
            return Ok(match plan {
                Plan::Skip(reason) => (Answer::Allowed, format!("allowed without a scan: {reason}")),
                Plan::Refuse(reason) => {
                    (Answer::DeniedAccess, format!("denied: access denied, for {reason}"))
                }
                Plan::Scan => (Answer::Scanned, String::new()),
            });
        }
        let mut quiet = self.loaded.clone();
        quiet.settings.infected_file_action = Action::Nothing;
        let asked = Asked { protection: protect(&quiet, Box::new(OnlyTrouble))?, subject: self };
        if let Some(known) = asked.what_is_known(steps) {
            return Ok(known);
        }
        if !may_scan {
            let scanners = self.settings().scanners.join(", ");
            steps.push(self.step("scanner", "no rule decides: the open waits for a scan"));
            return Ok((
                Answer::Scanned,
                format!("scanned by {scanners} before the open goes on (--scan does that now)"),
            ));
        }
        asked.scan(steps)
    }

    /// Up to the first rule that decides.
    fn ask_the_rules(&self, steps: &mut Vec<Step>) -> Option<Plan> {
        let file_type = || mime_type(self.file.as_fd());
        let facts = Facts {
            path: self.as_seen.as_os_str().as_bytes(),
            path_in_share: &self.in_share,
            size: self.identity.size,
            file_type: &file_type,
        };
        for rule in RULES {
            let plan = rule.says(&facts, self.settings());
            let says = match &plan {
                None => self.passes(rule),
                Some(Plan::Skip(reason)) => Some(format!("not scanned: {reason}")),
                Some(Plan::Refuse(reason)) => Some(format!("refused: {reason}")),
                Some(Plan::Scan) => Some("scanned".to_owned()),
            };
            steps.extend(says.map(|says| self.step(name(rule), says)));
            if plan.is_some() {
                return plan;
            }
        }
        None
    }

    /// What there is to say of a rule that lets a file pass; None where that would be no news.
    fn passes(&self, rule: Rule) -> Option<String> {
        let size = Size(self.identity.size);
        let settings = self.settings();
        match rule {
            Rule::Empty => Some(format!("{} bytes", size.0)),
            Rule::ExcludePaths => {
                (!settings.exclude_paths.is_empty()).then(|| "does not cover it".to_owned())
            }
            Rule::IncludePaths => (!settings.include_paths.is_empty()).then(|| "covers it".to_owned()),
            Rule::ExcludeFileRegexp => {
                settings.exclude_file_regexp.as_ref().map(|_| "does not match its path".to_owned())
            }
            Rule::MinFileSize => (settings.min_file_size.0 > 0).then(|| "it is not smaller".to_owned()),
            Rule::OverLimitAllowed => {
                let limit = settings.max_file_size?;
                (size <= limit).then(|| "it is not larger".to_owned())
            }
            Rule::ExcludeFileTypes => (!settings.exclude_file_types.is_empty()).then(|| {
                let mime = mime_type(self.file.as_fd());
                format!("{} is not among them", mime.as_deref().unwrap_or("an unknown type"))
            }),
            Rule::OverLimitDenied => None,
        }
    }

    /// What follows from a verdict.
    fn consequence(&self, outcome: &Outcome) -> (Answer, String) {
        let decision = policy::after(outcome, self.settings());
        let says = verdict(outcome);
        match decision.access {
            Access::Allow => (Answer::Allowed, format!("allowed: {says}")),
            Access::AllowUnenforced(_) => {
                (Answer::Allowed, format!("allowed, because of \"enforce = no\": {says}"))
            }
            Access::Deny(status) => {
                let action = match decision.action {
                    Action::Nothing => "",
                    Action::Quarantine => "; the file would go to quarantine",
                    Action::Delete => "; the file would be deleted",
                    Action::Rename => "; the file would be renamed",
                };
                match status {
                    Status::Infected => {
                        (Answer::DeniedInfected, format!("denied: NT_STATUS_VIRUS_INFECTED: {says}{action}"))
                    }
                    Status::AccessDenied => {
                        (Answer::DeniedAccess, format!("denied: access denied: {says}{action}"))
                    }
                }
            }
        }
    }
}

/// A file, and a protection that can be asked about it and does nothing to it.
struct Asked<'a> {
    protection: Protection,
    subject: &'a Subject<'a>,
}

impl Asked<'_> {
    fn place(&self) -> Place<'_> {
        Place { path: self.subject.as_seen.as_os_str().as_bytes(), path_in_share: &self.subject.in_share }
    }

    /// A result of an earlier scan, if it counts.
    fn what_is_known(&self, steps: &mut Vec<Step>) -> Option<(Answer, String)> {
        let subject = self.subject;
        let considered = self.protection.consider(&self.place(), &subject.identity, &|| None);
        let entry = self.remembered();
        let age = entry.as_ref().map(|entry| format!(", {} ago", spoken(entry.stored))).unwrap_or_default();
        match considered {
            Considered::Judged(_) => {
                steps.push(subject.step("cache", format!("clean, by an earlier scan{age}")));
                Some((Answer::Allowed, "allowed without a scan: it is known to be clean".to_owned()))
            }
            Considered::KnownInfected(found) => {
                let says = format!("infected with {}, by an earlier scan{age}", found.threat);
                steps.push(subject.step("cache", says));
                let visitor = Visitor::new(&subject.share.name, &subject.root);
                let context = visitor.context();
                let place = self.place();
                let judgement =
                    self.protection.act_on_known(&found, &subject.file, &place, Occasion::Open, &context);
                Some(self.consequence(&Ok(Verdict::Infected(found.threat)), judgement, steps))
            }
            Considered::Unknown => {
                let says = match entry {
                    None => "nothing is known of it".to_owned(),
                    Some(entry) if !entry.is_about(&subject.identity) => {
                        format!("it was scanned{age}, and has changed since")
                    }
                    Some(_) => format!("it was scanned{age}: too long ago, or by other signatures"),
                };
                steps.push(subject.step("cache", says));
                None
            }
        }
    }

    fn remembered(&self) -> Option<Entry> {
        let results = self.protection.shared_results()?;
        let subject = self.subject;
        let key = key_of(results, subject.settings(), &subject.identity, &subject.file)?;
        results.peek(&key, &OnlyTrouble)
    }

    fn scan(&self, steps: &mut Vec<Step>) -> Result<(Answer, String), Trouble> {
        let (subject, started) = (self.subject, Instant::now());
        let file = subject.file.try_clone();
        let file = file.map_err(|error| format!("{}: {}", shown(&subject.path), reason(&error)))?;
        let deadline = started + subject.settings().scan_timeout;
        let visitor = Visitor::new(&subject.share.name, &subject.root);
        let (place, context) = (self.place(), visitor.context());
        let scan = self.protection.begin(file.into(), &place, deadline);
        let ended = self.protection.wait_for_end(scan, &place, &context);
        let outcome = &ended.answer().outcome;
        let took = format!(" (scanned in {:.1} ms)", started.elapsed().as_secs_f64() * 1000.0);
        steps.push(subject.step("scanner", verdict(outcome) + &took));
        let judgement = self.protection.conclude(&ended, &place, Occasion::Open, &context);
        Ok(self.consequence(outcome, judgement, steps))
    }

    fn consequence(
        &self,
        outcome: &Outcome,
        judgement: Judgement,
        steps: &mut Vec<Step>,
    ) -> (Answer, String) {
        let is_find = matches!(outcome, Ok(Verdict::Infected(_)));
        if is_find && matches!(judgement, Judgement::Allowed(Allowance::Exactly(_))) {
            steps.push(self.subject.step("trusted files", "its content is in the list"));
            return (Answer::Allowed, "allowed: its content is trusted".to_owned());
        }
        self.subject.consequence(outcome)
    }
}

fn spoken(stored: FileTime) -> String {
    output::age(FileTime::now().since(stored).unwrap_or_default().as_secs())
}

/// The setting's name, where there is one.
fn name(rule: Rule) -> &'static str {
    match rule {
        Rule::Empty => "size",
        Rule::ExcludePaths => "exclude paths",
        Rule::IncludePaths => "include paths",
        Rule::ExcludeFileRegexp => "exclude file regexp",
        Rule::MinFileSize => "min file size",
        Rule::OverLimitAllowed | Rule::OverLimitDenied => "max file size",
        Rule::ExcludeFileTypes => "exclude file types",
    }
}

fn verdict(outcome: &Outcome) -> String {
    match outcome {
        Ok(Verdict::Clean) => "it is clean".to_owned(),
        Ok(Verdict::Infected(threat)) => format!("it is infected with {threat}"),
        Ok(Verdict::MinorError(error)) => format!("it cannot be scanned ({})", error.text),
        Err(fault) => format!("there is no verdict ({fault})"),
    }
}
