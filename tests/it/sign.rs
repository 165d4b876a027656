//! Signed modules: what kpkg writes is what the kernel's own sign-file and openssl write, and is judged as openssl judges it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use kpkg::sign::certificate::Certificate;
use kpkg::sign::hash::Hash;
use kpkg::sign::module::{Appended, FoundMessage};
use kpkg::sign::{Accepted, ModuleSigners};

use crate::support;
use support::Tree;

pub(crate) const MODULE: &[u8] = b"\x7fELF what is no module, as nobody looks into it";

/// A module without its signature, and that.
fn cut(module: &[u8]) -> (&[u8], Option<&[u8]>) {
    let found = Appended::of(module).unwrap();
    (found.plain, found.message)
}

pub(crate) fn openssl(tree: &Tree, words: &[&str]) -> bool {
    let Ok(output) = Command::new("openssl").current_dir(tree.path()).args(words).output() else {
        support::missing("openssl");
        return false;
    };
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

/// A key and a certificate of it: `NAME.key`, `NAME.crt`; whether there is an openssl.
pub(crate) fn pair(tree: &Tree, name: &str, algorithm: &[&str]) -> bool {
    let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
    openssl(tree, &[&["genpkey", "-out", &key], algorithm].concat())
        && openssl(
            tree,
            &[
                "req",
                "-new",
                "-x509",
                "-key",
                &key,
                "-out",
                &certificate,
                "-days",
                "3650",
                "-subj",
                &format!("/O=test/CN={name}"),
            ],
        )
}

pub(crate) const RSA_2048: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
pub(crate) const RSA_4096: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"];
pub(crate) const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub(crate) const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];

pub(crate) fn signers(tree: &Tree, names: &[&str], embeds: bool) -> ModuleSigners {
    let path = |name: &&str, end: &str| tree.path().join(format!("{name}.{end}"));
    let keys: Vec<PathBuf> = names.iter().map(|name| path(name, "key")).collect();
    let certificates: Vec<PathBuf> = names.iter().map(|name| path(name, "crt")).collect();
    ModuleSigners::read(&keys, &certificates, embeds, None).unwrap()
}

/// The message that openssl makes.
fn cms(tree: &Tree, names: &[&str], hash: Hash, embeds: bool) -> Vec<u8> {
    tree.file("module", MODULE);
    let files: Vec<_> = names.iter().map(|name| (format!("{name}.crt"), format!("{name}.key"))).collect();
    let mut words = vec![
        "cms",
        "-sign",
        "-binary",
        "-noattr",
        "-in",
        "module",
        "-outform",
        "DER",
        "-out",
        "message",
        "-md",
        hash.name(),
    ];
    if !embeds {
        words.push("-nocerts");
    }
    for (certificate, key) in &files {
        words.extend(["-signer", certificate, "-inkey", key]);
    }
    openssl(tree, &words);
    fs::read(tree.path().join("message")).unwrap()
}

#[test]
fn messages_are_those_of_openssl() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) || !pair(&tree, "b", RSA_4096) {
        return;
    }
    for names in [&["a"][..], &["b"], &["a", "b"], &["b", "a"]] {
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512, Hash::Sha3_256, Hash::Sha3_512] {
            for embeds in [false, true] {
                let signed = signers(&tree, names, embeds).sign(MODULE, hash, "x").unwrap();
                let (plain, message) = cut(&signed);
                assert_eq!(plain, MODULE);
                assert_eq!(
                    message.unwrap(),
                    cms(&tree, names, hash, embeds),
                    "{names:?} {} {embeds}",
                    hash.name()
                );
            }
        }
    }
}

#[test]
fn modules_are_those_of_the_kernels_own_program() {
    let tree = Tree::empty();
    let programs =
        fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path().join("scripts/sign-file"));
    let Some(program) = programs.into_iter().find(|path| path.is_file()) else {
        return support::missing("sign-file (of linux-kbuild)");
    };
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    tree.file("module", MODULE);
    for hash in [Hash::Sha256, Hash::Sha512] {
        let status = Command::new(&program)
            .current_dir(tree.path())
            .args([hash.name(), "a.key", "a.crt", "module", "module.signed"])
            .status()
            .unwrap();
        assert!(status.success());
        let theirs = fs::read(tree.path().join("module.signed")).unwrap();
        assert!(signers(&tree, &["a"], false).sign(MODULE, hash, "x").unwrap() == theirs, "{}", hash.name());
        // what is signed already is signed anew, not once more
        assert!(signers(&tree, &["a"], false).sign(&theirs, hash, "x").unwrap() == theirs);
    }
}

