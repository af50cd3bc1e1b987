//! rspamd, which speaks to many scanners: shown a message, it asks the scanner.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::Judgement;
use crate::keeper::{Kept, Mounts};
use crate::wait::{SOON, eventually};

/// Has rspamd ask the scanner of this `type` (more options may follow) at `servers` about some message.
pub fn judge(kind: &str, servers: &str) -> Judgement {
    let home = tempfile::Builder::new().prefix("vscan-rig-rspamd-").tempdir_in("/tmp").unwrap();
    let at = home.path();
    fs::set_permissions(at, fs::Permissions::from_mode(0o777)).unwrap();
    let port = super::free_port();
    fs::write(at.join("rspamd.conf"), conf(at, port, kind, servers)).unwrap();
    fs::write(at.join("domains"), "test\n").unwrap();
    fs::write(at.join("message"), "From: a@rig.test\nSubject: a message\n\nText\n").unwrap();
    let log = at.join("log");
    let conf_path = at.join("rspamd.conf").display().to_string();
    let command = ["rspamd", "--no-fork", "--insecure", "--config", &conf_path];
    let _rspamd = Kept::start(Mounts::Shared, "", &command, &log);
    let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(());
    eventually("rspamd listens", SOON, listens);
    let asked = Command::new("rspamc")
        .args(["--timeout", "60", "--json", "--connect", &format!("127.0.0.1:{port}"), "symbols"])
        .arg(at.join("message"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    let log = fs::read_to_string(&log).unwrap_or_default();
    let Some(found) = said.find('{').and_then(|at| serde_json::from_str::<Value>(&said[at..]).ok()) else {
        panic!("rspamc: {said}{}\n{log}", String::from_utf8_lossy(&asked.stderr));
    };
    judgement(&found["symbols"], &log)
}

fn conf(at: &Path, port: u16, kind: &str, servers: &str) -> String {
    let at = at.display();
    let module = if kind.starts_with("icap") { "external_services" } else { "antivirus" };
    format!(
        r#"options {{
    pidfile = "{at}/pid"; tempdir = "{at}"; cache_file = "{at}/cache"; control_socket = "{at}/control";
    url_tld = "{at}/domains"; disable_hyperscan = true; filters = ""; local_addrs = [];
    dns {{ nameserver = ["127.0.0.1"]; }}
    task_timeout = 50s;
}}
logging {{ type = "console"; level = "info"; }}
lua = "/usr/share/rspamd/rules/rspamd.lua";
modules {{ path = "/usr/share/rspamd/plugins/{module}.lua"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; task_timeout = 50s; }}
{module} {{
    rig {{
        type = {kind}; servers = "{servers}"; tmpdir = "{at}"; scan_mime_parts = false; retransmits = 1; timeout = 20s;
        symbol = "FOUND"; symbol_fail = "FAILED"; symbol_encrypted = "ENCRYPTED"; log_clean = true;
    }}
}}
"#
    )
}

fn judgement(symbols: &Value, log: &str) -> Judgement {
    if let Some(found) = symbols.get("FOUND") {
        return Judgement::Malware(found["options"][0].as_str().unwrap_or_default().to_owned());
    }
    let trouble = ["FAILED", "ENCRYPTED"].iter().find_map(|symbol| symbols.get(symbol));
    match trouble {
        // Nothing is said of a clean message but a line in the log.
        None if log.contains("message or mime_part is clean") => Judgement::Clean,
        None => Judgement::Trouble(log.to_owned()),
        Some(trouble) => Judgement::Trouble(trouble.to_string()),
    }
}
