"""A selector's methods in CPython.

Usage: micro.py select|register|modify <how many descriptors are ready> <how many are idle>

Prints {"ns": <nanoseconds per turn>}. A turn of `select` is one that only looks, and the walk over what it gave; of
`register`, that and `unregister`; of `modify`, one that asks for other events.
"""

import json
import os
import selectors
import statistics
import sys
import time

# The same in micro.c and micro_ours.ts.
BATCH_NS = 20_000_000
BATCHES = 15

EVENT_READ = selectors.EVENT_READ
EVENT_WRITE = selectors.EVENT_WRITE


def time_select(selector, _spare, turns):
    total = 0
    start = time.perf_counter_ns()
    for _ in range(turns):
        for _key, events in selector.select(0):
            total += events
    return (time.perf_counter_ns() - start) / turns


def time_register(selector, spare, turns):
    start = time.perf_counter_ns()
    for _ in range(turns):
        selector.register(spare, EVENT_READ)
        selector.unregister(spare)
    return (time.perf_counter_ns() - start) / turns


def time_modify(selector, spare, turns):
    events = EVENT_READ
    start = time.perf_counter_ns()
    for _ in range(turns):
        events ^= EVENT_WRITE
        selector.modify(spare, events)
    return (time.perf_counter_ns() - start) / turns


def make_eventfd(value):
    return os.eventfd(value, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


def prepare(ready, idle):
    selector = selectors.EpollSelector()
    for i in range(ready + idle):
        selector.register(make_eventfd(int(i < ready)), EVENT_READ)
    if len(selector.select(0)) != ready:
        raise RuntimeError("select() did not give every ready descriptor")
    return selector


def warm_up(time_batch):
    """Run longer and longer batches, and give the number of turns in one that is long enough."""
    turns = 1
    while time_batch(turns) * turns < BATCH_NS:
        turns *= 2
    return turns


def main():
    measure, ready, idle = sys.argv[1:]
    spare = make_eventfd(0)
    selector = prepare(int(ready), int(idle))
    if measure == "modify":
        selector.register(spare, EVENT_READ)
    measured = {"select": time_select, "register": time_register, "modify": time_modify}[measure]

    def time_batch(turns):
        return measured(selector, spare, turns)

    turns = warm_up(time_batch)
    print(json.dumps({"ns": statistics.median(time_batch(turns) for _ in range(BATCHES))}))


main()
