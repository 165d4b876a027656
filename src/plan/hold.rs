//! A package that keeps kernels from being installed for which there are no modules. Whoever wants that asks for it by name.

use std::collections::BTreeMap;

use serde::Serialize;

use super::prebuilt::without_machine;
use super::{text_file, with_documents};
use crate::base::error::{Error, Result};
use crate::package::{Arch, Change, Package, Payload, Relation, RelationKind, Role, Version};
use crate::plan::profile::Target;
use crate::plan::template::Templates;

/// What such a package is made of.
#[derive(Debug, Clone)]
pub struct Held {
    /// The driver's part of package names.
    pub name: String,
    pub version: Version,
    /// An SPDX expression.
    pub license: String,
    /// `Name <address>`.
    pub maintainer: String,
    pub homepage: String,
    /// Seconds since 1970.
    pub stamp: u32,
    /// The releases of kernels that no package of modules serves.
    pub kernels: Vec<String>,
    /// By flavour, the version of the newest kernel that one serves, as that kernel's packages have it.
    pub newest: BTreeMap<String, String>,
}

/// Plans the package for a target.
pub fn plan(held: &Held, target: &Target, templates: &Templates) -> Result<Package> {
    let shape = target.prebuilt.as_ref().and_then(|shape| shape.hold.as_ref());
    let shape = shape.ok_or_else(|| {
        Error::usage(format!("`{}` has no packages that hold kernels back", target.name))
            .hint("name another target")
    })?;
    let filled = |pattern: &str| pattern.replace("{name}", &held.name);
    let mut relations = Vec::new();
    let mut relate = |kind, text: Option<String>| {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(()) };
        let relation = Relation::parse(kind, &text);
        relations.push(relation.ok_or_else(|| {
            Error::usage(format!("`{}` is no relation with a kernel", text.escape_debug()))
                .hint("name kernels by their releases, as `uname -r` prints them")
        })?);
        Ok(())
    };
    for kernel in &held.kernels {
        let text = shape.kernel.as_ref().map(|pattern| filled(pattern).replace("{kernel}", kernel));
        relate(RelationKind::Conflicts, text)?;
    }
    for (flavour, version) in &held.newest {
        let text = shape
            .newer
            .as_ref()
            .map(|pattern| filled(pattern).replace("{flavour}", flavour).replace("{version}", version));
        relate(RelationKind::Breaks, text)?;
    }
    let name = filled(&shape.package);
    let which = match held.kernels.as_slice() {
        [] => "no kernel".to_owned(),
        [one] => format!("the kernel {one}"),
        all => format!("the kernels {}", all.join(", ")),
    };
    let line = format!("Hold {which}.");
    let change = Change {
        version: held.version.clone(),
        author: held.maintainer.clone(),
        lines: vec![line],
        time: held.stamp,
    };
    let mut package = Package {
        name,
        version: held.version.clone(),
        arch: Arch::Any,
        summary: format!(
            "Keeps kernels without a module of the Linux driver {} from being installed",
            held.name
        ),
        description: if held.kernels.is_empty() {
            format!("There are modules of the Linux driver {} for every kernel: none is held.", held.name)
        } else {
            format!(
                "No package has modules of the Linux driver {} for {which}. While this one is installed, they are not.\n\n{}",
                held.name, shape.about
            )
        },
        license: held.license.clone(),
        maintainer: held.maintainer.clone(),
        homepage: held.homepage.clone(),
        relations,
        scripts: Vec::new(),
        triggers: Vec::new(),
        changelog: vec![change],
        carries: Vec::new(),
        hardware: Vec::new(),
        offers: Vec::new(),
        newest_of: None,
        payload: Payload::Install(Vec::new()),
        compression: target.compression,
        fields: target
            .fields
            .iter()
            .chain(&shape.fields)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        stamp: held.stamp,
    };
    let values = Values {
        name: &held.name,
        license: &held.license,
        homepage: &held.homepage,
        maintainer: &held.maintainer,
        kernels: held.kernels.iter().map(|kernel| without_machine(kernel)).collect(),
    };
    let mut entries = Vec::new();
    for file in shape.files.iter().filter(|_| !held.kernels.is_empty()) {
        let text = templates.render(&file.template, &values)?;
        entries.push(text_file(file.path.replace("{package}", &package.name), text, Role::Plain));
    }
    package.payload =
        Payload::Install(with_documents(entries, &shape.documents, &package.name, templates, &values)?);
    Ok(package)
}

/// What templates see.
#[derive(Debug, Serialize)]
struct Values<'a> {
    name: &'a str,
    license: &'a str,
    homepage: &'a str,
    maintainer: &'a str,
    /// Releases without the machine.
    kernels: Vec<String>,
}
