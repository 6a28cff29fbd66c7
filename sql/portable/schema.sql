-- ---- what newt.paths calls values and their places, and what procedures and advice ask --------------

CREATE FUNCTION newt.path_key(key text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN regexp_replace(key, '([.:\\])', '\\\1', 'g');
END
$newt_body$;

-- What the projection writes as an object, by a key that it has then; the first that is there.
CREATE FUNCTION newt.value_type(value jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    type text := jsonb_typeof(value);
BEGIN
    IF type = 'object' THEN
        type := CASE WHEN value ? '::=>' THEN 'reference' WHEN value ? '::~>' THEN 'weak reference' WHEN value ? '::err' THEN 'too large'
                     WHEN value ? '::text' THEN 'string' WHEN value ? '::b64' THEN 'bytes' WHEN value ? '::bin' THEN 'bytes'
                     WHEN value ? '::num' THEN 'number' WHEN value ? '::us' THEN 'time' WHEN value ? '::days' THEN 'date'
                     WHEN value ? '::->' THEN 'shared' WHEN value ? '::tag' THEN 'unknown tag' ELSE type END;
    END IF;
    RETURN type;
END
$newt_body$;

-- A block began with a statement of its own; a transaction that a procedure has begun, after its statement.
CREATE FUNCTION newt.check_no_block(name text) RETURNS void
    LANGUAGE plpgsql STABLE STRICT PARALLEL RESTRICTED COST 10
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    IF transaction_timestamp() < statement_timestamp() THEN
        RAISE EXCEPTION USING ERRCODE = 'active_sql_transaction',
            MESSAGE = format('%s cannot be called within a transaction block', name),
            DETAIL = 'It commits, so that nobody waits for it.',
            HINT = 'Call it without BEGIN. A program has its driver commit by itself: autocommit.';
    END IF;
END
$newt_body$;

-- A text is taken apart as the server's own scanner does it. What is no SQL is refused by the server afterwards.
CREATE FUNCTION newt.check_select(query text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL SAFE COST 1000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    backslashes boolean := current_setting('standard_conforming_strings') = 'off';
    rest text := query;
    bare text := '';        -- without strings, names in quotes and comments
    token text;
    depth integer;
    statements integer;
BEGIN
    WHILE rest <> '' LOOP
        token := substring(rest FROM '^[^''"$/;-]+');
        IF token IS NOT NULL THEN
            bare := bare || token;
        ELSIF left(rest, 2) = '--' THEN
            token := substring(rest FROM '^--[^\n\r]*');
        ELSIF left(rest, 2) = '/*' THEN
            token := '';
            depth := 0;
            LOOP
                token := token || coalesce(substring(substr(rest, length(token) + 1) FROM '^(?:[^*/]|\*(?!/)|/(?!\*))*(?:/\*|\*/)'), substr(rest, length(token) + 1));
                depth := depth + CASE right(token, 2) WHEN '/*' THEN 1 WHEN '*/' THEN -1 ELSE -1000 END;
                EXIT WHEN depth <= 0;
            END LOOP;
            bare := bare || ' ';
        ELSIF left(rest, 1) = '''' THEN
            token := coalesce(substring(rest FROM CASE WHEN backslashes OR bare ~ '(?:^|[^[:alnum:]_$])[eE]$' THEN '^''(?:[^''\\]|\\.|'''')*''' ELSE '^''(?:[^'']|'''')*''' END), rest);
            bare := bare || '''''';
        ELSIF left(rest, 1) = '"' THEN
            token := coalesce(substring(rest FROM '^"(?:[^"]|"")*"'), rest);
            bare := bare || '""';
        ELSIF left(rest, 1) = '$' AND bare !~ '[[:alnum:]_$]$' AND rest ~ '^\$(?:[[:alpha:]_][[:alnum:]_]*)?\$' THEN
            token := substring(rest FROM '^\$[^$]*\$');
            depth := position(token IN substr(rest, length(token) + 1));
            token := CASE depth WHEN 0 THEN rest ELSE left(rest, depth - 1 + 2 * length(token)) END;
            bare := bare || '''''';
        ELSE
            token := left(rest, 1);
            bare := bare || token;
        END IF;
        rest := substr(rest, length(token) + 1);
    END LOOP;
    statements := (SELECT count(*) FROM regexp_split_to_table(bare, ';') s WHERE s ~ '\S');
    IF statements <> 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'syntax_error', MESSAGE = format('query must be one statement, but has %s', statements);
    ELSIF bare !~* '^[\s(;]*(?:select|values|table|with)\M' OR bare ~* '\m(?:insert|merge)\s+into\M|[()]\s*(?:update|delete)\s|\minto\M' THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = 'query must be a SELECT', DETAIL = 'It is another statement, or it writes.';
    END IF;
END
$newt_body$;
