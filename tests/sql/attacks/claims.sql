-- report | a claim without a signature, a truncated one, one with blanks, a newline or capital letters | 28000
SET newt.claim = '1.7b7d';
SELECT count(*) FROM shop.pages;
SET newt.claim = '1.7b7d.';
SELECT count(*) FROM shop.pages;
SET newt.claim = 'board';
SELECT count(*) FROM shop.pages_documents;
SET newt.claim = ' ';
SELECT count(*) FROM shop.page;
\connect - newt_attack_owner
SELECT newt.sign_claim('shop', 'newt_attack_report', '{board}') AS claim \gset
\connect - newt_attack_report
SELECT set_config('newt.claim', left(:'claim', -2), false) IS NULL;
SELECT newt.my_principals('shop');
SELECT set_config('newt.claim', :'claim' || E'\n', false) IS NULL;
SELECT newt.my_principals('shop');
SELECT set_config('newt.claim', upper(:'claim'), false) IS NULL;
SELECT newt.my_principals('shop');
--> ERROR 28000
--> ERROR 28000
--> ERROR 28000
--> ERROR 28000
--> f
--> ERROR 28000
--> f
--> ERROR 28000
--> f
--> ERROR 28000

-- report | a valid claim | it also sees what "board" may see, until RESET
\connect - newt_attack_owner
SELECT newt.sign_claim('shop', 'newt_attack_report', '{board}') AS claim \gset
\connect - newt_attack_report
SET newt.claim = :'claim';
SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages;
RESET newt.claim;
SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages;
--> {10,11,12,13}
--> {10,11}

-- report | claims for another store or another role, expired ones, claims signed with a deleted key or with another store's key of the same number | 28000
\connect - newt_attack_owner
SELECT newt.sign_claim('shop2', 'newt_attack_report', '{board}') AS elsewhere, newt.sign_claim('shop', 'newt_attack_other', '{board}') AS others,
       newt.sign_claim('shop', 'newt_attack_report', '{board}', '-1 s') AS late \gset
SELECT newt.create_claim_key('shop') AS second \gset
SELECT newt.sign_claim('shop', 'newt_attack_report', '{board}') AS gone \gset
DELETE FROM shop.newt_claim_key WHERE id = :second;
\connect - newt_attack_report
SET newt.claim = :'elsewhere';
SELECT count(*) FROM shop.pages;
SET newt.claim = :'others';
SELECT count(*) FROM shop.pages;
SET newt.claim = :'late';
SELECT count(*) FROM shop.pages;
SET newt.claim = :'gone';
SELECT count(*) FROM shop.pages;
SELECT set_config('newt.claim', overlay(:'others' PLACING '999999999' FROM 1 FOR 1), false) IS NULL;
SELECT count(*) FROM shop.pages;
--> ERROR 28000
--> ERROR 28000
--> ERROR 28000
--> ERROR 28000
--> f
--> ERROR 28000

