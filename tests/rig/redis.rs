//! A private Redis server, on a unix socket.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use crate::keeper::{Kept, Mounts};
use crate::wait::{SOON, eventually};

/// What it wants to hear of its clients; nobody else is to hear it.
pub const PASSWORD: &str = "topsecret";

/// A running server. It ends when this is dropped.
pub struct Redis {
    daemon: Option<Kept>,
    home: TempDir,
}

impl Redis {
    /// Starts one; returns when it answers.
    pub fn start() -> Self {
        let home = tempfile::Builder::new().prefix("vscan-rig-redis-").tempdir_in("/tmp").unwrap();
        let mut redis = Self { daemon: None, home };
        redis.start_again();
        redis
    }

    /// The same after [`Redis::kill`].
    pub fn start_again(&mut self) {
        let socket = self.socket().display().to_string();
        let home = self.home.path().display().to_string();
        let command = [
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            &socket,
            "--requirepass",
            PASSWORD,
            "--save",
            "",
            "--dir",
            &home,
            "--daemonize",
            "no",
        ];
        self.daemon = Some(Kept::start(Mounts::Shared, "", &command, &self.home.path().join("log")));
        eventually("Redis listens", SOON, || UnixStream::connect(self.socket()).ok());
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.daemon = None;
    }

    /// Has it accept connections and say nothing, or go on.
    pub fn pause(&self, pause: bool) {
        let signal = if pause { Signal::STOP } else { Signal::CONT };
        let daemon = self.daemon.as_ref().expect("it was killed");
        kill_process(daemon.pid(), signal).unwrap();
    }

    /// As in vscan.conf.
    pub fn address(&self) -> String {
        format!("redis+unix://{}?db=3&pass={PASSWORD}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("redis.sock")
    }
}
