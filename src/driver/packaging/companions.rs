//! Files beside the modules that a tree's own packaging installs: udev rules, firmware, and what modprobe and others read.

use super::copies::{Copy, UNKNOWN};
use super::{Files, TextKind, below_root, copies_of, field_of, is_aside, matches, texts};
use crate::config::{FileConfig, FilesConfig};
use crate::dkms::tree_path;

/// How many are told.
const COMPANIONS: usize = 200;

/// A file, or a folder of them, that the tree's own packaging installs beside the modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// The key under `[files]` in kpkg.toml; nothing where kpkg has no place for its kind.
    pub key: Option<&'static str>,
    /// The path in the tree.
    pub path: String,
    /// Its path below the folder of its kind.
    pub name: String,
    /// The text that says so, and its line.
    pub said_by: (String, usize),
}

/// A kind of file.
struct Kind {
    key: Option<&'static str>,
    /// Where it goes, the longest path first.
    folders: &'static [&'static str],
    /// How its files end; empty = anyhow.
    endings: &'static [&'static str],
    /// A word in the name of a variable that stands for the folder.
    variable: &'static str,
}

const KINDS: [Kind; 13] = [
    Kind {
        key: Some("udev"),
        folders: &["usr/lib/udev/rules.d", "lib/udev/rules.d", "etc/udev/rules.d"],
        endings: &[".rules"],
        variable: "UDEV",
    },
    Kind {
        key: Some("hwdb"),
        folders: &["usr/lib/udev/hwdb.d", "lib/udev/hwdb.d", "etc/udev/hwdb.d"],
        endings: &[".hwdb"],
        variable: "HWDB",
    },
    Kind {
        key: Some("modprobe"),
        folders: &["usr/lib/modprobe.d", "lib/modprobe.d", "etc/modprobe.d"],
        endings: &[".conf"],
        variable: "MODPROBE",
    },
    Kind {
        key: Some("modules-load"),
        folders: &["usr/lib/modules-load.d", "lib/modules-load.d", "etc/modules-load.d"],
        endings: &[".conf"],
        variable: "",
    },
    Kind {
        key: Some("depmod"),
        folders: &["usr/lib/depmod.d", "lib/depmod.d", "etc/depmod.d"],
        endings: &[".conf"],
        variable: "DEPMOD",
    },
    Kind {
        key: Some("systemd"),
        folders: &["usr/lib/systemd/system", "lib/systemd/system", "etc/systemd/system"],
        endings: &[".service", ".socket", ".timer", ".path", ".mount", ".target"],
        variable: "SYSTEMD",
    },
    Kind {
        key: Some("firmware"),
        folders: &["usr/lib/firmware", "lib/firmware"],
        endings: &[],
        variable: "",
    },
    Kind {
        key: Some("initramfs-tools"),
        folders: &["usr/share/initramfs-tools", "etc/initramfs-tools"],
        endings: &[],
        variable: "",
    },
    Kind {
        key: Some("dracut"),
        folders: &["usr/lib/dracut/modules.d", "usr/share/dracut/modules.d"],
        endings: &[],
        variable: "",
    },
    Kind {
        key: None,
        folders: &["usr/lib/dracut/dracut.conf.d", "etc/dracut.conf.d"],
        endings: &[],
        variable: "",
    },
    Kind { key: None, folders: &["usr/lib/tmpfiles.d", "etc/tmpfiles.d"], endings: &[], variable: "" },
    Kind { key: None, folders: &["usr/lib/sysusers.d", "etc/sysusers.d"], endings: &[], variable: "" },
    // programs that rules call
    Kind { key: None, folders: &["usr/lib/udev", "lib/udev"], endings: &[], variable: "" },
];

/// Files of debhelper: how they end, and what is made of `debian/NAME.ENDING`.
const DEBHELPER: [(&str, &str, &str, &str); 5] = [
    (".udev", "udev", "60-", ".rules"),
    (".modprobe", "modprobe", "", ".conf"),
    (".service", "systemd", "", ".service"),
    (".initramfs-hook", "initramfs-tools", "hooks/", ""),
    (".hwdb", "hwdb", "60-", ".hwdb"),
];

