//! Windows' pop-up messages (WinPopup, the Messenger service), sent straight to the client's address.
//!
//! NetBIOS names the program on the client (`netbios`), SMB1 carries the text (`smb`), in the letters of DOS (`text`).

mod netbios;
mod smb;
mod text;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use vscan_engine::notify::{Event, Kind, Pace, Session};

use super::{Channel, Message, Trouble};
use netbios::Name;
use smb::Conversation;

pub(super) const CHANNEL: Channel =
    Channel { name: "messenger", recipient, pace, send, threads: 4, mixes_kinds: false };

/// Most clients have no such service, and a firewall that says nothing.
const CONNECT: Duration = Duration::from_secs(3);

/// For each answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Only on this port, NetBIOS is below SMB, and a session has to be asked for. Samba sees it in the same way.
const NETBIOS_PORT: u16 = 139;

/// What the messages say whom they are from, behind the server's name; as samba-vscan's did.
const SENDER: &str = "VIRUS SCANNER";

fn recipient(event: &Event) -> Option<String> {
    let is_on = event.channels.messenger.is_on && event.kind() == Kind::Infected;
    is_on.then(|| event.session.client.clone())
}

fn pace(event: &Event) -> Pace {
    event.channels.pace
}

fn send(message: &Message<'_>) -> Result<(), Trouble> {
    let event = message.first();
    let settings = &event.channels.messenger;
    let address: IpAddr = event
        .session
        .client
        .parse()
        .map_err(|_| Trouble::Nobody("the client's address is not known".to_owned()))?;
    let address = SocketAddr::new(address, settings.port);
    let (client, server) = (client_name(&event.session), server_name(&event.session));
    let code_page = text::CodePage::of(settings.code_page);
    let letter = smb::Letter {
        from: code_page.encode(&format!("{server} {SENDER}")),
        to: code_page.encode(client.as_deref().unwrap_or("*")),
        text: code_page.encode_text(&message.fill(&settings.text)),
    };
    deliver(address, client.as_deref(), &server, &letter).map_err(|error| {
        Trouble::Nobody(format!(
            "no pop-up was shown (port {}): {error}. Most clients have no such service; \"send warning message = no\" \
             ends the attempts",
            settings.port
        ))
    })
}

fn deliver(
    address: SocketAddr,
    client: Option<&str>,
    server: &str,
    letter: &smb::Letter,
) -> Result<(), smb::Trouble> {
    let stream = TcpStream::connect_timeout(&address, CONNECT)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    if address.port() == NETBIOS_PORT {
        // A client that has told no name is called as servers are.
        let called = client.map_or(Name::ANY_SERVER, Name::messenger);
        netbios::begin_session(&mut &stream, &called, &Name::workstation(server))?;
    }
    Conversation::over(&stream).say(letter)
}

/// The client's NetBIOS name. In its place, Samba has an address for some that have told none.
fn client_name(session: &Session) -> Option<String> {
    let name = session.machine.as_str();
    (!name.is_empty() && name.parse::<IpAddr>().is_err()).then(|| name.to_owned())
}

/// The server's name. Clients that call it by its address make Samba say that.
fn server_name(session: &Session) -> String {
    let by_client = session.server.as_str();
    let is_name =
        !by_client.is_empty() && !by_client.starts_with('*') && by_client.parse::<IpAddr>().is_err();
    let name = if is_name { by_client } else { &session.host };
    let label = name.split('.').next().unwrap_or_default();
    if label.is_empty() { "SAMBA".to_owned() } else { label.to_uppercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(machine: &str, server: &str) -> Session {
        let (machine, server) = (machine.to_owned(), server.to_owned());
        Session { machine, server, host: "files.example.com".to_owned(), ..Session::default() }
    }

    #[test]
    fn an_address_is_no_name() {
        assert_eq!(client_name(&session("192.0.2.7", "")), None);
        assert_eq!(client_name(&session("::1", "")), None);
        assert_eq!(client_name(&session("", "")), None);
        assert_eq!(client_name(&session("ann-pc", "")).as_deref(), Some("ann-pc"));
    }

    #[test]
    fn the_server_is_called_as_the_client_calls_it() {
        for (called, name) in
            [("srv1", "SRV1"), ("192.0.2.1", "FILES"), ("*smbserver", "FILES"), ("", "FILES"), ("a.b", "A")]
        {
            assert_eq!(server_name(&session("", called)), name);
        }
    }
}
