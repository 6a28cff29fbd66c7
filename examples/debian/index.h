/*
 * index.h - the package index of a Debian archive, in memory
 *
 * Reads the lists that apt keeps, or files in their format (deb822): Packages, and Translation-en
 * for the long descriptions. Of a package that is listed more than once the newest version counts.
 */
#ifndef DEMO_INDEX_H
#define DEMO_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span { /* n bytes of a text that the index owns; s == NULL: no such field */
    const char *s;
    size_t n;
};

struct entry {
    struct span name, version, architecture, section, priority, maintainer, essential, summary,
        description, description_md5, homepage, tags, depends, pre_depends, recommends, provides;
    struct span size_text, installed_size_text;
    uint64_t size, installed_size; /* bytes */
};

struct provision { /* a name, and an entry that answers to it */
    struct span name;
    uint32_t entry;
};

struct index {
    struct entry *entries; /* by section, then by name */
    size_t n, cap;
    struct provision *provisions; /* by name: packages by their own first */
    size_t n_provisions;
    struct entry *translations;
    size_t n_translations, cap_translations;
    char **texts;
    size_t n_texts;
    size_t bytes;
    uint64_t digest;
    char source[256];
    char error[512];
};

/* False: nothing was read, and `error` says why. Afterwards index_finish, or index_free. */
bool index_read_apt(struct index *x); /* no lists: true, and n is 0 */
bool index_read_file(struct index *x, const char *path);
bool index_finish(struct index *x); /* sorts, drops older versions, joins the translations */
bool index_limit(struct index *x, size_t limit); /* afterwards: keeps the first packages only */
void index_free(struct index *x);

/* The entries that answer to a name: the package of that name, else those that provide it. Returns
 * how many; *first is the first of them in `provisions`. */
size_t index_resolve(const struct index *x, struct span name, const struct provision **first);

/* Take the next item off a field: of "a (>= 1) | b:any, c" first "a (>= 1) | b:any", and of that
 * the names "a" and "b". False: there is none. */
bool next_item(struct span *field, struct span *item);
bool next_alternative(struct span *item, struct span *name);

int compare_versions(struct span a, struct span b);
int compare_spans(struct span a, struct span b);

#endif
