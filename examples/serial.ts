/**
 * A terminal for a serial line: what is typed goes out, what comes in is printed, and neither waits for the other.
 *
 * Speed and mode of the line are set before, by stty(1). Deno lets a program open devices with `--allow-all` only.
 *
 * ```sh
 * stty -F /dev/ttyUSB0 115200 raw -echo
 * deno run --allow-all jsr:@selectors/selectors/examples/serial /dev/ttyUSB0
 * ```
 *
 * @module
 */

import { constants, openSync } from "node:fs";
import { EVENT_READ, EVENT_WRITE, OSError, SelectSelector } from "../mod.ts";
import { read, write } from "../ffi/socket/mod.ts";

const STDIN = 0;
const [path] = Deno.args;
if (path === undefined) {
  console.error("serial: name a tty; to have two without a device: socat pty,raw,link=/tmp/one pty,raw,link=/tmp/two");
  Deno.exit(1);
}
// O_NOCTTY: a hang-up of the line shall not be one of this program.
const tty = openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
const buffer = new Uint8Array(4096);
let unsent = new Uint8Array();
// Not the default one: kqueue refuses terminals on macOS.
const selector = new SelectSelector<undefined, number>();
selector.register(tty, EVENT_READ);
selector.register(STDIN, EVENT_READ);
console.log(`Connected to ${path}; type lines, and Ctrl-D to end`);

try {
  for (let isOpen = true; isOpen;) {
    for (const [{ fd }, events] of selector.select()) {
      if (fd === STDIN) isOpen = takeInput();
      else if (events & EVENT_WRITE) send();
      else receive();
    }
  }
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.log(`The line is gone: ${error.message}`); // EIO, when a device is pulled out
  Deno.exit(1);
}

/** Takes what was typed, and nothing more until it is sent. */
function takeInput(): boolean {
  unsent = buffer.slice(0, read(STDIN, buffer));
  selector.unregister(STDIN);
  selector.modify(tty, EVENT_READ | EVENT_WRITE);
  return unsent.length > 0;
}

function send(): void {
  unsent = unsent.subarray(write(tty, unsent));
  if (unsent.length > 0) return;
  selector.modify(tty, EVENT_READ);
  selector.register(STDIN, EVENT_READ);
}

function receive(): void {
  const count = read(tty, buffer);
  if (count === 0) throw new OSError("read", 5, path); // hung up
  Deno.stdout.writeSync(buffer.subarray(0, count));
}
