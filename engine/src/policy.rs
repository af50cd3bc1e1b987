//! Who gets scanned, and what a verdict means: pure functions from facts and settings to a decision.
//!
//! Nothing here looks at a file, a clock or a scanner, and nothing here acts. What is returned says everything that the
//! caller has to do.

use std::fmt;

use vscan_backends::verdict::{Fault, Verdict};

use crate::action::Action;
use crate::settings::{InfectedStatus, OverLimit, Settings, Size};

/// What is known of a file before any scan.
pub struct Facts<'a> {
    /// Its absolute path, without `.` and `..`.
    pub path: &'a [u8],
    /// The same below the share's root.
    pub path_in_share: &'a [u8],
    /// Bytes of content.
    pub size: u64,
    /// Its MIME type; costs a read, so it is asked for only when nothing else decides. None: cannot be told.
    pub file_type: &'a dyn Fn() -> Option<String>,
}

/// What to do about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Plan {
    /// Get a verdict.
    Scan,
    /// No verdict is wanted: allow it.
    Skip(Reason),
    /// Deny it without a scan.
    Refuse(Reason),
}

/// Why a file is not scanned. Displays as a clause such as `it is empty`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is nothing in it.
    Empty,
    /// Over `max file size`.
    OverMaxSize {
        /// The file's.
        size: Size,
        /// The setting.
        limit: Size,
        /// Whether it would have been refused, were it not for `enforce = no`.
        unenforced: bool,
    },
    /// Under `min file size`.
    UnderMinSize {
        /// The file's.
        size: Size,
        /// The setting.
        limit: Size,
    },
    /// Matches `exclude file regexp`.
    ExcludedByRegexp,
    /// At or below this entry of `exclude paths`.
    ExcludedPath(String),
    /// Not below any entry of `include paths`.
    NotIncluded,
    /// Of this type, which is among `exclude file types`.
    ExcludedType(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::OverMaxSize { size, limit, unenforced } => {
                write!(f, "its {} ({} bytes) are over max file size = {limit}", size.rounded(), size.0)?;
                f.write_str(if *unenforced { "; it would be refused, but enforce = no" } else { "" })
            }
            Self::UnderMinSize { size, limit } => {
                write!(f, "its {} are under min file size = {limit}", size.rounded())
            }
            Self::ExcludedByRegexp => f.write_str("its path matches exclude file regexp"),
            Self::ExcludedPath(entry) => write!(f, "exclude paths covers it ({entry})"),
            Self::NotIncluded => f.write_str("include paths does not cover it"),
            Self::ExcludedType(mime) => write!(f, "its type {mime} is in exclude file types"),
        }
    }
}

/// The rules, in the order in which they are asked: the first that has something to say decides.
///
/// An exclusion goes before `files over the limit = deny`: what is excluded was meant to be left alone. The type comes
/// as late as possible, because asking for it costs a read.
pub const RULES: [Rule; 8] = [
    Rule::Empty,
    Rule::ExcludePaths,
    Rule::IncludePaths,
    Rule::ExcludeFileRegexp,
    Rule::MinFileSize,
    Rule::OverLimitAllowed,
    Rule::ExcludeFileTypes,
    Rule::OverLimitDenied,
];

/// A reason to answer for a file without a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// There is nothing in it.
    Empty,
    /// `exclude paths`.
    ExcludePaths,
    /// `include paths`.
    IncludePaths,
    /// `exclude file regexp`.
    ExcludeFileRegexp,
    /// `min file size`.
    MinFileSize,
    /// `max file size`, where larger files are allowed.
    OverLimitAllowed,
    /// `exclude file types`.
    ExcludeFileTypes,
    /// `max file size`, where larger files are denied.
    OverLimitDenied,
}

