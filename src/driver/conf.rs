//! The dkms.conf of the package: with the name and version that were given or found, and evaluated as dkms will see it.
//!
//! Changes the text and never the file in the tree.

use std::collections::BTreeMap;
use std::path::Path;

use super::lacks::Packaged;
use super::tree::Tree;
use super::{
    BAD_VERSION, CONF_NAME, FOREIGN_TAGS, ForKernel, NORMALISED, NOT_THERE, PER_KERNEL, TOLD_KERNEL,
    USED_BEFORE, VERSION_FROM, assign,
};
use crate::base::diagnostic::{Diagnostic, Severity};
use crate::base::error::{Error, Result};
use crate::dkms::{self, Conf, ConfFile, Evaluation, Fact, Facts, Inputs, Supported};
use crate::driver::bash::{self, ConfShell};
use crate::driver::find::Found;
use crate::driver::kbuild::Use;
use crate::driver::layout::{self, Layout};
use crate::input::Input;
use crate::input::source::LeftOut;
use crate::input::version::Claims;
use crate::kernel::machine::Machine;
use crate::output::Stop;

fn checked_version(version: String) -> Result<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~:-".contains(&byte);
    if version.bytes().all(allowed)
        && version.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
    {
        return Ok(version);
    }
    let finding = Diagnostic::error(&BAD_VERSION, format!("`{}` is no version", version.escape_debug()));
    Err(Error::diagnostics(vec![finding.hint("use letters, digits and `. _ + ~ : -`")]))
}

/// The name and version that dkms.conf shall say, where somebody gave them.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    /// The modules, as `FOLDER/NAME`; none: those of the file.
    pub(super) modules: Vec<String>,
    /// Texts to replace.
    pub(super) substitute: BTreeMap<String, String>,
}

/// Whether a text is a sequence of whole commands.
fn is_whole(text: &str) -> bool {
    let (_, findings) = Conf::parse(Path::new(CONF_NAME), text.as_bytes());
    findings.iter().all(|finding| finding.severity != Severity::Error)
}

/// A text with these modules in the place of its own, and of the line that a template has for them.
fn with_modules(text: &str, modules: &[String]) -> String {
    let is_marker = |line: &&str| dkms::line_marker(line).is_some_and(|marker| marker.contains("MODULE"));
    let kept: String = text.split_inclusive('\n').filter(|line| !is_marker(line)).collect();
    let newline = if kept.is_empty() || kept.ends_with('\n') { "" } else { "\n" };
    let mut text = format!(
        "{kept}{newline}unset BUILT_MODULE_NAME BUILT_MODULE_LOCATION DEST_MODULE_NAME DEST_MODULE_LOCATION\n"
    );
    for (index, module) in modules.iter().enumerate() {
        let (folder, name) = module.rsplit_once('/').unwrap_or(("", module));
        text.push_str(&format!("BUILT_MODULE_NAME[{index}]=\"{name}\"\n"));
        if !folder.is_empty() {
            text.push_str(&format!("BUILT_MODULE_LOCATION[{index}]=\"{folder}\"\n"));
        }
        text.push_str(&format!("DEST_MODULE_LOCATION[{index}]=\"/updates/dkms\"\n"));
    }
    text
}

/// Words for a version that the file itself says.
pub(super) const OWN_VERSION: &str = "dkms.conf";
/// Words for a version that somebody gave.
pub(super) const GIVEN_VERSION: &str = "given";

impl Wanted {
    pub(super) fn checked(self) -> Result<Self> {
        let version = self.version.map(checked_version).transpose()?;
        Ok(Self { version, ..self })
    }

