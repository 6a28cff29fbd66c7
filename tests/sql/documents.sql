\set ECHO none
SET client_min_messages = warning;
-- Records of documents, and transactions as a program without the extension makes them: in the store test.store.
CREATE FUNCTION pg_temp.head(major int, n bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
SELECT CASE WHEN n < 24 THEN set_byte('\x00'::bytea, 0, (major*32 + n)::int)
 WHEN n < 256 THEN set_byte('\x00'::bytea,0,major*32+24) || substr(int2send(n::int2), 2)
 WHEN n < 65536 THEN set_byte('\x00'::bytea,0,major*32+25) || substr(int4send(n::int4), 3)
 WHEN n < 4294967296 THEN set_byte('\x00'::bytea,0,major*32+26) || substr(int8send(n), 5)
 ELSE set_byte('\x00'::bytea,0,major*32+27) || int8send(n) END $$;
CREATE FUNCTION pg_temp.item(j jsonb) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE r bytea := ''; x record;
BEGIN
 CASE jsonb_typeof(j)
 WHEN 'null' THEN RETURN '\xf6';
 WHEN 'boolean' THEN RETURN CASE WHEN j::boolean THEN '\xf5'::bytea ELSE '\xf4' END;
 WHEN 'number' THEN RETURN CASE WHEN j::bigint >= 0 THEN pg_temp.head(0, j::bigint) ELSE pg_temp.head(1, -1 - j::bigint) END;
 WHEN 'string' THEN RETURN pg_temp.head(3, octet_length(j#>>'{}')) || convert_to(j#>>'{}', 'UTF8');
 WHEN 'array' THEN
   r := pg_temp.head(4, jsonb_array_length(j));
   FOR x IN SELECT * FROM jsonb_array_elements(j) e(v) LOOP r := r || pg_temp.item(x.v); END LOOP; RETURN r;
 ELSE
   IF j ? '::=>' THEN RETURN '\xd99601'::bytea || pg_temp.head(0, (j->>'::=>')::bigint); END IF;
   r := pg_temp.head(5, (SELECT count(*) FROM jsonb_object_keys(j)));
   FOR x IN SELECT key, value FROM jsonb_each(j) ORDER BY octet_length(key), key COLLATE "C" LOOP r := r || pg_temp.item(to_jsonb(x.key)) || pg_temp.item(x.value); END LOOP; RETURN r;
 END CASE;
END $$;
CREATE FUNCTION pg_temp.record(class text, j jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT '\x83'::bytea || pg_temp.item(to_jsonb(class)) || '\x01' || pg_temp.item(j) $$;
CREATE TEMP SEQUENCE serial START 100000;
CREATE PROCEDURE pg_temp.transact(written bigint[], removed bigint[], serial bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('LOCK TABLE %I.newt_commit_lock IN EXCLUSIVE MODE', current_setting('test.store'));
    EXECUTE format('INSERT INTO %1$I.transaction (tid, serial, nonce, written, removed) SELECT max(tid) + 1, $1, 0, $2, $3 FROM %1$I.transaction', current_setting('test.store')) USING serial, written, removed;
    COMMIT;
END
$$;
CREATE PROCEDURE pg_temp.put(zoid bigint, class text, document jsonb) LANGUAGE plpgsql AS $$
DECLARE
    serial bigint := nextval('pg_temp.serial');
BEGIN
    EXECUTE format('INSERT INTO %I.object_state VALUES ($1, $2, $3) ON CONFLICT (zoid) DO UPDATE SET serial = excluded.serial, state = excluded.state', current_setting('test.store'))
        USING zoid, serial, pg_temp.record(class, document);
    EXECUTE format('INSERT INTO %I.newt_projection VALUES ($1, $2, $3, $4) ON CONFLICT (zoid) DO UPDATE SET serial = excluded.serial, state = excluded.state', current_setting('test.store'))
        USING zoid, class, serial, document;
    CALL pg_temp.transact(ARRAY[zoid], '{}', serial);
END
$$;
CREATE PROCEDURE pg_temp.del(zoid bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DELETE FROM %I.object_state o WHERE o.zoid = $1', current_setting('test.store')) USING zoid;
    EXECUTE format('DELETE FROM %I.newt_projection p WHERE p.zoid = $1', current_setting('test.store')) USING zoid;
    CALL pg_temp.transact('{}', ARRAY[zoid], nextval('pg_temp.serial'));
END
$$;
RESET client_min_messages;
\set ECHO all
