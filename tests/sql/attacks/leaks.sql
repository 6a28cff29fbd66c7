-- report | a condition on derived columns that claims to cost nothing and records what it is shown | it is shown only the two visible rows
SELECT zoid FROM shop.pages WHERE leak(title) ORDER BY 1;
SELECT DISTINCT value FROM seen ORDER BY 1;
TRUNCATE seen;
--> 10
--> 11
--> open
--> top

-- report | the same on the documents, as an operator | it is shown only the visible rows
SELECT zoid FROM shop.pages_documents WHERE state->>'title' <<< 'x' ORDER BY 1;
SELECT DISTINCT value FROM seen ORDER BY 1;
TRUNCATE seen;
--> 10
--> 11
--> open
--> top

-- report | the same on a typed table | it is shown only the visible rows
SELECT id FROM shop.page WHERE title <<< 'x' AND leak(id) ORDER BY 1;
SELECT DISTINCT value FROM seen ORDER BY 1;
TRUNCATE seen;
--> 11
--> 11
--> open

-- report | a leaking function in ORDER BY, GROUP BY, a window and LIMIT | it is shown only the visible rows
SELECT count(*) FROM (SELECT zoid FROM shop.pages ORDER BY leak(title), zoid LIMIT 100) p;
SELECT count(*) FROM (SELECT leak(title) FROM shop.pages GROUP BY leak(title)) p;
SELECT count(*) FROM (SELECT row_number() OVER (PARTITION BY leak(title)) FROM shop.pages_documents d JOIN shop.pages USING (zoid)) p;
SELECT DISTINCT value FROM seen ORDER BY 1;
TRUNCATE seen;
--> 2
--> 1
--> 2
--> open
--> top

-- report | a leaking condition in a join with a table of its own, also on the side that is padded with nulls | it is shown only the visible rows
CREATE TABLE probe AS SELECT g::bigint AS zoid FROM generate_series(1, 20) g;
SELECT count(*) FROM probe p JOIN shop.pages d ON leak(d.title) AND d.zoid = p.zoid;
SELECT count(*) FROM probe p LEFT JOIN shop.pages d ON d.zoid = p.zoid AND leak(d.title);
SELECT DISTINCT value FROM seen ORDER BY 1;
TRUNCATE seen;
--> 2
--> 20
--> open
--> top

-- report | EXPLAIN ANALYZE of a leaking condition | it is shown only the visible rows
SELECT count(*) > 0 FROM attack.plan_of('SELECT FROM shop.pages WHERE leak(title)');
SELECT DISTINCT value FROM seen ORDER BY 1;
TRUNCATE seen;
--> t
--> open
--> top

-- report | a division by zero that only the hidden row would cause | no error, no row
SELECT 1 / (zoid - 12) FROM shop.pages WHERE zoid IN (11, 12);
SELECT 1 / (zoid - 12) FROM shop.pages_documents WHERE zoid = 12;
SELECT 1 / (id - 12) FROM shop.page WHERE id = 12;
--> -1

-- report | a cast whose error would show the hidden title | no row; only the cast of a visible title fails
SELECT title::integer FROM shop.pages WHERE title = 'secret';
SELECT (state->>'title')::integer FROM shop.pages_documents WHERE zoid = 12;
SELECT title::integer FROM shop.pages WHERE title = 'open';
--> ERROR 22P02

-- report | EXPLAIN ANALYZE of an equality, which an index answers before the policy does | **it learns that one hidden row has this title**, as with PostgreSQL's policies everywhere: see above
SET enable_seqscan = off; SET enable_bitmapscan = off;
SELECT trim(line) FROM attack.plan_of($$SELECT FROM shop.pages WHERE title = 'secret'$$) line WHERE line LIKE '%Rows Removed%';
SELECT trim(line) FROM attack.plan_of($$SELECT FROM shop.pages WHERE title = 'no such title'$$) line WHERE line LIKE '%Rows Removed%';
--> Rows Removed by Filter: 1

