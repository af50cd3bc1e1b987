//! Mail to the administrator.

use super::Group;
use super::set;
use crate::notify::{MailSecurity, MailServer};
use crate::settings::option::{Kind, Opt};
use crate::settings::value::{interval, optional_path, port};

/// What stands before an address, what it means, and the port that belongs to it.
const SCHEMES: &[(&str, MailSecurity, u16)] = &[
    ("smtp://", MailSecurity::None, 25),
    ("smtp+starttls://", MailSecurity::StartTls, 587),
    ("smtps://", MailSecurity::Tls, 465),
];

/// `smtp://host`, `smtps://host:port`, `smtp://[::1]:25`, or a host alone.
fn server(text: &str) -> Result<MailServer, String> {
    let scheme = SCHEMES.iter().find(|(scheme, ..)| text.starts_with(scheme));
    let (before, security, usual_port) = match scheme {
        Some((scheme, security, port)) => (scheme.len(), *security, *port),
        None if text.contains("://") => {
            return Err("must begin with smtp://, smtp+starttls:// or smtps://".into());
        }
        None => (0, MailSecurity::None, 25),
    };
    let address = text.get(before..).unwrap_or_default();
    let (host, number) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match address.split_once(':') {
            Some((host, number)) => (host, Some(number)),
            None => (address, None),
        },
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(is_host) {
        return Err("does not name a server: write smtp://host or smtp://host:port".to_owned());
    }
    Ok(MailServer { security, host: host.to_owned(), port: number.map_or(Ok(usual_port), port)? })
}

/// As plain as addresses of administrators are: no names, quotes or comments.
fn address(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_graphic() && !"<>()[],;:\\\"".contains(c);
    match text.split_once('@') {
        Some((user, host)) if !user.is_empty() && !host.is_empty() && text.chars().all(is_plain) => {
            Ok(text.to_owned())
        }
        _ => Err(format!("\"{text}\" is not an address such as root@example.org")),
    }
}

fn addresses(text: &str) -> Result<Vec<String>, String> {
    let words = text.split([';', ',']).map(str::trim).filter(|word| !word.is_empty());
    words.map(address).collect()
}

fn optional_address(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() { Ok(None) } else { address(text).map(Some) }
}

pub(super) const GROUP: Group = Group {
    title: "Mail",
    options: &[
        Opt {
            name: "mail to",
            aliases: &[],
            kind: Kind::List,
            default: "",
            on_mistake: "",
            help: "Who gets mail about infected files, about files that could not be scanned, and about scanners that are \
               down or back. Empty: nobody.",
            apply: |draft, text| set(&mut draft.settings.notify.channels.mail.to, addresses(text)),
        },
        Opt {
            name: "mail from",
            aliases: &[],
            kind: Kind::Text,
            default: "",
            on_mistake: "",
            help: "The sender of that mail. Empty: vscan at the server's host name.",
            apply: |draft, text| set(&mut draft.settings.notify.channels.mail.from, optional_address(text)),
        },
        Opt {
            name: "mail server",
            aliases: &[],
            kind: Kind::Text,
            default: "smtp://localhost",
            on_mistake: "smtp://localhost",
            help: "Who delivers it: smtp://host (port 25, not encrypted), smtp+starttls://host (port 587), smtps://host (port \
               465), each also with :port.",
            apply: |draft, text| set(&mut draft.settings.notify.channels.mail.server, server(text)),
        },
        Opt {
            name: "mail password file",
            aliases: &[],
            kind: Kind::Path,
            default: "",
            on_mistake: "",
            help: "A file with user:password in its first line, for a server that wants that. Nobody but root may have rights \
               to it.",
            apply: |draft, text| {
                set(&mut draft.settings.notify.channels.mail.password_file, optional_path(text))
            },
        },
        Opt {
            name: "mail ca file",
            aliases: &[],
            kind: Kind::Path,
            default: "",
            on_mistake: "",
            help: "Certificates (PEM) of authorities that the mail server's own may come from, beside those that the system \
               trusts.",
            apply: |draft, text| set(&mut draft.settings.notify.channels.mail.ca_file, optional_path(text)),
        },
        Opt {
            name: "mail interval",
            aliases: &[],
            kind: Kind::Duration,
            default: "15m",
            on_mistake: "15m",
            help: "At most one mail in this time for each share. The first event is told at once, and those that follow are \
               collected for the next mail.",
            apply: |draft, text| {
                let interval = interval(text).map(Option::unwrap_or_default);
                set(&mut draft.settings.notify.channels.mail.interval, interval)
            },
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_scheme_a_host_and_a_port() {
        let read = |text| server(text).map(|server| (server.security, server.host, server.port));
        assert_eq!(read("smtp://localhost"), Ok((MailSecurity::None, "localhost".to_owned(), 25)));
        assert_eq!(read("mail.example.org"), Ok((MailSecurity::None, "mail.example.org".to_owned(), 25)));
        assert_eq!(read("smtp+starttls://a"), Ok((MailSecurity::StartTls, "a".to_owned(), 587)));
        assert_eq!(read("smtps://a:4650"), Ok((MailSecurity::Tls, "a".to_owned(), 4650)));
        assert_eq!(read("smtp://[::1]:2525"), Ok((MailSecurity::None, "::1".to_owned(), 2525)));
        for wrong in ["", "http://a", "smtp://", "smtp://a:0", "smtp://a b", "smtp://user:pw@host"] {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_plain() {
        assert_eq!(addresses("a@b; c@d.org,"), Ok(vec!["a@b".to_owned(), "c@d.org".to_owned()]));
        for wrong in ["root", "a@", "@b", "a@b\nBcc: c@d", "Ann <a@b>"] {
            assert!(addresses(wrong).is_err(), "{wrong}");
        }
    }
}
