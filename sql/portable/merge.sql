-- ---- merge patches --------------------------------------------------------------------------------------

-- The fields of a struct in a record, n of them from a place on: where each is, which of them the class has (field: its
-- number, or -1), and how many shared values are before and after it. All is checked that the reader of a record checks.
CREATE FUNCTION newt.gather_fields(data bytea, at integer, n bigint, structs jsonb, number integer, who text, shared bigint,
                                   OUT names bytea[], OUT fields integer[], OUT starts integer[], OUT befores bigint[], OUT afters bigint[], OUT stop integer)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    list CONSTANT jsonb := structs->number->'fields';
    size CONSTANT integer := octet_length(data);
    k integer := 0;
    f jsonb;
    h record;
    r record;
    key bytea;
    prev bytea;
    valid integer;
    field integer;
BEGIN
    names := '{}';
    fields := '{}';
    starts := '{}';
    befores := '{}';
    afters := '{}';
    stop := at;
    FOR i IN 1 .. n LOOP
        h := newt.read_head(data, stop, -1, NULL);
        IF h.major <> 3 THEN -- whatever else is wrong with it
            h.code := 'profile';
            h.reason := 'map key is not text';
        ELSIF h.code IS NULL AND h.u > size - h.next THEN
            h.code := 'malformed';
            h.reason := 'record is cut short';
        ELSIF h.code IS NULL THEN
            key := substring(data FROM h.next + 1 FOR h.u::integer);
            valid := newt.utf8_valid(key);
            IF valid < h.u THEN
                h.code := 'profile';
                h.reason := 'text is not valid UTF-8';
                h.fault_at := h.next + valid;
            ELSIF (octet_length(prev), prev) >= (octet_length(key), key) THEN
                h.code := 'profile';
                h.reason := CASE WHEN prev = key THEN 'map key stands twice' ELSE 'map keys are not in order' END;
            END IF;
        END IF;
        IF h.code IS NOT NULL THEN
            PERFORM newt.damaged(who, h.code, h.reason, h.fault_at, size, false);
        END IF;
        prev := key;
        stop := h.next + h.u::integer;
        -- both are in order
        field := -1;
        LOOP
            f := list->k;
            EXIT WHEN f IS NULL OR (octet_length(f->>'name'), convert_to(f->>'name', 'UTF8')) > (octet_length(key), key);
            k := k + 1;
            IF convert_to(f->>'name', 'UTF8') = key THEN
                field := k - 1;
                EXIT;
            END IF;
        END LOOP;
        r := newt.read_item(data, stop, 499, shared, 'skip', NULL);
        IF r.code IS NOT NULL THEN
            PERFORM newt.damaged(who, r.code, r.reason, r.fault_at, size, field >= 0 AND NOT newt.is_scalar(data, stop));
        ELSIF field >= 0 THEN
            PERFORM newt.check_member(data, stop, structs, f, who, newt.utf8_lossy(key), shared);
        ELSIF position('\x00'::bytea IN key) = 0 AND structs->number->'was' ? convert_from(key, 'UTF8') THEN
            PERFORM newt.refuse(who, convert_from(key, 'UTF8'), '55000', 'has another name now', 'The record has the older one beside fields of its version.',
                                'Have a program write the object first.');
        END IF;
        names[i] := key;
        fields[i] := field;
        starts[i] := stop;
        befores[i] := shared;
        afters[i] := r.shared_after;
        shared := r.shared_after;
        stop := r.stop;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.gather_fields(bytea, integer, bigint, jsonb, integer, text, bigint) IS 'the fields of a struct in a record, checked; portable edition';

-- Whether an item is not in parts.
CREATE FUNCTION newt.is_scalar(data bytea, at integer) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    h record := newt.read_head(data, at, -1, NULL);
BEGIN
    WHILE h.major = 6 AND h.u IN (38403, 28) LOOP
        h := newt.read_head(data, h.next, -1, NULL);
    END LOOP;
    RETURN coalesce(h.major NOT IN (4, 5, 6) OR h.major = 6 AND h.u IN (2, 3, 4, 29, 37, 100, 1001, 1002, 38401, 38402, 38404), true);
