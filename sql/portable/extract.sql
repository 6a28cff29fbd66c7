-- ---- extraction for indexes -----------------------------------------------------------------------

CREATE FUNCTION newt.parse_path(path text) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    keys text[] := ARRAY[''];
    part text;
BEGIN
    FOR part IN SELECT m[1] FROM regexp_matches(path, '(\\.|\.|[^.\\]+|\\$)', 'g') m LOOP
        IF part = '.' THEN
            keys := keys || ''::text;
        ELSE
            keys[cardinality(keys)] := keys[cardinality(keys)] || CASE WHEN left(part, 1) = '\' AND length(part) > 1 THEN substr(part, 2) ELSE part END;
        END IF;
    END LOOP;
    RETURN keys;
END
$newt_body$;
COMMENT ON FUNCTION newt.parse_path(text) IS 'the keys of a path; portable edition';

-- Strings, numbers and references below a path, in the document's order. Where a path leads through an array, it goes on
-- in each item. No recursion: how deep documents are is not known.
CREATE FUNCTION newt.leaves(document jsonb, path text[], OUT kind text, OUT leaf text) RETURNS SETOF record
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 10
    AS $newt_body$
DECLARE
    n integer := cardinality(path);
    todo jsonb[] := ARRAY[document];
    places integer[] := ARRAY[0];       -- how many keys of the path led there
    is_ref boolean[] := ARRAY[false];
    top integer := 1;
    value jsonb;
    at integer;
    ref boolean;
    item record;
BEGIN
    WHILE top > 0 LOOP
        value := todo[top];
        at := places[top];
        ref := is_ref[top];
        top := top - 1;
        CASE jsonb_typeof(value)
        WHEN 'object' THEN
            IF at < n THEN
                IF value ? path[at + 1] THEN
                    top := top + 1;
                    todo[top] := value->path[at + 1];
                    places[top] := at + 1;
                    is_ref[top] := false;
                END IF;
            ELSE
                -- what the projection added is no value of the object
                FOR item IN SELECT e.key, e.value FROM jsonb_each(value) WITH ORDINALITY e (key, value, place)
                             WHERE left(e.key, 2) <> '::' OR left(e.key, 3) = ':::' OR e.key IN ('::=>', '::~>', '::text', '::v') ORDER BY e.place DESC LOOP
                    top := top + 1;
                    todo[top] := item.value;
                    places[top] := at;
                    is_ref[top] := item.key IN ('::=>', '::~>');
                END LOOP;
            END IF;
        WHEN 'array' THEN
            FOR item IN SELECT e.value FROM jsonb_array_elements(value) WITH ORDINALITY e (value, place)
                         WHERE at = n OR jsonb_typeof(e.value) IN ('object', 'array') ORDER BY e.place DESC LOOP
                top := top + 1;
                todo[top] := item.value;
                places[top] := at;
                is_ref[top] := false;
            END LOOP;
        WHEN 'string' THEN
            IF at = n THEN
                kind := 'string';
                leaf := value #>> '{}';
                RETURN NEXT;
            END IF;
        WHEN 'number' THEN
            IF at = n THEN
                kind := CASE WHEN ref THEN 'reference' ELSE 'number' END;
                leaf := value #>> '{}';
                RETURN NEXT;
            END IF;
        ELSE
        END CASE;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.leaves(jsonb, text[]) IS 'strings, numbers and references of a document below a path; portable edition';

