/**
 * What the tests share: a test that leaves the descriptors as it found them, real descriptors, and what a selector said.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { it } from "@std/testing/bdd";
import { BaseSelector, EVENT_READ, EVENT_WRITE, type FileObject } from "../../mod.ts";
import { EpollPoller } from "../../ffi/os/epoll.ts";
import { arch, os } from "../../ffi/os/systems.ts";
import type { Poller } from "../../ffi/os/poller.ts";
import type { SelectSet } from "../../ffi/os/select_set.ts";
import { AF_INET, close, pipe, Socket, socketpair } from "../../ffi/socket/mod.ts";
import { isOpen as isSocket, PAIR_FAMILY } from "../../ffi/os/sys.ts";
import { lendWaker } from "../../ffi/os/waker.ts";

/** True on Windows, where every descriptor is a socket and there is no C library of Unix. */
export const isWindows: boolean = os === "windows";

/** True on Linux. */
export const isLinux: boolean = os === "linux" || os === "android";
const isDarwin = os === "darwin";

/** File name of the C library, with the whole of `--allow-ffi`. */
export const LIBC: string = isDarwin ? "libSystem.B.dylib" : "libc.so.6";

/** Directory in which the kernel lists this process's descriptors; none where there is no such list. */
const DESCRIPTORS = os === "linux" ? "/proc/self/fd" : null;

/** Windows lists no handles. It is asked of each number whether it is a socket: multiples of 4, the lowest first. */
const HANDLES = isWindows ? Array.from({ length: 1024 }, (_, index) => 4 * index) : [];

// Deno opens descriptors of its own the first time that it does certain things.
openDescriptors();
new Socket().close();
lendWaker().giveBack(); // is kept open

