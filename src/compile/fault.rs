//! Whose fault it is that a package of a driver's source does not build, by where the build ended and by its first error.
//!
//! Reads words, and decides nothing about the build.

use super::{Failure, Said, Stage};

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The driver's own code: built by hand it fails alike.
    Driver,
    /// What the build looks for is not where dkms.conf or a Makefile says, or not in the package.
    Layout,
    /// Something that kpkg guessed.
    Guess,
    /// What the build takes from the machine, and a target need not have.
    Machine,
    /// The log does not tell.
    Unclear,
}

impl Fault {
    /// As JSON has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Layout => "layout",
            Self::Guess => "guess",
            Self::Machine => "machine",
            Self::Unclear => "unclear",
        }
    }
}

/// Something that kpkg guessed about a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guess {
    /// The dkms.conf, made from this.
    Conf(String),
    /// The root of the source.
    Root(String),
    /// That paths in dkms.conf follow the version that was set in it.
    Version,
}

/// What is known besides what the build said.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The driver's name.
    pub name: &'a str,
    pub version: &'a str,
    /// What `uname -r` answered.
    pub running: &'a str,
    /// What kpkg guessed.
    pub guesses: &'a [Guess],
    /// Paths of the tree that are not in the package.
    pub left_out: &'a [String],
    /// A driver that this one is built after, and that was not there.
    pub missing_driver: Option<&'a str>,
}

/// Whose fault it is, in a sentence, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blame {
    /// Whose.
    pub fault: Fault,
    /// The sentence.
    pub why: String,
    /// An edit or a command.
    pub hint: Option<String>,
}

/// What a line of a log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// An error of a compiler, the linker or modpost.
    Code,
    /// A header is not there.
    Header,
    /// A file, a folder or a rule is not there, or no program.
    Missing,
    /// A Makefile stopped by itself.
    Refused,
    /// A program is not there.
    Program,
    /// Something was to be written where builds have no business.
    Elsewhere,
    /// Something was to be fetched.
    Network,
    /// That something failed, and not what.
    Nothing,
}

/// Words of logs; the first that a line has counts. Sources: GNU make, GCC, LLVM, binutils, dash, bash, coreutils, curl and git; modpost
/// of Linux.
const WORDS: &[(&str, Says)] = &[
    ("Could not resolve", Says::Network),
    ("could not resolve", Says::Network),
    ("Temporary failure in name resolution", Says::Network),
    ("Network is unreachable", Says::Network),
    ("Read-only file system", Says::Elsewhere),
    ("ERROR: modpost", Says::Code),
    ("FATAL: modpost", Says::Code),
    (" undefined!", Says::Code),
    ("undefined reference to", Says::Code),
    ("linker input file not found", Says::Missing),
    ("fatal error: ", Says::Header),
    (": error: ", Says::Code),
    ("error: ", Says::Code),
    ("missing separator", Says::Code),
    ("No rule to make target", Says::Missing),
    ("No targets", Says::Missing),
    ("no makefile found", Says::Missing),
    ("can't cd to", Says::Missing),
    ("can't open", Says::Missing),
    ("cannot open", Says::Missing),
    ("cannot stat", Says::Missing),
    ("cannot access", Says::Missing),
    ("No such file or directory", Says::Missing),
    ("Permission denied", Says::Missing),
    ("command not found", Says::Program),
    (": not found", Says::Program),
    ("*** [", Says::Nothing),
    (": *** ", Says::Refused),
];

/// Folders of `include` in the kernel: a header there that a kernel does not have is one that it has no more, or not yet.
const KERNEL_FOLDERS: &[&str] = &[
    "acpi",
    "asm",
    "asm-generic",
    "clocksource",
    "crypto",
    "drm",
    "dt-bindings",
    "generated",
    "keys",
    "kunit",
    "kvm",
    "linux",
    "math-emu",
    "media",
    "memory",
    "misc",
    "net",
    "pcmcia",
    "ras",
    "rdma",
    "rv",
    "scsi",
    "soc",
    "sound",
    "target",
    "trace",
    "uapi",
    "ufs",
    "vdso",
    "video",
    "xen",
];

