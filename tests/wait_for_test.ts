/**
 * `waitFor()`: results, errors, aborts, and many waits at once.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual, assertLess, assertRejects, assertStrictEquals } from "@std/assert";
import { getEventListeners } from "node:events";
import { describe } from "@std/testing/bdd";
import {
  DefaultSelector,
  EpollSelector,
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_PRIORITY,
  EVENT_READ,
  EVENT_READ_CLOSED,
  EVENT_WRITE,
  type FileObject,
  MODE_EDGE,
  MODE_ONCE,
  OSError,
  PollSelector,
  SelectSelector,
  type Timeout,
  waitFor,
} from "../mod.ts";
import { SelectPoller } from "../ffi/os/select.ts";
import { os } from "../ffi/os/systems.ts";
import { isTurnOver } from "../selectors/waits/turns.ts";
import { close, type Socket } from "../ffi/socket/mod.ts";
import { FILES, lackedBy, LINUX, SIGNALS } from "./support/needs.ts";
import { STATES } from "./contracts/selector/states.ts";
import {
  BOTH,
  bytes,
  Cleanup,
  CountingSelector,
  descriptorLimit,
  duplicate,
  freeNumber,
  isEmulated,
  isWindows,
  leavingDescriptors,
  libc,
  moduleOf,
  nextTurns,
  printedBy,
  SOON,
  test,
  text,
} from "./support/util.ts";

/** A limit on the number of descriptors. */
const DESCRIPTOR_LIMIT = lackedBy({ windows: "Windows has no limit on descriptors" });

const MOD = JSON.stringify(import.meta.resolve("../mod.ts"));
const SOCKET = JSON.stringify(import.meta.resolve("../ffi/socket/mod.ts"));

/** Fills the send buffer of a socket, so that the socket is not writable. */
function fill(socket: Socket): void {
  socket.setBlocking(false);
  while (socket.trySend(new Uint8Array(65_536)) !== null);
}

/** Reads all data that a socket has received. */
function drain(socket: Socket): void {
  socket.setBlocking(false);
  while (socket.tryRecvInto(new Uint8Array(65_536)) !== null);
}

/** Returns the value of a promise if it settles within a few turns, or "pending". */
async function valueNow<T>(promise: Promise<T>): Promise<T | "pending"> {
  return await Promise.race([promise, nextTurns().then(() => "pending" as const)]);
}

describe("waitFor(): its result", () => {
  test("waitFor() resolves to the events that are ready now", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    assertEquals(await waitFor(here, EVENT_WRITE), EVENT_WRITE);
    assertEquals(await waitFor(here.fileno(), BOTH, 5), EVENT_WRITE);
    assertEquals(await waitFor(here, EVENT_READ, 0), 0);
    there.send(bytes("x"));
    assertEquals(await waitFor(here, BOTH), BOTH);
    assertEquals(await waitFor(here, EVENT_READ, 0), EVENT_READ);
    assertEquals(await waitFor({ fileno: () => here.fileno() }, EVENT_READ, -1), EVENT_READ);
  });

  test("waitFor() resolves when the descriptor becomes ready", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    for (const timeout of [undefined, null, Infinity, 60, { minutes: 1 }] as (Timeout | undefined)[]) {
      const wait = waitFor(here, EVENT_READ, timeout);
      assertEquals(await valueNow(wait), "pending");
      there.send(bytes("x"));
      assertEquals(await wait, EVENT_READ);
      here.recv(1);
    }
    fill(here);
    const wait = waitFor(here, BOTH);
    assertEquals(await valueNow(wait), "pending");
    drain(there);
    assertEquals(await wait, EVENT_WRITE);
  });

  test("waitFor() resolves to EVENT_READ when the peer closes", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const wait = waitFor(here, EVENT_READ);
    await nextTurns();
    there.close();
    assertEquals(await wait, EVENT_READ);
  });

  test("waitFor() resolves to 0 when its timeout ends, never earlier", async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    for (const timeout of [0.02, { milliseconds: 20 }, 0.0205]) {
      const start = performance.now();
      assertEquals(await waitFor(here, EVENT_READ, timeout), 0);
      assertGreaterOrEqual(performance.now() - start, timeout === 0.0205 ? 20.5 : 20);
    }
    const order: number[] = [];
    const start = performance.now();
    await Promise.all([0.06, 0.02, 0.04].map(async (timeout) => {
      assertEquals(await waitFor(here, EVENT_READ, timeout), 0);
      assertGreaterOrEqual(performance.now() - start, timeout * 1000);
      order.push(timeout);
    }));
    assertEquals(order, [0.02, 0.04, 0.06]);
  });

  test("waitFor() with a timeout of 0 or less does not wait", async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    let isLater = false;
    for (const timeout of [0, -0, -1, -Infinity, { seconds: -1 }]) {
      assertEquals(await waitFor(here, EVENT_READ, timeout), 0);
    }
    setTimeout(() => isLater = true, 0);
    await waitFor(here, EVENT_READ, 0);
    assertEquals(isLater, false);
  });

  test("waitFor() resolves at once for regular files and /dev/null", { needs: [FILES] }, async () => {
    using cleanup = new Cleanup();
    for (const path of ["/dev/null", import.meta.filename!]) {
      const fd = libc!.open(bytes(`${path}\0`), 0);
      cleanup.defer(() => close(fd));
      assertEquals(await waitFor(fd, BOTH), BOTH);
    }
  });
});

