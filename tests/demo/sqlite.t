#!/usr/bin/env bash
# The demo and the programs beside it on a store in SQLite: no server is there.
. "$(dirname "$0")/tap.sh"
export NEWT_URI='host=/nonexistent' PGHOST=/nonexistent
demo=build/examples/debian file=$work/debian.newt uri=sqlite:$work/debian.newt

out=$(NEWT_BUILD=build examples/debian/run --sqlite --sample 2>"$work/err" </dev/null)
is 'examples/debian/run --sqlite: exit status' $? 0
has 'it loads' "$out" '^  packages +339 +1 '
has 'makes indexes' "$out" '^  package_words +full text'
has 'walks in C' "$out" '^  all +[0-9]+ +[0-9.]+ [kM]B'
has 'searches in SQL, by the index of words' "$out" '^  nano +'
has 'asks who may see what' "$out" '^  database +[0-9]+'
has 'uses an index' "$out" 'USING INDEX package_name'
has 'a new connection sees the change' "$out" '^  C, a new connection +[0-9.]+ ms +yes'
has 'so does SQL' "$out" '^  SQL +[0-9.]+ ms +yes'
has 'a conflict is told' "$out" 'NEWT_ECONFLICT'
has 'and retried' "$out" '2 attempts'
has 'C and SQL agree on who may see what' "$out" '^  a visitor +126  126$'
has 'who may see a folder that was moved' "$out" '^  a visitor +127  127$'
is 'nothing goes wrong on the side' "$(grep -vE '^demo: [a-z]+: [0-9,]+ of ' "$work/err")" ''
ok 'no line is wider than a terminal' awk 'length($0) > 120 { print; bad = 1 } END { exit bad }' <<<"$out"

# build/debian.newt is what the run has left
arranged() { # REGEX OPTION...
    local regex=$1
    shift
    has "$*" "$("$demo" -u sqlite:build/debian.newt "$@" 2>&1)" "$regex"
}
arranged '^  zlib-fix is in security now$' --move zlib-fix=security
arranged '^demo: "security" would be in itself$' --move security=zlib-fix
arranged '^demo: "security" would be in itself$' --move security=security
arranged '^demo: there is no folder "nowhere"$' --move zlib-fix=nowhere
arranged '^demo: --deny needs FOLDER=' --deny libs
arranged '^  libs allows mirrors now$' --allow libs=mirrors
arranged '^  libs denies mirrors now$' --deny libs=mirrors
arranged '^  a visitor +127  127$' publish
has 'no folders yet' "$("$demo" -u "sqlite:$work/none.newt" --move a=b 2>&1)" '^demo: there is no folder "'

rows() { # CLASS: how many objects
    sqlite3 "$file" "SELECT count(*) FROM newt WHERE class_name = '$1'" 2>/dev/null || echo 0
}
# Killed when the first objects are there, and run again; once more where the kill came too late.
deadline=$((SECONDS + 60)) status= out=
until [[ $out = *'An earlier load was interrupted; it goes on with the '* ]] || [ $SECONDS -ge $deadline ]; do
    rm -f "$file"*
    "$demo" -u "$uri" --sample load >"$work/out" 2>&1 &
    pid=$!
    until [ "$(rows Maintainer)" -gt 0 ] || ! kill -0 $pid 2>/dev/null || [ $SECONDS -ge $deadline ]; do :; done
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    status=$?
    out=$("$demo" -u "$uri" --sample load 2>&1)
done
is 'a load is killed' "$status" 137
has 'run again, it goes on' "$out" 'An earlier load was interrupted; it goes on with the '
is 'all packages are there' "$(rows Package)" 339
ok 'newt-updater compares the JSON with the records' build/newt-updater --check "$uri"
ok 'and writes all changes as lines of JSON' build/newt-updater --once --sink=ndjson --output="$work/all.ndjson" "$uri"
is 'each object is one of them' "$(grep -c '"class":"Package"' "$work/all.ndjson")" 339
ok 'newt-updater computes rows anew' build/newt-updater --reproject=Package "$uri"
ok 'hello' env NEWT_URI="$uri" build/examples/hello
is 'hello again' "$(NEWT_URI=$uri build/examples/hello Ada)" 'Ada (2)'
has 'no file' "$("$demo" -u "sqlite:$work/no/where" --sample load 2>&1)" 'cannot be opened'
done_testing
