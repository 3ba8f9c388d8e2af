#!/bin/sh
# Makes sure that everything the build and the tests need is installed.
#
#   tools/deps.sh            what make, make run, make test and make sim need
#   tools/deps.sh clients    and what make clients needs
#   tools/deps.sh bench      and the servers that make bench compares with
#   tools/deps.sh fuzz       and what make fuzz needs
#
# On Debian and Ubuntu it installs what is missing with apt-get (sudo when not root) and asks
# nothing. Elsewhere it names what is missing and fails. When nothing is missing it only looks.
set -u

missing=""
need() { # need PACKAGE COMMAND...: the package is missing when the command fails
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
has_module() {
    /usr/bin/python3 -c "import importlib.util as u, sys; sys.exit(u.find_spec('$1') is None)"
}
has_fuzzer() { # clang's runtime is a package of its own
    echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return p && n > 9; }' |
        clang -x c -fsanitize=fuzzer,address -o /dev/null -
}
has_libraries() {
    pkg-config --exists "$1"
}

look() {
    missing=""
    need gcc command -v gcc
    need libc6-dev test -e /usr/include/stdio.h
    need pkg-config command -v pkg-config
    need meson command -v meson
    need ninja-build command -v ninja
    need libuv1-dev has_libraries libuv
    need libxxhash-dev has_libraries libxxhash
    need libssl-dev has_libraries libcrypto
    need libcmocka-dev has_libraries cmocka
    need redis-tools command -v redis-cli
    need redis-server command -v redis-server
    need python3 test -x /usr/bin/python3
    need python3-redis has_module redis
    need python3-pytest has_module pytest
    need valgrind command -v valgrind
    need nftables test -x /usr/sbin/nft
    need python3-prometheus-client has_module prometheus_client
    if [ "${1:-}" = clients ]; then
        need nodejs command -v node
        need npm command -v npm
    fi
    if [ "${1:-}" = bench ]; then
        need etcd-server command -v etcd
        need etcd-client command -v etcdctl
    fi
    if [ "${1:-}" = fuzz ]; then
        need clang command -v clang
        need llvm command -v llvm-cov
        need libclang-rt-dev has_fuzzer
    fi
}

look "${1:-}"
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "tools/deps.sh: these are missing (names of Debian's packages):$missing" >&2
    echo "tools/deps.sh: install them with this system's package manager and run make again" >&2
    exit 1
fi

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo -n"
    if ! $as_root true 2>/dev/null; then
        echo "tools/deps.sh: please install as root: apt-get install$missing" >&2
        exit 1
    fi
fi

# Installing redis-server or etcd-server would start a service, which we neither need nor want: only
# their binaries are used, as the oracle of our tests and as peers to be measured.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '$as_root rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod +x $policy
fi

echo "tools/deps.sh: installing$missing"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=120"
# shellcheck disable=SC2086
if ! { $apt update && $apt install --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "tools/deps.sh: apt-get failed; all of its output is in $log" >&2
    exit 1
fi
rm -f "$log"

look "${1:-}"
if [ -n "$missing" ]; then
    echo "tools/deps.sh: still missing after apt-get install:$missing" >&2
    exit 1
fi
