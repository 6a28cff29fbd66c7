/*
 * misuse.c - what the compiler must refuse, beside the same things done right
 *
 * Compiled once as it is, and once for each BADn, by gcc and by clang; see tests/exec. Behind
 * "error:" stands what either must answer.
 */
#include <newtdb.h>

struct address {
    newt_text street, city;
};
struct chapter {
    newt_text heading;
    int32_t pages;
    newt_time printed;
};
struct author;
struct book;
NEWT_DECLARE(address);
NEWT_DECLARE(chapter);
NEWT_DECLARE(author);
NEWT_DECLARE(book);

enum binding {
    PAPER,
    LEATHER
};
static const char *const binding_names[] = {"paper", "leather", NULL};

struct author {
    newt_text name;
    struct address home;
    newt_date born;
    NEWT_ARRAY(book_ref) books;
};
struct book {
    newt_text title;
    enum binding binding;
    uint8_t shelf;
    int64_t copies;
    double weight;
    author_ref author;
    book_ref sequel;
    newt_ref about;
    newt_uuid id;
    newt_decimal price;
    newt_json extras;
    newt_store_ref lender;
    newt_weak reader;
    NEWT_ARRAY(newt_weak) readers;
    newt_set_ref borrowers;
    NEWT_ARRAY(newt_text) subjects;
    NEWT_ARRAY(author_ref) editors;
    NEWT_ARRAY(struct chapter) chapters;
    NEWT_MAP(double) ratings;
    NEWT_MAP(author_ref) translators;
    NEWT_MAP(struct address) printers;
    NEWT_PAIRS(int32_t, newt_text) errata;
    NEWT_ARRAY(enum binding) bindings;
    int scratch; /* not in the table */
};

NEWT_CLASS(address, "Address", 1, NULL, NEWT_FIELD(struct address, street),
           NEWT_FIELD(struct address, city, .as = "town"));
NEWT_CLASS(chapter, "Chapter", 1, NULL, NEWT_FIELD(struct chapter, heading),
           NEWT_FIELD(struct chapter, pages), NEWT_FIELD(struct chapter, printed));
NEWT_CLASS_AS(author, "Author", 1, NULL, NEWT_C_INLINE,
              NEWT_FIELD(struct author, name, .flags = NEWT_F_REQUIRED),
              NEWT_STRUCT(struct author, home, address), NEWT_FIELD(struct author, born),
              NEWT_REFS(struct author, books, book));
NEWT_CLASS(book, "Book", 2, NULL, NEWT_FIELD(struct book, title),
           NEWT_ENUM(struct book, binding, binding_names), NEWT_FIELD(struct book, shelf),
           NEWT_FIELD(struct book, copies, .flags = NEWT_F_SKIP), NEWT_FIELD(struct book, weight),
           NEWT_REF(struct book, author, author), NEWT_REF(struct book, sequel, book),
           NEWT_FIELD(struct book, about), NEWT_FIELD(struct book, id),
           NEWT_FIELD(struct book, price), NEWT_FIELD(struct book, extras),
           NEWT_FIELD(struct book, lender), NEWT_FIELD(struct book, reader),
           NEWT_SET(struct book, readers), NEWT_REF(struct book, borrowers, newt_set),
           NEWT_SET(struct book, subjects), NEWT_REFS(struct book, editors, author),
           NEWT_STRUCTS(struct book, chapters, chapter), NEWT_MAPOF(struct book, ratings),
           NEWT_MAPOF_REFS(struct book, translators, author),
           NEWT_MAPOF_STRUCTS(struct book, printers, address), NEWT_PAIRSOF(struct book, errata),
           NEWT_ENUMS(struct book, bindings, binding_names));

NEWT_DECLARE_INDEX2(books_by_author, book, author, copies);
NEWT_INDEX2(books_by_author, "books.author", book, author, copies, .unique = false);

int library(newt_conn *c, void *arg);

int
library(newt_conn *c, void *arg)
{
    author_ref *who = arg;
    struct author *a = author_write(c, *who);
    struct book *b = book_new(c);
    const struct book *again;
    struct chapter *chapter;
    struct address *printer;
    double *rating;

    if (!a || !b)
        return newt_status(c);
    newt_set(b, title, "On Cats");
    newt_set(a, home.city, "Oslo");
    b->binding = LEATHER;
    b->author = *who;
    b->sequel = book_id(b);
    b->about = who->any;
    newt_store_ref_set(book_obj(b), &b->lender, c, who->any);
    b->reader = newt_weak_to(who->any);
    newt_append(b, readers, b->reader);
    b->borrowers = newt_set_id(newt_set_new(c));
    newt_append(a, books, book_id(b));
    newt_append(b, editors, *who);
    newt_append(b, bindings, PAPER);
    newt_items(b, editors)[0] = *who;
    chapter = newt_array_grow(book_obj(b), &b->chapters, sizeof *chapter, 2);
    if (chapter)
        newt_text_set(book_obj(b), &chapter[1].heading, "Tails");
    printer = newt_put(b, printers, "first");
    if (printer)
        newt_text_set(book_obj(b), &printer->city, "Bergen");
    rating = newt_put(b, ratings, "critics");
    if (rating)
        *rating = 4.5;
    if (newt_find(b, ratings, "readers") || !newt_drop(b, ratings, "critics"))
        return 1;
    book_done(b);
    again = book_read(c, book_id(b));
    if (!again)
        return newt_status(c);
    b = book_edit(again);
    if (b)
        b->copies++;
    book_done(again);
    author_done(a);
    if (books_by_author_get(c, (books_by_author_key){.author = *who, .copies = 1}, NULL) < 0)
        return newt_status(c);
    return newt_set_root(c, "author", author_id(a).any);
}

