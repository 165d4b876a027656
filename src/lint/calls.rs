//! What maintainer scripts tell dkms, by its own rules for arguments: dkms(8), and the loop that reads them in dkms 3.0 to 3.4.

use super::shell::{Command, Script, Word};

/// A command that concerns dkms.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    pub action: Action,
    /// The driver's name, where it is known.
    pub name: Option<String>,
    /// The driver's version, where it is known.
    pub version: Option<String>,
    /// The folder, `dkms.conf` or archive that is given instead.
    pub path: Option<String>,
    /// Whether a kernel is named, or may be.
    pub names_kernel: bool,
    /// Whether the source is looked for in another folder than /usr/src.
    pub is_elsewhere: bool,
    /// Why dkms refuses the arguments, whatever is registered.
    pub refused: Option<String>,
    /// The options that stand alone: `--all`, `--force`.
    pub options: Vec<String>,
    pub command: &'a Command,
}

/// What dkms is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Add,
    Build,
    Install,
    Autoinstall,
    LoadTarball,
    /// The script of the dkms package that does all of this.
    CommonPostinst,
    Remove,
    Uninstall,
    Unbuild,
    /// Asks or does what changes no registration.
    Other,
    /// Comes from a variable.
    Unknown,
}

impl Action {
    const WORDS: [(&'static str, Self); 12] = [
        ("add", Self::Add),
        ("build", Self::Build),
        ("install", Self::Install),
        ("autoinstall", Self::Autoinstall),
        ("ldtarball", Self::LoadTarball),
        ("remove", Self::Remove),
        ("uninstall", Self::Uninstall),
        ("unbuild", Self::Unbuild),
        ("status", Self::Other),
        ("match", Self::Other),
        ("mktarball", Self::Other),
        ("generate_mok", Self::Other),
    ];

    /// Whether the driver is registered afterwards: build and install add what is not there yet.
    pub(super) fn registers(self) -> bool {
        matches!(self, Self::Add | Self::Build | Self::Install | Self::LoadTarball | Self::CommonPostinst)
    }

    /// Whether it may fail for a kernel that the driver does not compile for.
    pub(super) fn builds(self) -> bool {
        matches!(self, Self::Build | Self::Install | Self::Autoinstall)
    }
}

/// Options that take the next word, or what follows a `=`; dkms knows them by their beginning.
const WITH_VALUE: &[&str] = &[
    "--module",
    "--kernelver",
    "--templatekernel",
    "--dkmstree",
    "--sourcetree",
    "--installtree",
    "--config",
    "--archive",
    "--arch",
    "--kernelsourcedir",
    "--directive",
];

/// Commands that start another one.
const STARTERS: &[&str] =
    &["sudo", "exec", "command", "nice", "ionice", "env", "sh", "bash", "dash", "/bin/sh", "/bin/bash"];

/// How many calls of a script are looked at.
const CALLS: usize = 256;

/// What a script tells dkms.
pub(super) fn of(script: &Script) -> Vec<Call<'_>> {
    script.commands.iter().filter_map(call).take(CALLS).collect()
}

/// The words from the program's name on.
fn program(command: &Command) -> &[Word] {
    let mut words = command.words.as_slice();
    while let [first, rest @ ..] = words {
        let starts = first.value().is_some_and(|word| STARTERS.contains(&word));
        if !starts || rest.is_empty() {
            break;
        }
        words = rest;
        while words.len() > 1
            && words[0].value().is_some_and(|word| word.starts_with('-') || word.contains('='))
        {
            words = &words[1..];
        }
    }
    words
}

/// The name of the program that a command starts, without its folder; nothing where it is not known.
pub(super) fn program_name(command: &Command) -> Option<&str> {
    let word = program(command).first()?.value()?;
    Some(word.rsplit('/').next().unwrap_or(word))
}

/// The arguments of the program.
pub(super) fn arguments(command: &Command) -> &[Word] {
    program(command).get(1..).unwrap_or_default()
}

fn call(command: &Command) -> Option<Call<'_>> {
    let [program, arguments @ ..] = program(command) else { return None };
    let mut call = Call {
        action: Action::Unknown,
        name: None,
        version: None,
        path: None,
        names_kernel: false,
        is_elsewhere: false,
        refused: None,
        options: Vec::new(),
        command,
    };
    let is =
        |name: &str| program.values.iter().any(|value| value == name || value.ends_with(&format!("/{name}")));
    // the old templates of dkms bring the script along as /usr/share/NAME-dkms/postinst
    let is_legacy =
        program.values.iter().any(|value| value.starts_with("/usr/share/") && value.ends_with("/postinst"));
    if is("common.postinst") || is_legacy {
        call.action = Action::CommonPostinst;
        let value = |at: usize| arguments.get(at).and_then(Word::value).map(str::to_owned);
        (call.name, call.version) = (value(0), value(1));
        call.names_kernel = true;
        return Some(call);
    }
    is("dkms").then(|| {
        read(arguments, &mut call);
        call
    })
}

