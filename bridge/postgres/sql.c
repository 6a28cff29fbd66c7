/*
 * sql.c - the names that SQL has for a store: its quoted schema, its server's incarnation
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the statements ask for the server's incarnation. A standby cannot read an UNLOGGED table: it
 * has none, and what has become of one that is a standby no longer is to be found out. */
static const char *const incarnations[] = {
    "(SELECT id FROM @store@.newt_incarnation WHERE one)",
    "CASE WHEN pg_is_in_recovery() THEN '00000000-0000-0000-0000-000000000000'::uuid "
    "ELSE 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid END",
};

/* A mark in SQL, and what stands for it. */
typedef struct mark {
    const char *name, *value;
} mark;

static const mark *
mark_at(const char *at, const mark *marks)
{
    for (; marks->name; marks++)
        if (strncmp(at, marks->name, strlen(marks->name)) == 0)
            return marks;
    return NULL;
}

/* text with every mark replaced, up to a mark without a name, at once: a schema may be called like
 * a mark. malloc'ed, NULL: no memory */
static char *
expand(const char *text, const mark *marks)
{
    size_t n = strlen(text) + 1;
    const mark *m;
    const char *at;
    char *out, *to;

    for (at = text; (at = strchr(at, '@')); at++)
        if ((m = mark_at(at, marks)))
            n += strlen(m->value);
    out = to = malloc(n);
    if (!out)
        return NULL;
    for (at = text; *at;) {
        m = *at == '@' ? mark_at(at, marks) : NULL;
        if (m) {
            memcpy(to, m->value, strlen(m->value));
            to += strlen(m->value);
            at += strlen(m->name);
        } else {
            *to++ = *at++;
        }
    }
    *to = 0;
    return out;
}

char *
newt__sql_expand(const char *text, const char *schema)
{
    const mark marks[] = {{"@store@", schema}, {NULL, NULL}};

    return expand(text, marks);
}

/* What stands for it between E' and '; malloc'ed, NULL: no memory */
static char *
literal(const char *schema)
{
    char *out = malloc(2 * strlen(schema) + 1), *to = out;

    for (; out && *schema; *to++ = *schema++)
        if (*schema == '\'' || *schema == '\\')
            *to++ = *schema;
    if (out)
        *to = 0;
    return out;
}

static char *
statement(newt__statement s, bool standby, const char *schema)
{
    mark text[] = {{NEWT__INCARNATION, incarnations[standby]}, {NULL, NULL}};
    mark marks[] = {{"@store@", schema}, {"@literal@", NULL}, {NULL, NULL}};
    char *escaped = literal(schema), *half = expand(newt__statements[s], text), *out = NULL;

    marks[1].value = escaped;
    if (escaped && half)
        out = expand(half, marks);
    free(escaped);
    free(half);
    return out;
}

void
newt__sql_free(struct newt__sql *sql)
{
    if (!sql)
        return;
    for (int i = 0; i < NEWT__N_STATEMENTS; i++) {
        if (sql->text[true][i] != sql->text[false][i])
            free(sql->text[true][i]);
        free(sql->text[false][i]);
    }
    PQfreemem(sql->schema);
    free(sql->oid_sequence);
    free(sql->serial_sequence);
    free(sql);
}

struct newt__sql *
newt__sql_new(PGconn *pg, const char *schema)
{
    struct newt__sql *sql = calloc(1, sizeof *sql);
    bool ok;

    if (!sql)
        return NULL;
    sql->schema = PQescapeIdentifier(pg, schema, strlen(schema));
    if (!sql->schema)
        goto fail;
    sql->oid_sequence = newt__sql_expand("@store@.newt_oid", sql->schema);
    sql->serial_sequence = newt__sql_expand("@store@.newt_serial", sql->schema);
    ok = sql->oid_sequence && sql->serial_sequence;
    for (int i = 0; i < NEWT__N_STATEMENTS; i++)
        snprintf(sql->name[i], sizeof sql->name[i], "newt_%d", i);
    for (int i = 0; ok && i < NEWT__N_STATEMENTS; i++) {
        newt__statement s = (newt__statement)i;
        bool other = strstr(newt__statements[i], NEWT__INCARNATION); /* on a standby */

        sql->text[false][i] = statement(s, false, sql->schema);
        sql->text[true][i] = other ? statement(s, true, sql->schema) : sql->text[false][i];
        ok = sql->text[false][i] && sql->text[true][i];
    }
    if (ok)
        return sql;
fail:
    newt__sql_free(sql);
    return NULL;
}
