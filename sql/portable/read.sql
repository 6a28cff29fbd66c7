-- ---- the reader ---------------------------------------------------------------------------------
-- What codec/read.c and codec/project.c do, in PL/pgSQL; docs/state-record.md says what a record is. Nothing here
-- raises an error: no subtransaction can be had in a parallel worker, so what is wrong is told as code, reason and place.
-- These functions are called by others here alone, which have their search_path pinned; so are not all of them.

-- The head of an item. want: the major type that must stand here, -1 for any one, -2 for an integer; shape: what is
-- wrong otherwise. u is at most 2^63 - 1; what is more is in large, too.
CREATE FUNCTION newt.read_head(data bytea, at integer, want integer, shape text, OUT major integer, OUT u bigint, OUT large numeric,
                               OUT next integer, OUT code text, OUT reason text, OUT fault_at integer)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    n integer := octet_length(data);
    b integer;
    width integer;
BEGIN
    fault_at := at;
    IF at >= n THEN
        code := 'malformed';
        reason := 'record is cut short';
        RETURN;
    END IF;
    b := get_byte(data, at);
    major := b >> 5;
    b := b & 31;
    IF want >= 0 AND major = 7 OR want = -2 AND major > 1 THEN
        code := 'profile';
        reason := shape;
        RETURN;
    END IF;
    next := at + 1;
    IF b < 24 THEN
        u := b;
    ELSIF b > 27 THEN
        IF b = 31 AND major BETWEEN 2 AND 5 THEN
            code := 'profile';
            reason := 'indefinite lengths are not allowed';
        ELSE
            code := 'malformed';
            reason := 'reserved CBOR head';
        END IF;
        RETURN;
    ELSE
        width := 1 << (b - 24);
        IF n - next < width THEN
            code := 'malformed';
            reason := 'record is cut short';
            RETURN;
        END IF;
        u := get_byte(data, next);
        FOR i IN 1 .. width - 1 LOOP
            u := u << 8 | get_byte(data, next + i);
        END LOOP;
        IF u < 0 THEN
            large := 18446744073709551616 + u;
            u := 9223372036854775807;
        ELSIF u < (CASE width WHEN 1 THEN 24 WHEN 2 THEN 256 WHEN 4 THEN 65536 ELSE 4294967296 END) THEN
            code := 'profile';
            reason := 'number or length is not in its shortest form';
            RETURN;
        END IF;
        next := next + width;
    END IF;
    IF want >= 0 AND major <> want THEN
        code := 'profile';
        reason := shape;
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.read_head(bytea, integer, integer, text) IS 'the head of an item of a record; portable edition';

-- Bytes of UTF-8 that are valid, from the beginning. In hexadecimal, so that a pattern sees bytes; by parts, since a
-- pattern wants four bytes for each digit. A part ends in front of a character.
CREATE FUNCTION newt.utf8_valid(s bytea) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    n integer := octet_length(s);
    at integer := 0;
    part integer;
    valid integer;
BEGIN
    WHILE at < n LOOP
        part := least(n - at, 1048576);
        WHILE at + part < n AND part > 1048572 AND get_byte(s, at + part) BETWEEN 128 AND 191 LOOP
            part := part - 1;
        END LOOP;
        valid := length(substring(encode(substring(s FROM at + 1 FOR part), 'hex') FROM
            '^(?:[0-7].|(?:c[2-9a-f]|d.)[89ab].|(?:e0[ab].|(?:e[1-9a-cef])[89ab].|ed[89].)[89ab].|(?:f0[9ab].|f[1-3][89ab].|f48.)[89ab].[89ab].)*')) / 2;
        at := at + valid;
        EXIT WHEN valid < part;
    END LOOP;
    RETURN at;
END
$newt_body$;
COMMENT ON FUNCTION newt.utf8_valid(bytea) IS 'how many bytes from the beginning are valid UTF-8; portable edition';

