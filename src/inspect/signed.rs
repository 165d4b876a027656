//! What there is to say about the signatures of the modules of a finished file, and about how they are compressed: by themselves, and by the
//! configuration of the kernels that they are for, where that is at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use super::walk;
use crate::archive::codec_of;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::error::Result;
use crate::format::Contents;
use crate::kernel::ko::{KernelModule, Signature, is_module};
use crate::package::Codec;
use crate::sign::Accepted;
use crate::sign::hash::Hash;
use crate::sign::module::FoundSignature;

/// A kernel, as far as it decides about modules.
#[derive(Debug, Clone)]
pub struct Judging {
    pub accepted: Accepted,
    /// How its own modules are compressed.
    pub codec: Codec,
}

/// Somebody who knows kernels by their releases.
pub type Kernels<'a> = dyn Fn(&str) -> Option<Judging> + 'a;

/// The findings of this layer.
pub const CODES: &[&Code] = &[&REFUSED, &UNJUDGED, &SIGNED, &BURIED, &SOME_UNSIGNED, &UNREADABLE];

const REFUSED: Code = Code {
    id: "K0861",
    title: "a signature that kernels refuse",
    explanation: "What stands behind the module is no signature that a kernel takes: broken, with signed\n\
                  attributes (`openssl cms` without `-noattr`), by a name of the algorithm that kernels do not know,\n\
                  or with something written behind it. A wrong signature is refused by every kernel that looks at\n\
                  signatures; one that it does not see makes the module an unsigned one. Sign the module again:\n\
                  `kpkg sign`.",
};
const UNJUDGED: Code = Code {
    id: "K0862",
    title: "a signature that its kernel cannot judge",
    explanation: "The kernel that the module is for has no code for the digest or the kind of key: a machine with\n\
                  Secure Boot refuses the module. What is certain is RSA over the digest that the kernel's own modules\n\
                  have, CONFIG_MODULE_SIG_HASH.",
};
const SIGNED: Code = Code {
    id: "K0863",
    title: "who signed the modules",
    explanation: "As the signatures say it themselves; `kpkg verify --certificate` tells whether it is true.",
};
const BURIED: Code = Code {
    id: "K0864",
    title: "an older signature before the last one",
    explanation: "sign-file appends to a signature that is there, and kernels pass the older one over: the module\n\
                  loads, and carries it along. `kpkg sign` takes it off.",
};
const SOME_UNSIGNED: Code = Code {
    id: "K0865",
    title: "some modules are signed and others are not",
    explanation: "A machine with Secure Boot refuses those that are not. A module that is stripped after it was\n\
                  signed loses its signature: strip first, then sign, then compress.",
};
const UNREADABLE: Code = Code {
    id: "K0866",
    title: "a module whose compression is not read everywhere",
    explanation: "The kernel's own decoder of xz knows the check CRC32 alone (`xz --check=crc32`), and kmod hands\n\
                  compressed modules to the kernel where that can. kmod and weak-modules are built for the compression\n\
                  that the kernel's own modules have, and may know no other.",
};

/// A module of the file.
struct Found {
    path: String,
    release: Option<String>,
    signature: Option<Signature>,
    codec: Codec,
    /// The kind of check that its xz stream names (the format's `doc/xz-file-format.txt`, 2.1.1.2).
    check: Option<u8>,
}

/// The findings about the modules of a file; none where it has none.
pub fn findings(path: &Path, kernels: &Kernels<'_>) -> Result<Vec<Diagnostic>> {
    let mut modules = Modules::default();
    walk(path, &mut modules)?;
    let releases: BTreeSet<&str> = modules.0.iter().filter_map(|module| module.release.as_deref()).collect();
    let known: BTreeMap<&str, Judging> =
        releases.into_iter().filter_map(|release| Some((release, kernels(release)?))).collect();
    let mut told = Told::default();
    for module in &modules.0 {
        let judging = module.release.as_deref().and_then(|release| Some((release, known.get(release)?)));
        module.tell(judging, &mut told);
    }
    let is_signed = |module: &&Found| module.signature.as_ref().is_some_and(|found| !found.has_junk);
    let unsigned: Vec<_> = modules.0.iter().filter(|module| !is_signed(module)).collect();
    if !unsigned.is_empty() && unsigned.len() < modules.0.len() {
        for module in unsigned {
            told.add(&SOME_UNSIGNED, "not signed, and others are", &module.path);
        }
    }
    Ok(told.findings())
}