    /// The file with what was given, or else with what the tree says where the file has no version of its own; and where the
    /// version is from. `claims` gets the names of the modules.
    pub(super) fn settle(
        &self,
        reading: &Reading<'_>,
        claims: &dyn Fn(&[String]) -> Claims,
    ) -> (PackagedConf, String) {
        let packaged = PackagedConf::new(reading, self);
        if self.version.is_some() {
            return (packaged, GIVEN_VERSION.to_owned());
        }
        let missing = match &packaged.facts.version {
            Fact::Known(version) => dkms::is_placeholder(version),
            Fact::Absent | Fact::Unknown => true,
        };
        if !missing {
            return (packaged, OWN_VERSION.to_owned());
        }
        let says = packaged.version_text(&reading.file.bytes);
        if packaged.facts.version == Fact::Unknown && reading.depends_on_kernel() {
            return (packaged.with_kernel_error(), OWN_VERSION.to_owned());
        }
        let names: Vec<String> =
            packaged.facts.modules.iter().filter_map(|module| module.name.known().cloned()).collect();
        let claims = claims(&names);
        let foreign = foreign_tags(&claims);
        let Some(claim) = claims.all.first() else {
            let mut packaged = packaged.without_version(reading.is_made);
            packaged.findings.extend(foreign);
            return (packaged, OWN_VERSION.to_owned());
        };
        let wanted = Self { version: Some(claim.version.clone()), ..self.clone() };
        let mut packaged = PackagedConf::new(reading, &wanted);
        packaged.findings.push(found_version(&says, &claims));
        packaged.findings.extend(foreign);
        (packaged, claim.from.clone())
    }
}

/// How a value gets into dkms.conf.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// In the place of `@X@`, wherever that stands in the file.
    Marker,
    /// In the variable that the directive takes its value from, where others use it as well.
    Source,
    /// In the last assignment, so that what follows it and uses the value sees the right one.
    Assignment,
    /// Before what uses it, where something else than an assignment sets it.
    Uses,
    /// In a line at the end.
    Line,
}

/// The ways in the order in which they are tried.
const WAYS: [Way; 5] = [Way::Marker, Way::Source, Way::Assignment, Way::Uses, Way::Line];

/// What to say about a version that was found.
pub(super) fn found_version(says: &str, claims: &Claims) -> Diagnostic {
    let [claim, others @ ..] = claims.all.as_slice() else {
        return Diagnostic::note(&VERSION_FROM, says);
    };
    let text = format!("{says}; the version is {}, from {}", claim.version, claim.from);
    let differing = claims.differing();
    if claim.is_made {
        return Diagnostic::warning(&VERSION_FROM, text).with_note(LOOKED).hint(GIVE);
    }
    if differing.is_empty() {
        let same = if claim.says_more { "the beginning of it" } else { "the same" };
        let agreeing = others.iter().map(|other| format!("{} says {same}", other.from));
        return agreeing.fold(Diagnostic::note(&VERSION_FROM, text), Diagnostic::with_note);
    }
    let others = differing.into_iter().map(|other| format!("{} says {}", other.from, other.version));
    others
        .fold(Diagnostic::warning(&VERSION_FROM, text), Diagnostic::with_note)
        .hint("`--driver-version` or `version` in the `[driver]` table of kpkg.toml decides")
}

/// A finding where the tags of a repository say nothing about this driver.
pub(super) fn foreign_tags(claims: &Claims) -> Option<Diagnostic> {
    let [one, other] = claims.foreign_tags.as_slice() else { return None };
    let text = format!(
        "the repository's tags, such as `{one}` and `{other}`, are of several components, and none is called like this \
         driver: they say nothing about its version"
    );
    let finding = Diagnostic::note(&FOREIGN_TAGS, text);
    Some(finding.hint("`--driver-version` or `version` in the `[driver]` table of kpkg.toml decides"))
}

/// What to say where no place says a version.
pub(super) fn no_version() -> Diagnostic {
    let text = "no version is known: nobody gave one, and nothing in the tree says one";
    Diagnostic::error(&VERSION_FROM, text).with_note(LOOKED).hint(GIVE)
}

const LOOKED: &str = "looked at git's tags, MODULE_VERSION and #define in the sources, Makefile, configure.ac, VERSION, \
                      debian/changelog, *.spec and the folder's name";
