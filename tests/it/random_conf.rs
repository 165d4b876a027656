//! Random dkms.conf files, read by kpkg and by Debian's own dkms in real bash: every value has to be the same.
//!
//! dkms's part is its function `safe_source`, taken out of the program that is installed, so that both sourcings are its own.
//! `KPKG_RANDOM_CONF=N` makes N files instead of the usual number; `KPKG_RANDOM_SEED` starts elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support;
use kpkg::dkms::{self, Conf, Inputs, Value};
use support::Random;
use support::constructs::{self, CONSTRUCTS};

/// Where Debian has it.
const DKMS: &str = "/usr/sbin/dkms";
const KERNEL: &str = "6.1.0-49-amd64";

/// Sources a file as dkms does, and writes `NAME INDEX VALUE`, each ended by a NUL, to `FILE.values`. A process for each file, because a
/// subshell may replace itself by the last command of what it sources.
const READER: &str = r#"
# what `$0` is for a file that is sourced
BASH_ARGV0=$1
program=$1 file=$2
eval "$(sed -n '/^safe_source()/,/^}/p' "$program")"
eval "$(sed -n '/^readonly dkms_conf_variables="/,/"[[:space:]]*$/p' "$program")"
eval "$(grep '^shopt ' "$program")"
mktemp_or_die() { mktemp "$file.XXXXXX"; }
deprecated() { :; }
show_deprecation_warnings=
read_one() {
    local kernelver=$KERNELVER arch=x86_64 kernel_source_dir=/lib/modules/$KERNELVER/build
    local dkms_tree=/var/lib/dkms source_tree=/usr/src install_tree=/lib/modules module=toy module_version=1.0
    local var
    for var in $dkms_conf_variables; do unset "$var"; done
    # the others print nothing, each in several processes
    local names= text
    text=$(<"$1")
    for var in $dkms_conf_variables; do case $text in *"$var"*) names+=" $var" ;; esac; done
    safe_source "$1" $names 2>/dev/null
    for var in $dkms_conf_variables; do
        local -n array=$var
        for index in "${!array[@]}"; do printf '%s\0%s\0%s\0' "$var" "$index" "${array[$index]}"; done
        unset -n array
    done
}
cd /
read_one "$file" >"$file.values"
"#;

/// Writes files of the grammar.
struct Writer(Random);

impl Writer {
    fn below(&mut self, count: usize) -> usize {
        self.0.below(count)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn variable(&mut self) -> &'static str {
        self.pick(&[
            "a",
            "b",
            "c",
            "PACKAGE_NAME",
            "MAKE",
            "kernelver",
            "arch",
            "unset_one",
            "module_version",
        ])
    }