#[test]
fn curves_sign_always_the_same_and_openssl_agrees() {
    let tree = Tree::empty();
    if !pair(&tree, "c", P256) || !pair(&tree, "d", P384) {
        return;
    }
    tree.file("module", MODULE);
    for (name, hash) in [("c", Hash::Sha256), ("d", Hash::Sha384), ("d", Hash::Sha512), ("c", Hash::Sha512)] {
        let signed = signers(&tree, &[name], true).sign(MODULE, hash, "x").unwrap();
        assert!(signed == signers(&tree, &[name], true).sign(MODULE, hash, "x").unwrap());
        tree.file("message", cut(&signed).1.unwrap());
        let certificate = format!("{name}.crt");
        openssl(
            &tree,
            &[
                "cms",
                "-verify",
                "-binary",
                "-inform",
                "DER",
                "-in",
                "message",
                "-content",
                "module",
                "-CAfile",
                &certificate,
                "-purpose",
                "any",
                "-out",
                "/dev/null",
            ],
        );
    }
}

#[test]
fn a_signature_is_judged_by_its_certificate() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) || !pair(&tree, "c", P256) {
        return;
    }
    let certificate = |name: &str| Certificate::read(&tree.path().join(format!("{name}.crt"))).unwrap();
    let signed = signers(&tree, &["a", "c"], false).sign(MODULE, Hash::Sha256, "x").unwrap();
    let (plain, message) = cut(&signed);
    let found = FoundMessage::parse(message.unwrap(), plain).unwrap();
    assert_eq!(found.signatures.len(), 2);
    for signature in &found.signatures {
        let (of, other) = if signature.is_of(&certificate("a")) { ("a", "c") } else { ("c", "a") };
        assert!(signature.is_of(&certificate(of)) && signature.fits(&certificate(of)));
        assert!(!signature.is_of(&certificate(other)) && !signature.fits(&certificate(other)));
        assert_eq!((signature.hash, signature.has_attributes), (Some(Hash::Sha256), false));
    }
    let of_another = FoundMessage::parse(message.unwrap(), b"another").unwrap();
    assert!(
        of_another.signatures.iter().all(|one| !one.fits(&certificate("a")) && !one.fits(&certificate("c")))
    );
    // every cut and every changed byte is read to an end
    let message = message.unwrap();
    for at in 0..message.len() {
        let _none = FoundMessage::parse(&message[..at], plain);
        let mut changed = message.to_vec();
        changed[at] ^= 0x55;
        if let Some(found) = FoundMessage::parse(&changed, plain) {
            let good = found
                .signatures
                .iter()
                .filter(|one| one.fits(&certificate("a")) || one.fits(&certificate("c")));
            assert!(good.count() <= 2);
        }
    }
    // a key and the certificate of another
    let wrong = ModuleSigners::read(&[tree.path().join("a.key")], &[tree.path().join("c.crt")], false, None);
    assert!(wrong.unwrap_err().to_string().contains("does not fit"));
}

