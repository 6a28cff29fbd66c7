-- ---- numbers, as the projection shows them ------------------------------------------------------

-- Big-endian bytes as digits. numeric has 131,072 of them in front of the point, but a bignum may have 157,827: such a
-- one is made of two, whose products are put together from parts of 60,000 digits.
CREATE FUNCTION newt.digits_of(magnitude bytea, one_more boolean) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    n integer := octet_length(magnitude);
    b bytea := decode(repeat('00', (7 - n % 7) % 7), 'hex') || magnitude;
    limb bigint;
    limbs numeric[] := '{}';
    joined numeric[];
    base numeric := 72057594037927936; -- 2^56
    count integer;
    low text;
    middle text;
    high text;
    p1 numeric;
    p0 numeric;
    h1 numeric;
    h0 numeric;
BEGIN
    IF n > 54000 THEN
        h1 := newt.digits_of(substring(magnitude FROM 1 FOR n - 32768), false)::numeric;
        p1 := newt.digits_of('\x01'::bytea || decode(repeat('00', 32768), 'hex'), false)::numeric;
        base := '1e60000';
        h0 := h1 % base;
        h1 := div(h1, base);
        p0 := p1 % base;
        p1 := div(p1, base);
        low := (h0 * p0 + newt.digits_of(substring(magnitude FROM n - 32767), one_more)::numeric)::text;
        middle := (h1 * p0 + h0 * p1 + CASE WHEN length(low) > 60000 THEN left(low, -60000)::numeric ELSE 0 END)::text;
        high := (h1 * p1 + CASE WHEN length(middle) > 60000 THEN left(middle, -60000)::numeric ELSE 0 END)::text;
        RETURN ltrim(high || lpad(right(middle, 60000), 60000, '0') || lpad(right(low, 60000), 60000, '0'), '0');
    END IF;
    FOR i IN 0 .. octet_length(b) / 7 - 1 LOOP
        limb := 0;
        FOR k IN 7 * i .. 7 * i + 6 LOOP
            limb := limb << 8 | get_byte(b, k);
        END LOOP;
        limbs[i + 1] := limb;
    END LOOP;
    count := coalesce(array_length(limbs, 1), 0);
    IF count = 0 THEN
        RETURN CASE WHEN one_more THEN '1' ELSE '0' END;
    END IF;
    IF one_more THEN
        limbs[count] := limbs[count] + 1; -- it may be the base itself then, which does no harm
    END IF;
    WHILE count > 1 LOOP
        joined := '{}';
        FOR i IN 1 .. (count + 1) / 2 LOOP
            -- from the end, so that each is as wide as the others but for the first
            IF count - 2 * i + 1 < 1 THEN
                joined[i] := limbs[1];
            ELSE
                joined[i] := limbs[count - 2 * i + 1] * base + limbs[count - 2 * i + 2];
            END IF;
        END LOOP;
        count := (count + 1) / 2;
        limbs := '{}';
        FOR i IN 1 .. count LOOP
            limbs[i] := joined[count - i + 1];
        END LOOP;
        IF count > 1 THEN
            base := base * base;
        END IF;
    END LOOP;
    RETURN limbs[1]::text;
END
$newt_body$;
COMMENT ON FUNCTION newt.digits_of(bytea, boolean) IS 'big-endian bytes in decimal, one more if wanted; portable edition';

-- Digits and a power of ten as one number; where it would be longer than 400 characters, with an exponent.
CREATE FUNCTION newt.lay_out(negative boolean, digits text, exponent bigint, OUT shown text, OUT positional boolean)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    n bigint := length(digits);
    sign text := CASE WHEN negative THEN '-' ELSE '' END;
    width bigint := length(sign);
BEGIN
    width := width + CASE WHEN exponent >= 0 THEN n + CASE WHEN digits = '0' THEN 0 ELSE exponent END
                          WHEN n > -exponent THEN n + 1 ELSE 2 - exponent END;
    positional := width <= 400;
    IF NOT positional THEN
        exponent := exponent + n - 1;
        shown := sign || left(digits, 1) || CASE WHEN n > 1 THEN '.' || substr(digits, 2) ELSE '' END
                 || CASE WHEN exponent < 0 THEN 'E-' ELSE 'E+' END || abs(exponent);
    ELSIF exponent >= 0 THEN
        shown := sign || digits || CASE WHEN digits = '0' THEN '' ELSE repeat('0', exponent::integer) END;
    ELSIF n > -exponent THEN
        shown := sign || left(digits, exponent::integer) || '.' || right(digits, -exponent::integer);
    ELSE
        shown := sign || '0.' || lpad(digits, -exponent::integer, '0');
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.lay_out(boolean, text, bigint) IS 'a decimal number, and whether it could be shown without an exponent; portable edition';

-- A float or double by its bits: the shortest decimal that reads back as the same. PostgreSQL's own digits are that
-- but where the shortest is exactly between two neighbours.
CREATE FUNCTION newt.float_text(bits bigint, single boolean) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp SET extra_float_digits = 3
    AS $newt_body$
DECLARE
    width CONSTANT integer := CASE WHEN single THEN 23 ELSE 52 END;
    fraction bigint := bits & ((1::bigint << width) - 1);
    biased integer := (bits >> width) & CASE WHEN single THEN 255 ELSE 2047 END;
    negative boolean := CASE WHEN single THEN bits >> 31 & 1 <> 0 ELSE bits < 0 END;
    sign text := CASE WHEN negative THEN '-' ELSE '' END;
    x double precision;
    shown text;
    digits text;
    exponent integer;
    point integer;
    n integer;
    candidate numeric;
