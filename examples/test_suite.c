#include <newtdb.h>
#include <assert.h>
#include <stdio.h>

struct account {
    newt_text owner;
    int64_t cents;
};
NEWT_DECLARE(account);
NEWT_CLASS(account, "Account", 1, NULL, NEWT_FIELD(struct account, owner),
           NEWT_FIELD(struct account, cents));

static int
fixture(newt_conn *c, void *arg) /* what all tests begin with, once */
{
    struct account *a = account_new(c);
    (void)arg;
    if (!a)
        return newt_status(c);
    newt_set(a, owner, "Ada");
    a->cents = 100;
    return newt_set_root(c, "ada", account_id(a).any);
}

static int
spend_all(newt_conn *c, void *arg)
{
    struct account *a = account_write(c, account_of(newt_root(c, "ada")));
    (void)arg;
    if (!a)
        return newt_status(c);
    assert(a->cents == 100);
    a->cents = 0;
    return 0;
}

static int
close_account(newt_conn *c, void *arg)
{
    newt_ref ada = newt_root(c, "ada");
    const struct account *a = account_read(c, account_of(ada));
    (void)arg;
    assert(a && a->cents == 100); /* the tests before have left nothing */
    newt_delete(c, ada);
    return newt_set_root(c, "ada", (newt_ref){0});
}

int
main(int argc, char **argv)
{
    newt_work *const tests[] = {spend_all, close_account, spend_all, close_account};
    const newt_class *classes[] = {&account_class, NULL};
    newt_db *db;
    newt_conn *c = NULL;
    int rc = newt_db_open(&db, argc > 1 ? argv[1] : "memory:", classes, NULL);
    if (rc == NEWT_OK)
        rc = newt_connect(db, &c);
    if (rc == NEWT_OK)
        rc = newt_transact(c, fixture, NULL, NULL);
    for (int i = 0; rc == NEWT_OK && i < 4; i++) {
        rc = newt_db_push(db); /* from here on everything goes to a layer */
        if (rc == NEWT_OK)
            rc = newt_transact(c, tests[i], NULL, NULL);
        if (rc == NEWT_OK)
            rc = newt_db_pop(db); /* as it was */
    }
    if (rc != NEWT_OK)
        fprintf(stderr, "test_suite: %s\n", newt_error_message(newt_last_error(db, c)));
    else
        printf("4 tests passed\n");
    newt_close(c);
    newt_db_close(db);
    return rc != NEWT_OK;
}