/// Whose fault a failure is.
#[must_use]
pub fn fault(failure: &Failure, facts: &Facts<'_>) -> Blame {
    if let Some(other) = facts.missing_driver {
        let why = format!("dkms builds it after `{other}`, which is not there, so nobody can tell");
        let hint = "check both from one folder with `--all`".to_owned();
        return Blame { fault: Fault::Unclear, why, hint: Some(hint) };
    }
    let line = failure.compiler_error.as_ref().map_or("", Said::line);
    let says = || WORDS.iter().find(|(words, _)| line.contains(words)).map(|(_, says)| *says);
    match failure.stage {
        Stage::OtherKernel => facts.running_kernel(),
        Stage::Make | Stage::Script if names_kernel(line, facts.running) => facts.running_kernel(),
        Stage::Module => {
            facts.layout("a module is not where BUILT_MODULE_NAME and BUILT_MODULE_LOCATION say", line)
        }
        Stage::Patch => Blame::of(Fault::Driver, "the patch is the driver's own, and does not fit its files"),
        Stage::Symbols => {
            Blame::of(Fault::Driver, "the driver's own code uses what this kernel does not give to modules")
        }
        Stage::Begin | Stage::Other => {
            Blame::of(Fault::Unclear, "it did not come so far that anybody can tell")
        }
        Stage::Make | Stage::Script => match says() {
            Some(Says::Code) => Blame::of(Fault::Driver, own_code(line)),
            Some(Says::Header) => facts.header(line),
            Some(Says::Missing) => {
                facts.layout("what the build looks for is not there, or not in the package", line)
            }
            Some(Says::Refused) => {
                facts.layout("a Makefile stops by itself, without what dkms does not give it", line)
            }
            Some(Says::Program) => facts.program(line),
            Some(Says::Elsewhere) => Blame::of(
                Fault::Machine,
                "the build writes outside its own folder, which only root may, and no build should",
            ),
            Some(Says::Network) => {
                Blame::of(Fault::Machine, "the build fetches something, and a target need not have a network")
            }
            None | Some(Says::Nothing) if failure.stage == Stage::Script => {
                Blame::of(Fault::Driver, "a script of the driver's own ends with an error")
            }
            None | Some(Says::Nothing) => Blame::of(Fault::Unclear, "the log has no error that says it"),
        },
    }
}

impl Blame {
    fn of(fault: Fault, why: impl Into<String>) -> Self {
        Self { fault, why: why.into(), hint: None }
    }
}

impl Facts<'_> {
    /// A driver that is built for the kernel that runs.
    fn running_kernel(&self) -> Blame {
        let what = format!(
            "it is built for the kernel that runs (`uname -r`, here `{}`): nobody tells the Makefile another one",
            self.running
        );
        let hint = "give MAKE the variable that the Makefile reads, such as `KVER=$kernelver` or `KDIR=$kernel_source_dir`";
        let blame = self.layout(&what, "");
        Blame { hint: blame.hint.or_else(|| Some(hint.to_owned())), ..blame }
    }

    /// The layout, or where kpkg guessed it, the guess.
    fn layout(&self, what: &str, line: &str) -> Blame {
        if let Some(path) = self.left_out.iter().find(|path| names_file(line, path)) {
            let why = format!("{what}: `{path}` of the tree is left out");
            let hint = format!(
                "keep it: `include = [\"/{path}\"]` in the `[source]` table of kpkg.toml; `kpkg show --files` says why"
            );
            return Blame { fault: Fault::Layout, why, hint: Some(hint) };
        }
        let own = [format!("/{}/{}", self.name, self.version), format!("/{}-{}", self.name, self.version)];
        let is_old_path =
            |start: String| line.contains(&start) && !own.iter().any(|own| line.contains(own.as_str()));
        for guess in self.guesses {
            let (why, hint) = match guess {
                Guess::Conf(from) => (
                    format!("{what}, and kpkg made the dkms.conf, from `{from}`"),
                    "`kpkg init` writes it, so that you can correct and keep it",
                ),
                Guess::Root(root) => (
                    format!("{what}, and kpkg took `{root}` as the root of the source"),
                    "say which folder becomes /usr/src/NAME-VERSION: `root` in the `[source]` table of kpkg.toml",
                ),
                Guess::Version
                    if is_old_path(format!("/var/lib/dkms/{}/", self.name))
                        || is_old_path(format!("/usr/src/{}-", self.name)) =>
                {
                    (
                        format!(
                            "{what}, and kpkg set the version {}, which this path does not follow",
                            self.version
                        ),
                        "write `$PACKAGE_VERSION` into the path in dkms.conf",
                    )
                }
                Guess::Version => continue,
            };
            return Blame { fault: Fault::Guess, why, hint: Some(hint.to_owned()) };
        }
        Blame::of(Fault::Layout, what)
    }

    /// `FILE:LINE:COLUMN: fatal error: HEADER: No such file or directory`.
    fn header(&self, line: &str) -> Blame {
        let rest = line.split("fatal error: ").nth(1).unwrap_or_default();
        // GCC's words, then clang's
        let header = [": No such file", " file not found"].iter().find_map(|end| rest.split_once(end));
        let Some((header, _)) = header else { return Blame::of(Fault::Driver, own_code(line)) };
        let header = header.trim_matches(|quote: char| "'\"‘’ ".contains(quote));
        let folder = header.split_once('/').map_or("", |(folder, _)| folder);
        if KERNEL_FOLDERS.contains(&folder) {
            let why = format!("the driver's own code includes `{header}`, which this kernel does not have");
            return Blame::of(Fault::Driver, why);
        }
        self.layout(&format!("the header `{header}` is not there, or not in the package"), line)
    }

    /// `SHELL: LINE: PROGRAM: not found`, `SHELL: line LINE: PROGRAM: command not found`, `make: PROGRAM: No such file or directory`.
    fn program(&self, line: &str) -> Blame {
        let words: Vec<_> = line.split(": ").collect();
        let at = words.iter().position(|word| word.ends_with("not found"));
        let program = at.and_then(|at| words.get(at.checked_sub(1)?)).map_or("", |word| word.trim());
        if program.is_empty() || program.contains('/') {
            return self.layout("what the build runs is not there, or not in the package", line);
        }
        let why = format!("the build runs `{program}`, which is not here, and need not be on a target");
        let hint =
            "name the package that has it under `[relations]` in kpkg.toml, and install it here".to_owned();
        Blame { fault: Fault::Machine, why, hint: Some(hint) }
    }
}

