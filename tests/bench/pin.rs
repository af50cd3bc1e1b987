//! Keeping smbd and its client on one CPU, where they take turns anyway.
//!
//! Left to itself the kernel puts the two now on one CPU and now on two, for seconds at a time, and a visit of a known file
//! takes twice as long on two: whoever is measured at the wrong time would be blamed for it.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use vscan_tests::process::Process;

/// Ends the state that [`to_one_cpu`] has begun.
pub struct Pinned {
    all: CpuSet,
    processes: Vec<Process>,
}

/// Has these processes and this thread share the first CPU until the result is dropped.
pub fn to_one_cpu(processes: impl IntoIterator<Item = Process>) -> Pinned {
    let all = sched_getaffinity(None).unwrap();
    let first = (0..CpuSet::MAX_CPU).find(|&cpu| all.is_set(cpu)).unwrap();
    let mut one = CpuSet::new();
    one.set(first);
    let pinned = Pinned { all, processes: processes.into_iter().collect() };
    pinned.allow(&one);
    pinned
}

impl Pinned {
    fn allow(&self, cpus: &CpuSet) {
        sched_setaffinity(None, cpus).unwrap();
        for thread in self.processes.iter().flat_map(threads_of) {
            // Those that smbd reads with end when they have had nothing to do for a while.
            let _ = sched_setaffinity(Some(thread), cpus);
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.allow(&self.all);
    }
}

fn threads_of(process: &Process) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.0.as_raw_nonzero())).unwrap();
    let number = |task: std::io::Result<std::fs::DirEntry>| task.unwrap().file_name().to_str()?.parse().ok();
    tasks.filter_map(number).filter_map(Pid::from_raw).collect()
}
