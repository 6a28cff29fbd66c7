#!/usr/bin/env bash
# dev/private-server: the command's status is its own, several run at once, root and others may
# use it, and nothing is left behind however it ends.
set -u
cd "$(dirname "$0")/../.."
n=0 status=0
export TMPDIR
TMPDIR=$(mktemp -d) && chmod 1777 "$TMPDIR"
trap 'rm -rf "$TMPDIR"' EXIT
is() { # NAME GOT WANTED
    n=$((n + 1))
    if [ "$2" != "$3" ]; then
        printf '%s\n' "got:    $2" "wanted: $3" | sed 's/^/# /' && printf 'not ' && status=1
    fi
    echo "ok $n - $1"
}
server() { dev/private-server --no-fsync "$@"; }
clean() { # NAME: directory and processes are gone, now or soon
    local left
    for _ in {1..1200}; do
        left=$(ls -d "$TMPDIR"/newt-pg.* 2>/dev/null; grep -als "$TMPDIR/[n]ewt-pg\." /proc/[0-9]*/cmdline)
        [ -n "$left" ] || break
        sleep 0.1
    done
    is "$1: nothing is left" "$left" ''
}
# Starts in the background (process $job) a server whose command has begun when this returns.
begin() {
    rm -f "$TMPDIR/begun"
    env --default-signal=INT dev/private-server --no-fsync -- \
        sh -c "touch '$TMPDIR/begun' && exec $1" >"$TMPDIR/out" 2>&1 &
    job=$!
    until [ -e "$TMPDIR/begun" ]; do sleep 0.05; done
}

out=$(server --set work_mem=5MB --set "cluster_name=it's" -- psql -XAt -c 'SHOW work_mem' -c 'SHOW cluster_name' \
    -c 'SELECT current_database(), current_user, getdatabaseencoding()' 2>&1)
is 'a command, with settings' "$? $out" $'0 5MB\nit\'s\nnewt|postgres|UTF8'
clean 'after it'
is 'NEWT_URI leads there' "$(server -- bash -c 'psql -XAtc "SELECT 42" "$NEWT_URI"')" 42
is 'standard input is the command'\''s' "$(echo 'SELECT 43' | server -- psql -XAt)" 43
server -- sh -c 'exit 7'
is 'its status' $? 7
server -- no-such-command 2>/dev/null
is 'a command that does not exist' $? 127
out=$(server --set no_such_setting=1 -- true 2>&1)
is 'a server that does not start: status' $? 2
is 'its log is shown' "$(grep -c 'unrecognized configuration parameter "no_such_setting"' <<<"$out")" 1
clean 'after that'

for signal in TERM INT KILL; do
    begin 'sleep 20'
    kill -$signal $job
    wait $job 2>/dev/null
    is "SIG$signal: status" $? $((128 + $(kill -l $signal)))
    clean "SIG$signal"
done

is 'three at once' "$(for i in 1 2 3; do server -- psql -XAtc "SELECT $i" & done | sort | tr -d '\n')" 123
if [ "$(id -u)" = 0 ]; then
    is 'an ordinary user' "$(setpriv --reuid=65534 --regid=65534 --clear-groups \
        dev/private-server --no-fsync -- psql -XAtc 'SELECT 44' 2>&1)" 44
fi

out=$(server -- bash -c '
    psql -Xqc "CREATE TABLE t AS SELECT 1 AS a" && psql -Xqc "CREATE UNLOGGED TABLE u AS SELECT 1 AS a"
    psql -Xqc "SELECT pg_sleep(100)" 2>/dev/null &
    for round in 1 2; do
        $NEWT_PGCTL crash && psql -Xqc "SELECT 1" 2>/dev/null
        $NEWT_PGCTL start && psql -XAtF " " -c "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)"
    done
    $NEWT_PGCTL restart && $NEWT_PGCTL stop immediate && $NEWT_PGCTL start && psql -XAtc "TABLE t"' 2>&1)
is 'crash, start, restart, stop' "$? $out" $'0 1 0\n1 0\n1'
clean 'after all that'

# an extension that was built for another version than that of the server
mkdir -p "$TMPDIR/other/ext" && touch "$TMPDIR/other/newt.so"
echo 'gcc -I/usr/include/postgresql/10/server -c' >"$TMPDIR/other/ext/flags"
out=$(server --build "$TMPDIR/other" -- true 2>&1)
is 'built for another PostgreSQL: status' $? 2
is 'what to do' "$(grep -c "other/newt.so was built for another PostgreSQL.*(make extension PG_CONFIG=.*)" <<<"$out")" 1
is 'the command finds PG_CONFIG' "$(env -u PG_CONFIG dev/private-server -- sh -c 'echo $PG_CONFIG')" \
    "$(env -u PG_CONFIG dev/pg-config)"
echo "1..$n"
exit $status
