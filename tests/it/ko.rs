//! Kernel modules: what is read from one, alone and in packages; and what is no module.

use std::io::Write;

use crate::support;
use kpkg::kernel::ko::{KernelModule, Signature};
use object::{Architecture, Endianness};
use support::elf::Made;
use support::{Tree, golden};

const INFO: &[&str] = &[
    "license=GPL",
    "version=1.0",
    "vermagic=6.1.0-49-amd64 SMP preempt mod_unload modversions ",
    "name=toy",
    "depends=other",
    "alias=pci:v00008086d*",
    "alias=of:N*T*Ctoy,one",
    "firmware=toy/one.bin",
    "description=has = signs",
];

fn toy() -> Made<'static> {
    Made {
        info: INFO,
        needs: &[
            ("printk", Some(0x1234_5678)),
            ("other_do", Some(0xffff_fffe)),
            ("weak", None),
            ("module_layout", Some(7)),
        ],
        extended: &[("a_very_long_name_that_is_no_longer_cut_at_fifty_six_characters_of_text", 0x0102_0304)],
        exports: &[("toy_do", true, 0xabcd_ef01, false), ("toy_free", false, 0x0000_0002, true)],
        signature: Some(300),
        ..Made::default()
    }
}

#[test]
fn a_module_is_read_whatever_the_machine() {
    for (architecture, endianness, name) in [
        (Architecture::X86_64, Endianness::Little, "x86_64"),
        (Architecture::Arm, Endianness::Little, "armv7l"),
        (Architecture::S390x, Endianness::Big, "s390x"),
        (Architecture::PowerPc64, Endianness::Big, "ppc64"),
    ] {
        let module = KernelModule::parse(&Made { architecture, endianness, ..toy() }.bytes()).unwrap();
        assert_eq!(module.arch, name);
        assert_eq!(module.name.as_deref(), Some("toy"));
        assert_eq!(module.kernel(), Some("6.1.0-49-amd64"));
        assert_eq!(module.values("alias").collect::<Vec<_>>(), ["pci:v00008086d*", "of:N*T*Ctoy,one"]);
        assert_eq!(module.values("description").next(), Some("has = signs"));
        let needs: Vec<_> = module.needs.iter().map(|symbol| (symbol.name.as_str(), symbol.crc)).collect();
        assert_eq!(
            needs,
            [
                ("a_very_long_name_that_is_no_longer_cut_at_fifty_six_characters_of_text", Some(0x0102_0304)),
                ("module_layout", Some(7)),
                ("other_do", Some(0xffff_fffe)),
                ("printk", Some(0x1234_5678)),
                ("weak", None),
            ]
        );
        let exports: Vec<_> = module
            .exports
            .iter()
            .map(|export| (export.symbol.name.as_str(), export.gpl, export.symbol.crc))
            .collect();
        assert_eq!(exports, [("toy_do", true, Some(0xabcd_ef01)), ("toy_free", false, Some(2))]);
        // a trailer, and no message before it
        let broken = Some("it is no CMS message of signed data".to_owned());
        assert_eq!(module.signature, Some(Signature { size: 300, broken, ..Signature::default() }));
    }
}

#[test]
fn show_tells_about_a_module_and_about_those_in_a_package() {
    let tree = Tree::empty();
    let bytes = toy().bytes();
    tree.file("toy.ko", &bytes);
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
    xz.write_all(&bytes).unwrap();
    tree.file("packed.ko.xz", xz.finish().unwrap());
    golden("cli/show-module.txt", &tree.transcript(&["show", "toy.ko"]));
    golden("cli/show-module-json.txt", &tree.transcript(&["show", "packed.ko.xz", "--json"]));
    tree.file("lib/modules/6.1.0-49-amd64/toy.ko", &bytes);
    let deb = tree.path().join("toy.deb");
    let mut builder = ar::Builder::new(std::fs::File::create(deb).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        builder.append(&ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64), bytes).unwrap();
    };
    let tar = |files: &[(&str, &[u8])]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        tar.into_inner().unwrap()
    };
    add("debian-binary", b"2.0\n");
    add(
        "control.tar",
        &tar(&[("control", b"Package: toy-modules-6.1\nVersion: 1.0-1\nDepends: linux-image-6.1\n")]),
    );
    add("data.tar", &tar(&[("lib/modules/6.1.0-49-amd64/toy.ko", &bytes), ("usr/share/doc/toy", b"x")]));
    drop(builder);
    golden("cli/show-module-deb.txt", &tree.transcript(&["show", "toy.deb"]));
}

#[test]
fn what_is_no_module_is_an_error() {
    let tree = Tree::empty();
    let bytes = toy().bytes();
    tree.file("text.ko", "no module").file("cut.ko", &bytes[..300]).file("empty.ko", "");
    tree.file("bad.ko.xz", b"\xfd7zXZ\0rubbish");
    tree.file("plain.ko", Made { info: &[], ..Made::default() }.bytes());
    for (name, status) in [("text.ko", 2), ("cut.ko", 2), ("empty.ko", 2), ("bad.ko.xz", 2), ("plain.ko", 0)]
    {
        let output = tree.kpkg(&["show", name]);
        assert_eq!(output.status.code(), Some(status), "{name}");
        assert_eq!(output.stdout.is_empty(), status == 2, "{name}");
    }
    golden("cli/show-module-bad.txt", &tree.transcript(&["show", "text.ko"]));
}
