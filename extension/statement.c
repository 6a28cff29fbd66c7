/*
 * statement.c - whether a text is one query, before it is made part of another statement
 */
#include "newt_pg.h"

#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(newt_pg_check_select);

/* SELECT, VALUES, TABLE and their unions; without INTO, and without statements that write in WITH.
 */
static bool
is_query(Node *statement)
{
    SelectStmt *select = (SelectStmt *)statement;
    ListCell *cell;

    if (!IsA(statement, SelectStmt))
        return false;
    if (select->withClause)
        foreach (cell, select->withClause->ctes)
            if (!IsA(lfirst_node(CommonTableExpr, cell)->ctequery, SelectStmt))
                return false;
    while (select->op != SETOP_NONE)
        select = select->larg; /* INTO stands in the first */
    return select->intoClause == NULL;
}

Datum
newt_pg_check_select(PG_FUNCTION_ARGS)
{
    List *statements = raw_parser(text_to_cstring(PG_GETARG_TEXT_PP(0)), RAW_PARSE_DEFAULT);

    if (list_length(statements) != 1)
        ereport(ERROR,
                (errcode(ERRCODE_SYNTAX_ERROR),
                 errmsg("query must be one statement, but has %d", list_length(statements))));
    if (!is_query(linitial_node(RawStmt, statements)->stmt))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("query must be a SELECT"),
                        errdetail("It is another statement, or it writes.")));
    PG_RETURN_VOID();
}
