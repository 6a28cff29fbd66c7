#!/usr/bin/env bash
# The small examples: what they print, and what SQL then shows. Once as they are built for use,
# once with the sanitizers (which end a program with another status).
if [ -z "${NEWT_PGCTL:-}" ]; then exec "$(dirname "$0")/../../dev/private-server" --no-fsync -- "$0"; fi
. "$(dirname "$0")/tap.sh"

fresh() { # a database of its own, without a store
    dropdb --if-exists examples 2>/dev/null
    createdb examples
    export PGDATABASE=examples NEWT_URI=${NEWT_URI/\/newt\?/\/examples?}
}

store() {
    psql -Xq -c 'CREATE EXTENSION newt' -c 'SELECT newt.create_store()' >/dev/null
}

hello() {
    fresh
    has "$1: hello without a store says so" "$("$bin/hello" 2>&1)" '^hello: .*store'
    store
    is "$1: hello" "$("$bin/hello" 2>&1)" 'Hello (1)'
    is "$1: hello again, with another text" "$("$bin/hello" "Grüß Gott" 2>&1)" 'Grüß Gott (2)'
    is "$1: what SQL sees of it" "$(sql "SELECT class_name, state FROM newt WHERE zoid > 1")" \
        'Note|{"seen": 2, "text": "Grüß Gott"}'
}

tracker() {
    fresh && store
    ok "$1: tracker add" "$bin/tracker" add Ada 'Write the engine' code urgent
    ok "$1: tracker add" "$bin/tracker" add Ada 'Test the engine' code
    ok "$1: tracker add" "$bin/tracker" add Charles 'Buy gears' parts urgent urgent
    ok "$1: tracker step" "$bin/tracker" step 'Write the engine' think 1.5
    ok "$1: tracker step" "$bin/tracker" step 'Write the engine' type 8
    ok "$1: tracker done" "$bin/tracker" done 'Buy gears'
    is "$1: tracker list" "$("$bin/tracker" list 2>&1)" \
        'todo  Test the engine           Ada        0.0 h  #code
todo  Write the engine          Ada        9.5 h  #code #urgent
done  Buy gears                 Charles    0.0 h  #parts #urgent'
    is "$1: tracker list of a tag" "$("$bin/tracker" list urgent 2>&1)" \
        'todo  Write the engine          Ada        9.5 h  #code #urgent
done  Buy gears                 Charles    0.0 h  #parts #urgent'
    is "$1: a task as JSONB" "$(sql "SELECT state - 'owner' FROM newt WHERE state->>'title' = 'Write the engine'")" \
        '{"tags": ["code", "urgent"], "state": "todo", "steps": [{"what": "think", "hours": 1.5}, {"what": "type", "hours": 8}], "title": "Write the engine"}'
    is "$1: references join" "$(sql "SELECT p.state->>'name', count(*) FROM newt t
        JOIN newt p ON p.zoid = newt.ref(t.state->'owner') GROUP BY 1 ORDER BY 1")" $'Ada|2\nCharles|1'
    ok "$1: tracker drop" "$bin/tracker" drop 'Test the engine'
    is "$1: tracker who" "$("$bin/tracker" who 2>&1)" $'Ada       1 tasks\nCharles   1 tasks'
    is "$1: no reference to what was dropped" "$(sql "SELECT count(*) FROM object_state o, unnest(newt.refs(o.state)) r
        WHERE NOT EXISTS (SELECT FROM object_state t WHERE t.zoid = r)")" 0
    "$bin/tracker" done 'Nothing' 2>"$work/err"
    is "$1: no such task: the application's own status" "$? $(cat "$work/err")" '1 tracker: no task "Nothing"'
}

bag() {
    fresh && store
    ok "$1: bag put" "$bin/bag" put oslo City '{"name": "Oslo", "people": 717710, "at": [59.91, 10.75]}'
    ok "$1: bag put" "$bin/bag" put fram Ship '{"name": "Fram", "built": 1892, "crew": null}'
    ok "$1: bag set, a reference" "$bin/bag" set fram home @oslo
    ok "$1: bag set" "$bin/bag" set fram masts 3
    is "$1: bag get" "$("$bin/bag" get fram 2>&1 | sort)" "$(sort <<'END'
Ship {
  name: "Fram"
  built: 1892
  crew: null
  home: City {
    name: "Oslo"
    people: 717710
    at: [59.91, 10.75]
  }
  masts: 3
}
END
)"
    is "$1: bag find" "$("$bin/bag" find '{"masts": 3}' 2>&1 | grep -c Fram)" 1
    is "$1: a bag as JSONB" "$(sql "SELECT class_name, state->'built', (state->'home') = jsonb_build_object('::=>', c.zoid)
        FROM newt s, (SELECT zoid FROM newt WHERE class_name = 'City') c WHERE class_name = 'Ship'")" 'Ship|1892|t'
    "$bin/bag" set fram home @atlantis 2>"$work/err"
    is "$1: a reference to nothing is refused" "$? $(cat "$work/err")" '1 bag: no object "atlantis"'
    "$bin/bag" put fram Ship '{"name": ' 2>"$work/err"
    is "$1: broken JSON" "$?" 2
    is "$1: and the object is as it was" "$(sql "SELECT state->'masts' FROM newt WHERE class_name = 'Ship'")" 3
}