#[test]
fn keys_come_in_every_usual_form() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) || !pair(&tree, "c", P384) {
        return;
    }
    let same = |key: &str, certificate: &str, name: &str| {
        let given =
            ModuleSigners::read(&[tree.path().join(key)], &[tree.path().join(certificate)], false, None);
        let given =
            given.unwrap_or_else(|error| panic!("{key}: {error}")).sign(MODULE, Hash::Sha256, "x").unwrap();
        assert!(given == signers(&tree, &[name], false).sign(MODULE, Hash::Sha256, "x").unwrap(), "{key}");
    };
    openssl(&tree, &["rsa", "-in", "a.key", "-traditional", "-out", "pkcs1.pem"]);
    openssl(&tree, &["pkcs8", "-topk8", "-nocrypt", "-in", "a.key", "-outform", "DER", "-out", "pkcs8.der"]);
    openssl(&tree, &["x509", "-in", "a.crt", "-outform", "DER", "-out", "a.der"]);
    openssl(&tree, &["ec", "-in", "c.key", "-out", "sec1.pem"]);
    openssl(&tree, &["pkcs8", "-topk8", "-in", "a.key", "-passout", "pass:x", "-out", "locked.pem"]);
    same("pkcs1.pem", "a.crt", "a");
    same("pkcs8.der", "a.der", "a");
    same("sec1.pem", "c.crt", "c");
    // as the kernel's certs/signing_key.pem: both in one
    let both =
        [fs::read(tree.path().join("a.key")).unwrap(), fs::read(tree.path().join("a.crt")).unwrap()].concat();
    tree.file("both.pem", both);
    same("both.pem", "both.pem", "a");
    let refused = |key: &str| {
        let error = ModuleSigners::read(&[tree.path().join(key)], &[tree.path().join("a.crt")], false, None)
            .err()
            .unwrap();
        error.to_string()
    };
    assert!(refused("locked.pem").contains("is protected by a password"));
    openssl(
        &tree,
        &["rsa", "-in", "a.key", "-traditional", "-aes128", "-passout", "pass:x", "-out", "old.pem"],
    );
    assert!(refused("old.pem").contains("in the form of old versions of OpenSSL"));
    assert!(refused("a.crt").contains("is no private key"));
}

#[test]
fn what_a_kernel_cannot_judge_is_refused_before() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) || !pair(&tree, "c", P256) {
        return;
    }
    let accepted = |hash: Option<&str>, options: &[(&str, &str)]| Accepted {
        hash: hash.map(str::to_owned),
        options: options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    let (rsa, curve) = (signers(&tree, &["a"], false), signers(&tree, &["a", "c"], false));
    let refused = |signers: &ModuleSigners, hash: Option<&str>, options: &[(&str, &str)]| {
        signers.hash_for("k", &accepted(hash, options)).unwrap_err().to_string()
    };
    assert_eq!(rsa.hash_for("k", &accepted(Some("sha512"), &[])).unwrap(), Hash::Sha512);
    assert_eq!(rsa.hash_for("k", &accepted(None, &[])).unwrap(), Hash::Sha256);
    assert!(refused(&rsa, Some("sha1"), &[]).contains("CONFIG_MODULE_SIG_HASH"));
    assert!(
        refused(&rsa, Some("sha512"), &[("CONFIG_CRYPTO_SHA512", "m")])
            .contains("CONFIG_CRYPTO_SHA512 is a module")
    );
    assert!(curve.hash_for("k", &accepted(Some("sha256"), &[("CONFIG_CRYPTO_ECDSA", "y")])).is_ok());
    assert!(refused(&curve, Some("sha256"), &[]).contains("CONFIG_CRYPTO_ECDSA is not built in"));
    assert!(
        refused(&curve, Some("sha256"), &[("CONFIG_CRYPTO_ECDSA", "m")])
            .contains("CONFIG_CRYPTO_ECDSA is a module")
    );
    // another digest than that of the kernel's own modules
    let debian = accepted(Some("sha256"), &[("CONFIG_CRYPTO_SHA512", "m"), ("CONFIG_CRYPTO_SHA3", "y")]);
    let why = |release: &str, hash| debian.refuses(release, hash, false);
    assert_eq!(why("6.1.0-57-amd64", Hash::Sha256), None);
    assert!(why("6.1.0-57-amd64", Hash::Sha512).unwrap().contains("CONFIG_CRYPTO_SHA512 is a module"));
    assert_eq!(why("6.1.0-57-amd64", Hash::Sha3_256).unwrap(), "Linux knows sha3-256 since 6.7");
    assert_eq!(why("6.12.0", Hash::Sha3_256), None);
}

/// A driver, the headers of a kernel that wants this digest, and the output of a run.
pub(crate) fn with_kernel(hash: &str) -> Tree {
    let tree = Tree::empty();
    support::kernel::driver(&tree);
    support::kernel::headers(&tree, "headers", support::kernel::RELEASE);
    let config = fs::read_to_string(tree.path().join("headers/include/config/auto.conf")).unwrap();
    tree.file("headers/include/config/auto.conf", format!("{config}CONFIG_MODULE_SIG_HASH=\"{hash}\"\n"));
    tree
}

