//! `scanner command`, and what belongs to it.

use regex::bytes::Regex;
use vscan_backends::command::{CustomCommand, ExitCodes};
use vscan_backends::dialogue::RunAs;

use crate::sys::user;

/// The texts that only together are a command.
#[derive(Default)]
pub(super) struct CommandDraft {
    pub(super) line: String,
    pub(super) codes: ExitCodes,
    pub(super) threat: String,
}

impl CommandDraft {
    /// The command, if one is written; or what is wrong with it.
    pub(super) fn finish(self) -> Result<Option<CustomCommand>, String> {
        let words = shell_words::split(&self.line).map_err(|_| "has a quotation mark without its pair")?;
        let Some((program, arguments)) = words.split_first() else { return Ok(None) };
        if !program.starts_with('/') {
            return Err(format!("{program:?} is no absolute path"));
        }
        let threat = match self.threat.as_str() {
            "" => None,
            text => Some(Regex::new(text).map_err(|_| {
                format!("is of no use with a \"scanner command threat regexp\" that cannot be read: {text:?}")
            })?),
        };
        Ok(Some(CustomCommand {
            program: program.clone(),
            arguments: arguments.to_vec(),
            codes: self.codes,
            threat,
        }))
    }
}

/// Exit codes, and ranges of them: `0, 2, 10-15`.
pub(super) fn exit_codes(text: &str) -> Result<Vec<u8>, String> {
    let wrong =
        |item: &str| format!("{item:?} is no exit code; write numbers from 0 to 255, such as 1, 3, 10-15");
    let mut codes = Vec::new();
    for item in
        text.split(|c: char| c == ',' || c == ';' || c.is_whitespace()).filter(|item| !item.is_empty())
    {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        match (first.parse::<u8>(), last.parse::<u8>()) {
            (Ok(first), Ok(last)) if first <= last => codes.extend(first..=last),
            (Ok(_) | Err(_), Ok(_) | Err(_)) => return Err(wrong(item)),
        }
    }
    Ok(codes)
}

/// A user by name or number; none for root.
pub(super) fn run_as(text: &str) -> Result<Option<RunAs>, String> {
    match text {
        "" | "root" => Ok(None),
        name => match user::find(name) {
            Some(found) => Ok(Some(RunAs { user: found.user, group: found.group, groups: found.groups })),
            None => Err("there is no such user".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str, threat: &str) -> Result<Option<CustomCommand>, String> {
        let draft = CommandDraft { line: line.to_owned(), threat: threat.to_owned(), ..Default::default() };
        draft.finish()
    }

    #[test]
    fn a_command_is_split_at_blanks_outside_quotation_marks() {
        let command = command(r#"/opt/my\ scanner --name="a b" '%f' $HOME ;"#, "").unwrap().unwrap();
        assert_eq!(command.program, "/opt/my scanner");
        assert_eq!(command.arguments, ["--name=a b", "%f", "$HOME", ";"]);
        assert!(self::command("", "x").unwrap().is_none());
    }

    #[test]
    fn refuses_a_command_that_cannot_be_run() {
        for (line, threat, problem) in [
            ("clamscan %f", "", "no absolute path"),
            ("/usr/bin/x 'y", "", "quotation mark"),
            ("/usr/bin/x", "(", "threat regexp"),
        ] {
            let wrong = command(line, threat).unwrap_err();
            assert!(wrong.contains(problem), "{wrong}");
        }
    }

    #[test]
    fn reads_exit_codes_and_ranges() {
        assert_eq!(exit_codes("").unwrap(), [0; 0]);
        assert_eq!(exit_codes("0, 2; 10-12 255").unwrap(), [0, 2, 10, 11, 12, 255]);
        for text in ["256", "-1", "a", "3-1", "1-", "1-300"] {
            assert!(exit_codes(text).unwrap_err().contains("from 0 to 255"), "{text}");
        }
    }

    #[test]
    fn a_user_goes_by_name_or_number() {
        assert_eq!((run_as("").unwrap(), run_as("root").unwrap()), (None, None));
        assert_eq!(run_as("nobody").unwrap().unwrap().user, 65534);
        assert_eq!(run_as("12345").unwrap(), Some(RunAs { user: 12345, group: 12345, groups: vec![] }));
        assert!(run_as("no such user").is_err() && run_as("-1").is_err());
    }
}
