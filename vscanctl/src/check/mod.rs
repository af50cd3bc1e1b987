//! `vscanctl check`: everything that vscan needs, looked at before a client has to find out.

mod directories;
mod module;
mod scanners;

use serde::Serialize;
use vscan_engine::action::Bytes;
use vscan_engine::settings::{InForce, Loaded, Origin, Severity, Source};

use crate::cli::{CheckArguments, Cli};
use crate::output::{Colour, Mark, Out, Remark, exact, shown, table};
use crate::samba::SmbConf;
use crate::shares::{self, Share};
use crate::{Exit, Trouble};
use directories::DirectoryReport;
pub use scanners::{ScannerReport, check as scanners};

/// All that was found.
#[derive(Serialize)]
struct Report {
    mistakes: usize,
    samba: Vec<Remark>,
    shares: Vec<ShareReport>,
    scanners: Vec<ScannerReport>,
    directories: Vec<DirectoryReport>,
}

#[derive(Serialize)]
struct ShareReport {
    name: String,
    path: Bytes,
    #[serde(skip)]
    shown_path: String,
    protected: bool,
    remarks: Vec<Remark>,
    settings: Vec<SettingReport>,
}

#[derive(Serialize)]
struct SettingReport {
    name: &'static str,
    value: String,
    is_default: bool,
    source: String,
}

pub fn run(arguments: &CheckArguments, cli: &Cli, out: &Out) -> Result<Exit, Trouble> {
    let conf = SmbConf::read(cli.config.as_deref())?;
    let all = shares::all(&conf);
    let wanted: Vec<&Share> = match &arguments.share {
        Some(name) => vec![shares::named(&all, name)?],
        None => all.iter().collect(),
    };
    let mut samba: Vec<Remark> =
        conf.warnings.iter().map(|warning| Remark::mistake(format!("smb.conf: {warning}"))).collect();
    samba.extend(module::check());
    let mut report = Report {
        mistakes: 0,
        samba,
        shares: wanted.iter().map(|share| about(share)).collect(),
        scanners: scanners::check(&wanted),
        directories: directories::check(&wanted),
    };
    if wanted.iter().all(|share| share.protection.is_none()) {
        report.samba.push(Remark::mistake(
            "no share is protected: put vscan into \"vfs objects\" of the shares that are to be scanned",
        ));
    }
    report.mistakes = report.remarks().filter(|remark| remark.mark == Mark::Mistake).count();
    out.answer(&report, |out| report.text(out, arguments.verbose))?;
    Ok(if report.mistakes == 0 { Exit::Good } else { Exit::Bad })
}

impl Report {
    fn remarks(&self) -> impl Iterator<Item = &Remark> {
        let of_shares = self.shares.iter().flat_map(|share| &share.remarks);
        let of_scanners = self.scanners.iter().map(|scanner| &scanner.remark);
        let of_directories = self.directories.iter().map(|directory| &directory.remark);
        self.samba.iter().chain(of_shares).chain(of_scanners).chain(of_directories)
    }

    fn text(&self, out: &Out, verbose: bool) -> String {
        let lines = |remarks: &mut dyn Iterator<Item = &Remark>| {
            remarks.map(|remark| out.remark(remark)).collect::<String>()
        };
        let mut text = out.headline("Samba") + &lines(&mut self.samba.iter());
        for share in self.shares.iter().filter(|share| share.protected) {
            text += "\n";
            text += &out.headline(&format!("Share {}: {}", share.name, share.shown_path));
            text += &lines(&mut share.remarks.iter());
            text += &settings(&share.settings, out, verbose);
        }
        let unprotected: Vec<_> = self.shares.iter().filter(|share| !share.protected).collect();
        if !unprotected.is_empty() {
            text += "\n";
            text += &out.headline("Not protected: \"vfs objects\" has no vscan");
            let rows = unprotected.iter().map(|share| vec![share.name.clone(), share.shown_path.clone()]);
            text += &table(&rows.collect::<Vec<_>>(), 2);
        }
        if !self.scanners.is_empty() {
            text += "\n";
            text += &out.headline("Scanners");
            text += &lines(&mut self.scanners.iter().map(|scanner| &scanner.remark));
            text += "\n";
            text += &out.headline("Directories and files");
            text += &lines(&mut self.directories.iter().map(|directory| &directory.remark));
        }
        text + &match self.mistakes {
            0 => format!("\n{}\n", out.coloured("No mistakes.", Colour::Green)),
            1 => format!("\n{}\n", out.coloured("1 mistake.", Colour::Red)),
            several => format!("\n{}\n", out.coloured(&format!("{several} mistakes."), Colour::Red)),
        }
    }
}

