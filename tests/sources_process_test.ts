/**
 * `ProcessExit`: children of `Deno.Command`, which Deno reaps itself, and processes that are not children.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { select } from "../ffi/select/mod.ts";
import { OSError, ProcessExit, type ProcessResult } from "../ffi/sources/mod.ts";
import { DefaultSelector, EVENT_READ } from "../mod.ts";
import { LINUX } from "./support/needs.ts";
import { EXIT_INFO, PROCESSES } from "./support/sources.ts";
import { shell, SOON, testNeeding } from "./support/util.ts";

const test = testNeeding(PROCESSES);

/** Starts a child, and opens a ProcessExit for it. */
function started(script: string): { child: Deno.ChildProcess; exit: ProcessExit } {
  const child = shell(script);
  return { child, exit: new ProcessExit(child.pid) };
}

/** Waits for the end of a process in a blocking select(). */
function ended(exit: ProcessExit): ProcessResult | null {
  assertEquals(select([exit], [], [], SOON)[0], [exit]);
  return exit.read();
}

describe("ProcessExit", () => {
  test("read() returns the exit code after a blocking wait, and child.status works afterwards", async () => {
    for (const code of [0, 1, 7, 255]) {
      const { child, exit } = started(`sleep 0.02; exit ${code}`);
      using _ = exit;
      assertEquals(exit.pid, child.pid);
      assertEquals(ended(exit), { code, signal: null });
      assertEquals({ ...await child.status }, { success: code === 0, code, signal: null });
      assertEquals(exit.read(), { code, signal: null }, "the result must not change");
    }
  });

  test("read() returns the same result as child.status for a killed child", async () => {
    for (const signal of ["SIGTERM", "SIGKILL", "SIGABRT", "SIGUSR2", "SIGHUP"] satisfies Deno.Signal[]) {
      const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
      using exit = new ProcessExit(child.pid);
      assertEquals(exit.read(), null);
      child.kill(signal);
      const result = ended(exit);
      const { code, signal: expected } = await child.status;
      assertEquals(result, { code, signal: expected });
      assertEquals(expected, signal);
    }
  });

  test("ProcessExit reports each of 200 children once, and every child.status is correct", async () => {
    const children = Array.from({ length: 200 }, (_, index) => started(`exit ${index}`));
    using selector = new DefaultSelector<number, ProcessExit>();
    for (const [index, { exit }] of children.entries()) selector.register(exit, EVENT_READ, index);
    const codes = new Map<number, number | undefined>();
    for await (const [key] of selector.events({ timeout: 30 })) {
      assert(!codes.has(key.data));
      codes.set(key.data, key.fileobj.read()!.code);
      key.fileobj.close();
      selector.unregister(key.fd);
      if (codes.size === 200) break;
    }
    const statuses = await Promise.all(children.map(({ child }) => child.status));
    assertEquals(statuses.map(({ code }) => code), children.map((_, index) => index));
    const expected = children.map((_, index) => index);
    // Without PIDFD_GET_INFO, the exit code is unknown if Deno has already reaped the child.
    assertEquals(expected.map((index) => codes.get(index) ?? (EXIT_INFO === null ? undefined : index)), expected);
  });

  test("read() returns the result after Deno has reaped the child", { needs: [EXIT_INFO] }, async () => {
    const { child, exit } = started("exit 9");
    using _ = exit;
    await child.status;
    assertEquals(ended(exit), { code: 9, signal: null });
  });

  test("ProcessExit reports the end of a process that is not a child", { needs: [LINUX] }, async () => {
    // The shell starts another process, and prints its ID.
    const parent = new Deno.Command("sh", {
      args: ["-c", "sleep 60 & echo $!; wait $!; exit 3"],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const reader = parent.stdout.getReader();
    const pid = Number(new TextDecoder().decode((await reader.read()).value));
    using exit = new ProcessExit(pid);
    assertEquals(exit.read(), null);
    assertEquals(select([exit], [], [], 0)[0], []);
    Deno.kill(pid, "SIGTERM");
    assertEquals(select([exit], [], [], SOON)[0], [exit]);
    const result = exit.read();
    // The status is unknown if the shell has not reaped the process yet.
    assert(result!.code === 143 ? result!.signal === "SIGTERM" : result!.code === undefined, JSON.stringify(result));
    assertEquals(exit.read(), result);
    await reader.cancel();
    assertEquals((await parent.status).code, 3);
  });

  test("new ProcessExit() throws OSError ESRCH with advice if the process does not exist", async () => {
    const child = shell("exit 0");
    await child.status;
    const error = assertThrows(() => new ProcessExit(child.pid), OSError, "right after spawn()");
    assertEquals(error.code, "ESRCH");
  });

  test("new ProcessExit() rejects an invalid process ID", () => {
    for (const pid of [0, -1, 1.5, NaN, Infinity, 2 ** 31]) assertThrows(() => new ProcessExit(pid), RangeError);
    for (const pid of ["1", null, undefined, 1n, {}]) assertThrows(() => new ProcessExit(pid as number), TypeError);
  });
});
