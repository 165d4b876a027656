//! Writes the dkms.conf that a driver's vendor forgot: from Makefiles and sources, with a comment that says where each line is from.
//!
//! Only reads the tree; must not guess where nothing is said.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::dkms::ReadTree;
use crate::driver::kbuild::{self, Asked, Kbuild, KbuildModule};
use crate::input::source::{SourceFile, SourceKind};
use crate::input::version::Claims;

/// A dkms.conf that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inferred {
    pub text: String,
    /// The modules, as `folder/name`.
    pub modules: Vec<String>,
    /// The Makefile that names them.
    pub from: String,
    /// Who says the version.
    pub version_from: String,
    /// What the tree says about it.
    pub claims: Claims,
    /// Whether the Makefiles may make others, for some kernels.
    pub is_open: bool,
}

/// What the caller knows.
#[derive(Debug, Clone, Default)]
pub struct Given<'a> {
    /// The driver's name, when somebody gave it.
    pub name: Option<&'a str>,
    /// The name of the driver's folder or archive.
    pub folder_name: Option<&'a str>,
    /// The version, when somebody gave it.
    pub version: Option<&'a str>,
}

/// How much of a source is read for the kernels it is meant for.
const BYTES: usize = 256 << 10;
/// How many sources.
const FILES: usize = 200;

/// The dkms.conf for a tree; nothing where no Makefile makes a module.
#[must_use]
pub fn infer(
    tree: &dyn ReadTree,
    files: &[SourceFile],
    given: &Given<'_>,
    claims: &dyn Fn(&[String]) -> Claims,
) -> Option<Inferred> {
    let mut kbuilds = kbuild::read(tree, &folders(files));
    if let Some(at) = kbuilds.iter().position(|kbuild| kbuild.wrapper.is_needed()) {
        // only its own Makefile can build this one; how the others hang on it is not known
        kbuilds = vec![kbuilds.swap_remove(at)];
    }
    kbuilds.sort_by(|one, other| one.top.cmp(&other.top));
    // what dkms.conf lists has to be made for every kernel, or dkms fails
    let (always, asking): (Vec<&KbuildModule>, Vec<_>) =
        kbuilds.iter().flat_map(chosen).partition(|module| module.needs.is_none());
    let (always, asking) = if always.is_empty() { (asking, always) } else { (always, asking) };
    let modules = [always.as_slice(), &asking].concat();
    let first = modules.first()?;
    let names: Vec<String> = modules.iter().map(|module| module.name.clone()).collect();
    let mut text = String::from("# made by `kpkg init`; read it before you rely on it\n");
    let (name, name_from) = name(given, &names);
    let _infallible = writeln!(text, "PACKAGE_NAME=\"{name}\"  # {name_from}");
    let claims = claims(&names);
    let (version, version_from) = match (given.version, claims.all.first().cloned()) {
        (Some(version), _) => (version.to_owned(), "given".to_owned()),
        (None, Some(claim)) => (claim.version, claim.from),
        // a marker, so that who reads the file next asks for the version
        (None, None) => ("@VERSION@".to_owned(), "nobody".to_owned()),
    };
    let _infallible = writeln!(text, "PACKAGE_VERSION=\"{version}\"  # {}", plain(&version_from));
    text.push('\n');
    let (line, why) = make_line(&kbuilds);
    let _infallible = writeln!(text, "# {why}\nMAKE[0]=\"{line}\"\n");
    for (index, module) in always.iter().enumerate() {
        list(&mut text, module, &index.to_string(), &index.to_string());
    }
    for module in asking {
        let option = module.needs.as_deref().unwrap_or_default();
        let _infallible =
            writeln!(text, "if grep -q \"^{option}=[my]\" \"${{kernel_source_dir}}/.config\"; then");
        list(&mut text, module, "${#BUILT_MODULE_NAME[@]}", "${#BUILT_MODULE_NAME[@]}-1");
        text.push_str("fi\n");
    }
    text.push('\n');
    if let Some((version, path)) = oldest_kernel(tree, files) {
        let _infallible =
            writeln!(text, "BUILD_EXCLUSIVE_KERNEL_MIN=\"{version}\"  # #error in {}", plain(&path));
    }
    text.push_str("AUTOINSTALL=\"yes\"\n");
    Some(Inferred {
        text,
        modules: modules
            .iter()
            .map(|module| {
                if module.folder.is_empty() {
                    module.name.clone()
                } else {
                    format!("{}/{}", module.folder, module.name)
                }
            })
            .collect(),
        from: first.from.clone(),
        version_from,
        claims,
        is_open: kbuilds.iter().any(|kbuild| kbuild.is_open),
    })
}

