#!/usr/bin/env bash
# Transactions go while others commit and a follower moves; the room is used again; wait_for sees a
# follower that moves. Needs a private server.
set -uo pipefail
tmp=$(mktemp -d) && trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$tmp"; dropdb --if-exists --force newt_retention' EXIT
n=0
export PGDATABASE=newt_retention
export PGOPTIONS='-c client_min_messages=warning -c default_transaction_isolation=read\ committed -c default_transaction_read_only=off'
ok() { # NAME GOT WANTED
    n=$((n + 1))
    if [ "$2" = "$3" ]; then echo "ok $n - $1"; else printf '# got %s\n# want %s\nnot ok %s - %s\n' "$2" "$3" "$n" "$1"; fi
}
sql() { psql -XqAt -v ON_ERROR_STOP=1 "$@"; }
createdb newt_retention
s="$(printf 'a"b\047\\ %%s')" # the store's schema, as a string and as an identifier
v=(-v "store=$s")
sql -c 'CREATE EXTENSION newt'
# 100,000 of two days ago, every thousandth a large one; 1,000 of the last minutes; serials in any order
sql "${v[@]}" <<'END' >"$tmp/out"
SELECT newt.create_store(:'store');
SET search_path = :"store";
ALTER TABLE transaction SET (autovacuum_enabled = off);
TRUNCATE transaction;
INSERT INTO transaction (tid, serial, nonce, written, removed)
SELECT b + i, 2000000 + (i * 7919::bigint) % 100003, i, CASE WHEN i % 1000 > 0 THEN ARRAY[i, i + 1] END, CASE WHEN i % 1000 > 0 THEN '{}'::bigint[] END
  FROM (SELECT (extract(epoch FROM clock_timestamp() - interval '2 days') * 1000000)::bigint) t (b), generate_series(1, 100000) i;
INSERT INTO transaction_object SELECT t.serial, c, ARRAY[1, 2], '{}' FROM transaction t, generate_series(1, 2) c WHERE written IS NULL;
INSERT INTO transaction (tid, serial, nonce, written, removed)
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 100000 + i, 3000000 + i, i, '{1}', '{}' FROM generate_series(1, 1000) i;
INSERT INTO newt_follower (name, tid) SELECT 'moves', tid FROM transaction ORDER BY tid LIMIT 1;
SELECT newt.set_retention(:'store', wait_for => '100 years');
SELECT setval('newt_serial', 1024 * 10000::bigint);
VACUUM ANALYZE transaction;
END
size="SELECT pg_relation_size(format('%I.transaction', :'store')), pg_relation_size(format('%I.transaction_pkey', :'store')), pg_relation_size(format('%I.transaction_serial_key', :'store'))"
kept="SELECT count(*), count(*) FILTER (WHERE written IS NULL), (SELECT count(*) FROM :\"store\".transaction_object) FROM :\"store\".transaction"
full=$(sql "${v[@]}" <<<"$size")

# a follower moves, 500 transactions at a time: its place and what it has not seen are always there
for _ in $(seq 100); do
    cat <<'END'
SELECT newt.prune(:'store', 1500) \g /dev/null
SELECT f.tid AS place, (SELECT max(tid) FROM (SELECT tid FROM :"store".transaction t WHERE t.tid > f.tid ORDER BY tid LIMIT 500) n) AS next,
       (SELECT count(*) FROM (SELECT FROM :"store".transaction t WHERE t.tid > f.tid ORDER BY tid LIMIT 500) n) AS seen FROM :"store".newt_follower f \gset
UPDATE :"store".newt_follower f SET tid = :next WHERE tid = :place AND EXISTS (SELECT FROM :"store".transaction t WHERE t.tid = f.tid) RETURNING :seen;
END
done >"$tmp/follow.sql"
sql "${v[@]}" -f "$tmp/follow.sql" >"$tmp/followed" &
follower=$!
# meanwhile others commit
for i in $(seq 200); do
    cat <<END
