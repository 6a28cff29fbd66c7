-- Typed accessors beside (state->>'key')::type over the same documents, in one backend.
--
--     psql -X -q -At [-v n=1000000] [-v runs=5] -f bench/accessors.sql
--
-- Prints a line of JSON for each type: values a second each way (medians, without the scan of the
-- table), and the ratio, the median of the runs' own. Needs the extension; leaves nothing behind.
\set ON_ERROR_STOP on
\if :{?n} \else \set n 1000000 \endif
\if :{?runs} \else \set runs 5 \endif
\o /dev/null
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET temp_buffers = '1GB';

CREATE TEMP TABLE task AS
SELECT jsonb_build_object('title', 'Task ' || i, 'points', i, 'price', i / 100.0, 'done', i % 2 = 0, 'state', 'in progress',
                          'owner', jsonb_build_object('::=>', i), 'due', '2024-05-06T07:08:09.000010Z', 'tags', jsonb_build_array('a', 'b')) AS state
  FROM generate_series(1, :n) i;
ANALYZE task;
CREATE TEMP TABLE way (kind text, newt text, sql text);
INSERT INTO way VALUES
    ('int8', $$newt.int8(state, 'points')$$, $$(state->>'points')::bigint$$),
    ('float8', $$newt.float8(state, 'price')$$, $$(state->>'price')::float8$$),
    ('numeric', $$newt.numeric(state, 'price')$$, $$(state->>'price')::numeric$$),
    ('bool', $$newt.bool(state, 'done')$$, $$(state->>'done')::boolean$$),
    ('ts', $$newt.ts(state, 'due')$$, $$(state->>'due')::timestamptz$$),
    ('ref', $$newt.ref(state, 'owner')$$, $$(state->'owner'->>'::=>')::bigint$$),
    ('string', $$newt.string(state, 'title')$$, $$state->>'title'$$),
    ('string_array', $$newt.string_array(state, 'tags')$$, $$ARRAY(SELECT jsonb_array_elements_text(state->'tags'))$$);

CREATE TEMP TABLE run (kind text, what text, n int, seconds float8);
CREATE FUNCTION pg_temp.run(kind text, what text, expression text, n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    begun timestamptz := clock_timestamp();
BEGIN
    EXECUTE format('SELECT count(%s) FROM task', expression);
    INSERT INTO run VALUES (kind, what, n, extract(epoch FROM clock_timestamp() - begun));
END
$$;
SELECT pg_temp.run(w.kind, 'scan', 'state', r), pg_temp.run(w.kind, 'newt', w.newt, r), pg_temp.run(w.kind, 'sql', w.sql, r)
  FROM generate_series(0, :runs) r, way w;
DELETE FROM run WHERE n = 0; -- warmed up
\o
SELECT json_build_object('accessor_' || kind, json_build_object(
           'newt', round((:n / percentile_cont(0.5) WITHIN GROUP (ORDER BY a.seconds - c.seconds))::numeric),
           'limit', round((:n / percentile_cont(0.5) WITHIN GROUP (ORDER BY b.seconds - c.seconds))::numeric),
           'ratio', round((percentile_cont(0.5) WITHIN GROUP (ORDER BY (b.seconds - c.seconds) / (a.seconds - c.seconds)))::numeric, 2),
           'ratio_with_scan', round((percentile_cont(0.5) WITHIN GROUP (ORDER BY b.seconds / a.seconds))::numeric, 2),
           'unit', 'values/s'))
  FROM run a JOIN run b USING (kind, n) JOIN run c USING (kind, n)
 WHERE a.what = 'newt' AND b.what = 'sql' AND c.what = 'scan'
 GROUP BY kind ORDER BY kind;
