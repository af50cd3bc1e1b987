//! `//host:port/service`: where an ICAP service is.

use crate::address::{AddressError, Endpoint};

const FORMS: &str =
    "//host:port/service, for example icap://192.0.2.5:1344/avscan (an IPv6 address in brackets)";

/// The port of ICAP, when the address names none.
const PORT: u16 = 1344;

/// A service of an ICAP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) endpoint: Endpoint,
    /// Host and port as they stand in a request.
    pub(super) authority: String,
    /// The service with its arguments, without the leading slash.
    pub(super) service: String,
}

impl Address {
    /// Reads what stands behind the scheme. The product's own service name is taken when the address has none.
    pub(super) fn parse(text: &str, own_service: Option<&str>) -> Result<Self, AddressError> {
        let wrong = |problem| AddressError::new(text, problem, FORMS);
        let rest = text.trim().strip_prefix("//").ok_or_else(|| wrong("it begins with //"))?;
        let (authority, service) = rest.split_once('/').unwrap_or((rest, ""));
        let service = match (service, own_service) {
            ("", Some(own)) => own,
            ("", None) => return Err(wrong("the name of the service is missing")),
            (named, _) => named,
        };
        // It becomes part of a request: with a space or a line break in it, another request.
        if !service.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("the name of a service has neither spaces nor letters beyond ASCII"));
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:{PORT}") };
        if !authority.is_ascii() {
            return Err(wrong("a host's name has no letters beyond ASCII"));
        }
        let endpoint: Endpoint = format!("tcp:{authority}").parse()?;
        Ok(Self { endpoint, authority, service: service.to_owned() })
    }

    /// The service as a request names it.
    pub(super) fn uri(&self) -> String {
        format!("icap://{}/{}", self.authority, self.service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_an_address_with_or_without_a_port() {
        for (text, endpoint, uri) in [
            ("//h:13440/avscan", "tcp:h:13440", "icap://h:13440/avscan"),
            (" //h/a/b?x=y ", "tcp:h:1344", "icap://h:1344/a/b?x=y"),
            ("//[::1]/a", "tcp:[::1]:1344", "icap://[::1]:1344/a"),
            ("//[::1]:99/a", "tcp:[::1]:99", "icap://[::1]:99/a"),
        ] {
            let address = Address::parse(text, None).unwrap();
            assert_eq!((address.endpoint.to_string().as_str(), address.uri().as_str()), (endpoint, uri));
        }
    }

    #[test]
    fn a_product_has_its_own_service_name() {
        for (text, service) in [("//h", "own"), ("//h/", "own"), ("//h:99/other", "other")] {
            assert_eq!(Address::parse(text, Some("own")).unwrap().service, service);
        }
    }

    #[test]
    fn refuses_what_is_no_address_and_says_why() {
        for (text, problem) in [
            ("h:1344/a", "begins with //"),
            ("//h:1344", "service is missing"),
            ("//h/a b", "spaces"),
            ("//h/a\r\nX: y", "spaces"),
            ("//h/\u{e9}", "beyond ASCII"),
            ("//\u{e9}/a", "beyond ASCII"),
            ("///a", "no name of a host"),
            ("//h:icap/a", "from 1 to 65535"),
            ("//::1/a", "in brackets"),
        ] {
            let error = Address::parse(text, None).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
