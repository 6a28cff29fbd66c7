-- ---- who computes the projection ------------------------------------------------------------------

-- A class may be registered in several versions. One that is virtual makes the class virtual: the view
-- asks for the class alone.
CREATE FUNCTION newt.projection_of(store text, class_name text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result text;
BEGIN
    PERFORM newt.check_store(store);
    EXECUTE pg_catalog.format($sql$
        SELECT coalesce((SELECT CASE WHEN bool_or(c.projection = 'virtual') THEN 'virtual'
                                     WHEN bool_or(c.projection = 'client') THEN 'client'
                                     ELSE (array_agg(c.projection ORDER BY c.version DESC) FILTER (WHERE c.projection IS NOT NULL))[1] END
                           FROM %1$I.newt_class c WHERE c.name = $1), s.projection)
          FROM %1$I.newt_store s$sql$, store) INTO result USING class_name;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.projection_of(text, text) IS 'who computes the JSONB of a class, or of classes that say nothing (null): inline, async, virtual or client';

-- What tells virtual classes from others: those that are, or those that are not where the store is.
CREATE FUNCTION newt.projection_split(store text, OUT is_virtual boolean, OUT others text[]) RETURNS record
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    is_virtual := newt.projection_of(store) = 'virtual';
    EXECUTE pg_catalog.format($sql$
        SELECT coalesce(array_agg(c.name ORDER BY c.name COLLATE "C"), '{}') FROM (SELECT DISTINCT k.name FROM %1$I.newt_class k) c
         WHERE (newt.projection_of($1, c.name) = 'virtual') <> $2$sql$, store) INTO others USING store, is_virtual;
END
$newt_body$;
COMMENT ON FUNCTION newt.projection_split(text) IS 'whether a store is virtual, and the classes that differ from it in that';

CREATE FUNCTION newt.projection_view_sql(store text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    split record;
BEGIN
    SELECT * INTO split FROM newt.projection_split(store);
    -- The condition on the class is above both: the planner then takes away the half that a query does
    -- not ask for, and joins by index. A condition in each half would end both.
    RETURN pg_catalog.format('CREATE OR REPLACE VIEW %1$I.newt WITH (security_invoker = true) AS ' || CASE
        WHEN split.others <> '{}' THEN 'SELECT u.zoid, u.class_name, u.serial, u.state FROM ('
            'SELECT p.zoid, p.class_name, p.serial, p.state, false AS computed FROM %1$I.newt_projection p UNION ALL '
            'SELECT o.zoid, newt.try_class_name(o.state), o.serial, newt.try_to_jsonb(o.state), true FROM %1$I.object_state o) u '
            'WHERE u.computed = (u.class_name ' || CASE WHEN split.is_virtual THEN '<> ALL' ELSE '= ANY' END || ' (%2$L::text[])) AND u.state IS NOT NULL'
        WHEN split.is_virtual THEN 'SELECT o.zoid, newt.try_class_name(o.state) AS class_name, o.serial, newt.try_to_jsonb(o.state) AS state '
            'FROM %1$I.object_state o WHERE newt.try_to_jsonb(o.state) IS NOT NULL'
        ELSE 'SELECT p.zoid, p.class_name, p.serial, p.state FROM %1$I.newt_projection p' END, store, split.others);
END
$newt_body$;
COMMENT ON FUNCTION newt.projection_view_sql(text) IS 'the SQL of the view newt of a store: over newt_projection, over object_state where the projection is virtual, or both';

CREATE FUNCTION newt.set_projection(store text, class_name text, mode text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    before text;
    now_is text;
    split record;
    what text := CASE WHEN class_name IS NULL THEN 'the store' ELSE pg_catalog.format('class "%s"', class_name) END;
BEGIN
    PERFORM newt.check_store(store);
    IF mode NOT IN ('inline', 'async', 'virtual') OR mode IS NULL AND class_name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = CASE WHEN mode IS NULL THEN 'the store itself needs a mode' ELSE pg_catalog.format('unknown mode "%s"', mode) END,
            HINT = 'There are inline, async and virtual; for a class also null: as the store.';
    END IF;
    EXECUTE pg_catalog.format('SELECT FROM %I.newt_store FOR UPDATE', store); -- one at a time
    before := newt.projection_of(store, class_name);
    IF class_name IS NULL THEN
        EXECUTE pg_catalog.format('UPDATE %I.newt_store SET projection = $1', store) USING mode;
    ELSIF before = 'client' THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = pg_catalog.format('the projection of class "%s" is its program''s', class_name),
            DETAIL = 'A to_json callback makes its JSON, which cannot be computed from the records.',
            HINT = 'Register a new version of the class without the callback.';
    ELSE
        EXECUTE pg_catalog.format('WITH u AS (UPDATE %I.newt_class SET projection = $2 WHERE name = $1 RETURNING 1) SELECT count(*) FROM u', store)
            INTO split USING class_name, mode;
        IF split.count = 0 THEN
            PERFORM newt.check_class(store, class_name);
        END IF;
    END IF;
    now_is := newt.projection_of(store, class_name);
    -- replaced, it keeps its rights, and the views over it; it is missing if DROP EXTENSION took it
    EXECUTE newt.projection_view_sql(store);
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
                    WHERE t.tgrelid = pg_catalog.to_regclass(pg_catalog.format('%I.newt', store)) AND t.tgname = 'newt_read_only') THEN
        EXECUTE pg_catalog.format('CREATE TRIGGER newt_read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON %1$I.newt FOR EACH ROW EXECUTE FUNCTION %1$I.newt_read_only()', store);
        EXECUTE pg_catalog.format('COMMENT ON VIEW %I.newt IS ''every projected object: its oid, class, serial and state as JSONB; read-only''', store);
    END IF;
    FOR split IN SELECT v.relation FROM newt.refresh_views(store) v WHERE v.what LIKE 'left%' LOOP -- they read the rows, or the records
        RAISE WARNING USING MESSAGE = pg_catalog.format('view %s may read what is no longer there', split.relation),
            DETAIL = 'It belongs to another role.', HINT = pg_catalog.format('Its owner may call newt.refresh_views(%L).', store);
    END LOOP;
    IF now_is = 'virtual' THEN
        IF pg_catalog.pg_relation_size(pg_catalog.to_regclass(pg_catalog.format('%I.newt_projection', store))) <= 8388608 THEN
            SELECT * INTO split FROM newt.projection_split(store);
            EXECUTE pg_catalog.format('DELETE FROM %I.newt_projection p WHERE (p.class_name = ANY ($1)) <> $2', store)
                USING split.others, split.is_virtual;
        ELSIF before <> 'virtual' THEN
            RAISE NOTICE USING MESSAGE = pg_catalog.format('the stored rows of %s are no longer read', what),
                HINT = 'newt-updater removes them.';
        END IF;
    ELSIF before = 'virtual' THEN
        RAISE NOTICE USING MESSAGE = pg_catalog.format('rows of %s are missing until they have been computed', what),
            HINT = 'Run newt-updater --compute-missing.';
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.set_projection(text, text, text) IS 'says who computes the JSONB of a class, or of all that say nothing (class null): inline, async, virtual or, for a class, null; makes the view newt accordingly';
