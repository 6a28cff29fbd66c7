#!/usr/bin/python3
"""Trees of many entries: ZODB's BTrees, in memory, as bench/trees has them.

    bench/zodb_trees.py N

Lines "operation <tab> value <tab> unit". With the Python that Debian's python3-btrees is for.
"""
import pickle
import sys
import time

from BTrees.LLBTree import LLBTree
from BTrees.OLBTree import OLBTree

STEP = 618033988749


def report(operation, value, unit):
    print(f"{operation}\t{value:.9g}\t{unit}", flush=True)


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096


def timed(operation, n, work):
    began = time.monotonic()
    work()
    report(operation, n / (time.monotonic() - began), "per s")


def main(n):
    before = resident()
    names = OLBTree()
    for i in range(n):
        names["entry %010d" % i] = i + 1
    report("tree_memory_zodb", (resident() - before) / n, "bytes")
    bucket, size = names._firstbucket, 0
    while bucket is not None:
        state = bucket.__getstate__()[0]
        size += len(pickle.dumps(state, 3))
        bucket = bucket._next
    report("tree_record_zodb", size / n, "bytes")
    numbers = LLBTree()
    for i in range(n):
        numbers[i] = i
    keys = ["entry %010d" % (i * STEP % n) for i in range(n)]
    integers = [i * STEP % n for i in range(n)]

    def look_up(tree, sought):
        get = tree.get
        for key in sought:
            get(key)

    look_up(names, keys)
    timed("tree_lookup_zodb", n, lambda: look_up(names, keys))
    timed("tree_lookup_int_zodb", n, lambda: look_up(numbers, integers))
    keys = [key + "x" for key in keys[: n // 5]]
    integers = [i + n for i in integers[: n // 5]]

    def insert(tree, new):
        for i, key in enumerate(new):
            tree[key] = i

    timed("tree_insert_zodb", n // 5, lambda: insert(names, keys))
    timed("tree_insert_int_zodb", n // 5, lambda: insert(numbers, integers))


main(int(sys.argv[1]))
