//! The scanners that there are: one line each.

use std::fmt;

use crate::address::AddressError;
use crate::command::CommandOptions;
use crate::dialogue::Scanner;
use crate::{
    avast, aveserver, avg, clamav, command, drweb, dummy, fprot, fprotd, fsav, icap, kav, kse, mks, oav,
    savapi, scannedonly, sophie, sssp,
};

/// A scanner that can be configured.
pub struct Registered {
    /// The word in the configuration, lower case; also the name of its transcript.
    pub scheme: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// What stands behind `<scheme>:` when the configuration says no more than the scheme.
    pub default_address: &'static str,
    /// Makes one from what stands behind `<scheme>:`.
    new: New,
}

type New = fn(&str, &CommandOptions) -> Result<Box<dyn Scanner>, AddressError>;

/// All scanners: first those that are still made, last the one for tests.
pub const SCANNERS: &[Registered] = &[
    Registered {
        scheme: "clamav",
        about: "ClamAV's clamd: passes descriptors over a unix socket, or content over TCP",
        default_address: "/run/clamav/clamd.ctl",
        new: |address, _| Ok(clamav::new(address.parse()?)),
    },
    Registered {
        scheme: "icap",
        about: "a service of an ICAP server: sends the content",
        default_address: "//127.0.0.1:1344/avscan",
        new: |address, _| icap::new("icap", address, None),
    },
    Registered {
        scheme: "symantec",
        about: "Symantec Protection Engine and its forerunners, through ICAP: sends the content",
        default_address: "//127.0.0.1",
        new: |address, _| icap::new("symantec", address, Some("SYMCScanResp-AV")),
    },
    Registered {
        scheme: "mcafee",
        about: "McAfee (Skyhigh) Web Gateway, through ICAP: sends the content",
        default_address: "//127.0.0.1",
        new: |address, _| icap::new("mcafee", address, Some("respmod")),
    },
    Registered {
        scheme: "kse",
        about: "Kaspersky Scan Engine in its HTTP mode: sends the content",
        default_address: "tcp:127.0.0.1:9999",
        new: |address, _| kse::new(address),
    },
    Registered {
        scheme: "avast",
        about: "Avast for Linux: the daemon opens the path",
        default_address: "/var/run/avast/scan.sock",
        new: |address, _| Ok(avast::new(address.parse()?)),
    },
    Registered {
        scheme: "savapi",
        about: "Avira's SAVAPI, a product's number may stand before the address: the daemon opens the path",
        default_address: "tcp:127.0.0.1:4444",
        new: |address, _| savapi::new(address),
    },
    Registered {
        scheme: "sssp",
        about: "Sophos' savdid: sends the path over a unix socket, or content over TCP",
        default_address: "/var/run/savdi/sssp.sock",
        new: |address, _| Ok(sssp::new(address.parse()?)),
    },
    Registered {
        scheme: "drweb",
        about: "Dr.Web's drwebd: sends the path over a unix socket, or content over TCP",
        default_address: "/var/drweb/run/drwebd.sock",
        new: |address, _| Ok(drweb::new(address.parse()?)),
    },
    Registered {
        scheme: "fsav",
        about: "F-Secure's fsavd: the daemon opens the path",
        default_address: "/tmp/.fsav-0",
        new: |address, _| Ok(fsav::new(address.parse()?)),
    },
    Registered {
        scheme: "sophie",
        about: "Sophie, or savdid with the Sophie protocol: the daemon opens the path",
        default_address: "/var/run/sophie",
        new: |address, _| Ok(sophie::new("sophie", address.parse()?)),
    },
    Registered {
        scheme: "trophie",
        about: "Trophie, for Trend Micro's engine: the daemon opens the path",
        default_address: "/var/run/trophie",
        new: |address, _| Ok(sophie::new("trophie", address.parse()?)),
    },
    Registered {
        scheme: "fprot",
        about: "F-PROT 6's fpscand: sends the content",
        default_address: "tcp:127.0.0.1:10200",
        new: |address, _| Ok(fprot::new(address.parse()?)),
    },
    Registered {
        scheme: "fprotd",
        about: "F-Prot's f-protd, versions 3 and 4: the daemon opens the path",
        default_address: "tcp:127.0.0.1:10200",
        new: |address, _| Ok(fprotd::new(address.parse()?)),
    },
    Registered {
        scheme: "kav",
        about: "Kaspersky's kavdaemon, versions 3 and 4: the daemon opens the path",
        default_address: "/var/run/AvpCtl",
        new: |address, _| Ok(kav::new(address.parse()?)),
    },
    Registered {
        scheme: "aveserver",
        about: "Kaspersky's aveserver, version 5: the daemon opens the path",
        default_address: "/var/run/aveserver",
        new: |address, _| Ok(aveserver::new(address.parse()?)),
    },
    Registered {
        scheme: "avg",
        about: "AVG's avgtcpd: the daemon opens the path",
        default_address: "tcp:127.0.0.1:55555",
        new: |address, _| Ok(avg::new(address.parse()?)),
    },
    Registered {
        scheme: "mks",
        about: "mks_vir's mksd: the daemon opens the path",
        default_address: "/var/run/mksd/socket",
        new: |address, _| Ok(mks::new(address.parse()?)),
    },
    Registered {
        scheme: "oav",
        about: "OpenAntiVirus' ScannerDaemon: the daemon opens the path",
        default_address: "tcp:127.0.0.1:8127",
        new: |address, _| Ok(oav::new(address.parse()?)),
    },
    Registered {
        scheme: "scannedonly",
        about: "vfs_scannedonly's daemon: leaves marks beside a private copy; needs \"spool directory\", and must run as root",
        default_address: "/var/lib/scannedonly/scan",
        new: |address, _| scannedonly::new(address),
    },
    Registered {
        scheme: "command",
        about: "a scanner program, started for each file: has the file as its input",
        default_address: "clamscan",
        new: |address, options| command::new(address, options),
    },
    Registered {
        scheme: "dummy",
        about: "no scanner: names that match a pattern are infected, for tests",
        default_address: "*eicar*",
        new: |patterns, _| Ok(dummy::new(patterns)),
    },
];

