/*
 * projectors.h - who computes the projection that a commit writes: this program, or the extension
 */
#ifndef NEWT_TESTS_BRIDGE_PROJECTORS_H
#define NEWT_TESTS_BRIDGE_PROJECTORS_H

#include "server.h"

static const newt_options client = {.projector = NEWT_PROJECT_CLIENT};
static const newt_options server = {.projector = NEWT_PROJECT_SERVER};

/* Every row is of its record, and as the extension computes it. */
UNUSED static void
check_projection(const store *s)
{
    assert_sql(s->pg, "0",
               "SELECT count(*) FROM object_state o FULL JOIN newt_projection p USING (zoid) "
               "WHERE o.serial IS DISTINCT FROM p.serial "
               "OR p.state::text IS DISTINCT FROM newt.to_jsonb(o.state)::text "
               "OR p.class_name IS DISTINCT FROM newt.class_name(o.state)");
}

/* A class whose rows are left to a follower. */
struct later {
    int64_t n;
};
NEWT_DECLARE(later);
NEWT_CLASS_AS(later, "Later", 1, NULL, NEWT_C_ASYNC, NEWT_FIELD(struct later, n));

#define with(f, o)                                                                                 \
    {                                                                                              \
#        f " (" #        o ")", f, NULL, NULL, (void *)(uintptr_t)&o                               \
    }

#endif
