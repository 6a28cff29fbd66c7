-- ---- writing ------------------------------------------------------------------------------------
-- Objects are written as the library writes them, in transactions of the library's kind; the rights
-- are the caller's.

CREATE FUNCTION newt.patch(store text, zoid bigint, patch jsonb, serial bigint DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 20000
    AS 'MODULE_PATHNAME', 'newt_pg_patch';
COMMENT ON FUNCTION newt.patch(text, bigint, jsonb, bigint) IS 'changes fields of an object by a JSON merge patch, if it still has this serial (null: whatever it has); the serial that it has then';

CREATE FUNCTION newt.insert(store text, class text, document jsonb) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 20000
    AS 'MODULE_PATHNAME', 'newt_pg_insert';
COMMENT ON FUNCTION newt.insert(text, text, jsonb) IS 'makes an object of a class, with the fields of the document: its zoid';

CREATE FUNCTION newt.remove(store text, zoid bigint, serial bigint DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 20000
    AS 'MODULE_PATHNAME', 'newt_pg_remove';
COMMENT ON FUNCTION newt.remove(text, bigint, bigint) IS 'removes an object, if it still has this serial (null: whatever it has); the serial of the transaction';
