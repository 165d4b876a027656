//! What a tree's own packaging has and kpkg's packages do not: said, so that nothing is lost in silence.

use super::kpkg_toml::{files_lines, left_out, list, quoted};
use super::{Companion, Own};
use crate::base::diagnostic::{Code, Diagnostic};
use crate::config::{Config, RelationsConfig, ScriptsConfig};

/// The findings of this layer.
pub const CODES: &[&Code] = &[&COMPANIONS, &OWN];

const COMPANIONS: Code = Code {
    id: "K0140",
    title: "the tree's own packaging installs files that the packages do not have",
    explanation: "An install target, an install script, debian/ or a spec file of the tree puts udev rules, firmware,\n\
                  configuration of modprobe or the like beside the modules. dkms.conf has no place for them, so that a\n\
                  package made from it alone lacks them: a device without its firmware or its permissions. The table\n\
                  `[files]` in kpkg.toml takes them, by kind; the finding has the lines, with the place that names each\n\
                  file. The distribution's folder and the modes are kpkg's to know. Units of systemd are installed and not\n\
                  enabled: a script under `[scripts.after-install]` can do that.",
};
const OWN: Code = Code {
    id: "K0141",
    title: "the tree's own debian/ or spec says what the packages do not have",
    explanation: "The tree has packaging of its own, whose relations, scripts, triggers or patches kpkg does not take by\n\
                  itself: its packages are described by dkms.conf and kpkg.toml. The finding lists what has a place in\n\
                  kpkg.toml, and what has to be moved by hand. `kpkg init --from debian/` (or `--from X.spec`) writes a\n\
                  kpkg.toml with all of it. What kpkg's own scripts do, such as `dkms add` and depmod, is not listed.",
};

/// How many lines a finding has.
const LINES: usize = 24;

/// What a tree's own packaging says.
pub struct Evidence<'a> {
    /// See [`super::companions`].
    pub companions: Vec<Companion>,
    /// See [`super::own`].
    pub own: Vec<Own>,
    /// The folder, below that of the tree, which is packaged; empty = the tree's.
    pub root: &'a str,
    /// Whether the tree is one driver's; else only what lies in its root is its own.
    pub is_alone: bool,
}

/// What the packages will not have; `is_packaged` knows paths below the root.
#[must_use]
pub fn findings(
    evidence: Evidence<'_>,
    config: &Config,
    is_packaged: &dyn Fn(&str) -> bool,
) -> Vec<Diagnostic> {
    let Evidence { companions, own, root, is_alone } = evidence;
    let is_mine = |path: &str| {
        is_alone || root.is_empty() || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
    };
    let missing: Vec<_> = companions
        .into_iter()
        .filter(|companion| is_mine(&companion.path) && !companion.is_taken(&config.files, root))
        .collect();
    let mut findings: Vec<_> = of_companions(&missing, root, is_packaged).into_iter().collect();
    findings.extend(own.iter().filter(|own| is_mine(&own.path)).filter_map(|own| of_own(own, config)));
    findings
}

fn of_companions(
    missing: &[Companion],
    root: &str,
    is_packaged: &dyn Fn(&str) -> bool,
) -> Option<Diagnostic> {
    let is_takeable = |one: &&Companion| one.key.is_some() && one.below(root).is_some_and(is_packaged);
    let (takeable, others): (Vec<&Companion>, Vec<&Companion>) = missing.iter().partition(is_takeable);
    let takeable: Vec<_> = takeable.into_iter().cloned().collect();
    let lines = files_lines(&takeable, root);
    let notes = lines.iter().map(|(line, said_by)| format!("`{line}`: {}", said_by.escape_debug()));
    let notes: Vec<_> = notes.chain(others.iter().map(|one| left_out(one))).take(LINES).collect();
    let what = match missing {
        [] => return None,
        [only] => format!("`{}`", only.path.escape_debug()),
        several => format!("{} files", several.len()),
    };
    let message = format!(
        "the tree's own packaging installs {what} beside the modules, which the package does not have"
    );
    let mut finding = Diagnostic::note(&COMPANIONS, message);
    for note in notes {
        finding = finding.with_note(note);
    }
    let hint = if lines.is_empty() {
        "install it with a script under `[scripts.after-install]`, or in a package of its own"
    } else {
        "add the lines under `[files]` in kpkg.toml; `kpkg init` writes a new one with them"
    };
    Some(finding.hint(hint))
}

fn of_own(own: &Own, config: &Config) -> Option<Diagnostic> {
    let mut lost = Vec::new();
    let of_format = config.format.get(own.format).map(|format| &format.relations);
    for (key, values) in &own.relations {
        let is_there = |value: &&String| {
            let relations = std::iter::once(&config.relations).chain(of_format);
            !relations.into_iter().any(|relations| of_key(relations, key).contains(value))
        };
        let values: Vec<_> = values.iter().filter(is_there).map(|value| quoted(value)).collect();
        if !values.is_empty() {
            lost.push(format!(
                "understood: `{key} = [{}]` under `[format.{}.relations]`",
                list(values.into_iter()),
                own.format
            ));
        }
    }
    for script in own.scripts.iter().filter(|script| !is_set(&config.scripts, script.table)) {
        lost.push(format!(
            "by hand: {} runs {}: what is the driver's own goes to a file named under `[{}]`",
            script.name.escape_debug(),
            script.runs.join(", "),
            script.table
        ));
    }
    lost.extend(own.by_hand.iter().map(|what| format!("by hand: {}", what.escape_debug())));
    if lost.is_empty() {
        return None;
    }
    let about = [
        ("maintainer", &own.about.maintainer, &config.driver.maintainer),
        ("homepage", &own.about.homepage, &config.driver.homepage),
        ("summary", &own.about.summary, &config.driver.summary),
        ("license", &own.about.license, &config.driver.license),
    ];
    for (key, said, set) in about {
        if let (Some(said), None) = (said, set) {
            lost.push(format!("understood: `{key} = {}` under `[driver]`", quoted(said)));
        }
    }
    let message = format!("`{}` says what the packages do not have", own.path.escape_debug());
    let mut finding = Diagnostic::note(&OWN, message);
    for note in lost.into_iter().take(LINES) {
        finding = finding.with_note(note);
    }
    Some(finding.hint(format!(
        "`kpkg init --from {}` writes a new kpkg.toml with it; where there is one, add what the packages shall have",
        own.path.escape_debug()
    )))
}

fn of_key<'c>(relations: &'c RelationsConfig, key: &str) -> &'c [String] {
    match key {
        "requires" => &relations.requires,
        "recommends" => &relations.recommends,
        "suggests" => &relations.suggests,
        "conflicts" => &relations.conflicts,
        "replaces" => &relations.replaces,
        _ => &relations.provides,
    }
}

/// Whether kpkg.toml has a script where one of the tree's own would go.
fn is_set(scripts: &ScriptsConfig, table: &str) -> bool {
    let around = match table {
        "scripts.before-install" => &scripts.before_install,
        "scripts.after-install" => &scripts.after_install,
        "scripts.before-remove" => &scripts.before_remove,
        "scripts.after-remove" => &scripts.after_remove,
        _ => &scripts.after_transaction,
    };
    around.before.is_some() || around.after.is_some()
}
