//! Kernel headers that are not installed: package files, unpacked into a cache under their digest.
//!
//! Unpacks what a build looks at and nothing else, checks every file against the package's own checksums, and installs nothing.
//! Which packages make a kernel is for [`crate::kernel`] to say.

mod manifest;

use std::collections::BTreeMap;
use std::fs::{self};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::beneath::{self, Folder};
use crate::base::error::{Error, Result};
use crate::base::temporary::TemporaryFolder;
use crate::format::{self, Contents, ReadPackage};
use crate::output::Stop;

/// The most bytes that one package may unpack to.
const LARGEST: u64 = 4 << 30;
/// How much is read at a time.
const CHUNK: usize = 128 * 1024;
/// The description of an unpacked package, beside its files.
const DESCRIPTION: &str = "package.json";
/// The folder of its files.
const ROOT: &str = "root";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderPackage {
    pub name: String,
    /// Its version, as its format spells it.
    pub version: String,
    /// The machines it is for, as its format names them.
    pub arch: String,
    /// The names of the packages it needs.
    pub requires: Vec<String>,
    /// The kernels whose build folder it has: release to path, without the leading slash.
    pub kernels: BTreeMap<String, String>,
    /// The SHA-256 digest of the package file, in hexadecimal digits.
    pub digest: String,
    /// Bytes of its files.
    pub size: u64,
    /// Where its files are, below which paths are as on a machine where it is installed. `/lib` is `/usr/lib`.
    #[serde(skip)]
    pub root: PathBuf,
}

/// The unpacked packages of a user.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in a folder, which need not be there yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Unpacks a package file, unless that was done before.
    pub fn add(&self, path: &Path, stop: &Stop) -> Result<HeaderPackage> {
        let digest = digest(path, stop)?;
        let place = self.folder.join(&digest);
        if let Some(package) = read(&place) {
            return Ok(package);
        }
        let cannot_write = |error| Error::io("cannot write to the cache", &self.folder, error);
        fs::create_dir_all(&self.folder).map_err(cannot_write)?;
        let staging = TemporaryFolder::new(&self.folder).map_err(cannot_write)?;
        let mut package = unpack(path, staging.path(), digest, stop)?;
        manifest::record(staging.path(), &package.root, stop).map_err(cannot_write)?;
        let text = serde_json::to_string_pretty(&package).unwrap_or_default();
        fs::write(staging.path().join(DESCRIPTION), text).map_err(cannot_write)?;
        fs::set_permissions(staging.path(), fs::Permissions::from_mode(0o755)).map_err(cannot_write)?;
        match fs::rename(staging.path(), &place) {
            Ok(()) => {}
            // somebody else was faster, with the same bytes
            Err(_) if read(&place).is_some() => {}
            Err(error) => return Err(cannot_write(error)),
        }
        package.root = place.join(ROOT);
        Ok(package)
    }

    /// The package of a digest, where it is kept.
    #[must_use]
    pub fn get(&self, digest: &str) -> Option<HeaderPackage> {
        read(&self.folder.join(digest))
    }

    /// All packages, by name and version.
    pub fn list(&self) -> Result<Vec<HeaderPackage>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("cannot read the cache", &self.folder, error)),
        };
        let mut found: Vec<_> = entries.flatten().filter_map(|entry| read(&entry.path())).collect();
        found.sort_by(|one, other| {
            (&one.name, &one.version, &one.digest).cmp(&(&other.name, &other.version, &other.digest))
        });
        Ok(found)
    }

    pub fn remove(&self, package: &HeaderPackage) -> Result<()> {
        let place = self.folder.join(&package.digest);
        // under another name first, so that nobody finds half of it
        let gone = self.folder.join(format!(".old-{}", package.digest));
        let removed = fs::rename(&place, &gone).and_then(|()| beneath::remove(&gone));
        removed.map_err(|error| Error::io("cannot remove from the cache", place, error))
    }
}

impl HeaderPackage {
    /// That its files are those that were unpacked.
    pub fn check(&self, stop: &Stop) -> Result<()> {
        let place = self.root.parent().unwrap_or(&self.root);
        let (what, at) = match manifest::difference(place, &self.root, stop) {
            Ok(None) => return Ok(()),
            Ok(Some(path)) => ("are not what they were:", self.root.join(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                ("have no list of what they are:", place.to_owned())
            }
            Err(error) => return Err(Error::io("cannot read the unpacked headers", &self.root, error)),
        };
        stop.check()?;
        let again = format!("delete them and add the package again: `kpkg kernels prune {}`", self.name);
        let text = format!("the unpacked headers of `{} {}` {what}", self.name, self.version);
        Err(Error::failed(text).at(at).hint(again))
    }
}

/// The package that was unpacked to a folder; nothing where there is none, or half of one.
fn read(place: &Path) -> Option<HeaderPackage> {
    let text = fs::read_to_string(place.join(DESCRIPTION)).ok()?;
    let package: HeaderPackage = serde_json::from_str(&text).ok()?;
    (place.file_name()? == package.digest.as_str())
        .then(|| HeaderPackage { root: place.join(ROOT), ..package })
}

/// The SHA-256 digest of a file.
fn digest(path: &Path, stop: &Stop) -> Result<String> {
    let unreadable = |error| Error::io("cannot read the package", path, error).as_usage();
    let mut file = beneath::open_regular(path).map_err(unreadable)?;
    let (mut sha256, mut buffer) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        stop.check()?;
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => return Ok(format!("{:x}", sha256.finalize())),
            count => sha256.update(&buffer[..count]),
        }
    }
}

