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
    mark() { mkdir -p "$marks" && : >"$marks/$1"; }
    # KERNEL: when dpkg has done the rest, once for all packages that want it
    renew_later() { { mark "$1" && dpkg-trigger --no-await kpkg-initramfs; } 2>/dev/null || renew "$1"; }

    for kernel in $kernels; do
        is_there "$kernel" || continue
        if [ "$1" = triggered ]; then
            [ ! -e "$marks/$kernel" ] || renew "$kernel"
            continue
        fi
        index "$kernel"
        ! belongs "$kernel" || renew_later "$kernel"
    done
)
if [ "$1" = triggered ]; then
    kpkg_modules triggered || :
    exit 0
fi

case $1 in
    configure | abort-upgrade | abort-remove | abort-deconfigure) kpkg_modules "$1" || : ;;
esac

exit 0
