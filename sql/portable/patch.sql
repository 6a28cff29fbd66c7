-- ---- records that are there ---------------------------------------------------------------------------
-- What extension/fit.c and patch.c do, in PL/pgSQL: a record is looked through, and what a patch does not name keeps its bytes.

-- To the end of an item that was found valid: where the next one begins, how many shared values are before it, and the
-- lowest number of one that it refers to.
CREATE FUNCTION newt.pass_item(data bytea, at integer, shared bigint, OUT next integer, OUT shared_after bigint, OUT lowest bigint)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    left_over bigint := 1;
    b integer;
    u bigint;
    width integer;
    tag bigint := 0; -- in front of the item
BEGIN
    next := at;
    shared_after := shared;
    WHILE left_over > 0 LOOP
        b := get_byte(data, next);
        u := b & 31;
        next := next + 1;
        IF u >= 24 THEN
            width := 1 << (u::integer - 24);
            u := 0;
            FOR i IN next .. next + width - 1 LOOP
                u := u << 8 | get_byte(data, i);
            END LOOP;
            next := next + width;
        END IF;
        left_over := left_over - 1;
        CASE b >> 5
        WHEN 2, 3 THEN
            next := next + u::integer;
        WHEN 4 THEN
            left_over := left_over + u;
        WHEN 5 THEN
            left_over := left_over + 2 * u;
        WHEN 6 THEN
            left_over := left_over + 1;
            shared_after := shared_after + (u = 28)::integer;
        ELSE
            IF tag = 29 THEN
                lowest := least(lowest, u);
            END IF;
        END CASE;
        tag := CASE b >> 5 WHEN 6 THEN u ELSE 0 END;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.pass_item(bytea, integer, bigint) IS 'where a valid item of a record ends; portable edition';

