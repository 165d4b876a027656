//! Which kernels finished modules serve: what `kpkg check --against` answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::archive;
use crate::base::beneath::open_regular;
use crate::base::error::{Error, Result};
use crate::base::key::Key;
use crate::base::temporary;
use crate::build::{self, Prebuilt};
use crate::dkms::compare_versions;
use crate::inspect::inspect;
use crate::kernel::abi::{Abi, Build, Judgement, Names};
use crate::kernel::ko::KernelModule;
use crate::kernel::machine::{Headers, checked_release};
use crate::kernel::{self, Kernel};
use crate::output::Stop;

/// The name of a list of symbols, but for what stands around it: `Module.symvers`, `symvers-5.14.0.gz`, `symvers.xz`.
const SYMVERS: &str = "symvers";
/// The most that is read of one: a million rows.
const LARGEST: u64 = 256 << 20;

/// A finished file, and what each kernel makes of its modules.
#[derive(Debug)]
pub struct Served {
    pub file: PathBuf,
    /// The kernels that its modules were built for.
    pub built_for: Vec<String>,
    /// The kernels in their order, each with what it makes of the modules.
    pub kernels: Vec<(String, Judgement)>,
    /// The versions of the packages of these, where they are known.
    pub versions: BTreeMap<String, String>,
}

