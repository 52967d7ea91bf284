/**
 * `Signals` in separate programs, to which the tests can send signals.
 *
 * @module
 */

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { Signals } from "../ffi/sources/mod.ts";
import { CTRL_C, lackedBy, PROC, SIGNALS } from "./support/needs.ts";
import { Program } from "./support/program.ts";
import { testOfWorkers } from "./support/sources.ts";
import { isWindows, LIBC, moduleOf, SOON, test } from "./support/util.ts";

const HEADER = `
  import { DefaultSelector, EVENT_READ } from ${JSON.stringify(import.meta.resolve("../mod.ts"))};
  import { select } from ${JSON.stringify(import.meta.resolve("../ffi/select/mod.ts"))};
  import { Signals } from ${JSON.stringify(import.meta.resolve("../ffi/sources/mod.ts"))};
`;

/** Starts a program, by default with only `--allow-ffi`. */
function program(source: string, permission = "--allow-ffi"): Program {
  const args = ["run", "--quiet", "--no-prompt", "--no-config", "--no-lock", permission];
  return new Program(Deno.execPath(), [...args, moduleOf(HEADER + source)], { env: { NO_COLOR: "1" } });
}

/** Programs that print each signal, by how they wait. */
const LOOPS = {
  "select()": `
    using signals = new Signals(["SIGINT", "SIGTERM", "SIGCHLD", "SIGWINCH"]);
    console.log("ready");
    for (;;) if (select([signals], [], [])[0].length > 0) for (const name of signals.read()) console.log(name);
  `,
  "DefaultSelector.select()": `
    using signals = new Signals(["SIGINT", "SIGTERM", "SIGCHLD", "SIGWINCH"]);
    using selector = new DefaultSelector();
    selector.register(signals, EVENT_READ);
    console.log("ready");
    for (;;) for (const [key] of selector.select()) for (const name of key.fileobj.read()) console.log(name);
  `,
  "for await": `
    using signals = new Signals(["SIGINT", "SIGTERM", "SIGCHLD", "SIGWINCH"]);
    using selector = new DefaultSelector();
    selector.register(signals, EVENT_READ);
    console.log("ready");
    for await (const [key] of selector) for (const name of key.fileobj.read()) console.log(name);
  `,
};

const QUICK = lackedBy({ emulated: "the emulator takes ten seconds to start a program or a Worker" });

