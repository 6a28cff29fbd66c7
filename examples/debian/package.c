/*
 * package.c - the class tables: from each, Newt reads and writes records, makes the JSONB, finds
 * the references and registers the class
 */
#include "package.h"

#include "folder.h"

const char *const priority_names[] = {"required", "important", "standard",
                                      "optional", "extra",     NULL};
static const char *const relation_names[] = {"depends", "pre-depends", "recommends", NULL};
static const char *const phase_names[] = {"maintainers", "packages", "relations", "complete", NULL};

NEWT_CLASS(maintainer, "Maintainer", 1, NULL, NEWT_FIELD(struct maintainer, name),
           NEWT_FIELD(struct maintainer, email));

NEWT_CLASS(relation, "Relation", 1, NULL, NEWT_ENUM(struct relation, kind, relation_names),
           NEWT_FIELD(struct relation, spec), NEWT_REFS(struct relation, any_of, package));

NEWT_CLASS(package, "Package", 1, NULL, NEWT_FIELD(struct package, name, .flags = NEWT_F_REQUIRED),
           NEWT_FIELD(struct package, version), NEWT_FIELD(struct package, architecture),
           NEWT_REF(struct package, section, section),
           NEWT_REF(struct package, maintainer, maintainer),
           NEWT_ENUM(struct package, priority, priority_names),
           NEWT_FIELD(struct package, essential), NEWT_FIELD(struct package, summary),
           NEWT_FIELD(struct package, description), NEWT_FIELD(struct package, homepage),
           NEWT_FIELD(struct package, size), NEWT_FIELD(struct package, installed_size),
           NEWT_SET(struct package, tags), NEWT_STRUCTS(struct package, relations, relation),
           NEWT_SET(struct package, acl), NEWT_FIELD(struct package, held),
           NEWT_FIELD(struct package, reviews));

NEWT_CLASS(section, "Section", 1, NULL, NEWT_FIELD(struct section, name, .flags = NEWT_F_REQUIRED),
           NEWT_SET(struct section, acl), NEWT_REFS(struct section, packages, package));

NEWT_CLASS(archive, "Archive", 1, NULL, NEWT_FIELD(struct archive, source),
           NEWT_FIELD(struct archive, digest), NEWT_ENUM(struct archive, phase, phase_names),
           NEWT_FIELD(struct archive, position), NEWT_FIELD(struct archive, packages),
           NEWT_FIELD(struct archive, unresolved), NEWT_REFS(struct archive, sections, section),
           NEWT_REF(struct archive, maintainers, newt_map), NEWT_FIELD(struct archive, loaded));

/* relation and rule are embedded, newt_map is Newt's own: they are not listed. */
const newt_class *const demo_classes[] = {&archive_class,
                                          &section_class,
                                          &package_class,
                                          &maintainer_class,
                                          &folder_class,
                                          &upload_class,
                                          NULL};
