//! Where a tree's own packaging puts the source of the driver: what lies where below `/usr/src/NAME-VERSION`.

use super::{Files, TextKind, below_root, copies_of, matches, texts};
use crate::driver::packaging::copies::{Copy, UNKNOWN};

/// How many are told.
const PLACED: usize = 1000;

/// A file or a folder of the tree, and where the tree's own packaging puts it below `/usr/src/NAME-VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The path in the tree, of something that is there; empty = the whole tree.
    pub from: String,
    /// Whether that is a folder, whose content lies below [`Self::to`].
    pub is_folder: bool,
    /// The path below `/usr/src/NAME-VERSION`, with the file's name; empty = the folder itself.
    pub to: String,
    /// The text that says so, and its line.
    pub said_by: (String, usize),
}

/// What `debian/*.install`, `debian/rules`, spec files, install targets, install scripts and CI steps say of the layout of the driver's
/// source in its package. Packaging comes before Makefiles, and those before scripts and CI; what `rsync` would leave out is not told.
///
/// * `src/* usr/src/drv-1.0/` gives `src` → the root,
/// * `cp dkms.conf.in $(DESTDIR)/usr/src/drv-$(VERSION)/dkms.conf` gives `dkms.conf.in` → `dkms.conf`,
/// * `dh_install drbd/* usr/src/drbd-9/src/drbd` gives `drbd` → `src/drbd`,
/// * `debian/drv.dkms`, which `dh_dkms` takes for the dkms.conf, gives itself → `dkms.conf`.
///
/// Lines whose source is not in the tree, or whose place below the folder is unknown, give nothing.
#[must_use]
pub fn layout(files: &Files<'_>) -> Vec<Placed> {
    let mut found: Vec<Placed> = Vec::new();
    for text in texts(files) {
        for copy in copies_of(files, &text) {
            for placed in placed(files, text.path, &copy) {
                if !found.iter().any(|other| (&other.from, &other.to) == (&placed.from, &placed.to)) {
                    found.push(placed);
                }
            }
            if found.len() >= PLACED {
                return found;
            }
        }
        if text.kind == TextKind::Rules {
            found.extend(confs_of_dh_dkms(files, text.path));
        }
    }
    found
}

/// `debian/X.dkms` is X's dkms.conf, where `dh_dkms` is called.
fn confs_of_dh_dkms(files: &Files<'_>, rules: &str) -> Vec<Placed> {
    let content = files.text(rules);
    let call = |line: &str| line.contains("dh_dkms") || line.contains("--with") && line.contains("dkms");
    let folder = rules.trim_end_matches("/rules");
    let control = files.text(&format!("{folder}/control"));
    let is_used = |line: &str| line.contains("dh-sequence-dkms") || line.contains("dh-dkms");
    let line = content.lines().position(call);
    if line.is_none() && !control.lines().any(is_used) {
        return Vec::new();
    }
    let confs = files.below(folder).filter(|path| {
        path.strip_prefix(folder).is_some_and(|name| name[1..].ends_with(".dkms") && !name[1..].contains('/'))
    });
    let said_by = (rules.to_owned(), line.map_or(1, |line| line + 1));
    confs
        .map(|conf| Placed {
            from: conf.to_owned(),
            is_folder: false,
            to: "dkms.conf".to_owned(),
            said_by: said_by.clone(),
        })
        .collect()
}

