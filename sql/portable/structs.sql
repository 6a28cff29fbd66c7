-- ---- classes, as the registry has them ----------------------------------------------------------------
-- What extension/fields.c makes of newt_class.fields: structs is an array of the class itself and of the structs in it, each
-- with its fields in the order of their keys in a record, their names, and those that fields had. A field of kind struct
-- has the number of its struct, which may be one around it.

CREATE FUNCTION newt.unreadable_class(class_name text, what text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'data_corrupted', MESSAGE = format('the registry''s entry of class "%s" cannot be read', class_name), DETAIL = what;
END
$newt_body$;
COMMENT ON FUNCTION newt.unreadable_class(text, text) IS 'raises the error that a class of the registry cannot be read; portable edition';

-- The kind of a value, or of a key.
CREATE FUNCTION newt.value_kind(class_name text, field jsonb) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    kind text := CASE jsonb_typeof(field->'kind') WHEN 'string' THEN field->>'kind' END;
    bits bigint := 0;
BEGIN
    IF kind IS NULL OR kind NOT IN ('bool', 'int', 'uint', 'float', 'text', 'bytes', 'time', 'duration', 'date', 'uuid', 'decimal', 'json', 'enum', 'ref', 'struct', 'store_ref', 'weak') THEN
        PERFORM newt.unreadable_class(class_name, 'It has a kind of field that this extension does not know.');
    ELSIF kind IN ('int', 'uint', 'float') THEN
        bits := newt.int8(field->'bits');
        IF bits IS NULL OR bits < 8 OR bits > 64 THEN
            PERFORM newt.unreadable_class(class_name, 'It has a number of impossible size.');
        END IF;
    END IF;
    RETURN jsonb_build_object('kind', kind, 'bits', bits, 'nullable', kind NOT IN ('bool', 'int', 'uint', 'float', 'enum', 'duration', 'struct'));
END
$newt_body$;
COMMENT ON FUNCTION newt.value_kind(text, jsonb) IS 'of which kind the values of a field are, by the registry; portable edition';

-- names_around and numbers_around: the structs around it, the innermost last.
CREATE FUNCTION newt.class_table(class_name text, list jsonb, names_around text[], numbers_around integer[], INOUT structs jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    number CONSTANT integer := jsonb_array_length(structs);
    f jsonb;
    field jsonb;
    fields jsonb[] := '{}';
    was jsonb := '[]';
    shape text;
    inner_name text;
    inner_number integer;
BEGIN
    structs := structs || 'null';
    names_around := names_around || class_name;
    numbers_around := numbers_around || number;
    FOR f IN SELECT jsonb_array_elements(list) LOOP
        IF jsonb_typeof(f) <> 'object' THEN
            PERFORM newt.unreadable_class(class_name, 'A field is no object.');
        END IF;
        CONTINUE WHEN f->'kind' = '"class"'; -- says something of the class itself
        IF coalesce(jsonb_typeof(f->'name'), '') <> 'string' THEN
            PERFORM newt.unreadable_class(class_name, 'A field has no name.');
        END IF;
        shape := CASE jsonb_typeof(f->'shape') WHEN 'string' THEN f->>'shape' ELSE '' END;
        field := newt.value_kind(class_name, f) || jsonb_build_object(
            'name', f->'name', 'shape', CASE WHEN shape IN ('', 'list', 'set', 'map') THEN shape ELSE 'pairs' END,
            'required', coalesce(f->'required' = 'true', false), 'skip', coalesce(f->'skip' = 'true', false),
            'key', CASE WHEN jsonb_typeof(f->'key') IN ('object', 'array') THEN newt.value_kind(class_name, f->'key') ELSE '{"kind": "text", "bits": 0, "nullable": true}' END,
            'names', CASE jsonb_typeof(f->'names') WHEN 'array' THEN f->'names' ELSE '[]' END);
        field := field || jsonb_build_object('omits', shape = '' AND (field->'nullable')::boolean AND f->'keep_null' IS DISTINCT FROM 'true')
                 || CASE WHEN f ? 'default' THEN jsonb_build_object('default', f->'default') ELSE '{}' END;
        was := was || CASE jsonb_typeof(f->'was') WHEN 'array' THEN f->'was' ELSE '[]' END;
        IF field->>'kind' = 'struct' THEN
            inner_name := CASE jsonb_typeof(f->'class') WHEN 'string' THEN f->>'class' END;
            IF jsonb_typeof(f->'fields') = 'array' THEN
                inner_number := jsonb_array_length(structs);
                structs := newt.class_table(coalesce(inner_name, ''), f->'fields', names_around, numbers_around, structs);
            ELSE
                -- those that hold themselves are described once
                inner_number := (SELECT n.number FROM unnest(names_around, numbers_around) WITH ORDINALITY n (name, number, place) WHERE n.name = inner_name ORDER BY n.place DESC LIMIT 1);
                IF inner_number IS NULL THEN
                    PERFORM newt.unreadable_class(class_name, 'It has a struct without fields.');
                END IF;
            END IF;
            field := field || jsonb_build_object('struct', inner_number);
        END IF;
        fields := fields || field;
    END LOOP;
    structs := jsonb_set(structs, ARRAY[number::text], jsonb_build_object(
        'class', class_name, 'was', was,
        'fields', (SELECT coalesce(jsonb_agg(u.f ORDER BY octet_length(u.f->>'name'), convert_to(u.f->>'name', 'UTF8')), '[]') FROM unnest(fields) u (f)),
        'names', (SELECT coalesce(jsonb_agg(u.f->'name'), '[]') FROM unnest(fields) u (f))));
END
$newt_body$;
COMMENT ON FUNCTION newt.class_table(text, jsonb, text[], integer[], jsonb) IS 'the fields of a class and of the structs in it, by the registry; portable edition';

-- ---- fields -------------------------------------------------------------------------------------------

-- Whether it is null for that kind: null, or the UUID of zeros, which the library takes for it.
CREATE FUNCTION newt.is_null(t jsonb, v jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    RETURN v = 'null' OR v = '"00000000-0000-0000-0000-000000000000"' AND t->>'kind' = 'uuid';
END
$newt_body$;
COMMENT ON FUNCTION newt.is_null(jsonb, jsonb) IS 'whether a value is null for a kind of field; portable edition';

-- A key of a document as the record has it: with one colon less if it begins with three; null: the projection has added it.
CREATE FUNCTION newt.plain_key(key text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    RETURN CASE WHEN left(key, 3) = ':::' THEN substr(key, 2) WHEN left(key, 2) <> '::' THEN key END;
END
$newt_body$;
COMMENT ON FUNCTION newt.plain_key(text) IS 'a key of a document as the record has it; portable edition';

CREATE FUNCTION newt.document_key(name text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    RETURN CASE WHEN left(name, 2) = '::' THEN ':' || name ELSE name END;
END
$newt_body$;
COMMENT ON FUNCTION newt.document_key(text) IS 'a key of a record as the document has it; portable edition';

CREATE FUNCTION newt.check_keys(names jsonb, document jsonb, who text, place text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    key text;
BEGIN
    FOR key IN SELECT jsonb_object_keys(document) LOOP
        IF NOT coalesce(names ? newt.plain_key(key), false) THEN
            PERFORM newt.refuse(who, place, '42703', format('has no field "%s"', key), NULL, 'newt_class has the fields of each class and version.');
        END IF;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_keys(jsonb, jsonb, text, text) IS 'raises an error where a document has keys that are no fields; portable edition';

-- A set, or a map whose keys come in any order: sorted by what is written. Shared values are numbered by their place.
CREATE FUNCTION newt.write_collected(shape text, keys bytea[], items bytea[], shares boolean, who text, place text) RETURNS bytea
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    n integer := cardinality(keys);
    front bytea := CASE shape WHEN 'set' THEN '\xd90102'::bytea WHEN 'pairs' THEN '\xd90103' ELSE '\x' END;
    reason text;
    content bytea;
BEGIN
    IF EXISTS (SELECT FROM (SELECT u.key, lag(u.key) OVER (ORDER BY u.n) AS before FROM unnest(keys) WITH ORDINALITY u (key, n)) k WHERE k.before >= k.key) THEN
        IF shares THEN
            reason := 'shared values are not written in order';
        ELSIF shape = 'set' THEN
            keys := ARRAY(SELECT DISTINCT u.key FROM unnest(keys) u (key));
            n := cardinality(keys);
        ELSIF (SELECT count(DISTINCT u.key) FROM unnest(keys) u (key)) < n THEN
            reason := 'map key stands twice';
        END IF;
        IF reason IS NOT NULL THEN
            PERFORM newt.refuse_item(who, place, 'profile', reason);
        END IF;
    END IF;
    content := (SELECT string_agg(u.key || coalesce(u.item, '\x'), '\x' ORDER BY u.key) FROM unnest(keys, items) u (key, item));
    RETURN front || newt.write_head(CASE shape WHEN 'set' THEN 4 ELSE 5 END, n) || coalesce(content, '\x');
END
$newt_body$;
COMMENT ON FUNCTION newt.write_collected(text, bytea[], bytea[], boolean, text, text) IS 'a set or map of a record, of items that have been written; portable edition';

-- One value, or null where its kind has one.
CREATE FUNCTION newt.write_value(structs jsonb, t jsonb, v jsonb, who text, place text, depth integer, shared bigint, OUT item bytea, OUT shared_after bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    r record;
BEGIN
    shared_after := shared;
    IF newt.is_null(t, v) THEN
        IF NOT (t->'nullable')::boolean THEN
            PERFORM newt.refuse(who, place, '23502', 'cannot be null', format('Values of kind %s are never null.', t->>'kind'), NULL);
        END IF;
        item := '\xf6';
    ELSIF t->>'kind' = 'json' THEN
        r := newt.write_item(v, who, place, depth, shared);
        item := r.item;
        shared_after := r.shared_after;
    ELSIF t->>'kind' <> 'struct' THEN
        item := newt.write_scalar(t, v, who, place, depth);
    ELSIF jsonb_typeof(v) = 'object' THEN
        r := newt.write_struct(structs, (t->'struct')::integer, v, who, place, depth, shared);
        item := r.item;
        shared_after := r.shared_after;
    ELSE
        PERFORM newt.wrong_kind(t, v, who, place);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.write_value(jsonb, jsonb, jsonb, text, text, integer, bigint) IS 'one value of a field as an item of a record; portable edition';

-- All of a field, without its name.
CREATE FUNCTION newt.write_member(structs jsonb, f jsonb, v jsonb, who text, place text, depth integer, shared bigint, OUT item bytea, OUT shared_after bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    shape text := f->>'shape';
    key_type jsonb := f->'key';
    e record;
    r record;
    n integer := 0;
    keys bytea[] := '{}';
    items bytea[] := '{}';
    name text;
    at text;
BEGIN
    IF shape = '' OR jsonb_typeof(v) <> 'array' AND NOT (shape = 'map' AND jsonb_typeof(v) = 'object') THEN
        IF shape <> '' THEN
            PERFORM newt.refuse(who, place, CASE WHEN v = 'null' THEN '23502' ELSE '22023' END, 'cannot be ' || newt.shown(v),
                CASE shape WHEN 'list' THEN 'A list is an array.' WHEN 'set' THEN 'A set is an array.'
                           WHEN 'map' THEN 'A map is an object, or an array of {"k": key, "v": value}.'
                           ELSE 'A map whose keys are not text is an array of {"k": key, "v": value}.' END, NULL);
        END IF;
        r := newt.write_value(structs, f, v, who, place, depth, shared);
        item := r.item;
        shared_after := r.shared_after;
        RETURN;
    END IF;
    PERFORM newt.check_depth(who, place, depth);
    shared_after := shared;
    FOR e IN SELECT a.v, NULL AS key, a.n FROM jsonb_array_elements(CASE jsonb_typeof(v) WHEN 'array' THEN v ELSE '[]' END) WITH ORDINALITY a (v, n)
             UNION ALL SELECT o.v, o.key, o.n FROM jsonb_each(CASE jsonb_typeof(v) WHEN 'object' THEN v ELSE '{}' END) WITH ORDINALITY o (key, v, n)
    LOOP
        n := n + 1;
        IF e.key IS NOT NULL THEN
            name := newt.plain_key(e.key);
            IF name IS NULL THEN
                PERFORM newt.refuse(who, place, '22023', format('has the key "%s"', e.key), 'Keys that begin with "::" have one more colon in front.', NULL);
            END IF;
            at := newt.place_of_key(place, name);
            keys[n] := newt.write_text(name);
        ELSE
            at := newt.place_of_item(place, e.n - 1);
            IF shape IN ('map', 'pairs') THEN
                IF jsonb_typeof(e.v) <> 'object' OR NOT e.v ?& '{k,v}' OR e.v - 'k' - 'v' <> '{}' THEN
                    PERFORM newt.refuse(who, at, '22023', 'is no pair', 'A pair is {"k": key, "v": value}.', NULL);
                ELSIF newt.is_null(key_type, e.v->'k') THEN
                    PERFORM newt.refuse(who, at, '23502', 'has a null key', NULL, NULL);
                END IF;
                r := newt.write_value(structs, key_type, e.v->'k', who, at, depth + 1, shared_after);
                keys[n] := r.item;
                shared_after := r.shared_after;
                e.v := e.v->'v';
            END IF;
        END IF;
        IF f->>'kind' = 'struct' AND jsonb_typeof(e.v) = 'object' THEN
            r := newt.write_struct(structs, (f->'struct')::integer, e.v, who, at, depth + 1, shared_after);
        ELSE
            r := newt.write_value(structs, f, e.v, who, at, depth + 1, shared_after);
        END IF;
        items[n] := r.item;
        shared_after := r.shared_after;
    END LOOP;
    IF shape = 'list' THEN
        item := newt.write_head(4, n) || coalesce((SELECT string_agg(u.item, '\x' ORDER BY u.n) FROM unnest(items) WITH ORDINALITY u (item, n)), '\x');
    ELSIF shape = 'set' THEN
        item := newt.write_collected(shape, items, NULL, shared_after > shared, who, place);
    ELSE
        -- a map with a key that is not UTF-8 is recorded as pairs
        IF EXISTS (SELECT FROM unnest(keys) u (key) WHERE get_byte(u.key, 0) = 217) THEN
            shape := 'pairs';
        END IF;
        item := newt.write_collected(shape, keys, items, shared_after > shared, who, place);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.write_member(jsonb, jsonb, jsonb, text, text, integer, bigint) IS 'all of a field as an item of a record; portable edition';

-- A field that is not given: its default, else null or zero.
CREATE FUNCTION newt.write_initial(structs jsonb, f jsonb, who text, place text, depth integer, shared bigint, OUT item bytea, OUT shared_after bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    shape text := f->>'shape';
    kind text := f->>'kind';
    r record;
BEGIN
    shared_after := shared;
    IF f ? 'default' THEN
        r := newt.write_value(structs, f, f->'default', who, place, depth, shared);
        item := r.item;
        shared_after := r.shared_after;
    ELSIF shape <> '' THEN
        PERFORM newt.check_depth(who, place, depth);
        item := CASE shape WHEN 'list' THEN '\x80'::bytea WHEN 'set' THEN '\xd9010280' WHEN 'map' THEN '\xa0' ELSE '\xd90103a0' END;
    ELSIF kind = 'struct' THEN
        r := newt.write_struct(structs, (f->'struct')::integer, NULL, who, place, depth, shared);
        item := r.item;
        shared_after := r.shared_after;
    ELSE
        item := CASE WHEN (f->'nullable')::boolean THEN '\xf6'::bytea
                     WHEN kind = 'bool' THEN '\xf4'
                     WHEN kind = 'float' THEN CASE (f->'bits')::integer WHEN 32 THEN '\xfa00000000'::bytea ELSE '\xfb0000000000000000' END
                     WHEN kind = 'duration' THEN newt.write_microseconds(1002, 0)
                     WHEN kind = 'enum' THEN newt.write_text(f->'names'->>0)
                     ELSE '\x00' END;
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.write_initial(jsonb, jsonb, text, text, integer, bigint) IS 'what a field of a new object has where nothing is given; portable edition';

-- A struct, others of its fields as in a new object; v null: all of them.
CREATE FUNCTION newt.write_struct(structs jsonb, number integer, v jsonb, who text, place text, depth integer, shared bigint, OUT item bytea, OUT shared_after bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    k CONSTANT jsonb := structs->number;
    f jsonb;
    given jsonb;
    nothing boolean;
    written jsonb[] := '{}'; -- fields, and the value of each that is given
    n integer := 0;
    pieces bytea[] := '{}';
    r record;
    at text;
BEGIN
    IF v IS NOT NULL THEN
        PERFORM newt.check_keys(k->'names', v, who, place);
    END IF;
    FOR f IN SELECT jsonb_array_elements(k->'fields') LOOP
        given := v->newt.document_key(f->>'name');
        nothing := CASE WHEN given IS NULL THEN NOT f ? 'default' ELSE newt.is_null(f, given) END;
        IF nothing AND (f->'required')::boolean THEN
            PERFORM newt.refuse(who, newt.place_of(place, f->>'name'), '23502', 'is null, but required', NULL, NULL);
        END IF;
        IF NOT nothing OR NOT (f->'omits')::boolean THEN
            n := n + 1;
            written[n] := CASE WHEN given IS NULL THEN f ELSE f || jsonb_build_object('given', given) END;
        END IF;
    END LOOP;
    PERFORM newt.check_depth(who, place, depth);
    shared_after := shared;
    FOR i IN 1 .. n LOOP
        f := written[i];
        at := newt.place_of(place, f->>'name');
        IF f ? 'given' THEN
            r := newt.write_member(structs, f, f->'given', who, at, depth + 1, shared_after);
        ELSE
            r := newt.write_initial(structs, f, who, at, depth + 1, shared_after);
        END IF;
        pieces[i] := newt.write_text(f->>'name') || CASE WHEN (f->'skip')::boolean THEN '\xd99603'::bytea ELSE '\x' END || r.item;
        shared_after := r.shared_after;
    END LOOP;
    item := newt.write_head(5, n) || coalesce((SELECT string_agg(u.piece, '\x' ORDER BY u.n) FROM unnest(pieces) WITH ORDINALITY u (piece, n)), '\x');
END
$newt_body$;
COMMENT ON FUNCTION newt.write_struct(jsonb, integer, jsonb, text, text, integer, bigint) IS 'a struct as an item of a record, others of its fields as in a new object; portable edition';
