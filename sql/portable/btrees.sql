-- ---- trees ------------------------------------------------------------------------------------------
-- As extension/btree*.c. A part of a key is compared by bytes that are in its order.

-- A key, or one of its parts, of a record. kind is null: no key is of such.
CREATE FUNCTION newt.tree_part(record bytea, at integer, OUT kind text, OUT sort bytea)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    lowest CONSTANT bigint := -9223372036854775808;
    h record := newt.read_head(record, at, -1, NULL);
    tag bigint;
BEGIN
    IF h.major = 6 THEN
        tag := h.u;
        at := h.next;
        h := newt.read_head(record, at, -1, NULL);
    END IF;
    IF tag IS NULL AND h.major < 2 THEN
        kind := 'integer';
        h.u := CASE WHEN h.large IS NULL THEN h.u ELSE (h.large - 18446744073709551616)::bigint END;
        sort := CASE h.major WHEN 0 THEN '\x01'::bytea || int8send(h.u) ELSE '\x00'::bytea || int8send(~h.u) END;
    ELSIF tag IS NULL AND h.major < 4 OR tag IN (38402, 37) THEN
        kind := CASE WHEN tag = 37 THEN 'UUID' WHEN tag IS NULL AND h.major = 2 THEN 'bytes' ELSE 'text' END;
        sort := substring(record FROM h.next + 1 FOR h.u::integer);
    ELSIF tag = 1001 THEN
        kind := 'time';
        h := newt.read_head(record, h.next + 1, -1, NULL);
        sort := int8send(CASE h.major WHEN 0 THEN h.u ELSE -1 - h.u END # lowest);
        h := newt.read_head(record, h.next + 1, -1, NULL);
        sort := sort || int4send(h.u::integer);
    ELSIF tag = 100 THEN
        kind := 'date';
        sort := int8send(CASE h.major WHEN 0 THEN h.u ELSE -1 - h.u END # lowest);
    ELSIF tag = 38401 AND h.major = 0 THEN
        kind := 'reference';
        sort := int8send(h.u # lowest);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.tree_part(bytea, integer) IS 'a key of a tree in a record; portable edition';

-- The form that the projection has for it, read back as a part of this kind; null: it is none.
CREATE FUNCTION newt.tree_part_of(value jsonb, kind text) RETURNS bytea
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    lowest CONSTANT bigint := -9223372036854775808;
    i bigint;
    us bigint;
    moment timestamptz;
BEGIN
    CASE kind
    WHEN 'integer' THEN
        i := newt.int8(value);
        IF i IS NULL AND jsonb_typeof(value) = 'number' AND value #>> '{}' ~ '^[0-9]{1,20}$' AND (value #>> '{}')::numeric < 18446744073709551616 THEN
            RETURN '\x01'::bytea || int8send(((value #>> '{}')::numeric - 18446744073709551616)::bigint);
        END IF;
        RETURN CASE WHEN i < 0 THEN '\x00'::bytea ELSE '\x01'::bytea END || int8send(i);
    WHEN 'text' THEN
        RETURN CASE jsonb_typeof(value) WHEN 'string' THEN convert_to(value #>> '{}', 'UTF8')
                                        WHEN 'object' THEN newt.bytes(jsonb_build_object('::b64', value->'::b64')) END;
    WHEN 'bytes' THEN
        RETURN newt.bytes(value);
    WHEN 'time' THEN
        us := newt.int8(value->'::us');
        IF us IS NULL THEN
            moment := newt.ts(value);
            IF moment IS NULL AND jsonb_typeof(value) = 'string' THEN
                moment := (value #>> '{}')::timestamptz; -- also what to_jsonb makes of one
            END IF;
            us := CASE WHEN isfinite(moment) THEN extract(epoch FROM moment) * 1000000 END;
        END IF;
        i := us / 1000000 - (us % 1000000 < 0)::integer;
        RETURN int8send(i # lowest) || int4send((us - i * 1000000)::integer);
    WHEN 'date' THEN
        RETURN int8send(coalesce(newt.int8(value->'::days'), newt.date(value) - '1970-01-01'::date) # lowest);
    WHEN 'UUID' THEN
        RETURN uuid_send(newt.uuid(value));
    ELSE
        RETURN int8send(newt.ref(value) # lowest);
    END CASE;
END
$newt_body$;
COMMENT ON FUNCTION newt.tree_part_of(jsonb, text) IS 'a key that is asked for in a tree; portable edition';

-- Less than, equal to, or greater than 0, as far as the second one goes.
CREATE FUNCTION newt.compare_keys(a bytea[], b bytea[]) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    FOR part IN 1 .. cardinality(b) LOOP
        IF a[part] <> b[part] THEN
            RETURN CASE WHEN a[part] < b[part] THEN -1 ELSE 1 END;
        END IF;
    END LOOP;
    RETURN 0;
END
$newt_body$;
COMMENT ON FUNCTION newt.compare_keys(bytea[], bytea[]) IS 'which key of a tree is the greater one; portable edition';

-- As the projection shows it, but whole, however long it is.
CREATE FUNCTION newt.tree_part_shown(record bytea, at integer, kind text, sort bytea) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    IF kind IN ('text', 'bytes') AND octet_length(sort) > 256 THEN
        IF kind = 'text' AND newt.utf8_valid(sort) = octet_length(sort) AND position('\x00'::bytea IN sort) = 0 THEN
            RETURN to_jsonb(convert_from(sort, 'UTF8'));
        END IF;
        RETURN jsonb_build_object('::b64', replace(encode(sort, 'base64'), E'\n', ''))
               || CASE kind WHEN 'text' THEN jsonb_build_object('::text', newt.utf8_lossy(sort)) ELSE '{}' END;
    END IF;
    RETURN (newt.read_item(record, at, 500, 0, 'item', NULL)).doc::jsonb;
END
$newt_body$;
COMMENT ON FUNCTION newt.tree_part_shown(bytea, integer, text, bytea) IS 'a key of a tree as JSON; portable edition';

-- A record as a node. fault: what is wrong with it; is_node: it has at least the fields of one. Keys are one array after
-- another, by parts.
CREATE FUNCTION newt.tree_node(record bytea, OUT class text, OUT is_node boolean, OUT fault text, OUT level integer, OUT is_root boolean, OUT has_values boolean,
                               OUT n_parts integer, OUT n integer, OUT kinds text[], OUT keys bytea[], OUT key_ats integer[], OUT children bigint[], OUT counts bigint[],
                               OUT value_ats integer[], OUT value_shareds bigint[], OUT value_hiddens boolean[])
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    names CONSTANT text[] := '{keys,keys2,keys3,high,high2,high3,children,counts,values}';
    f record;
    h record;
    r record;
    p record;
    field integer;
    at integer;
    items integer;
    shared bigint;
    wrong text;
    list_hidden boolean;
    sizes integer[] := array_fill(NULL::integer, ARRAY[9]);
    part_kinds text[] := '{}';
    kind text;
    begun integer;
    order_of integer;
BEGIN
    h := newt.read_begin(record);
    IF h.code IS NULL THEN
        r := newt.read_record(record, 'skip', NULL);
    ELSE
        r := h;
    END IF;
    IF r.code IS NOT NULL THEN
        PERFORM newt.raise_fault(r.code, r.reason, r.fault_at, octet_length(record));
    END IF;
    class := h.class_name;
    has_values := false;
    is_node := false;
    keys := '{}';
    key_ats := '{}';
    children := '{}';
    counts := '{}';
    value_ats := '{}';
    value_shareds := '{}';
    value_hiddens := '{}';
    FOR f IN SELECT * FROM newt.read_fields(record) LOOP
        wrong := NULL;
        h := newt.read_head(record, f.at, -1, NULL);
        list_hidden := h.major = 6 AND h.u = 38403;
        IF list_hidden THEN
            h := newt.read_head(record, h.next, -1, NULL);
        END IF;
        field := array_position(names, f.name);
        IF f.name = 'level' THEN
            IF h.major <> 0 OR h.u >= 48 THEN
                wrong := 'is of a level that no tree has';
                level := coalesce(level, 0);
            ELSE
                level := h.u;
            END IF;
        ELSIF f.name = 'root' THEN
            IF get_byte(record, h.next - 1) NOT IN (244, 245) OR h.major <> 7 THEN
                wrong := 'does not say whether it is the root';
                is_root := coalesce(is_root, false);
            ELSE
                is_root := get_byte(record, h.next - 1) = 245;
            END IF;
        ELSIF field IS NOT NULL THEN
            items := 0;
            IF h.major <> 4 THEN
                wrong := 'has a field that is no list';
            ELSIF h.u > 4194304 THEN
                wrong := 'has more items than a node can have';
            ELSE
                items := h.u;
            END IF;
            sizes[field] := items;
            has_values := has_values OR field = 9 AND wrong IS NULL;
            at := h.next;
            shared := f.shared;
            kind := NULL;
            FOR i IN 1 .. items LOOP
                IF field < 7 THEN
                    p := newt.tree_part(record, at);
                    wrong := CASE WHEN p.kind IS NULL THEN 'has a key of a kind that no key is of' WHEN p.kind <> kind THEN 'has keys of several kinds' END;
                    EXIT WHEN wrong IS NOT NULL;
                    kind := p.kind;
                    IF field < 4 THEN
                        keys := keys || p.sort;
                        key_ats := key_ats || at;
                        part_kinds[field] := kind;
                    END IF;
                ELSIF field < 9 THEN
                    h := newt.read_head(record, at, -1, NULL);
                    begun := CASE WHEN h.u = 38403 THEN h.next ELSE at END;
                    h := newt.read_head(record, begun, -1, NULL);
                    IF h.major <> 6 OR h.u <> 38401 OR get_byte(record, h.next) = 130 THEN
                        wrong := 'refers to no object where a node should be';
                        EXIT;
                    END IF;
                    h := newt.read_head(record, h.next, -1, NULL);
                    IF field = 7 THEN
                        children := children || h.u;
                    ELSE
                        counts := counts || h.u;
                    END IF;
                ELSE
                    value_ats := value_ats || at;
                    value_shareds := value_shareds || shared;
                    value_hiddens := value_hiddens || (list_hidden OR substring(record FROM at + 1 FOR 3) = '\xd99603');
                END IF;
                r := newt.read_item(record, at, 498, shared, 'skip', NULL);
                at := r.stop;
                shared := r.shared_after;
            END LOOP;
        END IF;
        fault := coalesce(fault, wrong);
    END LOOP;
    is_node := level IS NOT NULL AND is_root IS NOT NULL AND sizes[1] IS NOT NULL AND sizes[4] IS NOT NULL;
    IF NOT is_node OR fault IS NOT NULL THEN
        fault := CASE WHEN is_node THEN fault ELSE 'is no node' END;
        RETURN;
    END IF;
    n := sizes[1];
    n_parts := CASE WHEN sizes[2] IS NULL THEN 1 WHEN sizes[3] IS NULL THEN 2 ELSE 3 END;
    kinds := part_kinds[1:n_parts];
    IF n_parts > 1 AND sizes[2] <> n OR n_parts > 2 AND sizes[3] <> n THEN
        fault := 'has columns of keys that differ in length';
        RETURN;
    END IF;
    FOR part IN 1 .. 3 LOOP
        IF (sizes[part] IS NOT NULL) <> (part <= n_parts) OR (sizes[3 + part] IS NOT NULL) <> (part <= n_parts)
           OR part <= n_parts AND sizes[3 + part] <> sizes[4] THEN
            fault := 'ends at a key that is not whole';
            RETURN;
        END IF;
    END LOOP;
    IF sizes[4] > 1 THEN
        fault := 'ends at more than one key';
    ELSIF cardinality(children) <> (CASE WHEN level > 0 THEN n + 1 ELSE 0 END) THEN
        fault := 'has keys that are not those between its children';
    ELSIF has_values AND sizes[9] <> (CASE WHEN level > 0 THEN 0 ELSE n END) THEN
        fault := 'has not one value for each key';
    ELSE
        FOR i IN 2 .. n LOOP
            order_of := newt.compare_keys(newt.tree_key(keys, n, n_parts, i - 1), newt.tree_key(keys, n, n_parts, i));
            IF order_of >= 0 THEN
                fault := 'has keys that are not in order';
                RETURN;
            END IF;
        END LOOP;
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.tree_node(bytea) IS 'a record as a node of a tree; portable edition';

CREATE FUNCTION newt.tree_key(keys bytea[], n integer, n_parts integer, i integer) RETURNS bytea[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    RETURN CASE n_parts WHEN 1 THEN ARRAY[keys[i]] WHEN 2 THEN ARRAY[keys[i], keys[n + i]] ELSE ARRAY[keys[i], keys[n + i], keys[2 * n + i]] END;
END
$newt_body$;
COMMENT ON FUNCTION newt.tree_key(bytea[], integer, integer, integer) IS 'one key of a node of a tree; portable edition';

CREATE FUNCTION newt.raise_broken(class text, root bigint, zoid bigint, what text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'data_corrupted',
        MESSAGE = format('node %s of the tree %s %s %s', zoid, class, root, what),
        HINT = 'newt_btree_check looks at the whole tree, newt_btree_repair makes it anew of its leaves.';
END
$newt_body$;
COMMENT ON FUNCTION newt.raise_broken(text, bigint, bigint, text) IS 'raises the error that a tree is damaged; portable edition';

-- Where a range begins or ends: a key, or the first parts of one.
CREATE FUNCTION newt.tree_bound(given jsonb, name text, kinds text[], class text, root bigint) RETURNS bytea[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    n integer := cardinality(kinds);
    count integer := 1;
    part jsonb := given;
    result bytea[] := '{}';
    detail text;
BEGIN
    IF given IS NULL THEN
        RETURN NULL;
    END IF;
    IF n > 1 THEN
        count := CASE jsonb_typeof(given) WHEN 'array' THEN jsonb_array_length(given) ELSE 0 END;
        IF count NOT BETWEEN 1 AND n THEN
            detail := format('A key has %s parts, and is an array of them or of the first ones.', n);
        END IF;
    END IF;
    FOR i IN 1 .. count LOOP
        EXIT WHEN detail IS NOT NULL;
        part := CASE WHEN n > 1 THEN given->(i - 1) ELSE given END;
        result[i] := newt.tree_part_of(part, kinds[i]);
        IF result[i] IS NULL THEN
            detail := CASE WHEN n > 1 THEN format('Part %s of a key is ', i) ELSE 'A key is ' END
                      || CASE kinds[i] WHEN 'integer' THEN 'an integer' WHEN 'text' THEN 'a string' WHEN 'bytes' THEN 'bytes: {"::b64": ...}'
                                       WHEN 'time' THEN 'a time: "2024-05-01T09:30:00.000000Z"' WHEN 'date' THEN 'a date: "2024-05-01"'
                                       WHEN 'UUID' THEN 'a UUID' ELSE 'a reference: {"::=>": oid}' END || '.';
        END IF;
    END LOOP;
    IF detail IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('%s is no key of the tree %s %s', name, class, root), DETAIL = detail;
    END IF;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.tree_bound(jsonb, text, text[], text, bigint) IS 'a key that a range of a tree begins or ends with; portable edition';

-- Goes on through a tree to the next leaf that has entries in the range. What is to come is a stack, the next node last:
-- the level that the node above says of it, and between which keys its own must be.
CREATE FUNCTION newt.tree_step(store text, zoid bigint, from_key jsonb, to_key jsonb, after_from boolean, before_to boolean, descending boolean,
                               INOUT root_class text, INOUT root_values boolean, INOUT root_parts integer, INOUT root_kinds text[],
                               INOUT todo bigint[], INOUT levels integer[], INOUT lows jsonb[], INOUT highs jsonb[],
                               OUT entry_keys jsonb[], OUT entry_values jsonb[])
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    query text := format('SELECT o.state FROM %I.object_state o WHERE o.zoid = $1', store);
    from_parts bytea[];
    to_parts bytea[];
    top integer := cardinality(todo);
    at bigint;
    said integer;
    low bytea[];
    high bytea[];
    low_json jsonb;
    high_json jsonb;
    state bytea;
    x record;
    k bytea[];
    c integer;
    first integer;
    last integer;
    i integer;
BEGIN
    PERFORM newt.need_utf8();
    entry_keys := '{}';
    entry_values := '{}';
    IF root_kinds IS NOT NULL THEN
        from_parts := newt.tree_bound(from_key, 'from_key', root_kinds, root_class, zoid);
        to_parts := newt.tree_bound(to_key, 'to_key', root_kinds, root_class, zoid);
    END IF;
    WHILE top > 0 AND entry_keys = '{}' LOOP
        at := todo[top];
        said := levels[top];
        low_json := lows[top];
        high_json := highs[top];
        low := ARRAY(SELECT decode(e.hex, 'hex') FROM jsonb_array_elements_text(low_json) WITH ORDINALITY e (hex, n) ORDER BY e.n);
        high := ARRAY(SELECT decode(e.hex, 'hex') FROM jsonb_array_elements_text(high_json) WITH ORDINALITY e (hex, n) ORDER BY e.n);
        top := top - 1;
        EXECUTE query INTO state USING at;
        IF state IS NULL THEN
            EXIT WHEN said < 0;
            PERFORM newt.raise_broken(root_class, zoid, at, 'does not exist');
        END IF;
        state := state || '\x'::bytea;
        x := newt.tree_node(state);
        IF said < 0 THEN
            root_class := x.class;
            IF NOT x.is_node OR x.fault IS NULL AND NOT x.is_root THEN
                RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
                    MESSAGE = format(CASE WHEN x.is_node THEN '%s %s is a node inside of a tree' ELSE '%s %s is no tree' END, x.class, at);
            END IF;
        END IF;
        IF x.fault IS NOT NULL THEN
            PERFORM newt.raise_broken(root_class, zoid, at, x.fault);
        END IF;
        IF said < 0 THEN
            root_values := x.has_values;
            root_parts := x.n_parts;
        END IF;
        IF root_kinds IS NULL AND x.n > 0 THEN
            root_kinds := x.kinds;
            from_parts := newt.tree_bound(from_key, 'from_key', root_kinds, root_class, zoid);
            to_parts := newt.tree_bound(to_key, 'to_key', root_kinds, root_class, zoid);
        END IF;
        IF x.has_values <> root_values THEN
            PERFORM newt.raise_broken(root_class, zoid, at, 'is of a tree with other values');
        ELSIF x.n > 0 AND (x.n_parts <> root_parts OR x.kinds <> root_kinds) THEN
            PERFORM newt.raise_broken(root_class, zoid, at, 'is of a tree with other keys');
        ELSIF x.n > 0 AND low_json IS NOT NULL AND newt.compare_keys(newt.tree_key(x.keys, x.n, x.n_parts, 1), low) < 0 THEN
            PERFORM newt.raise_broken(root_class, zoid, at, 'begins before the node above says');
        ELSIF x.n > 0 AND high_json IS NOT NULL AND newt.compare_keys(newt.tree_key(x.keys, x.n, x.n_parts, x.n), high) >= 0 THEN
            PERFORM newt.raise_broken(root_class, zoid, at, 'goes on beyond what the node above says');
        ELSIF said >= 0 AND x.level <> said THEN
            PERFORM newt.raise_broken(root_class, zoid, at, 'is of another level than the node above says');
        END IF;
        -- the entries, or the keys between children, that are in the range
        first := 1;
        last := x.n;
        WHILE first <= x.n AND from_parts IS NOT NULL LOOP
            c := newt.compare_keys(newt.tree_key(x.keys, x.n, x.n_parts, first), from_parts);
            EXIT WHEN c > 0 OR c = 0 AND NOT coalesce(after_from, false) AND (x.level = 0 OR cardinality(from_parts) < x.n_parts);
            first := first + 1;
        END LOOP;
        WHILE last >= 1 AND to_parts IS NOT NULL LOOP
            c := newt.compare_keys(newt.tree_key(x.keys, x.n, x.n_parts, last), to_parts);
            EXIT WHEN c < 0 OR c = 0 AND NOT coalesce(before_to, false);
            last := last - 1;
        END LOOP;
        IF x.level > 0 THEN
            -- child i is between the keys i - 1 and i
            FOR step IN first .. last + 1 LOOP
                i := CASE WHEN coalesce(descending, false) THEN step ELSE first + last + 1 - step END;
                top := top + 1;
                todo[top] := x.children[i];
                levels[top] := x.level - 1;
                lows[top] := CASE WHEN i = 1 THEN low_json ELSE (SELECT jsonb_agg(encode(u.part, 'hex') ORDER BY u.n)
                                  FROM unnest(newt.tree_key(x.keys, x.n, x.n_parts, i - 1)) WITH ORDINALITY u (part, n)) END;
                highs[top] := CASE WHEN i = x.n + 1 THEN high_json ELSE (SELECT jsonb_agg(encode(u.part, 'hex') ORDER BY u.n)
                                  FROM unnest(newt.tree_key(x.keys, x.n, x.n_parts, i)) WITH ORDINALITY u (part, n)) END;
            END LOOP;
            CONTINUE;
        END IF;
        FOR step IN first .. last LOOP
            i := CASE WHEN coalesce(descending, false) THEN first + last - step ELSE step END;
            k := newt.tree_key(x.keys, x.n, x.n_parts, i);
            IF x.n_parts = 1 THEN
                entry_keys := entry_keys || newt.tree_part_shown(state, x.key_ats[i], x.kinds[1], k[1]);
            ELSE
                entry_keys := entry_keys || (SELECT jsonb_agg(newt.tree_part_shown(state, x.key_ats[(p - 1) * x.n + i], x.kinds[p], k[p]) ORDER BY p)
                          FROM generate_series(1, x.n_parts) p);
            END IF;
            entry_values := entry_values || CASE WHEN x.has_values AND NOT x.value_hiddens[i]
                     THEN (newt.read_item(state, x.value_ats[i], 498, x.value_shareds[i], 'item', NULL)).doc::jsonb END;
        END LOOP;
    END LOOP;
    todo := todo[1:top];
    levels := levels[1:top];
    lows := lows[1:top];
    highs := highs[1:top];
END
$newt_body$;
COMMENT ON FUNCTION newt.tree_step(text, bigint, jsonb, jsonb, boolean, boolean, boolean, text, boolean, integer, text[], bigint[], integer[], jsonb[], jsonb[]) IS 'entries of the next leaf of a tree, and what is to come after it; portable edition';

-- One query, so that a limit ends the reading after the leaf under way.
CREATE FUNCTION newt.btree_rows(store text, zoid bigint, from_key jsonb DEFAULT NULL, to_key jsonb DEFAULT NULL,
                                after_from boolean DEFAULT false, before_to boolean DEFAULT false, descending boolean DEFAULT false,
                                OUT key jsonb, OUT value jsonb) RETURNS SETOF record
    LANGUAGE sql STABLE PARALLEL RESTRICTED COST 200 ROWS 1000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
WITH RECURSIVE s AS (
    SELECT t.* FROM newt.tree_step(store, zoid, from_key, to_key, after_from, before_to, descending, NULL, NULL, NULL, NULL,
                                   ARRAY[zoid], ARRAY[-1], ARRAY[NULL::jsonb], ARRAY[NULL::jsonb]) t
     WHERE store IS NOT NULL AND zoid IS NOT NULL
    UNION ALL
    SELECT t.* FROM s, LATERAL newt.tree_step(store, zoid, from_key, to_key, after_from, before_to, descending,
                                              s.root_class, s.root_values, s.root_parts, s.root_kinds, s.todo, s.levels, s.lows, s.highs) t
     WHERE cardinality(s.todo) > 0)
SELECT e.key, e.value FROM s, LATERAL unnest(s.entry_keys, s.entry_values) e (key, value)
$newt_body$;

CREATE FUNCTION newt.btree_get(store text, zoid bigint, key jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED COST 5000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    x record;
    entry record;
    is_there boolean;
    state bytea;
    n integer := CASE jsonb_typeof(key) WHEN 'array' THEN jsonb_array_length(key) ELSE 1 END;
BEGIN
    EXECUTE format('SELECT o.state FROM %I.object_state o WHERE o.zoid = $1', store) INTO state USING zoid;
    SELECT r.key, r.value INTO entry FROM newt.btree_rows(store, zoid, key, key) r LIMIT 1;
    is_there := FOUND;
    IF state IS NULL THEN
        RETURN NULL;
    END IF;
    x := newt.tree_node(state || '\x'::bytea);
    IF x.n > 0 AND n < x.n_parts THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('key has %s of the %s parts that keys of the tree %s %s have', n, x.n_parts, x.class, zoid);
    END IF;
    RETURN CASE WHEN is_there AND x.has_values THEN entry.value WHEN is_there THEN 'true' END;
END
$newt_body$;

CREATE FUNCTION newt.btree_length(store text, zoid bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED COST 5000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    query text := format('SELECT o.state FROM %I.object_state o WHERE o.zoid = $1', store);
    state bytea;
    x record;
    counter bigint;
    number bigint;
    length numeric := 0;
BEGIN
    PERFORM newt.need_utf8();
    EXECUTE query INTO state USING zoid;
    IF state IS NULL THEN
        RETURN NULL;
    END IF;
    x := newt.tree_node(state || '\x'::bytea);
    IF NOT x.is_node OR x.fault IS NULL AND NOT x.is_root THEN
        RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
            MESSAGE = format(CASE WHEN x.is_node THEN '%s %s is a node inside of a tree' ELSE '%s %s is no tree' END, x.class, zoid);
    ELSIF x.fault IS NOT NULL THEN
        PERFORM newt.raise_broken(x.class, zoid, zoid, x.fault);
    ELSIF x.level = 0 THEN
        RETURN x.n;
    ELSIF x.counts = '{}' THEN
        RETURN (SELECT count(*) FROM newt.btree_rows(store, zoid) r);
    END IF;
    FOREACH counter IN ARRAY x.counts LOOP -- one alone may be less than 0
        EXECUTE query INTO state USING counter;
        IF state IS NULL THEN
            PERFORM newt.raise_broken(x.class, zoid, counter, 'is a counter that does not exist');
        END IF;
        number := newt.int8(newt.to_jsonb(state)->'value');
        IF number IS NULL THEN
            PERFORM newt.raise_broken(x.class, zoid, counter, 'is a counter without a number');
        END IF;
        length := length + number;
        IF length NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
            PERFORM newt.raise_broken(x.class, zoid, counter, 'is a counter out of range');
        END IF;
    END LOOP;
    RETURN length;
END
$newt_body$;
