//! Who signs modules: keys under a password, tokens, services, two passes; and what kpkg says when one of them fails.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::sign::{BUILD, DEB, P256, P384, RSA_2048, RSA_4096, openssl, pair, run, with_kernel};
use crate::support::{self, Tree};

const PIN: &str = "73546";
const RPM: &str = "dist/kmod-toy-6.1.0-1-toy-1.0-1.x86_64.rpm";

/// A run with more in its environment.
fn run_with(tree: &Tree, variables: &[(&str, &str)], words: &[&str]) -> (Option<i32>, String) {
    let mut command = tree.command(words);
    command.env("KPKG_CACHE", tree.path().join("cache")).env("PATH", "/usr/bin:/bin");
    let output = command.envs(variables.iter().copied()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// A module file that nobody has signed.
fn module(tree: &Tree, name: &str) {
    tree.file(name, support::kernel::module(support::kernel::RELEASE, &[]));
}

/// Signing that has to fail: with this code and these words, and without a change.
fn refused(tree: &Tree, variables: &[(&str, &str)], words: &[&str], code: i32, expected: &str) {
    module(tree, "toy.ko");
    let before = fs::read(tree.path().join("toy.ko")).unwrap();
    let (found, text) = run_with(tree, variables, &[&["sign", "toy.ko"], words].concat());
    assert!(found == Some(code) && text.contains(expected), "{words:?}: {found:?} {text}");
    assert!(!text.contains(PIN), "{words:?}: {text}");
    assert!(fs::read(tree.path().join("toy.ko")).unwrap() == before, "{words:?}");
}

#[test]
fn a_key_under_a_password_takes_it_from_the_environment() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    openssl(
        &tree,
        &["pkcs8", "-topk8", "-in", "a.key", "-passout", &format!("pass:{PIN}"), "-out", "locked.pem"],
    );
    openssl(
        &tree,
        &[
            "pkcs8",
            "-in",
            "locked.pem",
            "-passin",
            &format!("pass:{PIN}"),
            "-topk8",
            "-v2",
            "aes-256-cbc",
            "-outform",
            "DER",
            "-passout",
            &format!("pass:{PIN}"),
            "-out",
            "locked.der",
        ],
    );
    module(&tree, "plain.ko");
    assert_eq!(run(&tree, &["sign", "plain.ko", "--key", "a.key", "--certificate", "a.crt"]).0, Some(0));
    for key in ["locked.pem", "locked.der"] {
        module(&tree, "toy.ko");
        let (code, text) = run_with(
            &tree,
            &[("KBUILD_SIGN_PIN", PIN)],
            &["sign", "toy.ko", "--key", key, "--certificate", "a.crt"],
        );
        assert_eq!(code, Some(0), "{key}: {text}");
        assert!(
            fs::read(tree.path().join("toy.ko")).unwrap() == fs::read(tree.path().join("plain.ko")).unwrap()
        );
        let words = ["--key", key, "--certificate", "a.crt"];
        refused(&tree, &[], &words, 2, "give the password in KBUILD_SIGN_PIN");
        refused(
            &tree,
            &[("KBUILD_SIGN_PIN", "9876")],
            &words,
            2,
            "does not open with the password in KBUILD_SIGN_PIN",
        );
    }
}

#[test]
fn keys_and_certificates_that_kernels_do_not_take_are_named() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    assert!(pair(&tree, "e", &["-algorithm", "ED25519"]));
    assert!(pair(&tree, "p", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"]));
    openssl(&tree, &["ec", "-in", "p.key", "-out", "sec1.key"]);
    openssl(&tree, &["pkcs8", "-topk8", "-nocrypt", "-in", "p.key", "-outform", "DER", "-out", "p.der"]);
    let words = |key, certificate| ["--key", key, "--certificate", certificate];
    refused(&tree, &[], &words("e.key", "e.crt"), 2, "has a key of Ed25519");
    refused(&tree, &[], &words("p.key", "p.crt"), 2, "has a key of P-521");
    for key in ["p.key", "sec1.key", "p.der"] {
        refused(&tree, &[], &words(key, "a.crt"), 2, "is a key of P-521, with which kpkg does not sign");
    }
    refused(&tree, &[], &words("a.crt", "a.crt"), 2, "is no private key");
    refused(&tree, &[], &words("a.key", "a.key"), 2, "is no certificate");
    tree.file("empty", "");
    refused(&tree, &[], &words("empty", "a.crt"), 2, "is no private key");
    refused(&tree, &[], &words("a.key", "empty"), 2, "is no certificate");
    let mut cut = fs::read(tree.path().join("a.crt")).unwrap();
    cut.truncate(cut.len() / 2);
    tree.file("cut.crt", cut);
    refused(&tree, &[], &words("a.key", "cut.crt"), 2, "is no certificate");
}

#[test]
fn a_certificate_that_has_expired_is_a_warning() {
    let tree = with_kernel("sha256");
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    // openssl req has no dates of its own; x509 takes none in the past, but zero days are over at once
    openssl(&tree, &["req", "-new", "-key", "a.key", "-subj", "/CN=old", "-out", "a.csr"]);
    openssl(&tree, &["x509", "-req", "-in", "a.csr", "-signkey", "a.key", "-days", "-1", "-out", "old.crt"]);
    module(&tree, "toy.ko");
    let (code, text) = run(&tree, &["sign", "toy.ko", "--key", "a.key", "--certificate", "old.crt"]);
    assert!(
        code == Some(0) && text.contains("warning[K0143]: the certificate of `old` expired on "),
        "{text}"
    );
    assert_eq!(run(&tree, &["verify", "toy.ko", "--certificate", "old.crt"]).0, Some(0));
    let (code, text) =
        run(&tree, &[&BUILD[..], &["--sign-modules", "a.key", "--certificate", "old.crt"]].concat());
    assert!(code == Some(0) && text.contains("warning[K0143]"), "{text}");
    // below a CA that kernels would not find, which does not matter where the certificate itself is enrolled
    assert!(pair(&tree, "ca", RSA_2048));
    let leaf = [
        "x509",
        "-req",
        "-in",
        "a.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-set_serial",
        "7",
        "-days",
        "30",
        "-out",
        "leaf.crt",
    ];
    openssl(&tree, &leaf);
    let below = |more: &[&str]| {
        module(&tree, "toy.ko");
        let (code, text) =
            run(&tree, &[&["sign", "toy.ko", "--key", "a.key", "--certificate", "leaf.crt"], more].concat());
        assert_eq!(code, Some(0), "{text}");
        text
    };
    assert!(!below(&[]).contains("K0145"));
    assert!(
        below(&["--embed-certificate"]).contains("warning[K0145]: the certificate of `old` does not say")
    );
    assert_eq!(run(&tree, &["verify", "toy.ko", "--certificate", "ca.crt"]).0, Some(1));
    assert_eq!(run(&tree, &["verify", "toy.ko", "--certificate", "leaf.crt"]).0, Some(0));
}

#[test]
fn a_command_that_does_not_do_it_changes_nothing() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    let sign = |command: &'static str| ["--command", command, "--certificate", "a.crt"];
    let begun = std::time::Instant::now();
    let slow = [&sign("sleep 100; cat")[..], &["--timeout", "1"]].concat();
    refused(&tree, &[], &slow, 1, "does not sign within 1 seconds");
    let behind = [&sign("(sleep 100) | cat")[..], &["--timeout", "1"]].concat();
    refused(&tree, &[], &behind, 1, "`--timeout SECONDS` gives it more time");
    assert!(begun.elapsed().as_secs() < 60);
    refused(&tree, &[], &sign("yes"), 2, "does not sign `toy.ko`: it ends with");
    refused(&tree, &[], &sign("head -c 70000 /dev/zero"), 2, "does not fit");
    refused(&tree, &[], &sign("echo no token; exit 1"), 2, "it ends with exit status: 1");
    refused(&tree, &[], &sign("echo the slot is empty >&2; exit 1"), 2, "the slot is empty");
    refused(&tree, &[], &sign("kpkg-no-such-program"), 2, "not found");
    // the signature of another digest
    let other = sign(
        "head -c 32 /dev/zero | openssl pkeyutl -sign -inkey a.key -pkeyopt digest:sha256 -pkeyopt rsa_padding_mode:pkcs1",
    );
    refused(&tree, &[], &other, 2, "does not fit");
    // one signs the first module and not the second: neither is written
    module(&tree, "one.ko");
    module(&tree, "two.ko");
    let before = fs::read(tree.path().join("one.ko")).unwrap();
    let once =
        "test ! -e used && touch used && openssl pkeyutl -sign -inkey a.key -pkeyopt digest:$KPKG_HASH";
    let (code, text) = run(&tree, &[&["sign", "one.ko", "two.ko"][..], &sign(once)].concat());
    assert!(code == Some(2) && text.contains("does not sign `two.ko`"), "{text}");
    for name in ["one.ko", "two.ko"] {
        assert!(fs::read(tree.path().join(name)).unwrap() == before, "{name}");
    }
    assert!(!tree.names(".").iter().any(|name| name.starts_with(".kpkg")), "{:?}", tree.names("."));
}

#[test]
fn many_files_are_signed_at_once_and_none_twice() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    let names: Vec<String> = (0..100).map(|index| format!("many/{index}.ko")).collect();
    for name in &names {
        module(&tree, name);
    }
    let kpkg = env!("CARGO_BIN_EXE_kpkg");
    let status = Command::new("bash")
        .args(["-c", "ulimit -n 40; exec \"$0\" sign -q --key a.key --certificate a.crt \"$@\"", kpkg])
        .args(&names)
        .current_dir(tree.path())
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let words: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(run(&tree, &[&["verify", "--certificate", "a.crt"], &words[..]].concat()).0, Some(0));
    assert_eq!(tree.names("many").len(), 100);
    let before = fs::read(tree.path().join("many/1.ko")).unwrap();
    module(&tree, "elsewhere/1.ko");
    for words in [["many/1.ko", "many/../many/1.ko", "many/2.ko"], ["many/1.ko", "elsewhere/1.ko", "-oout"]] {
        let (code, text) =
            run(&tree, &[&["sign", "--key", "a.key", "--certificate", "a.crt"], &words[..]].concat());
        assert!(code == Some(2) && text.contains("would be written twice"), "{words:?}: {text}");
    }
    assert!(fs::read(tree.path().join("many/1.ko")).unwrap() == before);
    assert_eq!(tree.names("out"), [""; 0]);
}

