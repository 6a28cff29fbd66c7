#!/usr/bin/env bash
# The tutorial, or the page NEWT_PAGE, does what it says: its files are compiled, its commands and
# its SQL run in order, and what they print is what stands there.
if [ -z "${NEWT_PGCTL:-}" ]; then exec "$(dirname "$0")/../../dev/private-server" --no-fsync -- "$0"; fi
. "$(dirname "$0")/tap.sh"

# Blocks of the page, each a file NN.KIND: ```c NAME, ```console, ```sql, ```text.
awk -v dir="$work" '
    /^```[a-z]/ && !out { n++; out = sprintf("%s/%02d.%s", dir, n, substr($1, 4)); name = $2
                          printf "" >out; if (name) print name >(out ".name"); next }
    /^```$/ && out { close(out); out = ""; next }
    /^```$/ { plain = !plain; next }
    out { print >out }' "${NEWT_PAGE:-docs/tutorial.md}"
ln -s "$PWD/build" "$work/build"
cd "$work"
export PGOPTIONS= NO_COLOR=1

for block in [0-9][0-9].*; do
    n=${block%.*}
    n=${n%%.*}
    wanted=$(ls "$(printf %02d $((10#$n + 1)))".text 2>/dev/null)
    case $block in
    *.name | *.text | *.out) ;;
    *.c)
        cp "$block" "$(cat "$block.name")"
        ok "block $n is $(cat "$block.name")" test -s "$block"
        ;;
    *.console) # a command after "$ ", then what it prints
        sed -n 's/^\$ //p' "$block" >"$block.commands"
        while IFS= read -r command <&3; do
            echo "\$ $command"
            bash -c "$command" 2>&1
        done 3<"$block.commands" >"$block.out"
        is "block $n: $(head -n 1 "$block.commands" | cut -c 1-60)" "$(cat "$block.out")" "$(cat "$block")"
        ;;
    *.sql)
        psql -Xq -f "$block" 2>&1 | sed "s/^psql:[^ ]* //; s/ *$//" >"$block.out"
        if [ -n "$wanted" ]; then
            is "block $n: $(grep -m 1 . "$block" | cut -c 1-60)" "$(cat "$block.out")" "$(cat "$wanted")"
        else
            is "block $n: no error" "$(grep ERROR "$block.out")" ''
        fi
        ;;
    *) is "block $n is of a kind that this test knows" "$block" '' ;;
    esac
done
has 'the page has blocks' "$tap_n" '[0-9]'
done_testing
