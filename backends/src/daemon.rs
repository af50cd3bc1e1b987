//! A scanner that is no more than a name, an address and a way to begin.

use crate::address::Endpoint;
use crate::dialogue::{Object, Scanner, Step, Takes, VersionQuery};

/// A scanner whose dialogues depend on nothing but the file.
pub(crate) struct Daemon {
    /// The scheme.
    pub(crate) name: &'static str,
    pub(crate) endpoint: Endpoint,
    pub(crate) takes: Takes,
    /// Begins a dialogue.
    pub(crate) begin: fn(&Object<'_>) -> Step,
    /// Asks for the version of the signatures.
    pub(crate) version_query: Option<fn() -> VersionQuery>,
}

impl Scanner for Daemon {
    fn name(&self) -> &'static str {
        self.name
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.endpoint)
    }

    fn takes(&self) -> Takes {
        self.takes
    }

    fn begin(&self, object: &Object<'_>) -> Step {
        (self.begin)(object)
    }

    fn version_query(&self) -> Option<VersionQuery> {
        self.version_query.map(|query| query())
    }
}
