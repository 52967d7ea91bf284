/**
 * Prints what is written into named pipes, line by line, for as many writers as come and go.
 *
 * ```sh
 * mkfifo /tmp/one /tmp/two
 * deno run --allow-ffi --allow-read --allow-write jsr:@selectors/selectors/examples/tail-fifo /tmp/one /tmp/two
 * ```
 *
 * @module
 */

import { openSync } from "node:fs";
import { EVENT_READ, SelectSelector } from "../mod.ts";
import { read } from "../ffi/socket/mod.ts";

/** A pipe, and what has come of a line that has not ended. */
type Pipe = { path: string; decoder: TextDecoder; line: string };

if (Deno.args.length === 0) {
  console.error("tail_fifo: name one or more pipes; to make one: mkfifo /tmp/one");
  Deno.exit(1);
}
// Not the default one: kqueue refuses named pipes on macOS.
const selector = new SelectSelector<Pipe, number>();
for (const path of Deno.args) {
  // For reading and writing: so there is always a writer, this program. Else to open would wait for the first one, and
  // after the last one has left the pipe would be at its end.
  const fd = openSync(path, "r+");
  selector.register(fd, EVENT_READ, { path, decoder: new TextDecoder(), line: "" });
}
console.log(`Reading; try: echo hello > ${Deno.args[0]}`);

const buffer = new Uint8Array(64 * 1024);
for (;;) {
  for (const [{ fd, data: pipe }] of selector.select()) {
    const bytes = buffer.subarray(0, read(fd, buffer));
    const lines = (pipe.line + pipe.decoder.decode(bytes, { stream: true })).split("\n");
    pipe.line = lines.pop()!;
    for (const line of lines) console.log(`${pipe.path}: ${line}`);
  }
}
