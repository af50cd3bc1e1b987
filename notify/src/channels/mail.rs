//! Mail to the administrator: one for all that has happened in an interval.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, SmtpTransport, Transport as _};
use vscan_engine::log::Printable;
use vscan_engine::notify::{Event, Mail, MailSecurity, Occurrence, Pace};

use super::{Channel, Message, Trouble, secret};

pub(super) const CHANNEL: Channel =
    Channel { name: "mail", recipient, pace, send, threads: 2, mixes_kinds: true };

/// For each step of the conversation.
const TIMEOUT: Duration = Duration::from_secs(20);

/// More events are only counted.
const MOST_EVENTS: usize = 50;

fn recipient(event: &Event) -> Option<String> {
    let to = &event.channels.mail.to;
    (!to.is_empty()).then(|| to.join(", "))
}

fn pace(event: &Event) -> Pace {
    let interval = event.channels.mail.interval;
    Pace { first: interval, longest: interval }
}

fn send(message: &Message<'_>) -> Result<(), Trouble> {
    let settings = &message.first().channels.mail;
    // Whatever it is, somebody can mend it, and then the mail is still worth reading.
    let later = |why: String| Trouble::Later(format!("by {}: {why}", settings.server.host));
    let mail = compose(message).map_err(|error| later(error.to_string()))?;
    let server = server(settings, &message.first().session.host).map_err(later)?;
    server.send(&mail).map_err(|error| later(reason(&error))).map(drop)
}

/// An error with all that led to it.
fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

fn server(settings: &Mail, host_name: &str) -> Result<SmtpTransport, String> {
    let server = &settings.server;
    let parameters = || {
        let mut parameters =
            TlsParameters::builder(server.host.clone()).certificate_store(CertificateStore::Default);
        if let Some(path) = &settings.ca_file {
            let wrong = |error: &dyn std::fmt::Display| format!("{} (mail ca file): {error}", path.display());
            let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
            let authority = Certificate::from_pem(&pem).map_err(|error| wrong(&error))?;
            parameters = parameters.add_root_certificate(authority);
        }
        parameters.build().map_err(|error| reason(&error))
    };
    let tls = match server.security {
        MailSecurity::None => Tls::None,
        MailSecurity::StartTls => Tls::Required(parameters()?),
        MailSecurity::Tls => Tls::Wrapper(parameters()?),
    };
    let mut transport = SmtpTransport::builder_dangerous(server.host.clone())
        .port(server.port)
        .tls(tls)
        .timeout(Some(TIMEOUT))
        .hello_name(ClientId::Domain(domain(host_name)));
    if let Some(path) = &settings.password_file {
        let text = secret::read(path).map_err(|error| format!("{error} (mail password file)"))?;
        let line = text.lines().next().unwrap_or_default();
        let (user, password) = line
            .split_once(':')
            .ok_or_else(|| format!("{} (mail password file) has no user:password", path.display()))?;
        transport = transport.credentials(Credentials::new(user.to_owned(), password.to_owned()));
    }
    Ok(transport.build())
}

/// A host name that is fit for a mail server.
fn domain(host_name: &str) -> String {
    let domain: String =
        host_name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).collect();
    if domain.is_empty() { "localhost".to_owned() } else { domain }
}

fn compose(message: &Message<'_>) -> Result<lettre::Message, Box<dyn std::error::Error>> {
    let first = message.first();
    let domain = domain(&first.session.host);
    let from = match &first.channels.mail.from {
        Some(from) => from.parse()?,
        None => Address::new("vscan", &domain)?,
    };
    // A new one for each attempt would look like another mail.
    let id = format!("<{}.vscan@{domain}>", first.id);
    let robot = HeaderName::new_from_ascii_str("Auto-Submitted");
    let mut mail: MessageBuilder = lettre::Message::builder()
        .from(Mailbox::new(Some("vscan".to_owned()), from))
        .subject(subject(message))
        .message_id(Some(id))
        .raw_header(HeaderValue::new(robot, "auto-generated".to_owned()))
        .header(ContentType::TEXT_PLAIN);
    for to in &first.channels.mail.to {
        mail = mail.to(Mailbox::new(None, to.parse()?));
    }
    Ok(mail.body(body(message))?)
}