/// The lines of a module; `index` is its own before it is listed, `last` when it is.
fn list(text: &mut String, module: &KbuildModule, index: &str, last: &str) {
    let _infallible =
        writeln!(text, "BUILT_MODULE_NAME[{index}]=\"{}\"  # {}", module.name, plain(&module.from));
    if !module.folder.is_empty() {
        let _infallible = writeln!(text, "BUILT_MODULE_LOCATION[{last}]=\"{}\"", module.folder);
    }
    let _infallible = writeln!(text, "DEST_MODULE_LOCATION[{last}]=\"/updates\"");
}

/// Text for a comment.
fn plain(text: &str) -> String {
    text.chars().filter(|character| !character.is_control() && *character != '`').collect()
}

/// The folders that have a Makefile, the root first and shallow ones before deep ones.
fn folders(files: &[SourceFile]) -> Vec<String> {
    let mut found: BTreeSet<(usize, String)> = BTreeSet::new();
    for file in files {
        let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        if matches!(name, "Makefile" | "Kbuild") && matches!(file.kind, SourceKind::File { .. }) {
            let depth = if folder.is_empty() { 0 } else { folder.matches('/').count() + 1 };
            found.insert((depth, folder.to_owned()));
        }
    }
    found.into_iter().map(|(_, folder)| folder).take(FILES).collect()
}

/// The modules that are always made; those that hang on an option where the driver sets it, or where there are no others.
fn chosen(kbuild: &Kbuild) -> Vec<&KbuildModule> {
    let safe = |module: &&KbuildModule| {
        let word =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+.-/".contains(&byte));
        word(&module.name) && word(&module.folder) && !module.name.is_empty()
    };
    let always = |module: &&KbuildModule| {
        module.option.as_ref().is_none_or(|option| kbuild.wrapper.options.contains_key(option))
    };
    let all: Vec<_> = kbuild.modules.iter().filter(safe).collect();
    let certain: Vec<_> = all.iter().copied().filter(always).collect();
    if certain.is_empty() { all } else { certain }
}

fn name(given: &Given<'_>, modules: &[String]) -> (String, String) {
    if let Some(name) = given.name {
        return (name.to_owned(), "given".to_owned());
    }
    if let [only] = modules {
        return (only.clone(), "the module".to_owned());
    }
    let folder = given.folder_name.map(without_version).filter(|name| {
        name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && !GENERIC.contains(name)
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte))
    });
    match folder {
        Some(folder) => (folder.to_owned(), "the folder's name".to_owned()),
        None => (modules.first().cloned().unwrap_or_default(), "the first module".to_owned()),
    }
}

/// Names of folders that say nothing about the driver in them.
const GENERIC: &[&str] =
    &["driver", "drivers", "drv", "kernel", "kmod", "linux", "module", "modules", "source", "src"];

/// `toy` of `toy-1.2`.
fn without_version(name: &str) -> &str {
    let version = name.match_indices(['-', '_']).find(|(at, _)| {
        let rest = name[at + 1..].trim_start_matches('v');
        rest.starts_with(|first: char| first.is_ascii_digit())
    });
    version.map_or(name, |(at, _)| &name[..at])
}