const GIVE: &str =
    "give it: `--driver-version VERSION`, or `version = \"VERSION\"` in the `[driver]` table of kpkg.toml";

/// The dkms.conf of the package, evaluated as dkms will see it: without a kernel, whose values stay unknown.
pub(super) struct PackagedConf {
    pub(super) conf: Conf,
    pub(super) facts: Facts,
    pub(super) findings: Vec<Diagnostic>,
    /// Its text, where that is not the one in the tree.
    pub(super) rewritten: Option<String>,
}

impl PackagedConf {
    /// Corrects line ends, and states what is wanted where the file says something else.
    pub(super) fn new(reading: &Reading<'_>, wanted: &Wanted) -> Self {
        let original = String::from_utf8_lossy(&reading.file.bytes);
        let mut text = original.replace("\r\n", "\n");
        let unused: Vec<_> = wanted.substitute.keys().filter(|key| !text.contains(key.as_str())).collect();
        for (key, value) in &wanted.substitute {
            text = text.replace(key.as_str(), value);
        }
        if !wanted.modules.is_empty() {
            text = with_modules(&text, &wanted.modules);
        }
        let mut packaged =
            if text == original { reading.as_it_is() } else { reading.evaluate(text.as_bytes()) };
        for (directive, value) in [("PACKAGE_NAME", &wanted.name), ("PACKAGE_VERSION", &wanted.version)] {
            let Some(value) = value else { continue };
            let before = packaged.fact(directive).known().cloned();
            // each way is tried on what the one before has left; the last assignment of all counts
            for way in WAYS {
                if packaged.says(directive, value) && !assign::is_set_by_others(&text, directive) {
                    break;
                }
                if let Some(changed) = packaged.changed(way, &text, directive, value) {
                    packaged = reading.evaluate(changed.as_bytes());
                    text = changed;
                }
            }
            let late = packaged.used_too_early(&text, reading.tree, directive, value, before.as_deref());
            packaged.findings.extend(late);
            if !packaged.says(directive, value) {
                // what is wrong is in the user's file, without what was tried
                packaged = reading.as_it_is();
                text = original.clone().into_owned();
                let message = format!(
                    "`{directive}` cannot be set to `{value}`: dkms.conf ends early, or sets it read-only"
                );
                let hint = "write the value into dkms.conf";
                packaged.findings.push(Diagnostic::error(&NORMALISED, message).hint(hint));
            }
        }
        for key in unused {
            let message = format!("`{key}` under `substitute` in kpkg.toml is not in dkms.conf");
            let hint = "remove the key, or write it as it stands there";
            packaged.findings.push(Diagnostic::error(&NOT_THERE, message).hint(hint));
        }
        if text != original {
            packaged
                .findings
                .push(Diagnostic::note(&NORMALISED, "the dkms.conf in the package is a corrected one"));
            packaged.rewritten = Some(text);
        }
        packaged
    }

    /// The text with another value for a directive; nothing where this way is not to be had.
    fn changed(&self, way: Way, text: &str, directive: &str, value: &str) -> Option<String> {
        match way {
            Way::Marker => {
                let marker = dkms::marker(self.fact(directive).known()?)?;
                text.contains(&marker).then(|| text.replace(&marker, value))
            }
            Way::Source => {
                let source = assign::taken_over(text, directive)?;
                // dkms sets those in lower case
                let is_own = source != directive && !source.contains(|c: char| c.is_ascii_lowercase());
                if !is_own || assign::uses(text, source).count() < 2 {
                    return None;
                }
                Some(assign::before_uses(text, source, value, &is_whole).text)
            }
            Way::Assignment => assign::in_assignment(text, directive, value),
            Way::Uses => {
                let changed = assign::before_uses(text, directive, value, &is_whole).text;
                (changed != text).then_some(changed)
            }
            Way::Line => {
                let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
                Some(format!("{text}{newline}{directive}=\"{value}\"\n"))
            }
        }
    }

