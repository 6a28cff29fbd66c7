/*
 * project.c - newt_project and newt_retry_rejects: batches of the JSONB that is written later
 */
#include "transaction.h"

#include <string.h>

/* Whether the call of this name can be carried out. */
static int
check(newt_conn *c, const char *name, const char *follower, int64_t max_objects,
      const newt_progress *out)
{
    size_t size = out ? out->size : 0;

    if (!newt__process_is(&c->db->process))
        return newt__process_fail(&c->db->process, &c->jar.base.error);
    if (c->jar.base.phase != NEWT__IDLE) {
        newt__base_fail(&c->jar.base, NEWT_EBUSY, 0, "%s is called inside a transaction", name);
        return NEWT_EBUSY;
    }
    newt__error_clear(&c->jar.base.error);
    if (!follower || !*follower || max_objects < 1 || size < sizeof size || size > sizeof *out)
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                               "%s without a name, with less than one object, or with a "
                               "newt_progress of another size",
                               name);
    if (!c->jar.storage->project)
        return newt__no_sql(c, name);
    return NEWT_OK;
}

static int
done(newt_conn *c, int status, newt_error *e, newt_progress *progress, newt_progress *out)
{
    size_t size = out->size;

    if (e->status != NEWT_OK)
        newt__base_fail_with(&c->jar.base, e);
    if (status == NEWT_OK) {
        progress->size = size;
        memcpy(out, progress, size);
    }
    return status;
}

int
newt_project(newt_conn *c, const char *name, int64_t max_objects, newt_progress *out)
{
    newt_progress progress = {0};
    newt_error e = {0};
    int status = check(c, "newt_project", name, max_objects, out);

    if (status != NEWT_OK)
        return status;
    status = c->jar.storage->project(c->jar.session, name, max_objects, &progress, &e);
    return done(c, status, &e, &progress, out);
}

int
newt_retry_rejects(newt_conn *c, int64_t max_objects, newt_progress *out)
{
    newt_progress progress = {0};
    newt_error e = {0};
    int status = check(c, "newt_retry_rejects", "rejects", max_objects, out);

    if (status != NEWT_OK)
        return status;
    status = c->jar.storage->retry_rejects(c->jar.session, max_objects, &progress, &e);
    return done(c, status, &e, &progress, out);
}