describe("waitFor(): several waits", () => {
  test("waitFor() for different events of one descriptor resolves each wait by its own events", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    fill(here);
    const both = waitFor(here, BOTH, SOON);
    const write = waitFor(here, EVENT_WRITE, SOON);
    const reads = [waitFor(here, EVENT_READ, SOON), waitFor(here.fileno(), EVENT_READ, SOON)];
    assertEquals(await valueNow(Promise.race([...reads, write, both])), "pending");
    drain(there);
    assertEquals(await Promise.all([write, both]), [EVENT_WRITE, EVENT_WRITE]);
    assertEquals(await valueNow(Promise.race(reads)), "pending");
    there.setBlocking(true);
    there.send(bytes("x"));
    assertEquals(await Promise.all(reads), [EVENT_READ, EVENT_READ]);
  });

  test("waitFor() resolves at once even if another wait is already blocked", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [other, peer] = cleanup.pair();
    const blocked = waitFor(other, EVENT_READ);
    // The blocked call returns after two seconds anyway.
    let leastMs = Infinity;
    for (let tries = 0; tries < 5 && leastMs > 1_000; tries++) {
      await nextTurns();
      const wait = waitFor(here, EVENT_READ);
      const start = performance.now();
      there.send(bytes("x"));
      assertEquals(await wait, EVENT_READ);
      leastMs = Math.min(leastMs, performance.now() - start);
      here.recv(1);
    }
    assertLess(leastMs, 1_000);
    peer.send(bytes("x"));
    assertEquals(await blocked, EVENT_READ);
  });

  test("waitFor() and selectAsync() of every selector wait for one descriptor at once", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const classes = os === "linux" ? [EpollSelector, PollSelector, SelectSelector] : [DefaultSelector, SelectSelector];
    const selectors = classes.map((Selector) => cleanup.add(new Selector()));
    for (const selector of selectors) selector.register(here, EVENT_READ);
    for (let round = 0; round < 3; round++) {
      const waits = selectors.map(async (selector) => (await selector.selectAsync())[0]?.[1]);
      const wait = waitFor(here, EVENT_READ);
      await nextTurns();
      there.send(bytes("x"));
      assertEquals(await Promise.all(waits), selectors.map(() => EVENT_READ));
      assertEquals(await wait, EVENT_READ);
      here.recv(1);
    }
    // If one kind of wait ends, the other kind continues.
    const wait = waitFor(here, EVENT_READ);
    for (const selector of selectors) assertEquals(await selector.selectAsync(0.01), []);
    for (const selector of selectors) selector.close();
    assertEquals(await valueNow(wait), "pending");
    there.send(bytes("x"));
    assertEquals(await wait, EVENT_READ);
  });

  test("waitFor() resolves thousands of waits at once, each by its own write", async () => {
    using cleanup = new Cleanup();
    const most = isWindows ? 200 : isEmulated ? 400 : 5_000;
    const count = Math.min(most, descriptorLimit() - 200) >> 1;
    const pairs = Array.from({ length: count }, () => cleanup.pair());
    const sockets = pairs.flat();
    const peers = pairs.flatMap(([here, there]) => [there, here]);
    const results: number[] = sockets.map(() => 0);
    // Two waits per descriptor.
    const waits = [...sockets, ...sockets].map(async (socket, index) => {
      assertEquals(await waitFor(socket, EVENT_READ), EVENT_READ);
      results[index % sockets.length]!++;
    });
    await nextTurns();
    for (let index = 0; index < 50; index++) {
      const chosen = (index * 7919) % sockets.length;
      peers[chosen]!.send(bytes("x"));
      await Promise.all([waits[chosen], waits[chosen + sockets.length]]);
      assertEquals(results.filter((count) => count > 0).length, index + 1);
    }
    for (const [index, peer] of peers.entries()) if (results[index] === 0) peer.send(bytes("x"));
    await Promise.all(waits);
    assertEquals(results, sockets.map(() => 2));
  });

  test("waitFor() does not make a parked selector wait again when it ends", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [idle, other] = cleanup.pair();
    const selector = cleanup.add(new CountingSelector(new SelectPoller()));
    selector.register(idle, EVENT_READ);
    const parked = selector.selectAsync();
    await nextTurns();
    const looks = selector.waits;
    for (let round = 0; round < 20; round++) {
      const wait = waitFor(here, EVENT_READ);
      await nextTurns();
      there.send(bytes("x"));
      await wait;
      here.recv(1);
    }
    assertEquals(selector.waits, looks);
    other.send(bytes("x"));
    assertEquals((await parked).length, 1);
  });
});

