//! What `kpkg verify` says of modules, packages and what lies beside them, and the keys that `kpkg sign --new-key` makes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::sign::{BUILD, DEB, P256, RSA_2048, openssl, pair, run, with_kernel};
use crate::support::{self, Tree};

const RPM: &str = "dist/kmod-toy-6.1.0-1-toy-1.0-1.x86_64.rpm";
const TOY: &str = "/lib/modules/6.1.0-1-toy/updates/toy/toy.ko";

/// A keyring of gpg's with one key, `NAME.asc` and `NAME.secret`; nothing where there is no gpg.
struct Keyring(PathBuf);

impl Keyring {
    fn new(tree: &Tree, name: &str) -> Option<Self> {
        let home = tree.path().join(format!("gnupg-{name}"));
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        let keyring = Self(home);
        let loopback = ["--pinentry-mode", "loopback", "--passphrase", ""];
        let user = format!("{name} <{name}@example.org>");
        keyring
            .gpg(&[&loopback[..], &["--quick-generate-key", &user, "rsa3072", "sign", "never"]].concat())?;
        tree.file(&format!("{name}.asc"), keyring.gpg(&["--armor", "--export"])?);
        tree.file(
            &format!("{name}.secret"),
            keyring.gpg(&[&loopback[..], &["--armor", "--export-secret-keys"]].concat())?,
        );
        Some(keyring)
    }

    fn gpg(&self, words: &[&str]) -> Option<Vec<u8>> {
        let output = Command::new("gpg")
            .arg("--homedir")
            .arg(&self.0)
            .args(["--batch", "--quiet"])
            .args(words)
            .output();
        let Ok(output) = output else {
            support::missing("gpg");
            return None;
        };
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Some(output.stdout)
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let _ended = Command::new("gpgconf").arg("--homedir").arg(&self.0).args(["--kill", "all"]).status();
    }
}

#[test]
fn packages_are_judged_by_the_keys_that_are_given() {
    let tree = with_kernel("sha256");
    let Some(_jane) = Keyring::new(&tree, "jane") else { return };
    let Some(_joe) = Keyring::new(&tree, "joe") else { return };
    let build = |more: &[&str]| {
        fs::remove_dir_all(tree.path().join("dist")).unwrap_or_default();
        let (code, text) = run(&tree, &[&BUILD[..4], &["-f", "deb,rpm"], more].concat());
        assert_eq!(code, Some(0), "{text}");
    };
    build(&["--sign", "jane.secret"]);
    let verify = |words: &[&str]| run(&tree, &[&["verify"], words].concat());
    assert_eq!(
        verify(&[RPM, "--key", "jane.asc"]),
        (Some(0), format!("{RPM} RSAHEADER: good, by jane <jane@example.org>\n"))
    );
    assert_eq!(verify(&[RPM, "--key", "joe.asc,jane.asc"]).0, Some(0));
    let (code, text) = verify(&[RPM, "--key", "joe.asc"]);
    assert!(code == Some(1) && text.starts_with(&format!("{RPM} RSAHEADER: unknown key, by key ")), "{text}");
    // a .deb is signed where that is asked for, and then as debsigs does it
    assert_eq!(verify(&[DEB, "--key", "jane.asc"]), (Some(1), format!("{DEB}: unsigned\n")));
    let unsigned = fs::read(tree.path().join(DEB)).unwrap();
    build(&["--sign", "jane.secret", "--sign-deb"]);
    assert_eq!(
        verify(&[DEB, "--key", "jane.asc"]),
        (Some(0), format!("{DEB} _gpgorigin: good, by jane <jane@example.org>\n"))
    );
    assert!(fs::read(tree.path().join(DEB)).unwrap().starts_with(&unsigned));
    tree.file(DEB, &unsigned);
    let (code, text) = run(&tree, &["sign", DEB, "--sign", "jane.secret"]);
    assert!(code == Some(0) && text.contains("Signed the package"), "{text}");
    assert_eq!(verify(&[DEB, RPM, "--key", "jane.asc"]).0, Some(0));
    // once more takes the place of it, and its modules make it void
    assert_eq!(run(&tree, &["sign", DEB, "--sign", "joe.secret"]).0, Some(0));
    assert_eq!(verify(&[DEB, "--key", "joe.asc"]).1.lines().count(), 1);
    // a byte of the payload, and one of the header
    for (name, at_end) in [(RPM, 20), (DEB, 1200)] {
        let mut changed = fs::read(tree.path().join(name)).unwrap();
        let at = changed.len() - at_end;
        changed[at] ^= 1;
        tree.file("changed", &changed);
        let end = if name == RPM { "changed.rpm" } else { "changed.deb" };
        fs::rename(tree.path().join("changed"), tree.path().join(end)).unwrap();
        let (code, text) = verify(&[end, "--key", "jane.asc,joe.asc"]);
        assert!(
            code == Some(1)
                && text.contains(": wrong, by ")
                && text.contains(if name == RPM { "the payload" } else { "another content" }),
            "{text}"
        );
    }
    // a key is none, a file is none
    tree.file("text", "no key");
    let (code, text) = verify(&[RPM, "--key", "text"]);
    assert!(code == Some(2) && text.contains("gpg cannot read the key"), "{text}");
    let (code, text) = verify(&["text", "--key", "jane.asc"]);
    assert!(code == Some(2) && text.contains("is no package"), "{text}");
    let (code, text) = verify(&["none.rpm", "--key", "jane.asc"]);
    assert!(code == Some(2) && text.contains("cannot read"), "{text}");
}

