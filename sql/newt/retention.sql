-- ---- retention ------------------------------------------------------------------------------------
-- The tables transaction and transaction_object lose their old end; what followers have not seen
-- stays, and so does what a client may still ask for.

CREATE FUNCTION newt.set_retention(store text DEFAULT 'public', keep_age interval DEFAULT NULL,
                                   keep_rows bigint DEFAULT NULL, wait_for interval DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    IF keep_age IS NULL AND keep_rows IS NULL AND wait_for IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
            MESSAGE = 'there is nothing to set',
            HINT = 'Name at least one of keep_age, keep_rows and wait_for.';
    ELSIF NOT coalesce(keep_age, '0') BETWEEN '0' AND '1000 years' OR NOT coalesce(wait_for, '0') BETWEEN '0' AND '1000 years' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'keep_age and wait_for are from 0 to 1000 years',
            DETAIL = pg_catalog.format('They are %s and %s.', coalesce(keep_age::text, 'null'), coalesce(wait_for::text, 'null'));
    ELSIF keep_rows < 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'keep_rows is a number of rows',
            DETAIL = pg_catalog.format('It is %s.', keep_rows),
            HINT = 'With 0, only the age counts.';
    END IF;
    EXECUTE pg_catalog.format('UPDATE %I.newt_store SET keep_age = coalesce($1, keep_age), '
            'keep_rows = nullif(coalesce($2, keep_rows), 0), wait_for = coalesce($3, wait_for)', store)
        USING keep_age, keep_rows, wait_for;
END
$newt_body$;
COMMENT ON FUNCTION newt.set_retention(text, interval, bigint, interval) IS 'sets how long transactions are kept: their age, their number (0: any), and how long for a follower that has not seen them; null: as it was';

CREATE FUNCTION newt.prune_limit(store text DEFAULT 'public') RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result bigint;
BEGIN
    PERFORM newt.check_store(store);
    EXECUTE pg_catalog.format('SELECT %I.newt_prune_limit()', store) INTO result;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.prune_limit(text) IS 'transactions before this tid may go, by age, number and followers; the newest and those of the last five minutes never';

-- Of the transactions after one and before another, which newt.prune_limit has named, the oldest: how
-- many went, and which was the last. The index keeps what has gone until it is vacuumed, so who calls it
-- again goes on after that one.
CREATE FUNCTION newt.prune_batch(store text, after bigint, before bigint, at_most bigint,
                                 OUT gone bigint, OUT last bigint) RETURNS record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    EXECUTE pg_catalog.format('SELECT * FROM %I.newt_prune($1, $2, $3)', store) INTO gone, last USING after, before, at_most;
END
$newt_body$;
COMMENT ON FUNCTION newt.prune_batch(text, bigint, bigint, bigint) IS 'removes at most $4 of the oldest transactions between two tids, whether they may go or not; what newt.prune and newt.prune_all call';

CREATE FUNCTION newt.prune(store text DEFAULT 'public', at_most bigint DEFAULT 10000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    IF at_most IS NULL OR at_most < 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'at_most is a number of transactions, 1 or more',
            DETAIL = pg_catalog.format('It is %s.', coalesce(at_most::text, 'null'));
    END IF;
    RETURN (SELECT b.gone FROM newt.prune_batch(store, -1, newt.prune_limit(store), at_most) b);
END
$newt_body$;
COMMENT ON FUNCTION newt.prune(text, bigint) IS 'removes at most $2 of the oldest transactions that may go; gives their number';

-- A procedure that commits cannot have a search path of its own: it sets one in each transaction.
CREATE PROCEDURE newt.prune_all(store text DEFAULT 'public', at_most bigint DEFAULT 10000)
    LANGUAGE plpgsql
    AS $newt_body$
DECLARE
    started timestamptz;
    told timestamptz;
    before bigint;
    after bigint;
    batch record;
    removed bigint;
BEGIN
    PERFORM newt.check_no_block('newt.prune_all');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF at_most IS NULL OR at_most < 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'at_most is a number of transactions in a batch, 1 or more',
            DETAIL = pg_catalog.format('It is %s.', coalesce(at_most::text, 'null'));
    END IF;
    started := clock_timestamp();
    told := started;
    removed := 0;
    after := -1;
    before := newt.prune_limit(store);
    LOOP
        SELECT b.gone, b.last INTO batch FROM newt.prune_batch(store, after, before, at_most) b;
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        EXIT WHEN batch.last IS NULL;
        after := batch.last;
        removed := removed + batch.gone;
        IF clock_timestamp() > told + interval '10 s' THEN
            told := clock_timestamp();
            before := newt.prune_limit(store); -- a follower may have come
            RAISE NOTICE '% transactions removed so far from store "%", up to those of %', removed, store, to_timestamp(after / 1000000.0);
        END IF;
    END LOOP;
    RAISE NOTICE '% transactions removed from store "%"', removed, store;
END
$newt_body$;
COMMENT ON PROCEDURE newt.prune_all(text, bigint) IS 'removes all transactions that may go, in batches, each a transaction of its own';
