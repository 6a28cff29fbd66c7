/*
 * error.c - errors, and the map from codec faults to a status
 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_TEXT = 1000 /* bytes of a message, detail or hint; what is longer is cut */
};

/* What newt_last_error gives when there was not even memory for a database. */
const newt_error newt__no_memory = {.status = NEWT_ENOMEM, .fallback = "out of memory"};

/* ---- the maps -------------------------------------------------------------------------- */

static const struct {
    newt__code code;
    int status;
} faults[] = {
    {NEWT__MALFORMED, NEWT_EBROKEN}, {NEWT__PROFILE, NEWT_EBROKEN}, {NEWT__NEWER, NEWT_EBROKEN},
    {NEWT__FOREIGN, NEWT_EBROKEN},   {NEWT__LIMIT, NEWT_ELIMIT},    {NEWT__NOMEM, NEWT_ENOMEM},
    {NEWT__INTERRUPTED, NEWT_ESQL},  {NEWT__SINK, NEWT_EINVAL},
};

static const struct {
    int status;
    const char *text;
} statuses[] = {
#define STATUS(s)                                                                                  \
    {                                                                                              \
        s, #s                                                                                      \
    }
    STATUS(NEWT_OK),       STATUS(NEWT_ENOMEM),  STATUS(NEWT_EINVAL),    STATUS(NEWT_EMISSING),
    STATUS(NEWT_ECLASS),   STATUS(NEWT_EBROKEN), STATUS(NEWT_ECONFLICT), STATUS(NEWT_ELOST),
    STATUS(NEWT_EUNKNOWN), STATUS(NEWT_EBUSY),   STATUS(NEWT_ESQL),      STATUS(NEWT_ELIMIT),
    STATUS(NEWT_ESTORE),   STATUS(NEWT_ETHREAD), STATUS(NEWT_EUNIQUE),   STATUS(NEWT_EDOOMED),
#undef STATUS
};

/* ---- setting -------------------------------------------------------------------------- */

/* Cuts at `n` or a little before, never inside a UTF-8 sequence; strips trailing newlines. */
static void
trim(char *s, size_t n)
{
    size_t end = strlen(s);

    if (end > n) {
        for (end = n; end > 0 && ((unsigned char)s[end] & 0xc0) == 0x80;)
            end--;
    }
    while (end > 0 && (s[end - 1] == '\n' || s[end - 1] == ' '))
        end--;
    s[end] = 0;
}

static char *
text_of(const char *format, va_list args)
{
    char *s = malloc(LONGEST_TEXT + 8);

    if (s) {
        if (vsnprintf(s, LONGEST_TEXT + 8, format, args) < 0)
            *s = 0;
        trim(s, LONGEST_TEXT);
    }
    return s;
}

void
newt__error_clear(newt_error *e)
{
    free(e->message);
    free(e->detail);
    free(e->hint);
    free(e->class_name);
    free(e->constraint);
    free(e->conflicts);
    *e = (newt_error){0};
}

void
newt__error_move(newt_error *to, newt_error *from)
{
    if (to == from)
        return;
    newt__error_clear(to);
    *to = *from;
    *from = (newt_error){0};
}

int
newt__fail_text(newt_error *e, int status, int64_t oid, const char *format, va_list args)
{
    newt_error fresh = {.status = status, .oid = oid};
    va_list again;

    va_copy(again, args);
    fresh.message = text_of(format, args);
    if (!fresh.message) {
        if (vsnprintf(fresh.fallback, sizeof fresh.fallback, format, again) < 0)
            fresh.fallback[0] = 0;
        trim(fresh.fallback, sizeof fresh.fallback - 1);
    }
    va_end(again);
    /* only now: the arguments may point into e */
    newt__error_move(e, &fresh);
    return status;
}

int
newt__fail(newt_error *e, int status, int64_t oid, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    newt__fail_text(e, status, oid, format, args);
    va_end(args);
    return status;
}

static void
set_text(char **to, const char *format, va_list args)
{
    char *s = text_of(format, args);

    free(*to);
    *to = s;
}

void
newt__fail_detail(newt_error *e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_text(&e->detail, format, args);
    va_end(args);
}

