-- ---- freshness and health -------------------------------------------------------------------------

CREATE FUNCTION newt.wait_for(tid bigint, timeout interval DEFAULT '10 s', store text DEFAULT 'public',
                              follower text DEFAULT 'newt-updater') RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    until timestamptz := clock_timestamp() + timeout;
    pause double precision := 0.001;
    seen bigint;
    copies boolean;
BEGIN
    PERFORM newt.check_store(store);
    IF tid IS NULL OR timeout IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
            MESSAGE = 'tid and timeout cannot be null',
            HINT = 'newt_tid() gives the tid of a program''s last transaction.';
    ELSIF pg_catalog.current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_transaction_state',
            MESSAGE = pg_catalog.format('cannot wait for a follower in a transaction of isolation level %s',
                                        pg_catalog.upper(pg_catalog.current_setting('transaction_isolation'))),
            DETAIL = 'Its snapshot would never show that the follower has moved.',
            HINT = 'Wait in READ COMMITTED, before that transaction begins.';
    END IF;
    LOOP
        EXECUTE pg_catalog.format('SELECT f.tid, f.copied IS NOT NULL FROM %I.newt_follower f WHERE f.name = $1', store) INTO seen, copies USING follower;
        IF seen IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'undefined_object',
                MESSAGE = pg_catalog.format('store "%s" has no follower "%s"', store, follower),
                HINT = CASE follower WHEN 'newt-updater' THEN 'Start newt-updater: it registers itself.'
                       ELSE pg_catalog.format('SELECT name FROM %I.newt_follower shows those that there are.', store) END;
        ELSIF seen >= tid AND NOT copies THEN -- what it still copies may be of any transaction
            RETURN true;
        ELSIF clock_timestamp() >= until THEN
            RETURN false;
        END IF;
        PERFORM pg_catalog.pg_sleep(least(pause, extract(epoch FROM until - clock_timestamp())::double precision));
        pause := least(pause * 1.5, 0.05);
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.wait_for(bigint, interval, text, text) IS 'waits until a follower has seen this transaction: true; false when the time is over';

-- At most 100,000 transactions and 100,000 oids are looked at for each follower.
CREATE FUNCTION newt.freshness(store text DEFAULT 'public')
    RETURNS TABLE (follower text, kind text, class_name text, "position" bigint, transactions bigint, waiting bigint,
                   oldest timestamptz, lag interval, complete boolean)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 10
    SET search_path = pg_catalog, pg_temp SET jit = off
    AS $newt_body$
DECLARE
    query text := $sql$
        WITH t AS MATERIALIZED (
            SELECT t.tid, t.serial, t.written, t.removed, t.removed_classes
              FROM %1$I.transaction t WHERE t.tid > $2 ORDER BY t.tid LIMIT 100001
        ), o AS MATERIALIZED (
            SELECT t.tid, w.zoid, w.class FROM t CROSS JOIN LATERAL (
                SELECT u.zoid, NULL AS class FROM unnest(t.written) u (zoid)
                UNION ALL SELECT u.zoid, u.class FROM unnest(t.removed, t.removed_classes) u (zoid, class)
                UNION ALL SELECT u.zoid, NULL FROM %1$I.transaction_object x, unnest(x.written) u (zoid)
                           WHERE x.serial = t.serial AND t.written IS NULL
                UNION ALL SELECT u.zoid, u.class FROM %1$I.transaction_object x, unnest(x.removed, x.removed_classes) u (zoid, class)
                           WHERE x.serial = t.serial AND t.written IS NULL) w
             LIMIT 100001
        ), d AS (
            SELECT o.zoid, min(o.tid) AS tid, max(o.class) AS class FROM o WHERE o.zoid IS NOT NULL GROUP BY o.zoid
        ), c AS MATERIALIZED (
            SELECT d.tid, CASE WHEN s.zoid IS NULL THEN d.class %2$s THEN newt.try_class_name(s.state) END AS class
              FROM d LEFT JOIN %1$I.object_state s ON s.zoid = d.zoid
        ), n AS (
            SELECT count(*) AS transactions, count(*) <= 100000 AND (SELECT count(*) FROM o) <= 100000 AS complete FROM t
        ), g AS (
            SELECT NULL AS class, (SELECT min(t.tid) FROM t) AS tid, (SELECT count(*) FROM c) AS waiting
            UNION ALL
            SELECT c.class, min(c.tid), count(*) FROM c WHERE c.class IS NOT NULL GROUP BY c.class
        )
        SELECT $1, $3, g.class, $2, CASE WHEN g.class IS NULL THEN least(n.transactions, 100000) END, least(g.waiting, 100000),
               to_timestamp(g.tid / 1000000.0),
               greatest(coalesce(clock_timestamp() - to_timestamp(g.tid / 1000000.0), '0'), '0'), n.complete AND NOT $4
          FROM g, n ORDER BY g.class COLLATE "C" NULLS FIRST$sql$;
    f record;