/** Number of waits in each test; an emulator is too slow for as many. */
const cycles = isEmulated || isWindows ? 200 : 5_000;
const ends: Record<string, (here: Socket, there: Socket, index: number) => Promise<void>> = {
  "resolves": async (here, there) => {
    const wait = waitFor(here, EVENT_READ);
    there.send(bytes("x"));
    await wait;
    here.recv(1);
  },
  "is aborted": async (here, _, index) => {
    const controller = new AbortController();
    const wait = waitFor(here, EVENT_READ, null, { signal: controller.signal }).catch((error) => error);
    for (let ticks = 0; ticks < index % 10; ticks++) await null;
    controller.abort();
    assertStrictEquals(await wait, controller.signal.reason);
  },
  "reaches its timeout": async (here) => {
    assertEquals(await waitFor(here, EVENT_READ, 1e-6), 0);
  },
};
{
  // Opens the libraries before the tests, because the sanitizers would report them as leaks.
  using cleanup = new Cleanup();
  const [here, there] = cleanup.pair();
  for (let tries = 0; tries < 100; tries++) await waitFor(here, EVENT_READ, 1e-6);
  const wait = waitFor(here, EVENT_READ, SOON);
  await nextTurns();
  there.send(bytes("x"));
  await wait;
}

for (const [what, cycle] of Object.entries(ends)) {
  // Uses Deno.test(), because its sanitizers detect pending operations.
  Deno.test({
    name: `waitFor() ${what} ${cycles} times, and leaks nothing`,
    sanitizeOps: true,
    sanitizeResources: true,
    fn: () =>
      leavingDescriptors(async () => {
        using cleanup = new Cleanup();
        const [here, there] = cleanup.pair();
        for (let index = 0; index < cycles; index++) await cycle(here, there, index);
      }),
  });
}