/// The modules that something is said of, by code and words.
#[derive(Default)]
struct Told(BTreeMap<(&'static str, String), Vec<String>>);

impl Told {
    fn add(&mut self, code: &'static Code, what: impl Into<String>, path: &str) {
        self.0.entry((code.id, what.into())).or_default().push(path.to_owned());
    }

    fn findings(self) -> Vec<Diagnostic> {
        let finding = |((id, what), paths): ((&str, String), Vec<String>)| {
            let code = CODES.iter().find(|code| code.id == id)?;
            let which = match paths.as_slice() {
                [one] => format!("`{one}`"),
                [first, rest @ ..] => format!("`{first}` and {} more", rest.len()),
                [] => return None,
            };
            let text = format!("{which}: {what}");
            Some(match code.id {
                id if id == REFUSED.id => Diagnostic::error(code, text),
                id if id == SIGNED.id || id == BURIED.id => Diagnostic::note(code, text),
                _ => Diagnostic::warning(code, text),
            })
        };
        self.0.into_iter().filter_map(finding).collect()
    }
}

impl Found {
    fn tell(&self, kernel: Option<(&str, &Judging)>, told: &mut Told) {
        let path = &self.path;
        if let Some(signature) = &self.signature {
            for doubt in signature.refusals() {
                told.add(&REFUSED, doubt, path);
            }
            if signature.buried > 0 {
                told.add(&BURIED, format!("{} before its last signature", signature.buried), path);
            }
            if !signature.message.signatures.is_empty() {
                told.add(&SIGNED, format!("signed {}", by(signature)), path);
            }
            if let Some((release, judging)) = kernel {
                for why in unjudged(signature, release, &judging.accepted) {
                    told.add(
                        &UNJUDGED,
                        format!("the kernel `{release}` cannot judge its signature: {why}"),
                        path,
                    );
                }
            }
        }
        // 1: CRC32
        if self.check.is_some_and(|check| check > 1) {
            let what = "compressed with a check that the kernel's own decoder of xz does not know";
            told.add(&UNREADABLE, what, path);
        }
        if let Some((release, judging)) = kernel.filter(|(_, judging)| {
            self.codec != Codec::None && judging.codec != Codec::None && judging.codec != self.codec
        }) {
            let (own, other) = (judging.codec.name(), self.codec.name());
            told.add(
                &UNREADABLE,
                format!("compressed with {other}, the own modules of `{release}` with {own}"),
                path,
            );
        }
    }
}

/// Who signed, each with the digest.
#[must_use]
pub fn by(signature: &Signature) -> String {
    let one = |one: &FoundSignature| {
        format!("by {} over {}", one.signer(), one.hash.map_or("an unknown digest", Hash::name))
    };
    let all: Vec<_> = signature.message.signatures.iter().map(one).collect();
    let certificates =
        signature.message.certificates.iter().map(|one| format!(", with the certificate of {}", one.name()));
    format!("{}{}", all.join(" and "), certificates.collect::<String>())
}

/// Why a kernel cannot judge what signed a module: that is refused together, whoever else signed.
#[must_use]
pub fn unjudged(signature: &Signature, release: &str, accepted: &Accepted) -> Vec<String> {
    let why = |one: &FoundSignature| match one.hash {
        Some(hash) => accepted.refuses(release, hash, one.is_elliptic()),
        None => Some("its digest is none that kernels know".to_owned()),
    };
    signature.message.signatures.iter().filter_map(why).collect()
}

#[derive(Default)]
struct Modules(Vec<Found>);

impl Contents for Modules {
    fn wants(&self, path: &str) -> bool {
        is_module(path)
    }

    fn take(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()> {
        let mut start = Vec::new();
        content.take(12).read_to_end(&mut start)?;
        let codec = codec_of(&start);
        let check = start.get(7).map(|flags| flags & 0xf).filter(|_| codec == Codec::Xz);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("`{path}`: {error}"));
        let module = KernelModule::read(io::Cursor::new(start).chain(content)).map_err(named)?;
        let release = module.kernel().map(str::to_owned);
        self.0.push(Found { path: path.to_owned(), release, signature: module.signature, codec, check });
        Ok(())
    }
}
