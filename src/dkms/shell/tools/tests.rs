//! How the tools' tables of cases are tried: on the imitation, and on the real tool where it is installed.

#![allow(clippy::disallowed_methods, reason = "the real tools are the judges")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::expand::Words;
use super::super::state::{Input, Sink};
use super::super::{Files, Flow, Location, Outside, Shell};

/// Arguments, standard input, standard output, status.
pub(super) type Case = (&'static [&'static str], &'static str, &'static str, u8);

/// The files of the folder that every case runs in.
const FILES: &[(&str, &str)] = &[
    ("a.txt", "one\ntwo\nthree\n"),
    ("config", "CONFIG_X=y\n# CONFIG_Y is not set\nCONFIG_DRM=m\n"),
    ("sub/b.c", "int b;\n"),
    ("sub/c.h", ""),
    ("sub/deep/d.c", "int d;\n"),
];
/// Where that folder is for the imitation.
const FOLDER: &str = "/folder";

/// A machine with that folder.
struct OtherFiles(Files);

impl Outside for OtherFiles {
    fn release(&self) -> Option<&str> {
        Some("6.1.0-49-amd64")
    }
    fn arch(&self) -> Option<&str> {
        Some("x86_64")
    }
    fn processors(&self) -> Option<u32> {
        Some(4)
    }
    fn online_processors(&self) -> Option<u32> {
        Some(6)
    }
    fn os_release(&self) -> Option<&str> {
        Some("ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n")
    }
    fn is_described(&self) -> bool {
        true
    }
    fn has_program(&self, name: &str) -> Option<bool> {
        BTreeMap::from([("make", true), ("other_tool", false)]).get(name).copied()
    }
    fn locate(&self, path: &str) -> Option<Location<'_>> {
        let path = path.strip_prefix(FOLDER)?.trim_start_matches('/').to_owned();
        Some(Location::Tree { tree: &self.0, path, may_be_link: false })
    }
}

/// What the imitation prints, and its status; nothing where it says that it does not know.
fn imitated(command: &str, arguments: &[&str], input: &str) -> Option<(String, u8)> {
    let machine = OtherFiles(Files(FILES.iter().copied().collect()));
    let mut shell = Shell::new(&machine);
    FOLDER.clone_into(&mut shell.state.directory);
    shell.state.stdout = Sink::Capture;
    shell.state.input = Some(Input { text: input.into(), position: 0 });
    let list = [command].iter().chain(arguments).map(|&word| word.to_owned()).collect();
    assert_eq!(shell.run_external(command, &Words { list, uncertain: false }), Flow::Next);
    Some((shell.state.output, shell.state.status?))
}

/// What the real tool does in a folder; nothing where it is not installed.
fn real(folder: &Path, command: &str, arguments: &[&str], input: &str) -> Option<(String, u8)> {
    let program = Path::new("/usr/bin").join(command);
    if !program.exists() {
        return None;
    }
    let mut process = Command::new(program);
    process.args(arguments).current_dir(folder).env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = process.spawn().unwrap();
    // one that does not read all of it is gone before
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Some((String::from_utf8(output.stdout).unwrap(), u8::try_from(output.status.code()?).unwrap()))
}

/// Each case is what the imitation does, and the real tool.
pub(super) fn agree(command: &str, cases: &[Case]) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    for (arguments, input, output, status) in cases {
        let expected = Some(((*output).to_owned(), *status));
        assert_eq!(imitated(command, arguments, input), expected, "{command} {arguments:?} {input:?}");
        let real = real(folder.path(), command, arguments, input);
        assert!(real.is_none() || real == expected, "{command} {arguments:?} {input:?}: really {real:?}");
    }
}

/// Each case is what the imitation does on a machine that is not this one.
pub(super) fn answers(command: &str, cases: &[Case]) {
    for (arguments, input, output, status) in cases {
        let expected = Some(((*output).to_owned(), *status));
        assert_eq!(imitated(command, arguments, input), expected, "{command} {arguments:?} {input:?}");
    }
}

/// Arguments that the imitation does not claim to know the result of.
pub(super) fn are_unknown(command: &str, cases: &[(&[&str], &str)]) {
    for (arguments, input) in cases {
        let answer = imitated(command, arguments, input);
        assert!(answer.is_none(), "{command} {arguments:?} {input:?}: {answer:?}");
    }
}
