//! A stand-in for a kernel's headers, whose `make` copies a module that lies in the source.

use super::Tree;
use super::elf::Made;

pub const RELEASE: &str = "6.1.0-1-toy";
/// A driver whose module is `toy.bin`.
pub const CONF: &str = "PACKAGE_NAME=\"toy\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"toy\"\n\
                        DEST_MODULE_LOCATION[0]=\"/updates\"\nSTRIP=no\nAUTOINSTALL=yes\n";
/// What says licence and author.
pub const SOURCE: &str = "// SPDX-License-Identifier: GPL-2.0-only\nMODULE_AUTHOR(\"J <j@example.org>\");\n";
/// What `make -C HEADERS M=BUILD` does.
pub const MAKEFILE: &str = "all:\n\tcp $(M)/toy.bin $(M)/toy.ko\n";

pub fn module(release: &str, needs: &[(&str, Option<u32>)]) -> Vec<u8> {
    let vermagic = format!("vermagic={release} SMP mod_unload modversions ");
    let info = ["license=GPL", "version=1.0", "alias=pci:v00008086d00001234sv*", &vermagic];
    Made { info: &info, needs, ..Made::default() }.bytes()
}

/// The driver, in the folder `driver` of the tree.
pub fn driver(tree: &Tree) {
    tree.file("driver/dkms.conf", CONF)
        .file("driver/Makefile", "obj-m := toy.o\n")
        .file("driver/toy.bin", module(RELEASE, &[("printk", Some(16))]))
        .file("driver/toy.c", SOURCE);
}

/// The headers of a kernel in a folder of the tree.
pub fn headers(tree: &Tree, folder: &str, release: &str) {
    let file = |path: &str, text: &str| {
        tree.file(&format!("{folder}/{path}"), text);
    };
    file("include/generated/utsrelease.h", &format!("#define UTS_RELEASE \"{release}\"\n"));
    file(
        "include/config/auto.conf",
        "CONFIG_X86_64=y\nCONFIG_CC_VERSION_TEXT=\"gcc (GCC) 99.1.0\"\nCONFIG_CC_IS_GCC=y\n",
    );
    file("Module.symvers", "0x00000010\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n");
    file("Makefile", MAKEFILE);
    for tool in ["scripts/Makefile.build", "scripts/mod/modpost", "scripts/basic/fixdep"] {
        file(tool, "");
    }
}
