/**
 * Runs every test: `deno task test`. With arguments after it, they are those of `deno test`.
 *
 * The tests import `@std/assert`, `@std/path` and `@std/testing` by these names. Where JSR, or a cache of it, does not
 * answer, the same names are mapped to what Deno has built in. It is asked once, before the first test.
 *
 * @module
 */

const { imports } = JSON.parse(await Deno.readTextFile("deno.json")) as { imports: Record<string, string> };
const packages = Object.values(imports).filter((specifier) => specifier.startsWith("jsr:"));
const asked = await new Deno.Command(Deno.execPath(), {
  args: ["cache", "--quiet", "--no-lock", ...packages],
  stdin: "null",
  stdout: "null",
  stderr: "null",
  signal: AbortSignal.timeout(30_000),
}).output().catch(() => ({ success: false }));

const map = asked.success ? [] : ["--import-map=tests/offline/import_map.json"];
console.log(
  asked.success
    ? "JSR answers: the assertions are those of @std/assert."
    : "JSR does not answer: @std/assert, @std/path and @std/testing stand for node:assert, node:path and node:test.",
);

// The examples in the doc comments are tests too.
const tests = Deno.args.length > 0 ? Deno.args : ["--doc", "mod.ts", "ffi", "selectors", "examples", "tests"];
const { code } = await new Deno.Command(Deno.execPath(), {
  args: ["test", "--allow-all", "--no-lock", ...map, ...tests],
  stdin: "null",
}).spawn().status;
Deno.exit(code);
