//! Mirrors of kernels in folders, made of stand-ins: what a list says and what the packages are is up to the test.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use tar::EntryType;

use super::Tree;
use super::deb;
use super::kernel::{CONF, SOURCE, module};

/// A package for a suite.
#[derive(Clone)]
pub struct Deb {
    pub name: String,
    pub version: String,
    pub arch: &'static str,
    pub depends: String,
    pub bytes: Vec<u8>,
}

impl Deb {
    pub fn new(
        name: &str,
        version: &str,
        arch: &'static str,
        depends: &str,
        members: &[(String, EntryType, String)],
    ) -> Self {
        let depends_line = if depends.is_empty() { String::new() } else { format!("Depends: {depends}\n") };
        let fields = format!("Package: {name}\nVersion: {version}\nArchitecture: {arch}\n{depends_line}");
        let bytes = deb::with_control(&fields, members);
        Self { name: name.to_owned(), version: version.to_owned(), arch, depends: depends.to_owned(), bytes }
    }

    fn path(&self) -> String {
        // as pool names are: without the epoch
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, version)| version);
        format!("pool/{}_{version}_{}.deb", self.name, self.arch)
    }
}

/// The headers of a kernel and what they need, as Debian has them: the kernel's own, those of all flavours, and the tools. Their `make`
/// copies the module `toy-RELEASE.bin`.
pub fn headers(release: &str, version: &str) -> Vec<Deb> {
    let common = format!("linux-headers-{}-common", release.split('-').take(2).collect::<Vec<_>>().join("-"));
    let root = format!("./usr/src/linux-headers-{release}");
    let file = |path: &str, text: &str| (format!("{root}/{path}"), EntryType::Regular, text.to_owned());
    let members = [
        file("include/generated/utsrelease.h", &format!("#define UTS_RELEASE \"{release}\"\n")),
        file(
            "include/config/auto.conf",
            "CONFIG_X86_64=y\nCONFIG_CC_VERSION_TEXT=\"gcc (GCC) 99.1.0\"\nCONFIG_CC_IS_GCC=y\n",
        ),
        file("Module.symvers", "0x00000010\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n"),
        file("Makefile", &format!("all:\n\tcp $(M)/toy-{release}.bin $(M)/toy.ko\n")),
        file("scripts/Makefile.build", ""),
        file("scripts/mod/modpost", ""),
        file("scripts/basic/fixdep", ""),
        (
            format!("./lib/modules/{release}/build"),
            EntryType::Symlink,
            format!("/usr/src/linux-headers-{release}"),
        ),
    ];
    let depends = format!(
        "{common} (= {version}), linux-kbuild-6.1 (>= 6.1), linux-image-{release} | linux-image-{release}-unsigned"
    );
    let other = |name: &str| [(format!("./usr/src/{name}/README"), EntryType::Regular, version.to_owned())];
    vec![
        Deb::new(&format!("linux-headers-{release}"), version, "amd64", &depends, &members),
        Deb::new(&common, version, "all", "", &other(&common)),
        Deb::new("linux-kbuild-6.1", version, "amd64", "libc6", &other("linux-kbuild-6.1")),
    ]
}

/// The text of a suite's list of lists around one component's list.
pub fn release(suite: &str, packages: &[u8], more: &str) -> String {
    let digest = format!("{:x}", Sha256::digest(packages));
    let size = packages.len();
    format!(
        "Origin: Test\nSuite: {suite}\nDate: Sat, 28 Nov 2026 08:12:13 UTC\n{more}SHA256:\n {digest} {size} main/binary-amd64/Packages\n"
    )
}

pub fn packages(debs: &[Deb]) -> String {
    let stanza = |deb: &Deb| {
        format!(
            "Package: {}\nVersion: {}\nArchitecture: {}\nDepends: {}\nFilename: {}\nSize: {}\nSHA256: {:x}\nDescription: x\n more\n\n",
            deb.name,
            deb.version,
            deb.arch,
            deb.depends,
            deb.path(),
            deb.bytes.len(),
            Sha256::digest(&deb.bytes)
        )
    };
    debs.iter().map(stanza).collect()
}

/// Writes a suite of an archive with one component, unsigned.
pub fn suite(archive: &Path, suite: &str, debs: &[Deb]) {
    let text = packages(debs);
    let folder = archive.join("dists").join(suite);
    fs::create_dir_all(folder.join("main/binary-amd64")).unwrap();
    fs::write(folder.join("main/binary-amd64/Packages"), &text).unwrap();
    fs::write(folder.join("InRelease"), release(suite, text.as_bytes(), "")).unwrap();
    fs::create_dir_all(archive.join("pool")).unwrap();
    for deb in debs {
        fs::write(archive.join(deb.path()), &deb.bytes).unwrap();
    }
}

/// What Debian 12 has, in the folder `mirror` of a tree: these kernels, in its main suite.
pub fn debian(tree: &Tree, kernels: &[(&str, &str)]) {
    let debs: Vec<_> = kernels.iter().flat_map(|(release, version)| headers(release, version)).collect();
    let mut unique: Vec<Deb> = Vec::new();
    for deb in debs {
        if !unique.iter().any(|other| (&other.name, &other.version) == (&deb.name, &deb.version)) {
            unique.push(deb);
        }
    }
    suite(&tree.path().join("mirror/debian"), "bookworm", &unique);
    for (archive, name) in [("debian", "bookworm-updates"), ("debian-security", "bookworm-security")] {
        suite(&tree.path().join("mirror").join(archive), name, &[]);
    }
}

/// A driver with a module for each of these kernels, and a kpkg.toml that names the mirror, in the tree itself.
pub fn driver(tree: &Tree, releases: &[&str]) {
    tree.file("dkms.conf", CONF).file("Makefile", "obj-m := toy.o\n").file("toy.c", SOURCE);
    for release in releases {
        tree.file(&format!("toy-{release}.bin"), module(release, &[("printk", Some(16))]));
    }
    tree.file(
        "kpkg.toml",
        "kernels = [\"debian-12\"]\n[mirrors]\ndebian-12 = { url = \"file:mirror\", unsigned = true }\n[source]\n\
         exclude = [\"/mirror/\", \"/cache/\"]\n",
    );
}
