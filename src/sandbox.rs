//! Runs a program of this machine where it can do no harm: its own namespaces, no network, a view of what it is given, which is
//! read-only but for what it is given to write to.
//!
//! The only place that runs programs. Needs `setpriv`, `setsid`, `unshare` and `mount` of util-linux, bash, and a kernel that gives
//! namespaces to ordinary users; without them it is an error, and nothing runs. Everything in it ends with it, and with the thread
//! that waits for it, however that ends.

mod watch;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use bstr::ByteSlice;

use crate::base::error::{Error, Result};
use crate::output::Stop;
use watch::{PROCESSES, Watch};

/// Builds the view and enters it.
const ENTER: &str = include_str!("sandbox/enter.sh");
/// What `enter.sh` says on its standard error, once the view is there and before anything else runs in it.
const ENTERED: &str = "entered\n";
/// Folders that exist everywhere and are seldom of use: one is covered while the view is built.
const COVERED: &[&str] = &["/mnt", "/media", "/srv", "/opt", "/home"];
/// How often the stop flag is looked at.
const TICK: Duration = Duration::from_millis(50);

/// Where the programs that make the sandbox are.
const PROGRAMS: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Files that programs ask for names, and their texts: the least that answers.
const USUAL_FILES: &[(&str, &str)] = &[
    (
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("/etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("/etc/hostname", "localhost\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
    ("/etc/shells", "/bin/sh\n/bin/bash\n"),
];

/// What a program gets to see.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    /// Words for `enter.sh`.
    view: Vec<OsString>,
    /// The bytes of files, in the order of `view`.
    files: Vec<Vec<u8>>,
    sources: Vec<PathBuf>,
    /// Folders that may be written to.
    writable: Vec<PathBuf>,
}

/// What a program left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status; nothing when a signal ended it.
    pub status: Option<i32>,
    /// Its standard output.
    pub output: Vec<u8>,
}

/// How long a program may take, how much it may say and use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Wall time.
    pub time: Duration,
    /// Bytes of standard output.
    pub output: usize,
    /// Processor time of one process; without it, as much as it takes.
    pub processor: Option<Duration>,
    /// Address space of one process, in bytes; without it, as much as there is.
    pub memory: Option<u64>,
}

/// The bytes that a program may write to one file.
const LARGEST_FILE: u64 = 4 << 30;

