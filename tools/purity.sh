#!/bin/sh
# The purity gate (design rule R1), in TAP. Usage: purity.sh [source root]
#
# src/protocol is compiled plain at -O2, without floating point registers, and the objects prove
# what the sources promise: they import nothing but four functions, qr_panic and each other, and
# they hold no writable data. src/engine and src/store may allocate, but must not reach for time,
# randomness, the environment, the locale, threads or I/O: execution must be the same everywhere.
#
# The gate tests itself with seeded violations: an impure file that passes fails the gate.
set -u
LC_ALL=C
export LC_ALL

root=${1:-$(dirname "$0")/..}
cc=${CC:-cc}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
number=0
failed=0

# Hardening flags of distributions add imports of their own; the question is about the source.
plain="-std=gnu11 -O2 -w -D_GNU_SOURCE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=0 -fno-stack-protector
    -fno-lto -fno-sanitize=all -I$root/src -I$root"
pure_imports="memcpy memmove memset memcmp qr_panic"
denied='^(time|gettimeofday|clock|clock_gettime|clock_nanosleep|nanosleep|usleep|sleep|times
|gmtime.*
|localtime.*|mktime|timegm|strftime|rand|rand_r|srand|random|srandom|[dejlmn]rand48|srand48
|arc4random.*|getrandom|getentropy|getenv|secure_getenv|setenv|putenv|environ|setlocale|newlocale
|uselocale|localeconv|nl_langinfo.*|strcoll|strxfrm|pthread_.*|thrd_.*|mtx_.*|cnd_.*|sem_.*|fork
|getpid|open|open64|openat.*|close|read|write|pread.*|pwrite.*|readv|writev|fopen.*|fdopen|freopen.*
|fclose|fread.*|fwrite.*|fflush|fputs|fputc|puts|putchar|printf|fprintf|vprintf|vfprintf|scanf
|fscanf
|fsync|fdatasync|rename|unlink|mkdir|rmdir|mmap.*|socket|connect|accept.*|bind|listen|send|sendto
|sendmsg|recv|recvfrom|recvmsg|select|poll|ppoll|epoll_.*|ioctl|uv_.*|qsort_r|stdout|stderr|stdin)$'
denied=$(printf '%s' "$denied" | tr -d '\n')

report() { # ok|not ok, what, file with reasons
    number=$((number + 1))
    echo "$1 $number - $2"
    if [ "$1" != ok ]; then
        failed=1
        sed 's/^/# /' "$3"
    fi
}

# Why the object $1 is impure when it may import what stands in $2; nothing when it is pure.
impurities() {
    nm -u "$1" | awk '{ print $2 }' | grep -vxFf "$2" | sed 's/^/imports /'
    objdump -h "$1" | awk '$2 ~ /^\.(data|bss|tdata|tbss)(\.|$)/ && $2 !~ /^\.data\.rel\.ro/ &&
        $3 !~ /^0+$/ { print "has writable data in " $2 }'
}

# Compiles $1 to $2; the compiler's complaints are the reasons in $3.
compile_pure() {
    $cc $plain -mgeneral-regs-only -fPIC -c "$1" -o "$2" >"$3" 2>&1
}

name_of() {
    echo "$1" | sed "s|^$root/||"
}

object_of() {
    echo "$work/$(name_of "$1" | tr / _).o"
}

# --- src/protocol --------------------------------------------------------------------------------

protocol=$(find "$root/src/protocol" -name '*.c' | sort)
: >"$work/uncompiled"
for file in $protocol; do
    compile_pure "$file" "$(object_of "$file")" "$work/reasons" ||
        { name_of "$file"; cat "$work/reasons"; } >>"$work/uncompiled"
done
if [ -s "$work/uncompiled" ]; then
    report "not ok" "src/protocol compiles without floating point" "$work/uncompiled"
else
    report ok "src/protocol compiles without floating point"
fi

