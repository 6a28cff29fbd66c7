-- ---- an item of a record ------------------------------------------------------------------------
-- One loop, a turn for each token: everything is checked, and as far as it is asked for told.
--
-- task: json, the document and what it cannot show (rejects); item, the same of an item that may be hidden itself; refs, the
-- objects that are referred to, as they come; paths, the place of the first reference to each of the wanted. stop is where
-- the item ends, shared_after counts the shared values up to there.
--
-- A container that is open has a row in the stacks, the innermost one variables. Pieces of text are kept until the end, so
-- that a pair whose value turns out hidden can be taken back. Only a map that holds a key with NUL, and so is shown as
-- pairs, cannot be known in time: then all such maps are looked for, and the item is read once more.
CREATE FUNCTION newt.read_item(data bytea, start integer, max_depth integer, first_shared bigint, task text, wanted bigint[],
                               OUT doc text, OUT hidden boolean, OUT refs bigint[], OUT paths text[], OUT reasons text[],
                               OUT stop integer, OUT shared_after bigint, OUT code text, OUT reason text, OUT fault_at integer)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    max_json CONSTANT bigint := 33554432;
    n CONSTANT integer := octet_length(data);
    at integer;
    shared bigint;
    -- the token
    token_at integer;
    b integer;
    major integer;
    u bigint;
    h record;
    c record;
    tag bigint;
    tag_large numeric;      -- the tag, if it is more than that
    tag_at integer;
    is_key boolean;
    is_hidden boolean;
    is_shared boolean;
    share bigint;
    s bytea;
    t text;
    valid integer;
    opens integer;          -- kind of the container that it opens, or null
    items bigint;
    class text;
    big boolean;
    day bigint;
    -- what is shown
    showing boolean := task IN ('json', 'item');
    shows boolean;
    quiet integer;          -- hidden, until at most this many containers are open
    looking boolean := false;
    nul_maps jsonb;         -- where maps with such keys begin
    found_maps text[] := '{}';
    in_keys integer;        -- containers open that are keys of pairs
    too_large boolean;
    piece text;
    pieces text[];
    n_pieces integer;
    size bigint;
    n_rejects integer;
    -- the innermost container; kind: 1 array, 2 map, 3 pairs, 4 set, 5 object, 6 unknown tag, 7 reference to another store
    depth integer;
    kind integer;
    left_over bigint;       -- items still to come
    total bigint;
    begun integer;
    is_in_key boolean;      -- it stands where a key stands in pairs
    prev bytea;             -- the key or element before
    shown bigint;           -- items, keys or pairs
    as_pairs boolean;
    closing text;
    skip_value boolean;     -- the key of pairs was hidden
    mark integer;           -- pieces, their size and rejects in front of the pair
    mark_size bigint;
    mark_rejects integer;
    kinds integer[] := '{}';
    lefts bigint[] := '{}';
    totals bigint[] := '{}';
    begins integer[] := '{}';
    in_key_flags boolean[] := '{}';
    prevs bytea[] := '{}';
    showns bigint[] := '{}';
    pairs_flags boolean[] := '{}';
    closings text[] := '{}';
    skips boolean[] := '{}';
    marks integer[] := '{}';
    mark_sizes bigint[] := '{}';
    marks_rejects integer[] := '{}';
    path text;
    place bytea;
    inner_kind integer;
