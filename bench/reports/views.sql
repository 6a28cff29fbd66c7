-- The same help for typed views as tables have, as far as the demo has not made it: psql -v store=debian.
CREATE INDEX IF NOT EXISTS b_views_maintainer ON :"store".newt_projection (newt.ref(state, 'maintainer')) WHERE class_name = 'Package';
CREATE INDEX IF NOT EXISTS b_views_name ON :"store".newt_projection (newt.string(state, 'name') text_pattern_ops) WHERE class_name = 'Package';
-- A view without its mark is left as it is: these go on reading the JSONB when there are typed tables.
SELECT format('COMMENT ON VIEW %s IS NULL', oid::regclass) FROM pg_class WHERE relnamespace = 'b_views'::regnamespace AND relkind = 'v' \gexec
