#!/usr/bin/env bash
# kill -9 of the demo at random moments. After each, the store is whole: no object half-written, no
# row of the projection missing or stale. The next run goes on, and at the end everything is there.
#
#   NEWT_KILLS=50   kills (default 5, in `make soak` 50)    NEWT_SEED=N  the same moments again
#   NEWT_INDEX=FILE the index to load (default: the sample; "apt": this machine's)
if [ -z "${NEWT_PGCTL:-}" ]; then exec "$(dirname "$0")/../../dev/private-server" --no-fsync -- "$0"; fi
. "$(dirname "$0")/tap.sh"
kills=${NEWT_KILLS:-${NEWT_SOAK:+50}}
kills=${kills:-5} seed=${NEWT_SEED:-$RANDOM}
RANDOM=$seed
echo "# NEWT_SEED=$seed NEWT_KILLS=$kills"
demo=build/examples/debian
export PGOPTIONS='-c client_min_messages=warning'

case ${NEWT_INDEX:-} in
'') index=(--sample) small=200 ;;
apt) index=() small=20000 ;;
*) index=(--index "$NEWT_INDEX") small=200 ;;
esac

faults() {
    psql -XqAt -v ON_ERROR_STOP=1 -v schema=debian -v whole="$1" -f tests/demo/check.sql 2>&1
}

# Two indexes in turn, so that a run also replaces an archive and removes the old one; then it
# changes some objects.
load() {
    if [ $(($1 % 2)) = 0 ]; then set --; else set -- --limit $small; fi
    exec "$demo" "${index[@]}" "$@" load index change
}

# How long a whole run takes: kills come at any moment of it.
begun=$(date +%s%N)
ok "a run without a kill" eval "(load 0)"
whole_us=$((($(date +%s%N) - begun) / 1000))
is 'leaves a whole store' "$(faults 1)" ''
echo "# a run takes $((whole_us / 1000)) ms"

killed=0 n=1
while [ $killed -lt "$kills" ] && [ $n -lt $((kills * 20)) ]; do
    # the same index again after a kill: the run goes on; the other one after a run that ended
    (load $n) >"$work/out" 2>&1 &
    pid=$!
    us=$(((RANDOM * 32768 + RANDOM) % whole_us))
    sleep "$((us / 1000000)).$(printf %06d $((us % 1000000)))"
    if kill -9 $pid 2>/dev/null; then
        killed=$((killed + 1))
        wait $pid 2>/dev/null
        # the server may still be at work for the dead client
        until [ "$(sql "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                         AND backend_type = 'client backend' AND pid <> pg_backend_pid()")" = 0 ]; do
            sleep 0.01
        done
        is "kill $killed, after $((us / 1000)) ms: nothing half-written, missing or stale" "$(faults 0)" ''
        # sometimes another index comes before this one is complete
        if [ $((RANDOM % 4)) = 0 ]; then n=$((n + 1)); fi
    else
        wait $pid || { is 'a run that was not killed' "$(cat "$work/out")" ''; }
        whole_us=$us # at most: the first one may have had a busy machine
        n=$((n + 1))
    fi
done
is "there were $kills kills" "$killed" "$kills"
ok "the load goes on to its end" eval "(load $n)"
ok "then the whole index is loaded" eval "(load $((n + n % 2)))"
is 'everything is there, and nothing else' "$(faults 1)" ''
has 'and again: nothing to do' "$(load 0 2>&1)" 'nothing to load'
done_testing
