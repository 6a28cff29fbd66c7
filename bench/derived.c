/*
 * derived.c - derived columns: commits that keep them, and a subtree that moves
 *
 *     derived fill SCHEMA N
 *         a new store with a tree of N objects, one in ten a folder, 12 deep
 *
 *     derived commits SCHEMA BARE
 *         changes of an object with three dependents, and of the same in the store BARE, which has
 *         no derived columns; in turns
 *
 *     derived move SCHEMA
 *         moves a ninth of the tree below another folder
 *
 *     derived write SCHEMA FILE
 *         changes objects of the tree, one a transaction, until FILE is gone
 *
 * bench/derived_limit asks who may see what.
 */
#include "newt_task.h"

struct folder;
struct person;
struct page;
NEWT_DECLARE(folder);
NEWT_DECLARE(person);
NEWT_DECLARE(page);
struct folder {
    newt_text title;
    folder_ref within;
    NEWT_ARRAY(newt_text) readers, denied;
};
struct person {
    newt_text name;
};
struct page {
    newt_text title;
    folder_ref within;
    person_ref owner;
};
NEWT_CLASS(folder, "Folder", 1, NULL, NEWT_FIELD(struct folder, title),
           NEWT_REF(struct folder, within, folder), NEWT_LIST(struct folder, readers),
           NEWT_LIST(struct folder, denied));
NEWT_CLASS(person, "Person", 1, NULL, NEWT_FIELD(struct person, name));
NEWT_CLASS(page, "Page", 1, NULL, NEWT_FIELD(struct page, title),
           NEWT_REF(struct page, within, folder), NEWT_REF(struct page, owner, person));

enum {
    FOLDERS = 3,       /* in each folder */
    PAGES = 9,         /* in each folder */
    OWNED = 3,         /* pages of each person */
    GROUPS = 1024,     /* of users */
    PER_BATCH = 10000, /* objects of a transaction that fills */
    TURN = 100         /* commits in one store, before those in the other */
};

/* In the schema of the store. */
static newt_db *
open_tree(const char *name)
{
    schema = name;
    static const newt_class *const classes[] = {&folder_class, &person_class, &page_class, NULL};
    newt_options options = {.size = sizeof options, .schema = schema};
    newt_db *opened = NULL;

    check(NULL, newt_db_open(&opened, uri, classes, &options) == NEWT_OK, "open");
    return opened;
}

/* ---- fill --------------------------------------------------------------------------------- */

static void
add_group(newt_object *o, newt_text *at, uint64_t i)
{
    char name[24];

    snprintf(name, sizeof name, "group%d", (int)((i * 0x9E3779B97F4A7C15u >> 33) % GROUPS));
    newt_text_set(o, at, name);
}

/* Folder number i; the first has no readers, since everybody would be among its own. */
static folder_ref
add_folder(newt_conn *c, int64_t i, folder_ref within)
{
    struct folder *f = folder_new(c);
    char title[32];

    check(c, f != NULL, "new");
    snprintf(title, sizeof title, "Folder %d", (int)i);
    newt_set(f, title, title);
    f->within = within;
    if (i > 0 && (i <= FOLDERS || i % 10 == 0)) {
        newt_text *readers = newt_array_grow(folder_obj(f), &f->readers, sizeof *readers, 3);
        check(c, readers != NULL, "readers");
        for (int j = 0; j < 3; j++)
            add_group(folder_obj(f), &readers[j], (uint64_t)(4 * i + j));
    }
    if (i % 70 == 0) {
        newt_text *denied = newt_array_grow(folder_obj(f), &f->denied, sizeof *denied, 1);
        check(c, denied != NULL, "denied");
        add_group(folder_obj(f), denied, (uint64_t)(4 * i + 3));
    }
    return folder_id(f);
}

static person_ref
add_person(newt_conn *c, int64_t i)
{
    struct person *p = person_new(c);
    char name[32];

    check(c, p != NULL, "new");
    snprintf(name, sizeof name, "Person %d", (int)i);
    newt_set(p, name, name);
    return person_id(p);
}

