//! Results of earlier scans: this process's own, and those of all processes.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, openat};
use vscan_backends::dialogue::Outcome;

use super::{Place, Protection};
use crate::cache::{Circumstances, Known};
use crate::counters::Event;
use crate::fingerprint::Fingerprint;
use crate::identity::{FileKey, FileTime, Identity};
use crate::scan::blocking;
use crate::scan::version::Check;
use crate::settings::{Lifetime, Settings};
use crate::shared::{Entry, Generation, Key, Lookup, Question, SharedCache, Version};
use crate::sys::lease::{Writers, writers};

/// Results that have no version of the signatures yet; beyond this, they are not shared.
const MOST_UNVERSIONED: usize = 256;

/// One of them.
pub(super) struct Unversioned {
    key: Key,
    entry: Entry,
    generation: Option<Generation>,
    /// The signatures as this process counted them then: what has voided its other results has voided this one.
    counted: u64,
}

/// How long a result is believed whose signatures have no version: nobody would notice newer ones.
const LONGEST_UNVERSIONED: Duration = Duration::from_secs(60 * 60);

/// How long the end of a process may wait for the version that its results need to be shared.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// What two shares must have in common to believe each other's results.
pub(super) fn fingerprint_of_scanners(settings: &Settings) -> u64 {
    let how = format!("{:?} {:?} {:?}", settings.scanner_mode, settings.path_map, settings.command);
    let all = Fingerprint::new().bytes(how.as_bytes());
    settings.scanners.iter().fold(all, |all, spec| all.bytes(spec.as_bytes())).finish()
}

impl Protection {
    /// Shares results with other processes, if the settings say so. In smbd, not before the fork: in `connect`.
    pub fn with_shared_results(mut self) -> Self {
        self.shared =
            self.settings.shared_cache.as_ref().map(|shared| {
                SharedCache::open(&shared.directory, shared.entries, &*self.log, &*self.privilege)
            });
        if let (Some(shared), Some(limits)) = (&self.shared, &self.settings.shared_cache)
            && let Some(server) = &limits.server
        {
            shared.use_server(server);
        }
        self
    }

    /// The results of all processes, if this share takes part.
    pub fn shared_results(&self) -> Option<&SharedCache> {
        self.shared.as_deref()
    }

    /// What this process knows of the file in exactly this state.
    pub(super) fn recall(&self, identity: &Identity) -> Option<Known> {
        let now = Instant::now();
        let signatures = self.signatures(now);
        self.cache.borrow_mut().lookup(identity, signatures, self.lifetime(), now)
    }

