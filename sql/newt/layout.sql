-- ---- how a class looks as relations ---------------------------------------------------------------
-- Decided here alone: typed views and typed tables are made from it, and so have the same names and types.

CREATE FUNCTION newt.cut_name(name text, suffix text DEFAULT '') RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    WHILE octet_length(name) + octet_length(suffix) > 63 LOOP
        name := left(name, -greatest(1, (octet_length(name) + octet_length(suffix) - 63) / 4));
    END LOOP;
    RETURN name || suffix;
END
$newt_body$;
COMMENT ON FUNCTION newt.cut_name(text, text) IS 'an identifier of at most 63 bytes: the beginning of a name, and a suffix';

CREATE FUNCTION newt.free_name(name text, taken text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    cut text := newt.cut_name(coalesce(nullif(name, ''), '_'));
    n integer := 1;
BEGIN
    WHILE cut = ANY (taken) LOOP
        n := n + 1;
        cut := newt.cut_name(name, '_' || n);
    END LOOP;
    RETURN cut;
END
$newt_body$;
COMMENT ON FUNCTION newt.free_name(text, text[]) IS 'a name as the server cuts it; if it is taken with the first of _2, _3, ... that makes it another';

CREATE FUNCTION newt.relation_name(class_name text) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT newt.cut_name(pg_catalog.lower(pg_catalog.regexp_replace(class_name, '[^[:alnum:]_]+', '_', 'g') COLLATE "C"))
$newt_body$;
COMMENT ON FUNCTION newt.relation_name(text) IS 'name of a class''s table or view: the class in lower case, with _ for what is no letter or digit';

CREATE FUNCTION newt.ref_name(name text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT name || CASE WHEN pg_catalog.right(name, 3) = '_id' THEN '' ELSE '_id' END
$newt_body$;
COMMENT ON FUNCTION newt.ref_name(text) IS 'name of the column for a reference: with _id at its end, once';

CREATE FUNCTION newt.column_type(kind text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT coalesce((SELECT t.type FROM (VALUES
    ('bool', 'boolean'), ('int', 'bigint'), ('uint', 'bigint'), ('float', 'double precision'), ('text', 'text'), ('enum', 'text'),
    ('bytes', 'bytea'), ('time', 'timestamp with time zone'), ('duration', 'interval'), ('date', 'date'), ('uuid', 'uuid'),
    ('decimal', 'numeric'), ('ref', 'bigint'), ('weak', 'bigint')) t (kind, type) WHERE t.kind = column_type.kind), 'jsonb')
$newt_body$;
COMMENT ON FUNCTION newt.column_type(text) IS 'type of a column for a field of this kind';

CREATE FUNCTION newt.column_kind(kind text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT CASE kind WHEN 'weak' THEN 'ref' ELSE kind END
$newt_body$;
COMMENT ON FUNCTION newt.column_kind(text) IS 'kind of a column for a field of this kind: a weak reference is a reference there';

-- The newest version of a class says which names it had. Who asks for such a name means the class.
CREATE FUNCTION newt.class_names(store text, class_name text) RETURNS text[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    names text[] := ARRAY[class_name]; -- the last is the present one, as far as is known
    later text;
    was text[];
BEGIN
    LOOP
        EXECUTE pg_catalog.format($sql$SELECT min(c.name) FROM (SELECT DISTINCT ON (r.name) r.name, r.fields FROM %I.newt_class r ORDER BY r.name, r.version DESC) c
                WHERE c.name <> ALL ($1) AND c.fields @> jsonb_build_array(jsonb_build_object('kind', 'class', 'was', jsonb_build_array($2)))$sql$, store)
            INTO later USING names, names[cardinality(names)];
        EXIT WHEN later IS NULL;
        names := names || later;
    END LOOP;
    EXECUTE pg_catalog.format($sql$SELECT ARRAY(SELECT jsonb_array_elements_text(f.field->'was')) FROM %I.newt_class c, jsonb_array_elements(c.fields) f (field)
            WHERE c.name = $1 AND f.field->>'kind' = 'class' AND c.version = (SELECT max(n.version) FROM %1$I.newt_class n WHERE n.name = $1)$sql$, store)
        INTO was USING names[cardinality(names)];
    RETURN names[cardinality(names)] || coalesce(was, '{}');
END
$newt_body$;
COMMENT ON FUNCTION newt.class_names(text, text) IS 'names that the objects of a class have: the present one, then those that it had';

-- The fields of a class or of a struct, of all versions: fields are the tables of the versions, the newest
-- first, and that says of which kind a field is, and which names it had. inner are such tables of the struct that a field holds.
CREATE FUNCTION newt.merged_fields(fields jsonb[])
    RETURNS TABLE (place bigint, name text, field jsonb, "inner" jsonb[], is_old boolean, was text[])
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
WITH every AS (
    SELECT v.age, f.place, f.value->>'name' AS name, f.value
      FROM pg_catalog.unnest(fields) WITH ORDINALITY v (fields, age),
           pg_catalog.jsonb_array_elements(v.fields) WITH ORDINALITY f (value, place)
), newest AS (
    SELECT DISTINCT ON (e.name COLLATE "C") e.* FROM every e ORDER BY e.name COLLATE "C", e.age, e.place
), named AS ( -- an old name that another field has got since is that field's
    SELECT n.*, ARRAY(SELECT w.name FROM pg_catalog.jsonb_array_elements_text(n.value->'was') WITH ORDINALITY w (name, place)
                       WHERE NOT EXISTS (SELECT FROM newest o WHERE o.name = w.name AND o.age <= n.age) ORDER BY w.place) AS was
      FROM newest n
)
SELECT pg_catalog.row_number() OVER (ORDER BY n.age, n.place), n.name, n.value,
       ARRAY(SELECT o.value->'fields' FROM every o
              WHERE n.value ? 'fields' AND o.value ? 'fields' AND (o.name = n.name OR o.name = ANY (n.was))
                AND o.value->>'shape' IS NOT DISTINCT FROM n.value->>'shape' ORDER BY o.age),
       n.age > 1, n.was
  FROM named n
 WHERE n.value->>'skip' IS DISTINCT FROM 'true' AND NOT EXISTS (SELECT FROM named o WHERE n.name = ANY (o.was))
$newt_body$;
COMMENT ON FUNCTION newt.merged_fields(jsonb[]) IS 'fields of all versions of a class or struct, each as its newest version has it, but for those that are skipped';

CREATE FUNCTION newt.older_paths(path text[], older jsonb, name text, was text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT coalesce(pg_catalog.jsonb_agg(p.path || pg_catalog.to_jsonb(w.name) ORDER BY p.place, w.place), '[]')
  FROM pg_catalog.jsonb_array_elements(pg_catalog.jsonb_build_array(path) || older) WITH ORDINALITY p (path, place),
       pg_catalog.unnest(name || was) WITH ORDINALITY w (name, place)
 WHERE p.place > 1 OR w.place > 1
$newt_body$;
COMMENT ON FUNCTION newt.older_paths(text[], jsonb, text, text[]) IS 'the ways to a field that had other names, or lies in what had: a path, its older ways, the name of the field and those that it had';

CREATE FUNCTION newt.field_comment(path text[], field jsonb, is_old boolean) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT pg_catalog.array_to_string(path, '.') || ': '
    || CASE field->>'shape' WHEN 'list' THEN 'list of ' WHEN 'set' THEN 'set of ' WHEN 'map' THEN 'map of '
                            WHEN 'pairs' THEN 'map by ' || (field->'key'->>'kind') || ' of ' ELSE '' END
    || CASE WHEN field->>'kind' = 'ref' THEN 'reference to ' || coalesce(field->>'class', 'any object')
            WHEN field->>'kind' = 'weak' THEN 'weak reference'
            WHEN field->>'kind' = 'struct' THEN 'struct ' || coalesce(field->>'class', '')
            ELSE (field->>'kind') || coalesce(field->>'bits', '') END
    || coalesce(' (' || (SELECT pg_catalog.string_agg(n.name, ', ' ORDER BY n.place)
                           FROM pg_catalog.jsonb_array_elements_text(field->'names') WITH ORDINALITY n (name, place)) || ')', '')
    || CASE WHEN is_old THEN ', of older versions' ELSE '' END
$newt_body$;
COMMENT ON FUNCTION newt.field_comment(text[], jsonb, boolean) IS 'what is said of a column: the field it shows, and of which kind that is';

CREATE FUNCTION newt.check_class(store text, class_name text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    is_there boolean;
    like_it text;
BEGIN
    EXECUTE pg_catalog.format($sql$SELECT coalesce(bool_or(c.name = $1), false), min(c.name) FROM %I.newt_class c
            WHERE newt.relation_name(c.name) = newt.relation_name($1)$sql$, store) INTO is_there, like_it USING class_name;
    IF NOT is_there THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object',
            MESSAGE = pg_catalog.format('class "%s" is not registered in store "%s"', class_name, store),
            HINT = CASE WHEN like_it IS NOT NULL THEN pg_catalog.format('Perhaps you mean class "%s".', like_it)
                        ELSE pg_catalog.format('SELECT name FROM %I.newt_class shows the classes that are; a program registers its classes when it opens the store.', store) END;
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_class(text, text) IS 'raises an error if no program has registered a class';

-- A path to nothing is no error: objects may have fields that no class has. Where a program computes the JSON
-- (client), its keys are anything.
CREATE FUNCTION newt.check_paths(store text, class_name text, paths text[]) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    fields text[];
    unknown text;
BEGIN
    IF newt.store_version(store) IS NULL THEN -- a store to come
        RETURN;
    END IF;
    EXECUTE pg_catalog.format('SELECT array_agg(CASE WHEN left(f.field->>''name'', 2) = ''::'' THEN '':'' ELSE '''' END || (f.field->>''name'')) FROM %I.newt_class c, jsonb_array_elements(c.fields) f (field)
        WHERE c.name = ANY (newt.class_names($2, $1)) AND c.projection IS DISTINCT FROM ''client'' AND NOT coalesce((f.field->>''skip'')::boolean, false)', store)
        INTO fields USING class_name, store;
    SELECT p.path INTO unknown FROM unnest(paths) WITH ORDINALITY p (path, n)
     WHERE regexp_replace(substring(p.path, '^((?:[^.\\]|\\.)*?)(?::[A-D])?(?:[.]|$)'), '\\(.)', '\1', 'g') <> ALL (fields) ORDER BY p.n LIMIT 1;
    IF unknown IS NOT NULL THEN
        RAISE WARNING USING
            MESSAGE = pg_catalog.format('class "%s" has no field for the path "%s"', class_name, unknown),
            DETAIL = 'A path begins with the name of a field, not of a column. Nothing is found where there is none.',
            HINT = pg_catalog.format('SELECT path, types FROM newt.paths(%L, %L) shows the paths of the objects.', store, class_name);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_paths(text, text, text[]) IS 'warns of a path that begins with no field of a registered class';

CREATE FUNCTION newt.class_layout(store text, class_name text)
    RETURNS TABLE (place integer, child text, shape text, child_path text[], column_name text, data_type text, role text,
                   path text[], kind text, is_array boolean, class text, field_names text[], comment text, older_paths jsonb, older_child_paths jsonb)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
#variable_conflict use_column
DECLARE
    fields jsonb[];
    relation text := newt.relation_name(class_name);
    seen text[];            -- child_path of the relation at hand
    children text[] := '{}'; -- names that are taken
    columns text[];
    of_system CONSTANT text[] := '{ctid,xmin,cmin,xmax,cmax,tableoid}'; -- no table can have these
    f record;
BEGIN
    PERFORM newt.check_store(store);
    EXECUTE pg_catalog.format('SELECT array_agg(c.fields ORDER BY array_position($1, c.name), c.version DESC) FROM %I.newt_class c WHERE c.name = ANY ($1)', store)
        INTO fields USING newt.class_names(store, class_name);
    IF fields IS NULL THEN
        PERFORM newt.check_class(store, class_name);
    END IF;
    place := 0;
    FOR f IN
        -- A node is a field, as its form says: a column with a value, an array or a document; a struct whose
        -- own fields are columns; or a child, whose columns are an item's. keys is the collection of a child. older are
        -- the ways along which older records have it.
        WITH RECURSIVE node AS (
            SELECT '{}'::bigint[] AS place, NULL::bigint[] AS child_place, NULL::text[] AS child_path, NULL::jsonb AS keys,
                   '{}'::text[] AS path, NULL::jsonb AS field, fields AS inner, 'struct' AS form, false AS is_old, '[]'::jsonb AS older, '[]'::jsonb AS older_child
            UNION ALL
            SELECT n.place || m.place, CASE m.form WHEN 'child' THEN n.place || m.place ELSE n.child_place END,
                   CASE m.form WHEN 'child' THEN n.path || m.name ELSE n.child_path END,
                   CASE m.form WHEN 'child' THEN m.field ELSE n.keys END,
                   CASE m.form WHEN 'child' THEN '{}' ELSE n.path || m.name END, m.field, m.inner, m.form, n.is_old OR m.is_old,
                   CASE m.form WHEN 'child' THEN '[]' ELSE newt.older_paths(n.path, n.older, m.name, m.was) END,
                   CASE m.form WHEN 'child' THEN newt.older_paths(n.path, n.older, m.name, m.was) ELSE n.older_child END
              FROM node n, LATERAL (
                   SELECT i.*, CASE
                          WHEN i.shape IS NULL THEN CASE WHEN i.inner <> '{}' THEN 'struct' ELSE 'value' END
                          WHEN i.shape IN ('list', 'set') AND i.type <> 'jsonb' AND (i.kind <> 'ref' OR n.child_path IS NOT NULL) THEN 'array'
                          WHEN n.child_path IS NULL AND (i.shape NOT IN ('list', 'set') OR i.kind = 'ref' OR i.inner <> '{}')
                               AND i.field->>'recursive' IS NULL THEN 'child'
                          ELSE 'document' END AS form
                     FROM (SELECT u.*, u.field->>'shape' AS shape, newt.column_kind(u.field->>'kind') AS kind, newt.column_type(u.field->>'kind') AS type
                             FROM newt.merged_fields(n.inner) u) i) m
             WHERE n.form IN ('struct', 'child')
        )
        SELECT n.* FROM node n
        UNION ALL -- the value of an item that is no struct
        SELECT n.place || 0, n.child_place, n.child_path, n.keys, '{}', n.field, '{}', 'item', n.is_old, '[]', n.older_child
          FROM node n WHERE n.form = 'child' AND n.inner = '{}'
        ORDER BY 2 NULLS FIRST, 1
    LOOP
        kind := newt.column_kind(f.field->>'kind');
        path := f.path;
        is_array := f.form = 'array';
        older_paths := f.older;
        older_child_paths := f.older_child;
        class := CASE kind WHEN 'ref' THEN f.field->>'class' END;
        data_type := CASE f.form WHEN 'document' THEN 'jsonb' ELSE newt.column_type(kind) || CASE f.form WHEN 'array' THEN '[]' ELSE '' END END;
        field_names := CASE kind WHEN 'enum' THEN ARRAY(SELECT jsonb_array_elements_text(f.field->'names')) END;
        IF f.field IS NULL THEN -- the object
            columns := '{}';
            role := 'id'; column_name := 'id'; data_type := 'bigint'; kind := 'ref'; class := class_name;
            comment := pg_catalog.format('id of the object of class %s', class_name);
        ELSIF f.form = 'child' THEN
            child := newt.free_name(pg_catalog.array_to_string(f.child_path, '_'), children);
            children := children || child;
            child_path := f.child_path;
            shape := f.keys->>'shape';
            columns := '{}';
            role := 'parent'; column_name := relation || '_id'; data_type := 'bigint'; kind := 'ref'; class := class_name;
            field_names := NULL;
            comment := pg_catalog.format('id of the object of class %s', class_name);
        ELSIF f.form = 'struct' THEN
            CONTINUE;
        ELSIF f.form = 'item' THEN
            role := 'value';
            column_name := CASE WHEN kind <> 'ref' THEN 'value'
                                WHEN shape IN ('map', 'pairs') THEN 'value_id'
                                ELSE newt.ref_name(child_path[pg_catalog.cardinality(child_path)]) END;
            comment := newt.field_comment(child_path, f.field - ARRAY['shape'], f.is_old);
        ELSE
            role := 'value';
            column_name := pg_catalog.array_to_string(path, '_');
            column_name := CASE WHEN kind <> 'ref' OR f.form = 'document' THEN column_name
                                WHEN is_array THEN column_name || '_ids' ELSE newt.ref_name(column_name) END;
            comment := newt.field_comment(coalesce(child_path, '{}') || path, f.field, f.is_old);
        END IF;
        column_name := newt.free_name(column_name, columns || of_system);
        columns := columns || column_name;
        place := place + 1;
        RETURN NEXT;
        IF pg_catalog.cardinality(columns) > 1600 THEN
            RAISE EXCEPTION USING ERRCODE = 'too_many_columns',
                MESSAGE = pg_catalog.format('class "%s" has too many fields for a table or a view', class_name),
                DETAIL = pg_catalog.format('Field "%s" would be in column 1601 of at most 1600.', pg_catalog.array_to_string(coalesce(child_path, '{}') || path, '.')),
                HINT = pg_catalog.format('Make a view of your own that has the fields you need: SELECT state->''...'' FROM %I.newt WHERE class_name = %L.', store, class_name);
        END IF;
        IF f.form = 'child' AND shape <> 'set' OR f.form = 'child' AND f.inner <> '{}' THEN
            role := CASE WHEN shape IN ('list', 'set') THEN 'n' ELSE 'key' END;
            column_name := newt.free_name(role, columns);
            columns := columns || column_name;
            kind := CASE WHEN role = 'n' THEN 'int' WHEN shape = 'map' THEN 'text' ELSE newt.column_kind(f.keys->'key'->>'kind') END;
            data_type := CASE role WHEN 'n' THEN 'integer' ELSE newt.column_type(kind) END;
            class := NULL;
            comment := CASE role WHEN 'n' THEN 'place of the item, from 1' ELSE 'key of the item' END;
            place := place + 1;
            RETURN NEXT;
        END IF;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.class_layout(text, text) IS 'columns of a class as a table or view, one row a column: those of its own relation (child null), then those of the relations of its lists, sets and maps';

-- ---- trees ----------------------------------------------------------------------------------------
-- A tree is an object of its own, so a table of a class has none of it; a view may.

CREATE FUNCTION newt.tree_fields(store text, class_name text) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    fields jsonb;
BEGIN
    EXECUTE pg_catalog.format($sql$SELECT c.fields FROM %I.newt_class c WHERE c.name = ANY ($1) ORDER BY array_position($1, c.name), c.version DESC LIMIT 1$sql$, store)
        INTO fields USING newt.class_names(store, class_name);
    RETURN CASE WHEN fields @> '[{"kind": "class", "tree": true}]' THEN fields END;
END
$newt_body$;
COMMENT ON FUNCTION newt.tree_fields(text, text) IS 'fields of the nodes of a class of trees; null if it is none';

CREATE FUNCTION newt.tree_columns(fields jsonb)
    RETURNS TABLE (place bigint, role text, column_name text, data_type text, path text[], kind text, is_array boolean, class text, field jsonb, older_paths jsonb)
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
WITH column_of AS (
    SELECT f.value->>'name' AS name, f.value - ARRAY['shape'] AS value, count(*) FILTER (WHERE f.value->>'name' LIKE 'keys%') OVER () AS n_parts
      FROM pg_catalog.jsonb_array_elements(fields) f WHERE f.value->>'name' IN ('keys', 'keys2', 'keys3', 'values')
), part AS (
    SELECT CASE name WHEN 'keys' THEN 1 ELSE pg_catalog.right(name, 1)::integer END AS n, value, n_parts FROM column_of WHERE name <> 'values'
), member AS ( -- of a value that is a struct
    SELECT m.*, m.field->>'shape' AS shape, newt.column_kind(m.field->>'kind') AS kind, newt.column_type(m.field->>'kind') AS type
      FROM column_of c, newt.merged_fields(ARRAY[c.value->'fields']) m WHERE c.name = 'values' AND c.value ? 'fields'
), member_form AS (
    SELECT m.*, CASE WHEN m.shape IS NULL AND m.inner = '{}' THEN 'value' WHEN m.shape IN ('list', 'set') AND m.type <> 'jsonb' THEN 'array' ELSE 'document' END AS form
      FROM member m
), every AS (
    SELECT p.n::bigint AS place, 'key' AS role, 'key' || CASE WHEN p.n_parts > 1 THEN '_' || p.n ELSE '' END AS name,
           CASE WHEN p.n_parts > 1 THEN ARRAY[(p.n - 1)::text] ELSE '{}' END AS path, p.value AS field, 'value' AS form, '[]'::jsonb AS older_paths
      FROM part p
    UNION ALL
    SELECT 10, 'value', 'value', '{}', c.value, 'value', '[]' FROM column_of c WHERE c.name = 'values' AND NOT c.value ? 'fields'
    UNION ALL
    SELECT 10 + m.place, 'value', m.name, ARRAY[m.name], m.field, m.form, newt.older_paths('{}', '[]', m.name, m.was) FROM member_form m
)
SELECT e.place, e.role,
       CASE WHEN e.kind <> 'ref' OR e.form = 'document' THEN e.name WHEN e.form = 'array' THEN e.name || '_ids' ELSE newt.ref_name(e.name) END,
       CASE e.form WHEN 'document' THEN 'jsonb' ELSE newt.column_type(e.kind) || CASE e.form WHEN 'array' THEN '[]' ELSE '' END END,
       e.path, e.kind, e.form = 'array', CASE e.kind WHEN 'ref' THEN e.field->>'class' END, e.field, e.older_paths
  FROM (SELECT x.*, newt.column_kind(x.field->>'kind') AS kind FROM every x) e
$newt_body$;
COMMENT ON FUNCTION newt.tree_columns(jsonb) IS 'columns of the entries of a tree: of its keys, and of its values or their fields';

CREATE FUNCTION newt.view_layout(store text, class_name text)
    RETURNS TABLE (place integer, child text, shape text, child_path text[], column_name text, data_type text, role text,
                   path text[], kind text, is_array boolean, class text, field_names text[], comment text, older_paths jsonb, older_child_paths jsonb)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
#variable_conflict use_column
DECLARE
    relation text := newt.relation_name(class_name);
    has_trees boolean;
    taken text[] := '{}'; -- names of children of ours
    columns text[];
    of_system CONSTANT text[] := '{ctid,xmin,cmin,xmax,cmax,tableoid}';
    f record;
    c record;
BEGIN
    RETURN QUERY SELECT * FROM newt.class_layout(store, class_name);
    EXECUTE pg_catalog.format($sql$SELECT EXISTS (SELECT FROM %I.newt_class c WHERE c.fields @> '[{"kind": "class", "tree": true}]')$sql$, store) INTO has_trees;
    IF NOT has_trees THEN
        RETURN;
    END IF;
    FOR f IN SELECT l.*, newt.tree_fields(store, l.class) AS fields
               FROM (SELECT k.*, max(k.place) OVER () AS last_place, array_agg(k.child) OVER () AS children FROM newt.class_layout(store, class_name) k) l
              WHERE l.child IS NULL AND l.role = 'value' AND l.kind = 'ref' AND l.data_type = 'bigint' AND l.class IS NOT NULL ORDER BY l.place LOOP
        CONTINUE WHEN f.fields IS NULL;
        place := coalesce(place, f.last_place);
        child := newt.free_name(pg_catalog.array_to_string(f.path, '_'), taken || array_remove(f.children, NULL));
        taken := taken || child;
        shape := 'tree';
        child_path := f.path;
        older_child_paths := f.older_paths;
        columns := '{}';
        FOR c IN SELECT 0 AS place, 'parent' AS role, relation || '_id' AS column_name, 'bigint' AS data_type, '{}'::text[] AS path, 'ref' AS kind, false AS is_array, class_name AS class,
                        NULL::jsonb AS field, '[]'::jsonb AS older_paths
                 UNION ALL SELECT * FROM newt.tree_columns(f.fields) ORDER BY 1 LOOP
            place := place + 1;
            column_name := newt.free_name(c.column_name, columns || of_system);
            columns := columns || column_name;
            data_type := c.data_type;
            role := c.role;
            path := c.path;
            kind := c.kind;
            is_array := c.is_array;
            class := c.class;
            field_names := CASE kind WHEN 'enum' THEN ARRAY(SELECT jsonb_array_elements_text(c.field->'names')) END;
            comment := CASE role WHEN 'parent' THEN pg_catalog.format('id of the object of class %s', class_name)
                                 WHEN 'key' THEN 'key of the entry' || CASE WHEN path = '{}' THEN '' ELSE ', part ' || path[1]::integer + 1 END
                                 ELSE newt.field_comment(child_path || path, c.field, false) END;
            older_paths := c.older_paths;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.view_layout(text, text) IS 'columns of a class as views: those of newt.class_layout, then those of the entries of trees that it refers to';
