/**
 * KqueueSelector under the contract of all selectors, and its own behavior, over a stand-in for the kernels of macOS,
 * FreeBSD and NetBSD, and for libkqueue.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describe } from "@std/testing/bdd";
import { OSError } from "../ffi/select/mod.ts";
import { KqueueInstance } from "../ffi/os/kqueue_instance.ts";
import { os, SYSTEMS as RECORDS } from "../ffi/os/systems.ts";
import { AF_INET, close } from "../ffi/socket/mod.ts";
import { EVENT_PRIORITY, EVENT_READ, EVENT_READ_CLOSED, EVENT_WRITE, KeyError, KqueueSelector, wake } from "../mod.ts";
import { selectorFor } from "../selectors/default.ts";
import { asyncContract } from "./contracts/async_contract.ts";
import { asynchronously, selectorContract } from "./contracts/selector_contract.ts";
import { type KqueueStandIn, kqueueStandIn, type StandInSystem } from "./standins/kqueue_standin.ts";
import { EBADF, EINTR, ENOMEM, FILTERS, NO_STAND_IN, SYSTEMS, test } from "./support/kqueue.ts";
import {
  BOTH,
  bytes,
  type Cleanup,
  elapsedMs,
  F_GETFD,
  FD_CLOEXEC,
  fifo,
  isEmulated,
  libc,
  readyFds,
  skip,
} from "./support/util.ts";

function selectorOn<D = unknown>(system: StandInSystem): [KqueueSelector<D>, KqueueStandIn] {
  const kernel = kqueueStandIn(system);
  kernel.install();
  return [new KqueueSelector<D>(), kernel];
}

function peculiarities(system: StandInSystem): void {
  const [READ, WRITE] = FILTERS[system];

  function make(cleanup: Cleanup): [KqueueSelector, KqueueStandIn] {
    const [selector, kernel] = selectorOn(system);
    cleanup.add(selector);
    return [selector, kernel];
  }

  test("register() and modify() change both filters in one call", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [here] = cleanup.pair();
    selector.register(here, BOTH);
    assertEquals(kernel.calls, [2]);
    assertEquals(kernel.filtersOf(here.fileno()), [READ, WRITE].sort());
    selector.modify(here, EVENT_READ);
    assertEquals(kernel.filtersOf(here.fileno()), [READ]);
    selector.modify(here, EVENT_WRITE);
    assertEquals(kernel.filtersOf(here.fileno()), [WRITE]);
    selector.modify(here, BOTH);
    assertEquals(kernel.filtersOf(here.fileno()), [READ, WRITE].sort());
    assertEquals(readyFds(selector), [[here.fileno(), EVENT_WRITE]]);
    selector.unregister(here);
    assertEquals(kernel.filtersOf(here.fileno()), []);
    assertEquals(kernel.calls, system === "linux" ? [2, 1, 2, 1, 0, 2] : [2, 2, 2, 2, 0, 2]);
    selector.register(here, EVENT_WRITE);
    assertEquals(kernel.calls.at(-1), 1);
    assertEquals(kernel.filtersOf(here.fileno()), [WRITE]);
  });

  test("select() makes one call", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    for (let count = 0; count < 3; count++) for (const socket of cleanup.pair()) selector.register(socket, BOTH);
    kernel.calls.length = 0;
    assertEquals(selector.select().length, 6);
    assertEquals(selector.select(1).length, 6);
    assertEquals(selector.select(0).length, 6);
    assertEquals(kernel.calls, [0, 0, 0]);
  });

  test("register() removes both filters if either fails", (cleanup) => {
    for (const filter of [READ, WRITE]) {
      const [selector, kernel] = make(cleanup);
      const [here, there] = cleanup.pair();
      there.send(bytes("x"));
      kernel.refuse.set(filter, ENOMEM);
      const error = assertThrows(() => selector.register(here, BOTH), OSError, `kevent fd ${here.fileno()}`);
      assertEquals([error.code, error.errno, error.syscall], ["ENOMEM", ENOMEM, "kevent"]);
      assertEquals(kernel.filtersOf(here.fileno()), []);
      assertThrows(() => selector.getKey(here), KeyError);
      kernel.refuse.clear();
      assertEquals(selector.select(0), []);
      selector.register(here, BOTH);
      assertEquals(readyFds(selector), [[here.fileno(), BOTH]]);
    }
  });

  test("modify() removes both filters if it fails", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [here] = cleanup.pair();
    selector.register(here, EVENT_READ);
    kernel.refuse.set(WRITE, ENOMEM);
    assertEquals(assertThrows(() => selector.modify(here, BOTH), OSError).code, "ENOMEM");
    assertEquals(kernel.filtersOf(here.fileno()), []);
    assertThrows(() => selector.getKey(here), KeyError);
  });

  test("modify() throws EBADF for a closed number and ENOENT for a reused one, as on epoll", (cleanup) => {
    for (const [before, after] of [[BOTH, EVENT_READ], [EVENT_READ, BOTH], [EVENT_WRITE, EVENT_READ]] as const) {
      // With libkqueue, EV_ADD for another file succeeds, because it cannot tell whether a filter still exists.
      if (system === "linux" && after === BOTH) continue;
      const [selector, kernel] = make(cleanup);
      const [reader, writer] = cleanup.pipe();
      const [here] = cleanup.pair();
      selector.register(reader, before);
      selector.register(writer, before);
      libc!.dup2(here.fileno(), reader);
      cleanup.close(writer);
      assertEquals(assertThrows(() => selector.modify(reader, after), OSError).code, "ENOENT");
      assertEquals(assertThrows(() => selector.modify(writer, after), OSError).code, "EBADF");
      assertEquals([kernel.filtersOf(reader), selector.getMap()!.size], [[], 0]);
    }
  });

  test("KqueueSelector works on a kernel without EV_RECEIPT", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    kernel.knowsReceipts = false;
    const [here, there] = cleanup.pair();
    const [reader, writer] = cleanup.pipe();
    there.send(bytes("x"));
    selector.register(here, BOTH);
    selector.register(there, EVENT_WRITE); // an event of `here` must not pass for a receipt
    assertEquals(readyFds(selector), [[here.fileno(), BOTH], [there.fileno(), EVENT_WRITE]]);
    selector.modify(here, EVENT_READ);
    selector.unregister(there);
    assertEquals(readyFds(selector), [[here.fileno(), EVENT_READ]]);
    cleanup.close(writer);
    assertEquals(assertThrows(() => selector.register(writer, BOTH), OSError).code, "EBADF");
    kernel.refuse.set(WRITE, ENOMEM);
    assertEquals(assertThrows(() => selector.register(reader, BOTH), OSError).code, "ENOMEM");
    assertEquals(kernel.filtersOf(reader), []);
    const [socket] = cleanup.pair();
    const events = [EVENT_PRIORITY, EVENT_READ_CLOSED].find((event) => selector.supports(event));
    if (events === undefined) return;
    assertEquals(assertThrows(() => selector.register(socket, BOTH | events), OSError).code, "ENOMEM");
    assertEquals(kernel.filtersOf(socket.fileno()), []);
  });

  test("select() merges the events of a descriptor, in the order of first appearance", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const fds = Array.from({ length: 5 }, () => cleanup.pair()[0].fileno());
    for (const fd of fds) selector.register(fd, BOTH);
    const [a, b, c, d, e] = fds as [number, number, number, number, number];
    // Tags are assigned in the order of registration, starting at 1.
    const event = (fd: number, filter: number) => ({ fd, filter, udata: BigInt(fds.indexOf(fd) + 1) });
    const order = [event(c, WRITE), event(a, READ), event(b, WRITE), event(c, READ), event(e, READ), event(a, WRITE)];
    kernel.inject.push(...order, event(d, WRITE), event(e, READ));
    const ready = selector.select().map(([key, events]) => [key.fd, events]);
    assertEquals(ready, [[c, BOTH], [a, BOTH], [b, EVENT_WRITE], [e, EVENT_READ], [d, EVENT_WRITE]]);
    // Each call starts without positions from earlier calls.
    kernel.inject.push(event(a, WRITE), event(c, READ), event(a, READ));
    assertEquals(selector.select().map(([key, events]) => [key.fd, events]), [[a, BOTH], [c, EVENT_READ]]);
    kernel.inject.push(event(b, READ));
    assertEquals(selector.select().map(([key, events]) => [key.fd, events]), [[b, EVENT_READ]]);
    kernel.inject.push(event(b, READ), event(b, WRITE));
    assertEquals(selector.select().map(([key, events]) => [key.fd, events]), [[b, BOTH]]);
  });

  test("select() ignores an event with an unknown tag, descriptor or filter", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [here, there] = cleanup.pair();
    const fd = here.fileno();
    selector.register(here, EVENT_READ); // tag 1
    const strange = [
      { fd, filter: READ, udata: 7n },
      { fd, filter: READ, udata: 0n },
      { fd, filter: WRITE, udata: 1n },
      { fd: there.fileno(), filter: READ, udata: 1n },
      { fd: 99_999, filter: READ, udata: 0n },
    ];
    kernel.inject.push(...strange);
    kernel.calls.length = 0;
    assertEquals(selector.select(0), []);
    assertEquals(kernel.calls, [0]); // one call, because there may always be more such events
    kernel.inject.push(...strange);
    // Such events do not end the wait.
    assertGreaterOrEqual(elapsedMs(() => assertEquals(selector.select(0.05), [])), 50);
    kernel.inject.push(...strange, { fd, filter: READ, udata: 1n }, ...strange);
    assertEquals(readyFds(selector), [[fd, EVENT_READ]]);
    selector.unregister(here);
    selector.register(here, EVENT_READ); // tag 2
    kernel.inject.push({ fd, filter: READ, udata: 1n });
    assertEquals(selector.select(0), []);
    kernel.inject.push({ fd, filter: READ, udata: 2n });
    assertEquals(readyFds(selector, 0), [[fd, EVENT_READ]]);
  });

  test("select() reports EV_EOF and EV_ERROR as the filter's event", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [here] = cleanup.pair();
    selector.register(here, BOTH);
    for (const flags of [0x8000, 0x4000, 0xc000]) {
      kernel.inject.push({ fd: here.fileno(), filter: READ, flags, udata: 1n });
      assertEquals(readyFds(selector), [[here.fileno(), EVENT_READ]]);
      kernel.inject.push({ fd: here.fileno(), filter: WRITE, flags, udata: 1n });
      assertEquals(readyFds(selector), [[here.fileno(), EVENT_WRITE]]);
    }
  });

  test("select() has room for both filters of every registration", (cleanup) => {
    const [selector] = make(cleanup);
    const sockets = Array.from({ length: 60 }, () => cleanup.pair()).flat();
    for (const socket of sockets) {
      socket.send(bytes("x"));
      selector.register(socket, BOTH);
    }
    assertEquals(readyFds(selector), sockets.map((socket) => [socket.fileno(), BOTH]).sort((a, b) => a[0]! - b[0]!));
  });

  test("register(), modify() and select() repeat an interrupted call", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [here] = cleanup.pair();
    kernel.fail.push(EINTR, 11 /* EAGAIN: left by a garbage collection */);
    selector.register(here, EVENT_READ);
    kernel.fail.push(EINTR);
    selector.modify(here, EVENT_WRITE);
    assertEquals(kernel.calls.length, 5);
    kernel.fail.push(EINTR, EINTR);
    assertEquals(readyFds(selector), [[here.fileno(), EVENT_WRITE]]);
    kernel.fail.push(EBADF);
    assertEquals(assertThrows(() => selector.select(), OSError, "kevent").code, "EBADF");
    kernel.fail.push(ENOMEM);
    assertEquals(assertThrows(() => selector.modify(here, EVENT_READ), OSError).code, "ENOMEM");
  });

  test("selectAsync() and for await end at an event, and at wake()", async (cleanup) => {
    const [selector] = make(cleanup);
    const [here, there] = cleanup.pair();
    const signal = AbortSignal.timeout(20_000); // fails the test instead of hanging it
    const key = selector.register(here, EVENT_READ);
    const handle = selector.wakeHandle;

    let wait = selector.selectAsync(null, { signal });
    setTimeout(() => there.send(bytes("x")), 5);
    assertEquals(await wait, [[key, EVENT_READ]]);
    here.recv(1);
    setTimeout(() => there.send(bytes("x")), 5);
    for await (const entry of selector.events({ signal })) {
      assertEquals(entry, [key, EVENT_READ]);
      break;
    }
    here.recv(1);
    wait = selector.selectAsync(null, { signal });
    setTimeout(() => wake(handle), 5);
    assertEquals(await wait, []);
    wait = selector.selectAsync(null, { signal });
    setTimeout(() => selector.modify(here, EVENT_WRITE), 5);
    assertEquals(await wait, [[selector.getKey(here), EVENT_WRITE]]);
  });

  test("selectAsync() does not spin if a registered descriptor was closed, or its number reused", async (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [here, there] = cleanup.pair();
    there.send(bytes("x"));
    const [closed] = cleanup.pipe();
    const [reused] = cleanup.pipe();
    selector.register(closed, EVENT_READ);
    selector.register(reused, EVENT_READ);
    // A first wait here, because it opens descriptors, which could take the number to reuse.
    assertEquals(await selector.selectAsync(0.001), []);
    cleanup.close(closed);
    libc!.dup2(here.fileno(), reused); // readable
    kernel.calls.length = 0;
    assertEquals(await selector.selectAsync(0.05), []);
    assertLess(kernel.calls.length, 10);
    for (const fd of [closed, reused]) {
      assertThrows(() => selector.modify(fd, EVENT_WRITE), OSError);
    }
    assertEquals(selector.getMap()!.size, 0);
  });

  test("fileno() returns a close-on-exec descriptor until the selector is closed", (cleanup) => {
    const [selector] = make(cleanup);
    assertGreaterOrEqual(selector.fileno(), 0);
    assertEquals(libc!.fcntl(selector.fileno(), F_GETFD), FD_CLOEXEC);
    selector.close();
    assertThrows(() => selector.fileno(), Deno.errors.BadResource, "the selector is closed");
  });

  test("register() throws EPERM for regular files and directories", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    for (
      const [path, kind] of [[import.meta.filename!, "regular file"], [import.meta.dirname!, "directory"]] as const
    ) {
      const fd = libc!.open(bytes(`${path}\0`), 0);
      cleanup.defer(() => close(fd));
      const error = assertThrows(() => selector.register(fd, EVENT_READ), OSError, kind);
      assertEquals([error.code, error.syscall], ["EPERM", "kevent"]);
      assertStringIncludes(error.message, '{ fallback: "select" }');
      assertEquals(kernel.filtersOf(fd), []);
      assertThrows(() => selector.getKey(fd), KeyError);
    }
  });

  const O_RDWR = 2;
  test(system === "darwin" ? "register() throws EPERM for FIFOs" : "register() accepts FIFOs", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [, fd] = fifo(cleanup, O_RDWR);
    if (system !== "darwin") {
      selector.register(fd, EVENT_WRITE);
      assertEquals(readyFds(selector), [[fd, EVENT_WRITE]]);
      return;
    }
    for (const events of [EVENT_READ, EVENT_WRITE, BOTH]) {
      const error = assertThrows(() => selector.register(fd, events), OSError, `kevent fd ${fd}: kqueue on macOS`);
      assertEquals(error.code, "EPERM");
      assertStringIncludes(error.message, '{ fallback: "select" }');
      assertEquals(kernel.filtersOf(fd), []);
    }
  });

  test("register() accepts pipes, although fstat() reports them as FIFOs", (cleanup) => {
    const [selector] = make(cleanup);
    const [reader, writer] = cleanup.pipe();
    selector.register(reader, EVENT_READ);
    selector.register(writer, EVENT_WRITE);
    assertEquals(readyFds(selector), [[writer, EVENT_WRITE]]);
    cleanup.close(writer);
    assertEquals(readyFds(selector), [[reader, EVENT_READ]]);
  });

  if (system === "darwin" || system === "linux") {
    test("register() throws EPERM for an unsupported device, and names the fallback", (cleanup) => {
      const [selector, kernel] = make(cleanup);
      const fd = libc!.open(bytes("/dev/null\0"), O_RDWR);
      cleanup.defer(() => close(fd));
      const error = assertThrows(() => selector.register(fd, EVENT_READ), OSError, "/dev/tty");
      assertEquals(error.code, "EPERM");
      assertStringIncludes(error.message, '{ fallback: "select" }');
      assertStringIncludes(error.message, system === "darwin" ? "EINVAL" : "EFAULT");
      assertEquals(kernel.filtersOf(fd), []);
    });
  }
}

