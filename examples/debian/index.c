/*
 * index.c - reads deb822 stanzas; sorts, joins and resolves what they name
 */
#include "index.h"

#include "child.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define APT_HELPER "/usr/lib/apt/apt-helper"

static bool
fail(struct index *x, const char *what, const char *why)
{
    snprintf(x->error, sizeof x->error, "%s: %s", what, why);
    return false;
}

/* ---- texts ---------------------------------------------------------------------------------- */

int
compare_spans(struct span a, struct span b)
{
    int order = memcmp(a.s ? a.s : "", b.s ? b.s : "", a.n < b.n ? a.n : b.n);

    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static struct span
trimmed(struct span t)
{
    while (t.n && isspace((unsigned char)t.s[0]))
        t.s++, t.n--;
    while (t.n && isspace((unsigned char)t.s[t.n - 1]))
        t.n--;
    return t;
}

static bool
cut_at(struct span *field, char separator, struct span *item)
{
    const char *end;

    do {
        if (!field->n)
            return false;
        end = memchr(field->s, separator, field->n);
        *item = trimmed((struct span){field->s, end ? (size_t)(end - field->s) : field->n});
        field->n = end ? field->n - (size_t)(end + 1 - field->s) : 0;
        field->s = end ? end + 1 : field->s;
    } while (!item->n);
    return true;
}

bool
next_item(struct span *field, struct span *item)
{
    return cut_at(field, ',', item);
}

bool
next_alternative(struct span *item, struct span *name)
{
    if (!cut_at(item, '|', name))
        return false;
    for (size_t i = 0; i < name->n; i++)
        if (strchr(" \t\n(:[<", name->s[i]))
            name->n = i;
    return true;
}

/* Debian Policy 5.6.12: stretches without digits, where "~" sorts before the end and letters
 * before the rest, alternate with numbers. */
static int
weight(struct span t, size_t i)
{
    int c = i < t.n ? (unsigned char)t.s[i] : 0;

    return c == '~' ? -1 : !c || isdigit(c) ? 0 : isalpha(c) ? c : c + 256;
}

static int
compare_parts(struct span a, struct span b)
{
    size_t i = 0, j = 0;

    while (i < a.n || j < b.n) {
        int order = 0;

        while ((i < a.n && !isdigit((unsigned char)a.s[i])) ||
               (j < b.n && !isdigit((unsigned char)b.s[j]))) {
            order = weight(a, i) - weight(b, j);
            if (order)
                return order;
            i += i < a.n;
            j += j < b.n;
        }
        while (i < a.n && a.s[i] == '0')
            i++;
        while (j < b.n && b.s[j] == '0')
            j++;
        for (; i < a.n && isdigit((unsigned char)a.s[i]); i++, j++) {
            if (j == b.n || !isdigit((unsigned char)b.s[j]))
                return 1;
            if (!order)
                order = a.s[i] - b.s[j];
        }
        if (j < b.n && isdigit((unsigned char)b.s[j]))
            return -1;
        if (order)
            return order;
    }
    return 0;
}

/* epoch:upstream-revision */
static struct span
take_epoch(struct span *v)
{
    const char *colon = v->n ? memchr(v->s, ':', v->n) : NULL;
    struct span epoch = {v->s, colon ? (size_t)(colon - v->s) : 0};

    if (colon)
        *v = (struct span){colon + 1, v->n - epoch.n - 1};
    return epoch;
}

static struct span
take_revision(struct span *v)
{
    for (size_t i = v->n; i-- > 0;)
        if (v->s[i] == '-') {
            struct span revision = {v->s + i + 1, v->n - i - 1};

            v->n = i;
            return revision;
        }
    return (struct span){v->s, 0};
}

int
compare_versions(struct span a, struct span b)
{
    struct span epoch_a = take_epoch(&a), epoch_b = take_epoch(&b);
    struct span revision_a = take_revision(&a), revision_b = take_revision(&b);
    int order = compare_parts(epoch_a, epoch_b);

    if (!order)
        order = compare_parts(a, b);
    return order ? order : compare_parts(revision_a, revision_b);
}

/* ---- reading -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t offset; /* of the span in struct entry */
} fields[] = {
    {"Package", offsetof(struct entry, name)},
    {"Version", offsetof(struct entry, version)},
    {"Architecture", offsetof(struct entry, architecture)},
    {"Section", offsetof(struct entry, section)},
    {"Priority", offsetof(struct entry, priority)},
    {"Maintainer", offsetof(struct entry, maintainer)},
    {"Essential", offsetof(struct entry, essential)},
    {"Description", offsetof(struct entry, description)},
    {"Description-en", offsetof(struct entry, description)},
    {"Description-md5", offsetof(struct entry, description_md5)},
    {"Homepage", offsetof(struct entry, homepage)},
    {"Tag", offsetof(struct entry, tags)},
    {"Depends", offsetof(struct entry, depends)},
    {"Pre-Depends", offsetof(struct entry, pre_depends)},
    {"Recommends", offsetof(struct entry, recommends)},
    {"Provides", offsetof(struct entry, provides)},
    {"Size", offsetof(struct entry, size_text)},
    {"Installed-Size", offsetof(struct entry, installed_size_text)},
};

