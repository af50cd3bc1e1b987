//! What Samba says of itself: its configuration through testparm, its build through smbd.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::Trouble;
use crate::output::reason;

/// smb.conf as Samba reads it, with all includes and the registry.
pub struct SmbConf {
    sections: Vec<Section>,
    /// What testparm complained about.
    pub warnings: Vec<String>,
}

/// A share, or `[global]`.
pub struct Section {
    pub name: String,
    options: Vec<(String, String)>,
}

impl SmbConf {
    /// Asks testparm.
    pub fn read(file: Option<&Path>) -> Result<Self, Trouble> {
        let mut command = Command::new("testparm");
        command.arg("-s").args(file);
        let output = run(&mut command)?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let reasons = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>();
            return Err(format!("testparm cannot read smb.conf: {}", reasons.join("; ")));
        }
        Ok(Self {
            sections: sections(&String::from_utf8_lossy(&output.stdout)),
            warnings: said.lines().filter(|line| is_warning(line)).map(str::to_owned).collect(),
        })
    }

    /// All sections but `[global]`.
    pub fn shares(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|section| !section.name.eq_ignore_ascii_case("global"))
    }

    /// An option of a share, or else of `[global]`.
    pub fn option<'a>(&'a self, share: &'a Section, name: &str) -> Option<&'a str> {
        let global = self.sections.iter().find(|section| section.name.eq_ignore_ascii_case("global"));
        share.option(name).or_else(|| global?.option(name))
    }

    /// The names and values of all options that begin with `vscan:`, those of the share first; without that beginning.
    pub fn vscan_options<'a>(&'a self, share: &'a Section) -> impl Iterator<Item = (&'a str, &'a str)> {
        let global = self.sections.iter().filter(|section| section.name.eq_ignore_ascii_case("global"));
        std::iter::once(share).chain(global).flat_map(|section| &section.options).filter_map(
            |(name, value)| {
                let (module, option) = name.split_once(':')?;
                module.trim().eq_ignore_ascii_case("vscan").then_some((option.trim(), value.as_str()))
            },
        )
    }
}

impl Section {
    fn option(&self, name: &str) -> Option<&str> {
        let wanted = key(name);
        self.options.iter().find(|(name, _)| key(name) == wanted).map(|(_, value)| value.as_str())
    }
}

/// Names compare without case and blanks.
fn key(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// testparm's output: `[name]` at the beginning of a line, and options behind a tab.
fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push(Section { name: name.to_owned(), options: Vec::new() });
        } else if let (Some(section), Some((name, value))) = (sections.last_mut(), line.split_once('=')) {
            section.options.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    sections
}

fn is_warning(line: &str) -> bool {
    let line = line.to_lowercase();
    // It says twice what it does not know.
    if line.starts_with("ignoring unknown parameter") {
        return false;
    }
    ["unknown parameter", "warning:", "error:", "invalid", "is deprecated"]
        .iter()
        .any(|word| line.contains(word))
}

/// What the installed smbd says of its build.
pub struct Smbd {
    /// Such as `4.17.12-Debian`.
    pub version: String,
    /// Where it looks for VFS modules.
    pub modules: PathBuf,
}

impl Smbd {
    /// Asks smbd.
    pub fn find() -> Result<Self, Trouble> {
        let version = run(Command::new(program()).arg("--version"))?;
        let build = run(Command::new(program()).arg("-b"))?;
        let version = String::from_utf8_lossy(&version.stdout);
        let version = version.trim().trim_start_matches("Version ").to_owned();
        let build = String::from_utf8_lossy(&build.stdout).into_owned();
        let modules = build.lines().find_map(|line| line.trim().strip_prefix("MODULESDIR: "));
        let modules = modules.ok_or("smbd -b does not say where its modules are (MODULESDIR)")?;
        Ok(Self { version, modules: Path::new(modules).join("vfs") })
    }

    /// The symbols that a module lacks in this smbd, as the dynamic linker sees it. Nothing of either is run.
    pub fn lacks(&self, module: &Path) -> Result<Vec<String>, Trouble> {
        let mut command = Command::new(program());
        command.env("LD_TRACE_LOADED_OBJECTS", "1").env("LD_WARN", "yes").env("LD_BIND_NOW", "1");
        let output = run(command.env("LD_PRELOAD", module))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let name = module.display().to_string();
        if !said.lines().any(|line| line.trim().starts_with(&name) && !line.contains("ignored")) {
            let why = said
                .lines()
                .find(|line| line.contains(&name))
                .unwrap_or("the dynamic linker does not say why");
            return Err(format!("{name} cannot be loaded: {why}"));
        }
        let symbols = said.lines().filter(|line| line.contains(&format!("({name})")));
        Ok(symbols.filter_map(|line| line.strip_prefix("undefined symbol: ")).map(first_word).collect())
    }
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

/// smbd is in a directory that is not in everybody's PATH.
fn program() -> PathBuf {
    let usual = ["/usr/sbin/smbd", "/usr/local/samba/sbin/smbd", "/usr/local/sbin/smbd"].map(PathBuf::from);
    usual.into_iter().find(|path| path.exists()).unwrap_or_else(|| PathBuf::from("smbd"))
}

fn run(command: &mut Command) -> Result<Output, Trouble> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    output.map_err(|error| {
        format!("{name} cannot be run ({}): is Samba installed on this machine?", reason(&error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Global parameters\n[global]\n\tvscan:scan on open = no\n\tpath = \n\n\n[a b]\n\t\
                        path = /srv/a = b\n\tvscan:Scan On Close = no\n";

    #[test]
    fn a_share_has_its_own_options_and_the_global_ones() {
        let conf = SmbConf { sections: sections(TEXT), warnings: Vec::new() };
        let share = conf.shares().next().unwrap();
        assert_eq!((share.name.as_str(), conf.shares().count()), ("a b", 1));
        assert_eq!(conf.option(share, "path"), Some("/srv/a = b"));
        assert_eq!(conf.option(share, "VSCAN: scan onopen"), Some("no"));
        assert_eq!(conf.option(share, "vscan:scan on close"), Some("no"));
        assert_eq!(conf.option(share, "read only"), None);
        let names: Vec<_> = conf.vscan_options(share).map(|(name, _)| name).collect();
        assert_eq!(names, ["Scan On Close", "scan on open"]);
    }
}
