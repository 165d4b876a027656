//! The machine that a driver is read for: a kernel, its headers, and what else dkms.conf may ask about.
//!
//! Every fact is given by the caller; nothing is taken from the machine that kpkg runs on.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::base::beneath;
use crate::base::error::{Error, Result};
use crate::dkms::{self, Inputs, ReadTree};

/// What is known about a machine; what is absent is unknown to dkms.conf too.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// The kernel release, such as `6.1.0-49-amd64`.
    pub kernel: Option<String>,
    /// The release of the kernel that runs there, where that is another one.
    pub running: Option<String>,
    /// The architecture as `uname -m` prints it.
    pub arch: Option<String>,
    /// What `/lib/modules/KERNEL/build` leads to.
    pub headers: Option<Headers>,
    /// What `nproc` prints.
    pub processors: Option<u32>,
    /// What `getconf _NPROCESSORS_ONLN` prints.
    pub online_processors: Option<u32>,
    /// The text of `/etc/os-release`.
    pub os_release: Option<String>,
    /// The version of dkms; without one, a current one.
    pub dkms_version: Option<String>,
}

impl Machine {
    /// With what another one has where this one is not known.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            kernel: self.kernel.or_else(|| other.kernel.clone()),
            running: self.running.or_else(|| other.running.clone()),
            arch: self.arch.or_else(|| other.arch.clone()),
            headers: self.headers.or_else(|| other.headers.clone()),
            processors: self.processors.or(other.processors),
            online_processors: self.online_processors.or(other.online_processors),
            os_release: self.os_release.or_else(|| other.os_release.clone()),
            dkms_version: self.dkms_version.or_else(|| other.dkms_version.clone()),
        }
    }

    /// As the evaluator wants it.
    #[must_use]
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            kernel: self.kernel.clone(),
            running: self.running.clone(),
            arch: self.arch.clone(),
            processors: self.processors,
            online_processors: self.online_processors,
            os_release: self.os_release.clone(),
            dkms_version: self.dkms_version.clone(),
            headers: self.headers.as_ref().map(|headers| headers as &dyn ReadTree),
            ..Inputs::default()
        }
    }
}

/// What the caller says about machines, not yet read.
#[derive(Debug, Clone, Default)]
pub struct Stated {
    /// Kernel releases.
    pub kernels: Vec<String>,
    /// Folders of kernel headers, each for the kernel that it names itself, or one for the only kernel.
    pub headers: Vec<PathBuf>,
    /// The architecture of all of them.
    pub arch: Option<String>,
    /// See [`Machine::processors`].
    pub processors: Option<u32>,
    /// See [`Machine::online_processors`].
    pub online_processors: Option<u32>,
    /// An os-release file.
    pub os_release: Option<PathBuf>,
    /// See [`Machine::dkms_version`].
    pub dkms_version: Option<String>,
}

/// More than any os-release file.
const OS_RELEASE: u64 = 1 << 20;

/// One machine for each kernel; one without a kernel where none is named.
pub fn machines(options: &Stated) -> Result<Vec<Machine>> {
    let os_release = options.os_release.as_deref().map(read_os_release).transpose()?;
    let machine = |kernel: Option<String>, headers| Machine {
        kernel,
        running: None,
        headers,
        arch: options.arch.clone(),
        processors: options.processors,
        online_processors: options.online_processors,
        os_release: os_release.clone(),
        dkms_version: options.dkms_version.clone(),
    };
    let mut found: Vec<Machine> = Vec::new();
    for release in &options.kernels {
        if found.iter().all(|machine| machine.kernel.as_ref() != Some(release)) {
            found.push(machine(Some(checked_release(release)?), None));
        }
    }
    for folder in &options.headers {
        let headers = Headers::open(folder)?;
        let release = headers.release();
        if let ([only], [_]) = (found.as_mut_slice(), options.headers.as_slice()) {
            only.headers = Some(headers);
            break;
        }
        let Some(release) = release else {
            return Err(Error::usage("these headers do not say which kernel they are of:").at(folder).hint(
                "name the kernel with one `--kernel`, or give the folder that has include/config/kernel.release",
            ));
        };
        match found.iter_mut().find(|machine| machine.kernel.as_ref() == Some(&release)) {
            Some(known) => known.headers = Some(headers),
            None if options.kernels.is_empty() => found.push(machine(Some(release), Some(headers))),
            None => {
                return Err(Error::usage(format!(
                    "no `--kernel` is `{release}`, which these headers are of:"
                ))
                .at(folder)
                .hint(format!("add `--kernel {release}`")));
            }
        }
    }
    if found.is_empty() {
        found.push(machine(None, None));
    }
    Ok(found)
}