/// What the tree's own packaging, its install targets and its install scripts install beside modules; each file once, as the
/// first text says that does.
#[must_use]
pub fn companions(files: &Files<'_>) -> Vec<Companion> {
    let mut found = of_debhelper(files);
    // what a CI service installs for itself is no file of the package
    for text in texts(files).into_iter().filter(|text| text.kind != TextKind::Ci) {
        for copy in copies_of(files, &text) {
            found.extend(of_copy(files, text.path, &copy));
            if found.len() > COMPANIONS * 4 {
                break;
            }
        }
    }
    let mut kept: Vec<Companion> = Vec::new();
    for companion in found {
        let is_same = |other: &Companion| {
            other.key == companion.key && (other.name == companion.name || other.path == companion.path)
                || other.path == companion.path && other.key.is_none()
        };
        if kept.len() < COMPANIONS && !is_aside(&companion.path) && !kept.iter().any(is_same) {
            kept.push(companion);
        }
    }
    kept
}

/// `debian/NAME.udev` and the like.
fn of_debhelper(files: &Files<'_>) -> Vec<Companion> {
    let mut found = Vec::new();
    for (path, name) in files.paths.iter().filter_map(|path| Some((*path, path.strip_prefix("debian/")?))) {
        for (ending, key, before, after) in DEBHELPER {
            let package = match name.strip_suffix(ending) {
                // what other templates are named after is not clear
                Some(stem) if stem.contains(['/', '@']) => continue,
                Some(stem) => stem.rsplit('.').next().unwrap_or(stem).to_owned(),
                None if name == &ending[1..] => match field_of(&files.text("debian/control"), "Package") {
                    Some(package) => package,
                    None => continue,
                },
                None => continue,
            };
            found.push(Companion {
                key: Some(key),
                path: path.to_owned(),
                name: format!("{before}{package}{after}"),
                said_by: (path.to_owned(), 1),
            });
        }
    }
    found
}

