-- Searches: declared, asked, paged, counted, suggested; by language, with synonyms, over stored and computed rows.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
CREATE EXTENSION newt;
SELECT newt.create_store('s');
SELECT newt.create_store('Odd "s"');
INSERT INTO s.newt_class (name, version, fields) VALUES ('Note', 1, '[]'), ('Task', 1, '[]');
INSERT INTO s.newt_projection (zoid, class_name, serial, state) VALUES
    (2001, 'Note', 1, '{"title": "Running horses", "body": "The horse ran over the meadow", "kind": "tale", "tags": ["animal", "sport"], "lang": "en", "done": true}'),
    (2002, 'Note', 1, '{"title": "Ein Haus", "body": "Die alten Häuser am Meer", "kind": "tale", "tags": ["house"], "lang": "de-AT", "done": false}'),
    (2003, 'Note', 1, '{"title": "The die is cast", "body": "Rolling dice in old houses", "kind": "essay", "lang": "en", "owner": {"::=>": 7}}'),
    (2004, 'Note', 1, '{"title": "Hôtel Ritz", "body": "a horse in a hotel", "kind": "essay", "tags": [], "lang": "xx"}'),
    (2005, 'Task', 1, '{"title": "Feed the horse"}');
INSERT INTO s.newt_projection (zoid, class_name, serial, state)
SELECT 3000 + i, 'Note', 1, jsonb_build_object('title', 'Page about databases', 'body', 'common words, number n' || i, 'kind', 'page', 'n', i) FROM generate_series(1, 95) i;
CREATE FUNCTION pg_temp.plan_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text; plan text := '';
BEGIN
    SET LOCAL enable_seqscan = off;
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP plan := plan || line || E'\n'; END LOOP;
    RETURN plan;
END
$$;
SELECT no_plan();

-- declared
SELECT newt.create_search('s', 'notes', 'Note', 'english', '{title:A,body}');
SELECT is((SELECT to_jsonb(x) - 'bytes' FROM newt.searches('s') x), '{"name": "notes", "class_name": "Note", "config": "pg_catalog.english", "paths": ["title:A", "body"],
    "language_path": null, "languages": [], "synonyms": {}, "ready": true, "words": 27}'::jsonb, 'a search is listed');
SELECT has_index('s', 'newt_projection', 'newt_search_notes', 'its index has a name that is known');
SELECT is((SELECT statement FROM newt.search_indexes('s', 'notes')),
    'CREATE INDEX newt_search_notes ON s.newt_projection USING gin (newt.tsvector(''pg_catalog.english''::regconfig, state, VARIADIC ''{title:A,body}''::text[])) WHERE class_name = ''Note''', 'and SQL that can be read');
SELECT is(newt.search_expression('s', 'notes', 'x.y'), 'newt.tsvector(''pg_catalog.english''::regconfig, x.y, VARIADIC ''{title:A,body}''::text[])', 'and an expression');
SELECT throws_ok($$SELECT newt.create_search('s', 'notes', 'Note', 'english')$$, '42710', 'store "s" already has a search "notes"', 'a name is taken once');
SELECT throws_ok($$SELECT newt.create_search('none', 'notes', 'Note', 'english')$$, '42704', NULL, 'no store');
SELECT throws_ok(format($$SELECT newt.create_search('s', %L, 'Note', 'english')$$, n), '42602', NULL, 'a name has 1 to 48 bytes') FROM unnest(ARRAY['', repeat('x', 49), NULL]) n;
SELECT throws_ok($$SELECT newt.create_search('s', 'x', 'Note', NULL)$$, '22004', NULL, 'a configuration is needed');
SELECT throws_ok($$SELECT newt.create_search('s', 'x', 'Note', 'english', NULL)$$, '22004', NULL, 'and paths');
SELECT throws_ok($$SELECT newt.create_search('s', 'x', 'Note', 'english', ARRAY[NULL]::text[])$$, '22004', NULL, 'none of which is null');
SELECT throws_ok(format($$SELECT newt.create_search('s', 'x', 'Note', 'english', '{}', %L, %L)$$, p, l), '22023', NULL, coalesce(p, 'null') || ' and ' || coalesce(l, 'null') || ' are no languages')
  FROM (VALUES ('lang', NULL), (NULL, '{"de": "german"}'), ('lang', '{}'), ('lang', '[]'), ('lang', '"de"'), ('lang', '{"": "german"}'), ('lang', '{"DE": "german", "de": "german"}'), ('lang', '{"de": 1}'), ('lang', '{"de": null}')) v (p, l);