/// The symbols that lists of stable ones name, such as `kabi_stablelist_x86_64`: a line in brackets, then a name on each.
pub fn stable(lists: &[PathBuf]) -> Result<Option<BTreeSet<String>>> {
    let mut symbols = BTreeSet::new();
    for path in lists {
        let text = open_regular(path).and_then(|file| {
            let mut text = String::new();
            file.take(LARGEST).read_to_string(&mut text).map(|_| text)
        });
        let text = text
            .map_err(|error| Error::io("cannot read the list of stable symbols", path, error).as_usage())?;
        let names = text.lines().map(str::trim).filter(|line| !line.starts_with(['[', '#']));
        symbols.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    Ok((!lists.is_empty()).then_some(symbols))
}

/// Judges the modules of files by kernels: releases whose headers are at hand, packages or folders of headers, lists of symbols, and folders
/// that hold any of these.
pub fn against(
    files: &[PathBuf],
    kernels: &[String],
    across_minors: bool,
    at_hand: &Prebuilt,
    stop: &Stop,
) -> Result<Vec<Served>> {
    let mut found = Vec::new();
    for file in files {
        if file.is_dir() {
            return Err(Error::usage("is a folder, of which no module is built yet:")
                .at(file)
                .hint("give finished modules or packages; `--prebuilt` makes some, and `check --build` builds a source"));
        }
        let read = inspect(file)?.filter(|read| !read.modules.is_empty());
        let read = read.ok_or_else(|| {
            Error::usage("holds no kernel module:").at(file).hint("give modules, or packages that carry some")
        })?;
        found.push((file, read.modules));
    }
    let names = Names::of(found.iter().flat_map(|(_, modules)| modules).map(|(_, module)| module));
    let kernels = read_kernels(kernels, &names, at_hand, stop)?;
    let judged = |(file, modules): (&PathBuf, Vec<(String, KernelModule)>)| {
        // a package for several kernels has each module several times
        let mut builds: BTreeMap<&str, Vec<&KernelModule>> = BTreeMap::new();
        for (_, module) in &modules {
            builds.entry(module.kernel().unwrap_or_default()).or_default().push(module);
        }
        let built_for = builds.keys().map(|release| (*release).to_owned()).collect();
        let builds: Vec<_> = builds.into_values().map(|modules| Build::new(modules, &names)).collect();
        let best = |kernel: &Abi| {
            let all = builds.iter().map(|build| kernel.judge(build, across_minors));
            all.min_by_key(|judgement| judgement.obstacles.len()).unwrap_or_default()
        };
        Served {
            file: file.clone(),
            built_for,
            kernels: kernels.iter().map(|kernel| (kernel.name.clone(), best(kernel))).collect(),
            versions: kernels
                .iter()
                .filter_map(|kernel| Some((kernel.name.clone(), kernel.version.clone()?)))
                .collect(),
        }
    };
    Ok(found.into_iter().map(judged).collect())
}

/// The kernels that are named, oldest first and each once.
fn read_kernels(named: &[String], names: &Names, at_hand: &Prebuilt, stop: &Stop) -> Result<Vec<Abi>> {
    let mut found: Vec<Abi> = Vec::new();
    for name in named {
        let path = Path::new(name);
        let kernels = if path.exists() {
            of_path(path, names, at_hand, stop)?
        } else if name.contains('/') {
            return Err(Error::usage("there are no headers and no list of symbols:").at(path));
        } else {
            of_headers(&[], std::slice::from_ref(name), names, at_hand, stop)?
        };
        for kernel in kernels {
            // the same one may be named twice, by its headers and its list; two of one release are not the same
            let is_same = |other: &&mut Abi| other.release.is_some() && other.release == kernel.release;
            let Some(other) = found.iter_mut().find(is_same) else {
                found.push(kernel);
                continue;
            };
            let name = kernel.name.clone();
            if !other.learn(kernel) {
                let text = format!("two kernels of the release `{name}` are named, which differ:");
                return Err(Error::usage(text).at(path).hint("name one of them"));
            }
        }
    }
    found.sort_by(|one, other| {
        compare_versions(&one.name, &other.name).then_with(|| one.name.cmp(&other.name))
    });
    Ok(found)
}

/// The kernels of a path.
fn of_path(path: &Path, names: &Names, at_hand: &Prebuilt, stop: &Stop) -> Result<Vec<Abi>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if path.is_file() && !name.ends_with(".deb") && !name.ends_with(".rpm") {
        return of_list(path, names, at_hand).map(|kernel| vec![kernel]);
    }
    if path.join("Makefile").is_file() || path.join("Module.symvers").is_file() {
        return of_folder(path, names, at_hand).map(|kernel| vec![kernel]);
    }
    let is_headers = path.is_file() || path.join("usr/src").is_dir();
    let unreadable = |error| Error::io("cannot read", path, error).as_usage();
    let mut inside: Vec<PathBuf> = Vec::new();
    if !is_headers {
        inside = fs::read_dir(path).map_err(unreadable)?.flatten().map(|entry| entry.path()).collect();
        inside.sort();
    }
    let ends = |path: &PathBuf, ends: &[&str]| ends.iter().any(|end| path.to_string_lossy().ends_with(end));
    if is_headers || inside.iter().any(|path| ends(path, &[".deb", ".rpm"])) {
        return of_headers(&[path.to_owned()], &[], names, at_hand, stop);
    }
    let mut found = Vec::new();
    for path in inside {
        stop.check()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            // `/lib/modules`, or a folder of folders of headers
            let listed = fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path());
            let mut lists: Vec<_> = listed.filter(|path| path.is_file() && is_list(path)).collect();
            lists.sort();
            if path.join("Makefile").is_file() {
                found.push(of_folder(&path, names, at_hand)?);
            } else if let Some(list) = lists.first() {
                found.push(of_list(list, names, at_hand)?);
            }
        } else if is_list(Path::new(&name)) {
            found.push(of_list(&path, names, at_hand)?);
        }
    }
    if found.is_empty() {
        return Err(Error::usage("holds no kernel to judge by:").at(path).hint(
            "give folders or packages of headers, or lists of symbols: `Module.symvers`, `symvers-RELEASE.gz`, `RELEASE/symvers.xz`",
        ));
    }
    Ok(found)
}

fn is_list(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().contains(SYMVERS))
}

