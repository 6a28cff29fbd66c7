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
is 'nothing goes wrong on the side' "$(grep -vE '^demo: [a-z]+: [0-9,]+ of ' "$work/err")" ''
ok 'no line is wider than a terminal' awk 'length($0) > 120 { print; bad = 1 } END { exit bad }' <<<"$out"

ok 'it loads, killed and run again' bash -c "timeout -s KILL 0.03 $demo -u $uri --sample load >/dev/null 2>&1; $demo -u $uri --sample load"
ok 'newt-updater compares the JSON with the records' build/newt-updater --check "$uri"
ok 'and writes all changes as lines of JSON' build/newt-updater --once --sink=ndjson --output="$work/all.ndjson" "$uri"
is 'each object is one of them' "$(grep -c '"class":"Package"' "$work/all.ndjson")" 339
ok 'newt-updater computes rows anew' build/newt-updater --reproject=Package "$uri"
ok 'hello' env NEWT_URI="$uri" build/examples/hello
is 'hello again' "$(NEWT_URI=$uri build/examples/hello Ada)" 'Ada (2)'
has 'no file' "$("$demo" -u "sqlite:$work/no/where" --sample load 2>&1)" 'cannot be opened'
done_testing