/// The command that builds, and why it is this one.
fn make_line(kbuilds: &[Kbuild]) -> (String, String) {
    if let [Kbuild { wrapper, .. }] = kbuilds
        && wrapper.is_needed()
    {
        let mut asks = wrapper.asks.clone();
        asks.extend(wrapper.kernel_folder.iter().map(|name| (name.clone(), Asked::Folder)));
        asks.extend(wrapper.kernel_release.iter().map(|name| (name.clone(), Asked::Release)));
        if !asks.is_empty() {
            let variables: String =
                asks.iter().map(|(name, asked)| format!(" {}", given(name, *asked))).collect();
            let makefile = plain(&makefile_of(&wrapper.folder));
            let why = if wrapper.generates {
                format!("{makefile} makes sources before it starts the kernel's build")
            } else {
                let names: Vec<_> = wrapper.variables.keys().map(String::as_str).collect();
                format!("{makefile} gives the kernel's build {}", names.join(", "))
            };
            // dkms gives a bare `make` KERNELRELEASE, which a guard takes for a call of kbuild; quoted it stays as it is
            return (format!("'make' -C {}{variables}", build_folder(&wrapper.folder)), why);
        }
    }
    let mut commands = Vec::new();
    let mut symbols: Vec<String> = Vec::new();
    for kbuild in kbuilds {
        let folder = build_folder(&kbuild.top);
        let mut options: BTreeSet<String> = chosen(kbuild)
            .into_iter()
            .filter_map(|module| module.option.as_ref())
            .map(|option| {
                let value = kbuild.wrapper.options.get(option).map_or("m", String::as_str);
                format!("{option}={value}")
            })
            .collect();
        options.extend(kbuild.asks.iter().map(|(name, asked)| given(name, *asked)));
        options.extend(kbuild.roots.iter().map(|name| format!("{name}={}", build_folder(""))));
        if !symbols.is_empty() {
            // modules may use symbols of those that were made before
            options.insert(format!("KBUILD_EXTRA_SYMBOLS='{}'", symbols.join(" ")));
        }
        let options = options.into_iter().fold(String::new(), |text, option| format!("{text} {option}"));
        commands.push(format!("make -C ${{kernel_source_dir}} M={folder}{options} modules"));
        symbols.push(format!("{folder}/Module.symvers"));
    }
    let why = "as the kernel's documentation (kbuild/modules.rst) says, with what the Makefiles need";
    (commands.join(" && "), why.to_owned())
}

/// A variable with what dkms knows of the kernel that it builds for.
fn given(name: &str, asked: Asked) -> String {
    match asked {
        Asked::Release => format!("{name}=${{kernelver}}"),
        Asked::Folder => format!("{name}=${{kernel_source_dir}}"),
    }
}

/// Where dkms builds a folder of the source.
fn build_folder(top: &str) -> String {
    let build = "${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build";
    if top.is_empty() { build.to_owned() } else { format!("{build}/{top}") }
}

fn makefile_of(folder: &str) -> String {
    if folder.is_empty() { "Makefile".to_owned() } else { format!("{folder}/Makefile") }
}

/// `#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 4, 0)` directly before `#error`: the highest of them.
fn oldest_kernel(tree: &dyn ReadTree, files: &[SourceFile]) -> Option<(String, String)> {
    let sources =
        files.iter().filter(|file| file.path.ends_with(".c") || file.path.ends_with(".h")).take(FILES);
    let mut best: Option<([u32; 3], String)> = None;
    for file in sources {
        let Some(bytes) = tree.read(&file.path, BYTES) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        for pair in lines.windows(2) {
            let [test, error] = pair else { continue };
            let is_error = error.strip_prefix('#').is_some_and(|rest| rest.trim_start().starts_with("error"));
            if is_error
                && let Some(version) = below(test)
                && best.as_ref().is_none_or(|(known, _)| version > *known)
            {
                best = Some((version, file.path.clone()));
            }
        }
    }
    best.map(|([one, two, three], path)| (format!("{one}.{two}.{three}"), path))
}

