/**
 * Waits under unusual conditions: stepping clocks, fake timers, calls that return early, and descriptors that could
 * make a wait spin.
 *
 * CPU time counts for a whole process, so these tests measure it in a separate program.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual, assertLess, assertLessOrEqual, assertRejects } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { BaseSelector, DefaultSelector, EpollSelector, EVENT_READ, EVENT_WRITE, waitFor } from "../mod.ts";
import { EPOLL_CTL_ADD, EPOLLIN, EpollPoller } from "../ffi/os/epoll.ts";
import { os } from "../ffi/os/systems.ts";
import { PollPoller } from "../ffi/os/poll.ts";
import { SelectPoller } from "../ffi/os/select.ts";
import { SelectorCore } from "../selectors/core.ts";
import { EPOLLEXCLUSIVE } from "../ffi/select/mod.ts";
import { retryUntil } from "../ffi/os/timeout.ts";
import { EPOLL, lackedBy } from "./support/needs.ts";
import {
  bytes,
  Cleanup,
  duplicate,
  freeNumber,
  moduleOf,
  type Need,
  printedBy,
  SOON,
  test,
  text,
} from "./support/util.ts";

/** `poll()`. */
const POLL = lackedBy({ windows: "Windows has no PollSelector" });
/** Pipes. */
const PIPES = lackedBy({ windows: "Windows cannot wait for pipes" });
/** The CPU time of the program alone. */
const CPU_TIME = lackedBy({ emulated: "the emulator uses CPU time itself" });
/** A list of a process's threads. */
const THREADS = os === "linux" ? null : "this system does not list threads";

const MOD = JSON.stringify(import.meta.resolve("../mod.ts"));
const SOCKET = JSON.stringify(import.meta.resolve("../ffi/socket/mod.ts"));

/** Maximum CPU time in milliseconds of a one-second wait; a wait that spins takes 900. */
const CPU_MS = 250;

describe("the clock of a wait", () => {
  test("retryUntil() repeats a call that returns early, and makes only one call otherwise", () => {
    const asked: number[] = [];
    const outcome = retryUntil(Infinity, (ms) => (asked.push(ms), asked.length < 3 ? 0 : 1));
    assertEquals([outcome, asked], [1, [Infinity, Infinity, Infinity]]);
    assertEquals(retryUntil(0, (ms) => (asked.push(ms), 0)), 0);
    assertEquals(asked.length, 4);
    const start = performance.now();
    let calls = 0;
    assertEquals(retryUntil(20, () => (calls++, 0)), 0);
    assertGreaterOrEqual(performance.now() - start, 20);
    assertGreaterOrEqual(calls, 2);
  });

  test(
    "select() continues if its system call returns early, as poll(2) does after 24.8 days",
    { needs: [POLL] },
    () => {
      const asked: number[] = [];
      const poller = new PollPoller();
      const wait = poller.wait.bind(poller);
      poller.wait = (timeoutMs) => (asked.push(timeoutMs), asked.length < 3 ? 0 : wait(0));
      class EarlySelector extends BaseSelector {
        constructor() {
          super(poller);
        }
      }
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      const selector = cleanup.add(new EarlySelector());
      const key = selector.register(here, EVENT_READ);
      there.send(bytes("x"));
      assertEquals(selector.select({ days: 30 }), [[key, EVENT_READ]]);
      assertEquals(asked[0], 30 * 24 * 3600 * 1000);
      assertEquals(asked.length, 3);
      assertLessOrEqual(asked[2]!, asked[1]!);
    },
  );

  test("selectAsync(), select() and for await are not affected by fake timers and a wall clock that steps back", async () => {
    const seen = await printedBy(`
      const RealDate = Date;
      let stepMs = 0;
      const realNow = Date.now;
      Date.now = () => realNow() + stepMs;
      const { DefaultSelector, EVENT_WRITE } = await import(${MOD});
      const { socketpair } = await import(${SOCKET});
      const [here] = socketpair();
      const selector = new DefaultSelector();
      selector.register(here, EVENT_WRITE);
      let ticks = 0;
      setInterval(() => ticks++, 5);
      stepMs = -10_000;
      const start = performance.now();
      for await (const _ of selector) if (ticks >= 20 || performance.now() - start > 5_000) break;
      selector.unregister(here);

      // Libraries for fake timers do this; no timer runs from here on.
      const now = performance.now.bind(performance);
      performance.now = () => 0;
      for (const name of ["setTimeout", "setImmediate", "setInterval"]) globalThis[name] = () => 0;
      const before = now();
      const lengths = [(await selector.selectAsync(0.02)).length, selector.select(0.02).length];
      const waitedMs = now() - before;
      selector.register(here, EVENT_WRITE);
      let count = 0;
      for await (const _ of selector) if (++count === 10_000) break;
      console.log(JSON.stringify({ ticks, lengths, waitedMs }));
      Deno.exit();
    `) as { ticks: number; lengths: number[]; waitedMs: number };
    assertGreaterOrEqual(seen.ticks, 20);
    assertEquals(seen.lengths, [0, 0]);
    assertGreaterOrEqual(seen.waitedMs, 40);
  });
});

