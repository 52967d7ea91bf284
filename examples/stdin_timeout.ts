/**
 * Asks for a name, and gives up after five seconds. It leaves no pending read that would swallow later input.
 *
 * Standard input may be a terminal, a pipe, a file or `/dev/null`: with `fallback: "select"`, the selector also accepts
 * files that epoll or kqueue reject. On Windows, it can wait only for sockets.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/stdin-timeout
 * ```
 *
 * Type a name, or nothing. Then try it with `echo Ann |` before the command, and with `< /dev/null` after it.
 *
 * @module
 */

import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
import { read } from "@selectors/selectors/socket";

const STDIN = 0;
const SECONDS = 5;

await Deno.stdout.write(new TextEncoder().encode(`What is your name? You have ${SECONDS} seconds. `));
using selector = new DefaultSelector<undefined, number>({ fallback: "select" });
selector.register(STDIN, EVENT_READ);
const line = readLine(performance.now() + SECONDS * 1000);
if (line === null) {
  console.log("\nToo late.");
  Deno.exit(1);
}
console.log(line === "" ? "No answer." : `Hello, ${line}!`);

/** Reads to the end of a line or of the input; returns null if neither comes before the deadline. */
function readLine(deadlineMs: number): string | null {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1024);
  let text = "";
  // A read from a terminal returns a whole line; a read from a pipe may return a part of a line.
  while (!text.includes("\n")) {
    if (selector.select((deadlineMs - performance.now()) / 1000).length === 0) return null;
    const count = read(STDIN, buffer);
    if (count === 0) break;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  return text.split("\n", 1)[0]!.trim();
}
