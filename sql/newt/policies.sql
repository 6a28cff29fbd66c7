-- ---- row-level security -------------------------------------------------------------------------------
-- A reporting role sees the rows that its principals may see. Which those are is never the session's own choice: the
-- store's owner gives them to the role, or a claim has them that was signed with a key that the role cannot read.

CREATE FUNCTION newt.hmac_sha256(key bytea, message bytea) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 200
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE -- RFC 2104
    inner_key bytea := decode(repeat('36', 64), 'hex');
    outer_key bytea := decode(repeat('5c', 64), 'hex');
    k bytea := CASE WHEN length(key) > 64 THEN sha256(key) ELSE key END;
BEGIN
    FOR i IN 0 .. length(k) - 1 LOOP
        inner_key := set_byte(inner_key, i, get_byte(inner_key, i) # get_byte(k, i));
        outer_key := set_byte(outer_key, i, get_byte(outer_key, i) # get_byte(k, i));
    END LOOP;
    RETURN sha256(outer_key || sha256(inner_key || message));
END
$newt_body$;
COMMENT ON FUNCTION newt.hmac_sha256(bytea, bytea) IS 'the HMAC of a message with SHA-256';

CREATE FUNCTION newt.create_claim_key(store text) RETURNS integer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result integer;
    reader text;
BEGIN
    PERFORM newt.check_store(store);
    -- default privileges may have opened it when the store was made
    SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END INTO reader
      FROM pg_class c, aclexplode(c.relacl) a
     WHERE c.oid = to_regclass(format('%I.newt_claim_key', store)) AND a.grantee <> c.relowner AND a.privilege_type IN ('INSERT', 'UPDATE')
     LIMIT 1;
    IF reader IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('the keys of store "%s" can be written by "%s"', store, reader),
            DETAIL = 'Who can write keys can sign claims of any principals.',
            HINT = format('REVOKE INSERT, UPDATE ON %I.newt_claim_key FROM %s;', store, CASE reader WHEN 'PUBLIC' THEN reader ELSE quote_ident(reader) END);
    END IF;
    EXECUTE format('INSERT INTO %I.newt_claim_key (key) SELECT sha256(string_agg(uuid_send(gen_random_uuid()), '''')) FROM generate_series(1, 4) RETURNING id', store) INTO result;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.create_claim_key(text) IS 'makes a key by which claims are signed from now on; claims of older keys stay valid until these are deleted from newt_claim_key';

CREATE FUNCTION newt.sign_claim(store text, role_name text, principals text[], valid_for interval DEFAULT '15 minutes') RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    k record;
    payload bytea;
BEGIN
    PERFORM newt.check_store(store);
    IF role_name IS NULL OR principals IS NULL OR valid_for IS NULL OR array_position(principals, NULL) IS NOT NULL OR to_regrole(quote_ident(role_name)) IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = CASE WHEN role_name IS NOT NULL AND to_regrole(quote_ident(role_name)) IS NULL THEN format('role "%s" does not exist', role_name) ELSE 'a claim needs a role, principals and a time' END,
            HINT = 'A claim is for one role, which is that of the sessions that use it.';
    ELSIF EXISTS (SELECT FROM unnest(principals) p WHERE octet_length(p) NOT BETWEEN 1 AND 1000) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'a principal must have 1 to 1000 bytes',
            DETAIL = 'Longer ones are left out of the lists of objects, also where these deny something.';
    ELSIF cardinality(principals) > 10000 THEN
        RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded', MESSAGE = format('%s principals are too many', cardinality(principals)), DETAIL = 'The limit is 10000.';
    END IF;
    EXECUTE format('SELECT * FROM %I.newt_claim_key k ORDER BY k.id DESC LIMIT 1', store) INTO k;
    IF k.id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('store "%s" has no key to sign claims with', store),
            HINT = format('SELECT newt.create_claim_key(%L) makes one.', store);
    END IF;
    payload := convert_to(jsonb_build_object('store', store, 'role', role_name, 'principals', principals,
                                             'oid', to_regrole(quote_ident(role_name))::oid, 'until', floor(extract(epoch FROM clock_timestamp() + valid_for)))::text, 'UTF8');
    RETURN k.id || '.' || encode(payload, 'hex') || '.' || encode(newt.hmac_sha256(k.key, payload), 'hex');
END
$newt_body$;
COMMENT ON FUNCTION newt.sign_claim(text, text, text[], interval) IS 'a claim that sessions of a role have these principals: SET newt.claim = ''...''; for who may read newt_claim_key';

CREATE FUNCTION newt.grant_principals(store text, role_name text, VARIADIC principals text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    IF to_regrole(quote_ident(role_name)) IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('role "%s" does not exist', role_name), HINT = 'CREATE ROLE makes one.';
    END IF;
    -- what a dropped role had must not come to another one that gets its number, as after a dump and a restore
    EXECUTE format('DELETE FROM %I.newt_role_principal r WHERE NOT EXISTS (SELECT FROM pg_roles a WHERE a.oid = r.role)', store);
    EXECUTE format('INSERT INTO %I.newt_role_principal (role, principal) SELECT $1, p FROM unnest($2) p ON CONFLICT DO NOTHING', store)
        USING to_regrole(quote_ident(role_name)), principals;
END
$newt_body$;
COMMENT ON FUNCTION newt.grant_principals(text, text, text[]) IS 'gives a database role, and its members, principals';

CREATE FUNCTION newt.revoke_principals(store text, role_name text, VARIADIC principals text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    EXECUTE format('DELETE FROM %I.newt_role_principal r WHERE r.role = $1 AND r.principal = ANY ($2)', store)
        USING to_regrole(quote_ident(role_name)), principals;
END
$newt_body$;
COMMENT ON FUNCTION newt.revoke_principals(text, text, text[]) IS 'takes principals from a database role';

-- The functions run with the owner's rights: they read the keys and the principals of roles, which a reporting role must
-- not. They tell a session of its own roles alone.
CREATE FUNCTION newt.policy_functions_sql(store text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT format($sql$
CREATE OR REPLACE FUNCTION %1$I.newt_principals(role_name name) RETURNS text[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
    AS %2$s
DECLARE
    claim text := nullif(current_setting('newt.claim', true), '');
    payload bytea;
    said jsonb;
    secret bytea;
    result text[];
    wrong text := 'It is not of the form that newt.sign_claim() gives.';
BEGIN
    -- a member since PostgreSQL 16 may be one that cannot SET ROLE
    IF NOT pg_has_role(session_user, newt_principals.role_name, CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET, USAGE' END) THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format('session user "%%s" is no member of role "%%s"', session_user, newt_principals.role_name),
            HINT = 'A session may ask about its own roles.';
    END IF;
    SELECT array_agg(r.principal) INTO result FROM %1$I.newt_role_principal r
     WHERE EXISTS (SELECT FROM pg_roles a WHERE a.oid = r.role) AND pg_has_role(newt_principals.role_name, r.role, 'USAGE');
    -- nothing in it is read before its signature is known to be right
    IF claim IS NULL THEN
        wrong := NULL;
    ELSIF claim ~ '^[0-9]{1,9}[.]([0-9a-f]{2})+[.][0-9a-f]{64}$' THEN
        payload := decode(split_part(claim, '.', 2), 'hex');
        SELECT k.key INTO secret FROM %1$I.newt_claim_key k WHERE k.id = split_part(claim, '.', 1)::integer;
        IF secret IS NULL THEN
            wrong := 'Its key does not exist.';
        -- hashed again, so that the time it takes tells nothing of how much was right
        ELSIF sha256(secret || newt.hmac_sha256(secret, payload)) <> sha256(secret || decode(split_part(claim, '.', 3), 'hex')) THEN
            wrong := 'Its signature is wrong.';
        ELSE
            said := convert_from(payload, 'UTF8')::jsonb;
            wrong := CASE WHEN said->>'store' IS DISTINCT FROM %1$L THEN format('It is for store "%%s".', said->>'store')
                          WHEN said->>'role' IS DISTINCT FROM newt_principals.role_name THEN format('It is for role "%%s".', said->>'role')
                          WHEN said->>'oid' IS DISTINCT FROM to_regrole(quote_ident(newt_principals.role_name))::oid::text THEN 'It is for a role of that name that was there before.'
                          WHEN coalesce((said->>'until')::numeric, 0) < extract(epoch FROM clock_timestamp()) THEN 'It has expired.' END;
        END IF;
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_authorization_specification', MESSAGE = 'the claim in "newt.claim" is not valid', DETAIL = wrong,
            HINT = 'Ask for a new one, or RESET newt.claim to go on with the principals of the role.';
    END IF;
    RETURN ARRAY(SELECT u.principal FROM unnest(result) u (principal) UNION SELECT jsonb_array_elements_text(said->'principals') ORDER BY 1);
END
%2$s;
CREATE OR REPLACE FUNCTION %1$I.newt_visible(role_name name) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED ROWS 200
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off -- what is off is counted as very dear
    AS %2$s
DECLARE
    -- not the collation of a name, of which there is no index
    mine text[] COLLATE pg_catalog."default" := %1$I.newt_principals(newt_visible.role_name);
BEGIN
    RETURN QUERY SELECT s.id FROM %1$I.newt_principal_set s WHERE s.allowed && mine AND (NOT s.denies OR newt.allows(s.entries, mine));
END
%2$s;
REVOKE ALL ON FUNCTION %1$I.newt_principals(name), %1$I.newt_visible(name) FROM PUBLIC;
$sql$, store, '$newt_' || encode(sha256(convert_to(store, 'UTF8')), 'hex') || '$')
$newt_body$;
COMMENT ON FUNCTION newt.policy_functions_sql(text) IS 'the SQL of the functions that policies of a store call';

CREATE FUNCTION newt.my_principals(store text DEFAULT 'public') RETURNS text[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result text[];
BEGIN
    EXECUTE format('SELECT %I.newt_principals(current_user)', store) INTO result;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.my_principals(text) IS 'the principals of the session: those of its role, and those of its claim';

CREATE FUNCTION newt.grant_visible(store text, name text, role_name text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    a record;
    d record;
    role oid := to_regrole(quote_ident(role_name));
    readers text[];
    unprotected oid[];
    seen text;
    statement text;
    classes text[];
    t record;
BEGIN
    SELECT * INTO a FROM newt.access_column(store, name);
    EXECUTE format('SELECT * FROM %I.newt_derived d WHERE d.relation = $1', store) INTO d USING a.relation;
    IF role IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('role "%s" does not exist', role_name), HINT = 'CREATE ROLE makes one.';
    END IF;
    -- other derived columns of the same objects
    EXECUTE format('SELECT coalesce(array_agg(c.oid), ''{}'') FROM %I.newt_derived o JOIN pg_class c ON c.oid = o.relation WHERE o.class_names && $1 AND o.relation <> $2 AND NOT c.relrowsecurity', store)
        INTO unprotected USING d.class_names, a.relation;
    -- it would see everything elsewhere, or give itself principals: by its own rights, or by those of a role that it can SET
    SELECT format(w.what, CASE WHEN m.oid = role THEN 'It' ELSE format('Role "%s", of which it is a member,', m.rolname) END, o.oid::regclass) INTO seen
      FROM pg_roles m LEFT JOIN pg_class o ON o.relnamespace = to_regnamespace(quote_ident(store)) AND o.relkind IN ('r', 'v'),
           LATERAL (SELECT CASE WHEN m.rolsuper THEN '%s is a superuser.'
                                WHEN m.rolbypassrls THEN '%s has BYPASSRLS.'
                                WHEN m.rolcreaterole AND current_setting('server_version_num')::integer < 160000 THEN '%s has CREATEROLE, and so can become a member of others.'
                                WHEN o.relname = 'object_state' AND o.relowner = m.oid THEN '%s is the owner of the store.'
                                WHEN (o.relname IN ('object_state', 'newt_projection', 'newt_reprojected', 'newt_search_word', 'newt_claim_key') OR o.oid IN (SELECT u.relation FROM unnest(unprotected) u (relation)))
                                     AND has_any_column_privilege(m.oid, o.oid, 'SELECT') THEN '%s may read %s.'
                                WHEN (o.relname IN ('object_state', 'newt_projection', 'newt_claim_key', 'newt_role_principal', 'newt_derived', 'newt_principal_set', 'newt_principal_sum') OR o.oid = a.relation)
                                     AND (has_any_column_privilege(m.oid, o.oid, 'INSERT, UPDATE') OR has_table_privilege(m.oid, o.oid, 'DELETE')) THEN '%s may write %s.' END AS what) w
     WHERE pg_has_role(role, m.oid, 'MEMBER') AND w.what IS NOT NULL
     ORDER BY m.oid <> role, NOT m.rolsuper, o.relname = 'object_state' DESC, o.relname LIMIT 1;
    IF seen IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('role "%s" sees more than its principals may', role_name), DETAIL = seen,
            HINT = format('SELECT newt.revoke_store(%L, %L) takes its rights; it must not be a member of a role that has them.', store, role_name);
    END IF;
    EXECUTE newt.policy_functions_sql(store);
    IF NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = a.relation AND p.polname = 'newt_principals') THEN
        SELECT array_agg(DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END) INTO readers
          FROM pg_class c, aclexplode(c.relacl) g WHERE c.oid = a.relation AND g.privilege_type = 'SELECT' AND g.grantee NOT IN (c.relowner, role);
        IF 'PUBLIC' = ANY (readers) THEN
            RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('everybody may read %s', a.relation),
                HINT = format('REVOKE SELECT ON %s FROM PUBLIC;', a.relation);
        END IF;
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', a.relation);
        EXECUTE format('CREATE POLICY newt_principals ON %s FOR SELECT USING (%I IN (SELECT v.id FROM %I.newt_visible(current_user) v (id)))', a.relation, a.column_name, store);
        IF readers IS NOT NULL THEN -- who could read all still can
            EXECUTE format('CREATE POLICY newt_readers ON %s FOR SELECT TO %s USING (true)', a.relation, array_to_string(readers, ', '));
        END IF;
        SELECT array_agg(DISTINCT n.name) INTO classes FROM unnest(d.class_names) c (name), unnest(newt.class_names(store, c.name)) n (name);
        -- the documents: with the owner's rights, and no condition of the reader's is looked at before this one unless it is leakproof
        EXECUTE format($sql$CREATE VIEW %1$I.%2$I WITH (security_barrier) AS
            SELECT n.zoid, n.class_name, n.serial, n.state FROM %3$s n
             WHERE EXISTS (SELECT FROM %4$s t WHERE t.zoid = n.zoid AND t.%5$I IN (SELECT v.id FROM %1$I.newt_visible(current_user) v (id)))$sql$,
            store, newt.cut_name(d.name, '_documents'),
            CASE WHEN EXISTS (SELECT FROM unnest(classes) c (name) WHERE newt.projection_of(store, c.name) = 'virtual')
                 THEN format('(SELECT o.zoid, newt.try_class_name(o.state) AS class_name, o.serial, newt.try_to_jsonb(o.state) AS state FROM %I.object_state o)', store)
                 ELSE format('%I.newt_projection', store) END, a.relation, a.column_name);
        EXECUTE format('COMMENT ON VIEW %I.%I IS %L', store, newt.cut_name(d.name, '_documents'), format('documents of the objects in %s, for roles that see some of them', a.relation));
    END IF;
    -- what runs with its owner's rights is to have those of the store's, whoever calls this
    FOREACH statement IN ARRAY ARRAY['ALTER FUNCTION %1$I.newt_principals(name) OWNER TO %5$I', 'ALTER FUNCTION %1$I.newt_visible(name) OWNER TO %5$I', 'ALTER VIEW %1$I.%4$I OWNER TO %5$I',
                                     'GRANT USAGE ON SCHEMA %1$I TO %2$I', 'GRANT SELECT ON %3$s, %1$I.%4$I TO %2$I',
                                     'GRANT EXECUTE ON FUNCTION %1$I.newt_principals(name), %1$I.newt_visible(name) TO %2$I'] LOOP
        EXECUTE format(statement, store, role_name, a.relation, newt.cut_name(d.name, '_documents'),
                       (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = to_regclass(format('%I.object_state', store))));
    END LOOP;
    -- typed tables of these classes: an object that is seen has its rows
    FOR t IN EXECUTE format('SELECT t.relation, t.columns->0->>''column_name'' AS key FROM %I.newt_table t JOIN pg_class c ON c.oid = t.relation WHERE t.class_name = ANY ($1)', store) USING d.class_names LOOP
        IF NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = t.relation AND p.polname = 'newt_principals') THEN
            SELECT array_agg(DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END) INTO readers
              FROM pg_class c, aclexplode(c.relacl) g WHERE c.oid = t.relation AND g.privilege_type = 'SELECT' AND g.grantee NOT IN (c.relowner, role);
            IF 'PUBLIC' = ANY (readers) THEN
                RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('everybody may read %s', t.relation),
                    HINT = format('REVOKE SELECT ON %s FROM PUBLIC;', t.relation);
            END IF;
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.relation);
            EXECUTE format('CREATE POLICY newt_principals ON %1$s FOR SELECT USING (EXISTS (SELECT FROM %2$s d WHERE d.zoid = %1$s.%3$I))', t.relation, a.relation, t.key);
            IF readers IS NOT NULL THEN
                EXECUTE format('CREATE POLICY newt_readers ON %s FOR SELECT TO %s USING (true)', t.relation, array_to_string(readers, ', '));
            END IF;
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = t.relation), role_name);
        EXECUTE format('GRANT SELECT ON %s TO %I', t.relation, role_name);
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.grant_visible(text, text, text) IS 'lets a role see what its principals may: the rows of the derived columns, of typed tables of the same classes, and the documents';
