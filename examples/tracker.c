/*
 * tracker.c - people and tasks: a graph of structs with references both ways, changed in
 * transactions and searched in SQL
 *
 *   tracker add WHO TITLE [TAG]...     tracker step TITLE WHAT HOURS     tracker done TITLE
 *   tracker list [TAG]                 tracker who                       tracker drop TITLE
 *
 * The store is that of $NEWT_URI, schema public.
 */
#include <newtdb.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the classes ---------------------------------------------------------------------------- */

struct person;
struct task;
struct step;
NEWT_DECLARE(person);
NEWT_DECLARE(task);
NEWT_DECLARE(step); /* embedded in a task: it has no identity of its own */

struct step {
    newt_text what;
    double hours;
};

enum state {
    TODO,
    DONE
};
static const char *const state_names[] = {"todo", "done", NULL};

struct task {
    newt_text title;
    enum state state;
    person_ref owner;
    NEWT_ARRAY(newt_text) tags;
    NEWT_ARRAY(struct step) steps;
};

struct person {
    newt_text name;
    NEWT_ARRAY(task_ref) tasks; /* a reference is a value: cycles are nothing special */
};

NEWT_CLASS(step, "Step", 1, NULL, NEWT_FIELD(struct step, what), NEWT_FIELD(struct step, hours));
NEWT_CLASS(task, "Task", 1, NULL, NEWT_FIELD(struct task, title, .flags = NEWT_F_REQUIRED),
           NEWT_ENUM(struct task, state, state_names), NEWT_REF(struct task, owner, person),
           NEWT_SET(struct task, tags), NEWT_STRUCTS(struct task, steps, step));
NEWT_CLASS(person, "Person", 1, NULL, NEWT_FIELD(struct person, name, .flags = NEWT_F_REQUIRED),
           NEWT_REFS(struct person, tasks, task));

/* ---- commands: each runs in a transaction, and again after a conflict ----------------------- */

enum {
    NOT_FOUND = 1,
    USAGE = 2
}; /* our own codes: newt_transact aborts and hands them back */

struct request {
    int argc;
    char **argv;
};

/* Everybody, by name: a map that the root "people" leads to. */
static struct newt_map *
people(newt_conn *c)
{
    newt_ref r = newt_root(c, "people");
    struct newt_map *map;

    if (!newt_is_null(r))
        return newt_map_write(c, newt_map_of(r));
    map = newt_map_new(c);
    if (map && newt_set_root(c, "people", newt_map_id(map).any))
        return NULL;
    return map;
}

static int
add(newt_conn *c, void *arg)
{
    const struct request *q = arg;
    struct newt_map *map = people(c);
    person_ref who = person_of(map ? newt_map_get(map, q->argv[0]) : (newt_ref){0});
    struct person *p = newt_is_null(who.any) ? person_new(c) : person_write(c, who);
    struct task *t = task_new(c);

    if (!map || !p || !t)
        return newt_status(c);
    if (newt_is_null(who.any)) {
        newt_set(p, name, q->argv[0]);
        newt_map_put(map, q->argv[0], person_id(p).any);
    }
    newt_set(t, title, q->argv[1]);
    t->owner = person_id(p);
    for (int i = 2; i < q->argc; i++) {
        newt_text *tag = newt_array_grow(task_obj(t), &t->tags, sizeof *tag, 1);

        if (tag)
            newt_text_set(task_obj(t), tag, q->argv[i]);
    }
    newt_append(p, tasks, task_id(t));
    return NEWT_OK; /* setters that failed have doomed the commit */
}

static struct task *
find(newt_conn *c, const char *title)
{
    newt_result *r = NULL;
    struct task *t = NULL;

    if (newt_where(c, &r, "class_name = 'Task' AND state->>'title' = $1", 1, &title) == NEWT_OK &&
        newt_result_size(r) > 0)
        t = task_write(c, task_of(newt_result_ref(r, 0)));
    newt_result_free(r);
    return t;
}

static int
not_found(newt_conn *c, const char *title)
{
    if (newt_status(c))
        return newt_status(c);
    fprintf(stderr, "tracker: no task \"%s\"\n", title);
    return NOT_FOUND;
}

static int
step(newt_conn *c, void *arg)
{
    const struct request *q = arg;
    struct task *t = find(c, q->argv[0]);
    struct step *s;

    if (!t)
        return not_found(c, q->argv[0]);
    s = newt_array_grow(task_obj(t), &t->steps, sizeof *s, 1);
    if (s) {
        newt_text_set(task_obj(t), &s->what, q->argv[1]);
        s->hours = strtod(q->argv[2], NULL);
    }
    return NEWT_OK;
}

