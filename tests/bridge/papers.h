/*
 * papers.h - objects that keep JSON text
 */
#ifndef NEWT_TESTS_BRIDGE_PAPERS_H
#define NEWT_TESTS_BRIDGE_PAPERS_H

#include "server.h"

struct paper;
NEWT_DECLARE(paper);
struct paper {
    newt_json any, other;
    int64_t n;
};
NEWT_CLASS(paper, "Paper", 1, NULL, NEWT_FIELD(struct paper, any), NEWT_FIELD(struct paper, other),
           NEWT_FIELD(struct paper, n));
static const newt_class *const papers[] = {&paper_class, NULL};

static void
open_papers(store *s)
{
    store_make(s, "papers");
    s->db = store_db(s, papers, (newt_options){0});
    s->a = connect_(s->db);
    s->b = connect_(s->db);
}

#endif
