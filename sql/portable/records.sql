-- ---- records --------------------------------------------------------------------------------------

CREATE FUNCTION newt.read_record(record bytea, task text, wanted bigint[], OUT doc text, OUT refs bigint[], OUT paths text[], OUT reasons text[],
                                 OUT code text, OUT reason text, OUT fault_at integer)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    data bytea := record || '\x'::bytea; -- unpacked once
    h record;
    r record;
BEGIN
    PERFORM newt.need_utf8();
    h := newt.read_begin(data);
    IF h.code IS NULL THEN
        r := newt.read_item(data, h.next, 500, 0, task, wanted);
        doc := r.doc;
        refs := r.refs;
        paths := r.paths;
        reasons := r.reasons;
        code := r.code;
        reason := r.reason;
        fault_at := r.fault_at;
        IF code IS NULL AND r.stop < octet_length(data) AND task <> 'paths' THEN
            code := 'malformed';
            reason := 'bytes after the record''s end';
            fault_at := r.stop;
        END IF;
    ELSE
        code := h.code;
        reason := h.reason;
        fault_at := h.fault_at;
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.read_record(bytea, text, bigint[]) IS 'reads a record, as a document or for its references; portable edition';

CREATE FUNCTION newt.to_jsonb(record bytea) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 100
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    r record := newt.read_record(record, 'json', NULL);
BEGIN
    IF r.code IS NOT NULL THEN
        PERFORM newt.raise_fault(r.code, r.reason, r.fault_at, octet_length(record));
    END IF;
    RETURN r.doc::jsonb;
END
$newt_body$;

CREATE FUNCTION newt.try_to_jsonb(record bytea) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 100
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    r record := newt.read_record(record, 'json', NULL);
BEGIN
    RETURN CASE WHEN r.code IS NULL THEN r.doc::jsonb END;
END
$newt_body$;

