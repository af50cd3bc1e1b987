//! Whether the scanners answer.

use serde::Serialize;
use vscan_backends::dialogue::Scanner;
use vscan_backends::registry::parse_scanner;
use vscan_engine::privilege::AsIs;
use vscan_engine::scan::Timeouts;
use vscan_engine::scan::probe::{Answer, probe};
use vscan_engine::settings::Settings;

use crate::output::Remark;
use crate::shares::Share;

/// One scanner of the configuration.
#[derive(Serialize)]
pub struct ScannerReport {
    /// As it is configured.
    pub scanner: String,
    pub shares: Vec<String>,
    pub answers: bool,
    pub version: Option<String>,
    pub round_trip_ms: Option<f64>,
    /// How much it has to do, in words.
    pub load: Option<String>,
    pub remark: Remark,
}

/// Asks every scanner of these shares once.
pub fn check(shares: &[&Share]) -> Vec<ScannerReport> {
    let mut reports: Vec<ScannerReport> = Vec::new();
    for share in shares {
        let Some(loaded) = &share.protection else { continue };
        for spec in &loaded.settings.scanners {
            match reports.iter_mut().find(|report| report.scanner == *spec) {
                Some(report) => report.shares.push(share.name.clone()),
                None => reports.extend(ask(spec, &share.name, &loaded.settings)),
            }
        }
    }
    reports
}

/// None for what the settings have refused already.
fn ask(spec: &str, share: &str, settings: &Settings) -> Option<ScannerReport> {
    let scanner = parse_scanner(spec, &settings.command).ok()?;
    let timeouts =
        Timeouts { connect: settings.connect_timeout, io: settings.io_timeout, scan: settings.scan_timeout };
    let answer = probe(&*scanner, timeouts, &AsIs);
    let remark = remark(&*scanner, answer.as_ref());
    let answer = answer.and_then(Result::ok);
    Some(ScannerReport {
        scanner: spec.to_owned(),
        shares: vec![share.to_owned()],
        answers: answer.is_some(),
        round_trip_ms: answer.as_ref().map(|answer| answer.round_trip.as_secs_f64() * 1000.0),
        load: answer.as_ref().and_then(|answer| answer.load.clone()),
        version: answer.and_then(|answer| answer.version),
        remark,
    })
}

fn remark(scanner: &dyn Scanner, answer: Option<&Result<Answer, vscan_backends::verdict::Fault>>) -> Remark {
    let name = scanner.name();
    let at = scanner.endpoint().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
    match answer {
        None => Remark::note(format!("{name} is a scanner for tests: it protects from nothing")),
        Some(Err(fault)) => Remark::mistake(format!("{name}: {fault}")),
        Some(Ok(_)) if scanner.endpoint().is_none() => Remark::ok(format!("{} can be run", scanner.shown())),
        Some(Ok(Answer { round_trip, version, .. })) => {
            let took = format!("in {:.1} ms", round_trip.as_secs_f64() * 1000.0);
            match version {
                Some(version) => Remark::ok(format!("{name}{at} answers {took}: {version}")),
                None => Remark::ok(format!(
                    "{name}{at} accepts connections, {took} (it does not tell its version)"
                )),
            }
        }
    }
}