    fn literal(&mut self) -> &'static str {
        self.pick(&[
            "x",
            "toy",
            "1.0",
            "a-b",
            "src/toy",
            "y_z",
            "A1",
            "0",
            "7",
            "-j4",
            "KVER=6",
            "a.b.c",
            "/updates",
            "long-word",
            "%",
            "@X@",
            "{q}",
            "a:b",
            ",",
            "+",
            "=",
        ])
    }

    /// A parameter expansion.
    fn parameter(&mut self) -> String {
        let name = self.variable();
        let pattern = self.pick(&["a", "*", "?", "[0-9]", "*.", "-*", "1*", "[!a-z]", "o"]);
        let word = self.literal();
        match self.below(20) {
            0..=4 => format!("${name}"),
            5 | 6 => format!("${{{name}}}"),
            7 => format!("${{{name}:-{word}}}"),
            8 => format!("${{{name}:+{word}}}"),
            9 => format!("${{{name}#{pattern}}}"),
            10 => format!("${{{name}##{pattern}}}"),
            11 => format!("${{{name}%{pattern}}}"),
            12 => format!("${{{name}%%{pattern}}}"),
            13 => format!("${{{name}/{pattern}/{word}}}"),
            14 => format!("${{{name}//{pattern}/{word}}}"),
            15 => format!("${{#{name}}}"),
            16 => format!("${{{name}:{}:{}}}", self.below(4), self.below(5)),
            17 => format!("${{{name}^^}}"),
            18 => format!("${{{name},,}}"),
            _ => format!("${{{name}[{}]}}", self.below(3)),
        }
    }

    fn arithmetic(&mut self, depth: usize) -> String {
        if depth > 2 || self.below(3) == 0 {
            return match self.below(3) {
                0 => "n".to_owned(),
                _ => self.below(20).to_string(),
            };
        }
        let operator = self.pick(&["+", "-", "*", "<", ">", "==", "&&", "||", "&", "|", "^", "<<"]);
        let (left, right) = (self.arithmetic(depth + 1), self.arithmetic(depth + 1));
        let right = if operator == "<<" { self.below(4).to_string() } else { right };
        format!("({left} {operator} {right})")
    }

    /// What can stand between double quotes.
    fn quoted_part(&mut self, depth: usize) -> String {
        match self.below(14) {
            0..=4 => self.literal().to_owned(),
            5..=8 => self.parameter(),
            9 => " ".repeat(1 + self.below(3)),
            10 => self.pick(&["\\\"", "\\$", "\\\\", "'", "\\`", "#", ";", "~", "!"]).to_owned(),
            11 if depth < 3 => format!("$(echo {})", self.words(depth + 1)),
            12 => format!("$(({}))", self.arithmetic(0)),
            _ => "_".to_owned(),
        }
    }

    fn word(&mut self, depth: usize) -> String {
        let mut word = String::new();
        for _ in 0..=self.below(3) {
            match self.below(8) {
                0..=2 => word.push_str(self.pick(&["x", "toy", "1.0", "a-b", "src/toy", "A1", "0", "7"])),
                3 => word.push_str(&format!(
                    "'{}'",
                    self.pick(&["a b", "$a", "x\"y", "\\", "", "a  b", "#", "`"])
                )),
                4..=6 => {
                    word.push('"');
                    for _ in 0..=self.below(3) {
                        let part = self.quoted_part(depth);
                        word.push_str(&part);
                    }
                    word.push('"');
                }
                _ => word.push_str(self.pick(&["\\ ", "\\$", "\\x", "\\\\", "\\\""])),
            }
        }
        word
    }

    fn words(&mut self, depth: usize) -> String {
        (0..=self.below(3)).map(|_| self.word(depth)).collect::<Vec<_>>().join(" ")
    }

    fn test(&mut self) -> String {
        let (one, other) = (self.word(2), self.word(2));
        let pattern = self.pick(&["*1*", "toy*", "?", "6.*", "[a-c]*", "@(x|toy)"]);
        match self.below(9) {
            0 => format!("[ {one} = {other} ]"),
            1 => format!("[ -n {one} ]"),
            2 => format!("[ -z \"{}\" ]", self.parameter()),
            3 => format!("[[ {one} == {pattern} ]]"),
            4 => format!("[[ {one} != {other} ]]"),
            5 => format!("[[ $kernelver =~ ^{} ]]", self.pick(&["6\\.1", "[0-9]+\\.", "5", "(6|7)\\.[0-9]"])),
            6 => format!("[ {} -lt {} ]", self.below(9), self.below(9)),
            // brush-parser takes `<<` in it for a here-document
            7 => format!("(( {} ))", self.arithmetic(0).replace("<<", "+")),
            _ => self.pick(&["true", "false", "! true"]).to_owned(),
        }
    }

    fn target(&mut self) -> String {
        match self.below(5) {
            0 => format!("BUILT_MODULE_NAME[{}]", self.below(4)),
            1 => format!("MAKE[{}]", self.below(3)),
            2 => self
                .pick(&["PACKAGE_NAME", "PACKAGE_VERSION", "CLEAN", "AUTOINSTALL", "POST_INSTALL", "STRIP"])
                .to_owned(),
            3 => self.pick(&["MAKE", "BUILT_MODULE_LOCATION", "DEST_MODULE_NAME", "PATCH"]).to_owned(),
            _ => self.pick(&["a", "b", "c"]).to_owned(),
        }
    }

    fn statement(&mut self, depth: usize, out: &mut String) {
        let indent = "    ".repeat(depth);
        match self.below(if depth > 2 { 7 } else { 14 }) {
            0..=3 => out.push_str(&format!("{indent}{}={}\n", self.target(), self.word(0))),
            4 => out.push_str(&format!("{indent}{}+={}\n", self.target(), self.word(0))),
            5 => out.push_str(&format!(
                "{indent}{}=({})\n",
                self.pick(&["MAKE", "PATCH", "BUILT_MODULE_NAME", "a"]),
                self.words(0)
            )),
            6 => out.push_str(&format!("{indent}n=$(({}))\n", self.arithmetic(0))),
            7 | 8 => {
                out.push_str(&format!("{indent}if {}; then\n", self.test()));
                self.block(depth + 1, out);
                if self.below(2) == 0 {
                    out.push_str(&format!("{indent}else\n"));
                    self.block(depth + 1, out);
                }
                out.push_str(&format!("{indent}fi\n"));
            }
            9 => {
                out.push_str(&format!("{indent}case {} in\n", self.word(1)));
                for _ in 0..=self.below(2) {
                    let pattern = self.pick(&["toy*", "x|7", "*1.0*", "[A-Z]*", "'a b'"]);
                    out.push_str(&format!("{indent}{pattern})\n"));
                    self.block(depth + 1, out);
                    out.push_str(&format!("{indent};;\n"));
                }
                out.push_str(&format!("{indent}*) c=other ;;\n{indent}esac\n"));
            }
            10 => {
                out.push_str(&format!("{indent}for b in {}; do\n", self.words(1)));
                self.block(depth + 1, out);
                out.push_str(&format!("{indent}done\n"));
            }
            11 => {
                let end = self.below(4);
                out.push_str(&format!(
                    "{indent}i=0\n{indent}while [ $i -lt {end} ]; do\n{indent}PATCH[$i]=p$i\n"
                ));
                out.push_str(&format!("{indent}i=$((i + 1))\n{indent}done\n"));
            }
            12 => {
                out.push_str(&format!("{indent}set_{depth}() {{\n{indent}    local a=$1\n"));
                self.block(depth + 1, out);
                out.push_str(&format!(
                    "{indent}    DEST_MODULE_NAME[${{#DEST_MODULE_NAME[@]}}]=$2\n{indent}}}\n"
                ));
                out.push_str(&format!("{indent}set_{depth} {} {}\n", self.word(1), self.word(1)));
            }
            _ => out.push_str(&format!("{indent}read -r a c <<< {}\n", self.word(1))),
        }
    }

    fn block(&mut self, depth: usize, out: &mut String) {
        for _ in 0..=self.below(2) {
            self.statement(depth, out);
        }
    }

    /// A file, and the constructs in it with the element that each sets.
    fn file(&mut self, count: usize) -> (String, Vec<(usize, Element)>) {
        let mut text = String::from(START);
        let mut held = Vec::new();
        for _ in 0..self.below(5) {
            self.statement(0, &mut text);
        }
        for slot in 0..=self.below(3) {
            // one after the other, so that a run holds as many as it can
            let chosen = if slot == 0 { count % CONSTRUCTS.len() } else { self.below(CONSTRUCTS.len()) };
            let (_, forms) = CONSTRUCTS[chosen];
            let form = forms
                [if slot == 0 { count / CONSTRUCTS.len() } else { self.0.below(forms.len()) } % forms.len()];
            let (written, element) = SLOTS[slot][self.below(2)];
            text.push_str(&constructs::write(form, written, &mut self.0));
            held.push((chosen, (element.0.to_owned(), element.1)));
            if self.below(2) == 0 {
                self.statement(0, &mut text);
            }
        }
        (text, held)
    }
}

