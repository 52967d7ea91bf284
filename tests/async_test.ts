/**
 * Asynchronous waits within a process: the event loop during waits, resources, and cleanup.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual, assertLess, assertStrictEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import {
  type BaseSelector,
  DefaultSelector,
  EpollSelector,
  EVENT_READ,
  EVENT_WRITE,
  PollSelector,
  SelectSelector,
  wake,
} from "../mod.ts";
import { os } from "../ffi/os/systems.ts";
import type { Socket } from "../ffi/socket/mod.ts";
import { lackedBy } from "./support/needs.ts";
import { Cleanup, isEmulated, isWindows, leavingDescriptors, moduleOf, printedBy, test, text } from "./support/util.ts";

/** A limit on the number of descriptors. */
const DESCRIPTOR_LIMIT = lackedBy({ windows: "Windows has no limit on descriptors" });

const MOD = import.meta.resolve("../mod.ts");
const SOCKET = import.meta.resolve("../ffi/socket/mod.ts");

const unixSelectors = os === "linux" ? { EpollSelector, PollSelector, SelectSelector } : { SelectSelector };

describe("asynchronous waits", () => {
  for (const count of [1, 200]) {
    test(`selectAsync() of ${count} selectors does not delay timers, fetch(), signals and file reads`, async () => {
      const seen = await printedBy(`
        import { DefaultSelector, EVENT_READ } from ${JSON.stringify(MOD)};
        import { socketpair } from ${JSON.stringify(SOCKET)};
        const [here, there] = socketpair();
        const selectors = Array.from({ length: ${count} }, () => new DefaultSelector());
        for (const selector of selectors) selector.register(here, EVENT_READ);
        const waits = selectors.map((selector) => selector.selectAsync());

        // Each blocked millisecond of the event loop delays a tick.
        let ticks = 0;
        const start = performance.now();
        const interval = setInterval(() => ticks++, 10);
        await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, () => new Response("hello"));
        const answer = await (await fetch(\`http://127.0.0.1:\${server.addr.port}\`)).text();
        const file = (await Deno.readTextFile(${JSON.stringify(import.meta.filename!)})).length > 0;
        let signalMs = 0;
        if (Deno.build.os !== "windows") {
          const came = Promise.withResolvers();
          const listener = () => came.resolve();
          Deno.addSignalListener("SIGUSR2", listener);
          const sent = performance.now();
          Deno.kill(Deno.pid, "SIGUSR2");
          await came.promise;
          signalMs = performance.now() - sent;
          Deno.removeSignalListener("SIGUSR2", listener);
        }
        while (ticks < 15) await new Promise((resolve) => setTimeout(resolve, 10));
        const ticksMs = performance.now() - start;
        clearInterval(interval);

        // Threads that wait in poll() or ppoll(), by their system call numbers.
        let blocked = 0;
        if (${os === "linux" && !isEmulated}) {
          for (const { name } of Deno.readDirSync("/proc/self/task")) {
            const call = Deno.readTextFileSync(\`/proc/self/task/\${name}/syscall\`).split(" ")[0];
            if (Deno.build.arch === "x86_64" ? ["7", "271"].includes(call) : call === "73") blocked++;
          }
        }
        there.send(new Uint8Array(1));
        const ready = (await Promise.all(waits)).filter((ready) => ready.length === 1).length;
        for (const selector of selectors) selector.close();
        console.log(JSON.stringify({ ticksMs, answer, file, signalMs, blocked, ready }));
      `) as { ticksMs: number; answer: string; file: boolean; signalMs: number; blocked: number; ready: number };
      assertEquals([seen.answer, seen.file, seen.ready], ["hello", true, count]);
      // On an idle machine, 150 ms for the ticks and less than 50 ms for the signal.
      assertGreaterOrEqual(seen.ticksMs, 150);
      assertLess(seen.ticksMs, 30_000);
      assertLess(seen.signalMs, 30_000);
      if (os === "linux" && !isEmulated) assertEquals(seen.blocked, 1);
    });
  }

  test("wake() in a Worker ends a synchronous and an asynchronous wait", async () => {
    const seen = await printedBy(`
      import { DefaultSelector } from ${JSON.stringify(MOD)};
      const worker = new Worker("data:application/javascript," + encodeURIComponent(\`
        import { wake } from ${JSON.stringify(MOD)};
        self.onmessage = ({ data }) => setTimeout(() => wake(data), 20);
        postMessage("ready");
      \`), { type: "module" });
      await new Promise((resolve) => worker.onmessage = resolve);
      const selector = new DefaultSelector();
      worker.postMessage(selector.wakeHandle);
      const one = await selector.selectAsync();
      worker.postMessage(selector.wakeHandle);
      await new Promise((resolve) => setTimeout(resolve)); // until the message is sent
      const other = selector.select();
      selector.close();
      worker.terminate();
      console.log(JSON.stringify([one, other]));
    `);
    assertEquals(seen, [[], []]);
  });

  test("selectAsync() keeps the process alive during a wait, and not otherwise", async () => {
    const seen = await printedBy(`
      import { DefaultSelector } from ${JSON.stringify(MOD)};
      const idle = new DefaultSelector();
      await idle.selectAsync(0.001);
      idle.wakeHandle;
      const controller = new AbortController();
      const aborted = new DefaultSelector();
      aborted.selectAsync(null, { signal: controller.signal }).catch(() => {});
      Deno.unrefTimer(setTimeout(() => controller.abort(), 50));
      const start = performance.now();
      globalThis.addEventListener("unload", () => console.log(JSON.stringify(performance.now() - start)));
    `) as number;
    assertGreaterOrEqual(seen, 49);
    assertLess(seen, 30_000);
  });

  test(
    "selectAsync() continues without a free descriptor after a first wait",
    { needs: [DESCRIPTOR_LIMIT] },
    async () => {
      const script = moduleOf(`
        import { DefaultSelector } from ${JSON.stringify(MOD)};
        import { close, pipe } from ${JSON.stringify(SOCKET)};
        async function codeOf(wait) {
          return await wait.then((ready) => ready.length, ({ code }) => code);
        }
        function exhaust() {
          const fds = [];
          try {
            for (;;) fds.push(...pipe());
          } catch {
            return fds;
          }
        }
        const one = new DefaultSelector();
        const other = new DefaultSelector();
        const crowd = exhaust();
        const codes = [await codeOf(one.selectAsync(0.001))];
        for (const fd of crowd) close(fd);
        codes.push(await codeOf(one.selectAsync(0)));
        exhaust();
        for (const selector of [one, other]) codes.push(await codeOf(selector.selectAsync(0.001)));
        console.log(codes.join());
        Deno.exit();
      `);
      const { stdout, stderr } = await new Deno.Command("sh", {
        args: ["-c", `ulimit -n 64; exec "$0" run --quiet --allow-all --no-lock "$1"`, Deno.execPath(), script],
        stdin: "null",
      }).output();
      assertEquals([text(stdout), text(stderr)], ["EMFILE,0,0,0\n", ""]);
    },
  );

  test("selectAsync() of other selectors is unaffected by a closed descriptor in one", async () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [closed] = cleanup.pair();
    const selectors = Object.values(unixSelectors).map((Selector) => cleanup.add(new Selector()));
    for (const selector of selectors) {
      selector.register(closed, EVENT_READ);
      selector.register(here, EVENT_READ);
    }
    const waits = selectors.map((selector) => selector.selectAsync());
    await new Promise((resolve) => setTimeout(resolve, 5));
    closed.close();
    for (const selector of selectors) selector.wakeup();
    assertEquals(await Promise.all(waits), selectors.map(() => []));
    there.send(new Uint8Array(1));
    for (const selector of selectors) assertEquals((await selector.selectAsync()).length, 1);
  });
});