test_suite() { # set up once, discard after each test; in memory and over what a server has
    is "$1: test_suite, without a server" "$(env -u NEWT_URI PGHOST=/nowhere "$bin/test_suite" 2>&1)" '4 tests passed'
    fresh && store
    is "$1: test_suite, over PostgreSQL" "$("$bin/test_suite" "$NEWT_URI" 2>&1)" '4 tests passed'
    is "$1: test_suite has left what it has set up" "$(sql "SELECT state->>'cents' FROM newt WHERE class_name = 'Account'")" 100
}

block() { # KIND [N [PAGE]]: the first, or the Nth, such block of README.md or another page
    awk -v kind="\`\`\`$1" -v nth="${2:-1}" '$0 == kind && ++n == nth { inside = 1; next }
        /^```$/ { inside = 0 } inside' "${3:-README.md}"
}

feed() { # a table that follows the store, from the beginning and on
    ok "$1: feed" "$bin/feed"
    before=$(sql 'SELECT changes FROM object_log WHERE oid = 1')
    is "$1: feed has every object" "$(sql 'SELECT count(*) FROM object_state o FULL JOIN object_log l ON l.oid = o.zoid
        WHERE o.zoid IS NULL OR l.oid IS NULL')" 0
    "$bin/bag" put kon Ship '{"name": "Kon-Tiki"}' >/dev/null
    ok "$1: feed goes on" "$bin/feed"
    is "$1: feed has what came since" "$(sql "SELECT class, changes FROM object_log ORDER BY oid DESC LIMIT 1")" 'Ship|1'
    ok "$1: feed, with nothing to do" "$bin/feed"
    is "$1: and has counted nothing twice" "$(sql 'SELECT changes FROM object_log WHERE oid = 1')" $((before + 1))
}

words() { # a tree
    fresh && store
    ok "$1: words add" "$bin/words" add the quick brown fox and the lazy dog and the fox
    is "$1: words list" "$("$bin/words" list f 2>&1; "$bin/words" list th 2>&1)" '     2  fox
     3  the'
    is "$1: words last" "$("$bin/words" last 2 2>&1)" '     3  the
     1  quick
of 7 words'
    ok "$1: words drop" "$bin/words" drop f
    is "$1: what SQL sees of them" "$(sql "SELECT string_agg(format('%s %s', key #>> '{}', value), ', ')
        FROM newt.btree_items('public', (SELECT (state #>> '{items,words,::=>}')::bigint FROM newt WHERE zoid = 1))")" \
        'and 2, brown 1, dog 1, lazy 1, quick 1, the 3'
}

unit_test() { # a store in memory
    ok "$1: unit_test, without a server" env -u NEWT_URI PGHOST=/nowhere "$bin/unit_test"
}

readme() { # its program is examples/hello.c, and its SQL runs beside it
    is 'README.md shows examples/hello.c' "$(block c)" "$(cat examples/hello.c)"
    is 'README.md shows examples/unit_test.c' "$(block c 2)" "$(cat examples/unit_test.c)"
    is 'docs/demo-storage.md shows examples/test_suite.c' "$(block c 1 docs/demo-storage.md)" "$(cat examples/test_suite.c)"
    fresh
    psql -Xqc 'CREATE EXTENSION newt'
    block sql >"$work/readme.sql"
    ok 'its SQL, before the program' psql -Xq -v ON_ERROR_STOP=1 -c "$(sed -n 1p "$work/readme.sql")"
    "$bin/hello" >/dev/null
    ok 'its SQL, after the program' psql -Xq -v ON_ERROR_STOP=1 -c "$(sed 1d "$work/readme.sql")"
    is 'and its view' "$(sql 'SELECT text, seen FROM note')" 'Hello|1'
}

bin=build/examples
hello plain && tracker plain && bag plain && feed plain && words plain && unit_test plain && test_suite plain && readme
ok 'builds with the sanitizers' make -s SANITIZE=1 lib examples
bin=build-asan/examples
export ASAN_OPTIONS=exitcode=99 UBSAN_OPTIONS=print_stacktrace=1
hello sanitized && tracker sanitized && bag sanitized && feed sanitized && words sanitized && unit_test sanitized && test_suite sanitized
done_testing