for word in $pure_imports _GLOBAL_OFFSET_TABLE_; do echo "$word"; done >"$work/allowed"
for file in $protocol; do
    nm -g --defined-only "$(object_of "$file")" 2>/dev/null | awk '{ print $3 }'
done >>"$work/allowed"

for file in $protocol; do
    [ -f "$(object_of "$file")" ] || continue
    impurities "$(object_of "$file")" "$work/allowed" >"$work/reasons"
    [ -s "$work/reasons" ] && verdict="not ok" || verdict=ok
    report "$verdict" "$(name_of "$file") is pure" "$work/reasons"
done

# --- Seeded violations: the gate must refuse each of them ---------------------------------------

seed() { # what, source
    printf '%s\n' "$2" >"$work/seed.c"
    : >"$work/verdict"
    if compile_pure "$work/seed.c" "$work/seed.o" "$work/reasons"; then
        impurities "$work/seed.o" "$work/allowed" >"$work/verdict"
    elif grep -q 'SSE\|general-regs\|floating' "$work/reasons"; then
        cp "$work/reasons" "$work/verdict"
    fi
    echo "an impure file passed, or failed for another reason" >>"$work/reasons"
    [ -s "$work/verdict" ] && verdict=ok || verdict="not ok"
    report "$verdict" "the gate refuses $1" "$work/reasons"
}

seed "a clock" '#include <time.h>
long f(void); long f(void) { return (long)time(0); }'
seed "an allocation" '#include <stdlib.h>
void *f(void); void *f(void) { return malloc(8); }'
seed "a random number" '#include <stdlib.h>
int f(void); int f(void) { return rand(); }'
seed "output" '#include <stdio.h>
void f(int n); void f(int n) { printf("%d", n); }'
seed "a static counter" 'int f(void); int f(void) { static int n; return ++n; }'
seed "a mutable table" 'int table[2] = { 1, 2 }; int *f(void); int *f(void) { return table; }'
seed "a thread-local variable" \
    'static _Thread_local int n; int f(void); int f(void) { return ++n; }'
seed "floating point" 'double f(double x); double f(double x) { return x * 1.5; }'

# The other side: what pure code may have must pass, or the refusals above mean nothing.
cat >"$work/seed.c" <<'PURE'
#include <string.h>
static const char *const names[] = { "a", "b" };
const char *f(int i, char *p, int n);
const char *f(int i, char *p, int n) { memset(p, 0, (size_t)n); return names[i & 1]; }
PURE
compile_pure "$work/seed.c" "$work/seed.o" "$work/reasons" &&
    impurities "$work/seed.o" "$work/allowed" >"$work/reasons"
[ -s "$work/reasons" ] && verdict="not ok" || verdict=ok
report "$verdict" "the gate lets constant tables and memset pass" "$work/reasons"

# --- src/engine and src/store: a list of what is denied ------------------------------------------

denials() {
    nm -u "$1" | awk '{ print $2 }' | grep -E "$denied" | sed 's/^/imports /'
}

for file in $(find "$root/src/engine" "$root/src/store" -name '*.c' ! -path '*rocksdb*' | sort); do
    object=$(object_of "$file")
    if $cc $plain -c "$file" -o "$object" >"$work/reasons" 2>&1; then
        denials "$object" >"$work/reasons"
    fi
    [ -s "$work/reasons" ] && verdict="not ok" || verdict=ok
    report "$verdict" "$(name_of "$file") reaches for nothing outside" "$work/reasons"
done

for name in time getenv setlocale pthread_create fopen getrandom; do
    printf 'int %s(int); int f(int n); int f(int n) { return %s(n); }\n' "$name" "$name" \
        >"$work/seed.c"
    : >"$work/verdict"
    $cc $plain -fno-builtin -c "$work/seed.c" -o "$work/seed.o" 2>"$work/reasons" &&
        denials "$work/seed.o" >"$work/verdict"
    echo "it passed" >"$work/reasons"
    [ -s "$work/verdict" ] && verdict=ok || verdict="not ok"
    report "$verdict" "the list denies $name" "$work/reasons"
done

echo "1..$number"
exit $failed
