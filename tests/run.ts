/**
 * Runs every test: `deno task test`. Arguments after it are passed to `deno test`.
 *
 * The tests import `@std/assert`, `@std/path` and `@std/testing`. If neither JSR nor Deno's cache has these packages,
 * an import map replaces them by modules that Deno has built in. The script tries JSR once, before the first test.
 *
 * Two processes run at the same time: one for the tests that start other programs, which mostly wait, and one for all
 * other tests. `deno test --parallel` would not work: its Workers share the descriptors of one process, and each test
 * checks that process for descriptors that it has left open.
 *
 * @module
 */

import { type Tally, tally } from "./support/tally.ts";

/** Test files that start other programs. */
const PROGRAMS = /\/(example|jsr|permissions|readme)/;

/** Files and folders with doc comments; each example in them is a test. */
const DOCUMENTED = ["mod.ts", "ffi", "selectors", "examples"];

/** Files with examples that do not run on Windows. */
const NOT_ON_WINDOWS = [
  "ffi/select/poll.ts",
  "ffi/socket/mod.ts",
  "ffi/sources/process_exit.ts",
  "ffi/sources/signals.ts",
  "ffi/sources/timer.ts",
  "selectors/poll.ts",
];

/** Files with examples that run only on Linux. */
const ONLY_ON_LINUX = ["ffi/select/epoll.ts"];

const { imports } = JSON.parse(Deno.readTextFileSync("deno.json")) as { imports: Record<string, string> };
const packages = Object.values(imports).filter((specifier) => specifier.startsWith("jsr:"));
const asked = await new Deno.Command(Deno.execPath(), {
  args: ["cache", "--quiet", "--no-lock", ...packages],
  stdin: "null",
  stdout: "null",
  stderr: "null",
  signal: AbortSignal.timeout(30_000),
}).output().catch(() => ({ success: false }));

console.log(
  asked.success
    ? "JSR answers: the assertions are those of @std/assert."
    : "JSR does not answer: @std/assert, @std/path and @std/testing stand for node:assert, node:path and node:test.",
);
const command = [
  "test",
  "--allow-all",
  "--no-lock",
  ...(asked.success ? [] : ["--import-map=tests/offline/import_map.json"]),
];

if (Deno.args.length > 0) {
  const process = new Deno.Command(Deno.execPath(), { args: [...command, ...Deno.args], stdin: "null" }).spawn();
  Deno.exit((await process.status).code);
}

const files = testFiles("tests");
const programs = files.filter((path) => PROGRAMS.test(path));
const others = files.filter((path) => !PROGRAMS.test(path));
if (programs.length === 0 || others.length === 0) {
  throw new Error("Cannot run the tests: one of the suites has no file");
}
const suites = {
  library: suite("--doc", ...leftOut(), ...DOCUMENTED, ...others),
  programs: suite(...programs),
};

const lines: string[] = [];
const sum: Tally = { passed: 0, failed: 0, skipped: 0 };
for (const [name, { output, status }] of Object.entries(suites)) {
  let printed = "";
  const decoder = new TextDecoder();
  for await (const chunk of output) {
    printed += decoder.decode(chunk, { stream: true });
    await write(chunk);
  }
  const counts = tally(printed);
  // A suite that fails without a failed test, or passes without a test, counts as one failure.
  if (counts.failed === 0 && (!(await status).success || counts.passed === 0)) counts.failed = 1;
  lines.push(`${name}: ${shown(counts)}`);
  for (const key of ["passed", "failed", "skipped"] as const) sum[key] += counts[key];
}
console.log(`\n${lines.join("\n")}\ntogether: ${shown(sum)}`);
Deno.exit(sum.failed === 0 ? 0 : 1);

/** Finds the test files in a directory. */
function testFiles(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) => {
    const path = `${directory}/${name}`;
    return isDirectory ? testFiles(path) : name.endsWith("_test.ts") ? [path] : [];
  }).sort();
}

/** Returns the option that excludes files with examples that do not run on this system. */
function leftOut(): string[] {
  const { os } = Deno.build;
  for (const path of [...NOT_ON_WINDOWS, ...ONLY_ON_LINUX]) Deno.statSync(path); // throws if the list is out of date
  const paths = [...(os === "windows" ? NOT_ON_WINDOWS : []), ...(os === "linux" ? [] : ONLY_ON_LINUX)];
  // If several files and folders are given, Deno disregards a path in --ignore, but respects a pattern.
  return paths.length === 0 ? [] : [`--ignore=${paths.map((path) => `**/${path}`).join(",")}`];
}

/** Starts `deno test`, and buffers its output until it is read. */
function suite(...args: string[]): { output: ReadableStream<Uint8Array>; status: Promise<Deno.CommandStatus> } {
  const process = new Deno.Command(Deno.execPath(), {
    args: [...command, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: Deno.stdout.isTerminal() && !Deno.noColor ? { FORCE_COLOR: "1" } : {},
  }).spawn();
  const output = new ReadableStream<Uint8Array>({
    async start(controller) {
      await Promise.all([process.stdout, process.stderr].map(async (stream) => {
        for await (const chunk of stream) controller.enqueue(chunk);
      }));
      controller.close();
    },
  });
  return { output, status: process.status };
}

async function write(chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length;) written += await Deno.stdout.write(chunk.subarray(written));
}

function shown({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
