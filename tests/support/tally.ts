/**
 * Counts the tests in the output of `deno test`. As a program, it prints the numbers of passed, failed and skipped
 * tests:
 *
 * ```sh
 * deno run --allow-read tests/support/tally.ts LOG
 * ```
 *
 * @module
 */

/** Numbers of tests. */
export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

// deno-lint-ignore no-control-regex -- ESC begins a color
const COLOUR = /\x1b\[[0-9;]*m/g;
const RESULT = /^( *).* \.\.\. (ok|FAILED|ignored)(?: |$)/;

/** Counts each test, and each step without steps of its own. */
export function tally(output: string): Tally {
  const count = { ok: 0, FAILED: 0, ignored: 0 };
  let last = 0;
  for (const line of output.replaceAll("\r", "").replaceAll(COLOUR, "").split("\n")) {
    const match = RESULT.exec(line);
    if (match === null) continue;
    const indent = match[1]!.length;
    // Deno prints the result of a group after the results of its tests, with less indentation.
    if (indent >= last) count[match[2] as keyof typeof count]++;
    last = indent;
  }
  return { passed: count.ok, failed: count.FAILED, skipped: count.ignored };
}

if (import.meta.main) {
  const { passed, failed, skipped } = tally(Deno.readTextFileSync(Deno.args[0]!));
  console.log(passed, failed, skipped);
}
