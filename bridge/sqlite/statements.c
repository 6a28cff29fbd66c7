/*
 * statements.c - every SQL statement of this storage, but for those that are run once for a
 * connection
 */
#include "file.h"

/* What need not be kept any more: transactions before this tid; see newt_store. ?1 now. Followers
 * that start over anyway are not waited for; a follower finds its place by the transaction that it
 * has seen last (tid 0: none), so that one stays. So does the newest. */
#define PRUNE_LIMIT                                                                                \
    "SELECT min((SELECT max(tid) FROM \"transaction\"), ifnull((SELECT min(f.tid) "                \
    "FROM newt_follower f WHERE (f.tid = 0 OR EXISTS (SELECT 1 FROM \"transaction\" t "            \
    "WHERE t.tid = f.tid AND t.serial = ifnull(f.serial, t.serial))) "                             \
    "AND ifnull((SELECT t.tid FROM \"transaction\" t WHERE t.tid > f.tid ORDER BY t.tid LIMIT 1) " \
    ">= ?1 - s.wait_for * 1000000, 1)), 9223372036854775807), "                                    \
    "max(?1 - s.keep_age * 1000000, ifnull(CASE WHEN s.keep_rows IS NOT NULL THEN "                \
    "(SELECT min(tid) FROM (SELECT tid FROM \"transaction\" ORDER BY tid DESC "                    \
    "LIMIT (SELECT keep_rows FROM newt_store))) END, 0))) FROM newt_store s"

/* The oldest transactions before ?1, at most ?2. */
#define OLDEST(column)                                                                             \
    "(SELECT " column " FROM \"transaction\" WHERE tid < ?1 ORDER BY tid LIMIT ?2)"

