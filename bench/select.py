"""One turn of an event loop in CPython: a select() that only looks, and the walk over what it gave.

Usage: python3 -I select.py <how many descriptors are ready>

Prints {"ns": <nanoseconds per turn>}. Without -I, Python would take this very file for its module `select`.
"""

import json
import os
import selectors
import statistics
import sys
import time

# The same in select.c and select_ours.ts.
WARM_UP_NS = 100_000_000
BATCHES = 15
BATCHES_PER_WARM_UP = 5


def prepare(ready):
    selector = selectors.EpollSelector()
    for _ in range(ready):
        selector.register(os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK), selectors.EVENT_READ)
    if len(selector.select(0)) != ready:
        raise RuntimeError("select() did not give every descriptor")
    return selector


def warm_up(selector):
    turns = 0
    start = time.perf_counter_ns()
    while time.perf_counter_ns() - start < WARM_UP_NS:
        time_batch(selector, 1)
        turns += 1
    return turns


def time_batch(selector, turns):
    total = 0
    start = time.perf_counter_ns()
    for _ in range(turns):
        for _key, events in selector.select(0):
            total += events
    return (time.perf_counter_ns() - start) / turns


def main():
    selector = prepare(int(sys.argv[1]))
    turns = warm_up(selector) // BATCHES_PER_WARM_UP + 1
    print(json.dumps({"ns": statistics.median(time_batch(selector, turns) for _ in range(BATCHES))}))


main()