fn about(share: &Share) -> ShareReport {
    let mut remarks = Vec::new();
    let mut settings = Vec::new();
    if let Some(loaded) = &share.protection {
        remarks.push(order_of_modules(share));
        remarks.extend(loaded.complaints.iter().map(|complaint| match complaint.severity {
            Severity::Mistake => Remark::mistake(complaint.to_string()),
            Severity::Notice | Severity::Ignored => Remark::note(complaint.to_string()),
        }));
        remarks.extend(weak_spots(loaded));
        settings.extend(loaded.in_force.iter().map(setting));
    }
    ShareReport {
        name: share.name.clone(),
        path: exact(&share.path),
        shown_path: shown(&share.path),
        protected: share.protection.is_some(),
        remarks,
        settings,
    }
}

fn order_of_modules(share: &Share) -> Remark {
    let list = share.modules.join(" ");
    match share.modules.first() {
        Some(first) if first.contains("vscan") => Remark::ok(format!("vfs objects = {list}")),
        Some(_) | None => Remark::note(format!(
            "vfs objects = {list}: vscan is not the first. It sees what the modules before it let through; better put it first"
        )),
    }
}

/// What is as it was wanted, and keeps files from being refused all the same.
fn weak_spots(loaded: &Loaded) -> Vec<Remark> {
    let settings = &loaded.settings;
    let spots = [
        (loaded.refuses_opens(), "on config error = deny: because of the mistakes, every open is refused"),
        (!settings.enforce, "enforce = no: infected files are only logged, nothing is denied or moved"),
        (!settings.scan_on_open, "scan on open = no: files are not scanned before they are read"),
        (
            !settings.deny_access_on_error,
            "deny access on error = no: files pass unscanned while the scanner is down",
        ),
    ];
    spots.into_iter().filter(|(is_so, _)| *is_so).map(|(_, text)| Remark::note(text)).collect()
}

fn setting(option: &InForce) -> SettingReport {
    let source = match &option.source {
        Source::Default => "default".to_owned(),
        Source::Written(origin) => place(origin),
        Source::InsteadOf(origin) => format!("instead of the mistake in {}", place(origin)),
    };
    let is_default = option.source == Source::Default;
    SettingReport { name: option.name, value: option.value.clone(), is_default, source }
}

fn place(origin: &Origin) -> String {
    match origin {
        Origin::Line { file, number } => format!("{}:{number}", shown(file)),
        Origin::File(file) => shown(file),
        Origin::Host { .. } => "smb.conf".to_owned(),
    }
}

fn settings(settings: &[SettingReport], out: &Out, verbose: bool) -> String {
    let listed = settings.iter().filter(|setting| verbose || !setting.is_default);
    let rows: Vec<Vec<String>> = listed
        .map(|setting| vec![format!("{} = {}", setting.name, setting.value), format!("({})", setting.source)])
        .collect();
    let mut text = table(&rows, 4);
    let defaults = settings.len() - rows.len();
    if defaults > 0 {
        let rest = format!("    {defaults} more settings have their defaults (--verbose shows them)");
        text += &(out.coloured(&rest, Colour::Dim) + "\n");
    }
    text
}
