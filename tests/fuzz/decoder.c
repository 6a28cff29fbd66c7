/*
 * decoder.c - libFuzzer: any bytes as a record, and any bytes as the state of one
 *
 * tests/codec/corpus.c runs the kept inputs everywhere; here new ones are looked for.
 */
#include "tests/properties.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t head[] = {0x83, 0x61, 0x54, 0x01};
    uint8_t *record;
    properties_hold(data, n);
    if (n > 0 && data[0] == 0x83)
        return 0;
    record = malloc(sizeof head + n);
    if (!record)
        return 0;
    memcpy(record, head, sizeof head);
    if (n > 0)
        memcpy(record + sizeof head, data, n);
    properties_hold(record, sizeof head + n);
    free(record);
    return 0;
}