#if defined(BAD1) /* a forgotten mark; error: read-only|const-qualified */
void bad(const struct book *b);
void
bad(const struct book *b)
{
    b->binding = PAPER;
}
#elif defined(BAD2)  /* the program's own pointer as a text; error: incompatible type */
void bad(struct book *b);
void
bad(struct book *b)
{
    b->title = "mine";
}
#elif defined(BAD3)  /* a reference to another class; error: incompatible type */
void bad(struct book *b);
void
bad(struct book *b)
{
    b->author = b->sequel;
}
#elif defined(BAD4)  /* a setter on a pointer from read; error: _Generic|association */
void bad(const struct book *b);
void
bad(const struct book *b)
{
    newt_set(b, title, "new");
}
#elif defined(BAD5)  /* append on a pointer from read; error: _Generic|association */
void bad(const struct book *b, author_ref a);
void
bad(const struct book *b, author_ref a)
{
    newt_append(b, editors, a);
}
#elif defined(BAD6)  /* const reaches the items; error: read-only|const-qualified */
void bad(const struct book *b);
void
bad(const struct book *b)
{
    b->chapters.items[0].pages = 1;
}
#elif defined(BAD7)  /* a kind that there is not; error: _Generic|association */
struct x {
    char *s;
};
NEWT_DECLARE(x);
NEWT_CLASS(x, "X", 1, NULL, NEWT_FIELD(struct x, s));
#elif defined(BAD8)  /* a table that says another class; error: _Generic|association */
extern const newt_field bad[];
const newt_field bad[] = {NEWT_REF(struct book, author, book)};
#elif defined(BAD9)  /* an enum that is no int; error: _Generic|association */
extern const newt_field bad[];
const newt_field bad[] = {NEWT_ENUM(struct book, shelf, binding_names)};
#elif defined(BAD10) /* append of another class; error: incompatible type */
void bad(struct book *b, book_ref r);
void
bad(struct book *b, book_ref r)
{
    newt_append(b, editors, r);
}
#elif defined(BAD11) /* a reference is no pointer; error: invalid type argument|not a pointer */
const char *bad(const struct book *b);
const char *
bad(const struct book *b)
{
    return b->author->name.s;
}
#elif defined(BAD12) /* a table that says another struct; error: _Generic|association */
extern const newt_field bad[];
const newt_field bad[] = {NEWT_STRUCT(struct author, home, chapter)};
#elif defined(BAD13) /* a list of structs without a table; error: _Generic|association */
extern const newt_field bad[];
const newt_field bad[] = {NEWT_LIST(struct book, chapters)};
#elif defined(BAD14) /* writable items of a pointer from read; error: _Generic|association */
author_ref *bad(const struct book *b);
author_ref *
bad(const struct book *b)
{
    return newt_items(b, editors);
}
#elif defined(BAD15) /* a map whose keys are no text; error: _Generic|association */
extern const newt_field bad[];
const newt_field bad[] = {NEWT_MAPOF(struct book, errata)};
#elif defined(BAD16) /* a list of references to another class; error: _Generic|association */
extern const newt_field bad[];
const newt_field bad[] = {NEWT_REFS(struct book, editors, book)};
#elif defined(BAD17) /* nobody looks whether it was committed; error: unused.result */
void bad(newt_conn *c);
void
bad(newt_conn *c)
{
    newt_commit(c);
}
#elif defined(BAD18) /* a text into what is none; error: _Generic|association */
void bad(struct book *b);
void
bad(struct book *b)
{
    newt_set(b, copies, "many");
}
#elif defined(BAD19) /* reading by a reference to another class; error: incompatible type */
const struct book *bad(newt_conn *c, author_ref r);
const struct book *
bad(newt_conn *c, author_ref r)
{
    return book_read(c, r);
}
#elif defined(BAD20) /* a setter's object from a pointer from read; error: discards */
int bad(const struct book *b, newt_text *t);
int
bad(const struct book *b, newt_text *t)
{
    return newt_text_set(book_obj(b), t, "x");
}
#elif defined(BAD21) /* read does not give a writable pointer; error: discards */
struct book *bad(newt_conn *c, book_ref r);
struct book *
bad(newt_conn *c, book_ref r)
{
    struct book *b = book_read(c, r);
    return b;
}
#elif defined(BAD22) /* const reaches the values of a map; error: read-only|const-qualified */
void bad(const struct book *b);
void
bad(const struct book *b)
{
    b->ratings.items[0].value = 5;
}
#elif defined(BAD23) /* no such member; error: no member */
extern const newt_field bad[];
const newt_field bad[] = {NEWT_FIELD(struct book, publisher)};
#elif defined(BAD24) /* any class as an author; error: _Generic|association */
extern const newt_field bad[];
const newt_field bad[] = {NEWT_REF(struct book, about, author)};
#elif defined(BAD25) /* an array as a single value; error: _Generic|association */
extern const newt_field bad[];
const newt_field bad[] = {NEWT_FIELD(struct book, subjects)};
#elif defined(BAD26) /* append of the program's own pointer; error: incompatible type */
void bad(struct book *b);
void
bad(struct book *b)
{
    newt_append(b, subjects, "cats");
}
#elif defined(BAD27) /* a member's text through a pointer from read; error: discards */
int bad(struct book *b, const struct book *from);
int
bad(struct book *b, const struct book *from)
{
    return newt_text_set(book_obj(b), &from->title, "x");
}
#elif defined(BAD28) /* an object that nobody holds; error: unused.result */
void bad(newt_conn *c);
void
bad(newt_conn *c)
{
    newt_new(c, &book_class);
}
#elif defined(BAD29) /* the whole array replaced; error: incompatible type */
void bad(struct book *b, const struct author *a);
void
bad(struct book *b, const struct author *a)
{
    b->editors = a->books;
}
#elif defined(BAD30) /* an entry put through a pointer from read; error: _Generic|association */
double *bad(const struct book *b);
double *
bad(const struct book *b)
{
    return newt_put(b, ratings, "x");
}
#elif defined(BAD31) /* an entry found is const; error: discards */
double *bad(const struct book *b);
double *
bad(const struct book *b)
{
    double *rating = newt_find(b, ratings, "x");
    return rating;
}
#elif defined(BAD32) /* an entry dropped through one; error: _Generic|association */
bool bad(const struct book *b);
bool
bad(const struct book *b)
{
    return newt_drop(b, ratings, "x");
}
#elif defined(BAD33) /* an entry of another type; error: incompatible */
struct address *bad(struct book *b);
struct address *
bad(struct book *b)
{
    return newt_put(b, ratings, "x");
}
#elif defined(BAD34) /* a reference to another store needs its name; error: incompatible type */
void bad(struct book *b, author_ref r);
void
bad(struct book *b, author_ref r)
{
    b->lender = r.any;
}
#elif defined(BAD35) /* a weak reference where a strong one stands; error: incompatible type */
void bad(struct book *b);
void
bad(struct book *b)
{
    b->about = b->reader;
}
#elif defined(BAD36) /* a weak one read as it is; error: incompatible type */
const struct author *bad(newt_conn *c, const struct book *b);
const struct author *
bad(newt_conn *c, const struct book *b)
{
    return author_read(c, author_of(b->reader));
}
#elif defined(BAD37) /* whether it is there is not looked at; error: unused.result */
void bad(newt_conn *c, const struct book *b, bool *alive);
void
bad(newt_conn *c, const struct book *b, bool *alive)
{
    newt_weak_alive(c, b->reader, alive);
}
#elif defined(BAD38) /* a set that was only read; error: discards */
bool bad(const struct newt_set *s, newt_ref r);
bool
bad(const struct newt_set *s, newt_ref r)
{
    return newt_set_add(s, r);
}
#elif defined(BAD39) /* a set where a list is wanted; error: incompatible.pointer */
newt_ref bad(const struct newt_set *s);
newt_ref
bad(const struct newt_set *s)
{
    return newt_list_get(s, 0);
}
#elif defined(BAD40) /* an item set in place; error: read-only|const-qualified */
void bad(struct newt_list *l, newt_ref r);
void
bad(struct newt_list *l, newt_ref r)
{
    l->items.items[0] = r;
}
#elif defined(BAD41) /* a key of another type; error: incompatible type */
int bad(newt_conn *c, book_ref b);
int
bad(newt_conn *c, book_ref b)
{
    return books_by_author_get(c, (books_by_author_key){.author = b}, NULL);
}
#elif defined(BAD42) /* what is found is of another class; error: incompatible.pointer */
int bad(newt_conn *c, books_by_author_key k, author_ref *found);
int
bad(newt_conn *c, books_by_author_key k, author_ref *found)
{
    return books_by_author_get(c, k, found);
}
#elif defined(BAD43) /* an index over what is no field; error: no member */
NEWT_DECLARE_INDEX(books_by_nothing, book, nothing);
#endif