/// More than is held at once: each module gets its own signature, wherever it stands in the package.
#[test]
fn modules_that_are_not_held_at_once_are_signed_each() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    let folder = "many/lib/modules/6.1.0-1-toy/updates";
    let sizes = [9_usize, 9, 0, 9, 9, 0];
    for (index, size) in sizes.iter().enumerate() {
        let mut bytes = support::kernel::module(&format!("6.1.{index}"), &[]);
        bytes.resize(bytes.len() + (size << 20), 0);
        tree.file(&format!("{folder}/{index}.ko"), bytes);
    }
    let control =
        "Package: many\nVersion: 1\nArchitecture: amd64\nMaintainer: J <j@example.org>\nDescription: x\n x\n";
    tree.file("many/DEBIAN/control", control);
    let built = Command::new("dpkg-deb")
        .args(["-Znone", "--build", "many", "many.deb"])
        .current_dir(tree.path())
        .output();
    assert!(built.unwrap().status.success());
    let (code, text) = run(&tree, &["sign", "many.deb", "--key", "a.key", "--certificate", "a.crt"]);
    assert!(code == Some(0) && text.contains("Signed 6 modules"), "{text}");
    let (code, text) = run(&tree, &["verify", "many.deb", "--certificate", "a.crt"]);
    assert!(code == Some(0) && text.matches(": good, by a").count() == 6, "{text}");
    // each is what it was, and signed
    let unpacked =
        Command::new("dpkg-deb").args(["-x", "many.deb", "signed"]).current_dir(tree.path()).status();
    assert!(unpacked.unwrap().success());
    for index in 0..sizes.len() {
        let read = |folder: &str| fs::read(tree.path().join(folder).join(format!("{index}.ko"))).unwrap();
        assert!(read(&folder.replace("many", "signed")).starts_with(&read(folder)), "{index}");
    }
}