static struct span *
field_of(struct entry *e, const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strlen(fields[i].name) == n && strncasecmp(fields[i].name, name, n) == 0)
            return (struct span *)(void *)((char *)e + fields[i].offset);
    return NULL;
}

static bool
number_of(struct span t, uint64_t unit, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < t.n; i++) {
        if (!isdigit((unsigned char)t.s[i]) || *out > (uint64_t)INT64_MAX / unit / 10 - 1)
            return false;
        *out = *out * 10 + (uint64_t)(t.s[i] - '0');
    }
    *out *= unit;
    return true;
}

/* The first line is the summary; the others begin with a space, and " ." is an empty line. What
 * remains is shorter, so it is made in place. */
static void
unfold(struct entry *e, char *text)
{
    const char *s = e->description.s, *end = s + e->description.n, *line;
    char *out;

    if (!s)
        return;
    line = memchr(s, '\n', e->description.n);
    e->summary = trimmed((struct span){s, line ? (size_t)(line - s) : e->description.n});
    if (!line) {
        e->description = (struct span){NULL, 0};
        return;
    }
    out = text + (line + 1 - text);
    e->description.s = out;
    for (s = line + 1; s < end; s = line) {
        size_t n;

        line = memchr(s, '\n', (size_t)(end - s));
        line = line ? line + 1 : end;
        s += isspace((unsigned char)*s) && *s != '\n';
        n = (size_t)(line - s);
        if (n && s[0] == '.' && (n == 1 || s[1] == '\n'))
            s++, n--;
        memmove(out, s, n);
        out += n;
    }
    e->description.n = (size_t)(out - e->description.s);
    e->description = trimmed(e->description);
}

static bool
add(struct index *x, struct entry *e, char *text, const char *path, size_t line)
{
    bool translation = e->description_md5.s && !e->version.s;
    struct entry **list = translation ? &x->translations : &x->entries, *more;
    size_t *n = translation ? &x->n_translations : &x->n;
    size_t *cap = translation ? &x->cap_translations : &x->cap;
    char where[300];

    snprintf(where, sizeof where, "%.250s, line %zu", path, line);
    if (!e->name.n || (!translation && (!e->version.n || !e->section.n || !e->maintainer.n)))
        return fail(x, where, "an entry needs Package, Version, Section and Maintainer");
    if (!number_of(e->size_text, 1, &e->size) ||
        !number_of(e->installed_size_text, 1024, &e->installed_size))
        return fail(x, where, "Size and Installed-Size must be numbers");
    unfold(e, text);
    if (*n == *cap) {
        *cap = *cap ? *cap * 2 : 1024;
        more = realloc(*list, *cap * sizeof **list);
        if (!more)
            return fail(x, path, "out of memory");
        *list = more;
    }
    (*list)[(*n)++] = *e;
    return true;
}