fn read(arguments: &[Word], call: &mut Call<'_>) {
    let mut words = arguments.iter();
    let mut action = None;
    // a word that may be the name, or several words with anything in them
    let mut is_open = false;
    let mut gives_version = false;
    while let Some(word) = words.next() {
        let Some(text) = word.value() else {
            is_open = is_open || action.is_some() || word.splits;
            call.names_kernel = call.names_kernel || word.splits;
            continue;
        };
        let mut value = |text: &str| match text.split_once('=') {
            Some((_, value)) => Some(value.to_owned()),
            None => words.next().and_then(Word::value).map(str::to_owned),
        };
        match text {
            "-m" => set_module(value("-m"), call),
            text if text.starts_with("--module") => set_module(value(text), call),
            "-v" => {
                call.version = value("-v");
                gives_version = true;
            }
            "-k" | "-a" | "-c" | "-j" => {
                let _ = value(text);
                call.names_kernel = call.names_kernel || text == "-k";
            }
            text if WITH_VALUE.iter().any(|option| text.starts_with(option)) => {
                let _ = value(text);
                call.names_kernel = call.names_kernel || text.starts_with("--kernelver");
                call.is_elsewhere = call.is_elsewhere || text.starts_with("--sourcetree");
            }
            text if is_glued(text) => {
                call.refused = Some(format!("`{}` is no option of it", super::shell::shown(text)));
            }
            text if text.starts_with('-') => call.options.push(text.to_owned()),
            text => match Action::WORDS.iter().find(|(word, _)| *word == text) {
                Some((_, known)) if action.is_none() => action = Some(*known),
                _ if text.starts_with(['/', '.']) => call.path = Some(text.to_owned()),
                _ if call.name.is_none() && action.is_some() && !is_open => {
                    set_module(Some(text.to_owned()), call);
                }
                _ => {}
            },
        }
    }
    call.action = action.unwrap_or(Action::Unknown);
    let needs_version = matches!(call.action, Action::Add | Action::Build | Action::Install | Action::Remove);
    if needs_version && call.name.is_some() && call.version.is_none() && !gives_version && !is_open {
        call.refused = call.refused.take().or_else(|| Some("it has no version".to_owned()));
    }
}

/// `-mNAME`: the value of a short option has to be a word of its own.
fn is_glued(text: &str) -> bool {
    text.len() > 2 && ["-m", "-v", "-k"].iter().any(|option| text.starts_with(option))
}

/// `NAME`, or `NAME/VERSION`.
fn set_module(text: Option<String>, call: &mut Call<'_>) {
    match text.as_deref().and_then(|text| text.split_once('/')) {
        Some((name, version)) => {
            call.name = Some(name.to_owned());
            call.version = Some(version.to_owned());
        }
        None => call.name = text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::shell;

    fn one(text: &str) -> String {
        let script = shell::read(text);
        let calls = of(&script);
        let shown = |call: &Call<'_>| {
            let or = |value: &Option<String>| value.clone().unwrap_or_else(|| "?".to_owned());
            let kernel = if call.names_kernel { " k" } else { "" };
            format!("{:?} {} {} {}{kernel}", call.action, or(&call.name), or(&call.version), or(&call.path))
        };
        calls.iter().map(shown).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn arguments_are_read_as_dkms_reads_them() {
        assert_eq!(one("dkms add -m toy -v 1.0"), "Add toy 1.0 ?");
        assert_eq!(one("/usr/sbin/dkms install --force -v 1.0 -m toy -k \"$k\""), "Install toy 1.0 ? k");
        assert_eq!(
            one("sudo -E dkms add toy/1.0; dkms build --module=toy/2 --kernelver 6.1"),
            "Add toy 1.0 ?; Build toy 2 ? k"
        );
        assert_eq!(one("N=toy; D=dkms\n$D -m $N -v $V add"), "Add toy ? ?");
        assert_eq!(
            one("dkms add /usr/src/toy-1.0; dkms ldtarball /x.tar.gz"),
            "Add ? ? /usr/src/toy-1.0; LoadTarball ? ? /x.tar.gz"
        );
        assert_eq!(one("dkms \"$@\" -m toy"), "Unknown toy ? ? k");
        assert_eq!(one("dkms add \"$N/$V\"; dkms install $ARGS"), "Add ? ? ?; Install ? ? ? k");
        assert_eq!(
            one("sh -e /usr/lib/dkms/common.postinst toy 1.0 /usr/share/toy"),
            "CommonPostinst toy 1.0 ? k"
        );
        assert_eq!(
            one(
                "for p in /usr/lib/dkms/common.postinst /usr/share/x/postinst; do if [ -f $p ]; then $p toy 1; fi; done"
            ),
            "CommonPostinst toy 1 ? k"
        );
        assert_eq!(one("echo dkms add -m toy -v 1.0; sh -c 'dkms add toy/1'"), "");
    }
}
