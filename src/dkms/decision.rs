//! What dkms does with a driver for one kernel: whether it builds at all, with which command, patches and modules.
//!
//! Works on facts; must not evaluate shell.

use std::cmp::Ordering;

use bstr::ByteSlice;
use serde::Serialize;

use super::evaluate::kernel_config;
use super::shell::{extended, refusal};
use super::versions::{is_at_least, padded_version};
use super::{Exclusive, Fact, Facts, HookKind, Inputs, ModuleFacts};

/// The most that is read of a kernel's configuration.
const CONFIG: usize = 4 << 20;

/// Whether dkms builds for a kernel (`check_version_sanity` and the exit status 77 of dkms 3.x).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "why")]
pub enum Verdict {
    /// It does.
    Builds,
    /// It skips the kernel, for this reason.
    Excluded(String),
    /// That depends on this, which is not known.
    Unknown(String),
}

/// One module for one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModuleDecision {
    /// The name it is installed under; nothing where that is not known.
    pub name: Option<String>,
    /// `DEST_MODULE_LOCATION` as written.
    pub destination: Option<String>,
    /// Where the build leaves it, below the build folder, without suffix.
    pub built: Option<String>,
    /// Whether debug information is taken out.
    pub strip: Option<bool>,
    /// Whether dkms builds this module.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What dkms does for one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The command line; nothing where that is not known.
    pub make: Option<String>,
    /// The patches, in order, as far as that is known.
    pub patches: Vec<String>,
    /// The command before the build, in the build folder.
    pub pre_build: Option<String>,
    /// The command after the build, in the build folder.
    pub post_build: Option<String>,
    /// The names of dkms modules that have to be there before.
    pub build_depends: Vec<String>,
    /// The modules, by their index.
    pub modules: Vec<ModuleDecision>,
    /// The directives of a build whose value is not known.
    pub unknown: Vec<&'static str>,
    /// Whether there may be other modules than these.
    pub modules_unknown: bool,
}

impl Facts {
    /// What dkms does with these facts, which have to be those of the kernel in `inputs`.
    #[must_use]
    pub fn decide(&self, inputs: &Inputs<'_>) -> Decision {
        let mut whole = self.exclusive.clone();
        if !whole.kernel_max.is_present() {
            // dkms 3.1.8 and later
            whole.kernel_max = self.obsolete_by.clone();
        }
        let verdict = whole.verdict(inputs);
        let modules = self.modules.iter().map(|module| ModuleDecision {
            name: module.installed_name.known().cloned(),
            destination: module.destination.known().cloned(),
            built: module.built(),
            strip: module.strip.known().copied(),
            verdict: match &verdict {
                Verdict::Builds => module.exclusive.verdict(inputs),
                whole => whole.clone(),
            },
        });
        Decision {
            modules: modules.collect(),
            make: self.make_for(inputs),
            patches: self.patches_for(inputs),
            pre_build: self.hook(HookKind::PreBuild),
            post_build: self.hook(HookKind::PostBuild),
            build_depends: self.build_depends.iter().filter_map(|name| name.known().cloned()).collect(),
            unknown: self.unknown_for(inputs),
            modules_unknown: self.modules_unknown,
            verdict,
        }
    }

    /// `MAKE[0]` without a pattern, else the last rule that matches; `make` of kbuild where the file has none.
    fn make_for(&self, inputs: &Inputs<'_>) -> Option<String> {
        let known = |fact: &Fact<String>| fact.known().cloned();
        let mut command = match (known(&self.name), known(&self.version), inputs.kernel.as_deref()) {
            (Some(name), Some(version), Some(kernel)) => {
                Some(format!("make -C /lib/modules/{kernel}/build M=/var/lib/dkms/{name}/{version}/build"))
            }
            _ => None,
        };
        // dkms looks at indices below the number of elements only
        let count = self.make.iter().filter(|rule| rule.command.is_present()).count();
        for rule in self.make.iter().filter(|rule| rule.index < count) {
            let applies = match (&rule.matches, rule.index) {
                (Fact::Absent, 0) => true,
                (Fact::Absent, _) => false,
                (Fact::Known(text), _) => matches(text, inputs.kernel.as_deref()?)?,
                (Fact::Unknown, _) => return None,
            };
            if applies && rule.command.is_present() {
                command = Some(rule.command.known()?.clone());
            }
        }
        command.map(|command| command + &for_clang(inputs))
    }

