/**
 * Prints the names of files that change in directories, with Linux inotify(7).
 *
 * Shows how to use a C function that returns a descriptor, and how to read structs from the descriptor. Unlike
 * `Deno.watchFs`, the program needs no permission to read the directories, because the C library opens them. Ctrl-C
 * ends the program.
 *
 * Run it on Linux with the GNU C library, and then change a file:
 *
 * ```sh
 * deno run --allow-ffi jsr:@selectors/selectors/examples/inotify /tmp
 * # in another terminal:
 * date > /tmp/one; mv /tmp/one /tmp/two; rm /tmp/two
 * ```
 *
 * @module
 */

import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
import { close, read } from "@selectors/selectors/socket";

const IN_CLOEXEC = 0o2000000;
const IN_NONBLOCK = 0o4000;
const IN_Q_OVERFLOW = 0x4000;
const IN_IGNORED = 0x8000; // the kernel has removed the watch: its directory is deleted or unmounted
const IN_ISDIR = 0x4000_0000;

/** Events to watch for, with the words to print. */
const WATCHED = new Map([
  [0x0008, "written"], // IN_CLOSE_WRITE
  [0x0040, "moved from"], // IN_MOVED_FROM
  [0x0080, "moved to"], // IN_MOVED_TO
  [0x0100, "created"], // IN_CREATE
  [0x0200, "deleted"], // IN_DELETE
]);

/** struct inotify_event { int wd; uint32_t mask; uint32_t cookie; uint32_t len; char name[len]; } */
const inotify_event = { wd: 0, mask: 4, cookie: 8, len: 12, name: 16 };

const { symbols: libc } = Deno.dlopen("libc.so.6", {
  // int inotify_init1(int flags)
  inotify_init1: { parameters: ["i32"], result: "i32" },
  // int inotify_add_watch(int fd, const char *pathname, uint32_t mask)
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
});

const inotify = libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
if (inotify < 0) fail("too many inotify instances or open files; see sysctl fs.inotify.max_user_instances");
const paths = new Map<number, string>(); // by watch descriptor
const mask = [...WATCHED.keys()].reduce((sum, bit) => sum | bit);
for (const path of Deno.args.length > 0 ? Deno.args : ["."]) {
  const wd = libc.inotify_add_watch(inotify, new TextEncoder().encode(`${path}\0`), mask);
  if (wd < 0) {
    fail(`cannot watch ${path}: it does not exist or is not readable, or fs.inotify.max_user_watches is reached`);
  }
  paths.set(wd, path);
}

using selector = new DefaultSelector<undefined, number>();
selector.register(inotify, EVENT_READ);
Deno.addSignalListener("SIGINT", () => selector.close()); // ends the loop
console.log(`Watching; try: date > ${[...paths.values()][0]}/one`);

const buffer = new Uint8Array(64 * 1024); // a read returns whole events only
for await (const [{ fd }] of selector) {
  report(buffer.subarray(0, read(fd, buffer)));
  if (paths.size === 0) break; // no directory is left to watch
}
close(inotify);

/** Prints the events in a buffer. */
function report(events: Uint8Array): void {
  const view = new DataView(events.buffer, events.byteOffset, events.length);
  for (let at = 0; at < events.length;) {
    const wd = view.getInt32(at + inotify_event.wd, true);
    const bits = view.getUint32(at + inotify_event.mask, true);
    const name = at + inotify_event.name;
    const end = name + view.getUint32(at + inotify_event.len, true);
    if (bits & IN_Q_OVERFLOW) console.log("Some changes were lost: the kernel's queue was full");
    else if (bits & IN_IGNORED) forget(wd);
    else {
      const word = WATCHED.get(bits & mask);
      const file = new TextDecoder().decode(events.subarray(name, events.indexOf(0, name))); // padded with zeros
      console.log(`${paths.get(wd)}/${file}${bits & IN_ISDIR ? "/" : ""} ${word}`);
    }
    at = end;
  }
}

function forget(wd: number): void {
  console.log(`${paths.get(wd)} is no longer watched`);
  paths.delete(wd);
}

function fail(message: string): never {
  console.error(`inotify: ${message}`);
  Deno.exit(1);
}