fn of_copy(files: &Files<'_>, text: &str, copy: &Copy) -> Vec<Companion> {
    let mut found = Vec::new();
    let is_kind_itself = |to: &str| KINDS.iter().any(|kind| below_root(to, kind.folders) == Some(""));
    for source in &copy.sources {
        for (path, below) in sources(files, copy, source) {
            let own = path.rsplit('/').next().unwrap_or(&path);
            let to = copy.to.trim_end_matches('/');
            let is_folder = below.is_some();
            let into = copy.into || is_kind_itself(to) || !is_folder && looks_like_a_folder(to, own);
            let place = match below {
                // the folder itself, or what is in it
                Some(below) if into && !copy.contents => {
                    format!("{to}/{own_folder}/{below}", own_folder = last(source))
                }
                Some(below) => format!("{to}/{below}"),
                None if into => format!("{to}/{own}"),
                None => to.to_owned(),
            };
            found.extend(classified(&path, &place, to).map(|(key, name)| Companion {
                key,
                path,
                name,
                said_by: (text.to_owned(), copy.line),
            }));
            if found.len() > COMPANIONS {
                return found;
            }
        }
    }
    found
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a destination without a slash behind it is a folder: no ending, while the file has one.
fn looks_like_a_folder(to: &str, own: &str) -> bool {
    last(to) != own && !last(to).contains('.') && own.contains('.') && !last(to).contains(UNKNOWN)
}

/// The files that a word means, with their paths below the folder where it means one.
fn sources(files: &Files<'_>, copy: &Copy, source: &str) -> Vec<(String, Option<String>)> {
    if source.contains(['*', '?', '[']) {
        let hits = files.paths.iter().filter(|path| matches(source, path));
        return hits.take(COMPANIONS).map(|path| ((*path).to_owned(), None)).collect();
    }
    if files.has(source) {
        return vec![(source.to_owned(), None)];
    }
    // the whole tree is the driver, not what belongs to it
    if source.is_empty() || !copy.folders {
        return Vec::new();
    }
    let below = files.below(source).take(COMPANIONS);
    below.map(|path| (path.to_owned(), Some(path[source.len() + 1..].to_owned()))).collect()
}

/// The key and the name below the kind's folder, where both are sure.
fn classified(path: &str, place: &str, to: &str) -> Option<(Option<&'static str>, String)> {
    let fits = |kind: &Kind, name: &str| {
        kind.endings.is_empty() || kind.endings.iter().any(|ending| name.ends_with(ending))
    };
    let is_sure = |name: &str| !name.contains(UNKNOWN) && !name.chars().any(char::is_control);
    for kind in &KINDS {
        if let Some(name) = below_root(place, kind.folders) {
            let name =
                tree_path(name).filter(|name| !name.is_empty() && is_sure(name) && fits(kind, name))?;
            return Some((kind.key, name));
        }
    }
    // `$(UDEVDIR)` whose value nobody knows
    let variable = to.strip_prefix(UNKNOWN[0])?.strip_suffix(UNKNOWN[1])?.to_ascii_uppercase();
    let by_name =
        |kind: &&Kind| !kind.variable.is_empty() && variable.contains(kind.variable) && fits(kind, path);
    let kind = KINDS.iter().find(by_name)?;
    Some((kind.key, last(path).to_owned()))
}

impl Companion {
    /// Whether kpkg.toml takes it already, or another file of that name.
    #[must_use]
    pub fn is_taken(&self, files: &FilesConfig, root: &str) -> bool {
        let path = self.below(root).unwrap_or(&self.path);
        let lists = [
            &files.firmware,
            &files.udev,
            &files.hwdb,
            &files.modprobe,
            &files.modules_load,
            &files.depmod,
            &files.systemd,
            &files.initramfs_tools,
            &files.dracut,
        ];
        let named = |file: &FileConfig| {
            let own = file.path();
            let is_below =
                path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            is_below || file.name().unwrap_or_else(|| last(own)) == self.name
        };
        lists.into_iter().flatten().any(named)
    }

    /// The path below a root, which is a folder of the tree or empty; nothing where it lies elsewhere.
    #[must_use]
    pub fn below<'s>(&'s self, root: &str) -> Option<&'s str> {
        if root.is_empty() {
            return Some(&self.path);
        }
        self.path.strip_prefix(root)?.strip_prefix('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[(&str, &str)], others: &[&str]) -> Vec<String> {
        let mut paths: Vec<_> = texts.iter().map(|(path, _)| *path).chain(others.iter().copied()).collect();
        paths.sort_unstable();
        let read = |path: &str, limit: usize| {
            let text = texts.iter().find(|(name, _)| *name == path).map_or("", |(_, text)| text);
            Some(text.bytes().take(limit).collect())
        };
        let files = Files { paths, read: Box::new(read) };
        let line = |one: Companion| {
            format!(
                "{} {} {} {}:{}",
                one.key.unwrap_or("-"),
                one.path,
                one.name,
                one.said_by.0,
                one.said_by.1
            )
        };
        companions(&files).into_iter().map(line).collect()
    }

    #[test]
    fn install_targets_name_them() {
        let make = "UDEV_PREFIX ?= $(PREFIX)\nPREFIX ?= /usr\nRULES := 60-a.rules 70-b.rules\nUDEVDIR ?= $(shell pkg-config x)\n\
                    install:\n\tinstall -m 644 -v -D etc/99-toy.rules $(DESTDIR)$(UDEV_PREFIX)/lib/udev/rules.d/99-toy.rules\n\
                    \tinstall -D -m 0644 -t $(DESTDIR)$(ETC)/etc/udev/rules.d $(RULES:%=rules/%)\n\
                    \tcp modprobe.conf /etc/modprobe.d/toy.conf\n\tcp -r fw $(DESTDIR)/lib/firmware/acme\n\
                    \tcp fw/c.bin ${DESTDIR}/lib/firmware/\n\tinstall -m755 helper $(DESTDIR)/lib/udev/helper\n\
                    \tcp 80-c.rules $(UDEVDIR)\n\tcp toy.service $(X)/lib/systemd/system/$(NAME).service\n\
                    \tinstall dracut/module-setup.sh $(DESTDIR)/usr/lib/dracut/modules.d/90toy/\n\
                    \tcp 80-c.rules backup/etc/udev/rules.d/\n";
        let others = [
            "80-c.rules",
            "dracut/module-setup.sh",
            "etc/99-toy.rules",
            "fw/a.bin",
            "fw/c.bin",
            "fw/sub/b.bin",
            "helper",
            "modprobe.conf",
            "rules/60-a.rules",
            "rules/70-b.rules",
            "toy.service",
        ];
        assert_eq!(
            of(&[("Makefile", make)], &others),
            [
                "udev etc/99-toy.rules 99-toy.rules Makefile:6",
                "udev rules/60-a.rules 60-a.rules Makefile:7",
                "udev rules/70-b.rules 70-b.rules Makefile:7",
                "modprobe modprobe.conf toy.conf Makefile:8",
                "firmware fw/a.bin acme/a.bin Makefile:9",
                "firmware fw/c.bin acme/c.bin Makefile:9",
                "firmware fw/sub/b.bin acme/sub/b.bin Makefile:9",
                "- helper helper Makefile:11",
                "udev 80-c.rules 80-c.rules Makefile:12",
                "dracut dracut/module-setup.sh 90toy/module-setup.sh Makefile:14",
            ]
        );
    }

    #[test]
    fn packaging_names_them() {
        let others = [
            "40-toy.rules",
            "debian/toy-dkms.udev",
            "debian/toy-dkms.modprobe",
            "usr/share/initramfs-tools/hooks/toy",
            "usr/share/initramfs-tools/modules.d/toy.conf",
            "toy.rules",
            "toy.conf",
        ];
        assert_eq!(
            of(
                &[("debian/toy-dkms.install", "usr/share/initramfs-tools\n40-toy.rules lib/udev/rules.d\n")],
                &others
            ),
            [
                "modprobe debian/toy-dkms.modprobe toy-dkms.conf debian/toy-dkms.modprobe:1",
                "udev debian/toy-dkms.udev 60-toy-dkms.rules debian/toy-dkms.udev:1",
                "initramfs-tools usr/share/initramfs-tools/hooks/toy hooks/toy debian/toy-dkms.install:1",
                "initramfs-tools usr/share/initramfs-tools/modules.d/toy.conf modules.d/toy.conf debian/toy-dkms.install:1",
                "udev 40-toy.rules 40-toy.rules debian/toy-dkms.install:2",
            ]
        );
        let spec = "Name: toy\nSource1: https://example.org/toy.conf\n%install\n\
                    install -D -m 0644 toy.rules %{buildroot}%{_udevrulesdir}/60-%{name}.rules\n\
                    install -Dpm 0644 %{SOURCE1} %{buildroot}%{_modprobedir}/toy.conf\n%files\n";
        assert_eq!(
            of(&[("rpm/toy.spec", spec)], &["toy.rules", "rpm/toy.conf"]),
            ["udev toy.rules 60-toy.rules rpm/toy.spec:4", "modprobe rpm/toy.conf toy.conf rpm/toy.spec:5",]
        );
    }

    #[test]
    fn what_is_an_example_or_unsure_is_left_out() {
        let make = "install:\n\tcp examples/60-x.rules /etc/udev/rules.d/\n\tcp x.rules /etc/udev/rules.d/$(NAME)\n\
                    \tcp ../60-out.rules /etc/udev/rules.d/\n\tcp README /etc/udev/rules.d/\n\
                    \tcp x.rules '/etc/udev/rules.d/../../passwd'\n\tcp -r . /lib/firmware/\n";
        assert_eq!(of(&[("Makefile", make)], &["examples/60-x.rules", "x.rules", "README"]), [""; 0]);
        let android = "install:\n\tcp 60-x.rules /etc/udev/rules.d/\n";
        assert_eq!(of(&[("android/Makefile", android)], &["android/60-x.rules"]), [""; 0]);
    }
}