END
$newt_body$;
COMMENT ON FUNCTION newt.is_scalar(bytea, integer) IS 'whether an item of a record is not in parts; portable edition';

-- An item of the record that stays. Where other shared values are before it than there were, what it refers to must be
-- there still.
CREATE FUNCTION newt.keep_item(data bytea, start integer, stop integer, before bigint, after bigint, who text, place text, depth integer, shared bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    r record;
BEGIN
    IF shared <> before THEN
        r := newt.read_item(substring(data FROM start + 1 FOR stop - start), 0, 500 - depth, shared, 'skip', NULL);
        IF r.code IS NOT NULL THEN
            PERFORM newt.refuse_item(who, place, r.code, r.reason);
        END IF;
    END IF;
    RETURN shared + after - before;
END
$newt_body$;
COMMENT ON FUNCTION newt.keep_item(bytea, integer, integer, bigint, bigint, text, text, integer, bigint) IS 'how many shared values have been numbered after an item of a record that stays; portable edition';

-- A struct, or a value of any other kind, in the place of what is at a place of the record (start null: nothing is). lost:
-- a value went that others may refer to.
CREATE FUNCTION newt.merge_value(data bytea, start integer, shares boolean, structs jsonb, f jsonb, v jsonb, who text, place text, depth integer, shared bigint, before bigint,
                                 OUT item bytea, OUT shared_after bigint, OUT lost boolean)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    h record;
    r record;
BEGIN
    IF start IS NOT NULL AND f->>'kind' = 'struct' AND jsonb_typeof(v) = 'object' AND newt.pass_hidden(data, start) >> 5 = 5 THEN
        h := newt.read_head(data, CASE WHEN substring(data FROM start + 1 FOR 3) = '\xd99603' THEN start + 3 ELSE start END, 5, NULL);
        r := newt.merge_fields(data, h.next, h.u, structs, (f->'struct')::integer, v, false, who, place, depth, shared, before);
        lost := r.lost;
    ELSE
        r := newt.write_value(structs, f, v, who, place, depth, shared);
        lost := coalesce(shares, false);
    END IF;
    item := r.item;
    shared_after := r.shared_after;
END
$newt_body$;
COMMENT ON FUNCTION newt.merge_value(bytea, integer, boolean, jsonb, jsonb, jsonb, text, text, integer, bigint, bigint) IS 'a value of a patch, merged into that of a record; portable edition';

-- A map of which a patch names some entries.
CREATE FUNCTION newt.merge_map(data bytea, start integer, structs jsonb, f jsonb, patch jsonb, who text, place text, depth integer, shared bigint, before bigint,
                               OUT item bytea, OUT shared_after bigint, OUT lost boolean)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    h record;
    p record;
    r record;
    e record;
    next integer;
    n bigint := 0;
    names bytea[] := '{}';
    starts integer[] := '{}';
    stops integer[] := '{}';
    befores bigint[] := '{}';
    afters bigint[] := '{}';
    known jsonb := '{}'; -- its keys
    key text;
    v jsonb;
    at text;
    keys bytea[] := '{}';
    items bytea[] := '{}';
    count integer := 0;
BEGIN
    lost := false;
    shared_after := shared;
    IF start IS NOT NULL THEN
        IF substring(data FROM start + 1 FOR 3) = '\xd99603' THEN
            start := start + 3;
        END IF;
        IF substring(data FROM start + 1 FOR 3) = '\xd90103' THEN -- a map may be recorded as pairs
            start := start + 3;
        END IF;
        h := newt.read_head(data, start, 5, NULL);
        n := h.u;
        next := h.next;
        FOR i IN 1 .. n LOOP
            IF substring(data FROM next + 1 FOR 3) = '\xd99603' THEN
                next := next + 3;
            END IF;
            IF substring(data FROM next + 1 FOR 3) = '\xd99602' THEN
                next := next + 3;
            END IF;
            h := newt.read_head(data, next, -1, NULL);
            names[i] := substring(data FROM h.next + 1 FOR h.u::integer);
            starts[i] := h.next + h.u::integer;
            befores[i] := before;
            p := newt.pass_item(data, starts[i], before);
            next := p.next;
            before := p.shared_after;
            stops[i] := next;
            afters[i] := before;
        END LOOP;
    END IF;
    PERFORM newt.check_depth(who, place, depth);
    FOR e IN SELECT u.* FROM unnest(names, starts, stops, befores, afters) u (name, start, stop, before, after) ORDER BY octet_length(u.name), u.name LOOP
        key := CASE WHEN newt.utf8_valid(e.name) = octet_length(e.name) AND position('\x00'::bytea IN e.name) = 0 THEN convert_from(e.name, 'UTF8') END;
        v := patch->newt.document_key(key);
        IF v = 'null' THEN -- it goes
            lost := lost OR e.after > e.before;
            CONTINUE;
        END IF;
        at := newt.place_of_key(place, newt.utf8_lossy(e.name));
        count := count + 1;
        keys[count] := newt.write_text(e.name);
        IF v IS NULL THEN
            items[count] := substring(data FROM e.start + 1 FOR e.stop - e.start);
            shared_after := newt.keep_item(data, e.start, e.stop, e.before, e.after, who, at, depth + 1, shared_after);
        ELSE
            r := newt.merge_value(data, e.start, e.after > e.before, structs, f, v, who, at, depth + 1, shared_after, e.before);
            items[count] := r.item;
            shared_after := r.shared_after;
            lost := lost OR r.lost;
        END IF;
    END LOOP;
    FOR e IN SELECT o.key, o.v, newt.plain_key(o.key) AS name FROM jsonb_each(patch) WITH ORDINALITY o (key, v, n) ORDER BY o.n LOOP
        IF e.name IS NULL THEN
            PERFORM newt.refuse(who, place, '22023', format('has the key "%s"', e.key), 'Keys that begin with "::" have one more colon in front.', NULL);
        END IF;
        CONTINUE WHEN e.v = 'null' OR convert_to(e.name, 'UTF8') = ANY (names);
        count := count + 1;
        keys[count] := newt.write_text(e.name);
        r := newt.merge_value(data, NULL, false, structs, f, e.v, who, newt.place_of_key(place, e.name), depth + 1, shared_after, 0);
        items[count] := r.item;
        shared_after := r.shared_after;
    END LOOP;
    item := newt.write_collected(CASE WHEN EXISTS (SELECT FROM unnest(keys) u (key) WHERE get_byte(u.key, 0) = 217) THEN 'pairs' ELSE 'map' END,
                                 keys, items, shared_after > shared, who, place);
END
$newt_body$;
COMMENT ON FUNCTION newt.merge_map(bytea, integer, jsonb, jsonb, jsonb, text, text, integer, bigint, bigint) IS 'a map of a record with the entries of a patch; portable edition';

-- A struct of n fields, from a place in the record on. top: it is the state, which what the class lacks may stand beside,
-- and which gets the fields that are missing. extra: it has such ones; was: how many shared values the record has.
CREATE FUNCTION newt.merge_fields(data bytea, at integer, n bigint, structs jsonb, number integer, patch jsonb, top boolean, who text, place text, depth integer,
                                  shared bigint, before bigint, OUT item bytea, OUT shared_after bigint, OUT lost boolean, OUT extra boolean, OUT was bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    k CONSTANT jsonb := structs->number;
    g record;
    f jsonb;
    v jsonb;
    o record;
    r record;
    nothing boolean;
    place_of_it text;
    key bytea;
    start integer;
    stop integer;
    count integer := 0;
    chosen integer[] := '{}'; -- fields, -1: none
    olds integer[] := '{}';   -- what of the record, null: nothing
    pieces bytea[] := '{}';
BEGIN
    g := newt.gather_fields(data, at, n, structs, number, who, before);
    lost := false;
    extra := -1 = ANY (g.fields);
    was := CASE WHEN n = 0 THEN before ELSE g.afters[n::integer] END;
    IF top AND g.stop < octet_length(data) THEN
        PERFORM newt.damaged(who, 'malformed', 'bytes after the record''s end', g.stop, octet_length(data), false);
    END IF;
    PERFORM newt.check_keys(k->'names', patch, who, place);
    -- what becomes of each
    FOR o IN
        SELECT coalesce(c.field, -1) AS field, e.n AS old
          FROM (SELECT a.n::integer - 1 AS field, convert_to(a.f->>'name', 'UTF8') AS name FROM jsonb_array_elements(k->'fields') WITH ORDINALITY a (f, n)) c
          FULL JOIN unnest(g.names) WITH ORDINALITY e (name, n) ON e.name = c.name
         ORDER BY octet_length(coalesce(c.name, e.name)), coalesce(c.name, e.name)
    LOOP
        IF o.field >= 0 THEN
            f := k->'fields'->o.field;
            v := patch->newt.document_key(f->>'name');
            nothing := CASE WHEN v IS NOT NULL THEN newt.is_null(f, v) WHEN o.old IS NOT NULL THEN newt.pass_hidden(data, g.starts[o.old]) = 246 ELSE NOT f ? 'default' END;
            IF nothing AND f->>'shape' = '' AND (f->'required')::boolean THEN
                PERFORM newt.refuse(who, newt.place_of(place, f->>'name'), '23502', 'is null, but required', NULL, NULL);
            ELSIF v IS NOT NULL OR o.old IS NOT NULL THEN
                IF nothing AND (f->'omits')::boolean THEN
                    lost := lost OR coalesce(g.afters[o.old] > g.befores[o.old], false);
                    CONTINUE;
                END IF;
            ELSIF NOT top OR (f->'omits')::boolean AND NOT f ? 'default' THEN
                CONTINUE; -- a struct inside is not completed: its record is as it was written
            END IF;
        END IF;
        count := count + 1;
        chosen[count] := o.field;
        olds[count] := o.old;
    END LOOP;
    PERFORM newt.check_depth(who, place, depth);
    shared_after := shared;
    FOR i IN 1 .. count LOOP
        f := CASE WHEN chosen[i] >= 0 THEN k->'fields'->chosen[i] END;
        v := patch->newt.document_key(f->>'name');
        key := CASE WHEN f IS NULL THEN g.names[olds[i]] ELSE convert_to(f->>'name', 'UTF8') END;
        place_of_it := newt.place_of(place, newt.utf8_lossy(key));
        start := g.starts[olds[i]];
        IF start IS NOT NULL AND v IS NULL THEN -- with its tags
            stop := CASE WHEN olds[i] < n THEN g.starts[olds[i] + 1] - octet_length(newt.write_text(g.names[olds[i] + 1])) ELSE g.stop END;
            pieces[i] := newt.write_text(key) || substring(data FROM start + 1 FOR stop - start);
            shared_after := newt.keep_item(data, start, stop, g.befores[olds[i]], g.afters[olds[i]], who, place_of_it, depth + 1, shared_after);
            CONTINUE;
        END IF;
        IF v IS NULL THEN
            r := newt.write_initial(structs, f, who, place_of_it, depth + 1, shared_after);
        ELSIF jsonb_typeof(v) = 'object' AND f->>'shape' = 'map' THEN
            r := newt.merge_map(data, start, structs, f, v, who, place_of_it, depth + 1, shared_after, g.befores[olds[i]]);
            lost := lost OR r.lost;
        ELSIF jsonb_typeof(v) = 'object' AND f->>'shape' = '' THEN
            r := newt.merge_value(data, start, g.afters[olds[i]] > g.befores[olds[i]], structs, f, v, who, place_of_it, depth + 1, shared_after, g.befores[olds[i]]);
            lost := lost OR r.lost;
        ELSE
            lost := lost OR coalesce(g.afters[olds[i]] > g.befores[olds[i]], false);
            r := newt.write_member(structs, f, v, who, place_of_it, depth + 1, shared_after);
        END IF;
        pieces[i] := newt.write_text(key) || CASE WHEN (f->'skip')::boolean THEN '\xd99603'::bytea ELSE '\x' END || r.item;
        shared_after := r.shared_after;
    END LOOP;
    item := newt.write_head(5, count) || coalesce((SELECT string_agg(u.piece, '\x' ORDER BY u.n) FROM unnest(pieces) WITH ORDINALITY u (piece, n)), '\x');
END
$newt_body$;
COMMENT ON FUNCTION newt.merge_fields(bytea, integer, bigint, jsonb, integer, jsonb, boolean, text, text, integer, bigint, bigint) IS 'a struct of a record after a patch; portable edition';

-- ---- whole records ------------------------------------------------------------------------------------

CREATE FUNCTION newt.write_record(class_name text, version integer, hidden boolean, state bytea, who text) RETURNS bytea
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    record bytea;
BEGIN
    IF octet_length(class_name) NOT BETWEEN 1 AND 255 THEN
        PERFORM newt.refuse_item(who, '', CASE class_name WHEN '' THEN 'profile' ELSE 'limit' END, 'class name is ' || CASE class_name WHEN '' THEN 'empty' ELSE 'too long' END);
    END IF;
    record := '\x83'::bytea || newt.write_text(class_name) || newt.write_head(0, version) || CASE WHEN hidden THEN '\xd99603'::bytea ELSE '\x' END || state;
    IF octet_length(record) > 268435456 THEN
        PERFORM newt.refuse_item(who, '', 'limit', 'record is too large');
    END IF;
    RETURN record;
END
$newt_body$;
COMMENT ON FUNCTION newt.write_record(text, integer, boolean, bytea, text) IS 'a record of a class and a state; portable edition';

-- The record that an object has after a JSON merge patch (RFC 7396); next: where its state begins.
CREATE FUNCTION newt.patched_record(data bytea, next integer, class_name text, version integer, structs jsonb, patch jsonb, who text) RETURNS bytea
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    size CONSTANT integer := octet_length(data);
    hidden CONSTANT boolean := substring(data FROM next + 1 FOR 3) = '\xd99603';
    h record := newt.read_head(data, next + CASE WHEN hidden THEN 3 ELSE 0 END, -1, NULL);
    r record;
BEGIN
    IF h.code IS NULL AND h.major = 5 AND h.u > (size - h.next) / 2 THEN
        PERFORM newt.damaged(who, 'malformed', 'record is cut short', next, size, false);
    ELSIF h.code IS NOT NULL OR h.major <> 5 THEN
        r := newt.read_item(data, next, 500, 0, 'skip', NULL);
        IF r.code IS NOT NULL AND (newt.is_scalar(data, next) OR r.fault_at <= next + CASE WHEN hidden THEN 3 ELSE 0 END) THEN
            PERFORM newt.damaged(who, r.code, r.reason, r.fault_at, size, false);
        END IF;
        PERFORM newt.refuse(who, '', 'XX001', 'has a state that is no map of fields', NULL, NULL);
    END IF;
    r := newt.merge_fields(data, h.next, h.u, structs, 0, patch, true, who, '', 0, 0, 0);
    IF r.was > 0 AND (r.extra OR r.lost OR r.shared_after <> r.was) THEN
        PERFORM newt.refuse(who, '', '0A000', 'has values that are shared, which the patch would number anew', 'Values of kind json refer to each other by numbers.',
                            'Change it by a program.');
    END IF;
    RETURN newt.write_record(class_name, version, hidden, r.item, who);
END
$newt_body$;
COMMENT ON FUNCTION newt.patched_record(bytea, integer, text, integer, jsonb, jsonb, text) IS 'the record of an object after a patch; portable edition';
