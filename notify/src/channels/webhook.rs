//! A web service of the administrator's, which gets JSON by POST.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, config::Config};
use vscan_engine::notify::{Event, Pace};

use super::{Channel, Message, Trouble, json, secret};

pub(super) const CHANNEL: Channel =
    Channel { name: "webhook", recipient, pace, send, threads: 2, mixes_kinds: false };

/// For all of a request and its answer.
const TIMEOUT: Duration = Duration::from_secs(30);

fn recipient(event: &Event) -> Option<String> {
    let url = &event.channels.webhook.url;
    (!url.is_empty()).then(|| url.clone())
}

fn pace(event: &Event) -> Pace {
    event.channels.pace
}

fn send(message: &Message<'_>) -> Result<(), Trouble> {
    let settings = &message.first().channels.webhook;
    let agent = agent(settings.ca_file.as_deref()).map_err(Trouble::Later)?;
    let mut request = agent.post(&settings.url).header("content-type", "application/json");
    if let Some(path) = &settings.header_file {
        let text =
            secret::read(path).map_err(|error| Trouble::Later(format!("{error} (webhook header file)")))?;
        let headers = text.lines().filter_map(|line| line.split_once(':'));
        for (name, value) in headers {
            request = request.header(name.trim(), value.trim());
        }
    }
    let answer = request.send(&json::document(message)).map_err(|error| Trouble::Later(error.to_string()))?;
    let status = answer.status();
    let why = format!("the answer is {status}");
    match status.as_u16() {
        200..=299 => Ok(()),
        // It will never take this message.
        400 | 405 | 406 | 409..=418 | 422 => Err(Trouble::Failed(why)),
        _ => Err(Trouble::Later(why)),
    }
}

/// Trusts whom the system trusts, and the authorities in the file.
fn agent(ca_file: Option<&Path>) -> Result<Agent, String> {
    // Without any, only an http:// address can be reached; the request says so.
    let mut roots: Vec<Certificate<'static>> = rustls_native_certs::load_native_certs()
        .certs
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    if let Some(path) = ca_file {
        let wrong = |error: &dyn std::fmt::Display| format!("{} (webhook ca file): {error}", path.display());
        let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
        for item in parse_pem(&pem) {
            if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(&error))? {
                roots.push(certificate);
            }
        }
    }
    let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots))).build();
    let config = Config::builder()
        .tls_config(tls)
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent(concat!("vscan/", env!("CARGO_PKG_VERSION")));
    Ok(config.build().new_agent())
}
