/**
 * Runs every check except the tests: `deno task check`. The last lines name the failed checks.
 *
 * @module
 */

const { exports } = JSON.parse(Deno.readTextFileSync("deno.json")) as { exports: Record<string, string> };
const entries = Object.values(exports);
const benchmarks = [...Deno.readDirSync("bench")].map(({ name }) => `bench/${name}`)
  .filter((path) => path.endsWith(".ts")).sort();

/** Arguments of Deno. The tests are type-checked when they run. */
const CHECKS: readonly (readonly string[])[] = [
  ["fmt", "--check"],
  ["lint"],
  ["check", ...entries, ...benchmarks, "tests/run.ts", "tests/checks.ts"],
  ["doc", "--lint", ...entries],
  ["publish", "--dry-run", "--allow-dirty"],
];

const failures: string[] = [];
for (const args of CHECKS) {
  // Omits file names, because there are dozens.
  const name = `deno ${args.filter((arg) => !arg.includes(".ts")).join(" ")}`;
  console.log(`== ${name}`);
  const { success } = await new Deno.Command(Deno.execPath(), { args: [...args], stdin: "null" }).spawn().status;
  if (!success) failures.push(name);
}
for (const name of failures) console.log(`Failed check: ${name}`);
Deno.exit(failures.length > 0 ? 1 : 0);
