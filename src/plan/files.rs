//! The files that belong to a driver's modules: firmware, and what udev, modprobe and others read.
//!
//! Where they go is the target's to say.

use super::{MISSING_FILE, content, folder, text_file};
use crate::diagnostic::Diagnostic;
use crate::driver::Driver;
use crate::error::{Error, Result};
use crate::package::{Entry, EntryKind, Role};
use crate::profile::Target;
use crate::request::Request;
use crate::source::{SourceFile, SourceKind};

/// Every file that kpkg.toml names under `[files]`, and those that say what it has under `[modules]`; `base` names the latter.
pub(super) fn entries(driver: &Driver, target: &Target, request: &Request, base: &str) -> Result<Vec<Entry>> {
    let (files, folders) = (&request.files, &target.folders);
    let lists = [
        (&files.firmware, &folders.firmware),
        (&files.udev, &folders.udev),
        (&files.modprobe, &folders.modprobe),
        (&files.modules_load, &folders.modules_load),
        (&files.depmod, &folders.depmod),
    ];
    let mut entries: Vec<Entry> = Vec::new();
    for (paths, place) in lists {
        for path in paths {
            let found = named(driver, path)?;
            for (file, below) in found {
                let executable = matches!(file.kind, SourceKind::File { executable: true, .. });
                let kind = EntryKind::File { content: content(driver, file), executable };
                entries.push(Entry { path: format!("{place}/{below}"), kind, role: Role::Plain });
                // folders of our own, such as those of firmware by vendor
                for (at, _) in below.match_indices('/') {
                    entries.push(folder(format!("{place}/{}", &below[..at])));
                }
            }
        }
    }
    let options: String = request
        .modules
        .options
        .iter()
        .map(|(module, options)| format!("options {module} {options}\n"))
        .collect();
    if !options.is_empty() {
        entries.push(text_file(format!("{}/{base}.conf", folders.modprobe), options, Role::Plain));
    }
    let load: String = request.modules.load.iter().map(|module| format!("{module}\n")).collect();
    if !load.is_empty() {
        entries.push(text_file(format!("{}/{base}.conf", folders.modules_load), load, Role::Plain));
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    entries.dedup_by(|one, other| one == other);
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
        return Err(Error::usage(format!("two files of kpkg.toml would be `/{}`", pair[0].path))
            .hint("give them different names"));
    }
    Ok(entries)
}

/// A file, or all files of a folder, each with its path below what was named.
fn named<'a>(driver: &'a Driver, path: &str) -> Result<Vec<(&'a SourceFile, &'a str)>> {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    let is_file = |file: &&SourceFile| matches!(file.kind, SourceKind::File { .. });
    let mut found = Vec::new();
    for file in driver.tree.iter().filter(is_file) {
        if file.path == path {
            found.push((file, file.path.rsplit('/').next().unwrap_or(&file.path)));
        } else if let Some(below) = file.path.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')) {
            found.push((file, below));
        }
    }
    if found.is_empty() {
        let finding =
            Diagnostic::error(&MISSING_FILE, format!("there is no `{path}` in the packaged source"));
        return Err(Error::diagnostics(vec![finding.hint("correct the path under `[files]` in kpkg.toml")]));
    }
    Ok(found)
}
