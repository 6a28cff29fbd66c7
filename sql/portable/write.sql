-- ---- what may be written --------------------------------------------------------------------------------
-- newt.patch(), newt.insert() and newt.remove(), as extension/change.c has them.

-- The store's schema. Arguments that must not be null are counted from 1.
CREATE FUNCTION newt.open_store(function text, store text, null_argument integer) RETURNS oid
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    schema oid;
BEGIN
    IF null_argument IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = format('argument %s of %s cannot be null', null_argument, function);
    ELSIF current_setting('transaction_read_only')::boolean THEN
        RAISE EXCEPTION USING ERRCODE = 'read_only_sql_transaction', MESSAGE = format('cannot execute %s in a read-only transaction', function);
    END IF;
    PERFORM newt.need_utf8();
    schema := (SELECT n.oid FROM pg_namespace n WHERE n.nspname = store
                  AND (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname IN ('newt_store', 'transaction')) = 2);
    IF schema IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('there is no Newt store in schema "%s"', store),
            HINT = 'The first argument is the schema of a store.';
    END IF;
    RETURN schema;
END
$newt_body$;
COMMENT ON FUNCTION newt.open_store(text, text, integer) IS 'the schema of a store that is to be written to; portable edition';

CREATE FUNCTION newt.check_document(function text, name text, document jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
BEGIN
    IF jsonb_typeof(document) <> 'object' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('the %s of %s must be a JSON object', name, function),
            DETAIL = 'Its keys are the names of fields.';
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_document(text, text, jsonb) IS 'raises an error where a document is no JSON object; portable edition';

-- what: the class, and of which object.
CREATE FUNCTION newt.refuse_class(function text, class_name text, zoid bigint, detail text, hint text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', DETAIL = detail, HINT = hint,
        MESSAGE = CASE WHEN zoid IS NULL THEN format('%s cannot make a %s', function, class_name)
                       ELSE format('%s cannot %s %s %s', function, CASE function WHEN 'newt.remove()' THEN 'remove' ELSE 'change' END, class_name, zoid) END;
END
$newt_body$;
COMMENT ON FUNCTION newt.refuse_class(text, text, bigint, text, text) IS 'raises the error that objects of a class are not written from SQL; portable edition';

-- The class of an object, or (zoid null) of a new one: version null is the newest. as_of: the list of indexes that was
-- looked at.
CREATE FUNCTION newt.choose_class(function text, store text, class_name text, zoid bigint, INOUT version integer, OUT structs jsonb, OUT hidden boolean, OUT projection text, OUT as_of text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    wanted CONSTANT integer := version;
    fields jsonb;
    i record;
BEGIN
    IF class_name LIKE 'newt.%' THEN
        PERFORM newt.refuse_class(function, class_name, zoid, 'Its class is one of the library''s own.', 'Change it by the functions of the library.');
    END IF;
    EXECUTE format('SELECT k.version, k.fields, coalesce(k.projection, s.projection) FROM %1$I.newt_class k, %1$I.newt_store s
                     WHERE s.one AND k.name = $1 AND k.version = coalesce($2, k.version) ORDER BY k.version DESC LIMIT 1', store)
        INTO version, fields, projection USING class_name, wanted;
    IF version IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object', HINT = 'A program that opens the store with its class table registers it.',
            MESSAGE = CASE WHEN wanted IS NULL THEN format('class "%s" is not registered', class_name)
                           ELSE format('version %s of class "%s", that of object %s, is not registered', wanted, class_name, zoid) END;
    ELSIF jsonb_typeof(fields) <> 'array' THEN
        PERFORM newt.unreadable_class(class_name, 'It is no list of fields.');
    END IF;
    structs := newt.class_table(class_name, fields, '{}', '{}', '[]');
    hidden := fields @> '[{"kind": "class", "hidden": true}]';
    IF fields @> '[{"kind": "class", "tree": true}]' THEN
        PERFORM newt.refuse_class(function, class_name, zoid, 'Its class is one of trees, of whose nodes it is one.', 'Change the tree by a program.');
    ELSIF projection = 'client' AND function <> 'newt.remove()' THEN
        PERFORM newt.refuse_class(function, class_name, zoid, 'The JSON of its class is made by a callback in its programs.', 'Change it by one of them.');
    END IF;
    i := newt.index_of(store, class_name);
    as_of := i.as_of;
    IF i.index_name IS NOT NULL THEN
        PERFORM newt.refuse_class(function, class_name, zoid, format('Programs keep the index "%s" of its class, which would not follow.', i.index_name),
                                  'Change it by a program that has the index.');
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.choose_class(text, text, text, bigint, integer) IS 'the class of an object that is to be written; portable edition';

-- ---- indexes that programs keep -------------------------------------------------------------------------
-- The store lists them: the root's map has a map "newt.indexes", which leads from their names to objects of class
-- newt.Index. as_of are the serials of the root and of that map (0: the root has none).

CREATE FUNCTION newt.indexes_of(store text, OUT as_of text, OUT names text[], OUT classes text[])
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    query CONSTANT text := format('SELECT o.serial, o.state FROM %I.object_state o WHERE o.zoid = $1', store);
    zoid bigint := 1;
    o record;
    root_serial bigint;
    map bigint;
    v jsonb;
    document jsonb;
BEGIN
    names := '{}';
    classes := '{}';
    EXECUTE query INTO o USING zoid;
    root_serial := o.serial;
    as_of := root_serial || ' 0';
    -- its text stands in the record
    IF o.state IS NOT NULL AND position('\x6e6577742e696e6465786573'::bytea IN o.state) > 0 THEN
        v := newt.to_jsonb(o.state)->'items'->'newt.indexes';
        map := CASE WHEN newt.only(v, '::=>') IS NOT NULL THEN newt.ref(v) END;
    END IF;
    IF map > 0 THEN
        zoid := map;
        EXECUTE query INTO o USING zoid;
        as_of := root_serial || ' ' || o.serial;
        IF o.serial IS NOT NULL THEN
            document := newt.to_jsonb(o.state)->'items';
            FOR v IN SELECT e.value FROM jsonb_each(CASE jsonb_typeof(document) WHEN 'object' THEN document ELSE '{}' END) e LOOP
                CONTINUE WHEN newt.only(v, '::=>') IS NULL OR coalesce(newt.ref(v), 0) <= 0;
                zoid := newt.ref(v);
                EXECUTE query INTO o USING zoid;
                EXIT WHEN o.serial IS NULL;
                names := names || CASE WHEN jsonb_typeof(newt.to_jsonb(o.state)->'name') = 'string' THEN newt.to_jsonb(o.state)->>'name' ELSE '' END;
                classes := classes || CASE WHEN jsonb_typeof(newt.to_jsonb(o.state)->'class') = 'string' THEN newt.to_jsonb(o.state)->>'class' ELSE '' END;
            END LOOP;
        END IF;
    END IF;
    IF o.serial IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'cannot read which indexes the store has',
            DETAIL = format('Object %s is not there, or not to be seen.', zoid),
            HINT = 'A policy of row security has to show object 1, the map "newt.indexes" in it, and what that refers to.';
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.indexes_of(text) IS 'the indexes of a store that programs keep, and of which classes they are; portable edition';

-- Each statement may see more than the one before: until nothing has changed in between.
CREATE FUNCTION newt.index_of(store text, class_name text, OUT as_of text, OUT index_name text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    i record := newt.indexes_of(store);
    before record;
    known text[];
BEGIN
    WHILE cardinality(i.names) > 0 LOOP
        before := i;
        i := newt.indexes_of(store);
        EXIT WHEN before = i;
    END LOOP;
    as_of := i.as_of;
    IF cardinality(i.names) > 0 THEN
        known := newt.class_names(store, class_name); -- an index may be known by another name of the class
        index_name := (SELECT u.name FROM unnest(i.names, i.classes) WITH ORDINALITY u (name, class, n) WHERE u.class = ANY (known) ORDER BY u.n LIMIT 1);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.index_of(text, text) IS 'an index that programs keep of a class, if there is one; portable edition';

-- ---- the transaction ----------------------------------------------------------------------------------
-- What has been changed in it is in a temporary table, which a rollback to a savepoint takes along. At its first row a
-- deferred trigger is queued, which makes the row of `transaction` when the transaction commits: so the commit lock is
-- taken last, as by the library, and nobody waits for row locks while holding it. Each role has its own: who else
-- might have made one of that name in the session is not trusted with it.

-- A temporary object of the present role; whether it is there yet.
CREATE FUNCTION newt.own_temporary(name text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    owner oid := (SELECT c.relowner FROM pg_class c WHERE c.relname = name AND c.relnamespace = pg_my_temp_schema());
BEGIN
    IF owner <> to_regrole(quote_ident(current_user)) THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format('temporary relation "%s" belongs to another role', name),
            DETAIL = 'newt.patch(), newt.insert() and newt.remove() keep there what they have changed.', HINT = 'DROP it in this session.';
    END IF;
    RETURN owner IS NOT NULL;
END
$newt_body$;
COMMENT ON FUNCTION newt.own_temporary(text) IS 'whether the present role has a temporary relation of this name; portable edition';

-- The table, and the serial of the transaction if something was changed in it.
CREATE FUNCTION newt.open_changes(function text, store text, OUT changes text, OUT serial bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    other text;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION USING ERRCODE = 'active_sql_transaction', MESSAGE = format('%s needs a READ COMMITTED transaction', function),
            DETAIL = 'Another would not see the last tid.';
    END IF;
    changes := 'newt_change_' || to_regrole(quote_ident(current_user))::oid;
    IF NOT newt.own_temporary(changes) THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT c.serial, c.store FROM pg_temp.%I c LIMIT 1', changes) INTO serial, other;
    IF other <> store THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('%s cannot write to a second store in one transaction', function),
            DETAIL = format('The transaction has written to the store "%s".', other);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.open_changes(text, text) IS 'what was changed in the transaction under way; portable edition';

-- An oid or a serial. A session takes them in blocks, and gives them from a temporary sequence, which goes on after a
-- rollback. What is in use is passed over: a sequence does not come along with every copy of a store.
CREATE FUNCTION newt.next_number(store text, schema oid, which text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    name CONSTANT text := format('newt_%s_%s_%s', which, to_regrole(quote_ident(current_user))::oid, schema);
    known CONSTANT boolean := newt.own_temporary(name);
    number bigint;
    block integer;
BEGIN
    IF known THEN
        EXECUTE format('SELECT pg_catalog.nextval(%L), s.%I FROM %I.newt_store s WHERE s.one', format('pg_temp.%I', name), which || '_block', store) INTO number, block;
        IF number % greatest(block, 1) <> 0 THEN
            RETURN number;
        END IF;
    END IF;
    LOOP
        EXECUTE format('SELECT b.first FROM %1$I.newt_store s, (SELECT pg_catalog.nextval(%2$L) AS first OFFSET 0) b WHERE s.one AND b.first > coalesce((%3$s), 0)',
                       store, format('%I.%I', store, 'newt_' || which),
                       format(CASE which WHEN 'oid' THEN 'SELECT max(o.zoid) FROM %I.object_state o WHERE o.zoid < 4503599627370496' ELSE 'SELECT max(t.serial) FROM %I.transaction t' END, store))
            INTO number;
        EXIT WHEN number IS NOT NULL;
    END LOOP;
    IF NOT known THEN
        EXECUTE format('CREATE SEQUENCE pg_temp.%I', name);
    END IF;
    PERFORM setval(format('pg_temp.%I', name)::regclass, number);
    RETURN number;
END
$newt_body$;
COMMENT ON FUNCTION newt.next_number(text, oid, text) IS 'the next oid or serial of this session; portable edition';

-- Remembers a change. The first one in a transaction, or after its row was made, is the one to queue the trigger.
CREATE FUNCTION newt.add_change(function text, changes text, store text, serial bigint, zoid bigint, class_name text, as_of text, is_first boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    insert_one CONSTANT text := format('INSERT INTO pg_temp.%I (serial, store, deed, zoid, class_name, as_of) VALUES ($1, $2, $3, $4, $5, $6)', changes);
BEGIN
    IF is_first AND NOT newt.own_temporary(changes) THEN
        EXECUTE format('CREATE TABLE pg_temp.%I (place bigint GENERATED ALWAYS AS IDENTITY, serial bigint, store text, deed text, zoid bigint, class_name text, as_of text)
                        ON COMMIT DELETE ROWS', changes);
        EXECUTE format('CREATE CONSTRAINT TRIGGER %1$I AFTER INSERT ON pg_temp.%1$I DEFERRABLE INITIALLY DEFERRED
                        FOR EACH ROW WHEN (NEW.deed IS NULL) EXECUTE FUNCTION newt.end_changes()', changes);
        -- also where others do not fire (session_replication_role)
        EXECUTE format('ALTER TABLE pg_temp.%1$I ENABLE ALWAYS TRIGGER %1$I', changes);
    END IF;
    EXECUTE insert_one USING serial, store, rtrim(function, '()'), zoid, class_name, as_of;
    IF NOT is_first THEN
        RETURN;
    END IF;
    -- until PostgreSQL 17 a deferred trigger has the rights of who commits: if that cannot be this role, the row is made at once
    IF current_setting('server_version_num')::integer < 180000
       AND NOT pg_has_role(session_user, current_user, CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END) THEN
        EXECUTE format('SET CONSTRAINTS pg_temp.%I IMMEDIATE', changes);
    END IF;
    EXECUTE insert_one USING serial, store, NULL::text, 0, '', as_of;
END
$newt_body$;
COMMENT ON FUNCTION newt.add_change(text, text, text, bigint, bigint, text, text, boolean) IS 'remembers what was changed in the transaction under way; portable edition';

-- At the commit: what all changes come to becomes the row of `transaction`.
CREATE FUNCTION newt.end_changes() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    owner CONSTANT name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = TG_RELID);
    role CONSTANT text := current_setting('role');
    store CONSTANT text := NEW.store;
    s record;
    c record;
    i record;
    n bigint;
BEGIN
    IF current_user <> owner THEN
        PERFORM set_config('role', owner, true);
    END IF;
    EXECUTE format($sql$
        WITH object AS (
            SELECT x.zoid, (array_agg(x.deed ORDER BY x.place))[1] AS first, (array_agg(x.deed ORDER BY x.place DESC))[1] AS last,
                   (array_agg(x.class_name ORDER BY x.place DESC))[1] AS class_name, array_agg(x.deed) AS deeds
              FROM %s x WHERE x.deed IS NOT NULL GROUP BY x.zoid
        ), left_over AS ( -- of one that was made and removed nobody has seen anything
            SELECT o.* FROM object o WHERE o.first <> 'newt.insert' OR o.last <> 'newt.remove'
        )
        SELECT coalesce(array_agg(o.zoid ORDER BY o.zoid) FILTER (WHERE o.last <> 'newt.remove'), '{}') AS written,
               coalesce(array_agg(o.zoid ORDER BY o.zoid) FILTER (WHERE o.last = 'newt.remove'), '{}') AS removed,
               array_agg(o.class_name ORDER BY o.zoid) FILTER (WHERE o.last = 'newt.remove') AS classes,
               (SELECT string_agg(d.deed, ', ' ORDER BY d.n) FROM unnest('{newt.patch,newt.insert,newt.remove}'::text[]) WITH ORDINALITY d (deed, n)
                 WHERE EXISTS (SELECT FROM left_over l WHERE d.deed = ANY (l.deeds))) AS functions
          FROM left_over o$sql$, TG_RELID::regclass) INTO s;
    n := cardinality(s.written) + cardinality(s.removed);
    IF n > 1000 THEN
        -- first what was written, then what was removed
        EXECUTE format('INSERT INTO %I.transaction_object (serial, n, written, removed, removed_classes)
            SELECT $1, (u.n - 1) / 5000, coalesce(array_agg(u.zoid ORDER BY u.n) FILTER (WHERE u.class_name IS NULL), ''{}''),
                   coalesce(array_agg(u.zoid ORDER BY u.n) FILTER (WHERE u.class_name IS NOT NULL), ''{}''),
                   coalesce(array_agg(u.class_name ORDER BY u.n) FILTER (WHERE u.class_name IS NOT NULL), ''{}'')
              FROM (SELECT a.zoid, a.class_name, row_number() OVER (ORDER BY a.class_name IS NOT NULL, a.zoid) AS n
                      FROM (SELECT w.zoid, NULL AS class_name FROM unnest($2) w (zoid) UNION ALL SELECT r.zoid, r.class_name FROM unnest($3, $4) r (zoid, class_name)) a) u
             GROUP BY 2', store) USING NEW.serial, s.written, s.removed, s.classes;
    END IF;
    IF n > 0 THEN
        EXECUTE format('LOCK TABLE %I.newt_commit_lock IN EXCLUSIVE MODE', store);
        -- who has made an index meanwhile has committed, or will see what was written here
        FOR c IN EXECUTE format('SELECT DISTINCT x.class_name, x.as_of FROM %s x WHERE x.deed IS NOT NULL', TG_RELID::regclass) LOOP
            CONTINUE WHEN c.as_of = (newt.indexes_of(store)).as_of;
            i := newt.index_of(store, c.class_name);
            IF i.index_name IS NOT NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = format('class "%s" has the index "%s" since a moment ago', c.class_name, i.index_name),
                    DETAIL = 'Programs keep it, and would not learn of the change.';
            END IF;
        END LOOP;
        EXECUTE format('INSERT INTO %1$I.transaction (tid, serial, nonce, username, description, extension, written, removed, removed_classes)
            SELECT greatest((SELECT max(t.tid) FROM %1$I.transaction t) + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), $1,
                   coalesce(nullif(hashtextextended(gen_random_uuid()::text, 0), 0), 1), session_user, $2, $3, $4, $5, $6', store)
            USING NEW.serial, coalesce(nullif(current_setting('newt.description', true), ''), s.functions),
                  CASE WHEN owner <> session_user THEN jsonb_build_object('role', owner) END,
                  CASE WHEN n <= 1000 THEN s.written END, CASE WHEN n <= 1000 THEN s.removed END, CASE WHEN n <= 1000 THEN s.classes END;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n <> 1 THEN
            RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'the transaction''s row was not inserted', DETAIL = 'A rule or a trigger suppressed it.';
        END IF;
    END IF;
    -- what is changed from now on gets another one
    EXECUTE format('DELETE FROM %s', TG_RELID::regclass);
    IF current_setting('role') <> role THEN
        PERFORM set_config('role', role, true);
    END IF;
    RETURN NULL;
END
$newt_body$;
COMMENT ON FUNCTION newt.end_changes() IS 'trigger: gives a transaction that has written objects from SQL its row; portable edition';

-- ---- one object -----------------------------------------------------------------------------------------

CREATE FUNCTION newt.not_written(class_name text, zoid bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('%s %s was not written', class_name, zoid),
        DETAIL = 'A rule, a trigger or a policy of row security suppressed it.';
END
$newt_body$;
COMMENT ON FUNCTION newt.not_written(text, bigint) IS 'raises the error that an object was not written; portable edition';

-- The object, locked, if it may be changed: its record, with the class of that.
CREATE FUNCTION newt.lock_object(function text, store text, zoid bigint, wanted bigint, OUT seen bigint, OUT record bytea, OUT class_name text, OUT version integer,
                                 OUT next integer, OUT structs jsonb, OUT projection text, OUT as_of text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    h record;
    k record;
BEGIN
    EXECUTE format('SELECT o.serial, o.state || ''\x''::bytea FROM %I.object_state o WHERE o.zoid = $1 FOR %s', store, CASE function WHEN 'newt.remove()' THEN 'UPDATE' ELSE 'NO KEY UPDATE' END)
        INTO seen, record USING zoid;
    IF seen IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('object %s of store "%s" does not exist', zoid, store),
            DETAIL = 'Nor does it for you if a policy of row security hides it, or keeps you from changing it.';
    END IF;
    h := newt.read_begin(record);
    IF h.code IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_binary_representation', MESSAGE = format('object %s has a damaged record', zoid),
            DETAIL = format('At byte %s of %s: %s.', h.fault_at, octet_length(record), h.reason);
    ELSIF seen <> wanted THEN
        RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = format('%s %s was changed by another transaction', h.class_name, zoid),
            DETAIL = format('Its serial is %s, not %s.', seen, wanted), HINT = 'Read it again, and try again with the serial that it has.';
    END IF;
    k := newt.choose_class(function, store, h.class_name, zoid, h.version::integer);
    class_name := h.class_name;
    version := h.version;
    next := h.next;
    structs := k.structs;
    projection := k.projection;
    as_of := k.as_of;
END
$newt_body$;
COMMENT ON FUNCTION newt.lock_object(text, text, bigint, bigint) IS 'an object that is to be changed, locked; portable edition';

-- seen: the serial that it has; null: it is new.
CREATE FUNCTION newt.write_object(store text, class_name text, zoid bigint, seen bigint, serial bigint, record bytea, projection text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    hidden CONSTANT boolean := substring(record FROM (newt.read_begin(record)).next + 1 FOR 3) = '\xd99603';
    projected CONSTANT boolean := projection = 'inline' AND NOT hidden;
    r record;
    document jsonb;
    n bigint;
BEGIN
    IF seen IS NULL THEN
        EXECUTE format('INSERT INTO %I.object_state (zoid, serial, state) VALUES ($1, $2, $3)', store) USING zoid, serial, record;
    ELSE
        EXECUTE format('UPDATE %I.object_state SET serial = $3, state = $4 WHERE zoid = $1 AND serial = $2', store) USING zoid, seen, serial, record;
    END IF;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n <> 1 THEN
        PERFORM newt.not_written(class_name, zoid);
    END IF;
    IF projected THEN
        r := newt.read_record(record, 'json', NULL);
        IF r.code IS NOT NULL THEN
            PERFORM newt.raise_fault(r.code, r.reason, r.fault_at, octet_length(record));
        END IF;
        document := r.doc::jsonb;
        n := 0;
        IF seen IS NOT NULL THEN
            EXECUTE format('UPDATE %I.newt_projection SET serial = $2, class_name = $3, state = $4 WHERE zoid = $1', store) USING zoid, serial, class_name, document;
            GET DIAGNOSTICS n = ROW_COUNT;
        END IF;
        IF n = 0 THEN
            EXECUTE format('INSERT INTO %I.newt_projection (zoid, class_name, serial, state) VALUES ($1, $3, $2, $4)
                ON CONFLICT (zoid) DO UPDATE SET class_name = excluded.class_name, serial = excluded.serial, state = excluded.state', store)
                USING zoid, serial, class_name, document;
        END IF;
        -- what the JSON cannot show as it is; entries of older serials say nothing any more
        IF cardinality(r.reasons) > 0 OR seen = serial THEN
            EXECUTE format('DELETE FROM %I.newt_reject_entry WHERE zoid = $1', store) USING zoid;
        END IF;
        IF cardinality(r.reasons) > 0 THEN
            EXECUTE format('INSERT INTO %I.newt_reject_entry (zoid, serial, n, path, reason)
                SELECT $1, $2, r.n, ARRAY(SELECT e.key FROM json_array_elements_text(split_part(r.found, chr(10), 2)::json) WITH ORDINALITY e (key, n) ORDER BY e.n), split_part(r.found, chr(10), 1)
                  FROM unnest($3) WITH ORDINALITY r (found, n)', store) USING zoid, serial, r.reasons;
        END IF;
    ELSIF hidden AND seen IS NOT NULL THEN -- one may be there from when the class was projected
        EXECUTE format('DELETE FROM %I.newt_projection WHERE zoid = $1', store) USING zoid;
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.write_object(text, text, bigint, bigint, bigint, bytea, text) IS 'writes the record of an object and its row of the projection; portable edition';

-- ---- functions ------------------------------------------------------------------------------------------

CREATE FUNCTION newt.patch(store text, zoid bigint, patch jsonb, serial bigint DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE COST 20000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    function CONSTANT text := 'newt.patch()';
    schema CONSTANT oid := newt.open_store(function, store, array_position(ARRAY[store IS NULL, zoid IS NULL, patch IS NULL], true));
    document CONSTANT jsonb := patch || '{}'; -- unpacked once
    t record;
    o record;
    changed bytea;
    own bigint;
BEGIN
    PERFORM newt.check_document(function, 'patch', patch);
    t := newt.open_changes(function, store);
    o := newt.lock_object(function, store, zoid, serial);
    changed := newt.patched_record(o.record, o.next, o.class_name, o.version, o.structs, document, o.class_name || ' ' || zoid);
    IF changed = o.record THEN
        RETURN o.seen; -- nothing to write
    END IF;
    own := coalesce(t.serial, newt.next_number(store, schema, 'serial'));
    PERFORM newt.write_object(store, o.class_name, zoid, o.seen, own, changed, o.projection);
    PERFORM newt.add_change(function, t.changes, store, own, zoid, o.class_name, o.as_of, t.serial IS NULL);
    RETURN own;
END
$newt_body$;

CREATE FUNCTION newt.insert(store text, class text, document jsonb) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE COST 20000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    function CONSTANT text := 'newt.insert()';
    schema CONSTANT oid := newt.open_store(function, store, array_position(ARRAY[store IS NULL, class IS NULL, document IS NULL], true));
    t record;
    k record;
    record bytea;
    zoid bigint;
    own bigint;
BEGIN
    PERFORM newt.check_document(function, 'document', document);
    t := newt.open_changes(function, store);
    k := newt.choose_class(function, store, class, NULL, NULL);
    record := newt.write_record(class, k.version, k.hidden, (newt.write_struct(k.structs, 0, document || '{}', 'the new ' || class, '', 0, 0)).item, 'the new ' || class);
    zoid := newt.next_number(store, schema, 'oid');
    own := coalesce(t.serial, newt.next_number(store, schema, 'serial'));
    PERFORM newt.write_object(store, class, zoid, NULL, own, record, k.projection);
    PERFORM newt.add_change(function, t.changes, store, own, zoid, class, k.as_of, t.serial IS NULL);
    RETURN zoid;
END
$newt_body$;

CREATE FUNCTION newt.remove(store text, zoid bigint, serial bigint DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE COST 20000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    function CONSTANT text := 'newt.remove()';
    schema CONSTANT oid := newt.open_store(function, store, array_position(ARRAY[store IS NULL, zoid IS NULL], true));
    t record;
    o record;
    own bigint;
    n bigint;
BEGIN
    t := newt.open_changes(function, store);
    o := newt.lock_object(function, store, zoid, serial);
    own := coalesce(t.serial, newt.next_number(store, schema, 'serial'));
    EXECUTE format('DELETE FROM %I.object_state WHERE zoid = $1 AND serial = $2', store) USING zoid, o.seen;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n <> 1 THEN
        PERFORM newt.not_written(o.class_name, zoid);
    END IF;
    EXECUTE format('DELETE FROM %I.newt_projection WHERE zoid = $1', store) USING zoid;
    EXECUTE format('DELETE FROM %I.newt_reject_entry WHERE zoid = $1', store) USING zoid;
    PERFORM newt.add_change(function, t.changes, store, own, zoid, o.class_name, o.as_of, t.serial IS NULL);
    RETURN own;
END
$newt_body$;
