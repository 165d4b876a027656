#!/bin/sh
set -e

kpkg_modules() (
    # Whatever fails in here, the package manager goes on
    set +e
    package='greeter-modules-combined'
    warn() { printf '%s: %s\n' "$package" "$*" >&2; }
    kernels='6.1.0-9-amd64 6.1.0-10-amd64'

    # A kernel is there when its own list of modules is: without it depmod would only leave files behind
    is_there() { [ -e "/lib/modules/$1/modules.order" ] || [ -e "/lib/modules/$1/modules.builtin" ]; }
    # A kernel that went before its modules left what depmod had made for it. Other folders are not ours, even if they are empty.
    forget() {
        at=/lib/modules/$1
        if [ -z "$(find "$at/" -name '*.ko*' | head -n 1)" ]; then
            rm -f "$at"/modules.alias "$at"/modules.alias.bin "$at"/modules.dep "$at"/modules.dep.bin \
                "$at"/modules.symbols "$at"/modules.symbols.bin "$at"/modules.builtin.bin \
                "$at"/modules.builtin.alias.bin "$at"/modules.devname "$at"/modules.softdep "$at"/modules.weakdep
        fi
        rmdir "$at" 2>/dev/null || :
    }
    index() {
        command -v depmod >/dev/null || return 0
        timeout -k 9 900 depmod -a "$1" || warn "depmod failed for the kernel $1"
    }
    modules='greeter greeter_echo'
    # always, never, or auto: where it holds one of our modules
    policy='auto'
    # Does a list of paths, on standard input, have one of our modules?
    names_ours() {
        pattern=$(for module in $modules; do printf '%s\n' "$module"; done | sed 's/[.]/\\&/g; s/[-_]/[-_]/g; s/.*/\/&\\.ko/')
        [ -n "$pattern" ] && grep -q -e "$pattern"
    }
    # Kernels whose initramfs is made anew at the end of the transaction, once for all packages
    marks=/run/kpkg-initramfs
    # Does the kernel's initramfs hold one of our modules, or has it to?
    belongs() {
        image=/boot/initrd.img-$1
        [ -e "$image" ] && command -v update-initramfs >/dev/null || return 1
        case $policy in
            never) return 1 ;;
            auto) command -v lsinitramfs >/dev/null && lsinitramfs "$image" 2>/dev/null | names_ours ;;
        esac
    }
    renew() {
        rm -f "$marks/$1"
        update-initramfs -u -k "$1" </dev/null || warn "the initramfs of the kernel $1 was not updated"
    }

    for kernel in $kernels; do
        if is_there "$kernel"; then
            index "$kernel"
            ! belongs "$kernel" || renew "$kernel"
        else
            forget "$kernel"
        fi
    done
)

case $1 in
    remove | disappear) kpkg_modules || : ;;
esac

exit 0
