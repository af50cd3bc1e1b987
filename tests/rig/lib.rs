//! The rig: a private smbd, a private clamd, and clients, for claims about the whole system.