/* Stanzas of "Name: value" and continuation lines, separated by empty lines. */
static bool
parse(struct index *x, char *text, size_t n, const char *path)
{
    struct entry e = {0};
    struct span *field = NULL;
    const char *end = text + n, *next;
    size_t line = 1;
    bool any = false;
    char where[300];

    for (const char *s = text; s < end; s = next, line++) {
        const char *eol = memchr(s, '\n', (size_t)(end - s)), *colon;

        next = eol ? eol + 1 : end;
        eol = eol ? eol : end;
        if (s == eol) {
            if (any && !add(x, &e, text, path, line))
                return false;
            e = (struct entry){0};
            field = NULL;
            any = false;
        } else if (*s == ' ' || *s == '\t') {
            if (field)
                field->n = (size_t)(eol - field->s);
        } else {
            colon = memchr(s, ':', (size_t)(eol - s));
            if (!colon) {
                snprintf(where, sizeof where, "%.250s, line %zu", path, line);
                return fail(x, where, "not a field (\"Name: value\")");
            }
            field = field_of(&e, s, (size_t)(colon - s));
            if (field)
                *field = trimmed((struct span){colon + 1, (size_t)(eol - colon - 1)});
            any = true;
        }
    }
    return !any || add(x, &e, text, path, line);
}

/* Takes the text. */
static bool
take(struct index *x, char *text, size_t n, const char *path)
{
    char **more = realloc(x->texts, (x->n_texts + 1) * sizeof *more);

    if (!more) {
        free(text);
        return fail(x, path, "out of memory");
    }
    x->texts = more;
    x->texts[x->n_texts++] = text;
    x->bytes += n;
    x->digest = x->digest ? x->digest : 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        x->digest = (x->digest ^ (unsigned char)text[i]) * 1099511628211u;
    return parse(x, text, n, path);
}

static bool
output_of(struct index *x, const char *const *argv, const char *about, char **text, size_t *n)
{
    struct child child;
    int status;

    if (!child_start(&child, argv, false))
        return fail(x, argv[0], strerror(errno));
    *text = child_read(&child, n);
    status = child_end(&child);
    if (*text && status == 0)
        return true;
    free(*text);
    *text = NULL;
    return fail(x, about, status == 127 ? "cannot run the program that reads it" : "unreadable");
}