CREATE FUNCTION newt.check_null_paths(paths text[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    place bigint := (SELECT min(u.n) FROM unnest(paths) WITH ORDINALITY u (item, n) WHERE u.item IS NULL);
BEGIN
    IF place IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = format('path %s of a document must not be null', place);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_null_paths(text[]) IS 'raises an error if a path is null; portable edition';

CREATE FUNCTION newt.text(document jsonb, VARIADIC paths text[] DEFAULT '{}') RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    strings text[] := '{}';
    n integer := 0;
    size bigint := -1;
    path text;
    leaf text;
BEGIN
    PERFORM newt.check_null_paths(paths);
    <<all_paths>>
    FOREACH path IN ARRAY CASE WHEN paths = '{}' THEN ARRAY[''] ELSE paths END LOOP
        FOR leaf IN SELECT l.leaf FROM newt.leaves(document, CASE WHEN paths = '{}' THEN '{}' ELSE newt.parse_path(path) END) l WHERE l.kind = 'string' LOOP
            CONTINUE WHEN n = 0 AND leaf = ''; -- a line begins where something is before it
            size := size + octet_length(leaf) + 1;
            IF size >= 67108864 THEN
                RAISE NOTICE USING ERRCODE = 'program_limit_exceeded', MESSAGE = 'strings beyond 64 MB are left out';
                EXIT all_paths;
            END IF;
            n := n + 1;
            strings[n] := leaf;
        END LOOP;
    END LOOP;
    RETURN array_to_string(strings, chr(10));
END
$newt_body$;

-- How much of a text to parse next: up to the last space before a limit, so that no word is cut; a long run without one
-- is cut. The time of the parser may grow with the square of what it is given.
CREATE FUNCTION newt.piece_of(s text) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    size integer := 32768;
    space integer;
BEGIN
    IF length(s) <= 256 THEN
        RETURN length(s);
    END IF;
    -- where the parser looks far ahead for an end, from many places
    IF length(left(s, size)) - length(replace(left(s, size), '<!', '')) > 16
       OR EXISTS (SELECT FROM regexp_split_to_table(left(s, size), '[ \n\t\r,;|"]') run
                   WHERE length(run) > 256 AND length(run) - length(translate(run, '@~_!', '')) + (length(run) - length(replace(run, './', ''))) / 2 > 8) THEN
        size := 256;
    END IF;
    IF length(s) <= size THEN
        RETURN length(s);
    END IF;
    space := length(substring(left(s, size) FROM '^(.*[ \n\t\r,;|"])'));
    IF space IS NULL AND size > 256 THEN
        space := length(substring(s FROM '^[^ \n\t\r,;|"]+')); -- to the end of the run
    END IF;
    RETURN coalesce(space, size);
END
$newt_body$;
COMMENT ON FUNCTION newt.piece_of(text) IS 'characters of a text that are parsed at once; portable edition';

-- Between two strings the positions leave a gap, so that no phrase is found across fields. A word at the end tells how
-- many positions a piece has; a word in front moves the next one to its place.
CREATE FUNCTION newt.gather_words(config regconfig, document jsonb, paths text[]) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    room CONSTANT integer := 1048575 - 512;
    all_text CONSTANT integer := 16777216;
    last_word CONSTANT text := 'zqnewtendzq';
    last_lexemes CONSTANT text[] := tsvector_to_array(to_tsvector(config, last_word));
    result tsvector := '';
    words tsvector;
    pos integer := 0;       -- of the last word
    top integer := 0;       -- the highest in the result
    size bigint := 0;
    is_full boolean := false;
    weight "char";
    path text;
    leaf text;
    piece text;
    n integer;
BEGIN
    PERFORM newt.check_null_paths(paths);
    <<all_paths>>
    FOREACH path IN ARRAY CASE WHEN paths = '{}' THEN ARRAY[''] ELSE paths END LOOP
        weight := upper(substring(path FROM '(?:^|[^\\]):([A-Da-d])$'));
        IF weight IS NOT NULL THEN
            path := left(path, -2);
        END IF;
        FOR leaf IN SELECT l.leaf FROM newt.leaves(document, CASE WHEN paths = '{}' THEN '{}' ELSE newt.parse_path(path) END) l WHERE l.kind = 'string' LOOP
            IF pos > 0 OR result <> '' THEN
                pos := pos + 16;
            END IF;
            WHILE leaf <> '' LOOP
                n := newt.piece_of(leaf);
                piece := left(leaf, n);
                leaf := substr(leaf, n + 1);
                size := size + octet_length(piece);
                is_full := size > all_text;
                EXIT all_paths WHEN is_full;
                words := to_tsvector(config, piece || chr(10) || last_word);
                n := coalesce((SELECT max(p) FROM unnest(words) w, unnest(w.positions) p), 0) - CASE WHEN last_lexemes = '{}' THEN 0 ELSE 1 END;
                words := ts_delete(words, last_lexemes);
                IF words <> '' THEN
                    is_full := pg_column_size(result) - 4 * length(result) + pg_column_size(words) - 4 * length(words) - 16 + length(result) + length(words) > room;
                    EXIT all_paths WHEN is_full;
                    IF weight IS NOT NULL THEN
                        words := setweight(words, weight);
                    END IF;
                    IF least(pos, 16383) > top THEN
                        result := result || format('''::at'':%s', least(pos, 16383) - top)::tsvector;
                    END IF;
                    result := ts_delete(result || words, '::at');
                    top := coalesce((SELECT max(p) FROM unnest(words) w, unnest(w.positions) p), 0) + least(pos, 16383);
                    top := least(top, 16383);
                END IF;
                pos := pos + n;
            END LOOP;
        END LOOP;
    END LOOP;
    IF is_full THEN
        result := result || array_to_tsvector(ARRAY['::cut']);
        RAISE NOTICE USING ERRCODE = 'program_limit_exceeded', MESSAGE = 'document has more words than a tsvector holds',
            DETAIL = format('Words beyond %s bytes, and text beyond %s MB, are not indexed.', room, all_text / 1048576);
    END IF;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.gather_words(regconfig, jsonb, text[]) IS 'strings below the paths as a tsvector; portable edition';

CREATE FUNCTION newt.tsvector(config regconfig, document jsonb, VARIADIC paths text[] DEFAULT '{}')
    RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.gather_words(config, document, paths);
END
$newt_body$;

CREATE FUNCTION newt.language(document jsonb, language_path text, languages text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    name text := (SELECT l.leaf FROM newt.leaves(document, newt.parse_path(language_path)) l WHERE l.kind = 'string' LIMIT 1);
BEGIN
    IF name IS NULL OR octet_length(name) > 63 THEN
        RETURN '';
    END IF;
    name := translate(name, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz');
    IF (name = ANY (languages)) IS NOT TRUE THEN
        name := substring(name FROM '^[^-_]*');
    END IF;
    RETURN CASE WHEN name <> '' AND name = ANY (languages) THEN name ELSE '' END;
END
$newt_body$;

CREATE FUNCTION newt.tsvector_by_language(config regconfig, language_path text, languages text[], configs regconfig[], document jsonb, VARIADIC paths text[] DEFAULT '{}')
    RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    language text := newt.language(document, language_path, languages);
BEGIN
    IF cardinality(configs) <> cardinality(languages) THEN
        RAISE EXCEPTION USING ERRCODE = 'array_subscript_error', MESSAGE = 'each language needs one text search configuration';
    END IF;
    IF language <> '' THEN
        config := coalesce(configs[array_position(languages, language)], config);
    END IF;
    RETURN newt.gather_words(config, document, paths) || array_to_tsvector(ARRAY['::lang=' || language]);
END
$newt_body$;

-- What does not fit is left out: fewer may see the object then, never more.
CREATE FUNCTION newt.principals(document jsonb, VARIADIC paths text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    most CONSTANT integer := 10000;
    longest CONSTANT integer := 1000;
    found text[];
    too_long boolean;
BEGIN
    PERFORM newt.check_null_paths(paths);
    SELECT array_agg(DISTINCT p.name COLLATE "C" ORDER BY p.name COLLATE "C") FILTER (WHERE octet_length(p.name) <= longest), bool_or(octet_length(p.name) > longest)
      INTO found, too_long
      FROM unnest(paths) u (path),
           LATERAL (SELECT CASE l.kind WHEN 'reference' THEN '::=>' ELSE '' END || l.leaf AS name FROM newt.leaves(document, newt.parse_path(u.path)) l) p;
    IF cardinality(found) > most THEN
        RAISE NOTICE USING ERRCODE = 'program_limit_exceeded', MESSAGE = format('principals beyond the first %s are left out', most);
    END IF;
    IF too_long THEN
        RAISE NOTICE USING ERRCODE = 'program_limit_exceeded', MESSAGE = format('principals longer than %s bytes are left out', longest);
    END IF;
    RETURN coalesce(found[1:most], '{}');
END
$newt_body$;

CREATE FUNCTION newt.refs_at(document jsonb, path text) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT coalesce(array_agg(DISTINCT l.leaf::bigint ORDER BY l.leaf::bigint), '{}') FROM newt.leaves(document, newt.parse_path(path)) l
 WHERE l.kind = 'reference' AND CASE WHEN l.leaf ~ '^[0-9]{1,19}$' THEN l.leaf::numeric BETWEEN 1 AND 9223372036854775807 END
$newt_body$;

CREATE FUNCTION newt.allows(entries text[], principals text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT coalesce((SELECT u.entry LIKE '+%' FROM unnest(entries) WITH ORDINALITY u (entry, n)
                  WHERE (substr(u.entry, 2) IN (SELECT p.name FROM unnest(principals) p (name))) IS TRUE ORDER BY u.n LIMIT 1), false) -- hashed: both may be long
$newt_body$;
