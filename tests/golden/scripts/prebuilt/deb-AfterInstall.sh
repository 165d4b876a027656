#!/bin/sh
set -e

kpkg_modules() (
    # Whatever fails in here, the package manager goes on
    set +e
    package='greeter-modules-combined'
    say() { printf '%s: %s\n' "$package" "$*" >&2; }
    kernels='6.1.0-9-amd64 6.1.0-10-amd64'
    modules='greeter greeter_echo'
    policy='auto'

    # A kernel is there when its own list of modules is: without it depmod would only leave files behind
    is_there() { [ -e "/lib/modules/$1/modules.order" ] || [ -e "/lib/modules/$1/modules.builtin" ]; }
    index() {
        command -v depmod >/dev/null || return 0
        depmod -a "$1" || say "depmod failed for the kernel $1"
    }
    # Does a list of paths, on standard input, have one of our modules?
    names_ours() {
        pattern=$(for module in $modules; do printf '%s\n' "$module"; done | sed 's/[.]/\\&/g; s/[-_]/[-_]/g; s/.*/\/&\\.ko/')
        grep -q -e "$pattern"
    }
    # The kernel's initramfs with the modules as they are now, where they belong to it
    initramfs() {
        image=/boot/initrd.img-$1
        [ -e "$image" ] && command -v update-initramfs >/dev/null || return 0
        case $policy in
            never) return 0 ;;
            auto)
                command -v lsinitramfs >/dev/null && lsinitramfs "$image" 2>/dev/null | names_ours || return 0 ;;
        esac
        update-initramfs -u -k "$1" || say "the initramfs of the kernel $1 was not updated"
    }

    for kernel in $kernels; do
        is_there "$kernel" || continue
        index "$kernel"
        initramfs "$kernel"
    done
)

case $1 in
    configure | abort-upgrade | abort-remove | abort-deconfigure) kpkg_modules || : ;;
esac

exit 0
