/**
 * The example `communicate`: the function that it exports, and its main program.
 *
 * @module
 */

import { assert, assertEquals, assertGreaterOrEqual, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { communicate } from "../examples/communicate.ts";
import { lackedBy, PROC } from "./support/needs.ts";
import { describeProgram, EXAMPLES, isThere, run } from "./support/program.ts";
import { bytes, testNeeding, text } from "./support/util.ts";

const testOnUnix = testNeeding(lackedBy({ windows: "a selector cannot wait for pipes" }));
const PYTHON = await isThere("python3", "--version") ? null : "python3 is not installed";

/** Bytes in which every byte differs from its neighbors. */
const LARGE = new Uint8Array(10 << 20).map((_, index) => index * 31 + (index >> 8));

/** Runs a shell script. */
function sh(script: string, options: Parameters<typeof communicate>[2] = {}): ReturnType<typeof communicate> {
  return communicate("sh", ["-c", script], options);
}

/** Returns the value of a promise, and the milliseconds until it was settled. */
async function timed<T>(promise: Promise<T>): Promise<[elapsedMs: number, value: T]> {
  const start = performance.now();
  const value = await promise;
  return [performance.now() - start, value];
}

describeProgram("communicate", () => {
  testOnUnix("communicate() returns the output, the errors and the exit code", async () => {
    const { stdout, stderr, ...rest } = await sh("cat; echo error >&2; exit 3", { input: bytes("input") });
    assertEquals([text(stdout), text(stderr), rest], ["input", "error\n", {
      code: 3,
      signal: null,
      isTimedOut: false,
    }]);
  });

  testOnUnix("communicate() closes the program's input at once if there is no input", async () => {
    for (const options of [{}, { input: new Uint8Array() }, { timeout: 600 }]) {
      const { code, stdout } = await sh("cat; echo end", options);
      assertEquals([code, text(stdout)], [0, "end\n"]);
    }
  });

  testOnUnix("communicate() returns the signal that ended the program", async () => {
    const { code, signal, isTimedOut } = await sh("kill -TERM $$");
    assertEquals([code, signal, isTimedOut], [null, "SIGTERM", false]);
  });

  testOnUnix("communicate() passes 10 MB in both directions", async () => {
    const input = LARGE.slice();
    const { code, stdout, stderr } = await communicate("tee", ["/dev/stderr"], { input });
    assertEquals(code, 0);
    for (const output of [stdout, stderr]) {
      assertEquals(output.length, LARGE.length);
      assert(output.every((byte, index) => byte === LARGE[index]));
    }
    assert(input.every((byte, index) => byte === LARGE[index]), "The input has changed");
  });

  testOnUnix("communicate() reads 10 MB from standard error before any output", async () => {
    const { stdout, stderr } = await sh("head -c 10485760 /dev/zero >&2; cat", { input: LARGE });
    assertEquals([stdout.length, stderr.length], [LARGE.length, 10 << 20]);
  });

  testOnUnix("communicate() succeeds if the program does not read its input", async () => {
    for (const [script, output] of [["echo done", "done\n"], ["head -c 3 | tr a b", "bbb"]]) {
      const { code, stdout } = await sh(script!, { input: new Uint8Array(1 << 20).fill("a".charCodeAt(0)) });
      assertEquals([code, text(stdout)], [0, output]);
    }
  });

  testOnUnix("communicate() passes blocking pipes to the program", { needs: [PYTHON] }, async () => {
    const script = "import os; print([os.get_blocking(fd) for fd in (0, 1, 2)])";
    const { stdout } = await communicate("python3", ["-c", script], { input: LARGE });
    assertEquals(text(stdout), "[True, True, True]\n");
  });

  testOnUnix("communicate() kills the program after the timeout, and returns the output so far", async () => {
    for (const script of ["exec sleep 600", "trap '' TERM; exec sleep 600", "exec 1>&- 2>&-; exec sleep 600"]) {
      const [elapsedMs, outcome] = await timed(sh(`echo so far; ${script}`, { input: LARGE, timeout: 0.2 }));
      assertEquals([text(outcome.stdout), outcome.signal, outcome.isTimedOut], ["so far\n", "SIGKILL", true]);
      assertGreaterOrEqual(elapsedMs, 200);
    }
  });

  testOnUnix("communicate() kills a program that never stops writing", async () => {
    const [elapsedMs, { stdout, signal, isTimedOut }] = await timed(communicate("yes", [], { timeout: 0.05 }));
    assertEquals([signal, isTimedOut, text(stdout.subarray(0, 4))], ["SIGKILL", true, "y\ny\n"]);
    assertGreaterOrEqual(elapsedMs, 50);
  });

  testOnUnix("communicate() does not wait for a grandchild after the timeout", { needs: [PROC] }, async () => {
    for (
      const script of [
        "sleep 600 & echo $!; wait",
        "while :; do echo y >&2; done & echo $!; wait",
        "sleep 600 & echo $!",
      ]
    ) {
      const { stdout, code, signal, isTimedOut } = await sh(script, { timeout: 0.2 });
      Deno.kill(Number(text(stdout)), "SIGKILL"); // throws if the grandchild has ended
      const hasEnded = !script.includes("wait");
      assertEquals([code, signal, isTimedOut], hasEnded ? [0, null, true] : [null, "SIGKILL", true]);
    }
  });

  testOnUnix("communicate() waits for the output of a grandchild before the timeout", async () => {
    const { stdout, code, isTimedOut } = await sh("{ sleep 0.1; echo late; } & echo early", { timeout: 600 });
    assertEquals([text(stdout), code, isTimedOut], ["early\nlate\n", 0, false]);
  });

  testOnUnix("communicate() runs several programs at once", async () => {
    const outcomes = await Promise.all(Array.from({ length: 20 }, (_, index) => {
      return sh("cat", { input: LARGE.subarray(0, 100_000 + index) });
    }));
    assertEquals(outcomes.map(({ stdout }) => stdout.length), outcomes.map((_, index) => 100_000 + index));
  });

  testOnUnix("communicate() throws if the program does not exist", async () => {
    const error = await assertRejects(() => communicate("/no/such/program", [], { input: LARGE, timeout: 600 }), Error);
    assertEquals((error as Error & { code: string }).code, "ENOENT");
  });

  testOnUnix("communicate prints the results of both uses", async () => {
    const flags = ["--allow-ffi", "--allow-run", "--allow-env"];
    const outcome = await run(Deno.execPath(), "run", "--no-prompt", ...flags, join(EXAMPLES, "communicate.ts"));
    const out = 'sort printed "apple\\npear\\n"\nsleep was ended by SIGKILL; it printed "started\\n"\n';
    assertEquals(outcome, { code: 0, out, error: "" });
  });
});