static void
fill(const char *name, int64_t n)
{
    newt_error *e = NULL;
    newt_conn *c;
    folder_ref *folders = calloc((size_t)n / (PAGES + 1) + 1, sizeof *folders);
    person_ref owner = {0};
    int64_t made = 0, pages = 0;

    if (newt_store_create(NULL, name, &e) != NEWT_OK)
        give_up("create", e ? newt_error_message(e) : "out of memory");
    db = open_tree(name);
    c = dial();
    check(c, folders != NULL, "folders");
    begin(c);
    for (int64_t i = 0; made < n; i++) {
        folders[i] = add_folder(c, i, i == 0 ? (folder_ref){0} : folders[(i - 1) / FOLDERS]);
        made++;
        for (int j = 0; j < PAGES && made < n; j++, made++) {
            struct page *p = page_new(c);
            char title[32];

            check(c, p != NULL, "new");
            snprintf(title, sizeof title, "Page %d", (int)made);
            newt_set(p, title, title);
            p->within = folders[i];
            if (pages++ % OWNED == 0)
                owner = add_person(c, pages / OWNED);
            p->owner = owner;
        }
        if (made / PER_BATCH != (made - 1 - PAGES) / PER_BATCH) {
            commit(c);
            begin(c);
        }
    }
    if (made > 4 * (PAGES + 1)) {
        check(c, newt_set_root(c, "from", folders[4].any) == NEWT_OK, "root");
        check(c, newt_set_root(c, "to", folders[2].any) == NEWT_OK, "root");
    }
    commit(c);
    newt_close(c);
    newt_db_close(db);
    free(folders);
}

/* ---- commits ------------------------------------------------------------------------------ */

typedef struct side {
    newt_db *db;
    newt_conn *c;
    newt_result *persons;
    int64_t commits;
    double spent;
} side;

static void
open_side(side *s, const char *name)
{
    char sql[256];

    *s = (side){.db = open_tree(name)};
    db = s->db;
    s->c = dial();
    snprintf(sql, sizeof sql,
             "SELECT zoid FROM \"%s\".newt_projection WHERE class_name = 'Person' ORDER BY zoid "
             "LIMIT 10000",
             name);
    begin(s->c);
    check(s->c, newt_search(s->c, &s->persons, sql, 0, NULL) == NEWT_OK, sql);
    newt_abort(s->c);
}

static void
close_side(side *s)
{
    newt_result_free(s->persons);
    newt_close(s->c);
    newt_db_close(s->db);
}

/* Another name for person i, which comes in its pages. */
static void
rename_person(side *s, int64_t i)
{
    person_ref r = person_of(
        newt_result_ref(s->persons, (size_t)i * STEP % newt_result_size(s->persons)));
    char name[40];

    db = s->db;
    begin(s->c);
    struct person *p = person_write(s->c, r);
    check(s->c, p != NULL, "write");
    snprintf(name, sizeof name, "Person %d, once more", (int)i);
    newt_set(p, name, name);
    commit(s->c);
}

static void
commits(const char *name, const char *bare)
{
    side sides[2];
    int64_t n = tx1_transactions();

    open_side(&sides[0], name);
    open_side(&sides[1], bare);
    for (int64_t i = 0; i < n + WARM_UP; i += TURN)
        for (int k = 0; k < 2; k++) {
            double began = now();
            for (int64_t j = i; j < i + TURN; j++)
                rename_person(&sides[k], j + first_revision());
            if (i == 0)
                continue; /* plans are made */
            sides[k].spent += now() - began;
            sides[k].commits += TURN;
        }
    report("derived_commit", (double)sides[0].commits / sides[0].spent, "tx/s");
    printf("limit:");
    report("derived_commit", (double)sides[1].commits / sides[1].spent, "tx/s");
    close_side(&sides[0]);
    close_side(&sides[1]);
}

/* ---- a subtree that moves ----------------------------------------------------------------- */

static void
move(const char *name)
{
    db = open_tree(name);
    newt_conn *c = dial();

    begin(c);
    newt_ref from = newt_root(c, "from"), to = newt_root(c, "to");
    struct folder *f = folder_write(c, folder_of(from));
    const struct folder *other = folder_read(c, folder_of(to));
    check(c, f && other, "folders");
    /* there and back: its folder is the child of the first one, or of this */
    f->within = f->within.any.oid == to.oid ? other->within : folder_of(to);
    folder_done(other);
    commit(c);
    newt_close(c);
    newt_db_close(db);
}

static void
write_until(const char *name, const char *file)
{
    side s;
    int64_t i = 0;
    double began;

    open_side(&s, name);
    for (; i < WARM_UP; i++)
        rename_person(&s, i + first_revision());
    began = now();
    for (; access(file, F_OK) == 0; i++)
        rename_person(&s, i + first_revision());
    report("derived_beside", (double)(i - WARM_UP) / (now() - began), "tx/s");
    close_side(&s);
}

int
main(int argc, char **argv)
{
    const char *operation = argc > 2 ? argv[1] : "";

    uri = "";
    if (argc == 4 && strcmp(operation, "fill") == 0)
        fill(argv[2], atoll(argv[3]));
    else if (argc == 4 && strcmp(operation, "commits") == 0)
        commits(argv[2], argv[3]);
    else if (argc == 3 && strcmp(operation, "move") == 0)
        move(argv[2]);
    else if (argc == 4 && strcmp(operation, "write") == 0)
        write_until(argv[2], argv[3]);
    else
        give_up("usage",
                "derived fill SCHEMA N | commits SCHEMA BARE | move SCHEMA | write SCHEMA FILE");
    return 0;
}
