-- ---- derived columns: made, filled, followed, checked, dropped -------------------------------------

-- What newt-updater calls. The store's function is there from the first declaration on: what was committed before that is
-- seen by who fills the table.
CREATE FUNCTION newt.follow_derived(store text, zoids bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    FOR attempt IN 1 .. 10 LOOP
        IF to_regprocedure(format('%I.newt_follow_derived(bigint[])', store)) IS NULL THEN
            RETURN;
        ELSIF NOT EXISTS (SELECT FROM pg_proc p WHERE p.oid = to_regprocedure(format('%I.newt_follow_derived(bigint[])', store))
                           AND strpos(p.prosrc, format('newt_store CONSTANT text := %L;', store)) > 0) THEN
            RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
                MESSAGE = format('the functions that keep the derived columns of store "%s" are those of another store', store),
                DETAIL = 'The schema was renamed.', HINT = format('CALL newt.refresh_derived(%L);', store);
        END IF;
        BEGIN
            EXECUTE format('SELECT %I.newt_follow_derived($1)', store) USING zoids;
            RETURN;
        EXCEPTION WHEN undefined_table OR undefined_function THEN -- it was dropped while it was waited for
            IF attempt = 10 THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.follow_derived(text, bigint[]) IS 'computes the rows that come from these objects, in the tables of derived columns that newt-updater keeps';

-- Also what is gone: rows, and objects that had referred to others.
CREATE FUNCTION newt.copy_derived(store text, after bigint, upto bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    query text;
    zoids bigint[];
BEGIN
    EXECUTE format($sql$
        SELECT string_agg(format('SELECT t.zoid FROM %%s t WHERE t.zoid > $1 AND t.zoid <= $2 UNION '
                                 'SELECT x.source FROM %%I.newt_dependency x WHERE x.source > $1 AND x.source <= $2 AND x.derived = %%s AND x.part > 0',
                                 d.relation, $1, d.number), ' UNION ' ORDER BY d.number)
          FROM %I.newt_derived d WHERE d.mode = 'updater'$sql$, store) INTO query USING store;
    IF query IS NOT NULL THEN
        EXECUTE format('SELECT array_agg(u.zoid) FROM (SELECT o.zoid FROM %I.object_state o WHERE o.zoid > $1 AND o.zoid <= $2 UNION %s) u', store, query)
            INTO zoids USING after, upto;
        PERFORM newt.follow_derived(store, zoids);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.copy_derived(text, bigint, bigint) IS 'the same with all objects from after one zoid up to another; what is left of objects that are gone goes';

-- Is what was made of a declaration, of the classes and of the store what would be made of them now?
CREATE FUNCTION newt.derived_outdated(store text, derived_name text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    names text[] := '{newt_principal_set,newt_keep_derived,newt_compute_derived,newt_follow_derived,newt_principals,newt_visible}';
    number integer;
    wanted text;
BEGIN
    IF derived_name IS NULL THEN
        wanted := newt.derived_trigger_sql(store)
            || CASE WHEN to_regproc(format('%I.newt_visible', store)) IS NULL THEN '' ELSE newt.policy_functions_sql(store) END;
    ELSE
        EXECUTE format('SELECT d.number FROM %I.newt_derived d WHERE d.name = $1', store) INTO number USING derived_name;
        names := ARRAY['newt_derive_' || number, 'newt_settle_' || number];
        wanted := newt.derived_function_sql(store, derived_name);
    END IF;
    RETURN CASE WHEN strpos(wanted, 'CREATE TRIGGER') > 0
                     OR EXISTS (SELECT FROM unnest(names) n (name) LEFT JOIN pg_proc p ON p.pronamespace = to_regnamespace(quote_ident(store)) AND p.proname = n.name
                                 WHERE strpos(wanted, format('CREATE OR REPLACE FUNCTION %I.%I(', store, n.name)) > 0 AND (p.oid IS NULL OR strpos(wanted, p.prosrc) = 0)) THEN wanted END;
END
$newt_body$;
COMMENT ON FUNCTION newt.derived_outdated(text, text) IS 'the SQL of the functions that keep derived columns (null: of what all tables share), if they are not what would be made now; else null';

-- Called when a class is registered, too: fields have got other names, say.
CREATE FUNCTION newt.renew_derived(store text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    d record;
    statements text;
BEGIN
    -- one at a time: functions cannot be replaced by two
    PERFORM pg_advisory_xact_lock(hashtextextended('newt derived ' || store, 0));
    statements := newt.derived_outdated(store);
    IF statements IS NOT NULL THEN
        IF strpos(statements, 'CREATE TRIGGER newt_keep_derived') > 0 THEN -- nobody has kept them
            EXECUTE format('UPDATE %I.newt_derived SET stage = ''rows'', filled_to = 0 WHERE mode = ''inline''', store);
        END IF;
        EXECUTE statements;
    END IF;
    FOR d IN EXECUTE format('SELECT d.name FROM %I.newt_derived d JOIN pg_class c ON c.oid = d.relation ORDER BY d.number', store) LOOP
        statements := newt.derived_outdated(store, d.name);
        IF statements IS NOT NULL THEN
            EXECUTE statements;
        END IF;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.renew_derived(text) IS 'makes the functions that keep derived columns anew where a class or the store has changed';

CREATE FUNCTION newt.derived_fault(store text, derived_name text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT format(''column "%%s" of %%s was dropped or renamed'', l.name, d.relation) FROM %I.newt_derived d, newt.derived_table_columns(d.parent, d.columns) l (name) '
                   'WHERE d.name = $1 AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = d.relation AND a.attname = l.name AND NOT a.attisdropped) ORDER BY l.name LIMIT 1', store)
        INTO result USING derived_name;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.derived_fault(text, text) IS 'what is wrong with a table of derived columns itself, so that it cannot be written; else null';

-- Fills one table that is not full, and computes what waits. Each step holds the commit lock for some milliseconds, and then
-- waits a multiple of that, so that those who commit beside it keep most of their time. One that is new, and cannot be
-- filled, goes: commits would fail for the same reason.
CREATE PROCEDURE newt.fill_derived(store text, derived_name text, share double precision, is_new boolean)
    LANGUAGE plpgsql
    AS $newt_body$
DECLARE
    d record;
    upto bigint;
    newest bigint;
    zoids bigint[];
    queued bigint;
    batch integer;
    begun timestamptz;
    locked_since timestamptz;
    took double precision;
    took_before double precision;
    told timestamptz;
    n bigint;
    analyzed bigint;
    analyzes boolean;
    done bigint;
    rest bigint;
    state text;
    message text;
    detail text;
    hint text;
BEGIN
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    batch := 200;
    told := clock_timestamp();
    EXECUTE pg_catalog.format('SELECT d.* FROM %I.newt_derived d WHERE d.name = $1', store) INTO d USING derived_name;
    n := 0;
    analyzed := 50;
    analyzes := false;
    newest := NULL;
    queued := NULL;
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), pg_catalog.set_config('enable_seqscan', 'off', true), pg_catalog.set_config('jit', 'off', true);
        IF analyzes THEN -- plans that were made while the tables were small are made again; not under the lock
            EXECUTE format('ANALYZE %s, %I.newt_dependency, %2$I.newt_principal_set', d.relation, store);
            analyzes := false;
            CONTINUE;
        END IF;
        IF took IS NOT NULL THEN
            PERFORM pg_sleep(took * (1 / share - 1) - took_before);
            batch := greatest(100, least(2000, (batch * CASE WHEN took > 0.02 OR took_before > 0.04 THEN 0.7 ELSE 1.2 END)::integer));
        END IF;
        begun := clock_timestamp();
        took := NULL;
        took_before := 0;
        BEGIN
            IF d.stage <> 'full' THEN
                EXECUTE newt.derived_lock_sql(store, d.number);
            END IF;
            locked_since := clock_timestamp();
            IF d.stage = 'rows' THEN
                -- What comes later is looked at by who commits it, or follows it: else there would be no end beside many that write.
                IF newest IS NULL THEN
                    EXECUTE format('SELECT greatest((SELECT max(o.zoid) FROM %1$I.object_state o), (SELECT max(t.zoid) FROM %2$s t), (SELECT max(x.source) FROM %1$I.newt_dependency x))',
                                   store, d.relation) INTO newest;
                END IF;
                -- objects, and rows and references of what is none any more
                EXECUTE format('WITH z AS MATERIALIZED (SELECT u.zoid FROM ((SELECT o.zoid FROM %1$I.object_state o WHERE o.zoid > $1 AND o.zoid <= $3 ORDER BY o.zoid LIMIT $2) '
                               'UNION (SELECT t.zoid FROM %2$s t WHERE t.zoid > $1 AND t.zoid <= $3 ORDER BY t.zoid LIMIT $2)) u ORDER BY u.zoid LIMIT $2) '
                               'SELECT array_agg(a.zoid ORDER BY a.zoid) FROM (SELECT z.zoid FROM z UNION SELECT x.source FROM %1$I.newt_dependency x WHERE x.source > $1 '
                               'AND x.source <= (SELECT CASE count(*) WHEN $2 THEN max(z.zoid) ELSE $3 END FROM z) AND x.derived = %3$s AND x.part > 0) a', store, d.relation, d.number)
                    INTO zoids USING d.filled_to, batch, newest;
                IF zoids IS NULL THEN
                    d.stage := CASE WHEN to_regproc(format('%I.newt_settle_%s', store, d.number)) IS NULL THEN 'full' ELSE 'access' END;
                    EXECUTE format('UPDATE %I.newt_derived SET stage = $2 WHERE name = $1', store) USING d.name, d.stage;
                    analyzes := true;
                    CONTINUE;
                END IF;
                -- a few first: each may come from thousands of others
                done := 0;
                FOR i IN 1 .. 20 LOOP
                    EXECUTE format('SELECT %I.newt_derive_%s($1, 1000000000, false)', store, d.number) USING zoids[done + 1 : done + 4 ^ i];
                    done := least(done + (4 ^ i)::bigint, cardinality(zoids));
                    EXIT WHEN done = cardinality(zoids) OR clock_timestamp() > locked_since + interval '10 ms';
                END LOOP;
                d.filled_to := zoids[done];
                EXECUTE format('UPDATE %I.newt_derived SET filled_to = $2 WHERE name = $1', store) USING d.name, d.filled_to;
                n := n + done;
                IF n >= analyzed * 4 THEN
                    analyzed := n;
                    analyzes := true;
                END IF;
            ELSIF d.stage = 'access' THEN
                -- from the top down, so that each row is computed once: the queue has the rows whose parent is done
                IF queued IS NULL THEN
                    IF to_regclass('pg_temp.newt_derived_queue') IS NOT NULL THEN -- of one that was interrupted
                        DROP TABLE pg_temp.newt_derived_queue;
                    END IF;
                    CREATE TEMP TABLE newt_derived_queue (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, zoid bigint NOT NULL);
                    EXECUTE format('INSERT INTO pg_temp.newt_derived_queue (zoid) SELECT t.zoid FROM %1$s t%2$s', d.relation,
                        CASE WHEN d.parent IS NULL THEN '' ELSE format(' WHERE t.parent_id IS NULL OR t.parent_id < 0 OR NOT EXISTS (SELECT FROM %s p WHERE p.zoid = t.parent_id)', d.relation) END);
                    queued := 0;
                END IF;
                EXECUTE 'SELECT array_agg(q.zoid), max(q.n) FROM (SELECT q.zoid, q.n FROM pg_temp.newt_derived_queue q WHERE q.n > $1 ORDER BY q.n LIMIT $2) q' INTO zoids, upto USING queued, batch;
                IF zoids IS NULL THEN
                    IF d.parent IS NOT NULL THEN -- a loop, and what hangs on it, has no top
                        EXECUTE format('SELECT %2$I.newt_settle_%3$s(array_agg(t.zoid), 1000000000) FROM %1$s t WHERE NOT EXISTS (SELECT FROM pg_temp.newt_derived_queue q WHERE q.zoid = t.zoid) HAVING count(*) > 0', d.relation, store, d.number);
                    END IF;
                    DROP TABLE pg_temp.newt_derived_queue;
                    d.stage := 'full';
                    EXECUTE format('UPDATE %I.newt_derived SET stage = $2 WHERE name = $1', store) USING d.name, d.stage;
                    CONTINUE;
                END IF;
                EXECUTE format('SELECT %I.newt_settle_%s($1, NULL)', store, d.number) USING zoids;
                IF d.parent IS NOT NULL THEN
                    EXECUTE format('INSERT INTO pg_temp.newt_derived_queue (zoid) SELECT t.zoid FROM %s t WHERE t.parent_id = ANY ($1)', d.relation) USING zoids;
                END IF;
                queued := upto;
                n := n + cardinality(zoids);
            ELSE
                EXECUTE format('SELECT * FROM %I.newt_compute_derived($1, $2, true)', store) INTO done, locked_since USING d.number, batch;
                EXIT WHEN done = 0;
                n := n + done;
                took_before := extract(epoch FROM locked_since - begun);
            END IF;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
        END;
        EXIT WHEN state IS NOT NULL;
        took := extract(epoch FROM clock_timestamp() - locked_since);
        IF clock_timestamp() > told + interval '10 s' THEN
            told := clock_timestamp();
            EXECUTE format('SELECT count(*) FROM %I.newt_derived_pending q WHERE q.derived = $1', store) INTO rest USING d.number;
            RAISE NOTICE USING
                MESSAGE = format('derived columns %s: %s rows so far (%s)', d.relation, n, CASE d.stage WHEN 'rows' THEN format('up to object %s', d.filled_to) WHEN 'access' THEN 'principals' ELSE format('%s wait', rest) END),
                DETAIL = format('It works %s %% of the time, so that commits have the rest; share => 1 is for when nobody writes.', round(100 * share));
        END IF;
    END LOOP;
    IF state IS NOT NULL THEN
        -- but for what has nothing to do with it: locks, memory and space, an administrator
        is_new := is_new AND left(state, 2) <> ALL ('{40,53,55,57,58}');
        IF is_new THEN
            PERFORM newt.drop_derived(store, derived_name);
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
            PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        END IF;
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = detail,
            HINT = concat_ws(' ', nullif(hint, ''), pg_catalog.format(CASE WHEN is_new THEN 'The derived columns "%2$s" were not made.'
                ELSE 'CALL newt.refresh_derived(%1$L, %2$L) goes on with them; newt.drop_derived(%1$L, %2$L) drops them, where commits fail for the same reason.' END, store, derived_name));
    END IF;
END
$newt_body$;
COMMENT ON PROCEDURE newt.fill_derived(text, text, double precision, boolean) IS 'fills a table of derived columns, and computes what waits; one that is new and cannot be filled goes';

-- Whoever has looked up a list keeps the tables of lists locked, and so those wait that would give its number to a row.
CREATE FUNCTION newt.prune_principals(store text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms'
    AS $newt_body$
DECLARE
    used text;
    result bigint;
BEGIN
    PERFORM newt.check_store(store);
    EXECUTE format('SELECT string_agg(format(''SELECT %%I FROM %%s UNION SELECT %%I FROM %%2$s'', l.name, d.relation, l.name || ''_own''), '' UNION '') FROM %I.newt_derived d JOIN pg_class c ON c.oid = d.relation, newt.derived_layout(d.columns) l WHERE l.sort = ''access''', store)
        INTO used;
    BEGIN
        EXECUTE format('LOCK TABLE %1$I.newt_principal_set, %1$I.newt_principal_sum IN ACCESS EXCLUSIVE MODE', store);
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        RAISE NOTICE USING MESSAGE = format('lists of principals that nobody has stay in store "%s"', store),
            DETAIL = 'Somebody reads them.', HINT = format('SELECT newt.prune_principals(%L) removes them.', store);
        RETURN 0;
    END;
    EXECUTE format('WITH used (id) AS MATERIALIZED (SELECT 0::bigint UNION %2$s), pair AS ( '
                   'DELETE FROM %1$I.newt_principal_sum s WHERE NOT (s.own IN (SELECT u.id FROM used u) AND s.parent IN (SELECT u.id FROM used u) AND s.total IN (SELECT u.id FROM used u)) '
                   '), gone AS (DELETE FROM %1$I.newt_principal_set s WHERE s.id NOT IN (SELECT u.id FROM used u) RETURNING s.id) '
                   'SELECT count(*) FROM gone', store, coalesce(used, 'SELECT 0')) INTO result;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.prune_principals(text) IS 'removes the lists of principals that no object has any more: how many; newt.refresh_derived() calls it when all rows are computed anew';

CREATE PROCEDURE newt.refresh_derived(store text, derived_name text DEFAULT NULL, anew boolean DEFAULT false, share double precision DEFAULT 0.12)
    LANGUAGE plpgsql
    AS $newt_body$
DECLARE
    name text;
    fault text;
BEGIN
    PERFORM newt.check_no_block('newt.refresh_derived');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM newt.check_store(store);
    IF share IS NULL OR NOT share BETWEEN 0.01 AND 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = pg_catalog.format('invalid share %s of the time', share),
            HINT = 'It is the part of the time in which commits may have to wait: from 0.01 to 1.';
    END IF;
    IF derived_name IS NOT NULL THEN
        PERFORM newt.derived_table(store, derived_name);
    END IF;
    PERFORM newt.renew_derived(store);
    FOR name IN EXECUTE pg_catalog.format('SELECT d.name FROM %I.newt_derived d JOIN pg_class c ON c.oid = d.relation WHERE d.name = coalesce($1, d.name) ORDER BY d.number', store) USING derived_name LOOP
        fault := newt.derived_fault(store, name);
        IF fault IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'undefined_column', MESSAGE = fault,
                DETAIL = 'Commits of its classes fail until it is as it was declared.',
                HINT = pg_catalog.format('Give it its name again; or drop it, newt.drop_derived(%L, %L), and declare it anew.', store, name);
        END IF;
        IF anew THEN
            EXECUTE pg_catalog.format('UPDATE %I.newt_derived SET stage = ''rows'', filled_to = 0 WHERE name = $1', store) USING name;
        END IF;
        CALL newt.fill_derived(store, name, share, false);
    END LOOP;
    IF anew THEN
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        PERFORM newt.prune_principals(store);
    END IF;
END
$newt_body$;
COMMENT ON PROCEDURE newt.refresh_derived(text, text, boolean, double precision) IS 'fills the tables of derived columns that are not full, and computes the rows that wait; anew: all rows';

CREATE FUNCTION newt.derived_table(store text, name text) RETURNS regclass
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result regclass;
BEGIN
    PERFORM newt.check_store(store);
    EXECUTE format('SELECT d.relation FROM %I.newt_derived d WHERE d.name = $1', store) INTO result USING name;
    IF result IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object',
            MESSAGE = format('there are no derived columns "%s" in store "%s"', name, store),
            HINT = format('SELECT name FROM newt.derived(%L) shows those that are; CALL newt.create_derived() makes some.', store);
    END IF;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.derived_table(text, text) IS 'the table of derived columns of this name; an error if there is none';

CREATE PROCEDURE newt.create_derived(store text, derived_name text, class_names text[], columns jsonb, parent text DEFAULT NULL,
                                     mode text DEFAULT 'inline', commit_limit integer DEFAULT 1000)
    LANGUAGE plpgsql
    AS $newt_body$
DECLARE
    wrong text;
    owner name;
    missing boolean;
    doubt record;
BEGIN
    PERFORM newt.check_no_block('newt.create_derived');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM newt.check_store(store);
    PERFORM newt.derived_layout(columns);
    wrong := CASE WHEN coalesce(octet_length(derived_name), 0) NOT BETWEEN 1 AND 48 OR derived_name LIKE 'newt%' THEN format('invalid name "%s" of derived columns', derived_name)
                  WHEN mode IS NULL OR mode NOT IN ('inline', 'updater') THEN format('unknown mode "%s"', mode)
                  WHEN coalesce(commit_limit, 0) < 1 THEN format('invalid limit %s of rows that a commit computes', commit_limit)
                  WHEN coalesce(cardinality(class_names), 0) = 0 THEN format('no class is named for the derived columns "%s"', derived_name) END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = wrong,
            HINT = 'A name has 1 to 48 bytes and does not begin with newt; there are the modes inline and updater; the limit is 1 or more.';
    END IF;
    PERFORM newt.check_class(store, c.name) FROM unnest(class_names) c (name);
    PERFORM l.config::regconfig FROM newt.derived_layout(columns) l;
    FOR doubt IN SELECT * FROM newt.derived_doubts(store, class_names, columns, parent) LOOP
        RAISE WARNING USING MESSAGE = doubt.message, HINT = doubt.hint;
    END LOOP;
    IF to_regclass(format('%I.%I', store, derived_name)) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
            MESSAGE = format('relation "%s" already exists in store "%s"', derived_name, store),
            HINT = CASE WHEN to_regclass(format('%I.%I', store, derived_name)) IN (SELECT t.relation FROM newt.derived(store) t)
                   THEN 'They are declared already: newt.drop_derived() drops them, CALL newt.refresh_derived() fills them.' ELSE 'Choose another name.' END;
    END IF;
    EXECUTE newt.derived_table_sql(store, derived_name, class_names, columns, parent);
    EXECUTE format('SELECT newt.drop_derived($1, d.name) FROM %I.newt_derived d WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = d.relation)', store) USING store; -- of tables that were dropped
    EXECUTE format('INSERT INTO %1$I.newt_derived (name, number, relation, class_names, parent, columns, mode, commit_limit) '
                   'SELECT $1, coalesce((SELECT max(d.number) FROM %1$I.newt_derived d), 0) + 1, $2, $3, $4, $5, $6, $7', store)
        USING derived_name, to_regclass(format('%I.%I', store, derived_name)), class_names, parent, columns, mode, commit_limit;
    EXECUTE newt.derived_trigger_sql(store); -- newt_principal_set() first
    EXECUTE newt.derived_function_sql(store, derived_name);
    -- it belongs to the owner of the store, as its functions do, which run with the owner's rights
    SELECT pg_get_userbyid(c.relowner) INTO owner FROM pg_class c WHERE c.oid = to_regclass(format('%I.object_state', store));
    EXECUTE format('ALTER TABLE %I.%I OWNER TO %I', store, derived_name, owner);
    EXECUTE format('SELECT $1 = ''updater'' AND NOT EXISTS (SELECT FROM %I.newt_follower f WHERE f.kind = ''derived'')', store) INTO missing USING mode;
    IF missing THEN
        RAISE NOTICE USING
            MESSAGE = format('the derived columns "%s" are kept by newt-updater, which has not run with --sink=derived yet', derived_name),
            DETAIL = 'When it does it begins with all objects.';
    END IF;
    CALL newt.fill_derived(store, derived_name, 1, true);
END
$newt_body$;
COMMENT ON PROCEDURE newt.create_derived(text, text, text[], jsonb, text, text, integer) IS 'declares derived columns of the objects of some classes, makes their table and fills it, beside those who write';

CREATE FUNCTION newt.derived(store text DEFAULT 'public')
    RETURNS TABLE (name text, relation regclass, class_names text[], mode text, stage text, filled_to bigint, rows bigint, waiting bigint, waiting_since timestamptz, bytes bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    RETURN QUERY EXECUTE format($sql$
        SELECT d.name, d.relation, d.class_names, d.mode, d.stage, CASE d.stage WHEN 'rows' THEN d.filled_to END, greatest(c.reltuples, 0)::bigint, coalesce(q.n, 0), q.since, pg_total_relation_size(c.oid)
          FROM %1$I.newt_derived d JOIN pg_class c ON c.oid = d.relation
          LEFT JOIN (SELECT q.derived, count(*) AS n, min(q.since) AS since FROM %1$I.newt_derived_pending q GROUP BY 1) q ON q.derived = d.number
         ORDER BY d.name COLLATE "C"$sql$, store);
END
$newt_body$;
COMMENT ON FUNCTION newt.derived(text) IS 'the tables of derived columns: who keeps them, whether they are full, about how many rows they have, how many wait to be computed';

CREATE FUNCTION newt.drop_derived(store text, name text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    d record;
    p record;
BEGIN
    PERFORM newt.derived_table(store, name);
    -- the trigger may go; who commits has read this table before
    EXECUTE format('LOCK TABLE %I.transaction IN ACCESS EXCLUSIVE MODE', store);
    EXECUTE format('LOCK TABLE %I.newt_commit_lock IN EXCLUSIVE MODE', store);
    EXECUTE format('SELECT d.* FROM %I.newt_derived d WHERE d.name = $1', store) INTO d USING name;
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = d.relation) THEN -- before its rows elsewhere, as newt-updater does
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', d.relation);
    END IF;
    EXECUTE format('DELETE FROM %I.newt_derived d WHERE d.name = $1', store) USING name;
    EXECUTE newt.derived_trigger_sql(store);
    EXECUTE format('DELETE FROM %I.newt_dependency x WHERE x.derived = $1', store) USING d.number;
    EXECUTE format('DELETE FROM %I.newt_derived_pending q WHERE q.derived = $1', store) USING d.number;
    EXECUTE format('DROP FUNCTION %I.newt_derive_%s(bigint[], bigint, boolean, boolean)', store, d.number);
    IF to_regproc(format('%I.newt_settle_%s', store, d.number)) IS NOT NULL THEN
        EXECUTE format('DROP FUNCTION %I.newt_settle_%s(bigint[], bigint, bigint[], bigint, boolean, bigint, bigint[])', store, d.number);
    END IF;
    -- Policies that rest on it go, and the view of documents; row-level security stays, so that what was hidden is.
    FOR p IN SELECT CASE WHEN y.oid IS NOT NULL THEN format('DROP POLICY %I ON %s', y.polname, y.polrelid::regclass) ELSE format('DROP VIEW %s', v.ev_class::regclass) END AS statement
               FROM pg_depend x LEFT JOIN pg_policy y ON x.classid = 'pg_policy'::regclass AND y.oid = x.objid AND y.polname LIKE 'newt\_principals\_%' AND y.polrelid <> d.relation
               LEFT JOIN pg_rewrite v ON x.classid = 'pg_rewrite'::regclass AND v.oid = x.objid AND v.ev_class = to_regclass(format('%I.%I', store, newt.cut_name(d.name, '_documents')))
              WHERE x.refclassid = 'pg_class'::regclass AND x.refobjid = d.relation AND (y.oid IS NOT NULL OR v.oid IS NOT NULL)
              GROUP BY 1 LOOP
        EXECUTE p.statement;
    END LOOP;
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = d.relation) THEN
        EXECUTE format('DROP TABLE %s', d.relation);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.drop_derived(text, text) IS 'drops derived columns and their table';

-- Everything is computed once more from the records alone: without the dependencies, and without the numbers of lists.
CREATE FUNCTION newt.check_derived(store text, derived_name text DEFAULT NULL)
    RETURNS TABLE (relation regclass, zoid bigint, problem text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
    SET jit = off
    SET enable_seqscan = off -- of newt_dependency for each object
    AS $newt_body$
#variable_conflict use_column
DECLARE
    d record;
    classes text[];
    waiting bigint;
    compared text;
    accesses text;
    expected text;
    p record;
BEGIN
    PERFORM newt.check_store(store);
    IF derived_name IS NOT NULL THEN
        PERFORM newt.derived_table(store, derived_name);
    END IF;
    FOR d IN EXECUTE format('SELECT d.* FROM %I.newt_derived d WHERE d.name = coalesce($1, d.name) ORDER BY d.number', store) USING derived_name LOOP
        IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = d.relation) THEN
            RETURN QUERY SELECT d.relation, NULL::bigint, format('the table of "%s" was dropped: SELECT newt.drop_derived(%L, %L) forgets it', d.name, store, d.name);
            CONTINUE;
        END IF;
        IF newt.derived_fault(store, d.name) IS NOT NULL THEN
            RETURN QUERY SELECT d.relation, NULL::bigint, newt.derived_fault(store, d.name);
            CONTINUE;
        END IF;
        IF newt.derived_outdated(store, d.name) IS NOT NULL OR newt.derived_outdated(store) IS NOT NULL THEN
            RETURN QUERY SELECT d.relation, NULL::bigint, 'what keeps it is missing, or not what the classes and the store want now: CALL newt.refresh_derived() makes it anew'::text;
        END IF;
        EXECUTE format('SELECT count(*) FROM %I.newt_derived_pending q WHERE q.derived = $1', store) INTO waiting USING d.number;
        IF waiting > 0 OR d.stage <> 'full' THEN
            RETURN QUERY SELECT d.relation, NULL::bigint, CASE WHEN d.stage <> 'full' THEN 'it is not full: CALL newt.refresh_derived() goes on with it'
                                                               ELSE format('%s rows wait to be computed: CALL newt.refresh_derived() does it', waiting) END;
        END IF;
        SELECT array_agg(DISTINCT n.name) INTO classes FROM unnest(d.class_names) c (name), unnest(newt.class_names(store, c.name)) n (name);
        SELECT string_agg(format(E'            (%1$L, %2$s IS NOT DISTINCT FROM %3$s, (%3$s)::text, (%2$s)::text)', l.name,
                   CASE l.sort WHEN 'access' THEN format('(SELECT s.entries FROM %I.newt_principal_set s WHERE s.id = t.%I)', store, l.name || '_own') ELSE format('t.%I', l.name) END,
                   CASE l.sort WHEN 'access' THEN format('e.%I', l.name || '_own') ELSE format('e.%I', l.name) END), E',\n' ORDER BY l.place)
                || coalesce((SELECT string_agg(format(E',\n            (%1$L, (SELECT s.entries FROM %2$I.newt_principal_set s WHERE s.id = t.%3$I) IS NOT DISTINCT FROM f.%3$I, f.%3$I::text, (SELECT s.entries FROM %2$I.newt_principal_set s WHERE s.id = t.%3$I)::text)',
                        a.name, store, a.name), '' ORDER BY a.place) FROM newt.derived_layout(d.columns) a WHERE a.sort = 'access'), '')
          INTO compared
          FROM (SELECT DISTINCT l.place, l.name, l.sort FROM newt.derived_layout(d.columns) l) l;
        accesses := (SELECT string_agg(format(', %I', l.name), '' ORDER BY l.place) FROM newt.derived_layout(d.columns) l WHERE l.sort = 'access');
        expected := format($sql$
    WITH RECURSIVE e AS MATERIALIZED (
%1$s
    )%2$s
    SELECT %3$L::regclass, coalesce(e.zoid, t.zoid), CASE WHEN t.zoid IS NULL THEN 'its row is missing' WHEN e.zoid IS NULL THEN 'there is no such object'
               ELSE format('%%s is %%s instead of %%s', v.name, left(coalesce(v.has, 'null'), 200), left(coalesce(v.should, 'null'), 200)) END
      FROM e FULL JOIN %3$s t ON t.zoid = e.zoid%4$s
      LEFT JOIN LATERAL (VALUES
            ('class_name', t.class_name IS NOT DISTINCT FROM e.class_name, e.class_name, t.class_name),
%5$s%6$s) v (name, is_right, should, has) ON t.zoid IS NOT NULL AND e.zoid IS NOT NULL
     WHERE (t.zoid IS NULL OR e.zoid IS NULL OR NOT v.is_right)$sql$,
            newt.derived_query(store, d.number, classes, d.parent, d.columns, true, 'true'),
            CASE WHEN d.parent IS NULL THEN CASE WHEN accesses IS NULL THEN '' ELSE format(', f AS (SELECT e.zoid%s FROM e)',
                    (SELECT string_agg(format(', newt.inherit(e.%I, ''{}'') AS %I', l.name || '_own', l.name), '' ORDER BY l.place) FROM newt.derived_layout(d.columns) l WHERE l.sort = 'access')) END
                 ELSE format($sql$, above AS (
        SELECT e.zoid, e.parent_id FROM e WHERE e.parent_id IN (SELECT p.zoid FROM e p)
    ), reached (zoid) AS (
        SELECT e.zoid FROM e WHERE NOT EXISTS (SELECT FROM above a WHERE a.zoid = e.zoid) UNION ALL SELECT a.zoid FROM reached r JOIN above a ON a.parent_id = r.zoid
    ), up (start, zoid) AS (
        SELECT a.zoid, a.parent_id FROM above a WHERE NOT EXISTS (SELECT FROM reached r WHERE r.zoid = a.zoid)
        UNION SELECT u.start, a.parent_id FROM up u JOIN above a ON a.zoid = u.zoid WHERE u.zoid <> u.start
    ), cut AS MATERIALIZED (
        SELECT DISTINCT min(u.zoid) AS zoid FROM up u WHERE u.start IN (SELECT l.start FROM up l WHERE l.zoid = l.start) GROUP BY u.start
    ), f AS (
        SELECT e.zoid, e.zoid IN (SELECT c.zoid FROM cut c) AS is_cut%1$s FROM e LEFT JOIN above a ON a.zoid = e.zoid WHERE a.zoid IS NULL OR e.zoid IN (SELECT c.zoid FROM cut c)
        UNION ALL
        SELECT e.zoid, false%2$s FROM f JOIN e ON e.parent_id = f.zoid WHERE e.zoid NOT IN (SELECT c.zoid FROM cut c)
    )$sql$, (SELECT string_agg(format(', newt.inherit(e.%I, ''{}'') AS %I', l.name || '_own', l.name), '' ORDER BY l.place) FROM newt.derived_layout(d.columns) l WHERE l.sort = 'access'),
            (SELECT string_agg(format(', CASE WHEN e.%1$I = ''{}'' THEN f.%2$I ELSE newt.inherit(e.%1$I, f.%2$I) END', l.name || '_own', l.name), '' ORDER BY l.place) FROM newt.derived_layout(d.columns) l WHERE l.sort = 'access')) END,
            d.relation, CASE WHEN d.parent IS NULL AND accesses IS NULL THEN '' ELSE ' LEFT JOIN f ON f.zoid = e.zoid' END,
            compared, CASE WHEN d.parent IS NULL THEN '' ELSE E',\n            (''parent_id'', t.parent_id IS NOT DISTINCT FROM CASE WHEN f.is_cut THEN -e.parent_id ELSE e.parent_id END, CASE WHEN f.is_cut THEN -e.parent_id ELSE e.parent_id END::text, t.parent_id::text)' END);
        RETURN QUERY EXECUTE expected;
        FOR p IN SELECT DISTINCT s.part, s.class_of, s.class_by FROM newt.derived_sources(d.columns) s WHERE s.part IS NOT NULL LOOP
            RETURN QUERY EXECUTE format($sql$
                SELECT $1::regclass, coalesce(x.dependent, w.dependent), format(CASE WHEN x.source IS NULL THEN 'object %%s refers to it, which is not known' ELSE 'object %%s does not refer to it' END, coalesce(x.source, w.source))
                  FROM (SELECT DISTINCT o.zoid AS source, r.zoid AS dependent FROM %1$I.object_state o, unnest(newt.refs_at(%2$s, %3$L)) r (zoid) WHERE newt.try_class_name(o.state) = ANY (%4$L::text[])) w
                  FULL JOIN (SELECT x.source, x.dependent FROM %1$I.newt_dependency x WHERE x.derived = %5$s AND x.part = %6$s) x ON x.source = w.source AND x.dependent = w.dependent
                 WHERE x.source IS NULL OR w.source IS NULL$sql$, store, newt.named_document_sql(store, 'o', newt.derived_keys(d.parent, d.columns)), p.class_by, newt.class_names(store, p.class_of), d.number, p.part) USING d.relation;
        END LOOP;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_derived(text, text) IS 'compares derived columns with what the records say, computed from the beginning: a row for each problem';
