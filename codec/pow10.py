#!/usr/bin/env python3
"""Writes pow10.h: powers of ten for float.c, as the 128 leading bits, rounded up.

    python3 codec/pow10.py > codec/pow10.h
"""

LOW, HIGH = -292, 324


def leading(k):
    """ceil(10**k * 2**-e), e such that the result has exactly 128 bits"""
    if k >= 0:
        p, e = 10**k, (10**k).bit_length() - 128
        return -(-p >> e) if e > 0 else p << -e
    p = 10**-k
    e = p.bit_length() + 127
    q = -(-(1 << e) // p)
    return q if q.bit_length() == 128 else -(-(1 << (e + 1)) // p)


print("/* pow10.h - written by pow10.py; do not edit */")
print("#ifndef NEWT_POW10_H")
print("#define NEWT_POW10_H\n")
print("#include <stdint.h>\n")
print("enum {")
print("    NEWT__POW10_LOW = %d" % LOW)
print("};\n")
print("/* 10^k from k = %d to %d: its 128 leading bits, rounded up */" % (LOW, HIGH))
print("static const struct newt__pow10 {")
print("    uint64_t hi, lo;")
print("} newt__pow10[%d] = {" % (HIGH - LOW + 1))
for k in range(LOW, HIGH + 1):
    g = leading(k)
    assert g.bit_length() == 128
    print("    {UINT64_C(0x%016x), UINT64_C(0x%016x)}," % (g >> 64, g & (1 << 64) - 1))
print("};\n")
print("#endif")