/// Unpacks the files of a package file to `ROOT` in a folder.
fn unpack(path: &Path, folder: &Path, digest: String, stop: &Stop) -> Result<HeaderPackage> {
    let root = folder.join(ROOT);
    let failed = |error| Error::io("cannot unpack", path, error);
    fs::create_dir(&root).map_err(failed)?;
    let inside = Folder::open(&root).map_err(failed)?;
    let mut files = Files { root: &inside, sums: BTreeMap::new(), size: 0, stop };
    let found = format::open(path, &mut files)?;
    stop.check()?;
    let hint = "give .deb or .rpm files of kernel headers, such as `linux-headers-…` or `kernel-devel-…`";
    let Some(found) = found else {
        return Err(Error::usage("is no .deb and no .rpm:").at(path).hint(hint));
    };
    check_sums(&found, &files.sums, path)?;
    let (size, modes) = (files.size, finish(&inside, &found));
    modes.map_err(failed)?;
    let kernels = kernels(&root, &found);
    let links = found.files.iter().filter(|file| is_wanted(&file.path)).count();
    if files.sums.is_empty() && links == 0 {
        return Err(Error::usage("has no kernel headers:").at(path).hint(hint));
    }
    Ok(HeaderPackage {
        name: found.name,
        version: found.version,
        arch: found.arch,
        requires: found.requires,
        kernels,
        digest,
        size,
        root,
    })
}

/// What a build may look at.
fn is_wanted(path: &str) -> bool {
    ["/usr/src/", "/usr/lib/", "/lib/"].iter().any(|folder| path.starts_with(folder))
}

/// Where a path of a package lies below a root. `/lib` is `/usr/lib`, as every current distribution has it.
fn inside(path: &str) -> PathBuf {
    if path.starts_with("/lib/") {
        PathBuf::from(format!("usr{path}"))
    } else {
        PathBuf::from(path.trim_start_matches('/'))
    }
}

/// Writes files while a package is read.
struct Files<'a> {
    root: &'a Folder,
    /// MD5 and SHA-256 of each file, by path.
    sums: BTreeMap<String, (String, String)>,
    size: u64,
    stop: &'a Stop,
}

impl Contents for Files<'_> {
    fn wants(&self, path: &str) -> bool {
        is_wanted(path)
    }

    fn take(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()> {
        let mut file = self.root.create(&inside(path), false)?;
        let (mut md5, mut sha256, mut buffer) = (Md5::new(), Sha256::new(), vec![0; CHUNK]);
        loop {
            if self.stop.is_set() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let count = content.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            self.size += count as u64;
            if self.size > LARGEST {
                let text = format!("it unpacks to more than {} MiB", LARGEST >> 20);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            md5.update(&buffer[..count]);
            sha256.update(&buffer[..count]);
            file.write_all(&buffer[..count])?;
        }
        self.sums
            .insert(path.to_owned(), (format!("{:x}", md5.finalize()), format!("{:x}", sha256.finalize())));
        Ok(())
    }

    fn same(&mut self, path: &str, as_path: &str) -> io::Result<()> {
        self.root.name_again(&inside(as_path), &inside(path))?;
        if let Some(sums) = self.sums.get(as_path).cloned() {
            self.sums.insert(path.to_owned(), sums);
        }
        Ok(())
    }
}

/// Every file has the content that the package says, as far as it says it, and none is missing.
fn check_sums(found: &ReadPackage, sums: &BTreeMap<String, (String, String)>, path: &Path) -> Result<()> {
    for file in found.files.iter().filter(|file| is_wanted(&file.path)) {
        let Some(stated) = file.checksum.as_deref().filter(|stated| !stated.is_empty()) else { continue };
        let is_same = sums.get(&file.path).is_some_and(|(md5, sha256)| match stated.len() {
            32 => stated.eq_ignore_ascii_case(md5),
            64 => stated.eq_ignore_ascii_case(sha256),
            _ => true,
        });
        if !is_same {
            let text = format!(
                "the package is damaged: `{}` has not the checksum that the package states;",
                file.path
            );
            return Err(Error::usage(text).at(path).hint("fetch the file again"));
        }
    }
    Ok(())
}

/// Makes links, and programs executable.
fn finish(root: &Folder, found: &ReadPackage) -> io::Result<()> {
    for file in found.files.iter().filter(|file| is_wanted(&file.path)) {
        let place = inside(&file.path);
        if let Some(target) = file.target() {
            root.link(target.as_ref(), &place)?;
        } else if file.is_folder() {
            root.make(&place)?;
        } else if file.mode & 0o111 != 0
            && let Some(program) = root.file(&place)?
        {
            program.set_permissions(fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// The kernels whose build folder a package has: by the link in `/lib/modules`, or by what the folder says of itself.
fn kernels(root: &Path, found: &ReadPackage) -> BTreeMap<String, String> {
    let mut kernels = BTreeMap::new();
    for file in &found.files {
        let path = file.path.trim_start_matches("/usr").trim_start_matches('/');
        let linked = path.strip_prefix("lib/modules/").and_then(|rest| rest.strip_suffix("/build"));
        if let (Some(release), Some(_)) = (linked.filter(|release| !release.contains('/')), file.target()) {
            kernels.insert(release.to_owned(), format!("usr/lib/modules/{release}/build"));
        }
    }
    if !kernels.is_empty() {
        return kernels;
    }
    for file in &found.files {
        let Some(folder) = file.path.strip_suffix("/include/generated/utsrelease.h") else { continue };
        let release = crate::kernel::machine::Headers::open(&root.join(inside(folder)))
            .ok()
            .and_then(|headers| headers.release());
        if let Some(release) = release {
            kernels.insert(release, folder.trim_start_matches('/').to_owned());
        }
    }
    kernels
}
