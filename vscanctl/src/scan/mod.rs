//! `vscanctl scan`: whole trees, with the settings and the results of their shares.

mod file;
mod patience;
mod progress;
mod queue;
mod tally;
mod walk;
mod worker;

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use vscan_engine::action::Action;
use vscan_engine::privilege::AsIs;
use vscan_engine::settings::Loaded;
use vscan_engine::sys::batch::become_batch;

use crate::cli::{Cli, ScanArguments};
use crate::output::{self, Out, reason, shown};
use crate::protection::OnlyTrouble;
use crate::results::{self, Results};
use crate::samba::SmbConf;
use crate::shares::{self, Share};
use crate::signals::stop_on_signals;
use crate::{Exit, Trouble};
use file::Report;
use patience::Patience;
use progress::Progress;
use queue::Queue;
use tally::Tally;
use walk::Walk;
use worker::{Shared, Worker};

/// Reports that wait to be read.
const REPORTS: usize = 4000;

/// How long results wait to be written; what comes together is written together.
const WRITE_EVERY: Duration = Duration::from_millis(20);

/// How long reports wait to be read: to be woken up for each costs more than all else about it.
const LISTEN_EVERY: Duration = Duration::from_millis(10);

/// A tree, and the share that it is in.
struct Tree<'a> {
    path: PathBuf,
    share: &'a Share,
    root: PathBuf,
    loaded: Loaded,
}

pub fn run(arguments: &ScanArguments, cli: &Cli, out: &Out) -> Result<Exit, Trouble> {
    let shares = shares::with_a_protected_one(&SmbConf::read(cli.config.as_deref())?)?;
    let trees = trees(arguments, &shares)?;
    let stop = stop_on_signals()?;
    let jobs = arguments.jobs.map(NonZeroUsize::get).unwrap_or_else(|| {
        trees.iter().map(|tree| tree.loaded.settings.max_scans_in_flight).max().unwrap_or(1)
    });
    let caches = match results::of(&shares, &OnlyTrouble) {
        Err(trouble) if arguments.warm => return Err(trouble),
        caches => caches.unwrap_or_default(),
    };
    if arguments.warm {
        check_that_results_are_kept(&trees, &caches)?;
    }
    let (is_over, patience) = (AtomicBool::new(false), Patience::default());
    let mut progress = Progress::new(out, arguments.verbose);
    let started = Instant::now();
    // Whoever waits for a scanner's answer at this moment, waits for a file. Here, answers may as well come together.
    become_batch();
    let mut tally = Tally::default();
    let quarantines = quarantines(&shares);
    let queue = Queue::default();
    let (reports, incoming) = sync_channel(REPORTS);
    let shared = Shared { trees: &trees, queue: &queue, stop: &stop, patience: &patience };
    let listener = thread::current();
    thread::scope(|scope| {
        let walk = Walk::new(&trees, &quarantines, &queue, reports.clone(), &stop);
        scope.spawn(move || walk.all());
        let work = |most| {
            let (shared, reports, listener) = (&shared, reports.clone(), &listener);
            move || {
                Worker::new(shared, reports, most).work();
                // It may have been the last one.
                listener.unpark();
            }
        };
        let workers: Vec<_> = parts_of(jobs).map(|most| scope.spawn(work(most))).collect();
        drop(reports);
        let writer = scope.spawn(|| write_results(&caches, &is_over));
        let listened = listen(incoming, &mut progress, &mut tally);
        is_over.store(true, Ordering::Relaxed);
        writer.thread().unpark();
        workers.into_iter().for_each(wait_for_end);
        wait_for_end(writer);
        listened
    })?;
    tally.is_hopeless = patience.is_lost();
    let was_interrupted = stop.load(Ordering::Relaxed) && !tally.is_hopeless;
    progress.finish(&tally, started.elapsed(), was_interrupted)?;
    Ok(match &tally {
        _ if was_interrupted => Exit::Interrupted,
        tally if tally.infected > 0 => Exit::Bad,
        tally if tally.errors > 0 => Exit::Trouble,
        _ => Exit::Good,
    })
}

/// A thread that has read shared results leaves its slot in their file as the last thing that it does: after its closure,
/// which is all that the scope waits for. By then, the file must not be closed.
fn wait_for_end(thread: ScopedJoinHandle<'_, ()>) {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic));
}

