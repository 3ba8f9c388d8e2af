#include "cluster/pin.h"

/* The last steps of splitmix64 (Steele, Lea and Flood 2014): each bit changes half of all. */
static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t pin_hash(struct span text)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < text.n; i++) {
        h = (h ^ text.p[i]) * 0x100000001b3u;
    }
    h = mixed(h);
    return h != 0 ? h : 1;
}

node_index pin_pick(uint64_t hash, uint16_t nodes)
{
    node_index best = NODE_NONE;
    uint64_t most = 0;
    uint32_t set = nodes;
    for (node_index i = 0; set >> i != 0; i++) {
        uint64_t drawn = mixed(hash ^ mixed((i + 1u) * 0x9e3779b97f4a7c15u));
        if ((set >> i & 1u) != 0 && (best == NODE_NONE || drawn > most)) {
            best = i;
            most = drawn;
        }
    }
    return best;
}
