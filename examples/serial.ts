/**
 * Connects the terminal to a serial line: sends each typed line, and prints all received bytes.
 *
 * Set the speed and mode of the line first, with stty(1). Deno requires `--allow-all` to open a device.
 *
 * ```sh
 * stty -F /dev/ttyUSB0 115200 raw -echo
 * deno run --allow-all jsr:@selectors/selectors/examples/serial /dev/ttyUSB0
 * ```
 *
 * @module
 */

import { constants, openSync } from "node:fs";
import { EVENT_READ, EVENT_WRITE, OSError, SelectSelector } from "@selectors/selectors";
import { read, write } from "@selectors/selectors/socket";

const STDIN = 0;
const EIO = 5;
const [path] = Deno.args;
if (path === undefined) {
  console.error("serial: pass the path of a tty; to create a pair: socat pty,raw,link=/tmp/one pty,raw,link=/tmp/two");
  Deno.exit(1);
}
// O_NOCTTY: the line does not become the controlling terminal, whose hang-up would kill this program.
const tty = openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
const buffer = new Uint8Array(4096);
let unsent = new Uint8Array();
// Not DefaultSelector, because kqueue rejects terminals on macOS.
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
  console.log(`The line is gone: ${error.message}`); // EIO if the device is unplugged
  Deno.exit(1);
}

/** Reads typed input, and stops reading until the input is sent. Returns false at the end of the input. */
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
  if (count === 0) throw new OSError("read", EIO, path); // the line is hung up
  Deno.stdout.writeSync(buffer.subarray(0, count));
}