BEGIN
    h := newt.read_head('\x00', 0, -1, NULL); -- so that it has its fields; its code is null but where something is wrong
    hidden := false;
    refs := '{}';
    paths := CASE task WHEN 'paths' THEN array_fill(NULL::text, ARRAY[cardinality(wanted)]) ELSE '{}' END;
    <<again>>
    LOOP
        at := start;
        shared := first_shared;
        quiet := -1;
        in_keys := 0;
        too_large := false;
        pieces := '{}';
        n_pieces := 0;
        size := 0;
        n_rejects := 0;
        reasons := '{}';
        depth := 0;
        kind := 0;
        <<tokens>>
        LOOP
            IF depth > 0 AND left_over = 0 THEN
                -- ---- the end of a container
                IF showing AND quiet < 0 THEN
                    n_pieces := n_pieces + 1;
                    pieces[n_pieces] := closing;
                    size := size + length(closing);
                END IF;
                s := NULL;
                is_key := is_in_key;
                token_at := begun;
                depth := depth - 1;
                IF is_key THEN
                    in_keys := in_keys - 1;
                END IF;
                EXIT tokens WHEN depth = 0;
                kind := kinds[depth];
                left_over := lefts[depth];
                total := totals[depth];
                begun := begins[depth];
                is_in_key := in_key_flags[depth];
                prev := prevs[depth];
                shown := showns[depth];
                as_pairs := pairs_flags[depth];
                closing := closings[depth];
                IF kind = 3 THEN
                    skip_value := skips[depth];
                    mark := marks[depth];
                    mark_size := mark_sizes[depth];
                    mark_rejects := marks_rejects[depth];
                END IF;
                IF kind = 4 OR kind = 3 AND is_key THEN
                    s := substring(data FROM token_at + 1 FOR at - token_at);
                    IF prev >= s THEN
                        code := 'profile';
                        reason := CASE WHEN kind = 4 THEN 'set element' ELSE 'map key' END
                                  || CASE WHEN prev = s THEN ' stands twice' WHEN kind = 4 THEN 's are not in order' ELSE 's are not in order' END;
                        fault_at := token_at;
                        EXIT again;
                    END IF;
                    prev := s;
                END IF;
                IF quiet >= 0 THEN
                    IF quiet = depth THEN
                        quiet := -1;
                    END IF;
                ELSIF showing AND NOT is_key THEN
                    IF as_pairs THEN
                        n_pieces := n_pieces + 1;
                        pieces[n_pieces] := '}';
                        size := size + 1;
                    END IF;
                    IF size > max_json AND in_keys = 0 THEN
                        too_large := true;
                        showing := false;
                    END IF;
                END IF;
                CONTINUE tokens;
            END IF;

            token_at := at;
            IF at >= n THEN
                code := 'malformed';
                reason := 'record is cut short';
                fault_at := at;
                EXIT again;
            END IF;
            b := get_byte(data, at);
            is_key := false;
            IF depth > 0 THEN
                IF kind IN (2, 5) THEN
                    IF left_over & 1 = 0 THEN
                        -- ---- the key of a map
                        IF b >> 5 <> 3 THEN
                            code := 'profile';
                            reason := 'map key is not text';
                            fault_at := at;
                            EXIT again;
                        END IF;
                        left_over := left_over - 1;
                        u := b & 31;
                        IF u < 24 THEN
                            at := at + 1;
                        ELSE
                            h := newt.read_head(data, at, -1, NULL);
                            IF h.code IS NOT NULL THEN
                                code := h.code;
                                reason := h.reason;
                                fault_at := h.fault_at;
                                EXIT again;
                            END IF;
                            u := h.u;
                            at := h.next;
                        END IF;
                        IF u > n - at THEN
                            code := 'malformed';
                            reason := 'record is cut short';
                            fault_at := token_at;
                            EXIT again;
                        END IF;
                        s := substring(data FROM at + 1 FOR u::integer);
                        t := encode(s, 'escape');
                        IF length(t) <> u THEN
                            valid := newt.utf8_valid(s);
                            IF valid < u THEN
                                code := 'profile';
                                reason := 'text is not valid UTF-8';
                                fault_at := at + valid;
                                EXIT again;
                            END IF;
                            t := CASE WHEN position('\x00'::bytea IN s) = 0 THEN convert_from(s, 'UTF8') END;
                        END IF;
                        at := at + u::integer;
                        IF prev IS NOT NULL AND (u < octet_length(prev) OR u = octet_length(prev) AND s <= prev) THEN
                            code := 'profile';
                            reason := CASE WHEN s = prev THEN 'map key stands twice' ELSE 'map keys are not in order' END;
                            fault_at := token_at;
                            EXIT again;
                        END IF;
                        prev := s;
                        -- a field that is hidden is left out with its key
                        IF showing AND quiet < 0 AND (n - at < 3 OR get_byte(data, at) <> 217 OR substring(data FROM at + 1 FOR 3) <> '\xd99603') THEN
                            IF t IS NULL AND NOT as_pairs THEN
                                looking := true;
                                found_maps := found_maps || begun::text;
                                showing := false;
                            ELSE
                                piece := CASE WHEN shown > 0 THEN ',' ELSE '' END;
                                IF NOT as_pairs THEN
                                    piece := piece || to_json(CASE WHEN left(t, 2) = '::' THEN ':' || t ELSE t END)::text || ':';
                                ELSIF t IS NOT NULL THEN
                                    piece := piece || '{"k":' || to_json(t)::text || ',"v":';
                                ELSE
                                    t := newt.utf8_lossy(s);
                                    piece := piece || '{"k":{"::b64":' || CASE WHEN u <= 256 THEN '"' || replace(encode(s, 'base64'), E'\n', '') || '"' ELSE u::text END
                                             || ',"::text":' || to_json(t)::text || '},"v":';
                                    IF u > 256 THEN
                                        piece := replace(piece, '{"k":{"::b64":', '{"k":{"::bin":');
                                    END IF;
                                    n_rejects := n_rejects + 1;
                                    reasons[n_rejects] := 'text' || chr(10) || newt.reject_path(depth, kinds, totals, lefts, prevs, showns, pairs_flags, closings,
                                                              kind, total, left_over, prev, shown + 1, as_pairs, closing, 'k');
                                END IF;
                                shown := shown + 1;
                                n_pieces := n_pieces + 1;
                                pieces[n_pieces] := piece;
                                size := size + octet_length(piece);
                            END IF;
                        ELSIF looking AND t IS NULL AND (n - at < 3 OR substring(data FROM at + 1 FOR 3) <> '\xd99603')
                              AND found_maps[cardinality(found_maps)] <> begun::text THEN
                            found_maps := found_maps || begun::text;
                        END IF;
                        CONTINUE tokens;
                    END IF;
                ELSIF kind = 3 THEN
                    is_key := left_over & 1 = 0;
                END IF;
                left_over := left_over - 1;
            END IF;

            -- ---- tags: hidden, shared, and one of the others
            is_hidden := false;
            is_shared := false;
            tag := -1;
            tag_large := NULL;
            major := b >> 5;
            IF major = 6 THEN
                tag_at := at;
                IF b = 217 AND n - at >= 3 THEN
                    tag := get_byte(data, at + 1) << 8 | get_byte(data, at + 2);
                    at := at + 3;
                END IF;
                IF tag < 256 THEN
                    at := tag_at;
                    h := newt.read_head(data, at, -1, NULL);
                    IF h.code IS NOT NULL THEN
                        code := h.code;
                        reason := h.reason;
                        fault_at := h.fault_at;
                        EXIT again;
                    END IF;
                    tag := h.u;
                    tag_large := h.large;
                    at := h.next;
                END IF;
                IF tag = 38403 THEN
                    is_hidden := true;
                    tag := -1;
                    tag_at := at;
                    IF at < n AND get_byte(data, at) >> 5 = 6 THEN
                        h := newt.read_head(data, at, -1, NULL);
                        IF h.code IS NOT NULL THEN
                            code := h.code;
                            reason := h.reason;
                            fault_at := h.fault_at;
                            EXIT again;
                        END IF;
                        tag := h.u;
                        tag_large := h.large;
                        at := h.next;
                    END IF;
                END IF;
                IF tag = 28 THEN
                    is_shared := true;
                    share := shared;
                    shared := shared + 1;
                    IF at < n AND get_byte(data, at) >> 5 = 5 THEN
                        tag := -1;
                    ELSE
                        h := newt.read_head(data, at, 6, 'shared value is no map and no object');
                        IF h.code IS NULL AND h.u <> 27 THEN
                            h.code := 'profile';
                            h.reason := 'shared value is no map and no object';
                        END IF;
                        IF h.code IS NOT NULL THEN
                            code := h.code;
                            reason := h.reason;
                            fault_at := h.fault_at;
                            EXIT again;
                        END IF;
                        tag := 27;
                        at := h.next;
                    END IF;
                END IF;
                IF tag >= 0 THEN
                    IF tag = 38403 OR tag IN (0, 1, 5, 25, 256, 55799) THEN
                        code := 'profile';
                        reason := CASE WHEN tag = 38403 THEN 'value is hidden twice' ELSE 'tag is not allowed' END;
                        fault_at := tag_at;
                        EXIT again;
                    END IF;
                ELSE
                    IF at >= n THEN
                        code := 'malformed';
                        reason := 'record is cut short';
                        fault_at := at;
                        EXIT again;
                    END IF;
                    b := get_byte(data, at);
                    major := b >> 5;
                END IF;
            END IF;

            -- ---- whether it is shown, and what stands in front of it
            shows := showing AND quiet < 0;
            IF shows THEN
                IF depth = 0 THEN
                    IF is_hidden AND task = 'json' THEN
                        hidden := true;
                        showing := false;
                        shows := false;
                    END IF;
                    piece := '';
                ELSIF kind = 3 THEN
                    IF is_key THEN
                        skip_value := is_hidden;
                        shows := NOT is_hidden;
                        mark := n_pieces;
                        mark_size := size;
                        mark_rejects := n_rejects;
                        IF shows THEN
                            piece := CASE WHEN shown > 0 THEN ',{"k":' ELSE '{"k":' END;
                            shown := shown + 1;
                        END IF;
                    ELSIF skip_value OR is_hidden THEN
                        shows := false;
                        IF NOT skip_value THEN
                            n_pieces := mark;
                            size := mark_size;
                            n_rejects := mark_rejects;
                            shown := shown - 1;
                        END IF;
                    ELSE
                        piece := ',"v":';
                    END IF;
                ELSIF is_hidden THEN
                    shows := false;
                ELSIF kind IN (2, 5) THEN
                    piece := '';
                ELSE
                    IF kind IN (6, 7) THEN
                        piece := ',"::v":';
                    ELSE
                        piece := CASE WHEN shown > 0 THEN ',' ELSE '' END;
                    END IF;
                    shown := shown + 1;
                END IF;
            END IF;

            -- ---- the item
            opens := NULL;
            IF tag < 0 THEN
                IF major = 7 THEN
                    IF b = 246 OR b = 245 OR b = 244 THEN
                        IF shows THEN
                            piece := piece || CASE b WHEN 246 THEN 'null' WHEN 245 THEN 'true' ELSE 'false' END;
                        END IF;
                        at := at + 1;
                    ELSIF b IN (250, 251) AND n - at > (CASE b WHEN 250 THEN 4 ELSE 8 END) THEN
                        IF shows THEN
                            u := 0;
                            FOR i IN at + 1 .. at + CASE b WHEN 250 THEN 4 ELSE 8 END LOOP
                                u := u << 8 | get_byte(data, i);
                            END LOOP;
                            piece := piece || newt.float_text(u, b = 250);
                        END IF;
                        at := at + CASE b WHEN 250 THEN 5 ELSE 9 END;
                    ELSE
                        fault_at := at;
                        IF b = 247 OR b = 249 THEN
                            code := 'profile';
                            reason := CASE b WHEN 247 THEN 'undefined is not allowed' ELSE 'half-precision floats are not allowed' END;
                        ELSIF b IN (250, 251) OR b = 248 AND n - at < 2 THEN
                            code := 'malformed';
                            reason := 'record is cut short';
                        ELSIF b = 255 THEN
                            code := 'malformed';
                            reason := 'break without an indefinite length';
                        ELSIF b > 251 OR b = 248 AND get_byte(data, at + 1) < 32 THEN
                            code := 'malformed';
                            reason := 'reserved CBOR head';
                        ELSE
                            code := 'profile';
                            reason := 'unknown simple value';
                        END IF;
                        EXIT again;
                    END IF;
                ELSE
                    tag_at := at;
                    u := b & 31;
                    big := false;
                    IF u < 24 THEN
                        at := at + 1;
                    ELSE
                        h := newt.read_head(data, at, -1, NULL);
                        IF h.code IS NOT NULL THEN
                            code := h.code;
                            reason := h.reason;
                            fault_at := h.fault_at;
                            EXIT again;
                        END IF;
                        u := h.u;
                        big := h.large IS NOT NULL;
                        at := h.next;
                    END IF;
                    IF major < 2 THEN
                        IF shows THEN
                            piece := piece || CASE WHEN big THEN CASE major WHEN 0 THEN h.large ELSE -1 - h.large END::text
                                                   WHEN major = 0 THEN u::text ELSE (-1 - u)::text END;
                        END IF;
                    ELSIF major < 4 THEN
                        IF u > n - at THEN
                            code := 'malformed';
                            reason := 'record is cut short';
                            fault_at := tag_at;
                            EXIT again;
                        END IF;
                        IF major = 3 OR shows THEN
                            s := substring(data FROM at + 1 FOR u::integer);
                        END IF;
                        IF major = 3 THEN
                            t := encode(s, 'escape');
                            IF length(t) <> u THEN
                                valid := newt.utf8_valid(s);
                                IF valid < u THEN
                                    code := 'profile';
                                    reason := 'text is not valid UTF-8';
                                    fault_at := at + valid;
                                    EXIT again;
                                END IF;
                                t := CASE WHEN position('\x00'::bytea IN s) = 0 THEN convert_from(s, 'UTF8') END;
                            END IF;
                            IF shows AND t IS NOT NULL THEN
                                piece := piece || to_json(t)::text;
                            END IF;
                        END IF;
                        at := at + u::integer;
                        IF shows AND (major = 2 OR t IS NULL) THEN
                            piece := piece || CASE WHEN u > 256 THEN '{"::bin":' || u
                                                   ELSE '{"::b64":"' || replace(encode(s, 'base64'), E'\n', '') || '"' END
                                     || CASE major WHEN 2 THEN '}' ELSE ',"::text":' || to_json(newt.utf8_lossy(s))::text || '}' END;
                            IF major = 3 THEN
                                n_rejects := n_rejects + 1;
                                reasons[n_rejects] := 'text' || chr(10) || newt.reject_path(depth, kinds, totals, lefts, prevs, showns, pairs_flags, closings,
                                                          kind, total, left_over, prev, shown, as_pairs, closing, CASE WHEN is_key THEN 'k' ELSE 'v' END);
                            END IF;
                        END IF;
                    ELSE
                        opens := major - 3; -- 4: array, 5: map
                        items := u;
                    END IF;
                END IF;
            ELSIF tag = 38401 OR tag = 38404 THEN
                IF tag = 38401 AND at < n AND get_byte(data, at) = 130 THEN
                    opens := 7;
                    items := 1;
                ELSE
                    tag_at := at;
                    h := newt.read_head(data, at, 0, 'reference is not an object id');
                    u := h.u;
                    at := h.next;
                    IF h.code IS NULL AND (u = 0 OR h.large IS NOT NULL) THEN
                        h.code := 'profile';
                        h.reason := 'object id is out of range';
                    ELSIF h.code IS NULL THEN
                        IF shows THEN
                            piece := piece || CASE tag WHEN 38401 THEN '{"::=>":' ELSE '{"::~>":' END || u || '}';
                        ELSIF tag = 38401 AND task = 'refs' THEN
                            refs[cardinality(refs) + 1] := u;
                        ELSIF tag = 38401 AND task = 'paths' AND u = ANY (wanted) AND paths[array_position(wanted, u)] IS NULL THEN
                            path := '';
                            FOR i IN 1 .. depth LOOP
                                inner_kind := CASE WHEN i = depth THEN kind ELSE kinds[i] END;
                                place := CASE WHEN i = depth THEN prev ELSE prevs[i] END;
                                u := CASE WHEN i = depth THEN total - left_over ELSE totals[i] - lefts[i] END - 1; -- the item's number
                                path := path || CASE inner_kind
                                    WHEN 2 THEN CASE WHEN path <> '' THEN '.' ELSE '' END || newt.path_of_key(place)
                                    WHEN 5 THEN CASE WHEN path <> '' THEN '.' ELSE '' END || newt.path_of_key(place)
                                    WHEN 3 THEN '[' || u / 2 || CASE u % 2 WHEN 0 THEN '].k' ELSE '].v' END
                                    WHEN 6 THEN CASE WHEN path <> '' THEN '.::v' ELSE '::v' END
                                    WHEN 7 THEN CASE WHEN path <> '' THEN '.::v' ELSE '::v' END
                                    ELSE '[' || u || ']' END;
                            END LOOP;
                            paths[array_position(wanted, h.u)] := path;
                            EXIT again WHEN array_position(paths, NULL) IS NULL;
                        END IF;
                    END IF;
                    h.fault_at := tag_at;
                END IF;
            ELSIF tag = 1001 OR tag = 1002 THEN
                t := 'time or duration is not {1: seconds, -6: microseconds}';
                tag_at := at;
                h := newt.read_head(data, at, 5, t);
                IF at < n AND get_byte(data, at) <> 162 THEN
                    h.code := 'profile';
                    h.reason := t;
                ELSIF n - at < 2 THEN
                    h.code := 'malformed';
                    h.reason := 'record is cut short';
                ELSIF get_byte(data, at + 1) <> 1 THEN
                    h.code := 'profile';
                    h.reason := t;
                    tag_at := at + 1;
                ELSE
                    tag_at := at + 2;
                    h := newt.read_head(data, tag_at, -2, t);
                    IF h.code IS NULL AND h.large IS NOT NULL THEN
                        h.code := 'profile';
                        h.reason := 'time or duration is out of range';
                    ELSIF h.code IS NULL THEN
                        u := CASE h.major WHEN 0 THEN h.u ELSE -1 - h.u END;
                        at := h.next;
                        tag_at := at;
                        IF at >= n THEN
                            h.code := 'malformed';
                            h.reason := 'record is cut short';
                        ELSIF get_byte(data, at) <> 37 THEN
                            h.code := 'profile';
                            h.reason := t;
                        ELSE
                            tag_at := at + 1;
                            h := newt.read_head(data, tag_at, 0, t);
                            at := h.next;
                            IF h.code IS NULL AND h.u > 999999 THEN
                                h.code := 'profile';
                                h.reason := 'microseconds are out of range';
                            ELSIF h.code IS NULL AND shows THEN
                                IF tag = 1002 THEN
                                    piece := piece || (u::numeric * 1000000 + h.u);
                                ELSIF u < -62135596800 OR u > 253402300799 THEN
                                    piece := piece || '{"::us":' || u::numeric * 1000000 + h.u || '}';
                                ELSE
                                    day := div(u::numeric + 62135596800, 86400)::bigint - 719162;
                                    u := u - day * 86400;
                                    piece := piece || '"' || to_char('1970-01-01'::date + day::integer, 'YYYY-MM-DD') || 'T' || lpad((u / 3600)::text, 2, '0') || ':'
                                             || lpad((u / 60 % 60)::text, 2, '0') || ':' || lpad((u % 60)::text, 2, '0') || '.' || lpad(h.u::text, 6, '0') || 'Z"';
                                END IF;
                            END IF;
                        END IF;
                    END IF;
                END IF;
                h.fault_at := tag_at;
            ELSIF tag = 100 THEN
                tag_at := at;
                h := newt.read_head(data, at, -2, 'date is not a number of days');
                at := h.next;
                IF h.code IS NULL AND h.large IS NOT NULL THEN
                    h.code := 'profile';
                    h.reason := 'date is out of range';
                ELSIF h.code IS NULL AND shows THEN
                    u := CASE h.major WHEN 0 THEN h.u ELSE -1 - h.u END;
                    piece := piece || CASE WHEN u BETWEEN -719162 AND 2932896 THEN '"' || to_char('1970-01-01'::date + u::integer, 'YYYY-MM-DD') || '"'
                                           ELSE '{"::days":' || u || '}' END;
                END IF;
            ELSIF tag = 37 THEN
                h := newt.read_head(data, at, 2, 'UUID is not 16 bytes');
                IF h.code IS NULL AND h.u <> 16 THEN
                    h.code := 'profile';
                    h.reason := 'UUID is not 16 bytes';
                ELSIF h.code IS NULL AND n - h.next < 16 THEN
                    h.code := 'malformed';
                    h.reason := 'record is cut short';
                ELSIF h.code IS NULL THEN
                    IF shows THEN
                        piece := piece || '"' || encode(substring(data FROM h.next + 1 FOR 16), 'hex')::uuid || '"';
                    END IF;
                    at := h.next + 16;
                END IF;
            ELSIF tag IN (2, 3, 4) THEN
                c := newt.read_number(data, at, tag::integer, shows);
                h.code := c.code;
                h.reason := c.reason;
                h.fault_at := c.fault_at;
                at := c.next;
                IF c.code IS NULL AND shows THEN
                    SELECT l.shown, l.positional INTO t, big FROM newt.lay_out(c.negative, c.digits, c.exponent) l;
                    IF big THEN
                        piece := piece || t;
                    ELSE
                        piece := piece || '{"::num":"' || t || '"}';
                        n_rejects := n_rejects + 1;
                        reasons[n_rejects] := 'number' || chr(10) || newt.reject_path(depth, kinds, totals, lefts, prevs, showns, pairs_flags, closings,
                                                  kind, total, left_over, prev, shown, as_pairs, closing, CASE WHEN is_key THEN 'k' ELSE 'v' END);
                    END IF;
                END IF;
            ELSIF tag = 27 THEN
                t := 'object is not [class, version, map]';
                h := newt.read_head(data, at, 4, t);
                IF h.code IS NULL AND h.u <> 3 THEN
                    h.code := 'profile';
                    h.reason := t;
                ELSIF h.code IS NULL THEN
                    c := newt.read_class(data, h.next);
                    h.code := c.code;
                    h.reason := c.reason;
                    h.fault_at := c.fault_at;
                    IF c.code IS NULL THEN
                        class := c.class_name;
                        h := newt.read_head(data, c.next, 5, t);
                        opens := 5;
                        items := h.u;
                        at := h.next;
                    END IF;
                END IF;
            ELSIF tag = 29 THEN
                h := newt.read_head(data, at, 0, 'shared reference is not a number');
                at := h.next;
                IF h.code IS NULL AND h.u >= shared THEN
                    h.code := 'profile';
                    h.reason := 'shared reference to a value that is not there yet';
                ELSIF h.code IS NULL AND shows THEN
                    piece := piece || '{"::->":' || h.u || '}';
                END IF;
            ELSIF tag = 38402 THEN
                h := newt.read_head(data, at, 2, 'raw text is not bytes');
                IF h.code IS NULL AND h.u > n - h.next THEN
                    h.code := 'malformed';
                    h.reason := 'record is cut short';
                ELSIF h.code IS NULL THEN
                    s := substring(data FROM h.next + 1 FOR h.u::integer);
                    at := h.next + h.u::integer;
                    IF newt.utf8_valid(s) = h.u THEN
                        h.code := 'profile';
                        h.reason := 'raw text is valid UTF-8';
                    ELSIF shows THEN
                        piece := piece || CASE WHEN h.u > 256 THEN '{"::bin":' || h.u ELSE '{"::b64":"' || replace(encode(s, 'base64'), E'\n', '') || '"' END
                                 || ',"::text":' || to_json(newt.utf8_lossy(s))::text || '}';
                        n_rejects := n_rejects + 1;
                        reasons[n_rejects] := 'text' || chr(10) || newt.reject_path(depth, kinds, totals, lefts, prevs, showns, pairs_flags, closings,
                                                  kind, total, left_over, prev, shown, as_pairs, closing, CASE WHEN is_key THEN 'k' ELSE 'v' END);
                    END IF;
                END IF;
            ELSIF tag = 258 OR tag = 259 THEN
                h := newt.read_head(data, at, CASE tag WHEN 258 THEN 4 ELSE 5 END, CASE tag WHEN 258 THEN 'set is not an array' ELSE 'pairs are not a map' END);
                opens := CASE tag WHEN 258 THEN 4 ELSE 3 END;
                items := h.u;
                at := h.next;
            ELSE
                opens := 6;
                items := 1;
            END IF;
            IF tag >= 0 AND h.code IS NOT NULL THEN
                code := h.code;
                reason := h.reason;
                fault_at := h.fault_at;
                EXIT again;
            END IF;

            IF opens IS NOT NULL THEN
                -- ---- a container begins; counts are believed only as far as there are bytes for them
                IF opens IN (1, 4) AND items > n - at OR opens IN (2, 3, 5) AND items > (n - at) / 2 THEN
                    code := 'malformed';
                    reason := 'record is cut short';
                    fault_at := token_at;
                    EXIT again;
                ELSIF depth >= max_depth THEN
                    code := 'limit';
                    reason := 'nesting is too deep';
                    fault_at := token_at;
                    EXIT again;
                ELSIF kind = 7 AND depth > 0 AND (opens <> 1 OR is_hidden) THEN
                    code := 'profile';
                    reason := 'reference to another store is not [store, oid]';
                    fault_at := token_at;
                    EXIT again;
                END IF;
                IF NOT shows AND quiet < 0 THEN
                    quiet := depth;
                END IF;
                IF depth > 0 THEN
                    kinds[depth] := kind;
                    lefts[depth] := left_over;
                    totals[depth] := total;
                    begins[depth] := begun;
                    in_key_flags[depth] := is_in_key;
                    prevs[depth] := prev;
                    showns[depth] := shown;
                    pairs_flags[depth] := as_pairs;
                    closings[depth] := closing;
                    IF kind = 3 THEN
                        skips[depth] := skip_value;
                        marks[depth] := mark;
                        mark_sizes[depth] := mark_size;
                        marks_rejects[depth] := mark_rejects;
                    END IF;
                END IF;
                depth := depth + 1;
                kind := opens;
                total := CASE WHEN opens IN (2, 3, 5) THEN 2 * items ELSE items END;
                left_over := total;
                begun := token_at;
                is_in_key := is_key;
                IF is_key THEN
                    in_keys := in_keys + 1;
                END IF;
                prev := NULL;
                shown := 0;
                as_pairs := opens = 3;
                IF shows THEN
                    IF opens IN (2, 5) THEN
                        as_pairs := coalesce(nul_maps ? begun::text, false);
                        IF opens = 5 OR is_shared THEN
                            piece := piece || '{' || CASE WHEN opens = 5 THEN '"::":' || to_json(class)::text ELSE '' END
                                     || CASE WHEN opens = 5 AND is_shared THEN ',' ELSE '' END || CASE WHEN is_shared THEN '"::id":' || share ELSE '' END
                                     || CASE WHEN as_pairs THEN ',"::v":[' ELSE '' END;
                            closing := CASE WHEN as_pairs THEN ']}' ELSE '}' END;
                            shown := CASE WHEN as_pairs THEN 0 ELSE 1 END;
                        ELSE
                            piece := piece || CASE WHEN as_pairs THEN '[' ELSE '{' END;
                            closing := CASE WHEN as_pairs THEN ']' ELSE '}' END;
                        END IF;
                    ELSIF opens IN (6, 7) THEN
                        piece := piece || '{"::tag":' || CASE WHEN opens = 7 THEN 38401 ELSE coalesce(tag_large, tag) END;
                        closing := '}';
                    ELSE
                        piece := piece || '[';
                        closing := ']';
                    END IF;
                    n_pieces := n_pieces + 1;
                    pieces[n_pieces] := piece;
                    size := size + octet_length(piece);
                END IF;
                CONTINUE tokens;
            END IF;

            -- ---- a scalar ends
            IF kind = 7 AND depth > 0 THEN
                code := 'profile';
                reason := 'reference to another store is not [store, oid]';
                fault_at := token_at;
                EXIT again;
            ELSIF depth > 0 AND (kind = 4 OR is_key) THEN
                s := substring(data FROM token_at + 1 FOR at - token_at);
                IF prev >= s THEN
                    code := 'profile';
                    reason := CASE WHEN kind = 4 THEN 'set element' ELSE 'map key' END
                              || CASE WHEN prev = s THEN ' stands twice' ELSE 's are not in order' END;
                    fault_at := token_at;
                    EXIT again;
                END IF;
                prev := s;
            END IF;
            IF shows THEN
                IF depth > 0 AND as_pairs AND NOT is_key THEN
                    piece := piece || '}';
                END IF;
                n_pieces := n_pieces + 1;
                pieces[n_pieces] := piece;
                size := size + octet_length(piece);
                IF size > max_json AND in_keys = 0 AND NOT is_key THEN
                    too_large := true;
                    showing := false;
                END IF;
            END IF;
            EXIT tokens WHEN depth = 0;
        END LOOP;
        stop := at;
        shared_after := shared;
        EXIT again WHEN NOT looking;
        nul_maps := (SELECT jsonb_object_agg(m, true) FROM unnest(found_maps) m);
        looking := false;
        showing := true;
    END LOOP;
    IF code IS NULL AND too_large THEN
        doc := '{"::err":"too-large","::bin":' || CASE task WHEN 'item' THEN at - start ELSE n END || '}';
        reasons := ARRAY['too-large' || chr(10) || '[]'];
    ELSIF code IS NULL AND task IN ('json', 'item') AND NOT hidden THEN
        doc := array_to_string(pieces[1:n_pieces], '');
        reasons := reasons[1:n_rejects];
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.read_item(bytea, integer, integer, bigint, text, bigint[]) IS 'reads an item of a record, as a document or for its references; portable edition';