pub(crate) fn run(tree: &Tree, words: &[&str]) -> (Option<i32>, String) {
    let mut command = tree.command(words);
    command.env("KPKG_CACHE", tree.path().join("cache")).env("PATH", "/usr/bin:/bin");
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

pub(crate) const BUILD: [&str; 6] = ["driver", "--prebuilt", "--kernel-headers", "headers", "-f", "deb"];
pub(crate) const DEB: &str = "dist/toy-modules-6.1.0-1-toy_1.0-1_amd64.deb";

#[test]
fn modules_are_signed_while_they_are_built() {
    let tree = with_kernel("sha512");
    if !pair(&tree, "a", RSA_2048) || !pair(&tree, "b", RSA_2048) || !pair(&tree, "c", P256) {
        return;
    }
    let built = |more: &[&str]| run(&tree, &[&BUILD[..], more].concat());
    let verified = |words: &[&str]| run(&tree, &[&["verify", DEB], words].concat());
    let toy = "/lib/modules/6.1.0-1-toy/updates/toy/toy.ko";
    assert_eq!(built(&[]).0, Some(0));
    let unsigned = fs::read(tree.path().join(DEB)).unwrap();
    assert_eq!(verified(&[]), (Some(1), format!("{DEB}: unsigned\n{DEB} {toy}: unsigned\n")));
    let (code, text) = built(&["--sign-modules", "a.key", "--certificate", "a.crt"]);
    assert_eq!(code, Some(0), "{text}");
    // nothing is compiled for it, and the digest is the kernel's
    assert!(text.contains("compiled before"), "{text}");
    let (_, text) = run(&tree, &["show", DEB]);
    assert!(text.contains("PKCS#7, ") && text.contains("sha512 by a"), "{text}");
    assert_eq!(verified(&["--certificate", "a.crt"]), (Some(0), format!("{DEB} {toy}: good, by a\n")));
    assert_eq!(verified(&["--certificate", "b.crt"]), (Some(1), format!("{DEB} {toy}: unknown key, by a\n")));
    let signed = fs::read(tree.path().join(DEB)).unwrap();
    // always the same, and an unsigned one is not taken for it
    fs::remove_file(tree.path().join(DEB)).unwrap();
    assert_eq!(built(&["--sign-modules", "a.key", "--certificate", "a.crt"]).0, Some(0));
    assert!(fs::read(tree.path().join(DEB)).unwrap() == signed);
    assert_eq!(built(&[]).0, Some(0));
    assert!(fs::read(tree.path().join(DEB)).unwrap() == unsigned);
    // two keys
    assert_eq!(built(&["--sign-modules", "a.key,b.key", "--certificate", "a.crt,b.crt"]).0, Some(0));
    assert_eq!(verified(&["--certificate", "b.crt"]), (Some(0), format!("{DEB} {toy}: good, by a, b\n")));
    // what cannot be
    for (words, code, expected) in [
        (
            &["--sign-modules", "a.key", "--certificate", "b.crt"][..],
            2,
            "does not fit the certificate of `b`",
        ),
        (&["--sign-modules", "c.key", "--certificate", "c.crt"], 2, "CONFIG_CRYPTO_ECDSA is not built in"),
        (&["--sign-modules", "a.key,b.key", "--certificate", "a.crt"], 2, "2 keys and 1 certificates"),
        (&["--sign-modules", "a.key"], 2, "--certificate"),
        (&["--sign-modules", "none.key", "--certificate", "a.crt"], 1, "cannot read the key `none.key`"),
    ] {
        fs::remove_dir_all(tree.path().join("dist")).unwrap_or_default();
        let (found, text) = built(words);
        assert!(found == Some(code) && text.contains(expected), "{words:?}: {found:?} {text}");
        assert_eq!(tree.names("dist"), [""; 0], "{words:?}");
    }
    let (code, text) =
        run(&tree, &["driver", "-f", "deb", "--sign-modules", "a.key", "--certificate", "a.crt"]);
    assert!(code == Some(2) && text.contains("does nothing here"), "{text}");
}

#[test]
fn kpkg_toml_says_who_signs_where_the_command_line_does_not() {
    let tree = with_kernel("sha256");
    if !pair(&tree, "a", RSA_2048) || !pair(&tree, "b", RSA_2048) {
        return;
    }
    let said = "[sign]\nmodules = [\"../a.key\"]\ncertificates = [\"../a.crt\"]\n";
    tree.file("driver/kpkg.toml", said);
    let signed_by = |more: &[&str]| {
        let (code, text) = run(&tree, &[&BUILD[..], more].concat());
        assert_eq!(code, Some(0), "{text}");
        let (_, text) = run(&tree, &["show", DEB]);
        text.lines().find(|line| line.starts_with("signature")).unwrap().to_owned()
    };
    assert!(signed_by(&[]).ends_with("sha256 by a"));
    assert!(signed_by(&["--sign-modules", "b.key", "--certificate", "b.crt"]).ends_with("sha256 by b"));
    tree.file("driver/kpkg.toml", said.replace("a.crt", "b.crt"));
    let (code, text) = run(&tree, &BUILD);
    assert!(code == Some(2) && text.contains("does not fit the certificate of `b`"), "{text}");
    tree.file("driver/kpkg.toml", "[sign]\nmodules = [\"none.key\"]\n");
    let (code, text) = run(&tree, &BUILD);
    assert!(code == Some(2) && text.contains("1 keys and 0 certificates"), "{text}");
}

#[test]
fn a_command_may_answer_in_any_form() {
    let tree = with_kernel("sha256");
    if !pair(&tree, "a", RSA_2048) || !pair(&tree, "c", P256) {
        return;
    }
    let config = fs::read_to_string(tree.path().join("headers/include/config/auto.conf")).unwrap();
    tree.file("headers/include/config/auto.conf", format!("{config}CONFIG_CRYPTO_ECDSA=y\n"));
    let sign = |name: &str, command: &str, input: &str| {
        fs::remove_dir_all(tree.path().join("dist")).unwrap_or_default();
        let certificate = format!("{name}.crt");
        let words =
            ["--sign-module-command", command, "--sign-module-input", input, "--certificate", &certificate];
        run(&tree, &[&BUILD[..], &words].concat())
    };
    let raw = "openssl pkeyutl -sign -inkey a.key -pkeyopt digest:$KPKG_HASH -pkeyopt rsa_padding_mode:pkcs1";
    let info = "openssl pkeyutl -sign -inkey a.key -pkeyopt rsa_padding_mode:pkcs1";
    let cms = "openssl cms -sign -binary -noattr -outform DER -md $KPKG_HASH -signer a.crt -inkey a.key";
    let curve = "openssl pkeyutl -sign -inkey c.key";
    // r and s, 32 bytes each, as services answer
    let pair = "openssl pkeyutl -sign -inkey c.key | openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p' | \
                while read -r n; do printf '%64s' $n | tr ' ' 0; done | xxd -r -p";
    let mut packages = Vec::new();
    for (name, command, input) in [("a", raw, "digest"), ("a", info, "digest-info"), ("a", cms, "module")] {
        let (code, text) = sign(name, command, input);
        assert_eq!(code, Some(0), "{command}: {text}");
        packages.push(fs::read(tree.path().join(DEB)).unwrap());
    }
    // whoever signs: RSA's signature is always the same
    let own = run(&tree, &[&BUILD[..], &["--sign-modules", "a.key", "--certificate", "a.crt"]].concat());
    assert_eq!(own.0, Some(0));
    packages.push(fs::read(tree.path().join(DEB)).unwrap());
    assert!(packages.windows(2).all(|two| two[0] == two[1]));
    let curves: &[&str] =
        if Command::new("xxd").arg("-v").output().is_ok() { &[curve, pair] } else { &[curve] };
    for command in curves {
        fs::remove_dir_all(tree.path().join("cache")).unwrap_or_default();
        let (code, text) = sign("c", command, "digest");
        assert_eq!(code, Some(0), "{command}: {text}");
        assert_eq!(run(&tree, &["verify", DEB, "--certificate", "c.crt"]).0, Some(0));
    }
    fs::remove_dir_all(tree.path().join("cache")).unwrap_or_default();
    for (command, expected) in [
        ("cat", "does not fit"),
        ("echo no key >&2; exit 3", "does not sign `toy`: no key"),
        ("true", "does not fit"),
    ] {
        let (code, text) = sign("a", command, "digest");
        assert!(code == Some(2) && text.contains(expected), "{command}: {text}");
        assert_eq!(tree.names("dist"), [""; 0], "{command}");
    }
}

#[test]
fn finished_packages_become_those_that_are_built_signed() {
    let tree = with_kernel("sha256");
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    let keys = ["--sign-modules", "a.key", "--certificate", "a.crt"];
    let build = |more: &[&str]| {
        let (code, text) = run(&tree, &[&BUILD[..4], &["-f", "deb,rpm"], more].concat());
        assert_eq!(code, Some(0), "{text}");
    };
    let packages = || -> Vec<Vec<u8>> {
        let names = tree.names("dist").into_iter().filter(|name| name.contains("6.1.0-1-toy"));
        names.map(|name| fs::read(tree.path().join("dist").join(name)).unwrap()).collect()
    };
    build(&keys);
    let built_signed = packages();
    build(&[]);
    let unsigned = packages();
    let rpm = "dist/kmod-toy-6.1.0-1-toy-1.0-1.x86_64.rpm";
    // somebody else signs: nothing but the digest goes out, and all or nothing comes back
    let (code, text) = run(&tree, &["sign", DEB, rpm, "--export", "out"]);
    assert_eq!((code, text.as_str()), (Some(0), "out/manifest.json\n"));
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(tree.path().join("out/manifest.json")).unwrap()).unwrap();
    // the same module in both
    assert_eq!((manifest.as_array().unwrap().len(), tree.names("out").len()), (2, 2));
    let name = manifest[0]["sha256"].as_str().unwrap();
    let attach = |more: &[&str]| {
        run(&tree, &[&["sign", DEB, rpm, "--attach", "out", "--certificate", "a.crt"], more].concat())
    };
    let (code, text) = attach(&[]);
    assert!(code == Some(2) && text.contains("1 of 1 signatures are missing"), "{text}");
    tree.file(&format!("out/{name}.sig"), "no signature");
    let (code, text) = attach(&[]);
    assert!(code == Some(2) && text.contains("does not fit"), "{text}");
    assert!(packages() == unsigned);
    let (digest, signature) = (format!("out/{name}.digest"), format!("out/{name}.sig"));
    openssl(
        &tree,
        &[
            "pkeyutl",
            "-sign",
            "-inkey",
            "a.key",
            "-pkeyopt",
            "digest:sha256",
            "-in",
            &digest,
            "-out",
            &signature,
        ],
    );
    assert_eq!(attach(&["-o", "attached"]).0, Some(0));
    // in their own places, by the key
    let (code, text) = run(&tree, &["sign", DEB, rpm, "--key", "a.key", "--certificate", "a.crt"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(packages() == built_signed);
    for (name, bytes) in tree.names("attached").iter().zip(&built_signed) {
        assert!(fs::read(tree.path().join("attached").join(name)).unwrap() == *bytes, "{name}");
    }
    // and once more is the same
    assert_eq!(run(&tree, &["sign", DEB, rpm, "--key", "a.key", "--certificate", "a.crt"]).0, Some(0));
    assert!(packages() == built_signed);
    // nothing else differs
    tree.file("unsigned.deb", unsigned.last().unwrap());
    let (_, text) = run(&tree, &["diff", "unsigned.deb", DEB]);
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("  ")).collect();
    assert!(lines.iter().all(|line| line.contains("toy.ko") || line.contains("signed")), "{text}");
    let (code, text) = run(&tree, &["sign", DEB]);
    assert!(code == Some(2) && text.contains("nobody is named who signs"), "{text}");
}

#[test]
fn modules_of_any_compression_are_signed_in_their_place() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_4096) {
        return;
    }
    let module = support::kernel::module(support::kernel::RELEASE, &[]);
    for (end, program) in [
        (".xz", &["xz", "--check=crc32"][..]),
        (".gz", &["gzip"]),
        (".zst", &["zstd", "-q", "--rm"]),
        ("", &[]),
    ] {
        let name = format!("toy.ko{end}");
        tree.file("toy.ko", &module);
        if let [program, words @ ..] = program {
            let done = Command::new(program).args(words).arg("toy.ko").current_dir(tree.path()).status();
            assert!(done.unwrap().success());
        }
        for words in [&["--hash", "sha512"][..], &[]] {
            let (code, text) =
                run(&tree, &[&["sign", &name, "--key", "a.key", "--certificate", "a.crt"], words].concat());
            assert_eq!(code, Some(0), "{text}");
            // the second time the digest is that of the signature that is there
            let (_, text) = run(&tree, &["show", &name]);
            assert!(text.contains("sha512 by a"), "{name}: {text}");
            assert_eq!(run(&tree, &["verify", &name, "--certificate", "a.crt"]).0, Some(0));
        }
    }
    tree.file("text.ko", "no module");
    let (code, text) = run(&tree, &["sign", "text.ko", "--key", "a.key", "--certificate", "a.crt"]);
    assert!(code == Some(2) && text.contains("it is no ELF file"), "{text}");
    assert_eq!(fs::read(tree.path().join("text.ko")).unwrap(), b"no module");
    // a byte changes
    let mut changed = fs::read(tree.path().join("toy.ko")).unwrap();
    let at = changed.iter().position(|byte| *byte == b'G').unwrap();
    changed[at] ^= 1;
    tree.file("changed.ko", changed);
    let (code, text) = run(&tree, &["verify", "changed.ko", "--certificate", "a.crt"]);
    assert!(code == Some(1) && text.contains("wrong"), "{text}");
}