describe("waitFor(): errors", () => {
  test("waitFor() rejects for an invalid event mask", async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    for (const events of [0, -1, 1.5, NaN, 4, 8, 1 << 30, "1", null, undefined]) {
      await assertRejects(() => waitFor(here, events as number), RangeError, "Cannot wait on");
    }
  });

  test("waitFor() rejects for an invalid file object, timeout or options", async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    for (const strange of [null, undefined, "5", {}, { fileno: () => "5" }, 1.5]) {
      await assertRejects(() => waitFor(strange as FileObject, EVENT_READ), TypeError);
    }
    for (const fd of [-1, 2 ** 31, { fileno: () => -1 }]) {
      await assertRejects(() => waitFor(fd, EVENT_READ), RangeError);
    }
    await assertRejects(() => waitFor(here, EVENT_READ, NaN), RangeError, "NaN");
    await assertRejects(() => waitFor(here, EVENT_READ, { months: 1 }), RangeError, "P1M");
    await assertRejects(() => waitFor(here, EVENT_READ, "1" as unknown as number), TypeError);
    await assertRejects(() => waitFor(here, EVENT_READ, 0, null as unknown as undefined), TypeError);
  });

  test("waitFor() rejects with EBADF for a closed descriptor", async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const fd = here.fileno();
    here.close();
    for (const closed of [fd, 2 ** 31 - 1]) {
      for (const timeout of [0, 1, null]) {
        const error = await assertRejects(() => waitFor(closed, BOTH, timeout), OSError, `fd ${closed}`);
        assertEquals(error.code, "EBADF");
      }
    }
  });

  test("waitFor() rejects with EBADF if its descriptor is closed during the wait", async () => {
    using cleanup = new Cleanup();
    const [live, peer] = cleanup.pair();
    // A high number, so that Deno does not open another file under it in the meantime.
    const fd = isWindows
      ? cleanup.pair()[0].detach()
      : duplicate(cleanup, cleanup.pair()[0].fileno(), freeNumber(1_000));
    const waits = [waitFor(fd, EVENT_READ), waitFor({ fileno: () => fd }, EVENT_READ, 60)];
    const wait = waitFor(live, EVENT_READ);
    await nextTurns();
    close(fd);
    for (const one of waits) assertEquals((await assertRejects(() => one, OSError)).code, "EBADF");
    assertEquals(await valueNow(wait), "pending");
    peer.send(bytes("x"));
    assertEquals(await wait, EVENT_READ);
  });

  test("waitFor() rejects with EMFILE if it has to wait, and works once a descriptor is free", {
    needs: [DESCRIPTOR_LIMIT],
  }, async () => {
    const script = moduleOf(`
      import { EVENT_READ, EVENT_WRITE, waitFor } from ${MOD};
      import { close, pipe, socketpair } from ${SOCKET};
      const codeOf = (wait) => wait.catch(({ code }) => code);
      const [here] = socketpair();
      const fds = [];
      try { for (;;) fds.push(...pipe()); } catch {}
      const codes = [
        await codeOf(waitFor(here, EVENT_WRITE)),
        await codeOf(waitFor(here, EVENT_READ, 0)),
        await codeOf(waitFor(here, EVENT_READ, 0.01)),
        await codeOf(waitFor(here, EVENT_READ)),
      ];
      for (const fd of fds) close(fd);
      codes.push(await codeOf(waitFor(here, EVENT_READ, 0.01)));
      console.log(codes.join());
      Deno.exit();
    `);
    const { stdout, stderr } = await new Deno.Command("sh", {
      args: ["-c", `ulimit -n 64; exec "$0" run --quiet --allow-all --no-lock "$1"`, Deno.execPath(), script],
      stdin: "null",
    }).output();
    assertEquals([text(stdout), text(stderr)], ["2,0,EMFILE,EMFILE,0\n", ""]);
  });
});