    /// An error where something in the file goes on using another value than the new one.
    fn used_too_early(
        &self,
        text: &str,
        tree: &Tree<'_>,
        directive: &str,
        value: &str,
        before: Option<&str>,
    ) -> Option<Diagnostic> {
        if before == Some(value) {
            return None;
        }
        let hint = "set the value once, in a line of its own above everything that uses it";
        if let Some(at) = assign::before_uses(text, directive, value, &is_whole).unreachable {
            let message =
                format!("`{directive}` is used in the command that sets it, so it cannot become `{value}`");
            return Some(Diagnostic::error(&USED_BEFORE, message).at(self.conf.place(at)).hint(hint));
        }
        let before = before.filter(|before| *before != value && !dkms::is_placeholder(before))?;
        let inputs = Inputs { source_tree: Some(tree), ..Inputs::of_some_kernel() };
        let evaluation = dkms::evaluate(&self.conf, &inputs);
        let facts = dkms::facts(&self.conf, &evaluation).0;
        let (name, version) = (facts.name.known()?, facts.version.known()?);
        let (old_name, old_version) =
            if directive == "PACKAGE_NAME" { (before, version.as_str()) } else { (name.as_str(), before) };
        let old = [
            format!("/var/lib/dkms/{old_name}/{old_version}/"),
            format!("/usr/src/{old_name}-{old_version}"),
        ];
        let is_old = |text: &str| {
            old.iter().any(|path| {
                text.match_indices(path.as_str()).any(|(at, _)| {
                    path.ends_with('/')
                        || text[at + path.len()..].starts_with(['/', ' ', '"', '\''])
                        || text.len() == at + path.len()
                })
            })
        };
        let used = evaluation.directives.iter().find(|(_, elements)| {
            elements.values().any(|value| matches!(value, dkms::Value::Known(text) if is_old(text)))
        })?;
        let message = format!("`{directive}` becomes `{value}`, but `{}` goes on using `{before}`", used.0);
        Some(self.conf.mark(Diagnostic::error(&USED_BEFORE, message).hint(hint), used.0))
    }

    fn fact(&self, directive: &str) -> &Fact<String> {
        if directive == "PACKAGE_NAME" { &self.facts.name } else { &self.facts.version }
    }

    fn says(&self, directive: &str, value: &str) -> bool {
        self.fact(directive).known().is_some_and(|own| own == value)
    }

    /// What the file says about its version, in words.
    fn version_text(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        let raw = self.conf.place_of("PACKAGE_VERSION").filter(|place| place.source.text == text);
        match (raw.map(|place| text[place.span].trim().to_owned()), &self.facts.version) {
            (Some(raw), Fact::Absent) => format!("`{raw}` is empty"),
            (None, Fact::Known(marker)) if dkms::is_placeholder(marker) => {
                format!("`PACKAGE_VERSION` is the template's marker `{marker}`")
            }
            (None, Fact::Absent) => "dkms.conf has no PACKAGE_VERSION".to_owned(),
            (Some(raw), Fact::Unknown) => format!("what `{raw}` gives is not known here"),
            (Some(raw), Fact::Known(_)) => format!("`{raw}` is a template's marker"),
            (None, _) => "the version in dkms.conf cannot be used".to_owned(),
        }
    }

    fn with_kernel_error(mut self) -> Self {
        let finding =
            Diagnostic::error(&PER_KERNEL, "`PACKAGE_VERSION` depends on the kernel or the architecture")
                .hint("write one version, or give it: `--driver-version VERSION`");
        self.findings.push(self.conf.mark(finding, "PACKAGE_VERSION"));
        self
    }

