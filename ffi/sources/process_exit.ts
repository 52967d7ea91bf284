/**
 * A process exit that a selector can wait for.
 *
 * @module
 */

import { numberError, show } from "../os/arguments.ts";
import { KqueueProcess } from "../os/kqueue_process.ts";
import { Pidfd } from "../os/pidfd.ts";
import type { ProcessDescriptor } from "../os/process.ts";
import { signalName } from "../os/signals.ts";
import { os, system } from "../os/systems.ts";

/** The result of a process, with two of the fields of `Deno.CommandStatus`. */
export interface ProcessResult {
  /** Exit code, or 128 + the signal number if a signal ended the process; undefined if the code is not known. */
  code: number | undefined;
  /** Signal that ended the process, or null. */
  signal: Deno.Signal | null;
}

/**
 * Becomes readable when a process ends, and stays readable until the object is closed.
 *
 * The process can be a child that `Deno.Command` has spawned, or any other process. The object does not reap the child:
 * unlike {@link https://man7.org/linux/man-pages/man2/waitpid.2.html | waitpid(2)}, it leaves the child's status in the
 * system, so `child.status` still works. Create the object right after `spawn()`. After an `await`, Deno may have
 * reaped the child, and the PID may belong to another process.
 *
 * Deno reaps children only while its event loop runs, and therefore not during a synchronous loop.
 *
 * The `code` of the result is undefined if the system does not report the exit code:
 *
 * - on Linux, if the process is a child of another process, which has not reaped it yet
 * - on Linux before 6.15, also if the process is not a child of this process, or if Deno reaps the child before the
 *   first `read()`
 * - on macOS, if the process is not a child of this process, or ended before the object was created
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
 * import { ProcessExit } from "@selectors/selectors/sources";
 * import { assertEquals } from "@std/assert";
 *
 * using selector = new DefaultSelector();
 * const child = new Deno.Command("sh", { args: ["-c", "exit 7"] }).spawn();
 * using exit = new ProcessExit(child.pid);
 * selector.register(exit, EVENT_READ);
 * selector.select(); // waits until the process has ended
 * assertEquals(exit.read(), { code: 7, signal: null });
 * await child.status;
 * ```
 */
export class ProcessExit implements Disposable {
  /** ID of the process. */
  readonly pid: number;
  #process: ProcessDescriptor | null;
  #result: ProcessResult | null = null;

  /**
   * Opens a descriptor for a process.
   *
   * @param pid ID of the process
   * @throws {RangeError} if `pid` is not an integer from 1 to `2^31-1`
   * @throws {TypeError} if `pid` is not a number
   * @throws {OSError} ESRCH if there is no such process, EMFILE or ENFILE if too many descriptors are open
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   * @throws {Deno.errors.NotSupported} on Windows, Solaris, illumos, and Linux before 5.3; use `child.status` there
   */
  constructor(pid: number) {
    const isPid = typeof pid === "number" && (pid | 0) === pid && pid > 0;
    if (!isPid) throw numberError(pid, `Cannot wait for process ${show(pid)}: use an integer from 1 to 2147483647`);
    this.pid = pid;
    this.#process = openProcess(pid);
  }

  /** True if the object is closed. */
  get closed(): boolean {
    return this.#process === null;
  }

  /** Returns the file descriptor, or -1 if the object is closed. */
  fileno(): number {
    return this.#process?.fd ?? -1;
  }

  /**
   * Returns the result of the process, or null while the process runs. Does not block. Once available, the result never
   * changes.
   *
   * @throws {Deno.errors.BadResource} if the object is closed
   */
  read(): ProcessResult | null {
    const process = this.#open("read");
    if (this.#result === null) {
      const status = process.status();
      if (status === null) return null;
      this.#result = resultOf(status);
    }
    return { ...this.#result };
  }

  /** Closes the descriptor, which does not affect the process. A second call has no effect. */
  close(): void {
    this.#process?.close();
    this.#process = null;
  }

  /** Closes the descriptor at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  #open(action: string): ProcessDescriptor {
    if (this.#process !== null) return this.#process;
    throw new Deno.errors.BadResource(`Cannot ${action}: the ProcessExit is closed`);
  }
}

/** Decodes a wait status: 7 bits for a signal, 1 bit for a core dump, and 8 bits for an exit code. */
function resultOf(status: number | undefined): ProcessResult {
  if (status === undefined) return { code: undefined, signal: null };
  const signal = status & 0x7f;
  return signal === 0 ? { code: status >> 8 & 0xff, signal: null } : { code: 128 + signal, signal: signalName(signal) };
}

function openProcess(pid: number): ProcessDescriptor {
  switch (system.process) {
    case "pidfd":
      return new Pidfd(pid);
    case "kqueue":
      return new KqueueProcess(pid);
    default:
      throw new Deno.errors.NotSupported(
        `Cannot wait for process ${pid}: ${os} has no descriptors for processes; use the status of Deno.ChildProcess`,
      );
  }
}
