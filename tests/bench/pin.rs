//! Keeping smbd and its client on one CPU, where they take turns anyway.
//!
//! Left to itself the kernel puts the two now on one CPU and now on two, for seconds at a time, and a visit of a known file
//! takes twice as long on two: whoever is measured at the wrong time would be blamed for it.

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use vscan_tests::process::Process;

/// Ends the state that [`to_one_cpu`] has begun.
pub struct Pinned {
    all: CpuSet,
    processes: Vec<Process>,
}

/// Has these processes and this thread share the first CPU until the result is dropped, if the machine lets us.
pub fn to_one_cpu(processes: impl IntoIterator<Item = Process>) -> Option<Pinned> {
    let pinned = try_to(processes.into_iter().collect());
    if let Err(reason) = &pinned {
        println!(
            "\nwithout keeping smbd and its client on one CPU ({reason}): times depend on where the kernel puts them"
        );
    }
    pinned.ok()
}

fn try_to(processes: Vec<Process>) -> Result<Pinned, Errno> {
    let all = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    if let Some(first) = (0..CpuSet::MAX_CPU).find(|&cpu| all.is_set(cpu)) {
        one.set(first);
    }
    sched_setaffinity(None, &one)?;
    let pinned = Pinned { all, processes };
    pinned.allow(&one);
    Ok(pinned)
}

impl Pinned {
    fn allow(&self, cpus: &CpuSet) {
        for thread in self.processes.iter().flat_map(threads_of) {
            // Those that smbd reads with end when they have had nothing to do for a while.
            let _ = sched_setaffinity(Some(thread), cpus);
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It was allowed before.
        let _ = sched_setaffinity(None, &self.all);
        self.allow(&self.all);
    }
}

fn threads_of(process: &Process) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.0.as_raw_nonzero())).unwrap();
    let number = |task: std::io::Result<std::fs::DirEntry>| task.unwrap().file_name().to_str()?.parse().ok();
    tasks.filter_map(number).filter_map(Pid::from_raw).collect()
}
