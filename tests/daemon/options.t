#!/usr/bin/env bash
# The help and the man page know the same options, and the program knows them too, on the command
# line and in a configuration file.
set -u
program=${NEWT_BUILD:-build}/newt-updater page=docs/man/newt-updater.1
n=0 status=0
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
same() { # NAME ONE OTHER
    n=$((n + 1))
    [ "$2" = "$3" ] || { status=1 && diff <(echo "$2") <(echo "$3") | sed 's/^/# /' && printf 'not '; }
    echo "ok $n - $1"
}
refused() { # NAME STATUS TEXT ARG...: ends with the status, and says the text
    local name=$1 code=$2 text=$3 out got
    shift 3
    out=$("$program" "$@" 2>&1) && got=0 || got=$?
    n=$((n + 1))
    if [ "$got" != "$code" ] || ! grep -qF -- "$text" <<<"$out"; then
        status=1 && sed "s/^/# $got: /" <<<"$out" && printf 'not '
    fi
    echo "ok $n - $name"
}

help=$("$program" --help)
in_help=$(grep -oE '^  (-.,|   ) --[a-z-]+' <<<"$help" | sed 's/^  -\(.\), --/\1 /; s/^ *--/  /' | sort)
in_page=$(sed -n -e 's/^\.It Fl \(.\) .*Fl -\([a-z-]*\).*/\1 \2/p' -e 's/^\.It Fl -\([a-z-]*\).*/  \1/p' $page | sort)
same 'help and man page list the same options' "$in_help" "$in_page"
same 'there are twenty-nine' 29 "$(wc -l <<<"$in_help")"

defaults_help=$(awk '/^  (-.,|   ) --/ { option = $0; sub(/^[^-]*(-.,)? *--/, "", option); sub(/[= ].*/, "", option) }
                     match($0, /\(default: .*\)/) { print option, substr($0, RSTART + 10, RLENGTH - 11) }
                     match($0, /\(default: [^)]*,$/) { print option, substr($0, RSTART + 10, RLENGTH - 11) }' <<<"$help" |
    sort)
defaults_page=$(awk '/^\.It Fl/ { gsub(/.*Fl -| .*/, ""); option = $0 }
                     /^\.Pq default:/ { gsub(/^\.Pq default: | \.$|Li /, ""); sub(/ ?,.*/, ""); print option, $0 }' $page |
    sort)
same 'with the same defaults' "$defaults_help" "$defaults_page"

# an option that does not exist, and one without its argument, end with 2
"$program" --bogus >/dev/null 2>&1
same 'an unknown option is refused' 2 $?
for option in $(sed -nE 's/^  (-.,|   ) --([a-z-]+)=.*/\2/p' <<<"$help"); do
    "$program" "--$option" >/dev/null 2>&1
    same "--$option wants an argument" 2 $?
done

# what does not go together
refused 'two tasks' 2 'only one of' --check --compute-missing
refused 'a dry run of nothing' 2 '--dry-run is for' --dry-run
refused 'ndjson without an output' 2 'has no output' --sink=ndjson
refused 'an output without ndjson' 2 'Add --sink=ndjson' --output=x
refused 'a check of typed tables' 2 'newt.check_table()' --sink=tables --check
refused 'refused rows of typed tables' 2 'about the projection' --sink=tables --retry-rejects
refused 'some classes of typed tables' 2 'newt.set_table_mode()' --sink=tables --class=Item
refused 'typed tables in a file' 2 'need a store in PostgreSQL' --sink=tables sqlite:a
refused 'a check of derived columns' 2 'newt.check_derived()' --sink=derived --check
refused 'missing rows of derived columns' 2 'newt.refresh_derived()' --sink=derived --compute-missing
refused 'some classes of derived columns' 2 'newt.create_derived()' --sink=derived --class=Item
refused 'derived columns in a file' 2 'need a store in PostgreSQL' --sink=derived sqlite:a
refused 'classes of the projection' 2 'some classes alone' --class=Item
refused 'limits that are none' 2 'two numbers of seconds' --nagios=60
refused 'limits in the wrong order' 2 'the smaller first' --nagios=60,5
NEWT_UPDATER_FAULT=nowhere refused 'a fault that there is not' 2 'NEWT_UPDATER_FAULT' host=/nowhere

# the file
conf=$work/conf
file() { # NAME LINE TEXT CONTENT
    printf "$4" >"$conf"
    refused "$1" 2 "$3" --config="$conf" --once host=/nowhere
    [ -z "$2" ] || refused "$1, with its line" 2 "file \"$conf\", line $2" --config="$conf" --once host=/nowhere
}
file 'an unknown name' 3 'unknown name "batches"' '# a comment\n\nbatches = 5\n'
file 'a wrong number' 2 'invalid value for batch: "many"' 'once = on\nbatch=many\n'
file 'a wrong choice' 1 'It must be projection or ndjson' 'sink = kafka'
file 'a wrong switch' 1 'It must be on or off' 'retention = perhaps\n'
file 'a line without a value' 1 'no value in "once"' 'once\n'
file 'a name that is for the command line' 1 'unknown name "check"' 'check = on\n'
refused 'a file that is not there' 2 'cannot open the configuration file' --config="$work/none"
printf '  connection = host=/nowhere dbname=x  \r\n# c\nbatch = 7\nretention=off\nlog-format = json\n' >"$conf"
refused 'a file whose connection is used' 3 '"level": "error"' --config="$conf"
refused 'the command line wins' 3 ' error: ' --config="$conf" --log-format=text
refused 'a wrong value does not count where the command line wins' 3 'error' \
    --config=<(echo 'batch = x') --batch=5 host=/nowhere
if command -v mandoc >/dev/null; then
    same 'the man page is clean' '' "$(mandoc -Tlint -Wwarning $page 2>&1)"
fi
echo "1..$n"
exit $status