BEGIN
    PERFORM newt.check_store(store);
    FOR f IN EXECUTE pg_catalog.format('SELECT f.name, f.tid, f.kind, f.copied IS NOT NULL AS copies FROM %I.newt_follower f ORDER BY f.name', store) LOOP
        BEGIN
            RETURN QUERY EXECUTE pg_catalog.format(query, store, 'WHEN true') USING f.name, f.tid, f.kind, f.copies;
        EXCEPTION WHEN invalid_binary_representation OR feature_not_supported OR program_limit_exceeded THEN
            -- what is no record is of no class
            RETURN QUERY EXECUTE pg_catalog.format(query, store, 'WHEN newt.try_to_jsonb(s.state) IS NOT NULL')
                USING f.name, f.tid, f.kind, f.copies;
        END;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.freshness(text) IS 'how far each follower is behind: all together (class null), then by class; complete is false where only the first 100,000 were counted, and while the follower still copies what was there before it';

CREATE FUNCTION newt.health(store text DEFAULT 'public',
        OUT newest_tid bigint, OUT newest_at timestamptz, OUT transactions bigint, OUT oldest_tid bigint, OUT oldest_at timestamptz,
        OUT lock_pid integer, OUT lock_since timestamptz, OUT lock_waiters bigint,
        OUT longest_pid integer, OUT longest_age interval,
        OUT followers bigint, OUT copying integer, OUT slowest_follower text, OUT slowest_lag interval,
        OUT rejects bigint, OUT refused bigint) RETURNS record
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp SET jit = off
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    EXECUTE pg_catalog.format($sql$
        SELECT (SELECT max(t.tid) FROM %1$I.transaction t), (SELECT t.tid FROM %1$I.transaction t ORDER BY t.tid LIMIT 1),
               (SELECT count(*) FROM (SELECT FROM %1$I.transaction LIMIT 10001) x)$sql$, store)
        INTO newest_tid, oldest_tid, transactions;
    newest_at := to_timestamp(newest_tid / 1000000.0);
    oldest_at := to_timestamp(oldest_tid / 1000000.0);
    IF transactions > 10000 THEN -- as the statistics have it
        SELECT greatest(s.n_live_tup, 10001) INTO transactions FROM pg_catalog.pg_stat_all_tables s
         WHERE s.relid = pg_catalog.to_regclass(pg_catalog.format('%I.transaction', store));
    END IF;
    SELECT min(coalesce(l.pid, -1)) FILTER (WHERE l.granted), -- -1: a prepared transaction
           min(coalesce(a.xact_start, x.prepared)) FILTER (WHERE l.granted), count(*) FILTER (WHERE NOT l.granted)
      INTO lock_pid, lock_since, lock_waiters
      FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
      LEFT JOIN pg_catalog.pg_locks t ON l.pid IS NULL AND t.pid IS NULL AND t.locktype = 'transactionid' AND t.virtualtransaction = l.virtualtransaction
      LEFT JOIN pg_catalog.pg_prepared_xacts x ON x.transaction = t.transactionid
     WHERE l.locktype = 'relation' AND l.relation = pg_catalog.to_regclass(pg_catalog.format('%I.newt_commit_lock', store)) AND l.mode IN ('ExclusiveLock', 'AccessExclusiveLock')
       AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());
    SELECT a.pid, clock_timestamp() - a.xact_start INTO longest_pid, longest_age
      FROM pg_catalog.pg_stat_activity a
     WHERE a.datname = pg_catalog.current_database() AND a.xact_start IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()
       AND a.backend_type = 'client backend'
     ORDER BY a.xact_start LIMIT 1;
    EXECUTE pg_catalog.format($sql$
        WITH f AS ( -- what a copy has not come to may be as old as the position that it began at
            SELECT f.name, f.copied IS NOT NULL AS copies, CASE
                   WHEN f.copied IS NULL THEN (SELECT t.tid FROM %1$I.transaction t WHERE t.tid > f.tid ORDER BY t.tid LIMIT 1)
                   WHEN f.tid > 0 THEN f.tid
                   ELSE (extract(epoch FROM f.updated_at) * 1000000)::bigint END AS tid
              FROM %1$I.newt_follower f
        )
        SELECT (SELECT count(*) FROM f), (SELECT count(*) FROM f WHERE f.copies), s.name, greatest(coalesce(clock_timestamp() - to_timestamp(s.tid / 1000000.0), '0'), '0')
          FROM (SELECT f.name, f.tid FROM f ORDER BY f.tid, f.name LIMIT 1) s$sql$, store)
        INTO followers, copying, slowest_follower, slowest_lag;
    followers := coalesce(followers, 0);
    copying := coalesce(copying, 0);
    EXECUTE pg_catalog.format($sql$
        SELECT count(*) FILTER (WHERE r.sqlstate IS NULL), count(*) FILTER (WHERE r.sqlstate IS NOT NULL)
          FROM (SELECT e.sqlstate FROM %1$I.newt_reject_entry e JOIN %1$I.object_state o ON o.zoid = e.zoid AND o.serial = e.serial
                 LIMIT 100000) r$sql$, store)
        INTO rejects, refused;
