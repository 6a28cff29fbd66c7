/*
 * independent.c - agreement with libcbor, which shares nothing with us but the RFC
 *
 * What our writer writes libcbor reads, item by item the same. What libcbor writes within the
 * profile our reader reads, and our writer writes with the same bytes.
 */
#include "check.h"
#include "../generate.h"

#include <cbor.h>

/* ---- our records, read by libcbor
 * ------------------------------------------------------------------ */

static const cbor_item_t *same_item(newt__reader *r, const newt__token *t, const cbor_item_t *c);

static const cbor_item_t *
tagged(const cbor_item_t *c, uint64_t tag)
{
    assert_true(cbor_isa_tag(c));
    assert_true(cbor_tag_value(c) == tag);
    /* libcbor counts references; these items live as long as the root does */
    cbor_item_t *inside = cbor_tag_item(c);
    cbor_item_t *borrowed = inside;
    cbor_decref(&inside);
    return borrowed;
}

static void
same_uint(const cbor_item_t *c, uint64_t u)
{
    assert_true(cbor_isa_uint(c));
    assert_true(cbor_get_int(c) == u);
}

static void
same_int(const cbor_item_t *c, int64_t i)
{
    assert_true(i < 0 ? cbor_isa_negint(c) : cbor_isa_uint(c));
    assert_true(cbor_get_int(c) == (i < 0 ? (uint64_t)(-1 - i) : (uint64_t)i));
}

static void
same_text(const cbor_item_t *c, const char *s, size_t n)
{
    assert_true(cbor_isa_string(c) && cbor_string_is_definite(c));
    assert_bytes(cbor_string_handle(c), cbor_string_length(c), s, n, "text");
}

static void
same_bytes(const cbor_item_t *c, const void *s, size_t n)
{
    assert_true(cbor_isa_bytestring(c) && cbor_bytestring_is_definite(c));
    assert_bytes(cbor_bytestring_handle(c), cbor_bytestring_length(c), s, n, "bytes");
}

/* A bignum, or what a number of 64 bits is. */
static void
same_number(const cbor_item_t *c, const newt__number *x)
{
    uint64_t u = 0;
    if (x->n > 8) {
        same_bytes(tagged(c, x->negative ? 3 : 2), x->magnitude, x->n);
        return;
    }
    for (size_t i = 0; i < x->n; i++)
        u = u << 8 | x->magnitude[i];
    assert_true(x->negative ? cbor_isa_negint(c) : cbor_isa_uint(c));
    assert_true(cbor_get_int(c) == u);
}

static void
same_seconds(const cbor_item_t *c, const newt__token *t)
{
    assert_true(cbor_isa_map(c) && cbor_map_size(c) == 2);
    const struct cbor_pair *pair = cbor_map_handle(c);
    same_int(pair[0].key, 1);
    same_int(pair[0].value, t->seconds);
    same_int(pair[1].key, -6);
    same_int(pair[1].value, t->us);
}

static void
next(newt__reader *r, newt__token *t)
{
    if (newt__read(r, t) != NEWT__OK)
        fail_msg("refused at %zu: %s", r->fault.offset, r->fault.reason);
}

static void
same_items(newt__reader *r, const cbor_item_t *c, size_t n)
{
    newt__token t;
    assert_true(cbor_isa_array(c) && cbor_array_is_definite(c));
    assert_int_equal(cbor_array_size(c), n);
    for (size_t i = 0; i < n; i++) {
        next(r, &t);
        same_item(r, &t, cbor_array_handle(c)[i]);
    }
    next(r, &t);
    assert_int_equal(t.kind, NEWT__END);
}

static void
same_entries(newt__reader *r, const cbor_item_t *c, size_t n)
{
    newt__token t;
    assert_true(cbor_isa_map(c) && cbor_map_is_definite(c));
    assert_int_equal(cbor_map_size(c), n);
    for (size_t i = 0; i < n; i++) {
        next(r, &t);
        assert_true(t.is_key);
        same_item(r, &t, cbor_map_handle(c)[i].key);
        next(r, &t);
        assert_false(t.is_key);
        same_item(r, &t, cbor_map_handle(c)[i].value);
    }
    next(r, &t);
    assert_int_equal(t.kind, NEWT__END);
}