impl Sandbox {
    /// The programs of this machine, and nothing else: no `/etc` but what the loader needs, no other user's files.
    pub fn with_programs() -> Result<Self> {
        let mut sandbox = Self::default();
        // one mount, and links to what is in it, so that there is room between for what is given
        sandbox.bind(Path::new("/usr"), "/host/usr")?;
        sandbox.link_all(Path::new("/usr"), "/host/usr", "/usr", &["src", "lib", "local", "bin"])?;
        sandbox.bind(Path::new("/usr/bin"), "/usr/bin")?;
        // a compiler tells where it lies by where it was found: not through a link
        let compilers = compilers()?;
        let mut linked = vec!["modules", "os-release"];
        linked.extend(compilers.iter().map(String::as_str));
        sandbox.link_all(Path::new("/usr/lib"), "/host/usr/lib", "/usr/lib", &linked)?;
        for name in &compilers {
            sandbox.bind(&Path::new("/usr/lib").join(name), &format!("/usr/lib/{name}"))?;
        }
        for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
            let path = Path::new("/").join(name);
            let inside = format!("/host/{name}");
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_symlink() => {
                    let target =
                        fs::read_link(&path).map_err(|error| Error::io("cannot read", &path, error))?;
                    sandbox.link(target, &format!("/{name}"));
                }
                Ok(metadata) if metadata.is_dir() => {
                    sandbox.bind(&path, &inside)?;
                    sandbox.link_all(&path, &inside, &format!("/{name}"), &["modules"])?;
                }
                _ => {}
            }
        }
        for path in ["/etc/alternatives", "/etc/ld.so.cache"] {
            if Path::new(path).exists() {
                sandbox.bind(Path::new(path), path)?;
            }
        }
        Ok(sandbox)
    }

    /// What every machine has besides programs, and the same of it everywhere: names of users, groups and hosts, and a place for
    /// what outlives a restart.
    pub fn add_usual_files(&mut self) {
        for (path, text) in USUAL_FILES {
            self.file(path, text.as_bytes(), 0o644);
        }
        self.link("/tmp", "/var/tmp");
    }

    /// The files by which this machine tells what it is: os-release(5), and `NAME-release` and `NAME_version` beside it.
    pub fn add_release_files(&mut self) -> Result<()> {
        let path = Path::new("/usr/lib/os-release");
        if path.is_file() {
            self.bind(path, "/usr/lib/os-release")?;
        }
        let mut names: Vec<_> = fs::read_dir("/etc").into_iter().flatten().flatten().collect();
        names.sort_by_key(fs::DirEntry::file_name);
        for entry in names {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if (name.ends_with("-release") || name.ends_with("_version")) && entry.path().is_file() {
                self.bind(&entry.path(), &format!("/etc/{name}"))?;
            }
        }
        Ok(())
    }

    /// Shows a file or folder, read-only.
    pub fn bind(&mut self, source: &Path, inside: &str) -> Result<()> {
        let source = fs::canonicalize(source).map_err(|error| Error::io("cannot read", source, error))?;
        self.view.extend(["bind".into(), source.as_os_str().to_owned(), inside.into()]);
        self.sources.push(source);
        Ok(())
    }

    /// Shows a folder that may be written to.
    pub fn bind_writable(&mut self, source: &Path, inside: &str) -> Result<()> {
        self.bind(source, inside)?;
        self.writable.extend(self.sources.last().cloned());
        let at = self.view.len() - 3;
        self.view[at] = "bind-rw".into();
        Ok(())
    }

    /// Makes a symbolic link.
    pub fn link(&mut self, target: impl Into<OsString>, inside: &str) {
        self.view.extend(["link".into(), target.into(), inside.into()]);
    }

    /// Makes a file.
    pub fn file(&mut self, inside: &str, bytes: &[u8], mode: u32) {
        self.view.extend(
            ["file".to_owned(), inside.to_owned(), format!("{mode:o}"), bytes.len().to_string()]
                .map(OsString::from),
        );
        self.files.push(bytes.to_owned());
    }

    /// Links in `inside` to everything in `folder`, which is shown at `shown`, except some.
    pub fn link_all(&mut self, folder: &Path, shown: &str, inside: &str, except: &[&str]) -> Result<()> {
        let entries = fs::read_dir(folder).map_err(|error| Error::io("cannot read", folder, error))?;
        let names: std::result::Result<Vec<OsString>, _> =
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
        let mut names = names.map_err(|error| Error::io("cannot read", folder, error))?;
        // a name of two lines cannot be told from two names
        names.retain(|name| {
            !except.iter().any(|other| name == other) && !name.as_encoded_bytes().contains(&b'\n')
        });
        names.sort();
        let mut targets = OsString::new();
        for name in &names {
            targets.push(Path::new(shown).join(name));
            targets.push("\n");
        }
        self.view.extend(["links".into(), inside.into(), targets]);
        Ok(())
    }

    /// Runs a command in the view, in `/`, with exactly these variables.
    #[allow(clippy::disallowed_methods, reason = "the place that runs programs")]
    pub fn run(
        &self,
        command: &[&str],
        variables: &BTreeMap<&str, String>,
        limits: Limits,
        stop: &Stop,
    ) -> Result<Ended> {
        let covered = COVERED
            .iter()
            .find(|folder| {
                Path::new(folder).is_dir() && !self.sources.iter().any(|source| source.starts_with(folder))
            })
            .ok_or_else(|| Error::usage("there is no folder to work on").at("/mnt"))?;
        let mut child = Command::new("setpriv");
        let child = child
            // ends with the thread that waits for it
            .args(["--pdeathsig", "KILL", "--"])
            // no terminal to type into
            .args(["setsid", "--"])
            .args(["unshare", "--user", "--map-root-user", "--mount", "--net", "--ipc", "--uts", "--pid"])
            .args(["--fork", "--kill-child", "--"])
            .args(["bash", "-c", ENTER, "enter.sh", covered])
            .args(
                [limits.processor.map(|time| time.as_secs()), limits.memory.map(|bytes| bytes >> 10)]
                    .map(|limit| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())),
            )
            .args([(LARGEST_FILE >> 10).to_string(), PROCESSES.to_string()])
            .args(&self.view)
            .args(["--", "env", "-i"])
            .args(variables.iter().map(|(name, value)| format!("{name}={value}")))
            .args(command)
            // nothing that a loader or a shell would obey
            .env_clear()
            .env("PATH", PROGRAMS)
            .current_dir("/");
        let (ended, said) = attend(child, &self.files, &self.writable, limits, stop)?;
        if said.contains_str(ENTERED) { Ok(ended) } else { Err(no_view(&said)) }
    }
}