-- report | the same on the documents, whose condition is not leakproof | it learns nothing
SET enable_seqscan = off; SET enable_bitmapscan = off;
SELECT trim(line) FROM attack.plan_of($$SELECT FROM shop.pages_documents WHERE state->>'title' = 'secret'$$) line WHERE line LIKE '%Rows Removed%';
SELECT trim(line) FROM attack.plan_of($$SELECT FROM shop.pages_documents WHERE state->>'title' = 'no such title'$$) line WHERE line LIKE '%Rows Removed%';
--> Rows Removed by Filter: 2
--> Rows Removed by Filter: 2

-- report | derived values of a visible row that come from an object which it may not see | **it sees these values**, since they are the row's own: see above
SELECT owner FROM shop.pages WHERE zoid = 11;
SELECT count(*) FROM shop.pages WHERE zoid = 20;
SELECT count(*) FROM shop.pages_documents WHERE zoid = 20;
--> Ada
--> 0
--> 0

-- report | the statistics of hidden values: pg_stats, pg_stats_ext, pg_statistic, pg_statistic_ext_data | no rows; 42501 for the tables
SELECT count(*) FROM pg_stats WHERE schemaname = 'shop';
SELECT count(*) FROM pg_stats_ext WHERE schemaname = 'shop';
SELECT count(*) FROM pg_statistic;
SELECT count(*) FROM pg_statistic_ext_data;
--> 0
--> 0
--> ERROR 42501
--> ERROR 42501

-- report | CREATE STATISTICS, CREATE INDEX, ANALYZE on what it may read | 42501; ANALYZE skips it
CREATE STATISTICS mine ON title, owner FROM shop.pages;
CREATE INDEX ON shop.pages (leak(title));
ANALYZE shop.pages;
--> ERROR 42501
--> ERROR 42501

-- report | SELECT FOR UPDATE and FOR SHARE, to learn by waiting which rows there are | 42501
SELECT FROM shop.pages FOR UPDATE;
SELECT FROM shop.pages WHERE zoid = 12 FOR KEY SHARE;
SELECT FROM shop.pages_documents FOR SHARE;
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- report | foreign keys and unique keys as probes for oids | 42501
CREATE TABLE child (zoid bigint REFERENCES shop.pages);
INSERT INTO shop.pages (zoid, class_name) VALUES (12, 'Page');
INSERT INTO shop.pages (zoid, class_name) VALUES (12, 'Page') ON CONFLICT DO NOTHING;
MERGE INTO shop.pages p USING (VALUES (12)) v (zoid) ON p.zoid = v.zoid WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT (zoid, class_name) VALUES (1, 'x');
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- report | COPY of the table, of a query, of the records; to a program and from a file | the visible rows; 42501
\copy shop.pages (zoid) TO PROGRAM 'sort'
COPY (SELECT zoid FROM shop.pages_documents ORDER BY 1) TO STDOUT;
COPY shop.object_state TO STDOUT;
COPY shop.pages TO PROGRAM 'cat';
COPY seen FROM '/etc/hostname';
--> 10
--> 11
--> 10
--> 11
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- report | SET row_security = off | 42501 for tables; the view of documents keeps its condition
SET row_security = off;
SELECT count(*) FROM shop.pages;
SELECT count(*) FROM shop.page;
SELECT count(*) FROM shop.pages_documents;
--> ERROR 42501
--> ERROR 42501
--> 2

-- report | TABLESAMPLE, ctid, a whole row, system columns, an inheriting table | the visible rows; 42501
SELECT count(*) FROM shop.pages TABLESAMPLE bernoulli (100);
SELECT count(*) FROM shop.pages WHERE ctid >= '(0,1)';
SELECT count(*) FROM shop.pages p WHERE leaks(p::text, '');
SELECT count(DISTINCT value) FROM seen;
TRUNCATE seen;
SELECT currtid2('shop.pages', '(0,1)') IS NULL;
CREATE TABLE heir () INHERITS (shop.pages);
--> 2
--> 2
--> 2
--> 2
--> f
--> ERROR 42501