describe("waitFor(): an abort", () => {
  /** Returns the number of listeners of a signal. */
  function listenersOf(signal: AbortSignal): number {
    return getEventListeners(signal, "abort").length;
  }

  test("waitFor() rejects with the reason of an abort, before the wait and during it", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const reason = new Error("enough");
    for (const start of [null, () => {}, nextTurns]) {
      const controller = new AbortController();
      if (start === null) controller.abort(reason);
      const wait = waitFor(here, EVENT_READ, null, { signal: controller.signal });
      const rejection = assertRejects(() => wait, Error, "enough");
      await start?.();
      controller.abort(reason);
      assertStrictEquals(await rejection, reason);
      assertEquals(listenersOf(controller.signal), 0);
    }
    there.send(bytes("x"));
    await assertRejects(() => waitFor(here, EVENT_READ, 0, { signal: AbortSignal.abort(reason) }), Error, "enough");
  });

  test("waitFor() leaves no listener on its signal", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const { signal } = new AbortController();
    assertEquals(await waitFor(here, EVENT_READ, 0.001, { signal }), 0);
    const wait = waitFor(here, EVENT_READ, null, { signal });
    assertEquals(listenersOf(signal), 1);
    there.send(bytes("x"));
    assertEquals(await wait, EVENT_READ);
    assertEquals(await waitFor(here, EVENT_READ, null, { signal }), EVENT_READ);
    assertEquals(listenersOf(signal), 0);
  });

  test("waitFor() releases its socket on an abort, and leaves other waits pending", async () => {
    using cleanup = new Cleanup();
    const [other, peer] = cleanup.pair();
    const twin = waitFor(other, EVENT_READ);
    // The blocked call keeps the socket open, and returns after two seconds anyway.
    let leastMs = Infinity;
    for (let tries = 0; tries < 5 && leastMs > 1_000; tries++) {
      const [here, there] = cleanup.pair();
      there.setBlocking(false);
      const controller = new AbortController();
      const aborted = assertRejects(() => waitFor(here, EVENT_READ, null, { signal: controller.signal }));
      await nextTurns();
      const start = performance.now();
      controller.abort();
      await aborted;
      here.close();
      while (there.tryRecvInto(new Uint8Array(1)) === null) await nextTurns();
      leastMs = Math.min(leastMs, performance.now() - start);
    }
    assertLess(leastMs, 1_000);
    assertEquals(await valueNow(twin), "pending");
    peer.send(bytes("x"));
    assertEquals(await twin, EVENT_READ);
  });
});

