/*
 * call.c - what calls about feeds have in common: when they may be, and where their errors go
 */
#include "feed.h"

int
newt__feed_check(newt_conn *c, const newt_feed *f, const char *function)
{
    if (!newt__process_is(&c->db->process))
        return newt__process_fail(&c->db->process, &c->jar.base.error);
    if (c->jar.base.phase != NEWT__IDLE) {
        newt__base_fail(&c->jar.base, NEWT_EBUSY, 0, "%s is called inside a transaction", function);
        return NEWT_EBUSY;
    }
    if (c->writer && c->writer != f) {
        newt__base_fail(&c->jar.base, NEWT_EBUSY, 0,
                        "%s is called while newt_feed_exec has a transaction open", function);
        return NEWT_EBUSY;
    }
    newt__error_clear(&c->jar.base.error);
    return NEWT_OK;
}

int
newt__feed_fail(newt_conn *c, newt_error *e)
{
    return newt__base_fail_with(&c->jar.base, e);
}