BEGIN;
SELECT newt.at_commit(format('%I.transaction', :'store')::regclass, nextval(format('%I.newt_serial', :'store')), $i, '{1}', '{}', NULL, NULL, NULL);
\\timing on
COMMIT;
\\timing off
END
done >"$tmp/commit.sql"
sql "${v[@]}" -f "$tmp/commit.sql" >"$tmp/commits" &
writer=$!
wait $follower $writer
ok 'a follower has met every transaction' "$(sort "$tmp/followed" | uniq -c | tr -s ' ')" ' 100 500'
ok 'the rest of what it has seen goes' "$(sql "${v[@]}" <<<"SELECT newt.prune(:'store', 100000) BETWEEN 0 AND 50000")" t
ok 'what it has not seen is there, and its own place' "$(sql "${v[@]}" <<<"SELECT count(*) FILTER (WHERE t.tid < f.tid), count(*) FILTER (WHERE t.tid = f.tid),
    count(*) FILTER (WHERE t.tid > f.tid) FROM :\"store\".transaction t, :\"store\".newt_follower f")" '0|1|51199'
ok '200 commits meanwhile, none of which waited' "$(sed -n 's/^Time: \([0-9]*\)\..*/\1/p' "$tmp/commits" | awk '$1 < 2000' | wc -l)" 200

# two at once, and the procedure: each row goes once
sql "${v[@]}" <<<"UPDATE :\"store\".newt_follower SET tid = (SELECT max(tid) FROM :\"store\".transaction)" # it has seen all
for i in 1 2 3; do
    sql "${v[@]}" <<<"SELECT sum(newt.prune(:'store', 50)) FROM generate_series(1, 100)" >"$tmp/pruned$i" &
    pruners[i]=$!
done
wait "${pruners[@]}"
pruned=$(awk "{n += \$1} END {print n}" "$tmp"/pruned[123])
left=$(sql "${v[@]}" <<<"SELECT count(*) FROM :\"store\".transaction")
ok 'three prune at once: each transaction goes once' "$((pruned + left))" 51200
PGOPTIONS='-c client_min_messages=notice' psql -Xq "${v[@]}" <<<"CALL newt.prune_all(:'store', 4000)" >"$tmp/notice" 2>&1
ok 'the procedure says what went' "$(grep -c "$((left - 1200)) transactions removed from store" "$tmp/notice")" 1
ok 'what is left is of the last minutes, and no large one' "$(sql "${v[@]}" <<<"$kept")" '1200|0|0'

# the room that was theirs is used again, before the file ends
sql "${v[@]}" <<'END' >"$tmp/out"
VACUUM :"store".transaction;
INSERT INTO :"store".transaction (tid, serial, nonce, written, removed)
SELECT (SELECT max(tid) FROM :"store".transaction) + i, 9000000 + i, i, ARRAY[i, i + 1], '{}' FROM generate_series(1, 10000) i;
END
grown=$(sql "${v[@]}" <<<"$size")
ok 'a tenth of them written anew takes hardly more room' "$(awk -F'|' -v full="$full" 'BEGIN {split(full, f, "|")} {print ($1 <= 1.05 * f[1] && $2 <= 1.3 * f[2] && $3 <= 1.3 * f[3])}' <<<"$grown")" 1
# a day later the old tail goes, and the file with it
sql "${v[@]}" <<'END' >"$tmp/out"
DELETE FROM :"store".transaction WHERE serial < 9000000 OR serial > 9010000;
VACUUM (INDEX_CLEANUP ON) :"store".transaction;
END
short=$(sql "${v[@]}" <<<"$size")
ok 'and the file is short when its old end is gone' "$(awk -F'|' -v full="$full" 'BEGIN {split(full, f, "|")} {print ($1 < f[1] / 5)}' <<<"$short")" 1

# wait_for sees a follower that comes while it waits
sql "${v[@]}" <<<"INSERT INTO :\"store\".newt_follower (name, tid) VALUES ('newt-updater', 5)"
sql "${v[@]}" <<<"SELECT newt.wait_for(7, '60 s', :'store'), clock_timestamp() - now() < '30 s'" >"$tmp/waited" &
waiter=$!
sleep 0.3
sql "${v[@]}" <<<"UPDATE :\"store\".newt_follower SET tid = 6 WHERE name = 'newt-updater'"
ok 'a wait goes on while the follower is behind' "$(cat "$tmp/waited")" ''
sql "${v[@]}" <<<"UPDATE :\"store\".newt_follower SET tid = 8 WHERE name = 'newt-updater'"
wait $waiter
ok 'and ends when it has seen the transaction' "$(cat "$tmp/waited")" 't|t'
echo "1..$n"