/// What every file begins with.
const START: &str = "PACKAGE_NAME=toy\nPACKAGE_VERSION=1.0\na=toy b=src/x c='1 2'\nn=3\n\
                     list=(one 'two 2' three)\ndeclare -A map=([k]=v [q]=ww)\n";

/// What constructs set: as written, and the element that it is.
const SLOTS: [[(&str, (&str, usize)); 2]; 3] = [
    [("POST_ADD", ("POST_ADD", 0)), ("PATCH[20]", ("PATCH", 20))],
    [("POST_BUILD", ("POST_BUILD", 0)), ("PATCH[21]", ("PATCH", 21))],
    [("POST_REMOVE", ("POST_REMOVE", 0)), ("PATCH[22]", ("PATCH", 22))],
];

type Element = (String, usize);

type Values = BTreeMap<Element, String>;

/// Has dkms read every `dkms.conf` in the folders of a folder.
fn read_by_dkms(folder: &Path) {
    let reader = folder.join("reader");
    fs::write(&reader, READER).unwrap();
    let each = "printf '%s\\0' \"$2\"/*/dkms.conf | xargs -0 -n 1 -P 2 timeout 20 bash --norc \"$0\" \"$1\"";
    Command::new("bash")
        .args(["--norc", "-c", each])
        .args([&reader, Path::new(DKMS), folder])
        .env_clear()
        .envs([
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/root"),
            ("LC_ALL", "C.UTF-8"),
            ("KERNELVER", KERNEL),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
}

/// What it wrote for one.
fn values(path: &Path) -> Values {
    let written = fs::read(path).unwrap_or_default();
    let parts: Vec<_> =
        written.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    let mut found = Values::new();
    for part in parts.chunks_exact(3) {
        let [name, index, value] = part else { unreachable!() };
        found.insert((name.clone(), index.parse().unwrap()), value.clone());
    }
    found
}

/// What kpkg reads from a file.
struct Reading {
    known: Values,
    unknown: BTreeSet<Element>,
    /// It says that the file does not parse.
    refused: bool,
}

fn read_by_kpkg(text: &str, version: &str) -> Reading {
    let (conf, findings) = Conf::parse(Path::new("dkms.conf"), text.as_bytes());
    let inputs = Inputs {
        kernel: Some(KERNEL.to_owned()),
        arch: Some("x86_64".to_owned()),
        dkms_version: Some(version.to_owned()),
        module: Some(("toy".to_owned(), "1.0".to_owned())),
        ..Inputs::default()
    };
    let evaluation = dkms::evaluate(&conf, &inputs);
    let refused = findings.iter().any(|finding| finding.code.id == "K0201");
    let mut reading = Reading { known: Values::new(), unknown: BTreeSet::new(), refused };
    for (directive, elements) in evaluation.directives {
        for (index, value) in elements {
            let element = (directive.clone(), index);
            match value {
                Value::Known(value) => drop(reading.known.insert(element, value)),
                Value::Unknown => drop(reading.unknown.insert(element)),
            }
        }
    }
    reading
}

impl Reading {
    /// Whether kpkg says that it does not know an element: itself, or an array of which it does not know the elements.
    fn leaves_open(&self, element: &Element) -> bool {
        let whole = (element.0.clone(), 0);
        self.unknown.contains(element) || self.unknown.contains(&whole) && !self.known.contains_key(element)
    }

    /// The first element that is wrong without a word.
    fn wrong<'a>(&'a self, want: &'a Values) -> Option<&'a Element> {
        let wrong = self.known.iter().find(|(key, value)| want.get(*key) != Some(*value));
        let lost = || want.keys().find(|key| !self.known.contains_key(*key) && !self.leaves_open(key));
        wrong.map(|(key, _)| key).or_else(lost)
    }
}

/// The version of the dkms that is installed.
fn dkms_version() -> Option<String> {
    if !Path::new(DKMS).exists() {
        support::missing("dkms");
        return None;
    }
    let version = Command::new(DKMS).arg("--version").output().unwrap();
    Some(String::from_utf8_lossy(&version.stdout).trim().trim_start_matches("dkms-").to_owned())
}

/// What dkms reads from each text.
fn truth_of(texts: &[String]) -> Vec<Values> {
    let folder = tempfile::tempdir().unwrap();
    let path = |index: usize| folder.path().join(index.to_string()).join("dkms.conf");
    for (index, text) in texts.iter().enumerate() {
        fs::create_dir(path(index).parent().unwrap()).unwrap();
        fs::write(path(index), text).unwrap();
    }
    read_by_dkms(folder.path());
    (0..texts.len()).map(|index| values(&path(index).with_extension("conf.values"))).collect()
}

/// How often a construct was in a file, and what came of it.
#[derive(Default, Clone)]
struct Tally {
    files: usize,
    right: usize,
    unknown: usize,
}

#[test]
fn random_files_are_read_as_dkms_reads_them() {
    let Some(version) = dkms_version() else { return };
    let number =
        |name: &str, usual: u64| std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap());
    let count = usize::try_from(number("KPKG_RANDOM_CONF", 400)).unwrap();
    let mut writer = Writer(Random(number("KPKG_RANDOM_SEED", 0x5eed_cafe_f00d)));
    let first = writer.below(1 << 20);
    let mut tallies = vec![Tally::default(); CONSTRUCTS.len()];
    let mut different = Vec::new();
    for start in (0..count).step_by(200) {
        let files: Vec<_> = (start..count.min(start + 200)).map(|index| writer.file(first + index)).collect();
        let texts: Vec<_> = files.iter().map(|(text, _)| text.clone()).collect();
        for ((text, held), want) in files.iter().zip(truth_of(&texts)) {
            let reading = read_by_kpkg(text, &version);
            for (construct, element) in held {
                let tally = &mut tallies[*construct];
                tally.files += 1;
                let known = !reading.leaves_open(element);
                tally.unknown += usize::from(!known);
                tally.right += usize::from(known && reading.known.get(element) == want.get(element));
            }
            if let Some(key) = reading.wrong(&want) {
                different.push(format!(
                    "{key:?}: dkms {:?}, kpkg {:?}{}\n{text}",
                    want.get(key),
                    reading.known.get(key),
                    if reading.refused { " (does not parse)" } else { "" }
                ));
            }
        }
    }
    eprintln!(
        "{count} files compared with dkms {version}\n{:>6} {:>6} {:>8}  construct",
        "files", "right", "unknown"
    );
    for ((name, _), tally) in CONSTRUCTS.iter().zip(&tallies) {
        eprintln!("{:6} {:6} {:8}  {name}", tally.files, tally.right, tally.unknown);
    }
    // the shortest is the easiest to read
    different.sort_by_key(String::len);
    assert!(
        different.is_empty(),
        "{} differ; the shortest:\n{}",
        different.len(),
        different[..different.len().min(12)].join("\n----\n")
    );
}

/// What a form comes to: the value that dkms reads, none, or that kpkg does not know it.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Outcome {
    Value(String),
    /// False.
    Unknown(bool),
    None(()),
}

