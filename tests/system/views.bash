# shellcheck shell=bash
# What the system tests share: results, and throw-away views of a chroot. Sourced; wants W, a work folder, BASE, the chroot, and CASE.
# words and texts here are ours:
# shellcheck disable=SC2015,SC2034,SC2153

# ---- results ------------------------------------------------------------------------------------------------------------
PASSED=0 FAILED=0 CASE=
pass() { PASSED=$((PASSED + 1)); printf 'PASS %s: %s\n' "$CASE" "$1"; }
fail() {
    FAILED=$((FAILED + 1)); printf 'FAIL %s: %s\n' "$CASE" "$1"
    if [ "${VERBOSE:-0}" = 1 ]; then sed 's/^/     | /' "$W/out" | tail -n 40; fi
}
check() { local what=$1; shift; if "$@" >/dev/null 2>&1; then pass "$what"; else fail "$what"; fi; }
same() { if [ "$2" = "$3" ]; then pass "$1"; else fail "$1: expected '$2', got '$3'"; fi; }
says() { if grep -qE -- "$2" "$W/out"; then pass "$1"; else fail "$1: the output does not match /$2/"; fi; }

# ---- chroots ------------------------------------------------------------------------------------------------------------
in_root() { chroot "$R" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@" </dev/null; }
# run CMD...: output to $W/out, exit code to RC
run() { RC=0; in_root "$@" >"$W/out" 2>&1 || RC=$?; { echo "\$ $*  -> $RC"; cat "$W/out"; } >>"$W/log"; }
# fresh [LOWER]: R becomes a new writable view of the chroot (or of an earlier view's upper folder on top of it)
fresh() {
    local n
    drop_root
    VIEW=$(mktemp -d "$W/view.XXXXXX"); chmod 755 "$VIEW"; mkdir "$VIEW/upper" "$VIEW/ovl" "$VIEW/root"
    mount -t overlay overlay -o "lowerdir=${1:+$1:}$BASE,upperdir=$VIEW/upper,workdir=$VIEW/ovl" "$VIEW/root"
    R=$VIEW/root
    mount -t proc proc "$R/proc"; mount -t tmpfs -o mode=755 tmpfs "$R/dev"; mount -t tmpfs tmpfs "$R/tmp"; chmod 1777 "$R/tmp"
    for n in null zero full random urandom; do : >"$R/dev/$n"; mount --bind "/dev/$n" "$R/dev/$n"; done
    ln -s /proc/self/fd "$R/dev/fd"
    printf '#!/bin/sh\nexit 101\n' >"$R/usr/sbin/policy-rc.d"; chmod 755 "$R/usr/sbin/policy-rc.d"
}
drop_root() { if [ -n "${R:-}" ]; then umount -R -l "$R" 2>/dev/null || true; R=; [ -n "${KEEP_VIEW:-}" ] || rm -rf --one-file-system "$VIEW"; fi; }
snapshot() { (cd "$R" && find etc usr var/lib/dkms -xdev \( -path usr/share/doc -o -path var/lib/dkms/mok.key -o -path var/lib/dkms/mok.pub -o -path usr/lib/sysimage \) -prune -o -printf '%y %s %p %l\n' |
    awk '$1 == "d" { $2 = "-" } 1' | grep -vE ' usr/lib/modules/[^/]+/modules\.[a-z.]+ $| var/lib/dkms $' | LC_ALL=C sort -k3); }
remember() { snapshot >"$W/before"; }
nothing_left() {
    snapshot >"$W/after"; same "nothing is left behind" "" "$(diff "$W/before" "$W/after" | grep '^[<>]' | head -n 5 | tr '\n' ';')"
}

# ---- modules ------------------------------------------------------------------------------------------------------------
module_file() { find "$R/lib/modules/$1/" \( -name "$2.ko" -o -name "$2.ko.gz" -o -name "$2.ko.xz" -o -name "$2.ko.zst" \) 2>/dev/null | head -n 1; }
tag_of() { local f; f=$(module_file "$1" "$2"); if [ -n "$f" ]; then in_root modinfo -F tag "${f#"$R"}" 2>/dev/null || echo unreadable; else echo none; fi; }
listed() { grep -q "/$2\.ko" "$R/lib/modules/$1/modules.dep" 2>/dev/null; }
# has KERNEL TAG [MODULE]: that build is on disk, of that kernel, listed in modules.dep
has() {
    local m=${3:-kpkgfix}
    same "$1 has $m of $2" "$2" "$(tag_of "$1" "$m")"
    [ "$2" = none ] || check "$1: modules.dep lists $m" listed "$1" "$m"
}
