//! Scanners that samba-vscan found by two options, an address and a port: together they are what `scanner` says in one.

use super::written::{Entry, Written};

/// A daemon of samba-vscan.
struct Daemon {
    ip: &'static str,
    port: &'static str,
    /// The port that samba-vscan had built in.
    usual_ports: &'static str,
    /// One address from a host, which has its brackets, and a port.
    address: fn(&str, &str) -> String,
}

const DAEMONS: &[Daemon] = &[
    // samba-vscan spoke ICAP with Symantec's engines, and with their service name.
    Daemon {
        ip: "icap ip",
        port: "icap port",
        usual_ports: "1344",
        address: |host, port| format!("symantec://{host}:{port}"),
    },
    Daemon {
        ip: "oav ip",
        port: "oav port",
        usual_ports: "8127",
        address: |host, port| format!("oav:tcp:{host}:{port}"),
    },
    // f-protd moves on to the next free port when it starts again. A list of scanners is tried in order, too.
    Daemon {
        ip: "fprotd ip",
        port: "fprotd port",
        usual_ports: "10200;10201;10202;10203;10204",
        address: |host, port| format!("fprotd:tcp:{host}:{port}"),
    },
];

/// The scanners that these options name, as `scanner` would; None if none of the options is there.
pub(super) fn named(written: &Written) -> Option<String> {
    let named = DAEMONS.iter().flat_map(|daemon| daemon.addresses(written));
    let list = named.collect::<Vec<_>>().join(", ");
    Some(list).filter(|list| !list.is_empty())
}

/// What is written of these options.
pub(super) fn entries(written: &Written) -> impl Iterator<Item = &Entry> {
    let names = DAEMONS.iter().flat_map(|daemon| [daemon.ip, daemon.port]);
    names.filter_map(|name| written.get(name)).filter(|entry| !entry.value.trim().is_empty())
}

/// Whether this is one host, by name or address: not the beginning of a list.
pub(super) fn check_host(text: &str) -> Result<(), String> {
    let is_one = !text.contains(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '/' | '[' | ']'));
    is_one.then_some(()).ok_or_else(|| "must be the address or the name of one host".to_owned())
}

/// Whether these are ports, with semicolons in between.
pub(super) fn check_ports(text: &str) -> Result<(), String> {
    let is_port = |port: &str| port.trim().parse::<u16>().is_ok_and(|port| port > 0);
    let are_ports = text.is_empty() || text.split(';').all(is_port);
    are_ports.then_some(()).ok_or_else(|| "must be a port, or several with semicolons in between".to_owned())
}

impl Daemon {
    fn addresses(&self, written: &Written) -> Vec<String> {
        let (ip, port) = (text(written, self.ip), text(written, self.port));
        if ip.is_none() && port.is_none() {
            return Vec::new();
        }
        let ip = ip.unwrap_or("127.0.0.1");
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let ports = port.unwrap_or(self.usual_ports).split(';').map(str::trim);
        ports.map(|port| (self.address)(&host, port)).collect()
    }
}

fn text<'a>(written: &'a Written, option: &str) -> Option<&'a str> {
    written.get(option).map(|entry| entry.value.trim()).filter(|text| !text.is_empty())
}
