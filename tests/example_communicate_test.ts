/**
 * The example `communicate`: the function that it exports, and its own program.
 *
 * @module
 */

import { assert, assertEquals, assertGreaterOrEqual, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { communicate } from "../examples/communicate.ts";
import { lackedBy, PROC } from "./support/needs.ts";
import { describeProgram, EXAMPLES, isThere, run } from "./support/program.ts";
import { bytes, testNeeding, text } from "./support/util.ts";

const testOnUnix = testNeeding(lackedBy({ windows: "there are no pipes that a selector could wait for" }));
const PYTHON = await isThere("python3", "--version") ? null : "there is no python3";

/** Bytes that are all different from their neighbors. */
const LARGE = new Uint8Array(10 << 20).map((_, index) => index * 31 + (index >> 8));

/** Runs a shell script. */
function sh(script: string, options: Parameters<typeof communicate>[2] = {}): ReturnType<typeof communicate> {
  return communicate("sh", ["-c", script], options);
}

/** Returns the milliseconds that a promise takes, and its value. */
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

  testOnUnix("communicate() ends the input at once if there is none", async () => {
    for (const options of [{}, { input: new Uint8Array() }, { timeout: 600 }]) {
      const { code, stdout } = await sh("cat; echo end", options);
      assertEquals([code, text(stdout)], [0, "end\n"]);
    }
  });

  testOnUnix("communicate() returns the signal that has ended the program", async () => {
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

  testOnUnix("communicate() collects 10 MB of errors before any output", async () => {
    const { stdout, stderr } = await sh("head -c 10485760 /dev/zero >&2; cat", { input: LARGE });
    assertEquals([stdout.length, stderr.length], [LARGE.length, 10 << 20]);
  });

  testOnUnix("communicate() succeeds if the program does not read its input", async () => {
    for (const [script, output] of [["echo done", "done\n"], ["head -c 3 | tr a b", "bbb"]]) {
      const { code, stdout } = await sh(script!, { input: new Uint8Array(1 << 20).fill("a".charCodeAt(0)) });
      assertEquals([code, text(stdout)], [0, output]);
    }
  });

  testOnUnix("communicate() gives the program pipes that block", { needs: [PYTHON] }, async () => {
    const script = "import os; print([os.get_blocking(fd) for fd in (0, 1, 2)])";
    const { stdout } = await communicate("python3", ["-c", script], { input: LARGE });
    assertEquals(text(stdout), "[True, True, True]\n");
  });

  testOnUnix("communicate() kills the program after the timeout, and returns its output so far", async () => {
    for (const script of ["exec sleep 600", "trap '' TERM; exec sleep 600", "exec 1>&- 2>&-; exec sleep 600"]) {
      const [elapsedMs, outcome] = await timed(sh(`echo so far; ${script}`, { input: LARGE, timeout: 0.2 }));
      assertEquals([text(outcome.stdout), outcome.signal, outcome.isTimedOut], ["so far\n", "SIGKILL", true]);
      assertGreaterOrEqual(elapsedMs, 200);
    }
  });

  testOnUnix("communicate() kills a program that writes all the time", async () => {
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
      Deno.kill(Number(text(stdout)), "SIGKILL"); // throws if it has ended
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

  testOnUnix("communicate() throws if there is no such program", async () => {
    const error = await assertRejects(() => communicate("/no/such/program", [], { input: LARGE, timeout: 600 }), Error);
    assertEquals((error as Error & { code: string }).code, "ENOENT");
  });

  testOnUnix("communicate shows both uses", async () => {
    const flags = ["--allow-ffi", "--allow-run", "--allow-env"];
    const outcome = await run(Deno.execPath(), "run", "--no-prompt", ...flags, join(EXAMPLES, "communicate.ts"));
    const out = 'sort printed "apple\\npear\\n"\nsleep was ended by SIGKILL; it printed "started\\n"\n';
    assertEquals(outcome, { code: 0, out, error: "" });
  });
});
