#!/usr/bin/env bash
# The demo as `make demo` runs it, with the sample; and what its command line refuses.
. "$(dirname "$0")/tap.sh"
demo=build/examples/debian

out=$(examples/debian/run --sample 2>"$work/err" </dev/null)
is 'examples/debian/run: exit status' $? 0
has 'it loads' "$out" '^  packages +339 +1 '
has 'makes indexes' "$out" '^  package_text_idx +full text'
has 'walks in C' "$out" '^  all +[0-9]+ +[0-9.]+ [kM]B'
has 'searches in SQL' "$out" '^  nano +'
has 'asks who may see what' "$out" '^  database +[0-9]+'
has 'a new connection sees the change' "$out" '^  C, a new connection +[0-9.]+ ms +yes'
has 'so does one that had the old state' "$out" '^  C, old state in its cache +[0-9.]+ ms +yes'
has 'so does SQL' "$out" '^  SQL +[0-9.]+ ms +yes'
has 'a conflict is told' "$out" 'NEWT_ECONFLICT'
has 'and retried' "$out" '2 attempts'
has 'folders have access lists' "$out" '^  security +archive +0  \+team:security -team:release$'
has 'C and SQL agree on who may see what' "$out" '^  a visitor +126  126$'
has 'who may see a folder that was moved' "$out" '^  a visitor +127  127$'
has 'newt-updater makes the same' "$out" ' 0 of them other than'
is 'no colours without a terminal' "$(grep -c $'\e' <<<"$out")" 0
is 'no bar without a terminal' "$(grep -c $'\r' "$work/err")" 0
is 'nothing goes wrong on the side' "$(grep -vE '^demo: [a-z]+: [0-9,]+ of |newt-updater: info' "$work/err")" ''
ok 'no line is wider than a terminal' awk 'length($0) > 120 { print; bad = 1 } END { exit bad }' <<<"$out"

# On a terminal: colours, unless NO_COLOR is set; a bar.
if command -v script >/dev/null; then
    on_terminal() { TERM=xterm script -qec "dev/private-server --no-fsync -- $demo --sample load" /dev/null </dev/null; }
    out=$(on_terminal)
    has 'colours on a terminal' "$out" $'\e\\[1;34m'
    has 'a bar on a terminal' "$out" $'\r'
    has 'none with NO_COLOR' "$(NO_COLOR=1 on_terminal | grep -c $'\e\\[[0-9;]*m')" '^0$'
else
    echo '# script(1) is not here: the terminal is not tried'
fi

refused() { # NAME STATUS REGEX ARG...
    local name=$1 status=$2 regex=$3
    shift 3
    "$demo" "$@" >"$work/out" 2>&1
    is "$name: status" $? "$status"
    has "$name" "$(cat "$work/out")" "$regex"
}
printf 'Package: a\nVersion: 1\nSection: x\nMaintainer: M <m@x>\nSize: many\n' >"$work/size"
printf 'no field\n' >"$work/field"
printf 'Package: a\nSection: x\n' >"$work/short"
: >"$work/empty"
head -c 3000 /dev/urandom >"$work/random"
export NEWT_URI='host=/nonexistent'
refused '--help' 0 '^usage: debian' --help
refused 'an unknown part' 2 'no part "lod"' lod
refused 'an unknown option' 2 'help' --nothing
refused 'a limit that is no number' 2 'limit' --limit -5
refused 'no such file' 1 'unreadable|No such file' --index /nonexistent load
refused 'a size that is no number' 1 'line 6: Size and Installed-Size must be numbers' --index "$work/size" load
refused 'not deb822' 1 'line 1: not a field' --index "$work/field" load
refused 'fields missing' 1 'needs Package, Version' --index "$work/short" load
refused 'an empty index' 1 'no packages' --index "$work/empty" load
refused 'random bytes' 1 '^demo: ' --index "$work/random" load
refused 'a move and a part' 2 'move goes with no part' --move a=b load
refused 'no server' 1 '/nonexistent' --sample load
done_testing