/// The forms with what dkms reads, in the order of the table.
#[derive(serde::Serialize, serde::Deserialize)]
struct Recorded {
    dkms: String,
    outcomes: Vec<(String, Outcome)>,
}

/// Every form by itself: `tests/conf/constructs.json` has what dkms read, and which of it kpkg knows. `KPKG_UPDATE=1` and
/// `KPKG_RANDOM_CONF` ask dkms again, and the former writes it.
#[test]
fn every_construct_is_read_as_dkms_reads_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/constructs.json");
    let recorded = || -> Recorded { serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap() };
    let mut random = Random(1);
    let forms: Vec<(&str, String)> = CONSTRUCTS
        .iter()
        .flat_map(|(name, forms)| forms.iter().map(move |form| (*name, form)))
        .map(|(name, form)| (name, constructs::write(form, "POST_ADD", &mut random)))
        .collect();
    let file = |form: &str| format!("{START}{form}CLEAN=end\n");
    let element = ("POST_ADD".to_owned(), 0);
    let is_set = |name: &str| std::env::var_os(name).is_some();
    if is_set("KPKG_UPDATE") || is_set("KPKG_RANDOM_CONF") {
        let Some(version) = dkms_version() else { return };
        let texts: Vec<_> = forms.iter().map(|(_, form)| file(form)).collect();
        let mut outcomes = Vec::new();
        let mut wrong = Vec::new();
        for (((name, form), text), want) in forms.iter().zip(&texts).zip(truth_of(&texts)) {
            let reading = read_by_kpkg(text, &version);
            if let Some(key) = reading.wrong(&want) {
                let (dkms, kpkg) = (want.get(key), reading.known.get(key));
                wrong.push(format!("{name}: {key:?}: dkms {dkms:?}, kpkg {kpkg:?}\n{form}"));
            }
            let outcome = match want.get(&element) {
                _ if reading.leaves_open(&element) => Outcome::Unknown(false),
                Some(value) => Outcome::Value(value.clone()),
                None => Outcome::None(()),
            };
            outcomes.push((form.clone(), outcome));
        }
        assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
        if is_set("KPKG_UPDATE") {
            let lines: Vec<_> =
                outcomes.iter().map(|outcome| serde_json::to_string(outcome).unwrap()).collect();
            let text = format!("{{\"dkms\":\"{version}\",\"outcomes\":[\n{}\n]}}\n", lines.join(",\n"));
            fs::write(&path, text).unwrap();
        }
    }
    let Recorded { dkms, outcomes } = recorded();
    assert_eq!(
        outcomes.iter().map(|(form, _)| form).collect::<Vec<_>>(),
        forms.iter().map(|(_, form)| form).collect::<Vec<_>>(),
        "record the forms anew with KPKG_UPDATE=1"
    );
    for (form, outcome) in outcomes {
        let reading = read_by_kpkg(&file(&form), &dkms);
        let seen = match reading.known.get(&element) {
            _ if reading.leaves_open(&element) => Outcome::Unknown(false),
            Some(value) => Outcome::Value(value.clone()),
            None => Outcome::None(()),
        };
        assert_eq!(seen, outcome, "{form}");
    }
}
