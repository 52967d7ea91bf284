"""Times a selector's methods in CPython.

Usage: micro.py select|register|modify <number of ready descriptors> <number of idle descriptors>

Prints {"ns": <nanoseconds per turn>}. A turn of `select` is a call without waiting and a loop over its result; of
`register`, a `register` and an `unregister`; of `modify`, a change of the events.
"""

import json
import os
import selectors
import statistics
import sys
import time

# The same values as in micro.c and micro_ours.ts.
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
        raise RuntimeError("select() did not return every ready descriptor")
    return selector


def warm_up(time_batch):
    """Runs longer and longer batches, and returns the number of turns in the first batch that is long enough."""
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