describe("waits that block", () => {
  const scenarios: Record<string, { setUp: string; needs: Need[] }> = {
    "selectAsync() with a stale epoll registration and no free descriptor": {
      needs: [EPOLL],
      setUp: `
        const selector = new EpollSelector();
        const [reader, writer] = pipe();
        const description = pipe()[0];
        selector.register(reader, EVENT_READ);
        dup2(reader, description);
        close(reader);
        selector.unregister(reader);
        await selector.selectAsync(0); // opens the descriptors that waits need
        write(writer, new Uint8Array(1));
        exhaust();`,
    },
    "selectAsync() after the program has closed the selector's internal descriptors": {
      needs: [],
      setUp: `
        const selector = new DefaultSelector();
        const keep = pipe()[0];
        await selector.selectAsync(0);
        for (let fd = keep + 1; fd < keep + 8; fd++) if (fd !== selector.fileno()) try { close(fd); } catch {}`,
    },
    "selectAsync() of a SelectSelector for EVENT_WRITE on the read end of a pipe without a writer": {
      needs: [],
      setUp: `
        const selector = new SelectSelector();
        const [reader, writer] = pipe();
        close(writer);
        selector.register(reader, EVENT_WRITE);`,
    },
  };
  for (const [title, { setUp, needs }] of Object.entries(scenarios)) {
    const name = `${title} does not spin`;
    test(name, { needs: [...needs, PIPES, CPU_TIME] }, async () => {
      const script = moduleOf(`
          import { DefaultSelector, EpollSelector, EVENT_READ, EVENT_WRITE, SelectSelector } from ${MOD};
          import { close, pipe, write } from ${SOCKET};
          const { dup, dup2 } = Deno.dlopen(${JSON.stringify(os === "darwin" ? "libSystem.B.dylib" : "libc.so.6")},
            {
              dup: { parameters: ["i32"], result: "i32" },
              dup2: { parameters: ["i32", "i32"], result: "i32" },
            }).symbols;
          const exhaust = () => { while (dup(0) >= 0); };
          const cpuMs = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };
          Deno.addSignalListener("SIGUSR2", () => {}); // opens descriptors of Deno's own, which it needs to exit
          ${setUp}
          const [startMs, startCpuMs] = [performance.now(), cpuMs()];
          const ready = await selector.selectAsync(1);
          console.log(JSON.stringify({ ready: ready.length, ms: performance.now() - startMs, cpu: cpuMs() - startCpuMs }));
          Deno.exit();
        `);
      const { stdout, stderr } = await new Deno.Command("sh", {
        args: ["-c", `ulimit -n 64; exec "$0" run --quiet --allow-all --no-lock "$1"`, Deno.execPath(), script],
        stdin: "null",
      }).output();
      assertEquals(text(stderr), "");
      const seen = JSON.parse(text(stdout)) as { ready: number; ms: number; cpu: number };
      assertEquals(seen.ready, 0);
      assertGreaterOrEqual(seen.ms, 1000);
      assertLess(seen.cpu, CPU_MS);
    });
  }

  test("selectAsync() leaves no thread after its Worker is terminated", { needs: [THREADS] }, async () => {
    const seen = await printedBy(`
        const threads = () => [...Deno.readDirSync("/proc/self/task")].filter(({ name }) => {
          try {
            return /^(7|271|73) /.test(Deno.readTextFileSync("/proc/self/task/" + name + "/syscall"));
          } catch { return false; }
        }).length;
        const workers = Array.from({ length: 4 }, () => new Worker("data:application/javascript," + encodeURIComponent(\`
          import { DefaultSelector } from ${MOD};
          new DefaultSelector().selectAsync();
          setTimeout(() => postMessage("parked"), 50);
        \`), { type: "module" }));
        await Promise.all(workers.map((worker) => new Promise((resolve) => worker.onmessage = resolve)));
        const parked = threads();
        for (const worker of workers) worker.terminate();
        let left = parked;
        for (let tries = 0; tries < 300 && left > 0; tries++) {
          await new Promise((resolve) => setTimeout(resolve, 100));
          left = threads();
        }
        console.log(JSON.stringify([parked, left]));
        Deno.exit();
      `);
    assertEquals(seen, [4, 0]);
  });
});

