/*
 * kind.c - the kinds of values that a field can have: their C types, names and nulls
 */
#include "class.h"

#include <string.h>

const newt__kind_traits newt__kinds[NEWT__N_KINDS] = {
    [NEWT_K_BOOL] = {"bool", sizeof(bool), 0, false, true},
    [NEWT_K_INT] = {"int", NEWT__ANY_WIDTH, 0, false, true},
    [NEWT_K_UINT] = {"uint", NEWT__ANY_WIDTH, 0, false, true},
    [NEWT_K_FLOAT] = {"float", NEWT__ANY_WIDTH, 0, false, true},
    [NEWT_K_TEXT] = {"text", sizeof(newt_text), _Alignof(newt_text), true, true},
    [NEWT_K_BYTES] = {"bytes", sizeof(newt_bytes), _Alignof(newt_bytes), true, true},
    [NEWT_K_TIME] = {"time", sizeof(newt_time), 0, true, true},
    [NEWT_K_DURATION] = {"duration", sizeof(newt_duration), 0, false, true},
    [NEWT_K_DATE] = {"date", sizeof(newt_date), 0, true, true},
    [NEWT_K_UUID] = {"uuid", sizeof(newt_uuid), _Alignof(newt_uuid), true, true},
    [NEWT_K_DECIMAL] = {"decimal", sizeof(newt_decimal), _Alignof(newt_decimal), true, true},
    [NEWT_K_JSON] = {"json", sizeof(newt_json), _Alignof(newt_json), true, false},
    [NEWT_K_ENUM] = {"enum", sizeof(int), 0, false, false},
    [NEWT_K_REF] = {"ref", sizeof(newt_ref), 0, true, true},
    [NEWT_K_STRUCT] = {"struct", 0, 0, false, false},
    [NEWT_K_STORE_REF] = {"store_ref", sizeof(newt_store_ref), _Alignof(newt_store_ref), true,
                          false},
    [NEWT_K_WEAK] = {"weak", sizeof(newt_weak), 0, true, true},
};

const char *
newt__kind_name(uint8_t kind)
{
    return kind > 0 && kind < NEWT__N_KINDS ? newt__kinds[kind].name : "unknown";
}

const newt__special newt__specials[] = {
    {"NaN", 0x7fc00000, UINT64_C(0x7ff8000000000000)},
    {"Infinity", 0x7f800000, UINT64_C(0x7ff0000000000000)},
    {"-Infinity", 0xff800000, UINT64_C(0xfff0000000000000)},
    {NULL, 0, 0},
};

const newt__special *
newt__special_named(const char *s, size_t n)
{
    for (const newt__special *x = newt__specials; x->name; x++)
        if (strlen(x->name) == n && memcmp(x->name, s, n) == 0)
            return x;
    return NULL;
}

uint32_t
newt__field_extent(const newt_field *f)
{
    return f->shape == NEWT_ONE ? f->size : (uint32_t)sizeof(newt__array_layout);
}

bool
newt__is_null(uint8_t kind, const void *p)
{
    static const newt_uuid nil;

    switch (kind) {
    case NEWT_K_TEXT: return ((const newt_text *)p)->s == NULL;
    case NEWT_K_BYTES: return ((const newt_bytes *)p)->p == NULL;
    case NEWT_K_TIME: return ((const newt_time *)p)->us == NEWT_TIME_NULL;
    case NEWT_K_DATE: return ((const newt_date *)p)->days == NEWT_DATE_NULL;
    case NEWT_K_UUID: return memcmp(p, &nil, sizeof nil) == 0;
    case NEWT_K_DECIMAL: return ((const newt_decimal *)p)->digits.s == NULL;
    case NEWT_K_JSON: return ((const newt_json *)p)->item.p == NULL;
    case NEWT_K_REF: return ((const newt_ref *)p)->oid == 0;
    case NEWT_K_STORE_REF: return ((const newt_store_ref *)p)->store.s == NULL;
    case NEWT_K_WEAK: return ((const newt_weak *)p)->oid == 0;
    default: return false;
    }
}

void
newt__set_null(uint8_t kind, void *p, size_t size)
{
    switch (kind) {
    case NEWT_K_TIME: ((newt_time *)p)->us = NEWT_TIME_NULL; break;
    case NEWT_K_DATE: ((newt_date *)p)->days = NEWT_DATE_NULL; break;
    default: memset(p, 0, size);
    }
}

bool
newt__kind_fits(uint8_t kind, size_t size)
{
    switch (newt__kinds[kind].size) {
    case 0: return true; /* compared with the struct's */
    case NEWT__ANY_WIDTH:
        if (kind == NEWT_K_FLOAT)
            return size == sizeof(float) || size == sizeof(double);
        return size == 1 || size == 2 || size == 4 || size == 8;
    default: return size == newt__kinds[kind].size;
    }
}