#[test]
fn debsig_verify_takes_what_is_signed() {
    let tree = with_kernel("sha256");
    let Some(jane) = Keyring::new(&tree, "jane") else { return };
    if Command::new("debsig-verify").arg("--version").output().is_err() {
        return support::missing("debsig-verify");
    }
    assert_eq!(run(&tree, &[&BUILD[..], &["--sign", "jane.secret", "--sign-deb"]].concat()).0, Some(0));
    let keys = String::from_utf8(jane.gpg(&["--list-keys", "--with-colons"]).unwrap()).unwrap();
    let print = keys
        .lines()
        .find_map(|line| line.strip_prefix("fpr:::::::::"))
        .unwrap()
        .trim_end_matches(':')
        .to_owned();
    // debsig-verify 0.25 takes the long id, later ones the fingerprint
    for id in [&print[24..], &print] {
        tree.file(
            &format!("policies/{id}/jane.pol"),
            format!(
                r#"<?xml version="1.0"?>
<!DOCTYPE Policy SYSTEM "https://www.debian.org/debsig/1.0/policy.dtd">
<Policy xmlns="https://www.debian.org/debsig/1.0/">
  <Origin Name="jane" id="{id}" Description="a test"/>
  <Selection><Required Type="origin" File="keyring.gpg" id="{id}"/></Selection>
  <Verification MinOptional="0"><Required Type="origin" File="keyring.gpg" id="{id}"/></Verification>
</Policy>
"#
            ),
        );
        tree.file(&format!("keyrings/{id}/keyring.gpg"), jane.gpg(&["--export"]).unwrap());
    }
    let verify = |name: &str| {
        let at = |name: &str| tree.path().join(name).display().to_string();
        let output = Command::new("debsig-verify")
            .args(["--policies-dir", &at("policies"), "--keyrings-dir", &at("keyrings"), &at(name)])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, text) = verify(DEB);
    assert!(code == Some(0) && text.contains("Verified package from"), "{text}");
    let mut changed = fs::read(tree.path().join(DEB)).unwrap();
    let at = changed.len() - 1200;
    changed[at] ^= 1;
    tree.file("changed.deb", changed);
    assert_ne!(verify("changed.deb").0, Some(0));
}

