-- ---- typed views --------------------------------------------------------------------------------

-- The fields of all versions of the class: the newest says of which kind a field is. A column is
-- null where an object has no such value, so that objects of any age can be read.
CREATE FUNCTION newt.create_view_sql(schema_name text, class_name text, view_name text DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    fields jsonb[];
    columns text;
BEGIN
    EXECUTE pg_catalog.format('SELECT pg_catalog.array_agg(c.fields ORDER BY c.version DESC) FROM %I.newt_class c WHERE c.name = $1', schema_name)
        INTO fields USING class_name;
    IF fields IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object',
            MESSAGE = pg_catalog.format('class "%s" is not registered in store "%s"', class_name, schema_name),
            HINT = pg_catalog.format('SELECT name FROM %I.newt_class shows the classes that are.', schema_name);
    END IF;
    WITH field AS (
        SELECT DISTINCT ON (f.value->>'name') v.age, f.place, f.value->>'name' AS name, f.value->>'kind' AS kind,
               f.value->>'shape' AS shape, (f.value->>'bits')::integer AS bits, f.value->>'skip' AS skip
          FROM pg_catalog.unnest(fields) WITH ORDINALITY v (fields, age),
               pg_catalog.jsonb_array_elements(v.fields) WITH ORDINALITY f (value, place)
         ORDER BY f.value->>'name', v.age
    ), item AS (
        SELECT f.*, CASE WHEN f.name LIKE '::%' THEN ':' ELSE '' END || f.name AS key FROM field f
         WHERE f.skip IS DISTINCT FROM 'true'
    ), named AS (
        -- an identifier has at most 63 bytes: what is longer is cut here as the server would, and
        -- those that are the same then get numbers
        SELECT i.*, (CASE WHEN i.name IN ('zoid', 'serial') THEN i.name || '_' ELSE i.name END)::name::text AS cut
          FROM item i
    ), numbered AS (
        SELECT n.*, pg_catalog.row_number() OVER (PARTITION BY n.cut ORDER BY n.age, n.place) AS number FROM named n
    )
    SELECT pg_catalog.string_agg(pg_catalog.format(E',\n    %s AS %I',
               CASE WHEN i.shape IS NOT NULL THEN pg_catalog.format('p.state->%L', i.key)
                    WHEN i.kind = 'int' OR i.kind = 'uint' AND i.bits < 64 THEN pg_catalog.format('newt.int8(p.state->%L)', i.key)
                    WHEN i.kind IN ('uint', 'decimal') THEN pg_catalog.format('newt.numeric(p.state->%L)', i.key)
                    WHEN i.kind = 'text' THEN pg_catalog.format('coalesce(p.state#>>%L, p.state->>%L)', ARRAY[i.key, '::text'], i.key)
                    WHEN i.kind = 'enum' THEN pg_catalog.format('p.state->>%L', i.key)
                    WHEN i.kind = 'float' THEN pg_catalog.format('newt.float8(p.state->%L)', i.key)
                    WHEN i.kind = 'time' THEN pg_catalog.format('newt.ts(p.state->%L)', i.key)
                    WHEN i.kind IN ('bool', 'date', 'duration', 'uuid', 'ref') THEN pg_catalog.format('newt.%I(p.state->%L)', i.kind, i.key)
                    ELSE pg_catalog.format('p.state->%L', i.key) END,
               CASE WHEN i.number = 1 THEN i.cut ELSE pg_catalog.substr(i.cut, 1, 50) || '_' || i.number END), '' ORDER BY i.age, i.place)
      INTO columns FROM numbered i;
    RETURN pg_catalog.format(E'CREATE VIEW %I.%I WITH (security_invoker = true) AS SELECT\n    p.zoid,\n    p.serial%s\nFROM %I.newt p WHERE p.class_name = %L',
        schema_name, coalesce(view_name, pg_catalog.lower(pg_catalog.regexp_replace(class_name, '[^[:alnum:]_]+', '_', 'g') COLLATE "C")::name::text),
        columns, schema_name, class_name);
END
$newt_body$;
COMMENT ON FUNCTION newt.create_view_sql(text, text, text) IS 'the SQL of newt.create_view';

CREATE FUNCTION newt.create_view(schema_name text, class_name text, view_name text DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    EXECUTE newt.create_view_sql(schema_name, class_name, view_name);
END
$newt_body$;
COMMENT ON FUNCTION newt.create_view(text, text, text) IS 'view of a class with typed columns, in the store''s schema; its name is by default the class in lower case';
