/**
 * EpollSelector: stale open file descriptions, its number of system calls, and its descriptor.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { describe } from "@std/testing/bdd";
import * as fc from "fast-check";
import { closeSync, openSync } from "node:fs";
import { OSError, Poll, POLLIN, select } from "../ffi/select/mod.ts";
import { EpollPoller } from "../ffi/os/epoll.ts";
import { AF_INET, close, MSG_OOB, type Socket, write } from "../ffi/socket/mod.ts";
import {
  type BaseSelector,
  EpollSelector,
  EVENT_READ,
  EVENT_READ_CLOSED,
  EVENT_WRITE,
  KeyError,
  MODE_EDGE,
  MODE_ONCE,
  PollSelector,
  SelectSelector,
} from "../mod.ts";
import { EPOLL } from "./support/needs.ts";
import {
  BOTH,
  bytes,
  Cleanup,
  CountingSelector,
  duplicate,
  elapsedMs,
  F_GETFD,
  FD_CLOEXEC,
  isOpen,
  libc,
  readyFds,
  SOON,
  sorted,
  testNeeding,
  text,
} from "./support/util.ts";

const test = testNeeding(EPOLL);

const RLIMIT_NOFILE = 7;

/** Returns a readable socket and an idle socket. */
function readableAndIdle(cleanup: Cleanup): [readable: Socket, idle: Socket] {
  const [readable, sender] = cleanup.pair();
  const [idle] = cleanup.pair();
  sender.send(bytes("ping"));
  return [readable, idle];
}

/**
 * Registers a duplicate of a socket under a number, closes it, and unregisters it. The kernel keeps reporting it,
 * because the socket's open file description is still open.
 */
function leaveStale(cleanup: Cleanup, selector: BaseSelector, socket: Socket, number: number, events = EVENT_READ) {
  selector.register(duplicate(cleanup, socket.fileno(), number), events);
  close(number);
  selector.unregister(number);
}

/** Returns the EPOLL* masks that the kernel has, by descriptor. */
function masksOf(selector: EpollSelector): Map<number, string> {
  const info = Deno.readTextFileSync(`/proc/self/fdinfo/${selector.fileno()}`);
  return new Map([...info.matchAll(/tfd: +(\d+) events: +(\w+)/g)].map(([, fd, mask]) => [Number(fd), mask!]));
}

