#!/usr/bin/env bash
# The help and the man page know the same options, and the program knows them too.
set -u
program=${NEWT_BUILD:-build}/newt-updater page=docs/man/newt-updater.1
n=0 status=0
same() { # NAME ONE OTHER
    n=$((n + 1))
    [ "$2" = "$3" ] || { status=1 && diff <(echo "$2") <(echo "$3") | sed 's/^/# /' && printf 'not '; }
    echo "ok $n - $1"
}

help=$("$program" --help)
in_help=$(grep -oE '^  -., --[a-z-]+' <<<"$help" | sed 's/^  -\(.\), --/\1 /' | sort)
in_page=$(sed -n 's/^\.It Fl \(.\) .*Fl -\([a-z-]*\).*/\1 \2/p' $page | sort)
same 'help and man page list the same options' "$in_help" "$in_page"
same 'there are eleven' 11 "$(wc -l <<<"$in_help")"

defaults_help=$(awk '/^  -., --/ { option = $2; gsub(/^--|=.*/, "", option) }
                     match($0, /\(default: .*\)/) { print option, substr($0, RSTART + 10, RLENGTH - 11) }' <<<"$help" |
    sort)
defaults_page=$(awk '/^\.It Fl/ { gsub(/.*Fl -| .*/, ""); option = $0 }
                     /^\.Pq default:/ { gsub(/^\.Pq default: | \.$|Li /, ""); sub(/,.*/, ""); print option, $0 }' $page |
    sort)
same 'with the same defaults' "$defaults_help" "$defaults_page"

# an option that does not exist, and one without its argument, end with 2
"$program" --bogus >/dev/null 2>&1
same 'an unknown option is refused' 2 $?
for option in $(sed 's/^. //' <<<"$in_help"); do
    case $option in version | help | once | retry-rejects) continue ;; esac
    "$program" "--$option" >/dev/null 2>&1
    same "--$option wants an argument" 2 $?
done
if command -v mandoc >/dev/null; then
    same 'the man page is clean' '' "$(mandoc -Tlint -Wwarning $page 2>&1)"
fi
echo "1..$n"
exit $status
