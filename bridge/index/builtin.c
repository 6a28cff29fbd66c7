/*
 * builtin.c - the list of the library's own classes
 *
 * It is here since this is the highest room that has some.
 */
#include "index.h"
#include "../btree/btree.h"

const newt_class *const newt__builtin_classes[] = {&newt_list_class,
                                                   &newt_set_class,
                                                   &newt_map_class,
                                                   &newt_length_class,
                                                   &newt__root_class,
                                                   &newt__count_class,
                                                   &newt_queue_class,
                                                   &newt__lane_class,
                                                   &newt__index_state_class,
                                                   &newt__index_node_class,
                                                   NULL};
