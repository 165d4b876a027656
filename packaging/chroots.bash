# shellcheck shell=bash
# What packaging/compile and packaging/check share: small chroots of Debian, kept as those of tests/system are.
# Sourced.

# the mirror that this machine's apt uses
mirror() {
    # shellcheck disable=SC2016 # apt's placeholder, not the shell's
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -m 1 -E '/debian/?$' || true
}

# SUITE PACKAGES: the folder of an unpacked chroot with these packages, made once for each suite and list; never
# written afterwards
chroot_folder() {
    local suite=$1 packages=$2 cache key folder lock from
    cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/kpkg/chroots
    key=$(printf '%s|%s' "$suite" "$packages" | sha256sum | cut -c1-10)
    folder=$cache/packaging-$suite-$key
    mkdir -p "$cache"
    exec {lock}>"$cache/packaging-$suite.lock"
    flock "$lock"
    if [ ! -e "$folder/.complete" ]; then
        echo "making the chroot $folder" >&2
        rm -rf --one-file-system "$folder"
        from=$(mirror)
        # shellcheck disable=SC2086 # no mirror is no argument
        mmdebstrap --mode=root --variant=apt --include="$packages" --aptopt='Acquire::Languages "none"' \
            --aptopt='Acquire::Check-Valid-Until "false"' --skip=check/empty "$suite" "$folder" $from \
            >"$cache/packaging-$suite.log" 2>&1 || { tail -n 20 "$cache/packaging-$suite.log" >&2; exit 1; }
        : >"$folder/.complete"
    fi
    exec {lock}>&-
    printf '%s\n' "$folder"
}