#[test]
fn texts_and_signatures_beside_packages_are_judged() {
    let tree = with_kernel("sha256");
    let Some(jane) = Keyring::new(&tree, "jane") else { return };
    let (code, text) = run(&tree, &["driver", "-f", "dsc", "--sign", "jane.secret"]);
    assert_eq!(code, Some(0), "{text}");
    // what a command is told
    let told = "echo $KPKG_SIGN_FORM $KPKG_FILE >>told; gpg --homedir gnupg-jane --batch --clearsign";
    assert_eq!(run(&tree, &["driver", "-f", "dsc", "--sign-command", told, "-o", "other"]).0, Some(0));
    let expected = "clear other/toy-dkms_1.0-1.dsc\nclear other/toy-dkms_1.0-1_source.changes\n";
    assert_eq!(fs::read_to_string(tree.path().join("told")).unwrap(), expected);
    let names = tree.names("dist");
    let named = |end: &str| format!("dist/{}", names.iter().find(|name| name.ends_with(end)).unwrap());
    let verify = |words: &[&str]| run(&tree, &[&["verify"], words, &["--key", "jane.asc"]].concat());
    let (dsc, changes) = (named(".dsc"), named(".changes"));
    let (code, text) = verify(&[&dsc, &changes]);
    assert_eq!(
        (code, text),
        (
            Some(0),
            format!("{dsc}: good, by jane <jane@example.org>\n{changes}: good, by jane <jane@example.org>\n")
        )
    );
    let archive = named(".orig.tar.xz");
    let bytes = fs::read(tree.path().join(&archive)).unwrap();
    tree.file(&archive, [&bytes[..], b"x"].concat());
    let (code, text) = verify(&[&dsc]);
    assert!(code == Some(1) && text.contains("is not the file that it names"), "{text}");
    fs::remove_file(tree.path().join(&archive)).unwrap();
    let (code, text) = verify(&[&dsc]);
    assert!(code == Some(1) && text.contains("which it names, cannot be read"), "{text}");
    tree.file(&archive, bytes);
    let text = fs::read_to_string(tree.path().join(&dsc)).unwrap();
    tree.file(&dsc, text.replacen("toy", "toi", 1));
    assert_eq!(verify(&[&dsc]).0, Some(1));
    // a signature beside a file, as makepkg makes it
    let (code, text) = run(&tree, &["driver", "-f", "pacman"]);
    assert_eq!(code, Some(0), "{text}");
    let package =
        format!("dist/{}", tree.names("dist").iter().find(|name| name.contains(".pkg.tar")).unwrap());
    assert_eq!(verify(&[&package]), (Some(1), format!("{package}: unsigned\n")));
    let at = tree.path().join(&package).display().to_string();
    jane.gpg(&["--detach-sign", &at]).unwrap();
    let (code, text) = verify(&[&package]);
    assert!(code == Some(0) && text.contains(&format!("{package}.sig: good, by jane")), "{text}");
}

