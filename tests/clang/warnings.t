#!/usr/bin/env bash
# Everything compiles without a warning under clang too. In a directory of its own, so that no
# object of the other compiler is made anew. Its warnings do not need the optimizer, and those of the
# tests no objects.
set -u
cd "$(dirname "$0")/../.."
n=0 status=0
goals='objects lib updater examples bench-programs tests tests/codec tests/bridge tests/daemon tests/concurrency tests/faults tests/storages'
for goal in $goals; do
    n=$((n + 1))
    case $goal in
    tests*) B=build-clang/tests how=-fsyntax-only make=$(ls "$goal"/*.c | sed "s|.*|$B/obj/&|; s|c$|o|") ;;
    *) B=build-clang how='-O0 -g0' make=$goal ;;
    esac
    if ! out=$("${MAKE:-make}" -s -j2 CC=clang COPT="$how" B=$B $make 2>&1); then
        sed 's/^/# /' <<<"$out"
        printf 'not ' && status=1
    fi
    echo "ok $n - $goal"
done
echo "1..$n"
exit $status
