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
BATCH_NS = 20_000_000
BATCHES = 15


def prepare(ready):
    selector = selectors.EpollSelector()
    for _ in range(ready):
        selector.register(os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK), selectors.EVENT_READ)
    if len(selector.select(0)) != ready:
        raise RuntimeError("select() did not give every descriptor")
    return selector


def time_batch(selector, turns):
    total = 0
    start = time.perf_counter_ns()
    for _ in range(turns):
        for _key, events in selector.select(0):
            total += events
    return (time.perf_counter_ns() - start) / turns


def warm_up(selector):
    """Run longer and longer batches, and give the number of turns in one that is long enough."""
    turns = 1
    while time_batch(selector, turns) * turns < BATCH_NS:
        turns *= 2
    return turns


def main():
    selector = prepare(int(sys.argv[1]))
    turns = warm_up(selector)
    print(json.dumps({"ns": statistics.median(time_batch(selector, turns) for _ in range(BATCHES))}))


main()