static void
same_object(newt__reader *r, const newt__token *t, const cbor_item_t *c)
{
    assert_true(cbor_isa_array(c) && cbor_array_size(c) == 3);
    same_text(cbor_array_handle(c)[0], t->s, t->n_name);
    same_int(cbor_array_handle(c)[1], t->i);
    same_entries(r, cbor_array_handle(c)[2], t->n);
}

static const cbor_item_t *
same_item(newt__reader *r, const newt__token *t, const cbor_item_t *c)
{
    newt__token inside;
    if (t->hidden)
        c = tagged(c, NEWT__TAG_HIDDEN);
    if (t->shared)
        c = tagged(c, NEWT__TAG_SHARED);
    switch (t->kind) {
    case NEWT__END: fail_msg("an end where an item should be"); break;
    case NEWT__NULL: assert_true(cbor_is_null(c)); break;
    case NEWT__BOOL:
        assert_true(cbor_is_bool(c));
        assert_int_equal(cbor_get_bool(c), t->boolean);
        break;
    case NEWT__INT:
        assert_true(t->number.negative ? cbor_isa_negint(c) : cbor_isa_uint(c));
        assert_true(cbor_get_int(c) == t->u);
        break;
    case NEWT__BIGNUM: same_number(c, &t->number); break;
    case NEWT__DECIMAL:
        c = tagged(c, NEWT__TAG_DECIMAL);
        assert_true(cbor_isa_array(c) && cbor_array_size(c) == 2);
        same_int(cbor_array_handle(c)[0], t->number.exponent);
        same_number(cbor_array_handle(c)[1], &t->number);
        break;
    case NEWT__FLOAT:
        assert_true(cbor_isa_float_ctrl(c) && cbor_float_get_width(c) == CBOR_FLOAT_32);
        assert_true(t->real != t->real || cbor_float_get_float4(c) == (float)t->real);
        break;
    case NEWT__DOUBLE:
        assert_true(cbor_isa_float_ctrl(c) && cbor_float_get_width(c) == CBOR_FLOAT_64);
        assert_true(t->real != t->real || cbor_float_get_float8(c) == t->real);
        break;
    case NEWT__TEXT: same_text(c, t->s, t->n); break;
    case NEWT__RAW_TEXT: same_bytes(tagged(c, NEWT__TAG_RAW_TEXT), t->s, t->n); break;
    case NEWT__BYTES: same_bytes(c, t->s, t->n); break;
    case NEWT__TIME: same_seconds(tagged(c, NEWT__TAG_TIME), t); break;
    case NEWT__DURATION: same_seconds(tagged(c, NEWT__TAG_DURATION), t); break;
    case NEWT__DATE: same_int(tagged(c, NEWT__TAG_DATE), t->i); break;
    case NEWT__UUID: same_bytes(tagged(c, NEWT__TAG_UUID), t->s, 16); break;
    case NEWT__REF: same_int(tagged(c, NEWT__TAG_REF), t->i); break;
    case NEWT__WEAK: same_int(tagged(c, NEWT__TAG_WEAK), t->i); break;
    case NEWT__SHAREDREF: same_uint(tagged(c, NEWT__TAG_SHAREDREF), t->u); break;
    case NEWT__ARRAY: same_items(r, c, t->n); break;
    case NEWT__SET: same_items(r, tagged(c, NEWT__TAG_SET), t->n); break;
    case NEWT__MAP: same_entries(r, c, t->n); break;
    case NEWT__PAIRS: same_entries(r, tagged(c, NEWT__TAG_PAIRS), t->n); break;
    case NEWT__OBJECT: same_object(r, t, tagged(c, NEWT__TAG_OBJECT)); break;
    case NEWT__STORE_REF:
    case NEWT__TAG:
        c = tagged(c, t->u);
        next(r, &inside);
        same_item(r, &inside, c);
        next(r, &inside);
        assert_int_equal(inside.kind, NEWT__END);
        break;
    }
    return c;
}

