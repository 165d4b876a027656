//! What maintainer scripts say on machines that let signed modules in only: of a certificate that nobody enrolled, and of what dkms signed.
//!
//! The scripts are those of packages, with another root in the place of the machine's folders, and with programs that answer as the real ones.

use std::fs;
use std::process::Command;

use crate::sign::{BUILD, RSA_2048, openssl, pair, run, with_kernel};
use crate::support::Tree;

/// A machine below `machine/`: with UEFI firmware, Secure Boot, and mokutil, which knows no certificate.
fn machine(tree: &Tree) {
    let programs = [
        (
            "mokutil",
            "case $1 in --sb-state) cat ../state;; --test-key) cat ../answer | sed \"s|^|$2 |\";; *) exit 9;; esac",
        ),
        ("stat", "echo \"${root:-1:1}\""),
        ("modinfo", "test \"$2\" != signer || cat ../signer; test \"$2\" != sig_id || cat ../sig_id"),
    ];
    for (name, text) in programs {
        tree.script(&format!("machine/bin/{name}"), &format!("#!/bin/sh\n{text}\n"));
    }
    fs::create_dir_all(tree.path().join("machine/root/sys/firmware/efi/efivars")).unwrap();
    tree.file("machine/state", "SecureBoot enabled\n");
    tree.file("machine/answer", "is not enrolled\n");
    tree.file("machine/signer", "DKMS module signing key\n");
    tree.file("machine/sig_id", "PKCS#7\n");
}

/// What a script says there.
fn said(tree: &Tree, script: &str, arguments: &[&str]) -> String {
    let root = tree.path().join("machine/root");
    let at = |folder: &str| format!("{}{folder}", root.display());
    let script = ["/sys/firmware/efi", "/run/", "/.dockerenv", "/etc/dkms", "/var/lib/"]
        .into_iter()
        .fold(script.to_owned(), |text, folder| text.replace(folder, &at(folder)));
    tree.file("machine/script", script);
    let path = format!("{}:/usr/bin:/bin", tree.path().join("machine/bin").display());
    let output = Command::new("dash")
        .arg("../script")
        .args(arguments)
        .current_dir(&root)
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap().replace(&root.display().to_string(), "")
}

