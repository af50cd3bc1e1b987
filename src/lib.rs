//! vscan: the virus scanner inside a Samba file server.
