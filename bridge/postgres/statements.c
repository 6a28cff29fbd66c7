/*
 * statements.c - every SQL statement of the library
 */
#include "session.h"

/* ---- the statements ------------------------------------------------------------------- */

/* For the moments when the commit lock is held and the next message does not come. */
#define GUARD "set_config('idle_in_transaction_session_timeout', '10s', true)"

/* Raises in the server, so that nothing after it in the pipeline runs. */
#define EXPECT(n)                                                                                  \
    "SELECT CASE WHEN count(*) = " n " THEN " GUARD " ELSE @store@.newt_raise('40001', "           \
    "'object was changed by another transaction', 'Its serial is not the one that was read.')"     \
    "::text END FROM u"

/* A table of the store as a value. The mark stands for the quoted schema within a string with
 * escapes, in which neither a quote nor a backslash of its name means anything. */
#define TABLE(name) "E'@literal@." name "'::regclass"

#define MAY_DRAW(sequence) "has_sequence_privilege(" TABLE(sequence) ", 'USAGE, UPDATE')"

/* Lock and row as part of COMMIT: before that the transaction holds nothing that others need. */
#define AT_COMMIT(serial, nonce, written, removed, username, description, extension, classes)      \
    "newt.at_commit(" TABLE("transaction") ", " serial ", " nonce ", " written ", " removed        \
                                           ", " username ", " description ", " extension           \
                                           ", " classes ")"

/* $1 zoids, $2 serials that they have, 0: new, $3 records, $4 serial, $5 not 0: with their rows */
#define WRITE "newt.write(" TABLE("object_state") ", $1, $2, $3, $4, $5::bigint <> 0)"

/* Tables of the store that newt.write() can write: as they were created, and with all rights. */
#define PLAIN_TABLES                                                                               \
    "(SELECT count(*) = 2 FROM pg_class c WHERE c.oid = ANY (ARRAY[to_regclass($1::text || "       \
    "'.object_state'), to_regclass($1::text || '.newt_projection')]) AND c.relkind = 'r' "         \
    "AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 "          \
    "AND NOT a.attisdropped) = CASE WHEN c.relname = 'object_state' THEN 3 ELSE 4 END "            \
    "AND NOT (c.relrowsecurity OR c.relispartition OR c.relhassubclass "                           \
    "OR c.relhastriggers AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid) "           \
    "OR c.relhasrules AND EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid)) AND "        \
    "has_table_privilege(c.oid, 'SELECT') "                                                        \
    "AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE'))"
#define UPDATE_ONE                                                                                 \
    "WITH u AS (UPDATE @store@.object_state SET serial = $3, state = $4 "                          \
    "WHERE zoid = $1 AND serial = $2 RETURNING zoid"

/* Its row is there, nearly always: an upsert would look for room first, lock the row and write WAL
 * for that. Where it is not, newt_project_one finds out whether the object was changed; u has been
 * carried out then, for the join begins with it. */
#define PROJECT_ONE(document)                                                                      \
    "), p AS (UPDATE @store@.newt_projection q SET class_name = $5, serial = $3, "                 \
    "state = " document " FROM u WHERE q.zoid = ANY (ARRAY[u.zoid]) RETURNING 1) "                 \
    "SELECT CASE WHEN CASE WHEN count(*) = 1 THEN true ELSE "                                      \
    "@store@.newt_project_one($1, $3, $5, " document ") END THEN " GUARD " END FROM p"

/* A nested loop over the array, and so in its order, by which crossing transactions wait instead of
 * deadlocking. A null state is an object about to be deleted. */
#define UPDATE_MANY(columns)                                                                       \
    "WITH u AS (UPDATE @store@.object_state o SET serial = $4, "                                   \
    "state = coalesce(i.state, o.state) FROM (SELECT * FROM "                                      \
    "unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS i(zoid, serial, state) OFFSET 0) i "       \
    "WHERE o.zoid = ANY (ARRAY[i.zoid]) AND o.serial = i.serial RETURNING " columns ") "

#define INSERT_MANY                                                                                \
    "WITH o AS (INSERT INTO @store@.object_state (zoid, serial, state) "                           \
    "SELECT i.zoid, $2, i.state FROM unnest($1::bigint[], $3::bytea[]) AS i(zoid, state)"

#define PROJECT "INSERT INTO @store@.newt_projection (zoid, class_name, serial, state) "

#define DOCUMENTS                                                                                  \
    "SELECT i.zoid, i.class_name, $3, i.state "                                                    \
    "FROM unnest($1::bigint[], $2::text[], $4::jsonb[]) AS i(zoid, class_name, state) "

#define UPSERT                                                                                     \
    "ON CONFLICT (zoid) DO UPDATE SET class_name = excluded.class_name, "                          \
    "serial = excluded.serial, state = excluded.state"

#define NEXT_TID                                                                                   \
    "greatest((SELECT max(tid) FROM @store@.transaction) + 1, "                                    \
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
/* $5 synchronous_commit of this transaction; null: as it is */
#define RETURNING_TID                                                                              \
    "RETURNING tid, set_config('synchronous_commit', "                                             \
    "coalesce($5::text, current_setting('synchronous_commit')), true)"

#define INCARNATION NEWT__INCARNATION
#define EMIT        "pg_logical_emit_message(true, 'newt', '')"

/*
 * Settings of the session, if it is in the server's process $2, else of one transaction: a
 * client that does not know of its pooler leaves nothing behind. The first
 * NEWT__N_PLAN_SETTINGS make every statement here run by index and in the order of its arrays,
 * planned once, whatever statistics there are; queries of the application get the server's own
 * back. The others hold for these too: what a role or a database has set must neither stop a commit
 * nor change how values read. $1 the incarnation that the server must be of, or null; $3 the
 * store's schema.
 */
#define LOCAL "pg_backend_pid() <> $2::text::integer"
/* clang-format off */
#define SET(name, value)                                                                           \
    "current_setting('" name "'), set_config('" name "', '" value "', " LOCAL "), "
#define SETTINGS                                                                                   \
    SET("plan_cache_mode", "force_generic_plan")                                                   \
    SET("jit", "off")                                                                              \
    SET("enable_seqscan", "off")                                                                   \
    SET("enable_bitmapscan", "off")                                                                \
    SET("enable_hashjoin", "off")                                                                  \
    SET("enable_mergejoin", "off")                                                                 \
    SET("enable_indexscan", "on")                                                                  \
    SET("enable_nestloop", "on")                                                                   \
    SET("default_transaction_isolation", "read committed")                                         \
    SET("default_transaction_read_only", "off")                                                    \
    SET("default_transaction_deferrable", "off")                                                   \
    SET("datestyle", "ISO")                                                                        \
    SET("extra_float_digits", "1")                                                                 \
    SET("bytea_output", "hex")                                                                     \
    "set_config('search_path', concat_ws(', ', $3::text, "                                         \
    "nullif(current_setting('search_path'), '')), " LOCAL ")"
