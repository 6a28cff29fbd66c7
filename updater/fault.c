/* fault.c - places where a test ends the process */
#include "fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    [FAULT_FETCH] = "fetch", [FAULT_WRITE] = "write",   [FAULT_APPLY] = "apply",
    [FAULT_SYNC] = "sync",   [FAULT_COMMIT] = "commit", [FAULT_COMMITTED] = "committed"};

bool
fault_init(fault *f)
{
    const char *text = getenv("NEWT_UPDATER_FAULT");
    *f = (fault){.left = 1};
    if (!text || !*text)
        return true;
    size_t n = strcspn(text, ":");
    for (size_t i = 1; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == n && memcmp(names[i], text, n) == 0)
            f->step = (fault_step)i;
    if (text[n] == ':')
        f->left = atol(text + n + 1);
    return f->step != 0 && f->left > 0;
}

void
fault_at(fault *f, fault_step step)
{
    if (f->step == step && --f->left == 0)
        raise(SIGKILL);
}