/// Turns a scanner as the configuration names it into one: `clamav`, `clamav:/run/clamav/clamd.ctl`,
/// `clamav:tcp:10.0.0.5:3310`, `dummy:*eicar*;*.vir`. The options are for `command` alone.
pub fn parse_scanner(spec: &str, options: &CommandOptions) -> Result<Box<dyn Scanner>, SpecError> {
    let spec = spec.trim();
    let (scheme, address) = match spec.split_once(':') {
        Some((scheme, address)) => (scheme, Some(address)),
        None => (spec, None),
    };
    let found = SCANNERS.iter().find(|scanner| scanner.scheme.eq_ignore_ascii_case(scheme));
    let scanner = found.ok_or_else(|| SpecError::UnknownScheme { scheme: scheme.to_owned() })?;
    (scanner.new)(address.unwrap_or(scanner.default_address), options)
        .map_err(|error| SpecError::Address { scheme: scanner.scheme, error })
}

/// Text that names no scanner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpecError {
    /// There is no scanner of this name.
    UnknownScheme {
        /// What stood before the first colon.
        scheme: String,
    },
    /// The scanner is known, but what stands behind it is no address.
    Address {
        /// The scanner.
        scheme: &'static str,
        /// What is wrong with the address.
        error: AddressError,
    },
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { scheme, error } => write!(f, "scanner {scheme}: {error}"),
            Self::UnknownScheme { scheme } => {
                write!(f, "there is no scanner {scheme:?}")?;
                if let Some(nearest) = nearest(scheme) {
                    write!(f, " (did you mean {nearest}?)")?;
                }
                let known: Vec<&str> = SCANNERS.iter().map(|scanner| scanner.scheme).collect();
                write!(f, "; known are {}: write for example clamav:/run/clamav/clamd.ctl", known.join(", "))
            }
        }
    }
}

impl std::error::Error for SpecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::UnknownScheme { .. } => None,
            Self::Address { error, .. } => Some(error),
        }
    }
}

