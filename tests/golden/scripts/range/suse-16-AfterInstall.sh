kpkg_modules() (
    # Whatever fails in here, the package manager goes on
    set +e
    package='greeter-kmp-default' version='1.2.0_k6.4.0_150600.9' release='1' kernel='6.4.0-150600.9-default' flavour='default'
    files='/usr/lib/modules/6.4.0-150600.9-default/updates/greeter/greeter.ko /usr/lib/modules/6.4.0-150600.9-default/updates/greeter/greeter_echo.ko'
    warn() { printf '%s: %s\n' "$package" "$*" >&2; }
    # What SUSE does for the modules of a package at a moment (suse-module-tools); where it is not there, the kernel of the modules alone is seen to
    suse() {
        script=/usr/lib/module-init-tools/kernel-scriptlets/kmp-$1
        if [ -x "$script" ]; then
            shift
            "$script" --name "$package" --version "$version" --release "$release" --kernelrelease "${kernel%"-$flavour"}" --flavor "$flavour" --usrmerged 1 "$@" ||
                warn "$script failed"
        elif [ -e "/lib/modules/$kernel/modules.order" ] && command -v depmod >/dev/null; then
            depmod -a "$kernel" || warn "depmod failed for the kernel $kernel"
        fi
    }
    policy='auto'
    # for those that every boot needs
    [ "$policy" != always ] || export KMP_NEEDS_MKINITRD=1
    suse post "$1"
)

kpkg_modules "$1"

exit 0
