/*
 * compat.h - the one place that knows how PostgreSQL's versions differ
 *
 * Included first by every file of the extension, instead of postgres.h. Built and tested on 15;
 * what 16, 17 and 18 moved is bridged here.
 */
#ifndef NEWT_PG_COMPAT_H
#define NEWT_PG_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#    error "the newt extension builds on PostgreSQL 15 to 18"
#endif

#include "fmgr.h"

/* 16 moved the layout of variable-length values out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#    include "varatt.h"
#endif

/* 18 lets a module say its name and version, for pg_get_loaded_modules(). */
#if PG_VERSION_NUM >= 180000
#    define NEWT_PG_MAGIC PG_MODULE_MAGIC_EXT(.name = "newt", .version = "0.1.0")
#else
#    define NEWT_PG_MAGIC PG_MODULE_MAGIC
#endif

/* 18 has a keyword for it, which comes first. */
#if PG_VERSION_NUM >= 180000
#    define NEWT_PG_NORETURN pg_noreturn
#else
#    define NEWT_PG_NORETURN pg_attribute_noreturn()
#endif

/* 18 can count what an index scan does. 16 can leave out indexes that do not summarize. Macros,
 * for most files need none of the headers. */
#if PG_VERSION_NUM >= 180000
#    define newt_pg_index_beginscan(heap, index, snapshot, n_keys)                                 \
        index_beginscan(heap, index, snapshot, NULL, n_keys, 0)
#else
#    define newt_pg_index_beginscan(heap, index, snapshot, n_keys)                                 \
        index_beginscan(heap, index, snapshot, n_keys, 0)
#endif
#if PG_VERSION_NUM >= 160000
#    define newt_pg_insert_index_tuples(result, slot, estate)                                      \
        ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL, false)
#    define newt_pg_insert_unless_conflict(result, slot, estate, conflict, arbiter)                \
        ExecInsertIndexTuples(result, slot, estate, false, true, conflict, arbiter, false)
#    define newt_pg_update_indexes         TU_UpdateIndexes
#    define newt_pg_has_new_entries(which) ((which) == TU_All)
#    define newt_pg_update_index_tuples(result, slot, estate, which)                               \
        ((which) == TU_None ? (void)0                                                              \
                            : (void)ExecInsertIndexTuples(result, slot, estate, false, false,      \
                                                          NULL, NIL, (which) == TU_Summarizing))
#else
#    define newt_pg_insert_index_tuples(result, slot, estate)                                      \
        ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL)
#    define newt_pg_insert_unless_conflict(result, slot, estate, conflict, arbiter)                \
        ExecInsertIndexTuples(result, slot, estate, false, true, conflict, arbiter)
#    define newt_pg_update_indexes         bool
#    define newt_pg_has_new_entries(which) (which)
#    define newt_pg_update_index_tuples(result, slot, estate, which)                               \
        ((which) ? (void)ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL)      \
                 : (void)0)
#endif
#if PG_VERSION_NUM >= 180000
#    define newt_pg_check_conflict(result, slot, estate, other, arbiter)                           \
        ExecCheckIndexConstraints(result, slot, estate, other, &(slot)->tts_tid, arbiter)
#else
#    define newt_pg_check_conflict(result, slot, estate, other, arbiter)                           \
        ExecCheckIndexConstraints(result, slot, estate, other, arbiter)
#endif

#endif
