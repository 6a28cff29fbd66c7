-- The reports. "-- name" begins one, "-- on SIDE" what it is on that side alone: twin, tables or views; the search
-- path says where the relations are. No order is left open, so that all sides give the same rows.

-- count and sum by section
SELECT s.name, count(*), sum(p.installed_size) FROM package p JOIN section s ON s.id = p.section_id GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT 10

-- top 10 by size per priority
SELECT * FROM (SELECT priority, name, installed_size, row_number() OVER (PARTITION BY priority ORDER BY installed_size DESC, id) r FROM package) x WHERE r <= 10

-- busiest maintainers
SELECT m.name, count(*) FROM package p JOIN maintainer m ON m.id = p.maintainer_id GROUP BY m.id, m.name ORDER BY 2 DESC, m.id LIMIT 20

-- one package by name
SELECT version, installed_size FROM package WHERE name = 'postgresql-15'

-- packages of one maintainer
SELECT p.name FROM package p WHERE p.maintainer_id = (SELECT id FROM maintainer WHERE email LIKE '%postgresql%' ORDER BY id LIMIT 1) ORDER BY 1

-- percentiles of size by section
SELECT section_id, percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP (ORDER BY installed_size) FROM package GROUP BY 1

-- average in a range
SELECT count(*), avg(size) FROM package WHERE installed_size BETWEEN 1000000 AND 5000000 AND priority = 'optional'

-- all of a small class
SELECT name FROM section ORDER BY name

-- missing values
SELECT count(*) FROM package WHERE homepage IS NULL

-- counts by architecture
SELECT architecture, count(*) FROM package GROUP BY 1

-- names with a prefix
SELECT count(*) FROM package WHERE name LIKE 'python3-%'

-- three-way join
SELECT s.name, m.name, count(*) FROM package p JOIN section s ON s.id = p.section_id JOIN maintainer m ON m.id = p.maintainer_id WHERE p.essential GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2

-- reverse dependencies
SELECT count(DISTINCT package_id) FROM package_relations WHERE any_of_ids @> ARRAY[(SELECT id FROM package WHERE name = 'libpq5')]
-- on views
SELECT count(*) FROM debian.newt_projection WHERE class_name = 'Package' AND state->'relations' @> jsonb_build_array(jsonb_build_object('any_of', jsonb_build_array(jsonb_build_object('::=>', (SELECT id FROM package WHERE name = 'libpq5')))))
-- on twin
SELECT count(DISTINCT package_id) FROM depends WHERE target_id = (SELECT id FROM package WHERE name = 'libpq5')

-- recursive closure
WITH RECURSIVE c (id) AS (SELECT id FROM package WHERE name IN ('gimp', 'postgresql-15') UNION SELECT unnest(r.any_of_ids) FROM c JOIN package_relations r ON r.package_id = c.id WHERE r.kind IN ('depends', 'pre-depends')) SELECT count(*) FROM c
-- on twin
WITH RECURSIVE c (id) AS (SELECT id FROM package WHERE name IN ('gimp', 'postgresql-15') UNION SELECT d.target_id FROM c JOIN depends d ON d.package_id = c.id WHERE d.kind IN ('depends', 'pre-depends')) SELECT count(*) FROM c

-- full text, ranked
SELECT name FROM (SELECT id, name, setweight(to_tsvector('english', name), 'A') || setweight(to_tsvector('english', coalesce(summary, '')), 'B') || setweight(to_tsvector('english', coalesce(description, '')), 'C') AS words FROM package) p WHERE words @@ websearch_to_tsquery('english', 'spread sheet OR spreadsheet OR lisp') ORDER BY ts_rank(words, websearch_to_tsquery('english', 'spread sheet OR spreadsheet OR lisp')) DESC, id LIMIT 20
-- on views
SELECT p.name FROM package p JOIN debian.package_search s USING (id) WHERE s.words @@ websearch_to_tsquery('english', 'spread sheet OR spreadsheet OR lisp') ORDER BY ts_rank(s.words, websearch_to_tsquery('english', 'spread sheet OR spreadsheet OR lisp')) DESC, p.id LIMIT 20

-- by tag
SELECT count(*) FROM package WHERE tags @> ARRAY['role::program']

-- counts by tag
SELECT t, count(*) FROM package, unnest(tags) t GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20