    /// What this process knows, or others do. It remembers that.
    pub(super) fn recall_any(&self, place: &Place<'_>, identity: &Identity) -> Option<Known> {
        if let Some(known) = self.recall(identity) {
            self.count(Event::HitOwn);
            return Some(known);
        }
        let open = || openat(CWD, place.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
        let (entry, signatures) = self.ask_others(identity, open)?;
        self.learn(*identity, &entry, signatures);
        Some(entry.known)
    }

    /// Remembers what others know, under the signatures as this process has counted them before it asked.
    pub(super) fn learn(&self, identity: Identity, entry: &Entry, signatures: u64) {
        let age = FileTime::now().since(entry.stored).unwrap_or_default();
        if let Some(stored) = Instant::now().checked_sub(age) {
            self.cache.borrow_mut().learn(identity, entry.known.clone(), signatures, stored);
        }
    }

    /// What others know, and this process's count of signatures before they were asked.
    pub(super) fn ask_others(
        &self,
        identity: &Identity,
        open: impl FnOnce() -> Option<OwnedFd>,
    ) -> Option<(Entry, u64)> {
        let shared = self.shared.as_deref()?;
        let key = shared.key(identity.key, self.scanners, open)?;
        let lifetime = self.lifetime();
        let question = || Some(Question { key, identity, signatures: self.shared_signatures()?, lifetime });
        let neighbours = self.neighbours.of(key).filter(|_| self.cache.borrow().has_room());
        let look = || {
            // First: whatever is flushed from here on must not be remembered as if it had been found out later.
            let signatures = self.signatures(Instant::now());
            let learn = |neighbour: Key, entry: Entry| {
                let key = FileKey { ino: neighbour.ino, ..identity.key };
                // What this process has found out itself is newer.
                if !self.cache.borrow().has(&key) {
                    self.learn(Identity { key, ..entry.identity }, &entry, signatures);
                }
            };
            let question = question()?;
            let found = match &neighbours {
                Some(neighbours) => shared.lookup_with(&question, neighbours, learn, self.log()),
                None => shared.lookup(&question, self.log()),
            };
            Some((found, signatures))
        };
        let (mut found, mut signatures) = look()?;
        if let (Lookup::OtherSignatures, Some(interval)) = (&found, self.settings.signature_check_interval) {
            // Somebody knows of new signatures before us, or we before somebody.
            self.pool.adopt_all(interval, Instant::now(), &|spec| self.heard(spec), self.log());
            (found, signatures) = look()?;
        }
        if let Lookup::Known(entry) = found {
            self.count(Event::HitShared);
            return Some((entry, signatures));
        }
        let entry = shared.lookup_at_server(&question()?, self.log(), &*self.privilege)?;
        self.count(Event::HitServer);
        Some((entry, signatures))
    }

    /// How long a result may be used: `lru file entry lifetime`, but not for long if nothing tells of new signatures.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        let wanted = match self.settings.cache?.lifetime {
            Lifetime::Unlimited => None,
            Lifetime::For(lifetime) => Some(lifetime),
        };
        match self.asks_for_signatures() && self.pool.tells_versions() {
            true => wanted,
            false => Some(wanted.map_or(LONGEST_UNVERSIONED, |wanted| wanted.min(LONGEST_UNVERSIONED))),
        }
    }

    /// Whether scanners are asked for the versions of their signatures.
    fn asks_for_signatures(&self) -> bool {
        self.settings.signature_check_interval.is_some()
    }

    /// Remembers a result for this process, and hands it over for the others.
    pub(super) fn remember(&self, file: impl AsFd, identity: Identity, known: Known, scan: &Circumstances) {
        self.cache.borrow_mut().store(identity, known.clone(), scan);
        if !identity.shows_changes_since(scan.began, scan.granularity) {
            return;
        }
        let current = self.signatures(Instant::now());
        if scan.signatures != current {
            // Void already, whatever has come of it.
            return;
        }
        let Some(shared) = self.shared.as_deref() else { return };
        let open = || file.as_fd().try_clone_to_owned().ok();
        let Some(key) = shared.key(identity.key, self.scanners, open) else { return };
        let stored = FileTime::now();
        let took = stored.since(scan.began).unwrap_or_default();
        let entry = |signatures| Entry { identity, known, signatures, stored, took };
        // The first version that is heard of is that of the scans before.
        match scan.shared_signatures.or_else(|| self.shared_signatures()) {
            Some(signatures) => shared.store(key, entry(signatures), scan.generation),
            None => {
                let mut unversioned = self.unversioned.borrow_mut();
                if unversioned.len() < MOST_UNVERSIONED {
                    let (entry, generation) = (entry(0), scan.generation);
                    unversioned.push(Unversioned { key, entry, generation, counted: current });
                }
            }
        }
    }

    /// The generation of the shared results, for a scan that begins now.
    pub(super) fn generation(&self) -> Option<Generation> {
        self.shared.as_deref()?.generation(self.log())
    }

    /// Whether results wait to be written for other processes.
    pub fn has_results_to_write(&self) -> bool {
        self.shared.as_deref().is_some_and(SharedCache::has_pending)
    }

    /// Writes results for other processes; whether there is more, to be tried again after a few milliseconds.
    pub fn write_results(&self) -> bool {
        self.shared.as_deref().is_some_and(|shared| shared.write_pending(self.log(), &*self.privilege))
    }

    /// A number for the signatures that are current: the same in all processes. None before the scanners were asked.
    pub(super) fn shared_signatures(&self) -> Option<u64> {
        let all = self.epoch.stamp(Fingerprint::new());
        Some(self.pool.stamp(self.asks_for_signatures(), all)?.finish())
    }

    fn heard(&self, spec: &str) -> Option<(String, Duration)> {
        let Version { text, heard } = self.shared.as_deref()?.version(spec, self.log())?;
        Some((text, FileTime::now().since(heard)?))
    }

    /// A question for the version of a scanner's signatures, if one is due: the caller drives it, beside its scans, and
    /// hands what comes of it to [`Protection::finish_check`].
    pub fn begin_check(&self) -> Option<Check> {
        let interval = self.settings.signature_check_interval.filter(|_| self.settings.cache.is_some())?;
        let now = Instant::now();
        // So most opens have it.
        if !self.pool.is_check_due(interval, now) {
            return None;
        }
        if self.shared.is_some() {
            self.pool.adopt_due(interval, now, &|spec| self.heard(spec), self.log());
        }
        self.pool.begin_check(interval, self.timeouts(), now)
    }

    /// What a scanner has said of its version, or why it has not.
    pub fn finish_check(&self, check: Check, outcome: &Outcome) {
        let told = check.finish(outcome, self.log());
        let Some(shared) = self.shared.as_deref() else { return };
        if let Some((spec, text)) = told {
            shared.store_version(&spec, Version { text, heard: FileTime::now() });
        }
        if let Some(signatures) = self.shared_signatures() {
            let current = self.signatures(Instant::now());
            let still_count = |result: &Unversioned| result.counted == current;
            for result in self.unversioned.take().into_iter().filter(still_count) {
                shared.store(result.key, Entry { signatures, ..result.entry }, result.generation);
            }
        }
    }

    /// The same for a process that is about to end: waits a moment for the answer, if there are results that need it.
    pub fn finish_check_now(&self, mut check: Check) {
        if self.unversioned.borrow().is_empty() {
            return;
        }
        let end = Instant::now() + LAST_MOMENT;
        if let Some(outcome) = blocking::run_until(&mut check.exchange, &*self.privilege, end) {
            self.finish_check(check, &outcome);
        }
    }

    /// Whether somebody can change the file without its times showing it: whoever has it mapped for writing.
    pub(super) fn has_writers(&self, file: impl AsFd) -> bool {
        let file = file.as_fd();
        let found = match writers(file) {
            Writers::MayNotAsk => self.privilege.raised(|| writers(file)),
            found @ (Writers::None | Writers::Some | Writers::Unknown) => found,
        };
        match found {
            Writers::Some => true,
            // A filesystem that cannot tell: its times have to do.
            Writers::None | Writers::Unknown | Writers::MayNotAsk => false,
        }
    }
}

/// The key under which results of this file are kept for a share of these settings; for administrators' questions.
pub fn key_of(
    shared: &SharedCache,
    settings: &Settings,
    identity: &Identity,
    file: impl AsFd,
) -> Option<Key> {
    let open = || file.as_fd().try_clone_to_owned().ok();
    shared.key(identity.key, fingerprint_of_scanners(settings), open)
}
