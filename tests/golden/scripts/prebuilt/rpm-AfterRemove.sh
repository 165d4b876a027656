kpkg_modules() (
    # Whatever fails in here, the package manager goes on
    set +e
    package='kmod-greeter-combined'
    warn() { printf '%s: %s\n' "$package" "$*" >&2; }
    kernels='5.14.0-9.1.el9.x86_64 5.14.0-10.1.el9.x86_64'

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
    # Does the kernel's initramfs hold one of our modules, or has it to?
    belongs() {
        case $policy in
            never) return 1 ;;
            auto) command -v lsinitrd >/dev/null && lsinitrd --kver "$1" 2>/dev/null | names_ours ;;
            # a kernel without an initramfs gets none
            always) ! command -v lsinitrd >/dev/null || lsinitrd --kver "$1" >/dev/null 2>&1 ;;
        esac
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

    # rpm counts other versions too: what tells whether the modules are gone is whether they are
    files='/lib/modules/5.14.0-9.1.el9.x86_64/extra/greeter/greeter.ko /lib/modules/5.14.0-9.1.el9.x86_64/extra/greeter/greeter_echo.ko /lib/modules/5.14.0-10.1.el9.x86_64/extra/greeter/greeter.ko /lib/modules/5.14.0-10.1.el9.x86_64/extra/greeter/greeter_echo.ko'
    for file in $files; do
        [ ! -e "$file" ] || exit 0
    done
    for kernel in $kernels; do
        if is_there "$kernel"; then
            index "$kernel"
            ! belongs "$kernel" || renew "$kernel"
        else
            # with the folder that rpm made around the package's own
            rmdir "/lib/modules/$kernel/extra" 2>/dev/null
            forget "$kernel"
        fi
    done
)

kpkg_modules

exit 0
