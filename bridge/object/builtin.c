/*
 * builtin.c - classes of the library's own: lists, sets, maps, the root, counters
 *
 * They are here and not with the class tables since their resolvers change objects.
 */
#include "object.h"

NEWT_CLASS(newt_list, "newt.List", 1, NULL, NEWT_LIST(struct newt_list, items));
static const newt_hooks set_hooks = {.size = sizeof set_hooks, .resolve = newt__merge_set};
NEWT_CLASS(newt_set, "newt.Set", 1, &set_hooks, NEWT_SET(struct newt_set, items));
static const newt_hooks map_hooks = {.size = sizeof map_hooks, .resolve = newt__merge_map};
NEWT_CLASS(newt_map, "newt.Map", 1, &map_hooks, NEWT_MAPOF(struct newt_map, items));
const newt_class newt__root_class = {.class_size = sizeof(newt_class),
                                     .field_size = sizeof(newt_field),
                                     .size = sizeof(struct newt_map),
                                     .name = "newt.Root",
                                     .version = 1,
                                     .n_fields = 1,
                                     .fields = newt_map_fields_,
                                     .hooks = &map_hooks};

static int
merge_length(const void *old, const void *committed, void *ours, void *arg)
{
    int64_t before = ((const struct newt_length *)old)->value, change;
    struct newt_length *l = ours;

    (void)arg;
    /* what does not fit is a conflict */
    return __builtin_sub_overflow(((const struct newt_length *)committed)->value, before,
                                  &change) ||
           __builtin_add_overflow(l->value, change, &l->value);
}

static const newt_hooks length_hooks = {.size = sizeof length_hooks, .resolve = merge_length};
NEWT_CLASS(newt_length, "newt.Length", 1, &length_hooks, NEWT_FIELD(struct newt_length, value));
const newt_class newt__count_class = {.class_size = sizeof(newt_class),
                                      .field_size = sizeof(newt_field),
                                      .size = sizeof(struct newt_length),
                                      .name = "newt.Count",
                                      .version = 1,
                                      .n_fields = 1,
                                      .fields = newt_length_fields_,
                                      .hooks = &length_hooks,
                                      .flags = NEWT_C_SKIP};
