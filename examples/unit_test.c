#include <newtdb.h>
#include <assert.h>

struct account {
    int64_t cents;
};
NEWT_DECLARE(account);
NEWT_CLASS(account, "Account", 1, NULL, NEWT_FIELD(struct account, cents));

struct transfer {
    account_ref from, to;
    int64_t cents;
};

static int
transfer(newt_conn *c, void *arg) /* what is to be tested */
{
    const struct transfer *t = arg;
    struct account *from = account_write(c, t->from), *to = account_write(c, t->to);
    if (!from || !to)
        return newt_status(c);
    if (from->cents < t->cents)
        return 1; /* a status of its own: nothing is saved */
    from->cents -= t->cents;
    to->cents += t->cents;
    return 0;
}

static int
open_two(newt_conn *c, void *arg)
{
    struct transfer *t = arg;
    struct account *rich = account_new(c), *poor = account_new(c);
    if (!rich || !poor)
        return newt_status(c);
    rich->cents = 100;
    t->from = account_id(rich);
    t->to = account_id(poor);
    return 0;
}

int
main(void)
{
    const newt_class *classes[] = {&account_class, NULL};
    struct transfer t = {.cents = 60};
    newt_db *db;
    newt_conn *c;
    int rc = newt_db_open(&db, "memory:", classes, NULL); /* no server; gone with db */
    assert(rc == NEWT_OK);
    rc = newt_connect(db, &c);
    assert(rc == NEWT_OK);
    rc = newt_transact(c, open_two, &t, NULL);
    assert(rc == NEWT_OK);
    rc = newt_transact(c, transfer, &t, NULL);
    assert(rc == NEWT_OK);
    rc = newt_transact(c, transfer, &t, NULL); /* 40 are left */
    assert(rc == 1);
    rc = newt_begin(c);
    assert(rc == NEWT_OK && account_read(c, t.from)->cents == 40);
    assert(account_read(c, t.to)->cents == 60);
    newt_close(c);
    newt_db_close(db);
    return rc;
}
