//! Texts of single values, and what they mean.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::nearest;

/// A size in bytes that Displays the way an administrator writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const SIZE_UNITS: [(&str, u64); 4] = [("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];

impl fmt::Display for Size {
    /// Exact: `10M`, `1536K`, `1000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |&&(_, unit): &&(&str, u64)| self.0 >= unit && self.0.is_multiple_of(unit);
        match SIZE_UNITS.iter().find(whole) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Size {
    /// For reading, rounded to one decimal: `12.3M`.
    pub fn rounded(self) -> String {
        match SIZE_UNITS.iter().find(|(_, unit)| self.0 >= *unit) {
            Some((name, unit)) => format!("{:.1}{name}", self.0 as f64 / *unit as f64),
            None => format!("{} bytes", self.0),
        }
    }
}

/// How long a cached result may be used, if nothing voids it earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// For this long.
    For(Duration),
    /// Until it is voided or pushed out.
    Unlimited,
}

/// The longest wait that may be asked for; beyond it, a wait is a mistake and a clock might overflow.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Splits `10 MiB` into 10 and `MiB`.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

pub(super) fn yes_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Ok(true),
        "no" | "false" | "off" | "0" => Ok(false),
        _ => Err("must be yes or no".to_owned()),
    }
}

pub(super) fn size(text: &str) -> Result<Size, String> {
    let bytes = number_and_unit(text).and_then(|(number, unit)| {
        let unit = unit.to_ascii_uppercase();
        let factor = match unit.strip_suffix("IB").or_else(|| unit.strip_suffix('B')).unwrap_or(&unit) {
            "" => 1,
            "K" => 1 << 10,
            "M" => 1 << 20,
            "G" => 1 << 30,
            "T" => 1 << 40,
            _ => return None,
        };
        number.checked_mul(factor)
    });
    bytes.map(Size).ok_or_else(|| "is not a size: use bytes, or a number with K, M, G or T".to_owned())
}

/// A duration, and whether it had a unit.
fn duration(text: &str) -> Result<(Duration, bool), String> {
    let parsed = number_and_unit(text).and_then(|(number, unit)| {
        let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
        let duration = match unit.to_ascii_lowercase().as_str() {
            "" | "s" | "sec" => seconds(1),
            "ms" => Some(Duration::from_millis(number)),
            "m" | "min" => seconds(60),
            "h" => seconds(60 * 60),
            "d" => seconds(24 * 60 * 60),
            _ => None,
        };
        Some((duration?, !unit.is_empty()))
    });
    parsed.ok_or_else(|| "is not a time: use seconds, or a number with ms, s, m, h or d".to_owned())
}

/// A time to wait, and a remark when a number without a unit was taken as vfs_virusfilter's milliseconds.
pub(super) fn timeout(text: &str) -> Result<(Duration, Option<String>), String> {
    let (mut wait, has_unit) = duration(text)?;
    let mut remark = None;
    if !has_unit && wait >= Duration::from_secs(1000) {
        wait = Duration::from_millis(wait.as_secs());
        remark = Some(format!("taken as milliseconds, as in vfs_virusfilter; better write {text}ms"));
    }
    if wait.is_zero() {
        return Err("would give up before it begins".to_owned());
    }
    if wait > LONGEST {
        return Err("is longer than a day".to_owned());
    }
    Ok((wait, remark))
}

/// How often something is done; None: never.
pub(super) fn interval(text: &str) -> Result<Option<Duration>, String> {
    let (interval, _) = duration(text)?;
    if interval > LONGEST {
        return Err("is longer than a day".to_owned());
    }
    Ok((!interval.is_zero()).then_some(interval))
}

/// None: the cache is off.
pub(super) fn lifetime(text: &str) -> Result<Option<Lifetime>, String> {
    if text == "-1" {
        return Ok(Some(Lifetime::Unlimited));
    }
    let (lifetime, _) = duration(text).map_err(|wrong| format!("{wrong} (-1: no limit, 0: off)"))?;
    Ok((!lifetime.is_zero()).then_some(Lifetime::For(lifetime)))
}

/// More would be a slip of the pen, and a database of gigabytes.
const MOST_ENTRIES: i64 = 10_000_000;

/// Zero: the cache is off.
pub(super) fn entries(text: &str) -> Result<usize, String> {
    let number: i64 = text.parse().map_err(|_| "is not a whole number".to_owned())?;
    if number > MOST_ENTRIES {
        return Err(format!("is more than {MOST_ENTRIES}"));
    }
    Ok(usize::try_from(number).unwrap_or(0))
}

/// How many scans may run at once. Each has a connection to the scanner, which other clients want to reach, too.
pub(super) fn scans_in_flight(text: &str) -> Result<usize, String> {
    const MOST: usize = 100;
    match text.parse() {
        Ok(number @ 1..=MOST) => Ok(number),
        _ => Err(format!("is not a number from 1 to {MOST}")),
    }
}

/// A TCP port.
pub(super) fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err("is not a port from 1 to 65535".to_owned()),
    }
}

/// A file, or none.
pub(super) fn optional_path(text: &str) -> Result<Option<PathBuf>, String> {
    match text {
        "" => Ok(None),
        text if text.starts_with('/') && !text.contains(char::is_control) => Ok(Some(text.into())),
        _ => Err("must be an absolute path, without quotes".to_owned()),
    }
}