describe("waitFor(): the event loop", () => {
  test("waitFor() in a loop does not starve timers", async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    for (const [events, timeout, result] of [[EVENT_WRITE, null, EVENT_WRITE], [EVENT_READ, 0, 0]] as const) {
      let ticks = 0;
      const start = performance.now();
      const interval = setInterval(() => ticks++, 5);
      while (ticks < 5) assertEquals(await waitFor(here, events, timeout), result);
      clearInterval(interval);
      assertLess(performance.now() - start, 30_000);
    }
  });

  test("waitFor() rejects on an abort or a closed descriptor while it lets the event loop run", async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const [other] = cleanup.pair();
    const reason = new Error("enough");
    while (!isTurnOver());
    const controller = new AbortController();
    const aborted = waitFor(here, EVENT_WRITE, null, { signal: controller.signal }).catch((error) => error);
    const closed = waitFor(other, EVENT_WRITE).catch(({ code }) => code);
    controller.abort(reason);
    other.close();
    assertEquals(await Promise.all([aborted, closed]), [reason, "EBADF"]);
  });

  test("waitFor() does not depend on the wall clock or on fake timers", async () => {
    const seen = await printedBy(`
      const { EVENT_READ, EVENT_WRITE, waitFor } = await import(${MOD});
      const { socketpair } = await import(${SOCKET});
      const [here, there] = socketpair();
      const now = performance.now.bind(performance);
      performance.now = () => 0;
      Date.now = () => 0;
      for (const name of ["setTimeout", "setImmediate", "setInterval"]) globalThis[name] = () => 0;
      const start = now();
      const results = [await waitFor(here, EVENT_READ, 0.02)];
      const waitedMs = now() - start;
      for (let count = 0; count < 10_000; count++) await waitFor(here, EVENT_WRITE);
      there.send(new Uint8Array(1));
      results.push(await waitFor(here, EVENT_READ));
      console.log(JSON.stringify({ results, waitedMs }));
      Deno.exit();
    `) as { results: number[]; waitedMs: number };
    assertEquals(seen.results, [0, EVENT_READ]);
    assertGreaterOrEqual(seen.waitedMs, 20);
  });

  test("waitFor() lets a signal listener run, and continues to wait", { needs: [SIGNALS] }, async () => {
    const seen = await printedBy(`
      import { EVENT_READ, waitFor } from ${MOD};
      import { socketpair } from ${SOCKET};
      const [here, there] = socketpair();
      const signals = [];
      Deno.addSignalListener("SIGUSR2", () => {
        signals.push(signals.length);
        if (signals.length === 3) there.send(new Uint8Array(1));
        else setTimeout(() => Deno.kill(Deno.pid, "SIGUSR2"), 2);
      });
      const wait = waitFor(here, EVENT_READ);
      Deno.kill(Deno.pid, "SIGUSR2");
      console.log(JSON.stringify([await wait, signals.length]));
      Deno.exit();
    `);
    assertEquals(seen, [EVENT_READ, 3]);
  });

  test("waitFor() waits in several Workers at once", async () => {
    const seen = await printedBy(`
      import { EVENT_READ, waitFor } from ${MOD};
      import { socketpair } from ${SOCKET};
      const source = \`
        import { EVENT_READ, waitFor } from ${MOD};
        self.onmessage = async ({ data }) => {
          const wait = waitFor(data, EVENT_READ);
          postMessage("waiting");
          postMessage(await wait);
          self.close();
        };
      \`;
      const [here, there] = socketpair();
      const results = await Promise.all([1, 2, 3].map(async () => {
        const [reader, writer] = socketpair();
        const worker = new Worker("data:application/javascript," + encodeURIComponent(source), { type: "module" });
        const messages = [];
        const { promise, resolve } = Promise.withResolvers();
        worker.onmessage = ({ data }) => {
          messages.push(data);
          if (data === "waiting") writer.send(new Uint8Array(1));
          else resolve();
        };
        worker.postMessage(reader.fileno());
        await promise;
        there.send(new Uint8Array(1));
        messages.push(await waitFor(here, EVENT_READ));
        return messages;
      }));
      console.log(JSON.stringify(results));
    `);
    assertEquals(seen, [1, 2, 3].map(() => ["waiting", EVENT_READ, EVENT_READ]));
  });

  test("waitFor() keeps the process alive until it is settled", async () => {
    const seen = await printedBy(`
      import { EVENT_READ, waitFor } from ${MOD};
      import { socketpair } from ${SOCKET};
      const [here] = socketpair();
      const start = performance.now();
      const controller = new AbortController();
      waitFor(here, EVENT_READ, null, { signal: controller.signal }).catch(() => {});
      Deno.unrefTimer(setTimeout(() => controller.abort(), 50));
      globalThis.addEventListener("unload", () => console.log(JSON.stringify(performance.now() - start)));
    `) as number;
    assertGreaterOrEqual(seen, 49);
    assertLess(seen, 30_000);
  });
});

describe("waitFor(): events", () => {
  for (const [title, { make, events }] of Object.entries(STATES)) {
    test(`waitFor() reports the events of ${title}`, { needs: [LINUX] }, async () => {
      using cleanup = new Cleanup();
      const object = make(cleanup);
      const asked = EVENT_PRIORITY | EVENT_READ_CLOSED | EVENT_HANGUP | EVENT_ERROR;
      assertEquals(await waitFor(object, asked, events === 0 ? 0 : SOON), events);
    });
  }

  test(
    "waitFor() for a hang-up waits while data is available, and also reports an error",
    { needs: [LINUX] },
    async () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      there.send(bytes("data"));
      const wait = waitFor(here, EVENT_READ_CLOSED);
      await nextTurns();
      there.close();
      assertEquals(await wait, EVENT_READ_CLOSED | EVENT_HANGUP);
      const [reader, writer] = cleanup.pipe();
      const error = waitFor(writer, EVENT_HANGUP);
      await nextTurns();
      cleanup.close(reader);
      assertEquals(await error, EVENT_ERROR);
    },
  );

  test("waitFor() rejects for a mode", async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    for (const mode of [MODE_ONCE, MODE_EDGE]) {
      await assertRejects(() => waitFor(here, EVENT_READ | mode), Deno.errors.NotSupported, "waitFor()");
    }
  });
});