/// A token `vendor` of softhsm with the keys of these pairs, and what names it; nothing where there is no softhsm.
fn token(tree: &Tree, names: &[&str]) -> Option<(PathBuf, String)> {
    let library = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/libsofthsm2.so"]
        .into_iter()
        .find(|path| fs::exists(path).unwrap());
    let Some(library) = library else {
        support::missing("libsofthsm2.so (of softhsm2)");
        return None;
    };
    fs::create_dir(tree.path().join("tokens")).unwrap();
    let text = format!("directories.tokendir = {}\n", tree.path().join("tokens").display());
    tree.file("softhsm2.conf", text);
    let configuration = tree.path().join("softhsm2.conf");
    let softhsm = |words: &[&str]| {
        let output = Command::new("softhsm2-util")
            .args(words)
            .current_dir(tree.path())
            .env("SOFTHSM2_CONF", &configuration)
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    softhsm(&["--init-token", "--free", "--label", "vendor", "--pin", PIN, "--so-pin", "99887766"]);
    for (index, name) in names.iter().enumerate() {
        let (key, id) = (format!("{name}.p8"), format!("0{index}"));
        openssl(tree, &["pkcs8", "-topk8", "-nocrypt", "-in", &format!("{name}.key"), "-out", &key]);
        softhsm(&["--import", &key, "--token", "vendor", "--label", name, "--id", &id, "--pin", PIN]);
    }
    Some((configuration, library.to_owned()))
}

#[test]
fn a_token_signs_what_the_key_in_it_signs() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048)
        || !pair(&tree, "b", RSA_4096)
        || !pair(&tree, "c", P256)
        || !pair(&tree, "d", P384)
    {
        return;
    }
    let Some((configuration, library)) = token(&tree, &["a", "b", "c", "d"]) else { return };
    let configuration = configuration.to_str().unwrap();
    let there = [("SOFTHSM2_CONF", configuration)];
    let with_pin = [there[0], ("KBUILD_SIGN_PIN", PIN)];
    let uri = |rest: &str| format!("pkcs11:{rest}?module-path={library}");
    for (name, hash) in [("a", "sha256"), ("b", "sha512"), ("c", "sha256"), ("c", "sha512"), ("d", "sha384")]
    {
        let (key, certificate) = (uri(&format!("token=vendor;object={name}")), format!("{name}.crt"));
        module(&tree, "toy.ko");
        let words = ["sign", "toy.ko", "--hash", hash, "--key", &key, "--certificate", &certificate];
        let (code, text) = run_with(&tree, &with_pin, &words);
        assert_eq!(code, Some(0), "{name}: {text}");
        assert_eq!(run(&tree, &["verify", "toy.ko", "--certificate", &certificate]).0, Some(0), "{name}");
        if ["a", "b"].contains(&name) {
            module(&tree, "file.ko");
            let file = format!("{name}.key");
            assert_eq!(
                run(
                    &tree,
                    &["sign", "file.ko", "--hash", hash, "--key", &file, "--certificate", &certificate]
                )
                .0,
                Some(0)
            );
            assert!(
                fs::read(tree.path().join("toy.ko")).unwrap()
                    == fs::read(tree.path().join("file.ko")).unwrap()
            );
        }
    }
    // by its number, with the PIN in a file; two keys of one token in one message
    tree.file("pin", format!("{PIN}\n"));
    let pin = tree.path().join("pin").display().to_string();
    let keys = format!(
        "{},{}",
        format_args!("{}&pin-source=file:{pin}", uri("token=vendor;id=%00")),
        uri("token=vendor;object=c")
    );
    module(&tree, "toy.ko");
    let (code, text) =
        run_with(&tree, &there, &["sign", "toy.ko", "--key", &keys, "--certificate", "a.crt,c.crt"]);
    assert_eq!(code, Some(0), "{text}");
    for name in ["a.crt", "c.crt"] {
        assert_eq!(run(&tree, &["verify", "toy.ko", "--certificate", name]).0, Some(0), "{name}");
    }
    let words =
        |key: &str| ["--key".to_owned(), key.to_owned(), "--certificate".to_owned(), "a.crt".to_owned()];
    let refuse = |variables: &[(&str, &str)], key: &str, code: i32, expected: &str| {
        let words = words(key);
        refused(&tree, variables, &words.iter().map(String::as_str).collect::<Vec<_>>(), code, expected);
    };
    refuse(&there, &uri("token=vendor;object=a"), 2, "wants a PIN");
    refuse(&with_pin, &uri("token=other;object=a"), 5, "there are: `vendor`");
    refuse(&with_pin, &uri("token=vendor;object=x"), 2, "it has: ");
    refuse(&with_pin, &uri("token=vendor"), 2, "several private keys");
    refuse(&with_pin, &uri("token=vendor;object=b"), 2, "does not fit the certificate of `a`");
    refuse(&with_pin, "pkcs11:token=vendor?module-path=/nowhere.so", 5, "`/nowhere.so` cannot be loaded");
    refuse(&there, &format!("{}&pin-value={PIN}", uri("token=vendor;object=a")), 2, "has the PIN in it");
    refuse(
        &there,
        &format!("{}&pin-source=/nowhere", uri("token=vendor;object=a")),
        2,
        "cannot read the PIN from",
    );
    // tried once: softhsm counts, and says after the first failure that the count is low
    refuse(&[there[0], ("KBUILD_SIGN_PIN", "1111")], &uri("token=vendor;object=a"), 2, "it was tried once");
    // the token goes while it is in use
    for index in 0..60 {
        module(&tree, &format!("many/{index}.ko"));
    }
    let names: Vec<String> = (0..60).map(|index| format!("many/{index}.ko")).collect();
    let before = fs::read(tree.path().join("many/0.ko")).unwrap();
    let key = uri("token=vendor;object=a");
    let words = [
        &["sign", "--key", &key, "--certificate", "a.crt"],
        names.iter().map(String::as_str).collect::<Vec<_>>().as_slice(),
    ]
    .concat();
    let mut command = tree.command(&words);
    command.env("PATH", "/usr/bin:/bin").envs(with_pin);
    let child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while fs::read_dir(tree.path().join("many"))
        .unwrap()
        .flatten()
        .all(|entry| !entry.file_name().to_string_lossy().starts_with(".kpkg"))
    {
        std::thread::yield_now();
    }
    fs::remove_dir_all(tree.path().join("tokens")).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.contains("the token `vendor` does not sign"), "{text}");
    assert!(!text.contains(PIN), "{text}");
    assert!(names.iter().all(|name| fs::read(tree.path().join(name)).unwrap() == before));
}

