//! The scanner programs that are known: what to tell them, and what they mean.
//!
//! clamscan was tried. The others cannot be had any more, or not for nothing; what is here is what their manuals said and
//! what mail filters (amavisd-new, MailScanner) relied on for years. They get the file's path, because nobody can tell
//! whether they would scan `/proc/self/fd/0` or leave it out as "special". Where sources differ, the answer is the one that
//! lets less through: a file that only part of was scanned is a minor error.

use super::Meaning::{Clean, Error, Infected, MinorError};
use super::{Preset, Threat};
use crate::verdict::MinorErrorKind::{Encrypted, NotScannable};

/// All of them.
pub const PRESETS: &[Preset] = &[
    // clamscan(1). Without the two alerts it calls clean what it did not look at; without `OK`, it found no file.
    Preset {
        name: "clamscan",
        places: &["/usr/bin/clamscan", "/usr/local/bin/clamscan", "/opt/clamav/bin/clamscan"],
        arguments: &[
            "--stdout",
            "--no-summary",
            "--alert-exceeds-max=yes",
            "--alert-encrypted=yes",
            "/proc/self/fd/0",
        ],
        meaning: |code| match code {
            0 => Clean,
            1 => Infected,
            _ => Error,
        },
        threat: Threat::ClamAv(r"(?m): (.+) FOUND$"),
        clean_words: Some(r"(?m): OK$"),
    },
    // savscan(1): 1 interrupted, 2 an error or an encrypted file, 3 a virus.
    Preset {
        name: "savscan",
        places: &[
            "/usr/local/bin/savscan",
            "/opt/sophos-av/bin/savscan",
            "/usr/bin/savscan",
            "/usr/local/bin/sweep",
        ],
        arguments: &["-nb", "-f", "-all", "-ss", "-sc", "-archive", "%f"],
        meaning: |code| match code {
            0 => Clean,
            3 => Infected,
            2 => MinorError(NotScannable),
            _ => Error,
        },
        threat: Threat::Name(r"(?m)^>>> Virus(?: fragment)? '([^']+)' found"),
        clean_words: None,
    },
    // uvscan(1): 2 to 8 and 15 trouble with itself, 12 failed to clean, 13 a virus, 19 cleaned, 102 interrupted.
    Preset {
        name: "uvscan",
        places: &[
            "/usr/local/uvscan/uvscan",
            "/usr/local/bin/uvscan",
            "/usr/bin/uvscan",
            "/opt/uvscan/uvscan",
        ],
        arguments: &["--secure", "--mime", "--noboot", "%f"],
        meaning: |code| match code {
            0 => Clean,
            13 | 19 => Infected,
            _ => Error,
        },
        threat: Threat::Name(
            r"(?m)Found(?: the (.+?) (?:virus|trojan)| virus or variant (.+?)(?: !!!)?$|: (.+?) NOT a virus)",
        ),
        clean_words: None,
    },
    // kavscanner(8) of version 5: 10 an archive with a password, 15 damaged files, 20 suspicious, 21 a warning, 25 a virus,
    // 5 all of them disinfected; from 30 on, trouble with itself.
    Preset {
        name: "kavscanner",
        places: &[
            "/opt/kaspersky/kav4fs/bin/kavscanner",
            "/opt/kav/bin/kavscanner",
            "/opt/kav/5.5/kav4unix/bin/kavscanner",
            "/usr/local/bin/kavscanner",
        ],
        arguments: &["-i0", "-xn", "-xp", "-mn", "-R", "-ePASBME", "%f"],
        meaning: |code| match code {
            0 => Clean,
            5 | 20 | 21 | 25 => Infected,
            10 => MinorError(Encrypted),
            15 => MinorError(NotScannable),
            _ => Error,
        },
        threat: Threat::Name(r"(?m)\b(?:INFECTED|WARNING|SUSPICION|SUSPICIOUS) (.+?)\s*$"),
        clean_words: None,
    },
    // bdscan(8): the summary says it.
    Preset {
        name: "bdscan",
        places: &[
            "/opt/BitDefender-scanner/bin/bdscan",
            "/opt/BitDefender/bin/bdscan",
            "/usr/bin/bdscan",
            "/usr/local/bin/bdscan",
        ],
        arguments: &["--action=ignore", "--no-list", "%f"],
        meaning: |code| match code {
            0 => Clean,
            _ => Error,
        },
        threat: Threat::Found(
            r"(?m)\b(?:infected|suspected): ([^\x1b\r\n]+)|^(?:Infected files|Identified viruses|Suspect files) *: *0*[1-9]",
        ),
        clean_words: Some(r"(?m)^Infected files *: *0+\s*$"),
    },
    // ESET's knowledge base: 1 a threat, cleaned; 10 some files were not scanned; 50 a threat; 100 trouble.
    Preset {
        name: "esets",
        places: &["/opt/eset/esets/sbin/esets_scan", "/usr/sbin/esets_scan", "/usr/bin/esets_scan"],
        arguments: &["--subdir", "%f"],
        meaning: |code| match code {
            0 => Clean,
            1 | 50 => Infected,
            10 => MinorError(NotScannable),
            _ => Error,
        },
        threat: Threat::Name(r#"\b(?:threat|virus)="([^"]+)""#),
        clean_words: None,
    },
    // fpscan(8), version 6: a sum of 1 infected, 2 suspicious, 4 interrupted, 8 limits of archives, 16 and 32 trouble with
    // itself, 64 not scanned.
    Preset {
        name: "fpscan",
        places: &["/opt/f-prot/fpscan", "/usr/local/bin/fpscan", "/usr/bin/fpscan"],
        arguments: &["--report", "--adware", "%f"],
        meaning: |code| match code {
            0 => Clean,
            1 | 2 | 3 | 5 | 6 | 7 | 9 | 10 | 11 | 13 | 14 | 15 | 65 | 66 | 67 | 73 | 74 | 75 => Infected,
            8 | 64 | 72 => MinorError(NotScannable),
            _ => Error,
        },
        threat: Threat::Name(r"(?m)^\[Found [^\]]*\]\s+<([^ \t(>]+)"),
        clean_words: None,
    },
    // f-prot(1), version 4: 3 a virus, 6 removed, 8 a suspicious file; 1, 2, 5 and 7 trouble with itself.
    Preset {
        name: "f-prot",
        places: &["/usr/local/bin/f-prot", "/usr/bin/f-prot", "/usr/local/f-prot/f-prot"],
        arguments: &["-dumb", "-archive", "-packed", "%f"],
        meaning: |code| match code {
            0 => Clean,
            3 | 6 => Infected,
            8 => MinorError(NotScannable),
            _ => Error,
        },
        threat: Threat::Name(r"(?m)(?:Infection: | security risk named | contains )(.+?)\s*$"),
        clean_words: None,
    },
    // avscan of AntiVir for Unix: 1 found, 3 suspicious; 2 a virus in memory; from 200 on, trouble with itself.
    Preset {
        name: "avscan",
        places: &["/usr/bin/avscan", "/usr/local/bin/avscan", "/usr/lib/AntiVir/guard/avscan"],
        arguments: &["--batch", "--scan-mode=all", "%f"],
        meaning: |code| match code {
            0 => Clean,
            1 | 3 => Infected,
            _ => Error,
        },
        threat: Threat::Name(r"(?i)\balert: \[?([^\]\r\n]+)"),
        clean_words: None,
    },
    // Dr.Web's console scanner: a sum of 1, 2, 4 known, modified, suspicious, and 8, 16, 32 the same in archives.
    // https://cdn-download.drweb.com/pub/drweb/esuite/13.0.1/documentation/html/en/user_manual_agent/appendixa_commandparams_returns.html
    Preset {
        name: "drweb",
        places: &["/opt/drweb/drweb", "/usr/local/drweb/drweb", "/usr/bin/drweb"],
        arguments: &["-path=%f", "-al", "-go", "-ot", "-cn", "-upn", "-ok-"],
        meaning: |code| match code {
            0 => Clean,
            1..=63 => Infected,
            _ => Error,
        },
        threat: Threat::Name(r"(?m) infected (?:with|by) (?:virus )?(.+?)\s*$"),
        clean_words: None,
    },
];
