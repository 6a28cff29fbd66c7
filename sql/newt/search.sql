-- ---- searches ---------------------------------------------------------------------------------------
-- A search is declared once: the table newt_search of the store has what newt.search() needs to know.
-- It is no object of the extension, so a dump has it, and DROP EXTENSION takes the index alone.

CREATE FUNCTION newt.search_expression(store text, name text, document text DEFAULT 'state') RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    s record;
BEGIN
    PERFORM newt.check_store(store);
    EXECUTE pg_catalog.format('SELECT * FROM %I.newt_search s WHERE s.name = $1', store) INTO s USING name;
    IF s.name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object',
            MESSAGE = pg_catalog.format('there is no search "%s" in store "%s"', name, store),
            HINT = pg_catalog.format('SELECT name FROM %I.newt_search shows those that are; newt.create_search() declares one.', store);
    END IF;
    RETURN CASE WHEN s.language_path IS NULL THEN pg_catalog.format('newt.tsvector(%L::regconfig, %s', s.config, document)
                ELSE pg_catalog.format('newt.tsvector_by_language(%L::regconfig, %L, %L::text[], ARRAY[%s], %s', s.config, s.language_path,
                         s.languages, (SELECT string_agg(format('%L::regconfig', c.config), ', ' ORDER BY c.place)
                                         FROM unnest(s.configs) WITH ORDINALITY c (config, place)), document) END
        || CASE WHEN s.paths = '{}' THEN ')' ELSE pg_catalog.format(', VARIADIC %L::text[])', s.paths) END;
END
$newt_body$;
COMMENT ON FUNCTION newt.search_expression(text, text, text) IS 'the expression that a search has an index over, for a document of that name';

-- Over the rows of the projection; where a class has none, over its records, as the view computes it.
-- All classes of a store that has both need two indexes.
CREATE FUNCTION newt.search_indexes(store text, name text, OUT index_name text, OUT table_name text, OUT statement text, OUT ready boolean, OUT bytes bigint)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    class_name text;
    split record;
BEGIN
    PERFORM newt.search_expression(store, name);
    EXECUTE pg_catalog.format('SELECT s.class_name FROM %I.newt_search s WHERE s.name = $1', store) INTO class_name USING name;
    SELECT * INTO split FROM newt.projection_split(store);
    RETURN QUERY
        SELECT w.index_name, w.table_name,
               format('CREATE INDEX %I ON %I.%I USING gin (%s)%s', w.index_name, store, w.table_name,
                   newt.search_expression(store, search_indexes.name, w.document),
                   CASE WHEN class_name IS NULL THEN '' ELSE format(' WHERE %s = %L', w.class_of, class_name) END),
               coalesce(i.indisvalid AND i.indisready AND i.indrelid = to_regclass(format('%I.%I', store, w.table_name)), false),
               pg_relation_size(i.indexrelid)
          FROM (VALUES (false, 'newt_search_' || name, 'newt_projection', 'state', 'class_name'),
                       (true, 'newt_searched_' || name, 'object_state', 'newt.try_to_jsonb(state)', 'newt.try_class_name(state)'))
                 w (computed, index_name, table_name, document, class_of)
          LEFT JOIN pg_index i ON i.indexrelid = to_regclass(format('%I.%I', store, w.index_name))
         WHERE CASE WHEN class_name IS NOT NULL THEN w.computed = (newt.projection_of(store, class_name) = 'virtual')
                    ELSE split.others <> '{}' OR w.computed = split.is_virtual END
         ORDER BY w.computed;
END
$newt_body$;
COMMENT ON FUNCTION newt.search_indexes(text, text) IS 'the indexes that a search needs: the SQL of each, whether it is there and valid, its size';