bool
index_read_file(struct index *x, const char *path)
{
    const char *const helper[] = {APT_HELPER, "cat-file", path, NULL};
    char *text = NULL;
    size_t n = 0;
    int fd;
    bool ok;

    if (!x->source[0])
        snprintf(x->source, sizeof x->source, "%s", path);
    if (access(APT_HELPER, X_OK) == 0) { /* it knows every compression that apt uses */
        ok = output_of(x, helper, path, &text, &n);
    } else {
        fd = open(path, O_RDONLY);
        text = fd >= 0 ? read_all(fd, &n) : NULL;
        ok = text || fail(x, path, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    return ok && take(x, text, n, path);
}

/* One line of what apt lists: who made the file, architecture, language, name. Of several
 * architectures the machine's own counts, and of the translations the English ones. */
static bool
read_target(struct index *x, char *line, const char *architecture, size_t *files)
{
    char *words[4], *rest = NULL;

    for (size_t i = 0; i < 4; i++, line = NULL)
        if (!(words[i] = strtok_r(line, "|", &rest)))
            return true;
    if ((strcmp(words[0], "Packages") != 0 || strcmp(words[1], architecture) != 0) &&
        (strcmp(words[0], "Translations") != 0 || strcmp(words[2], "-en") != 0))
        return true;
    if (access(words[3], R_OK) != 0) /* configured, but not fetched */
        return true;
    (*files)++;
    return index_read_file(x, words[3]);
}

bool
index_read_apt(struct index *x)
{
    static const char *const dpkg[] = {"dpkg", "--print-architecture", NULL};
    /* "-": strtok skips empty words, and apt leaves a variable that it lacks as it is */
    static const char *const apt_get[] = {"apt-get", "indextargets", "--format",
                                          "$(CREATED_BY)|-$(ARCHITECTURE)|-$(LANGUAGE)|$(FILENAME)",
                                          NULL};
    char *architecture = NULL, *lines = NULL, *rest = NULL, own[64];
    size_t n, files = 0;
    bool ok;

    if (access("/usr/bin/apt-get", X_OK) != 0)
        return true;
    snprintf(x->source, sizeof x->source, "apt");
    ok = output_of(x, dpkg, "the architecture", &architecture, &n) &&
         output_of(x, apt_get, "apt's lists", &lines, &n);
    if (ok) {
        architecture[strcspn(architecture, "\n")] = 0;
        snprintf(own, sizeof own, "-%s", architecture);
    }
    for (char *line = ok ? strtok_r(lines, "\n", &rest) : NULL; ok && line;
         line = strtok_r(NULL, "\n", &rest))
        ok = read_target(x, line, own, &files);
    if (ok)
        snprintf(x->source, sizeof x->source, "the %zu lists that apt keeps here, for %s", files,
                 architecture);
    free(architecture);
    free(lines);
    return ok;
}

/* ---- order ---------------------------------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = compare_spans(x->name, y->name);

    return order ? order : -compare_versions(x->version, y->version);
}

static int
by_section(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = compare_spans(x->section, y->section);

    return order ? order : compare_spans(x->name, y->name);
}

static int
by_md5(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return compare_spans(x->description_md5, y->description_md5);
}

static int
by_provided_name(const void *a, const void *b)
{
    const struct provision *x = a, *y = b;
    int order = compare_spans(x->name, y->name);

    return order ? order : (x->entry > y->entry) - (x->entry < y->entry);
}

static bool
collect_provisions(struct index *x)
{
    size_t n = 0;

    free(x->provisions);
    x->provisions = NULL;
    for (int pass = 0; pass < 2; pass++) {
        n = 0;
        for (size_t i = 0; i < x->n; i++) {
            struct span field = x->entries[i].provides, item, name;

            if (pass)
                x->provisions[n] = (struct provision){x->entries[i].name, (uint32_t)i};
            n++;
            while (next_item(&field, &item)) {
                if (!next_alternative(&item, &name))
                    continue;
                if (pass)
                    x->provisions[n] = (struct provision){name, (uint32_t)i};
                n++;
            }
        }
        if (!pass && !(x->provisions = calloc(n + 1, sizeof *x->provisions)))
            return fail(x, x->source, "out of memory");
    }
    x->n_provisions = n;
    qsort(x->provisions, n, sizeof *x->provisions, by_provided_name);
    return true;
}

bool
index_finish(struct index *x)
{
    size_t unique = 0;

    if (x->n == 0)
        return fail(x, x->source, "no packages");
    if (x->n > UINT32_MAX)
        return fail(x, x->source, "too many packages");
    qsort(x->entries, x->n, sizeof *x->entries, by_name);
    for (size_t i = 0; i < x->n; i++)
        if (i == 0 || compare_spans(x->entries[i].name, x->entries[unique - 1].name) != 0)
            x->entries[unique++] = x->entries[i];
    x->n = unique;
    qsort(x->entries, x->n, sizeof *x->entries, by_section);
    if (x->n_translations)
        qsort(x->translations, x->n_translations, sizeof *x->translations, by_md5);
    for (size_t i = 0; i < x->n && x->n_translations; i++) {
        struct entry *e = &x->entries[i], *t;

        if (e->description.s || !e->description_md5.s)
            continue;
        t = bsearch(e, x->translations, x->n_translations, sizeof *t, by_md5);
        if (t) {
            e->summary = t->summary;
            e->description = t->description;
        }
    }
    return collect_provisions(x);
}

bool
index_limit(struct index *x, size_t limit)
{
    if (limit >= x->n)
        return true;
    x->n = limit;
    x->digest ^= limit; /* another index */
    return collect_provisions(x);
}

size_t
index_resolve(const struct index *x, struct span name, const struct provision **first)
{
    size_t low = 0, high = x->n_provisions, n = 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_spans(x->provisions[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i < x->n_provisions && compare_spans(x->provisions[i].name, name) == 0;
         i++, n++)
        if (compare_spans(x->entries[x->provisions[i].entry].name, name) == 0) {
            *first = &x->provisions[i];
            return 1;
        }
    *first = &x->provisions[low];
    return n;
}

void
index_free(struct index *x)
{
    for (size_t i = 0; i < x->n_texts; i++)
        free(x->texts[i]);
    free(x->texts);
    free(x->entries);
    free(x->translations);
    free(x->provisions);
    *x = (struct index){0};
}
