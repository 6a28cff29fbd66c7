-- newt.to_jsonb(record) beside text::jsonb of the same documents, in one backend.
--
--     psql -X -q -At [-v n=200000] [-v runs=5] -f bench/to_jsonb.sql
--
-- Prints one line of JSON: objects a second each way (medians; the scan of the table is in both),
-- and the ratio, the median of the runs' own. Needs the extension; leaves nothing behind.
\set ON_ERROR_STOP on
\if :{?n} \else \set n 200000 \endif
\if :{?runs} \else \set runs 5 \endif
\o /dev/null
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET temp_buffers = '256MB';

-- A CBOR head and a CBOR text.
CREATE FUNCTION pg_temp.head(major int, n bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT decode(CASE WHEN n < 24 THEN lpad(to_hex(major * 32 + n), 2, '0')
                       WHEN n < 256 THEN to_hex(major * 32 + 24) || lpad(to_hex(n), 2, '0')
                       WHEN n < 65536 THEN to_hex(major * 32 + 25) || lpad(to_hex(n), 4, '0')
                       ELSE to_hex(major * 32 + 26) || lpad(to_hex(n), 8, '0') END, 'hex')
$$;
CREATE FUNCTION pg_temp.text(s text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_temp.head(3, octet_length(s)) || convert_to(s, 'UTF8')
$$;

-- Tasks of the common workload: one in the form of a record, one in that of JSON text.
CREATE TEMP TABLE task AS
SELECT '\x83'::bytea || pg_temp.text('Task') || '\x01'::bytea || pg_temp.head(5, CASE WHEN i > 0 THEN 5 ELSE 4 END)
       || pg_temp.text('tags') || '\x83'::bytea || pg_temp.text(tag) || pg_temp.text(area) || pg_temp.text(prio)
       || pg_temp.text('state') || pg_temp.text(state) || pg_temp.text('title') || pg_temp.text(title)
       || CASE WHEN i > 0 THEN pg_temp.text('parent') || '\xd99601'::bytea || pg_temp.head(0, 1023 + i) ELSE '' END
       || pg_temp.text('points') || pg_temp.head(0, i) AS record,
       format('{"tags":["%s","%s","%s"],"state":"%s","title":"%s",', tag, area, prio, state, title)
       || CASE WHEN i > 0 THEN format('"parent":{"::=>":%s},', 1023 + i) ELSE '' END || format('"points":%s}', i) AS json
FROM generate_series(0, :n - 1) i,
     LATERAL (SELECT left(format('Task %s r0000 the quick brown fox jumps over the lazy dog', lpad(i::text, 6, '0')), 40) AS title,
                     (ARRAY['todo', 'ready', 'in progress', 'review', 'done', 'blocked'])[1 + i % 6] AS state,
                     format('tag%s', lpad((i % 200)::text, 3, '0')) AS tag, format('area%s', lpad((i % 20)::text, 2, '0')) AS area,
                     format('prio%s', i % 5) AS prio) t;
ANALYZE task;
-- one set of documents, whichever way
SELECT 1 / (count(*) = :n AND bool_and(newt.to_jsonb(record) = json::jsonb))::int FROM task;

CREATE TEMP TABLE run (what text, n int, seconds float8);
CREATE FUNCTION pg_temp.run(what text, query text, n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    begun timestamptz := clock_timestamp();
BEGIN
    EXECUTE query;
    INSERT INTO run VALUES (what, n, extract(epoch FROM clock_timestamp() - begun));
END
$$;
SELECT pg_temp.run('newt', 'SELECT count(newt.to_jsonb(record)) FROM task', r),
       pg_temp.run('json', 'SELECT count(json::jsonb) FROM task', r),
       pg_temp.run('scan', 'SELECT count(length(record)) FROM task', r)
FROM generate_series(0, :runs) r;
DELETE FROM run WHERE n = 0; -- warmed up
\o
SELECT json_build_object('to_jsonb', json_build_object(
           'newt', round((:n / percentile_cont(0.5) WITHIN GROUP (ORDER BY a.seconds))::numeric),
           'limit', round((:n / percentile_cont(0.5) WITHIN GROUP (ORDER BY b.seconds))::numeric),
           'ratio', round((percentile_cont(0.5) WITHIN GROUP (ORDER BY b.seconds / a.seconds))::numeric, 2),
           'ratio_without_scan', round((percentile_cont(0.5) WITHIN GROUP
               (ORDER BY (b.seconds - c.seconds) / (a.seconds - c.seconds)))::numeric, 2),
           'unit', 'objects/s'))
FROM run a JOIN run b USING (n) JOIN run c USING (n)
WHERE a.what = 'newt' AND b.what = 'json' AND c.what = 'scan';
