//! Whose a TCP connection is, by /proc/net/tcp.

use std::fs;

const CONNECTED: &str = "01";
const LISTENING: &str = "0A";

/// The socket at a port of this machine, as [`crate::process::Process::descriptors`] shows it; one that listens has no `peer`.
pub fn socket_at(port: u16, peer: Option<u16>) -> Option<String> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let (remote, state) = peer.map_or((0, LISTENING), |peer| (peer, CONNECTED));
    let ends = [format!(":{port:04X}"), format!(":{remote:04X}")];
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, its_state, ..] = fields[..] else { return None };
        let found = local.ends_with(&ends[0]) && remote.ends_with(&ends[1]) && its_state == state;
        found.then(|| format!("socket:[{}]", fields[9]))
    })
}
