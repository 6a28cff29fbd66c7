/*
 * row_fault.c - what a sweep has found wrong with a row of the projection: counted, and told
 */
#include "feed_storage.h"

void
newt__row_fault_count(newt_sweep *s, const newt_options *options, int64_t oid,
                      newt__row_fault fault, bool told)
{
    static const char *const words[NEWT__N_ROW_FAULTS] = {
        [NEWT__ROW_MISSING] = "is missing",
        [NEWT__ROW_STALE] = "is of an older record",
        [NEWT__ROW_WRONG] = "is not what the record says",
        [NEWT__ROW_EXTRA] = "has no record",
        [NEWT__ROW_REFUSED] = "was refused by the database",
    };
    int64_t *const counts[NEWT__N_ROW_FAULTS] = {[NEWT__ROW_MISSING] = &s->missing,
                                                 [NEWT__ROW_STALE] = &s->stale,
                                                 [NEWT__ROW_WRONG] = &s->wrong,
                                                 [NEWT__ROW_EXTRA] = &s->extra,
                                                 [NEWT__ROW_REFUSED] = &s->refused};
    newt_error e = {0};

    ++*counts[fault];
    if (!told || !options->notice)
        return;
    newt__fail(&e, NEWT_OK, oid, "the row of object %lld in the projection %s", (long long)oid,
               words[fault]);
    if (fault == NEWT__ROW_REFUSED)
        newt__fail_hint(&e, "See newt_reject.");
    options->notice(&e, options->notice_arg);
    newt__error_clear(&e);
}
