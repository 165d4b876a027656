//! `kpkg check`: everything that is to say about a driver's tree, a dkms.conf or a finished package, and the edits that need no
//! thought.
//!
//! Collects the findings of reading, planning and of the rules in [`lint`]; writes nothing but the edits it is asked for.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::base::diagnostic::{Diagnostic, Edit, Place};
use crate::base::error::{Error, Kind, Result};
use crate::build::trial::{self, Trial};
use crate::build::{self, Prebuilt, Prepared};
use crate::dkms::{self, ConfFile};
use crate::driver;
use crate::driver::find;
use crate::format;
use crate::input::Input;
use crate::input::source::SourceKind;
use crate::inspect::signed::{self, Judging};
use crate::kernel;
use crate::kernel::ko::is_module;
use crate::lint::{self, PackagingFile};
use crate::output::{self, Stop};

/// The kernel by which modules of finished files are judged, where its headers are at hand.
pub fn kernel(release: &str, at_hand: &Prebuilt, stop: &Stop) -> Option<Judging> {
    let cache = build::header_cache(&at_hand.cache);
    let releases = [release.to_owned()];
    // one whose headers are not there, or cannot be read, is not known
    let kernel = kernel::select(&at_hand.wanted(&releases, &cache), stop).ok()?.into_iter().next()?;
    Some(Judging { accepted: kernel.accepted, codec: kernel.codec })
}

/// What is found at `path`; an error is about the path, not about what is in it.
pub fn check(
    path: &Path,
    revision: Option<&str>,
    scratch: &Path,
    options: &build::Options,
    kernels: &signed::Kernels<'_>,
) -> Result<Vec<Diagnostic>> {
    if path.is_file() && revision.is_none() {
        if is_module(&path.to_string_lossy()) {
            return signed::findings(path, kernels);
        }
        let mut confs = lint::Confs::default();
        if let Some(found) = format::open(path, &mut confs)? {
            let mut findings = lint::package(path, &found, &confs);
            if found.files.iter().any(|file| is_module(&file.path)) {
                findings.extend(signed::findings(path, kernels)?);
            }
            return Ok(findings);
        }
        let bytes = find::read_conf(path)?;
        if find::sets_a_directive(&bytes) || dkms::is_web_page(&bytes) {
            let supported = build::supported_by(options)?;
            return Ok(build::without_repetition(lint::conf_file(
                &ConfFile::new(path.to_owned(), bytes),
                &supported,
            )));
        }
    }
    let input = Input::open(path, revision, scratch, &options.means.stop)?;
    let drivers = match build::prepare(&input, options, &|_| ()) {
        Ok(drivers) => drivers,
        Err(error) if error.kind() == Kind::Usage && !error.findings().is_empty() => {
            return Ok(error.findings().to_vec());
        }
        Err(error) => return Err(error),
    };
    let mut findings = Vec::new();
    for prepared in &drivers {
        findings.extend(prepared.diagnostics.iter().cloned());
        findings.extend(of_driver(&input, prepared));
    }
    Ok(build::without_repetition(findings))
}

/// What comes of building what is at `path` as dkms does on a target.
pub fn build_source(
    path: &Path,
    revision: Option<&str>,
    options: &build::Options,
    trial: &trial::Trying,
    tell: build::Tell<'_>,
) -> Result<Vec<Trial>> {
    if path.is_file()
        && revision.is_none()
        && let Some(sources) = trial::finished(path, &options.targets, trial)?
    {
        return trial::run(&sources, trial, tell);
    }
    let input = Input::open(path, revision, &trial.scratch, &options.means.stop)?;
    let drivers = build::prepare(&input, options, &|_| ())?;
    trial::run(&trial::planned(&drivers, trial)?, trial, tell)
}

