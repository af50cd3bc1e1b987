//! The daemon of vfs_scannedonly, after the description of its protocol: hears paths in datagrams, and leaves marks beside
//! the files.

use std::fs;
use std::io;
use std::net::UdpSocket;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use crate::samples::eicar;
use crate::wait::eventually;

/// What it leaves beside a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marking {
    /// As the real one: an infected file is given another name, and a warning is written for its owner.
    Honest,
    /// The mark of a clean file and that of an infected one.
    Both,
    /// That it could not scan.
    Failed,
    /// That a file is clean which it has written to.
    Altered,
}

/// A running daemon; ends when it is dropped.
pub struct Marker {
    shared: Arc<Shared>,
    ear: Arc<Ear>,
    dir: TempDir,
}

enum Ear {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

struct Shared {
    marking: Marking,
    script: Mutex<Script>,
    changed: Condvar,
}

#[derive(Default)]
struct Script {
    over: bool,
    /// Files with this in them wait.
    held: Option<Vec<u8>>,
    told: Vec<PathBuf>,
}

impl Marker {
    /// Listens on a unix socket that only root can reach.
    pub fn unix(marking: Marking) -> Self {
        let dir = super::socket_dir();
        let socket = UnixDatagram::bind(dir.path().join("scan")).unwrap();
        Self::hear(Ear::Unix(socket), dir, marking)
    }

    /// Listens on a UDP port of 127.0.0.1.
    pub fn udp(marking: Marking) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Self::hear(Ear::Udp(socket), super::socket_dir(), marking)
    }

    fn hear(ear: Ear, dir: TempDir, marking: Marking) -> Self {
        let shared = Arc::new(Shared { marking, script: Mutex::default(), changed: Condvar::new() });
        let ear = Arc::new(ear);
        let (state, socket) = (Arc::clone(&shared), Arc::clone(&ear));
        std::thread::spawn(move || state.serve(&socket));
        Self { shared, ear, dir }
    }

    /// As `scanner =` names it.
    pub fn spec(&self) -> String {
        match &*self.ear {
            Ear::Unix(_) => format!("scannedonly:{}", self.dir.path().join("scan").display()),
            Ear::Udp(socket) => format!("scannedonly:udp:{}", socket.local_addr().unwrap()),
        }
    }

    /// Leaves no mark beside files with these bytes in them until [`Marker::release`].
    pub fn hold_only(&self, needle: &[u8]) {
        self.shared.change(|script| script.held = Some(needle.to_vec()));
    }

    /// Lets the marks appear.
    pub fn release(&self) {
        self.shared.change(|script| script.held = None);
    }

    /// All paths that it was told.
    pub fn told(&self) -> Vec<PathBuf> {
        self.shared.script.lock().unwrap().told.clone()
    }

    /// Waits until it was told so many.
    pub fn wait_for_told(&self, count: usize, deadline: Duration) {
        eventually(&format!("{count} paths are told"), deadline, || {
            (self.told().len() >= count).then_some(())
        });
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        self.shared.change(|script| script.over = true);
        let _ = match &*self.ear {
            Ear::Unix(_) => {
                UnixDatagram::unbound().and_then(|other| other.send_to(b"\n", self.dir.path().join("scan")))
            }
            Ear::Udp(socket) => socket.local_addr().and_then(|address| socket.send_to(b"\n", address)),
        };
    }
}

impl Shared {
    fn change(&self, how: impl FnOnce(&mut Script)) {
        how(&mut self.script.lock().unwrap());
        self.changed.notify_all();
    }

    fn serve(self: Arc<Self>, ear: &Ear) {
        let mut datagram = vec![0; 65536];
        loop {
            let length = match ear {
                Ear::Unix(socket) => socket.recv(&mut datagram),
                Ear::Udp(socket) => socket.recv(&mut datagram),
            };
            if self.script.lock().unwrap().over {
                return;
            }
            let mut paths: Vec<&[u8]> = datagram[..length.unwrap()].split(|&byte| byte == b'\n').collect();
            assert_eq!(paths.pop(), Some(b"".as_slice()), "every path has an end");
            for path in paths {
                let path = PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()));
                let content = fs::read(&path).unwrap();
                self.change(|script| script.told.push(path.clone()));
                let shared = Arc::clone(&self);
                std::thread::spawn(move || shared.scan(&path, &content).unwrap());
            }
        }
    }

    fn scan(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let holds = |script: &mut Script| {
            let is_held = |needle: &Vec<u8>| content.windows(needle.len()).any(|part| part == needle);
            !script.over && script.held.as_ref().is_some_and(is_held)
        };
        let script = self.changed.wait_while(self.script.lock().unwrap(), holds).unwrap();
        if script.over {
            return Ok(());
        }
        drop(script);
        let name = path.file_name().unwrap().to_str().unwrap();
        let beside = |name: String| path.with_file_name(name);
        let mark = |mark: &str| fs::write(beside(format!(".{mark}:{name}")), "");
        match self.marking {
            Marking::Honest if content == eicar() => {
                fs::write(beside(format!("VIRUS found in {name}.txt")), "Ask your administrator.")?;
                fs::rename(path, beside(format!(".virus:{name}")))
            }
            Marking::Honest => mark("scanned"),
            Marking::Both => {
                mark("virus")?;
                mark("scanned")
            }
            Marking::Failed => mark("failed"),
            Marking::Altered => {
                fs::write(path, "something else")?;
                mark("scanned")
            }
        }
    }
}
