//! `uname`, `arch`, `nproc`, `getconf`, `id`, `whoami`, `lsb_release`: facts of the machine, where they are given.
//!
//! Must not guess: what [`super::super::Outside`] does not say is not known.

use super::super::Shell;
use super::super::findings::Remark;
use super::super::outside::os_release_field;
use super::Answer;

pub(super) fn uname(shell: &mut Shell<'_>, arguments: &[String]) -> Answer {
    let mut fields = Vec::new();
    for argument in arguments {
        let letters = match argument.as_str() {
            "--kernel-release" => "r",
            "--machine" => "m",
            "--kernel-name" => "s",
            "--operating-system" => "o",
            _ => match argument.strip_prefix('-') {
                Some(letters) if !letters.starts_with('-') => letters,
                _ => return Answer::Unknown,
            },
        };
        fields.extend(letters.chars());
    }
    if fields.is_empty() {
        fields.push('s');
    }
    let mut parts = Vec::new();
    for field in ['s', 'n', 'r', 'v', 'm', 'p', 'i', 'o'] {
        if !fields.contains(&field) {
            continue;
        }
        let value = match field {
            's' => Some("Linux".to_owned()),
            'o' => Some("GNU/Linux".to_owned()),
            'r' => shell.outside.release().map(str::to_owned),
            'm' => shell.outside.arch().map(str::to_owned),
            _ => None,
        };
        match value {
            Some(value) => parts.push(value),
            None => return Answer::Unknown,
        }
    }
    if fields.iter().any(|field| !"snrvmpio".contains(*field)) {
        return Answer::Unknown;
    }
    Answer::Known(parts.join(" ") + "\n", 0)
}

/// Notes that the kernel that runs is asked for, also where the rest of the arguments is not known.
pub(super) fn note_uname(shell: &mut Shell<'_>, arguments: &[String]) {
    if arguments.iter().any(|argument| argument.starts_with('-') && argument.contains(['r', 'a'])) {
        shell.remark(Remark::AsksForTheKernel);
    }
}

/// A line with a fact, where it is known.
fn printed(fact: Option<impl std::fmt::Display>) -> Answer {
    fact.map_or(Answer::Unknown, |fact| Answer::Known(format!("{fact}\n"), 0))
}

pub(super) fn nproc(shell: &mut Shell<'_>, _: &[String]) -> Answer {
    printed(shell.outside.processors())
}

pub(super) fn getconf(shell: &mut Shell<'_>, arguments: &[String]) -> Answer {
    let [name] = arguments else { return Answer::Unknown };
    match name.as_str() {
        "_NPROCESSORS_ONLN" => printed(shell.outside.online_processors()),
        "LONG_BIT" => printed(match shell.outside.arch() {
            Some("x86_64" | "aarch64" | "ppc64le" | "s390x" | "riscv64") => Some(64),
            Some("i686" | "armv7l") => Some(32),
            _ => None,
        }),
        _ => Answer::Unknown,
    }
}

pub(super) fn arch(shell: &mut Shell<'_>, _: &[String]) -> Answer {
    printed(shell.outside.arch())
}

/// Whoever has the script run is root.
pub(super) fn id(arguments: &[String]) -> Answer {
    match arguments {
        [flag] if flag == "-u" || flag == "-g" => printed(Some("0")),
        flags if flags == ["-u", "-n"] || flags == ["-un"] => printed(Some("root")),
        _ => Answer::Unknown,
    }
}

pub(super) fn whoami(_: &[String]) -> Answer {
    printed(Some("root"))
}

pub(super) fn lsb_release(shell: &mut Shell<'_>, arguments: &[String]) -> Answer {
    let flags: String =
        arguments.iter().flat_map(|argument| argument.trim_start_matches('-').chars()).collect();
    if !flags.contains('s') || shell.outside.os_release().is_none() {
        return Answer::Unknown;
    }
    // beyond Debian and its kin it comes with a package that nobody mentioned
    let usual = matches!(os_release(shell, "ID").as_deref(), Some("debian" | "ubuntu"))
        || os_release(shell, "ID_LIKE").is_some_and(|like| like.contains("debian"));
    if !usual && shell.outside.is_described() {
        shell.note_assumed("the program `lsb_release`");
        return Answer::Fails(String::new(), 127);
    }
    let value = match flags.replace('s', "").as_str() {
        "c" => os_release(shell, "VERSION_CODENAME"),
        "r" => os_release(shell, "VERSION_ID"),
        "i" => match os_release(shell, "ID").as_deref() {
            Some("debian") => Some("Debian".to_owned()),
            Some("ubuntu") => Some("Ubuntu".to_owned()),
            _ => None,
        },
        _ => None,
    };
    printed(value)
}

/// A field of the os-release file.
fn os_release(shell: &Shell<'_>, key: &str) -> Option<String> {
    os_release_field(shell.outside.os_release()?, key)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agree, answers, are_unknown};

    #[test]
    fn facts_of_the_machine_are_told() {
        answers(
            "uname",
            &[
                (&[], "", "Linux\n", 0),
                (&["-r"], "", "6.1.0-49-amd64\n", 0),
                (&["-m", "-r"], "", "6.1.0-49-amd64 x86_64\n", 0),
                (&["-sro"], "", "Linux 6.1.0-49-amd64 GNU/Linux\n", 0),
                (&["--machine"], "", "x86_64\n", 0),
            ],
        );
        answers("arch", &[(&[], "", "x86_64\n", 0)]);
        answers("nproc", &[(&[], "", "4\n", 0)]);
        answers("getconf", &[(&["_NPROCESSORS_ONLN"], "", "6\n", 0), (&["LONG_BIT"], "", "64\n", 0)]);
        answers("id", &[(&["-u"], "", "0\n", 0), (&["-un"], "", "root\n", 0)]);
        answers("whoami", &[(&[], "", "root\n", 0)]);
        answers(
            "lsb_release",
            &[(&["-rs"], "", "12\n", 0), (&["-s", "-c"], "", "bookworm\n", 0), (&["-is"], "", "Debian\n", 0)],
        );
        are_unknown("uname", &[(&["-a"], ""), (&["-n"], ""), (&["--all"], "")]);
        are_unknown("getconf", &[(&["PAGESIZE"], ""), (&[], "")]);
        are_unknown("id", &[(&[], "")]);
        are_unknown("lsb_release", &[(&["-a"], ""), (&["-r"], ""), (&["-ds"], "")]);
    }

    #[test]
    fn the_words_are_those_of_the_real_tool() {
        agree("uname", &[(&["-s"], "", "Linux\n", 0), (&["-o"], "", "GNU/Linux\n", 0)]);
    }
}
