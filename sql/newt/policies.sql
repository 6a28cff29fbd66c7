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

CREATE FUNCTION newt.role_of(role_name text) RETURNS oid
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result oid := to_regrole(quote_ident(role_name));
BEGIN
    IF result IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('role "%s" does not exist', role_name), HINT = 'CREATE ROLE makes one.';
    END IF;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.role_of(text) IS 'the oid of a role; an error if there is none';

CREATE FUNCTION newt.check_principals(principals text[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    IF principals IS NULL OR array_position(principals, NULL) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'a principal must not be null';
    ELSIF EXISTS (SELECT FROM unnest(principals) p WHERE octet_length(p) NOT BETWEEN 1 AND 1000) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'a principal must have 1 to 1000 bytes',
            DETAIL = 'Longer ones are left out of the lists of objects, also where these deny something.';
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_principals(text[]) IS 'raises an error if a role or a claim cannot have these principals';

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
    ELSIF cardinality(principals) > 10000 THEN
        RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded', MESSAGE = format('%s principals are too many', cardinality(principals)), DETAIL = 'The limit is 10000.';
    END IF;
    PERFORM newt.check_principals(principals);
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
DECLARE
    role oid;
BEGIN
    PERFORM newt.check_store(store);
    role := newt.role_of(role_name);
    PERFORM newt.check_principals(principals);
    -- what a dropped role had must not come to another one that gets its number, as after a dump and a restore
    EXECUTE format('DELETE FROM %I.newt_role_principal r WHERE NOT EXISTS (SELECT FROM pg_roles a WHERE a.oid = r.role)', store);
    EXECUTE format('INSERT INTO %I.newt_role_principal (role, principal) SELECT $1, p FROM unnest($2) p ON CONFLICT DO NOTHING', store) USING role, principals;
END
$newt_body$;
COMMENT ON FUNCTION newt.grant_principals(text, text, text[]) IS 'gives a database role, and its members, principals';

CREATE FUNCTION newt.revoke_principals(store text, role_name text, VARIADIC principals text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    EXECUTE format('DELETE FROM %I.newt_role_principal r WHERE r.role = $1 AND r.principal = ANY ($2)', store) USING newt.role_of(role_name), principals;
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
    IF store IS NULL OR to_regprocedure(format('%I.newt_principals(name)', store)) IS NULL THEN
        PERFORM newt.check_store(store); -- not before: who sees a part of a store may not read its version
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('nobody sees a part of store "%s" by principals yet', store),
            HINT = format('SELECT newt.grant_visible(%L, ..., %L) lets this role do so.', store, current_user);
    END IF;
    EXECUTE format('SELECT %I.newt_principals(current_user)', store) INTO result;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.my_principals(text) IS 'the principals of the session: those of its role, and those of its claim';

CREATE FUNCTION newt.policy_role_sql(relation regclass, policy_name text, condition text, role_name text, belongs boolean) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT CASE WHEN r.roles IS NULL THEN format('DROP POLICY %I ON %s', policy_name, relation)
            WHEN p.oid IS NULL THEN format('CREATE POLICY %I ON %s FOR SELECT TO %s USING (%s)', policy_name, relation, r.roles, condition)
            ELSE format('ALTER POLICY %I ON %s TO %s', policy_name, relation, r.roles) END
  FROM (SELECT) one LEFT JOIN pg_policy p ON p.polrelid = relation AND p.polname = policy_name,
       LATERAL (SELECT string_agg(quote_ident(x.name), ', ' ORDER BY x.name) AS roles
                  FROM (SELECT pg_get_userbyid(u.oid)::text AS name FROM unnest(p.polroles) u (oid) WHERE pg_get_userbyid(u.oid) <> role_name
                        UNION ALL SELECT role_name WHERE belongs) x) r
 WHERE coalesce(to_regrole(quote_ident(role_name)) = ANY (p.polroles), false) <> belongs
$newt_body$;
COMMENT ON FUNCTION newt.policy_role_sql(regclass, text, text, text, boolean) IS 'the SQL by which a role comes to a policy, which its first one makes, or leaves it, which its last one drops; null if it is so';

-- newt_principals shows nothing to anybody. It stays when derived columns go, and says that it is we who hide the rows: so nobody
-- counts as one who could read all of them because of a right that is left from then. Nor does a role that sees by its principals,
-- and was given this table too early; nor anybody where other policies decided that.
CREATE FUNCTION newt.hide_rows(store text, relation regclass, role_name text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    readers oid[];
    was_hidden boolean := (SELECT c.relrowsecurity FROM pg_class c WHERE c.oid = relation);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = relation AND p.polname = 'newt_principals') THEN
        SELECT array_agg(DISTINCT g.grantee) INTO readers
          FROM pg_class c, aclexplode(c.relacl) g
         WHERE c.oid = relation AND g.privilege_type = 'SELECT' AND g.grantee NOT IN (c.relowner, to_regrole(quote_ident(role_name)))
           AND NOT EXISTS (SELECT FROM pg_policy p JOIN pg_class o ON o.oid = p.polrelid AND o.relnamespace = to_regnamespace(quote_ident(store))
                            WHERE p.polname LIKE 'newt\_principals\_%' AND g.grantee = ANY (p.polroles));
        IF 0 = ANY (readers) THEN
            RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('everybody may read %s', relation),
                HINT = format('REVOKE SELECT ON %s FROM PUBLIC;', relation);
        END IF;
        EXECUTE format('CREATE POLICY newt_principals ON %s FOR SELECT USING (false)', relation);
        IF readers IS NOT NULL AND NOT was_hidden THEN -- who could read all still can
            EXECUTE format('CREATE POLICY newt_readers ON %s FOR SELECT TO %s USING (true)', relation,
                           (SELECT string_agg(quote_ident(pg_get_userbyid(u.oid)), ', ') FROM unnest(readers) u (oid)));
        END IF;
    END IF;
    IF NOT was_hidden THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.hide_rows(text, regclass, text) IS 'hides the rows of a table from all that could not read them before, until a policy shows them some';

-- Whoever may read the records, or write what decides who sees what, sees more than a part: by its own rights, or by those of a
-- role that it can SET. hidden: the tables of which a part is shown, that of the derived columns first.
CREATE FUNCTION newt.check_sees_part(store text, role_name text, hidden regclass[], unprotected oid[]) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    role oid := newt.role_of(role_name);
    wrong record;
BEGIN
    SELECT m.oid, m.rolname, o.oid::regclass AS relation, w.* INTO wrong
      FROM (SELECT r.oid, r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole FROM pg_roles r, pg_roles x
             WHERE x.oid = role AND pg_has_role(role, r.oid, 'MEMBER') AND (r.oid = role OR NOT x.rolsuper)
            UNION ALL SELECT 0, 'PUBLIC', false, false, false) m
      LEFT JOIN pg_class o ON o.relnamespace = to_regnamespace(quote_ident(store)) AND o.relkind IN ('r', 'v') OR o.oid = ANY (hidden),
           LATERAL (SELECT v.place, v.what, v.remedy
                      FROM (VALUES (1, m.rolsuper, '%s is a superuser.', 'ALTER ROLE %I NOSUPERUSER;'),
                                   (2, m.rolbypassrls, '%s has BYPASSRLS.', 'ALTER ROLE %I NOBYPASSRLS;'),
                                   (3, m.rolcreaterole AND current_setting('server_version_num')::integer < 160000, '%s has CREATEROLE, and so can become a member of others.', 'ALTER ROLE %I NOCREATEROLE;'),
                                   (4, o.relname = 'object_state' AND o.relowner = m.oid, '%s is the owner of the store.', 'Choose another role: the owner of a table sees all its rows.'),
                                   (5, (o.relname IN ('object_state', 'newt_projection', 'newt_reprojected', 'newt_search_word', 'newt_claim_key') OR o.oid = ANY (unprotected))
                                       AND has_any_column_privilege(m.oid, o.oid, 'SELECT'), '%s may read %s.', NULL),
                                   (6, (o.relname IN ('object_state', 'newt_projection', 'newt_claim_key', 'newt_role_principal', 'newt_derived', 'newt_principal_set', 'newt_principal_sum') OR o.oid = hidden[1])
                                       AND (has_any_column_privilege(m.oid, o.oid, 'INSERT, UPDATE') OR has_table_privilege(m.oid, o.oid, 'DELETE')), '%s may write %s.', NULL),
                                   (7, EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = o.oid AND o.oid = ANY (hidden) AND p.polname = 'newt_readers' AND m.oid = ANY (p.polroles)), '%s may read all rows of %s.', NULL),
                                   (8, EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = o.oid AND o.oid = ANY (hidden) AND p.polpermissive AND p.polcmd IN ('r', '*') AND m.oid = ANY (p.polroles)
                                                  AND p.polname <> 'newt_readers' AND p.polname NOT LIKE 'newt\_principals%'),
                                       '%s may read rows of %s by a policy of your own.', 'Such a policy must be AS RESTRICTIVE, or for other roles.')
                           ) v (place, holds, what, remedy) WHERE v.holds ORDER BY v.place LIMIT 1) w
     -- of those that have a right, who was given it: that one is a member of the fewest
     ORDER BY w.place > 3, w.place <= 3 AND m.oid <> role, (SELECT count(*) FROM pg_roles r WHERE pg_has_role(m.oid, r.oid, 'MEMBER')),
              o.relname = 'object_state' DESC, o.relname, m.rolname LIMIT 1;
    IF wrong.what IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('role "%s" sees more than its principals may', role_name),
            DETAIL = format(wrong.what, CASE wrong.oid WHEN role THEN 'It' WHEN 0 THEN 'Everybody' ELSE format('Role "%s", of which it is a member,', wrong.rolname) END, wrong.relation),
            HINT = CASE WHEN wrong.place = 8 THEN wrong.remedy
                        WHEN wrong.oid = 0 THEN format('REVOKE ALL ON %s FROM PUBLIC;', wrong.relation)
                        WHEN wrong.oid <> role
                        THEN (SELECT format('REVOKE %I FROM %I;', wrong.rolname, pg_get_userbyid(x.member)) FROM pg_auth_members x
                               WHERE x.roleid = wrong.oid AND pg_has_role(role, x.member, 'MEMBER') ORDER BY x.member <> role, x.member LIMIT 1)
                        WHEN wrong.remedy IS NOT NULL THEN format(wrong.remedy, role_name)
                        ELSE format('SELECT newt.revoke_store(%L, %L) takes its rights.', store, role_name) END;
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_sees_part(text, text, regclass[], oid[]) IS 'raises an error if a role that is to see what its principals may has another way to the objects, or to its principals';

CREATE FUNCTION newt.grant_visible(store text, name text, role_name text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    a record;
    d record;
    classes text[];
    unprotected oid[];
    hidden regclass[];
    documents text;
    visible text := format('SELECT v.id FROM %I.newt_visible(current_user) v (id)', store);
    shown text;
    statement text;
    t record;
BEGIN
    SELECT * INTO a FROM newt.access_column(store, name);
    PERFORM newt.role_of(role_name);
    EXECUTE format('SELECT d.*, c.n AS place FROM %I.newt_derived d, jsonb_array_elements(d.columns) WITH ORDINALITY c (spec, n) WHERE d.relation = $1 AND c.spec->>''name'' = $2', store)
        INTO d USING a.relation, a.column_name;
    documents := format('%I.%I', store, newt.cut_name(d.name, '_documents'));
    SELECT array_agg(DISTINCT n.name) INTO classes FROM unnest(d.class_names) c (name), unnest(newt.class_names(store, c.name)) n (name);
    EXECUTE newt.policy_functions_sql(store);

    -- a policy for each column of principals, with the roles that see by it
    PERFORM newt.hide_rows(store, a.relation, role_name);
    hidden := ARRAY[a.relation];
    statement := newt.policy_role_sql(a.relation, 'newt_principals_' || d.place, format('%I IN (%s)', a.column_name, visible), role_name, true);
    IF statement IS NOT NULL THEN
        EXECUTE statement;
    END IF;
    IF statement IS NOT NULL OR to_regclass(documents) IS NULL THEN
        -- the documents: with the owner's rights, and no condition of the reader's is looked at before this one unless it is leakproof
        SELECT string_agg(format('SELECT t.zoid FROM %s t WHERE t.%I IN (%s WHERE (SELECT bool_or(pg_has_role(current_user, r.oid, ''USAGE'')) '
                                 'FROM pg_policy p, unnest(p.polroles) r (oid) WHERE p.polrelid = %L::regclass AND p.polname = %L))',
                                 a.relation, c.spec->>'name', visible, a.relation, 'newt_principals_' || c.n), ' UNION ALL ' ORDER BY c.n)
          INTO shown FROM jsonb_array_elements(d.columns) WITH ORDINALITY c (spec, n) WHERE c.spec ? 'access';
        EXECUTE format('CREATE OR REPLACE VIEW %s WITH (security_barrier) AS SELECT n.zoid, n.class_name, n.serial, n.state FROM %s n WHERE EXISTS (SELECT FROM (%s) t WHERE t.zoid = n.zoid)', documents,
            CASE WHEN EXISTS (SELECT FROM unnest(classes) c (name) WHERE newt.projection_of(store, c.name) = 'virtual')
                 THEN format('(SELECT o.zoid, newt.try_class_name(o.state) AS class_name, o.serial, newt.try_to_jsonb(o.state) AS state FROM %I.object_state o)', store)
                 ELSE format('%I.newt_projection', store) END, shown);
        EXECUTE format('COMMENT ON VIEW %s IS %L', documents, format('documents of the objects in %s, for roles that see some of them', a.relation));
    END IF;
    -- what runs with its owner's rights is to have those of the store's, whoever calls this
    FOREACH statement IN ARRAY ARRAY['ALTER FUNCTION %1$I.newt_principals(name) OWNER TO %5$I', 'ALTER FUNCTION %1$I.newt_visible(name) OWNER TO %5$I', 'ALTER VIEW %4$s OWNER TO %5$I',
                                     'GRANT USAGE ON SCHEMA %1$I TO %2$I', 'GRANT SELECT ON %3$s, %4$s TO %2$I',
                                     'GRANT EXECUTE ON FUNCTION %1$I.newt_principals(name), %1$I.newt_visible(name) TO %2$I'] LOOP
        EXECUTE format(statement, store, role_name, a.relation, documents,
                       (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = to_regclass(format('%I.object_state', store))));
    END LOOP;
    -- typed tables of these classes: an object that is seen has its rows
    FOR t IN EXECUTE format('SELECT t.relation, n.nspname, t.columns->0->>''column_name'' AS key FROM %I.newt_table t JOIN pg_class c ON c.oid = t.relation JOIN pg_namespace n ON n.oid = c.relnamespace '
                            'WHERE t.class_name = ANY ($1)', store) USING classes LOOP
        PERFORM newt.hide_rows(store, t.relation, role_name);
        hidden := hidden || t.relation;
        statement := newt.policy_role_sql(t.relation, 'newt_principals_' || d.number, format('EXISTS (SELECT FROM %s d WHERE d.zoid = %s.%I)', a.relation, t.relation, t.key), role_name, true);
        IF statement IS NOT NULL THEN
            EXECUTE statement;
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', t.nspname, role_name);
        EXECUTE format('GRANT SELECT ON %s TO %I', t.relation, role_name);
    END LOOP;

    -- it is none of those any more that see all
    FOR statement IN SELECT s.statement FROM unnest(hidden) u (relation), LATERAL newt.policy_role_sql(u.relation, 'newt_readers', 'true', role_name, false) s (statement) WHERE s.statement IS NOT NULL LOOP
        EXECUTE statement;
    END LOOP;
    -- other derived columns of the same objects
    EXECUTE format('SELECT array_agg(c.oid) FROM %I.newt_derived o JOIN pg_class c ON c.oid = o.relation WHERE o.class_names && $1 AND NOT c.relrowsecurity', store) INTO unprotected USING classes;
    PERFORM newt.check_sees_part(store, role_name, hidden, coalesce(unprotected, '{}'));
END
$newt_body$;
COMMENT ON FUNCTION newt.grant_visible(text, text, text) IS 'lets a role see what its principals may: the rows of the derived columns, of typed tables of the same classes, and the documents';