/// The text of an os-release file.
pub fn read_os_release(path: &Path) -> Result<String> {
    let cannot_read = |error| Error::io("cannot read", path, error).as_usage();
    let bytes =
        beneath::open_regular(path).and_then(|file| beneath::start(file, OS_RELEASE)).map_err(cannot_read)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A kernel release as a path and a script can carry it.
pub fn checked_release(release: &str) -> Result<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~-".contains(&byte);
    if release.starts_with(|first: char| first.is_ascii_alphanumeric()) && release.bytes().all(allowed) {
        return Ok(release.to_owned());
    }
    Err(Error::usage(format!("`{}` is no kernel release", release.escape_debug()))
        .hint("give what `uname -r` prints there, such as `--kernel 6.1.0-49-amd64`"))
}

/// Programs that would tell about the machine that kpkg runs on, as scripts that tell about this one: name and text. Whoever asks
/// for the kernel leaves a line in `mark`.
#[must_use]
pub fn stand_ins(inputs: &Inputs<'_>, mark: Option<&str>) -> Vec<(&'static str, String)> {
    let kernel = inputs.running.as_deref().or(inputs.kernel.as_deref()).unwrap_or_default();
    let kernel = dkms::single_quote(kernel);
    let mark = mark.map_or_else(String::new, |path| {
        // where it cannot be written it is not missed: the answer counts
        format!("{{ echo \"$*\" >>{}; }} 2>/dev/null; ", dkms::single_quote(path))
    });
    let arch = dkms::single_quote(inputs.arch.as_deref().unwrap_or_default());
    let processors = inputs.processors.unwrap_or(1);
    let online = inputs.online_processors.unwrap_or(processors);
    let uname = format!(
        "#!/bin/bash\ncase $1 in\n-r | --kernel-release) {mark}echo {kernel} ;;\n-m | -p | -i | --machine) echo {arch} ;;\n\
         '' | -s | --kernel-name) echo Linux ;;\n-sr | -rs) {mark}echo Linux {kernel} ;;\n*) exec /usr/bin/uname \"$@\" ;;\nesac\n"
    );
    let nproc = format!(
        "#!/bin/bash\ncase $* in\n'' | --all) echo {processors} ;;\n*) exec /usr/bin/nproc \"$@\" ;;\nesac\n"
    );
    let getconf = format!(
        "#!/bin/bash\ncase $1 in\n_NPROCESSORS_ONLN) echo {online} ;;\n*) exec /usr/bin/getconf \"$@\" ;;\nesac\n"
    );
    // with several threads it gives the types of a module in another order each time
    let pahole = "#!/bin/bash\narguments=()\nfor argument; do\ncase $argument in\n-j | -j[0-9]*) ;;\n*) arguments+=(\"$argument\") ;;\n\
                  esac\ndone\nexec /usr/bin/pahole \"${arguments[@]}\"\n";
    vec![("uname", uname), ("nproc", nproc), ("getconf", getconf), ("pahole", pahole.to_owned())]
}

/// `uname` for a machine that runs the kernel to build for, as it is where another kernel runs.
#[must_use]
pub fn uname_of_another_kernel(kernel: &str, running: &str) -> (&'static str, String) {
    let (kernel, running) = (dkms::single_quote(kernel), dkms::single_quote(running));
    let text = "#!/bin/bash\ntext=$(/usr/bin/uname \"$@\") || exit\n";
    (
        "uname",
        format!(
            "{text}kernel={kernel} running={running}\nprintf '%s\\n' \"${{text//\"$kernel\"/$running}}\"\n"
        ),
    )
}

/// A folder of kernel headers.
#[derive(Debug, Clone)]
pub struct Headers {
    folder: PathBuf,
}

impl Headers {
    /// The headers in a folder, which has to be there.
    pub fn open(folder: &Path) -> Result<Self> {
        match fs::metadata(folder) {
            Ok(metadata) if metadata.is_dir() => Ok(Self { folder: folder.to_owned() }),
            Ok(_) => Err(Error::usage("is no folder of kernel headers:").at(folder)),
            Err(error) => Err(Error::io("cannot read the kernel headers in", folder, error).as_usage()),
        }
    }

