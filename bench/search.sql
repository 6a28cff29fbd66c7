-- How well newt.search finds packages, beside ts_rank over the same data.
--
--     build/examples/debian load && psql -X -q -At -v store=debian -f bench/search.sql
--
-- bench/judged.csv has 20 queries, and for each the packages that are what it asks for (2) or have to do with
-- it (1). They were named by hand, from knowledge of Debian and from the first ten of both sides; what is not named
-- counts as 0. Prints one line a query, and the means: NDCG@10 and precision@10 of newt.search, and of ts_rank
-- over to_tsvector of name, summary and description. Leaves nothing behind.
\set ON_ERROR_STOP on
\if :{?store} \else \set store debian \endif
\o /dev/null
SET client_min_messages = warning;
SELECT set_config('search_path', quote_ident(:'store') || ', public', false);
BEGIN;
CREATE TEMP TABLE line (query text, grade integer, names text);
\copy line FROM bench/judged.csv WITH (FORMAT csv, HEADER)
CREATE TEMP TABLE package_name AS SELECT zoid, state->>'name' AS name FROM newt WHERE class_name = 'Package';
CREATE TEMP TABLE judged AS
SELECT l.query, p.zoid, max(l.grade) AS grade FROM line l CROSS JOIN LATERAL regexp_split_to_table(l.names, ' ') n (name) JOIN package_name p USING (name) GROUP BY 1, 2;
SELECT newt.create_search(:'store', 'bench', 'Package', 'english', '{name:A,summary:B,description:D}');
CREATE TEMP TABLE plain AS
SELECT zoid, to_tsvector('english', concat_ws(' ', state->>'name', state->>'summary', state->>'description')) AS words FROM newt WHERE class_name = 'Package';

CREATE TEMP TABLE result (side text, query text, zoid bigint, place bigint);
INSERT INTO result
SELECT 'newt.search', q.query, s.id, s.place FROM (SELECT DISTINCT query FROM line) q
 CROSS JOIN LATERAL newt.search(:'store', 'bench', q.query, 10, headline_options => NULL) WITH ORDINALITY s (rank, id, headline, place)
UNION ALL
SELECT 'ts_rank', q.query, s.zoid, s.place FROM (SELECT DISTINCT query, websearch_to_tsquery('english', query) AS words FROM line) q
 CROSS JOIN LATERAL (SELECT p.zoid, row_number() OVER (ORDER BY ts_rank(p.words, q.words) DESC, p.zoid) AS place
                       FROM plain p WHERE p.words @@ q.words ORDER BY place LIMIT 10) s;
-- the gain of a grade is 2^grade - 1, discounted by the logarithm of the place; 1 is the best order there could be
CREATE TEMP VIEW measure AS
SELECT s.side, q.query,
       coalesce((SELECT sum((2 ^ j.grade - 1) / log(2, r.place + 1)) FROM result r JOIN judged j USING (query, zoid) WHERE r.side = s.side AND r.query = q.query), 0) /
       (SELECT sum((2 ^ b.grade - 1) / log(2, b.place + 1)) FROM (SELECT j.grade, row_number() OVER (ORDER BY j.grade DESC) AS place FROM judged j WHERE j.query = q.query) b WHERE b.place <= 10) AS ndcg,
       (SELECT count(*) FROM result r JOIN judged j USING (query, zoid) WHERE r.side = s.side AND r.query = q.query) / 10.0 AS precision
  FROM (SELECT DISTINCT query FROM line) q CROSS JOIN (VALUES ('newt.search'), ('ts_rank')) s (side);
\o
SELECT coalesce(n.query, 'mean'), round(avg(n.ndcg)::numeric, 2) AS ndcg, round(avg(p.ndcg)::numeric, 2) AS ndcg_ts_rank,
       round(avg(n.precision), 2) AS precision, round(avg(p.precision), 2) AS precision_ts_rank
  FROM measure n JOIN measure p USING (query) WHERE n.side = 'newt.search' AND p.side = 'ts_rank'
 GROUP BY ROLLUP (n.query) ORDER BY n.query;
ROLLBACK;