/* clang-format on */

/*
 * Rows are found by the zoids of others as zoid = ANY (ARRAY[other.zoid]), which only an index scan
 * for each of these can answer. With a plain equality, a plan made while the table was small reads
 * all of its index, in zoid order, and is kept when the table has grown.
 */

/* Writes what r has (zoid, seen: serial of its row or null, class_name, serial, json: null if there
 * is to be no row) by compare-and-set on seen: who wrote a row in between is newer. Superseded
 * rejects go; v gives the new ones of what was written. */
#define FOLLOW_WRITE(v)                                                                            \
    "u AS (UPDATE @store@.newt_projection p SET class_name = r.class_name, serial = r.serial, "    \
    "state = r.json FROM r WHERE r.seen IS NOT NULL AND r.json IS NOT NULL "                       \
    "AND p.zoid = ANY (ARRAY[r.zoid]) AND p.serial = r.seen RETURNING r.zoid, r.serial, r.seen), " \
    "n AS (INSERT INTO @store@.newt_projection (zoid, class_name, serial, state) "                 \
    "SELECT r.zoid, r.class_name, r.serial, r.json FROM r WHERE r.seen IS NULL "                   \
    "AND r.json IS NOT NULL ON CONFLICT (zoid) DO NOTHING RETURNING zoid, serial), "               \
    "d AS (DELETE FROM @store@.newt_projection p USING r WHERE r.json IS NULL "                    \
    "AND r.seen IS NOT NULL AND p.zoid = ANY (ARRAY[r.zoid]) AND p.serial = r.seen RETURNING "     \
    "r.zoid, r.seen), "                                                                            \
    "w AS MATERIALIZED (SELECT zoid, serial FROM u UNION ALL SELECT zoid, serial FROM n), "        \
    "x AS (DELETE FROM @store@.newt_reject_entry e USING (SELECT zoid, seen FROM u UNION ALL "     \
    "SELECT zoid, seen FROM d) o WHERE e.zoid = ANY (ARRAY[o.zoid]) AND e.serial = o.seen), "      \
    "y AS (DELETE FROM @store@.newt_reject_entry e USING n WHERE e.zoid = ANY (ARRAY[n.zoid]) "    \
    "AND e.n = 0), "                                                                               \
    "v AS (" v "), "                                                                               \
    "e AS (INSERT INTO @store@.newt_reject_entry (zoid, serial, n, path, reason) "                 \
    "SELECT v.zoid, v.serial, v.n, v.path, v.reason FROM v ON CONFLICT DO NOTHING RETURNING 1) "   \
    "SELECT (SELECT count(*) FROM w), (SELECT count(*) FROM d), (SELECT count(*) FROM e)"

/* Objects whose row is not that of their record; $1 zoids in their order. */
#define FOLLOW_STALE                                                                               \
    "SELECT i.zoid, o.serial, o.state, p.serial AS seen "                                          \
    "FROM (SELECT * FROM unnest($1::bigint[]) AS i(zoid) OFFSET 0) i "                             \
    "LEFT JOIN @store@.object_state o ON o.zoid = ANY (ARRAY[i.zoid]) "                            \
    "LEFT JOIN @store@.newt_projection p ON p.zoid = ANY (ARRAY[i.zoid]) "                         \
    "WHERE o.serial IS DISTINCT FROM p.serial"

/* Sweeps: the objects after $1, at most $2 of them, as r (zoid, serial, class_name, json: null if
 * there is to be no row). */
#define SWEEP_WINDOW                                                                               \
    "w AS MATERIALIZED (SELECT zoid, serial, state FROM @store@.object_state WHERE zoid > $1 "     \
    "ORDER BY zoid LIMIT $2), "
#define SWEEP_SERVER                                                                               \
    SWEEP_WINDOW                                                                                   \
    "j AS MATERIALIZED (SELECT w.*, newt.try_to_jsonb(w.state) AS json FROM w), "                  \
    "r AS MATERIALIZED (SELECT j.zoid, j.serial, CASE WHEN j.json IS NOT NULL "                    \
    "THEN newt.class_name(j.state) END AS class_name, j.json FROM j), "
/* The same, computed by the client: $4 zoids, $5 class names, $6 serials, $7 documents. What has
 * changed since the records were read is left to those who changed it. */
#define SWEEP_HERE                                                                                 \
    "w AS MATERIALIZED (SELECT zoid FROM unnest($4::bigint[]) AS i(zoid) WHERE zoid > $1), "       \
    "r AS MATERIALIZED (SELECT i.* FROM (SELECT * FROM unnest($4::bigint[], $5::text[], "          \
    "$6::bigint[], $7::jsonb[]) AS i(zoid, class_name, serial, json) OFFSET 0) i "                 \
    "JOIN @store@.object_state o ON o.zoid = ANY (ARRAY[i.zoid]) AND o.serial = i.serial), "
/* $3 classes, null: all. Those that clients project, and virtual ones, are not compared. */
#define SWEEP_MODES                                                                                \
    "m AS MATERIALIZED (SELECT array(SELECT DISTINCT name FROM @store@.newt_class "                \
    "WHERE projection = 'client') AS client, array(SELECT DISTINCT name FROM "                     \
    "@store@.newt_class WHERE projection = 'virtual') AS virtual, array(SELECT DISTINCT name "     \
    "FROM @store@.newt_class WHERE projection <> 'virtual') AS stored, "                           \
    "(SELECT projection = 'virtual' FROM @store@.newt_store) AS all_virtual), "                    \
    "s AS MATERIALIZED (SELECT r.zoid, r.serial, r.class_name, CASE WHEN CASE WHEN m.all_virtual " \
    "THEN r.class_name <> ALL (m.stored) ELSE r.class_name = ANY (m.virtual) END THEN NULL "       \
    "ELSE r.json END AS json FROM r, m WHERE ($3::text[] IS NULL OR r.class_name = ANY ($3)) "     \
    "AND (r.class_name IS NULL OR r.class_name <> ALL (m.client))), "
