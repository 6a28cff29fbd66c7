#!/usr/bin/env bash
# The header in C++: types, functions and typed wrappers; class tables are made in C.
set -uo pipefail
cd "$(dirname "$0")/../.."
program='
#include <newtdb.h>
struct note { newt_text text; NEWT_ARRAY(newt_ref) refs; NEWT_MAP(double) weights; };
NEWT_DECLARE(note);
NEWT_DECLARE_INDEX(by_text, note, text);
int64_t notes(newt_conn *c, const char *text) {
    by_text_range_of range = by_text_range_of();
    by_text_key key;
    key.text = newt_str(text);
    range.equal = &key;
    by_text_cursor at = by_text_range(c, &range);
    while (by_text_next(&at) == 1) note_done(note_read(c, at.ref));
    return by_text_count(c, &range);
}
int words(newt_conn *c, note_ref r) {
    const note *n = note_read(c, r);
    if (!n) return newt_status(c);
    int size = static_cast<int>(n->text.n + n->refs.n + n->weights.n);
    note_done(n);
    return size;
}
'
n=0 status=0
for cc in g++ clang++; do
    for std in c++11 c++17; do
        n=$((n + 1))
        if ! command -v $cc >/dev/null; then echo "ok $n - # SKIP no $cc" && continue; fi
        out=$($cc -x c++ -std=$std -Wall -Wextra -Werror -Ibuild/include -fsyntax-only - <<<"$program" 2>&1) ||
            { status=1 && sed 's/^/# /' <<<"$out" && printf 'not '; }
        echo "ok $n - $cc -std=$std"
    done
done
echo "1..$n"
exit $status
