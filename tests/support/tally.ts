/**
 * Counts the tests in the output of `deno test`.
 *
 * ```sh
 * deno run --allow-read tests/support/tally.ts LOG
 * ```
 *
 * prints three numbers: the tests that passed, failed and were skipped.
 *
 * @module
 */

/** Numbers of tests. */
export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

// deno-lint-ignore no-control-regex -- ESC begins a colour
const COLOUR = /\x1b\[[0-9;]*m/g;
const RESULT = /^( *).* \.\.\. (ok|FAILED|ignored)(?: |$)/;

/** Counts each test and each step that has no steps of its own. */
export function tally(output: string): Tally {
  const count = { ok: 0, FAILED: 0, ignored: 0 };
  let last = 0;
  for (const line of output.replaceAll("\r", "").replaceAll(COLOUR, "").split("\n")) {
    const match = RESULT.exec(line);
    if (match === null) continue;
    const indent = match[1]!.length;
    // Deno prints the result of a group after those of its tests, and less indented.
    if (indent >= last) count[match[2] as keyof typeof count]++;
    last = indent;
  }
  return { passed: count.ok, failed: count.FAILED, skipped: count.ignored };
}

if (import.meta.main) {
  const { passed, failed, skipped } = tally(Deno.readTextFileSync(Deno.args[0]!));
  console.log(passed, failed, skipped);
}
