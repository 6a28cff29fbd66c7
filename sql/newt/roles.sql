-- ---- roles ----------------------------------------------------------------------------------------

CREATE FUNCTION newt.typed_relations(store text) RETURNS oid[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result oid[];
BEGIN
    EXECUTE pg_catalog.format('SELECT coalesce(array_agg(r.oid ORDER BY r.oid), ''{}'') FROM %I.newt_table t JOIN pg_class r ON r.oid = t.relation', store) INTO result;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.typed_relations(text) IS 'the typed tables of a store that are there';

CREATE FUNCTION newt.derived_relations(store text) RETURNS oid[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result oid[];
BEGIN
    EXECUTE pg_catalog.format('SELECT coalesce(array_agg(r.oid ORDER BY r.oid), ''{}'') FROM %I.newt_derived d JOIN pg_class r ON r.oid = d.relation', store) INTO result;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.derived_relations(text) IS 'the tables of derived columns of a store that are there';

-- Where rows are hidden from some, readers have a policy that shows them all, unless one of the DBA's own is for them. With its rights
-- a role leaves this one, and those by which it sees what its principals may.
CREATE FUNCTION newt.reader_policies_sql(store text, role_name text, reads boolean) RETURNS SETOF text
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT s.statement
  FROM pg_policy p, LATERAL (SELECT newt.policy_role_sql(p.polrelid, CASE p.polname WHEN 'newt_principals' THEN 'newt_readers' ELSE p.polname END, 'true', role_name, reads)) s (statement)
 WHERE p.polrelid = ANY (newt.typed_relations(store) || newt.derived_relations(store)) AND s.statement IS NOT NULL
   AND CASE WHEN NOT reads THEN p.polname = 'newt_readers' OR p.polname LIKE 'newt\_principals\_%'
            ELSE p.polname = 'newt_principals' AND NOT EXISTS (
                SELECT FROM pg_policy f, unnest(f.polroles) u (oid)
                 WHERE f.polrelid = p.polrelid AND f.polpermissive AND f.polcmd IN ('r', '*') AND f.polname <> 'newt_readers' AND f.polname NOT LIKE 'newt\_principals%'
                   AND (u.oid = 0 OR pg_has_role(to_regrole(quote_ident(role_name)), u.oid, 'USAGE'))) END
 ORDER BY p.polrelid::regclass::text COLLATE "C", p.polname
$newt_body$;
COMMENT ON FUNCTION newt.reader_policies_sql(text, text, boolean) IS 'the SQL by which a role sees, or does not see, all rows where others see those of their principals';

-- Views of another role are that role's affair: whoever made them grants them.
CREATE FUNCTION newt.readable_relations(store text) RETURNS oid[]
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT newt.typed_relations(store) || newt.derived_relations(store) || ARRAY(
    SELECT c.oid FROM newt.views(store) v JOIN pg_catalog.pg_class c ON c.oid = v.relation
      JOIN pg_catalog.pg_class o ON o.oid = pg_catalog.to_regclass(pg_catalog.format('%I.object_state', store)) AND o.relowner = c.relowner
     WHERE c.relnamespace <> o.relnamespace ORDER BY c.oid)
$newt_body$;
COMMENT ON FUNCTION newt.readable_relations(text) IS 'what who reads a store may read besides: its typed tables, its derived columns, and typed views of its owner in other schemas';

CREATE FUNCTION newt.grant_store_sql(schema_name text, role_name text, kind text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    statements text;
    typed oid[];
BEGIN
    IF newt.store_version(schema_name) IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object',
            MESSAGE = pg_catalog.format('there is no Newt store in schema "%s"', schema_name),
            HINT = 'The first argument is the schema of a store.';
    ELSIF pg_catalog.to_regrole(pg_catalog.quote_ident(role_name)) IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object',
            MESSAGE = pg_catalog.format('role "%s" does not exist', role_name),
            HINT = 'Rights for several users are given to a role of which they are members.';
    ELSIF kind IS NULL OR kind NOT IN ('reader', 'application', 'updater', 'owner') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = pg_catalog.format('unknown kind of role "%s"', kind),
            HINT = 'There are reader, application, updater and owner.';
    END IF;
    typed := newt.readable_relations(schema_name);
    WITH typed_table AS ( -- in whatever schema
        SELECT c.oid, c.relname, s.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
         WHERE c.oid = ANY (typed)
    ), relation AS ( -- the store's own, and views that read it
        SELECT c.oid, c.relname, c.relkind FROM pg_catalog.pg_class c
         WHERE c.relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident(schema_name))
           AND (c.relname IN ('newt_store', 'object_state', 'newt_projection', 'newt', 'newt_reject_entry',
                              'newt_reject', 'transaction', 'transaction_object', 'newt_commit_lock',
                              'newt_incarnation', 'newt_class', 'newt_table', 'newt_follower', 'newt_reprojection',
                              'newt_reprojected', 'newt_search', 'newt_search_word', 'newt_oid', 'newt_serial', 'newt_derived', 'newt_dependency',
                              'newt_derived_pending', 'newt_principal_set', 'newt_principal_sum')
                OR kind = 'owner' AND c.relname IN ('newt_role_principal', 'newt_claim_key')
                OR c.relkind = 'v' AND EXISTS (
                    SELECT FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d
                      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
                     WHERE r.ev_class = c.oid
                       AND (d.refobjid = ANY (typed)
                            OR d.refobjid IN (pg_catalog.to_regclass(pg_catalog.format('%I.newt_projection', schema_name)),
                                              pg_catalog.to_regclass(pg_catalog.format('%I.object_state', schema_name)),
                                              pg_catalog.to_regclass(pg_catalog.format('%I.newt', schema_name))))))
    ), right_of (kinds, place, statement) AS (VALUES
        ('reader application updater', 1, 'GRANT USAGE ON SCHEMA %1$I TO %2$I'),
        ('reader application updater', 2, 'GRANT SELECT ON %3$s TO %2$I'),
        -- after a crash the first to come names the server's new life; the name is never of its choice
        ('reader application updater', 3, 'GRANT INSERT (one) ON %1$I.newt_incarnation TO %2$I'),
        ('reader application updater', 4, 'GRANT EXECUTE ON FUNCTION %1$I.newt_large(bigint, bigint), %1$I.newt_raise(text, text, text) TO %2$I'),
        ('application', 5, 'GRANT INSERT, UPDATE, DELETE ON %1$I.object_state, %1$I.newt_projection, %1$I.newt_reject_entry TO %2$I'),
        ('application', 6, 'GRANT INSERT ON %1$I.transaction, %1$I.transaction_object, %1$I.newt_class TO %2$I'),
        -- to lock it: there is nothing in it
        ('application', 7, 'GRANT UPDATE ON %1$I.newt_commit_lock TO %2$I'),
        ('application', 8, 'GRANT USAGE ON SEQUENCE %1$I.newt_oid, %1$I.newt_serial TO %2$I'),
        ('application', 9, 'GRANT EXECUTE ON FUNCTION %1$I.newt_project_one(bigint, bigint, text, jsonb) TO %2$I'),
        ('updater', 10, 'GRANT INSERT, UPDATE, DELETE ON %1$I.newt_projection, %1$I.newt_reject_entry TO %2$I'),
        ('application updater', 11, 'GRANT INSERT, UPDATE, DELETE ON %1$I.newt_follower TO %2$I'),
        ('updater', 11.1, 'GRANT INSERT, UPDATE, DELETE ON %1$I.newt_reprojection, %1$I.newt_reprojected TO %2$I'),
        -- who may write the registry has the extension write typed tables
        ('updater', 11.15, 'GRANT UPDATE ON %1$I.newt_table TO %2$I'),
        -- retention
        ('updater', 11.2, 'GRANT DELETE ON %1$I.transaction, %1$I.transaction_object TO %2$I'),
        ('updater', 11.3, 'GRANT EXECUTE ON FUNCTION %1$I.newt_prune_limit(), %1$I.newt_prune(bigint, bigint, bigint) TO %2$I'),
        ('owner', 12, 'GRANT USAGE, CREATE ON SCHEMA %1$I TO %2$I WITH GRANT OPTION')
    ), given AS (
        SELECT r.place::numeric AS place, pg_catalog.format(r.statement, schema_name, role_name,
               (SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', schema_name, x.relname), ', ' ORDER BY x.relname)
                  FROM relation x WHERE x.relkind <> 'S')) AS statement
          FROM right_of r WHERE kind = ANY (pg_catalog.string_to_array(r.kinds, ' '))
        UNION ALL
        SELECT 12.1 + v.place, pg_catalog.format(v.statement, t.nspname, role_name, pg_catalog.string_agg(pg_catalog.format('%I.%I', t.nspname, t.relname), ', ' ORDER BY t.relname))
          FROM typed_table t, (VALUES ('', 0.1, 'GRANT USAGE ON SCHEMA %1$I TO %2$I'), ('', 0.2, 'GRANT SELECT ON %3$s TO %2$I'),
                                      ('owner', 0.3, 'GRANT USAGE, CREATE ON SCHEMA %1$I TO %2$I WITH GRANT OPTION')) v (who, place, statement)
         WHERE CASE kind WHEN 'owner' THEN v.who = 'owner' AND t.nspname <> schema_name ELSE v.who = '' AND (v.place = 0.2 OR t.nspname <> schema_name) END
         GROUP BY t.nspname, v.place, v.statement
        UNION ALL
        SELECT 40 + pg_catalog.row_number() OVER (ORDER BY t.nspname, t.relname) / 1000000.0, pg_catalog.format('ALTER TABLE %I.%I OWNER TO %I', t.nspname, t.relname, role_name)
          FROM typed_table t WHERE kind = 'owner'
        UNION ALL
        SELECT 20 + pg_catalog.row_number() OVER (ORDER BY x.relname), pg_catalog.format('ALTER %s %I.%I OWNER TO %I',
               CASE x.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, schema_name, x.relname, role_name)
          FROM relation x WHERE kind = 'owner'
        UNION ALL
        SELECT 50 + pg_catalog.row_number() OVER (ORDER BY f.proname), pg_catalog.format('ALTER FUNCTION %I.%I(%s) OWNER TO %I',
               schema_name, f.proname, pg_catalog.pg_get_function_identity_arguments(f.oid), role_name)
          FROM pg_catalog.pg_proc f
         WHERE kind = 'owner' AND f.pronamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident(schema_name))
           AND (f.proname IN ('newt_read_only', 'newt_raise', 'newt_project_one', 'newt_large', 'newt_prune_limit', 'newt_prune',
                              'newt_keep_derived', 'newt_compute_derived', 'newt_follow_derived', 'newt_principal_set', 'newt_principals', 'newt_visible')
                OR f.proname ~ '^newt_(derive|settle)_[0-9]+$')
        UNION ALL
        -- they run with the rights of the store's owner, and compute what the records say, whoever calls them
        SELECT 44, pg_catalog.format('GRANT EXECUTE ON FUNCTION %1$I.newt_compute_derived(integer, bigint, boolean), %1$I.newt_follow_derived(bigint[]) TO %2$I', schema_name, role_name)
         WHERE kind = 'updater' AND pg_catalog.to_regproc(pg_catalog.format('%I.newt_follow_derived', schema_name)) IS NOT NULL
        UNION ALL
        SELECT 45, p.statement FROM newt.reader_policies_sql(schema_name, role_name, true) p (statement) WHERE kind <> 'owner'
        UNION ALL
        -- what a new owner makes later is read by those who could read what the old one made
        SELECT 98 + v.place, pg_catalog.format(v.statement, m.owner, schema_name, m.reader, role_name)
          FROM (SELECT DISTINCT pg_catalog.pg_get_userbyid(d.defaclrole) AS owner, pg_catalog.pg_get_userbyid(a.grantee) AS reader
                  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_default_acl d
                    ON d.defaclrole = c.relowner AND d.defaclnamespace = c.relnamespace AND d.defaclobjtype = 'r',
                       pg_catalog.aclexplode(d.defaclacl) a
                 WHERE c.oid = pg_catalog.to_regclass(pg_catalog.format('%I.object_state', schema_name))
                   AND a.privilege_type = 'SELECT' AND a.grantee NOT IN (0, c.relowner)
                   AND c.relowner <> pg_catalog.to_regrole(pg_catalog.quote_ident(role_name))) m,
               (VALUES (0.1, 'ALTER DEFAULT PRIVILEGES FOR ROLE %1$I IN SCHEMA %2$I REVOKE SELECT ON TABLES FROM %3$I'),
                       (0.2, 'ALTER DEFAULT PRIVILEGES FOR ROLE %4$I IN SCHEMA %2$I GRANT SELECT ON TABLES TO %3$I')) v (place, statement)
         WHERE kind = 'owner' AND (v.place < 0.2 OR m.reader <> role_name)
        UNION ALL
        -- tables and views that come later; not in "public", where they may be anybody's
        SELECT 99, pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I',
               pg_catalog.pg_get_userbyid(c.relowner), schema_name, role_name)
          FROM pg_catalog.pg_class c
         WHERE c.oid = pg_catalog.to_regclass(pg_catalog.format('%I.object_state', schema_name))
           AND kind <> 'owner' AND schema_name <> 'public'
    )
    SELECT pg_catalog.string_agg(g.statement || ';', E'\n' ORDER BY g.place) INTO statements FROM given g;
    RETURN statements;
