#!/usr/bin/env bash
# The shared library exports what <newtdb.h> and what it includes declare, no more and no less, under its version.
set -u
cd "$(dirname "$0")/../.."
lib=${NEWT_BUILD:-build}/libnewtdb.so
n=0 status=0
same() { # NAME EXPECTED GOT
    local lines
    n=$((n + 1))
    if ! lines=$(diff <(echo "$2") <(echo "$3")); then
        status=1 && sed 's/^/# /' <<<"$lines" && printf 'not '
    fi
    echo "ok $n - $1"
}

# declarations begin with NEWT_API and may go over lines; data is declared extern
declared=$(cat bridge/newtdb*.h | tr '\n' ' ' | grep -oE 'NEWT_API [^;{]*;' | grep -v '^NEWT_API __' |
    grep -oE '\bnewt_[a-z_]+ ?[(]|\bnewt_[a-z]+_class\b|\bnewt_btree_hooks\b' | tr -d ' (' | sort -u)
exported=$(nm -D --defined-only "$lib" | awk '$2 ~ /[A-Z]/ && $2 != "A" {print $3}' | sort -u)
same 'the library exports what the header declares' \
    "$declared" "$(sed 's/@.*//' <<<"$exported" | sort -u)"
same 'every symbol has a version' '' "$(grep -v '@@NEWTDB_[0-9]*$' <<<"$exported")"
same 'the map names the same symbols' \
    "$declared" "$(grep -oE '^    newt_[a-z_]+;' bridge/libnewtdb.map | tr -d ' ;' | sort -u)"
same 'its soname' 'libnewtdb.so.0' \
    "$(objdump -p "$lib" | awk '$1 == "SONAME" {print $2}')"
echo "1..$n"
exit $status
