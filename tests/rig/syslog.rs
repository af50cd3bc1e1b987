//! A syslog of our own: the socket that one smbd sees as /dev/log.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Collects what is logged until it is dropped.
pub(crate) struct Syslog {
    lines: Arc<Mutex<Vec<String>>>,
    socket: UnixDatagram,
}

impl Syslog {
    /// Listens at `path`.
    pub(crate) fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        crate::smbd::open_to_all(path);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (reader, sink) = (socket.try_clone().unwrap(), Arc::clone(&lines));
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            // An empty datagram is how a shut-down socket reads.
            while let Ok(length @ 1..) = reader.recv(&mut buffer) {
                sink.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        });
        Self { lines, socket }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}
