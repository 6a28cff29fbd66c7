/* recorder.c - a sink that believes nothing */
#include "recorder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
promise(recorder *r, bool kept, const char *what)
{
    if (!kept && !r->broken)
        r->broken = what;
    return kept ? 0 : -1;
}

/* ---- text ---------------------------------------------------------------------------------- */

static void
put(char **s, size_t *n, size_t *cap, const void *p, size_t more)
{
    if (*n + more + 1 > *cap) {
        *cap = 2 * (*n + more + 1);
        *s = realloc(*s, *cap);
        if (!*s)
            abort();
    }
    if (more > 0)
        memcpy(*s + *n, p, more);
    *n += more;
    (*s)[*n] = 0;
}

static void
json(recorder *r, const void *p, size_t n)
{
    put(&r->json, &r->n, &r->cap, p, n);
}

static void
string(recorder *r, const char *s, size_t n)
{
    static const char short_forms[] = "\b\t\n\f\r\"\\";
    static const char letters[] = "btnfr\"\\";
    char escape[8];
    json(r, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        const char *known = s[i] ? strchr(short_forms, s[i]) : NULL;
        if (known) {
            escape[0] = '\\';
            escape[1] = letters[known - short_forms];
            json(r, escape, 2);
        } else if ((unsigned char)s[i] < 0x20) {
            json(r, escape, (size_t)sprintf(escape, "\\u%04x", (unsigned)s[i]));
        } else {
            json(r, s + i, 1);
        }
    }
    json(r, "\"", 1);
}

static bool
escapes_needed(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == '"' || s[i] == '\\')
            return true;
    return false;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)? */
static bool
json_number(const char *s, size_t n)
{
    const char *end = s + n;
    const char *digits;
    if (s < end && *s == '-')
        s++;
    if (s < end && *s == '0') {
        s++;
    } else {
        digits = s;
        while (s < end && *s >= '0' && *s <= '9')
            s++;
        if (s == digits)
            return false;
    }
    if (s < end && *s == '.') {
        digits = ++s;
        while (s < end && *s >= '0' && *s <= '9')
            s++;
        if (s == digits)
            return false;
    }
    if (s < end && (*s == 'e' || *s == 'E')) {
        s++;
        if (s < end && (*s == '+' || *s == '-'))
            s++;
        digits = s;
        while (s < end && *s >= '0' && *s <= '9')
            s++;
        if (s == digits)
            return false;
    }
    return s == end;
}

/* ---- the state of the document --------------------------------------------------------------- */

static void
close_level(struct recorder_level *l)
{
    free(l->key);
    free(l->last);
    l->key = l->last = NULL;
}

static int
open_level(recorder *r, bool object)
{
    if (promise(r, r->depth < RECORDER_DEPTH, "the document is too deep"))
        return -1;
    struct recorder_level *l = &r->level[r->depth++];
    memset(l, 0, sizeof *l);
    l->object = object;
    return 0;
}

static const char *const own_keys[] = {"::",    "::id",   "::->",  "::=>", "::~>",
                                       "::b64", "::text", "::bin", "::us", "::days",
                                       "::num", "::tag",  "::v",   "::err"};

static char *
copy(const char *s, size_t n)
{
    char *p = malloc(n + 1);
    if (!p)
        abort();
    if (n > 0)
        memcpy(p, s, n);
    p[n] = 0;
    return p;
}

static int
key(recorder *r, const newt__json *e)
{
    struct recorder_level *l = r->depth ? &r->level[r->depth - 1] : NULL;
    if (promise(r, l && l->object && !l->value_next, "a key where no key may stand"))
        return -1;
    l->value_next = true;
    free(l->key);
    l->key = copy(e->s, e->n);
    l->n_key = e->n;
    if (e->n >= 2 && memcmp(e->s, "::", 2) == 0 && (e->n == 2 || e->s[2] != ':')) {
        unsigned bit = 0;
        for (size_t i = 0; i < sizeof own_keys / sizeof *own_keys; i++)
            if (strlen(own_keys[i]) == e->n && memcmp(own_keys[i], e->s, e->n) == 0)
                bit = 1u << i;
        if (promise(r, bit != 0, "a key that begins with :: and is none of ours"))
            return -1;
        if (promise(r, !(l->own & bit), "one of our keys twice"))
            return -1;
        l->own |= bit;
    } else {
        /* in the record the key had one ":" less, and that is the order it stands in */
        size_t skip = e->n > 2 && memcmp(e->s, ":::", 3) == 0;
        if (l->last && promise(r, newt__key_order(l->last, l->n_last, e->s + skip, e->n - skip) < 0,
                               "keys out of order, or one twice"))
            return -1;
        free(l->last);
        l->last = copy(e->s + skip, e->n - skip);
        l->n_last = e->n - skip;
    }
    if (l->index++ > 0)
        json(r, ",", 1);
    string(r, e->s, e->n);
    json(r, ":", 1);
    return 0;
}

/* A value begins. */
static int
value(recorder *r)
{
    struct recorder_level *l;
    if (r->depth == 0) {
        if (promise(r, !r->done, "a second document"))
            return -1;
        r->done = true;
        return 0;
    }
    l = &r->level[r->depth - 1];
    if (l->object) {
        if (promise(r, l->value_next, "a value without a key"))
            return -1;
        l->value_next = false;
        return 0;
    }
    if (l->index++ > 0)
        json(r, ",", 1);
    return 0;
}