/// How many there are of each kind, in words.
fn counts(message: &Message<'_>) -> String {
    let count =
        |is: fn(&Occurrence) -> bool| message.events.iter().filter(|event| is(&event.occurrence)).count();
    let kinds = [
        (count(|it| matches!(it, Occurrence::Infected { .. })), "infected file", "infected files"),
        (count(|it| matches!(it, Occurrence::ScanError { .. })), "file not scanned", "files not scanned"),
        (
            count(|it| matches!(it, Occurrence::ScannerState { .. })),
            "change of a scanner",
            "changes of scanners",
        ),
    ];
    let texts = kinds.iter().filter(|(count, ..)| *count > 0).map(|(count, one, more)| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn subject(message: &Message<'_>) -> String {
    let first = message.first();
    format!("vscan on {}: {} ({})", line(&first.session.host), counts(message), line(&first.share))
}

fn body(message: &Message<'_>) -> String {
    let first = message.first();
    let mut text = format!(
        "vscan on the server {}, share {}: {}.\n\n",
        line(&first.session.host),
        line(&first.share),
        counts(message)
    );
    for event in message.events.iter().take(MOST_EVENTS) {
        text.push_str(&entry(event));
    }
    let rest = message.events.len().saturating_sub(MOST_EVENTS);
    if rest > 0 {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "And {rest} more. The server's log has all of them.");
    }
    text
}

fn entry(event: &Arc<Event>) -> String {
    let (time, session) = (event.time_text(), &event.session);
    let who = |was_closed: bool| {
        let how = if was_closed { "written" } else { "opened" };
        format!("{how} by {} from {}", line(&session.user), line(&session.client))
    };
    match &event.occurrence {
        Occurrence::Infected { file, threat, action } => format!(
            "{time}  {}\n    {}; {}; {}\n\n",
            Printable(file.path.as_bytes()),
            line(threat),
            action.text,
            who(file.was_closed)
        ),
        Occurrence::ScanError { file, reason } => format!(
            "{time}  {}\n    not scanned: {}; access {}; {}\n\n",
            Printable(file.path.as_bytes()),
            line(reason),
            if file.is_denied { "denied" } else { "allowed" },
            who(file.was_closed)
        ),
        Occurrence::ScannerState { is_up: true, .. } => {
            format!("{time}  scanner {} is back\n\n", line(&event.scanner))
        }
        Occurrence::ScannerState { is_up: false, reason } => {
            format!("{time}  scanner {} is down: {}\n\n", line(&event.scanner), line(reason))
        }
    }
}

fn line(text: &str) -> Printable<'_> {
    Printable(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::tests::infected;

    fn mailed(path: &[u8]) -> Event {
        let mut event = infected(path);
        Arc::make_mut(&mut event.channels).mail.to =
            vec!["root@example.org".to_owned(), "ann@example.org".to_owned()];
        event.session.host = "fs1".to_owned();
        event
    }

    fn text(events: &[Arc<Event>]) -> String {
        String::from_utf8(compose(&Message { events }).unwrap().formatted()).unwrap()
    }

    #[test]
    fn a_mail_says_what_happened_in_plain_words() {
        let text = text(&[Arc::new(mailed(b"/srv/data/bad.com"))]);
        for part in [
            "From: vscan <vscan@fs1>\r\n",
            "To: root@example.org, ann@example.org\r\n",
            "Subject: vscan on fs1: 1 infected file (data)\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "1970-01-01T00:00:00Z  /srv/data/bad.com\r\n    Eicar; moved to quarantine as /q/vir-1; opened by ann from 192.0.2.7\r\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn no_name_gets_into_the_headers() {
        let mut event = mailed(b"/srv/data/a\r\nBcc: eve@example.org\r\n\r\n.\r\nQUIT\xff");
        event.share = "data\r\nBcc: eve@example.org".to_owned();
        event.session.host = "fs1\r\nBcc: eve@example.org".to_owned();
        let text = text(&[Arc::new(event)]);
        assert!(!text.lines().any(|line| line.starts_with("Bcc") || line == "." || line == "QUIT"), "{text}");
        let unfolded = text.replace("=\r\n", "");
        assert!(
            unfolded.contains("/srv/data/a\\r\\nBcc: eve@example.org\\r\\n\\r\\n.\\r\\nQUIT\\xff"),
            "{text}"
        );
    }

    #[test]
    fn many_files_are_one_mail_with_their_number() {
        let event = Arc::new(mailed(b"/srv/data/bad.com"));
        let text = text(&vec![event; 1000]);
        assert!(text.contains("Subject: vscan on fs1: 1000 infected files (data)\r\n"));
        assert_eq!(text.matches("/srv/data/bad.com").count(), MOST_EVENTS);
        assert!(text.contains("And 950 more. "));
    }
}