/** The descriptors that are open, and what they stand for. */
export function openDescriptors(): Map<number, string> {
  const found = new Map<number, string>();
  for (const handle of HANDLES) if (isSocket(handle)) found.set(handle, "socket");
  if (DESCRIPTORS === null) return found;
  for (const { name } of Deno.readDirSync(DESCRIPTORS)) {
    try {
      found.set(Number(name), Deno.readLinkSync(`${DESCRIPTORS}/${name}`));
    } catch (error) {
      // The descriptor of the listing itself is closed by now.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return found;
}

/** Something that a test needs: null if this system has it, or the reason why it has not. */
export type Need = string | null;

/** Options of a test. */
export interface TestOptions {
  /** If this system lacks one of them, the test is skipped with that reason. */
  needs?: readonly Need[];
}

/** Arguments of a test after its name. */
export type TestArguments<Body> = [body: Body] | [options: TestOptions, body: Body];

/**
 * Declares a test that fails if other descriptors are open after it than before.
 *
 * The check is in the test's own function, and not in an `afterEach`, since a failure there is not always reported.
 */
export function test(name: string, ...args: TestArguments<() => void | Promise<void>>): void {
  const [{ needs = [] }, body] = withOptions(args);
  const reason = needs.find((need) => need !== null);
  if (reason != null) skip(name, reason);
  else it(name, () => leavingDescriptors(body));
}

/** Returns a `test()` whose tests all have these needs, before their own. */
export function testNeeding(...common: Need[]): typeof test {
  return (name, ...args) => {
    const [{ needs = [] }, body] = withOptions(args);
    test(name, { needs: [...common, ...needs] }, body);
  };
}

/** Returns the options and the body of a test. */
export function withOptions<Body>(args: TestArguments<Body>): [options: TestOptions, body: Body] {
  return args.length === 1 ? [{}, args[0]] : args;
}

/** Calls what a test does, and fails if other descriptors are open after it than before. */
export async function leavingDescriptors(body: () => void | Promise<void>): Promise<void> {
  const before = openDescriptors();
  await body();
  // Deno closes the pipes of a child in its own time.
  for (let tries = 0; tries < 100 && !sameKeys(openDescriptors(), before); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // Under an emulator a descriptor of before was once gone after a test that closes none of others: Deno's own, as it
  // seems, closed late. One that is new, or stands for something else, fails there too.
  const after = openDescriptors();
  if (isEmulated) { for (const fd of before.keys()) if (!after.has(fd)) before.delete(fd); }
  assertEquals(after, before, "The test left other descriptors open than it found");
}

/** Declares a test that cannot run here, and says why. */
export function skip(name: string, reason: string): void {
  it.skip(`${name} (skipped: ${reason})`, () => {}); // the one way to skip: each caller gives the reason, to be printed
}

function sameKeys(one: Map<number, string>, other: Map<number, string>): boolean {
  return one.size === other.size && [...one].every(([fd, target]) => other.get(fd) === target);
}

/** Things to close at the end of a test: `using cleanup = new Cleanup()`. */
export class Cleanup implements Disposable {
  readonly #stack = new DisposableStack();

  /** Two connected sockets. */
  pair(family: number = PAIR_FAMILY, type?: number): [Socket, Socket] {
    const [here, there] = family === PAIR_FAMILY ? socketpair(family, type) : tcpPair(family);
    return [this.add(here), this.add(there)];
  }

  /** The two ends of a pipe, on Windows of a pair of sockets, each closed at the end unless the test has closed it. */
  pipe(): [reader: number, writer: number] {
    const [reader, writer] = isWindows ? socketpair().map((socket) => socket.detach()) as [number, number] : pipe();
    for (const fd of [reader, writer]) this.#stack.defer(() => this.#open.delete(fd) && close(fd));
    this.#open.add(reader).add(writer);
    return [reader, writer];
  }

  /** Closes a descriptor of a pipe before the end. */
  close(fd: number): void {
    assert(this.#open.delete(fd), `Descriptor ${fd} is not one to close`);
    close(fd);
  }

  readonly #open = new Set<number>();

  /** Disposes of something at the end, the last first. */
  add<T extends Disposable>(thing: T): T {
    return this.#stack.use(thing);
  }

  /** Calls a function at the end. */
  defer(action: () => void): void {
    this.#stack.defer(action);
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

/** Two connected TCP sockets. */
export function tcpPair(family: number = AF_INET): [client: Socket, server: Socket] {
  using listener = new Socket(family);
  listener.bind({ hostname: family === AF_INET ? "127.0.0.1" : "::1", port: 0 });
  listener.listen();
  const client = new Socket(family);
  client.connect(listener.getsockname());
  return [client, listener.accept()[0]];
}

/** The events of a registration for reading and writing. */
export const BOTH = EVENT_READ | EVENT_WRITE;

/** Seconds in which an event comes on any machine; short enough to watch a test that fails. */
export const SOON = 5;

/** Lets the event loop turn, until parked waits are blocked in the system. */
export function nextTurns(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** Bytes of a string. */
export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** String of bytes. */
export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

/** What a selector says is ready: descriptors, in order, and events. */
export function readyFds<D, F extends FileObject>(
  selector: BaseSelector<D, F>,
  timeout?: number | null,
): [number, number][] {
  return sorted(selector.select(timeout).map(([key, events]) => [key.fd, events]));
}

/** Sorts pairs of a descriptor and a mask by the descriptor. */
export function sorted(found: [fd: number, mask: number][]): [fd: number, mask: number][] {
  return found.sort(([one], [other]) => one - other);
}

/** A selector that counts how often it asks the system. */
export class CountingSelector extends BaseSelector {
  readonly #poller: CountingPoller;

  constructor(poller: Poller) {
    const counting = new CountingPoller(poller);
    super(counting);
    this.#poller = counting;
  }

  /** Calls of the system so far. */
  get waits(): number {
    return this.#poller.waits;
  }
}

/** A poller that passes everything on, and counts calls of wait(). */
class CountingPoller implements Poller {
  readonly #poller: Poller;
  waits = 0;

  constructor(poller: Poller) {
    this.#poller = poller;
    if (poller.explain !== undefined) this.explain = poller.explain.bind(poller);
    if (poller.purge !== undefined) this.purge = poller.purge.bind(poller);
  }

  readonly explain?: NonNullable<Poller["explain"]>;
  readonly purge?: NonNullable<Poller["purge"]>;
  get controlCall() {
    return this.#poller.controlCall;
  }
  get waitCall() {
    return this.#poller.waitCall;
  }
  get fd() {
    return this.#poller.fd;
  }
  get nests() {
    return this.#poller.nests;
  }
  get closed() {
    return this.#poller.closed;
  }
  add(fd: number, events: number, serial: number) {
    return this.#poller.add(fd, events, serial);
  }
  modify(fd: number, events: number, serial: number) {
    return this.#poller.modify(fd, events, serial);
  }
  remove(fd: number) {
    this.#poller.remove(fd);
  }
  wait(timeoutMs: number) {
    this.waits++;
    return this.#poller.wait(timeoutMs);
  }
  fdAt(index: number) {
    return this.#poller.fdAt(index);
  }
  serialAt(index: number) {
    return this.#poller.serialAt(index);
  }
  eventsAt(index: number) {
    return this.#poller.eventsAt(index);
  }
  close() {
    this.#poller.close();
  }
}

/** Returns the descriptors that the last wait of a set, which returned `count`, found ready, with their sets. */
export function gathered(set: SelectSet, count: number): [fd: number, where: number][] {
  return Array.from({ length: set.gather(count) }, (_, index) => [set.fdAt(index), set.whereAt(index)]);
}

/** Milliseconds that a function takes. */
export function elapsedMs(body: () => unknown): number {
  const start = performance.now();
  body();
  return performance.now() - start;
}

/** C functions for what the library has no need of: duplicates, special files, signals. */
export const libc = isWindows ? null : Deno.dlopen(LIBC, {
  dup: { parameters: ["i32"], result: "i32" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32"], result: "i32" },
  epoll_pwait2: { parameters: ["i32", "buffer", "i32", "buffer", "pointer"], result: "i32", optional: true },
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  mkfifo: { parameters: ["buffer", "u32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  pthread_self: { parameters: [], result: "usize" },
}).symbols;

/** True if `ppoll()` waits for less than a millisecond; macOS has `poll()` alone. */
export const hasPpoll: boolean = !isDarwin && !isWindows;

/** Codes that a connect() which cannot be made gives: at once, or later through SO_ERROR. */
export const REFUSED_CODES: readonly string[] = ["EINPROGRESS", "ECONNREFUSED"];

/** Whether another processor is emulated; a kernel before 6.1 does not say which one it runs on. */
export const isEmulated: boolean = os === "linux" && kernelArch() !== arch;

function kernelArch(): string {
  try {
    return Deno.readTextFileSync("/proc/sys/kernel/arch").trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return arch;
    throw error;
  }
}

/** What those codes are that a Unix calls EPIPE: Windows does not know the one who left from the one who broke off. */
export const BROKEN_CODES: readonly string[] = isWindows ? ["ECONNRESET", "ECONNABORTED", "ESHUTDOWN"] : ["EPIPE"];

/** The option SO_LINGER for "reset the connection when it is closed": a struct of two integers. */
export const RESET_ON_CLOSE: Uint8Array<ArrayBuffer> = new Uint8Array(
  (isWindows ? new Int16Array([1, 0]) : new Int32Array([1, 0])).buffer,
);

/** Resource of getrlimit(): the number of descriptors. Linux has a number of its own, macOS and the BSDs share one. */
const RLIMIT_NOFILE = isLinux ? 7 : 8;

/** OPEN_MAX of macOS, above which poll() fails with EINVAL, whatever the limit of the process is. */
const OPEN_MAX = 10_240;

/** How many descriptors this process may have open; of Windows, which has no bound, how many a test has time for. */
export function descriptorLimit(): number {
  if (isWindows) return 1_256;
  const limits = new BigUint64Array(2);
  assertEquals(libc!.getrlimit(RLIMIT_NOFILE, limits), 0);
  return isDarwin ? Math.min(Number(limits[0]), OPEN_MAX) : Number(limits[0]);
}

/** Whether the kernel has epoll_pwait2; it says EBADF of a descriptor that is none, and not ENOSYS. */
export function hasEpollPwait2(): boolean {
  if (libc?.epoll_pwait2 == null) return false;
  const set = new EpollPoller();
  try {
    return libc.epoll_pwait2(set.fd, new Int32Array(4), 1, new Int32Array(4), null) === 0;
  } finally {
    set.close();
  }
}

/** The address of a module with this source, in JavaScript. */
export function moduleOf(source: string): string {
  return `data:application/javascript,${encodeURIComponent(source)}`;
}

/**
 * Gives what a module prints that another Deno runs, in JSON.
 *
 * Workers are made there, since Deno keeps descriptors of a worker open after its end.
 */
export async function printedBy(source: string): Promise<unknown> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", "--no-config", "--no-lock", moduleOf(source)],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  assertEquals([text(stderr), code], ["", 0]);
  return JSON.parse(text(stdout));
}

/** The request of fcntl() for the flags of a descriptor, and the flag that closes it on exec. */
export const F_GETFD = 1;
export const FD_CLOEXEC = 1;

/** Returns whether a descriptor is open. */
export function isOpen(fd: number): boolean {
  return libc!.fcntl(fd, F_GETFD) !== -1;
}

/** Gives a descriptor one more number, which is closed at the end unless the test has closed it. */
export function duplicate(cleanup: Cleanup, fd: number, number: number): number {
  assertEquals(libc!.dup2(fd, number), number, `Cannot have a descriptor ${number}; is the limit of descriptors low?`);
  cleanup.defer(() => {
    if (isOpen(number)) close(number);
  });
  return number;
}

/** A FIFO, which another process can open by its path, and a descriptor of it. */
export function fifo(cleanup: Cleanup, flags: number): [path: string, fd: number] {
  const directory = Deno.makeTempDirSync();
  cleanup.defer(() => Deno.removeSync(directory, { recursive: true }));
  const path = join(directory, "fifo");
  assertEquals(libc!.mkfifo(bytes(`${path}\0`), 0o600), 0);
  const fd = libc!.open(bytes(`${path}\0`), flags);
  cleanup.defer(() => close(fd));
  return [path, fd];
}

/** Starts a shell script; the arguments are its `$0` and so on. */
export function shell(script: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command("sh", { args: ["-c", script, ...args], stdin: "null", stdout: "null" }).spawn();
}