/** Number of cycles in each test; an emulator is too slow for as many. */
const CYCLES = isEmulated ? 200 : isWindows ? 1_000 : 10_000;
/** Maximum number of threads in Deno's pool for blocking calls, which starts and ends threads on demand. */
const POOL = 32;
const HEAP_GROWTH = (CYCLES === 10_000 ? 2 : 16) * 1024 ** 2;

/** Waits a few microtasks, until parked calls block. */
async function blocked(): Promise<void> {
  for (let ticks = 0; ticks < 8; ticks++) await null;
}

/** Starts a wait and ends it. `pause` may return before or after the system call has blocked. */
type Cycle = (selector: BaseSelector, pause: () => Promise<void>, socket: Socket) => Promise<unknown>;

const cycles: Record<string, (Selector: new () => BaseSelector) => Cycle> = {
  "park and abort": () => async (selector, pause) => {
    const controller = new AbortController();
    const wait = selector.selectAsync(null, { signal: controller.signal }).catch((error) => error);
    await pause();
    controller.abort();
    assertStrictEquals(await wait, controller.signal.reason);
  },
  "park and wakeup()": () => async (selector, pause) => {
    const wait = selector.selectAsync();
    await pause();
    selector.wakeup();
    assertEquals(await wait, []);
  },
  "park and wake()": () => async (selector, pause) => {
    const wait = selector.selectAsync();
    await pause();
    wake(selector.wakeHandle);
    assertEquals(await wait, []);
  },
  "park and close": (Selector) => async (_, pause) => {
    const selector = new Selector();
    const wait = selector.selectAsync();
    await pause();
    selector.close();
    assertEquals(await wait, []);
  },
  "register during a wait": () => async (selector, pause, socket) => {
    const wait = selector.selectAsync();
    await pause();
    selector.register(socket, EVENT_WRITE);
    assertEquals((await wait).length, 1);
    selector.unregister(socket);
  },
};

for (const [name, Selector] of Object.entries({ DefaultSelector, ...unixSelectors })) {
  // Opens the libraries before the tests, because the sanitizers would report them as leaks.
  using first = new Selector();
  wake(first.wakeHandle);
  await first.selectAsync();
  await first.selectAsync(0.001);

  for (const [what, cycleOf] of Object.entries(cycles)) {
    const cycle: Cycle = cycleOf(Selector);
    // Uses Deno.test(), because its sanitizers detect pending operations.
    Deno.test({
      name: `${name} leaks nothing: ${CYCLES} times ${what}`,
      sanitizeOps: true,
      sanitizeResources: true,
      fn: () =>
        leavingDescriptors(async () => {
          using cleanup = new Cleanup();
          const selector = cleanup.add(new Selector());
          const [socket] = cleanup.pair();
          const repeat = async (times: number): Promise<number> => {
            let leastHeap = Infinity;
            for (let count = 0; count < times; count++) {
              await cycle(selector, count % 2 === 0 ? blocked : () => Promise.resolve(), socket);
              if (count % 10 === 0) leastHeap = Math.min(leastHeap, Deno.memoryUsage().heapUsed);
            }
            return leastHeap;
          };
          await repeat(CYCLES / 10);
          const threads = threadCount();
          // The minimum excludes garbage, whose amount varies.
          const heap = await repeat(CYCLES / 2);
          assertLess(await repeat(CYCLES / 2) - heap, HEAP_GROWTH);
          assertLess(threadCount() - threads, POOL + 8);
        }),
    });
  }
}

function threadCount(): number {
  return os === "linux" ? [...Deno.readDirSync("/proc/self/task")].length : 0;
}