CREATE FUNCTION newt.create_search(store text, name text, class_name text, config regconfig, paths text[] DEFAULT '{}',
                                   language_path text DEFAULT NULL, languages jsonb DEFAULT NULL, build boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    taken boolean;
    codes text[];
    configs text[];
BEGIN
    PERFORM newt.check_store(store);
    IF coalesce(name, '') = '' OR pg_catalog.octet_length(name) > 48 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_name',
            MESSAGE = pg_catalog.format('invalid name "%s" of a search', name),
            DETAIL = 'It has 1 to 48 bytes: the name of the index is made of it.';
    ELSIF config IS NULL OR paths IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
            MESSAGE = pg_catalog.format('the %s of search "%s" must not be null', CASE WHEN config IS NULL THEN 'configuration' ELSE 'paths' END, name),
            HINT = 'A configuration is for instance ''english''; the paths {} are all of the document.';
    ELSIF (language_path IS NULL) <> (languages IS NULL) OR pg_catalog.jsonb_typeof(languages) <> 'object' OR languages = '{}' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = pg_catalog.format('the languages of search "%s" are not known', name),
            DETAIL = 'The field that names the language of an object, and the configuration of each language, are given together.',
            HINT = 'For instance language_path => ''lang'', languages => ''{"de": "german", "fr": "french"}''; "config" is that of all other objects.';
    END IF;
    EXECUTE pg_catalog.format('SELECT EXISTS (SELECT FROM %I.newt_search s WHERE s.name = $1)', store) INTO taken USING name;
    IF taken THEN
        RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
            MESSAGE = pg_catalog.format('store "%s" already has a search "%s"', store, name),
            HINT = 'newt.drop_search() removes it.';
    END IF;
    IF (SELECT count(*) > 50 OR count(DISTINCT lower(l.key COLLATE "C")) < count(*) OR bool_or(octet_length(l.key) NOT BETWEEN 1 AND 63 OR jsonb_typeof(l.value) <> 'string')
          FROM jsonb_each(languages) l) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = pg_catalog.format('invalid languages of search "%s"', name),
            DETAIL = 'There are at most 50, each once, whose names have 1 to 63 bytes; the value of each is the name of a text search configuration.';
    END IF;
    SELECT coalesce(array_agg(lower(l.key COLLATE "C") ORDER BY lower(l.key COLLATE "C")), '{}'),
           coalesce(array_agg(format('%I.%I', n.nspname, c.cfgname) ORDER BY lower(l.key COLLATE "C")), '{}')
      INTO codes, configs
      FROM jsonb_each_text(languages) l JOIN pg_ts_config c ON c.oid = l.value::regconfig JOIN pg_namespace n ON n.oid = c.cfgnamespace;
    PERFORM newt.tsvector(config, '{}', VARIADIC paths); -- refuses what it would refuse later
    PERFORM newt.check_paths(store, class_name, paths || language_path);
    EXECUTE pg_catalog.format('INSERT INTO %I.newt_search (name, class_name, config, paths, language_path, languages, configs) '
        'SELECT $1, $2, pg_catalog.format(''%%I.%%I'', n.nspname, c.cfgname), $4, $5, $6, $7 '
        'FROM pg_catalog.pg_ts_config c JOIN pg_catalog.pg_namespace n ON n.oid = c.cfgnamespace WHERE c.oid = $3', store)
        USING name, class_name, config, paths, language_path, codes, configs;
    IF build THEN
        PERFORM newt.refresh_search(store, name);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.create_search(text, text, text, regconfig, text[], text, jsonb, boolean) IS 'declares a search over the objects of a class (null: all): configuration, paths with weights as for newt.tsvector, the field that names the language; makes its index';

-- The words are those of the texts, not their stems: a suggestion is for people.
CREATE FUNCTION newt.refresh_search(store text, name text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET client_min_messages = warning
    AS $newt_body$
DECLARE
    i record;
    s record;
BEGIN
    PERFORM newt.search_expression(store, name);
    FOR i IN SELECT c.relname FROM pg_class c
              WHERE c.relnamespace = to_regnamespace(quote_ident(store)) AND c.relkind = 'i'
                AND c.relname IN ('newt_search_' || name, 'newt_searched_' || name)
                AND NOT EXISTS (SELECT FROM newt.search_indexes(store, name) w WHERE w.index_name = c.relname AND w.ready) LOOP
        EXECUTE pg_catalog.format('DROP INDEX %I.%I', store, i.relname);
    END LOOP;
    FOR i IN SELECT * FROM newt.search_indexes(store, name) LOOP
        IF NOT i.ready THEN
            EXECUTE i.statement;
        END IF;
        EXECUTE pg_catalog.format('ANALYZE %I.%I', store, i.table_name);
    END LOOP;
    EXECUTE pg_catalog.format('SELECT * FROM %I.newt_search s WHERE s.name = $1', store) INTO s USING name;
    EXECUTE pg_catalog.format('DELETE FROM %I.newt_search_word w WHERE w.search = $1', store) USING name;
    EXECUTE pg_catalog.format('INSERT INTO %I.newt_search_word (search, word, objects) '
        'SELECT $1, w.word, w.ndoc FROM pg_catalog.ts_stat($2) w '
        'WHERE length(w.word) BETWEEN 3 AND 40 AND w.word !~ ''[[:digit:][:punct:][:space:]]'' ORDER BY w.ndoc DESC LIMIT 200000', store)
        USING name, pg_catalog.format('SELECT newt.tsvector(''pg_catalog.simple'', p.state%s) FROM %I.newt p%s',
            CASE WHEN s.paths = '{}' THEN '' ELSE pg_catalog.format(', VARIADIC %L::text[]', s.paths) END, store,
            CASE WHEN s.class_name IS NULL THEN '' ELSE pg_catalog.format(' WHERE p.class_name = %L', s.class_name) END);
END
$newt_body$;
COMMENT ON FUNCTION newt.refresh_search(text, text) IS 'makes the indexes of a search that are missing or in the wrong place, and gathers the words that newt.search_suggest chooses from';

CREATE FUNCTION newt.drop_search(store text, name text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET client_min_messages = warning
    AS $newt_body$
BEGIN
    PERFORM newt.search_expression(store, name);
    EXECUTE pg_catalog.format('DROP INDEX IF EXISTS %1$I.%2$I, %1$I.%3$I', store, 'newt_search_' || name, 'newt_searched_' || name);
    EXECUTE pg_catalog.format('DELETE FROM %I.newt_search_word w WHERE w.search = $1', store) USING name;
    EXECUTE pg_catalog.format('DELETE FROM %I.newt_search s WHERE s.name = $1', store) USING name;
END
$newt_body$;
COMMENT ON FUNCTION newt.drop_search(text, text) IS 'removes a search, its indexes and its words';

CREATE FUNCTION newt.searches(store text DEFAULT 'public', OUT name text, OUT class_name text, OUT config text, OUT paths text[], OUT language_path text,
                              OUT languages text[], OUT synonyms jsonb, OUT ready boolean, OUT bytes bigint, OUT words bigint)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    RETURN QUERY EXECUTE pg_catalog.format('SELECT s.name, s.class_name, s.config, s.paths, s.language_path, s.languages, s.synonyms, i.ready, i.bytes, '
        '(SELECT count(*) FROM %1$I.newt_search_word w WHERE w.search = s.name) FROM %1$I.newt_search s, '
        'LATERAL (SELECT bool_and(x.ready) AS ready, sum(x.bytes)::bigint AS bytes FROM newt.search_indexes($1, s.name) x) i '
        'ORDER BY s.name COLLATE "C"', store) USING store;
END
$newt_body$;
COMMENT ON FUNCTION newt.searches(text) IS 'the searches of a store, whether their indexes are there and valid, and their size';

CREATE FUNCTION newt.set_synonyms(store text, name text, synonyms jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.search_expression(store, name);
    IF synonyms IS NULL OR pg_catalog.jsonb_typeof(synonyms) <> 'object'
       OR EXISTS (SELECT FROM jsonb_each(synonyms) s WHERE jsonb_typeof(s.value) <> 'array'
                     OR EXISTS (SELECT FROM jsonb_array_elements(s.value) v (value) WHERE jsonb_typeof(v.value) <> 'string')) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = pg_catalog.format('invalid synonyms of search "%s"', name),
            HINT = 'For instance {"db": ["database", "data base"]}: who looks for db finds these, too.';
    ELSIF (SELECT count(*) FROM jsonb_object_keys(synonyms)) > 1000 OR pg_catalog.octet_length(synonyms::text) > 100000 THEN
        RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded',
            MESSAGE = pg_catalog.format('too many synonyms of search "%s"', name),
            DETAIL = 'There may be 1,000 words that have some, in 100,000 bytes.';
    END IF;
    EXECUTE pg_catalog.format('UPDATE %I.newt_search SET synonyms = $2 WHERE name = $1', store) USING name, synonyms;
END
$newt_body$;
COMMENT ON FUNCTION newt.set_synonyms(text, text, jsonb) IS 'words of a query that find others, too: {"db": ["database"]}; the index stays as it is';

CREATE FUNCTION newt.create_unaccent_config(store text, config regconfig) RETURNS regconfig
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    dictionary text;
    made text;
    there boolean;
    m record;
BEGIN
    PERFORM newt.check_store(store);
    SELECT format('%I.%I', n.nspname, d.dictname) INTO dictionary
      FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
      JOIN pg_ts_dict d ON d.dictnamespace = n.oid AND d.dictname = 'unaccent' WHERE e.extname = 'unaccent';
    IF dictionary IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
            MESSAGE = 'the extension unaccent is not installed',
            HINT = 'CREATE EXTENSION unaccent; it comes with PostgreSQL.';
    END IF;
    SELECT format('%I.%I', store, n.name), EXISTS (SELECT FROM pg_ts_config x WHERE x.cfgname = n.name AND x.cfgnamespace = to_regnamespace(quote_ident(store)))
      INTO made, there FROM pg_ts_config c, LATERAL (SELECT (left(c.cfgname, 40) || '_unaccent')::name AS name) n WHERE c.oid = config;
    IF NOT there THEN
        EXECUTE pg_catalog.format('CREATE TEXT SEARCH CONFIGURATION %s (COPY = %s)', made, config);
        FOR m IN SELECT t.alias, string_agg(k.mapdict::regdictionary::text, ', ' ORDER BY k.mapseqno) AS dictionaries
                   FROM pg_ts_config c JOIN pg_ts_config_map k ON k.mapcfg = c.oid JOIN ts_token_type(c.cfgparser) t ON t.tokid = k.maptokentype
                  WHERE c.oid = config AND t.alias IN ('word', 'hword', 'hword_part', 'numword', 'numhword', 'hword_numpart')
                  GROUP BY t.alias LOOP
            EXECUTE pg_catalog.format('ALTER TEXT SEARCH CONFIGURATION %s ALTER MAPPING FOR %I WITH %s, %s', made, m.alias, dictionary, m.dictionaries);
        END LOOP;
    END IF;
    RETURN made::regconfig;
END
$newt_body$;
COMMENT ON FUNCTION newt.create_unaccent_config(text, regconfig) IS 'text search configuration of the store that takes accents off words first, made if missing; needs the extension unaccent';

-- ---- asking a search ----------------------------------------------------------------------------------

-- Each synonym is a part of the query in the place of its word, also within a phrase.
CREATE FUNCTION newt.search_queries(store text, name text, query text, OUT language text, OUT config regconfig, OUT words tsquery)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 3
    SET search_path = pg_catalog, pg_temp
    SET client_min_messages = warning -- that there are only stop words is no news to who fills in a form
    AS $newt_body$
DECLARE
    s record;
    synonym record;
    target tsquery;
    other tsquery;
BEGIN
    PERFORM newt.search_expression(store, name);
    IF pg_catalog.octet_length(query) > 10000 THEN
        RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded',
            MESSAGE = 'the text to look for is too long',
            DETAIL = pg_catalog.format('It has %s bytes; at most 10,000 are allowed.', pg_catalog.octet_length(query));
    END IF;
    EXECUTE pg_catalog.format('SELECT * FROM %I.newt_search s WHERE s.name = $1', store) INTO s USING name;
    FOR language, config IN SELECT '', s.config::regconfig UNION ALL SELECT l.language, l.config::regconfig FROM unnest(s.languages, s.configs) l (language, config) LOOP
        -- a row of minus signs is no more than one, but the server's parser runs out of its stack
        words := pg_catalog.websearch_to_tsquery(config, coalesce(pg_catalog.regexp_replace(query, '-[-[:space:]()!|&<]*-', '-', 'g'), ''));
        FOR synonym IN SELECT k.key, k.value FROM jsonb_each(s.synonyms) k ORDER BY k.key COLLATE "C" LOOP
            target := pg_catalog.phraseto_tsquery(config, synonym.key);
            CONTINUE WHEN pg_catalog.numnode(target) = 0;
            SELECT string_agg('(' || q.words::text || ')', ' | ' ORDER BY q.place) INTO other
              FROM (SELECT 0, target UNION ALL
                    SELECT v.place, phraseto_tsquery(config, v.word) FROM jsonb_array_elements_text(synonym.value) WITH ORDINALITY v (word, place)) q (place, words)
             WHERE numnode(q.words) > 0;
            words := pg_catalog.ts_rewrite(words, target, other);
            IF pg_catalog.numnode(target) > 1 THEN -- several words, not in quotes
                words := pg_catalog.ts_rewrite(words, pg_catalog.plainto_tsquery(config, synonym.key), other);
            END IF;
        END LOOP;
        RETURN NEXT;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.search_queries(text, text, text) IS 'what a search looks for, in each language that it knows (empty: no or another one)';

-- A word is looked for in its own language: each has a mark in the index.
CREATE FUNCTION newt.search_condition(store text, name text, query text, filter jsonb DEFAULT NULL, language text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    s record;
    words tsquery;
BEGIN
    PERFORM newt.search_expression(store, name);
    EXECUTE pg_catalog.format('SELECT * FROM %I.newt_search s WHERE s.name = $1', store) INTO s USING name;
    IF language <> '' AND language <> ALL (s.languages) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = pg_catalog.format('search "%s" does not know language "%s"', name, language),
            HINT = CASE WHEN s.languages = '{}' THEN 'It knows none.' ELSE pg_catalog.format('It knows %s, and '''' for all others.', pg_catalog.array_to_string(s.languages, ', ')) END;
    END IF;
    SELECT string_agg(CASE WHEN s.language_path IS NULL THEN q.words::text
                           ELSE format('(%s & (%s))', quote_literal('::lang=' || q.language), q.words) END, ' | ')::tsquery
      INTO words FROM newt.search_queries(store, name, query) q
     WHERE numnode(q.words) > 0 AND (search_condition.language IS NULL OR q.language = search_condition.language);
    RETURN CASE WHEN words IS NULL THEN 'false'
        ELSE CASE WHEN s.class_name IS NULL THEN '' ELSE pg_catalog.format('p.class_name = %L AND ', s.class_name) END
             || pg_catalog.format('%s @@ %L::tsquery', newt.search_expression(store, name, 'p.state'), words)
             || CASE WHEN filter IS NULL THEN '' ELSE pg_catalog.format(' AND p.state @> %L::jsonb', filter) END END;
END
$newt_body$;
COMMENT ON FUNCTION newt.search_condition(text, text, text, jsonb, text) IS 'the condition on rows p of the view newt that a search looks for: to be used in queries of one''s own';

-- What is made of an object depends on its language.
CREATE FUNCTION newt.search_sql(store text, name text, query text, max_rows integer DEFAULT 20, after_rank double precision DEFAULT NULL,
                                after_id bigint DEFAULT NULL, filter jsonb DEFAULT NULL, language text DEFAULT NULL,
                                headline_options text DEFAULT 'MaxFragments=2, MaxWords=20, MinWords=8') RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    s record;
    language_of text;
    words text;
    configs text;
    hits text;
BEGIN
    IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 10000 OR (after_rank IS NULL) <> (after_id IS NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = CASE WHEN after_rank IS NULL AND after_id IS NULL OR after_rank IS NOT NULL AND after_id IS NOT NULL
                           THEN pg_catalog.format('invalid number of rows %s', max_rows) ELSE 'rank and id are given together' END,
            DETAIL = 'A search returns 1 to 10,000 rows; those after a row are after its rank and its id.';
    END IF;
    hits := newt.search_condition(store, name, query, filter, language);
    EXECUTE pg_catalog.format('SELECT * FROM %I.newt_search s WHERE s.name = $1', store) INTO s USING name;
    language_of := pg_catalog.format('newt.language(p.state, %L, %L::text[])', s.language_path, s.languages);
    SELECT CASE WHEN s.language_path IS NULL THEN format('%L::tsquery', min(q.words::text))
                ELSE format('CASE %s %s END', language_of, string_agg(format('WHEN %L THEN %L::tsquery', q.language, q.words), ' ')) END,
           CASE WHEN s.language_path IS NULL THEN format('%L::regconfig', s.config)
                ELSE format('CASE %s %s END', language_of, string_agg(format('WHEN %L THEN %L::regconfig', q.language,
                         (SELECT format('%I.%I', n.nspname, c.cfgname) FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace WHERE c.oid = q.config)), ' ')) END
      INTO words, configs FROM newt.search_queries(store, name, query) q;
    IF hits = 'false' THEN
        RETURN 'SELECT NULL::double precision AS rank, NULL::bigint AS id, NULL::text AS headline WHERE false';
    END IF;
    -- The rank is computed once a row, in the inner query. With six digits, as numeric has them of a real, it is
    -- read back as it was written, whatever a session says of its digits: pages rest on that.
    hits := pg_catalog.format('SELECT h.rank, h.id FROM (SELECT ts_rank(%s, %s, 1)::numeric::double precision AS rank, p.zoid AS id FROM %I.newt p WHERE %s OFFSET 0) h%s ORDER BY h.rank DESC, h.id LIMIT %s',
        newt.search_expression(store, name, 'p.state'), words, store, hits,
        CASE WHEN after_id IS NULL THEN '' ELSE pg_catalog.format(' WHERE h.rank < %1$L::double precision OR h.rank = %1$L::double precision AND h.id > %2$L::bigint', after_rank, after_id) END, max_rows);
    RETURN CASE WHEN headline_options IS NULL THEN pg_catalog.format('SELECT h.rank, h.id, NULL::text AS headline FROM (%s) h', hits)
        ELSE pg_catalog.format('SELECT h.rank, h.id, ts_headline(%s, left(newt.text(p.state%s), 50000), %s, %L) AS headline FROM (%s) h JOIN %I.newt p ON p.zoid = h.id%s',
            configs, (SELECT ', VARIADIC ' || quote_literal(array_agg(regexp_replace(x.path, '(?<!\\):[A-Da-d]$', '') ORDER BY x.place)) || '::text[]'
                        FROM unnest(s.paths) WITH ORDINALITY x (path, place)), words, headline_options, hits, store,
            CASE WHEN s.class_name IS NULL THEN '' ELSE pg_catalog.format(' AND p.class_name = %L', s.class_name) END) END
        || ' ORDER BY h.rank DESC, h.id';
END
$newt_body$;
COMMENT ON FUNCTION newt.search_sql(text, text, text, integer, double precision, bigint, jsonb, text, text) IS 'the SQL of newt.search';

CREATE FUNCTION newt.search(store text, name text, query text, max_rows integer DEFAULT 20, after_rank double precision DEFAULT NULL,
                            after_id bigint DEFAULT NULL, filter jsonb DEFAULT NULL, language text DEFAULT NULL,
                            headline_options text DEFAULT 'MaxFragments=2, MaxWords=20, MinWords=8')
    RETURNS TABLE (rank double precision, id bigint, headline text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20
    SET search_path = pg_catalog, pg_temp
    SET client_min_messages = warning
    AS $newt_body$
BEGIN
    RETURN QUERY EXECUTE newt.search_sql(store, name, query, max_rows, after_rank, after_id, filter, language, headline_options);
END
$newt_body$;
COMMENT ON FUNCTION newt.search(text, text, text, integer, double precision, bigint, jsonb, text, text) IS 'objects that a text in the syntax of web searches finds, best first: rank, id, and where the words are; after_rank and after_id, those of the last row, give the next page';

-- The field null counts all that is found; the value null, objects that have none.
CREATE FUNCTION newt.search_facets_sql(store text, name text, query text, fields text[], max_values integer DEFAULT 20, filter jsonb DEFAULT NULL, language text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    condition text := newt.search_condition(store, name, query, filter, language);
BEGIN
    IF max_values IS NULL OR max_values NOT BETWEEN 1 AND 10000 OR fields IS NULL OR pg_catalog.array_position(fields, NULL) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = CASE WHEN max_values BETWEEN 1 AND 10000 THEN 'fields to count by must not be null' ELSE pg_catalog.format('invalid number of values %s', max_values) END,
            HINT = 'Fields are paths as for newt.principals; of each, 1 to 10,000 values are counted.';
    END IF;
    EXECUTE pg_catalog.format('SELECT newt.check_paths($1, s.class_name, $2) FROM %I.newt_search s WHERE s.name = $3', store) USING store, fields, name;
    RETURN pg_catalog.format($sql$SELECT c.field, c.value, c.count FROM (
    SELECT f.place, f.field, v.value, count(*) AS count, row_number() OVER (PARTITION BY f.place ORDER BY count(*) DESC, v.value COLLATE "C") AS nth
      FROM %I.newt p CROSS JOIN (SELECT 0::bigint AS place, NULL::text AS field UNION ALL SELECT u.place, u.field FROM unnest(%L::text[]) WITH ORDINALITY u (field, place)) f
     CROSS JOIN LATERAL (SELECT CASE WHEN f.field IS NULL THEN '{}' ELSE newt.principals(p.state, f.field) END AS found OFFSET 0) w
     CROSS JOIN LATERAL unnest(CASE WHEN w.found <> '{}' THEN w.found ELSE ARRAY[CASE WHEN jsonb_typeof(p.state #> string_to_array(f.field, '.')) = 'boolean' THEN p.state #>> string_to_array(f.field, '.') END] END) v (value)
     WHERE %s GROUP BY f.place, f.field, v.value) c
 WHERE c.nth <= %s ORDER BY c.place, c.nth$sql$, store, fields, condition, max_values);
END
$newt_body$;
COMMENT ON FUNCTION newt.search_facets_sql(text, text, text, text[], integer, jsonb, text) IS 'the SQL of newt.search_facets';

CREATE FUNCTION newt.search_facets(store text, name text, query text, fields text[], max_values integer DEFAULT 20, filter jsonb DEFAULT NULL, language text DEFAULT NULL)
    RETURNS TABLE (field text, value text, count bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
    SET search_path = pg_catalog, pg_temp
    SET client_min_messages = warning
    AS $newt_body$
BEGIN
    RETURN QUERY EXECUTE newt.search_facets_sql(store, name, query, fields, max_values, filter, language);
END
$newt_body$;
COMMENT ON FUNCTION newt.search_facets(text, text, text, text[], integer, jsonb, text) IS 'how many of the objects that a search finds have each value of the fields, in one scan; field null: how many there are';

-- Words that find something, and stop words, stay. A common word is rather meant than a rare one.
CREATE FUNCTION newt.search_suggest(store text, name text, query text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    trgm text := (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm');
    part record;
    known boolean;
    better text;
    result text := '';
    words integer := 0;
BEGIN
    PERFORM newt.search_queries(store, name, query); -- refuses the same
    IF trgm IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
            MESSAGE = 'the extension pg_trgm is not installed',
            HINT = 'CREATE EXTENSION pg_trgm; it comes with PostgreSQL.';
    END IF;
    FOR part IN SELECT coalesce(m.text[1], '') AS between, m.text[2] AS word
                  FROM regexp_matches(query, '([[:space:][:punct:]]*)([^[:space:][:punct:]]*)', 'g') m (text) LOOP
        better := NULL;
        IF pg_catalog.length(part.word) >= 3 AND words < 32 THEN
            words := words + 1;
            IF EXISTS (SELECT FROM newt.search_queries(store, name, part.word) q WHERE numnode(q.words) = 0) THEN
                known := true;
            ELSE
                EXECUTE pg_catalog.format('SELECT EXISTS (SELECT FROM %I.newt p WHERE %s)', store, newt.search_condition(store, name, part.word)) INTO known;
            END IF;
            IF NOT known THEN
                EXECUTE pg_catalog.format('SELECT w.word FROM (SELECT w.word, w.objects, %I.similarity(w.word, $2) AS near FROM %I.newt_search_word w '
                    'WHERE w.search = $1 AND length(w.word) BETWEEN length($2) - 3 AND length($2) + 3) w '
                    'WHERE w.near >= 0.25 ORDER BY w.near * (1 + ln(w.objects) / 10) DESC, w.word COLLATE "C" LIMIT 1', trgm, store)
                    INTO better USING name, pg_catalog.lower(part.word);
            END IF;
        END IF;
        result := result || part.between || coalesce(better, part.word);
    END LOOP;
    RETURN nullif(result, coalesce(query, ''));
END
$newt_body$;
COMMENT ON FUNCTION newt.search_suggest(text, text, text) IS 'did you mean: the text with a word of the objects in the place of each that finds nothing; null: no other. Needs the extension pg_trgm';

CREATE FUNCTION newt.search_cut(store text, name text) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
    SET search_path = pg_catalog, pg_temp
    SET client_min_messages = warning
    AS $newt_body$
BEGIN
    PERFORM newt.search_expression(store, name);
    RETURN QUERY EXECUTE pg_catalog.format('SELECT p.zoid FROM %1$I.newt p WHERE %2$s @@ ''''''::cut''''''::tsquery%3$s ORDER BY 1', store, newt.search_expression(store, name, 'p.state'),
        (SELECT ' AND p.class_name = ' || quote_literal(s.class_name) FROM newt.searches(store) s WHERE s.name = search_cut.name AND s.class_name IS NOT NULL));
END
$newt_body$;
COMMENT ON FUNCTION newt.search_cut(text, text) IS 'objects whose text is too long for the index: what is behind is not found';
