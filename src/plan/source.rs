//! Source packages: what a distribution's own builder makes the packages of.

use crate::base::error::{Error, Result};
use crate::config::request::Request;
use crate::driver::Driver;
use crate::package::{Content, Entry, EntryKind, Package, Payload, Relation, RelationKind, Role, Source};
use crate::plan::profile::{self, Target};
use crate::plan::template::Templates;

use super::{Plan, SOURCE_TREE, Sibling, Values, base_name, source_folder};

/// Plans the source packages of a driver for a target, in the shape of one of its formats: for each package of [`super::plan`] one that
/// gives it, or gives others in its place.
pub fn plan(
    driver: &Driver,
    siblings: &[Sibling],
    target: &Target,
    shape: &profile::Source,
    request: &Request,
    templates: &Templates,
) -> Result<Plan> {
    let release = format!("{}{}", request.release, shape.suffix);
    let request = Request { release, ..request.clone() };
    let mut plan = super::plan(driver, siblings, target, &request, templates)?;
    for package in &mut plan.packages {
        let source = source(package, driver, (target, shape), &request, templates)?;
        if let Some(pattern) = &shape.package {
            let base = base_name(driver, target, &request, &mut Vec::new());
            package.name = pattern.replace("{name}", &base);
        }
        package.payload = Payload::Source(Box::new(source));
    }
    Ok(plan)
}

fn source(
    package: &Package,
    driver: &Driver,
    (target, shape): (&Target, &profile::Source),
    request: &Request,
    templates: &Templates,
) -> Result<Source> {
    let root = source_folder(driver);
    let (mut upstream, mut files) = (Vec::new(), Vec::new());
    for entry in package.payload.entries() {
        match entry.path.strip_prefix(&root) {
            Some("") => {}
            Some(path) => upstream.push(Entry { path: path[1..].to_owned(), ..entry.clone() }),
            // documents are of the package that this one is not
            None if shape.package.is_some() && entry.role == Role::Documentation => {}
            None => files.push(entry.clone()),
        }
    }
    let values = Values::new(driver, target, request, package);
    let mut packaging = Vec::new();
    for file in &shape.files {
        let text = templates.render(&file.template, &values)?;
        if text.trim().is_empty() {
            continue;
        }
        packaging.push(Entry {
            path: file.path.replace("{package}", &package.name),
            kind: EntryKind::File { content: Content::Text(text), executable: file.executable },
            role: Role::Plain,
        });
    }
    let relation = |text: &String| {
        Relation::parse(RelationKind::Requires, text).ok_or_else(|| {
            Error::usage(format!("the target `{}` has an unreadable relation `{text}`", target.name))
        })
    };
    Ok(Source {
        folder: root[SOURCE_TREE.len() + 1..].to_owned(),
        upstream,
        is_built: shape.package.is_none(),
        files,
        packaging,
        build_requires: shape.requires.iter().map(relation).collect::<Result<_>>()?,
        fields: shape.fields.clone(),
        globals: shape.globals.clone(),
        made_on: request.made_on,
        distribution: request.distribution.clone().unwrap_or_else(|| shape.distribution.clone()),
    })
}
