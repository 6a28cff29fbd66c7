/* lines.c - writing the lines of the NDJSON sink, and reading its marks */
#include "lines.h"

#include "settings.h"

#include <stdlib.h>
#include <string.h>

/* ---- bytes ---------------------------------------------------------------------------- */

static bool
reserve(lines *l, size_t n)
{
    if (l->room - l->n >= n)
        return true;
    size_t room = l->room ? l->room : 1 << 16;
    while (room - l->n < n) {
        if (room > SIZE_MAX / 2) {
            l->failed = true;
            return false;
        }
        room *= 2;
    }
    char *p = realloc(l->p, room);
    if (!p) {
        l->failed = true;
        return false;
    }
    l->p = p;
    l->room = room;
    return true;
}

static void
put(lines *l, const void *p, size_t n)
{
    if (reserve(l, n)) {
        memcpy(l->p + l->n, p, n);
        l->n += n;
    }
}

#define PUT(l, literal) put(l, literal, sizeof(literal) - 1)

static void
put_number(lines *l, int64_t x)
{
    char digits[24], *d = digits + sizeof digits;
    uint64_t rest = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    do
        *--d = (char)('0' + rest % 10);
    while (rest /= 10);
    if (x < 0)
        *--d = '-';
    put(l, d, (size_t)(digits + sizeof digits - d));
}

/* Text as a JSON string; returns its length. out has room for 6 n + 2 bytes. */
static size_t
quote(char *out, const char *text, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    char *o = out;
    *o++ = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20) {
            memcpy(o, "\\u00", 4);
            o[4] = hex[c >> 4];
            o[5] = hex[c & 15];
            o += 6;
        } else {
            if (c == '"' || c == '\\')
                *o++ = '\\';
            *o++ = (char)c;
        }
    }
    *o++ = '"';
    return (size_t)(o - out);
}

static void
put_text(lines *l, const char *text)
{
    size_t n = strlen(text);
    if (n <= (SIZE_MAX - 2) / 6 && reserve(l, 6 * n + 2))
        l->n += quote(l->p + l->n, text, n);
}

/* Objects of a class come one after the other. */
static void
put_class(lines *l, const char *name)
{
    size_t n = strlen(name);
    if (n >= sizeof l->class_name) {
        put_text(l, name);
        return;
    }
    if (l->class_n == 0 || memcmp(l->class_name, name, n + 1) != 0) {
        memcpy(l->class_name, name, n + 1);
        l->class_n = quote(l->class_json, name, n);
    }
    put(l, l->class_json, l->class_n);
}

void
lines_free(lines *l)
{
    free(l->p);
    *l = (lines){0};
}

void
lines_break(lines *l)
{
    PUT(l, "\n");
}

/* ---- lines ---------------------------------------------------------------------------- */

void
lines_event(lines *l, const newt_event *e)
{
    bool written = e->kind == NEWT_EVENT_WRITTEN;
    PUT(l, "{\"oid\":");
    put_number(l, e->oid);
    PUT(l, ",\"tid\":");
    put_number(l, e->tid);
    if (written)
        PUT(l, ",\"op\":\"write\"");
    else
        PUT(l, ",\"op\":\"remove\"");
    if (e->class_name && *e->class_name) {
        PUT(l, ",\"class\":");
        put_class(l, e->class_name);
    }
    if (written && (e->superseded || e->serial == 0)) {
        PUT(l, ",\"superseded\":true");
    } else if (written) {
        PUT(l, ",\"serial\":");
        put_number(l, e->serial);
        PUT(l, ",\"state\":");
        if (e->json)
            put(l, e->json, e->json_n);
        else
            PUT(l, "null");
    }
    PUT(l, "}\n");
}

void
lines_transaction(lines *l, const newt_feed_transaction *t)
{
    const struct {
        const char *name, *text;
    } texts[] = {{",\"user\":", t->user}, {",\"description\":", t->description}};
    PUT(l, MARK_PREFIX "transaction\",\"tid\":");
    put_number(l, t->tid);
    PUT(l, ",\"committed_us\":");
    put_number(l, t->committed_us);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].text) {
            put(l, texts[i].name, strlen(texts[i].name));
            put_text(l, texts[i].text);
        }
    if (t->extension) {
        PUT(l, ",\"extension\":");
        put(l, t->extension, strlen(t->extension));
    }
    PUT(l, "}\n");
}

/* ---- marks ---------------------------------------------------------------------------- */