END
$newt_body$;
COMMENT ON FUNCTION newt.grant_store_sql(text, text, text) IS 'the SQL of newt.grant_store';

CREATE FUNCTION newt.grant_store(schema_name text, role_name text, kind text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    EXECUTE newt.grant_store_sql(schema_name, role_name, kind);
END
$newt_body$;
COMMENT ON FUNCTION newt.grant_store(text, text, text) IS 'gives a role the rights of a reader, an application, an updater or an owner of a store, and no others';

CREATE FUNCTION newt.revoke_store(schema_name text, role_name text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    statement text;
    role oid := pg_catalog.to_regrole(pg_catalog.quote_ident(role_name));
    schema oid := pg_catalog.to_regnamespace(pg_catalog.quote_ident(schema_name));
    typed oid[];
BEGIN
    PERFORM newt.grant_store_sql(schema_name, role_name, 'reader'); -- the same arguments are wrong
    typed := newt.readable_relations(schema_name);
    FOR statement IN
        -- of tables and views whatever it has, also on those that came later; others may belong to another role
        SELECT pg_catalog.format('REVOKE ALL ON %s %I.%I FROM %I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                                 schema_name, c.relname, role_name)
          FROM pg_catalog.pg_class c
         WHERE c.relnamespace = schema AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
           AND (c.relowner = role OR EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) a WHERE a.grantee = role)
                OR EXISTS (SELECT FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) a
                            WHERE t.attrelid = c.oid AND a.grantee = role))
        UNION ALL
        -- typed tables elsewhere, and the schemas in which it has nothing else
        SELECT pg_catalog.format('REVOKE ALL ON %s FROM %I', t.oid::pg_catalog.regclass, role_name)
          FROM pg_catalog.pg_class t WHERE t.oid = ANY (typed) AND t.relnamespace <> schema
        UNION ALL
        SELECT pg_catalog.format('REVOKE ALL ON SCHEMA %I FROM %I', s.nspname, role_name)
          FROM pg_catalog.pg_namespace s
         WHERE s.oid <> schema AND EXISTS (SELECT FROM pg_catalog.pg_class t WHERE t.oid = ANY (typed) AND t.relnamespace = s.oid)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c LEFT JOIN LATERAL pg_catalog.aclexplode(c.relacl) a ON true
                            WHERE c.relnamespace = s.oid AND c.oid <> ALL (typed) AND (c.relowner = role OR a.grantee = role))
        UNION ALL
        SELECT pg_catalog.format('REVOKE ALL ON FUNCTION %I.%I(%s) FROM %I', schema_name, f.proname,
                                 pg_catalog.pg_get_function_identity_arguments(f.oid), role_name)
          FROM pg_catalog.pg_proc f
         WHERE f.pronamespace = schema
           AND f.proname IN ('newt_read_only', 'newt_raise', 'newt_project_one', 'newt_large', 'newt_prune_limit', 'newt_prune', 'newt_principals', 'newt_visible',
                             'newt_compute_derived', 'newt_follow_derived')
        UNION ALL
        SELECT p.statement FROM newt.reader_policies_sql(schema_name, role_name, false) p (statement)
        UNION ALL
        SELECT pg_catalog.format('REVOKE ALL ON SCHEMA %I FROM %I', schema_name, role_name)
        UNION ALL
        -- by this owner and by those before
        SELECT pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I REVOKE ALL ON TABLES FROM %I',
                                 pg_catalog.pg_get_userbyid(d.defaclrole), schema_name, role_name)
          FROM pg_catalog.pg_default_acl d
         WHERE d.defaclnamespace = schema AND d.defaclobjtype = 'r' AND schema_name <> 'public'
           AND EXISTS (SELECT FROM pg_catalog.aclexplode(d.defaclacl) a WHERE a.grantee = role)
    LOOP
        EXECUTE statement;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.revoke_store(text, text) IS 'takes from a role all rights on a store and its schema';