static void
same_record(const newt__env *env, const cbor_item_t *c, const void *record, size_t n)
{
    newt__reader r;
    newt__token t;
    assert_int_equal(newt__read_begin(&r, env, record, n), NEWT__OK);
    assert_true(cbor_isa_array(c) && cbor_array_is_definite(c) && cbor_array_size(c) == 3);
    same_text(cbor_array_handle(c)[0], r.class_name, r.class_n);
    same_int(cbor_array_handle(c)[1], r.version);
    next(&r, &t);
    same_item(&r, &t, cbor_array_handle(c)[2]);
    next(&r, &t);
    assert_int_equal(t.kind, NEWT__END);
    assert_int_equal(r.at, n);
}

static void
ours_read_by_libcbor(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    newt__writer w = {.buf.env = &env};
    generate g;
    int read = 0;
    generate_init(&g, generate_seed());
    for (int i = 0; i < 8000; i++) {
        struct cbor_load_result result;
        g.max_depth = i % 100 == 0 ? 100 : 6;
        g.max_items = i % 100 == 0 ? 500 : 60;
        assert_int_equal(generate_record(&g, &w, NULL), NEWT__OK);
        cbor_item_t *c = cbor_load(w.buf.data, w.buf.n, &result);
        if (!c) {
            size_t at = result.error.position;
            /* libcbor 0.8 knows no tags from 6 to 20, assigned or not */
            if (w.buf.data[at] < 0xc6 || w.buf.data[at] > 0xd4)
                fail_msg("libcbor refuses record %d: error %d at %zu (byte %02x)", i,
                         (int)result.error.code, at, w.buf.data[at]);
            continue;
        }
        read++;
        assert_int_equal(result.read, w.buf.n);
        same_record(&env, c, w.buf.data, w.buf.n);
        cbor_decref(&c);
    }
    printf("# %d records\n", read);
    assert_true(read > 6000);
    newt__writer_free(&w);
    assert_int_equal(m.live, 0);
}

/* ---- libcbor's items, read by us
 * --------------------------------------------------------------------- */

static cbor_item_t *
build_int(uint64_t u, bool negative)
{
    if (negative)
        return u <= UINT8_MAX    ? cbor_build_negint8((uint8_t)u)
               : u <= UINT16_MAX ? cbor_build_negint16((uint16_t)u)
               : u <= UINT32_MAX ? cbor_build_negint32((uint32_t)u)
                                 : cbor_build_negint64(u);
    return u <= UINT8_MAX    ? cbor_build_uint8((uint8_t)u)
           : u <= UINT16_MAX ? cbor_build_uint16((uint16_t)u)
           : u <= UINT32_MAX ? cbor_build_uint32((uint32_t)u)
                             : cbor_build_uint64(u);
}

static cbor_item_t *
build(generate *g, int depth)
{
    cbor_item_t *c;
    uint8_t b[32];
    char s[16];
    size_t n;
    switch (generate_below(g, depth > 0 ? 14 : 11)) {
    case 0: return cbor_new_null();
    case 1: return cbor_build_bool(generate_below(g, 2));
    case 2:
    case 3:
    case 4: return build_int(generate_spread(g), generate_below(g, 2));
    case 5: return cbor_build_float4((float)generate_below(g, 1000) / 8);
    case 6: return cbor_build_float8((double)generate_u64(g) / 3);
    case 7:
        n = (size_t)generate_below(g, sizeof b);
        memset(b, 0x5a, sizeof b);
        return cbor_build_bytestring(b, n);
    case 8: snprintf(s, sizeof s, "%x", (unsigned)generate_u64(g)); return cbor_build_string(s);
    case 9: {
        cbor_item_t *oid = build_int(1 + (generate_spread(g) & (INT64_MAX - 1)), false);
        c = cbor_build_tag(generate_below(g, 2) ? NEWT__TAG_REF : NEWT__TAG_WEAK, oid);
        cbor_decref(&oid);
        return c;
    }
    case 10: {
        cbor_item_t *days = build_int(generate_spread(g) & INT64_MAX, generate_below(g, 2));
        c = cbor_build_tag(NEWT__TAG_DATE, days);
        cbor_decref(&days);
        return c;
    }
    case 11:
        n = (size_t)generate_below(g, 30);
        c = cbor_new_definite_array(n);
        for (size_t i = 0; i < n; i++)
            assert_true(cbor_array_push(c, cbor_move(build(g, depth - 1))));
        return c;
    case 12: {
        cbor_item_t *inside = build(g, depth - 1);
        c = cbor_build_tag(60000, inside);
        cbor_decref(&inside);
        return c;
    }
    default:
        n = (size_t)generate_below(g, 30);
        c = cbor_new_definite_map(n);
        for (size_t i = 0; i < n; i++) {
            snprintf(s, sizeof s, "k%03u", (unsigned)i); /* of one length: in order */
            assert_true(
                cbor_map_add(c, (struct cbor_pair){.key = cbor_move(cbor_build_string(s)),
                                                   .value = cbor_move(build(g, depth - 1))}));
        }
        return c;
    }
}

