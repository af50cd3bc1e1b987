//! The options as they were written: texts by option, the last and most specific one of each, nothing judged yet.

use std::collections::BTreeMap;
use std::path::Path;

use super::foreign;
use super::ini::{self, Content, Line};
use super::table::{self, options};
use super::{Complaint, FileText, Host, Origin, Severity, Share, nearest};

/// One option's text.
#[derive(Debug)]
pub(super) struct Entry {
    /// The option's value: what was written, behind what an older name stands for (`clamav:`).
    pub(super) value: String,
    pub(super) origin: Origin,
    /// The line as written, for complaints.
    pub(super) line: String,
}

/// By canonical name.
pub(super) type Written = BTreeMap<&'static str, Entry>;

/// Common sections first, then the share's own, then smb.conf.
pub(super) fn collect(
    share: &Share<'_>,
    file: Option<FileText<'_>>,
    host: &Host<'_>,
) -> (Written, Vec<Complaint>) {
    let mut layers = Layers { written: Written::new(), complaints: Vec::new() };
    if let Some(file) = file {
        let (common, own) = sections(ini::lines(file.text), share);
        for line in common.into_iter().chain(own) {
            layers.add_line(file.path, line);
        }
    }
    layers.add_host(share, host);
    (layers.written, layers.complaints)
}

/// The lines for all shares and those for this one. Sections of other names are other shares' affair.
fn sections<'a>(lines: Vec<Line<'a>>, share: &Share<'_>) -> (Vec<Line<'a>>, Vec<Line<'a>>) {
    enum In {
        Common,
        Own,
        Other,
    }
    let (mut common, mut own, mut now) = (Vec::new(), Vec::new(), In::Common);
    for line in lines {
        if let Content::Section { name, .. } = &line.content {
            now = match name.to_lowercase() {
                name if name == "samba-vscan" || name == "vscan" => In::Common,
                name if name == share.name.to_lowercase() => In::Own,
                _ => In::Other,
            };
        }
        match now {
            In::Common => common.push(line),
            In::Own => own.push(line),
            In::Other => {}
        }
    }
    (common, own)
}

struct Layers {
    written: Written,
    complaints: Vec<Complaint>,
}

impl Layers {
    fn add_line(&mut self, file: &Path, line: Line<'_>) {
        let origin = Origin::Line { file: file.to_owned(), number: line.number };
        match line.content {
            Content::Section { closed: true, .. } => {}
            Content::Section { name, closed: false } => {
                let wrong = "the closing bracket is missing; read as if it were there".to_owned();
                self.complain(Severity::Notice, origin, format!("[{name}"), wrong);
            }
            Content::Malformed(text) => {
                let wrong =
                    "is neither \"option = value\" nor a [section]; the line has no effect".to_owned();
                self.complain(Severity::Mistake, origin, text, wrong);
            }
            Content::Option { name, value } => self.add_option(origin, &name, &value),
        }
    }

    fn add_option(&mut self, origin: Origin, name: &str, value: &str) {
        match table::find(name) {
            Some((option, prefix)) => {
                let line = as_written(&origin, name, value);
                self.written.insert(option.name, Entry { value: format!("{prefix}{value}"), origin, line });
            }
            None => self.complaints.extend(complain_of_name(origin, name, value)),
        }
    }

    /// An option's own name goes before its older names. smb.conf cannot be searched for unknown options: the host
    /// answers by name only.
    fn add_host(&mut self, share: &Share<'_>, host: &Host<'_>) {
        let origin = || Origin::Host { share: share.name.to_owned() };
        for option in options() {
            let mut names = std::iter::once(option.name).chain(option.aliases.iter().map(|alias| alias.name));
            if let Some((name, value)) = names.find_map(|name| Some((name, (host.option)(name)?))) {
                self.add_option(origin(), name, value.trim());
            }
        }
        for name in foreign::names() {
            if let Some(value) = (host.option)(name) {
                self.add_option(origin(), name, value.trim());
            }
        }
    }

    fn complain(&mut self, severity: Severity, origin: Origin, written: String, wrong: String) {
        self.complaints.push(Complaint { severity, origin, written, wrong, in_force: String::new() });
    }
}

/// A line that names no option of ours.
pub(super) fn complain_of_name(origin: Origin, name: &str, value: &str) -> Option<Complaint> {
    if table::find(name).is_some() {
        return None;
    }
    let (severity, wrong) = match foreign::why_ignored(name) {
        Some(why) => (Severity::Ignored, format!("has no effect here: {why}")),
        None => {
            let hint = nearest(name, table::all_names()).map(|known| format!(", did you mean \"{known}\"?"));
            let wrong = format!("unknown option{}; the line has no effect", hint.unwrap_or_default());
            (Severity::Mistake, wrong)
        }
    };
    let written = as_written(&origin, name, value);
    Some(Complaint { severity, origin, written, wrong, in_force: String::new() })
}

fn as_written(origin: &Origin, name: &str, value: &str) -> String {
    match origin {
        Origin::Host { .. } => format!("vscan:{name} = {value}"),
        Origin::Line { .. } | Origin::File(_) => format!("{name} = {value}"),
    }
}