    /// An error where `facts` reported none, and where a version was looked for.
    fn without_version(mut self, is_made: bool) -> Self {
        if is_made {
            // the line with the marker is in no file of the user's
            self.findings.retain(|finding| !dkms::is_about_a_marker(finding));
            self.findings.push(no_version());
            return self;
        }
        if self.facts.version == Fact::Unknown {
            let text = "the version is not known here, and nothing in the tree says it";
            let finding = Diagnostic::error(&VERSION_FROM, text);
            self.findings.push(self.conf.mark(finding, "PACKAGE_VERSION"));
        }
        let last = self.findings.iter_mut().rfind(|finding| {
            finding.severity == Severity::Error && finding.message.contains("PACKAGE_VERSION")
                || finding.code.id == VERSION_FROM.id
        });
        if let Some(finding) = last {
            finding.notes.push(LOOKED.to_owned());
            finding.hint = Some(GIVE.to_owned());
        }
        self
    }

    /// What the build points to, and what of that the package lacks.
    pub(super) fn layout(
        &self,
        input: &Input,
        found: &Found,
        tree: &Tree<'_>,
        left_out: &[LeftOut],
    ) -> (Layout, Vec<Diagnostic>) {
        let (Some(name), Some(version)) = (self.facts.name.known(), self.facts.version.known()) else {
            return (Layout::default(), Vec::new());
        };
        let inputs = Inputs {
            processors: Some(1),
            module: Some((name.clone(), version.clone())),
            source_tree: Some(tree),
            ..Inputs::of_some_kernel()
        };
        let (facts, of_facts) = dkms::facts(&self.conf, &dkms::evaluate(&self.conf, &inputs));
        let layout = layout::examine(tree, &facts);
        let mut findings =
            Packaged { input, found, tree, left_out, conf: &self.conf, facts: &facts }.findings(&layout);
        // in values that are only known with a kernel
        let is_told = |finding: &Diagnostic| {
            dkms::is_about_a_marker(finding)
                || finding.code.id == VERSION_FROM.id && finding.severity == Severity::Error
        };
        if !self.findings.iter().any(is_told) {
            findings.extend(of_facts.into_iter().filter(dkms::is_about_a_marker));
        }
        (layout, findings)
    }

    /// Lets MAKE pass the kernel to Makefiles that ask which one runs and end where that one lacks something.
    pub(super) fn told_kernel(self, layout: &Layout, reading: &Reading<'_>) -> Self {
        let stops = [Use::Error, Use::Include];
        let asks = layout.asks_running().into_iter().find_map(|asks| {
            let is_decisive = asks.is_kbuild && stops.iter().any(|stop| asks.uses.contains(stop));
            let name = asks.statement.sets().filter(|_| is_decisive)?;
            let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            is_plain.then(|| (name.to_owned(), asks.statement))
        });
        let (Some((name, statement)), [] | [_]) = (asks, self.facts.make.as_slice()) else { return self };
        let is_folder = statement.text.contains("/lib/modules/");
        let value = if is_folder { "${kernel_source_dir}" } else { "${kernelver}" };
        let command = match self.facts.make.first() {
            None => "make -C ${kernel_source_dir} M=${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build",
            Some(rule) if rule.index == 0 && rule.matches == Fact::Absent => "${MAKE[0]}",
            Some(_) => return self,
        };
        let own = String::from_utf8_lossy(&reading.file.bytes);
        let text = self.rewritten.as_deref().unwrap_or(&own);
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let text = format!("{text}{end}MAKE[0]=\"{command} {name}={value}\"\n");
        let told = reading.evaluate(text.as_bytes());
        // a command that goes on behind make takes no variable at its end
        let inputs = Inputs { source_tree: Some(reading.tree), ..Inputs::of_some_kernel() };
        let facts = dkms::facts(&told.conf, &dkms::evaluate(&told.conf, &inputs)).0;
        let is_one = facts.make.first().and_then(|rule| rule.command.known()).is_some_and(|command| {
            command.trim_start_matches(['\'', '"']).starts_with("make")
                && !command.contains(['\n', ';', '|', '&', '`', '#'])
        });
        if !is_one || told.facts.name != self.facts.name || told.facts.version != self.facts.version {
            return self;
        }
        let message = format!(
            "`{name}` of `{}` (line {}) is the kernel that runs, and the build stops where that one lacks something: in the \
             package, MAKE gives it",
            statement.path, statement.line
        );
        let finding = Diagnostic::warning(&TOLD_KERNEL, message)
            .hint(format!("add `{name}={value}` to the command in MAKE"));
        let findings = [self.findings, vec![self.conf.mark(finding, "MAKE")]].concat();
        Self { rewritten: Some(text), findings, ..told }
    }

