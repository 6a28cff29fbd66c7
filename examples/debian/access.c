/*
 * access.c - who may see which uploads: as the program finds it, walking up, and as SQL does
 */
#include "demo.h"
#include "folder.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const struct reader {
    const char *who;
    const char *principals[4];
} readers[] = {
    {"a visitor", {"everyone"}},
    {"the release team", {"everyone", "team:release"}},
    {"the security team", {"everyone", "team:security"}},
    {"Ada, of the release team", {"everyone", "team:release", "user:ada"}},
    {"nobody", {NULL}},
};
enum {
    READERS = sizeof readers / sizeof *readers
};

/* ---- the program ---------------------------------------------------------------------------- */

struct visible {
    const struct reader *reader;
    uint64_t uploads;
};

/* What the folders say from this one up: the first rule about the reader decides. */
static int
folder_allows(newt_conn *c, folder_ref ref, const char *const *principals, bool *allows)
{
    enum effect effect = DENY;

    for (bool decided = false; !decided && !newt_is_null(ref.any);) {
        const struct folder *f = folder_read(c, ref);

        if (!f)
            return newt_status(c);
        decided = rules_decide(&f->access, principals, &effect);
        ref = f->within;
        folder_done(f);
    }
    *allows = effect == ALLOW;
    return NEWT_OK;
}

static int
count_visible(newt_conn *c, void *arg)
{
    struct visible *v = arg;
    const struct newt_map *folders = newt_map_read(c, newt_map_of(newt_root(c, ROOT_FOLDERS)));
    int rc = folders ? NEWT_OK : newt_status(c);

    v->uploads = 0;
    for (uint32_t i = 0; !rc && i < folders->items.n; i++) {
        folder_ref ref = folder_of(folders->items.items[i].value);
        const struct folder *f = folder_read(c, ref);
        bool allows = false;

        rc = f ? folder_allows(c, ref, v->reader->principals, &allows) : newt_status(c);
        rc = rc || !f->uploads.n ? rc : newt_prefetch(c, &f->uploads.items->any, f->uploads.n);
        for (uint32_t k = 0; !rc && k < f->uploads.n; k++) {
            const struct upload *u = upload_read(c, f->uploads.items[k]);
            enum effect effect = allows ? ALLOW : DENY;

            if (!u)
                return newt_status(c);
            rules_decide(&u->access, v->reader->principals, &effect);
            v->uploads += effect == ALLOW;
            upload_done(u);
        }
        folder_done(f);
    }
    newt_map_done(folders);
    return rc;
}

/* ---- both ----------------------------------------------------------------------------------- */

static bool
count_in_sql(struct demo *d, const struct reader *reader, uint64_t *uploads)
{
    json_t *list = json_array(), *rows = NULL;
    char *text;
    bool ok;

    for (const char *const *who = reader->principals; *who; who++)
        json_array_append_new(list, json_string(*who));
    text = json_dumps(list, 0);
    ok = text && demo_rows(d, &rows, d->dialect->visible, 1, &(const char *){text});
    *uploads = (uint64_t)json_integer_value(json_object_get(json_array_get(rows, 0), "uploads"));
    json_decref(rows);
    json_decref(list);
    free(text);
    return ok;
}

static bool
show_visible(struct demo *d)
{
    double seconds[2] = {0};
    struct table table;

    table_open(&table, "lrr", "uploads that are seen by", "C", "SQL");
    for (size_t i = 0; i < READERS; i++) {
        struct visible v = {.reader = &readers[i]};
        double started = now(), between;
        uint64_t uploads;

        if (newt_transact(d->c, count_visible, &v, NULL)) {
            table_close(&table);
            return demo_failed(d, d->c, "counting");
        }
        between = now();
        if (!count_in_sql(d, v.reader, &uploads)) {
            table_close(&table);
            return false;
        }
        seconds[0] += between - started;
        seconds[1] += now() - between;
        table_row(&table, v.reader->who, number(v.uploads).s, number(uploads).s);
        if (v.uploads != uploads) {
            table_show(&table, &d->page);
            complain(&d->page, "C and SQL do not agree on who may see what");
            return false;
        }
    }
    table_show(&table, &d->page);
    aside(&d->page, "for each: in C, walking up, %s; in SQL %s", time_text(seconds[0] / READERS).s,
          time_text(seconds[1] / READERS).s);
    return true;
}

