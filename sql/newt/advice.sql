-- ---- advice: what a query lacks -------------------------------------------------------------------
-- A query is planned, never run. What is looked for are the expressions in its plan: conditions that no
-- index serves, keys of groups that have no statistics, documents that are read in great number.

CREATE FUNCTION newt.check_select(query text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE COST 1000
    AS 'MODULE_PATHNAME', 'newt_pg_check_select';
COMMENT ON FUNCTION newt.check_select(text) IS 'raises an error if a text is not one statement, a SELECT that writes nothing';

-- Names in the query are found along search_path, which is the caller's by default. Planning is done read-only, in a
-- subtransaction that is always rolled back; a prepared statement stands for parameters whose values are not known.
CREATE FUNCTION newt.plan_of(query text, search_path text DEFAULT pg_catalog.current_setting('search_path')) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $newt_body$
DECLARE
    prepared text := 'PREPARE newt_plan_of AS ' || query;
    explain text;
    plan json;
BEGIN
    PERFORM newt.check_select(query);
    BEGIN
        PERFORM pg_catalog.set_config('transaction_read_only', 'on', true);
        PERFORM pg_catalog.set_config('search_path', search_path, true);
        EXECUTE prepared;
        SELECT pg_catalog.concat('EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE newt_plan_of',
                   '(' OPERATOR(pg_catalog.||) pg_catalog.string_agg('NULL', ', ') OPERATOR(pg_catalog.||) ')')
          INTO explain FROM pg_catalog.pg_prepared_statements s, pg_catalog.unnest(s.parameter_types) WHERE s.name OPERATOR(pg_catalog.=) 'newt_plan_of';
        EXECUTE explain INTO plan;
        RAISE EXCEPTION USING ERRCODE = 'NW001', MESSAGE = 'planned';
    EXCEPTION
        WHEN SQLSTATE 'NW001' THEN
            DEALLOCATE newt_plan_of;
        WHEN OTHERS THEN
            IF EXISTS (SELECT FROM pg_catalog.pg_prepared_statements s WHERE s.name = 'newt_plan_of') THEN
                DEALLOCATE newt_plan_of;
            END IF;
            RAISE;
    END;
    RETURN plan->0->'Plan';
END
$newt_body$;
COMMENT ON FUNCTION newt.plan_of(text, text) IS 'plan of a query as EXPLAIN (VERBOSE, FORMAT JSON) gives it, also of one with parameters; it is not run';

-- ---- reading conditions ---------------------------------------------------------------------------

CREATE FUNCTION newt.mask(expression text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    token text;
    depth integer := 0;
    result text := '';
BEGIN
    FOR token IN SELECT m[1] FROM pg_catalog.regexp_matches(expression, $re$('(?:[^']|'')*'|"(?:[^"]|"")*"|[][()]|[^][()'"]+)$re$, 'g') m LOOP
        IF token IN (')', ']') THEN
            depth := depth - 1;
        END IF;
        result := result || CASE WHEN depth > 0 OR token LIKE '''%' OR token LIKE '"%' THEN pg_catalog.repeat('x', pg_catalog.length(token)) ELSE token END;
        IF token IN ('(', '[') THEN
            depth := depth + 1;
        END IF;
    END LOOP;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.mask(text) IS 'an expression with x for every character in quotes or parentheses';

CREATE FUNCTION newt.bare(expression text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    WHILE newt.mask(expression) ~ '^[(]x+[)]$' LOOP
        expression := pg_catalog.substr(expression, 2, pg_catalog.length(expression) - 2);
    END LOOP;
    RETURN expression;
END
$newt_body$;
COMMENT ON FUNCTION newt.bare(text) IS 'an expression without the parentheses around it';

CREATE FUNCTION newt.conjuncts(condition text) RETURNS SETOF text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE ROWS 3
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    rest text := newt.bare(condition);
    n integer;
BEGIN
    IF pg_catalog.strpos(newt.mask(rest), ' AND ') = 0 THEN
        RETURN NEXT rest;
        RETURN;
    END IF;
    LOOP
        n := pg_catalog.strpos(newt.mask(rest), ' AND ');
        RETURN QUERY SELECT newt.conjuncts(CASE WHEN n = 0 THEN rest ELSE pg_catalog.substr(rest, 1, n - 1) END);
        EXIT WHEN n = 0;
        rest := pg_catalog.substr(rest, n + 5);
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.conjuncts(text) IS 'the conditions that are joined by AND in one of a plan';

-- Quoted text is left as it is.
CREATE FUNCTION newt.without_alias(expression text, alias text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
    SELECT pg_catalog.string_agg(CASE WHEN t.token LIKE '''%' THEN t.token
               WHEN t.token = pg_catalog.quote_ident(alias) AND t.after LIKE '.%' THEN ''
               WHEN t.before = pg_catalog.quote_ident(alias) AND t.token LIKE '.%' AND alias <> pg_catalog.lower(alias) THEN pg_catalog.substr(t.token, 2)
               WHEN t.token LIKE '"%' THEN t.token
               ELSE pg_catalog.regexp_replace(t.token, '(^|[^[:alnum:]_.$])' || pg_catalog.regexp_replace(alias, '([^[:alnum:]_])', '[\1]', 'g') || '[.]', '\1', 'g') END, '' ORDER BY t.i)
      FROM (SELECT m.m[1] AS token, m.i, pg_catalog.lag(m.m[1]) OVER (ORDER BY m.i) AS before, pg_catalog.lead(m.m[1]) OVER (ORDER BY m.i) AS after
              FROM pg_catalog.regexp_matches(expression, $re$('(?:[^']|'')*'|"(?:[^"]|"")*"|[^'"]+)$re$, 'g') WITH ORDINALITY m (m, i)) t
$newt_body$;
COMMENT ON FUNCTION newt.without_alias(text, text) IS 'an expression of a plan without the alias of a table in front of its columns';

-- Each comparison, the side of the alias first. What it is compared with must not come from the same row.
CREATE FUNCTION newt.comparisons(condition text, alias text, OUT expression text, OUT operator text, OUT other text) RETURNS SETOF record
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
    WITH c AS (
        SELECT b.clause, pg_catalog.regexp_match(newt.mask(b.clause), '^(.*?) (=|<|>|<=|>=|@@|@>|<@|&&|[?]|[?][|]|[?]&|~~|~~[*]) (.*)$') AS m
          FROM newt.conjuncts(condition) b (clause)
    ), s AS (
        SELECT pg_catalog.substr(c.clause, 1, pg_catalog.length(c.m[1])) AS l, c.m[2] AS operator,
               pg_catalog.substr(c.clause, pg_catalog.length(c.m[1]) + pg_catalog.length(c.m[2]) + 3) AS r
          FROM c WHERE c.m IS NOT NULL AND newt.mask(c.clause) NOT LIKE '% OR %'
    ), either AS (
        SELECT s.l, s.operator, s.r FROM s
        UNION ALL
        SELECT s.r, pg_catalog.translate(s.operator, '<>', '><'), s.l FROM s WHERE s.operator IN ('=', '<', '>', '<=', '>=', '&&')
    )
    SELECT newt.bare(newt.without_alias(e.l, alias)), e.operator, e.r FROM either e
     WHERE newt.without_alias(e.l, alias) <> e.l AND newt.without_alias(e.r, alias) = e.r
$newt_body$;
COMMENT ON FUNCTION newt.comparisons(text, text) IS 'what a condition of a plan compares of one table: expression, operator and the other side';

CREATE FUNCTION newt.plan_nodes(plan jsonb) RETURNS SETOF jsonb
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 10
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
    WITH RECURSIVE node AS (
        SELECT plan AS n
        UNION ALL
        SELECT c.value FROM node, pg_catalog.jsonb_array_elements(coalesce(node.n->'Plans', '[]')) c
    )
    SELECT node.n FROM node
$newt_body$;
COMMENT ON FUNCTION newt.plan_nodes(jsonb) IS 'a plan and all plans in it';

-- Conditions of joins count for tables that are read row by row. What is longer than 20,000 characters is not looked at: it would
-- take minutes.
CREATE FUNCTION newt.plan_tables(store text, plan jsonb, OUT relation regclass, OUT alias text, OUT class_name text, OUT rows double precision,
                                 OUT filter text, OUT joins text[]) RETURNS SETOF record
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 3
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN QUERY EXECUTE pg_catalog.format($sql$
        WITH node AS MATERIALIZED (
            SELECT n FROM newt.plan_nodes($1) n
        ), ours (relation, class_name) AS (
            SELECT to_regclass(format('%%I.%%I', $2, r.name))::oid, NULL::text FROM unnest(ARRAY['newt_projection', 'object_state']) r (name)%s
        ), joined AS (
            SELECT coalesce(array_agg(c.condition), '{}') AS conditions
              FROM node, unnest(ARRAY[node.n->>'Hash Cond', node.n->>'Merge Cond', node.n->>'Join Filter']) c (condition) WHERE length(c.condition) <= 20000
        )
        SELECT o.relation::regclass, node.n->>'Alias', coalesce(o.class_name, (
                   SELECT replace((regexp_match(x.other, $re$^'((?:[^']|'')*)'::text$$re$))[1], '''''', '''')
                     FROM newt.comparisons(left(node.n->>'Filter', 20000), node.n->>'Alias') x
                    WHERE x.expression IN ('class_name', 'newt.try_class_name(state)') AND x.operator = '=' LIMIT 1)),
               (node.n->>'Plan Rows')::double precision, CASE WHEN length(node.n->>'Filter') <= 20000 THEN node.n->>'Filter' END,
               CASE WHEN node.n->>'Node Type' = 'Seq Scan' THEN j.conditions ELSE '{}' END
          FROM node CROSS JOIN joined j
          JOIN ours o ON o.relation = to_regclass(quote_ident(node.n->>'Schema') || '.' || quote_ident(node.n->>'Relation Name'))::oid$sql$,
            CASE WHEN pg_catalog.to_regclass(pg_catalog.format('%I.newt_table', store)) IS NULL THEN ''
                 ELSE pg_catalog.format(' UNION ALL SELECT t.relation::oid, t.class_name FROM %I.newt_table t', store) END)
        USING plan, store;
END
$newt_body$;
COMMENT ON FUNCTION newt.plan_tables(text, jsonb) IS 'where a plan reads tables of a store: the table, the class that is asked for, how many rows, and conditions that are looked at row by row, its own and those of joins';

-- For LIKE a B-tree index serves by its operator class, or if it is in C's order.
CREATE FUNCTION newt.has_index(relation regclass, expression text, class_name text DEFAULT NULL, method text DEFAULT NULL, operator_class text DEFAULT NULL) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
    AS $newt_body$
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_index i
          JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[0]
          JOIN pg_catalog.pg_am a ON a.oid = o.opcmethod
          LEFT JOIN pg_catalog.pg_collation c ON c.oid = i.indcollation[0]
         WHERE i.indrelid = relation AND i.indisvalid AND newt.bare(pg_catalog.pg_get_indexdef(i.indexrelid, 1, false)) = newt.bare(expression)
           AND (method IS NULL OR a.amname = method)
           AND (i.indpred IS NULL OR class_name IS NULL OR pg_catalog.strpos(pg_catalog.pg_get_expr(i.indpred, i.indrelid), pg_catalog.quote_literal(class_name) || '::text') > 0)
           AND CASE operator_class WHEN 'text_pattern_ops' THEN o.opcname = 'text_pattern_ops' OR c.collname IN ('C', 'POSIX') OR c.collname = 'default' AND EXISTS (
                       SELECT FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database() AND d.datcollate IN ('C', 'POSIX') AND d.datlocprovider = 'c')
                    WHEN 'gin_trgm_ops' THEN o.opcname = 'gin_trgm_ops'
                    ELSE true END)
$newt_body$;
COMMENT ON FUNCTION newt.has_index(regclass, text, text, text, text) IS 'whether an index begins with this expression of a table: for a class, of a method, with an operator class';

CREATE FUNCTION newt.has_statistics(relation regclass, expression text) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
    AS $newt_body$
    SELECT newt.has_index(relation, expression)
        OR EXISTS (SELECT FROM pg_catalog.pg_statistic_ext s, pg_catalog.unnest(pg_catalog.pg_get_statisticsobjdef_expressions(s.oid)) e (expr)
                    WHERE s.stxrelid = relation AND newt.bare(e.expr) = newt.bare(expression))
$newt_body$;
COMMENT ON FUNCTION newt.has_statistics(regclass, text) IS 'whether an index or a statistics object has this expression of a table';

-- ---- advice ---------------------------------------------------------------------------------------

-- How an index for a comparison is made: by one of Newt's builders, and as plain SQL to try it hypothetically.
CREATE FUNCTION newt.index_advice(store text, relation regclass, class_name text, expression text, operator text, other text,
                                  OUT statement text, OUT trial text, OUT probe text, OUT method text, OUT operator_class text) RETURNS record
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET standard_conforming_strings = on SET search_path = pg_catalog, pg_temp
    AS $newt_body$
#variable_conflict use_variable
DECLARE
    document text := CASE relation WHEN pg_catalog.to_regclass(pg_catalog.format('%I.object_state', store)) THEN 'newt.try_to_jsonb(state)'
                                   WHEN pg_catalog.to_regclass(pg_catalog.format('%I.newt_projection', store)) THEN 'state' END;
    suffix text := '';
    class_condition text := '';
    m text[];
    key text;
BEGIN
    method := CASE WHEN operator IN ('=', '<', '>', '<=', '>=', '~~') THEN 'btree' ELSE 'gin' END;
    IF operator = '~~' AND other ~ '^''[^%_''\\]+%' THEN
        operator_class := 'text_pattern_ops';
        suffix := ' text_pattern_ops';
    ELSIF operator IN ('~~', '~~*') THEN
        method := 'gin';
        operator_class := 'gin_trgm_ops';
        SELECT pg_catalog.format(' %I.gin_trgm_ops', n.nspname) INTO suffix
          FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm';
        IF NOT FOUND THEN
            RETURN;
        END IF;
    END IF;
    IF class_name IS NOT NULL AND document IS NOT NULL THEN
        class_condition := pg_catalog.format(' WHERE %s = %L', CASE document WHEN 'state' THEN 'class_name' ELSE 'newt.try_class_name(state)' END, class_name);
    END IF;
    trial := pg_catalog.format('CREATE INDEX ON %s USING %s ((%s)%s)%s', relation, method, expression, suffix, class_condition);
    probe := pg_catalog.format('SELECT FROM %s%s (%s) %s %s', relation, CASE class_condition WHEN '' THEN ' WHERE' ELSE class_condition || ' AND' END, expression, operator, other);
    statement := trial;
    IF document IS NULL THEN -- a column of a typed table; of a table of items newt_table does not say which it is
        m := pg_catalog.regexp_match(expression, '^(lower\()?("(?:[^"]|"")*"|[a-z_][a-z0-9_$]*)(\))?$');
        EXECUTE pg_catalog.format('SELECT m FROM (SELECT $1 AS m) x WHERE EXISTS (SELECT FROM %I.newt_table t WHERE t.relation = $2 AND t.parent IS NULL)', store)
            INTO m USING m, relation;
        SELECT pg_catalog.format('SELECT newt.create_field_index(%s)', pg_catalog.concat_ws(', ', pg_catalog.quote_literal(store), pg_catalog.quote_literal(class_name),
                   pg_catalog.quote_literal(pg_catalog.replace(CASE WHEN m[2] LIKE '"%' THEN pg_catalog.substr(m[2], 2, pg_catalog.length(m[2]) - 2) ELSE m[2] END, '""', '"')),
                   pg_catalog.quote_literal(nullif(k.kind, 'value'))))
          INTO key FROM (VALUES (false, '', 'value'), (true, '', 'nocase'), (false, 'text_pattern_ops', 'prefix'), (true, 'text_pattern_ops', 'nocase_prefix'),
                                (false, 'gin_trgm_ops', 'substring')) k (lowered, ops, kind)
         WHERE m IS NOT NULL AND k.lowered = (m[1] IS NOT NULL) AND k.ops = coalesce(operator_class, '')
           AND (m[1] IS NULL) = (m[3] IS NULL);
        statement := coalesce(key, trial);
        RETURN;
    END IF;
    m := pg_catalog.regexp_match(expression, '^newt\.(tsvector|principals)\((?:''([^'']*)''::regconfig, )?' || pg_catalog.regexp_replace(document, '([.()])', '\\\1', 'g')
        || '(?:, (?:VARIADIC )?''((?:[^'']|'''')*)''::text\[\])?\)$');
    IF m IS NOT NULL THEN
        SELECT pg_catalog.format('SELECT newt.create_%s_index(%s)', CASE m[1] WHEN 'tsvector' THEN 'text' ELSE 'principals' END,
                   pg_catalog.concat_ws(', ', pg_catalog.quote_literal(store), pg_catalog.quote_nullable(class_name), pg_catalog.quote_literal(m[2]),
                                        pg_catalog.string_agg(pg_catalog.quote_literal(p.path), ', ' ORDER BY p.i)))
          INTO statement FROM pg_catalog.unnest(pg_catalog.replace(m[3], '''''', '''')::text[]) WITH ORDINALITY p (path, i);
        RETURN;
    END IF;
    -- %s stands for the document; what is in quotes is left as it is
    SELECT pg_catalog.string_agg(CASE WHEN t.m[1] ~ '^[''"]' THEN t.m[1]
               ELSE pg_catalog.regexp_replace(t.m[1], CASE document WHEN 'state' THEN '\mstate\M' ELSE 'newt\.try_to_jsonb\(state\)' END, '%s', 'g') END, '' ORDER BY t.i)
      INTO key FROM pg_catalog.regexp_matches(pg_catalog.replace(expression, '%', '%%'), $re$('(?:[^']|'')*'|"(?:[^"]|"")*"|[^'"]+)$re$, 'g') WITH ORDINALITY t (m, i);
    IF key <> pg_catalog.replace(expression, '%', '%%') THEN
        statement := pg_catalog.format('SELECT newt.create_expression_index(%L, %L, %L%s)', store, class_name, '(' || key || ')' || suffix,
                                       CASE method WHEN 'btree' THEN '' ELSE ', ''gin''' END);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.index_advice(text, regclass, text, text, text, text) IS 'the call that makes an index for a comparison, the same as plain SQL, a query that it serves, its method and operator class; null where no index can serve it';

-- By hypopg: null where it is not installed, takes no such index, or the plan does without.
CREATE FUNCTION newt.cost_with(query text, trial text, search_path text DEFAULT pg_catalog.current_setting('search_path')) RETURNS double precision
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    hypopg name := (SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'hypopg');
    id oid;
    index_name text;
    plan jsonb;
BEGIN
    IF hypopg IS NULL THEN
        RETURN NULL;
    END IF;
    BEGIN
        EXECUTE pg_catalog.format('SELECT h.indexrelid, h.indexname FROM %I.hypopg_create_index($1) h', hypopg) INTO id, index_name USING trial;
        plan := newt.plan_of(query, search_path);
    EXCEPTION WHEN OTHERS THEN -- not of a kind that it knows, or not immutable
        plan := NULL;
    END;
    IF id IS NOT NULL THEN
        EXECUTE pg_catalog.format('SELECT %I.hypopg_drop_index($1)', hypopg) USING id;
    END IF;
    RETURN CASE WHEN pg_catalog.strpos(plan::text, pg_catalog.to_json(index_name)::text) > 0 THEN (plan->>'Total Cost')::double precision END;
END
$newt_body$;
COMMENT ON FUNCTION newt.cost_with(text, text, text) IS 'cost of a query if there was such an index, as hypopg has it; null if it is not known, or the index would not be used';

-- hypopg up to 1.3 knows an index on an expression only in queries whose first table it is on, which is never so
-- through a view: then what the index saves in a query of its own is taken from the cost.
CREATE FUNCTION newt.cost_after(query text, trial text, probe text, cost double precision, search_path text) RETURNS double precision
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result double precision := newt.cost_with(query, trial, search_path);
    before double precision;
    after double precision;
BEGIN
    IF result IS NULL AND probe IS NOT NULL THEN
        after := newt.cost_with(probe, trial, search_path);
        IF after IS NOT NULL THEN
            before := (newt.plan_of(probe, search_path)->>'Total Cost')::double precision;
            result := CASE WHEN after < 0.8 * before THEN greatest(cost - before + after, after) END;
        END IF;
    ELSIF result >= 0.8 * cost THEN
        result := NULL;
    END IF;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.cost_after(text, text, text, double precision, text) IS 'cost of a query with an index that would save a fifth or more; null if it would not, or that is not known';

CREATE FUNCTION newt.statistics_sql(store text, relation regclass, expression text) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
    SELECT pg_catalog.format('CREATE STATISTICS %I.%I ON (%s) FROM %s; ANALYZE %s', store,
                             'newt_stat_' || pg_catalog.left(pg_catalog.md5(relation::text || ' ' || expression), 8), expression, relation, relation)
$newt_body$;
COMMENT ON FUNCTION newt.statistics_sql(text, regclass, text) IS 'the SQL that keeps statistics of an expression of a table';

CREATE FUNCTION newt.index_writes(relation regclass, class_name text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
    SELECT pg_catalog.format('an entry for each %s that is written', CASE WHEN class_name IS NULL THEN 'row' ELSE pg_catalog.format('object of class "%s"', class_name) END)
        || coalesce((SELECT CASE WHEN t.n_tup_hot_upd > 0 THEN pg_catalog.format('; %s of %s updates of %s were HOT so far, and no more will be', t.n_tup_hot_upd, t.n_tup_upd, relation) END
                       FROM pg_catalog.pg_stat_all_tables t WHERE t.relid = relation), '')
$newt_body$;
COMMENT ON FUNCTION newt.index_writes(regclass, text) IS 'what writes would pay for one more index on a table';

CREATE FUNCTION newt.advise(store text, query text, search_path text DEFAULT pg_catalog.current_setting('search_path'))
    RETURNS TABLE (advice text, relation regclass, class_name text, reason text, statement text, cost double precision, cost_after double precision, writes text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 5
    SET search_path = pg_catalog, pg_temp SET jit = off
    AS $newt_body$
#variable_conflict use_column
DECLARE
    plan jsonb;
    hypothetical boolean := EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'hypopg');
    registered text[];
    c record;
BEGIN
    PERFORM newt.check_store(store);
    IF query IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'no query is given';
    END IF;
    plan := newt.plan_of(query, search_path);
    cost := (plan->>'Total Cost')::double precision;

    -- conditions that are looked at row by row
    FOR c IN
        SELECT DISTINCT ON (p.relation, p.class_name, x.expression, i.method) p.relation, p.class_name, x.expression, x.operator, y.of_join, i.statement, i.trial, CASE WHEN NOT y.of_join THEN i.probe END AS probe, i.method
          FROM newt.plan_tables(store, plan) p
          CROSS JOIN LATERAL (SELECT p.filter, false UNION ALL SELECT j.condition, true FROM pg_catalog.unnest(p.joins) j (condition)) y (condition, of_join)
          CROSS JOIN LATERAL newt.comparisons(y.condition, p.alias) x
          CROSS JOIN LATERAL newt.index_advice(store, p.relation, p.class_name, x.expression, x.operator, x.other) i
         WHERE x.expression NOT IN ('zoid', 'class_name', 'newt.try_class_name(state)') AND NOT newt.has_index(p.relation, x.expression, p.class_name, i.method, i.operator_class)
         ORDER BY p.relation, p.class_name, x.expression, i.method, y.of_join
    LOOP
        relation := c.relation;
        class_name := c.class_name;
        statement := NULL;
        cost_after := NULL;
        writes := NULL;
        IF c.expression ~ '[$][0-9]' THEN
            advice := 'query';
            reason := pg_catalog.format('%s: what is looked for in a document is a parameter here; ask with the query as it is', c.expression);
        ELSIF c.expression ~ '::(timestamp|date|time)|to_tsvector[(](?!''[^'']*''::regconfig)' THEN
            advice := 'query';
            reason := pg_catalog.format('%s: what it gives depends on settings, and no index can have it; newt.ts(), newt.date() and newt.tsvector() can be indexed', c.expression);
        ELSE
            IF c.method = 'btree' THEN
                cost_after := newt.cost_after(query, c.trial, c.probe, cost, search_path);
            END IF;
            IF c.statement IS NOT NULL AND (cost_after IS NOT NULL OR NOT c.of_join AND (NOT hypothetical OR c.method <> 'btree')) THEN
                advice := 'index';
                statement := c.statement;
                reason := pg_catalog.format('%s is compared (%s) with each row, and no index has it', c.expression, c.operator);
                writes := newt.index_writes(c.relation, c.class_name);
            ELSIF c.expression ~ '[(>]' AND NOT c.of_join AND NOT newt.has_statistics(c.relation, c.expression) THEN
                advice := 'statistics';
                statement := newt.statistics_sql(store, c.relation, c.expression);
                cost_after := NULL;
                reason := pg_catalog.format('%s is compared (%s), and nothing is known of its values', c.expression, c.operator);
            ELSIF c.statement IS NULL AND c.operator IN ('~~', '~~*') AND NOT c.of_join THEN
                advice := 'query';
                cost_after := NULL;
                reason := pg_catalog.format('%s is searched for what stands within it: only an index of the extension pg_trgm has that; after CREATE EXTENSION pg_trgm ask again', c.expression);
            ELSE
                CONTINUE;
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;

    -- keys of groups: their number decides on the plan
    RETURN QUERY SELECT DISTINCT 'statistics', g.relation, g.class_name, pg_catalog.format('rows are grouped by %s, and nothing is known of its values', g.expression),
                        newt.statistics_sql(store, g.relation, g.expression), cost, NULL::double precision, NULL
      FROM (SELECT p.relation, p.class_name, newt.bare(newt.without_alias(k.key, p.alias)) AS expression
              FROM newt.plan_nodes(plan) n CROSS JOIN LATERAL pg_catalog.jsonb_array_elements_text(coalesce(n->'Group Key', '[]')) k (key)
              JOIN newt.plan_tables(store, plan) p ON newt.without_alias(k.key, p.alias) <> k.key) g
     WHERE g.expression ~ '[(>]' AND g.expression !~ '[$][0-9]' AND NOT newt.has_statistics(g.relation, g.expression);

    RETURN QUERY SELECT DISTINCT 'analyze', p.relation, NULL, 'nothing is known of its rows', pg_catalog.format('ANALYZE %s', p.relation), cost, NULL::double precision, NULL
      FROM newt.plan_tables(store, plan) p JOIN pg_catalog.pg_class k ON k.oid = p.relation WHERE k.reltuples < 0;

    -- documents that are read in great number
    EXECUTE pg_catalog.format('SELECT array_agg(DISTINCT k.name) FROM %I.newt_class k', store) INTO registered;
    RETURN QUERY SELECT 'table', p.relation, p.class_name,
                        pg_catalog.format('about %s documents are read, to be joined, sorted or grouped; columns are read many times as fast', max(p.rows)),
                        pg_catalog.format('CALL newt.create_table(%L, %L)', store, p.class_name), cost, NULL::double precision,
                        pg_catalog.format('a row of the table for each object of class "%s" that is written', p.class_name)
      FROM newt.plan_tables(store, plan) p
     WHERE p.rows >= 1000 AND p.class_name = ANY (registered)
       AND p.relation IN (pg_catalog.to_regclass(pg_catalog.format('%I.newt_projection', store)), pg_catalog.to_regclass(pg_catalog.format('%I.object_state', store)))
       AND EXISTS (SELECT FROM newt.plan_nodes(plan) n WHERE n->>'Node Type' IN ('Aggregate', 'Sort', 'Incremental Sort', 'WindowAgg', 'Hash Join', 'Merge Join', 'Unique'))
     GROUP BY p.relation, p.class_name;
END
$newt_body$;
COMMENT ON FUNCTION newt.advise(text, text, text) IS 'what a query of a store lacks: an index, statistics, a typed table, or other words; the statement that makes it, the cost before and, where hypopg knows it, after, and what writes pay. The query is planned, not run';

-- Only what the caller has run itself: to plan a query is to evaluate functions in it, which somebody else may have written
-- to be planned with the caller's rights.
CREATE FUNCTION newt.advise_workload(store text, at_most integer DEFAULT 20, search_path text DEFAULT pg_catalog.current_setting('search_path'))
    RETURNS TABLE (advice text, relation regclass, class_name text, reason text, statement text, writes text,
                   queries bigint, calls bigint, total_ms double precision, example text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 10
    SET search_path = pg_catalog, pg_temp SET jit = off
    AS $newt_body$
#variable_conflict use_column
DECLARE
    statements name := (SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements');
    q record;
    found jsonb := '[]';
    skipped bigint := 0;
BEGIN
    PERFORM newt.check_store(store);
    IF statements IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'pg_stat_statements is not installed in this database',
            HINT = 'It has to be in shared_preload_libraries; then CREATE EXTENSION pg_stat_statements.';
    END IF;
    FOR q IN EXECUTE pg_catalog.format($sql$
        SELECT s.query, sum(s.calls)::bigint AS calls, sum(s.total_exec_time) AS total_ms FROM %I.pg_stat_statements s
         WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
           AND s.userid = (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user) AND s.query COLLATE "C" ~* '^[[:space:](]*(select|with|table|values)'
         GROUP BY s.query ORDER BY 3 DESC LIMIT $1$sql$, statements) USING at_most
    LOOP
        BEGIN
            found := found || (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(a) || pg_catalog.jsonb_build_object('calls', q.calls, 'total_ms', q.total_ms, 'query', q.query)), '[]')
                                 FROM newt.advise(store, q.query, search_path) a);
        EXCEPTION WHEN OTHERS THEN
            skipped := skipped + 1;
        END;
    END LOOP;
    IF skipped > 0 THEN
        RAISE NOTICE USING MESSAGE = pg_catalog.format('%s statements could not be planned', skipped),
            DETAIL = 'Their tables are gone or are found along another search_path, or the types of their parameters are not known.';
    END IF;
    RETURN QUERY SELECT f.advice, f.relation::regclass, f.class_name, f.reason, f.statement, min(f.writes), count(*), sum(f.calls)::bigint, sum(f.total_ms),
                        (array_agg(f.query ORDER BY f.total_ms DESC))[1]
      FROM pg_catalog.jsonb_to_recordset(found) f (advice text, relation text, class_name text, reason text, statement text, writes text, calls bigint, total_ms double precision, query text)
     GROUP BY 1, 2, 3, 4, 5 ORDER BY 9 DESC;
END
$newt_body$;
COMMENT ON FUNCTION newt.advise_workload(text, integer, text) IS 'newt.advise for the statements that have taken the caller most time in this database, as pg_stat_statements has them, the same advice once: how many statements, calls and milliseconds it is about';
