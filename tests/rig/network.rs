//! Networks of their own, for claims about ports that everybody knows.

use std::process::Command;

/// Set in the process that has such a network.
const MARK: &str = "VSCAN_OWN_NETWORK";

/// Runs a claim once more, in a process of its own, whose network has nothing but loopback. `claim` is its name with all its
/// modules. Whether this is that process.
pub fn in_own_network(claim: &str) -> bool {
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let script = r#"ip link set lo up && exec "$@""#;
    let status = Command::new("unshare")
        .args(["--net", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([claim, "--exact", "--nocapture"])
        .env(MARK, "1")
        .status()
        .expect("unshare (util-linux) and ip (iproute2) can be run");
    assert!(status.success(), "{claim} has failed in a network of its own: see above");
    false
}
