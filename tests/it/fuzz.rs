//! Mutated files against everything that reads a driver's text, and modules: no panic, no hang, no memory without bound.
//!
//! `cargo test` tries a few of each; `KPKG_FUZZ=1000000 cargo test --profile fuzz --test it fuzz:: -- --nocapture` tries that many of
//! each, and `KPKG_FUZZ_SEED` starts elsewhere. The input that is being tried is in `fuzz-NAME` in cargo's folder for test files. The files it begins with are in `tests/fuzz/`. No toolchain but stable is needed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support;
use kpkg::dkms::{self, Conf, Inputs, ReadTree};
use kpkg::driver::kbuild;
use kpkg::kernel::ko::KernelModule;
use kpkg::sign::certificate::Certificate;
use kpkg::sign::hash::Hash;
use kpkg::sign::module::{Appended, FoundMessage};
use object::{Architecture, Endianness};
use support::Random;

/// Longer than any single input may take, on a machine that is busy.
const HANG: Duration = Duration::from_secs(20);
/// More resident memory than this is without bound.
const MEMORY: u64 = 2 << 30;

/// Words that mean something to bash, to dkms or to make.
const WORDS: &[&str] = &[
    "$(",
    ")",
    "${",
    "}",
    "\"",
    "'",
    "`",
    "\\",
    "\n",
    ";",
    "&&",
    "||",
    "|",
    "&",
    "<<EOF\n",
    "<<<",
    ">",
    "(( ",
    " ))",
    "[[ ",
    " ]]",
    "[ ",
    " ]",
    "if ",
    "; then ",
    "fi",
    "else",
    "elif ",
    "for x in ",
    "while ",
    "do ",
    "done",
    "case ",
    " in ",
    "esac",
    ";;",
    "function f ",
    "{ ",
    "$'",
    "\\u0041",
    "$@",
    "$*",
    "$#",
    "$?",
    "$$",
    "$!",
    "$0",
    "$1",
    "${!x}",
    "${x[@]}",
    "${#x[@]}",
    "${x:1:2}",
    "${x//a/b}",
    "${x^^}",
    "@(",
    "*",
    "?",
    "[a-z]",
    "{1..9}",
    "{a,b}",
    "=(",
    "+=",
    "=",
    "[0]=",
    "MAKE",
    "PACKAGE_NAME",
    "BUILT_MODULE_NAME[0]",
    "kernelver",
    "eval ",
    "local ",
    "declare -A ",
    "read -ra x ",
    "exit ",
    "return ",
    "break ",
    "trap ",
    "source ",
    "exec ",
    "set -e",
    "shopt -s extglob",
    "printf %s ",
    "echo -e ",
    "sed s/a/b/ ",
    "awk '{print $1}' ",
    "grep -q ",
    "cut -d. -f1 ",
    "find . -name ",
    "-1",
    "9999999999999999999",
    "0x",
    "~",
    "!",
    "#",
    "\r\n",
    "\t",
    "\u{0}",
    "\u{e000}",
    "\u{FEFF}",
    "é",
    "obj-m := ",
    "ifneq (",
    "endif",
    "$(shell ",
    "$(foreach ",
    "include ",
    "define ",
    "endef",
    ":= ",
    "@X@",
    "__X__",
];

fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut text = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(text.len() + 1);
        match random.below(7) {
            0 => drop(text.splice(at..at, WORDS[random.below(WORDS.len())].bytes())),
            1 => {
                let end = (at + random.below(12)).min(text.len());
                drop(text.drain(at..end));
            }
            2 => {
                let byte = u8::try_from(random.below(256)).unwrap();
                text.insert(at, byte);
            }
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let to = (from + random.below(60)).min(other.len());
                drop(text.splice(at..at, other[from..to].iter().copied()));
            }
            4 => {
                let end = (at + random.below(40)).min(text.len());
                let copy = text[at..end].to_vec();
                for _ in 0..random.below(8) {
                    drop(text.splice(at..at, copy.iter().copied()));
                }
            }
            5 if at < text.len() => text[at] ^= 1 << random.below(8),
            _ => {
                let end = (at + 1).min(text.len());
                let word = WORDS[random.below(WORDS.len())];
                drop(text.splice(at..end, word.bytes()));
            }
        }
    }
    text.truncate(4096);
    text
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

