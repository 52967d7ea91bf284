/**
 * Prints each file system that is mounted or unmounted (Linux).
 *
 * `/proc/self/mounts` is always readable, so `EVENT_READ` says nothing about it. The kernel reports a change of the table
 * as `EVENT_PRIORITY`, together with `EVENT_ERROR`. The same technique waits for an edge of a GPIO line
 * (`/sys/class/gpio/gpio17/value`, after `echo both > edge`), for other sysfs attributes that call sysfs_notify(), and
 * for a lack of memory, processor time or I/O (write a trigger such as `some 150000 2000000` to `/proc/pressure/memory`).
 * Read a sysfs attribute again from its beginning after each event.
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
let table = mounts(); // after openSync(): the kernel reports every change since then
console.log(`${table.length} file systems are mounted; try: sudo mount -t tmpfs none /mnt`);

for await (const _ of selector) {
  const next = mounts();
  for (const line of without(table, next)) console.log(`Unmounted ${describe(line)}`);
  for (const line of without(next, table)) console.log(`Mounted ${describe(line)}`); // also after a remount
  table = next;
}

/** Returns the lines of the table. Another descriptor is simpler than rewinding the registered one. */
function mounts(): string[] {
  return Deno.readTextFileSync(PATH).trimEnd().split("\n");
}

/** Returns the lines that are not among others. A file system can be mounted twice at one place, with equal lines. */
function without(lines: string[], others: string[]): string[] {
  const rest = [...others];
  return lines.filter((line) => {
    const place = rest.indexOf(line);
    if (place !== -1) rest.splice(place, 1);
    return place === -1;
  });
}

/** Returns a line of the table in words; the kernel writes blanks and backslashes in octal. */
function describe(line: string): string {
  const [device, path, type, options] = line.split(" ")
    .map((field) => field.replace(/\\(\d{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8))));
  return `${path} (${type} on ${device}, ${options})`;
}