CREATE FUNCTION newt.get(record bytea, VARIADIC path text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.to_jsonb(record) #> path;
END
$newt_body$;

CREATE FUNCTION newt.get_text(record bytea, VARIADIC path text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.to_jsonb(record) #>> path;
END
$newt_body$;

CREATE FUNCTION newt.class_name(record bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    h record := newt.read_begin(record);
BEGIN
    PERFORM newt.need_utf8();
    IF h.code IS NOT NULL THEN
        PERFORM newt.raise_fault(h.code, h.reason, h.fault_at, octet_length(record));
    END IF;
    RETURN h.class_name;
END
$newt_body$;

CREATE FUNCTION newt.try_class_name(record bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    h record := newt.read_begin(record);
BEGIN
    PERFORM newt.need_utf8();
    RETURN CASE WHEN h.code IS NULL THEN h.class_name END;
END
$newt_body$;

CREATE FUNCTION newt.class_version(record bytea) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    h record := newt.read_begin(record);
BEGIN
    IF h.code IS NOT NULL THEN
        PERFORM newt.raise_fault(h.code, h.reason, h.fault_at, octet_length(record));
    END IF;
    RETURN h.version;
END
$newt_body$;

CREATE FUNCTION newt.refs(record bytea) RETURNS bigint[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    r record := newt.read_record(record, 'refs', NULL);
BEGIN
    IF r.code IS NOT NULL THEN
        PERFORM newt.raise_fault(r.code, r.reason, r.fault_at, octet_length(record));
    END IF;
    RETURN ARRAY(SELECT DISTINCT u.zoid FROM unnest(r.refs) u (zoid) ORDER BY u.zoid);
END
$newt_body$;

CREATE FUNCTION newt.try_refs(record bytea) RETURNS bigint[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    r record := newt.read_record(record, 'refs', NULL);
BEGIN
    IF r.code IS NOT NULL THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(SELECT DISTINCT u.zoid FROM unnest(r.refs) u (zoid) ORDER BY u.zoid);
END
$newt_body$;

CREATE FUNCTION newt.ref_path(record bytea, zoid bigint) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN (newt.read_record(record, 'paths', ARRAY[zoid])).paths[1];
END
$newt_body$;

CREATE FUNCTION newt.ref_paths(record bytea, zoids bigint[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    wanted bigint[] := ARRAY(SELECT DISTINCT u.zoid FROM unnest(zoids) u (zoid) WHERE u.zoid > 0);
    found text[];
BEGIN
    IF cardinality(wanted) > 0 THEN
        found := (newt.read_record(record, 'paths', wanted)).paths;
    END IF;
    RETURN ARRAY(SELECT found[array_position(wanted, u.zoid)] FROM unnest(zoids) WITH ORDINALITY u (zoid, n) ORDER BY u.n);
END
$newt_body$;

CREATE FUNCTION newt.rejects(record bytea, OUT path text[], OUT reason text) RETURNS SETOF record
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 100 ROWS 1
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    r record := newt.read_record(record, 'json', NULL);
    found text;
BEGIN
    IF r.code IS NOT NULL THEN
        PERFORM newt.raise_fault(r.code, r.reason, r.fault_at, octet_length(record));
    END IF;
    FOREACH found IN ARRAY coalesce(r.reasons, '{}') LOOP
        reason := split_part(found, chr(10), 1);
        path := ARRAY(SELECT e.key FROM json_array_elements_text(split_part(found, chr(10), 2)::json) WITH ORDINALITY e (key, n) ORDER BY e.n);
        RETURN NEXT;
    END LOOP;
END
$newt_body$;

-- ---- walks ------------------------------------------------------------------------------------------
-- What has been found is kept as JSON, in many parts, so that to add to it copies little.

CREATE FUNCTION newt.refs_in(record bytea, fields text[]) RETURNS bigint[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    r record := newt.read_record(record, 'refs', NULL);
    f record;
    found bigint[] := '{}';
BEGIN
    IF r.code IS NOT NULL THEN
        RETURN '{}';
    ELSIF cardinality(fields) = 0 THEN
        RETURN r.refs;
    END IF;
    FOR f IN SELECT i.at, i.shared FROM newt.read_fields(record) i WHERE i.name = ANY (fields) LOOP
        found := found || (newt.read_item(record, f.at, 500, f.shared, 'refs', NULL)).refs;
    END LOOP;
    RETURN found;
END
$newt_body$;
COMMENT ON FUNCTION newt.refs_in(bytea, text[]) IS 'the references in some fields of a record, as they come (no fields: all); none of what is no record; portable edition';

-- The fields of a valid record, if its state is a map: where each value begins and ends, and how many shared values are
-- before it.
CREATE FUNCTION newt.read_fields(record bytea, OUT name text, OUT at integer, OUT stop integer, OUT shared bigint) RETURNS SETOF record
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 10
    AS $newt_body$
DECLARE
    h record;
    r record;
    next integer := (newt.read_begin(record)).next;
    key bytea;
BEGIN
    shared := 0;
    h := newt.read_head(record, next, -1, NULL);
    WHILE h.major = 6 AND h.u IN (38403, 28) LOOP
        shared := shared + (h.u = 28)::integer;
        h := newt.read_head(record, h.next, -1, NULL);
    END LOOP;
    IF h.major = 6 AND h.u = 27 THEN
        h := newt.read_head(record, (newt.read_class(record, h.next + 1)).next, -1, NULL);
    END IF;
    IF h.major <> 5 THEN
        RETURN;
    END IF;
    next := h.next;
    FOR i IN 1 .. h.u LOOP
        h := newt.read_head(record, next, 3, NULL);
        key := substring(record FROM h.next + 1 FOR h.u::integer);
        at := h.next + h.u::integer;
        r := newt.read_item(record, at, 499, shared, 'skip', NULL);
        stop := r.stop;
        IF position('\x00'::bytea IN key) = 0 THEN
            name := convert_from(key, 'UTF8');
            RETURN NEXT;
        END IF;
        shared := r.shared_after;
        next := stop;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.read_fields(bytea) IS 'the fields of a record and where their values are; portable edition';

CREATE FUNCTION newt.check_walk(roots bigint[], max_depth bigint, max_objects bigint, fields text[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    most CONSTANT bigint := 1000000;
    place bigint;
BEGIN
    -- they may have several dimensions
    place := (SELECT min(u.n) FROM unnest(roots) WITH ORDINALITY u (item, n) WHERE u.item IS NULL);
    IF place IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = format('element %s of roots must not be null', place);
    END IF;
    place := (SELECT min(u.n) FROM unnest(fields) WITH ORDINALITY u (item, n) WHERE u.item IS NULL);
    IF place IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = format('element %s of fields must not be null', place);
    ELSIF max_depth NOT BETWEEN 0 AND most THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('max_depth must be between 0 and %s', most);
    ELSIF max_objects NOT BETWEEN 1 AND most THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('max_objects must be between 1 and %s', most);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_walk(bigint[], bigint, bigint, text[]) IS 'raises an error where a walk has no bounds; portable edition';

CREATE FUNCTION newt.walk(store text, roots bigint[], max_depth bigint DEFAULT 1000000,
                          max_objects bigint DEFAULT 10000, fields text[] DEFAULT '{}',
                          OUT zoid bigint, OUT serial bigint, OUT state bytea) RETURNS SETOF record
    LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED COST 200000 ROWS 1000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
#variable_conflict use_column
DECLARE
    query text := format('SELECT o.zoid, o.serial, o.state FROM %I.object_state o WHERE o.zoid = $1', store);
    seen jsonb[] := array_fill('{}'::jsonb, ARRAY[1024]);
    level bigint[];
    below bigint[] := '{}';
    found bigint[] := roots;
    n bigint := 0;
    depth bigint := 0;
    place integer;
    o bigint;
    ref bigint;
    r record;
BEGIN
    PERFORM newt.check_walk(roots, max_depth, max_objects, fields);
    LOOP
        -- the roots come first, then what is below them
        FOREACH ref IN ARRAY found LOOP
            place := 1 + (ref & 1023);
            IF ref > 0 AND n < max_objects AND NOT seen[place] ? ref::text THEN
                seen[place] := seen[place] || jsonb_build_object(ref, 0);
                below := below || ref;
                n := n + 1;
            END IF;
        END LOOP;
        found := '{}';
        EXIT WHEN cardinality(below) = 0;
        level := below;
        below := '{}';
        FOR o IN SELECT u.id FROM unnest(level) u (id) ORDER BY u.id LOOP
            FOR r IN EXECUTE query USING o LOOP
                zoid := r.zoid;
                serial := r.serial;
                state := r.state;
                RETURN NEXT;
                CONTINUE WHEN depth >= max_depth OR n >= max_objects OR r.state IS NULL;
                FOREACH ref IN ARRAY newt.refs_in(r.state || '\x', fields) LOOP
                    place := 1 + (ref & 1023);
                    IF n < max_objects AND NOT seen[place] ? ref::text THEN
                        seen[place] := seen[place] || jsonb_build_object(ref, 0);
                        below := below || ref;
                        n := n + 1;
                    END IF;
                END LOOP;
            END LOOP;
        END LOOP;
        depth := depth + 1;
    END LOOP;
END
$newt_body$;

CREATE FUNCTION newt.route(store text, zoid bigint, roots bigint[] DEFAULT '{1}', max_objects bigint DEFAULT 100000)
    RETURNS bigint[]
    LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED COST 200000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    query text := format('SELECT o.state FROM %I.object_state o WHERE o.zoid = $1', store);
    led_from jsonb[] := array_fill('{}'::jsonb, ARRAY[1024]); -- by what each was found; a root by 0
    level bigint[] := '{}';
    below bigint[] := '{}';
    n bigint := 0;
    place integer;
    o bigint;
    ref bigint;
    state bytea;
    way bigint[];
BEGIN
    PERFORM newt.check_walk(roots, 0, max_objects, '{}');
    FOREACH ref IN ARRAY roots LOOP
        place := 1 + (ref & 1023);
        IF ref > 0 AND n < max_objects AND NOT led_from[place] ? ref::text THEN
            led_from[place] := led_from[place] || jsonb_build_object(ref, 0);
            below := below || ref;
            n := n + 1;
        END IF;
    END LOOP;
    WHILE cardinality(below) > 0 AND NOT led_from[1 + (zoid & 1023)] ? zoid::text LOOP
        level := below;
        below := '{}';
        <<objects>>
        FOR o IN SELECT u.id FROM unnest(level) u (id) ORDER BY u.id LOOP
            FOR state IN EXECUTE query USING o LOOP
                CONTINUE WHEN n >= max_objects OR state IS NULL;
                FOREACH ref IN ARRAY newt.refs_in(state || '\x', '{}') LOOP
                    place := 1 + (ref & 1023);
                    IF n < max_objects AND NOT led_from[place] ? ref::text THEN
                        led_from[place] := led_from[place] || jsonb_build_object(ref, o);
                        below := below || ref;
                        n := n + 1;
                        EXIT objects WHEN ref = zoid;
                    END IF;
                END LOOP;
            END LOOP;
        END LOOP;
    END LOOP;
    WHILE led_from[1 + (zoid & 1023)] ? zoid::text LOOP
        way := zoid || way;
        zoid := (led_from[1 + (zoid & 1023)]->>zoid::text)::bigint;
    END LOOP;
    RETURN way;
END
$newt_body$;