#[test]
fn what_states_digests_beside_a_package_is_stated_anew() {
    let tree = with_kernel("sha256");
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    assert_eq!(run(&tree, &BUILD).0, Some(0));
    let name = DEB.strip_prefix("dist/").unwrap();
    let stated = |hash: &str| format!(" {hash} 1 {name}\n");
    let text = format!(
        "Format: 1.8\nChecksums-Sha1:\n{0} aa 2 other.deb\nChecksums-Sha256:\n{0}Files:\n {1} 1 kernel optional {name}\n",
        stated("00"),
        "11"
    );
    tree.file("dist/toy.changes", &text);
    tree.file("dist/signed.changes", format!("-----BEGIN PGP SIGNED MESSAGE-----\n\n{text}"));
    let (code, said) = run(&tree, &["sign", DEB, "--key", "a.key", "--certificate", "a.crt"]);
    assert!(code == Some(0) && said.contains("dist/signed.changes is void"), "{said}");
    let deb = fs::read(tree.path().join(DEB)).unwrap();
    let found = fs::read_to_string(tree.path().join("dist/toy.changes")).unwrap();
    let sha256 = Hash::Sha256.digest(&deb).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(found.contains(&format!(" {sha256} {} {name}\n", deb.len())), "{found}");
    assert!(
        found.contains(" aa 2 other.deb\n")
            && found.contains(&format!(" {} kernel optional {name}\n", deb.len())),
        "{found}"
    );
    assert!(!found.contains(" 00 1 ") && !found.contains(" 11 1 "), "{found}");
}