/// Takes reports until all workers have ended.
fn listen(incoming: Receiver<Message>, progress: &mut Progress, tally: &mut Tally) -> Result<(), Trouble> {
    loop {
        match incoming.try_recv() {
            Ok(message) => heed(message, progress, tally)?,
            Err(TryRecvError::Empty) => thread::park_timeout(LISTEN_EVERY),
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
}

fn heed(message: Message, progress: &mut Progress, tally: &mut Tally) -> Result<(), Trouble> {
    match message {
        Message::Found(count) => progress.found(count),
        Message::AllFound => progress.all_found(),
        Message::Unreadable(path, why) => {
            tally.errors += 1;
            progress.unreadable(&path, &why)?;
        }
        Message::Done(report) => {
            tally.add(&report);
            progress.done(&report, tally)?;
        }
    }
    Ok(())
}

/// What the threads tell the one that prints.
enum Message {
    /// So many more files are to be scanned.
    Found(u64),
    /// That was all of them.
    AllFound,
    /// A directory that cannot be read.
    Unreadable(PathBuf, String),
    Done(Report),
}

/// `--warm` promises something that only shared results can keep.
fn check_that_results_are_kept(trees: &[Tree<'_>], caches: &[Results]) -> Result<(), Trouble> {
    for Tree { share, loaded, .. } in trees {
        let Some(limits) = &loaded.settings.shared_cache else {
            return Err(format!(
                "--warm: share {} does not share its results: set \"cache = shared\" in vscan.conf",
                share.name
            ));
        };
        let of_share = caches.iter().find(|results| results.directory == limits.directory);
        if of_share.is_none_or(|results| results.cache.generation(&OnlyTrouble).is_none()) {
            let at = shown(&limits.directory);
            return Err(format!("--warm: the results of share {} cannot be kept in {at}", share.name));
        }
    }
    Ok(())
}

/// What the workers find out, written for all smbds as it comes. What is left in the end is written when the caches are closed.
fn write_results(caches: &[Results], is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        for Results { cache, .. } in caches {
            while cache.write_pending(&OnlyTrouble, &AsIs) {
                thread::yield_now();
            }
        }
        thread::park_timeout(WRITE_EVERY);
    }
}

/// How many scans each thread has under way. More threads would only wait for a processor; these may have to wait for a disk.
fn parts_of(jobs: usize) -> impl Iterator<Item = usize> {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = (2 * processors).min(jobs);
    (0..threads).map(move |thread| jobs / threads + usize::from(thread < jobs % threads))
}

fn trees<'a>(arguments: &ScanArguments, shares: &'a [Share]) -> Result<Vec<Tree<'a>>, Trouble> {
    let mut paths: Vec<(PathBuf, Option<&str>)> = Vec::new();
    for path in &arguments.paths {
        let path = path.canonicalize().map_err(|error| format!("{}: {}", shown(path), reason(&error)))?;
        paths.push((path, arguments.share.as_deref()));
    }
    if paths.is_empty() {
        let named = arguments.share.as_deref().map(|name| shares::named(shares, name)).transpose()?;
        let wanted: Vec<&Share> = match named {
            Some(share) => vec![share],
            None if arguments.all => shares.iter().filter(|share| share.protection.is_some()).collect(),
            None => return Err("what is to be scanned? Name paths, or --share SHARE, or --all".to_owned()),
        };
        for share in wanted {
            if share.has_macros() {
                let text = format!("share {} is {}: name the paths in it", share.name, shown(&share.path));
                if arguments.all {
                    output::complain(&format!("{text}; it is left out"));
                    continue;
                }
                return Err(text);
            }
            let path = match share.path.canonicalize() {
                // Others can be scanned all the same. The walk will say what is wrong with this one.
                Err(_) if arguments.all => share.path.clone(),
                path => path.map_err(|error| {
                    format!("share {}: {}: {}", share.name, shown(&share.path), reason(&error))
                })?,
            };
            paths.push((path, Some(&share.name)));
        }
    }
    paths.into_iter().map(|(path, name)| tree(path, name, arguments, shares)).collect()
}

fn tree<'a>(
    path: PathBuf,
    name: Option<&str>,
    arguments: &ScanArguments,
    shares: &'a [Share],
) -> Result<Tree<'a>, Trouble> {
    let (share, root) = shares::reaching(shares, &path, name)?;
    let Some(loaded) = &share.protection else {
        return Err(format!(
            "{} is in share {}, which is not protected: its \"vfs objects\" has no vscan",
            shown(&path),
            share.name
        ));
    };
    let mut loaded = loaded.clone();
    if !arguments.act {
        loaded.settings.infected_file_action = Action::Nothing;
    }
    if let Some(cache) = &mut loaded.settings.cache {
        // This process sees each file once: what others find out is in the shared results.
        cache.entries = 0;
    }
    Ok(Tree { path, share, root, loaded })
}

/// What is in there is known, and not to be scanned again.
fn quarantines(shares: &[Share]) -> Vec<PathBuf> {
    let directories =
        shares.iter().filter_map(|share| Some(&share.protection.as_ref()?.settings.quarantine_directory));
    directories.filter_map(|directory: &PathBuf| Path::canonicalize(directory).ok()).collect()
}
