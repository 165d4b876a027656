# Runs as root of a new user, mount, network, IPC and PID namespace: builds the view that its arguments describe, enters it, gives
# up all powers and runs the command. Its standard error begins with the line `entered` once the view is there, and before anything
# runs that others wrote.
#
#   enter.sh ROOT SECONDS KIB FILE PROCESSES WORD... -- COMMAND...
#       ROOT: a folder to work on, covered and never changed; SECONDS of processor and KIB of memory: what one process may have;
#       FILE: KiB of one file; PROCESSES: as many at once
#
#   bind SOURCE PATH | bind-rw SOURCE PATH | link TARGET PATH | links FOLDER TARGETS (a line each) | file PATH MODE SIZE (the bytes: standard input)
set -eu
# where memory ends, this ends before anything else does
echo 1000 >/proc/self/oom_score_adj 2>/dev/null || :
# whatever the caller had open
for open in /proc/self/fd/*; do
    open=${open##*/}
    [ "$open" -le 2 ] || eval "exec $open>&-"
done
# an ordinary user has no path to pivot_root
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
root=$1 seconds=$2 memory=$3 file=$4 processes=$5
shift 5
mount --make-rprivate /
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root"
parent() { mkdir -p "$root${1%/*}"; }
# everything mounted at or below a path becomes read-only, with the flags that it has, which a user namespace cannot drop
freeze() {
    while read -r _ _ _ _ where flags _; do
        where=$(printf '%b' "$where")
        case $where in
            "$1" | "$1"/*) mount -o "remount,bind,$flags,ro" "$where" ;;
        esac
    done </proc/self/mountinfo
}
while [ "$1" != -- ]; do
    case $1 in
        bind | bind-rw)
            # in the place of a link to a folder of the machine
            [ ! -L "$root$3" ] || rm "$root$3"
            if [ -d "$2" ]; then mkdir -p "$root$3"; else parent "$3"; [ -e "$root$3" ] || : >"$root$3"; fi
            mount --rbind "$2" "$root$3"
            [ "$1" = bind-rw ] || freeze "$(readlink -f "$root$3")"
            shift 3 ;;
        link) parent "$3"; ln -sfT "$2" "$root$3"; shift 3 ;;
        links)
            mkdir -p "$root$2"
            [ -z "$3" ] || printf '%s' "$3" | xargs -d '\n' ln -s -t "$root$2"
            shift 3 ;;
        file) parent "$2"; head -c "$4" >"$root$2"; chmod "$3" "$root$2"; shift 4 ;;
        *) exit 125 ;;
    esac
done
shift
mkdir -p "$root/dev" "$root/proc" "$root/.old"
for node in null zero full random urandom; do
    : >"$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
ln -s /proc/self/fd "$root/dev/fd"
for stream in 0/stdin 1/stdout 2/stderr; do
    ln -s "/proc/self/fd/${stream%/*}" "$root/dev/${stream#*/}"
done
# without it where the machine does not allow it
mount -t proc -o nosuid,nodev,noexec proc "$root/proc" 2>/dev/null || :
if ! [ -d "$root/tmp" ]; then
    mkdir "$root/tmp"
    mount -t tmpfs -o mode=1777,size=16m,nosuid,nodev tmpfs "$root/tmp"
fi
# where there is such a program
hostname localhost 2>/dev/null || :
cd "$root"
inside=()
if [ -x "$(command -v pivot_root)" ]; then
    pivot_root . .old
    cd /
    umount -l /.old
    rmdir /.old
else
    # util-linux of newer distributions comes without it. What is covered stays so: no power is left, and namespaces made in here
    # cannot take away what was mounted before.
    rmdir .old
    mount --move . /
    inside=(chroot .)
fi
"${inside[@]}" mount -o remount,bind,nosuid,nodev,ro /
# never more than there is already
limit() { # OPTION VALUE
    local now
    now=$(ulimit -S "-$1")
    if [ "$2" != unlimited ] && { [ "$now" = unlimited ] || [ "$now" -gt "$2" ]; }; then ulimit "-$1" "$2"; fi
}
limit c 0
limit t "$seconds"
limit v "$memory"
limit f "$file"
limit u "$processes"
echo entered >&2
exec "${inside[@]}" setpriv --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@" </dev/null