impl Rule {
    /// What it says about a file; None: nothing.
    pub fn says(self, facts: &Facts<'_>, rules: &Settings) -> Option<Plan> {
        let over_limit = || over_max_size(facts.size, rules);
        match self {
            Self::Empty => (facts.size == 0).then_some(Plan::Skip(Reason::Empty)),
            Self::ExcludePaths => {
                let entry = rules.exclude_paths.covering(facts.path, facts.path_in_share)?;
                Some(Plan::Skip(Reason::ExcludedPath(entry.to_owned())))
            }
            Self::IncludePaths => {
                let included = rules.include_paths.is_empty()
                    || rules.include_paths.covering(facts.path, facts.path_in_share).is_some();
                (!included).then_some(Plan::Skip(Reason::NotIncluded))
            }
            Self::ExcludeFileRegexp => {
                let matches =
                    rules.exclude_file_regexp.as_ref().is_some_and(|regexp| regexp.is_match(facts.path));
                matches.then_some(Plan::Skip(Reason::ExcludedByRegexp))
            }
            Self::MinFileSize => {
                let (size, limit) = (Size(facts.size), rules.min_file_size);
                (size < limit).then_some(Plan::Skip(Reason::UnderMinSize { size, limit }))
            }
            Self::OverLimitAllowed => over_limit().filter(|plan| matches!(plan, Plan::Skip(_))),
            Self::ExcludeFileTypes => excluded_by_type(facts, rules).map(Plan::Skip),
            Self::OverLimitDenied => over_limit().filter(|plan| matches!(plan, Plan::Refuse(_))),
        }
    }
}

/// Whether this file needs a verdict.
pub fn before(facts: &Facts<'_>, rules: &Settings) -> Plan {
    RULES.into_iter().find_map(|rule| rule.says(facts, rules)).unwrap_or(Plan::Scan)
}

/// Whether a file of this size may be refused without a scan, or would be with `enforce = yes`.
pub fn refuses_size(size: u64, rules: &Settings) -> bool {
    rules.files_over_the_limit == OverLimit::Deny && over_max_size(size, rules).is_some()
}

fn excluded_by_type(facts: &Facts<'_>, rules: &Settings) -> Option<Reason> {
    if rules.exclude_file_types.is_empty() {
        return None;
    }
    let mime = (facts.file_type)()?;
    rules.exclude_file_types.contains(&mime).then_some(Reason::ExcludedType(mime))
}

/// What becomes of a file over the limit; None if it is not.
fn over_max_size(size: u64, rules: &Settings) -> Option<Plan> {
    let size = Size(size);
    let limit = rules.max_file_size.filter(|limit| size > *limit)?;
    let reason = |unenforced| Reason::OverMaxSize { size, limit, unenforced };
    Some(match (rules.files_over_the_limit, rules.enforce) {
        (OverLimit::Allow, _) => Plan::Skip(reason(false)),
        (OverLimit::Deny, true) => Plan::Refuse(reason(false)),
        (OverLimit::Deny, false) => Plan::Skip(reason(true)),
    })
}

/// Why access is denied, as the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The file contains a virus.
    Infected,
    /// Nothing more than that access is denied.
    AccessDenied,
}

/// Whether the file may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    Allow,
    /// Yes, but only because of `enforce = no`: otherwise it would have been this.
    AllowUnenforced(Status),
    /// No.
    Deny(Status),
}

/// All that follows from a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// Whether the file may be used.
    pub access: Access,
    /// What to do with the file; `Nothing` unless it is infected and the settings are enforced.
    pub action: Action,
}

/// What a verdict, or the lack of one, means.
///
/// A request that could not be made ([`Fault::Caller`]) is about this file and not about the scanner, as when a name
/// contains what the protocol cannot carry. It counts as a minor error, so that `deny access on error = no` does not
/// let users get files past the scanner by naming them so.
pub fn after(verdict: &Result<Verdict, Fault>, rules: &Settings) -> Decision {
    let (denial, action) = match verdict {
        Ok(Verdict::Clean) => (None, Action::Nothing),
        Ok(Verdict::Infected(_)) => (Some(infected_status(rules)), rules.infected_file_action),
        Ok(Verdict::MinorError(_)) | Err(Fault::Caller(_)) => {
            (denied_if(rules.deny_access_on_minor_error), Action::Nothing)
        }
        Err(Fault::Garbled(_) | Fault::Misbehaved(_) | Fault::Transport(_)) => {
            (denied_if(rules.deny_access_on_error), Action::Nothing)
        }
    };
    match (denial, rules.enforce) {
        (None, _) => Decision { access: Access::Allow, action: Action::Nothing },
        (Some(status), true) => Decision { access: Access::Deny(status), action },
        (Some(status), false) => {
            Decision { access: Access::AllowUnenforced(status), action: Action::Nothing }
        }
    }
}

fn infected_status(rules: &Settings) -> Status {
    match rules.infected_status {
        InfectedStatus::VirusInfected => Status::Infected,
        InfectedStatus::AccessDenied => Status::AccessDenied,
    }
}

fn denied_if(deny: bool) -> Option<Status> {
    deny.then_some(Status::AccessDenied)
}

#[cfg(test)]
mod tests;
