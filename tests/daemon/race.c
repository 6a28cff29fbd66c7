/*
 * race.c - 24 writers, four updaters of each sink of which one works, and a follower of its own:
 * all but the writers are killed, ended and started again at random
 *
 * 10 s; NEWT_SECONDS says how many, NEWT_SOAK has 300. NEWT_SEED replays what is chosen.
 */
#define CROWD_WRITERS 24
#define CROWD_INLINE  6
#define CROWD_OBJECTS 300
#include "followers.h"
#include "writers.h"

static uint64_t seed;

enum {
    RUNNERS = 4, /* of each sink */
    SINKS = 2
};

typedef struct race {
    followers f[RUNNERS]; /* the first has the store; the others are more processes of the same */
    generate g;
    int kills, ends;
} race;

static void
start_runner(race *r, int i, int k)
{
    start_follower(&r->f[i], (follower)k, NULL);
}

/* One of them is killed, or asked to end; another takes over, and it comes again. */
static void
hit_one(race *r)
{
    int i = (int)generate_below(&r->g, RUNNERS), k = (int)generate_below(&r->g, SINKS + 1);
    if (k == OWN)
        i = 0;
    followers *f = &r->f[i];
    /* it may not have come so far that it obeys the signal */
    bool gently = k != OWN && generate_below(&r->g, 3) == 0 &&
                  (updater_says(&f->u[k], "following") ||
                   updater_says(&f->u[k], "another process"));
    if (gently) {
        updater_stop(&f->u[k]);
        f->runs[k] = false;
        r->ends++;
    } else {
        kill_follower(f, (follower)k);
        r->kills++;
    }
    start_runner(r, i, k);
}

/* All of one sink are killed at once, and come again. */
static void
hit_all_of_a_sink(race *r)
{
    int k = (int)generate_below(&r->g, SINKS);
    for (int i = 0; i < RUNNERS; i++)
        kill_follower(&r->f[i], (follower)k);
    r->kills += RUNNERS;
    for (int i = 0; i < RUNNERS; i++)
        start_runner(r, i, k);
}

static void
open_race(race *r)
{
    generate_init(&r->g, seed);
    open_followers(&r->f[0], "race");
    for (int i = 1; i < RUNNERS; i++)
        r->f[i] = r->f[0];
    for (int i = 0; i < RUNNERS; i++)
        for (int k = 0; k < SINKS; k++)
            start_runner(r, i, k);
    start_runner(r, 0, OWN);
}

static void
test_race(void **state)
{
    static race r;
    static crowd all;
    const char *text = getenv("NEWT_SECONDS");
    double seconds = text ? atof(text) : getenv("NEWT_SOAK") ? 300 : 10, until;
    (void)state;
    open_race(&r);
    crowd_start(&all, r.f[0].conninfo, seed);
    until = now() + seconds;
    while (now() < until && crowd_well(&all)) {
        pause_ms((long)generate_below(&r.g, 400));
        if (generate_below(&r.g, 10) == 0)
            hit_all_of_a_sink(&r);
        else
            hit_one(&r);
        for (int i = 0; i < RUNNERS; i++)
            expect_alive(&r.f[i]);
    }
    crowd_stop(&all);
    double stopped = now();
    wait_for_position(&r.f[0]);
    printf("# %ld transactions, %d kills, %d ends, %.1f s to catch up\n",
           atomic_load(&all.committed), r.kills, r.ends, now() - stopped);
    for (int i = 1; i < RUNNERS; i++)
        for (int k = 0; k < SINKS; k++)
            kill_follower(&r.f[i], (follower)k);
    wait_for_followers(&r.f[0]); /* it has taken over */
    stop_followers(&r.f[0]);
    assert_followed(&r.f[0], true);
    close_followers(&r.f[0]);
}

int
main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_race),
    };
    follower_main(argc, argv);
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("race", tests, NULL, NULL);
}
