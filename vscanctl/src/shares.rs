//! The shares, each with the settings that vscan has for it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use vscan_backends::registry::parse_scanner;
use vscan_engine::settings::{self, ConfigFile, Host, Loaded, complain_of_name};

use crate::Trouble;
use crate::output::shown;
use crate::samba::{Section, SmbConf};

/// A share.
pub struct Share {
    pub name: String,
    /// Its directory as configured; macros such as %U stand in it as they are.
    pub path: PathBuf,
    /// The modules of `vfs objects`.
    pub modules: Vec<String>,
    /// None for a share without vscan.
    pub protection: Option<Loaded>,
    /// The configuration file that was read, and whether smb.conf names it.
    pub file: (PathBuf, bool),
}

/// All shares, in the order of smb.conf.
pub fn all(conf: &SmbConf) -> Vec<Share> {
    conf.shares().map(|section| Share::of(conf, section)).collect()
}

/// The same where there is nothing to be said without a protected one.
pub fn with_a_protected_one(conf: &SmbConf) -> Result<Vec<Share>, Trouble> {
    let shares = all(conf);
    if shares.iter().any(|share| share.protection.is_some()) {
        return Ok(shares);
    }
    Err("no share is protected: put vscan into \"vfs objects\" of one (see vscanctl check)".to_owned())
}

/// The share of this name.
pub fn named<'a>(shares: &'a [Share], name: &str) -> Result<&'a Share, Trouble> {
    let found = shares.iter().find(|share| share.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let names = shares.iter().map(|share| share.name.as_str()).collect::<Vec<_>>().join(", ");
        format!("there is no share {name}; the shares are: {names}")
    })
}

/// The share through which a path is reached, and the share's root on the way to it: the innermost one, one with vscan
/// before others.
pub fn reaching<'a>(
    shares: &'a [Share],
    path: &Path,
    name: Option<&str>,
) -> Result<(&'a Share, PathBuf), Trouble> {
    if let Some(name) = name {
        let share = named(shares, name)?;
        let root = share.root_above(path);
        return root.map(|root| (share, root)).ok_or_else(|| {
            format!("{} is not in the share {}, which is {}", shown(path), share.name, shown(&share.path))
        });
    }
    let candidates = shares.iter().filter_map(|share| Some((share, share.root_above(path)?)));
    candidates.max_by_key(|(share, root)| (root.components().count(), share.protection.is_some())).ok_or_else(
        || format!("{} is in no share of smb.conf (see vscanctl check for the shares)", shown(path)),
    )
}

impl Share {
    fn of(conf: &SmbConf, section: &Section) -> Self {
        let name = section.name.clone();
        let path = conf.option(section, "path").filter(|path| !path.is_empty());
        let path =
            PathBuf::from(path.unwrap_or(if name.eq_ignore_ascii_case("homes") { "%H" } else { "/tmp" }));
        let modules = conf.option(section, "vfs objects").unwrap_or_default();
        let separators = |c: char| c.is_whitespace() || c == ',';
        let modules: Vec<_> =
            modules.split(separators).filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let option = |name: &str| conf.option(section, &format!("vscan:{name}")).map(str::to_owned);
        let named = option("config-file").or_else(|| option("config file"));
        let protection = modules.iter().any(|module| is_vscan(module)).then(|| {
            let file =
                named.as_deref().map_or(ConfigFile::Default, |file| ConfigFile::Named(Path::new(file)));
            let host = Host {
                option: &option,
                check_scanner: &|spec, command| {
                    parse_scanner(spec, command).map(drop).map_err(|error| error.to_string())
                },
            };
            let mut loaded = settings::load(&settings::Share { name: &name, path: &path }, file, &host);
            // smbd cannot see these: a module has to ask for options by their names.
            let odd = conf.vscan_options(section).filter(|(name, _)| !names_the_file(name));
            loaded.complaints.extend(odd.filter_map(|(option, value)| {
                // Ignored ones are asked for by name, and complained about already.
                complain_of_name(&name, option, value)
                    .filter(|complaint| complaint.severity == settings::Severity::Mistake)
            }));
            loaded
        });
        let file = (PathBuf::from(named.as_deref().unwrap_or(settings::DEFAULT_FILE)), named.is_some());
        Self { name, path, modules, protection, file }
    }

    /// Whether its directory depends on who connects.
    pub fn has_macros(&self) -> bool {
        self.path.as_os_str().as_bytes().contains(&b'%')
    }