static bool
declare(struct demo *d)
{
    double seconds;
    json_t *rows;
    bool there;

    if (!d->dialect->derived)
        return true;
    if (!demo_rows(d, &rows, "SELECT to_regclass('desk') IS NOT NULL AS there", 0, NULL))
        return false;
    there = json_is_true(json_object_get(json_array_get(rows, 0), "there"));
    json_decref(rows);
    if (there) /* what is too much for one commit waits */
        return demo_psql(d, "CALL newt.refresh_derived(current_schema(), 'desk')", NULL);
    if (!demo_psql(d, d->dialect->derived, &seconds))
        return false;
    say(&d->page,
        "Who may see an object is a column of its row, which each commit keeps right:\n\n");
    quote(&d->page, d->dialect->derived);
    aside(&d->page, "%s", time_text(seconds).s);
    say(&d->page, "\n");
    return true;
}

/* ---- folders -------------------------------------------------------------------------------- */

/* But for the sections, which are many. */
static void
show_folder(struct table *table, newt_conn *c, const struct folder *f)
{
    const struct folder *above = newt_is_null(f->within.any) ? NULL : folder_read(c, f->within);
    char access[160] = "";

    for (uint32_t i = 0; i < f->access.n; i++) {
        size_t n = strlen(access);

        snprintf(access + n, sizeof access - n, "%s%c%s", i ? " " : "",
                 f->access.items[i].effect == ALLOW ? '+' : '-', f->access.items[i].who.s);
    }
    if (!above || strcmp(above->title.s, "stable") != 0)
        table_row(table, f->title.s, above ? above->title.s : "", number(f->uploads.n).s,
                  *access ? access : "(empty)");
    folder_done(above);
}

static int
show_folders(newt_conn *c, void *arg)
{
    const struct newt_map *folders = newt_map_read(c, newt_map_of(newt_root(c, ROOT_FOLDERS)));
    struct table *table = arg;

    if (!folders)
        return newt_status(c);
    table_close(table);
    table_open(table, "llrl", "folder", "in", "uploads", "its access list");
    for (uint32_t i = 0; i < folders->items.n; i++) {
        const struct folder *f = folder_read(c, folder_of(folders->items.items[i].value));

        if (!f)
            return newt_status(c);
        show_folder(table, c, f);
        folder_done(f);
    }
    newt_map_done(folders);
    return newt_status(c);
}

bool
demo_folders(struct demo *d)
{
    struct table table = {0};

    heading(&d->page, "Folders with access lists, and uploads of packages in them");
    if (newt_transact(d->c, folders_make, NULL, NULL) ||
        newt_transact(d->c, show_folders, &table, NULL)) {
        table_close(&table);
        return demo_failed(d, d->c, "folders");
    }
    table_show(&table, &d->page);
    say(&d->page,
        "\nIn \"stable\" is a folder for each section, which says nothing of its own. Each "
        "upload\nallows its maintainer.");
    return true;
}

bool
demo_arrange(struct demo *d, const char *how, const char *what)
{
    static const struct {
        const char *how, *said;
        int (*run)(newt_conn *, void *);
    } arrangements[] = {
        {"move", "%s is in %s now\n", folder_move},
        {"allow", "%s allows %s now\n", folder_allow},
        {"deny", "%s denies %s now\n", folder_deny},
    };
    char folder[80];
    size_t n = strcspn(what, "="), i = 0;
    struct arrangement a = {.folder = folder};
    int rc;

    if (what[n] != '=' || n >= sizeof folder) {
        complain(&d->page, "--%s needs FOLDER=..., not \"%s\"", how, what);
        return false;
    }
    snprintf(folder, sizeof folder, "%.*s", (int)n, what);
    a.value = what + n + 1;
    while (strcmp(arrangements[i].how, how) != 0)
        i++;
    rc = newt_transact(d->c, arrangements[i].run, &a, NULL);
    if (rc == CANNOT)
        complain(&d->page, "%s", a.why);
    else if (rc)
        demo_failed(d, d->c, how);
    else
        say(&d->page, arrangements[i].said, folder, a.value);
    return !rc;
}

bool
demo_publish(struct demo *d)
{
    struct arrangement a = {.folder = "zlib-fix", .value = "stable"};
    double seconds;

    heading(&d->page, "Who may see what, inherited down the folders");
    if (!declare(d) || !show_visible(d))
        return false;
    seconds = now();
    if (newt_transact(d->c, folder_move, &a, NULL))
        return *a.why ? (complain(&d->page, "%s", a.why), false) : demo_failed(d, d->c, "move");
    seconds = now() - seconds;
    say(&d->page,
        "\nThe folder \"%s\" is moved to \"%s\", one object changed; the rights follow:", a.folder,
        a.value);
    aside(&d->page, "moved in %s, commit included\n\n", time_text(seconds).s);
    return show_visible(d);
}
