#!/bin/sh
# Whether a release build is free of failpoints, in TAP. Usage: failpoints.sh [source root]
#
# Every source that has a failpoint is compiled as for a release: the object must not know a
# function or a text of them. The same check must fail once they are switched on, else it proves
# nothing.
set -u
cd "${1:-$(dirname "$0")/..}" || exit 1 # assertions name the sources as they are called here
cc=${CC:-cc}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
flags="-std=gnu11 -O1 -w -D_GNU_SOURCE -Isrc -I."

# The names that the objects in $1 know, one per line.
names() {
    for object in "$1"/*.o; do
        nm "$object" | awk '{ print $NF }'
        strings -n 4 "$object"
    done | grep -i -e failpoint -e '^LOG_TORN$' | sort -u
}

compile() { # directory, further flags
    mkdir "$work/$1"
    number=0
    for source in $sources; do
        number=$((number + 1))
        # shellcheck disable=SC2086
        $cc $flags ${2:-} -c "$source" -o "$work/$1/$number.o" || return 1
    done
}

sources=$(grep -rl 'failpoint' src --include='*.c' | grep -v '/io/failpoint\.c$')
echo 1..2
if compile release && [ -z "$(names "$work/release")" ]; then
    echo "ok 1 - a release build has no failpoints"
else
    echo "not ok 1 - a release build has no failpoints"
    names "$work/release" | sed 's/^/# /'
fi
if compile test -DQUORATE_FAILPOINTS && [ -n "$(names "$work/test")" ]; then
    echo "ok 2 - the check finds them where they are"
else
    echo "not ok 2 - the check finds them where they are"
fi