-- report | the signature of another payload; more principals, another role or another time under an old signature; JSON keys given twice; bytes that are not UTF-8; a claim signed with a key of its own | 28000
\connect - newt_attack_owner
SELECT split_part(newt.sign_claim('shop', 'newt_attack_report', '{x}'), '.', 3) AS signature, split_part(newt.sign_claim('shop', 'newt_attack_report', '{x}'), '.', 2) AS payload \gset
\connect - newt_attack_report
CREATE FUNCTION try(claim text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('newt.claim', claim, true);
    RETURN newt.my_principals('shop')::text;
EXCEPTION WHEN invalid_authorization_specification THEN RETURN SQLSTATE;
END $$;
SELECT try('1.' || encode(convert_to(replace(convert_from(decode(:'payload', 'hex'), 'UTF8'), '["x"]', '["board"]'), 'UTF8'), 'hex') || '.' || :'signature');
SELECT try('1.' || encode(convert_to(replace(convert_from(decode(:'payload', 'hex'), 'UTF8'), '"x"', '"x", "board"'), 'UTF8'), 'hex') || '.' || :'signature');
SELECT try('1.' || encode(convert_to(replace(convert_from(decode(:'payload', 'hex'), 'UTF8'), '}', ', "principals": ["board"]}'), 'UTF8'), 'hex') || '.' || :'signature');
SELECT try('1.fffe.' || :'signature');
SELECT try('1.' || :'payload' || '.' || encode(newt.hmac_sha256('', decode(:'payload', 'hex')), 'hex'));
SELECT try('1.' || :'payload' || '.' || encode(sha256(decode(:'payload', 'hex')), 'hex'));
SELECT try('0.' || :'payload' || '.' || repeat('0', 64)), try('-1.' || :'payload' || '.' || :'signature'), try('1.' || :'payload' || '.' || :'signature');
DROP FUNCTION try;
--> 28000
--> 28000
--> 28000
--> 28000
--> 28000
--> 28000
--> 28000|28000|{staff,x}

-- report | a claim of 10 MB; one with 10,001 principals; one with 10,000, beside objects that have 10,000 readers | 28000; 54000; the last one counts, and takes less than 5 s
SET statement_timeout = '2 s';
SELECT set_config('newt.claim', '1.' || repeat('7b', 5000000) || '.' || repeat('0', 64), false) IS NULL;
SELECT count(*) FROM shop.pages;
\connect - newt_attack_owner
SELECT newt.sign_claim('shop', 'newt_attack_report', ARRAY(SELECT 'p' || g FROM generate_series(1, 10001) g));
SELECT newt.sign_claim('shop', 'newt_attack_report', ARRAY(SELECT 'p' || g FROM generate_series(1, 10000) g)) AS claim \gset
\connect - newt_attack_report
SET statement_timeout = '5 s';
SELECT set_config('newt.claim', :'claim', false) IS NULL;
SELECT cardinality(newt.my_principals('shop')), (SELECT count(*) FROM shop.pages);
--> f
--> ERROR 28000
--> ERROR 54000
--> f
--> 10001|2

-- report | a forged claim as the setting of its own role, of another role, of the database | 42501
ALTER ROLE newt_attack_report SET newt.claim = '1.7b7d.00';
\connect - newt_attack_report
SELECT count(*) FROM shop.pages;
ALTER ROLE newt_attack_other SET newt.claim = '1.7b7d.00';
ALTER DATABASE newt_attacks SET newt.claim = '1.7b7d.00';
\connect - newt_attack_other
SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages;
--> ERROR 42501
--> 2
--> ERROR 42501
--> ERROR 42501
--> {12,13}

-- reporter | a claim for one role after SET ROLE to another | 28000
\connect - newt_attack_owner
SELECT newt.sign_claim('shop', 'newt_attack_report', '{board}') AS claim \gset
\connect - newt_attack_reporter
SET newt.claim = :'claim';
SET ROLE newt_attack_report;
SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages;
SET ROLE newt_attack_other;
SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages;
--> {10,11,12,13}
--> ERROR 28000

-- report | a generic plan that was prepared before there was a claim | each execution uses the claim that is set then
\connect - newt_attack_owner
SELECT newt.sign_claim('shop', 'newt_attack_report', '{board}') AS claim \gset
\connect - newt_attack_report
SET plan_cache_mode = force_generic_plan;
PREPARE p AS SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages;
PREPARE d AS SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages_documents;
EXECUTE p;
SET newt.claim = :'claim';
EXECUTE p; EXECUTE d;
RESET newt.claim;
EXECUTE p; EXECUTE d;
SET newt.claim = 'x';
EXECUTE p;
--> {10,11}
--> {10,11,12,13}
--> {10,11,12,13}
--> {10,11}
--> {10,11}
--> ERROR 28000

-- report | a condition that sets a claim while the rows are read | 28000, or nothing more is seen
SELECT count(*) FROM shop.pages WHERE set_config('newt.claim', '1.7b7d.00', false) IS NULL;
SELECT count(*) FROM shop.pages;
--> 0
--> ERROR 28000

-- owner | a claim with null, empty or too long principals, without a role, without a time | 22023
SELECT newt.sign_claim('shop', 'newt_attack_report', '{NULL}');
SELECT newt.sign_claim('shop', 'newt_attack_report', '{""}');
SELECT newt.sign_claim('shop', 'newt_attack_report', ARRAY[repeat('x', 1001)]);
SELECT newt.sign_claim('shop', 'no such role', '{x}');
SELECT newt.sign_claim('shop', 'newt_attack_report', '{x}', NULL);
--> ERROR 22023
--> ERROR 22023
--> ERROR 22023
--> ERROR 22023
--> ERROR 22023
