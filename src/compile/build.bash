# What `dkms build` does for one kernel (do_build of dkms 3.2.2), behind assignments of what differs: name, version, kernelver,
# arch, compiler, make_command, pre_build, post_build, strip, log, and the arrays patches, built, names, strips.
#
# Says on its standard output, a line each: `compiler VERSION`, `unnamed PATH`, and when it cannot go on `failed STAGE WHAT`, where a
# module is missing behind a `made PATH` for each that is there.
exec 3>&1 >>"$log" 2>&1 </dev/null
base=$dkms_tree/$name/$version
build_dir=$base/build
modules=$base/$kernelver/$arch/module
module=$name
module_version=$version
PACKAGE_NAME=$name
PACKAGE_VERSION=$version

failed() {
    printf 'failed %s %s\n' "$1" "$2" >&3
    exit 1
}
# a command line as `invoke_command` runs it
invoke() {
    printf '\n%s\n# command: %s\n' "$1" "$2"
    (eval "$2") 3>&-
}
# the part of a command that has to be executable, run_build_script
run_script() {
    local run=$build_dir/$2
    if [[ -x ${run%% *} ]]; then
        invoke "Running the $1 script" "cd $build_dir/ && $run" || failed "$1" "$2"
    else
        printf 'unexecutable %s %s\n' "$1" "$2" >&3
    fi
}

printf 'compiler %s\n' "$({ "$compiler" -dumpfullversion || "$compiler" -dumpversion; } 2>/dev/null | head -n 1)" >&3
cp -a "$source_tree/$name-$version/." "$build_dir" || failed copy source
cd "$build_dir" || failed copy source
for patch in "${patches[@]}"; do
    invoke "Applying patch $patch" "patch -p1 < ./patches/$patch" || failed patch "$patch"
done
[[ $pre_build ]] && run_script PRE_BUILD "$pre_build"
invoke 'Building module(s)' "${make_command/#make/make -j$parallel_jobs KERNELRELEASE=$kernelver}" || failed make "$make_command"
cd "$build_dir" || failed make build
mkdir -p "$modules" "$base/debug"
for index in "${!built[@]}"; do
    file=$build_dir/${built[index]}.ko
    if [[ ! -s $file ]]; then
        find . -name '*.ko' -size +0 -printf 'made %P\n' | sort | head -n 20 >&3
        failed module "${built[index]}.ko"
    fi
    if [[ ${strips[index]} = yes ]]; then
        cp "$file" "$base/debug/${names[index]}.ko" || failed strip "${built[index]}.ko"
        "$strip" -g "$file" || failed strip "${built[index]}.ko"
    fi
    cp "$file" "$modules/${names[index]}.ko" || failed copy "${built[index]}.ko"
done
[[ -f Module.symvers ]] && cp Module.symvers "$modules/"
find . -name '*.ko' -printf '%P\n' | sort | while read -r path; do
    for name in "${built[@]}"; do
        [[ $path -ef $name.ko ]] && continue 2
    done
    printf 'unnamed %s\n' "$path" >&3
done
[[ $post_build ]] && run_script POST_BUILD "$post_build"
exit 0
