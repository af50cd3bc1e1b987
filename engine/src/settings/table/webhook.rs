//! A web service that is told.

use super::Group;
use super::set;
use crate::settings::option::{Kind, Opt};
use crate::settings::value::optional_path;

fn url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = |c: char| c.is_ascii_graphic() && !"<>\"\\^`{|}".contains(c);
    match host {
        None if text.is_empty() => Ok(String::new()),
        Some(host) if !host.is_empty() && !host.starts_with('/') && text.chars().all(is_plain) => {
            Ok(text.to_owned())
        }
        Some(_) | None => Err("is not an address such as https://example.org/hooks/vscan".to_owned()),
    }
}

pub(super) const GROUP: Group = Group {
    title: "Webhook",
    options: &[
        Opt {
            name: "webhook",
            aliases: &[],
            kind: Kind::Text,
            default: "",
            on_mistake: "",
            help: "The address (https:// or http://) of a web service that gets what happens as JSON, by POST: docs/webhook.md \
               describes it. Events that follow each other are collected as \"notify interval\" says. Empty: there is none.",
            apply: |draft, text| set(&mut draft.settings.notify.channels.webhook.url, url(text)),
        },
        Opt {
            name: "webhook header file",
            aliases: &[],
            kind: Kind::Path,
            default: "",
            on_mistake: "",
            help: "A file with headers to send along, one a line, such as Authorization: Bearer and a token. Nobody but root \
               may have rights to it.",
            apply: |draft, text| {
                set(&mut draft.settings.notify.channels.webhook.header_file, optional_path(text))
            },
        },
        Opt {
            name: "webhook ca file",
            aliases: &[],
            kind: Kind::Path,
            default: "",
            on_mistake: "",
            help: "Certificates (PEM) of authorities that the web service's own may come from, beside those that the system \
               trusts.",
            apply: |draft, text| {
                set(&mut draft.settings.notify.channels.webhook.ca_file, optional_path(text))
            },
        },
    ],
};
