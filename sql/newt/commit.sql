-- ---- commit -------------------------------------------------------------------------------------
-- What the library calls; the rights are the caller's.

CREATE FUNCTION newt.at_commit(transaction_table regclass, serial bigint, nonce bigint, written bigint[],
                               removed bigint[], username text, description text, extension text,
                               removed_classes text[] DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100
    AS 'MODULE_PATHNAME', 'newt_pg_at_commit';
COMMENT ON FUNCTION newt.at_commit(regclass, bigint, bigint, bigint[], bigint[], text, text, text, text[]) IS 'gives the transaction its row and tid when it commits, under the commit lock; COMMIT waits for the disk and for standbys when its locks are released';

CREATE FUNCTION newt.committed(transaction_table regclass, tid bigint, serial bigint) RETURNS bigint[]
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100
    AS 'MODULE_PATHNAME', 'newt_pg_committed';
COMMENT ON FUNCTION newt.committed(regclass, bigint, bigint) IS 'tid of this session''s last transaction by newt.at_commit in that store, and the oids changed by others since the transaction with this tid and serial';

CREATE FUNCTION newt.write(object_state regclass, zoids bigint[], serials bigint[], states bytea[], serial bigint, projected boolean)
    RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 100
    AS 'MODULE_PATHNAME', 'newt_pg_write_batch';
COMMENT ON FUNCTION newt.write(regclass, bigint[], bigint[], bytea[], bigint, boolean) IS 'writes objects that have these serials (0: new ones) into the tables of a store, and, projected, their JSON; an error if one has another serial';

CREATE FUNCTION newt.commit(transaction_table regclass, serial bigint, nonce bigint, zoids bigint[], serials bigint[],
                            states bytea[], projected boolean, cache_tid bigint, cache_serial bigint)
    RETURNS bigint[]
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100
    AS 'MODULE_PATHNAME', 'newt_pg_commit';
COMMENT ON FUNCTION newt.commit(regclass, bigint, bigint, bigint[], bigint[], bytea[], boolean, bigint, bigint) IS 'a whole commit, as newt.write and newt.at_commit do it, in a transaction of its own; the answer of newt.committed';

CREATE FUNCTION newt.project_new(newt_projection regclass, zoids bigint[], client_classes text[],
                                 OUT written bigint, OUT rest bigint[])
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 200000
    AS 'MODULE_PATHNAME', 'newt_pg_project_new';
COMMENT ON FUNCTION newt.project_new(regclass, bigint[], text[]) IS 'writes the first rows of objects into the projection, except for classes that clients project: how many, and what was left for other statements (null: nothing)';
