//! Exim, which speaks to many scanners: asked about one message, it asks the scanner.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::Judgement;

/// Has Exim ask the scanner that `av_scanner =` describes about some message.
pub fn judge(av_scanner: &str) -> Judgement {
    let home = tempfile::Builder::new().prefix("vscan-rig-exim-").tempdir_in("/tmp").unwrap();
    let at = home.path();
    // Exim works as a user of its own.
    fs::set_permissions(at, fs::Permissions::from_mode(0o777)).unwrap();
    let conf = format!(
        "spool_directory = {0}\nlog_file_path = {0}/%slog\nprimary_hostname = rig.test\nav_scanner = {av_scanner}\n",
        at.display()
    );
    fs::write(at.join("exim.conf"), conf).unwrap();
    fs::write(at.join("message"), "Subject: a message\n\nText\n").unwrap();
    let output = Command::new("exim4")
        .arg("-C")
        .arg(at.join("exim.conf"))
        .arg("-bmalware")
        .arg(at.join("message"))
        .output()
        .expect("Exim is installed: run tests/setup.sh peers");
    let said = String::from_utf8_lossy(&output.stdout);
    match said.trim().strip_prefix("Malware found: ") {
        Some(name) => Judgement::Malware(name.to_owned()),
        None if said.trim() == "No malware found." && output.status.success() => Judgement::Clean,
        None => Judgement::Trouble(format!("{said}{}", String::from_utf8_lossy(&output.stderr))),
    }
}
