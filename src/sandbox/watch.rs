//! What a running program uses as a whole, which no limit of the kernel bounds for everybody: processes, memory, files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Processes and threads at once: of an ordinary user the kernel counts them too (`RLIMIT_NPROC`), of root only this does.
pub(super) const PROCESSES: usize = 8192;
/// Bytes in the folders that may be written to, and how many files.
const DISK: u64 = 16 << 30;
const FILES: u64 = 1 << 20;
/// Looks at processes and memory, and at files, every so many times that it is asked.
const PROCESSES_EVERY: u32 = 5;
const FILES_EVERY: u32 = 40;

/// One program and everything it started.
pub(super) struct Watch<'a> {
    process: u32,
    folders: &'a [PathBuf],
    most: Most,
    asked: u32,
}

/// What it may have.
struct Most {
    processes: usize,
    /// Bytes that its processes have together: three quarters of the machine's.
    memory: u64,
    files: u64,
    /// Bytes of the files.
    disk: u64,
}

impl<'a> Watch<'a> {
    pub(super) fn new(process: u32, folders: &'a [PathBuf]) -> Self {
        let system = rustix::system::sysinfo();
        let memory = system.totalram.saturating_mul(u64::from(system.mem_unit)) / 4 * 3;
        let most = Most { processes: PROCESSES, memory, files: FILES, disk: DISK };
        Self { process, folders, most, asked: 0 }
    }

    /// What it has more of than it may.
    pub(super) fn excess(&mut self) -> Option<String> {
        self.asked += 1;
        if self.asked.is_multiple_of(PROCESSES_EVERY) {
            let (processes, memory) = self.processes();
            if processes > self.most.processes {
                return Some(format!("starts more than {} processes", self.most.processes));
            }
            if memory > self.most.memory {
                return Some(format!("takes more than {} MiB of memory", self.most.memory >> 20));
            }
        }
        if self.asked.is_multiple_of(FILES_EVERY) { self.files_excess() } else { None }
    }

    /// How many threads there are, and the memory that is theirs alone (`proc_pid_statm(5)`, `proc_tid_children(5)`).
    fn processes(&self) -> (usize, u64) {
        let page = rustix::param::page_size() as u64;
        let (mut count, mut memory) = (0, 0);
        let mut open = vec![self.process];
        while let Some(process) = open.pop() {
            // one that has ended in the meantime is no more
            let folder = PathBuf::from(format!("/proc/{process}"));
            let pages = fs::read_to_string(folder.join("statm")).unwrap_or_default();
            let mut pages = pages.split(' ').skip(1).map(|pages| pages.parse().unwrap_or(0));
            let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
            memory += u64::saturating_sub(resident, shared) * page;
            for thread in fs::read_dir(folder.join("task")).into_iter().flatten().flatten() {
                count += 1;
                let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                open.extend(children.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            }
            if count > self.most.processes {
                break;
            }
        }
        (count, memory)
    }

    /// What there is too much of in the folders; links are not followed, and what goes meanwhile is not counted.
    fn files_excess(&self) -> Option<String> {
        let (mut files, mut bytes) = (0, 0);
        let mut open = self.folders.to_vec();
        while let Some(folder) = open.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::InvalidFilename => {
                    return Some("makes folders deeper than a path can tell".to_owned());
                }
                Err(_) => continue,
            };
            for entry in entries.flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                files += 1;
                bytes += metadata.blocks() * 512;
                if metadata.is_dir() {
                    open.push(entry.path());
                }
                if files > self.most.files {
                    return Some(format!("makes more than {} files", self.most.files));
                }
                if bytes > self.most.disk {
                    return Some(format!("writes more than {} MiB", self.most.disk >> 20));
                }
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the test runs what is watched")]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    /// What a shell is found to have too much of as long as it runs.
    fn excess(script: &str, most: Most) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let mut child = Command::new("sh").args(["-c", script]).current_dir(folder.path()).spawn().unwrap();
        let mut watch = Watch { process: child.id(), folders: &folders, most, asked: 0 };
        loop {
            std::thread::sleep(Duration::from_millis(5));
            let excess = watch.excess();
            if excess.is_some() || child.try_wait().unwrap().is_some() {
                child.kill().unwrap();
                child.wait().unwrap();
                return excess;
            }
        }
    }

    #[test]
    fn what_is_too_much_is_found() {
        let most = || Most { processes: 20, memory: 256 << 20, files: 30, disk: 4 << 20 };
        let hog = "s=$(head -c 300000000 /dev/zero | tr '\\0' x); sleep 3";
        for (script, why) in [
            (
                "for i in 1 2 3; do (sleep 3 & sleep 3 & wait) & done; : >1; head -c 99999 /dev/zero >2; wait",
                None,
            ),
            (
                "for i in 1 2 3 4 5 6 7; do (sleep 3 & sleep 3 & wait) & done; wait",
                Some("starts more than 20 processes"),
            ),
            (hog, Some("takes more than 256 MiB of memory")),
            (
                "mkdir a a/b; for i in $(seq 40); do : >a/b/$i; done; sleep 3",
                Some("makes more than 30 files"),
            ),
            ("mkdir a; head -c 5000000 /dev/zero >a/x; sleep 3", Some("writes more than 4 MiB")),
            (
                "d=$(printf %0250d 0); for i in $(seq 20); do mkdir $d; cd $d; done 2>/dev/null; sleep 3",
                Some("makes folders deeper than a path can tell"),
            ),
        ] {
            assert_eq!(excess(script, most()).as_deref(), why, "{script}");
        }
    }
}