const char *const newt__sqls[NEWT__N_SQL] = {
    [NEWT__Q_BEGIN] = "BEGIN",
    [NEWT__Q_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [NEWT__Q_COMMIT] = "COMMIT",
    [NEWT__Q_ROLLBACK] = "ROLLBACK",

    [NEWT__Q_NEWEST] = "SELECT tid, serial FROM \"transaction\" ORDER BY tid DESC LIMIT 1",
    /* ?1 tid, whose row comes first */
    [NEWT__Q_SINCE] = "SELECT tid, serial, written, removed FROM \"transaction\" WHERE tid >= ?1 "
                      "ORDER BY tid",
    [NEWT__Q_PARTS] = "SELECT written, removed FROM transaction_object WHERE serial = ?1 "
                      "ORDER BY n",
    [NEWT__Q_LOAD] = "SELECT serial, state FROM object_state WHERE zoid = ?1",
    [NEWT__Q_LOAD_RUN] = "SELECT zoid, serial, state FROM object_state "
                         "WHERE zoid BETWEEN ?1 AND ?2 ORDER BY zoid",
    [NEWT__Q_SERIAL] = "SELECT serial FROM object_state WHERE zoid = ?1",
    [NEWT__Q_TAKE_OIDS] = "UPDATE newt_store SET next_oid = next_oid + ?1 "
                          "RETURNING next_oid - ?1",

    /* ?1 zoid, ?2 serial, ?3 record, ?4 serial that it has */
    [NEWT__Q_ADD] = "INSERT INTO object_state (zoid, serial, state) VALUES (?1, ?2, ?3) "
                    "ON CONFLICT DO NOTHING",
    [NEWT__Q_REPLACE] = "UPDATE object_state SET serial = ?2, state = ?3 "
                        "WHERE zoid = ?1 AND serial = ?4",
    [NEWT__Q_REMOVE] = "DELETE FROM object_state WHERE zoid = ?1 AND serial = ?2",
    [NEWT__Q_PROJECT] = "INSERT INTO newt_projection (zoid, class_name, serial, state) "
                        "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (zoid) DO UPDATE "
                        "SET class_name = excluded.class_name, serial = excluded.serial, "
                        "state = excluded.state",
    [NEWT__Q_UNPROJECT] = "DELETE FROM newt_projection WHERE zoid = ?1",
    [NEWT__Q_REJECT] = "INSERT INTO newt_reject_entry (zoid, serial, n, path, reason, "
                       "sqlstate, constraint_name) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [NEWT__Q_UNREJECT] = "DELETE FROM newt_reject_entry WHERE zoid = ?1",
    [NEWT__Q_ANY_REJECT] = "SELECT 1 FROM newt_reject_entry LIMIT 1",
    [NEWT__Q_TRANSACTION] =
        "INSERT INTO \"transaction\" (tid, serial, committed_at, username, description, extension, "
        "written, removed, removed_classes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
        "ON CONFLICT DO NOTHING",
    [NEWT__Q_PART] = "INSERT INTO transaction_object (serial, n, written, removed, "
                     "removed_classes) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",

    /* of a store that comes from elsewhere */
    [NEWT__Q_IMPORT_FIRST] = "DELETE FROM \"transaction\"",
    [NEWT__Q_IMPORT_FIRST_PARTS] = "DELETE FROM transaction_object",
    [NEWT__Q_IMPORT] = "INSERT INTO object_state (zoid, serial, state) VALUES (?1, ?2, ?3) "
                       "ON CONFLICT (zoid) DO UPDATE SET serial = excluded.serial, "
                       "state = excluded.state WHERE serial <> excluded.serial",
    [NEWT__Q_IMPORT_REMOVED] = "DELETE FROM object_state WHERE zoid = ?1",
    /* ?1 after, ?2 up to */
    [NEWT__Q_BETWEEN] = "SELECT zoid FROM object_state WHERE zoid > ?1 AND zoid <= ?2 "
                        "ORDER BY zoid",
    /* but for NEWT__FIRST_LAYER_OID and greater ones, which were not given here */
    [NEWT__Q_IMPORT_NUMBERS] = "UPDATE newt_store SET next_oid = max(next_oid, (SELECT max(zoid) "
                               "FROM object_state WHERE zoid < 1 << 52) + 1)",

    /* rows of the projection */
    [NEWT__Q_STALE] = "SELECT o.serial, o.state, p.serial FROM (SELECT ?1 AS zoid) i "
                      "LEFT JOIN object_state o ON o.zoid = i.zoid "
                      "LEFT JOIN newt_projection p ON p.zoid = i.zoid",
    [NEWT__Q_OWN_PROJECTOR] = "SELECT 1 FROM newt_class WHERE name = ?1 AND projection = 'client' "
                              "LIMIT 1",
    /* ?1 after, ?2 up to */
    [NEWT__Q_ORPHANS] = "DELETE FROM newt_projection WHERE zoid > ?1 AND zoid <= ?2 "
                        "AND NOT EXISTS (SELECT 1 FROM object_state o WHERE o.zoid = "
                        "newt_projection.zoid)",
    /* ?1 after, ?2 at most */
    [NEWT__Q_REFUSED] = "SELECT e.zoid FROM newt_reject_entry e JOIN object_state o "
                        "ON o.zoid = e.zoid AND o.serial = e.serial WHERE e.n = 0 AND e.zoid > ?1 "
                        "ORDER BY e.zoid LIMIT ?2",
    [NEWT__Q_IS_REFUSED] = "SELECT 1 FROM newt_reject_entry WHERE zoid = ?1 AND serial = ?2 "
                           "AND n = 0",
    [NEWT__Q_ROW] = "SELECT serial, class_name, state FROM newt_projection WHERE zoid = ?1",
    /* ?1 after, ?2 up to; rows without an object */
    [NEWT__Q_EXTRA] = "SELECT p.zoid FROM newt_projection p WHERE p.zoid > ?1 AND p.zoid <= ?2 "
                      "AND NOT EXISTS (SELECT 1 FROM object_state o WHERE o.zoid = p.zoid) "
                      "ORDER BY p.zoid",
    [NEWT__Q_OBJECTS] = "SELECT zoid, serial, state FROM object_state WHERE zoid > ?1 "
                        "ORDER BY zoid LIMIT ?2",

    [NEWT__Q_REGISTERED] = "SELECT name, version, fields, projection FROM newt_class "
                           "ORDER BY name, version",
    [NEWT__Q_CLASS] = "SELECT fields, projection FROM newt_class WHERE name = ?1 AND version = ?2",
    [NEWT__Q_REGISTER] = "INSERT INTO newt_class (name, version, fields, projection) "
                         "VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",

    /* ?1 tid, whose row comes first */
    [NEWT__Q_FEED] = "SELECT tid, serial, committed_at, username, description, extension, written, "
                     "removed, removed_classes FROM \"transaction\" WHERE tid >= ?1 ORDER BY tid",
    [NEWT__Q_ORIGIN] = "SELECT tid, serial, committed_at, username, description, extension "
                       "FROM \"transaction\" WHERE serial = ?1",
    /* the last column: whether there is another */
    [NEWT__Q_FEED_PART] =
        "SELECT x.written, x.removed, x.removed_classes, EXISTS (SELECT 1 FROM "
        "transaction_object y WHERE y.serial = ?1 AND y.n = ?2 + 1) FROM transaction_object x "
        "WHERE x.serial = ?1 AND x.n = ?2",
    [NEWT__Q_FEED_ENDS] = "SELECT (SELECT min(tid) FROM \"transaction\"), "
                          "(SELECT max(tid) FROM \"transaction\")",
    [NEWT__Q_SCAN] = "SELECT zoid, serial FROM object_state WHERE zoid > ?1 ORDER BY zoid LIMIT ?2",
    /* enough of a record to tell its class */
    [NEWT__Q_HEAD] = "SELECT serial, substr(state, 1, 300) FROM object_state WHERE zoid = ?1",

    [NEWT__Q_FOLLOWER] = "SELECT tid, ifnull(serial, 0), ifnull(copied, -1), kind "
                         "FROM newt_follower WHERE name = ?1",
    /* ?1 name, ?2 tid, ?3 serial and ?4 copied after, ?5 kind, ?6 now, ?7 tid and ?8 copied before
     */
    [NEWT__Q_FOLLOW_NEW] =
        "INSERT INTO newt_follower (name, tid, serial, copied, kind, updated_at) "
        "VALUES (?1, ?2, nullif(?3, 0), nullif(?4, -1), ?5, ?6) ON CONFLICT DO NOTHING",
    [NEWT__Q_FOLLOW_MOVE] =
        "UPDATE newt_follower SET tid = ?2, serial = nullif(?3, 0), copied = nullif(?4, -1), "
        "kind = ?5, updated_at = ?6 WHERE name = ?1 AND tid = ?7 AND ifnull(copied, -1) = ?8",
    [NEWT__Q_FOLLOW_FORGET] = "DELETE FROM newt_follower WHERE name = ?1",

    [NEWT__Q_PRUNE_LIMIT] = PRUNE_LIMIT,
    [NEWT__Q_PRUNE_OBJECTS] = "DELETE FROM transaction_object WHERE serial IN " OLDEST("serial"),
    [NEWT__Q_PRUNE] = "DELETE FROM \"transaction\" WHERE tid IN " OLDEST("tid"),
    /* ?1 follower or null, ?2 transactions that are counted at most */
    [NEWT__Q_HEALTH] =
        "SELECT (SELECT max(tid) FROM \"transaction\"), (SELECT min(tid) FROM \"transaction\"), "
        "(SELECT count(*) FROM \"transaction\"), f.tid, (SELECT count(*) FROM (SELECT 1 FROM "
        "\"transaction\" t WHERE t.tid > f.tid LIMIT ?2)), (SELECT min(t.tid) FROM "
        "\"transaction\" t WHERE t.tid > f.tid), (SELECT count(*) FROM newt_reject_entry e "
        "JOIN object_state o ON o.zoid = e.zoid AND o.serial = e.serial WHERE e.n = 0), "
        "f.copied FROM (SELECT 1) LEFT JOIN newt_follower f ON f.name = ?1",
};