fn seeds(ending: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<_> = paths
        .iter()
        .filter(|path| path.to_str().unwrap().ends_with(ending))
        .map(|path| fs::read(path).unwrap())
        .collect();
    assert!(!seeds.is_empty());
    seeds
}

/// The most memory that this process had resident, in bytes; proc(5).
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Tries `KPKG_FUZZ` inputs; one that panics, hangs or eats memory is printed.
fn fuzz(name: &str, usual: u64, ending: &str, run: impl FnMut(&[u8])) {
    fuzz_from(name, usual, &seeds(ending), run);
}

fn fuzz_from(name: &str, usual: u64, seeds: &[Vec<u8>], mut run: impl FnMut(&[u8])) {
    let count = number("KPKG_FUZZ", usual);
    let mut random = Random(number("KPKG_FUZZ_SEED", 0xc0ff_ee00) ^ name.len() as u64);
    let (begin, mut longest) = (Instant::now(), Duration::ZERO);
    let last = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", name.replace(' ', "-")));
    for _ in 0..count {
        let input = mutated(&mut random, seeds);
        // what ends the process cannot be printed afterwards
        fs::write(&last, &input).unwrap();
        let start = Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&input)));
        let took = start.elapsed();
        longest = longest.max(took);
        assert!(result.is_ok(), "{name} panics on {:?}", String::from_utf8_lossy(&input));
        assert!(took < HANG, "{name} takes {took:?} for {:?}", String::from_utf8_lossy(&input));
    }
    let memory = peak_memory();
    eprintln!(
        "{name}: {count} inputs in {:.0} s, the longest {} ms, {} MiB at most",
        begin.elapsed().as_secs_f64(),
        longest.as_millis(),
        memory >> 20
    );
    assert!(memory < MEMORY, "{name} took {memory} bytes");
}

