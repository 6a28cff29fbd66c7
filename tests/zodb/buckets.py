"""Changes of two transactions to one bucket at random, and what ZODB's BTrees make of them.

usage: buckets.py SEED N

First a line for each kind of keys: "keys KIND K..." (numbers, or text in hex): one before those that
are changed, half of these, FILLERS that lead to a split, the other half, and two after them. Then N
lines

    KIND SHAPE OLD COMMITTED NEW C PYTHON

with states as "INDEX:VALUE,...", "-" for an empty one, and the outcome by the C implementation and the
one in Python: "=" and the merged state, or "!" and the reason of the conflict.
"""
import random
import sys

from BTrees import LLBTree, OOBTree
from BTrees.Interfaces import BTreesConflictError

HALF, FILLERS = 4, 40
TESTED = [1 + i for i in range(HALF)] + [1 + HALF + FILLERS + i for i in range(HALF)]
NUMBERS = (
    [-(2**63)]
    + [-(2**63) + 1, -(2**32), -1, 0]
    + [2**32 + i for i in range(FILLERS)]
    + [2**33, 2**33 + 1, 2**62, 2**63 - 3]
    + [2**63 - 2, 2**63 - 1]
)
WORDS = (
    [""]
    + ["\x01", "a", "a\0", "ab"]
    + ["ab%04d" % i for i in range(FILLERS)]
    + ["b", "\u00e9", "\u20ac", "\U00010400"]
    + ["\U0010ffff", "\U0010ffff!"]
)
KINDS = {
    "int": (NUMBERS, LLBTree, "LLBucket", "LLBTree"),
    "text": (WORDS, OOBTree, "OOBucket", "OOBTree"),
    "set": (NUMBERS, LLBTree, "LLSet", "LLTreeSet"),
}
# root: a tree of one node, in ZODB a bucket alone and one inside of its tree; leaf: between others;
# 1: what the one who commits first does besides, 2: the other; unlink: the next bucket is emptied;
# split: fillers come between the keys; inner: changes in several buckets of one node
SHAPES = ["root", "root", "leaf", "leaf", "unlink1", "unlink2", "split1", "split2", "inner"]


class States:
    """States of one kind, as ZODB writes them."""

    def __init__(self, kind):
        self.kind = kind
        self.keys, self.module, self.bucket, self.tree = KINDS[kind]
        self.index = {k: i for i, k in enumerate(self.keys)}

    def items(self, state):
        if self.kind == "set":
            return tuple(self.keys[i] for i in sorted(state))
        return tuple(x for i in sorted(state) for x in (self.keys[i], state[i]))

    def read(self, items):
        step = 1 if self.kind == "set" else 2
        return {self.index[k]: 0 if step == 1 else items[i * 2 + 1] for i, k in enumerate(items[::step])}

    def make(self, name, suffix):
        """A class; its Python implementation with the suffix Py."""
        return getattr(self.module, name + suffix)

    def merge(self, shape, sides, suffix):
        bucket, tree = self.make(self.bucket, suffix), self.make(self.tree, suffix)
        after, other = bucket(), bucket()
        items = [self.items(s) for s in sides]
        if shape == "inner":
            return self.outcome(tree, [self.nodes(s, bucket) for s in sides], None)
        if shape != "root":
            changed = shape[-1]
            nexts = [after] + [other if changed == side else after for side in "12"]
            return self.outcome(bucket, [(i, n) for i, n in zip(items, nexts)], lambda m: m[0])
        alone = self.outcome(bucket, [(i,) for i in items], lambda m: m[0])
        inside = self.outcome(tree, [(((i,),),) if i else None for i in items], lambda m: m[0][0][0])
        if alone != inside:
            raise SystemExit("%r: %r alone, %r in a tree" % (sides, alone, inside))
        return alone

    def nodes(self, state, bucket):
        """A tree of some buckets: children and the keys between them, and the first."""
        made, data = [], []
        for i in sorted(state):
            if not made or i % 2:
                made.append(bucket())
                data += [self.keys[i]] * bool(data) + [made[-1]]
        return (tuple(data), made[0])

    def outcome(self, of, states, items):
        try:
            merged = of()._p_resolveConflict(*states)
        except BTreesConflictError as e:
            return "!%d" % e.args[3]
        return "=" + show(self.read(items(merged)))


def show(state):
    return ",".join("%d:%d" % i for i in sorted(state.items())) or "-"


def change(state, kind, chance, keys):
    """Some of the keys put, changed, removed: another state."""
    after = dict(state)
    while after == state:
        for i in chance.sample(keys, chance.choice([1, 1, 2, 3, 6])):
            if chance.random() < 0.45:
                after.pop(i, None)
            else:
                after[i] = 0 if kind == "set" else chance.randrange(3)
        if chance.random() < 0.04:
            after.clear()
        elif after and chance.random() < 0.1:
            del after[min(after)]
    return after


def triple(kind, shape, chance):
    keys = list(TESTED)
    while True:
        old = {i: 0 if kind == "set" else chance.randrange(3) for i in keys if chance.random() < 0.5}
        if shape == "root" and chance.random() < 0.1:
            old = {}
        if old or shape == "root":
            break
    # mostly apart, so that what is merged has something to it
    if chance.random() < 0.7:
        chance.shuffle(keys)
        cut = chance.randint(2, len(TESTED) - 2)
        return old, change(old, kind, chance, keys[:cut] * 6), change(old, kind, chance, keys[cut:] * 6)
    return old, change(old, kind, chance, keys * 2), change(old, kind, chance, keys * 2)


def main():
    chance = random.Random(int(sys.argv[1]))
    states = {kind: States(kind) for kind in KINDS}
    for kind in KINDS:
        keys = [k.encode().hex() if isinstance(k, str) else k for k in KINDS[kind][0]]
        print("keys", kind, *[k if k != "" else "-" for k in keys])
    for _ in range(int(sys.argv[2])):
        kind, shape = chance.choice(list(KINDS)), chance.choice(SHAPES)
        sides = triple(kind, shape, chance)
        if shape == "inner" and not all(sides):
            shape = "root"
        outcomes = [states[kind].merge(shape, sides, suffix) for suffix in ("", "Py")]
        print(kind, shape, *map(show, sides), *outcomes)


main()
