/*
 * issues.c - a page of my open issues, by priority: an indexed collection, without SQL
 *
 *     issues [PAGE]
 *
 * In the store of NEWT_URI; in memory if there is none. The first run makes some issues.
 */
#include <newtdb.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ISSUES = 100,
    PAGE = 20
};

struct person;
NEWT_DECLARE(person);
struct person {
    newt_text name;
};
NEWT_DECLARE_INDEX(people_by_name, person, name);
NEWT_INDEX(people_by_name, "people.name", person, name, .unique = true);
static const newt_hooks person_hooks = {.size = sizeof person_hooks,
                                        .indexes = NEWT_INDEXES(&people_by_name_index)};
NEWT_CLASS(person, "Person", 1, &person_hooks, NEWT_FIELD(struct person, name));

struct issue;
NEWT_DECLARE(issue);
struct issue {
    newt_text title;
    person_ref owner;
    int32_t priority;
    bool closed;
};
static bool
is_open(const void *object)
{
    const struct issue *i = object;

    return !i->closed;
}
NEWT_DECLARE_INDEX2(open_issues, issue, owner, priority);
NEWT_INDEX2(open_issues, "issues.open", issue, owner, priority, NEWT_WHERE(is_open));
static const newt_hooks issue_hooks = {.size = sizeof issue_hooks,
                                       .indexes = NEWT_INDEXES(&open_issues_index)};
NEWT_CLASS(issue, "Issue", 1, &issue_hooks, NEWT_FIELD(struct issue, title),
           NEWT_REF(struct issue, owner, person), NEWT_FIELD(struct issue, priority),
           NEWT_FIELD(struct issue, closed));

static int
make_some(newt_conn *c, void *arg)
{
    people_by_name_key ada = {.name = newt_str("Ada")};
    struct person *p;
    int found = people_by_name_get(c, ada, NULL);

    (void)arg;
    if (found != 0)
        return found < 0 ? found : NEWT_OK;
    if (!(p = person_new(c)))
        return newt_status(c);
    newt_set(p, name, "Ada");
    for (int n = 0; n < ISSUES; n++) {
        struct issue *i = issue_new(c);
        char title[40];

        if (!i)
            return newt_status(c);
        snprintf(title, sizeof title, "Issue %d", n);
        newt_set(i, title, title);
        i->owner = person_id(p);
        i->priority = n * 37 % ISSUES;
        i->closed = n % 4 == 3;
    }
    return NEWT_OK;
}

static int
show_page(newt_conn *c, void *arg)
{
    int page = *(int *)arg;
    person_ref me;
    open_issues_cursor at;
    int found = people_by_name_get(c, (people_by_name_key){.name = newt_str("Ada")}, &me);

    if (found != 1)
        return found;
    at = open_issues_range(c, &(open_issues_range_of){.equal = &(open_issues_key){.owner = me},
                                                      .parts = 1,
                                                      .offset = (page - 1) * PAGE,
                                                      .limit = PAGE});
    while (open_issues_next(&at) == 1) {
        const struct issue *i = issue_read(c, at.ref);

        if (i)
            printf("%3d %s\n", i->priority, i->title.s);
    }
    return newt_status(c);
}

int
main(int argc, char **argv)
{
    const newt_class *classes[] = {&person_class, &issue_class, NULL};
    const char *uri = getenv("NEWT_URI");
    newt_index_building b = {.size = sizeof b};
    int page = argc > 1 ? atoi(argv[1]) : 1;
    newt_db *db = NULL;
    newt_conn *c = NULL;
    int rc = newt_db_open(&db, uri ? uri : "memory:", classes, NULL);

    rc = rc ? rc : newt_connect(db, &c);
    while (!rc && !b.over)
        rc = newt_index_build(c, NULL, &b);
    rc = rc ? rc : newt_transact(c, make_some, NULL, NULL);
    rc = rc ? rc : newt_transact(c, show_page, &page, NULL);
    if (rc)
        fprintf(stderr, "issues: %s\n", newt_error_message(newt_last_error(db, c)));
    newt_close(c);
    newt_db_close(db);
    return rc != 0;
}