    /// Whether they are what `/lib/modules/RELEASE/build` leads to on this machine.
    #[must_use]
    pub fn is_at_home(&self, release: &str) -> bool {
        let home = fs::canonicalize(Path::new("/lib/modules").join(release).join("build"));
        home.is_ok_and(|home| fs::canonicalize(&self.folder).is_ok_and(|own| own == home))
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kernel they belong to, as their own files say: what modules are stamped with (`utsrelease.h`), or else
    /// `include/config/kernel.release`, in which distributions leave out what they append.
    #[must_use]
    pub fn release(&self) -> Option<String> {
        let text = |path| Some(String::from_utf8_lossy(&self.read(path, 4096)?).into_owned());
        let stated = || text("include/config/kernel.release").map(|text| text.trim().to_owned());
        let defined = || {
            let header = text("include/generated/utsrelease.h")?;
            let (_, rest) = header.split_once("UTS_RELEASE")?;
            rest.split('"').nth(1).map(str::to_owned)
        };
        defined().or_else(stated).filter(|release| checked_release(release).is_ok())
    }

    fn metadata(&self, path: &str) -> Option<fs::Metadata> {
        fs::metadata(self.folder.join(path)).ok()
    }
}

impl ReadTree for Headers {
    fn read(&self, path: &str, limit: usize) -> Option<Vec<u8>> {
        // a pipe or a device would be waited for
        self.metadata(path).filter(fs::Metadata::is_file)?;
        beneath::start(File::open(self.folder.join(path)).ok()?, limit as u64).ok()
    }

    fn exists(&self, path: &str) -> bool {
        self.metadata(path).is_some()
    }

    fn is_dir(&self, path: &str) -> bool {
        self.metadata(path).is_some_and(|metadata| metadata.is_dir())
    }

    fn list(&self, dir: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder.join(dir)) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    fn is_executable(&self, path: &str) -> bool {
        self.metadata(path)
            .is_some_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_release_is_one_word_of_a_path() {
        assert!(checked_release("5.14.0-687.5.3.el9_8.x86_64+rt").is_ok());
        for bad in ["", "..", ".", "-k", "6.1/x", "6.1 x", "6.1\n", "6.1$(x)"] {
            assert!(checked_release(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_kernel_is_a_machine_and_headers_belong_to_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let headers = |release: &str| {
            let folder = folder.path().join(release);
            fs::create_dir_all(folder.join("include/config")).unwrap();
            fs::write(folder.join("include/config/kernel.release"), format!("{release}\n")).unwrap();
            folder
        };
        let options = |kernels: &[&str], headers: Vec<PathBuf>| Stated {
            kernels: kernels.iter().map(|release| (*release).to_owned()).collect(),
            headers,
            ..Stated::default()
        };
        let releases = |options: &Stated| -> Vec<_> {
            let found = machines(options).unwrap();
            found.into_iter().map(|found| (found.kernel.unwrap(), found.headers.is_some())).collect()
        };
        assert_eq!(machines(&Stated::default()).unwrap().len(), 1);
        assert_eq!(
            releases(&options(&["6.1", "6.2", "6.1"], vec![])),
            [("6.1".into(), false), ("6.2".into(), false)]
        );
        assert_eq!(
            releases(&options(&["6.1", "6.2"], vec![headers("6.2")])),
            [("6.1".into(), false), ("6.2".into(), true)]
        );
        assert_eq!(releases(&options(&[], vec![headers("6.3")])), [("6.3".into(), true)]);
        assert_eq!(releases(&options(&["other"], vec![headers("6.3")])), [("other".into(), true)]);
        assert!(machines(&options(&["6.1", "6.2"], vec![headers("6.3")])).is_err());
        assert!(machines(&options(&["6.1/.."], vec![])).is_err());
    }

    #[test]
    fn headers_tell_which_kernel_they_are_of() {
        let folder = tempfile::tempdir().unwrap();
        let headers = Headers::open(folder.path()).unwrap();
        assert_eq!(headers.release(), None);
        fs::create_dir_all(folder.path().join("include/generated")).unwrap();
        fs::write(folder.path().join("include/generated/utsrelease.h"), "#define UTS_RELEASE \"6.1.0-x\"\n")
            .unwrap();
        assert_eq!(headers.release().as_deref(), Some("6.1.0-x"));
        assert!(Headers::open(&folder.path().join("include/generated/utsrelease.h")).is_err());
    }
}
