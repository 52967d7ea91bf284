/**
 * Writes to a pipe now and then, and ends as soon as the reader is gone, even if there is nothing to write.
 *
 * A writer usually learns from `EPIPE` that its reader is gone, but not before its next write. This program waits for
 * `EVENT_ERROR`, which a pipe reports when its last reader closes it. While the program has a line to write, it also
 * waits for `EVENT_WRITE`.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/idle-writer | head -n 1
 * ```
 *
 * `head` ends after the first line. The program then ends at once, although its second line is not due for a minute.
 * If the argument is the path of a FIFO (with `--allow-write`), the program waits for a reader, and writes to the FIFO.
 *
 * @module
 */

import { constants, openSync } from "node:fs";
import { DefaultSelector, EVENT_ERROR, EVENT_WRITE, OSError } from "@selectors/selectors";
import { write } from "@selectors/selectors/socket";

const STDOUT = 1;
const [path = "-", seconds = "60"] = Deno.args;
const { selector, fd } = start();

let line: string | null = null; // not written yet
let written = 0;
Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
produce();
const interval = setInterval(produce, Number(seconds) * 1000);
for await (const [, events] of selector) {
  if (events & EVENT_ERROR) {
    console.error(`The reader is gone; lines written: ${written}`); // not console.log(): stdout may be the pipe
    break;
  }
  send();
}
clearInterval(interval);
selector.close();

function start() {
  try {
    const fd = path === "-" ? STDOUT : openSync(path, constants.O_WRONLY); // waits for a reader of the FIFO
    const selector = new DefaultSelector<undefined, number>();
    selector.register(fd, EVENT_ERROR); // fails for a regular file or /dev/null
    return { selector, fd };
  } catch (error) {
    console.error(`idle_writer: ${(error as Error).message}`);
    console.error("idle_writer: write to a pipe or pass the path of a FIFO; to try it, append: | head -n 1");
    Deno.exit(1);
  }
}

/** Produces a line, unless the previous line still waits for a slow reader. */
function produce(): void {
  if (line !== null || selector.closed) return;
  line = `line ${written + 1} at ${new Date().toISOString()}\n`;
  selector.modify(fd, EVENT_WRITE | EVENT_ERROR);
}

/** Writes the line. A writable pipe has room for at least 512 bytes (PIPE_BUF), so the write does not block. */
function send(): void {
  try {
    write(fd, new TextEncoder().encode(line!));
    written++;
  } catch (error) {
    if (!(error instanceof OSError && error.code === "EPIPE")) throw error; // after EPIPE, EVENT_ERROR is ready
  }
  line = null;
  selector.modify(fd, EVENT_ERROR);
}