CREATE FUNCTION newt.misfit(who text, place text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
BEGIN
    PERFORM newt.refuse(who, place, 'XX001', 'does not fit its class in the record', 'It is of another kind or range there than the class registry says.',
                        'Only a program that knows the class can change the object.');
END
$newt_body$;
COMMENT ON FUNCTION newt.misfit(text, text) IS 'raises the error that a record does not fit its class; portable edition';

CREATE FUNCTION newt.damaged(who text, code text, reason text, fault_at integer, n integer, within_field boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
BEGIN
    PERFORM newt.refuse(who, '', CASE WHEN code = 'newer' THEN '0A000' WHEN code = 'limit' AND within_field THEN '54000' ELSE '22P03' END,
                        'has a damaged record', format('At byte %s of %s: %s.', fault_at, n, reason), NULL);
END
$newt_body$;
COMMENT ON FUNCTION newt.damaged(text, text, text, integer, integer, boolean) IS 'raises the error that the record of an object is damaged; portable edition';

-- Whether a valid item is one that a program would load as this kind, and write again as it is.
CREATE FUNCTION newt.check_fit(data bytea, at integer, structs jsonb, t jsonb, who text, place text, shared bigint, OUT next integer, OUT shared_after bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    kind text := t->>'kind';
    bits integer := t->'bits';
    start integer := at; -- after the tag that hides it
    b integer;
    h record;
    x numeric;
    fits boolean;
    f jsonb;
    fields jsonb;
    n integer := 0;
    key bytea;
    p record;
BEGIN
    IF get_byte(data, start) = 217 AND substring(data FROM start + 1 FOR 3) = '\xd99603' THEN
        start := start + 3;
    END IF;
    b := get_byte(data, start);
    IF b = 246 AND (t->'nullable')::boolean THEN
        next := start + 1;
        shared_after := shared;
        RETURN;
    END IF;
    h := newt.read_head(data, start, -1, NULL);
    IF kind = 'struct' THEN
        IF h.major <> 5 THEN
            PERFORM newt.misfit(who, place);
        END IF;
        fields := structs->(t->'struct')::integer->'fields';
        next := h.next;
        shared_after := shared;
        FOR i IN 1 .. h.u LOOP
            h := newt.read_head(data, next, 3, NULL);
            next := h.next + h.u::integer;
            key := substring(data FROM h.next + 1 FOR h.u::integer);
            -- both are in order
            LOOP
                f := fields->n;
                EXIT WHEN f IS NULL OR convert_to(f->>'name', 'UTF8') = key;
                n := n + 1;
            END LOOP;
            IF f IS NULL THEN
                PERFORM newt.misfit(who, newt.place_of(place, newt.utf8_lossy(key)));
            END IF;
            n := n + 1;
            p := newt.check_member(data, next, structs, f, who, newt.place_of(place, f->>'name'), shared_after);
            next := p.next;
            shared_after := p.shared_after;
        END LOOP;
        RETURN;
    END IF;
    IF h.major = 6 AND h.u IN (1001, 1002) THEN
        -- seconds follow the map's head and a key, microseconds follow them and another key
        p := newt.read_head(data, h.next + 2, -1, NULL);
        x := CASE p.major WHEN 0 THEN p.u ELSE -1 - p.u::numeric END * 1000000;
        x := x + (newt.read_head(data, p.next + 1, -1, NULL)).u;
    ELSIF h.major = 6 AND h.u = 100 THEN
        p := newt.read_head(data, h.next, -1, NULL);
        x := CASE p.major WHEN 0 THEN p.u ELSE -1 - p.u::numeric END;
    END IF;
    fits := CASE kind
        WHEN 'int' THEN h.major < 2 AND h.large IS NULL AND h.u >> (bits - 1) = 0
        WHEN 'uint' THEN h.major = 0 AND (bits = 64 OR h.large IS NULL AND h.u >> bits = 0)
        WHEN 'float' THEN b = CASE bits WHEN 32 THEN 250 ELSE 251 END
        WHEN 'bool' THEN b IN (244, 245)
        WHEN 'text' THEN h.major = 3 OR h.major = 6 AND h.u = 38402
        WHEN 'bytes' THEN h.major = 2
        WHEN 'time' THEN h.u = 1001 AND x BETWEEN -9223372036854775807 AND 9223372036854775807
        WHEN 'duration' THEN h.u = 1002 AND x BETWEEN -9223372036854775808 AND 9223372036854775807
        WHEN 'date' THEN h.u = 100 AND x BETWEEN -2147483647 AND 2147483647
        WHEN 'uuid' THEN h.major = 6 AND h.u = 37
        WHEN 'decimal' THEN h.major = 6 AND h.u = 4 OR b = 251 AND get_byte(data, start + 1) & 127 = 127 AND get_byte(data, start + 2) >= 240
        WHEN 'enum' THEN h.major = 3 AND CASE WHEN position('\x00'::bytea IN substring(data FROM h.next + 1 FOR h.u::integer)) = 0
                                             THEN t->'names' ? convert_from(substring(data FROM h.next + 1 FOR h.u::integer), 'UTF8') END
        WHEN 'ref' THEN h.major = 6 AND h.u = 38401 AND get_byte(data, h.next) < 32
        WHEN 'store_ref' THEN h.major = 6 AND h.u = 38401 AND get_byte(data, h.next) = 130
        WHEN 'weak' THEN h.major = 6 AND h.u = 38404
        ELSE true END;
    p := newt.pass_item(data, at, shared);
    IF NOT coalesce(fits, false) OR p.lowest < shared THEN
        PERFORM newt.misfit(who, place);
    END IF;
    next := p.next;
    shared_after := p.shared_after;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_fit(bytea, integer, jsonb, jsonb, text, text, bigint) IS 'raises an error where an item of a record is no value of the kind of its field; portable edition';

-- The same of all of a field.
CREATE FUNCTION newt.check_member(data bytea, at integer, structs jsonb, f jsonb, who text, place text, shared bigint, OUT next integer, OUT shared_after bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    shape text := f->>'shape';
    start integer := at;
    h record;
    p record;
    front bytea;
    where_it_is text;
BEGIN
    IF shape = '' THEN
        p := newt.check_fit(data, at, structs, f, who, place, shared);
        next := p.next;
        shared_after := p.shared_after;
        RETURN;
    END IF;
    IF get_byte(data, start) = 217 AND substring(data FROM start + 1 FOR 3) = '\xd99603' THEN
        start := start + 3;
    END IF;
    front := substring(data FROM start + 1 FOR 3);
    h := newt.read_head(data, start, -1, NULL);
    -- a map with a key that is not UTF-8 is recorded as pairs
    IF front = (CASE shape WHEN 'set' THEN '\xd90102'::bytea WHEN 'list' THEN NULL ELSE '\xd90103' END) THEN
        h := newt.read_head(data, start + 3, -1, NULL);
    ELSIF h.major <> (CASE shape WHEN 'list' THEN 4 WHEN 'map' THEN 5 ELSE -1 END) THEN
        PERFORM newt.misfit(who, place);
    END IF;
    next := h.next;
    shared_after := shared;
    FOR i IN 1 .. h.u LOOP
        where_it_is := newt.place_of_item(place, i - 1);
        IF shape IN ('map', 'pairs') THEN
            IF newt.pass_hidden(data, next) = 246 THEN
                PERFORM newt.misfit(who, where_it_is);
            END IF;
            p := newt.check_fit(data, next, structs, f->'key', who, where_it_is, shared_after);
            next := p.next;
            shared_after := p.shared_after;
        END IF;
        p := newt.check_fit(data, next, structs, f, who, where_it_is, shared_after);
        next := p.next;
        shared_after := p.shared_after;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_member(bytea, integer, jsonb, jsonb, text, text, bigint) IS 'raises an error where an item of a record is not all of its field; portable edition';

-- The first byte after the tag that hides an item.
CREATE FUNCTION newt.pass_hidden(data bytea, at integer) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    RETURN get_byte(data, CASE WHEN substring(data FROM at + 1 FOR 3) = '\xd99603' THEN at + 3 ELSE at END);
END
$newt_body$;
COMMENT ON FUNCTION newt.pass_hidden(bytea, integer) IS 'the first byte of an item but for its tag hidden; portable edition';
