//! Lines in the form of samba-vscan's, for programs that read logs: those match word by word, so the words are its own.
//!
//! Such a program is, for one, Zentyal's `SambaLogHelper`: it wants
//! `ALERT - Scan result: 'FILE' infected with virus 'NAME', client: 'ADDRESS'` up to the end of the line, and
//! `INFO: quarantining file 'FILE' to 'FILE' was successful`. All other lines begin with `ERROR:` or `INFO:`.

use super::{Level, Printable};
use crate::notify::{Event, Occurrence};

/// What to say instead of `text`, which is about the event if there is one.
pub(crate) fn lines(level: Level, text: &str, event: Option<&Event>) -> Vec<String> {
    let Some(Event { occurrence: Occurrence::Infected { file, threat, action }, session, .. }) = event else {
        return vec![format!("{}: {text}", tag(level))];
    };
    let (path, threat) = (quoted(file.path.as_bytes()), quoted(threat.as_bytes()));
    let client = quoted(session.client.as_bytes());
    let mut lines =
        vec![format!("ALERT - Scan result: {path} infected with virus {threat}, client: {client}")];
    if let ("quarantine", Some(destination)) = (action.name.as_str(), &action.destination) {
        let destination = quoted(destination.as_bytes());
        lines.push(format!("INFO: quarantining file {path} to {destination} was successful"));
    }
    lines
}

fn tag(level: Level) -> &'static str {
    match level {
        Level::Alert | Level::Error => "ERROR",
        Level::Notice | Level::Decision | Level::Debug => "INFO",
    }
}

/// A quote in the name must not look like its end. No escape would do: the readers know none.
fn quoted(name: &[u8]) -> String {
    format!("'{}'", Printable(name).to_string().replace('\'', "\\x27"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::tests::infected;

    /// As the program named above matches it.
    fn read(line: &str) -> [String; 3] {
        let pattern = "^ALERT - Scan result: '(.*?)' infected with virus '(.*?)', client: '(.*?)'$";
        let found = regex::Regex::new(pattern).unwrap().captures(line).map(|found| found.extract().1);
        found.unwrap_or_else(|| panic!("{line}")).map(str::to_owned)
    }

    #[test]
    fn a_program_that_reads_samba_vscans_alerts_reads_ours() {
        let event = infected(b"/srv/data/bad.com");
        let lines = lines(Level::Alert, "in our words", Some(&event));
        assert_eq!(read(&lines[0]), ["/srv/data/bad.com", "Eicar", "192.0.2.7"]);
        assert_eq!(lines[1], "INFO: quarantining file '/srv/data/bad.com' to '/q/vir-1' was successful");
    }

    #[test]
    fn a_name_cannot_forge_another_threat_or_client() {
        let event = infected(b"/s/a' infected with virus 'None', client: '10.0.0.1'\n");
        let lines = lines(Level::Alert, "", Some(&event));
        let forged = "/s/a\\x27 infected with virus \\x27None\\x27, client: \\x2710.0.0.1\\x27\\n";
        assert_eq!(read(&lines[0]), [forged, "Eicar", "192.0.2.7"]);
    }

    #[test]
    fn everything_else_has_a_tag() {
        assert_eq!(lines(Level::Error, "no scanner", None), ["ERROR: no scanner"]);
        assert_eq!(lines(Level::Notice, "it is back", None), ["INFO: it is back"]);
    }
}