#[test]
fn a_token_can_be_asked_by_a_command() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    let Some((configuration, library)) = token(&tree, &["a"]) else { return };
    if Command::new("pkcs11-tool").output().is_err() {
        return support::missing("pkcs11-tool (of opensc)");
    }
    let command = format!(
        "cat >in; SOFTHSM2_CONF={} pkcs11-tool --module {library} --token-label vendor --label a --login --pin {PIN} \
         --sign --mechanism RSA-PKCS --input-file in --output-file out >&2; cat out",
        configuration.display()
    );
    module(&tree, "toy.ko");
    let words = ["sign", "toy.ko", "--command", &command, "--input", "digest-info", "--certificate", "a.crt"];
    let (code, text) = run(&tree, &words);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(run(&tree, &["verify", "toy.ko", "--certificate", "a.crt"]).0, Some(0));
}

/// A program that ends with the test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Answers as Vault's transit engine, Azure's Key Vault and AWS's KMS do: by the path that is asked for.
const SERVICE: &str = r#"
import base64, http.server, json, subprocess, sys
class Service(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words): pass
    def do_POST(self):
        digest = base64.b64decode(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["digest"])
        key = "a.key" if self.path.startswith("/rsa") else "c.key"
        more = ["-pkeyopt", "digest:sha256"] if key == "a.key" else []
        made = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", key] + more, input=digest, capture_output=True).stdout
        if self.path.endswith("jws") and key == "c.key":
            r, s = made[4:4 + made[3]], made[6 + made[3]:]
            made = b"".join(int.from_bytes(number, "big").to_bytes(32, "big") for number in (r, s))
        if self.path.endswith("vault"): answer = {"data": {"signature": "vault:v1:" + base64.b64encode(made).decode()}}
        elif self.path.endswith("jws"): answer = {"value": base64.urlsafe_b64encode(made).decode().rstrip("=")}
        else: answer = {"Signature": base64.b64encode(made).decode()}
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps(answer).encode())
server = http.server.HTTPServer(("127.0.0.1", 0), Service)
print(server.server_port, flush=True)
server.serve_forever()
"#;

