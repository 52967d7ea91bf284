/**
 * Prints each pressed key with its bytes, until `q` or Ctrl-C. At the same time, a timer shows the seconds.
 *
 * In raw mode, the terminal sends every key at once without showing it, and Ctrl-C is an ordinary key. The stream reads
 * only when the terminal is readable, so no pending read swallows keys that are meant for the shell.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/raw-terminal
 * ```
 *
 * @module
 */

import { toReadableStream } from "@selectors/selectors/streams";

const STDIN = 0;

/** Names of keys whose text cannot be shown. */
const NAMES: Readonly<Record<string, string>> = {
  "\x03": "Ctrl-C",
  "\t": "Tab",
  "\r": "Enter",
  "\x1b": "Escape",
  " ": "Space",
  "\x7f": "Backspace",
  "\x1b[A": "Up",
  "\x1b[B": "Down",
  "\x1b[C": "Right",
  "\x1b[D": "Left",
};

/** Matches an escape sequence, or one character. */
// deno-lint-ignore no-control-regex -- an escape sequence begins with a control character
const KEY = /\x1b(?:\[[\d;]*.|O.)?|[^]/gu;

if (!Deno.stdin.isTerminal()) {
  console.error("raw_terminal: standard input is not a terminal");
  Deno.exit(1);
}
const start = Date.now();
const clock = setInterval(() => {
  Deno.stdout.writeSync(new TextEncoder().encode(`\r${Math.floor((Date.now() - start) / 1000)} s `));
}, 1000);
Deno.stdin.setRaw(true);
try {
  console.log("Press keys; q or Ctrl-C ends the program");
  await showKeys();
} finally {
  Deno.stdin.setRaw(false);
  clearInterval(clock);
}
console.log("Done");

/** Shows keys until one of them ends the program. */
async function showKeys(): Promise<void> {
  // The stream must not close standard input, which belongs to Deno.
  const keys = toReadableStream(STDIN, { autoClose: false }).pipeThrough(new TextDecoderStream());
  for await (const text of keys) {
    // Pasted text comes as one chunk.
    for (const [key] of text.matchAll(KEY)) {
      const hex = new TextEncoder().encode(key).toHex();
      console.log(`\r${nameOf(key)} (${hex})`);
      if (key === "q" || key === "\x03") return; // leaving the loop cancels the stream
    }
  }
}

function nameOf(key: string): string {
  if (NAMES[key] !== undefined) return NAMES[key];
  return key < " " ? `Ctrl-${String.fromCharCode(key.charCodeAt(0) + 64)}` : key;
}
