/**
 * Prints every line that is written to named pipes, while writers come and go.
 *
 * ```sh
 * mkfifo /tmp/one /tmp/two
 * deno run --allow-ffi --allow-read --allow-write jsr:@selectors/selectors/examples/tail-fifo /tmp/one /tmp/two
 * ```
 *
 * @module
 */

import { openSync } from "node:fs";
import { EVENT_READ, SelectSelector } from "@selectors/selectors";
import { read } from "@selectors/selectors/socket";

/** A named pipe and its unfinished line. */
type Pipe = { path: string; decoder: TextDecoder; line: string };

if (Deno.args.length === 0) {
  console.error("tail_fifo: pass the paths of one or more named pipes; to make one: mkfifo /tmp/one");
  Deno.exit(1);
}
// Not DefaultSelector, because kqueue rejects named pipes on macOS.
const selector = new SelectSelector<Pipe, number>();
for (const path of Deno.args) {
  // Opened for writing too, so that the pipe always has a writer. Otherwise openSync() would wait for the first writer,
  // and reads would return the end of the file after the last writer has closed the pipe.
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
