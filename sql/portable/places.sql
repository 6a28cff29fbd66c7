-- ---- places in a record ---------------------------------------------------------------------------

-- A key in a path, as newt.text reads it: a backslash precedes characters that have a meaning there.
CREATE FUNCTION newt.path_of_key(key bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    shown text;
BEGIN
    WHILE position('\x00'::bytea IN key) > 0 LOOP
        key := set_byte(key, position('\x00'::bytea IN key) - 1, 32);
    END LOOP;
    shown := convert_from(key, 'UTF8');
    RETURN CASE WHEN left(shown, 2) = '::' THEN '\:' ELSE '' END || regexp_replace(shown, '([].\\:[])', '\\\1', 'g');
END
$newt_body$;
COMMENT ON FUNCTION newt.path_of_key(bytea) IS 'a key of a record as it is written in a path; portable edition';

-- Where in the document the item under way stands, as a JSON array. The stacks are those of newt.read_item.
CREATE FUNCTION newt.reject_path(depth integer, kinds integer[], totals bigint[], lefts bigint[], prevs bytea[], showns bigint[], pairs_flags boolean[],
                                 closings text[], kind integer, total bigint, left_over bigint, prev bytea, shown bigint, as_pairs boolean, closing text, pair_part text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    result text[] := '{}';
    key text;
BEGIN
    IF depth > 0 THEN
        kinds[depth] := kind;
        totals[depth] := total;
        lefts[depth] := left_over;
        prevs[depth] := prev;
        showns[depth] := shown;
        pairs_flags[depth] := as_pairs;
        closings[depth] := closing;
    END IF;
    FOR i IN 1 .. depth LOOP
        IF kinds[i] IN (6, 7) OR closings[i] = ']}' THEN
            result := result || '::v'::text;
        END IF;
        IF pairs_flags[i] THEN
            result := result || (showns[i] - 1)::text || CASE WHEN i = depth THEN pair_part WHEN lefts[i] & 1 = 1 THEN 'k' ELSE 'v' END;
        ELSIF kinds[i] IN (2, 5) THEN
            key := convert_from(prevs[i], 'UTF8');
            result := result || (CASE WHEN left(key, 2) = '::' THEN ':' ELSE '' END || key);
        ELSIF kinds[i] IN (1, 4) THEN
            result := result || (showns[i] - 1)::text;
        END IF;
    END LOOP;
    RETURN to_json(result)::text;
END
$newt_body$;
COMMENT ON FUNCTION newt.reject_path(integer, integer[], bigint[], bigint[], bytea[], bigint[], boolean[], text[], integer, bigint, bigint, bytea, bigint, boolean, text, text) IS 'the path of a value that the document cannot show as it is; portable edition';