describe("a signal that is not a proper AbortSignal", () => {
  test("selectAsync() and waitFor() reject it, and leave other waits alone", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const selector = cleanup.add(new DefaultSelector());
    selector.register(here, EVENT_READ);
    const signal = { throwIfAborted() {} } as unknown as AbortSignal;
    const innocent = waitFor(here, EVENT_READ, SOON);
    await assertRejects(() => selector.selectAsync(5, { signal }), TypeError, "use an AbortSignal");
    await assertRejects(() => waitFor(here, EVENT_READ, 5, { signal }), TypeError, "use an AbortSignal");
    there.send(bytes("x"));
    assertEquals(await innocent, EVENT_READ);
  });

  test("a signal whose methods throw aborts its wait, and leaves other waits alone", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const controller = new AbortController();
    const { signal } = controller;
    for (const name of ["addEventListener", "removeEventListener"] as const) {
      signal[name] = () => {
        throw new Error("a lie");
      };
    }
    const innocent = waitFor(here, EVENT_READ, SOON);
    const aborted = waitFor(here, EVENT_READ, SOON, { signal });
    controller.abort(new Error("the reason"));
    await assertRejects(() => aborted, Error, "the reason");
    there.send(bytes("x"));
    assertEquals(await innocent, EVENT_READ);
  });
});

describe("descriptor and serial numbers", () => {
  test("select() reports registrations whose serial numbers exceed 32 bits", () => {
    using cleanup = new Cleanup();
    const core = new SelectorCore<undefined, number>(new SelectPoller());
    cleanup.defer(() => core.close());
    let serial = 2 ** 31 - 2;
    core.keys.nextSerial = () => serial++;
    const fds = Array.from({ length: 4 }, () => cleanup.pair()[0].fileno());
    for (const fd of fds) core.add(fd, fd, EVENT_WRITE, undefined);
    assertEquals(core.select(0).map(([{ fd }]) => fd).sort((a, b) => a - b), fds);
  });

  test("wakeHandle does not reuse the number of a registered descriptor that was closed", async () => {
    const seen = await printedBy(`
      import { DefaultSelector, EVENT_READ, wake } from ${MOD};
      import { socketpair } from ${SOCKET};
      const [here, there] = socketpair();
      const fd = here.fileno();
      const selector = new DefaultSelector();
      const key = selector.register(here, EVENT_READ);
      here.close(); // the system assigns the lowest free number first
      there.close();
      wake(selector.wakeHandle);
      const kept = selector.getMap().get(fd) === key;
      const woken = selector.select().length;
      console.log(JSON.stringify([kept, woken, selector.unregister(fd) === key]));
    `);
    assertEquals(seen, [true, 0, true]);
  });
});

describe("epoll", () => {
  test("EpollSelector reports a closed socket while a duplicate is open", { needs: [EPOLL] }, async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const selector = cleanup.add(new EpollSelector());
    const key = selector.register(here, EVENT_READ);
    duplicate(cleanup, here.fileno(), freeNumber(1_000));
    here.close();
    there.send(bytes("x"));
    assertEquals(selector.select(), [[key, EVENT_READ]]);
    assertEquals(await selector.selectAsync(), [[key, EVENT_READ]]);
    const seen = [];
    for await (const [key] of selector.events({ timeout: 5 })) if (seen.push(key) === 2) break;
    assertEquals(seen, [key, key]);
  });

  test("purge() keeps every registration if one cannot be checked", { needs: [EPOLL] }, () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const instance = new EpollPoller();
    cleanup.defer(() => instance.close());
    // EPOLL_CTL_MOD fails with EINVAL for an EPOLLEXCLUSIVE registration.
    assertEquals(instance.ctl(EPOLL_CTL_ADD, here.fileno(), EPOLLIN | EPOLLEXCLUSIVE, 7), 0);
    assertEquals(instance.purge([[here.fileno(), EVENT_READ, 7]], 1), false);
    there.send(bytes("x"));
    assertEquals(instance.wait(0), 1);
    assertEquals([instance.fdAt(0), instance.serialAt(0)], [here.fileno(), 7]);
  });
});