-- Every NUL, and every maximal part that begins no character, becomes U+FFFD.
CREATE FUNCTION newt.utf8_lossy(s bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    character CONSTANT text := '(?:0[1-9a-f]|[1-7].|(?:c[2-9a-f]|d.)[89ab].|(?:e0[ab].|(?:e[1-9a-cef])[89ab].|ed[89].)[89ab].|(?:f0[9ab].|f[1-3][89ab].|f48.)[89ab].[89ab].)';
    -- what begins a character as far as it goes
    prefix CONSTANT text := '^(?:(?:e0[ab].|e[1-9a-cef][89ab].|ed[89].)|(?:f0[9ab].|f[1-3][89ab].|f48.)(?:[89ab].)?)';
    n integer := octet_length(s);
    at integer := 0;
    hex text;
    part integer;
    pieces text[] := '{}';
BEGIN
    WHILE at < n LOOP
        hex := encode(substring(s FROM at + 1 FOR 1024), 'hex');
        part := coalesce(length(substring(hex FROM '^' || character || '+')), 0) / 2;
        IF part > 0 THEN
            pieces := pieces || convert_from(substring(s FROM at + 1 FOR part), 'UTF8');
        ELSE
            pieces := pieces || chr(65533);
            part := greatest(1, coalesce(length(substring(hex FROM prefix)), 0) / 2);
        END IF;
        at := at + part;
    END LOOP;
    RETURN array_to_string(pieces, '');
END
$newt_body$;
COMMENT ON FUNCTION newt.utf8_lossy(bytea) IS 'bytes as text, with U+FFFD for what is none; portable edition';

-- Class name and version, as they stand in the head of a record and of an object.
CREATE FUNCTION newt.read_class(data bytea, at integer, OUT class_name text, OUT version bigint, OUT next integer,
                                OUT code text, OUT reason text, OUT fault_at integer)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    h record;
    s bytea;
    valid integer;
BEGIN
    h := newt.read_head(data, at, 3, 'class name is not text');
    fault_at := at;
    IF h.code IS NOT NULL THEN
        code := h.code;
        reason := h.reason;
        RETURN;
    ELSIF h.u > octet_length(data) - h.next THEN
        code := 'malformed';
        reason := 'record is cut short';
        RETURN;
    ELSIF h.u > 255 THEN
        code := 'limit';
        reason := 'class name is too long';
        RETURN;
    END IF;
    s := substring(data FROM h.next + 1 FOR h.u::integer);
    IF h.u = 0 OR position('\x00'::bytea IN s) > 0 THEN
        code := 'profile';
        reason := CASE h.u WHEN 0 THEN 'class name is empty' ELSE 'class name holds a NUL' END;
        RETURN;
    END IF;
    valid := newt.utf8_valid(s);
    IF valid < h.u THEN
        code := 'profile';
        reason := 'text is not valid UTF-8';
        fault_at := h.next + valid;
        RETURN;
    END IF;
    class_name := convert_from(s, 'UTF8');
    next := h.next + h.u::integer;
    h := newt.read_head(data, next, 0, 'class version is not a small integer');
    fault_at := next;
    IF h.code IS NOT NULL THEN
        code := h.code;
        reason := h.reason;
    ELSIF h.u > 2147483647 THEN
        code := 'profile';
        reason := 'class version is not a small integer';
    END IF;
    version := h.u;
    next := h.next;
END
$newt_body$;
COMMENT ON FUNCTION newt.read_class(bytea, integer) IS 'class name and version at a place in a record; portable edition';

-- The head of a record: format, class, version; next is where the state begins.
CREATE FUNCTION newt.read_begin(data bytea, OUT class_name text, OUT version bigint, OUT next integer,
                                OUT code text, OUT reason text, OUT fault_at integer)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    n integer := octet_length(data);
    head text := encode(substring(data FROM 1 FOR 2), 'hex');
    c record;
BEGIN
    IF head LIKE '83%' AND n <= 268435456 THEN
        c := newt.read_class(data, 1);
        class_name := c.class_name;
        version := c.version;
        next := c.next;
        code := c.code;
        reason := c.reason;
        fault_at := c.fault_at;
        RETURN;
    END IF;
    fault_at := 0;
    IF n > 268435456 THEN
        code := 'limit';
        reason := 'record is too large';
    ELSIF head ~ '^8[4-9a-f]|^9[0-7]' AND head !~ '^80' THEN
        code := 'newer';
        reason := 'record is of a newer format';
    ELSIF head ~ '^28|^63|^800[2-5]' THEN
        code := 'foreign';
        reason := 'record is a Python pickle';
    ELSIF head IN ('2e7a', '2e65') THEN
        code := 'foreign';
        reason := CASE head WHEN '2e7a' THEN 'record is compressed with zlib' ELSE 'record is encrypted' END;
    ELSE
        code := 'malformed';
        reason := CASE n WHEN 0 THEN 'record is empty' ELSE 'not a state record' END;
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.read_begin(bytea) IS 'the head of a record, or what is wrong with it; portable edition';

CREATE FUNCTION newt.raise_fault(code text, reason text, fault_at integer, n integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = CASE code WHEN 'newer' THEN '0A000' WHEN 'limit' THEN '54000' ELSE '22P03' END,
        MESSAGE = CASE code WHEN 'newer' THEN 'state record was written by a newer Newt'
                            WHEN 'foreign' THEN 'value is not a Newt state record'
                            WHEN 'limit' THEN 'state record exceeds a limit'
                            ELSE 'invalid state record' END,
        DETAIL = format('At byte %s of %s: %s.', fault_at, n, reason),
        HINT = CASE code WHEN 'newer' THEN 'Install a newer Newt in this database: its extension, then ALTER EXTENSION newt UPDATE, or its newt-portable.sql.'
                         WHEN 'profile' THEN 'Records are CBOR as docs/state-record.md narrows it; they are written by the Newt library.'
                         WHEN 'limit' THEN '' ELSE 'newt.try_to_jsonb() gives NULL for a value that is not a record.' END;
END
$newt_body$;
COMMENT ON FUNCTION newt.raise_fault(text, text, integer, integer) IS 'raises the error that a record deserves; portable edition';

CREATE FUNCTION newt.need_utf8() RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    IF getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
            MESSAGE = format('cannot read a state record in a database of encoding %s', getdatabaseencoding()),
            DETAIL = 'The text in state records is UTF-8.';
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.need_utf8() IS 'raises an error where the database is not of UTF-8; portable edition';
