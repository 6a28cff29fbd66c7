/*
 * bags.c - bags for the program: new, read, write, their fields
 */
#include "object.h"

#include <string.h>

static inline newt_bag *
bag_of(newt__header *h)
{
    return newt__object_of(h);
}

static inline newt__header *
header_of(const newt_bag *b)
{
    return newt__header_of(b);
}

/* ---- new, read, write, done -------------------------------------------------------------- */

static bool
may_be_new(newt__jar *c, const char *name)
{
    size_t n = name ? strnlen(name, NEWT__MAX_NAME + 1) : 0;

    if (n == 0 || n > NEWT__MAX_NAME || newt__utf8_valid(name, n) != n)
        newt__base_fail(&c->base, NEWT_EINVAL, 0, "the class name of a bag is %s",
                        n == 0               ? "empty"
                        : n > NEWT__MAX_NAME ? "too long"
                                             : "not UTF-8");
    else if (strncmp(name, "newt.", 5) == 0 || strncmp(name, "::", 2) == 0)
        newt__base_fail(&c->base, NEWT_EINVAL, 0, "class name \"%s\" is reserved", name);
    else if (newt__class_named(c->classes, name, n))
        newt__base_fail(&c->base, NEWT_ECLASS, 0, "class \"%s\" has a table: use newt_new", name);
    else
        return true;
    return false;
}

newt_bag *
newt_bag_new(newt_conn *conn, const char *class_name)
{
    newt__jar *c = newt__jar_of(conn);
    newt__header *h;
    int64_t oid;

    if (newt__base_enter(&c->base) != NEWT_OK || !may_be_new(c, class_name) ||
        newt__next_oid(c, &oid) != NEWT_OK)
        return NULL;
    h = newt__header_make(c, sizeof(newt_bag));
    if (h) {
        h->bag = true;
        bag_of(h)->class_name = newt__class_intern(c->classes, class_name, strlen(class_name));
        bag_of(h)->state = json_object();
    }
    if (!h || !bag_of(h)->class_name || !bag_of(h)->state) {
        newt__header_free(h);
        newt__base_fail_memory(&c->base);
        return NULL;
    }
    if (newt__object_add(c, h, oid) != NEWT_OK) {
        newt__header_free(h);
        return NULL;
    }
    return bag_of(h);
}

/* A bag of an object that has a struct: a detached copy of its state as it is now. What can only be
 * read is as its record, which may have more than the struct. */
static newt__header *
view(newt__jar *c, const newt__header *h)
{
    const newt__buffer *now = &c->coder.writer.buf;
    newt__header *v;
    newt_error e = {0};

    if (!h->fixed && newt__image_encode(c, h, false, &e) != NEWT_OK) {
        newt__base_fail_with(&c->base, &e);
        return NULL;
    }
    if (newt__bag_load(c, h->oid, h->fixed ? h->record : now->data, h->fixed ? h->record_n : now->n,
                       &v) != NEWT_OK) {
        newt__base_fail_memory(&c->base);
        return NULL;
    }
    v->serial = h->serial;
    v->newer = c->views;
    c->views = v;
    return v;
}

const newt_bag *
newt_bag_read(newt_conn *conn, newt_ref r)
{
    newt__jar *c = newt__jar_of(conn);
    newt__header *h = newt__object_find(c, r, NEWT__ON_READ);

    if (h && !h->bag)
        h = view(c, h);
    if (!h || newt__bag_open(h) != NEWT_OK)
        return NULL;
    newt__object_pin(h);
    return bag_of(h);
}

newt_bag *
newt_bag_write(newt_conn *conn, newt_ref r)
{
    newt__jar *c = newt__jar_of(conn);
    newt__header *h = newt__object_find(c, r, NEWT__ON_WRITE);
    const char *name;

    if (!h)
        return NULL;
    name = h->bag ? bag_of(h)->class_name : h->class->name;
    if (name && newt__class_named(c->classes, name, strlen(name))) {
        newt__header_fail(h, NEWT_ECLASS,
                          "object %lld is of class \"%s\", which has a table: as a bag it can only "
                          "be read",
                          (long long)h->oid, name);
        return NULL;
    }
    if (newt__bag_open(h) != NEWT_OK || newt__object_change(h) != NEWT_OK)
        return NULL;
    newt__object_pin(h);
    return bag_of(h);
}

