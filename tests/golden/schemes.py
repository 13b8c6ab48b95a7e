"""Prints owners of requests as the papers have them, for tests/schemes/golden.rs to compare with.

    python3 tests/golden/schemes.py > tests/golden/schemes.json

Written from the descriptions of the schemes, not from the program, and slow on purpose. Only the standard library.
"""

import hashlib
import json
import math

WORD = 2**64


def splitmix64(seed):
    """The first number of Vigna's generator splitmix64.c when it is seeded with `seed`."""
    z = (seed + 0x9E3779B97F4A7C15) % WORD
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) % WORD
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) % WORD
    return z ^ z >> 31


def fnv_1a(text):
    """Fowler, Noll and Vo's hash with 64 bits, the variant that multiplies last (RFC 9923)."""
    value = 14695981039346656037
    for byte in text.encode():
        value = (value ^ byte) * 1099511628211 % WORD
    return value


def fraction(value, whole):
    """`value` as a fraction of a word, in parts of which there are `whole`."""
    return value * whole // WORD


def ketama(servers, points):
    """Karger and others: a circle of 2^64 places, and a key goes to the next point clockwise."""
    circle = []
    for server, weight in servers:
        own = splitmix64(server)
        circle += [(splitmix64(own ^ number), server) for number in range(points * weight)]
    assert len({place for place, _ in circle}) == len(circle)

    def owner(request):
        key = splitmix64(request)
        return min(((place - key) % WORD, server) for place, server in circle)[1]

    return owner


def preference(server, size):
    """Every entry of a table once, in the order in which a server would like to have them."""
    first = splitmix64(server)
    offset, skip = fraction(first, size), fraction(splitmix64(first), size - 1) + 1
    for turn in range(size):
        yield (offset + turn * skip) % size


def maglev(servers, size):
    """Eisenbud and others, section 3.4. A server of weight w takes its k-th entry, from 0, in round k * greatest / w."""
    entry = [None] * size
    order = {server: preference(server, size) for server, _ in servers}
    taken = {server: 0 for server, _ in servers}
    greatest = max(weight for _, weight in servers)
    number, free = 0, size
    while free:
        for server, weight in sorted(servers):
            if free and taken[server] * greatest <= number * weight:
                place = next(place for place in order[server] if entry[place] is None)
                entry[place] = server
                taken[server] += 1
                free -= 1
        number += 1
    return lambda request: entry[fraction(splitmix64(request), size)]


def rendezvous(servers):
    """Thaler and Ravishankar's highest score, with the weights of Schindelhauer and Schomaker: weight / -ln u."""

    def owner(request):
        def score(server, weight):
            bits = splitmix64(splitmix64(request) ^ splitmix64(server)) // 2**12
            return weight / -math.log((2 * bits + 1) / 2**53)

        scores = sorted((score(server, weight), server) for server, weight in servers)
        # Far from what another library's logarithm could turn around.
        assert len(scores) == 1 or scores[-1][0] - scores[-2][0] > 1e-9 * scores[-1][0]
        return scores[-1][1]

    return owner


def requests():
    """Ends of the ranges that an implementation might get wrong, small ids, six digits, and any."""
    ends = [0, 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1, 100000, 999999]
    digits = [100003 + 17977 * step for step in range(24)]
    wide = [int.from_bytes(hashlib.sha256(str(step).encode()).digest()[:8], "big") for step in range(28)]
    return ends + digits + wide


def fleets():
    small = [1, 2, 3]
    odd = [7, 1, 4096, 65537, 2**31 - 1, 2**31, 2**32 - 1, 12, 100, 5]
    many = list(range(1, 51)) + [999983 * step for step in range(1, 8)]
    for ids in (small, odd, many):
        yield [(server, 1) for server in ids]
        yield [(server, 1 + place * place % 7) for place, server in enumerate(ids)]
    yield [(1, 1), (2, 100), (3, 10)]


def main():
    asked = requests()
    keys = ["", "a", "b", "foobar", "/", "/home", "user=42", "192.0.2.17", "Grüße", "x" * 300]
    tables = []
    for servers in fleets():
        for scheme, slots, virtual_servers, owner in (
            ("ketama", 0, 160, ketama(servers, 160)),
            ("ketama", 0, 7, ketama(servers, 7)),
            ("maglev", 65537, 0, maglev(servers, 65537)),
            ("maglev", 5903, 0, maglev(servers, 5903)),
            ("rendezvous", 0, 0, rendezvous(servers)),
        ):
            tables.append({
                "scheme": scheme,
                "slots": slots,
                "virtual_servers": virtual_servers,
                "servers": servers,
                "owners": [owner(request) for request in asked],
                "owners_of_keys": [owner(fnv_1a(key)) for key in keys],
            })
    lines = [f'"requests": {json.dumps(asked)}', f'"keys": {json.dumps([[key, fnv_1a(key)] for key in keys])}']
    lines.append('"tables": [\n' + ",\n".join(json.dumps(table) for table in tables) + "\n]")
    print("{" + ",\n".join(lines) + "}")


main()
