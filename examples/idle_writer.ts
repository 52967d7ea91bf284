/**
 * Writes to a pipe now and then, and ends as soon as the reader is gone, even if there is nothing to write.
 *
 * A writer usually learns about a lost reader from `EPIPE`, at its next write. This program waits for `EVENT_ERROR`
 * alone, which a pipe reports when its last reader closes it. While a line waits for room in the pipe, the program also
 * waits for `EVENT_WRITE`.
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/idle-writer | head -n 1
 * ```
 *
 * `head` ends after the first line, and so does the program, a minute before its second line. With the path of a FIFO as
 * an argument (and `--allow-write`), it waits for a reader, and writes there.
 *
 * @module
 */

import { constants, openSync } from "node:fs";
import { DefaultSelector, EVENT_ERROR, EVENT_WRITE, OSError } from "@selectors/selectors";
import { write } from "@selectors/selectors/socket";

const STDOUT = 1;
const [path = "-", seconds = "60"] = Deno.args;
const { selector, fd } = start();

let work: string | null = null; // an unwritten line
let written = 0;
Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
produce();
const interval = setInterval(produce, Number(seconds) * 1000);
for await (const [, events] of selector) {
  if (events & EVENT_ERROR) {
    console.error(`The reader is gone; lines written: ${written}`); // standard output may be the pipe
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
    selector.register(fd, EVENT_ERROR); // fails for a regular file or /dev/null, which have no reader
    return { selector, fd };
  } catch (error) {
    console.error(`idle_writer: ${(error as Error).message}`);
    console.error("idle_writer: it writes to a pipe or a FIFO; try the same command with: | head -n 1");
    Deno.exit(1);
  }
}

/** Produces a line, unless the last one still waits for a slow reader. */
function produce(): void {
  if (work !== null || selector.closed) return;
  work = `line ${written + 1} of ${new Date().toISOString()}\n`;
  selector.modify(fd, EVENT_WRITE | EVENT_ERROR);
}

/** Writes the line. A writable pipe has room for 512 bytes at least (PIPE_BUF), so the write does not block. */
function send(): void {
  try {
    write(fd, new TextEncoder().encode(work!));
    written++;
  } catch (error) {
    if (!(error instanceof OSError && error.code === "EPIPE")) throw error; // EVENT_ERROR follows
  }
  work = null;
  selector.modify(fd, EVENT_ERROR);
}
