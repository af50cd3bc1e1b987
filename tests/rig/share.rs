//! One share of a private smbd.

use std::path::Path;

/// A share to be: where its files are is smbd's business ([`crate::smbd::Smbd::dir`]).
#[derive(Clone)]
pub struct Share {
    pub(crate) name: String,
    pub(crate) conf: Option<String>,
    options: Vec<(String, String)>,
}

impl Share {
    /// A share without any module.
    pub fn plain(name: &str) -> Self {
        Self { name: name.to_owned(), conf: None, options: Vec::new() }.option("read only", "no")
    }

    /// A share protected by vscan, with this text as its `vscan.conf`; `@RIG@` in it stands for the folder that
    /// [`crate::smbd::Smbd::path`] names.
    pub fn vscan(name: &str, conf: &str) -> Self {
        Self { conf: Some(conf.to_owned()), ..Self::plain(name) }
            .option("vfs objects", "vscan")
            .option("vscan:cache directory", "@RIG@/vscan-cache")
            .option("vscan:counters file", "@RIG@/vscan-run/counters")
            .option("vscan:notify spool", "@RIG@/spool")
            // The machine's own would count for all claims that run at the time.
            .option("vscan:trusted files", "@RIG@/trusted")
            .option("vscan:signature epoch file", "@RIG@/epoch")
            // Claims that are not about messages do without the program that sends them.
            .option("vscan:send warning message", "no")
    }

    /// A share protected by Samba's own virusfilter and the clamd at `socket`.
    pub fn virusfilter(name: &str, socket: &Path) -> Self {
        Self::plain(name)
            .option("vfs objects", "virusfilter")
            .option("virusfilter:scanner", "clamav")
            .option("virusfilter:socket path", &socket.display().to_string())
            .option("virusfilter:min file size", "0")
            .option("virusfilter:cache entry limit", "-1")
    }

    /// One more line, or another value for an earlier one.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.retain(|(known, _)| known != name);
        self.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The share's section in smb.conf.
    pub(crate) fn section(&self, dir: &Path, conf_file: &Path) -> String {
        let mut text = format!("[{}]\n    path = {}\n", self.name, dir.display());
        if self.conf.is_some() {
            text += &format!("    vscan:config-file = {}\n", conf_file.display());
        }
        for (name, value) in &self.options {
            text += &format!("    {name} = {value}\n");
        }
        text
    }
}
