/*
 * folder.h - who may see what: uploads of packages, in folders with access lists
 *
 *   upload -> folder -> folder -> ... -> the top        upload -> package
 *
 * What a folder's list says is for all that is in it, however deep. Nothing is copied: the program
 * follows `within`; the derived columns of PostgreSQL follow it for everyone else (docs/access.md).
 */
#ifndef DEMO_FOLDER_H
#define DEMO_FOLDER_H

#include "package.h"

struct rule;
struct folder;
struct upload;
NEWT_DECLARE(rule);
NEWT_DECLARE(folder);
NEWT_DECLARE(upload);

enum effect {
    ALLOW,
    DENY
};
struct rule {
    newt_text who; /* a principal: "everyone", "team:release", an address */
    enum effect effect;
};
typedef NEWT_ARRAY(struct rule) rules;

struct folder {
    newt_text title;
    folder_ref within; /* null: the top */
    rules access;
    NEWT_ARRAY(upload_ref) uploads;
};

/* A version of a package, on its way to those who use it. */
struct upload {
    newt_text title;
    folder_ref within;
    rules access; /* its maintainer's address */
    package_ref package;
};

#define ROOT_FOLDERS "debian.folders" /* a newt_map: folders by their titles */

/* What the rules of one object say to somebody who is all of these principals (NULL ends them): a
 * denial stands before what the same object allows. False: nothing, and the object above decides.
 */
bool rules_decide(const rules *access, const char *const *principals, enum effect *effect);

/* For newt_transact. */
struct arrangement {
    const char *folder;
    const char *value; /* the folder to move it to; the principal to allow or deny */
    char why[160];     /* it cannot be done */
};
enum {
    CANNOT = 1
};
int folders_make(newt_conn *c, void *nothing); /* anew */
int folder_move(newt_conn *c, void *arrangement);
int folder_allow(newt_conn *c, void *arrangement);
int folder_deny(newt_conn *c, void *arrangement);

#endif