#define CHECK                                                                                      \
    "f AS MATERIALIZED (SELECT s.zoid, CASE WHEN p.zoid IS NULL AND s.json IS NULL THEN 0 "        \
    "WHEN p.zoid IS NULL AND EXISTS (SELECT FROM @store@.newt_reject_entry e WHERE e.zoid = "      \
    "s.zoid AND e.serial = s.serial AND e.n = 0) THEN 5 WHEN p.zoid IS NULL THEN 1 "               \
    "WHEN p.serial <> s.serial THEN 2 WHEN s.json IS NULL OR p.state <> s.json "                   \
    "OR p.class_name <> s.class_name THEN 3 ELSE 0 END AS fault FROM s "                           \
    "LEFT JOIN @store@.newt_projection p ON p.zoid = ANY (ARRAY[s.zoid])), "                       \
    "l AS MATERIALIZED (SELECT count(*) AS n, CASE WHEN count(*) < $2 THEN 9223372036854775807 "   \
    "ELSE max(zoid) END AS last FROM w), "                                                         \
    "x AS MATERIALIZED (SELECT p.zoid, 4 AS fault FROM l, @store@.newt_projection p "              \
    "WHERE p.zoid > $1 AND p.zoid <= l.last AND NOT EXISTS (SELECT FROM "                          \
    "@store@.object_state o WHERE o.zoid = ANY (ARRAY[p.zoid])) "                                  \
    "AND ($3::text[] IS NULL OR p.class_name = ANY ($3))), "                                       \
    "y AS MATERIALIZED (SELECT * FROM f WHERE fault > 0 UNION ALL SELECT * FROM x) "               \
    "SELECT (SELECT count(*) FROM s), l.last, (SELECT array_agg(zoid ORDER BY zoid) FROM y), "     \
    "(SELECT array_agg(fault::bigint ORDER BY zoid) FROM y) FROM l"
/* Only rows of the record that is computed from: others are written by whoever is to write them. */
#define REPROJECT                                                                                  \
    "i AS (INSERT INTO @store@.newt_reprojected (zoid, serial, class_name, state) "                \
    "SELECT s.zoid, s.serial, s.class_name, s.json FROM s JOIN @store@.newt_projection p "         \
    "ON p.zoid = ANY (ARRAY[s.zoid]) AND p.serial = s.serial "                                     \
    "WHERE p.state IS DISTINCT FROM s.json OR p.class_name IS DISTINCT FROM s.class_name "         \
    "ON CONFLICT (zoid) DO UPDATE SET serial = excluded.serial, class_name = "                     \
    "excluded.class_name, state = excluded.state RETURNING 1) "                                    \
    "SELECT (SELECT count(*) FROM w), CASE WHEN (SELECT count(*) FROM w) < $2 "                    \
    "THEN 9223372036854775807 ELSE (SELECT max(zoid) FROM w) END, (SELECT count(*) FROM i)"

/* clang-format off */
#define HEALTH                                                                                     \
    "SELECT n.tid, (SELECT min(tid) FROM @store@.transaction), "                                   \
    "(SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = " TABLE("transaction") "), " \
    "f.tid, (SELECT count(*) FROM (SELECT FROM @store@.transaction t WHERE t.tid > f.tid "         \
    "LIMIT $2) w), (SELECT greatest(1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint " \
    "- min(t.tid)) FROM @store@.transaction t WHERE t.tid > f.tid), "                              \
    "(SELECT count(*) FROM @store@.newt_reject_entry e JOIN @store@.object_state o "               \
    "ON o.zoid = ANY (ARRAY[e.zoid]) AND o.serial = e.serial "                                     \
    "WHERE CASE f.kind WHEN 'tables' THEN e.n < 0 ELSE e.n = 0 END), "                             \
    "(SELECT (extract(epoch FROM clock_timestamp() - min(xact_start)) * 1000000)::bigint "         \
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()), "      \
    "f.copied IS NOT NULL, f.copied FROM (SELECT max(tid) AS tid FROM @store@.transaction) n "     \
    "LEFT JOIN @store@.newt_follower f ON f.name = $1::text"
/* clang-format on */

/* Advisory locks, whose first key is the store. */
#define STORE_KEY    TABLE("newt_commit_lock") "::oid::integer"
#define FOLLOWER_KEY TABLE("newt_follower") "::oid::integer"

#define MOVED                                                                                      \
    ") SELECT CASE WHEN count(*) = 1 THEN 1 ELSE @store@.newt_raise('40001', "                     \
    "'another process follows under this name', '') END FROM u"

#define HOLD(mode)                                                                                 \
    "WITH u AS MATERIALIZED (SELECT FROM @store@.newt_follower WHERE name = $1::text "             \
    "AND tid = $2 AND coalesce(copied, -1) = $3 FOR " mode MOVED

