/**
 * `Kqueue`, after CPython's test_kqueue.py, over a stand-in for the kernels of macOS, FreeBSD and NetBSD, and for
 * libkqueue.
 *
 * Two things differ from CPython. Operations on a closed Kqueue throw BadResource, like operations on any closed
 * resource in Deno. test_fork has no counterpart, because Deno does not fork.
 *
 * @module
 */

import { assert, assertEquals, assertFalse, assertGreaterOrEqual, assertLess, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import {
  Kevent,
  KQ_EV_ADD,
  KQ_EV_CLEAR,
  KQ_EV_DELETE,
  KQ_EV_DISABLE,
  KQ_EV_DISPATCH,
  KQ_EV_ENABLE,
  KQ_EV_EOF,
  KQ_EV_ERROR,
  KQ_EV_ONESHOT,
  KQ_EV_RECEIPT,
  KQ_NOTE_FFCOPY,
  KQ_NOTE_TRIGGER,
  Kqueue,
  OSError,
} from "../ffi/select/mod.ts";
import { os } from "../ffi/os/systems.ts";
import { type KqueueStandIn, kqueueStandIn, type StandInSystem } from "./standins/kqueue_standin.ts";
import { EBADF, EFAULT, EINTR, EINVAL, ENOENT, FILTERS, NO_STAND_IN, SYSTEMS, test } from "./support/kqueue.ts";
import { interrupted } from "./support/signals.ts";
import { bytes, type Cleanup, elapsedMs, F_GETFD, FD_CLOEXEC, libc, skip, tcpPair } from "./support/util.ts";

function rawTests(system: StandInSystem): void {
  const [READ, WRITE, TIMER, USER] = FILTERS[system];

  function make(cleanup: Cleanup): [Kqueue, KqueueStandIn] {
    const kernel = kqueueStandIn(system);
    kernel.install();
    return [cleanup.add(new Kqueue()), kernel];
  }

  /** Returns the descriptor, filter and flags of each event. */
  function brief(kevents: Kevent[]): unknown[] {
    return kevents.map(({ ident, filter, flags }) => [ident, filter, flags & ~KQ_EV_ADD & ~KQ_EV_CLEAR]);
  }

  test("create_queue: new Kqueue() has a descriptor until it is closed", (cleanup) => {
    const [kqueue] = make(cleanup);
    assertGreaterOrEqual(kqueue.fileno(), 0);
    assertFalse(kqueue.closed);
    assertEquals(Deno.inspect(kqueue), `Kqueue { fd: ${kqueue.fileno()}, closed: false }`);
    kqueue.close();
    assert(kqueue.closed);
    assertEquals(Deno.inspect(kqueue), "Kqueue { fd: -1, closed: true }");
    assertThrows(() => kqueue.fileno(), Deno.errors.BadResource, "the kqueue is closed");
  });

  test("queue_event: changes and events of a connection, by two objects on one queue", (cleanup) => {
    const [first] = make(cleanup);
    const [client, server] = tcpPair();
    cleanup.add(client);
    cleanup.add(server);
    // The second object closes the descriptor, like Python's object.
    const second = Kqueue.fromfd(first.fileno());
    assertEquals(second.fileno(), first.fileno());
    for (const socket of [client, server]) {
      assertEquals(first.control([new Kevent(socket, WRITE, KQ_EV_ADD | KQ_EV_ENABLE)], 0), []);
      assertEquals(second.control([new Kevent(socket, READ, KQ_EV_ADD | KQ_EV_ENABLE)], 0), []);
    }
    const events = first.control(null, 4, 1);
    assertEquals(new Set(events.map(({ ident }) => ident)), new Set([client.fileno(), server.fileno()]));
    assertEquals(events.map(({ filter }) => filter), [WRITE, WRITE]);
    client.send(bytes("Hello!"));
    server.send(bytes("world!!!"));
    while (second.control(null, 4, 0.5).length < 4);
    const [four, expected] = [second.control([], 4, 1), [[client.fileno(), 8], [server.fileno(), 6]]];
    const readable = four.filter(({ filter }) => filter === READ).map(({ ident, data }) => [ident, data]);
    assertEquals(readable.sort((a, b) => Number(a[0]) - Number(b[0])), expected.sort((a, b) => a[0]! - b[0]!));
    assert(four.every(({ flags, data }) => (flags & KQ_EV_ERROR) === 0 && data > 0));
    for (const filter of [WRITE, READ]) first.control([new Kevent(client, filter, KQ_EV_DELETE)], 0);
    assert(first.control(null, 4, 0).every(({ ident }) => ident === server.fileno()));
  });

  test("pair: two additions and one event in a single call, with the number of bytes", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [left, right] = cleanup.pair();
    const changes = [
      new Kevent(left, READ, KQ_EV_ADD | KQ_EV_ENABLE),
      new Kevent(right, READ, KQ_EV_ADD | KQ_EV_ENABLE),
    ];
    left.send(bytes("hello"));
    const events = kqueue.control(changes, 1, null);
    assertEquals(events.map(({ ident, filter, data, flags }) => [ident, filter, data, flags & KQ_EV_ERROR]), [
      [right.fileno(), READ, 5, 0],
    ]);
  });

  test("issue30058: control() accepts any iterable of events, and throws TypeError for others", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [here] = cleanup.pair();
    const event = new Kevent(here, WRITE);
    const iterables = [[event], new Set([event]), [event].values(), {
      *[Symbol.iterator]() {
        yield event;
      },
      length: 9,
    }]; // deno-fmt-ignore
    for (const changes of iterables) {
      assertEquals(kqueue.control(changes, 0), []);
      assertEquals(brief(kqueue.control(null, 2, 0)), [[here.fileno(), WRITE, 0]]);
      kqueue.control([new Kevent(here, WRITE, KQ_EV_DELETE)], 0);
    }
    for (const strange of [event, 1, {}, undefined, [1], [undefined], [null], [event, {}]]) {
      assertThrows(() => kqueue.control(strange as unknown as Kevent[], 0), TypeError);
    }
    assertEquals(kqueue.control(null, 2, 0), []);
  });

  test("close: close() does nothing the second time, and control() throws", (cleanup) => {
    const [kqueue] = make(cleanup);
    kqueue.close();
    kqueue.close();
    assertThrows(() => kqueue.control(null, 1), Deno.errors.BadResource, "the kqueue is closed");
  });

  test("fd_non_inheritable: the descriptor is close-on-exec", (cleanup) => {
    const [kqueue] = make(cleanup);
    assertEquals(libc!.fcntl(kqueue.fileno(), F_GETFD), FD_CLOEXEC);
  });

  test("control() throws for an invalid number of events or timeout", (cleanup) => {
    const [kqueue] = make(cleanup);
    for (const count of [-1, 1.5, NaN, 2 ** 31]) {
      assertThrows(() => kqueue.control(null, count, 0), RangeError, "events");
    }
    for (const count of ["1", null, undefined, 1n, true, {}]) {
      assertThrows(() => kqueue.control(null, count as number, 0), TypeError, "events");
    }
    for (const timeout of ["1", true, 1n, {}]) {
      assertThrows(() => kqueue.control(null, 1, timeout as number), TypeError);
    }
    assertThrows(() => kqueue.control(null, 1, -1), RangeError, "Cannot wait for -1 seconds: use 0 or more");
    assertThrows(() => kqueue.control(null, 1, NaN), RangeError, "NaN");
  });

  test("control() waits out its timeout, even if it is interrupted", async (cleanup) => {
    const [kqueue, kernel] = make(cleanup);
    const [here, there] = cleanup.pair();
    kqueue.control([new Kevent(here, READ)], 0);
    for (const timeout of [0.06, { milliseconds: 60 }]) {
      assertGreaterOrEqual(elapsedMs(() => assertEquals(kqueue.control(null, 1, timeout), [])), 60);
    }
    assertLess(elapsedMs(() => assertEquals(kqueue.control(null, 1, 0), [])), 30_000);
    // After an interruption, EV_ADD must not be repeated for an event that changes on its own.
    kernel.calls.length = 0;
    kernel.fail.push(EINTR);
    there.send(bytes("x"));
    assertEquals(kqueue.control([new Kevent(here, READ)], 1, 1).length, 1);
    assertEquals(kernel.calls, [1, 0]);
    here.recv(1);
    const signals = await interrupted(() => {
      assertGreaterOrEqual(elapsedMs(() => assertEquals(kqueue.control(null, 1, 0.2), [])), 200);
    });
    assertGreaterOrEqual(signals, 5);
    for (const timeout of [undefined, null, Infinity, 1e300, 1e9]) {
      there.send(bytes("x"));
      assertEquals(kqueue.control(null, 1, timeout).length, 1);
    }
  });

  test("EV_ADD of an existing event changes it", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [here] = cleanup.pair();
    kqueue.control([new Kevent(here, WRITE, KQ_EV_ADD, 0, 0, 5)], 0);
    kqueue.control([new Kevent(here, WRITE, KQ_EV_ADD, 0, 0, 2n ** 63n)], 0);
    assertEquals(kqueue.control(null, 4, 0).map(({ udata }) => udata), [2n ** 63n]);
  });

  test("control() returns errors of changes if it has room, and throws otherwise", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [here] = cleanup.pair();
    const [reader, writer] = cleanup.pipe();
    cleanup.close(reader);
    const wrong = [new Kevent(reader, READ), new Kevent(writer, WRITE, KQ_EV_DELETE), new Kevent(here, 77)];
    const events = kqueue.control(wrong, 4, 1);
    assertEquals(events.map(({ ident, data }) => [ident, data]), [
      [reader, system === "linux" ? EFAULT : EBADF],
      [writer, ENOENT],
      [here.fileno(), EINVAL],
    ]);
    assert(events.every(({ flags }) => (flags & KQ_EV_ERROR) !== 0));
    for (const [index, code] of [system === "linux" ? "EFAULT" : "EBADF", "ENOENT", "EINVAL"].entries()) {
      const error = assertThrows(() => kqueue.control([wrong[index]!], 0), OSError, "kevent");
      assertEquals(error.code, code);
    }
  });

  test("EV_RECEIPT returns a receipt for a change, and consumes no event", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [here] = cleanup.pair();
    const flags = KQ_EV_ADD | KQ_EV_RECEIPT;
    const events = kqueue.control([new Kevent(here, WRITE, flags), new Kevent(here, READ, flags)], 8, null);
    assertEquals(events.map(({ ident, filter, data }) => [ident, filter, data]), [
      [here.fileno(), WRITE, 0],
      [here.fileno(), READ, 0],
    ]);
  });

  test("close() removes a descriptor from the queue, so that its number can be added again", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [reader, writer] = cleanup.pipe();
    const [here] = cleanup.pair();
    kqueue.control([new Kevent(writer, WRITE)], 0);
    libc!.dup2(here.fileno(), writer);
    assertEquals(kqueue.control(null, 4, 0), []);
    assertThrows(() => kqueue.control([new Kevent(writer, WRITE, KQ_EV_DELETE)], 0), OSError, "ENOENT");
    kqueue.control([new Kevent(writer, WRITE)], 0);
    assertEquals(brief(kqueue.control(null, 4, 0)), [[writer, WRITE, 0]]);
    assertGreaterOrEqual(reader, 0);
  });

  test("EV_EOF reports the end of a pipe", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [reader, writer] = cleanup.pipe();
    kqueue.control([new Kevent(reader, READ), new Kevent(writer, WRITE)], 0);
    cleanup.close(writer);
    assertEquals(brief(kqueue.control(null, 4, 1)), [[reader, READ, KQ_EV_EOF]]);
  });

  test("EV_ONESHOT, EV_DISPATCH, EV_DISABLE, EV_ENABLE and EV_CLEAR have their documented effects", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [here, there] = cleanup.pair();
    there.send(bytes("x"));
    const change = (flags: number) => kqueue.control([new Kevent(here, READ, flags)], 0);
    const look = () => kqueue.control(null, 4, 0).length;
    change(KQ_EV_ADD | KQ_EV_ONESHOT);
    assertEquals([look(), look()], [1, 0]);
    assertThrows(() => change(KQ_EV_ENABLE), OSError, "ENOENT");
    change(KQ_EV_ADD | KQ_EV_DISPATCH);
    assertEquals([look(), look()], [1, 0]);
    change(KQ_EV_ENABLE);
    assertEquals([look(), look()], [1, 0]);
    change(KQ_EV_ADD);
    assertEquals([look(), look()], [1, 1]);
    change(KQ_EV_DISABLE);
    assertEquals(look(), 0);
    change(KQ_EV_ENABLE);
    assertEquals(look(), 1);
    change(KQ_EV_DELETE);
    change(KQ_EV_ADD | KQ_EV_CLEAR);
    assertEquals([look(), look()], [1, 0]);
    there.send(bytes("y"));
    assertEquals([look(), look()], [1, 0]);
  });

  test("control() with little room returns each event in turn", (cleanup) => {
    const [kqueue] = make(cleanup);
    const fds = Array.from({ length: 6 }, () => cleanup.pair()[0].fileno());
    kqueue.control(fds.map((fd) => new Kevent(fd, WRITE)), 0);
    const seen = [1, 2, 3].flatMap(() => kqueue.control(null, 2, 1).map(({ ident }) => ident));
    assertEquals(seen.length, 6);
    assertEquals(new Set(seen), new Set(fds));
  });

  test("KQ_FILTER_USER reports an event that the program triggers", (cleanup) => {
    const [kqueue] = make(cleanup);
    kqueue.control([new Kevent(2n ** 64n - 1n, USER, KQ_EV_ADD | KQ_EV_CLEAR, 0, 0, 7)], 0);
    assertEquals(kqueue.control(null, 4, 0), []);
    kqueue.control([new Kevent(2n ** 64n - 1n, USER, 0, KQ_NOTE_TRIGGER | KQ_NOTE_FFCOPY | 0x123)], 0);
    const events = kqueue.control(null, 4, 1);
    assertEquals(events.map(({ ident, fflags, udata }) => [ident, fflags, udata]), [[2n ** 64n - 1n, 0x123, 7]]);
    assertEquals(kqueue.control(null, 4, 0), []);
  });

  test("KQ_FILTER_TIMER reports the expiry of a timer", (cleanup) => {
    const [kqueue] = make(cleanup);
    const elapsed = elapsedMs(() => {
      assertEquals(brief(kqueue.control([new Kevent(1, TIMER, KQ_EV_ADD, 0, 30)], 4, 5)), [[1, TIMER, 0]]);
    });
    assertGreaterOrEqual(elapsed, 29);
    assertLess(elapsed, 30_000);
  });
}

if (os === "linux") {
  for (const system of SYSTEMS) describe(`Kqueue as on ${system}`, () => rawTests(system));
} else {
  skip("Kqueue over a stand-in", NO_STAND_IN);
}
