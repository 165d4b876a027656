# Reads a dkms.conf as `safe_source` of dkms does, and prints the directives: name, index and value, each ended by NUL.
# The caller puts before it: the variables of dkms, the array `names` of directives, and the function `carry_over`, which prints the
# elements of the one that `_export_env` names as lines.
shopt -s extglob
# numbers become three digits, so that text compares as versions do; leading text stays
VER() {
    local rest="$1" padded=
    while [[ $rest =~ ^([^0-9]*)([0-9]+) ]]; do
        padded+=${BASH_REMATCH[1]}
        rest=${rest:${#BASH_REMATCH[0]}}
        case ${#BASH_REMATCH[2]} in
            1) padded+=00${BASH_REMATCH[2]} ;;
            2) padded+=0${BASH_REMATCH[2]} ;;
            *) padded+=${BASH_REMATCH[2]} ;;
        esac
    done
    echo "$padded$rest"
}
safe_source() {
    local file="$1" carried
    shift
    local -a -r directives=("$@")
    carried=$(mktemp)
    (
        exec >"$carried"
        . "$file" >/dev/null
        for _export_env in "${directives[@]}"; do
            carry_over
        done
        for _export_env in $(set | grep ^DKMS_DIRECTIVE | cut -d = -f 2-3); do
            echo "${_export_env%%=*}=\"${_export_env#*=}\""
        done
    )
    . "$carried" >/dev/null
    rm -f "$carried"
}
# the caller ignores its status, so that `set -e` in the file counts for nothing
safe_source "$1" "${names[@]}" || :
for _name in "${names[@]}"; do
    declare -n _values=$_name
    for _index in "${!_values[@]}"; do
        builtin printf '%s\0%s\0%s\0' "$_name" "$_index" "${_values[$_index]}"
    done
    unset -n _values
done