static int
done(newt_conn *c, void *arg)
{
    const struct request *q = arg;
    struct task *t = find(c, q->argv[0]);

    if (!t)
        return not_found(c, q->argv[0]);
    t->state = DONE;
    return NEWT_OK;
}

static int
drop(newt_conn *c, void *arg)
{
    const struct request *q = arg;
    struct task *t = find(c, q->argv[0]);
    struct person *p = t ? person_write(c, t->owner) : NULL;
    newt_ref r;

    if (!t)
        return not_found(c, q->argv[0]);
    if (!p)
        return newt_status(c);
    r = task_id(t).any;
    for (uint32_t i = 0; i < p->tasks.n; i++)
        if (p->tasks.items[i].any.oid == r.oid)
            newt_array_remove(person_obj(p), &p->tasks, sizeof *p->tasks.items, i--, 1);
    task_done(t);
    return newt_delete(c, r);
}

static void
show(const struct task *t, const struct person *owner)
{
    double hours = 0;

    for (uint32_t i = 0; i < t->steps.n; i++)
        hours += t->steps.items[i].hours;
    printf("%-4s  %-24s  %-8s  %4.1f h ", state_names[t->state], t->title.s, owner->name.s, hours);
    for (uint32_t i = 0; i < t->tags.n; i++)
        printf(" #%s", t->tags.items[i].s);
    printf("\n");
}

/* SQL finds, C loads: newt_result_load gets all that was found in one round trip. */
static int
list(newt_conn *c, void *arg)
{
    const struct request *q = arg;
    const char *tag = q->argc ? q->argv[0] : NULL;
    newt_result *r = NULL;
    int rc = newt_where(c, &r,
                        "class_name = 'Task' AND ($1::text IS NULL OR state->'tags' ? $1)"
                        " ORDER BY state->>'state' DESC, state->>'title'",
                        1, &tag);

    if (!rc)
        rc = newt_result_load(r);
    for (size_t i = 0; i < newt_result_size(r) && !rc; i++) {
        const struct task *t = task_read(c, task_of(newt_result_ref(r, i)));
        const struct person *owner = t ? person_read(c, t->owner) : NULL;

        if (owner)
            show(t, owner);
        else
            rc = newt_status(c);
        person_done(owner);
        task_done(t);
    }
    newt_result_free(r);
    return rc;
}

static int
who(newt_conn *c, void *arg)
{
    newt_ref root = newt_root(c, "people");
    const struct newt_map *map;

    (void)arg;
    if (newt_is_null(root))
        return newt_status(c);
    map = newt_map_read(c, newt_map_of(root));
    if (!map)
        return newt_status(c);
    for (uint32_t i = 0; i < map->items.n; i++) {
        const struct person *p = person_read(c, person_of(map->items.items[i].value));

        if (!p)
            return newt_status(c);
        printf("%-8s  %u tasks\n", p->name.s, p->tasks.n);
        person_done(p);
    }
    return NEWT_OK;
}

/* ---- main ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    newt_work *work;
    int least, most; /* arguments */
} commands[] = {
    {"add", add, 2, 100}, {"step", step, 3, 3}, {"done", done, 1, 1},
    {"drop", drop, 1, 1}, {"list", list, 0, 1}, {"who", who, 0, 0},
};

static newt_work *
command(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].least &&
            argc - 2 <= commands[i].most)
            return commands[i].work;
    return NULL;
}

int
main(int argc, char **argv)
{
    static const newt_class *const classes[] = {&person_class, &task_class, NULL};
    newt_work *work = command(argc, argv);
    struct request q = {argc - 2, argv + 2};
    newt_db *db = NULL;
    newt_conn *c = NULL;
    int rc;

    if (!work) {
        fputs("usage: tracker add WHO TITLE [TAG]... | step TITLE WHAT HOURS | done TITLE |\n"
              "               drop TITLE | list [TAG] | who\n",
              stderr);
        return USAGE;
    }
    rc = newt_db_open(&db, getenv("NEWT_URI"), classes, NULL);
    if (!rc)
        rc = newt_connect(db, &c);
    if (!rc)
        rc = newt_transact(c, work, &q, NULL);
    if (rc < 0)
        fprintf(stderr, "tracker: %s\n", newt_error_message(newt_last_error(db, c)));
    newt_close(c);
    newt_db_close(db);
    return rc < 0 ? 1 : rc;
}