END
$newt_body$;
COMMENT ON FUNCTION newt.health(text) IS 'one row for monitoring: transactions, the holder of the commit lock, the longest open transaction, followers, rejects';

CREATE FUNCTION newt.rejects_report(store text DEFAULT 'public')
    RETURNS TABLE (class_name text, reason text, sqlstate text, constraint_name text, count bigint,
                   first_tid bigint, first_at timestamptz, last_tid bigint, last_at timestamptz, example bigint, what_to_do text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
    SET search_path = pg_catalog, pg_temp SET jit = off
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    RETURN QUERY EXECUTE pg_catalog.format($sql$
        SELECT g.class_name, g.reason, g.sqlstate, g.constraint_name, g.n, g.first_tid, g.first_at, g.last_tid, g.last_at, g.example, CASE
               WHEN g.typed THEN 'A typed table refuses it: change the objects in the program, or the index or constraint on the table; the updater tries again by itself.'
               WHEN g.sqlstate IS NULL THEN CASE g.reason
                   WHEN 'text' THEN 'Text with NUL or not UTF-8 is shown as bytes: correct it in the program, or make the field bytes.'
                   WHEN 'number' THEN 'A number of more than 400 digits is shown as text: newt.numeric() reads it.'
                   WHEN 'too-large' THEN 'The document is not shown: newt.get() reads its items; several smaller objects are shown.'
                   ELSE 'newt.rejects() of the record tells what is not shown.' END
               WHEN g.sqlstate = '23505' THEN 'Another object has the same value: change either in the program; the updater tries again by itself.'
               WHEN g.sqlstate LIKE '23%%' THEN 'Change the objects in the program, or the constraint; then run newt-updater --once --retry-rejects.'
               WHEN g.sqlstate = '54000' THEN 'The value is too large for its index: index a part or a hash of it; then run newt-updater --once --retry-rejects.'
               WHEN g.sqlstate LIKE '22%%' THEN 'An index or a trigger takes no such value: newt.ts(), newt.int8() and others give null for it; then run newt-updater --once --retry-rejects.'
               ELSE 'What raised it is an index, a constraint or a trigger of yours on newt_projection: change that; then run newt-updater --once --retry-rejects.' END
          FROM (
            SELECT newt.try_class_name(o.state), e.reason, e.sqlstate, e.constraint_name, count(*),
                   min(t.tid), to_timestamp(min(t.tid) / 1000000.0), max(t.tid), to_timestamp(max(t.tid) / 1000000.0), min(e.zoid), e.n < 0
              FROM %1$I.newt_reject_entry e
              JOIN %1$I.object_state o ON o.zoid = e.zoid AND o.serial = e.serial
              LEFT JOIN %1$I.transaction t ON t.serial = e.serial
             GROUP BY 1, 2, 3, 4, e.n < 0) g (class_name, reason, sqlstate, constraint_name, n, first_tid, first_at, last_tid, last_at, example, typed)
         ORDER BY g.sqlstate IS NULL, g.n DESC, g.class_name COLLATE "C", g.reason COLLATE "C", g.sqlstate COLLATE "C", g.constraint_name COLLATE "C"$sql$, store);
END
$newt_body$;
COMMENT ON FUNCTION newt.rejects_report(text) IS 'what the projection lacks or shows only in part, for people: by class and reason, how many, since when, an example, what to do; times are null where the transaction is no longer kept';
