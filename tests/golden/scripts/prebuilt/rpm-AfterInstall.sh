kpkg_modules() (
    # Whatever fails in here, the package manager goes on
    set +e
    package='kmod-greeter-combined'
    warn() { printf '%s: %s\n' "$package" "$*" >&2; }
    kernels='5.14.0-9.1.el9.x86_64 5.14.0-10.1.el9.x86_64'

    # A kernel is there when its own list of modules is: without it depmod would only leave files behind
    is_there() { [ -e "/lib/modules/$1/modules.order" ] || [ -e "/lib/modules/$1/modules.builtin" ]; }
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
    mark() { mkdir -p "$marks" && : >"$marks/$1"; }

    for kernel in $kernels; do
        if is_there "$kernel" && belongs "$kernel"; then
            mark "$kernel" || warn "the initramfs of the kernel $kernel is not updated"
        fi
    done
)

kpkg_modules

exit 0
