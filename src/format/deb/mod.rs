//! Debian binary packages: `deb(5)`, Debian Policy chapters 5 and 6.
//!
//! Writes without any of dpkg's tools. Never renders a template and never decides what is in a package.

mod implied;
mod read;
mod rewrite;
mod sign;
mod source;
mod spell;
mod values;
mod write;

use std::io;
use std::path::Path;

use super::{
    AskDetached, Contents, Exchange, Family, Format, OwnSignature, OwnSigned, ReadPackage, TOO_LARGE,
    UNSPEAKABLE_SCRIPT,
};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::output::Output;
use crate::package::{Arch, Codec, Package, Payload, Version};
pub use implied::compare;
use read::read;
use spell::{architecture, is_name, script_name, spelled, unspeakable};
use write::{
    LARGEST_MEMBER, ar_header, ar_member, ar_padding, control_member, data_length, items, write_data,
};

/// The family of `.deb` packages.
pub(super) struct Deb;

impl Family for Deb {
    fn read(&self, path: &Path, contents: &mut dyn Contents) -> Result<Option<ReadPackage>> {
        let found = read(path, contents).and_then(|found| match found {
            None => source::read(path, contents),
            found => Ok(found),
        });
        found.map_err(|error| Error::io("cannot read the package", path, error).as_usage())
    }

    fn formats(&self) -> &'static [Format] {
        &[
            Format { name: "deb", is_source: false, is_uploaded: false, is_signed: false, special: None },
            Format { name: "dsc", is_source: true, is_uploaded: true, is_signed: true, special: None },
        ]
    }

    fn architecture(&self, arch: Arch) -> &'static str {
        architecture(arch)
    }

    fn artifacts(&self, package: &Package) -> Vec<String> {
        if let Payload::Source(source) = &package.payload {
            return source::artifacts(package, source);
        }
        let version = spelled(&Version { epoch: None, ..package.version.clone() });
        vec![format!("{}_{version}_{}.deb", package.name, architecture(package.arch))]
    }

    fn version(&self, version: &Version) -> String {
        spelled(version)
    }

    fn unspeakable(&self, version: &Version) -> Option<String> {
        unspeakable(version)
    }

    fn check(&self, package: &Package) -> Vec<Diagnostic> {
        let is_named = is_name(&package.name);
        let mut found = super::unspeakable_parts(self, "a .deb", package, is_named, values::unspeakable);
        found.extend(values::fields(package));
        if let Payload::Source(_) = &package.payload {
            found.extend(source::check(package));
        }
        for script in &package.scripts {
            if script_name(script.when).is_none() {
                let message = format!("a .deb has no moment for the script {:?}", script.when);
                found.push(Diagnostic::error(&UNSPEAKABLE_SCRIPT, message));
            }
        }
        if package.compression.codec == Codec::None && data_length(&items(package)) > LARGEST_MEMBER {
            found.push(Diagnostic::error(&TOO_LARGE, "more than 9,999,999,999 bytes without compression"));
        }
        found
    }

    fn write(&self, package: &Package, out: &mut dyn Output) -> Result<()> {
        if let Payload::Source(source) = &package.payload {
            return source::write(package, source, out);
        }
        let items = items(package);
        let mut data = out.scratch()?;
        let (sums, length) = write_data(package, &items, &mut data, out.means())?;
        let control = control_member(package, &items, &sums, out.means())?;
        if length > LARGEST_MEMBER {
            return Err(Error::failed(
                "the package is larger than 9,999,999,999 bytes, which is all that a .deb can carry",
            )
            .hint("choose a stronger `--compression`"));
        }
        let suffix = package.compression.codec.suffix();
        let name = self.artifacts(package).remove(0);
        out.artifact(&name, &mut |stream| {
            let failed = |error| Error::io("cannot write", &name, error);
            stream.write_all(b"!<arch>\n").map_err(failed)?;
            ar_member(stream, "debian-binary", package.stamp, b"2.0\n").map_err(failed)?;
            ar_member(stream, &format!("control.tar{suffix}"), package.stamp, &control).map_err(failed)?;
            ar_header(stream, &format!("data.tar{suffix}"), package.stamp, length).map_err(failed)?;
            stream.append(&mut data).map_err(failed)?;
            ar_padding(stream, length).map_err(failed)
        })
    }

    fn rewrite(&self, path: &Path, exchange: &Exchange, out: &mut dyn Output) -> Result<Vec<String>> {
        rewrite::rewrite(path, exchange, out)
    }

    fn own_signature(&self) -> OwnSignature {
        OwnSignature::Unusual
    }

    fn own_signatures(&self, path: &Path) -> io::Result<Option<Vec<OwnSigned>>> {
        sign::own_signatures(path)
    }

    fn sign(&self, path: &Path, ask: &AskDetached<'_>, out: &mut dyn Output) -> Result<Option<String>> {
        sign::sign(path, ask, out).map(|()| None)
    }
}