#[test]
fn services_answer_in_their_own_shapes() {
    use std::io::BufRead;
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) || !pair(&tree, "c", P256) {
        return;
    }
    for program in ["curl", "jq", "python3"] {
        if Command::new(program).arg("--version").output().is_err() {
            return support::missing(program);
        }
    }
    tree.file("service.py", SERVICE);
    let mut service = Ended(
        Command::new("python3")
            .arg("service.py")
            .current_dir(tree.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut port = String::new();
    std::io::BufReader::new(service.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    for (path, field) in [
        ("rsa/vault", ".data.signature"),
        ("rsa/jws", ".value"),
        ("rsa/kms", ".Signature"),
        ("ec/vault", ".data.signature"),
        ("ec/jws", ".value"),
        ("ec/kms", ".Signature"),
    ] {
        let certificate = if path.starts_with("rsa") { "a.crt" } else { "c.crt" };
        let command = format!(
            "printf '{{\"digest\":\"%s\"}}' $(base64 -w 0) | curl -sf --noproxy '*' -d @- http://127.0.0.1:{}/{path} | jq -er {field}",
            port.trim()
        );
        module(&tree, "toy.ko");
        let (code, text) =
            run(&tree, &["sign", "toy.ko", "--command", &command, "--certificate", certificate]);
        assert_eq!(code, Some(0), "{path}: {text}");
        assert_eq!(run(&tree, &["verify", "toy.ko", "--certificate", certificate]).0, Some(0), "{path}");
    }
}

#[test]
fn two_passes_take_all_signatures_or_none() {
    let tree = with_kernel("sha256");
    if !pair(&tree, "a", RSA_2048) || !pair(&tree, "b", RSA_2048) {
        return;
    }
    assert_eq!(run(&tree, &[&BUILD[..4], &["-f", "deb,rpm"]].concat()).0, Some(0));
    module(&tree, "other.ko");
    let files = [DEB, RPM, "other.ko"];
    let read = || files.map(|file| fs::read(tree.path().join(file)).unwrap());
    let before = read();
    assert_eq!(
        run(&tree, &[&["sign", "--export", "one", "--hash", "sha512"], &files[..]].concat()).0,
        Some(0)
    );
    let names: Vec<_> = tree.names("one").into_iter().filter(|name| name.ends_with(".digest")).collect();
    assert_eq!(names.len(), 2);
    let copy = |to: &str| {
        for name in tree.names("one") {
            tree.file(&format!("{to}/{name}"), fs::read(tree.path().join("one").join(&name)).unwrap());
        }
    };
    copy("two");
    let sign = |folder: &str, key: &str, name: &str| {
        let (digest, signature) =
            (format!("{folder}/{name}"), format!("{folder}/{}", name.replace("digest", "sig")));
        openssl(
            &tree,
            &[
                "pkeyutl",
                "-sign",
                "-inkey",
                key,
                "-pkeyopt",
                "digest:sha512",
                "-in",
                &digest,
                "-out",
                &signature,
            ],
        );
    };
    let attach = |more: &[&str]| run(&tree, &[&["sign"], &files[..], more].concat());
    let refused = |more: &[&str], expected: &str| {
        let (code, text) = attach(more);
        assert!(code == Some(2) && text.contains(expected), "{more:?}: {text}");
        assert!(read() == before, "{more:?}");
    };
    let one = ["--attach", "one", "--certificate", "a.crt"];
    refused(&one, "2 of 2 signatures are missing");
    sign("one", "a.key", &names[0]);
    refused(&one, "1 of 2 signatures are missing");
    sign("one", "a.key", &names[1]);
    // that of another module, of another key, twice in one file, of nothing
    let good = fs::read(tree.path().join("one").join(names[1].replace("digest", "sig"))).unwrap();
    let place = format!("one/{}", names[1].replace("digest", "sig"));
    let other = fs::read(tree.path().join("one").join(names[0].replace("digest", "sig"))).unwrap();
    for wrong in [other, [good.clone(), good.clone()].concat(), Vec::new(), b"no signature".to_vec()] {
        tree.file(&place, wrong);
        refused(&one, "does not fit");
    }
    tree.file(&place, &good);
    refused(&["--attach", "one", "--certificate", "b.crt"], "does not fit");
    tree.file(&format!("one/{}.sig", "0".repeat(64)), &good);
    refused(&one, "is a signature of nothing that was exported");
    fs::remove_file(tree.path().join(format!("one/{}.sig", "0".repeat(64)))).unwrap();
    // a manifest that leads elsewhere, or is none
    let manifest = fs::read_to_string(tree.path().join("one/manifest.json")).unwrap();
    let name = names[0].trim_end_matches(".digest");
    for (text, expected) in [
        (manifest.replace(name, "../../etc/passwd"), "which is no SHA-256"),
        (manifest.replace("/lib/modules", "/lib/../../modules"), "which leaves its package"),
        (manifest.replacen("sha512", "md5", 1), "names the digest `md5`"),
        (manifest.replacen("sha512", "sha256", 1), "with two digests"),
        (manifest[..manifest.len() / 2].to_owned(), "is no manifest"),
        ("{}".to_owned(), "is no manifest"),
        ("[]".to_owned(), "is a signature of nothing that was exported"),
    ] {
        tree.file("one/manifest.json", text);
        refused(&one, expected);
    }
    tree.file("one/manifest.json", &manifest);
    // another module than was exported
    let mut changed = fs::read(tree.path().join("other.ko")).unwrap();
    changed.push(0);
    tree.file("changed.ko", changed);
    let (code, text) = run(&tree, &[&["sign", "changed.ko"][..], &one].concat());
    assert!(code == Some(2) && text.contains("is not what was exported"), "{text}");
    // both keys in one message, as when they sign directly
    for name in &names {
        sign("two", "b.key", name);
    }
    refused(&["--attach", "one,two", "--certificate", "a.crt"], "2 folders of signatures and 1 certificates");
    let (code, text) = attach(&["--attach", "one,two", "--certificate", "a.crt,b.crt"]);
    assert_eq!(code, Some(0), "{text}");
    let attached = read();
    for (file, bytes) in files.iter().zip(&before) {
        tree.file(file, bytes);
    }
    assert_eq!(
        attach(&["--key", "a.key,b.key", "--certificate", "a.crt,b.crt", "--hash", "sha512"]).0,
        Some(0)
    );
    assert!(read() == attached);
}

#[test]
fn what_stands_behind_a_module_is_a_signature_or_refused() {
    let tree = Tree::empty();
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    let words = ["sign", "toy.ko", "--key", "a.key", "--certificate", "a.crt"];
    module(&tree, "toy.ko");
    assert_eq!(run(&tree, &words).0, Some(0));
    let signed = fs::read(tree.path().join("toy.ko")).unwrap();
    let end = signed.len();
    // the bytes of `struct module_signature`, and of the message
    let with = |at: usize, byte: u8| {
        let mut changed = signed.clone();
        changed[end - at] = byte;
        changed
    };
    for (bytes, expected) in [
        (with(32, 0xff), "its length reaches beyond"),
        (with(38, 1), "it is of a kind that no kernel takes"),
        (with(40, 1), "that have to be zero"),
        (with(35, 1), "that have to be zero"),
    ] {
        tree.file("toy.ko", &bytes);
        let (code, text) = run(&tree, &words);
        assert!(code == Some(2) && text.contains(expected), "{expected}: {text}");
        assert!(fs::read(tree.path().join("toy.ko")).unwrap() == bytes);
        let (code, text) = run(&tree, &["verify", "toy.ko", "--certificate", "a.crt"]);
        assert!(code == Some(1) && text.contains("wrong") && text.contains(expected), "{text}");
        let (_, text) = run(&tree, &["show", "toy.ko"]);
        assert!(text.contains(expected), "{text}");
    }
    // a message that is cut short
    tree.file("toy.ko", with(29, 9));
    let (code, text) = run(&tree, &["verify", "toy.ko", "--certificate", "a.crt"]);
    assert!(code == Some(1) && text.contains("it is no CMS message"), "{text}");
    // something behind it; an older one before it
    tree.file("toy.ko", [&signed[..], b"\n"].concat());
    let (code, text) = run(&tree, &["verify", "toy.ko", "--certificate", "a.crt"]);
    assert!(
        code == Some(1) && text.contains("unsigned: something is written behind its signature"),
        "{text}"
    );
    let plain = support::kernel::module(support::kernel::RELEASE, &[]);
    tree.file("toy.ko", [&signed[..], &signed[plain.len()..]].concat());
    let (_, text) = run(&tree, &["show", "toy.ko"]);
    assert!(text.contains("an older one stands before it"), "{text}");
    assert_eq!(run(&tree, &words).0, Some(0));
    assert!(fs::read(tree.path().join("toy.ko")).unwrap() == signed);
}

/// While a key is in memory: no file of the run holds it or its password, and no core file is written.
#[test]
fn secrets_are_in_no_file_and_no_core() {
    let tree = with_kernel("sha256");
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    let password = format!("pass:{PIN}");
    openssl(&tree, &["pkcs8", "-topk8", "-in", "a.key", "-passout", &password, "-out", "keys.locked"]);
    fs::create_dir(tree.path().join("elsewhere")).unwrap();
    for name in ["a.key", "keys.locked"] {
        fs::rename(tree.path().join(name), tree.path().join("elsewhere").join(name)).unwrap();
    }
    assert_eq!(run(&tree, &[&BUILD[..4], &["-f", "rpm"]].concat()).0, Some(0));
    fs::create_dir(tree.path().join("tmp")).unwrap();
    let tmp = tree.path().join("tmp").display().to_string();
    let inside = [("TMPDIR", tmp.as_str()), ("KBUILD_SIGN_PIN", PIN)];
    let key = ["--key", "elsewhere/keys.locked", "--certificate", "a.crt"];
    // looks around in the midst of the run: beside the package and below the folder for temporary files
    let look = format!(
        "#!/bin/sh\ngrep -rlq -e {PIN} -e 'PRIVATE KEY' dist tmp cache && touch leaked\nls -A tmp dist >seen\ncat >/dev/null\nfalse\n"
    );
    tree.script("look", &look);
    let words = [&["sign", RPM, "--sign-command", "./look"][..], &key].concat();
    let (code, text) = run_with(&tree, &inside, &words);
    assert!(code == Some(2) && text.contains("does not sign"), "{text}");
    assert!(fs::read_to_string(tree.path().join("seen")).unwrap().contains(".kpkg-"));
    assert!(!tree.path().join("leaked").exists());
    for more in [&["--json"][..], &["-v"]] {
        let (_, text) = run_with(&tree, &inside, &[&words[..], more].concat());
        assert!(!text.contains(PIN) && !text.contains("PRIVATE"), "{text}");
    }
    // a crash; first one of a run that has no key, to see that there would be a core
    let crash = |more: &[&str]| {
        let kpkg = env!("CARGO_BIN_EXE_kpkg");
        let words = [&["sign", RPM, "--sign-command", "kill -ABRT $PPID; sleep 1"], more].concat();
        let status = Command::new("bash")
            .args(["-c", "ulimit -c unlimited; \"$0\" \"$@\"; true", kpkg])
            .args(words)
            .current_dir(tree.path())
            .env("KBUILD_SIGN_PIN", PIN)
            .output();
        assert!(status.unwrap().status.success());
        let is_core = |name: &String| name.starts_with("core");
        let cores: Vec<_> = tree.names(".").into_iter().filter(is_core).collect();
        for name in &cores {
            fs::remove_file(tree.path().join(name)).unwrap();
        }
        !cores.is_empty()
    };
    if !crash(&[]) {
        return support::missing("core files in the current folder (/proc/sys/kernel/core_pattern)");
    }
    assert!(!crash(&key));
}
