//! Packages of pacman: `PKGINFO(5)` in makepkg's notation, `BUILDINFO(5)`, an mtree of everything, and the files, in one compressed tar.
//!
//! Writes without makepkg. Never renders a template and never decides what is in a package.

mod read;
mod rewrite;
mod spell;
mod write;

use std::io;
use std::path::Path;

use super::{Contents, Exchange, Family, Format, OwnSigned, ReadPackage, UNSPEAKABLE_SCRIPT};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::output::Output;
use crate::package::{Arch, Package, Version};

/// The family of `.pkg.tar` packages.
pub(super) struct Pacman;

impl Family for Pacman {
    fn formats(&self) -> &'static [Format] {
        &[Format {
            name: "pacman",
            is_source: false,
            is_uploaded: false,
            is_signed: false,
            special: Some("source-only packages"),
        }]
    }

    fn architecture(&self, arch: Arch) -> &'static str {
        spell::architecture(arch)
    }

    fn artifacts(&self, package: &Package) -> Vec<String> {
        let version = spell::version(&package.version);
        let arch = spell::architecture(package.arch);
        let suffix = package.compression.codec.suffix();
        vec![format!("{}-{version}-{arch}.pkg.tar{suffix}", package.name)]
    }

    fn version(&self, version: &Version) -> String {
        spell::version(version)
    }

    fn unspeakable(&self, version: &Version) -> Option<String> {
        spell::unspeakable(version)
    }

    fn check(&self, package: &Package) -> Vec<Diagnostic> {
        let is_named = spell::is_name(&package.name);
        let mut found = super::unspeakable_parts(
            self,
            "a package of pacman",
            package,
            is_named,
            spell::unspeakable_relation,
        );
        found.extend(package.fields.keys().map(|name| {
            let message = format!("kpkg knows no field `{name}` of a package of pacman");
            super::unspeakable_value(name, message).hint("leave it out")
        }));
        let moments = package.scripts.iter().filter(|script| write::functions(script.when).is_empty());
        let moments = moments.map(|script| format!("the script {:?}", script.when));
        for what in moments.chain(package.triggers.iter().map(|line| format!("the trigger `{line}`"))) {
            let message = format!("a package of pacman has no moment for {what}");
            found.push(Diagnostic::error(&UNSPEAKABLE_SCRIPT, message));
        }
        found
    }

    fn read(&self, path: &Path, contents: &mut dyn Contents) -> Result<Option<ReadPackage>> {
        let found = read::read(path, contents);
        found.map_err(|error| Error::io("cannot read the package", path, error).as_usage())
    }

    /// It has none: that of a package lies beside it (makepkg(8)).
    fn own_signatures(&self, path: &Path) -> io::Result<Option<Vec<OwnSigned>>> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(name.contains(".pkg.tar").then(Vec::new))
    }

    fn write(&self, package: &Package, out: &mut dyn Output) -> Result<()> {
        write::write(package, &self.artifacts(package).remove(0), out)
    }

    fn rewrite(&self, path: &Path, exchange: &Exchange, out: &mut dyn Output) -> Result<Vec<String>> {
        rewrite::rewrite(path, exchange, out).map(|()| Vec::new())
    }
}