    /// The share's root, if the path is in it. What a macro stands for is not known here: it may be any one name, and
    /// `%H` any path of a home.
    pub fn root_above(&self, path: &Path) -> Option<PathBuf> {
        let mut parts = path.components();
        let mut root = PathBuf::new();
        for wanted in self.without_links().components() {
            let part = parts.next()?;
            if !is_macro(&wanted) && wanted != part {
                return None;
            }
            root.push(part);
        }
        Some(root)
    }

    /// This root as smbd calls it: by the path in smb.conf, and not by where links on that path lead.
    pub fn as_seen_by_smbd(&self, root: &Path) -> PathBuf {
        let (known, _) = self.parts();
        let rest = known.canonicalize().ok().and_then(|real| root.strip_prefix(real).ok());
        rest.map_or_else(|| root.to_owned(), |rest| known.join(rest))
    }

    /// Its directory, where links on the way to its first macro lead.
    fn without_links(&self) -> PathBuf {
        let (known, rest) = self.parts();
        known.canonicalize().unwrap_or(known).join(rest)
    }

    /// Its directory up to its first macro, and from there.
    fn parts(&self) -> (PathBuf, PathBuf) {
        let path = if self.has_macros() {
            let text = self.path.to_string_lossy().replace("%S", &self.name).replace("%H", "/home/%U");
            PathBuf::from(text)
        } else {
            self.path.clone()
        };
        let known = path.components().take_while(|part| !is_macro(part));
        (known.collect(), path.components().skip_while(|part| !is_macro(part)).collect())
    }
}

fn is_macro(part: &Component<'_>) -> bool {
    part.as_os_str().as_bytes().contains(&b'%')
}

/// A module's name may be a path, and may have a suffix that tells it from others of its kind.
fn is_vscan(module: &str) -> bool {
    let name = module.rsplit('/').next().unwrap_or(module);
    let name = name.split(':').next().unwrap_or(name);
    name.trim_end_matches(".so").eq_ignore_ascii_case("vscan")
}

fn names_the_file(option: &str) -> bool {
    ["config-file", "config file", "configfile"].iter().any(|name| option.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(name: &str, path: &str) -> Share {
        Share {
            name: name.to_owned(),
            path: path.into(),
            modules: Vec::new(),
            protection: None,
            file: (PathBuf::new(), false),
        }
    }

    #[test]
    fn the_innermost_share_counts() {
        let shares = [share("all", "/srv"), share("data", "/srv/data"), share("own", "/home/%U/x")];
        let reached = |path: &str| {
            let (share, root) = reaching(&shares, Path::new(path), None).ok()?;
            Some((share.name.clone(), root.display().to_string()))
        };
        let expected = |name: &str, root: &str| Some((name.to_owned(), root.to_owned()));
        assert_eq!(reached("/srv/data/a"), expected("data", "/srv/data"));
        assert_eq!(reached("/srv/database/a"), expected("all", "/srv"));
        assert_eq!(reached("/home/ann/x/y"), expected("own", "/home/ann/x"));
        assert_eq!(reached("/home/ann/y"), None);
        assert!(reaching(&shares, Path::new("/srv/data/a"), Some("own")).is_err());
        assert_eq!(reaching(&shares, Path::new("/srv/data/a"), Some("ALL")).unwrap().0.name, "all");
    }

    #[test]
    fn a_share_behind_a_link_is_reached_where_its_files_are() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        std::fs::create_dir_all(home.join("disk/ann")).unwrap();
        std::os::unix::fs::symlink("disk", home.join("srv")).unwrap();
        for path in ["srv/ann", "srv/%U", "srv/%S"] {
            let share = share("ann", home.join(path).to_str().unwrap());
            let (real, root) = (home.join("disk/ann/a.doc"), home.join("disk/ann"));
            assert_eq!(share.as_seen_by_smbd(&root), home.join("srv/ann"), "{path}");
            assert_eq!(share.root_above(&real), Some(root), "{path}");
            assert_eq!(share.root_above(&home.join("tape/ann/a.doc")), None, "{path}");
        }
    }

    #[test]
    fn knows_its_module_by_any_of_its_names() {
        assert!(["vscan", "/usr/lib/samba/vfs/vscan.so", "vscan:1"].iter().all(|name| is_vscan(name)));
        assert!(!is_vscan("vscan-clamav") && !is_vscan("virusfilter"));
    }
}