const slow = "the stand-in looks at every descriptor; once is enough for what does not depend on the layout";

if (os === "linux") {
  for (const system of SYSTEMS) {
    const contract = {
      name: `KqueueSelector as on ${system}`,
      create: <D>() => selectorOn<D>(system)[0],
      lacks: {
        linuxStates: "the events of these states are not known for kqueue",
        manyDescriptors: system === "freebsd" && !isEmulated ? null : slow,
      },
    };
    // Tests that always end come first: a contract test may hang if no event wakes it.
    describe(`KqueueSelector as on ${system}: its own behavior`, () => peculiarities(system));
    selectorContract(contract);
    if (system === "freebsd" || system === "linux") {
      // FreeBSD's queue has a descriptor that poll(2) can wait for; with libkqueue, poll(2) waits for the registered
      // descriptors instead. Struct layouts do not affect an asynchronous wait.
      selectorContract({ ...contract, name: `${contract.name}, waiting asynchronously`, select: asynchronously });
      asyncContract(contract);
    }
  }

  describe("KqueueSelector over a stand-in", () => {
    test("selectorFor() returns KqueueSelector on systems with kqueue", () => {
      for (const system of ["darwin", "freebsd", "netbsd"] as const) {
        assertEquals(selectorFor(RECORDS[system]), KqueueSelector);
      }
      for (const system of ["linux", "android", "windows", "solaris"] as const) {
        assert(selectorFor(RECORDS[system]) !== KqueueSelector);
      }
    });

    test("select() reports the end of a TCP connection as readable and writable", (cleanup) => {
      const [selector] = selectorOn("darwin");
      cleanup.add(selector);
      const [here, there] = cleanup.pair(AF_INET);
      selector.register(here, BOTH);
      there.close();
      while (readyFds(selector)[0]![1] !== BOTH);
      assertEquals(readyFds(selector), [[here.fileno(), BOTH]]);
    });

    test("new KqueueInstance() closes its descriptor if it cannot set close-on-exec", () => {
      kqueueStandIn("darwin").install("linux"); // Linux has another request number for close-on-exec
      assertEquals(assertThrows(() => new KqueueInstance(), OSError, "ioctl").code, "EINVAL");
    });

    test("kqueueStandIn() throws instead of waiting or looping forever", (cleanup) => {
      for (const timeout of [undefined, 60]) {
        const [selector, kernel] = selectorOn("darwin");
        cleanup.add(selector);
        kernel.patienceMs = 20;
        selector.register(cleanup.pair()[0], EVENT_READ);
        const elapsed = elapsedMs(() =>
          assertThrows(() => selector.select(timeout), Error, "an event that never comes")
        );
        assertLess(elapsed, 30_000);
        assertEquals(selector.select(0), []);
        kernel.looks = 100;
        assertThrows(
          () => {
            for (;;) selector.select(0);
          },
          Error,
          "in a loop",
        );
      }
    });
  });
} else {
  skip("KqueueSelector over a stand-in", NO_STAND_IN);
}
