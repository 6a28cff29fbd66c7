/*
 * examples.c - docs/state-record.md says what the codec does
 *
 * The page's tables are told by their first line. Each example is read, shown as JSON and written
 * again; each error is given with its offset, code and reason; and the page names every reason that
 * the reader has.
 */
#include "check.h"

static const char *const page = "docs/state-record.md";

typedef struct lines {
    char *text;
    char *at;
} lines;

static int
open_page(void **state)
{
    static lines l;
    FILE *f = fopen(page, "r");
    size_t cap = 1 << 20, n;
    if (!f) {
        fprintf(stderr, "%s is not here: run the test from the checkout\n", page);
        return -1;
    }
    l.text = malloc(cap);
    n = fread(l.text, 1, cap - 1, f);
    l.text[n] = 0;
    fclose(f);
    *state = &l;
    return 0;
}

static int
close_page(void **state)
{
    free(((lines *)*state)->text);
    return 0;
}

/* The next line; the caller frees it. */
static char *
next_line(lines *l)
{
    size_t n = strcspn(l->at, "\n");
    char *line;
    if (!*l->at)
        return NULL;
    line = malloc(n + 1);
    memcpy(line, l->at, n);
    line[n] = 0;
    l->at += n + (l->at[n] == '\n');
    return line;
}

enum {
    MAX_CELLS = 6
};

/* Cuts "| a | b |" into its cells, without their backticks. Returns how many; *code: the first one
 * had backticks. */
static int
cells(char *line, char *cell[MAX_CELLS], bool *code)
{
    int n = 0;
    *code = strncmp(line, "| `", 3) == 0;
    for (char *p = strtok(line, "|"); p && n < MAX_CELLS; p = strtok(NULL, "|")) {
        size_t len;
        p += strspn(p, " ");
        len = strlen(p);
        while (len > 0 && p[len - 1] == ' ')
            p[--len] = 0;
        if (len > 1 && p[0] == '`' && p[len - 1] == '`') {
            p[len - 1] = 0;
            p++;
        }
        cell[n++] = p;
    }
    return n;
}

/* Of the rows under the line `first`: what each is for. */
static int
each_row(lines *l, const char *first, void (*row)(char *cell[], int n))
{
    int count = 0;
    bool inside = false;
    char *line;
    l->at = l->text;
    for (; (line = next_line(l)) != NULL; free(line)) {
        char *cell[MAX_CELLS];
        bool code;
        if (strcmp(line, first) == 0) {
            inside = true;
        } else if (line[0] != '|') {
            inside = false;
        } else if (inside && line[1] == ' ') {
            int n = cells(line, cell, &code);
            assert_true(code);
            row(cell, n);
            count++;
        }
    }
    return count;
}

static void
check_item(const char *hex, const char *json)
{
    memory m;
    newt__env env = memory_env(&m);
    bytes record = record_of(hex);
    assert_lossless(&env, record.p, record.n, hex);
    assert_json(&env, record.p, record.n, strcmp(json, "no row, SQL NULL") == 0 ? NULL : json, hex);
    free(record.p);
    assert_int_equal(m.live, 0);
}

static void
kind_row(char *cell[], int n)
{
    assert_int_equal(n, 3);
    check_item(cell[0], cell[2]);
}

static void
json_row(char *cell[], int n)
{
    assert_int_equal(n, 2);
    check_item(cell[0], cell[1]);
}

static void
items(void **state)
{
    assert_true(each_row(*state, "| item | is | JSON |", kind_row) >= 35);
    assert_true(each_row(*state, "| item | JSON |", json_row) >= 12);
}

static char reasons[8192]; /* those that the page names */