#[test]
fn an_rpm_is_signed_as_rpm_judges_it() {
    let tree = with_kernel("sha256");
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    let home = tree.path().join("gnupg");
    fs::create_dir(&home).unwrap();
    let gpg = |words: &[&str]| {
        let Ok(output) =
            Command::new("gpg").arg("--homedir").arg(&home).args(["--batch", "--quiet"]).args(words).output()
        else {
            support::missing("gpg");
            return None;
        };
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Some(output.stdout)
    };
    let words = [
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
        "--quick-generate-key",
        "Jane <jane@example.org>",
        "rsa3072",
        "sign",
        "never",
    ];
    if gpg(&words).is_none() {
        return;
    }
    tree.file("key.asc", gpg(&["--armor", "--export"]).unwrap());
    tree.file(
        "secret.asc",
        gpg(&["--pinentry-mode", "loopback", "--passphrase", "", "--armor", "--export-secret-keys"]).unwrap(),
    );
    let database = tree.path().join("rpmdb").display().to_string();
    let keys = |words: &[&str]| {
        let output = Command::new("rpmkeys")
            .args(["--dbpath", &database])
            .args(words)
            .current_dir(tree.path())
            .output();
        let Ok(output) = output else { return None };
        Some((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    };
    if keys(&["--import", "key.asc"]).is_none() {
        return support::missing("rpmkeys");
    }
    assert_eq!(run(&tree, &[&BUILD[..4], &["-f", "deb,rpm"]].concat()).0, Some(0));
    let rpm = "dist/kmod-toy-6.1.0-1-toy-1.0-1.x86_64.rpm";
    let unsigned = fs::read(tree.path().join(rpm)).unwrap();
    let (_, told) = keys(&["-K", rpm]).unwrap();
    assert!(!told.contains("signatures"), "{told}");
    // by a key in a file, with its modules too
    let (code, text) =
        run(&tree, &["sign", rpm, "--sign", "secret.asc", "--key", "a.key", "--certificate", "a.crt"]);
    assert!(code == Some(0) && text.contains("Signed 1 module and the package"), "{text}");
    let (is_good, told) = keys(&["-K", rpm]).unwrap();
    assert!(is_good && told.contains("digests signatures OK"), "{told}");
    assert_eq!(run(&tree, &["verify", rpm, "--certificate", "a.crt"]).0, Some(0));
    // by a command, and once more; nothing but the signature differs from what it was
    tree.file(rpm, &unsigned);
    let command =
        format!("gpg --homedir {} --batch --detach-sign; test $KPKG_SIGN_FORM = detached", home.display());
    for _ in 0..2 {
        let (code, text) = run(&tree, &["sign", rpm, "--sign-command", &command]);
        assert!(code == Some(0) && text.contains("Signed the package"), "{text}");
        let (is_good, told) = keys(&["-K", rpm]).unwrap();
        assert!(is_good && told.contains("digests signatures OK"), "{told}");
    }
    tree.file("unsigned.rpm", &unsigned);
    assert_eq!(run(&tree, &["diff", "unsigned.rpm", rpm]), (Some(0), String::new()));
    // modules that change make it void, and that is said
    let (code, text) = run(&tree, &["sign", rpm, "--key", "a.key", "--certificate", "a.crt"]);
    assert!(code == Some(0) && text.contains("the signature RSAHEADER is void"), "{text}");
    // an answer in another form, and a format that holds none
    let before = fs::read(tree.path().join(rpm)).unwrap();
    let armoured = format!("{command} --armor").replace("; test $KPKG_SIGN_FORM = detached", "");
    for (words, expected) in [
        (&["sign", rpm, "--sign-command", &armoured][..], "no detached signature"),
        (&["sign", rpm, "--sign-command", "cat"], "no detached signature"),
    ] {
        let (code, text) = run(&tree, words);
        assert!(code == Some(2) && text.contains(expected), "{words:?}: {text}");
    }
    assert!(fs::read(tree.path().join(rpm)).unwrap() == before);
    // while it is built: every format that holds a signature; a failure leaves nothing
    fs::remove_dir_all(tree.path().join("dist")).unwrap();
    let all = [&BUILD[..4], &["-f", "deb,rpm", "--sign", "secret.asc"]].concat();
    let (code, text) = run(&tree, &all);
    assert_eq!(code, Some(0), "{text}");
    for package in [rpm, "dist/kmod-toy-1.0-1.noarch.rpm"] {
        let (is_good, told) = keys(&["-K", package]).unwrap();
        assert!(is_good && told.contains("digests signatures OK"), "{told}");
    }
    assert_eq!(tree.names("dist").len(), 4);
    fs::remove_dir_all(tree.path().join("dist")).unwrap();
    let (code, text) = run(&tree, &[&BUILD[..4], &["-f", "rpm", "--sign-command", "cat"]].concat());
    assert!(code == Some(2) && text.contains("no detached signature"), "{text}");
    assert_eq!(tree.names("dist"), [""; 0]);
    let _ended = Command::new("gpgconf").arg("--homedir").arg(&home).args(["--kill", "all"]).status();
}
