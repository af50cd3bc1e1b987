//! Whole trees, without any client: `vscanctl scan` and ClamAV's own clamdscan, side by side.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use vscan_tests::clamd::Clamd;
use vscan_tests::samples::clean;
use vscan_tests::share::Share;
use vscan_tests::smbd::Smbd;

use crate::ground::Seeds;
use crate::table::{Row, Table, Target};
use crate::{Plan, SMALL, settle};

/// Files of one directory.
const TOGETHER: usize = 200;

const SHARE: &str = "tree";

/// Prints part (f).
pub fn run(seeds: &mut Seeds, plan: &Plan) {
    let clamd = Clamd::new().start();
    let conf = format!(
        "[vscan]\nscanner = clamav:{}\nquarantine directory = @RIG@/quarantine\nlru file entry lifetime = -1\n",
        clamd.socket().display()
    );
    let smbd = Smbd::new().share(Share::vscan(SHARE, &conf)).global("log level", "0").start();
    let mut seconds = [const { [Vec::new(), Vec::new()] }; 2];
    for round in 0..plan.trees {
        // Each with content of its own, for clamd remembers what it found clean.
        let trees = ["ours", "theirs"].map(|name| {
            let tree = smbd.dir(SHARE).join(name);
            plant(&tree, seeds, plan.tree_files);
            tree
        });
        settle();
        for times in &mut seconds {
            let mut contenders: [(&mut Vec<f64>, Command); 2] = {
                let [ours, theirs] = times;
                [(ours, vscanctl(&smbd, &trees[0])), (theirs, clamdscan(&clamd, &trees[1]))]
            };
            if round % 2 == 1 {
                contenders.reverse();
            }
            for (times, mut command) in contenders {
                times.push(took(&mut command));
            }
        }
        trees.iter().for_each(|tree| fs::remove_dir_all(tree).unwrap());
    }
    print(&seconds, plan.tree_files);
}

fn print(seconds: &[[Vec<f64>; 2]; 2], files: usize) {
    let title = format!("(f) a tree of {files} files of 8 KiB on the server");
    let mut table = Table::with_columns(&title, vec!["vscanctl", "clamdscan"]);
    let [first, second] = seconds;
    // Of the whole time: each was first as often as second, and a tree is slower for whoever comes first.
    let sum = |times: &[f64]| times.iter().sum::<f64>();
    let rates =
        |times: &[Vec<f64>; 2]| times.each_ref().map(|times| Some((files * times.len()) as f64 / sum(times)));
    let ratios = |over: &[f64], under: &[f64]| sum(over) / sum(under);
    table.row(Row::rates("never seen, files/s", rates(first)));
    table.row(Row::rates("once more, files/s", rates(second)));
    table.target(Target::at_least("time of clamdscan / vscanctl", ratios(&first[1], &first[0]), 1.0));
    table.target(Target::at_least(
        "time once more, clamdscan / vscanctl",
        ratios(&second[1], &second[0]),
        20.0,
    ));
    table.target(Target::at_least("vscanctl, first time / once more", ratios(&first[0], &second[0]), 20.0));
    table.print();
}

fn plant(tree: &Path, seeds: &mut Seeds, count: usize) {
    for number in 0..count {
        let directory: PathBuf = tree.join((number / TOGETHER).to_string());
        if number % TOGETHER == 0 {
            fs::create_dir_all(&directory).unwrap();
        }
        fs::write(directory.join(number.to_string()), clean(seeds.next(), SMALL)).unwrap();
    }
}

fn vscanctl(smbd: &Smbd, tree: &Path) -> Command {
    smbd.vscanctl_command(&["scan", "--warm", tree.to_str().unwrap()])
}

fn clamdscan(clamd: &Clamd, tree: &Path) -> Command {
    let mut command = Command::new("clamdscan");
    command.args(["--multiscan", "--fdpass", "--quiet", "--config-file"]).arg(clamd.conf()).arg(tree);
    command
}

fn took(command: &mut Command) -> f64 {
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("run tests/setup.sh first");
    let took = started.elapsed().as_secs_f64();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    took
}
