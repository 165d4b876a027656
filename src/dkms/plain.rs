//! What a machine does not have that is described by kernel, architecture, headers and os-release: software nobody mentioned.
//!
//! Decides by names only. Whoever asks tells the user that it was taken so, since a real machine may have more.

/// Below these nothing is there unless it was given. `/usr/src` and `/var/lib/dkms` hold the driver, `/lib/modules` the headers.
const EMPTY: [&str; 12] = [
    "/usr/src/",
    "/usr/local/",
    "/var/lib/dkms/",
    "/lib/modules/",
    "/usr/lib/modules/",
    "/boot/",
    "/opt/",
    "/srv/",
    "/mnt/",
    "/media/",
    "/home/",
    "/root/",
];

/// In these, base systems have files of their own; what lies in a folder below them, or is named here, is not known.
const PARTLY: [(&str, &[&str]); 5] = [
    ("/etc/dkms/", &["framework.conf", "framework.conf.d", "sign_helper.sh", "template-dkms-mkrpm.spec"]),
    ("/etc/sysconfig/", &["kernel", "network", "selinux", "clock", "bootloader"]),
    ("/etc/default/", &["grub", "locale", "keyboard", "useradd", "dkms"]),
    ("/usr/share/initramfs-tools/hooks/", &[]),
    ("/usr/share/dracut/modules.d/", &[]),
];

/// Files and folders of `/etc` that some base system has, beside those that end in `-release` or `_version`.
const ETC: [&str; 44] = [
    "alternatives",
    "apt",
    "bash.bashrc",
    "bashrc",
    "cron.d",
    "default",
    "depmod.d",
    "dkms",
    "dnf",
    "dpkg",
    "environment",
    "fstab",
    "group",
    "host.conf",
    "hostname",
    "hosts",
    "init.d",
    "initramfs-tools",
    "issue",
    "issue.net",
    "kernel",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "login.defs",
    "machine-id",
    "modprobe.d",
    "modules",
    "modules-load.d",
    "network",
    "passwd",
    "pki",
    "profile",
    "profile.d",
    "resolv.conf",
    "rpm",
    "selinux",
    "shadow",
    "shells",
    "ssl",
    "sysconfig",
    "sysctl.d",
    "systemd",
    "timezone",
];

/// How programs begin that are no part of every base system, but of many: whether they are there is not known.
const FREQUENT: [&str; 10] =
    ["lsb_release", "apt", "clang-", "dpkg-", "gcc-", "ld.", "llvm-", "python", "rpm", "update-"];

/// Whether a path, which is absolute and normalised, is not there.
pub(super) fn lacks(path: &str) -> bool {
    if EMPTY.iter().any(|folder| path.starts_with(folder)) {
        return true;
    }
    for (folder, present) in PARTLY {
        if let Some(rest) = path.strip_prefix(folder) {
            return !present.contains(&rest.split('/').next().unwrap_or(rest));
        }
    }
    let Some(rest) = path.strip_prefix("/etc/") else { return false };
    let first = rest.split('/').next().unwrap_or(rest);
    !ETC.contains(&first) && !first.ends_with("-release") && !first.ends_with("_version")
}

/// Whether a program, named without a folder, is not installed.
pub(super) fn lacks_program(name: &str) -> bool {
    let plain = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte));
    // long names and those with an underscore are nobody's base system; others may be
    let special = name.contains('_') || name.len() > 12;
    plain && special && !FREQUENT.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_machine_lacks_what_only_other_software_brings() {
        for path in [
            "/usr/src/ofa_kernel/default",
            "/etc/zfs.conf",
            "/etc/dkms/zfs.conf",
            "/boot/config-6.1",
            "/opt/x",
        ] {
            assert!(lacks(path), "{path}");
        }
        for path in [
            "/etc/redhat-release",
            "/etc/debian_version",
            "/etc/dkms/framework.conf",
            "/proc/version",
            "/usr/bin/x",
        ] {
            assert!(!lacks(path), "{path}");
        }
        assert!(lacks_program("ofed_info"));
        for name in ["python3", "lsb_release", "dpkg-architecture", "gcc-12", "git"] {
            assert!(!lacks_program(name), "{name}");
        }
    }
}