const char *const newt__statements[NEWT__N_STATEMENTS] = {
    [NEWT__S_BEGIN_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    /* said in full: a role's defaults could make max(tid) stale */
    [NEWT__S_BEGIN_WRITE] = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
    /* of the settings those without which a table that was never analyzed is read as a whole */
    [NEWT__S_BY_INDEX] = "SELECT set_config('enable_seqscan', 'off', true), "
                         "set_config('enable_bitmapscan', 'off', true)",
    [NEWT__S_SETTINGS] =
        "SELECT CASE WHEN $1::uuid IS NULL OR $1 = " INCARNATION " THEN NULL ELSE "
        "@store@.newt_raise('08006', 'the server was restarted or replaced', 'It is of another "
        "incarnation.') END, " SETTINGS,
    /* $1 schema. The last column is the same as long as nothing here has changed that a connection
     * keeps: the extension's version, the functions of it that we call and may, and the store. In a
     * field of results as text it must come without a sign. Once, and by their names alone:
     * has_function_privilege looks into another catalogue for each. */
    [NEWT__S_LOOK] =
        "SELECT s.store IS NOT NULL, 'to_jsonb' = ANY (f.names), 'walk' = ANY (f.names), "
        "pg_backend_pid(), pg_is_in_recovery(), 'at_commit' = ANY (f.names), "
        "'project_new' = ANY (f.names), "
        "abs(hashtextextended(concat_ws(' ', f.names::text, s.store::oid, pg_is_in_recovery(), "
        "t.plain, "
        "(SELECT extversion FROM pg_extension WHERE extname = 'newt')), 0) / 2), "
        "t.plain AND f.names @> '{write,commit}'::text[] "
        "FROM (SELECT array(SELECT p.proname::text FROM pg_proc p "
        "WHERE p.proname = ANY ('{at_commit,class_name,commit,committed,project_new,rejects,"
        "to_jsonb,try_to_jsonb,walk,write}'::name[]) "
        "AND p.pronamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = 'newt' "
        "AND has_schema_privilege(n.oid, 'USAGE')) "
        "AND p.prolang = (SELECT l.oid FROM pg_language l WHERE l.lanname = 'c') "
        "AND has_function_privilege(p.oid, 'EXECUTE') ORDER BY p.oid) OFFSET 0) AS f(names), "
        "(SELECT to_regclass($1::text || '.newt_store')) AS s(store), (SELECT " PLAIN_TABLES
        ") AS t(plain)",
    /* by itself: another version may lack what the next one asks for */
    [NEWT__S_VERSION] = "SELECT version FROM @store@.newt_store WHERE one",
    /* the last column: whether this role may take numbers */
    [NEWT__S_STORE] = "SELECT projection, oid_block::bigint, serial_block::bigint, " MAY_DRAW(
        "newt_oid") " AND " MAY_DRAW("newt_serial") " FROM @store@.newt_store WHERE one",
    /* which life of which server: a restored dump brings the incarnation's row along, but not the
     * database's oid */
    [NEWT__S_LIFE] =
        "SELECT " INCARNATION ", s.system_identifier, p.timeline_id::bigint, "
        "(SELECT d.oid::bigint FROM pg_database d WHERE d.datname = current_database()) "
        "FROM pg_control_system() s, pg_control_checkpoint() p",
    [NEWT__S_NEW_LIFE] = "INSERT INTO @store@.newt_incarnation DEFAULT VALUES "
                         "ON CONFLICT DO NOTHING",
    [NEWT__S_COMMIT] = "COMMIT",
    [NEWT__S_ROLLBACK] = "ROLLBACK",
    [NEWT__S_SAVEPOINT] = "SAVEPOINT newt",
    [NEWT__S_ROLLBACK_TO] = "ROLLBACK TO SAVEPOINT newt",
    [NEWT__S_RELEASE] = "RELEASE SAVEPOINT newt",
    [NEWT__S_CONSTRAINTS] = "SET CONSTRAINTS ALL IMMEDIATE",
    [NEWT__S_USER_PLANS] =
        "SELECT set_config('plan_cache_mode', $1, true), set_config('jit', $2, true), "
        "set_config('enable_seqscan', $3, true), set_config('enable_bitmapscan', $4, true), "
        "set_config('enable_hashjoin', $5, true), set_config('enable_mergejoin', $6, true), "
        "set_config('enable_indexscan', $7, true), set_config('enable_nestloop', $8, true)",

    /* $1 position of the cache, whose row comes first, $2 serial of our own, whose oids are not
     * wanted; also in newt__changes_read */
    [NEWT__S_CHANGES] = "SELECT t.tid, t.serial, " INCARNATION
                        ", CASE WHEN t.serial = $2 THEN NULL "
                        "WHEN t.written IS NULL THEN @store@.newt_large(t.serial, 10001) "
                        "ELSE t.written || t.removed END "
                        "FROM @store@.transaction t WHERE t.tid >= $1 ORDER BY t.tid LIMIT 5001",
    /* the same for a cache without a position */
    [NEWT__S_NEWEST] = "SELECT t.tid, t.serial, " INCARNATION ", NULL::bigint[] "
                       "FROM @store@.transaction t ORDER BY t.tid DESC LIMIT 1",
    /* the same after the commit of the transaction with this serial */
    [NEWT__S_OWN] = "SELECT t.tid, t.serial, " INCARNATION ", NULL::bigint[] "
                    "FROM @store@.transaction t WHERE t.serial = $1",
    /* the same after newt.at_commit: the session knows whether there is anything to read; $1, $2
     * position or nulls. See read_committed() in snapshot.c */
    [NEWT__S_COMMITTED] = "SELECT newt.committed(" TABLE("transaction") ", $1, $2)",
    [NEWT__S_BARRIER] = "SELECT " EMIT,
    /* $1 sequence, $2 blocks of it, $3 0: of serials. After a restore or a replication without
     * sequences they give numbers that are in use: those are skipped. The snapshot is older than
     * the block, so a greater number in it was drawn before; but for NEWT__FIRST_LAYER_OID and
     * greater ones, which were not drawn here. */
    [NEWT__S_BLOCKS] =
        "SELECT b.start FROM (SELECT nextval($1::text::regclass) AS start "
        "FROM generate_series(1, $2::bigint) OFFSET 0) b WHERE b.start > coalesce("
        "CASE WHEN $3::bigint = 0 THEN (SELECT max(serial) FROM @store@.transaction) "
        "ELSE (SELECT max(zoid) FROM @store@.object_state WHERE zoid < 4503599627370496) END, 0)",

    [NEWT__S_LOAD] =
        "SELECT zoid, serial, state FROM @store@.object_state WHERE zoid = ANY ($1::bigint[])",
    /* $1 schema, $2 zoids, $3 depth, $4 objects, $5 fields */
    /* in a target list, rows travel while the walk goes on */
    [NEWT__S_WALK] = "SELECT (w.row).zoid, (w.row).serial, (w.row).state "
                     "FROM (SELECT newt.walk($1, $2, $3, $4, $5) AS row) w",
    /* $1 zoids, $2 serials they should have, $3 not 0: its record is wanted. Those that have
     * another or are removed. */
    [NEWT__S_CONFLICTS] = "SELECT i.zoid, o.serial, CASE WHEN i.wanted <> 0 THEN o.state END "
                          "FROM (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) "
                          "AS i(zoid, serial, wanted) OFFSET 0) i "
                          "LEFT JOIN @store@.object_state o ON o.zoid = ANY (ARRAY[i.zoid]) "
                          "WHERE o.serial IS DISTINCT FROM i.serial",

    /* $1 keys, $2 milliseconds for each; row by row whether it had to wait. Not in a transaction:
     * the locks stay. */
    [NEWT__S_QUEUE] = "SELECT CASE WHEN set_config('lock_timeout', $2, true) IS NULL THEN NULL "
                      "WHEN pg_try_advisory_lock(" STORE_KEY ", k) THEN false "
                      "ELSE pg_advisory_lock(" STORE_KEY
                      ", k) IS NOT NULL END FROM unnest($1::integer[]) k",
    [NEWT__S_LAST_TURN] = "SELECT pg_advisory_xact_lock(" STORE_KEY ", k), "
                          "pg_advisory_unlock(" STORE_KEY ", k) FROM unnest($1::integer[]) k",
    /* those that there are: to unlock another would be a warning in the server's log */
    [NEWT__S_TURN_OVER] = "SELECT pg_advisory_unlock(" STORE_KEY ", objid::integer) "
                          "FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() "
                          "AND objsubid = 2 AND classid = " TABLE("newt_commit_lock"),

    [NEWT__S_UPDATE_ONE] = UPDATE_ONE ") " EXPECT("1"),
    [NEWT__S_UPDATE_ONE_CLIENT] = UPDATE_ONE PROJECT_ONE("$6"),
    [NEWT__S_UPDATE_ONE_SERVER] = UPDATE_ONE PROJECT_ONE("newt.to_jsonb($4)"),
    [NEWT__S_WRITE] = "SELECT " WRITE ", " GUARD,
    [NEWT__S_WRITE_AT_COMMIT] = "SELECT " WRITE ", " AT_COMMIT("$4", "$6", "$1", "'{}'", "NULL",
                                                               "NULL", "NULL", "NULL"),
    /* $7, $8 position or nulls; the answer of NEWT__S_COMMITTED */
    [NEWT__S_WRITE_AND_COMMIT] = "SELECT newt.commit(" TABLE(
        "transaction") ", $4, $6, $1, $2, $3, $5::bigint <> 0, $7, $8)",
    [NEWT__S_UPDATE_MANY] = UPDATE_MANY("1") EXPECT("$5::bigint"),
    [NEWT__S_UPDATE_MANY_SERVER] = UPDATE_MANY(
        "o.zoid, o.state, i.state IS NOT NULL AS kept") ", p AS (" PROJECT
                                                        "SELECT u.zoid, newt.class_name(u.state), "
                                                        "$4, newt.to_jsonb(u.state) "
                                                        "FROM u WHERE u.kept " UPSERT
                                                        ") " EXPECT("$5::bigint"),
    [NEWT__S_DELETE_MANY] =
        "WITH d AS (DELETE FROM @store@.object_state WHERE zoid = ANY ($1::bigint[])), "
        "r AS (DELETE FROM @store@.newt_reject_entry WHERE zoid = ANY ($1::bigint[])) "
        "DELETE FROM @store@.newt_projection WHERE zoid = ANY ($1::bigint[])",
    /* guarded too: there may be nothing else */
    [NEWT__S_INSERT_MANY] = INSERT_MANY ") SELECT " GUARD,
    [NEWT__S_INSERT_MANY_SERVER] = INSERT_MANY
    " RETURNING zoid, state), p AS (" PROJECT
    "SELECT o.zoid, newt.class_name(o.state), $2, newt.to_jsonb(o.state) FROM o) "
    "SELECT " GUARD,
    /* $1 zoids, $2 class names, $3 serial, $4 documents; of new objects there can be no row */
    [NEWT__S_PROJECT_NEW] = PROJECT DOCUMENTS,
    [NEWT__S_PROJECT_CLIENT] = PROJECT DOCUMENTS UPSERT,
    [NEWT__S_PROJECT_SERVER] = PROJECT
    "SELECT o.zoid, newt.class_name(o.state), o.serial, newt.to_jsonb(o.state) "
    "FROM (SELECT * FROM unnest($1::bigint[]) AS i(zoid) OFFSET 0) i "
    "JOIN @store@.object_state o ON o.zoid = ANY (ARRAY[i.zoid]) " UPSERT,
    [NEWT__S_UNPROJECT] = "DELETE FROM @store@.newt_projection WHERE zoid = ANY ($1::bigint[])",
    /* $1 serial, $2 [{"zoid":, "path": [...], "reason":}, ...] */
    [NEWT__S_REJECTS] =
        "WITH r AS MATERIALIZED (SELECT (e.v ->> 'zoid')::bigint AS zoid, e.n, e.v "
        "FROM jsonb_array_elements($2::text::jsonb) WITH ORDINALITY AS e(v, n)), "
        "d AS (DELETE FROM @store@.newt_reject_entry "
        "WHERE zoid = ANY (ARRAY(SELECT r.zoid FROM r)) AND serial <> $1) "
        "INSERT INTO @store@.newt_reject_entry (zoid, serial, n, path, reason) "
        "SELECT r.zoid, $1, row_number() OVER (PARTITION BY r.zoid ORDER BY r.n), "
        "ARRAY(SELECT jsonb_array_elements_text(r.v -> 'path')), r.v ->> 'reason' FROM r",
    [NEWT__S_TRANSACTION_OBJECT] =
        "INSERT INTO @store@.transaction_object (serial, n, written, removed, removed_classes) "
        "VALUES ($1, $2::bigint, $3, $4, $5)",
    /* of a tombstone: who holds the lock may never go on, if its messages end in the wrong place */
    [NEWT__S_PATIENCE] = "SELECT " GUARD ", set_config('lock_timeout', '20s', true)",
    [NEWT__S_LOCK] = "LOCK TABLE @store@.newt_commit_lock IN EXCLUSIVE MODE",
    /* a plain SELECT: it sees all commits before ours, and locks no row */
    [NEWT__S_CURRENT] =
        "SELECT CASE WHEN count(*) = $3::bigint THEN 1 ELSE @store@.newt_raise('40001', 'object "
        "was "
        "changed by another transaction', 'Its serial is not the one that was read.') END "
        "FROM (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS i(zoid, serial) OFFSET 0) i "
        "LEFT JOIN @store@.object_state o ON o.zoid = ANY (ARRAY[i.zoid]) "
        "WHERE coalesce(o.serial, 0) = i.serial",
    [NEWT__S_TRANSACTION] =
        "INSERT INTO @store@.transaction (tid, serial, nonce, written, removed, username, "
        "removed_classes) VALUES (" NEXT_TID ", $1, $2, $3, $4, CURRENT_USER, $6) " RETURNING_TID,
    [NEWT__S_TRANSACTION_DESCRIBED] =
        "INSERT INTO @store@.transaction (tid, serial, nonce, written, removed, username, "
        "description, extension, removed_classes) VALUES (" NEXT_TID ", $1, $2, $3, $4, "
        "coalesce($6::text, CURRENT_USER), $7::text, $8::text::jsonb, $9) " RETURNING_TID,
    /* the same within COMMIT */
    [NEWT__S_AT_COMMIT] = "SELECT " AT_COMMIT("$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8"),
    [NEWT__S_ORIGIN] = "SELECT tid, serial, (extract(epoch FROM committed_at) * 1000000)::bigint, "
                       "username, description, extension::text FROM @store@.transaction "
                       "WHERE serial = $1",
    /* $1 the end of the names of this store's */
    [NEWT__S_PREPARED] =
        "SELECT split_part(gid, '.', 1), (extract(epoch FROM clock_timestamp() - prepared) * "
        "1000000)::bigint FROM pg_prepared_xacts WHERE database = current_database() "
        "AND starts_with(gid, 'newt-') AND right(gid, length($1::text)) = $1 ORDER BY prepared",
    [NEWT__S_IS_RUNNING] = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1::bigint",
    [NEWT__S_NONCE] = "SELECT nonce, tid FROM @store@.transaction WHERE serial = $1",

    /* what is registered otherwise than $1 name, $2 version, $3 fields, $4 projection say: n, its
     * version (null: not at all), its fields if they are others as text, its projection. As a rule
     * there is no row. */
    [NEWT__S_CLASSES] =
        "SELECT i.n, k.version::bigint, CASE WHEN k.fields::text <> i.fields "
        "THEN k.fields::text END, k.projection FROM unnest($1::text[], $2::integer[], $3::text[], "
        "$4::text[]) WITH ORDINALITY AS i(name, version, fields, projection, n) "
        "LEFT JOIN @store@.newt_class k ON k.name = i.name AND k.version = i.version "
        "WHERE k.name IS NULL OR k.fields::text <> i.fields "
        "OR k.projection IS DISTINCT FROM i.projection ORDER BY i.n",
    [NEWT__S_REGISTER] = "INSERT INTO @store@.newt_class (name, version, fields, projection) "
                         "SELECT * FROM unnest($1::text[], $2::integer[], $3::jsonb[], $4::text[]) "
                         "ON CONFLICT DO NOTHING",

    [NEWT__S_REGISTERED] =
        "SELECT name, version::bigint, fields::text, projection FROM @store@.newt_class "
        "ORDER BY registered_at, name, version",
    [NEWT__S_IMPORT_FIRST] = "WITH o AS (DELETE FROM @store@.transaction_object) "
                             "DELETE FROM @store@.transaction",
    /* $1 zoids, $2 serials, $3 records */
    [NEWT__S_IMPORT_OBJECTS] =
        "INSERT INTO @store@.object_state AS o (zoid, serial, state) SELECT * FROM "
        "unnest($1::bigint[], $2::bigint[], $3::bytea[]) ON CONFLICT (zoid) DO UPDATE SET "
        "serial = excluded.serial, state = excluded.state WHERE o.serial <> excluded.serial",
    /* $1 zoids that stay, of those after $2 up to $3, $4 how many they are. As a rule there are no
     * others, and each row is compared with all of the array where there are. */
    [NEWT__S_IMPORT_GAP] =
        "WITH d AS (DELETE FROM @store@.object_state WHERE (SELECT count(*) FROM "
        "@store@.object_state WHERE zoid > $2 AND zoid <= $3) <> $4::bigint AND zoid > $2 "
        "AND zoid <= $3 AND zoid <> ALL ($1::bigint[]) RETURNING zoid), r AS (DELETE FROM "
        "@store@.newt_reject_entry e USING d WHERE e.zoid = ANY (ARRAY[d.zoid])) "
        "DELETE FROM @store@.newt_projection p USING d WHERE p.zoid = ANY (ARRAY[d.zoid])",
    /* $4 microseconds; $5 user, $6 description, $7 extension; $8 written, $9 removed: null where
     * they are parts */
    [NEWT__S_IMPORT_TRANSACTION] =
        "INSERT INTO @store@.transaction (tid, serial, nonce, committed_at, username, "
        "description, extension, written, removed, removed_classes) "
        "VALUES ($1, $2, 0, to_timestamp($3::bigint / 1000000) + "
        "$3::bigint % 1000000 * interval '1 microsecond', $4, $5, $6::text::jsonb, $7, $8, $9) "
        "ON CONFLICT (tid) DO NOTHING",
    /* as NEWT__S_TRANSACTION_OBJECT */
    [NEWT__S_IMPORT_PART] =
        "INSERT INTO @store@.transaction_object (serial, n, written, removed, removed_classes) "
        "VALUES ($1, $2::bigint, $3, $4, $5) ON CONFLICT DO NOTHING",
    /* those that are given out from now on are greater than all that are in use, but for those of
     * layers (NEWT__FIRST_LAYER_OID) */
    [NEWT__S_IMPORT_NUMBERS] = "SELECT setval(" TABLE(
        "newt_oid") ", greatest(s.last_value, (SELECT max(zoid) FROM "
                    "@store@.object_state WHERE zoid < 4503599627370496) / 1024 * 1024)), "
                    "setval(" TABLE(
                        "newt_serial") ", "
                                       "greatest(t.last_value, (SELECT max(serial) FROM "
                                       "@store@.transaction) / 1024 * 1024)) "
                                       "FROM @store@.newt_oid s, @store@.newt_serial t",
    /* $1 tid, whose row comes first, $2 rows */
    [NEWT__S_FEED] = "SELECT tid, serial, (extract(epoch FROM committed_at) * 1000000)::bigint, "
                     "username, description, extension::text, written, removed, removed_classes "
                     "FROM @store@.transaction WHERE tid >= $1 ORDER BY tid LIMIT $2",
    /* $1 serial, $2 part; the last column: whether there is another */
    [NEWT__S_FEED_PART] =
        "SELECT x.written, x.removed, x.removed_classes, EXISTS (SELECT FROM "
        "@store@.transaction_object y WHERE y.serial = $1 AND y.n = $2::bigint + 1) "
        "FROM @store@.transaction_object x WHERE x.serial = $1 AND x.n = $2::bigint",
    /* tids: the oldest, the newest */
    [NEWT__S_FEED_ENDS] = "SELECT (SELECT min(tid) FROM @store@.transaction), "
                          "(SELECT max(tid) FROM @store@.transaction)",
    [NEWT__S_FEED_SCAN] = "SELECT zoid, serial FROM @store@.object_state WHERE zoid > $1 "
                          "ORDER BY zoid LIMIT $2",
    /* $1 zoids, $2 bytes of one record: a longer one is left out */
    [NEWT__S_FEED_LOOK] =
        "SELECT o.zoid, o.serial, CASE WHEN octet_length(o.state) <= $2::bigint THEN o.state END, "
        "octet_length(o.state)::bigint "
        "FROM (SELECT * FROM unnest($1::bigint[]) AS i(zoid) OFFSET 0) i "
        "JOIN @store@.object_state o ON o.zoid = ANY (ARRAY[i.zoid])",
    /* the same without the rest of the record after the class's name */
    [NEWT__S_FEED_HEADS] = "SELECT o.zoid, o.serial, substr(o.state, 1, 300), $2::bigint "
                           "FROM (SELECT * FROM unnest($1::bigint[]) AS i(zoid) OFFSET 0) i "
                           "JOIN @store@.object_state o ON o.zoid = ANY (ARRAY[i.zoid])",
    /* objects by the heads of their records: format, class and version (docs/state-record.md); of
     * what is no record the first byte */
    [NEWT__S_COUNT] =
        "SELECT h.head, count(*) FROM (SELECT substr(p.s, 1, CASE WHEN p.version IS NULL "
        "OR p.version >= octet_length(p.s) THEN 1 ELSE p.version + CASE get_byte(p.s, p.version) "
        "WHEN 24 THEN 2 WHEN 25 THEN 3 WHEN 26 THEN 5 ELSE 1 END END) AS head "
        "FROM (SELECT r.s, CASE WHEN octet_length(r.s) < 4 OR get_byte(r.s, 0) <> 131 THEN NULL "
        "WHEN get_byte(r.s, 1) BETWEEN 96 AND 119 THEN get_byte(r.s, 1) - 94 "
        "WHEN get_byte(r.s, 1) = 120 THEN get_byte(r.s, 2) + 3 END AS version "
        "FROM (SELECT substr(o.state, 1, 300) AS s FROM @store@.object_state o OFFSET 0) r "
        "OFFSET 0) p) h GROUP BY h.head",
    /* who holds the commit lock; its age is null for those who may not see it */
    [NEWT__S_HOLDER] =
        "SELECT coalesce(l.pid, -1)::bigint, (extract(epoch FROM clock_timestamp() - "
        "coalesce(a.xact_start, p.prepared)) * 1000000)::bigint FROM pg_locks l "
        "LEFT JOIN pg_stat_activity a ON a.pid = l.pid LEFT JOIN pg_locks x ON l.pid IS NULL "
        "AND x.pid IS NULL AND x.locktype = 'transactionid' AND x.virtualtransaction = "
        "l.virtualtransaction LEFT JOIN pg_prepared_xacts p ON p.transaction = x.transactionid "
        "WHERE l.locktype = 'relation' AND l.mode = 'ExclusiveLock' AND l.granted "
        "AND l.relation = " TABLE("newt_commit_lock") " AND l.database = "
                                                      "(SELECT oid FROM pg_database WHERE datname "
                                                      "= current_database()) LIMIT 1",

    [NEWT__S_FOLLOWER] = "SELECT tid, coalesce(serial, 0), coalesce(copied, -1), kind "
                         "FROM @store@.newt_follower WHERE name = $1::text",
    [NEWT__S_CLAIM] = "SELECT pg_try_advisory_lock(" FOLLOWER_KEY ", hashtext($1::text))",
    [NEWT__S_RELEASE_CLAIM] = "SELECT pg_advisory_unlock(" FOLLOWER_KEY ", hashtext($1::text))",
    /* A batch that takes longer than a role may would be started again endlessly. There is no
     * transaction_timeout before PostgreSQL 17. $1 synchronous_commit; null: as it is. Then the
     * program decides when it ends; else a process that is stopped in it, or cut off, must not keep
     * writers waiting for its rows. */
    [NEWT__S_FOLLOW_UNTIMED] =
        "SELECT set_config('statement_timeout', '0', true), "
        "CASE WHEN $1::text IS NOT NULL THEN "
        "set_config('idle_in_transaction_session_timeout', '30s', true) END, "
        "set_config('synchronous_commit', coalesce($1::text, "
        "current_setting('synchronous_commit')), true), "
        "CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL "
        "THEN set_config('transaction_timeout', '0', true) END",
    /* $1 name, $2 tid and $3 copied before, $4, $5, $6 tid, serial and copied after, $7 kind */
    [NEWT__S_FOLLOW_MOVE] =
        "WITH u AS (UPDATE @store@.newt_follower SET tid = $4, serial = nullif($5::bigint, 0), "
        "copied = nullif($6::bigint, -1), kind = $7::text, updated_at = clock_timestamp() "
        "WHERE name = $1::text AND tid = $2 AND coalesce(copied, -1) = $3 RETURNING 1" MOVED,
    [NEWT__S_FOLLOW_NEW] =
        "WITH u AS (INSERT INTO @store@.newt_follower (name, tid, serial, copied, kind) "
        "VALUES ($1::text, $2, nullif($3::bigint, 0), nullif($4::bigint, -1), $5::text) "
        "ON CONFLICT DO NOTHING RETURNING 1" MOVED,
    /* as long as the transaction lasts it stays there; $1 name, $2 tid, $3 copied */
    [NEWT__S_FOLLOW_HOLD] = HOLD("SHARE"),
    [NEWT__S_FOLLOW_HOLD_ALONE] = HOLD("UPDATE"),
    [NEWT__S_FOLLOW_FORGET] = "DELETE FROM @store@.newt_follower WHERE name = $1::text",
    /* classes that clients project; whether the store is virtual; classes for which that is not so
     */
    [NEWT__S_FOLLOW_CLASSES] =
        "SELECT coalesce(array_agg(DISTINCT c.name) FILTER (WHERE c.projection = 'client'), '{}'), "
        "s.virtual, coalesce(array_agg(DISTINCT c.name) FILTER "
        "(WHERE (c.projection = 'virtual') <> s.virtual), '{}') "
        "FROM (SELECT projection = 'virtual' AS virtual FROM @store@.newt_store) s "
        "LEFT JOIN @store@.newt_class c ON true GROUP BY s.virtual",
    /* $1, $2 a range of zoids */
    [NEWT__S_FOLLOW_ORPHANS] =
        "WITH d AS (DELETE FROM @store@.newt_projection p WHERE p.zoid > $1 AND p.zoid <= $2 "
        "AND NOT EXISTS (SELECT FROM @store@.object_state o WHERE o.zoid = ANY (ARRAY[p.zoid])) "
        "RETURNING zoid, serial), "
        "x AS (DELETE FROM @store@.newt_reject_entry e USING d "
        "WHERE e.zoid = ANY (ARRAY[d.zoid]) AND e.serial = d.serial) "
        "SELECT count(*) FROM d",
    /* $2 classes that clients project, $3 classes that are virtual or, $4 not 0, those that are
     * not; a record that is none has no row */
    [NEWT__S_FOLLOW_SERVER] =
        "WITH i AS MATERIALIZED (" FOLLOW_STALE "), "
        "j AS MATERIALIZED (SELECT i.*, newt.try_to_jsonb(i.state) AS json FROM i), "
        "k AS MATERIALIZED (SELECT j.*, CASE WHEN j.json IS NOT NULL "
        "THEN newt.class_name(j.state) END AS class_name FROM j), "
        "r AS MATERIALIZED (SELECT zoid, serial, state, seen, class_name, CASE WHEN "
        "(class_name = ANY ($3::text[])) = ($4::bigint <> 0) THEN json END AS json FROM k "
        "WHERE class_name IS NULL OR class_name <> ALL ($2::text[])), " FOLLOW_WRITE(
            /* the few rejects first, and no join: w, r and they were nested loops */
            "SELECT q.* FROM (SELECT r.zoid, r.serial, f.n, f.path, f.reason FROM r "
            "CROSS JOIN LATERAL newt.rejects(r.state) WITH ORDINALITY AS f(path, reason, n) "
            "WHERE r.json IS NOT NULL OFFSET 0) q WHERE q.zoid = ANY (ARRAY(SELECT zoid FROM w))"),
    /* The objects among them that have no row yet, and which are left for the statement above;
     * parameters as there, and $4 is 0 */
    [NEWT__S_FOLLOW_NEW_ROWS] = "SELECT written, rest FROM newt.project_new(" TABLE(
        "newt_projection") ", $1::bigint[], $2::text[] || CASE WHEN $4::bigint = 0 THEN $3::text[] "
                           "END)",
    [NEWT__S_FOLLOW_READ] = FOLLOW_STALE,
    /* $1 zoids, $2 seen, $3 class names, $4 serials, $5 documents, $6 rejects as in S_REJECTS */
    [NEWT__S_FOLLOW_WRITE] =
        "WITH r AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], "
        "$4::bigint[], $5::jsonb[]) AS i(zoid, seen, class_name, serial, json)), " FOLLOW_WRITE(
            "SELECT w.zoid, w.serial, row_number() OVER (PARTITION BY w.zoid ORDER BY f.n) "
            "AS n, ARRAY(SELECT jsonb_array_elements_text(f.v -> 'path')) AS path, "
            "f.v ->> 'reason' AS reason FROM jsonb_array_elements($6::text::jsonb) "
            "WITH ORDINALITY AS f(v, n) JOIN w ON w.zoid = (f.v ->> 'zoid')::bigint"),
    /* $1 zoid, whose row the database has refused, $2 reason, $3 SQLSTATE, $4 constraint or null.
     * Stale JSON would be worse than none: the row of an older record goes, by compare-and-set like
     * all others. The head of the record, and whether there is an entry now. */
    [NEWT__S_FOLLOW_REFUSE] =
        "WITH o AS MATERIALIZED (SELECT o.zoid, o.serial, o.state, p.serial AS seen "
        "FROM @store@.object_state o "
        "LEFT JOIN @store@.newt_projection p ON p.zoid = ANY (ARRAY[o.zoid]) "
        "WHERE o.zoid = $1 AND o.serial IS DISTINCT FROM p.serial), "
        "d AS (DELETE FROM @store@.newt_projection p USING o "
        "WHERE p.zoid = ANY (ARRAY[o.zoid]) AND p.serial = o.seen), "
        "x AS (DELETE FROM @store@.newt_reject_entry e USING o "
        "WHERE e.zoid = ANY (ARRAY[o.zoid]) AND e.serial <> o.serial), "
        "e AS (INSERT INTO @store@.newt_reject_entry "
        "(zoid, serial, n, path, reason, sqlstate, constraint_name) "
        "SELECT o.zoid, o.serial, 0, '{}', $2::text, $3::text, $4::text FROM o "
        "ON CONFLICT (zoid, serial, n) DO UPDATE SET reason = excluded.reason, "
        "sqlstate = excluded.sqlstate, constraint_name = excluded.constraint_name RETURNING 1) "
        "SELECT (SELECT substr(o.state, 1, 300) FROM o), EXISTS (SELECT FROM e)",
    /* $1 zoid, $2 at most, $3 not 0: only what another object's row was in the way of. The refused
     * after that zoid: how many, the last, all */
    [NEWT__S_FOLLOW_REFUSED] =
        "WITH w AS MATERIALIZED (SELECT e.zoid FROM @store@.newt_reject_entry e "
        "JOIN @store@.object_state o ON o.zoid = ANY (ARRAY[e.zoid]) AND o.serial = e.serial "
        "WHERE e.n = 0 AND e.zoid > $1 AND ($3::bigint = 0 OR e.sqlstate IN ('23505', '23P01')) "
        "ORDER BY e.zoid LIMIT $2) "
        "SELECT count(*), max(zoid), array_agg(zoid ORDER BY zoid) FROM w",
    /* the objects after $1, at most $2 of them */
    [NEWT__S_SWEEP_READ] = "SELECT zoid, serial, state FROM @store@.object_state WHERE zoid > $1 "
                           "ORDER BY zoid LIMIT $2",
    /* faults: newt__row_fault */
    [NEWT__S_CHECK_SERVER] = "WITH " SWEEP_SERVER SWEEP_MODES CHECK,
    [NEWT__S_CHECK_HERE] = "WITH " SWEEP_HERE SWEEP_MODES CHECK,
    /* $1 classes, null: all; the last column: the reprojection that is there is of these */
    [NEWT__S_REPROJECTION] = "SELECT zoid, classes = coalesce($1::text[], '{}') "
                             "FROM @store@.newt_reprojection WHERE one",
    [NEWT__S_REPROJECT_BEGIN] = "INSERT INTO @store@.newt_reprojection (classes, zoid) "
                                "VALUES (coalesce($1::text[], '{}'), 0) ON CONFLICT DO NOTHING",
    [NEWT__S_REPROJECT_SERVER] = "WITH " SWEEP_SERVER SWEEP_MODES REPROJECT,
    [NEWT__S_REPROJECT_HERE] = "WITH " SWEEP_HERE SWEEP_MODES REPROJECT,
    /* $1 from, $2 to */
    [NEWT__S_REPROJECT_MOVE] =
        "WITH u AS (UPDATE @store@.newt_reprojection SET zoid = $2 WHERE one AND zoid = $1 "
        "RETURNING 1) SELECT CASE WHEN count(*) = 1 THEN 1 ELSE @store@.newt_raise('40001', "
        "'another process is at this reprojection', '') END FROM u",
    /* in the order of zoids, as all who write rows do */
    [NEWT__S_REPROJECT_SWAP] =
        "WITH r AS MATERIALIZED (SELECT * FROM @store@.newt_reprojected ORDER BY zoid), "
        "u AS (UPDATE @store@.newt_projection p SET state = r.state, class_name = r.class_name "
        "FROM (SELECT * FROM r OFFSET 0) r WHERE p.zoid = ANY (ARRAY[r.zoid]) "
        "AND p.serial = r.serial AND r.state IS NOT NULL RETURNING 1), "
        "d AS (DELETE FROM @store@.newt_projection p USING r WHERE p.zoid = ANY (ARRAY[r.zoid]) "
        "AND p.serial = r.serial AND r.state IS NULL RETURNING 1), "
        "x AS (DELETE FROM @store@.newt_reprojected), "
        "y AS (DELETE FROM @store@.newt_reprojection) "
        "SELECT (SELECT count(*) FROM u) + (SELECT count(*) FROM d)",
    /* where all followers that write the projection are; one that is copying is nowhere */
    [NEWT__S_PROJECTED] = "SELECT min(CASE WHEN copied IS NULL THEN tid ELSE 0 END), count(*) "
                          "FROM @store@.newt_follower WHERE kind = 'projection'",
    [NEWT__S_PRUNE] = "SELECT p.gone FROM @store@.newt_prune(-1, @store@.newt_prune_limit(), $1) p",
    /* $1 follower or null, $2 transactions that are counted at most */
    [NEWT__S_HEALTH] = HEALTH,
};
