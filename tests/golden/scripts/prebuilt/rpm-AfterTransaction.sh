kpkg_modules() (
    # Whatever fails in here, the package manager goes on
    set +e
    package='kmod-greeter-combined'
    warn() { printf '%s: %s\n' "$package" "$*" >&2; }
    kernels='5.14.0-9.1.el9.x86_64 5.14.0-10.1.el9.x86_64'

    # A kernel is there when its own list of modules is: without it depmod would only leave files behind
    is_there() { [ -e "/lib/modules/$1/modules.order" ] || [ -e "/lib/modules/$1/modules.builtin" ]; }
    index() {
        command -v depmod >/dev/null || return 0
        timeout -k 9 900 depmod -a "$1" || warn "depmod failed for the kernel $1"
    }
    # Kernels whose initramfs is made anew at the end of the transaction, once for all packages
    marks=/run/kpkg-initramfs
    renew() {
        rm -f "$marks/$1"
        tool=/usr/lib/module-init-tools/regenerate-initrd-posttrans
        if [ -x "$tool" ]; then
            # where initramfs are not dracut's alone to make, this does what is flagged
            { mkdir -p /run/regenerate-initrd && : >"/run/regenerate-initrd/$1" && "$tool" </dev/null; } || warn "the initramfs of the kernel $1 was not updated"
        elif command -v dracut >/dev/null && [ ! -e /run/ostree-booted ]; then
            dracut --force --kver "$1" </dev/null || warn "the initramfs of the kernel $1 was not updated"
        fi
    }

    for kernel in $kernels; do
        is_there "$kernel" || continue
        index "$kernel"
        [ ! -e "$marks/$kernel" ] || renew "$kernel"
    done
)

kpkg_modules

exit 0
