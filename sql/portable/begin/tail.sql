
-- What the extension had and this edition has not. An error here names what uses it.
DO $newt_body$
DECLARE
    lost text;
BEGIN
    SELECT string_agg(p.oid::regprocedure::text, ', ') INTO lost
      FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
     WHERE p.pronamespace = 'newt'::regnamespace AND l.lanname = 'c';
    IF lost IS NOT NULL THEN
        EXECUTE 'DROP ROUTINE ' || lost;
    END IF;
END
$newt_body$;
COMMIT;