describe("EpollSelector", () => {
  test("select() works with a stale description and no free descriptor for a new epoll instance", () => {
    using cleanup = new Cleanup();
    const limits = new BigUint64Array(2);
    assertEquals(libc!.getrlimit(RLIMIT_NOFILE, limits), 0);
    const [here, sender] = cleanup.pair();
    const [reader, writer] = cleanup.pipe();
    write(writer, bytes("x"));
    using selector = new EpollSelector();
    const key = selector.register(here, EVENT_READ);
    selector.register(reader, EVENT_READ);
    const twin = libc!.dup(reader);
    cleanup.defer(() => close(twin));
    cleanup.close(reader);
    selector.unregister(reader);
    try {
      assertEquals(libc!.setrlimit(RLIMIT_NOFILE, new BigUint64Array([3n, limits[1]!])), 0);
      assertEquals(selector.select(0), []);
      assertGreaterOrEqual(elapsedMs(() => assertEquals(selector.select(0.05), [])), 50);
      sender.send(bytes("x"));
      for (const timeout of [0, 1, null]) assertEquals(selector.select(timeout), [[key, EVENT_READ]]);
    } finally {
      assertEquals(libc!.setrlimit(RLIMIT_NOFILE, limits), 0);
    }
    here.recv(10);
    assertEquals(selector.select(0), []);
  });

  test("register() throws EPERM with a reason for a regular file and a directory, and registers nothing", () => {
    const directory = Deno.makeTempDirSync();
    using selector = new EpollSelector();
    for (const path of [import.meta.filename!, directory]) {
      const fd = openSync(path, "r");
      try {
        for (let tries = 0; tries < 2; tries++) {
          const error = assertThrows(() => selector.register(fd, EVENT_READ), OSError, `fd ${fd}`);
          assertEquals([error.code, error.syscall], ["EPERM", "epoll_ctl"]);
          assert(error.message.includes("epoll cannot wait for a descriptor of this kind"));
        }
        assertEquals(selector.getMap()!.size, 0);
        assertThrows(() => selector.getKey(fd), KeyError);
        assertThrows(() => selector.unregister(fd), KeyError);
        assertEquals(selector.select(0), []);
      } finally {
        closeSync(fd);
      }
    }
    Deno.removeSync(directory);
  });

  test("fileno() returns the descriptor until the selector is closed", () => {
    const selector = new EpollSelector();
    const fd = selector.fileno();
    assertGreater(fd, 0);
    assert(isOpen(fd));
    assertEquals(selector.fileno(), fd);
    selector.close();
    assertThrows(() => selector.fileno(), Deno.errors.BadResource, "closed");
  });

  test("select() returns more ready descriptors than its initial buffer holds, in one call", () => {
    using cleanup = new Cleanup();
    const [here, idle] = readableAndIdle(cleanup);
    using selector = new EpollSelector<number>();
    const expected: [number, number][] = [];
    for (let number = 2000; number < 2500; number++) {
      const isIdle = number % 5 === 0;
      selector.register(duplicate(cleanup, (isIdle ? idle : here).fileno(), number), BOTH, number);
      expected.push([number, isIdle ? EVENT_WRITE : BOTH]);
    }
    assertEquals(readyFds(selector, SOON), expected);
    for (const [key] of selector.select(SOON)) assertEquals(key.data, key.fd);
    for (let number = 2000; number < 2490; number++) selector.unregister(number);
    assertEquals(readyFds(selector, SOON), expected.slice(490));
  });

  test("select() makes one system call after any registrations and changes", () => {
    using cleanup = new Cleanup();
    const [here, idle] = readableAndIdle(cleanup);
    using selector = new CountingSelector(new EpollPoller());
    selector.register(here, EVENT_READ);
    selector.register(idle, EVENT_READ);
    selector.modify(idle, EVENT_WRITE);
    assertEquals(selector.select(0).length, 2);
    assertEquals(selector.waits, 1);
    // More descriptors than the buffer had room for.
    selector.register(duplicate(cleanup, here.fileno(), 1500), EVENT_READ);
    selector.register(duplicate(cleanup, here.fileno(), 9999), EVENT_READ);
    selector.unregister(1500);
    assertEquals(selector.select(0).length, 3);
    assertEquals(selector.waits, 2);
  });

  test("select() does not report urgent data as readable", () => {
    using cleanup = new Cleanup();
    const [client, server] = cleanup.pair(AF_INET);
    using selector = new EpollSelector();
    selector.register(server, EVENT_READ);
    client.send(bytes("!"), MSG_OOB);
    select([], [], [server], SOON);
    assertEquals(readyFds(selector, 0), []);
  });

  test("select() waits out its timeout with a stale description, in two system calls", () => {
    using cleanup = new Cleanup();
    const [here, idle] = readableAndIdle(cleanup);
    using selector = new CountingSelector(new EpollPoller());
    selector.register(idle, EVENT_READ);
    leaveStale(cleanup, selector, here, 1500);
    const elapsed = elapsedMs(() => assertEquals(selector.select(0.2), []));
    assertGreaterOrEqual(elapsed, 200);
    assertLess(elapsed, 30_000);
    assertEquals(selector.waits, 2);
    assertGreaterOrEqual(elapsedMs(() => assertEquals(selector.select(0.01), [])), 10);
    assertEquals(selector.waits, 3);
  });

  test("select() with a timeout of 0 reports ready descriptors, not stale descriptions, in one call", () => {
    using cleanup = new Cleanup();
    const [here, idle] = readableAndIdle(cleanup);
    using selector = new CountingSelector(new EpollPoller());
    for (let number = 1500; number < 1600; number++) leaveStale(cleanup, selector, here, number, BOTH);
    selector.register(here, EVENT_READ);
    selector.register(idle, EVENT_WRITE);
    const expected = sorted([[here.fileno(), EVENT_READ], [idle.fileno(), EVENT_WRITE]]);
    assertEquals(readyFds(selector, 0), expected);
    assertEquals(selector.waits, 2);
    assertEquals(readyFds(selector, 0), expected);
    assertEquals(selector.waits, 3);
  });

  test("select() reports only the new descriptor after register() of a reused number", () => {
    using cleanup = new Cleanup();
    const [here, idle] = readableAndIdle(cleanup);
    const [fresh, sender] = cleanup.pair();
    using selector = new EpollSelector<string>();
    selector.register(idle, EVENT_WRITE, "bystander");
    leaveStale(cleanup, selector, here, 1500);
    selector.register(duplicate(cleanup, fresh.fileno(), 1500), EVENT_READ, "new");
    const fd = selector.fileno();
    const bystander: [number, number] = [idle.fileno(), EVENT_WRITE];
    assertEquals(readyFds(selector, 0), [bystander]);
    assertEquals(readyFds(selector, 0), [bystander]);
    sender.send(bytes("ping"));
    assertEquals(readyFds(selector, SOON), sorted([bystander, [1500, EVENT_READ]]));
    assertEquals(selector.getKey(1500).data, "new");
    assertEquals(text(fresh.recv(10)), "ping");
    assertEquals(readyFds(selector, 0), [bystander]);
    selector.modify(1500, EVENT_WRITE, "newer");
    assertEquals(readyFds(selector, SOON), sorted([bystander, [1500, EVENT_WRITE]]));
    selector.unregister(1500);
    assertEquals(readyFds(selector, 0), [bystander]);
    assertEquals(selector.fileno(), fd);
    assertEquals(libc!.fcntl(fd, F_GETFD), FD_CLOEXEC);
  });

  test("select() removes a stale description permanently, even if it becomes ready later", () => {
    using cleanup = new Cleanup();
    const [here, sender] = cleanup.pair();
    using selector = new CountingSelector(new EpollPoller());
    leaveStale(cleanup, selector, here, 1500);
    assertEquals(selector.select(0), []);
    assertEquals(selector.waits, 1);
    sender.send(bytes("ping"));
    assertEquals(selector.select(0), []);
    assertEquals(selector.waits, 3);
    assertEquals(selector.select(0), []);
    assertEquals(selector.waits, 4);
  });

  test("select() with a new epoll instance does not report a key whose number was reused without unregister()", () => {
    using cleanup = new Cleanup();
    const [here, idle] = readableAndIdle(cleanup);
    using selector = new EpollSelector();
    selector.register(idle, EVENT_WRITE);
    // The new descriptor is ready, but was never registered.
    selector.register(duplicate(cleanup, idle.fileno(), 1600), EVENT_READ);
    duplicate(cleanup, here.fileno(), 1600);
    leaveStale(cleanup, selector, here, 1500);
    for (let times = 0; times < 3; times++) {
      assertEquals(readyFds(selector, 0), [[idle.fileno(), EVENT_WRITE]]);
    }
    assertEquals(selector.unregister(1600).fd, 1600);
    selector.register(1600, EVENT_READ);
    assertEquals(readyFds(selector, 0), sorted([[idle.fileno(), EVENT_WRITE], [1600, EVENT_READ]]));
  });

  test("select() with a new epoll instance keeps spent registrations spent, and the other masks unchanged", () => {
    using cleanup = new Cleanup();
    const [here, idle] = readableAndIdle(cleanup);
    const [other] = cleanup.pair();
    using selector = new EpollSelector();
    selector.register(here, EVENT_READ | MODE_ONCE);
    assertEquals(readyFds(selector, 0), [[here.fileno(), EVENT_READ]]);
    selector.register(idle, EVENT_READ | MODE_ONCE);
    selector.register(other, EVENT_READ | EVENT_READ_CLOSED | MODE_EDGE);
    const before = masksOf(selector);
    assertEquals(before.size, 3);
    leaveStale(cleanup, selector, here, 1500);
    assertEquals(readyFds(selector, 0), []);
    before.delete(here.fileno()); // absent until the next modify()
    assertEquals(masksOf(selector), before);
    for (let times = 0; times < 2; times++) {
      selector.modify(here, EVENT_READ | MODE_ONCE);
      assertEquals(readyFds(selector, 0), [[here.fileno(), EVENT_READ]]);
      assertEquals(readyFds(selector, 0), []);
    }
    assertEquals(selector.unregister(here).fd, here.fileno());
    selector.register(here, EVENT_READ);
    assertEquals(readyFds(selector, 0), [[here.fileno(), EVENT_READ]]);
  });

  test("modify() of a spent registration throws ENOENT if another file has its descriptor", () => {
    using cleanup = new Cleanup();
    const [here, other] = readableAndIdle(cleanup);
    using selector = new EpollSelector();
    selector.register(duplicate(cleanup, other.fileno(), 1500), EVENT_WRITE | MODE_ONCE);
    assertEquals(readyFds(selector, 0), [[1500, EVENT_WRITE]]);
    duplicate(cleanup, here.fileno(), 1500);
    assertThrows(() => selector.modify(1500, EVENT_READ | MODE_ONCE), OSError, "ENOENT");
    assertEquals(readyFds(selector, 0), []);
  });

  test("select() loses no entry with a mode if there is a stale description", () => {
    using cleanup = new Cleanup();
    const [here, idle] = readableAndIdle(cleanup);
    const [other, peer] = cleanup.pair();
    peer.send(bytes("x"));
    using selector = new EpollSelector();
    selector.register(idle, EVENT_WRITE | MODE_EDGE);
    selector.register(other, EVENT_READ | MODE_ONCE);
    leaveStale(cleanup, selector, here, 1500);
    assertEquals(readyFds(selector, 0), sorted([[idle.fileno(), EVENT_WRITE], [other.fileno(), EVENT_READ]]));
  });

  test("select() with a new epoll instance does not report a closed key, and unregister() accepts it", () => {
    using cleanup = new Cleanup();
    const [here, idle] = readableAndIdle(cleanup);
    using selector = new EpollSelector();
    selector.register(duplicate(cleanup, here.fileno(), 1600), EVENT_READ);
    selector.register(idle, EVENT_WRITE);
    close(1600);
    leaveStale(cleanup, selector, here, 1500);
    assertEquals(readyFds(selector, 0), [[idle.fileno(), EVENT_WRITE]]);
    assertEquals(selector.unregister(1600).fd, 1600);
    assertEquals(readyFds(selector, 0), [[idle.fileno(), EVENT_WRITE]]);
  });

  test("register() accepts a stale description under its old number", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    using selector = new CountingSelector(new EpollPoller());
    leaveStale(cleanup, selector, here, 1500, EVENT_WRITE);
    // The kernel still has this description registered under this number, with the old tag.
    const key = selector.register(duplicate(cleanup, here.fileno(), 1500), EVENT_READ, "again");
    assertEquals(selector.select(0), []);
    assertEquals(selector.waits, 1);
    there.send(bytes("ping"));
    const ready = selector.select(SOON);
    assertEquals(ready.map(([, events]) => events), [EVENT_READ]);
    assertStrictEquals(ready[0]![0], key);
    assertEquals(selector.waits, 2);
    selector.unregister(1500);
    assertEquals(selector.select(0), []);
    assertEquals(selector.waits, 3);
  });

  test("fileno() makes the selector a file object for every other selector", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    using inner = new EpollSelector();
    using viaEpoll = new EpollSelector();
    using viaPoll = new PollSelector();
    using viaSelect = new SelectSelector();
    inner.register(here, EVENT_READ);
    const outers = [viaEpoll, viaPoll, viaSelect];
    for (const outer of outers) {
      const key = outer.register(inner, EVENT_READ);
      assertStrictEquals(key.fileobj, inner);
      assertEquals(key.fd, inner.fileno());
      assertEquals(readyFds(outer, 0), []);
    }
    there.send(bytes("ping"));
    for (const outer of outers) assertEquals(readyFds(outer, SOON), [[inner.fileno(), EVENT_READ]]);
    assertEquals(readyFds(inner, 0), [[here.fileno(), EVENT_READ]]);
    here.recv(10);
    for (const outer of outers) assertEquals(readyFds(outer, 0), []);
    const poll = new Poll();
    poll.register(inner, POLLIN);
    assertEquals(poll.poll(0), []);
    there.send(bytes("ping"));
    assertEquals(poll.poll(SOON * 1000), [[inner.fileno(), POLLIN]]);
    for (const outer of outers) outer.unregister(inner);
  });

  test("select() agrees with a model while descriptors are closed and reused without unregister()", () => {
    using cleanup = new Cleanup();
    // Sockets; the first half of them are readable, and all are writable.
    const sockets = Array.from({ length: 6 }, (_, index) => {
      const [here, there] = cleanup.pair();
      if (index < 3) there.send(bytes("ping"));
      return here;
    });
    const numbers = [1500, 1501, 1502, 1503];
    cleanup.defer(() => numbers.filter(isOpen).forEach(close));
    const number = fc.constantFrom(...numbers);
    const index = fc.nat({ max: sockets.length - 1 });
    const events = fc.constantFrom(EVENT_READ, EVENT_WRITE, BOTH);
    const call = fc.oneof(
      fc.record({ open: number, index }),
      fc.record({ close: number }),
      fc.record({ register: number, events }),
      fc.record({ unregister: number }),
      fc.record({ modify: number, events }),
    );
    const property = fc.property(fc.array(call, { maxLength: 40, size: "max" }), (calls) => {
      numbers.filter(isOpen).forEach(close);
      using selector = new EpollSelector();
      const fd = selector.fileno();
      const standsFor = new Map<number, number>();
      const keys = new Map<number, { index: number; events: number; isHonest: boolean }>();
      const lose = (number: number) => {
        const key = keys.get(number);
        if (key !== undefined) key.isHonest = false;
      };
      for (const call of calls) {
        if ("open" in call) {
          // Reopening the same description under the same number is not detectable.
          if (standsFor.get(call.open) !== call.index) lose(call.open);
          libc!.dup2(sockets[call.index]!.fileno(), call.open);
          standsFor.set(call.open, call.index);
        } else if ("close" in call) {
          if (standsFor.delete(call.close)) close(call.close);
          lose(call.close);
        } else if ("register" in call) {
          const index = standsFor.get(call.register);
          if (keys.has(call.register)) {
            assertThrows(() => selector.register(call.register, call.events), KeyError);
          } else if (index === undefined) {
            assertEquals(assertThrows(() => selector.register(call.register, call.events), OSError).code, "EBADF");
          } else {
            selector.register(call.register, call.events);
            keys.set(call.register, { index, events: call.events, isHonest: true });
          }
        } else if ("unregister" in call) {
          if (keys.delete(call.unregister)) selector.unregister(call.unregister);
          else assertThrows(() => selector.unregister(call.unregister), KeyError);
        } else if (keys.get(call.modify)?.isHonest) {
          selector.modify(call.modify, call.events);
          keys.get(call.modify)!.events = call.events;
        }
        const honest: [number, number][] = [];
        for (const [number, key] of keys) {
          const ready = key.events & (EVENT_WRITE | (key.index < 3 ? EVENT_READ : 0));
          if (key.isHonest && ready !== 0) honest.push([number, ready]);
        }
        const found = readyFds(selector, 0);
        assert(found.every(([number]) => keys.has(number)));
        assertEquals(found.filter(([number]) => keys.get(number)!.isHonest), sorted(honest));
        assertEquals(selector.fileno(), fd);
      }
    });
    fc.assert(property, { seed: 1, numRuns: 200 });
  });
});