fn own_code(line: &str) -> String {
    let path = line.split(':').next().unwrap_or_default().trim();
    // what modpost and the linker print begins with a word
    if path.is_empty() || !path.contains('.') || path.contains(' ') {
        return "the error is one of the driver's own code".to_owned();
    }
    match path.split_once("/build/").filter(|_| path.starts_with('/')) {
        Some((_, inside)) => format!("the error is in `{inside}`, the driver's own code"),
        None if path.starts_with('/') => {
            format!("the error is in `{path}`, as the driver's own code uses it")
        }
        None => format!("the error is in `{path}`, the driver's own code"),
    }
}

/// Whether a line is about the modules or headers of a kernel.
fn names_kernel(line: &str, release: &str) -> bool {
    line.match_indices(release).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + release.len()..]);
        (before.ends_with("/lib/modules/")
            || before.ends_with("/linux-headers-")
            || before.ends_with("/kernels/"))
            && !after.starts_with(|next: char| next.is_ascii_alphanumeric() || "._+-".contains(next))
    })
}

/// Whether a word of a line is the path of a file, or its name.
fn names_file(line: &str, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_end = |next: char| next.is_whitespace() || "'\"`:;,()[]‘’".contains(next);
    line.split(is_end).any(|word| {
        let word = word.trim_start_matches("./").trim_end_matches('.');
        !name.is_empty() && (word == path || word.rsplit('/').next() == Some(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Error;

    const FACTS: Facts<'_> = Facts {
        name: "toy",
        version: "1.0",
        running: "6.18.44-host",
        guesses: &[],
        left_out: &[],
        missing_driver: None,
    };

    fn blame(stage: Stage, line: &str, facts: &Facts<'_>) -> Blame {
        let error = Error::failed("the driver does not compile");
        fault(&Failure { error, stage, compiler_error: Some(Said::new(line)), log: None }, facts)
    }

    #[test]
    fn lines_of_logs_say_whose_fault_it_is() {
        for (line, expected, words) in [
            (
                "/var/lib/dkms/toy/1.0/build/src/toy.c:3:1: error: implicit declaration of function 'x'",
                Fault::Driver,
                "`src/toy.c`, the driver's own code",
            ),
            (
                "toy.c:9:10: fatal error: linux/gone.h: No such file or directory",
                Fault::Driver,
                "`linux/gone.h`",
            ),
            ("toy.c:9:10: fatal error: 'linux/gone.h' file not found", Fault::Driver, "`linux/gone.h`"),
            ("toy.c:9:10: fatal error: too many errors", Fault::Driver, "`toy.c`"),
            (
                "toy.c:9:10: fatal error: ../common/com.h: No such file or directory",
                Fault::Layout,
                "`../common/com.h`",
            ),
            ("toy.c:9:10: fatal error: config.h: No such file or directory", Fault::Layout, "`config.h`"),
            (
                "ERROR: modpost: \"gone\" [/var/lib/dkms/toy/1.0/build/toy.ko] undefined!",
                Fault::Driver,
                "own code",
            ),
            (
                "/usr/src/linux-headers/include/linux/a.h:1:2: error: #error x",
                Fault::Driver,
                "as the driver's own code",
            ),
            (
                "make[1]: *** No rule to make target 'toy.o', needed by 'toy.ko'.  Stop.",
                Fault::Layout,
                "looks for",
            ),
            ("make: *** No targets.  Stop.", Fault::Layout, "looks for"),
            ("make: *** No targets specified and no makefile found.  Stop.", Fault::Layout, "looks for"),
            ("make: *** src: No such file or directory.  Stop.", Fault::Layout, "looks for"),
            ("/bin/sh: 1: cd: can't cd to src", Fault::Layout, "looks for"),
            ("bash: line 3: ./configure: No such file or directory", Fault::Layout, "looks for"),
            ("/bin/sh: 1: ./configure: not found", Fault::Layout, "what the build runs"),
            ("/bin/sh: 1: flex: not found", Fault::Machine, "`flex`"),
            ("bash: line 1: cmake: command not found", Fault::Machine, "`cmake`"),
            (
                "touch: cannot touch '/usr/lib/x': Read-only file system",
                Fault::Machine,
                "outside its own folder",
            ),
            ("fatal: unable to access 'https://x/': Could not resolve host: x", Fault::Machine, "network"),
            ("common.mk:5: *** kernel headers not found.  Stop.", Fault::Layout, "stops by itself"),
            (
                "make: *** /lib/modules/6.18.44-host/build: No such file or directory.  Stop.",
                Fault::Layout,
                "the kernel that runs",
            ),
            (
                "make: *** /lib/modules/6.18.44-host2/build: No such file or directory.  Stop.",
                Fault::Layout,
                "looks for",
            ),
            (
                "gcc-12: error: @CFLAGS@: linker input file not found: No such file or directory",
                Fault::Layout,
                "looks for",
            ),
            ("make: *** [Makefile:3: all] Error 1", Fault::Unclear, "no error"),
        ] {
            let found = blame(Stage::Make, line, &FACTS);
            assert_eq!(found.fault, expected, "{line}: {}", found.why);
            assert!(found.why.contains(words), "{line}: {}", found.why);
        }
    }

    #[test]
    fn where_a_build_ends_says_it_too() {
        for (stage, expected) in [
            (Stage::OtherKernel, Fault::Layout),
            (Stage::Module, Fault::Layout),
            (Stage::Patch, Fault::Driver),
            (Stage::Symbols, Fault::Driver),
            (Stage::Other, Fault::Unclear),
        ] {
            assert_eq!(blame(stage, "", &FACTS).fault, expected, "{stage:?}");
        }
        let facts = Facts { missing_driver: Some("core"), ..FACTS };
        let found = blame(Stage::Make, "toy.c:1:1: fatal error: core.h: No such file or directory", &facts);
        assert_eq!(found.fault, Fault::Unclear);
    }

    #[test]
    fn what_kpkg_guessed_is_its_own_fault_and_no_compilers_error_is() {
        let missing = "make: *** src: No such file or directory.  Stop.";
        let code = "toy.c:3:1: error: x";
        for guess in [Guess::Conf("Makefile".to_owned()), Guess::Root("src".to_owned())] {
            let facts = Facts { guesses: &[guess], ..FACTS };
            assert_eq!(blame(Stage::Make, missing, &facts).fault, Fault::Guess);
            assert_eq!(blame(Stage::Module, "", &facts).fault, Fault::Guess);
            assert_eq!(blame(Stage::OtherKernel, "", &facts).fault, Fault::Guess);
            assert_eq!(blame(Stage::Make, code, &facts).fault, Fault::Driver);
            assert!(blame(Stage::Make, missing, &facts).hint.is_some());
        }
        // a version that was set is one only where a path has another
        let facts = Facts { guesses: &[Guess::Version], ..FACTS };
        assert_eq!(blame(Stage::Make, missing, &facts).fault, Fault::Layout);
        let old = "make: *** /var/lib/dkms/toy/0.9/build: No such file or directory.  Stop.";
        assert_eq!(blame(Stage::Make, old, &facts).fault, Fault::Guess);
        let own = "make: *** /var/lib/dkms/toy/1.0/build/x: No such file or directory.  Stop.";
        assert_eq!(blame(Stage::Make, own, &facts).fault, Fault::Layout);
    }

    #[test]
    fn what_is_left_out_of_the_package_is_named() {
        let left_out = ["configure".to_owned(), "gen/".to_owned()];
        let facts = Facts { left_out: &left_out, guesses: &[Guess::Root("x".to_owned())], ..FACTS };
        let found =
            blame(Stage::Script, "/var/lib/dkms/toy/1.0/build/pre.sh: 2: ./configure: not found", &facts);
        assert_eq!(found.fault, Fault::Layout);
        assert!(found.why.contains("`configure` of the tree is left out"), "{}", found.why);
        assert!(found.hint.is_some_and(|hint| hint.contains("include = [\"/configure\"]")));
    }
}