/// The scheme that was probably meant.
fn nearest(scheme: &str) -> Option<&'static str> {
    const LIKELY: f64 = 0.75;
    let scheme = scheme.to_ascii_lowercase();
    let ranked =
        SCANNERS.iter().map(|scanner| (strsim::jaro_winkler(&scheme, scanner.scheme), scanner.scheme));
    let likely = ranked.filter(|(likeness, _)| *likeness >= LIKELY);
    likely.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, scheme)| scheme)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialogue::Takes;
    use crate::testing::recordings;

    fn parsed(spec: &str) -> (&'static str, Option<String>, Takes) {
        let scanner = parse_scanner(spec, &CommandOptions::default()).unwrap();
        (scanner.name(), scanner.endpoint().map(ToString::to_string), scanner.takes())
    }

    fn refusal(spec: &str) -> String {
        parse_scanner(spec, &CommandOptions::default()).err().unwrap().to_string()
    }

    #[test]
    fn accepts_a_scheme_with_an_address() {
        let endpoint = |text: &str| Some(text.to_owned());
        for (spec, expected) in [
            ("clamav:/p/clamd.ctl", ("clamav", endpoint("unix:/p/clamd.ctl"), Takes::Descriptor)),
            (" ClamAV:unix:/p ", ("clamav", endpoint("unix:/p"), Takes::Descriptor)),
            ("clamav:tcp:10.0.0.5:3310", ("clamav", endpoint("tcp:10.0.0.5:3310"), Takes::Stream)),
            ("clamav:[::1]:3310", ("clamav", endpoint("tcp:[::1]:3310"), Takes::Stream)),
            ("sophie:/p", ("sophie", endpoint("unix:/p"), Takes::Path)),
            ("trophie", ("trophie", endpoint("unix:/var/run/trophie"), Takes::Path)),
            ("dummy:*.vir;a:b", ("dummy", None, Takes::Path)),
            ("icap://10.0.0.5/avscan", ("icap", endpoint("tcp:10.0.0.5:1344"), Takes::Stream)),
            ("symantec://[::1]", ("symantec", endpoint("tcp:[::1]:1344"), Takes::Stream)),
            ("savapi:99@/p", ("savapi", endpoint("unix:/p"), Takes::Path)),
            ("sssp:/p", ("sssp", endpoint("unix:/p"), Takes::Path)),
            ("sssp:h:4010", ("sssp", endpoint("tcp:h:4010"), Takes::Stream)),
            ("drweb:h:3000", ("drweb", endpoint("tcp:h:3000"), Takes::Stream)),
            ("scannedonly:/p", ("scannedonly", endpoint("unix:/p"), Takes::Copy)),
            ("scannedonly:h:2020", ("scannedonly", endpoint("udp:h:2020"), Takes::Copy)),
        ] {
            assert_eq!(parsed(spec), expected, "{spec}");
        }
    }

    #[test]
    fn refuses_a_bad_address_with_the_name_of_the_scanner() {
        for spec in ["clamav:", "clamav:clamd.ctl", "sophie:unix:sophie", "savapi:1@nowhere"] {
            let refusal = refusal(spec);
            assert!(
                refusal.starts_with("scanner ") && refusal.contains("write /path/of/socket"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn refuses_an_icap_address_and_shows_one() {
        for spec in ["icap:10.0.0.5:1344", "icap://10.0.0.5", "mcafee:/run/socket"] {
            let refusal = refusal(spec);
            assert!(refusal.contains("icap://192.0.2.5:1344/avscan"), "{refusal}");
        }
    }

    #[test]
    fn refuses_an_unknown_scheme_and_names_the_nearest() {
        for (spec, meant) in
            [("clamd:/p", "clamav"), ("Klamav", "clamav"), ("sophos", "sophie"), ("trophy:/p", "trophie")]
        {
            assert!(refusal(spec).contains(&format!("(did you mean {meant}?)")), "{}", refusal(spec));
        }
        for spec in ["", "/dev/null", "tcp:10.0.0.5:3310"] {
            let refusal = refusal(spec);
            assert!(
                !refusal.contains("did you mean") && refusal.contains("known are clamav, icap"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn schemes_are_unique_lower_case_words() {
        for (index, scanner) in SCANNERS.iter().enumerate() {
            assert!(scanner.scheme.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            assert!(
                SCANNERS.iter().skip(index + 1).all(|other| other.scheme != scanner.scheme),
                "{}",
                scanner.scheme
            );
            assert!(!scanner.about.is_empty() && !scanner.about.contains('\n'));
        }
    }

    #[test]
    fn every_scanner_works_with_its_scheme_alone_and_goes_by_it() {
        for scanner in SCANNERS {
            assert_eq!(parsed(scanner.scheme).0, scanner.scheme);
        }
    }

    /// The README's table: word, what is given, and how it is written.
    fn readme_rows() -> Vec<(&'static str, &'static str, &'static str)> {
        let rows = include_str!("../README.md").lines().filter(|line| line.starts_with("| "));
        let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
        let words = cells.filter_map(|cells| match cells.as_slice() {
            [_, _, word, given, written, _, _, _] => {
                Some((word.strip_prefix('`')?.strip_suffix('`')?, *given, *written))
            }
            _ => None,
        });
        words.collect()
    }

    #[test]
    fn the_readme_lists_every_scanner_in_order() {
        let mut words: Vec<&str> = readme_rows().into_iter().map(|(word, _, _)| word).collect();
        words.dedup();
        let schemes: Vec<&str> = SCANNERS.iter().map(|scanner| scanner.scheme).collect();
        assert_eq!(words, schemes);
    }

    #[test]
    fn the_readme_says_what_each_address_is_given() {
        for (word, given, written) in readme_rows() {
            let spec = written.split('`').nth(1).unwrap();
            let (name, _, takes) = parsed(spec);
            assert_eq!(name, word, "{spec}");
            let beginning = match takes {
                Takes::Descriptor => "a descriptor",
                Takes::Stream => "the content",
                Takes::Path if name == "dummy" => "a name",
                Takes::Path => "a path",
                Takes::Copy => "the path of a copy",
            };
            assert!(given.starts_with(beginning), "{spec} is given {given}");
        }
    }

    #[test]
    fn every_scanner_has_recorded_dialogues_of_its_own() {
        for scanner in SCANNERS {
            let recordings = recordings(scanner.scheme);
            assert!(!recordings.is_empty(), "{}", scanner.scheme);
            for recording in recordings {
                assert_eq!(parsed(&recording.scanner).0, scanner.scheme, "[{}]", recording.title);
            }
        }
    }
}
