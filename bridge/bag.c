/*
 * bag.c - objects without a struct: bags of a class that no table has, and the broken ones
 *
 * A bag keeps its record as it was loaded. Its state is made into jansson when it is first looked
 * at, and back into a record at commit.
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

static int
no_memory(newt_conn *c)
{
    newt_error e = {0};

    newt__fail_memory(&e);
    return newt__conn_fail_with(c, &e);
}

/* ---- records ----------------------------------------------------------------------------- */

int
newt__bag_load(newt_conn *c, int64_t oid, const void *record, size_t n, newt__header **out)
{
    newt__header *h = newt__object_make(c, sizeof(newt_bag));
    newt__reader r;

    *out = NULL;
    if (!h)
        return NEWT_ENOMEM;
    h->oid = oid;
    h->bag = true;
    if (newt__read_begin(&r, &c->env, record, n) == NEWT__OK) {
        bag_of(h)->class_name = newt__class_intern(c->db->classes, r.class_name, r.class_n);
        bag_of(h)->version = (int32_t)r.version;
        if (!bag_of(h)->class_name)
            goto no_memory;
    }
    if (!newt__object_keep(h, record, n))
        goto no_memory;
    *out = h;
    return NEWT_OK;

no_memory:
    newt__object_free(h);
    return NEWT_ENOMEM;
}

/* What jansson takes for a value, with what malloc adds: it does not tell. */
static size_t
size_of(const json_t *json)
{
    enum {
        SCALAR = 32,
        ARRAY = 64,
        OBJECT = 256,
        PAIR = 96
    };
    size_t n, i;
    const char *key;
    json_t *value;

    switch (json_typeof(json)) {
    case JSON_STRING: return SCALAR + 16 + json_string_length(json);
    case JSON_ARRAY:
        n = ARRAY + json_array_size(json) * sizeof value;
        json_array_foreach(json, i, value) n += size_of(value);
        return n;
    case JSON_OBJECT:
        n = OBJECT;
        json_object_foreach((json_t *)(uintptr_t)json, key, value)
            n += PAIR + strlen(key) + size_of(value);
        return n;
    default: return SCALAR;
    }
}

/* The state is of this size now. */
static void
count(newt__header *h, size_t bytes)
{
    if (h->state != NEWT__IMAGE)
        h->conn->cache.bytes += bytes - bag_of(h)->bytes;
    bag_of(h)->bytes = bytes;
}

void
newt__bag_clear(newt__header *h)
{
    count(h, 0);
    json_decref(bag_of(h)->state);
    bag_of(h)->state = NULL;
}

int
newt__bag_encode(newt_conn *c, const newt__header *h, newt_error *e)
{
    const newt_bag *b = (const void *)((const char *)h + NEWT__HEADER);
    newt__writer *w = &c->writer;
    char name[NEWT__NAME_SIZE];
    newt__reader r;

    newt__write_begin(w, b->class_name, strlen(b->class_name), b->version);
    if (b->state) {
        if (b->hidden)
            newt__write_hidden(w);
        newt__json_write(w, b->state);
    } else if (newt__read_begin(&r, &c->env, h->record, h->record_n) == NEWT__OK) {
        newt__write_encoded(w, h->record + r.at, h->record_n - r.at);
    }
    if (newt__write_end(w) == NEWT__OK)
        return NEWT_OK;
    return newt__fail_value(e, h->oid, newt__object_name(h, name), &w->fault);
}

int
newt__bag_open(newt__header *h)
{
    newt_conn *c = h->conn;
    newt_bag *b = bag_of(h);
    newt_error e = {0};
    char name[NEWT__NAME_SIZE];
    newt__reader r;
    newt__token t, end;

    if (b->state)
        return NEWT_OK;
    if (newt__read_begin(&r, &c->env, h->record, h->record_n) == NEWT__OK &&
        newt__read(&r, &t) == NEWT__OK) {
        bool hidden = t.hidden;
        json_t *state = newt__json_read(&r, &t, 0);

        if (state && newt__read(&r, &end) == NEWT__OK) {
            b->state = state;
            b->hidden = hidden;
            count(h, size_of(state));
            return NEWT_OK;
        }
        json_decref(state);
        if (r.fault.code == NEWT__OK)
            return no_memory(c);
    }
    newt__fail_codec(&e, h->oid, newt__object_name(h, name), &r.fault);
    return newt__conn_fail_with(c, &e);
}

/* ---- new, read, write, done -------------------------------------------------------------- */