void
newt__fail_hint(newt_error *e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_text(&e->hint, format, args);
    va_end(args);
}

void
newt__fail_class(newt_error *e, const char *name, size_t n)
{
    free(e->class_name);
    e->class_name = strndup(name, n); /* without memory it is not known */
}

int
newt__fail_memory(newt_error *e)
{
    newt__error_clear(e);
    e->status = NEWT_ENOMEM;
    memcpy(e->fallback, newt__no_memory.fallback, sizeof e->fallback);
    return NEWT_ENOMEM;
}

int
newt__fail_changed(newt_error *e)
{
    newt__fail(e, NEWT_ECONFLICT, 0, "object was changed by another transaction");
    memcpy(e->sqlstate, "40001", sizeof e->sqlstate);
    return NEWT_ECONFLICT;
}

int
newt__fail_codec(newt_error *e, int64_t oid, const char *what, const newt__fault *fault)
{
    size_t i = 0;

    while (i < sizeof faults / sizeof *faults - 1 && faults[i].code != fault->code)
        i++;
    if (faults[i].status == NEWT_ENOMEM)
        return newt__fail_memory(e);
    newt__fail(e, faults[i].status, oid, "%s: %s", what,
               fault->reason ? fault->reason : "cannot be converted");
    if (faults[i].status == NEWT_EBROKEN)
        newt__fail_detail(e, "At byte %zu of the record.", fault->offset);
    return faults[i].status;
}

int
newt__fail_value(newt_error *e, int64_t oid, const char *what, const newt__fault *fault)
{
    if (fault->code == NEWT__NOMEM)
        return newt__fail_memory(e);
    return newt__fail(e, fault->code == NEWT__LIMIT ? NEWT_ELIMIT : NEWT_EINVAL, oid, "%s: %s",
                      what, fault->reason);
}

int
newt__options_take(void *to, size_t size, const void *from, const char *name, newt_error *e)
{
    size_t given = *(const size_t *)from; /* the first member */

    if (given >= sizeof given && given <= size) {
        memcpy(to, from, given);
        return NEWT_OK;
    }
    if (given > size) {
        newt__fail(e, NEWT_EINVAL, 0, "%s.size is %zu, but this library knows only %zu bytes", name,
                   given, size);
        newt__fail_hint(e, "The program was compiled with the header of a later version.");
    } else {
        newt__fail(e, NEWT_EINVAL, 0, "%s.size is %zu", name, given);
        newt__fail_hint(e, "Set it to sizeof(%s).", name);
    }
    return NEWT_EINVAL;
}

bool
newt__status_is_retryable(int status)
{
    return status == NEWT_ECONFLICT || status == NEWT_ELOST;
}

/* ---- asking --------------------------------------------------------------------------- */

int
newt_error_status(const newt_error *e)
{
    return e ? e->status : NEWT_OK;
}

const char *
newt_error_message(const newt_error *e)
{
    if (!e)
        return "";
    return e->message ? e->message : e->fallback;
}

const char *
newt_error_detail(const newt_error *e)
{
    return e && e->detail ? e->detail : "";
}

const char *
newt_error_hint(const newt_error *e)
{
    return e && e->hint ? e->hint : "";
}

const char *
newt_error_sqlstate(const newt_error *e)
{
    return e ? e->sqlstate : "";
}

size_t
newt_error_position(const newt_error *e)
{
    return e->position;
}

int64_t
newt_error_oid(const newt_error *e)
{
    return e ? e->oid : 0;
}

const char *
newt_error_class(const newt_error *e)
{
    return e && e->class_name ? e->class_name : "";
}

const char *
newt_error_constraint(const newt_error *e)
{
    return e && e->constraint ? e->constraint : "";
}

const newt_conflict *
newt_error_conflict(const newt_error *e, size_t i)
{
    return e && i < e->n_conflicts ? &e->conflicts[i] : NULL;
}

bool
newt_is_retryable(const newt_error *e)
{
    return e && newt__status_is_retryable(e->status);
}

void
newt_error_free(newt_error *e)
{
    if (e)
        newt__error_clear(e);
    free(e);
}

const char *
newt_status_text(int status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return status > 0 ? "application status" : "unknown status";
}