static int
end(recorder *r, bool object)
{
    struct recorder_level *l = r->depth ? &r->level[r->depth - 1] : NULL;
    if (promise(r, l && l->object == object && !l->value_next, "an end of what is not open"))
        return -1;
    close_level(l);
    r->depth--;
    json(r, object ? "}" : "]", 1);
    return 0;
}

static int
check_string(recorder *r, const newt__json *e)
{
    if (promise(r, newt__utf8_valid(e->s, e->n) == e->n, "a string that is not UTF-8") ||
        promise(r, e->n == 0 || !memchr(e->s, 0, e->n), "a string with NUL") ||
        promise(r, !e->plain || !escapes_needed(e->s, e->n), "plain text that needs escapes"))
        return -1;
    if (e->in_record)
        return promise(r,
                       (uintptr_t)e->s >= (uintptr_t)r->record &&
                           (uintptr_t)e->s + e->n <= (uintptr_t)r->record + r->n_record,
                       "a string that is not in the record");
    return 0;
}

static int
event(void *arg, const newt__json *e)
{
    recorder *r = arg;
    char number[24];
    if (r->broken)
        return -1;
    if (++r->events == r->stop_at)
        return 7;
    if (e->kind == NEWT__JSON_KEY)
        return check_string(r, e) || key(r, e);
    if (e->kind == NEWT__JSON_OBJECT_END || e->kind == NEWT__JSON_ARRAY_END)
        return end(r, e->kind == NEWT__JSON_OBJECT_END);
    if (value(r))
        return -1;
    switch (e->kind) {
    case NEWT__JSON_OBJECT:
    case NEWT__JSON_ARRAY:
        json(r, e->kind == NEWT__JSON_OBJECT ? "{" : "[", 1);
        return open_level(r, e->kind == NEWT__JSON_OBJECT);
    case NEWT__JSON_STRING:
        if (check_string(r, e))
            return -1;
        string(r, e->s, e->n);
        return 0;
    case NEWT__JSON_INT: json(r, number, (size_t)sprintf(number, "%" PRId64, e->i)); return 0;
    case NEWT__JSON_NUMBER:
        json(r, e->s, e->n);
        return promise(r, json_number(e->s, e->n), "a number that is not JSON's");
    case NEWT__JSON_TRUE: json(r, "true", 4); return 0;
    case NEWT__JSON_FALSE: json(r, "false", 5); return 0;
    case NEWT__JSON_NULL: json(r, "null", 4); return 0;
    default: return promise(r, false, "an unknown event");
    }
}

static void
forget(recorder *r)
{
    while (r->depth > 0)
        close_level(&r->level[--r->depth]);
    r->n = r->n_rejects = 0;
    r->n_reject = 0;
    r->done = false;
    json(r, "", 0);
    put(&r->rejects, &r->n_rejects, &r->cap_rejects, "", 0);
}

static void
restart(void *arg)
{
    recorder *r = arg;
    r->restarts++;
    forget(r);
}

/* Called where the value begins: after its key, or before the array counts it. */
static int
check_path(recorder *r, const newt__path_item *path, size_t n)
{
    if (promise(r, n == r->depth, "a path of another length than the document is deep"))
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct recorder_level *l = &r->level[i];
        if (promise(r, (path[i].key != NULL) == l->object, "a path through another container"))
            return -1;
        if (l->object) {
            if (promise(r,
                        l->key && l->n_key == path[i].n &&
                            memcmp(l->key, path[i].key, l->n_key) == 0,
                        "a path with another key"))
                return -1;
            continue;
        }
        /* an outer array has counted the item already that the path leads into */
        if (promise(r, path[i].index == l->index - (i + 1 < n), "a path with another index"))
            return -1;
    }
    return 0;
}

static int
reject(void *arg, const newt__path_item *path, size_t n, const char *reason)
{
    recorder *r = arg;
    char index[24];
    if (r->broken || check_path(r, path, n))
        return -1;
    if (promise(r,
                strcmp(reason, "too-large") == 0 || strcmp(reason, "number") == 0 ||
                    strcmp(reason, "text") == 0,
                "a reject for an unknown reason"))
        return -1;
    if (++r->n_reject == r->stop_at_reject)
        return 7;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            put(&r->rejects, &r->n_rejects, &r->cap_rejects, ",", 1);
        if (path[i].key)
            put(&r->rejects, &r->n_rejects, &r->cap_rejects, path[i].key, path[i].n);
        else
            put(&r->rejects, &r->n_rejects, &r->cap_rejects, index,
                (size_t)sprintf(index, "%" PRIu64, path[i].index));
    }
    put(&r->rejects, &r->n_rejects, &r->cap_rejects, ": ", 2);
    put(&r->rejects, &r->n_rejects, &r->cap_rejects, reason, strlen(reason));
    put(&r->rejects, &r->n_rejects, &r->cap_rejects, "\n", 1);
    return 0;
}

void
recorder_begin(recorder *r, newt__sink *sink, const void *record, size_t n)
{
    r->broken = NULL;
    r->events = r->restarts = r->stop_at = r->stop_at_reject = 0;
    r->record = record;
    r->n_record = n;
    forget(r);
    sink->event = event;
    sink->restart = restart;
    sink->reject = reject;
    sink->arg = r;
}

void
recorder_end(recorder *r)
{
    promise(r, r->done && r->depth == 0, "the document has no end");
}

void
recorder_free(recorder *r)
{
    forget(r);
    free(r->json);
    free(r->rejects);
    memset(r, 0, sizeof *r);
}
