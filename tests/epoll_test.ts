/**
 * `Epoll`, after CPython's test_epoll.py.
 *
 * Four things differ from CPython. TypeScript's compiler rejects `epoll(1, 2, 3)`, which test_badcreate calls. Unknown
 * flags throw a RangeError before the call reaches the kernel. Operations on a closed Epoll throw BadResource, like
 * operations on any closed resource in Deno. The test that EPOLLEXCLUSIVE wakes only one of several waiting threads is
 * missing, because it needs several threads.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertThrows,
} from "@std/assert";
import { describe } from "@std/testing/bdd";
import { closeSync, openSync } from "node:fs";
import {
  Epoll,
  EPOLL_CLOEXEC,
  EPOLLERR,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLMSG,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDBAND,
  EPOLLRDHUP,
  EPOLLRDNORM,
  EPOLLWAKEUP,
  EPOLLWRBAND,
  EPOLLWRNORM,
  OSError,
  select,
} from "../ffi/select/mod.ts";
import { AF_INET, close, MSG_OOB, SHUT_WR } from "../ffi/socket/mod.ts";
import { EpollSelector } from "../mod.ts";
import { EPOLL } from "./support/needs.ts";
import { interrupted } from "./support/signals.ts";
import {
  bytes,
  Cleanup,
  duplicate,
  elapsedMs,
  F_GETFD,
  FD_CLOEXEC,
  isOpen,
  libc,
  SOON,
  sorted,
  testNeeding,
  text,
} from "./support/util.ts";

const test = testNeeding(EPOLL);

describe("Epoll", () => {
  test("new Epoll() has a descriptor until it is closed", () => {
    const epoll = new Epoll(16);
    assertGreater(epoll.fileno(), 0);
    assertFalse(epoll.closed);
    assertEquals(Deno.inspect(epoll), `Epoll { fd: ${epoll.fileno()}, closed: false }`);
    epoll.close();
    assert(epoll.closed);
    assertEquals(Deno.inspect(epoll), "Epoll { fd: -1, closed: true }");
    assertThrows(() => epoll.fileno(), Deno.errors.BadResource, "closed");
  });

  test("new Epoll() accepts a size hint, and EPOLL_CLOEXEC", () => {
    for (const args of [[], [-1], [1], [2 ** 31 - 1], [-1, 0], [-1, EPOLL_CLOEXEC], [undefined, EPOLL_CLOEXEC]]) {
      new Epoll(...args as [number, number]).close();
    }
  });

  test("new Epoll() throws RangeError for other hints and flags, and TypeError for other types", () => {
    for (const hint of [0, -2, 1.5, NaN, Infinity]) {
      assertThrows(() => new Epoll(hint), RangeError, "a positive integer, or -1");
    }
    for (const hint of ["foo", "1", null, true, 1n, [], ["foo"], {}, { valueOf: () => 1 }]) {
      assertThrows(() => new Epoll(hint as never), TypeError, "a positive integer, or -1");
    }
    for (const flags of [12356, -1, 1, EPOLL_CLOEXEC + 1, NaN]) {
      assertThrows(() => new Epoll(-1, flags), RangeError, "EPOLL_CLOEXEC");
    }
    for (const flags of ["0", null, false, 0n, [], {}]) {
      assertThrows(() => new Epoll(-1, flags as never), TypeError, "EPOLL_CLOEXEC");
    }
  });

  test("Epoll is closed at the end of a using block", () => {
    let leaked: Epoll;
    {
      using epoll = new Epoll(16);
      leaked = epoll;
      assertGreater(epoll.fileno(), 0);
      assertFalse(epoll.closed);
    }
    assert(leaked.closed);
    assertThrows(() => leaked.fileno(), Deno.errors.BadResource);
  });

  test("register() accepts numbers and file objects", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair(AF_INET);
    for (const fileobjs of [[here, there], [here.fileno(), there.fileno()], [{ fileno: () => here.fileno() }]]) {
      using epoll = new Epoll(2);
      for (const fileobj of fileobjs) epoll.register(fileobj, EPOLLIN | EPOLLOUT);
      assertEquals(epoll.poll(SOON).length, fileobjs.length);
    }
  });

  test("register(), modify() and unregister() throw TypeError for an invalid file object", () => {
    using epoll = new Epoll();
    for (const nope of [{}, null, undefined, "1", 1.5, NaN, { fileno: () => "fileno" }]) {
      assertThrows(() => epoll.register(nope as never, EPOLLIN), TypeError, "as a file object");
      assertThrows(() => epoll.modify(nope as never, EPOLLIN), TypeError, "as a file object");
      assertThrows(() => epoll.unregister(nope as never), TypeError, "as a file object");
    }
  });

  test("register() throws RangeError for an impossible descriptor, and for a mask of more than 32 bits", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using epoll = new Epoll();
    for (const fd of [-1, -10, 2 ** 31, 2 ** 32]) assertThrows(() => epoll.register(fd, EPOLLIN), RangeError);
    for (const mask of [2 ** 32, -(2 ** 31) - 1, 1.5, NaN, Infinity]) {
      assertThrows(() => epoll.register(here, mask), RangeError, "a 32-bit integer");
      assertThrows(() => epoll.modify(here, mask), RangeError, "a 32-bit integer");
    }
    for (const mask of ["1", null, 1n, true, {}]) {
      assertThrows(() => epoll.register(here, mask as never), TypeError, "a 32-bit integer");
      assertThrows(() => epoll.modify(here, mask as never), TypeError, "a 32-bit integer");
    }
    assertEquals(epoll.poll(0), []);
  });

  test("register() throws EBADF if the descriptor is closed, and EEXIST if it is registered", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using epoll = new Epoll(2);
    close(duplicate(cleanup, here.fileno(), 1500));
    const closed = assertThrows(() => epoll.register(1500, EPOLLIN), OSError);
    assertEquals([closed.code, closed.syscall], ["EBADF", "epoll_ctl"]);
    epoll.register(here, EPOLLOUT);
    const exists = assertThrows(() => epoll.register(here.fileno(), EPOLLIN), OSError, `fd ${here.fileno()}`);
    assertEquals(exists.code, "EEXIST");
    assertEquals(epoll.poll(SOON), [[here.fileno(), EPOLLOUT]]); // the first registration is unchanged
  });

  test("register() throws EPERM for a regular file, and EINVAL for the instance itself", () => {
    using epoll = new Epoll();
    const fd = openSync(import.meta.filename!, "r");
    try {
      assertEquals(assertThrows(() => epoll.register(fd), OSError).code, "EPERM");
    } finally {
      closeSync(fd);
    }
    assertEquals(assertThrows(() => epoll.register(epoll), OSError).code, "EINVAL");
  });

  test("modify() and unregister() throw ENOENT if the descriptor is not registered, and EBADF if it is closed", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using epoll = new Epoll();
    assertEquals(assertThrows(() => epoll.modify(here, EPOLLIN), OSError).code, "ENOENT");
    assertEquals(assertThrows(() => epoll.unregister(here), OSError).code, "ENOENT");
    const fd = duplicate(cleanup, here.fileno(), 1500);
    epoll.register(fd);
    assertEquals(epoll.poll(SOON), [[fd, EPOLLOUT]]);
    close(fd);
    assertEquals(assertThrows(() => epoll.unregister(fd), OSError).code, "EBADF");
    assertEquals(assertThrows(() => epoll.modify(fd, EPOLLIN), OSError).code, "EBADF");
  });

  test("register() waits for reading, writing and urgent data by default", () => {
    using cleanup = new Cleanup();
    const [client, server] = cleanup.pair(AF_INET);
    using epoll = new Epoll();
    epoll.register(server);
    assertEquals(epoll.poll(SOON), [[server.fileno(), EPOLLOUT]]);
    client.send(bytes("ping"));
    client.send(bytes("!"), MSG_OOB);
    select([], [], [server], SOON);
    assertEquals(epoll.poll(SOON), [[server.fileno(), EPOLLIN | EPOLLPRI | EPOLLOUT]]);
    assertEquals(text(server.recv(1, MSG_OOB)), "!");
    assertEquals(epoll.poll(SOON), [[server.fileno(), EPOLLIN | EPOLLOUT]]);
  });

  test("register() and modify() accept every flag", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const flags = [
      ...[EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDNORM, EPOLLRDBAND, EPOLLWRNORM, EPOLLWRBAND],
      ...[EPOLLMSG, EPOLLRDHUP, EPOLLWAKEUP, EPOLLONESHOT, EPOLLET, EPOLLIN | EPOLLET, (EPOLLIN | EPOLLET) >>> 0, 0],
    ];
    for (const flag of flags) {
      using epoll = new Epoll();
      epoll.register(here, flag);
      epoll.modify(here, 0);
      epoll.modify(here, flag);
      epoll.unregister(here);
    }
  });

  test("Epoll.fromfd() shares the epoll instance, and close() leaves the instance open", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair(AF_INET);
    using epoll = new Epoll(2);
    const other = Epoll.fromfd(duplicate(cleanup, epoll.fileno(), 1500));
    assertEquals(other.fileno(), 1500);
    assertFalse(other.closed);
    other.register(here, EPOLLIN | EPOLLOUT);
    other.register(there, EPOLLIN | EPOLLOUT);
    const expected = sorted([[here.fileno(), EPOLLOUT], [there.fileno(), EPOLLOUT]]);
    assertEquals(sorted(epoll.poll(SOON, 4)), expected);
    assertEquals(sorted(other.poll(SOON, 4)), expected);
    other.close();
    assertFalse(isOpen(1500));
    assertEquals(sorted(epoll.poll(SOON)), expected);
  });

  test("Epoll.fromfd() returns an instance that throws EBADF once its descriptor is closed elsewhere", () => {
    using cleanup = new Cleanup();
    using epoll = new Epoll();
    using other = Epoll.fromfd(duplicate(cleanup, epoll.fileno(), 1500));
    close(1500);
    const error = assertThrows(() => other.poll(SOON), OSError);
    assertEquals([error.code, error.syscall], ["EBADF", "epoll_wait"]);
    assertEquals(assertThrows(() => other.poll(0), OSError).code, "EBADF");
    assertEquals(assertThrows(() => other.register(epoll), OSError).code, "EBADF");
  });

  test("Epoll.fromfd() throws for an invalid descriptor, and poll() throws EINVAL for another kind of file", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    assertThrows(() => Epoll.fromfd(-1), RangeError);
    assertThrows(() => Epoll.fromfd(2 ** 31), RangeError);
    assertThrows(() => Epoll.fromfd(null as never), TypeError);
    using epoll = Epoll.fromfd(duplicate(cleanup, here.fileno(), 1500));
    assertEquals(assertThrows(() => epoll.poll(SOON), OSError).code, "EINVAL");
  });

  test("poll() reports an edge once, and again after new data, until unregister()", () => {
    using cleanup = new Cleanup();
    const [client, server] = cleanup.pair(AF_INET);
    using epoll = new Epoll(16);
    epoll.register(server.fileno(), EPOLLIN | EPOLLOUT | EPOLLET);
    epoll.register(client.fileno(), EPOLLIN | EPOLLOUT | EPOLLET);
    const both = (flags: number) => sorted([[client.fileno(), flags], [server.fileno(), flags]]);
    assertEquals(sorted(epoll.poll(SOON, 4)), both(EPOLLOUT));
    assertEquals(epoll.poll(0.01, 4), []);

    client.sendAll(bytes("Hello!"));
    server.sendAll(bytes("world!!!"));
    // The two events may arrive in separate calls.
    const found: [number, number][] = [];
    while (found.length < 2) {
      const events = epoll.poll(SOON, 4);
      assertGreater(events.length, 0);
      found.push(...events);
    }
    assertEquals(sorted(found), both(EPOLLIN | EPOLLOUT));
    assertEquals(epoll.poll(0), []);

    // Unread data after a partial read is not an edge; new data is.
    server.recv(3);
    assertEquals(epoll.poll(0), []);
    client.sendAll(bytes("again"));
    assertEquals(epoll.poll(SOON), [[server.fileno(), EPOLLIN | EPOLLOUT]]);

    epoll.unregister(client.fileno());
    epoll.modify(server.fileno(), EPOLLOUT);
    assertEquals(epoll.poll(SOON, 4), [[server.fileno(), EPOLLOUT]]);
    assertEquals(epoll.poll(SOON, 4), [[server.fileno(), EPOLLOUT]]);
  });

  test("poll() disarms an EPOLLONESHOT registration after one event, until modify()", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    using epoll = new Epoll();
    epoll.register(here, EPOLLIN | EPOLLONESHOT);
    there.send(bytes("one"));
    assertEquals(epoll.poll(SOON), [[here.fileno(), EPOLLIN]]);
    there.send(bytes("two"));
    assertEquals(epoll.poll(0), []);
    assertEquals(assertThrows(() => epoll.register(here, EPOLLIN), OSError).code, "EEXIST");
    epoll.modify(here, EPOLLIN | EPOLLONESHOT | EPOLLET);
    assertEquals(epoll.poll(SOON), [[here.fileno(), EPOLLIN]]); // modify() reports the unread data as an edge
    assertEquals(epoll.poll(0), []);
  });

  test("register() accepts EPOLLEXCLUSIVE, and modify() throws EINVAL for it", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [other] = cleanup.pair();
    using epoll = new Epoll();
    using second = new Epoll();
    epoll.register(here, EPOLLIN | EPOLLEXCLUSIVE);
    second.register(here, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET);
    assertEquals(epoll.poll(0), []);
    there.send(bytes("ping"));
    assertEquals(epoll.poll(SOON), [[here.fileno(), EPOLLIN]]);
    assertEquals(assertThrows(() => epoll.modify(here, EPOLLIN), OSError).code, "EINVAL");
    epoll.register(other, EPOLLIN);
    assertEquals(assertThrows(() => epoll.modify(other, EPOLLIN | EPOLLEXCLUSIVE), OSError).code, "EINVAL");
    assertEquals(
      assertThrows(() => second.register(other, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT), OSError).code,
      "EINVAL",
    );
    epoll.unregister(here);
    assertEquals(epoll.poll(0), []);
  });

  test("poll() distinguishes the end of a stream, a hang-up and an error", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    using epoll = new Epoll();
    epoll.register(here, EPOLLIN | EPOLLRDHUP);
    there.shutdown(SHUT_WR);
    assertEquals(epoll.poll(SOON), [[here.fileno(), EPOLLIN | EPOLLRDHUP]]);
    there.close();
    assertEquals(epoll.poll(SOON), [[here.fileno(), EPOLLIN | EPOLLRDHUP | EPOLLHUP]]);
    epoll.unregister(here);
    const [reader, writer] = cleanup.pipe();
    epoll.register(writer, 0);
    assertEquals(epoll.poll(0), []);
    cleanup.close(reader);
    assertEquals(epoll.poll(SOON), [[writer, EPOLLERR]]);
  });

  test("poll() returns at most the given number of events, and the next call returns the rest", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const numbers = [1500, 1501, 1502];
    using epoll = new Epoll();
    for (const number of numbers) epoll.register(duplicate(cleanup, here.fileno(), number), EPOLLOUT);
    const first = epoll.poll(SOON, 2);
    assertEquals(first.length, 2);
    const second = epoll.poll(SOON, 2);
    assertEquals(new Set([...first, ...second].map(([fd]) => fd)), new Set(numbers));
    assertEquals(epoll.poll(SOON, 1).length, 1);
    assertEquals(sorted(epoll.poll(SOON, 500)), numbers.map((fd) => [fd, EPOLLOUT]));
  });

  test("poll() returns up to 1,023 events by default", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using epoll = new Epoll();
    for (let number = 2000; number < 3100; number++) {
      epoll.register(duplicate(cleanup, here.fileno(), number), EPOLLOUT);
    }
    assertEquals(epoll.poll(SOON).length, 1023);
    assertEquals(epoll.poll(SOON, -1).length, 1023);
    const all = Array.from({ length: 1100 }, (_, index): [number, number] => [2000 + index, EPOLLOUT]);
    assertEquals(sorted(epoll.poll(SOON, 1100)), all);
  });

  test("poll() throws RangeError if the number of events is out of range, and TypeError for other types", () => {
    using epoll = new Epoll();
    assertThrows(() => epoll.poll(NaN), RangeError, "NaN");
    assertThrows(() => epoll.poll({ months: 1 }), RangeError);
    for (const maxevents of [0, -0, -2, 1.5, NaN, Infinity, 2 ** 31]) {
      assertThrows(() => epoll.poll(0, maxevents), RangeError, "events");
    }
    for (const nope of ["1", true, 1n]) {
      assertThrows(() => epoll.poll(nope as never), TypeError);
      assertThrows(() => epoll.poll(0, nope as never), TypeError, "events");
    }
    assertThrows(() => epoll.poll(0, null as never), TypeError, "events");
  });

  test("poll() waits out its timeout, in seconds and in durations, even if nothing is registered", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using epoll = new Epoll();
    for (const register of [() => {}, () => epoll.register(here, EPOLLIN)]) {
      register();
      for (const [timeout, ms] of [[0.02, 20], [{ milliseconds: 15 }, 15], [0.0001, 0.1], [1e-9, 1e-6]] as const) {
        const elapsed = elapsedMs(() => assertEquals(epoll.poll(timeout), []));
        assertGreaterOrEqual(elapsed, ms);
        assertLess(elapsed, 30_000);
      }
      for (const timeout of [0, -0, { seconds: 0 }]) {
        assertLess(elapsedMs(() => assertEquals(epoll.poll(timeout), [])), 30_000);
      }
    }
  });

  test("poll() returns at once if a descriptor is ready, whatever the timeout", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using epoll = new Epoll();
    epoll.register(here, EPOLLOUT);
    for (const timeout of [undefined, null, -1, -0.1, -Infinity, 0, 1, 2 ** 31, 1e300, Infinity, { seconds: -1 }]) {
      assertEquals(epoll.poll(timeout), [[here.fileno(), EPOLLOUT]]);
    }
  });

  test("poll() waits indefinitely if the timeout is null, undefined or negative", () => {
    const CLOCK_MONOTONIC = 1;
    const timers = Deno.dlopen("libc.so.6", {
      timerfd_create: { parameters: ["i32", "i32"], result: "i32" },
      timerfd_settime: { parameters: ["i32", "i32", "buffer", "pointer"], result: "i32" },
    });
    const { timerfd_create, timerfd_settime } = timers.symbols;
    const timer = timerfd_create(CLOCK_MONOTONIC, 0);
    assertGreater(timer, 0);
    // struct itimerspec: the interval and the first expiry, each in seconds and nanoseconds.
    const once = new BigInt64Array([0n, 0n, 0n, 20_000_000n]);
    using epoll = new Epoll();
    epoll.register(timer, EPOLLIN);
    for (const timeout of [undefined, null, -1, -0.1, -1e-100, -Infinity, Infinity, { seconds: -1 }]) {
      const elapsed = elapsedMs(() => {
        assertEquals(timerfd_settime(timer, 0, once, null), 0);
        assertEquals(epoll.poll(timeout), [[timer, EPOLLIN]]);
      });
      assertGreaterOrEqual(elapsed, 20);
    }
    close(timer);
    timers.close();
  });

  test("poll() continues to wait after a signal interrupts it", async () => {
    using epoll = new Epoll();
    const signals = await interrupted(() => {
      const elapsed = elapsedMs(() => assertEquals(epoll.poll(0.1), []));
      assertGreaterOrEqual(elapsed, 100);
      assertLess(elapsed, 30_000);
    });
    assertGreater(signals, 0);
  });

  test("close() does nothing the second time, and every other method throws afterwards", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const epoll = new Epoll();
    epoll.register(here);
    const fd = duplicate(cleanup, epoll.fileno(), 1500);
    epoll.close();
    epoll.close();
    epoll[Symbol.dispose]();
    assert(epoll.closed);
    assert(isOpen(fd));
    for (
      const call of [
        () => epoll.fileno(),
        () => epoll.modify(here, EPOLLIN),
        () => epoll.poll(1),
        () => epoll.register(here, EPOLLIN),
        () => epoll.unregister(here),
      ]
    ) assertThrows(call, Deno.errors.BadResource, "the epoll instance is closed");
  });

  test("new Epoll() opens a close-on-exec descriptor", () => {
    for (const flags of [0, EPOLL_CLOEXEC]) {
      using epoll = new Epoll(-1, flags);
      assertEquals(libc!.fcntl(epoll.fileno(), F_GETFD), FD_CLOEXEC);
    }
    using selector = new EpollSelector();
    assertEquals(libc!.fcntl(selector.fileno(), F_GETFD), FD_CLOEXEC);
  });

  test("register() accepts another Epoll, and reports it as readable while it has events", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    using inner = new Epoll();
    using outer = new Epoll();
    inner.register(here, EPOLLIN);
    outer.register(inner);
    assertEquals(outer.poll(0), []);
    there.send(bytes("ping"));
    assertEquals(outer.poll(SOON), [[inner.fileno(), EPOLLIN]]);
    assertEquals(assertThrows(() => inner.register(outer), OSError).code, "ELOOP");
  });
});
