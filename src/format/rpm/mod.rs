//! RPM binary packages, format version 4: lead, signature header, header, cpio payload.
//!
//! The header's length is known before the payload is written, because every value that depends on the payload has a fixed width:
//! a hole is left, the payload is streamed, and the header is written last. Never renders a template and never decides what is in
//! a package. Sources of the rules: rpm's `include/rpm/rpmtag.h`, `docs/manual/format_v4.md`, and rpmbuild 4.18's own output.

mod cpio;
mod header;
mod payload;
mod read;
mod relation;
mod rewrite;
mod sign;
mod source;
mod spell;
mod write;

use std::io;
use std::path::Path;

use super::{
    AskDetached, Contents, Exchange, Family, Format, OwnSignature, OwnSigned, ReadPackage, TOO_LARGE,
    UNSPEAKABLE_SCRIPT,
};
use crate::archive;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::output::Output;
use crate::package::{Arch, Package, Payload, Version};
use payload::write_payload;
use read::read;
use spell::{architecture, evr, is_name, unspeakable, version};
use write::{Digests, fill, header_at_most, metadata};

/// The family of `.rpm` packages.
pub(super) struct Rpm;
/// rpm refuses headers beyond this (`lib/header.c`, `headerMaxbytes`).
const LARGEST_HEADER: u64 = 256 << 20;

/// The fields that a user may set.
const FIELDS: [&str; 2] = ["Group", "Vendor"];
/// The last second of the last day whose noon, which stands for it in changelogs, fits into 32 bits.
const LATEST: u32 = u32::MAX / 86_400 * 86_400 - 1;

impl Family for Rpm {
    fn read(&self, path: &Path, contents: &mut dyn Contents) -> Result<Option<ReadPackage>> {
        read(path, contents)
    }

    fn formats(&self) -> &'static [Format] {
        &[
            Format { name: "rpm", is_source: false, is_uploaded: false, is_signed: true, special: None },
            Format { name: "srpm", is_source: true, is_uploaded: false, is_signed: true, special: None },
            Format {
                name: "kmod",
                is_source: true,
                is_uploaded: false,
                is_signed: true,
                special: Some("source for kmodtool and akmods"),
            },
            Format {
                name: "kmp",
                is_source: true,
                is_uploaded: false,
                is_signed: true,
                special: Some("for %kernel_module_package"),
            },
        ]
    }

    fn architecture(&self, arch: Arch) -> &'static str {
        architecture(arch)
    }

    fn artifacts(&self, package: &Package) -> Vec<String> {
        if let Payload::Source(_) = package.payload {
            return vec![source::artifact(package)];
        }
        let (version, release) = (version(&package.version), &package.version.revision);
        vec![format!("{}-{version}-{release}.{}.rpm", package.name, architecture(package.arch))]
    }

    fn version(&self, version: &Version) -> String {
        evr(version)
    }

    fn unspeakable(&self, version: &Version) -> Option<String> {
        unspeakable(version)
    }

    fn check(&self, package: &Package) -> Vec<Diagnostic> {
        let is_named = is_name(&package.name);
        let mut found = super::unspeakable_parts(self, "an .rpm", package, is_named, relation::unspeakable);
        found.extend(package.fields.keys().filter(|name| !FIELDS.contains(&name.as_str())).map(|name| {
            let message = format!("kpkg knows no field `{name}` of an .rpm");
            let hint = format!("those that can be set are {}", FIELDS.join(" and "));
            super::unspeakable_value(name, message).hint(hint)
        }));
        let times = package.changelog.iter().map(|change| change.time).chain([package.stamp]);
        if let Some(time) = times.max().filter(|time| *time > LATEST) {
            let message =
                format!("{time} seconds since 1970 is a time that the changelog of an .rpm cannot hold");
            let finding = super::unspeakable_value(&time.to_string(), message);
            found.push(finding.hint("set SOURCE_DATE_EPOCH to a time before 7 February 2106"));
        }
        if let Payload::Source(source) = &package.payload {
            found.extend(source::check(package, source));
        }
        if let Some(line) = package.triggers.first() {
            let message = format!("an .rpm has no trigger `{line}`");
            found.push(Diagnostic::error(&UNSPEAKABLE_SCRIPT, message));
        }
        if header_at_most(package) > LARGEST_HEADER
            && metadata(package, &Digests::unknown(package)).len() as u64 > LARGEST_HEADER
        {
            found.push(Diagnostic::error(&TOO_LARGE, "more files than the header of an .rpm can list"));
        }
        found
    }

    fn write(&self, package: &Package, out: &mut dyn Output) -> Result<()> {
        if let Payload::Source(source) = &package.payload {
            return source::write(package, source, out);
        }
        let name = self.artifacts(package).remove(0);
        let means = out.means().clone();
        let hole = metadata(package, &Digests::unknown(package)).len() as u64;
        out.artifact(&name, &mut |stream| {
            let failed = |error| Error::io("cannot write", &name, error);
            archive::zeros(stream, hole).map_err(failed)?;
            let digests = write_payload(package, stream, &means, &failed)?;
            fill(stream, hole, &metadata(package, &digests)).map_err(failed)
        })
    }

    fn rewrite(&self, path: &Path, exchange: &Exchange, out: &mut dyn Output) -> Result<Vec<String>> {
        rewrite::rewrite(path, exchange, out)
    }

    fn own_signature(&self) -> OwnSignature {
        OwnSignature::Usual
    }

    fn own_signatures(&self, path: &Path) -> io::Result<Option<Vec<OwnSigned>>> {
        sign::own_signatures(path)
    }

    fn sign(&self, path: &Path, ask: &AskDetached<'_>, out: &mut dyn Output) -> Result<Option<String>> {
        sign::sign(path, ask, out).map(Some)
    }
}
