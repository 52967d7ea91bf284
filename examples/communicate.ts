/**
 * Runs a program with a timeout: writes its input, and collects its output and its errors at the same time.
 *
 * It is like Python's `subprocess.run(command, input=…, capture_output=True, timeout=…)`. It does not work on Windows,
 * where a selector cannot wait for pipes.
 *
 * A parent that writes all input before it reads any output may wait forever: the child stops reading when its output
 * pipe is full, and the parent stops writing when the input pipe is full. Here, one loop waits for all three pipes.
 *
 * ```sh
 * deno run --allow-ffi --allow-run --allow-env jsr:@selectors/selectors/examples/communicate
 * ```
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { DefaultSelector, EVENT_READ, EVENT_WRITE, OSError } from "@selectors/selectors";
import { close, pipe, read, setBlocking, write } from "@selectors/selectors/socket";

/** Options of {@linkcode communicate}. */
export interface CommunicateOptions {
  /** Standard input of the program; empty by default. */
  input?: Uint8Array;
  /** Seconds after which the program is killed; unlimited by default. */
  timeout?: number;
}

/** Result of {@linkcode communicate}. */
export interface Outcome {
  /** Exit code, or null if a signal ended the program. */
  code: number | null;
  /** Name of the signal that ended the program, or null. */
  signal: string | null;
  /** Standard output. */
  stdout: Uint8Array<ArrayBuffer>;
  /** Standard error. */
  stderr: Uint8Array<ArrayBuffer>;
  /** True if the timeout ended the wait; the output may then be incomplete. */
  isTimedOut: boolean;
}

/**
 * Runs a program to its end, or kills it after a timeout.
 *
 * As in Python, the function also waits until the output ends. A background process that has inherited the pipes can
 * delay that end. After the timeout, the function does not wait for such a process any longer, and does not kill it.
 *
 * @throws {Error} if the program cannot be started, for example with the code ENOENT
 */
export async function communicate(
  command: string,
  args: readonly string[] = [],
  { input = new Uint8Array(), timeout }: CommunicateOptions = {},
): Promise<Outcome> {
  using stack = new DisposableStack();
  const open = new Set<number>();
  stack.defer(() => open.forEach(closeEnd));
  const [[stdin, toChild], [fromStdout, stdout], [fromStderr, stderr]] = [openPipe(), openPipe(), openPipe()];
  // O_NONBLOCK applies to one end of a pipe. The child's ends stay blocking, as most programs expect.
  for (const fd of [toChild, fromStdout, fromStderr]) setBlocking(fd, false);
  const buffer = new Uint8Array(64 * 1024);
  const output = new Map<number, Uint8Array<ArrayBuffer>[]>([[fromStdout, []], [fromStderr, []]]);
  const selector = stack.use(new DefaultSelector<() => boolean, number>());
  selector.register(toChild, EVENT_WRITE, send);
  for (const fd of output.keys()) selector.register(fd, EVENT_READ, () => receive(fd));

  const child = spawn(command, args, { stdio: [stdin, stdout, stderr] });
  stack.defer(() => child.kill("SIGKILL")); // has no effect if the child has ended
  const ended = once(child, "exit") as Promise<[number | null, string | null]>;
  ended.catch(() => {}); // prevents an unhandled rejection; `await ended` throws the error below
  for (const fd of [stdin, stdout, stderr]) closeEnd(fd); // otherwise the pipes would not end with the child

  let isTimedOut = false;
  const timer = timeout === undefined ? undefined : setTimeout(() => {
    isTimedOut = true;
    child.kill("SIGKILL");
    selector.close(); // ends the loop
  }, timeout * 1000);
  stack.defer(() => clearTimeout(timer));

  for await (const [{ fd, data: handle }] of selector) {
    if (handle()) continue;
    selector.unregister(fd);
    closeEnd(fd);
    if (selector.getMap()!.size === 0) selector.close(); // getMap() is null only after close()
  }
  const [code, signal] = await ended;
  // After the timeout, some pipes may still be open. One read of 64 KiB empties a pipe of the default size; a loop might
  // never end, because a background process may still write to the pipe.
  for (const fd of output.keys()) if (open.has(fd)) receive(fd);
  const [out, error] = await Promise.all([...output.values()].map((chunks) => new Blob(chunks).bytes()));
  return { code, signal, stdout: out!, stderr: error!, isTimedOut };

  /** Writes as much input as the pipe takes; returns false if there is no more to write. */
  function send(): boolean {
    const count = input.length === 0 ? 0 : nullOn("EPIPE", () => write(toChild, input));
    input = input.subarray(count ?? input.length); // null: the child has closed its input, which is not an error
    return input.length > 0;
  }

  /** Reads output; returns false at its end. */
  function receive(fd: number): boolean {
    const count = nullOn("EAGAIN", () => read(fd, buffer));
    if (count !== null) output.get(fd)!.push(buffer.slice(0, count));
    return count !== 0;
  }

  function openPipe(): [reader: number, writer: number] {
    const ends = pipe();
    for (const fd of ends) open.add(fd);
    return ends;
  }

  function closeEnd(fd: number): void {
    open.delete(fd);
    close(fd);
  }
}

/** Returns the result of a function, or null if it fails with this error code. */
function nullOn<T>(code: string, action: () => T): T | null {
  try {
    return action();
  } catch (error) {
    if (error instanceof OSError && error.code === code) return null;
    throw error;
  }
}

if (import.meta.main) {
  const sorted = await communicate("sort", [], { input: new TextEncoder().encode("pear\napple\n") });
  console.log(`sort printed ${JSON.stringify(new TextDecoder().decode(sorted.stdout))}`);
  const late = await communicate("sh", ["-c", "echo started; exec sleep 60"], { timeout: 1 });
  console.log(`sleep was ended by ${late.signal}; it printed ${JSON.stringify(new TextDecoder().decode(late.stdout))}`);
}