fn of_driver(input: &Input, prepared: &Prepared) -> Vec<Diagnostic> {
    let driver = &prepared.driver;
    let folder_name = || fs::canonicalize(&input.folder).ok()?.file_name()?.to_str().map(str::to_owned);
    let modules: Vec<_> = driver.modules.iter().map(|module| module.name.clone()).collect();
    let tree = lint::Tree::new(
        driver,
        input.name.clone().or_else(folder_name),
        driver::claims(input, &prepared.root, &driver.tree, &modules, None).all,
    );
    let mut scripts = Vec::new();
    let mut findings = Vec::new();
    let shown = |path: &str| input.shown(&find::below(&prepared.root, path));
    for hook in &tree.facts.hooks {
        let path = hook.script.known().map(|path| path.trim_start_matches("./").to_owned());
        if let Some((path, text)) = path.and_then(|path| Some((shown(&path), driver.text(&path)?))) {
            scripts.push((path, text, lint::Kind::Hook));
        }
    }
    for file in driver.tree.iter().filter(|file| matches!(file.kind, SourceKind::File { .. })) {
        let Some(kind) = lint::packaging_kind(&file.path) else { continue };
        let Some(text) = driver.text(&file.path) else { continue };
        match kind {
            PackagingFile::Script(kind) => scripts.push((shown(&file.path), text, kind)),
            PackagingFile::Spec => findings.extend(lint::spec(&shown(&file.path), &text)),
        }
    }
    findings.extend(lint::tree(&tree, &scripts));
    findings
}

/// Makes the edits of the findings, and gives the findings whose edits were made.
pub fn fix(findings: &[Diagnostic]) -> Result<Vec<&Diagnostic>> {
    let mut made = Vec::new();
    let mut texts: BTreeMap<PathBuf, Vec<(&Place, &str, &Diagnostic)>> = BTreeMap::new();
    for finding in findings {
        match &finding.fix {
            Some(Edit::MakeExecutable(path)) => {
                let cannot = |error| Error::io("cannot make executable", path, error);
                let mode = fs::metadata(path).map_err(cannot)?.permissions().mode();
                fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o111)).map_err(cannot)?;
                made.push(finding);
            }
            Some(Edit::Replace { place, text }) => {
                texts.entry(place.source.path.clone()).or_default().push((place, text, finding));
            }
            None => {}
        }
    }
    for (path, mut edits) in texts {
        // what was read has to be what is there: an archive, or a corrected text, is nothing to edit
        let Ok(mut text) = fs::read_to_string(&path) else { continue };
        edits.retain(|(place, _, _)| place.source.text == text);
        // from the end, so that offsets stay; what overlaps waits for the next run
        edits.sort_by_key(|(place, _, _)| std::cmp::Reverse(place.span.start));
        let mut from = text.len() + 1;
        for (place, new, finding) in edits {
            if place.span.end > from {
                continue;
            }
            text.replace_range(place.span.clone(), new);
            from = place.span.start;
            made.push(finding);
        }
        output::rewrite(&path, text.as_bytes())?;
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_parsed_once_whoever_looks_at_it() {
        let folder = tempfile::tempdir().unwrap();
        let conf = "PACKAGE_NAME=toy\nPACKAGE_VERSION=@VERSION@\nBUILT_MODULE_NAME=toy\nDEST_MODULE_LOCATION=/extra\n";
        for (name, text) in [
            ("drivers/toy/dkms.conf.in", conf),
            ("drivers/toy/Makefile", "obj-m := toy.o\n"),
            ("drivers/toy/toy.c", "MODULE_VERSION(\"1.2\");\n"),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let options = build::Options { output: folder.path().join("dist"), ..build::Options::default() };
        dkms::PARSED.take();
        check(folder.path(), None, folder.path(), &options, &|_| None).unwrap();
        let parsed = dkms::PARSED.take();
        let times = |text: &str| parsed.iter().filter(|other| *other == text).count();
        assert_eq!((times(conf), times(&conf.replace("@VERSION@", "1.2"))), (1, 1), "{parsed:#?}");
    }
}