#[test]
fn a_new_key_signs_below_a_ca_that_is_enrolled() {
    let tree = with_kernel("sha256");
    let (code, text) = run(&tree, &["sign", "--new-key", "Example Drivers", "-o", "keys"]);
    assert!(code == Some(0) && text.contains("mokutil --import keys/Example-Drivers-ca.der"), "{text}");
    assert_eq!(
        tree.names("keys"),
        ["Example-Drivers-ca.der", "Example-Drivers-ca.key", "Example-Drivers.key", "Example-Drivers.pem"]
    );
    let mode =
        |name: &str| fs::metadata(tree.path().join("keys").join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        [mode("Example-Drivers-ca.key"), mode("Example-Drivers.key"), mode("Example-Drivers.pem")],
        [0o600, 0o600, 0o644]
    );
    // never overwritten, and nothing is made where one is there
    let before = fs::read(tree.path().join("keys/Example-Drivers.key")).unwrap();
    for gone in ["Example-Drivers-ca.key", "Example-Drivers-ca.der", "Example-Drivers.pem"] {
        fs::rename(tree.path().join("keys").join(gone), tree.path().join(gone)).unwrap();
        let (code, text) = run(&tree, &["sign", "--new-key", "Example Drivers", "-o", "keys"]);
        assert!(code == Some(2) && text.contains("is there, and keys are not overwritten"), "{text}");
        assert!(!tree.path().join("keys").join(gone).exists());
        fs::rename(tree.path().join(gone), tree.path().join("keys").join(gone)).unwrap();
    }
    assert!(fs::read(tree.path().join("keys/Example-Drivers.key")).unwrap() == before);
    for name in ["", "-x", ".x", "a\nb", &"x".repeat(41)] {
        assert_eq!(run(&tree, &["sign", "--new-key", name, "-o", "keys"]).0, Some(2), "{name:?}");
    }
    // what openssl says of them
    if Command::new("openssl").arg("version").output().is_err() {
        return support::missing("openssl");
    }
    openssl(&tree, &["x509", "-inform", "DER", "-in", "keys/Example-Drivers-ca.der", "-out", "ca.pem"]);
    openssl(&tree, &["verify", "-x509_strict", "-CAfile", "ca.pem", "keys/Example-Drivers.pem"]);
    let output = Command::new("openssl")
        .args(["x509", "-in", "keys/Example-Drivers.pem", "-noout", "-text"])
        .current_dir(tree.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for expected in [
        "Version: 3",
        "Public-Key: (3072 bit)",
        "CA:FALSE",
        "Digital Signature",
        "Code Signing, 1.3.6.1.4.1.2312.16.1.2",
        "CN = Example Drivers module signing key",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    // a leaf in the message, and the CA enrolled
    let words = ["--sign-modules", "keys/Example-Drivers.key", "--certificate", "keys/Example-Drivers.pem"];
    assert_eq!(run(&tree, &[&BUILD[..], &words, &["--embed-certificate"]].concat()).0, Some(0));
    let ca = ["verify", DEB, "--certificate", "keys/Example-Drivers-ca.der"];
    assert_eq!(
        run(&tree, &ca),
        (Some(0), format!("{DEB} {TOY}: good, by Example Drivers module signing CA\n"))
    );
    let (_, text) = run(&tree, &["show", DEB]);
    assert!(text.contains("certificate Example Drivers module signing key, SHA-256 "), "{text}");
    // another CA, and a leaf that is not there
    assert!(pair(&tree, "other", RSA_2048));
    let (code, text) = run(&tree, &["verify", DEB, "--certificate", "other.crt"]);
    assert!(code == Some(1) && text.contains("unknown key"), "{text}");
    assert_eq!(run(&tree, &[&BUILD[..], &words].concat()).0, Some(0));
    assert_eq!(run(&tree, &ca).0, Some(1));
}

#[test]
fn what_kernels_refuse_is_wrong() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) || !pair(&tree, "b", RSA_2048) {
        return;
    }
    let plain = support::kernel::module(support::kernel::RELEASE, &[]);
    tree.file("toy.ko", &plain);
    let appended = |words: &[&str]| {
        openssl(
            &tree,
            &[
                &[
                    "cms", "-sign", "-binary", "-in", "toy.ko", "-outform", "DER", "-out", "message", "-md",
                    "sha256",
                ],
                words,
            ]
            .concat(),
        );
        let message = fs::read(tree.path().join("message")).unwrap();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let end = b"~Module signature appended~\n";
        tree.file("signed.ko", [&plain[..], &message, &[0, 0, 2, 0, 0, 0, 0, 0], &length, end].concat());
        run(&tree, &["verify", "signed.ko", "--certificate", "a.crt"])
    };
    let by_a = ["-signer", "a.crt", "-inkey", "a.key", "-nocerts"];
    assert_eq!(appended(&[&by_a[..], &["-noattr"]].concat()).0, Some(0));
    // by its key alone, which has no name to show
    assert_eq!(appended(&[&by_a[..], &["-noattr", "-keyid"]].concat()).0, Some(0));
    let (code, text) = appended(&by_a);
    assert!(code == Some(1) && text.contains("wrong") && text.contains("signed attributes"), "{text}");
    // one of two is enough, in any order, unless it does not fit
    let two =
        ["-noattr", "-nocerts", "-signer", "b.crt", "-inkey", "b.key", "-signer", "a.crt", "-inkey", "a.key"];
    assert_eq!(appended(&two).0, Some(0));
    let (_, text) = run(&tree, &["verify", "signed.ko", "--certificate", "b.crt"]);
    assert!(text.contains("good, by "), "{text}");
    let (code, text) = run(&tree, &["verify", "signed.ko", "--certificate", "a.crt", "--json"]);
    assert_eq!(code, Some(0));
    let event: serde_json::Value =
        serde_json::from_str(text.lines().find(|line| line.contains("\"verification\"")).unwrap()).unwrap();
    assert_eq!(
        (&event["verdict"], &event["subject"], event["signers"].as_array().unwrap().len()),
        (&"good".into(), &"module".into(), 2)
    );
}

