//! The names of directives: which there are, what looks like one, and where a file assigns one.
//!
//! Must not know their values.

use std::ops::Range;

/// The names that dkms carries from the subshell into its own: `dkms_conf_variables`, in the order of dkms 3.2.2.
pub(super) const VARIABLES: &[&str] = &[
    "PACKAGE_NAME",
    "PACKAGE_VERSION",
    "POST_ADD",
    "POST_BUILD",
    "POST_INSTALL",
    "POST_REMOVE",
    "PRE_BUILD",
    "PRE_INSTALL",
    "BUILD_DEPENDS",
    "BUILD_EXCLUSIVE_ARCH",
    "BUILD_EXCLUSIVE_CONFIG",
    "BUILD_EXCLUSIVE_KERNEL",
    "BUILD_EXCLUSIVE_KERNEL_MIN",
    "BUILD_EXCLUSIVE_KERNEL_MAX",
    "build_exclude",
    "OBSOLETE_BY",
    "MAKE",
    "MAKE_MATCH",
    "PATCH",
    "PATCH_MATCH",
    "patch_array",
    "BUILT_MODULE_NAME",
    "built_module_name",
    "BUILT_MODULE_LOCATION",
    "built_module_location",
    "DEST_MODULE_NAME",
    "dest_module_name",
    "DEST_MODULE_LOCATION",
    "dest_module_location",
    "STRIP",
    "strip",
    "AUTOINSTALL",
    "NO_WEAK_MODULES",
    "BUILD_DEPENDS_REBUILD",
    "CLEAN",
    "REMAKE_INITRD",
    "MODULES_CONF",
    "MODULES_CONF_OBSOLETES",
    "MODULES_CONF_ALIAS_TYPE",
    "MODULES_CONF_OBSOLETE_ONLY",
];

/// Whether a directive is an array by nature.
pub(super) fn is_array_directive(name: &str) -> bool {
    matches!(
        name,
        "MAKE"
            | "MAKE_MATCH"
            | "PATCH"
            | "PATCH_MATCH"
            | "BUILT_MODULE_NAME"
            | "BUILT_MODULE_LOCATION"
            | "DEST_MODULE_NAME"
            | "DEST_MODULE_LOCATION"
            | "STRIP"
            | "BUILD_DEPENDS"
            | "MODULES_CONF"
            | "MODULES_CONF_OBSOLETES"
            | "MODULES_CONF_ALIAS_TYPE"
            | "patch_array"
            | "built_module_name"
            | "built_module_location"
            | "dest_module_name"
            | "dest_module_location"
            | "strip"
    )
}

/// Whether a word looks like a directive: known to dkms, or in the way of one.
pub(super) fn is_directive_like(name: &str) -> bool {
    let base = name.split('[').next().unwrap_or(name);
    base.len() > 3 && base.starts_with(|c: char| c.is_ascii_uppercase()) && VARIABLES.contains(&base)
}

/// The byte range of the last line that assigns `name`, found in the text alone.
pub(super) fn last_assignment(text: &str, name: &str) -> Option<Range<usize>> {
    let mut offset = 0;
    let mut found = None;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let start = offset + line.len() - trimmed.len();
        offset += line.len();
        let words = trimmed.strip_prefix("export ").unwrap_or(trimmed);
        if let Some(rest) = words.strip_prefix(name) {
            let assigns = rest.starts_with('=') || rest.starts_with("+=") || rest.starts_with('[');
            if assigns {
                let start = start + trimmed.len() - words.len();
                found = Some(start..start + words.trim_end().len());
            }
        }
    }
    found
}

/// Names that somebody may take for directives, with what they are.
pub(super) const FOREIGN: [(&str, &str); 22] = [
    ("autoinstall_all_kernels", FRAMEWORK),
    ("build_environment", FRAMEWORK),
    ("compress_gzip_opts", FRAMEWORK),
    ("compress_xz_opts", FRAMEWORK),
    ("compress_zstd_opts", FRAMEWORK),
    ("continue_on_error", FRAMEWORK),
    ("modprobe_on_install", FRAMEWORK),
    ("mok_certificate", FRAMEWORK),
    ("mok_signing_key", FRAMEWORK),
    ("post_transaction", FRAMEWORK),
    ("sign_file", FRAMEWORK),
    ("sign_tool", FRAMEWORK),
    ("symlink_modules", FRAMEWORK),
    ("try_sign_modules", FRAMEWORK),
    ("BUILD_EXCLUSIVE_DISTRO", NOTHING),
    ("BUILD_EXCLUSIVE_OS", NOTHING),
    ("POST_UNINSTALL", "dkms has POST_REMOVE for that"),
    ("POST_UPGRADE", NOTHING),
    ("PRE_ADD", NOTHING),
    ("PRE_REMOVE", "dkms has POST_REMOVE only"),
    ("PRE_UNINSTALL", "dkms has POST_REMOVE only"),
    ("PRE_UPGRADE", NOTHING),
];
const FRAMEWORK: &str = "it belongs into /etc/dkms/framework.conf of a machine";
const NOTHING: &str = "no version of dkms has it";

/// Families of directives: another name of one of them means to be one.
pub(super) const FAMILIES: [&str; 3] = ["BUILD_EXCLUSIVE_", "BUILT_MODULE_", "DEST_MODULE_"];

/// Whether a name that dkms does not know may be meant as one of its own.
pub(super) fn may_mean_a_directive(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let is_other_case = name.len() > 5 && !VARIABLES.contains(&name) && VARIABLES.contains(&upper.as_str());
    let is_upper = name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit());
    is_upper || is_other_case || FOREIGN.iter().any(|(foreign, _)| *foreign == name)
}

/// The directive that a name is near to.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    if let Some(known) = VARIABLES.iter().find(|known| upper == **known && name != **known) {
        return Some(known);
    }
    let known = || VARIABLES.iter().filter(|known| known.starts_with(|c: char| c.is_ascii_uppercase()));
    // `PRE_INST`
    let is_cut = |known: &&&str| {
        name.len() > 5
            && known.strip_prefix(name).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('_'))
    };
    if let Some(known) = known().find(is_cut) {
        return Some(known);
    }
    // an edit changes the length by one at most
    let near = known().filter(|known| known.len().abs_diff(name.len()) <= 3);
    let (distance, known) = near.map(|known| (strsim::levenshtein(name, known), *known)).min()?;
    let is_near = distance > 0
        && distance <= known.len() / 6 + 1
        && distance <= 3
        && (known.len() >= 5 || distance <= 1);
    is_near.then_some(known)
}

/// The directives of a family, in words.
pub(super) fn family_of(family: &str) -> String {
    let names = VARIABLES.iter().filter(|name| name.starts_with(family)).map(|name| format!("`{name}`"));
    names.collect::<Vec<_>>().join(", ")
}