describe("Signals", () => {
  for (const [way, source] of Object.entries(LOOPS)) {
    test(`Signals loses no signal at random times in ${way}`, { needs: [SIGNALS] }, async () => {
      await using running = program(source);
      await running.line(/^ready$/);
      for (let round = 0; round < 100; round++) {
        for (const signal of ["SIGINT", "SIGTERM", "SIGCHLD", "SIGWINCH"] satisfies Deno.Signal[]) {
          if (Math.random() < 0.2) await new Promise((resolve) => setTimeout(resolve, 3 * Math.random()));
          running.kill(signal);
          await running.line(new RegExp(`^${signal}$`)); // fails after 30 seconds
        }
      }
    });
  }

  test(
    "read() returns several signals in the order of the constructor's argument",
    { needs: [CTRL_C] },
    async () => {
      await using running = program(`
      using signals = new Signals(["SIGUSR2", "SIGTERM", "SIGINT"]);
      console.log("ready");
      const cell = new Int32Array(new SharedArrayBuffer(4));
      const found = new Set();
      while (found.size < 3) {
        select([signals], [], []);
        Atomics.wait(cell, 0, 0, 5);
        const names = signals.read();
        if (names.join() !== ["SIGUSR2", "SIGTERM", "SIGINT"].filter((name) => names.includes(name)).join()) throw names;
        for (const name of names) found.add(name);
      }
      console.log("all");
    `);
      await running.line(/^ready$/);
      for (const signal of ["SIGINT", "SIGUSR2", "SIGTERM"] satisfies Deno.Signal[]) running.kill(signal);
      await running.line(/^all$/);
      assertEquals(await running.ended(), { code: 0, signal: null });
    },
  );

  test("Signals lets Ctrl-C end a select() without a timeout", { needs: [CTRL_C] }, async () => {
    await using running = program(`
      using signals = new Signals(["SIGINT"]);
      console.log("ready");
      select([signals], [], []);
      console.log("end", ...signals.read());
    `);
    await running.line(/^ready$/);
    running.kill("SIGINT");
    await running.line(/^end SIGINT$/);
    assertEquals(await running.ended(), { code: 0, signal: null });
  });

  test(
    "new Signals() listens as soon as it returns",
    { needs: [CTRL_C, QUICK] },
    async () => {
      // The program signals itself immediately after the constructor.
      await using running = program(`
      const { kill } = Deno.dlopen(${JSON.stringify(LIBC)}, {
        kill: { parameters: ["i32", "i32"], result: "i32" },
      }).symbols;
      for (let round = 0; round < 10; round++) {
        using signals = new Signals(["SIGTERM"]);
        kill(Deno.pid, 15);
        if (select([signals], [], [], ${SOON})[0].length === 0) throw new Error("lost");
        if (signals.read().join() !== "SIGTERM") throw new Error("wrong");
      }
      console.log("all");
    `);
      await running.line(/^all$/);
      assertEquals(await running.ended(), { code: 0, signal: null });
    },
  );

  test("close() restores the default action of each signal", { needs: [CTRL_C, QUICK] }, async () => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGUSR2"] satisfies Deno.Signal[]) {
      await using running = program(`
        new Signals([${JSON.stringify(signal)}]).close();
        console.log("ready");
        select([], [], [], 60);
      `);
      await running.line(/^ready$/);
      running.kill(signal);
      assertEquals((await running.ended()).signal, signal);
    }
  });

  test("close() does not affect other Signals objects", { needs: [CTRL_C] }, async () => {
    await using running = program(`
      using one = new Signals(["SIGINT", "SIGTERM"]);
      new Signals(["SIGINT"]).close();
      console.log("ready");
      select([one], [], []);
      console.log("end", ...one.read());
    `);
    await running.line(/^ready$/);
    running.kill("SIGINT");
    await running.line(/^end SIGINT$/);
  });

  test("Signals lets a program exit by Deno.exit(), an error, and close()", { needs: [QUICK] }, async () => {
    const endings: [source: string, code: number][] = [
      ["new Signals(['SIGINT']); Deno.exit(5);", 5],
      ["using signals = new Signals(['SIGINT']); setTimeout(() => Deno.exit(6), 20);", 6],
      ["new Signals(['SIGINT']).close();", 0],
      ["{ using signals = new Signals(['SIGINT']); }", 0],
    ];
    for (const [source, code] of endings) {
      await using running = program(source);
      assertEquals(await running.ended(), { code, signal: null }, source);
    }
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-q",
        "--no-config",
        "--no-lock",
        "-A",
        moduleOf(`${HEADER} new Signals(["SIGINT"]); throw new Error("mine");`),
      ],
      env: { NO_COLOR: "1" },
    }).output();
    assertEquals(code, 1);
    assertMatch(new TextDecoder().decode(stderr), /^error: Uncaught .*Error: mine/);
  });

  test("Signals stops listening when its Worker is terminated", { needs: [CTRL_C, QUICK] }, async () => {
    const worker = `${HEADER} self.signals = new Signals(["SIGUSR2"]); postMessage("up"); setInterval(() => {}, 1000);`;
    await using running = program(
      `
      for (let round = 0; round < 3; round++) {
        const worker = new Worker(${JSON.stringify(moduleOf(worker))}, { type: "module" });
        await new Promise((resolve) => worker.onmessage = resolve);
        worker.terminate();
      }
      console.log("ready");
      select([], [], [], 60);
    `,
      "--allow-all",
    );
    await running.line(/^ready$/);
    // A terminated Worker keeps listening briefly.
    const repeated = setInterval(() => {
      try {
        running.kill("SIGUSR2");
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // the program has already exited
      }
    }, 20);
    const { signal } = await running.ended().finally(() => clearInterval(repeated));
    assertEquals(signal, "SIGUSR2");
  });

  test("close() ends the thread of the Signals object", { needs: [PROC] }, async () => {
    await using running = program(
      `
      new Signals(["SIGINT"]).close(); // starts Deno's own signal thread, which stays
      const cell = new Int32Array(new SharedArrayBuffer(4));
      const threads = () => {
        let least = Infinity;
        for (let tries = 0; tries < 50; tries++) {
          Atomics.wait(cell, 0, 0, 10);
          least = Math.min(least, [...Deno.readDirSync("/proc/self/task")].length);
        }
        return least;
      };
      const before = threads();
      const signals = new Signals(["SIGINT"]);
      const open = threads();
      signals.close();
      console.log(open > before, threads() <= before);
    `,
      "--allow-all",
    );
    await running.line(/^true true$/);
  });

  test("new Signals() rejects invalid signals before a Worker starts", () => {
    const { Worker } = globalThis;
    globalThis.Worker = class {
      constructor() {
        throw new Error("A Worker was started");
      }
    } as never;
    try {
      for (const signal of ["SIGKILL", "SIGSTOP", "SIGSEGV"]) {
        assertThrows(() => new Signals([signal as Deno.Signal]), RangeError, signal);
        assertThrows(() => new Signals(["SIGINT", signal as Deno.Signal]), RangeError, signal);
      }
      if (!isWindows) assertThrows(() => new Signals(["SIGBREAK"]), TypeError, "does not have");
      for (const signal of ["SIGNONE", "INT", "", 2, null, undefined]) {
        assertThrows(() => new Signals([signal as Deno.Signal]), TypeError);
      }
      for (const signals of ["SIGINT", 2, null, undefined, {}]) {
        assertThrows(() => new Signals(signals as never), TypeError, "array of names");
      }
      assertThrows(() => new Signals([]), RangeError);
      assertThrows(() => new Signals(["SIGINT"]), Error, "A Worker was started");
    } finally {
      globalThis.Worker = Worker;
    }
  });

  testOfWorkers("Signals leaks no descriptor in fifty objects, one after another", { needs: [SIGNALS, QUICK] }, () => {
    for (let round = 0; round < 50; round++) {
      using signals = new Signals(["SIGWINCH"]);
      assertEquals(signals.read(), []);
    }
  });
});
