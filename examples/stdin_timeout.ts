/**
 * Asks for a name, and gives up after five seconds. It leaves no pending read that would swallow later input.
 *
 * `select()` can wait for any standard input: a terminal, a pipe or a file. (On Windows, it can wait for sockets only.)
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/stdin-timeout
 * ```
 *
 * @module
 */

import { select } from "../ffi/select/mod.ts";
import { read } from "../ffi/socket/mod.ts";

const STDIN = 0;
const SECONDS = 5;

await Deno.stdout.write(new TextEncoder().encode(`What is your name? You have ${SECONDS} seconds. `));
const [readable] = select([STDIN], [], [], SECONDS);
if (readable.length === 0) {
  console.log("\nToo late.");
  Deno.exit(1);
}
const buffer = new Uint8Array(1024);
const answer = new TextDecoder().decode(buffer.subarray(0, read(STDIN, buffer))).trim(); // a terminal returns a line
console.log(answer === "" ? "No answer." : `Hello, ${answer}!`);
