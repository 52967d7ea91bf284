/**
 * Prints each file system that is mounted or unmounted (Linux).
 *
 * `/proc/self/mounts` is always readable, so `EVENT_READ` does not report changes. The kernel reports a change of the
 * table as `EVENT_PRIORITY`, together with `EVENT_ERROR`. You can wait for other kernel files in the same way:
 *
 * - Files in sysfs, if their driver calls sysfs_notify(), such as the state of a GPIO line: after `echo both > edge`,
 *   wait for `/sys/class/gpio/gpio17/value`. Read such a file from its beginning, through the registered descriptor,
 *   before the first wait and after each event. Otherwise the file stays ready.
 * - A lack of memory, processor time or I/O: write a trigger such as `some 150000 2000000` to `/proc/pressure/memory`,
 *   and wait for the descriptor to which you wrote it.
 *
 * Deno requires `--allow-all` to open these files.
 *
 * ```sh
 * deno run --allow-all jsr:@selectors/selectors/examples/watch-mounts
 * ```
 *
 * Run `sudo mount -t tmpfs none /mnt`, and then `sudo umount /mnt`.
 *
 * @module
 */

import { openSync } from "node:fs";
import { DefaultSelector, EVENT_PRIORITY } from "@selectors/selectors";

const PATH = "/proc/self/mounts";

using selector = new DefaultSelector<undefined, number>();
try {
  selector.register(openSync(PATH, "r"), EVENT_PRIORITY);
} catch (error) {
  console.error(`watch_mounts: ${(error as Error).message}`);
  Deno.exit(1);
}
let table = mounts(); // after openSync(), so that the kernel reports every later change
console.log(`${table.length} file systems are mounted; try: sudo mount -t tmpfs none /mnt`);

for await (const _ of selector) {
  const next = mounts();
  for (const line of without(table, next)) console.log(`Unmounted ${describe(line)}`);
  for (const line of without(next, table)) console.log(`Mounted ${describe(line)}`); // a remount prints both lines
  table = next;
}

/** Returns the lines of the table. Opens the file again, because rewinding the registered descriptor is more work. */
function mounts(): string[] {
  return Deno.readTextFileSync(PATH).trimEnd().split("\n");
}

/** Returns the lines that `others` lacks. Lines can be equal: a file system can be mounted twice at the same place. */
function without(lines: string[], others: string[]): string[] {
  const rest = [...others];
  return lines.filter((line) => {
    const place = rest.indexOf(line);
    if (place !== -1) rest.splice(place, 1);
    return place === -1;
  });
}

/** Describes a line of the table. The kernel writes blanks and backslashes as octal escapes. */
function describe(line: string): string {
  const [device, path, type, options] = line.split(" ")
    .map((field) => field.replace(/\\(\d{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8))));
  return `${path} (${type} on ${device}, ${options})`;
}