BEGIN
    IF biased = (CASE WHEN single THEN 255 ELSE 2047 END) THEN
        RETURN CASE WHEN fraction <> 0 THEN '"NaN"' WHEN negative THEN '"-Infinity"' ELSE '"Infinity"' END;
    ELSIF biased = 0 AND fraction = 0 THEN
        RETURN '0';
    END IF;
    IF biased > 0 THEN
        fraction := fraction + (1::bigint << width);
    END IF;
    exponent := greatest(biased, 1) - CASE WHEN single THEN 150 ELSE 1075 END;
    -- by twos, each step exact
    x := fraction::double precision * power(2::double precision, exponent);
    IF abs(x) < (1::bigint << (width + 1)) AND x = trunc(x) THEN
        RETURN sign || x::bigint;
    END IF;
    shown := CASE WHEN single THEN x::real::text ELSE x::text END;
    shown := ltrim(shown, '-');
    digits := replace(split_part(shown, 'e', 1), '.', '');
    exponent := coalesce(nullif(split_part(shown, 'e', 2), ''), '0')::integer - length(split_part(split_part(shown, 'e', 1), '.', 2));
    digits := ltrim(digits, '0');
    n := length(rtrim(digits, '0'));
    exponent := exponent + length(digits) - n;
    digits := left(digits, n);
    IF n > 1 AND fraction & 1 = 0 AND n + exponent < (CASE WHEN single THEN 38 ELSE 308 END) THEN
        FOR up IN 0 .. 1 LOOP
            candidate := left(digits, -1)::numeric + up;
            IF (CASE WHEN single THEN (candidate::text || 'e' || exponent + 1)::real = x::real
                     ELSE (candidate::text || 'e' || exponent + 1)::double precision = x END) THEN
                exponent := exponent + 1 + length(candidate::text) - length(rtrim(candidate::text, '0'));
                digits := rtrim(candidate::text, '0');
                n := length(digits);
                EXIT;
            END IF;
        END LOOP;
    END IF;
    point := n + exponent;
    RETURN sign || CASE
        WHEN point > 17 OR point < -3 THEN left(digits, 1) || CASE WHEN n > 1 THEN '.' || substr(digits, 2) ELSE '' END
             || CASE WHEN point > 0 THEN 'e+' ELSE 'e-' END || abs(point - 1)
        WHEN point <= 0 THEN '0.' || repeat('0', -point) || digits
        WHEN point >= n THEN digits || repeat('0', point - n)
        ELSE left(digits, point) || '.' || substr(digits, point + 1) END;
END
$newt_body$;
COMMENT ON FUNCTION newt.float_text(bigint, boolean) IS 'the shortest decimal of a float or double, by its bits; portable edition';

-- What follows the tag of a bignum (2, 3) or a decimal (4).
CREATE FUNCTION newt.read_number(data bytea, at integer, tag integer, shows boolean, OUT negative boolean, OUT digits text, OUT exponent bigint,
                                 OUT next integer, OUT code text, OUT reason text, OUT fault_at integer)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    shape CONSTANT text := 'decimal is not [exponent, mantissa]';
    h record;
    first integer;
BEGIN
    exponent := 0;
    fault_at := at;
    IF tag = 4 THEN
        h := newt.read_head(data, at, 4, shape);
        IF h.code IS NULL AND h.u <> 2 THEN
            h.code := 'profile';
            h.reason := shape;
        ELSIF h.code IS NULL THEN
            at := h.next;
            fault_at := at;
            h := newt.read_head(data, at, -2, shape);
            IF h.code IS NULL AND h.u > 2147483647 THEN
                h.code := 'profile';
                h.reason := 'decimal exponent is out of range';
            ELSIF h.code IS NULL THEN
                exponent := CASE h.major WHEN 0 THEN h.u ELSE -1 - h.u END;
                at := h.next;
                fault_at := at;
                IF at < octet_length(data) AND get_byte(data, at) IN (194, 195) THEN
                    tag := get_byte(data, at) - 192;
                    at := at + 1;
                    fault_at := at;
                ELSE
                    h := newt.read_head(data, at, -2, shape);
                    negative := h.major = 1;
                    next := h.next;
                    digits := (coalesce(h.large, h.u) + negative::integer)::text;
                END IF;
            END IF;
        END IF;
        code := h.code;
        reason := h.reason;
        IF code IS NOT NULL OR tag = 4 THEN
            RETURN;
        END IF;
    END IF;
    h := newt.read_head(data, at, 2, 'bignum is not bytes');
    code := h.code;
    reason := h.reason;
    IF code IS NOT NULL THEN
        RETURN;
    ELSIF h.u > octet_length(data) - h.next THEN
        code := 'malformed';
        reason := 'record is cut short';
        RETURN;
    ELSIF h.u > 65536 THEN
        code := 'limit';
        reason := 'bignum is too long';
        RETURN;
    END IF;
    next := h.next + h.u::integer;
    first := CASE WHEN h.u > 0 THEN get_byte(data, h.next) END;
    IF h.u <= 8 OR first = 0 THEN
        code := 'profile';
        reason := CASE WHEN first = 0 THEN 'bignum has leading zeros' ELSE 'bignum fits an integer' END;
    ELSIF shows THEN
        negative := tag = 3;
        digits := newt.digits_of(substring(data FROM h.next + 1 FOR h.u::integer), negative);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.read_number(bytea, integer, integer, boolean) IS 'a bignum or decimal of a record; portable edition';
