//! What `read_conf` of dkms derives from the directives, typed.
//!
//! Only types; how they come about is in `derive`, and what is wrong with them in `rules`.

/// A value that the file may leave out, or that may not be known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fact<T> {
    /// The file does not say, or says an empty value where dkms takes that for the same.
    #[default]
    Absent,
    /// What dkms uses.
    Known(T),
    /// Depends on what is not known; the evaluation's diagnostics say on what.
    Unknown,
}

impl<T> Fact<T> {
    /// The value, when it is there and known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }

    /// Whether the file says something, known or not.
    pub fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Absent => Fact::Absent,
            Self::Known(value) => Fact::Known(change(value)),
            Self::Unknown => Fact::Unknown,
        }
    }
}

/// One module, as dkms numbers them from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleFacts {
    /// Its index in the arrays.
    pub index: usize,
    /// Name of the `.ko` without suffix; `PACKAGE_NAME` if there is one module only and no `BUILT_MODULE_NAME`.
    pub name: Fact<String>,
    /// Directory of the `.ko` relative to the driver's root, without `/` at the end; `Absent` means the root. It begins with
    /// `..` only where it leads to the source beside the build.
    pub location: Fact<String>,
    /// The name it is installed under; `BUILT_MODULE_NAME` if not given.
    pub installed_name: Fact<String>,
    /// `DEST_MODULE_LOCATION` as written; most distributions replace it (dkms, `override_dest_module_location`).
    pub destination: Fact<String>,
    /// Whether dkms strips debug symbols; `Unknown` when STRIP is.
    pub strip: Fact<bool>,
    /// `BUILD_EXCLUSIVE_*[index]` where the index is above 0; see [`Facts::exclusive`] for element 0.
    pub exclusive: Exclusive,
}

impl ModuleFacts {
    /// Where the build leaves it, below the build folder, without suffix; nothing where that is not known.
    #[must_use]
    pub fn built(&self) -> Option<String> {
        let name = self.name.known()?;
        match &self.location {
            Fact::Absent => Some(name.clone()),
            Fact::Known(folder) => Some(format!("{folder}/{name}")),
            Fact::Unknown => None,
        }
    }
}

/// MAKE\[i\] with `MAKE_MATCH`\[i\].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MakeRule {
    /// Its index in the arrays.
    pub index: usize,
    /// The command line.
    pub command: Fact<String>,
    /// A bash regular expression for kernel releases; absent for the default rule at index 0.
    pub matches: Fact<String>,
}

/// PATCH\[i\] with `PATCH_MATCH`\[i\].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchFacts {
    /// Its index in the arrays.
    pub index: usize,
    /// File below `patches/`, applied with `patch -p1`.
    pub file: Fact<String>,
    /// A bash regular expression for kernel releases; absent means all.
    pub matches: Fact<String>,
}

/// When a hook script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    /// Before the build, in the build directory.
    PreBuild,
    /// After the build, in the build directory.
    PostBuild,
    /// Before installation for a kernel.
    PreInstall,
    /// After installation for a kernel, before depmod.
    PostInstall,
    /// After `dkms add`.
    PostAdd,
    /// After each uninstallation for a kernel.
    PostRemove,
}

impl HookKind {
    pub const ALL: [Self; 6] = [
        Self::PreBuild,
        Self::PostBuild,
        Self::PreInstall,
        Self::PostInstall,
        Self::PostAdd,
        Self::PostRemove,
    ];

    /// The directive that names the script.
    #[must_use]
    pub const fn directive(self) -> &'static str {
        match self {
            Self::PreBuild => "PRE_BUILD",
            Self::PostBuild => "POST_BUILD",
            Self::PreInstall => "PRE_INSTALL",
            Self::PostInstall => "POST_INSTALL",
            Self::PostAdd => "POST_ADD",
            Self::PostRemove => "POST_REMOVE",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub kind: HookKind,
    /// Script and arguments.
    pub command: Fact<String>,
    /// The script alone: the command up to the first blank.
    pub script: Fact<String>,
}

/// `BUILD_EXCLUSIVE`_*: for which kernels dkms builds at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exclusive {
    /// A bash regular expression that the kernel release must match.
    pub kernel: Fact<String>,
    /// A bash regular expression that the architecture must match.
    pub arch: Fact<String>,
    /// The lowest kernel, compared as padded text.
    pub kernel_min: Fact<String>,
    /// The highest kernel, compared as padded text.
    pub kernel_max: Fact<String>,
    /// `CONFIG_X` and `!CONFIG_X`, separated by blanks.
    pub config: Fact<String>,
}

impl Exclusive {
    /// Whether it says anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A lowest version of dkms that a used feature needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub version: &'static str,
    /// The feature, in words.
    pub why: String,
    /// Whether an older dkms would install a wrong module, rather than fail or do something harmless.
    pub wrong_module: bool,
    /// Whether an older dkms does the same as long as nothing fails.
    pub is_harmless: bool,
}

/// What dkms derives from the file, in its own terms (`read_conf` of dkms 3.4.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// `PACKAGE_NAME`, as dkms has it.
    pub name: Fact<String>,
    /// `PACKAGE_VERSION`, as dkms has it.
    pub version: Fact<String>,
    /// The modules, by index.
    pub modules: Vec<ModuleFacts>,
    /// Whether there may be other modules than these, because an array is not known.
    pub modules_unknown: bool,
    /// The commands of MAKE, in the order of their indexes.
    pub make: Vec<MakeRule>,
    /// What is applied to the source before each build, in the order of PATCH.
    pub patches: Vec<PatchFacts>,
    /// Names of dkms modules that must be installed for the same kernel.
    pub build_depends: Vec<Fact<String>>,
    /// Whether dependents are rebuilt when a dependency changes.
    pub build_depends_rebuild: Fact<bool>,
    /// The scripts that dkms runs around its steps.
    pub hooks: Vec<Hook>,
    /// `BUILD_EXCLUSIVE`_* for the whole package: element 0.
    pub exclusive: Exclusive,
    /// Whether elements above 0 of `BUILD_EXCLUSIVE`_* are used.
    pub per_module_exclusive: bool,
    /// Whether dkms builds it for kernels that come later.
    pub autoinstall: Fact<bool>,
    /// `NO_WEAK_MODULES`.
    pub no_weak_modules: bool,
    /// CLEAN, which no current dkms runs.
    pub clean: Fact<String>,
    /// `REMAKE_INITRD`, ignored since 2.8.8.
    pub remake_initrd: Fact<String>,
    /// `OBSOLETE_BY`, deprecated since 3.4.0.
    pub obsolete_by: Fact<String>,
    /// Versions of dkms that the file needs.
    pub minimum_dkms: Vec<Requirement>,
}
