/*
 * package.h - the classes of the demo: an archive of packages as a graph of structs
 *
 *   archive -> sections -> packages -> maintainer
 *                              \-> packages (relations)
 *
 * Every -> is a reference: a value that is stored with the object and resolves to it in any
 * connection. In the JSONB it is {"::=>": oid}.
 */
#ifndef DEMO_PACKAGE_H
#define DEMO_PACKAGE_H

#include <newtdb.h>

struct archive;
struct section;
struct maintainer;
struct package;
struct relation;
NEWT_DECLARE(archive);
NEWT_DECLARE(section);
NEWT_DECLARE(maintainer);
NEWT_DECLARE(package);
NEWT_DECLARE(relation); /* embedded in a package: a table, but no identity */

struct maintainer {
    newt_text name, email;
};

/* One item of a Depends field. "default-mta | mail-transport-agent" is one relation that any of
 * several packages satisfies, in the order of preference. A virtual package (one that others
 * provide) stands here as those that provide it. Versions are kept in the text only. */
enum relation_kind {
    DEPENDS,
    PRE_DEPENDS,
    RECOMMENDS
};
struct relation {
    enum relation_kind kind;
    newt_text spec;
    NEWT_ARRAY(package_ref) any_of; /* empty: not in this index */
};

enum priority {
    REQUIRED,
    IMPORTANT,
    STANDARD,
    OPTIONAL,
    EXTRA
};
extern const char *const priority_names[];

struct package {
    newt_text name, version, architecture;
    section_ref section;
    maintainer_ref maintainer;
    enum priority priority;
    bool essential;
    newt_text summary, description, homepage;
    uint64_t size, installed_size; /* bytes: to download, unpacked */
    NEWT_ARRAY(newt_text) tags;    /* a set: "role::program", "implemented-in::c" */
    NEWT_ARRAY(struct relation) relations;
    /*
     * Who may see it: principals. Copied from the section when the package is loaded, so that an
     * index over packages looks at the package alone. An index on "my section's list" could not be
     * trusted: PostgreSQL would not know that it changes when the section does. (A derived column
     * knows: folder.h has lists that are not copied.)
     */
    NEWT_ARRAY(newt_text) acl;
    /* What the people who run the machine decide; not in the index. */
    bool held;
    uint32_t reviews;
};

struct section {
    newt_text name;
    NEWT_ARRAY(newt_text) acl;
    NEWT_ARRAY(package_ref) packages; /* by name */
};

/* How far a load is. Every step happens in the transaction that also moves `position`, so a load
 * that was killed goes on where it stopped. */
enum phase {
    MAINTAINERS,
    PACKAGES,
    RELATIONS,
    COMPLETE
};
struct archive {
    newt_text source; /* where the index came from */
    newt_text digest; /* of the index: the same index is not loaded twice */
    enum phase phase;
    uint64_t position;             /* objects done in this phase */
    uint64_t packages, unresolved; /* relations that no package of the index satisfies */
    NEWT_ARRAY(section_ref) sections;
    newt_map_ref maintainers; /* by "Name <address>" */
    newt_time loaded;
};

extern const newt_class *const demo_classes[];

#endif
