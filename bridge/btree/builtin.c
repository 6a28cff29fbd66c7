/*
 * builtin.c - the list of the library's own classes
 */
#include "btree.h"

const newt_class *const newt__builtin_classes[] = {
    &newt_list_class,  &newt_set_class,   &newt_map_class,   &newt_length_class,
    &newt__root_class, &newt_queue_class, &newt__lane_class, NULL};
