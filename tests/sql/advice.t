#!/usr/bin/env bash
# newt.advise_workload: the statements that a session has run, as pg_stat_statements has them. It has to be
# loaded when a server starts, so the test has one of its own.
set -uo pipefail
sanitized=()
if [ "${1:-}" != inside ]; then
    [[ ${NEWT_BUILD:-} != *-asan ]] || mapfile -t sanitized < <(tests/sanitized-server)
    exec dev/private-server --no-fsync "${sanitized[@]}" --set shared_preload_libraries=pg_stat_statements -- "$0" inside
fi
sql() { PGOPTIONS='-c client_min_messages=notice' psql -XqAt -v ON_ERROR_STOP=1 "$@" 2>&1; }
n=0
is() { # NAME GOT WANT
    n=$((n + 1))
    if [ "$2" = "$3" ]; then echo "ok $n - $1"; else
        echo "not ok $n - $1" && printf '%s\n' "got: $2" "want: $3" | sed 's/^/# /'
    fi
}
echo 1..4
setup() {
    sql <<'END'
CREATE EXTENSION newt;
CREATE EXTENSION pg_stat_statements;
SELECT newt.create_store('app');
INSERT INTO app.newt_class (name, version, fields) VALUES ('Task', 1, '[{"name": "title", "kind": "text"}, {"name": "points", "kind": "int", "bits": 32}]');
INSERT INTO app.newt_projection SELECT i, 'Task', 1, jsonb_build_object('title', 't' || i, 'points', i % 7) FROM generate_series(1000, 6000) i;
ANALYZE app.newt_projection;
SELECT newt.create_view('app', 'Task', 'tasks');
CREATE ROLE newt_t_other;
SELECT newt.grant_store('app', 'newt_t_other', 'reader');
GRANT CREATE ON SCHEMA public TO newt_t_other;
SELECT pg_stat_statements_reset();
SET ROLE newt_t_other;
-- to plan it is to run it: not with another's rights
CREATE FUNCTION public.trap() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    IF session_user = current_user THEN RAISE WARNING 'the trap of a superuser'; END IF;
    RETURN 1;
END $$;
SELECT count(*) FROM app.tasks WHERE points = public.trap();
RESET ROLE;
SELECT count(*) FROM app.tasks WHERE title = 't5';
SELECT count(*) FROM app.tasks WHERE title = 't6';
SELECT count(*) AS n FROM app.tasks WHERE title = 't6' AND points > 3;
SELECT count(*) FROM app.newt WHERE state->>'title' = 't5';
SELECT date '2024-05-06';
END
}
out=$(setup) || { echo "Bail out! $out" && exit 1; }
advice() { sql -c "SELECT advice, class_name, statement, queries, calls, total_ms > 0, example ~ 'title' FROM newt.advise_workload('app') a WHERE $1 ORDER BY statement COLLATE \"C\""; }
out=$(sql -c "SELECT count(*) > 0 FROM newt.advise_workload('app')")
is 'what cannot be planned is left out, and no function of another role is called' "$(grep -c WARNING <<<"$out"; tail -1 <<<"$out")" "0
t"
is 'the same advice once' "$(advice "advice IN ('index', 'statistics') AND reason ~ 'title' AND queries > 1" | grep -v NOTICE | grep -v DETAIL | cut -d'|' -f2,4-)" 'Task|2|3|t|t'
is 'keys of documents are parameters' "$(advice "advice = 'query'" | grep -v 'NOTICE\|DETAIL' | cut -d'|' -f1,3-)" 'query||1|1|t|f'
out=$(sql -c 'SET ROLE newt_t_other' -c "SELECT count(*) FROM newt.advise_workload('app')" -c "SELECT count(*) FROM newt.advise_workload('app') a WHERE reason ~ 'title'")
is 'of what one has run oneself' "$(grep -v 'NOTICE\|DETAIL\|WARNING' <<<"$out" | tail -1)" 0