    /// What dkms does for the kernel of a machine; findings about values that no kernel may change.
    pub(super) fn for_kernel(
        &self,
        machine: &Machine,
        reader: &Reader<'_>,
        (name, version): (&String, &String),
        findings: &mut Vec<Diagnostic>,
    ) -> Result<Option<ForKernel>> {
        let Some(kernel) = machine.kernel.clone() else { return Ok(None) };
        let inputs = Inputs { source_tree: Some(reader.tree), ..machine.inputs() };
        let evaluation = reader.evaluate(&self.conf, machine, &inputs)?;
        let (facts, found) = dkms::facts_for(&self.conf, &evaluation, reader.supported);
        findings.extend(evaluation.diagnostics.into_iter().chain(found));
        for (directive, value, usual) in
            [("PACKAGE_NAME", &facts.name, name), ("PACKAGE_VERSION", &facts.version, version)]
        {
            if value.known().is_some_and(|value| value != usual) {
                let text = format!("`{directive}` is another one for the kernel `{kernel}`");
                let finding = Diagnostic::error(&PER_KERNEL, text);
                findings.push(self.conf.mark(finding, directive));
            }
        }
        Ok(Some(ForKernel { decision: facts.decide(&inputs), kernel }))
    }
}

/// A file that is read, and for whom.
pub(super) struct Reading<'a> {
    pub(super) file: &'a ConfFile,
    pub(super) tree: &'a Tree<'a>,
    pub(super) supported: &'a Supported,
    /// Whether it is one that was made.
    pub(super) is_made: bool,
}

impl Reading<'_> {
    /// Whether the version is known as soon as the kernel is.
    fn depends_on_kernel(&self) -> bool {
        let conf = &self.file.conf;
        let inputs = Inputs { source_tree: Some(self.tree), ..Inputs::of_some_kernel() };
        dkms::facts(conf, &dkms::evaluate(conf, &inputs)).0.version.known().is_some()
    }

    fn as_it_is(&self) -> PackagedConf {
        self.evaluate_parsed(self.file.conf.clone())
    }

    /// The file with another text.
    fn evaluate(&self, text: &[u8]) -> PackagedConf {
        self.evaluate_parsed(Conf::parse(&self.file.conf.source().path, text).0)
    }

    fn evaluate_parsed(&self, conf: Conf) -> PackagedConf {
        let evaluation = dkms::evaluate(&conf, &Inputs { source_tree: Some(self.tree), ..Inputs::default() });
        let (facts, found) = dkms::facts_for(&conf, &evaluation, self.supported);
        let findings = evaluation.diagnostics.into_iter().chain(found).collect();
        PackagedConf { conf, facts, findings, rewritten: None }
    }
}

/// Who reads the file for a kernel, and where.
pub(super) struct Reader<'a> {
    pub(super) supported: &'a Supported,
    pub(super) tree: &'a Tree<'a>,
    pub(super) root: &'a Path,
    pub(super) shell: ConfShell,
    pub(super) stop: &'a Stop,
}

impl Reader<'_> {
    fn evaluate(&self, conf: &Conf, machine: &Machine, inputs: &Inputs<'_>) -> Result<Evaluation> {
        let own = dkms::evaluate(conf, inputs);
        match self.shell {
            ConfShell::Own => Ok(own),
            ConfShell::Bash => {
                let bytes = conf.source().text.as_bytes();
                bash::evaluate(bash::File { conf, bytes, tree: Some(self.root) }, own, machine, self.stop)
            }
        }
    }
}