static bool
may_be_new(newt_conn *c, const char *name)
{
    size_t n = name ? strnlen(name, NEWT__MAX_NAME + 1) : 0;

    if (n == 0 || n > NEWT__MAX_NAME || newt__utf8_valid(name, n) != n)
        newt__conn_fail(c, NEWT_EINVAL, 0, "the class name of a bag is %s",
                        n == 0               ? "empty"
                        : n > NEWT__MAX_NAME ? "too long"
                                             : "not UTF-8");
    else if (strncmp(name, "newt.", 5) == 0 || strncmp(name, "::", 2) == 0)
        newt__conn_fail(c, NEWT_EINVAL, 0, "class name \"%s\" is reserved", name);
    else if (newt__class_named(c->db->classes, name, n))
        newt__conn_fail(c, NEWT_ECLASS, 0, "class \"%s\" has a table: use newt_new", name);
    else
        return true;
    return false;
}

newt_bag *
newt_bag_new(newt_conn *c, const char *class_name)
{
    newt__header *h;
    int64_t oid;

    if (newt__conn_enter(c) != NEWT_OK || !may_be_new(c, class_name) ||
        newt__next_oid(c, &oid) != NEWT_OK)
        return NULL;
    h = newt__object_make(c, sizeof(newt_bag));
    if (h) {
        h->bag = true;
        bag_of(h)->class_name = newt__class_intern(c->db->classes, class_name, strlen(class_name));
        bag_of(h)->state = json_object();
    }
    if (!h || !bag_of(h)->class_name || !bag_of(h)->state) {
        newt__object_free(h);
        no_memory(c);
        return NULL;
    }
    if (newt__object_add(c, h, oid) != NEWT_OK) {
        newt__object_free(h);
        return NULL;
    }
    return bag_of(h);
}

/* A bag of an object that has a struct: a detached copy of its state as it is now. */
static newt__header *
view(newt_conn *c, const newt__header *h)
{
    newt__header *v;
    newt_error e = {0};

    if (newt__encode(c, h, false, &e) != NEWT_OK) {
        newt__conn_fail_with(c, &e);
        return NULL;
    }
    if (newt__bag_load(c, h->oid, c->writer.buf.data, c->writer.buf.n, &v) != NEWT_OK) {
        no_memory(c);
        return NULL;
    }
    v->serial = h->serial;
    v->newer = c->views;
    c->views = v;
    return v;
}

const newt_bag *
newt_bag_read(newt_conn *c, newt_ref r)
{
    newt__header *h = newt__object_find(c, r, NEWT__ON_READ);

    if (h && !h->bag)
        h = view(c, h);
    if (!h || newt__bag_open(h) != NEWT_OK)
        return NULL;
    newt__object_pin(h);
    return bag_of(h);
}

newt_bag *
newt_bag_write(newt_conn *c, newt_ref r)
{
    newt__header *h = newt__object_find(c, r, NEWT__ON_WRITE);
    const char *name;

    if (!h)
        return NULL;
    name = h->bag ? bag_of(h)->class_name : h->class->name;
    if (name && newt__class_named(c->db->classes, name, strlen(name))) {
        newt__conn_fail(c, NEWT_ECLASS, h->oid,
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
    for (link = &h->conn->views; *link; link = &(*link)->newer) {
        if (*link == h) {
            *link = h->newer;
            newt__object_free(h);
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
        no_memory(header_of(b)->conn);
    return copy;
}

json_t *
newt_bag_state(const newt_bag *b)
{
    return copy_of(b, b->state);
}

/* A field's name as jansson has it: one more colon in front of two. For free() of env. */
static char *
escaped(newt_conn *c, const char *key)
{
    size_t n = strlen(key), more = strncmp(key, "::", 2) == 0;
    char *copy = c->env.realloc(c->env.arg, NULL, n + more + 1);

    if (copy) {
        copy[0] = ':';
        memcpy(copy + more, key, n + 1);
    } else {
        no_memory(c);
    }
    return copy;
}

json_t *
newt_bag_get(const newt_bag *b, const char *key)
{
    newt_conn *c = header_of(b)->conn;
    char *name = escaped(c, key);
    const json_t *value = name ? json_object_get(b->state, name) : NULL;

    c->env.free(c->env.arg, name);
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
    count(h, size_of(copy));
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
    name = escaped(h->conn, key);
    if (!name)
        return refuse_memory(h);
    old = json_object_get(b->state, name);
    removed = old ? size_of(old) : 0;
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
        count(h, bytes + (value ? strlen(name) + size_of(value) : 0));
    h->conn->env.free(h->conn->env.arg, name);
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
