#!/usr/bin/env bash
# The snippets of docs/tools.md, on the demo's sample, each by its tool and as the role that the page makes; and what tools
# learn of the tables.
. "$(dirname "$0")/tap.sh"

if [ "${1:-}" != --inside ]; then
    exec dev/private-server --no-fsync -- "$0" --inside
fi

# All blocks in a language, numbered: $work/NUMBER.LANGUAGE; what the next block of no language shows: $work/NUMBER.shown.
awk -v work="$work" '
    /^```/ && in_block { in_block = 0; close(file); next }
    /^```[a-z]/ { in_block = 1; file = sprintf("%s/%02d.%s", work, ++n, substr($0, 4)); next }
    /^```$/ { in_block = 1; file = sprintf("%s/%02d.shown", work, n); next }
    in_block { print >file }' docs/tools.md

# Debian's modules are Debian's Python's, which need not be the first one.
python_for() { # FILE
    local p
    for p in python3 /usr/bin/python3; do
        if $p -c "$(head -n 1 "$1")" 2>/dev/null; then break; fi
    done
    echo $p
}

run_block() { # FILE
    local -x PGUSER=analyst
    case $1 in
    *.psql) psql -Xq -v ON_ERROR_STOP=1 -f "$1" ;;
    *.python) $(python_for "$1") "$1" ;;
    *.sh) sh "$1" ;;
    *.r) Rscript --vanilla "$1" ;;
    esac 2>"$work/.err"
}

export PGOPTIONS='-c client_min_messages=warning'
ok 'the sample is loaded' build/examples/debian --sample load
for class in Archive Section Maintainer Package; do
    ok "a typed table of $class" psql -Xq -v ON_ERROR_STOP=1 -c "CALL newt.create_table('debian', '$class', 'report')"
done
unset PGOPTIONS
for file in "$work"/*.sql; do
    ok "SQL: $(head -n 1 "$file")" psql -Xq -v ON_ERROR_STOP=1 -f "$file"
done

for file in "$work"/*.{psql,python,sh,r}; do
    name="${file##*.}: $(head -n 1 "$file")"
    out=$(run_block "$file")
    is "$name: status" $? 0
    is "$name: as the page says" "$out" "$(cat "${file%.*}.shown")"
    grep -v 'Loading required package' "$work/.err" | sed 's/^/# /'
done

# ---- what a tool learns --------------------------------------------------------------------------------

as_analyst() {
    PGUSER=analyst sql "$1"
}
is 'information_schema: columns and types' "$(as_analyst "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position)
    FROM information_schema.columns WHERE table_schema = 'report' AND table_name = 'package_relations'")" \
    'package_id bigint, n integer, kind text, spec text, any_of_ids ARRAY'
# as Metabase and others ask for keys
is 'information_schema: foreign keys' "$(as_analyst "SELECT string_agg(k.table_name || '.' || k.column_name || ' ' || u.table_name || '.' || u.column_name, E'\n' ORDER BY k.table_name, k.column_name)
    FROM information_schema.table_constraints t
    JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name)
    JOIN information_schema.referential_constraints r USING (constraint_schema, constraint_name)
    JOIN information_schema.key_column_usage u ON u.constraint_schema = r.unique_constraint_schema AND u.constraint_name = r.unique_constraint_name
     AND u.ordinal_position = k.position_in_unique_constraint
   WHERE t.constraint_type = 'FOREIGN KEY' AND t.table_schema = 'report'")" "archive_sections.archive_id archive.id
archive_sections.sections_id section.id
package.maintainer_id maintainer.id
package.section_id section.id
package_relations.package_id package.id
section_packages.packages_id package.id
section_packages.section_id section.id"
# as JDBC does
is 'pg_constraint: primary keys' "$(as_analyst "SELECT conrelid::regclass || ': ' || (SELECT string_agg(attname, ', ' ORDER BY n)
      FROM unnest(conkey) WITH ORDINALITY k (attnum, n) JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = k.attnum)
    FROM pg_constraint WHERE contype = 'p' AND connamespace = 'report'::regnamespace ORDER BY conrelid::regclass::text COLLATE \"C\"")" "archive: id
archive_sections: archive_id, n
maintainer: id
package: id
package_relations: package_id, n
section: id
section_packages: section_id, n"
is 'every table and column has its comment' "$(as_analyst "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'report'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
      AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)")" 0
is 'a tool writes nothing' "$(PGUSER=analyst psql -XqAt -c 'SET default_transaction_read_only = off' -c 'DELETE FROM package' 2>&1)" \
    'ERROR:  permission denied for table package'
done_testing
