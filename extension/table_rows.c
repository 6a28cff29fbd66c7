/*
 * table_rows.c - record -> rows of typed tables
 *
 * The fields of a record stand in the order of keys, and so do those that have columns: both are
 * gone through together, once. Recursion is as deep as the structs of a class lie in each other,
 * never as deep as the record.
 */
#include "tables.h"

#include "utils/builtins.h"

typedef struct build {
    const newt_pg_tables *tables;
    newt__reader *r;
    newt_pg_rows *rows;
    newt_pg_where *where;
} build;

static newt_pg_row *
add_row(build *b, int relation)
{
    newt_pg_rows *rows = &b->rows[relation];
    newt_pg_row *row;

    if (rows->n == rows->cap) {
        rows->cap = Max(8, 2 * rows->cap);
        rows->rows = rows->rows ? repalloc_huge(rows->rows, rows->cap * sizeof *rows->rows)
                                : palloc(rows->cap * sizeof *rows->rows);
    }
    row = &rows->rows[rows->n++];
    row->values = palloc0(rows->natts * (sizeof *row->values + sizeof *row->nulls));
    row->nulls = (bool *)(row->values + rows->natts);
    memset(row->nulls, true, rows->natts);
    row->values[b->tables->relations[relation].id - 1] = Int64GetDatum(b->where->zoid);
    row->nulls[b->tables->relations[relation].id - 1] = false;
    return row;
}

static void
set(const newt_pg_row *row, AttrNumber att, Datum value)
{
    row->values[att - 1] = value;
    row->nulls[att - 1] = false;
}

static void
set_column(build *b, const newt__token *t, const newt_pg_column *c, const newt_pg_row *row)
{
    b->where->column = c;
    row->values[c->att - 1] = c->is_array ? newt_pg_cells(b->r, t, c->type, &row->nulls[c->att - 1])
                                          : newt_pg_cell(b->r, t, c->type, &row->nulls[c->att - 1]);
}

/* Text that can only be shown in part is no key: two may look the same. It is shown as JSON does.
 */
static void
set_key(build *b, const newt__token *t, const newt_pg_column *c, const newt_pg_row *row)
{
    bool is_text = c->type == NEWT_PG_STRING && !c->is_array &&
                   (t->kind == NEWT__RAW_TEXT || (t->kind == NEWT__TEXT && memchr(t->s, 0, t->n)));

    b->where->column = c;
    if (is_text)
        set(row, c->att,
            CStringGetTextDatum(
                JsonbToCString(NULL, &newt_pg_cell_document(b->r, t)->root, (int)t->n)));
    else
        set_column(b, t, c, row);
}

static void read_level(build *b, const newt__token *t, const newt_pg_level *level,
                       const newt_pg_row *row);

/* The item of a collection that token t begins. */
static void
read_item(build *b, const newt__token *t, const newt_pg_relation *relation, const newt_pg_row *row)
{
    if (relation->value)
        set_column(b, t, relation->value, row);
    else
        read_level(b, t, &relation->level, row);
}

/* Which tokens a collection of a shape may be. */
static bool
is_of_shape(const newt__token *t, newt_pg_shape shape)
{
    switch (shape) {
    case NEWT_PG_LIST:
    case NEWT_PG_SET: return t->kind == NEWT__ARRAY || t->kind == NEWT__SET;
    case NEWT_PG_MAP: /* pairs: a key is not UTF-8 */
    case NEWT_PG_PAIRS: return t->kind == NEWT__PAIRS || t->kind == NEWT__MAP;
    default: return false;
    }
}

static void
read_collection(build *b, const newt__token *collection, int child)
{
    const newt_pg_relation *relation = &b->tables->relations[child];
    newt__token t;

    if (!is_of_shape(collection, relation->shape)) {
        newt_pg_skip(b->r, collection);
        return;
    }
    b->where->relation = relation;
    for (int32 n = 1;; n++) {
        newt_pg_row *row;

        newt_pg_next_token(b->r, &t);
        if (t.kind == NEWT__END)
            break;
        if (t.hidden) {
            newt_pg_skip(b->r, &t);
            n--;
            continue;
        }
        row = add_row(b, child);
        if (relation->n)
            set(row, relation->n, Int32GetDatum(n));
        if (relation->key) {
            set_key(b, &t, relation->key, row);
            newt_pg_next_token(b->r, &t);
        }
        if (t.hidden)
            newt_pg_skip(b->r, &t);
        else
            read_item(b, &t, relation, row);
        /* what another version of the class has written, and is no key now, has no row */
        if ((relation->key && row->nulls[relation->key->att - 1]) || t.hidden ||
            (relation->shape == NEWT_PG_SET && relation->value &&
             row->nulls[relation->value->att - 1]))
            b->rows[child].n--;
    }
    b->where->relation = &b->tables->relations[0];
}

/* What stands under an older name counts only if nothing stands under a newer one. */
static bool
is_out_of_date(build *b, const newt_pg_field *f, const newt_pg_row *row)
{
    if (f->column)
        return f->is_older && !row->nulls[f->column->att - 1];
    if (f->child >= 0 && b->rows[f->child].n > 0) {
        if (f->is_older)
            return true;
        b->rows[f->child].n = 0;
    }
    return false;
}

static void
read_field(build *b, const newt__token *t, const newt_pg_field *f, const newt_pg_row *row)
{
    if (is_out_of_date(b, f, row))
        newt_pg_skip(b->r, t);
    else if (f->column)
        set_column(b, t, f->column, row);
    else if (f->level)
        read_level(b, t, f->level, row);
    else
        read_collection(b, t, f->child);
}

static void
read_level(build *b, const newt__token *map, const newt_pg_level *level, const newt_pg_row *row)
{
    newt__token t;
    int at = 0;

    if (map->kind != NEWT__MAP && map->kind != NEWT__OBJECT) {
        newt_pg_skip(b->r, map);
        return;
    }
    for (;;) {
        int order = -1;

        newt_pg_next_token(b->r, &t);
        if (t.kind == NEWT__END)
            return;
        while (at < level->n &&
               (order = newt__key_order(level->fields[at].name, level->fields[at].n, t.s, t.n)) < 0)
            at++;
        newt_pg_next_token(b->r, &t);
        if (at == level->n || order != 0 || t.hidden)
            newt_pg_skip(b->r, &t);
        else
            read_field(b, &t, &level->fields[at], row);
    }
}

bool
newt_pg_rows_of(const newt_pg_tables *tables, int64 zoid, newt__reader *head, newt_pg_rows *rows,
                newt_pg_where *where)
{
    build b = {.tables = tables, .r = head, .rows = rows, .where = where};
    newt__token t;

    *where = (newt_pg_where){.relation = &tables->relations[0], .zoid = zoid};
    for (int i = 0; i < tables->n; i++)
        rows[i] = (newt_pg_rows){.natts = rows[i].natts};
    newt_pg_next_token(head, &t);
    if (t.hidden)
        return false;
    read_level(&b, &t, &tables->relations[0].level, add_row(&b, 0));
    newt_pg_next_token(head, &t); /* the record's end: it is read to its last byte */
    where->column = NULL;
    return true;
}
