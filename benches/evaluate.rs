//! CPU time of reading and evaluating a dkms.conf: `cargo bench --bench evaluate`, or `-- FOLDER` for files of your own.
//!
//! Prints the mean over all files of a folder, each read and evaluated for one kernel, and the slowest of them.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program that prints"
)]

use std::fs;
use std::path::{Path, PathBuf};

use kpkg::dkms::{self, Conf, Inputs};

/// How often each file is read.
const ROUNDS: u32 = 20;

/// Nanoseconds that this process and its threads have been on a processor, in steps of a clock tick; proc(5), `stat`.
fn cpu() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // user and system time; a tick is 10 ms on every Linux that matters
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10_000_000
}

fn main() {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/synthetic");
    let folder = std::env::args().skip(1).find(|word| !word.starts_with('-')).map_or(usual, PathBuf::from);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut times = Vec::new();
    for path in &files {
        let bytes = fs::read(path).unwrap();
        let before = cpu();
        let begin = std::time::Instant::now();
        for _ in 0..ROUNDS {
            let (conf, _) = Conf::parse(path, &bytes);
            let inputs = Inputs {
                kernel: Some("6.1.0-49-amd64".to_owned()),
                arch: Some("x86_64".to_owned()),
                processors: Some(4),
                ..Inputs::default()
            };
            drop(dkms::evaluate(&conf, &inputs));
        }
        times.push((begin.elapsed() / ROUNDS, cpu() - before, path));
    }
    let files = u32::try_from(times.len()).unwrap();
    let total: u64 = times.iter().map(|(_, cpu, _)| cpu).sum();
    times.sort();
    let mean = total / u64::from(files * ROUNDS) / 1000;
    println!("{files} files, each {ROUNDS} times: {mean} µs of CPU a file on average");
    for (time, _, path) in times.iter().rev().take(3) {
        println!("slowest: {} µs  {}", time.as_micros(), path.file_name().unwrap().display());
    }
}