#[test]
fn check_and_show_tell_who_signed_and_whether_the_kernel_can_judge_it() {
    let tree = with_kernel("sha256");
    if !pair(&tree, "a", RSA_2048) || !pair(&tree, "c", P256) {
        return;
    }
    let more = "CONFIG_CRYPTO_SHA256=y\nCONFIG_CRYPTO_SHA512=m\nCONFIG_MODULE_COMPRESS_ZSTD=y\n";
    let config = fs::read_to_string(tree.path().join("headers/include/config/auto.conf")).unwrap();
    tree.file("headers/include/config/auto.conf", format!("{config}{more}"));
    let plain = support::kernel::module(support::kernel::RELEASE, &[]);
    tree.file("toy.ko", &plain);
    let release = support::kernel::RELEASE;
    let check = |file: &str| run(&tree, &["check", "-v", file, "--kernel-headers", "headers"]);
    let sign = |words: &[&str]| {
        tree.file("toy.ko", &plain);
        let (code, text) = run(&tree, &[&["sign", "toy.ko"], words].concat());
        assert_eq!(code, Some(0), "{text}");
        let (code, text) = check("toy.ko");
        (code, text, run(&tree, &["show", "toy.ko", "--kernel-headers", "headers"]).1)
    };
    let a = ["--key", "a.key", "--certificate", "a.crt"];
    let (code, text, shown) = sign(&a);
    assert!(code == Some(0) && text.contains("note[K0863]: `toy.ko`: signed by a over sha256"), "{text}");
    assert!(shown.contains(&format!("judging it  the kernel {release} can")), "{shown}");
    let (code, text, shown) = sign(&[&a[..], &["--hash", "sha512"]].concat());
    let why = format!(
        "the kernel `{release}` cannot judge its signature: CONFIG_CRYPTO_SHA512 is a module, which is there too late"
    );
    assert!(code == Some(0) && text.contains(&format!("warning[K0862]: `toy.ko`: {why}")), "{text}");
    assert!(shown.contains("cannot: CONFIG_CRYPTO_SHA512 is a module"), "{shown}");
    // two, of which one is enough for nobody; certificates that come along
    let (_, text, _) = sign(&["--key", "a.key,c.key", "--certificate", "a.crt,c.crt", "--embed-certificate"]);
    assert!(text.contains("CONFIG_CRYPTO_ECDSA is not built in"), "{text}");
    assert!(text.contains(" and by "), "{text}");
    for name in ["a", "c"] {
        assert!(text.contains(&format!(", with the certificate of {name}")), "{text}");
    }
    // older ones, and junk
    sign(&a);
    let signed = fs::read(tree.path().join("toy.ko")).unwrap();
    tree.file("toy.ko", [&signed[..], &signed[plain.len()..]].concat());
    assert!(check("toy.ko").1.contains("note[K0864]: `toy.ko`: 1 before its last signature"));
    tree.file("toy.ko", [&signed[..], b"\n"].concat());
    let (code, text) = check("toy.ko");
    assert!(
        code == Some(3) && text.contains("error[K0861]: `toy.ko`: something is written behind it"),
        "{text}"
    );
    // how it is compressed
    for (words, expected) in [
        (&["xz", "--check=crc64"][..], Some("a check that the kernel's own decoder of xz does not know")),
        (&["xz", "--check=crc32"], Some("compressed with xz, the own modules of")),
        (&["zstd", "-q", "--rm"], None),
    ] {
        tree.file("toy.ko", &signed);
        let done = Command::new(words[0]).args(&words[1..]).arg("toy.ko").current_dir(tree.path()).status();
        assert!(done.unwrap().success());
        let name = if words[0] == "xz" { "toy.ko.xz" } else { "toy.ko.zst" };
        let (_, text) = check(name);
        match expected {
            Some(expected) => assert!(text.contains("K0866") && text.contains(expected), "{words:?}: {text}"),
            None => assert!(!text.contains("K0866"), "{text}"),
        }
        fs::remove_file(tree.path().join(name)).unwrap();
    }
    // some of a package; without headers nothing is said of kernels
    let (code, text) =
        run(&tree, &[&BUILD[..], &["--sign-modules", "a.key", "--certificate", "a.crt"]].concat());
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&tree, &["check", "-v", DEB]);
    assert!(
        code == Some(0) && text.contains("K0863") && !text.contains("K0862") && !text.contains("K0865"),
        "{text}"
    );
}

#[test]
fn a_signature_that_some_rpm_refuses_is_doubtful() {
    let tree = with_kernel("sha256");
    let home = tree.path().join("gnupg-curve");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    let keyring = Keyring(home);
    let words = [
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
        "--quick-generate-key",
        "curve",
        "ed25519",
        "sign",
        "never",
    ];
    if keyring.gpg(&words).is_none() {
        return;
    }
    tree.file(
        "curve.secret",
        keyring
            .gpg(&["--pinentry-mode", "loopback", "--passphrase", "", "--armor", "--export-secret-keys"])
            .unwrap(),
    );
    let build = |target: &str, sign: &[&str]| {
        fs::remove_dir_all(tree.path().join("dist")).unwrap_or_default();
        let (code, text) = run(&tree, &[&["driver", "--target", target], sign].concat());
        assert_eq!(code, Some(0), "{text}");
        text
    };
    let by_key = ["--sign", "curve.secret"];
    let warned = |text: &str| text.contains("warning[K0144]: the package manager of");
    assert!(warned(&build("suse-15", &by_key)));
    assert!(!warned(&build("rhel-9", &by_key)) && !warned(&build("fedora-43", &by_key)));
    let sha512 = format!("gpg --homedir {} --batch --digest-algo SHA512 --detach-sign", keyring.0.display());
    assert!(warned(&build("rhel-9", &["--sign-command", &sha512])));
    // whom a finished one is for is not known
    let (_, text) = run(&tree, &["sign", "dist/toy-dkms-1.0-1.noarch.rpm", "--sign", "curve.secret"]);
    assert!(warned(&text), "{text}");
    let Some(_jane) = Keyring::new(&tree, "jane") else { return };
    assert!(!warned(&build("rpm", &["--sign", "jane.secret"])));
}

