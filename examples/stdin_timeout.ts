/**
 * A prompt that gives up after five seconds. No read is left behind that would swallow what is typed later.
 *
 * It takes `select()`, which can wait for whatever standard input is: a terminal, a pipe or a file. (Not on Windows,
 * where only sockets can be waited for.)
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
const answer = new TextDecoder().decode(buffer.subarray(0, read(STDIN, buffer))).trim(); // a terminal gives a line
console.log(answer === "" ? "No answer." : `Hello, ${answer}!`);