/// A list of symbols by itself; of which kernel it is, its name or its folder may say.
fn of_list(path: &Path, names: &Names, at_hand: &Prebuilt) -> Result<Abi> {
    let abi = symbols(path, names, &at_hand.cache)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bare = [".gz", ".xz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    let of_name = bare.split_once("symvers-").map(|(_, release)| release.to_owned());
    let of_folder = || path.parent()?.file_name()?.to_str().map(str::to_owned);
    let is_release = |text: &String| {
        text.starts_with(|first: char| first.is_ascii_digit()) && checked_release(text).is_ok()
    };
    let release = of_name.or_else(of_folder).filter(is_release);
    Ok(abi.of(release.clone().unwrap_or_else(|| path.display().to_string()), release, None, None))
}

/// The symbols of a list, plain or compressed; one that was read before is read from what is kept of it, as long as it is the same file.
fn symbols(path: &Path, names: &Names, cache: &Path) -> Result<Abi> {
    let unreadable = |error| Error::io("cannot read the list of symbols", path, error).as_usage();
    let file = open_regular(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mut key = Key::default();
    key.add(fs::canonicalize(path).map_err(unreadable)?.to_string_lossy().as_ref());
    for number in [metadata.dev(), metadata.ino(), metadata.size()] {
        key.add(&number.to_string());
    }
    key.add(&format!("{}.{}", metadata.mtime(), metadata.mtime_nsec()));
    let kept = cache.join("symbols").join(key.finish());
    if let Some(found) = fs::read(&kept).ok().and_then(|bytes| Abi::read_index(&bytes, names)) {
        return Ok(found);
    }
    let mut text = Vec::new();
    let read = archive::decompressed(file).and_then(|reader| reader.take(LARGEST + 1).read_to_end(&mut text));
    read.map_err(unreadable)?;
    if text.len() as u64 > LARGEST {
        return Err(Error::usage(format!("is larger than {} MiB:", LARGEST >> 20)).at(path));
    }
    let said = |(line, why): (usize, String)| {
        Error::usage(format!("line {line} of the list of symbols: {why}:"))
            .at(path)
            .hint("it is the Module.symvers that the kernel's build wrote, plain or compressed")
    };
    let Some(index) = Abi::index(&text).map_err(said)? else { return Abi::read(&text, names).map_err(said) };
    // without a cache it is read again the next time
    let _kept = fs::create_dir_all(cache.join("symbols")).and_then(|()| temporary::place(&kept, &index));
    Ok(Abi::read_index(&index, names).unwrap_or_default())
}

/// The kernel of a folder of headers; it need not be whole, as nothing is built.
fn of_folder(path: &Path, names: &Names, at_hand: &Prebuilt) -> Result<Abi> {
    let headers = Headers::open(path)?;
    let (arch, magic) = kernel::stated(&headers);
    let name = headers.release().unwrap_or_else(|| path.display().to_string());
    let abi = symbols_of(&headers, &name, names, &at_hand.cache)?;
    Ok(abi.of(name, headers.release(), arch, magic))
}

/// The symbols that lie with headers.
fn symbols_of(headers: &Headers, name: &str, names: &Names, cache: &Path) -> Result<Abi> {
    let path = headers.folder().join("Module.symvers");
    if path.is_file() {
        return symbols(&path, names, cache);
    }
    Err(Error::usage(format!("the headers of `{name}` have no Module.symvers")).hint(
        "it comes with the kernel's build; distributions ship it with the headers, or as symvers.gz with the kernel",
    ))
}

/// The kernels of headers: of those that are given, or of releases.
fn of_headers(
    headers: &[PathBuf],
    releases: &[String],
    names: &Names,
    at_hand: &Prebuilt,
    stop: &Stop,
) -> Result<Vec<Abi>> {
    let cache = build::header_cache(&at_hand.cache);
    let given = if releases.is_empty() { headers } else { &at_hand.headers };
    let asked = kernel::Wanted { headers: given, ..at_hand.wanted(releases, &cache) };
    let kernels = kernel::select(&asked, stop)?.into_iter();
    kernels.map(|kernel| of_kernel(kernel, names, &at_hand.cache)).collect()
}

/// A kernel whose headers are at hand.
pub(crate) fn of_kernel(kernel: Kernel, names: &Names, cache: &Path) -> Result<Abi> {
    let abi = symbols_of(&kernel.headers, &kernel.release, names, cache)?;
    let own = kernel.packages.iter().find(|package| package.kernels.contains_key(&kernel.release));
    let version = own.map(|package| package.version.clone());
    let abi = abi.of(kernel.release.clone(), Some(kernel.release), Some(kernel.arch), Some(kernel.magic));
    Ok(abi.with_version(version))
}
