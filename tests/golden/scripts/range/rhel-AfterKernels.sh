kpkg_guard() (
    # Whatever fails in here, the package manager goes on
    set +e
    package='kmod-greeter'
    modules='greeter greeter_echo'
    # what came below the folders of kernels stands on standard input
    sed -n 's|^\(/usr\)\{0,1\}/lib/modules/\([^/]*\)/.*|\2|p' | sort -u | while read -r kernel; do
        at=/lib/modules/$kernel
        [ -e "$at/modules.order" ] || [ -e "$at/modules.builtin" ] || continue
        for module in $modules; do
            found=$(find -L "$at/extra" "$at/updates" "$at/weak-updates" -type f \( -name "$module.ko" -o -name "$module.ko.*" \) 2>/dev/null)
            [ -n "$found" ] || printf '%s: the kernel %s has no module %s. Update this package when there is one for that kernel, and boot another kernel until then.\n' "$package" "$kernel" "$module" >&2
        done
    done
)
kpkg_guard
exit 0
