//! What the real bash makes of a dkms.conf, for a user who asks for it: in a sandbox that shows it the machine it is read for.
//!
//! Reads the file as dkms does, and takes nothing from its own machine but programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::base::error::{Error, Result};
use crate::dkms::{self, Conf, Directive, Evaluation, Inputs, Value};
use crate::kernel::machine::{Machine, stand_ins};
use crate::output::Stop;
use crate::sandbox::{Limits, Sandbox};

/// The script, without what differs.
const READ_CONF: &str = include_str!("bash/read_conf.bash");
/// A file that takes longer or says more is not read.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(30),
    output: 4 << 20,
    processor: Some(Duration::from_secs(30)),
    memory: Some(2 << 30),
};

/// A dkms.conf and where it lies.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    pub conf: &'a Conf,
    pub bytes: &'a [u8],
    /// The driver's files, where there are any.
    pub tree: Option<&'a Path>,
}

/// Who reads a dkms.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConfShell {
    /// The evaluator of [`dkms`], which runs nothing.
    #[default]
    Own,
    /// The real bash, in a sandbox.
    Bash,
}

/// The file as bash and dkms read it; `own` is what kpkg itself made of it, whose values are replaced.
///
/// Everything about the machine but its headers has to be known: bash cannot be told that something is open.
pub fn evaluate(file: File<'_>, own: Evaluation, machine: &Machine, stop: &Stop) -> Result<Evaluation> {
    let inputs = machine.inputs();
    let missing = [
        ("kernel", inputs.kernel.is_none()),
        ("arch", inputs.arch.is_none()),
        ("processors", inputs.processors.is_none()),
        ("os-release", inputs.os_release.is_none()),
    ];
    if let Some((option, _)) = missing.iter().find(|(_, is_missing)| *is_missing) {
        return Err(Error::usage(format!(
            "bash reads a dkms.conf for one machine, and no `--{option}` is given"
        ))
        .hint("name the kernel, as `uname -r` prints it there: `--kernel KVER`"));
    }
    // as `dkms add` does it: the first reading gives name and version
    let first = read(file, machine, None, stop)?;
    let directives = match dkms::identity(&first) {
        Some(identity) => read(file, machine, Some(&identity), stop)?,
        None => first,
    };
    Ok(own.with_directives(directives))
}

/// One `read_conf`.
fn read(
    file: File<'_>,
    machine: &Machine,
    identity: Option<&(String, String)>,
    stop: &Stop,
) -> Result<BTreeMap<String, Directive>> {
    let inputs = &machine.inputs();
    let path = dkms::script_path(identity);
    let mut sandbox = Sandbox::with_programs()?;
    let source = match identity {
        Some((name, version)) => {
            let source = format!("/usr/src/{name}-{version}");
            sandbox.link(source.clone(), &format!("/var/lib/dkms/{name}/{version}/source"));
            source
        }
        None => "/usr/src/src".to_owned(),
    };
    if let Some(tree) = file.tree {
        sandbox.bind(tree, "/host/tree")?;
        sandbox.link_all(tree, "/host/tree", &source, &["dkms.conf"])?;
    }
    sandbox.file(&format!("{source}/dkms.conf"), file.bytes, 0o644);
    if let (Some(kernel), Some(headers)) = (&machine.kernel, &machine.headers) {
        sandbox.bind(headers.folder(), &format!("/lib/modules/{kernel}/build"))?;
    }
    if let Some(text) = &machine.os_release {
        sandbox.file("/usr/lib/os-release", text.as_bytes(), 0o644);
        sandbox.link("/usr/lib/os-release", "/etc/os-release");
    }
    for (name, text) in stand_ins(inputs, None) {
        sandbox.file(&format!("/usr/local/sbin/{name}"), text.as_bytes(), 0o755);
    }
    let (environment, settings): (BTreeMap<_, _>, BTreeMap<_, _>) =
        dkms::settings(inputs, identity).into_iter().partition(|(name, _)| matches!(*name, "HOME" | "PATH"));
    sandbox.file("/run/read_conf.bash", script(inputs, &settings).as_bytes(), 0o644);
    let ended = sandbox.run(&["bash", "/run/read_conf.bash", &path], &environment, LIMITS, stop)?;
    match (ended.status, parse(&ended.output)) {
        (Some(0), Some(directives)) => Ok(directives),
        (status, _) => {
            let how = status.map_or("by a signal".to_owned(), |status| format!("with status {status}"));
            Err(Error::usage(format!("bash ended {how} while it read")).at(&file.conf.source().path))
        }
    }
}

/// What bash runs.
fn script(inputs: &Inputs<'_>, settings: &BTreeMap<&str, String>) -> String {
    let assignment = |(name, value): (&&str, &String)| format!("{name}={}\n", dkms::single_quote(value));
    let mut text: String = settings.iter().map(assignment).collect();
    let names = dkms::carried_over(inputs).join(" ");
    text.push_str(&format!("names=({names})\ncarry_over() {{\n{}\n}}\n", dkms::export(inputs)));
    text + READ_CONF
}

/// The directives in what the script printed; nothing when it is not whole.
fn parse(output: &[u8]) -> Option<BTreeMap<String, Directive>> {
    let mut directives: BTreeMap<String, Directive> = BTreeMap::new();
    let mut fields: Vec<_> =
        output.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned()).collect();
    if !fields.pop()?.is_empty() || fields.len() % 3 != 0 {
        return None;
    }
    for field in fields.chunks_exact(3) {
        let [name, index, value] = field else { return None };
        let elements = directives.entry(name.clone()).or_default();
        elements.insert(index.parse().ok()?, Value::Known(value.clone()));
    }
    Some(directives)
}
