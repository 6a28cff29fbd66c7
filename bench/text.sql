-- newt.text and newt.tsvector beside PL/pgSQL functions of the same meaning, in one backend.
--
--     psql -X -q -At [-v n=20000] [-v runs=5] -f bench/text.sql
--
-- Prints two lines of JSON: documents a second each way (medians; the scan of the table is in both), and the
-- ratio. The PL/pgSQL functions are as one would write them: paths walk through arrays, strings stay apart,
-- weights. (They do not know what the projection adds to a document, nor limits.) "parser" is to_tsvector of
-- the same text: PostgreSQL's parser and dictionaries alone, which is most of the time of a tsvector, whoever calls it. Needs the extension; leaves nothing behind.
\set ON_ERROR_STOP on
\if :{?n} \else \set n 20000 \endif
\if :{?runs} \else \set runs 5 \endif
\o /dev/null
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET temp_buffers = '256MB';

CREATE FUNCTION pg_temp.strings(document jsonb, path text) RETURNS SETOF text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    node jsonb;
BEGIN
    FOR node IN SELECT jsonb_path_query(document, ('lax $."' || replace(path, '.', '"."') || '"')::jsonpath) LOOP
        RETURN QUERY SELECT s #>> '{}' FROM jsonb_path_query(node, 'strict $.** ? (@.type() == "string")') s;
    END LOOP;
END
$$;
CREATE FUNCTION pg_temp.text_of(document jsonb, VARIADIC paths text[]) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    path text;
    result text;
BEGIN
    FOREACH path IN ARRAY paths LOOP
        result := concat_ws(E'\n', result, (SELECT string_agg(s, E'\n') FROM pg_temp.strings(document, path) s));
    END LOOP;
    RETURN result;
END
$$;
CREATE FUNCTION pg_temp.tsvector_of(config regconfig, document jsonb, VARIADIC paths text[]) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    path text;
    weight "char";
    s text;
    gap tsvector;
    result tsvector := '';
BEGIN
    FOREACH path IN ARRAY paths LOOP
        weight := CASE WHEN path ~ ':[A-D]$' THEN right(path, 1) ELSE 'D' END;
        FOR s IN SELECT pg_temp.strings(document, regexp_replace(path, ':[A-D]$', '')) LOOP
            IF result <> '' THEN -- a word at the place of the gap, taken out again
                gap := result || '''::gap'':16'::tsvector;
                result := ts_delete(gap || setweight(to_tsvector(config, s), weight), '::gap');
            ELSE
                result := setweight(to_tsvector(config, s), weight);
            END IF;
        END LOOP;
    END LOOP;
    RETURN result;
END
$$;

-- as the demo's packages, with some more to say
CREATE TEMP TABLE doc AS
SELECT jsonb_build_object('name', format('lib%s-%s', md5(i::text), i), 'summary', format('library number %s for reading and writing images', i),
           'version', '1.' || i, 'size', i * 100, 'priority', 'optional', 'section', jsonb_build_object('::=>', i % 50),
           'tags', jsonb_build_array('role::shared-lib', 'implemented-in::c', 'works-with::image'),
           'acl', jsonb_build_array('everyone'), 'homepage', format('https://example.org/%s', i),
           'relations', jsonb_build_array(jsonb_build_object('kind', 'depends', 'spec', 'libc6 (>= 2.36)', 'any_of', jsonb_build_array(jsonb_build_object('::=>', i % 900))),
                                          jsonb_build_object('kind', 'recommends', 'spec', 'fonts-' || i % 7)),
           'description', repeat(format('It opens file %s and shows what is in it. ', md5((i % 999)::text)), 3)) AS state
FROM generate_series(1, :n) i;
ANALYZE doc;
-- the same answers
SELECT 1 / (count(*) = :n AND bool_and(newt.text(state, 'name', 'summary', 'tags', 'relations.spec', 'description') =
                                       pg_temp.text_of(state, 'name', 'summary', 'tags', 'relations.spec', 'description')))::int FROM doc;
SELECT 1 / bool_and(newt.tsvector('english', state, 'name:A', 'summary:B', 'tags:C', 'description') =
                    pg_temp.tsvector_of('english', state, 'name:A', 'summary:B', 'tags:C', 'description'))::int FROM (SELECT state FROM doc LIMIT 500) d;

CREATE TEMP TABLE run (what text, n int, seconds float8);
CREATE FUNCTION pg_temp.run(what text, query text, n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    begun timestamptz := clock_timestamp();
BEGIN
    EXECUTE query;
    INSERT INTO run VALUES (what, n, extract(epoch FROM clock_timestamp() - begun));
END
$$;
SELECT pg_temp.run('text', $q$SELECT count(newt.text(state, 'name', 'summary', 'tags', 'relations.spec', 'description')) FROM doc$q$, r),
       pg_temp.run('text_plpgsql', $q$SELECT count(pg_temp.text_of(state, 'name', 'summary', 'tags', 'relations.spec', 'description')) FROM doc$q$, r),
       pg_temp.run('tsvector', $q$SELECT count(newt.tsvector('english', state, 'name:A', 'summary:B', 'tags:C', 'description')) FROM doc$q$, r),
       pg_temp.run('tsvector_plpgsql', $q$SELECT count(pg_temp.tsvector_of('english', state, 'name:A', 'summary:B', 'tags:C', 'description')) FROM doc$q$, r),
       pg_temp.run('tsvector_parser', $q$SELECT count(to_tsvector('english', newt.text(state, 'name', 'summary', 'tags', 'description'))) FROM doc$q$, r)
FROM generate_series(0, :runs) r;
DELETE FROM run WHERE n = 0; -- warmed up
\o
WITH m AS (SELECT what, :n / percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS speed FROM run GROUP BY what)
SELECT json_build_object(a.what, json_build_object('newt', round(a.speed::numeric), 'limit', round(b.speed::numeric), 'ratio', round((a.speed / b.speed)::numeric, 2),
           'parser', (SELECT round(c.speed::numeric) FROM m c WHERE c.what = a.what || '_parser'), 'unit', 'documents/s'))
  FROM m a JOIN m b ON b.what = a.what || '_plpgsql' ORDER BY a.what;