/// A tree and headers with a few files.
struct Files(BTreeMap<&'static str, String>);

impl ReadTree for Files {
    fn read(&self, path: &str, limit: usize) -> Option<Vec<u8>> {
        self.0.get(path).map(|text| text.as_bytes()[..text.len().min(limit)].to_vec())
    }
    fn exists(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }
    fn is_dir(&self, path: &str) -> bool {
        path.is_empty()
    }
    fn list(&self, _: &str) -> Vec<String> {
        self.0.keys().map(|name| (*name).to_owned()).collect()
    }
    fn is_executable(&self, _: &str) -> bool {
        false
    }
}

#[test]
fn the_reader() {
    support::alone("fuzz::the_reader", || {
        fuzz("reader", 2000, ".conf", |input| drop(Conf::parse(Path::new("dkms.conf"), input)));
    });
}

#[test]
fn the_evaluator_and_the_facts() {
    support::alone("fuzz::the_evaluator_and_the_facts", || {
        let texts = [("dkms.conf", ""), ("VERSION", "1.0\n"), (".config", "CONFIG_X=y\n")];
        let tree = Files(texts.into_iter().map(|(name, text)| (name, text.to_owned())).collect());
        fuzz("evaluator", 300, ".conf", |input| {
            let (conf, _) = Conf::parse(Path::new("dkms.conf"), input);
            let inputs = Inputs {
                kernel: Some("6.1.0-49-amd64".to_owned()),
                arch: Some("x86_64".to_owned()),
                processors: Some(4),
                os_release: Some("ID=debian\n".to_owned()),
                source_tree: Some(&tree),
                headers: Some(&tree),
                module: Some(("toy".to_owned(), "1.0".to_owned())),
                ..Inputs::default()
            };
            let evaluation = dkms::evaluate(&conf, &inputs);
            let (facts, findings) = dkms::facts(&conf, &evaluation);
            drop(facts.decide(&inputs));
            for finding in findings.iter().chain(&evaluation.diagnostics) {
                drop(finding.render(false));
            }
            drop(evaluation.to_schema());
        });
    });
}

#[test]
fn the_second_pass() {
    support::alone("fuzz::the_second_pass", || {
        // whatever stands in a value is printed by dkms and sourced again
        fuzz("second pass", 300, ".conf", |input| {
            let value = String::from_utf8_lossy(input).replace('\'', "'\\''");
            let text = format!("MAKE='{value}'\nPATCH[3]='{value}'\n");
            let (conf, _) = Conf::parse(Path::new("dkms.conf"), text.as_bytes());
            drop(dkms::evaluate(&conf, &Inputs::default()));
        });
    });
}

#[test]
fn the_reader_of_modules() {
    support::alone("fuzz::the_reader_of_modules", || {
        let made = |architecture, endianness| {
            support::elf::Made {
                architecture,
                endianness,
                info: &["license=GPL", "vermagic=6.1.0 SMP ", "alias=pci:v00008086d*"],
                needs: &[("printk", Some(1)), ("weak", None)],
                extended: &[("a_long_name", 2)],
                exports: &[("toy_do", true, 3, false), ("toy_free", false, 4, true)],
                signature: Some(20),
            }
            .bytes()
        };
        let seeds = [
            made(Architecture::X86_64, Endianness::Little),
            made(Architecture::Arm, Endianness::Little),
            made(Architecture::S390x, Endianness::Big),
        ];
        fuzz_from("modules", 5000, &seeds, |input| drop(KernelModule::read(input)));
    });
}

#[test]
fn the_reader_of_makefiles() {
    support::alone("fuzz::the_reader_of_makefiles", || {
        fuzz("makefiles", 2000, ".mk", |input| {
            let text = String::from_utf8_lossy(input).into_owned();
            let tree = Files(BTreeMap::from([
                ("Makefile", text),
                ("config.mk", "A := b\n".to_owned()),
                ("x.c", String::new()),
            ]));
            drop(kbuild::read(&tree, &[String::new()]));
            drop(kbuild::wrapper(&tree, ""));
        });
    });
}

#[test]
fn the_reader_of_packages() {
    support::alone("fuzz::the_reader_of_packages", || {
        let folder = tempfile::tempdir().unwrap();
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/greeter");
        let out = folder.path().join("out");
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_kpkg"))
            .args([example, "-q", "-f", "all,pacman", "--compression", "none", "-o"])
            .arg(&out)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
        let named = |end: &str| {
            let mut paths = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
            paths.find(|path| path.to_str().unwrap().ends_with(end)).unwrap()
        };
        let good = named(".deb");
        for (name, end) in [
            ("deb", ".deb"),
            ("rpm", "noarch.rpm"),
            ("src.rpm", ".src.rpm"),
            ("dsc", ".dsc"),
            ("pkg.tar", ".pkg.tar"),
        ] {
            let input = out.join(format!("input.{name}"));
            fuzz_from(name, 300, &[fs::read(named(end)).unwrap()], |bytes| {
                fs::write(&input, bytes).unwrap();
                drop(kpkg::inspect::diff::diff(&input, &good));
            });
            fs::remove_file(&input).unwrap();
        }
    });
}

#[test]
fn the_reader_of_signatures() {
    support::alone("fuzz::the_reader_of_signatures", || {
        let tree = support::Tree::empty();
        let kinds = [("a", crate::sign::RSA_2048), ("c", crate::sign::P256), ("d", crate::sign::P384)];
        if !kinds.iter().all(|(name, kind)| crate::sign::pair(&tree, name, kind)) {
            return;
        }
        let certificates =
            ["a", "c", "d"].map(|name| Certificate::read(&tree.path().join(format!("{name}.crt"))).unwrap());
        let mut seeds = Vec::new();
        for (names, embeds, hash) in [
            (&["a"][..], false, Hash::Sha256),
            (&["a", "c", "d"], true, Hash::Sha512),
            (&["d"], true, Hash::Sha3_256),
        ] {
            let signed = crate::sign::signers(&tree, names, embeds).sign(b"module", hash, "x").unwrap();
            seeds.push(Appended::of(&signed).unwrap().message.unwrap().to_vec());
            seeds.push(signed);
        }
        fuzz_from("signature", 2000, &seeds, |bytes| {
            let (plain, message) = match Appended::of(bytes) {
                Ok(Appended { plain, message: Some(message), .. }) => (plain, message),
                _ => (&b"module"[..], bytes),
            };
            let Some(found) = FoundMessage::parse(message, plain) else { return };
            for one in &found.signatures {
                let all = certificates.iter().chain(&found.certificates);
                drop((one.signer(), one.refusal(), all.filter(|of| one.is_of(of) && one.fits(of)).count()));
            }
            for one in &found.certificates {
                drop((
                    one.name(),
                    one.is_not_valid(0),
                    certificates.iter().any(|above| one.is_signed_by(above)),
                ));
            }
        });
    });
}
