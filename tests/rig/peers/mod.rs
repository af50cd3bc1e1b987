//! Programs of others that speak the scanners' protocols, too: they judge what the recorded scanners say.

/// amavis, a mail filter.
pub mod amavis;
/// c-icap's client.
pub mod c_icap_client;
/// Exim, a mail server.
pub mod exim;
/// fuglu, a mail filter.
pub mod fuglu;
/// rspamd, a spam filter.
pub mod rspamd;
/// squid, a web proxy.
pub mod squid;

/// What a program made of a scanner's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing was found.
    Clean,
    /// This was found.
    Malware(String),
    /// Neither; all that was said.
    Trouble(String),
}

/// A port that is free at this moment; nobody else asks for it by number.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
