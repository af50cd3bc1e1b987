//! amavis, a mail filter in Perl, with the list of scanners that Debian ships.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Judgement;

/// Has the entry that begins like this ask the scanner at this address (`host:port`, or a socket).
pub fn judge(entry: &str, address: &str) -> Judgement {
    let home = tempfile::Builder::new().prefix("vscan-rig-amavis-").tempdir_in("/tmp").unwrap();
    fs::create_dir(home.path().join("parts")).unwrap();
    fs::write(home.path().join("parts/letter.doc"), "a few bytes\n").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("rig/peers/ask_amavis.pl");
    let output = Command::new("perl").arg("-T").arg(script).args([entry, address]).arg(home.path()).output();
    let output = output.expect("perl and amavis are installed: run tests/setup.sh peers");
    let said = String::from_utf8_lossy(&output.stdout);
    match said.trim().strip_prefix("infected: ") {
        Some(name) => Judgement::Malware(name.to_owned()),
        None if said.trim() == "clean" => Judgement::Clean,
        None => Judgement::Trouble(format!("{said}{}", String::from_utf8_lossy(&output.stderr))),
    }
}
