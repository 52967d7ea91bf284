/**
 * Runs the scenarios with their faults, prints the results, and fails if a run fails: `deno task faults`.
 *
 * Arguments select the scenarios whose names contain all of them.
 *
 * @module
 */

import { buildShim } from "./build.ts";
import { show } from "./matrix.ts";
import { every, none, type Result, runAll } from "./plan.ts";

/** The header of the table; {@linkcode count} returns its lines. */
const HEAD = "    runs survived unreached   broken";

/** Returns a line of the table: the number of runs and of each kind of result. */
function count(results: readonly Result[], name: string): string {
  const broken = results.filter(({ broken }) => broken !== undefined).length;
  const unreached =
    results.filter(({ broken, fault, isHit }) => broken === undefined && fault !== null && !isHit).length;
  const numbers = [results.length, results.length - broken - unreached, unreached, broken];
  return `${numbers.map((number) => String(number).padStart(8)).join(" ")}   ${name}`;
}

/** Returns the failed runs, grouped by scenario and reason; an empty string if every run succeeded. */
export function brokenRuns(results: readonly Result[]): string {
  const reasonOf = ({ conditions, scenario, broken }: Result) => `${conditions}: ${scenario}: ${broken}`;
  const groups = Map.groupBy(results.filter(({ broken }) => broken !== undefined), reasonOf);
  return [...groups].map(([reason, those]) => [reason, ...those.map(({ fault }) => `    ${show(fault)}`)].join("\n"))
    .join("\n");
}

if (import.meta.main) {
  const directory = await Deno.makeTempDir();
  try {
    const library = await buildShim(directory);
    if ("reason" in library) throw new Error(`Cannot run: ${library.reason}`);
    console.log(HEAD);
    const results: Result[] = [];
    for (const conditions of ["calm", "signals", "clocks", "collections"] as const) {
      const choose = conditions === "calm" ? every : none;
      const tell = (those: readonly Result[]) => console.log(count(those, `${conditions}: ${those[0]!.scenario}`));
      results.push(...await runAll(library.path, conditions, choose, Deno.args, tell));
    }
    console.log(`${count(results, "all")}\n${brokenRuns(results)}`);
    Deno.exitCode = results.some(({ broken }) => broken !== undefined) ? 1 : 0;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