/// Runs a command as it is, seeing everything that its user sees, with exactly these variables: a driver's build for a user who asks for it,
/// and what is the machine's own.
#[allow(clippy::disallowed_methods, reason = "the place that runs programs")]
pub fn run_outside(
    command: &[&str],
    folder: &Path,
    variables: &BTreeMap<&str, String>,
    limits: Limits,
    stop: &Stop,
) -> Result<Ended> {
    let (program, arguments) = command.split_first().ok_or_else(|| Error::usage("no command is given"))?;
    let mut child = Command::new(program);
    // a signal to the program's own group, which `kill 0` sends, ends nobody else
    child.args(arguments).env_clear().envs(variables).current_dir(folder).process_group(0);
    attend(&mut child, &[], &[], limits, stop).map(|(ended, _)| ended)
}

/// Starts a program, which has a group of its own, gives it `input`, and ends the group when the program takes too long, says or takes too
/// much, or somebody asks to stop; also what it complained of.
fn attend(
    command: &mut Command,
    input: &[Vec<u8>],
    writable: &[PathBuf],
    limits: Limits,
    stop: &Stop,
) -> Result<(Ended, Vec<u8>)> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(
            |error| {
                if error.kind() == std::io::ErrorKind::ArgumentListTooLong {
                    return Error::failed("the driver names more than one command line can hold");
                }
                let hint = if name == "setpriv" { "install the package util-linux" } else { "install it" };
                Error::lacking(format!("cannot run `{name}`: {error}")).hint(hint)
            },
        )?;
    let (mut stdin, output, complaints) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (sender, receiver) = channel();
    let mut watch = Watch::new(child.id(), writable);
    std::thread::scope(|scope| {
        let give = move || {
            // what is not taken any more is not needed any more
            for bytes in input {
                let _gone = stdin.as_mut().map(|stdin| stdin.write_all(bytes));
            }
        };
        let hear = move || {
            let bytes = read_up_to(output, limits.output + 1);
            let _gone = sender.send(bytes);
        };
        let fails = |why: &str| Error::failed(format!("the program {why}"));
        let mut wait = || {
            let mut waited = Duration::ZERO;
            loop {
                match receiver.recv_timeout(TICK) {
                    Ok(bytes) if bytes.len() > limits.output => return Err(fails("says more than it may")),
                    Ok(bytes) => return Ok(bytes),
                    Err(RecvTimeoutError::Timeout) if !stop.is_set() && waited < limits.time => {
                        waited += TICK;
                        if let Some(excess) = watch.excess() {
                            return Err(fails(&excess).hint("no module needs that much to be built"));
                        }
                    }
                    Err(_) => return Err(fails("takes too long")),
                }
            }
        };
        let heard = thread(scope, give)
            .and_then(|_| thread(scope, hear))
            .and_then(|_| thread(scope, move || read_up_to(complaints, 64 << 10)))
            .and_then(|said| Ok((wait()?, said)));
        if heard.is_err() {
            // with the first process of a namespace everything in it ends
            if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
                let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _gone = child.kill();
        }
        let status = child.wait().map_err(|error| Error::io("cannot wait for", &name, error))?;
        stop.check()?;
        let (output, said) = heard?;
        Ok((Ended { status: status.code(), output }, said.join().unwrap_or_default()))
    })
}

/// Starts a thread of a scope.
fn thread<'scope, T: Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    run: impl FnOnce() -> T + Send + 'scope,
) -> Result<std::thread::ScopedJoinHandle<'scope, T>> {
    std::thread::Builder::new().spawn_scoped(scope, run).map_err(|error| {
        Error::lacking(format!("cannot start a thread: {error}"))
            .hint("`ulimit -u` and `ulimit -v` may allow too little")
    })
}

/// The folders of `/usr/lib` that compilers have to themselves.
fn compilers() -> Result<Vec<String>> {
    let folder = Path::new("/usr/lib");
    let entries = fs::read_dir(folder).map_err(|error| Error::io("cannot read", folder, error))?;
    let names = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<_> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| ["gcc", "llvm", "clang"].iter().any(|start| name.starts_with(start)));
    names.sort();
    Ok(names)
}

/// The first bytes of a stream, which is then left alone.
fn read_up_to(stream: Option<impl Read>, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // what came before an error counts
        let _ended = stream.take(limit as u64).read_to_end(&mut bytes);
    }
    bytes
}