static void
check_error(bytes record, size_t base, char *cell[], int n)
{
    static const char *const codes[] = {"ok", "malformed", "profile", "newer", "foreign", "limit"};
    memory m;
    newt__env env = memory_env(&m);
    newt__fault fault = {0};
    assert_int_equal(n, 4);
    newt__validate(&env, record.p, record.n, &fault);
    assert_true(fault.code <= NEWT__LIMIT);
    assert_string_equal(codes[fault.code], cell[2]);
    assert_int_equal(fault.offset, base + strtoul(cell[1], NULL, 10));
    assert_string_equal(fault.reason, cell[3]);
    assert_true(strlen(reasons) + strlen(cell[3]) + 2 < sizeof reasons);
    strcat(reasons, cell[3]);
    strcat(reasons, "\n");
    free(record.p);
}

static void
item_error_row(char *cell[], int n)
{
    check_error(record_of(cell[0]), HEAD, cell, n);
}

static void
record_error_row(char *cell[], int n)
{
    check_error(bytes_of(cell[0]), 0, cell, n);
}

static void
errors(void **state)
{
    assert_true(each_row(*state, "| item | offset | code | reason |", item_error_row) >= 30);
    assert_true(each_row(*state, "| record | offset | code | reason |", record_error_row) >= 8);
}

/* The block in fences ```kind, without its comments and its white space (outside of strings). */
static char *
block(lines *l, const char *kind)
{
    char fence[16], *out = calloc(1, 8192), *line;
    size_t n = 0;
    bool inside = false;
    snprintf(fence, sizeof fence, "```%s", kind);
    l->at = l->text;
    for (; (line = next_line(l)) != NULL; free(line)) {
        bool in_string = false;
        if (inside && strcmp(line, "```") == 0) {
            free(line);
            return out;
        }
        if (inside)
            for (const char *c = line; *c && (in_string || *c != '#'); c++) {
                if (*c == '"')
                    in_string = !in_string;
                if (in_string || *c != ' ')
                    out[n++] = *c;
            }
        if (strcmp(line, fence) == 0)
            inside = true;
    }
    fail_msg("no block of %s", kind);
    return out;
}

static void
whole_record(void **state)
{
    memory m;
    newt__env env = memory_env(&m);
    char *hex = block(*state, "hex"), *json = block(*state, "json");
    bytes record = bytes_of(hex);
    assert_true(record.n > 200);
    assert_lossless(&env, record.p, record.n, "the whole record");
    assert_json(&env, record.p, record.n, json, "the whole record");
    free(record.p);
    free(hex);
    free(json);
}

/* Reasons stand in the source as strings; the page has the examples of all those of the reader but
 * the limits, whose records would be long. */
static void
every_reason(void **state)
{
    (void)state;
    static const char *const limits[] = {"nesting is too deep",    "record is too large",
                                         "class name is too long", "bignum is too long",
                                         "record is empty",        "interrupted"};
    char *source = calloc(1, 1 << 20);
    FILE *f = fopen("codec/read.c", "r");
    assert_non_null(f);
    assert_true(fread(source, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    int n = 0, missing = 0;
    for (char *p; (p = strstr(source, "/*")) != NULL;) /* comments may quote what they like */
        memset(p, ' ', (size_t)(strstr(p, "*/") + 2 - p));
    for (char *p = source; (p = strchr(p, '"')) != NULL;) {
        char *end = strchr(p + 1, '"');
        assert_non_null(end);
        *end = 0;
        /* a reason begins with a letter and has a blank; names of headers do not */
        if (strchr(p + 1, ' ') && !strchr(p + 1, '\n')) {
            bool known = strstr(reasons, p + 1) != NULL;
            for (size_t i = 0; i < LENGTH(limits); i++)
                known |= strcmp(limits[i], p + 1) == 0;
            if (!known)
                print_error("%s has no example of \"%s\"\n", page, p + 1);
            missing += !known;
            n++;
        }
        p = end + 1;
    }
    free(source);
    assert_true(n > 40);
    assert_int_equal(missing, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items),
        cmocka_unit_test(errors),
        cmocka_unit_test(whole_record),
        cmocka_unit_test(every_reason),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("examples", tests, open_page, close_page);
}
