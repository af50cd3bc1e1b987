//! c-icap's own client.

use std::fs;
use std::process::Command;

use super::Judgement;

/// Has it ask the service at this port of 127.0.0.1 about a file with this content.
pub fn judge(port: u16, service: &str, content: &[u8]) -> Judgement {
    let home = tempfile::Builder::new().prefix("vscan-rig-client-").tempdir_in("/tmp").unwrap();
    let [file, returned] = ["file", "returned"].map(|name| home.path().join(name));
    fs::write(&file, content).unwrap();
    let output = Command::new("c-icap-client")
        .args(["-v", "-i", "127.0.0.1", "-p", &port.to_string(), "-s", service, "-f"])
        .args([file.as_os_str(), "-o".as_ref(), returned.as_os_str()])
        .output()
        .expect("c-icap is installed: run tests/setup.sh");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let threat = said.split_once("X-Infection-Found:").and_then(|(_, rest)| rest.split_once("Threat="));
    if let Some((_, name)) = threat {
        return Judgement::Malware(name.split(';').next().unwrap_or_default().to_owned());
    }
    // What it may keep as it was is not returned.
    if said.contains("ICAP/1.0 204") { Judgement::Clean } else { Judgement::Trouble(said.into_owned()) }
}
