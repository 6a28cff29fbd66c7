-- ---- declarations of derived columns ----------------------------------------------------------------
-- What they say, and the documents in which their paths lead somewhere.

-- Names in a path: "a.b" is {a,b}, a backslash takes the next character as it is.
CREATE FUNCTION newt.path_keys(path text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT CASE WHEN path = '' THEN '{}'::text[]
       ELSE ARRAY(SELECT regexp_replace(m.part[1], '\\(.)', '\1', 'g') FROM regexp_matches(path || CASE WHEN path ~ '(^|[^\\])(\\\\)*\\$' THEN '\' ELSE '' END || '.', '((?:[^.\\]|\\.)*)[.]', 'g') WITH ORDINALITY m (part, n) ORDER BY m.n) END
$newt_body$;
COMMENT ON FUNCTION newt.path_keys(text) IS 'the keys that a path leads along';

CREATE FUNCTION newt.derived_types() RETURNS TABLE (data_type text, kind text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
VALUES ('text', 'text'), ('bigint', 'int'), ('numeric', 'decimal'), ('double precision', 'float'), ('boolean', 'bool'), ('timestamptz', 'time'),
       ('date', 'date'), ('interval', 'duration'), ('uuid', 'uuid'), ('bytea', 'bytes'), ('jsonb', 'json')
$newt_body$;
COMMENT ON FUNCTION newt.derived_types() IS 'the types that a derived column of values may have, and of which kind of value';

-- Raises where a declaration is wrong. A column with several sources (text) has a row for each.
CREATE FUNCTION newt.derived_layout(columns jsonb)
    RETURNS TABLE (place bigint, name text, sort text, data_type text, is_array boolean, config text, rules jsonb,
                   class_of text, class_by text, via text[], path text, weight text)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 20
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    c jsonb;
    wrong text;
    what text[];
    p text;
    parts text[];
    key text;
    taken text[] := '{zoid,class_name,parent_id}';
    allowed constant jsonb := '{"value": ["type", "of", "by"], "text": ["config", "of", "by"], "count": ["of", "by"], "sum": ["type", "of", "by"], "min": ["type", "of", "by"],
        "max": ["type", "of", "by"], "access": []}';
BEGIN
    place := 0;
    IF jsonb_typeof(columns) IS DISTINCT FROM 'array' OR columns = '[]' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'the columns of a derived table are a JSON array with an object for each',
            HINT = 'For instance [{"name": "owner", "value": "owner->name", "type": "text"}].';
    END IF;
    FOR c IN SELECT * FROM jsonb_array_elements(columns) LOOP
        place := place + 1;
        wrong := NULL;
        name := c->>'name';
        what := ARRAY(SELECT k.key FROM jsonb_object_keys(CASE WHEN jsonb_typeof(c) = 'object' THEN c ELSE '{}' END) k (key) WHERE allowed ? k.key);
        sort := what[1];
        data_type := regexp_replace(c->>'type', '\[\]$', '');
        is_array := coalesce(c->>'type' LIKE '%[]', false);
        config := c->>'config';
        class_of := c->>'of';
        class_by := c->>'by';
        rules := NULL;
        key := (SELECT k.key FROM jsonb_object_keys(CASE WHEN jsonb_typeof(c) = 'object' THEN c ELSE '{}' END) k (key)
                 WHERE k.key NOT IN ('name', sort) AND NOT allowed->sort ? k.key LIMIT 1);
        wrong := CASE
            WHEN jsonb_typeof(c->'name') IS DISTINCT FROM 'string' OR octet_length(name) NOT BETWEEN 1 AND 59 THEN 'It has no name of 1 to 59 bytes.'
            WHEN name LIKE 'newt\_%' THEN 'Names that begin with newt_ are kept for the functions that compute it.'
            WHEN name = ANY (taken) OR sort = 'access' AND name || '_own' = ANY (taken) THEN format('The name "%s" is taken.', name)
            WHEN cardinality(what) <> 1 THEN format('It has %s of value, text, count, sum, min, max and access.', CASE cardinality(what) WHEN 0 THEN 'none' ELSE 'several' END)
            WHEN key IS NOT NULL THEN format('A column of "%s" has no "%s".', sort, key)
            WHEN sort IN ('value', 'sum', 'min', 'max') AND NOT EXISTS (SELECT FROM newt.derived_types() t WHERE t.data_type = derived_layout.data_type)
                THEN format('Its type must be one of %s%s.', (SELECT string_agg(t.data_type, ', ') FROM newt.derived_types() t), CASE sort WHEN 'value' THEN ', or an array of these' ELSE '' END)
            WHEN sort = 'sum' AND data_type NOT IN ('bigint', 'numeric', 'double precision', 'interval') OR sort IN ('min', 'max') AND data_type IN ('boolean', 'uuid', 'bytea', 'jsonb')
                THEN format('There is no %s of %s.', sort, data_type)
            WHEN is_array AND sort <> 'value' THEN format('A %s is no array.', sort)
            WHEN (class_of IS NULL) <> (class_by IS NULL) THEN 'The class of the objects that refer to this one, "of", and the path at which they do so, "by", are given together.'
            WHEN class_of = '' THEN 'Its "of" names no class.'
            WHEN sort = 'count' AND class_of IS NULL AND jsonb_typeof(c->'count') <> 'string' THEN 'What is counted is a path, or "of" and "by".'
            WHEN sort = 'access' AND jsonb_typeof(c->'access') IS DISTINCT FROM 'object' THEN 'Its "access" is an object with rules: allow, deny, entries, stop.'
            WHEN sort = 'text' AND jsonb_typeof(c->'text') NOT IN ('string', 'array') OR sort IN ('value', 'sum', 'min', 'max') AND jsonb_typeof(c->sort) <> 'string' THEN format('Its "%s" is no path.', sort)
            END;
        IF wrong IS NULL AND sort = 'access' THEN
            wrong := (SELECT format('There is no rule "%s".', k.key) FROM jsonb_object_keys(c->'access') k (key)
                       WHERE k.key NOT IN ('allow', 'deny', 'entries', 'principal', 'effect', 'role', 'roles', 'stop') LIMIT 1);
            IF wrong IS NULL THEN
                rules := (SELECT coalesce(jsonb_object_agg(k.key, CASE WHEN k.key IN ('principal', 'effect', 'role') THEN k.value
                                                         WHEN k.key IN ('entries', 'stop') THEN to_jsonb(newt.path_keys(k.value#>>'{}'))
                                                         WHEN jsonb_typeof(k.value) = 'array' THEN k.value ELSE jsonb_build_array(k.value) END), '{}')
                            FROM jsonb_each(c->'access') k)
                    || CASE WHEN c->'access' ? 'entries' THEN jsonb_build_object('principal', coalesce(c->'access'->>'principal', 'principal'),
                                'effect', coalesce(c->'access'->>'effect', 'effect'), 'role', coalesce(c->'access'->>'role', 'role')) ELSE '{}' END;
                IF NOT rules ?| '{allow,entries}' THEN
                    wrong := 'Nobody is allowed anything without "allow" or "entries".';
                END IF;
            END IF;
        END IF;
        IF wrong IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
                MESSAGE = format('column %s of a derived table is wrong', coalesce('"' || name || '"', place::text)),
                DETAIL = wrong,
                HINT = 'The SQL reference has the forms: "Derived columns".';
        END IF;
        taken := taken || name || CASE sort WHEN 'access' THEN ARRAY[name || '_own'] ELSE '{}' END;
        data_type := CASE sort WHEN 'count' THEN 'bigint' WHEN 'access' THEN 'bigint' WHEN 'text' THEN CASE WHEN config IS NULL THEN 'text' ELSE 'tsvector' END ELSE data_type END;
        FOR p IN SELECT * FROM jsonb_array_elements_text(CASE jsonb_typeof(c->sort) WHEN 'array' THEN c->sort WHEN 'string' THEN jsonb_build_array(c->sort) ELSE '[""]' END) LOOP
            parts := regexp_split_to_array(CASE sort WHEN 'access' THEN '' ELSE p END, '->');
            via := parts[:cardinality(parts) - 1];
            path := parts[cardinality(parts)];
            weight := '';
            IF sort = 'text' AND path ~ '(^|[^\\]):[A-D]$' THEN
                weight := right(path, 2);
                path := left(path, -2);
            END IF;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.derived_layout(jsonb) IS 'the columns of a declaration of derived columns, with a row for each path; an error where it is wrong';

CREATE FUNCTION newt.derived_table_columns(parent text, columns jsonb) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT unnest('{zoid,class_name}'::text[]) UNION ALL SELECT 'parent_id' WHERE parent IS NOT NULL UNION ALL
SELECT u.name FROM (SELECT DISTINCT l.name, l.sort FROM newt.derived_layout(columns) l) l, LATERAL (SELECT l.name UNION ALL SELECT l.name || '_own' WHERE l.sort = 'access') u
$newt_body$;
COMMENT ON FUNCTION newt.derived_table_columns(text, jsonb) IS 'the names of the columns that a table of derived columns is written by';

-- What analysts see: of a class whose program computes its JSON, that; else the record says it.
CREATE FUNCTION newt.document_sql(store text, alias text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    client text[];
BEGIN
    EXECUTE format('SELECT array_agg(DISTINCT c.name COLLATE "C") FROM %I.newt_class c WHERE c.projection = ''client''', store) INTO client;
    RETURN CASE WHEN client IS NULL THEN format('newt.try_to_jsonb(%s.state)', alias)
           ELSE format('CASE WHEN newt.try_class_name(%1$s.state) = ANY (%2$L::text[]) THEN (SELECT j.state FROM %3$I.newt_projection j WHERE j.zoid = %1$s.zoid) ELSE newt.try_to_jsonb(%1$s.state) END',
                       alias, client, store) END;
END
$newt_body$;
COMMENT ON FUNCTION newt.document_sql(text, text) IS 'the SQL of the document of a row of object_state';

-- Every key of the paths and rules of a declaration.
CREATE FUNCTION newt.derived_keys(parent text, columns jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
WITH l AS MATERIALIZED (
    SELECT * FROM newt.derived_layout(columns)
), path (path) AS (
    SELECT parent UNION ALL SELECT l.path FROM l UNION ALL SELECT l.class_by FROM l UNION ALL SELECT unnest(l.via) FROM l
    UNION ALL SELECT jsonb_array_elements_text(coalesce(l.rules->'allow', '[]') || coalesce(l.rules->'deny', '[]')) FROM l
)
SELECT ARRAY(SELECT unnest(newt.path_keys(p.path)) FROM path p WHERE p.path IS NOT NULL
             UNION SELECT jsonb_array_elements_text(coalesce(l.rules->'entries', '[]') || coalesce(l.rules->'stop', '[]')
                                                    || jsonb_build_array(l.rules->'principal', l.rules->'effect', l.rules->'role') - 'null') FROM l WHERE l.sort = 'access')
$newt_body$;
COMMENT ON FUNCTION newt.derived_keys(text, jsonb) IS 'the keys that the paths of a declaration of derived columns lead along';

-- For each field that had other names, or lies in one that had, and that one of the keys names: its names, the newest first (names), those of them that
-- are keys (used), and the same of the fields of a struct (inner). fields are the tables of the versions of a class or struct, the newest first.
CREATE FUNCTION newt.field_names(fields jsonb[], keys text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN (
        WITH RECURSIVE every AS (
            SELECT v.age, f.place, f.value->>'name' AS name, f.value
              FROM unnest(fields) WITH ORDINALITY v (fields, age), jsonb_array_elements(CASE jsonb_typeof(v.fields) WHEN 'array' THEN v.fields ELSE '[]' END) WITH ORDINALITY f (value, place)
             WHERE jsonb_typeof(f.value->'name') = 'string'
        ), newest AS (
            SELECT DISTINCT ON (e.name COLLATE "C") e.* FROM every e ORDER BY e.name COLLATE "C", e.age, e.place
        ), named AS ( -- whatever version says so; but an old name that another field has got since is that field's
            SELECT n.name, n.value, ARRAY(SELECT w.name FROM every e, jsonb_array_elements_text(CASE jsonb_typeof(e.value->'was') WHEN 'array' THEN e.value->'was' ELSE '[]' END) WITH ORDINALITY w (name, place)
                                           WHERE e.name = n.name AND NOT EXISTS (SELECT FROM newest o WHERE o.name = w.name AND o.age <= e.age) GROUP BY w.name ORDER BY min(e.age), min(w.place), w.name) AS was
              FROM newest n
        ), older (field, name, rank) AS (
            SELECT n.name, n.name, '{}'::bigint[] FROM named n WHERE NOT EXISTS (SELECT FROM named o WHERE n.name = ANY (o.was))
            UNION ALL
            SELECT o.field, w.name, o.rank || w.place FROM older o JOIN named n ON n.name = o.name, unnest(n.was) WITH ORDINALITY w (name, place) WHERE cardinality(o.rank) < 20
        ), listed AS (
            SELECT o.field, array_agg(CASE WHEN o.name LIKE '::%' THEN ':' ELSE '' END || o.name ORDER BY cardinality(o.rank), o.rank) AS names,
                   array_agg(CASE WHEN o.name LIKE '::%' THEN ':' ELSE '' END || o.name) FILTER (WHERE o.name = ANY (keys) OR ':' || o.name = ANY (keys)) AS used
              FROM older o GROUP BY o.field
        ), deep AS (
            SELECT l.*, n.value->>'shape' AS shape,
                   newt.field_names(ARRAY(SELECT e.value->'fields' FROM every e WHERE e.name = ANY (l.names) AND e.value ? 'fields' ORDER BY e.age, e.place), keys) AS inner
              FROM listed l JOIN named n ON n.name = l.field WHERE l.used IS NOT NULL
        )
        SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('names', d.names, 'used', d.used, 'shape', d.shape, 'inner', nullif(d.inner, '[]'))) ORDER BY d.field COLLATE "C"), '[]')
          FROM deep d WHERE cardinality(d.names) > 1 OR d.inner <> '[]');
END
$newt_body$;
COMMENT ON FUNCTION newt.field_names(jsonb[], text[]) IS 'the fields, of those that keys name, that had other names: which, and what is in them';

CREATE FUNCTION newt.with_names(document jsonb, names jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 500
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    f jsonb;
    found jsonb;
BEGIN
    IF jsonb_typeof(document) <> 'object' THEN
        RETURN document;
    END IF;
    FOR f IN SELECT * FROM jsonb_array_elements(names) LOOP
        found := (SELECT document->n.name FROM jsonb_array_elements_text(f->'names') WITH ORDINALITY n (name, place) WHERE document->n.name <> 'null' ORDER BY n.place LIMIT 1);
        IF f ? 'inner' AND jsonb_typeof(found) = 'array' THEN
            found := (SELECT coalesce(jsonb_agg(CASE WHEN f->>'shape' = 'pairs' AND i.item ? 'v' THEN i.item || jsonb_build_object('v', newt.with_names(i.item->'v', f->'inner'))
                                                     ELSE newt.with_names(i.item, f->'inner') END ORDER BY i.n), '[]')
                        FROM jsonb_array_elements(found) WITH ORDINALITY i (item, n));
        ELSIF f ? 'inner' AND jsonb_typeof(found) = 'object' THEN
            found := CASE f->>'shape' WHEN 'map' THEN (SELECT coalesce(jsonb_object_agg(e.key, newt.with_names(e.value, f->'inner')), '{}') FROM jsonb_each(found) e)
                                      ELSE newt.with_names(found, f->'inner') END;
        END IF;
        IF found IS NOT NULL THEN
            document := document || (SELECT jsonb_object_agg(u.name, found) FROM jsonb_array_elements_text(f->'used') u (name));
        END IF;
    END LOOP;
    RETURN document;
END
$newt_body$;
COMMENT ON FUNCTION newt.with_names(jsonb, jsonb) IS 'a document in which fields that had other names have these as well, as newt.field_names() says: what they hold by the newest name that there is';

-- What is declared by one name of a field is found under any that it has had.
CREATE FUNCTION newt.named_document_sql(store text, alias text, keys text[]) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    document text := newt.document_sql(store, alias);
    cases text;
BEGIN
    EXECUTE format($sql$
        SELECT string_agg(format(' WHEN newt.try_class_name(%%1$s.state) = ANY (%%2$L::text[]) THEN newt.with_names(%%3$s, %%4$L)', $1, n.names, $2, n.fields), '' ORDER BY n.names)
          FROM (SELECT c.names, newt.field_names(array_agg(k.fields ORDER BY array_position(c.names, k.name), k.version DESC), $3) AS fields
                  FROM (SELECT DISTINCT newt.class_names($4, k.name) AS names FROM %1$I.newt_class k WHERE strpos(k.fields::text, '"was"') > 0 AND k.projection IS DISTINCT FROM 'client') c
                  JOIN %1$I.newt_class k ON k.name = ANY (c.names) GROUP BY c.names) n
         WHERE n.fields <> '[]'$sql$, store) INTO cases USING alias, document, keys, store;
    RETURN CASE WHEN cases IS NULL THEN document ELSE format('CASE%s ELSE %s END', cases, document) END;
END
$newt_body$;
COMMENT ON FUNCTION newt.named_document_sql(text, text, text[]) IS 'the SQL of the document of a row of object_state in which fields have all their names that are among the keys';

-- The sources of the columns: the object itself (0), and each way to others, once.
CREATE FUNCTION newt.derived_sources(columns jsonb) RETURNS TABLE (number bigint, class_of text, class_by text, part bigint, via text[])
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
WITH source AS (
    SELECT DISTINCT l.class_of, l.class_by, l.via FROM newt.derived_layout(columns) l WHERE l.class_of IS NOT NULL OR l.via <> '{}'
), part AS (
    SELECT c.class_of, c.class_by, row_number() OVER (ORDER BY c.class_of COLLATE "C", c.class_by COLLATE "C") AS part
      FROM (SELECT DISTINCT s.class_of, s.class_by FROM source s WHERE s.class_of IS NOT NULL) c
)
SELECT row_number() OVER (ORDER BY s.class_of COLLATE "C", s.class_by COLLATE "C", s.via), s.class_of, s.class_by, p.part, s.via
  FROM source s LEFT JOIN part p ON p.class_of = s.class_of AND p.class_by = s.class_by
$newt_body$;
COMMENT ON FUNCTION newt.derived_sources(jsonb) IS 'the ways that lead from an object to the other ones that its derived columns come from';

-- What is no error, as classes may be registered later, and objects may have fields that no class has.
CREATE FUNCTION newt.derived_doubts(store text, class_names text[], columns jsonb, parent text) RETURNS TABLE (message text, hint text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    p record;
    classes text[];
    keys text[];
    found jsonb;
    is_open boolean;
    unknown text[] := '{}';
    i integer;
    has_access CONSTANT boolean := EXISTS (SELECT FROM newt.derived_layout(columns) l WHERE l.sort = 'access');
BEGIN
    FOR p IN WITH l AS MATERIALIZED (SELECT * FROM newt.derived_layout(columns))
             SELECT u.* FROM (
                 SELECT l.place, l.name, CASE WHEN l.class_of IS NULL THEN class_names ELSE ARRAY[l.class_of] END AS start, l.via || l.path AS steps, l.sort IN ('value', 'sum', 'min', 'max') AND l.data_type <> 'jsonb' AS needs_value FROM l WHERE l.sort <> 'access'
                 UNION ALL SELECT l.place, l.name, ARRAY[l.class_of], ARRAY[l.class_by], false FROM l WHERE l.class_of IS NOT NULL
                 UNION ALL SELECT 0, NULL, class_names, ARRAY[parent], false WHERE parent IS NOT NULL
                 UNION ALL SELECT l.place, l.name, class_names, ARRAY[a.path], false FROM l, jsonb_array_elements_text(coalesce(l.rules->'allow', '[]') || coalesce(l.rules->'deny', '[]')) a (path)
                 UNION ALL SELECT l.place, l.name, class_names, ARRAY[(SELECT string_agg(newt.path_key(k.key), '.' ORDER BY k.n) FROM jsonb_array_elements_text(r.keys) WITH ORDINALITY k (key, n))], false
                             FROM l, LATERAL (VALUES (l.rules->'entries'), (l.rules->'stop')) r (keys) WHERE r.keys IS NOT NULL) u
              GROUP BY u.place, u.name, u.start, u.steps, u.needs_value ORDER BY u.place, u.steps LOOP
        classes := p.start;
        IF p.needs_value AND p.steps[cardinality(p.steps)] = '' THEN
            message := format('column "%s" is a value of a whole document', p.name);
            hint := 'A path ends with the name of a field; "type": "jsonb" is the document.';
            RETURN NEXT;
        END IF;
        FOR i IN 1 .. cardinality(p.steps) LOOP
            keys := newt.path_keys(p.steps[i]);
            EXECUTE format($sql$SELECT coalesce(jsonb_agg(f.field) FILTER (WHERE f.field->>'name' IN ($2, substr($2, 2))), '[]'), coalesce(bool_or(c.projection = 'client'), false) OR count(c.name) = 0
                      FROM %I.newt_class c LEFT JOIN LATERAL jsonb_array_elements(c.fields) f (field) ON true WHERE c.name IN (SELECT n.name FROM unnest($1) u (name), unnest(newt.class_names($3, u.name)) n (name))$sql$, store)
                INTO found, is_open USING classes, keys[1], store;
            IF is_open AND i = 1 AND p.start <> class_names AND p.start[1] <> ALL (unknown) THEN
                unknown := unknown || p.start;
                message := format('class "%s" is not registered in store "%s"', p.start[1], store);
                hint := format('SELECT name FROM %I.newt_class shows the classes that are.', store);
                RETURN NEXT;
            END IF;
            EXIT WHEN is_open OR keys = '{}';
            message := CASE WHEN found = '[]' THEN format(CASE cardinality(classes) WHEN 1 THEN 'class "%s" has no field for the path "%s"' ELSE 'none of the classes %s has a field for the path "%s"' END, array_to_string(classes, ', '), p.steps[i])
                            WHEN cardinality(keys) > 1 AND NOT found @? '$[*] ? (@.kind != "ref" && @.kind != "weak")' THEN format('the path "%s" leads into a reference', p.steps[i])
                            WHEN cardinality(keys) = 1 AND i < cardinality(p.steps) AND NOT found @? '$[*] ? (@.kind == "ref" || @.kind == "weak" || @.kind == "struct" || @.kind == "json")' THEN format('the path "%s" leads to no reference', p.steps[i]) END;
            hint := CASE WHEN found = '[]' THEN CASE WHEN p.place = 0 THEN '"parent" is one path for all classes; a class that does not have it has nothing above.' ELSE 'A path begins with the name of a field. Nothing is found where there is none.' END
                         WHEN cardinality(keys) > 1 THEN '"->" follows a reference, as in owner->name.' ELSE '"->" follows a reference.' END;
            IF message IS NOT NULL THEN
                RETURN NEXT;
                EXIT;
            END IF;
            IF p.place = 0 AND has_access THEN
                FOR message IN SELECT DISTINCT format('nothing is inherited from objects of class "%s", which have no row', f.field->>'class') FROM jsonb_array_elements(found) f (field)
                                WHERE f.field ? 'class' AND cardinality(keys) = 1 AND NOT newt.class_names(store, f.field->>'class') && ARRAY(SELECT n.name FROM unnest(class_names) u (name), unnest(newt.class_names(store, u.name)) n (name)) LOOP
                    hint := 'Name that class as well.';
                    RETURN NEXT;
                END LOOP;
            END IF;
            classes := ARRAY(SELECT DISTINCT f.field->>'class' FROM jsonb_array_elements(found) f (field));
            EXIT WHEN cardinality(keys) > 1 OR array_position(classes, NULL) IS NOT NULL OR found @? '$[*] ? (@.kind != "ref" && @.kind != "weak")';
        END LOOP;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.derived_doubts(text, text[], jsonb, text) IS 'what in a declaration of derived columns is no error, and yet cannot be meant: paths to nothing, classes that are not there';
