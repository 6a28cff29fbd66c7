#!/usr/bin/env bash
# dev/packages where nothing is missing, and where things are missing and there is no apt. (What
# it does with apt, tests/bare-root tries.)
set -u
cd "$(dirname "$0")/../.."
n=0 status=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
is() { # NAME GOT WANTED
    n=$((n + 1))
    if [ "$2" != "$3" ]; then
        printf '# got:    %s\n# wanted: %s\nnot ' "$2" "$3" && status=1
    fi
    echo "ok $n - $1"
}

out=$(dev/packages test 2>&1)
is 'nothing is missing: status' $? 0
is 'nothing to say' "$out" ''

# a machine with make and little else
for tool in sh make sed grep cut cat ls id; do
    ln -s "$(command -v $tool)" "$work/$tool"
done
out=$(PATH=$work dev/packages demo 2>&1)
is 'much is missing, and there is no apt: status' $? 1
for thing in 'command gcc' 'header jansson.h' 'server -'; do
    is "$thing is named" "$(grep -c "^  $thing: .* (Debian: " <<<"$out")" 1
done
is 'what only the tests need is not' "$(grep -c cmocka <<<"$out")" 0
out=$(PATH=$work make demo 2>&1)
is 'make demo stops there' $? 2
is 'and builds nothing' "$(grep -c building <<<"$out")" 0
out=$(PATH=$work make 2>&1)
is 'make says what to do' "$(grep -c 'dev/packages demo' <<<"$out")" 1
out=$(PATH=$work dev/packages nonsense 2>&1)
is 'an unknown argument' "$? $out" '2 usage: dev/packages demo|test'
echo "1..$n"
exit $status