SELECT throws_ok($$SELECT newt.create_search('s', 'x', 'Note', 'english', '{}', 'lang', '{"de": "klingon"}')$$, '42704', NULL, 'an unknown configuration');
SELECT throws_ok(format('SELECT %s', f), '42704', 'there is no search "x" in store "s"', f) FROM unnest(ARRAY['newt.search(''s'', ''x'', ''a'')', 'newt.search_sql(''s'', ''x'', ''a'')',
    'newt.search_facets(''s'', ''x'', ''a'', ''{}'')', 'newt.search_suggest(''s'', ''x'', ''a'')', 'newt.search_cut(''s'', ''x'')', 'newt.drop_search(''s'', ''x'')', 'newt.refresh_search(''s'', ''x'')',
    'newt.search_expression(''s'', ''x'')', 'newt.search_indexes(''s'', ''x'')', 'newt.set_synonyms(''s'', ''x'', ''{}'')', 'newt.search_queries(''s'', ''x'', ''a'')', 'newt.search_condition(''s'', ''x'', ''a'')']) f;

-- asked
SELECT results_eq($$SELECT id FROM newt.search('s', 'notes', 'horses')$$, ARRAY[2001, 2004]::bigint[], 'found, the title first, of the class alone');
SELECT is((SELECT headline FROM newt.search('s', 'notes', 'horses meadow')), E'Running <b>horses</b>\nThe <b>horse</b> ran over the <b>meadow</b>', 'with what was found');
SELECT is((SELECT headline FROM newt.search('s', 'notes', 'meadow', headline_options => 'StartSel=[, StopSel=], MaxWords=3, MinWords=1')), '[meadow]', 'as one wants it');
SELECT is((SELECT headline FROM newt.search('s', 'notes', 'meadow', headline_options => NULL)), NULL, 'or without');
SELECT results_eq($$SELECT id FROM newt.search('s', 'notes', '"old houses" or hotel -ritz')$$, ARRAY[2003]::bigint[], 'the syntax of web searches');
SELECT results_eq($$SELECT id FROM newt.search('s', 'notes', 'horse', filter => '{"kind": "essay"}')$$, ARRAY[2004]::bigint[], 'a filter');
SELECT matches(pg_temp.plan_of(newt.search_sql('s', 'notes', 'horse')), 'Bitmap Index Scan on newt_search_notes', 'the index is used');
SELECT matches(pg_temp.plan_of(newt.search_facets_sql('s', 'notes', 'horse', '{kind}')), 'Bitmap Index Scan on newt_search_notes', 'also to count');
SELECT matches(pg_temp.plan_of('SELECT p.zoid FROM s.newt p WHERE ' || newt.search_condition('s', 'notes', 'horse')), 'Bitmap Index Scan on newt_search_notes', 'and in a query of one''s own');
SELECT is(newt.search_sql('s', 'notes', 'the'), 'SELECT NULL::double precision AS rank, NULL::bigint AS id, NULL::text AS headline WHERE false', 'stop words look nowhere');