/// An .rpm with one more entry of strings in its signature header, as rpmsign adds the signatures of single files.
fn with_signature_entry(bytes: &[u8], tag: u32, strings: &[&str]) -> Vec<u8> {
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let (count, size) = (number(96 + 8), number(96 + 12));
    let (index, store) = (112, 112 + count * 16);
    // the data stand in the order of the tags, and the region's trailer last
    let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for at in (index + 16..store).step_by(16) {
        let next = if at + 16 < store { number(at + 24) } else { size - 16 };
        let mut content = bytes[store + number(at + 8)..store + next].to_vec();
        if [6, 8].contains(&number(at + 4)) {
            // without what fills up to the next number
            let ends = content.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(end, _)| end + 1);
            content.truncate(ends.take(number(at + 12)).last().unwrap());
        }
        entries.push((bytes[at..at + 16].to_vec(), content));
    }
    let words = [tag, 8, 0, u32::try_from(strings.len()).unwrap()];
    let data = strings.iter().flat_map(|text| text.bytes().chain([0])).collect();
    entries.push((words.iter().flat_map(|word| word.to_be_bytes()).collect(), data));
    entries.sort();
    let (mut index_of, mut data) = (Vec::new(), Vec::new());
    for (mut entry, content) in entries {
        // numbers of 32 bits stand at such places
        let is_number = entry[7] == 4;
        data.resize(if is_number { data.len().next_multiple_of(4) } else { data.len() }, 0);
        entry[8..12].copy_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        index_of.extend(entry);
        data.extend(content);
    }
    let mut region = bytes[index..index + 16].to_vec();
    region[8..12].copy_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
    let mut trailer = region.clone();
    let back = -i32::try_from((count + 1) * 16).unwrap();
    trailer[8..12].copy_from_slice(&back.to_be_bytes());
    data.extend(trailer);
    let sizes = [count + 1, data.len()].map(|number| u32::try_from(number).unwrap().to_be_bytes()).concat();
    let old_end = store + size + size.wrapping_neg() % 8;
    let fill = vec![0; data.len().wrapping_neg() % 8];
    [&bytes[..104], &sizes, &region, &index_of, &data, &fill, &bytes[old_end..]].concat()
}

#[test]
fn signatures_of_single_files_are_dropped_where_that_is_asked_for() {
    let tree = with_kernel("sha256");
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    assert_eq!(run(&tree, &[&BUILD[..4], &["-f", "rpm"]].concat()).0, Some(0));
    let plain = fs::read(tree.path().join(RPM)).unwrap();
    let files = run(&tree, &["show", RPM, "--files"]).1.lines().filter(|line| line.contains('/')).count();
    let signatures = vec!["0302041122334455"; files];
    for tag in [274, 276] {
        tree.file(RPM, with_signature_entry(&plain, tag, &signatures));
        let with = fs::read(tree.path().join(RPM)).unwrap();
        if let Ok(output) = Command::new("rpm").args(["-qp", RPM]).current_dir(tree.path()).output() {
            assert!(output.status.success(), "{output:?}");
        }
        let words = ["sign", RPM, "--key", "a.key", "--certificate", "a.crt"];
        let (code, text) = run(&tree, &words);
        assert!(
            code == Some(2)
                && text.contains("has signatures of its files (IMA or fs-verity)")
                && text.contains("--drop-file-signatures"),
            "{text}"
        );
        assert!(fs::read(tree.path().join(RPM)).unwrap() == with);
        let (code, text) = run(&tree, &[&words[..], &["--drop-file-signatures"]].concat());
        let name = if tag == 274 { "FILESIGNATURES" } else { "VERITYSIGNATURES" };
        assert!(code == Some(0) && text.contains(&format!("the signature {name} is void")), "{text}");
        let dropped = fs::read(tree.path().join(RPM)).unwrap();
        tree.file(RPM, &plain);
        assert_eq!(run(&tree, &words).0, Some(0));
        assert!(fs::read(tree.path().join(RPM)).unwrap() == dropped);
    }
}
