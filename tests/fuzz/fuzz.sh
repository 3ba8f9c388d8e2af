#!/bin/sh
# Runs a fuzz target under libFuzzer (needs clang). What fails is left as crash-* in the current
# directory: shorten it, give it a name, and keep it in the target's corpus.
#
#     tests/fuzz/fuzz.sh resp|config|op|frame|glob|http [SECONDS]
set -eu
cd "$(dirname "$0")/../.."
name=$1
seconds=${2:-60}
sources="src/base/panic.c src/base/crc32c.c"
case $name in
resp) sources="$sources src/resp/parse.c src/resp/reply.c" ;;
config) sources="$sources src/resp/parse.c src/node/config.c src/node/config_file.c" ;;
op) sources="$sources src/command/op.c src/command/command.c" ;;
frame) sources="$sources src/node/frame.c" ;;
http) sources="$sources src/node/http_parse.c" ;;
glob) sources="$sources src/engine/glob.c" ;;
*) echo "no such target: $name" >&2 && exit 2 ;;
esac
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# shellcheck disable=SC2086 # the sources are a list
clang -g -O1 -std=gnu11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined \
    -fno-sanitize-recover=undefined -Isrc -I. "tests/fuzz/${name}_fuzz.c" $sources -lm \
    -o "$out/fuzz"
mkdir "$out/new"
"$out/fuzz" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    "$out/new" "tests/fuzz/corpus/$name"
