//! What a finished file holds: a kernel module, or the modules of a package, ours or a foreign one.
//!
//! Only reads; what is wrong with a package is for `lint` to say.

pub mod diff;
pub mod signed;
pub mod verify;

use std::io;
use std::path::Path;

use crate::base::beneath::open_regular;
use crate::base::error::{Error, Result};
use crate::format::{self, Contents, ReadPackage};
use crate::kernel::ko::{KernelModule, is_module};

/// What a file holds that is a module, or a package of any kind.
pub struct ModuleFile {
    /// The package, where it is one.
    pub package: Option<ReadPackage>,
    /// The modules, by path.
    pub modules: Vec<(String, KernelModule)>,
}

impl Contents for ModuleFile {
    fn wants(&self, path: &str) -> bool {
        is_module(path)
    }

    fn take(&mut self, path: &str, content: &mut dyn io::Read) -> io::Result<()> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("`{path}`: {error}"));
        self.modules.push((path.to_owned(), KernelModule::read(content).map_err(named)?));
        Ok(())
    }
}

/// Reads a module or a finished package; nothing when the file is neither.
pub fn inspect(path: &Path) -> Result<Option<ModuleFile>> {
    let mut file = ModuleFile { package: None, modules: Vec::new() };
    if is_module(&path.to_string_lossy()) {
        let unreadable = |error| Error::io("cannot read the module", path, error).as_usage();
        let module = open_regular(path).and_then(KernelModule::read).map_err(unreadable)?;
        file.modules.push((path.display().to_string(), module));
        return Ok(Some(file));
    }
    let package = format::open(path, &mut file)?;
    Ok(package.map(|package| ModuleFile { package: Some(package), ..file }))
}

/// Shows the modules of a file, a bare one or those of a package, to whoever looks at one at a time; whether it is one of these.
pub fn walk(path: &Path, contents: &mut dyn Contents) -> Result<bool> {
    let name = path.to_string_lossy();
    if !is_module(&name) {
        return format::open(path, contents).map(|found| found.is_some());
    }
    let unreadable = |error| Error::io("cannot read the module", path, error).as_usage();
    let mut file = open_regular(path).map_err(unreadable)?;
    contents.take(&name, &mut file).map_err(unreadable).map(|()| true)
}