/// A program and its arguments, split at blanks as a shell would, but for nothing else that a shell does.
pub(super) fn command(text: &str) -> Result<Vec<String>, String> {
    let words = shell_words::split(text).map_err(|_| "has a quote that does not end".to_owned())?;
    match words.first() {
        None => Ok(words),
        Some(program) if program.is_empty() || program.contains('%') => {
            Err("must begin with a program".to_owned())
        }
        Some(_) if words.iter().any(|word| word.contains('\0')) => Err("has a NUL in it".to_owned()),
        Some(_) => Ok(words),
    }
}

/// The beginning or the end of a file name.
pub(super) fn name_part(text: &str) -> Result<String, String> {
    const LONGEST_PART: usize = 64;
    if text.len() > LONGEST_PART {
        return Err(format!("is longer than {LONGEST_PART} bytes"));
    }
    if text.contains(|c: char| c == '/' || c.is_control()) {
        return Err("may not contain a slash or a control character".to_owned());
    }
    Ok(text.to_owned())
}

/// One of several words, whatever its case.
pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let words = || choices.iter().map(|(word, _)| *word);
    match choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let list = words().collect::<Vec<_>>().join(", ");
            let hint = nearest(text, words()).map(|word| format!("; did you mean {word}?"));
            Err(format!("must be one of: {list}{}", hint.unwrap_or_default()))
        }
    }
}

/// An absolute path; an empty text stands for no file.
pub(super) fn optional_file(text: &str) -> Result<Option<PathBuf>, String> {
    let file = PathBuf::from(text);
    if !text.is_empty() && !file.is_absolute() {
        return Err("must be an absolute path, without quotes, or empty".to_owned());
    }
    Ok((!text.is_empty()).then_some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_sizes_with_and_without_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("512K", 512 << 10),
            ("10m", 10 << 20),
            ("10 MB", 10 << 20),
            ("2GiB", 2 << 30),
            ("1T", 1 << 40),
            ("5B", 5),
        ] {
            assert_eq!(size(text), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_size() {
        for text in
            ["", "-1", "10X", "M", "1.5M", "10MM", "99999999999999999999", "18446744073709551615K", "10iM"]
        {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shows_sizes_as_an_administrator_writes_them() {
        for (bytes, shown) in
            [(0, "0"), (1000, "1000"), (10 << 20, "10M"), (1536 << 10, "1536K"), (1 << 40, "1T")]
        {
            assert_eq!(Size(bytes).to_string(), shown);
            assert_eq!(size(shown), Ok(Size(bytes)));
        }
        assert_eq!(Size(12_897_485).rounded(), "12.3M");
        assert_eq!(Size(7).rounded(), "7 bytes");
    }

    #[test]
    fn accepts_timeouts_in_seconds_or_with_a_unit() {
        for (text, ms) in
            [("30", 30_000), ("30s", 30_000), ("500ms", 500), ("2 m", 120_000), ("999", 999_000)]
        {
            assert_eq!(timeout(text), Ok((Duration::from_millis(ms), None)), "{text}");
        }
    }

    #[test]
    fn takes_large_plain_numbers_as_milliseconds_and_says_so() {
        let (wait, remark) = timeout("30000").unwrap();
        assert_eq!(wait, Duration::from_secs(30));
        assert!(remark.unwrap().contains("30000ms"));
        assert_eq!(timeout("1200s").unwrap(), (Duration::from_secs(1200), None));
    }

    #[test]
    fn refuses_timeouts_that_cannot_be_meant() {
        for text in
            ["", "0", "0ms", "-5", "5 parsecs", "25h", "18446744073709551615", "18446744073709551615h"]
        {
            assert!(timeout(text).is_err(), "{text}");
        }
    }

    #[test]
    fn accepts_intervals_where_zero_is_never() {
        assert_eq!(interval("500ms"), Ok(Some(Duration::from_millis(500))));
        assert_eq!(interval("0"), Ok(None));
        assert!(interval("2d").is_err() && interval("soon").is_err());
    }

    #[test]
    fn accepts_lifetimes_and_their_two_special_values() {
        assert_eq!(lifetime("-1"), Ok(Some(Lifetime::Unlimited)));
        assert_eq!(lifetime("0"), Ok(None));
        assert_eq!(lifetime("5000"), Ok(Some(Lifetime::For(Duration::from_secs(5000)))));
        assert_eq!(lifetime("1h"), Ok(Some(Lifetime::For(Duration::from_secs(3600)))));
        assert_eq!(lifetime("7d"), Ok(Some(Lifetime::For(Duration::from_secs(7 * 24 * 3600)))));
        assert!(lifetime("-2").is_err());
    }

    #[test]
    fn accepts_entry_counts_where_none_or_fewer_is_off() {
        assert_eq!((entries("100"), entries("0"), entries("-3")), (Ok(100), Ok(0), Ok(0)));
        assert!(entries("many").is_err() && entries("10000001").is_err());
    }

    #[test]
    fn refuses_name_parts_that_leave_the_directory() {
        assert_eq!(name_part("vir-"), Ok("vir-".to_owned()));
        for text in ["a/b", "../", "a\0", "a\nb", &"x".repeat(65)] {
            assert!(name_part(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_wrong_word_gets_the_list_and_the_nearest() {
        let choices = [("quarantine", 1), ("delete", 2)];
        assert_eq!(choice("Delete", &choices), Ok(2));
        let wrong = choice("quarrantine", &choices).unwrap_err();
        assert_eq!(wrong, "must be one of: quarantine, delete; did you mean quarantine?");
    }
}
