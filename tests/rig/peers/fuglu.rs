//! fuglu, a mail filter in Python: its plugins are asked one by one.

use std::path::Path;
use std::process::Command;

use super::Judgement;

/// Has this plugin ask the scanner at this port; `options` are `name=value`.
pub fn judge(plugin: &str, port: u16, options: &[&str]) -> Judgement {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let venv = std::env::var_os("VSCAN_PEERS_VENV").map_or_else(|| root.join("target/peers"), Into::into);
    let output = Command::new(venv.join("bin/python"))
        .arg(root.join("tests/rig/peers/ask_fuglu.py"))
        .args([plugin, &port.to_string()])
        .args(options)
        .output()
        .expect("fuglu is installed: run tests/setup.sh peers");
    let said = String::from_utf8_lossy(&output.stdout);
    match said.trim().strip_prefix("infected: ") {
        Some(name) => Judgement::Malware(name.to_owned()),
        None if said.trim() == "clean" => Judgement::Clean,
        None => Judgement::Trouble(format!("{said}{}", String::from_utf8_lossy(&output.stderr))),
    }
}
