-- random, cut and damaged bytes into every function: an error of the right kind, or an answer that
-- all functions agree on
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
\set records :srcdir '/record.sql'
\i :records

-- 'ok', 'refused', or what is wrong
CREATE FUNCTION pg_temp.verdict(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text := 'ok'; other text; document jsonb; f text; result text;
BEGIN
    BEGIN
        document := newt.to_jsonb(bytes);
    EXCEPTION WHEN OTHERS THEN
        state := SQLSTATE;
    END;
    IF newt.try_to_jsonb(bytes) IS DISTINCT FROM document THEN
        RETURN 'try_to_jsonb differs';
    END IF;
    FOREACH f IN ARRAY ARRAY['refs($1)', 'get($1, ''a'')', 'get_text($1, ''a'', ''0'')', 'get($1, ''-1'')',
                             'rejects($1)', 'class_name($1)', 'class_version($1)'] LOOP
        other := 'ok';
        BEGIN
            EXECUTE 'SELECT newt.' || f INTO result USING bytes;
        EXCEPTION WHEN OTHERS THEN
            other := SQLSTATE;
        END;
        IF other <> state AND NOT (f LIKE 'class%' AND other = 'ok') THEN
            RETURN format('%s gives %s, to_jsonb %s', f, other, state);
        END IF;
    END LOOP;
    IF state = 'ok' AND document IS NOT NULL THEN
        IF NOT record_image_eq(ROW(document), ROW(document::text::jsonb)) THEN
            RETURN 'no proper jsonb';
        ELSIF newt.get(bytes, 'a') IS DISTINCT FROM document #> '{a}' THEN
            RETURN 'get differs';
        END IF;
        PERFORM newt.text(document), newt.tsvector('simple', document), newt.principals(document, 'a'),
                newt.ts(document), newt.date(document), newt.duration(document), newt.ref(document),
                newt.int8(document), newt.int8_array(document, 'a'), newt.string(document, 'a', 'b'), newt.json(document, 'a'), newt.bytes(document),
                newt.float8(document), newt.numeric(document), newt.bool(document);
    END IF;
    RETURN CASE WHEN state = 'ok' THEN 'ok' WHEN state IN ('22P03', '0A000', '54000') THEN 'refused' ELSE state END;
END
$$;

-- cut at every byte: none is a record
SELECT pg_temp.verdict(substr(record, 1, n_bytes)) AS verdict, count(*) > 1000 AS many
FROM record, generate_series(0, length(record) - 1) n_bytes GROUP BY 1 ORDER BY 1;
-- every bit flipped
SELECT pg_temp.verdict(set_bit(record, bit, 1 - get_bit(record, bit))) AS verdict, count(*) > 1000 AS many
FROM record, generate_series(0, least(length(record), 64) * 8 - 1) bit GROUP BY 1 ORDER BY 1;
-- random bytes, half of them after a good head
SELECT setseed(0.5);
SELECT pg_temp.verdict(CASE n % 2 WHEN 0 THEN bytes ELSE '\x83615401'::bytea || bytes END) AS verdict, count(*) > 50 AS many
FROM (SELECT n, decode(coalesce(string_agg(lpad(to_hex(floor(256 * random())::integer), 2, '0'), ''), ''), 'hex') AS bytes
      FROM generate_series(1, 4000) n LEFT JOIN LATERAL generate_series(1, n % 40) i ON true GROUP BY n OFFSET 0) s
GROUP BY 1 ORDER BY 1;
-- random CBOR heads, which go deeper
SELECT pg_temp.verdict('\x83615401a16161'::bytea || bytes) AS verdict, count(*) > 50 AS many
FROM (SELECT n, decode(string_agg((ARRAY['81', '82', 'a1', '61', '61', '00', '01', '20', 'f5', 'f6', '80', 'a0', '40', '60',
                 'c2', 'c4', 'd81c', 'd81d', 'd825', 'd864', 'd90102', 'd90103', 'd903e9', 'd99601', 'd99602', 'd99603',
                 'd81b', 'fb', 'fa', '18'])[1 + floor(30 * random())::integer], ''), 'hex') AS bytes
      FROM generate_series(1, 6000) n, LATERAL generate_series(1, 1 + n % 12) i GROUP BY n OFFSET 0) s
GROUP BY 1 ORDER BY 1;