fn below(line: &str) -> Option<[u32; 3]> {
    let rest = line.strip_prefix('#')?.trim_start().strip_prefix("if")?.trim_start();
    let rest = rest.trim_start_matches('(').strip_prefix("LINUX_VERSION_CODE")?.trim_start();
    let rest = rest
        .strip_prefix('<')?
        .trim_start()
        .strip_prefix("KERNEL_VERSION")?
        .trim_start()
        .strip_prefix('(')?;
    let (numbers, tail) = rest.split_once(')')?;
    if !tail.trim().trim_matches(')').is_empty() {
        return None;
    }
    let numbers: Vec<u32> =
        numbers.split(',').map(|number| number.trim().parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkms::Files;

    /// The command that is made for a tree of the given files.
    fn make(texts: &[(&'static str, &'static str)]) -> String {
        let kind =
            || SourceKind::File { on_disk: std::path::Path::new("x").into(), size: 1, executable: false };
        let files: Vec<_> =
            texts.iter().map(|(path, _)| SourceFile { path: (*path).to_owned(), kind: kind() }).collect();
        let tree = Files(texts.iter().copied().collect());
        let made =
            infer(&tree, &files, &Given { name: Some("toy"), ..Given::default() }, &|_| Claims::default());
        let text = made.unwrap().text;
        let line = text.lines().find_map(|line| line.strip_prefix("MAKE[0]=")).unwrap();
        line.replace("${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build", "BUILD")
            .trim_matches('"')
            .to_owned()
    }

    #[test]
    fn the_kernel_is_built_against_unless_only_the_own_makefile_can() {
        assert_eq!(
            make(&[("Makefile", "obj-$(CONFIG_TOY) := toy.o\n")]),
            "make -C ${kernel_source_dir} M=BUILD CONFIG_TOY=m modules"
        );
        // the second one may use what the first one exports
        assert_eq!(
            make(&[("a/Makefile", "obj-m := a.o\n"), ("b/Makefile", "obj-m := b.o\n")]),
            "make -C ${kernel_source_dir} M=BUILD/a modules && make -C ${kernel_source_dir} M=BUILD/b \
             KBUILD_EXTRA_SYMBOLS='BUILD/a/Module.symvers' modules"
        );
        // quoted, so that dkms gives it no KERNELRELEASE
        let own = "ifeq ($(KERNELRELEASE),)\nKDIR ?= /lib/modules/$(shell uname -r)/build\nall:\n\t$(MAKE) -C $(KDIR) M=$(PWD)/src INC=$(PWD)\nelse\n\nendif\n";
        assert_eq!(
            make(&[("Makefile", own), ("src/Kbuild", "obj-m := toy.o\n")]),
            "'make' -C BUILD KDIR=${kernel_source_dir}"
        );
    }

    #[test]
    fn a_limit_is_a_test_followed_by_an_error() {
        assert_eq!(below("#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 4, 0)"), Some([5, 4, 0]));
        assert_eq!(below("# if (LINUX_VERSION_CODE < KERNEL_VERSION(2,6,32))"), Some([2, 6, 32]));
        for other in [
            "#if LINUX_VERSION_CODE >= KERNEL_VERSION(5,4,0)",
            "#if LINUX_VERSION_CODE < KERNEL_VERSION(5,4,0) && X",
            "#if X",
        ] {
            assert_eq!(below(other), None, "{other}");
        }
    }

    #[test]
    fn folder_names_lose_their_version() {
        for (name, plain) in [
            ("toy-1.2", "toy"),
            ("toy-dkms-v2", "toy-dkms"),
            ("ethernet-linux-ixgbe", "ethernet-linux-ixgbe"),
            ("8821cu", "8821cu"),
        ] {
            assert_eq!(without_version(name), plain);
        }
    }
}