static const char *const mark_names[] = {[MARK_FILE] = "file",
                                         [MARK_BATCH] = "batch",
                                         [MARK_COPY_BEGIN] = "copy-begin",
                                         [MARK_COPY] = "copy",
                                         [MARK_COPY_END] = "copy-end"};

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* How classes stand in the line of a file, in order; nothing for an empty list: all. */
static void
put_classes(lines *l, const char *const *classes)
{
    const char *sorted[SETTINGS_LIST];
    size_t n = 0;
    while (classes && classes[n] && n < SETTINGS_LIST) {
        sorted[n] = classes[n];
        n++;
    }
    qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && strcmp(sorted[i], sorted[i - 1]) == 0)
            continue;
        if (i > 0)
            PUT(l, ",");
        else
            PUT(l, ",\"classes\":[");
        put_text(l, sorted[i]);
    }
    if (n > 0)
        PUT(l, "]");
}

void
lines_mark(lines *l, const mark *m)
{
    PUT(l, MARK_PREFIX);
    put(l, mark_names[m->kind], strlen(mark_names[m->kind]));
    PUT(l, "\"");
    if (m->kind == MARK_FILE) {
        PUT(l, ",\"schema\":");
        put_text(l, m->schema);
        PUT(l, ",\"follower\":");
        put_text(l, m->follower);
        put_classes(l, m->classes);
    }
    if (m->kind == MARK_COPY) {
        PUT(l, ",\"after\":");
        put_number(l, m->after);
    }
    if (m->copying) {
        PUT(l, ",\"up_to\":");
        put_number(l, m->up_to);
    } else if (*m->token) {
        PUT(l, ",\"token\":");
        put_text(l, m->token);
    }
    if (m->tid) {
        PUT(l, ",\"tid\":");
        put_number(l, m->tid);
    }
    PUT(l, "}\n");
}

/* Where the value of a name begins: marks are lines of ours, without white space. */
static const char *
value_of(const char *line, size_t n, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i + length <= n; i++)
        if (line[i] == ',' && memcmp(line + i, name, length) == 0)
            return line + i + length;
    return NULL;
}

bool
lines_same_classes(const char *line, size_t n, const char *const *classes)
{
    static const char name[] = ",\"classes\":[";
    lines l = {0};
    put_classes(&l, classes);
    const char *there = value_of(line, n, name), *at = there ? there - (sizeof name - 1) : NULL;
    bool same = !at ? l.n == 0
                    : l.n > 0 && (size_t)(line + n - at) > l.n && memcmp(at, l.p, l.n) == 0;
    same |= l.failed; /* no reason to warn */
    lines_free(&l);
    return same;
}

static bool
read_number(const char *line, size_t n, const char *name, int64_t *out)
{
    const char *text = value_of(line, n, name);
    char digits[24];
    size_t length = 0;
    while (text && text + length < line + n && length + 1 < sizeof digits &&
           strchr("-0123456789", text[length])) {
        digits[length] = text[length];
        length++;
    }
    digits[length] = 0;
    *out = strtoll(digits, NULL, 10);
    return length > 0;
}

static bool
read_token(const char *line, size_t n, char *out)
{
    const char *text = value_of(line, n, ",\"token\":\""), *end = line + n;
    size_t length = 0;
    *out = 0;
    if (!text)
        return true;
    for (; text < end && *text != '"'; text++) {
        text += *text == '\\';
        if (text == end || length + 1 == MARK_TOKEN)
            return false;
        out[length++] = *text;
    }
    out[length] = 0;
    return text < end;
}

bool
mark_read(const char *line, size_t n, mark *m)
{
    const size_t prefix = sizeof MARK_PREFIX - 1;
    if (n < prefix + 2 || memcmp(line, MARK_PREFIX, prefix) != 0 || line[n - 1] != '}')
        return false;
    for (size_t i = 0; i < sizeof mark_names / sizeof *mark_names; i++) {
        size_t length = strlen(mark_names[i]);
        if (n <= prefix + length || memcmp(line + prefix, mark_names[i], length) != 0 ||
            line[prefix + length] != '"')
            continue;
        *m = (mark){.kind = (mark_kind)i};
        m->copying = read_number(line, n, ",\"up_to\":", &m->up_to);
        if (!read_number(line, n, ",\"after\":", &m->after))
            m->after = 0;
        if (!read_number(line, n, ",\"tid\":", &m->tid))
            m->tid = 0;
        return read_token(line, n, m->token);
    }
    return false;
}
