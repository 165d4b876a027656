#!/bin/sh
set -e

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

    # VERSION: dkms gets a copy of the source, because the package manager is about to change /usr/src.
    # It is a link to a folder of the registration: dkms 3.2 takes a plain folder named "source" for broken, and
    # dkms deletes a registration only if the folders left in it end in "source".
    freeze() {
        [ -f "$mine/$1/source/dkms.conf" ] || return 0
        [ "$(readlink "$mine/$1/source")" != kpkg-source ] || return 0
        rm -rf "$mine/$1/kpkg-source" "$mine/$1/.kpkg-source"
        if cp -a "$mine/$1/source/." "$mine/$1/.kpkg-source" && mv "$mine/$1/.kpkg-source" "$mine/$1/kpkg-source" &&
            set_source kpkg-source "$1"; then return 0; fi
        rm -rf "$mine/$1/kpkg-source" "$mine/$1/.kpkg-source"
        warn "cannot keep a copy of the source of $name $1; the installed modules stay"
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

    without_dkms=
    # VERSION: the registration and every module file that came from it
    drop() {
        [ -d "$mine/$1" ] || return 0
        owned=$(for link in "$mine"/kernel-*; do
            active=$(readlink "$link")
            case $active in "$1"/*/*) ;; *) continue ;; esac
            kernel=${active#*/}
            kernel=${kernel%/*}
            installed_from "$kernel" "$mine/$active/module" | while IFS= read -r file; do
                printf '%s %s %s\n' "$kernel" "$(digest "$file" || echo -)" "$file"
            done
        done)
        if [ -z "$without_dkms" ] && [ -f "$mine/$1/source/dkms.conf" ] && command -v dkms >/dev/null 2>&1; then
            log=$(timeout -k 9 7200 dkms remove -m "$name" -v "$1" --all </dev/null 2>&1) || printf '%s\n' "$log" | tail -n 5 >&2
        fi
        # What dkms left, if it could not do it or does not know the file any more
        changed=$(printf '%s\n' "$owned" | while read -r kernel sum file; do
            [ -n "$file" ] || continue
            if [ -e "$file" ] && [ "$(digest "$file")" = "$sum" ] || { [ -L "$file" ] && [ ! -e "$file" ]; }; then
                rm -f "$file"
                rmdir "$lib/$kernel/updates/dkms" "$lib/$kernel/updates" 2>/dev/null
            elif [ -e "$lib/$kernel/modules.order" ]; then
                continue
            fi
            printf '%s\n' "$kernel"
        done | sort -u)
        forget "$1"
        for kernel in $(printf '%s\n' "$changed" "$(return_originals)" | sort -u); do update_depmod "$kernel"; done
        # What is gone from the disk must not stay there either
        modules="$modules $(printf '%s\n' "$owned" | module_names)"
        for kernel in $(printf '%s\n' "$owned" | sed 's/ .*//' | sort -u); do
            ! is_kernel "$kernel" || ! belongs "$kernel" || renew "$kernel"
        done
    }
    remove() {
        recover
        drop "$version"
        for at in "$mine"/*/; do
            at=${at%/}
            if is_stale "${at##*/}"; then drop "${at##*/}"; fi
        done
        rmdir "$mine" 2>/dev/null
        return 0
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

    case "$1 ${2-}" in
        # "in-favour": the successor may serve the same driver; postrm removes what nobody took over.
        'upgrade '* | 'remove in-favour') freeze "$version" ;;
        'remove '*) remove ;;
        # deconfigure: the package stays unpacked and will be configured again, so the modules stay too
    esac
)

kpkg_dkms "$@" || :

exit 0