/// The script of a package.
fn script(tree: &Tree, package: &str, name: &str) -> String {
    let (code, text) = run(tree, &["show", package, "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let folder = tree.path().join("unpacked");
    fs::remove_dir_all(&folder).unwrap_or_default();
    let package = tree.path().join(package);
    if package.extension().is_some_and(|end| end == "deb") {
        assert!(Command::new("dpkg-deb").arg("-e").arg(package).arg(&folder).status().unwrap().success());
        return fs::read_to_string(folder.join(name)).unwrap();
    }
    let output =
        Command::new("rpm").args(["-qp", "--qf", &format!("%{{{name}}}")]).arg(package).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_certificate_is_packaged_and_its_enrolment_named_where_it_is_missing() {
    let tree = with_kernel("sha256");
    if !pair(&tree, "a", RSA_2048) {
        return;
    }
    let keys = ["--sign-modules", "a.key", "--certificate", "a.crt"];
    let build = |more: &[&str]| {
        let (code, text) = run(&tree, &[&BUILD[..4], &["-f", "deb,rpm"], more].concat());
        assert_eq!(code, Some(0), "{text}");
    };
    build(&keys);
    let (deb, rpm) =
        ("dist/toy-signing-certificate_1.0-1_all.deb", "dist/toy-signing-certificate-1.0-1.noarch.rpm");
    let (_, text) = run(&tree, &["show", deb, "--files"]);
    assert!(text.contains("/usr/share/toy-signing-certificate/a.der"), "{text}");
    let recommended = || {
        let package = tree.path().join("dist/toy-modules-toy_1.0-1_amd64.deb");
        let output = Command::new("dpkg-deb").arg("-f").arg(package).arg("Recommends").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        recommended(),
        "toy-signing-certificate
"
    );
    machine(&tree);
    let expected = |file: &str| {
        format!(
            "toy-signing-certificate: Secure Boot is on, and this machine does not trust the key that the modules of toy are signed \
             with; run: mokutil --import /usr/share/toy-signing-certificate/{file} (it asks for a password, and the next boot asks \
             for it again)\n"
        )
    };
    for script in [script(&tree, deb, "postinst"), script(&tree, rpm, "POSTIN")] {
        let said = || said(&tree, &script, &["configure"]);
        assert_eq!(said(), expected("a.der"));
        for (file, text) in [
            ("machine/answer", "is already enrolled\n"),
            ("machine/state", "SecureBoot disabled\n"),
            ("machine/state", "SecureBoot enabled\nSecureBoot validation is disabled in shim\n"),
            ("machine/state", "EFI variables are not supported on this system\n"),
            ("machine/root/run/.containerenv", ""),
            ("machine/root/run/systemd/container", "lxc"),
            ("machine/root/.dockerenv", ""),
            // another root than that of the first process
            ("machine/bin/stat", "#!/bin/sh\nlast=; for last; do :; done; echo \"$last\"\n"),
        ] {
            tree.file(file, text);
            assert_eq!(said(), "", "{file}: {text}");
            fs::remove_file(tree.path().join(file)).unwrap();
            machine(&tree);
        }
        // no UEFI; and without mokutil the variable itself
        fs::remove_dir_all(tree.path().join("machine/root/sys")).unwrap();
        assert_eq!(said(), "");
        machine(&tree);
        fs::remove_file(tree.path().join("machine/bin/mokutil")).unwrap();
        if !std::path::Path::new("/usr/bin/mokutil").exists() {
            let variable =
                "machine/root/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
            tree.file(variable, [6, 0, 0, 0, 1]);
            assert!(said().contains("install mokutil, and run: mokutil --import"), "{}", said());
            tree.file(variable, [6, 0, 0, 0, 0]);
            assert_eq!(said(), "");
        }
        machine(&tree);
    }
    // a CA above; the places of a family; none where nobody wants it; none without signatures
    assert!(pair(&tree, "ca", RSA_2048));
    openssl(&tree, &["x509", "-in", "ca.crt", "-outform", "DER", "-out", "ca.der"]);
    let ca = ["--embed-certificate", "--ca-certificate", "ca.crt", "--target", "suse-15,rhel-9"];
    fs::remove_dir_all(tree.path().join("dist")).unwrap();
    let (code, text) = run(&tree, &[&BUILD[..4], &keys, &ca].concat());
    assert_eq!(code, Some(0), "{text}");
    let sha1 = Command::new("sha1sum").arg(tree.path().join("ca.der")).output().unwrap().stdout;
    let sha1 = String::from_utf8_lossy(&sha1[..8]).into_owned();
    let files = |target: &str| {
        run(&tree, &["show", &format!("dist/{target}/toy-signing-certificate-1.0-1.noarch.rpm"), "--files"]).1
    };
    assert!(files("suse-15").contains(&format!("/etc/uefi/certs/{sha1}.crt")), "{}", files("suse-15"));
    assert!(files("rhel-9").contains("/etc/pki/toy/ca.der"), "{}", files("rhel-9"));
    tree.file(
        "driver/kpkg.toml",
        "[sign]\nmodules = [\"../a.key\"]\ncertificates = [\"../a.crt\"]\ncertificate-package = false\n",
    );
    fs::remove_dir_all(tree.path().join("dist")).unwrap();
    build(&[]);
    assert!(!tree.names("dist").iter().any(|name| name.contains("certificate")), "{:?}", tree.names("dist"));
    assert_eq!(recommended().trim(), "");
}

#[test]
fn what_dkms_signed_is_judged_after_a_build() {
    let tree = with_kernel("sha256");
    let (code, text) = run(&tree, &["driver", "-f", "deb,rpm"]);
    assert_eq!(code, Some(0), "{text}");
    let (deb, rpm) = ("dist/toy-dkms_1.0-1_all.deb", "dist/toy-dkms-1.0-1.noarch.rpm");
    machine(&tree);
    tree.file("machine/root/var/lib/dkms/mok.pub", "…DKMS module signing key…");
    tree.file("machine/root/module/toy.ko", "");
    let kernel = "6.1.0-1-toy";
    for script in [script(&tree, deb, "postinst"), script(&tree, rpm, "POSTTRANS")] {
        // what is said after a build, without the build
        let start = script.find("    # Where a container").unwrap();
        let part = &script[start..];
        let end = part.find("    # Kernels that nothing was built for").unwrap();
        let tell = part.find("    tell_secure_boot() {").unwrap();
        let secure = &part[..part.find("\n    headers=").unwrap()];
        let text = format!(
            "warn() {{ printf 'toy: %s\\n' \"$*\" >&2; }}\nmine=.\nis_active() {{ active=.; }}\nmodules_in() {{ echo module/toy.ko; }}\n\
             {secure}\n{}\ntell_secure_boot {kernel}\n",
            &part[tell..end]
        );
        let said = || said(&tree, &text, &[]);
        assert_eq!(
            said(),
            "toy: Secure Boot is on, and this machine does not trust the key that dkms signs with (DKMS module signing key); run: \
             mokutil --import /var/lib/dkms/mok.pub (it asks for a password, and the next boot asks for it again)\n"
        );
        tree.file("machine/answer", "is already enrolled\n");
        assert_eq!(said(), "");
        tree.file("machine/answer", "is not enrolled\n");
        // Ubuntu's own key, and one that the administrator named
        tree.file("machine/signer", "box Secure Boot Module Signature key\n");
        assert!(
            said().contains("is signed by box Secure Boot Module Signature key, and it loads if"),
            "{}",
            said()
        );
        tree.file("machine/root/var/lib/shim-signed/mok/MOK.der", "box Secure Boot Module Signature key");
        assert!(said().contains("mokutil --import /var/lib/shim-signed/mok/MOK.der"), "{}", said());
        tree.file("machine/signer", "Jane\n");
        tree.file("machine/root/jane.der", "Jane");
        let jane = tree.path().join("machine/root/jane.der");
        tree.file(
            "machine/root/etc/dkms/framework.conf.d/key.conf",
            format!("mok_certificate=\"{}\"\n", jane.display()),
        );
        assert!(said().contains("mokutil --import /jane.der"), "{}", said());
        tree.file("machine/sig_id", "");
        assert!(
            said().contains("dkms did not sign the module for kernel 6.1.0-1-toy, which will not load"),
            "{}",
            said()
        );
        tree.file("machine/state", "SecureBoot disabled\n");
        assert_eq!(said(), "");
        fs::remove_dir_all(tree.path().join("machine/root/etc")).unwrap();
        fs::remove_dir_all(tree.path().join("machine/root/var/lib/shim-signed")).unwrap();
        machine(&tree);
    }
}