-- hostile texts
SELECT is_empty(format('SELECT * FROM newt.search(''s'', ''notes'', %L)', q), 'nothing is found for ' || coalesce(left(q, 20), 'null'))
  FROM unnest(ARRAY['', ' ', 'the of a', '"', '""', '-', '!&|():*<->', '\', '''', '%s %I', '$$', 'or', 'or or', '-"', E'\n\t', '::cut', '::lang=', '🦎', 'ıİşŞ', NULL]) q;
SELECT lives_ok(format('SELECT * FROM newt.search(''s'', ''notes'', %L)', q), 'no harm is done by ' || left(q, 20))
  FROM unnest(ARRAY['-horse', 'a''b"c\d', repeat('x', 10000), repeat('a ', 5000), repeat('"', 10000), repeat('-', 9999), repeat('- ', 5000), repeat('-"', 5000), repeat('-a-', 3000), repeat('-(', 5000), repeat('-! |&<', 1500), repeat('-"a" ', 2000), repeat('"-', 4999), repeat('(', 9000), repeat('horse or ', 1000), 'İSTANBUL ıSPARTA', E'ho\u200drse', '漢字']) q;
SELECT throws_ok(format('SELECT * FROM newt.search(''s'', ''notes'', %L)', repeat('x', 10001)), '54000', 'the text to look for is too long', 'at most 10,000 bytes');
SELECT throws_ok(format('SELECT newt.search_facets(''s'', ''notes'', %L, ''{kind}'')', repeat('x ', 500000)), '54000', NULL, 'nor 1 MB');
SELECT throws_ok(format('SELECT newt.search_suggest(''s'', ''notes'', %L)', repeat('x ', 500000)), '54000', NULL, 'to suggest neither');

-- pages: the same rows, each once, whatever their number
SELECT results_eq($$WITH RECURSIVE page AS (
        SELECT 1 AS n, p.* FROM (SELECT array_agg(id) AS ids, min(rank) AS rank, (array_agg(id))[count(*)] AS id FROM newt.search('s', 'notes', 'databases', 10, headline_options => NULL)) p
        UNION ALL
        SELECT n + 1, p.* FROM page, LATERAL (SELECT array_agg(s.id) AS ids, min(s.rank) AS rank, (array_agg(s.id))[count(*)] AS id
            FROM newt.search('s', 'notes', 'databases', 10, page.rank, page.id, headline_options => NULL) s) p WHERE p.ids IS NOT NULL AND n < 20)
    SELECT unnest(ids) FROM page$$, $$SELECT id FROM newt.search('s', 'notes', 'databases', 1000)$$, 'pages make the whole');
SELECT is((SELECT count(*) FROM newt.search('s', 'notes', 'databases')), 20::bigint, '20 rows unless said');
SET extra_float_digits = 0;
SELECT is((SELECT count(*) FROM newt.search('s', 'notes', 'databases or horse', 200, r.rank::text::float8, r.id)), 96::bigint, 'a rank is read back as it was written')
  FROM (SELECT * FROM newt.search('s', 'notes', 'databases or horse', 1)) r;
RESET extra_float_digits;
SELECT throws_ok(format('SELECT newt.search(''s'', ''notes'', ''a'', %s)', a), '22023', NULL, a || ' is refused') FROM unnest(ARRAY['0', '-1', '10001', 'NULL', '10, 0.5', '10, NULL, 7']) a;

-- facets
SELECT results_eq($$SELECT * FROM newt.search_facets('s', 'notes', 'horse or house or databases', '{kind,tags,owner,done,n}', 2)$$,
    $$VALUES (NULL, NULL, 98::bigint), ('kind', 'page', 95), ('kind', 'essay', 2), ('tags', NULL, 97), ('tags', 'animal', 1), ('owner', NULL, 97), ('owner', '::=>7', 1),
             ('done', NULL, 97), ('done', 'true', 1), ('n', NULL, 3), ('n', '1', 1)$$, 'counts by each field, and of all');
SELECT results_eq($$SELECT * FROM newt.search_facets('s', 'notes', 'horse', '{}')$$, $$VALUES (NULL::text, NULL::text, 2::bigint)$$, 'how many there are');
SELECT results_eq($$SELECT value, count FROM newt.search_facets('s', 'notes', 'horse', '{kind}', filter => '{"kind": "tale"}') WHERE field IS NOT NULL$$, $$VALUES ('tale', 1::bigint)$$, 'with a filter');
SELECT is_empty($$SELECT * FROM newt.search_facets('s', 'notes', 'the', '{kind}')$$, 'of nothing there is nothing');
SELECT throws_ok(format('SELECT newt.search_facets(''s'', ''notes'', ''a'', %s)', a), '22023', NULL, a || ' is refused') FROM unnest(ARRAY['NULL', 'ARRAY[NULL]::text[]', '''{a}'', 0', '''{a}'', NULL']) a;

-- did you mean
SELECT throws_ok($$SELECT newt.search_suggest('s', 'notes', 'hors')$$, '0A000', 'the extension pg_trgm is not installed', 'suggestions need pg_trgm');
CREATE SCHEMA elsewhere;
CREATE EXTENSION pg_trgm SCHEMA elsewhere;
SELECT is(newt.search_suggest('s', 'notes', q), w, q || ' -> ' || coalesce(w, 'null')) FROM (VALUES ('horze', 'horse'), ('"Horze"  on the -maedow', '"horse"  on the -meadow'), ('horses', NULL), ('the', NULL), ('', NULL),
    ('qqqqqqq', NULL), ('"', NULL), ('databaze', 'databases')) v (q, w);
SELECT is(newt.search_suggest('s', 'notes', NULL), NULL, 'null -> null');
SELECT lives_ok($$SELECT newt.search_suggest('s', 'notes', repeat('horze ', 1500))$$, 'a long text');

-- synonyms
SELECT newt.set_synonyms('s', 'notes', '{"steed": ["horse"], "data base": ["database"], "The": ["horse"], "villa": ["old house", "the"]}');
SELECT results_eq($$SELECT id FROM newt.search('s', 'notes', 'steed')$$, ARRAY[2001, 2004]::bigint[], 'a synonym');
SELECT results_eq($$SELECT id FROM newt.search('s', 'notes', '"running steeds"')$$, ARRAY[2001]::bigint[], 'in a phrase');
SELECT results_eq($$SELECT id FROM newt.search('s', 'notes', 'villa')$$, ARRAY[2003]::bigint[], 'that is a phrase');
SELECT is((SELECT count(*) FROM newt.search('s', 'notes', q, 100)), 95::bigint, q) FROM unnest(ARRAY['data base', '"data base"', 'data common base']) q;
SELECT is((SELECT words::text FROM newt.search_queries('s', 'notes', '-steed')), '!( ''steed'' | ''hors'' )', 'and is excluded');
SELECT throws_ok(format('SELECT newt.set_synonyms(''s'', ''notes'', %L)', j), '22023', NULL, coalesce(j, 'null') || ' is refused') FROM unnest(ARRAY['[]', '{"a": "b"}', '{"a": [1]}', '{"a": [null]}', NULL]) j;
SELECT throws_ok($$SELECT newt.set_synonyms('s', 'notes', (SELECT jsonb_object_agg(i, '["a"]'::jsonb) FROM generate_series(1, 1001) i))$$, '54000', NULL, 'too many');

-- languages
SELECT newt.create_search('s', 'all', NULL, 'simple', '{title:A,body}', 'lang', '{"de": "german", "EN": "english"}');
SELECT is((SELECT languages FROM newt.searches('s') WHERE name = 'all'), '{de,en}', 'languages are in lower case');
SELECT results_eq($$SELECT id FROM newt.search('s', 'all', 'haus')$$, ARRAY[2002]::bigint[], 'a German word finds its forms');
SELECT results_eq($$SELECT id FROM newt.search('s', 'all', 'die')$$, ARRAY[2003]::bigint[], 'a stop word of one language is a word of another');
SELECT results_eq($$SELECT id FROM newt.search('s', 'all', 'houses', language => 'en')$$, ARRAY[2003]::bigint[], 'in one language');
SELECT is_empty($$SELECT id FROM newt.search('s', 'all', 'horse', language => 'de')$$, 'which is asked alone');
SELECT results_eq($$SELECT id FROM newt.search('s', 'all', 'horse', language => '') ORDER BY id$$, ARRAY[2004, 2005]::bigint[], 'or in none');
SELECT results_eq($$SELECT id FROM newt.search('s', 'all', 'horse -running') ORDER BY id$$, ARRAY[2004, 2005]::bigint[], 'what is excluded is so in the object''s own language');
SELECT is((SELECT headline FROM newt.search('s', 'all', 'häuser')), E'<b>Haus</b>\nDie alten <b>Häuser</b> am Meer', 'the headline knows the language');
SELECT matches(pg_temp.plan_of(newt.search_sql('s', 'all', 'horse')), 'Bitmap Index Scan on newt_search_all', 'one index for all languages');
SELECT throws_ok($$SELECT newt.search('s', 'all', 'a', language => 'fr')$$, '22023', 'search "all" does not know language "fr"', 'a language that it does not know');
SELECT throws_ok($$SELECT newt.search('s', 'notes', 'a', language => 'en')$$, '22023', NULL, 'nor one without languages');

-- accents
SELECT throws_ok($$SELECT newt.create_unaccent_config('s', 'english')$$, '0A000', 'the extension unaccent is not installed', 'needs unaccent');
CREATE EXTENSION unaccent SCHEMA elsewhere;
SELECT is(newt.create_unaccent_config('s', 'english')::text, 's.english_unaccent', 'a configuration');
SELECT is(newt.create_unaccent_config('s', 'english')::text, 's.english_unaccent', 'made once');
SELECT newt.create_search('s', 'plain', 'Note', 's.english_unaccent', '{title,body}');
SELECT results_eq(format($$SELECT id FROM newt.search('s', 'plain', %L)$$, q), ARRAY[2004]::bigint[], q || ' is found without its accent') FROM unnest(ARRAY['hotel', 'hôtel', 'HÔTELS']) q;
SELECT throws_ok($$SELECT newt.create_unaccent_config('none', 'english')$$, '42704', NULL, 'no store');

-- cut
INSERT INTO s.newt_projection SELECT 9001, 'Note', 1, jsonb_build_object('title', 'Long', 'body', string_agg('word' || i, ' ')) FROM generate_series(1, 100000) i;
SELECT results_eq($$SELECT newt.search_cut('s', 'notes')$$, ARRAY[9001]::bigint[], 'an object that was cut');
SELECT results_eq($$SELECT newt.search_cut('s', 'all')$$, ARRAY[9001]::bigint[], 'in a search of all classes');
SELECT results_eq($$SELECT id FROM newt.search('s', 'notes', 'word77')$$, ARRAY[9001]::bigint[], 'is found by its first words');
SELECT lives_ok($$SELECT newt.refresh_search('s', 'notes')$$, 'and is no hindrance');

-- computed rows: the index moves when it is made anew
INSERT INTO s.object_state SELECT 4000, 1, '\x83644e6f746501a1657469746c656b766972747563206e6f7465';
DELETE FROM s.newt_projection WHERE zoid = 9001;
SELECT newt.set_projection('s', 'Note', 'virtual');
SELECT is((SELECT ready FROM newt.searches('s') WHERE name = 'notes'), false, 'the index is in the wrong place');
SELECT newt.refresh_search('s', n) FROM unnest(ARRAY['notes', 'all']) n;
SELECT is((SELECT array_agg(index_name ORDER BY index_name) FROM newt.search_indexes('s', n) WHERE ready), w, n || ': over records') FROM (VALUES ('notes', ARRAY['newt_searched_notes']), ('all', ARRAY['newt_search_all', 'newt_searched_all'])) v (n, w);
SELECT hasnt_index('s', 'newt_projection', 'newt_search_notes', 'the other one is gone');
SELECT results_eq($$SELECT id, headline FROM newt.search('s', 'notes', 'virtuc')$$, $$VALUES (4000::bigint, '<b>virtuc</b> note')$$, 'found in a record');
SELECT matches(pg_temp.plan_of(newt.search_sql('s', 'notes', 'virtuc')), 'Bitmap Index Scan on newt_searched_notes', 'by its index');
SELECT results_eq($$SELECT id FROM newt.search('s', 'all', 'virtuc or feed') ORDER BY id$$, ARRAY[2005, 4000]::bigint[], 'all classes, of both kinds');
SELECT newt.set_projection('s', 'Note', NULL);

-- names
INSERT INTO "Odd ""s""".newt_projection VALUES (2001, 'It''s "odd" %s', 1, '{"ti%t''le": "a horse", "a\\b": "and a cow"}');
SELECT lives_ok($$SELECT newt.create_search('Odd "s"', 'my "search" %s''', 'It''s "odd" %s', 'english', '{ti%t''le:A,"a\\\\b"}')$$, 'odd names');
SELECT results_eq($$SELECT id, headline FROM newt.search('Odd "s"', 'my "search" %s''', 'cow horse')$$, $$VALUES (2001::bigint, E'<b>horse</b>\nand a <b>cow</b>')$$, 'are searched');
SELECT lives_ok($$SELECT newt.drop_search('Odd "s"', 'my "search" %s''')$$, 'and dropped');
INSERT INTO s.newt_projection VALUES (2001, 'Note', 1, '{"title": "Over the meadow", "kind": "tale"}');
SELECT newt.create_search('s', 'later', 'Note', 'simple', build => false);
SELECT is((SELECT ready FROM newt.searches('s') WHERE name = 'later'), false, 'declared alone');
SELECT results_eq($$SELECT id FROM newt.search('s', 'later', 'meadow')$$, ARRAY[2001]::bigint[], 'it works, without an index');

-- rights
CREATE ROLE newt_t_reader; CREATE ROLE newt_t_owner; CREATE ROLE newt_t_nobody;
SELECT newt.grant_store('s', 'newt_t_reader', 'reader'), newt.grant_store('s', 'newt_t_owner', 'owner');
SET ROLE newt_t_reader;
SELECT results_eq($$SELECT id FROM newt.search('s', 'later', 'meadow')$$, ARRAY[2001]::bigint[], 'a reader searches');
SELECT is((SELECT count(*) FROM newt.search_facets('s', 'later', 'meadow', '{kind}')), 2::bigint, 'counts');
SELECT lives_ok($$SELECT newt.searches('s')$$, 'and sees what searches there are');
SELECT throws_ok($$SELECT newt.create_search('s', 'mine', 'Note', 'simple')$$, '42501', NULL, 'but declares none');
SELECT throws_ok($$SELECT newt.drop_search('s', 'later')$$, '42501', NULL, 'drops none');
SELECT throws_ok($$SELECT newt.set_synonyms('s', 'later', '{}')$$, '42501', NULL, 'and changes none');
RESET ROLE; SET ROLE newt_t_nobody;
SELECT throws_ok($$SELECT newt.search('s', 'later', 'meadow')$$, '42501', NULL, 'others do not');
RESET ROLE; SET ROLE newt_t_owner;
SELECT lives_ok($$SELECT newt.create_search('s', 'owned', 'Note', 'simple')$$, 'the owner declares');
SELECT lives_ok($$SELECT newt.drop_search('s', 'owned')$$, 'and drops');
RESET ROLE;

-- dropped
SELECT newt.drop_search('s', n) FROM unnest(ARRAY['notes', 'all', 'plain', 'later']) n;
SELECT is_empty('SELECT newt.searches(''s'')', 'no search');
SELECT is_empty('SELECT * FROM s.newt_search_word', 'no words');
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 's'::regnamespace AND relname LIKE 'newt\_search\_%' AND relkind = 'i' AND relname NOT LIKE '%pkey'$$, 'no index');
SELECT * FROM finish();
ROLLBACK;
