/*
 * outside.c - whether a call may be made that is not part of a transaction
 */
#include "transaction.h"

int
newt__outside(newt_conn *c, const void *writer, const char *function)
{
    bool within = c->jar.base.phase != NEWT__IDLE;

    if (!newt__process_is(&c->db->process))
        return newt__process_fail(&c->db->process, &c->jar.base.error);
    if (within || (c->writer && c->writer != writer)) {
        newt__base_fail(&c->jar.base, NEWT_EBUSY, 0, "%s is called %s", function,
                        within ? "inside a transaction"
                               : "while newt_feed_exec has a transaction open");
        newt__fail_hint(&c->jar.base.error, "%s",
                        within ? "Commit or abort it first, or use another connection."
                               : "newt_feed_commit() ends it; or use another connection.");
        return NEWT_EBUSY;
    }
    newt__error_clear(&c->jar.base.error);
    return NEWT_OK;
}