    fn hook(&self, kind: HookKind) -> Option<String> {
        self.hooks.iter().find(|hook| hook.kind == kind)?.command.known().cloned()
    }

    /// What a build would have to guess.
    fn unknown_for(&self, inputs: &Inputs<'_>) -> Vec<&'static str> {
        let is_unknown = |fact: &Fact<String>| *fact == Fact::Unknown;
        let hook = |kind| self.hooks.iter().any(|hook| hook.kind == kind && is_unknown(&hook.command));
        let module = |part: fn(&ModuleFacts) -> &Fact<String>| {
            self.modules.iter().any(|module| is_unknown(part(module)))
        };
        let all = [
            ("BUILT_MODULE_NAME", self.modules_unknown || module(|module| &module.name)),
            ("BUILT_MODULE_LOCATION", module(|module| &module.location)),
            ("DEST_MODULE_NAME", module(|module| &module.installed_name)),
            ("DEST_MODULE_LOCATION", module(|module| &module.destination)),
            ("STRIP", self.modules.iter().any(|module| module.strip == Fact::Unknown)),
            ("MAKE", self.make_for(inputs).is_none()),
            ("PATCH", self.patches.iter().any(|patch| is_unknown(&patch.file) || is_unknown(&patch.matches))),
            ("PRE_BUILD", hook(HookKind::PreBuild)),
            ("POST_BUILD", hook(HookKind::PostBuild)),
            ("BUILD_DEPENDS", self.build_depends.iter().any(is_unknown)),
        ];
        all.into_iter().filter(|(_, is_unknown)| *is_unknown).map(|(directive, _)| directive).collect()
    }

    fn patches_for(&self, inputs: &Inputs<'_>) -> Vec<String> {
        let applies = |text: &Fact<String>| match text {
            Fact::Absent => true,
            Fact::Known(text) => {
                inputs.kernel.as_deref().and_then(|kernel| matches(text, kernel)).unwrap_or(false)
            }
            Fact::Unknown => false,
        };
        let chosen = self.patches.iter().filter(|patch| applies(&patch.matches));
        chosen.filter_map(|patch| patch.file.known().cloned()).collect()
    }
}

impl Exclusive {
    fn verdict(&self, inputs: &Inputs<'_>) -> Verdict {
        let kernel = inputs.kernel.as_deref();
        let tests = [
            pattern_test("BUILD_EXCLUSIVE_KERNEL", &self.kernel, kernel, "the kernel"),
            pattern_test("BUILD_EXCLUSIVE_ARCH", &self.arch, inputs.arch.as_deref(), "the architecture"),
            limit_test("BUILD_EXCLUSIVE_KERNEL_MIN", &self.kernel_min, kernel, Ordering::Less),
            limit_test("BUILD_EXCLUSIVE_KERNEL_MAX", &self.kernel_max, kernel, Ordering::Greater),
            config_test(&self.config, inputs),
        ];
        let mut verdict = Verdict::Builds;
        for test in tests {
            match test {
                Verdict::Excluded(_) => return test,
                Verdict::Unknown(_) if verdict == Verdict::Builds => verdict = test,
                _ => {}
            }
        }
        verdict
    }
}

/// What dkms appends to every command for a kernel that clang built.
fn for_clang(inputs: &Inputs<'_>) -> String {
    let Some(config) =
        inputs.headers.and_then(|headers| headers.read(kernel_config(headers, inputs), CONFIG))
    else {
        return String::new();
    };
    let has = |option: &str| {
        let line = format!("{option}=y\n");
        config.starts_with(line.as_bytes()) || config.contains_str(format!("\n{line}"))
    };
    let is_new = is_at_least(inputs, "3.1.2");
    let parts = [
        (" LLVM=1", is_new && has("CONFIG_CC_IS_CLANG")),
        // since 2.8.8, when it was first asked about
        (" CC=clang", !is_new && has("CONFIG_CC_IS_CLANG")),
        (" LD=ld.lld", !is_new && has("CONFIG_LD_IS_LLD")),
    ];
    parts.into_iter().filter(|(_, is_so)| *is_so).map(|(part, _)| part).collect()
}

/// `[[ $text =~ $pattern ]]`; nothing when the pattern is beyond us.
fn matches(pattern: &str, text: &str) -> Option<bool> {
    if refusal(pattern).is_some() {
        return Some(false);
    }
    extended(pattern, false).map(|regex| regex.is_match(text))
}

fn not_known(name: &str) -> Verdict {
    Verdict::Unknown(format!("the value of {name} is not known"))
}

fn pattern_test(name: &str, fact: &Fact<String>, text: Option<&str>, what: &str) -> Verdict {
    match (fact, text) {
        (Fact::Absent, _) => Verdict::Builds,
        (Fact::Unknown, _) => not_known(name),
        (Fact::Known(pattern), _) if refusal(pattern).is_some() => Verdict::Excluded(format!(
            "bash refuses {name} `{pattern}` ({}), so dkms builds for no kernel",
            refusal(pattern).unwrap_or_default()
        )),
        (Fact::Known(_), None) => Verdict::Unknown(format!("{what} is not given")),
        (Fact::Known(pattern), Some(text)) => match matches(pattern, text) {
            Some(true) => Verdict::Builds,
            Some(false) => Verdict::Excluded(format!("`{text}` does not match {name} `{pattern}`")),
            None => Verdict::Unknown(format!("{name} `{pattern}` cannot be compared here")),
        },
    }
}

/// dkms compares the padded versions as text.
fn limit_test(name: &str, fact: &Fact<String>, kernel: Option<&str>, beyond: Ordering) -> Verdict {
    match (fact, kernel) {
        (Fact::Absent, _) => Verdict::Builds,
        (Fact::Unknown, _) => not_known(name),
        (Fact::Known(_), None) => Verdict::Unknown("the kernel is not given".to_owned()),
        (Fact::Known(limit), Some(kernel)) => {
            if padded_version(kernel).cmp(&padded_version(limit)) == beyond {
                Verdict::Excluded(format!("{name} is `{limit}`"))
            } else {
                Verdict::Builds
            }
        }
    }
}

/// `CONFIG_X` has to be y or m, `!CONFIG_X` must not; dkms skips the test where there is no configuration.
fn config_test(fact: &Fact<String>, inputs: &Inputs<'_>) -> Verdict {
    let options = match fact {
        Fact::Absent => return Verdict::Builds,
        Fact::Unknown => return not_known("BUILD_EXCLUSIVE_CONFIG"),
        Fact::Known(options) => options,
    };
    let Some(headers) = inputs.headers else {
        return Verdict::Unknown("the kernel's configuration is not given".to_owned());
    };
    let Some(config) = headers.read(kernel_config(headers, inputs), CONFIG) else { return Verdict::Builds };
    let config = String::from_utf8_lossy(&config);
    let is_set = |option: &str| {
        let value = |line: &str| line.strip_prefix(option)?.strip_prefix('=').map(str::to_owned);
        config.lines().any(|line| matches!(value(line).as_deref(), Some("y" | "m")))
    };
    for option in options.split_whitespace() {
        let wrong = match option.strip_prefix('!') {
            Some(option) => is_set(option),
            None => !is_set(option),
        };
        if wrong {
            return Verdict::Excluded(format!("the kernel's configuration does not satisfy `{option}`"));
        }
    }
    Verdict::Builds
}