void
newt_bag_done(const newt_bag *b)
{
    newt__header *h = b ? header_of(b) : NULL, **link;

    if (!h)
        return;
    if (h->state != NEWT__IMAGE) {
        newt_done((const newt_object *)b);
        return;
    }
    if (h->pins > 0 && --h->pins > 0)
        return;
    for (link = &h->jar->views; *link; link = &(*link)->newer) {
        if (*link == h) {
            *link = h->newer;
            newt__header_free(h);
            return;
        }
    }
}

/* ---- asking ------------------------------------------------------------------------------ */

newt_ref
newt_bag_ref(const newt_bag *b)
{
    return newt_ref_of((const newt_object *)b);
}

const char *
newt_bag_class(const newt_bag *b)
{
    return b->class_name;
}

static json_t *
copy_of(const newt_bag *b, const json_t *json)
{
    json_t *copy = json_deep_copy(json);

    if (!copy)
        newt__base_fail_memory(&header_of(b)->jar->base);
    return copy;
}

json_t *
newt_bag_state(const newt_bag *b)
{
    return copy_of(b, b->state);
}

/* A field's name as jansson has it: one more colon in front of two. For free() of env. */
static char *
escaped(newt__jar *c, const char *key)
{
    size_t n = strlen(key), more = strncmp(key, "::", 2) == 0;
    char *copy = c->coder.env.realloc(c->coder.env.arg, NULL, n + more + 1);

    if (copy) {
        copy[0] = ':';
        memcpy(copy + more, key, n + 1);
    } else {
        newt__base_fail_memory(&c->base);
    }
    return copy;
}

json_t *
newt_bag_get(const newt_bag *b, const char *key)
{
    newt__jar *c = header_of(b)->jar;
    char *name = escaped(c, key);
    const json_t *value = name ? json_object_get(b->state, name) : NULL;

    c->coder.env.free(c->coder.env.arg, name);
    return value ? copy_of(b, value) : NULL;
}

/* ---- changing ---------------------------------------------------------------------------- */

static int
refuse_memory(newt__header *h)
{
    newt__fault fault = {NEWT__NOMEM, NULL, 0};

    return newt__refuse_fault(h, NULL, &fault);
}

int
newt_bag_replace(newt_bag *b, const json_t *state)
{
    newt__header *h = newt__writable((newt_object *)b, NULL, true);
    json_t *copy;

    if (!h)
        return newt__not_writable((newt_object *)b);
    if (!json_is_object(state))
        return newt__refuse(h, NEWT_EINVAL, NULL, "was given a state that is no object");
    copy = json_deep_copy(state);
    if (!copy)
        return refuse_memory(h);
    json_decref(b->state);
    b->state = copy;
    newt__bag_count(h, newt__json_bytes(copy));
    return NEWT_OK;
}

/* value NULL: the field is removed */
static int
change_field(newt_bag *b, const char *key, const json_t *value)
{
    newt__header *h = newt__writable((newt_object *)b, NULL, true);
    json_t *copy = NULL;
    const json_t *old;
    size_t bytes, removed;
    char *name;
    int status = NEWT_OK;

    if (!h)
        return newt__not_writable((newt_object *)b);
    if (!json_is_object(b->state))
        return newt__refuse(h, NEWT_EINVAL, NULL, "has a state that is no map");
    name = escaped(h->jar, key);
    if (!name)
        return refuse_memory(h);
    old = json_object_get(b->state, name);
    removed = old ? newt__json_bytes(old) : 0;
    bytes = b->bytes > removed ? b->bytes - removed : 0;
    if (value) {
        copy = json_deep_copy(value);
        if (!copy || json_object_set_new(b->state, name, copy) != 0)
            status = newt__utf8_valid(key, strlen(key)) < strlen(key)
                         ? newt__refuse(h, NEWT_EINVAL, NULL, "was given a key that is not UTF-8")
                         : refuse_memory(h);
    } else {
        json_object_del(b->state, name);
    }
    if (status == NEWT_OK)
        newt__bag_count(h, bytes + (value ? strlen(name) + newt__json_bytes(value) : 0));
    h->jar->coder.env.free(h->jar->coder.env.arg, name);
    return status;
}

int
newt_bag_set(newt_bag *b, const char *key, const json_t *value)
{
    static json_t null = {JSON_NULL, (size_t)-1};

    return change_field(b, key, value ? value : &null);
}

int
newt_bag_delete(newt_bag *b, const char *key)
{
    return change_field(b, key, NULL);
}