fn no_view(said: &[u8]) -> Error {
    let text = String::from_utf8_lossy(said);
    let reason = text.lines().next().unwrap_or("no reason was given");
    Error::lacking(format!("this machine gives no namespace to run a program in: {reason}")).hint(
        "allow them: `sysctl kernel.unprivileged_userns_clone=1`, `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, a \
         container with --privileged",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        time: Duration::from_secs(60),
        output: 1 << 16,
        processor: Some(Duration::from_secs(60)),
        memory: Some(2 << 30),
    };

    fn run(sandbox: &Sandbox, script: &str) -> Ended {
        let variables = BTreeMap::from([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())]);
        sandbox.run(&["sh", "-c", script], &variables, LIMITS, &Stop::default()).unwrap()
    }

    fn text(sandbox: &Sandbox, script: &str) -> String {
        String::from_utf8(run(sandbox, script).output).unwrap()
    }

    #[test]
    fn a_program_sees_what_it_is_given_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("given"), "text").unwrap();
        let mut sandbox = Sandbox::with_programs().unwrap();
        sandbox.bind(folder.path(), "/usr/src/toy-1").unwrap();
        sandbox.file("/etc/os-release", b"ID=toy\n", 0o644);
        sandbox.file("/lib/modules/given", b"", 0o644);
        assert_eq!(text(&sandbox, "cat /usr/src/toy-1/given /etc/os-release; id -u"), "textID=toy\n0\n");
        assert_eq!(
            text(&sandbox, "ls / | tr '\\n' ' '; ls /etc /home 2>/dev/null | grep -c passwd").trim_end(),
            {
                let shown = text(&sandbox, "ls / | tr '\\n' ' '");
                format!("{shown}0")
            }
        );
        let writes = "for f in /x /usr/src/toy-1/x /usr/src/toy-1/given /host/usr/x /etc/x /lib/modules/x /usr/bin/x; do \
                      { echo x >$f; } 2>/dev/null && echo $f; done; \
                      mount -o remount,bind,rw /usr/src/toy-1 2>/dev/null && echo remounted; echo x >/tmp/x && echo done";
        assert_eq!(text(&sandbox, writes), "done\n");
        assert_eq!(fs::read_to_string(folder.path().join("given")).unwrap(), "text");
        // no interface but its own
        assert_eq!(text(&sandbox, "cat /proc/net/dev 2>/dev/null | grep -c : || :").trim(), "1");
        // not even after it made namespaces of its own
        let again = "unshare -rm sh -c 'mount -o remount,bind,rw /usr/src/toy-1; echo x >/usr/src/toy-1/x' 2>/dev/null; ls /usr/src/toy-1";
        assert_eq!(text(&sandbox, again), "given\n");
    }

    #[test]
    fn the_usual_files_are_there_and_say_the_same_everywhere() {
        let mut sandbox = Sandbox::with_programs().unwrap();
        sandbox.add_usual_files();
        let asked = "whoami; getent hosts localhost | wc -l; cat /etc/hostname; echo x >/dev/stderr && \
                     cat </dev/stdin; echo x >/var/tmp/x && cat /tmp/x; ls /etc/os-release 2>/dev/null; echo end";
        assert_eq!(text(&sandbox, asked), "root\n1\nlocalhost\nx\nend\n");
        sandbox.add_release_files().unwrap();
        if Path::new("/etc/os-release").exists() {
            assert_eq!(text(&sandbox, "cat /etc/os-release"), fs::read_to_string("/etc/os-release").unwrap());
        }
    }

    #[test]
    fn what_takes_too_long_or_says_too_much_ends() {
        let sandbox = Sandbox::with_programs().unwrap();
        // each meets its own limit, however busy the machine is
        let short = Limits { time: Duration::from_millis(600), ..LIMITS };
        let little = Limits { output: 1000, ..LIMITS };
        let variables = BTreeMap::from([("PATH", "/usr/bin:/bin".to_owned())]);
        for (script, limits, why) in
            [("sleep 600 & sleep 600", short, "takes too long"), ("yes", little, "says more than it may")]
        {
            let error = sandbox.run(&["sh", "-c", script], &variables, limits, &Stop::default()).unwrap_err();
            assert!(error.to_string().ends_with(why), "{error}");
        }
        assert_eq!(run(&sandbox, "exit 7").status, Some(7));
        // the caller is not in the group that gets it
        assert_eq!(run(&sandbox, "kill -9 0").status, None);
    }
}
