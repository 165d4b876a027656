kpkg_dkms() (
    # Inside a subshell, so that no name meets the packager's own text. Rules kept here: a working module leaves the disk
    # only when its successor is there; kernels are those in /lib/modules, never the running one; nothing is asked, and
    # the package database is not read.
    set +e
    umask 022
    unset IFS
    # dkms before 3.0 makes an initramfs itself, and whatever was said about it
    export no_initrd=yes
    name='greeter'
    version='1.2.0'
    package='greeter-dkms'

    warn() { printf '%s: %s\n' "$package" "$*" >&2; }

    # The configuration of dkms as dkms reads it, in its shell: each file by itself, so that one that ends the shell counts for nothing
    # shellcheck disable=SC2016 # bash's variables
    settings=$(bash -c 'install_tree=/lib/modules dkms_tree=/var/lib/dkms
        for file in /etc/dkms/framework.conf /etc/dkms/framework.conf.d/*.conf; do
            [ ! -e "$file" ] || eval "$(. "$file" >/dev/null 2>&1; declare -p install_tree dkms_tree)"
        done
        printf "%s:%s\n" "${install_tree%/}" "${dkms_tree%/}"' </dev/null 2>/dev/null) || settings=/lib/modules:/var/lib/dkms
    lib=${settings%%:*}
    tree=${settings#*:}
    source=/usr/src/$name-$version
    mine=$tree/$name
    # On the file system of dkms, so that moving a build is one step; hidden, so that dkms does not see a module in it.
    work=$tree/.kpkg-$name

    has_headers() { [ -e "$lib/$1/build/include" ]; }
    is_kernel() { [ -e "$lib/$1/modules.order" ] || [ -d "$lib/$1/kernel" ] || [ -e "$lib/$1/vmlinuz" ]; }
    # TARGET LINK: replaces a symbolic link in one step
    relink() { rm -f "${2%/*}/.kpkg-link"; ln -s "$1" "${2%/*}/.kpkg-link" && mv -fT "${2%/*}/.kpkg-link" "$2"; }
    # FROM TO: replaces a file in one step
    place() { { cp -p "$1" "$2.kpkg-new" && mv -f "$2.kpkg-new" "$2"; } || { rm -f "$2.kpkg-new"; return 1; }; }
    # FROM TO: a folder, as hard links where possible
    copy_tree() {
        rm -rf "$2"
        cp -al "$1" "$2" 2>/dev/null || { rm -rf "$2" && cp -a "$1" "$2"; } || { rm -rf "$2"; return 1; }
    }
    modules_in() { find "$1" ! -type d \( -name '*.ko' -o -name '*.ko.gz' -o -name '*.ko.xz' -o -name '*.ko.zst' \) 2>/dev/null; }

    # KERNEL: is a version active there? Sets active=VERSION/KERNEL/ARCH.
    is_active() {
        for link in "$mine/kernel-$1"-*; do
            [ -L "$link" ] || continue
            active=$(readlink "$link")
            case $active in ?*/"$1"/?*) return 0 ;; esac
        done
        active=
        return 1
    }
    # FILE: prints nothing and fails if it cannot be read, or cannot be told from others
    digest() { sha256sum <"$1" 2>/dev/null | sed 's/ .*//' | grep .; }
    same_bytes() { [ -e "$1" ] && [ -e "$2" ] && sum=$(digest "$1") && [ "$sum" = "$(digest "$2")" ]; }
    # BUILT FILE: the same bytes or, outside of kernel/, the same source (a module may have been signed again)
    same_module() {
        ! same_bytes "$1" "$2" || return 0
        case $2 in "$lib"/*/kernel/*) return 1 ;; esac
        sum=$(modinfo -F srcversion "$1" 2>/dev/null)
        [ -n "$sum" ] && [ "$sum" = "$(modinfo -F srcversion "$2" 2>/dev/null)" ]
    }
    # KERNEL FILE: one that came with the kernel, even if it has the very bytes of ours. Some systems let dkms install
    # into kernel/; then dkms has put the kernel's own aside.
    is_kernels_own() {
        case $2 in "$lib/$1"/kernel/*) ;; *) return 1 ;; esac
        own=${2#"$lib/$1/"}
        grep -qxF "${own%.ko*}.ko" "$lib/$1/modules.order" 2>/dev/null &&
            [ -z "$(find "$mine/original_module/$1" -name "${2##*/}" ! -path '*/kpkg/*' 2>/dev/null)" ]
    }
    # Where dkms installs in a kernel's folder: noted when it did so. Without a note, where it may.
    dkms_folders() {
        sort -u "$mine"/*/*/*/kpkg-folders 2>/dev/null | grep . && return
        printf '%s\n' updates/dkms updates extra
        sed -n "s|.*DEST_MODULE_LOCATION[^=]*=[\"']\{0,1\}/\([^\"'[:space:]]*\).*|\1|p" "$mine"/*/source/dkms.conf 2>/dev/null | sort -u
    }
    # KERNEL BUILT: the files of this kernel that dkms installed from this module
    installed_as() {
        dkms_folders | while IFS= read -r file; do
            file=$lib/$1/$file/${2##*/}
            if [ -f "$file" ] && same_module "$2" "$file" && ! is_kernels_own "$1" "$file"; then printf '%s\n' "$file"; fi
        done | sort -u
    }
    # KERNEL FOLDER: the same for all modules in FOLDER
    installed_from() {
        modules_in "$2" | while IFS= read -r built; do installed_as "$1" "$built"; done
    }

    update_depmod() {
        if [ -e "$lib/$1/modules.order" ] || [ -n "$(modules_in "$lib/$1")" ]; then
            timeout -k 9 900 depmod "$1" 2>/dev/null || warn "kernel $1: depmod failed"
        else
            # A folder of headers only: the last module is gone, depmod's files go too.
            rm -f "$lib/$1"/modules.alias* "$lib/$1"/modules.*dep* "$lib/$1"/modules.devname "$lib/$1"/modules.symbols* "$lib/$1"/modules.builtin*.bin
        fi
    }
    # TARGET VERSION
    set_source() {
        [ -L "$mine/$2/source" ] || rm -rf "$mine/$2/source"
        mkdir -p "$mine/$2" && relink "$1" "$mine/$2/source"
    }

    # KERNEL: puts back what was kept; fails if it could not
    restore() {
        kept=$work/stash/$1
        active=$(cat "$kept/active" 2>/dev/null)
        old=${active%%/*}
        if [ -z "$old" ] || ! { is_kernel "$1" || has_headers "$1"; }; then return 0; fi
        mkdir -p "$mine/$old/$1" && copy_tree "$kept/build" "$mine/$active"
        if [ ! -f "$mine/$old/source/dkms.conf" ]; then
            # If its own source is gone, another's: without any, dkms would stop for every other module too.
            from=$work/source/$old
            [ -d "$from" ] || from=$source
            if [ "$from$old" = "$source$version" ]; then
                set_source "$source" "$old"
            elif copy_tree "$from" "$mine/$old/kpkg-source"; then
                set_source kpkg-source "$old"
            fi
        fi
        relink "$active" "$mine/kernel-$1-${active##*/}"
        find "$kept/lib" ! -type d | while IFS= read -r file; do
            at=$lib/$1/${file#"$kept/lib/"}
            rm -f "$at.kpkg-new"
            ! same_bytes "$file" "$at" || continue
            mkdir -p "${at%/*}"
            # A hard link needs no space on a full disk.
            if ln "$file" "$at.kpkg-new" 2>/dev/null && mv -f "$at.kpkg-new" "$at"; then continue; fi
            place "$file" "$at" || warn "kernel $1: cannot put back $at"
        done
        update_depmod "$1"
        rm -f "$kept/swapping"
        ! is_damaged "$1"
    }
    # KERNEL: was a run stopped half-way, or did another package's script remove what we keep?
    is_damaged() {
        kept=$work/stash/$1
        [ ! -e "$kept/swapping" ] || return 0
        if ! is_active "$1" || [ ! -d "$mine/$active/module" ]; then return 0; fi
        [ -n "$(find "$kept/lib" ! -type d | while IFS= read -r file; do
            [ -e "$lib/$1/${file#"$kept/lib/"}" ] || echo lost
        done)" ]
    }
    # What an earlier or interrupted run has left
    recover() {
        for kept in "$work"/stash/*/; do
            [ -d "$kept" ] || continue
            kernel=$(basename "$kept")
            if ! is_damaged "$kernel" || restore "$kernel"; then rm -rf "$work/stash/$kernel"; fi
        done
        rm -rf "$work/tree" "$work/log" "$work/files" "$work/before" "$work/guard" "$work/stash/.new" "$mine/.kpkg-link"
        rmdir "$work/stash" 2>/dev/null
        [ -d "$work/stash" ] || rm -rf "$work"
    }

    # The kernels, one a line. What dkms would take for an option or for code, as it does not quote it, is no kernel; nor is a link to another one's
    # folder one of its own.
    each_kernel() {
        for at in "$lib"/*/; do
            at=${at%/}
            case ${at##*/} in -* | *[!A-Za-z0-9._+~:@%=,^-]*) continue ;; esac
            [ -L "$at" ] && [ "$(readlink -f "$at/..")" = "$(readlink -f "$lib")" ] || printf '%s\n' "${at##*/}"
        done
    }

    # KERNEL: keeps what makes its module work now, until its successor works
    stash() {
        if ! is_active "$1" || [ ! -d "$mine/$active/module" ]; then return 0; fi
        new=$work/stash/.new
        rm -rf "$new"
        mkdir -p "$new/lib" && copy_tree "$mine/$active" "$new/build" || return 1
        installed_from "$1" "$new/build/module" >"$new/files" || return 1
        while IFS= read -r file; do
            at=$new/lib/${file#"$lib/$1/"}
            mkdir -p "${at%/*}" || return 1
            if [ -L "$file" ] || ! ln "$file" "$at" 2>/dev/null; then cp -pL "$file" "$at" || return 1; fi
        done <"$new/files"
        printf '%s\n' "$active" >"$new/active" || return 1
        rm -rf "${work:?}/stash/$1"
        mv "$new" "$work/stash/$1"
    }

    # Modules by name, of a list of paths
    module_names() { sed 's|.*/||; s|[.]ko[^/]*$||'; }
    # VERSION: left by us, or of a package that is gone
    is_stale() {
        case $1 in original_module | kernel-*) return 1 ;; esac
        [ -d "$mine/$1/kpkg-source" ] || { [ -L "$mine/$1/source" ] && [ ! -e "$mine/$1/source/dkms.conf" ]; }
    }
    # Modules that are back where their place is free: those we have put aside, and the kernels' own that dkms has, where no version
    # of ours is active any more. Prints their kernels.
    return_originals() {
        find "$mine/original_module" ! -type d ! -name '*.origin' ! -path '*/collisions/*' 2>/dev/null | while IFS= read -r file; do
            own=${file#"$mine/original_module/"}
            own=${own%%/*}
            # dkms 3.1 and later note the place; earlier ones do not, but the kernel does.
            at=$(cat "$file.origin" 2>/dev/null)
            case $file in
                "$mine/original_module/$own"/kpkg/*) at=$lib/$own/${file#"$mine/original_module/$own/kpkg/"} ;;
                *) ! is_active "$own" || continue ;;
            esac
            if [ -z "$at" ]; then
                base=${file##*/}
                at=$(grep "/${base%.ko*}\.ko\$" "$lib/$own/modules.order" 2>/dev/null | head -n 1)
                [ -n "$at" ] || continue
                at=$lib/$own/${at%/*}/$base
            fi
            case $at in "$lib/$own/"*) ;; *) continue ;; esac
            [ ! -e "$at" ] || continue
            mkdir -p "${at%/*}" && mv "$file" "$at" && rm -f "$file.origin" && printf '%s\n' "$own"
        done
        find "$mine/original_module" -depth -type d -exec rmdir {} \; 2>/dev/null
    }
    # VERSION: no kernel uses it any more, or everything goes
    forget() {
        for link in "$mine"/kernel-*; do
            case $(readlink "$link") in "$1"/*) rm -f "$link" ;; esac
        done
        rm -rf "${mine:?}/$1"
    }
    tell_needs() { :; }

    # Where a container, a chroot or an image is, it is the machine outside that boots
    is_inside() {
        [ -e /run/systemd/container ] || [ -e /run/.containerenv ] || [ -e /.dockerenv ] ||
            [ "$(stat -Lc %d:%i / 2>/dev/null)" != "$(stat -Lc %d:%i /proc/1/root/. 2>/dev/null)" ]
    }
    # Does the firmware of this machine let signed modules in only?
    is_secure_boot() {
        [ -d /sys/firmware/efi ] && ! is_inside || return 1
        if command -v mokutil >/dev/null 2>&1; then
            set -- "$(LC_ALL=C mokutil --sb-state 2>/dev/null)"
            case $1 in *'validation is disabled'*) return 1 ;; *'SecureBoot enabled'*) return 0 ;; *) return 1 ;; esac
        fi
        # four bytes of attributes, and the value
        [ "$(od -An -tu1 -j4 -N1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c 2>/dev/null | tr -d ' ')" = 1 ]
    }
    # CERTIFICATE: does this machine not trust it? Without mokutil nobody can tell.
    is_unknown() {
        ! command -v mokutil >/dev/null 2>&1 || LC_ALL=C mokutil --test-key "$1" 2>/dev/null | grep -q 'is not enrolled'
    }
    # CERTIFICATE: the command that makes it known
    enrolment() {
        command -v mokutil >/dev/null 2>&1 || printf 'install mokutil, and '
        printf 'run: mokutil --import %s (it asks for a password, and the next boot asks for it again)' "$1"
    }

    headers='kernel-devel-%k (on SUSE: kernel-%f-devel)'
    # The kernels to serve: those that are there, or the one whose driver made this one possible
    kernels=$(each_kernel)
    say() { printf '%s: %s\n' "$package" "$*"; }
    # KERNEL: the header package it wants
    header_package() { printf '%s\n' "$headers" | sed "s|%k|$1|g; s|%f|${1##*-}|g"; }

    # KERNEL: is its active version also on disk?
    is_working() { is_active "$1" && [ -n "$(installed_from "$1" "$mine/$active/module")" ]; }
    # KERNEL FOLDER: is every module of FOLDER on disk?
    all_installed() {
        [ -z "$(modules_in "$2" | while IFS= read -r built; do
            [ -n "$(installed_as "$1" "$built")" ] || echo missing
        done)" ]
    }
    # KERNEL FOLDER: when files named like the modules in FOLDER were written, and where
    files_named() {
        modules_in "$2" | while IFS= read -r file; do
            file=${file##*/}
            find -H "$lib/$1" \( -name "${file%%.ko*}.ko" -o -name "${file%%.ko*}.ko.[gxz]*" \) ! -type d -printf '%T@ %P\n' 2>/dev/null
        done
    }
    # KERNEL FOLDER: where, of those written since $work/before
    fresh_files() { files_named "$1" "$2" | grep -vxF -f "$work/before" | sed 's/^[^ ]* //'; }
    # VERSION: back to what a package ships
    thaw() {
        [ -f "/usr/src/$name-$1/dkms.conf" ] &&
            set_source "/usr/src/$name-$1" "$1" && rm -rf "$mine/$1/kpkg-source" "$mine/$1/.kpkg-source"
    }
    # Versions that this package or a predecessor left: away, unless a kernel still works with them
    prune() {
        for at in "$mine"/*/; do
            at=${at%/}
            old=${at##*/}
            if [ "$old" = "$version" ] || ! is_stale "$old"; then continue; fi
            ! thaw "$old" || continue
            needed=
            for build in "$mine/$old"/*/*/module; do
                build=${build%/module}
                kernel=$(basename "${build%/*}")
                case $kernel in kpkg-source | source | build | '*') continue ;; esac
                if is_working "$kernel" && [ "$mine/$active" = "$build" ]; then
                    needed=yes
                else
                    rm -rf "$build"
                    rmdir "${build%/*}" 2>/dev/null
                fi
            done
            if [ -z "$needed" ]; then
                forget "$old"
            elif [ ! -f "$mine/$old/source/dkms.conf" ] && cp -a "$source/." "$mine/$old/kpkg-source"; then
                set_source kpkg-source "$old"
            fi
        done
    }

    # A dkms tree of our own, where a build touches nothing that works. It also holds the other modules' registrations:
    # dkms 3.1.4 and later look up BUILD_DEPENDS in the tree they build in, and do not follow a link there.
    prepare() {
        mkdir -p "$work/tree/$name/$version" || return 1
        for at in "$tree"/*/; do
            at=${at%/}
            [ "$at" != "$mine" ] || continue
            set -- "$at"/kernel-*
            [ ! -L "$1" ] || copy_tree "$at" "$work/tree/${at##*/}"
        done
    }
    # In the background, so that a signal does not wait for it; two hours, so that nothing waits for ever
    run_dkms() {
        timeout -k 9 7200 dkms "$@" -m "$name" -v "$version" </dev/null &
        wait "$!"
        ended=$?
        [ "$ended" != 124 ] || echo "Error! dkms $1 did not end within two hours and was stopped"
        return "$ended"
    }
    # KERNEL: 0 built (sets arch), 1 failed, 2 not meant for this kernel
    build() {
        private=$work/tree/$name/$version
        if [ ! -e "$private/source/dkms.conf" ]; then
            # "add" runs POST_ADD; whether the configuration suits this kernel is the business of "build".
            run_dkms add -k "$1" --dkmstree "$work/tree" --sourcetree /usr/src >"$work/log" 2>&1
            [ -e "$private/source/dkms.conf" ] || ln -s "$source" "$private/source"
        fi
        run_dkms build -k "$1" --dkmstree "$work/tree" --sourcetree /usr/src >"$work/log" 2>&1
        case $? in
            0) ;;
            9 | 77) return 2 ;;
            *) return 1 ;;
        esac
        set -- "$1" "$private/$1"/*/module
        [ -d "$2" ] || return 1
        arch=${2%/module}
        arch=${arch##*/}
        misfits "$1" "$2" >"$work/log"
        [ ! -s "$work/log" ]
    }
    # KERNEL FOLDER: modules in FOLDER that it could not load
    misfits() {
        modules_in "$2" | while IFS= read -r file; do
            made_for=$(modinfo -F vermagic "$file" 2>/dev/null)
            case $made_for in "$1 "*) continue ;; esac
            echo "Error! ${file##*/} is built for ${made_for:-no kernel: it cannot be read as a module}"
        done
    }
    # why it did not build
    explain() {
        {
            sed -n 's/^Error! //p' "$work/log"
            tail -n 12 "$work/tree/$name/$version/build/make.log" 2>/dev/null || grep -v '^Error! ' "$work/log" | tail -n 12
        } | sed 's/^/    /' >&2
        command -v make >/dev/null 2>&1 || warn "make is not installed; a build needs it"
    }

    register() {
        set_source "$source" "$version" && rm -rf "$mine/$version/kpkg-source" "$mine/$version/.kpkg-source"
    }
    # KERNEL: modules of these names that are neither ours nor the kernel's own, out of the sight of dkms, which would move them away
    hide_others() {
        sed 's/^[^ ]* //' "$work/before" | grep -v '^kernel/' | grep -vxF -f "$work/files" | while IFS= read -r file; do
            at=$mine/original_module/$1/kpkg/$file
            [ -e "$at" ] || { mkdir -p "${at%/*}" && mv "$lib/$1/$file" "$at"; }
        done
    }
    # KERNEL: the new build becomes the active one. 0 done, 4 failed and the old one is back, 5 dkms leaves it to the kernel's own.
    swap() {
        built_to=$mine/$version/$1/$arch
        kept=$work/stash/$1
        ready=$work/tree/$name/$version/$1/$arch
        register && stash "$1" || return 4
        force=--force
        if [ -d "$kept" ]; then
            : >"$kept/swapping" || return 4
            # New files take the place of the old ones in one step each: "dkms install" copies over them, and a full
            # disk would cost both.
            find "$kept/lib" ! -type d -printf '%P\n' >"$work/files"
            while IFS= read -r file; do
                [ ! -e "$ready/module/${file##*/}" ] || place "$ready/module/${file##*/}" "$lib/$1/$file" || { restore "$1"; return 4; }
            done <"$work/files"
            # dkms must see that another build is active: without a link it archives the installed file as the kernel's
            # own, to come back on removal; with the right link "--force" uninstalls first.
            relink "kpkg-old/$1/$arch" "$mine/kernel-$1-$arch" || { restore "$1"; return 4; }
        fi
        files_named "$1" "$ready/module" >"$work/before"
        if [ ! -s "$work/files" ] && grep -q '^[^ ]* kernel/' "$work/before"; then force=; fi
        hide_others "$1"
        rm -rf "$built_to"
        if mkdir -p "${built_to%/*}" && mv "$ready" "$built_to"; then
            run_dkms install $force -k "$1" -a "$arch" >"$work/log" 2>&1
            fresh_files "$1" "$built_to/module" | sed 's|/[^/]*$||' | sort -u >"$built_to/kpkg-folders"
        fi
        returned=$(return_originals)
        find "$mine/original_module/$1/kpkg" ! -type d 2>/dev/null | while IFS= read -r file; do
            warn "kernel $1: $lib/$1/${file#*/kpkg/} was not from dkms; it is kept, and comes back when $name is removed"
        done
        if [ "$(readlink "$mine/kernel-$1-$arch")" = "$version/$1/$arch" ] && all_installed "$1" "$built_to/module"; then
            # Modules that the new version no longer has
            gone=$returned
            while IFS= read -r file; do
                [ ! -e "$built_to/module/${file##*/}" ] || continue
                rm -f "$lib/$1/$file"
                gone=yes
            done <"$work/files"
            [ -z "$gone" ] || update_depmod "$1"
            modules="$modules $(module_names <"$work/files") $(modules_in "$built_to/module" | module_names)"
            rm -rf "$kept"
            return 0
        fi
        if [ -z "$force" ]; then
            [ "$(readlink "$mine/kernel-$1-$arch")" != "kpkg-old/$1/$arch" ] || rm -f "$mine/kernel-$1-$arch"
            rm -rf "$kept"
            return 5
        fi
        # Half a module is worse than none.
        [ -d "$kept" ] || fresh_files "$1" "$built_to/module" | while IFS= read -r file; do rm -f "$lib/$1/$file"; done
        rm -rf "$built_to"
        rmdir "${built_to%/*}" 2>/dev/null
        if [ -d "$kept" ]; then
            restore "$1" && rm -rf "$kept"
        else
            rm -f "$mine/kernel-$1-$arch"
            return_originals >/dev/null
            update_depmod "$1"
        fi
        return 4
    }
    # KERNEL: what it is left with
    tell_kept() {
        if is_working "$1"; then
            warn "kernel $1 keeps its working module, $name ${active%%/*}"
        else
            warn "kernel $1 has no $name module; there was none to keep"
        fi
    }
    # KERNEL: builds and swaps, and says how it went. 0 done, 1 failed, 2 nothing to be done.
    serve() {
        : >"$work/files"
        build "$1" && swap "$1"
        case $? in
            0)
                say "kernel $1: $name $version is built and installed"
                return 0
                ;;
            2)
                say "kernel $1: $name $version is not meant for it"
                ! is_working "$1" || [ "${active%%/*}" = "$version" ] || tell_kept "$1"
                return 2
                ;;
            4)
                warn "kernel $1: $name $version could not be installed:"
                tail -n 12 "$work/log" | sed 's/^/    /' >&2
                ;;
            5)
                warn "kernel $1: dkms leaves the kernel's own module in place; to use $name $version: dkms install --force -m $name -v $version -k $1"
                return 2
                ;;
            *)
                warn "kernel $1: $name $version failed to build:"
                explain
                tell_needs "$1"
                ;;
        esac
        tell_kept "$1"
        return 1
    }
    # NAME DKMS.CONF: is that driver built after NAME, and whenever it can be?
    is_built_after() {
        sed -n 's/[[:space:]]#.*//; s/^[[:space:]]*BUILD_DEPENDS\(\[[0-9]*\]\)\{0,1\}+\{0,1\}=//p' "$2" | tr "\"'()" '    ' | tr -s '[:blank:]' '\n' | grep -qxF -e "$1" &&
            sed -n "s/^[[:space:]]*AUTOINSTALL=[\"']\{0,1\}//p" "$2" | tail -n 1 | grep -q '^[yY1tT]'
    }
    # KERNEL DRIVER: in a subshell, as it becomes that driver. If dkms builds it after this one, builds it where it has no module,
    # where it keeps an old one while the new waits, or where it has BUILD_DEPENDS_REBUILD and this one is another version now.
    serve_dependant() {
        before=$name now=$version kernels=$1 modules='' policy=auto name=$2 mine=$tree/$2 work=$tree/.kpkg-$2
        waits=$(cat "$mine"/*/kpkg-source/kpkg-waits 2>/dev/null | sort -V | tail -n 1)
        source=$(find "$mine"/*/source -lname "/usr/src/$name-*" -printf '%l\n' 2>/dev/null | sort -V | tail -n 1)
        version=${source#"/usr/src/$name-"}
        [ -z "$waits" ] || version=$waits
        source=/usr/src/$name-$version
        if is_active "$1" && { [ -z "$waits" ] || [ "${active%%/*}" = "$waits" ]; }; then
            # dkms 3.2 notes it where BUILD_DEPENDS_REBUILD is set, and does not look at it under --force
            from=$(cat "$mine/$active/.dep_$before" 2>/dev/null)
            [ -n "$from" ] && [ "$from" != "$now" ] || return 0
        fi
        if [ -f "$source/dkms.conf" ] && is_built_after "$before" "$source/dkms.conf"; then configure; fi
    }
    # KERNEL: those that could not be built before. One whose own package is about to build it is left to that.
    serve_dependants() {
        for at in "$tree"/*/; do
            at=${at%/}
            other=${at##*/}
            if [ "$other" = "$name" ] || [ -e "$tree/.kpkg-$other/guard" ]; then continue; fi
            (serve_dependant "$1" "$other")
        done
    }
    # KERNEL...: whether Secure Boot lets in what was built for them; dkms signs with a key that every machine makes for itself
    tell_secure_boot() {
        is_secure_boot || return 0
        for kernel in "$@"; do
            is_active "$kernel" || continue
            built=$(modules_in "$mine/$active/module" | head -n 1)
            signer=$(modinfo -F signer "$built" 2>/dev/null)
            if [ -z "$(modinfo -F sig_id "$built" 2>/dev/null)" ]; then
                warn "Secure Boot is on, and dkms did not sign the module for kernel $kernel, which will not load; it signs where it finds openssl and the sign-file of the kernel's headers"
                return 0
            fi
            for certificate in $(sed -n "s/^[[:space:]]*mok_certificate=//p" /etc/dkms/framework.conf /etc/dkms/framework.conf.d/*.conf 2>/dev/null | tr -d "\"'") \
                /var/lib/shim-signed/mok/MOK.der /var/lib/dkms/mok.pub; do
                if [ ! -f "$certificate" ] || ! grep -aqF -e "${signer:-.}" "$certificate"; then continue; fi
                ! is_unknown "$certificate" ||
                    warn "Secure Boot is on, and this machine does not trust the key that dkms signs with ($signer); $(enrolment "$certificate")"
                return 0
            done
            warn "Secure Boot is on; the module for kernel $kernel is signed by ${signer:-a key without a name}, and it loads if this machine trusts that key"
            return 0
        done
    }
    # Kernels that nothing was built for
    tell_headers() {
        told=
        for kernel in $kernels; do
            ! has_headers "$kernel" || continue
            # A folder without a kernel is a remnant, and worth a word only if there is nothing else to say.
            [ "$tried" = 0 ] || is_kernel "$kernel" || continue
            told=yes
            has="$name was not built for it"
            ! is_working "$kernel" || has="it keeps the module of $name ${active%%/*}"
            warn "kernel $kernel has no headers, $has; to build $version, install $(header_package "$kernel")"
        done
        [ "$tried" != 0 ] || [ -n "$told" ] || warn "no kernel found, $name was not built; install $(header_package KERNEL)"
    }
    configure() {
        recover
        [ -f "$source/dkms.conf" ] || { warn "$source is missing, nothing was built"; return 1; }
        prepare || { warn "cannot write to $tree, nothing was built"; return 1; }
        trap 'kill "$!" 2>/dev/null; recover; exit 143' HUP INT TERM
        tried=0 failed=0 served='' no_dkms='' keeps=''
        if ! command -v dkms >/dev/null 2>&1; then
            warn "dkms is not installed, nothing was built"
            no_dkms=yes failed=1
        elif [ -e /etc/dkms/no-autoinstall ]; then
            warn "/etc/dkms/no-autoinstall exists, nothing was built"
            no_dkms=yes
        fi
        for kernel in $kernels; do
            if [ -n "$no_dkms" ] || ! has_headers "$kernel"; then continue; fi
            tried=$((tried + 1))
            serve "$kernel"
            case $? in
                0) served="$served $kernel" ;;
                1) failed=$((failed + 1)) ;;
            esac
        done
        # dkms builds for kernels to come from what is registered. When nothing could be built from the new source, while
        # the old one works somewhere, that is the better one to offer.
        for kernel in $(each_kernel); do ! is_working "$kernel" || keeps=yes; done
        if [ "$failed" = 0 ] || [ -n "$served" ] || [ -z "$keeps" ]; then register; fi
        prune
        tell_headers
        # shellcheck disable=SC2086 # a list
        tell_secure_boot $served
        recover
        trap - HUP INT TERM
        for kernel in $served; do
            ! belongs "$kernel" || renew_later "$kernel"
            serve_dependants "$kernel"
        done
        [ "$failed" = 0 ]
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
    # Packages whose %posttrans is still to come, by the rpm that runs their scripts
    pending=/run/kpkg-pending
    mark() { mkdir -p "$marks" && : >"$marks/$1"; }
    # Every kernel that is marked, whichever package did it
    renew_marked() {
        for at in "$marks"/*; do
            [ -e "$at" ] || continue
            if is_kernel "${at##*/}"; then renew "${at##*/}"; else rm -f "$at"; fi
        done
    }
    renew_later() { mark "$1" || renew "$1"; }
    # Has every package of this transaction that may mark a kernel done so?
    is_last() {
        for at in "$pending"/*; do
            [ "$(cat "$at" 2>/dev/null)" != "$PPID" ] || return 1
        done
    }

    # After every script of the package that was replaced, and after the headers that came in the same transaction
    rm -f "$pending/$package"
    configure
    ! is_last || renew_marked
)

kpkg_dkms

exit 0
