#!/usr/bin/env bash
# examples/joining: an order, its invoice and its booking, all or none.
if [ -z "${NEWT_PGCTL:-}" ]; then
    exec "$(dirname "$0")/../../dev/private-server" --no-fsync --set max_prepared_transactions=5 -- "$0"
fi
. "$(dirname "$0")/tap.sh"
joining=build/examples/joining

for wrong in '' --help; do
    is "joining $wrong" "$("$joining" $wrong 2>&1; echo $?)" \
        $'usage: NEWT_URI=STORE joining BOOKS DIRECTORY CENTS\n2'
done
createdb books
books="host=$PGHOST port=$PGPORT user=$PGUSER dbname=books"
psql -Xq -c 'CREATE EXTENSION newt' -c 'SELECT newt.create_store()' >/dev/null
has 'books without their table' "$("$joining" "$books" "$work" 5 2>&1)" '^joining: NEWT_ESQL'
is 'nothing is there' "$(ls "$work") $(sql "SELECT count(*) FROM newt WHERE class_name = 'Order'")" ' 0'
psql -Xq -d books -c 'CREATE TABLE booking (number bigint, cents bigint)'
is 'an order' "$("$joining" "$books" "$work" 1250 2>&1)" 'taken; 0 files and 0 bookings were settled'
is 'another one' "$("$joining" "$books" "$work" 99 2>&1)" 'taken; 0 files and 0 bookings were settled'
is 'the invoice' "$(cat "$work/invoice-2")" 'Order 2: 99 cents'
is 'the objects' "$(sql "SELECT state FROM newt WHERE class_name = 'Order' ORDER BY zoid")" \
    $'{"cents": 1250, "number": 1}\n{"cents": 99, "number": 2}'
is 'the bookings' "$(psql -XqAt -d books -c 'SELECT * FROM booking ORDER BY 1')" $'1|1250\n2|99'
psql -Xq -d books -c "ALTER TABLE booking ADD CHECK (cents < 2000) NOT VALID"
has 'the books refuse' "$("$joining" "$books" "$work" 5000 2>&1)" '^joining: NEWT_ESQL'
is 'nothing of it is there' "$(ls "$work" | tr '\n' ' ')$(sql "SELECT count(*) FROM newt WHERE class_name = 'Order'")" \
    'invoice-1 invoice-2 2'
done_testing
