-- ---- extraction for indexes ---------------------------------------------------------------------

CREATE FUNCTION newt.text(document jsonb, VARIADIC paths text[] DEFAULT '{}') RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_text';
COMMENT ON FUNCTION newt.text(jsonb, text[]) IS 'strings below the paths (none: all strings), one a line';

CREATE FUNCTION newt.tsvector(config regconfig, document jsonb, VARIADIC paths text[] DEFAULT '{}')
    RETURNS tsvector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000
    AS 'MODULE_PATHNAME', 'newt_pg_tsvector';
COMMENT ON FUNCTION newt.tsvector(regconfig, jsonb, text[]) IS 'strings below the paths (none: all strings) as a tsvector; a path may end with its weight, as in title:A';

CREATE FUNCTION newt.language(document jsonb, language_path text, languages text[]) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_language';
COMMENT ON FUNCTION newt.language(jsonb, text, text[]) IS 'the one of the languages that a document names: de-AT is de where de-at is none of them; empty: none';

CREATE FUNCTION newt.tsvector_by_language(config regconfig, language_path text, languages text[], configs regconfig[], document jsonb, VARIADIC paths text[] DEFAULT '{}')
    RETURNS tsvector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000
    AS 'MODULE_PATHNAME', 'newt_pg_tsvector_by_language';
COMMENT ON FUNCTION newt.tsvector_by_language(regconfig, text, text[], regconfig[], jsonb, text[]) IS 'as newt.tsvector, with the configuration of the language that the document names; a mark names the language';

CREATE FUNCTION newt.principals(document jsonb, VARIADIC paths text[]) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_principals';
COMMENT ON FUNCTION newt.principals(jsonb, text[]) IS 'strings, numbers and references below the paths, each once, in bytewise order';

CREATE FUNCTION newt.refs_at(document jsonb, path text) RETURNS bigint[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'newt_pg_refs_at';
COMMENT ON FUNCTION newt.refs_at(jsonb, text) IS 'the objects that a document refers to below a path, each once, rising';
