//! Commits whose trees no git would make: any names, any number of times.

use std::io::Write;
use std::process::{Command, Stdio};

use super::Tree;

/// A new repository in the folder of a tree.
pub struct Repository<'a>(&'a Tree);

impl<'a> Repository<'a> {
    pub fn new(tree: &'a Tree) -> Self {
        let repository = Self(tree);
        repository.git(&["init", "-q"], b"");
        repository
    }

    fn git(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut command = Command::new("git");
        command
            .current_dir(self.0.path())
            .args(["-c", "user.name=a", "-c", "user.email=a@b.c"])
            .args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The id of a text.
    pub fn blob(&self, text: &str) -> String {
        self.git(&["hash-object", "-w", "--stdin"], text.as_bytes())
    }

    /// The id of a folder with such entries: `MODE NAME`, and the id of what it is.
    pub fn folder<S: AsRef<str>>(&self, entries: &[(S, S)]) -> String {
        let bytes = |id: &str| -> Vec<u8> {
            (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()).collect()
        };
        let entry = |(name, id): &(S, S)| [name.as_ref().as_bytes(), &[0], &bytes(id.as_ref())].concat();
        let text: Vec<u8> = entries.iter().flat_map(entry).collect();
        self.git(&["hash-object", "-t", "tree", "--literally", "-w", "--stdin"], &text)
    }

    /// The id of a commit of a folder.
    pub fn commit(&self, folder: &str) -> String {
        self.git(&["commit-tree", folder, "-m", "x"], b"")
    }
}