static void
libcbors_read_by_us(void **state)
{
    (void)state;
    memory m;
    newt__env env = memory_env(&m);
    generate g;
    generate_init(&g, generate_seed());
    for (int i = 0; i < 5000; i++) {
        cbor_item_t *c = cbor_new_definite_array(3);
        unsigned char *record = NULL;
        size_t cap = 0, n;
        assert_true(cbor_array_push(c, cbor_move(cbor_build_string("Task"))));
        assert_true(cbor_array_push(c, cbor_move(build_int(generate_below(&g, INT32_MAX), false))));
        assert_true(cbor_array_push(c, cbor_move(build(&g, 4))));
        n = cbor_serialize_alloc(c, &record, &cap);
        assert_true(n > 0);
        bytes exact = {malloc(n), n};
        memcpy(exact.p, record, n);
        assert_lossless(&env, exact.p, n, "libcbor's");
        same_record(&env, c, exact.p, n);
        free(exact.p);
        free(record);
        cbor_decref(&c);
    }
    assert_int_equal(m.live, 0);
}

/* What libcbor writes outside the profile we refuse. */
static void
libcbors_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"long int", "long negative", "half",  "undefined", "array",
                                        "map",      "text",          "bytes", "tag"};
    static const char *const reasons[] = {"shortest",   "shortest",   "half",
                                          "undefined",  "indefinite", "indefinite",
                                          "indefinite", "indefinite", "tag"};
    memory m;
    newt__env env = memory_env(&m);
    for (size_t i = 0; i < LENGTH(names); i++) {
        cbor_item_t *c = cbor_new_definite_array(3), *x;
        unsigned char *record = NULL;
        size_t cap = 0, n;
        newt__fault fault = {0};
        switch (i) {
        case 0: x = cbor_build_uint32(1); break;
        case 1: x = cbor_build_negint64(1); break;
        case 2: x = cbor_build_float2(1.5f); break;
        case 3: x = cbor_new_undef(); break;
        case 4: x = cbor_new_indefinite_array(); break;
        case 5: x = cbor_new_indefinite_map(); break;
        case 6: x = cbor_new_indefinite_string(); break;
        case 7: x = cbor_new_indefinite_bytestring(); break;
        default: x = cbor_build_tag(0, cbor_move(cbor_build_string("2000-01-01")));
        }
        assert_true(cbor_array_push(c, cbor_move(cbor_build_string("T"))));
        assert_true(cbor_array_push(c, cbor_move(cbor_build_uint8(1))));
        assert_true(cbor_array_push(c, cbor_move(x)));
        n = cbor_serialize_alloc(c, &record, &cap);
        assert_true(n > 0);
        newt__validate(&env, record, n, &fault);
        assert_fault(&fault, NEWT__PROFILE, HEAD, reasons[i], names[i]);
        free(record);
        cbor_decref(&c);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_read_by_libcbor),
        cmocka_unit_test(libcbors_read_by_us),
        cmocka_unit_test(libcbors_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("independent", tests, NULL, NULL);
}
