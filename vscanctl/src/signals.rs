//! What Ctrl-C does to a command that would leave something half done.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::Trouble;
use crate::output::reason;

/// True from the first signal on: the command ends as soon as it can be left. The second one ends it at once.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>, Trouble> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_default(signal, stop.clone())
            .and_then(|_| flag::register(signal, stop.clone()))
            .map_err(|error| format!("signals cannot be caught: {}", reason(&error)))?;
    }
    Ok(stop)
}