fn placed(files: &Files<'_>, text: &str, copy: &Copy) -> Vec<Placed> {
    let Some(below) = below_root(&copy.to, &["usr/src"]) else { return Vec::new() };
    let (package, below) = below.split_once('/').unwrap_or((below, ""));
    let below = below.trim_matches('/');
    let is_kernels = ["linux", "kernels", "debug"].iter().any(|name| package.starts_with(name));
    if is_kernels || below.contains(UNKNOWN) || below.split('/').any(|part| part == "..") {
        return Vec::new();
    }
    let said_by = (text.to_owned(), copy.line);
    let make = |from: &str, is_folder: bool, to: String| Placed {
        from: from.to_owned(),
        is_folder,
        to,
        said_by: said_by.clone(),
    };
    let join = |name: &str| if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
    let mut found = Vec::new();
    for source in &copy.sources {
        let name = source.rsplit('/').next().unwrap_or(source);
        // `X/*` is what is in X
        let all_of = source.strip_suffix("/*").or((source == "*").then_some(""));
        let is_folder = copy.folders && files.has_folder(source);
        if let Some(folder) =
            all_of.filter(|folder| files.has_folder(folder) && !folder.contains(['*', '?', '[']))
        {
            if !package.is_empty() {
                found.push(make(folder, true, below.to_owned()));
            }
        } else if source.contains(['*', '?', '[']) {
            let hits = files.paths.iter().filter(|path| !package.is_empty() && matches(source, path));
            found.extend(
                hits.take(PLACED)
                    .map(|path| make(path, false, join(path.rsplit('/').next().unwrap_or(path)))),
            );
        } else if files.has(source) {
            // `/usr/src/drv-1.0` without a slash is the folder: no file lies beside the drivers' folders
            let is_name = !copy.into && !below.is_empty();
            if !package.is_empty() {
                found.push(make(source, false, if is_name { below.to_owned() } else { join(name) }));
            }
        } else if is_folder {
            let to =
                if package.is_empty() || copy.contents || !copy.into { below.to_owned() } else { join(name) };
            found.push(make(source, true, to));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[(&str, &str)], others: &[&str]) -> Vec<(String, String)> {
        let mut paths: Vec<_> = texts.iter().map(|(path, _)| *path).chain(others.iter().copied()).collect();
        paths.sort_unstable();
        let read = |path: &str, limit: usize| {
            let text = texts.iter().find(|(name, _)| *name == path).map_or("", |(_, text)| text);
            Some(text.bytes().take(limit).collect())
        };
        let files = Files { paths, read: Box::new(read) };
        layout(&files).into_iter().map(|placed| (placed.from, placed.to)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
    }

    const TREE: [&str; 6] = ["dkms.conf", "dkms.conf.in", "src/Makefile", "src/a.c", "src/b/b.c", "conf/x.h"];

    #[test]
    fn debhelper_lists_say_it() {
        let list = "# the source\nsrc/* usr/src/drv-1.0/\ndkms.conf usr/src/drv-1.0\nconf/*.h usr/src/drv-#VERSION#/conf\n\
                    debian/tmp/usr/bin/x usr/bin\nmissing usr/src/drv-1.0\ndkms.conf usr/src/drv-${X}/${Y}\n";
        assert_eq!(
            of(&[("debian/drv-dkms.install", list)], &TREE),
            pairs(&[("src", ""), ("dkms.conf", "dkms.conf"), ("conf/x.h", "conf/x.h")])
        );
        let exec = "#!/usr/bin/dh-exec\ndkms.conf.in => /usr/src/drv-1.0/dkms.conf\n";
        assert_eq!(of(&[("debian/install", exec)], &TREE), pairs(&[("dkms.conf.in", "dkms.conf")]));
    }

    #[test]
    fn rules_say_it() {
        let rules = "NAME = drv\nDEST := debian/$(NAME)-dkms/usr/src/$(NAME)-$(VER)\n\
                     override_dh_install:\n\tdh_install -pdrv-dkms src/* usr/src/drv-$(VER)/src/drv -X.orig\n\
                     \tfor f in dkms.conf conf; do cp -r $$f $(DEST)/; done\n\
                     \tsed -e 's/@V@/1/' dkms.conf.in > $(DEST)/dkms.conf\n\tdh $@ --with dkms\n";
        assert_eq!(
            of(&[("debian/rules", rules), ("debian/drv-dkms.dkms", "")], &TREE),
            pairs(&[
                ("src", "src/drv"),
                ("dkms.conf", "dkms.conf"),
                ("conf", "conf"),
                ("dkms.conf.in", "dkms.conf"),
                ("debian/drv-dkms.dkms", "dkms.conf"),
            ])
        );
    }

    #[test]
    fn a_spec_says_it() {
        let spec = "%global mod drv\nName: drv-dkms\nVersion: 1.0\n%prep\ncp src/* /usr/src/x-1/\n%install\n\
                    install -d %{buildroot}%{_usrsrc}/%{mod}-%{version}\n\
                    cp -a src/* %{buildroot}/usr/src/%{mod}-%{version}/\n\
                    rsync -a --exclude .git conf/ $RPM_BUILD_ROOT%{_usrsrc}/%{mod}-%{version}\n\
                    %{__install} -D -m 0644 dkms.conf %{buildroot}%{_usrsrc}/%{mod}-%{version}/dkms.conf\n%files\n";
        assert_eq!(
            of(&[("drv.spec", spec)], &TREE),
            pairs(&[("src", ""), ("conf", ""), ("dkms.conf", "dkms.conf")])
        );
    }

    #[test]
    fn makefiles_and_scripts_say_it() {
        let make = "DKMS_DEST = $(DESTDIR)/usr/src/drv-$(VERSION)\nFILES := dkms.conf \\\n  src/Makefile\n\
                    dkms:\n\t@mkdir -p $(DKMS_DEST)/src\n\tfor f in $(FILES); do cp $$f $(DKMS_DEST); done\n\
                    \t$(INSTALL_DATA) src/a.c $(DKMS_DEST)/src\n\tcd src && cp -r b $(DKMS_DEST)/src\n\
                    \tcp src/a.c $(UNKNOWN)/x\n\tcp -r src /usr/src/linux-headers-1/x\n";
        assert_eq!(
            of(&[("Makefile", make)], &TREE),
            pairs(&[
                ("dkms.conf", "dkms.conf"),
                ("src/Makefile", "Makefile"),
                ("src/a.c", "src/a.c"),
                ("src/b", "src/b"),
            ])
        );
        let script = "set -e\nVERSION=1.0\ncd \"$(dirname \"$0\")\"\nsudo cp -r \"$PWD/src\" \"/usr/src/drv-${VERSION}\"\n";
        assert_eq!(of(&[("install.sh", script)], &TREE), pairs(&[("src", "")]));
        let whole = "mkdir -p /usr/src/drv-1\ncp -R . /usr/src/drv-1\n";
        assert_eq!(of(&[("dkms-install.sh", whole)], &TREE), pairs(&[("", "")]));
        let made = "mkdir -p /usr/src/drv-1\ncp -R src /usr/src/drv-1\n";
        assert_eq!(of(&[("dkms-install.sh", made)], &TREE), pairs(&[("src", "src")]));
    }

    #[test]
    fn what_nobody_can_know_says_nothing() {
        let script = "cp $(ls) /usr/src/drv-1/\ncp ../../etc/passwd /usr/src/drv-1/\ncp /etc/passwd /usr/src/drv-1/\n\
                      A=$A$A\ncp $A /usr/src/drv-1/\ncp src/a.c /usr/src/drv-1/../../etc/\ncp -r \"$X\" /usr/src\n$(((\n\
                      cp 'src/a.c /usr/src/drv-1\n";
        assert!(of(&[("install.sh", script)], &TREE).is_empty());
        assert!(
            of(&[("examples/install.sh", "cp dkms.conf /usr/src/x-1/\n")], &["examples/dkms.conf"])
                .is_empty()
        );
    }
}
