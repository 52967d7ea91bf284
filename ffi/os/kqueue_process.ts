/**
 * Reports the end of a process with kqueue (macOS, FreeBSD, NetBSD).
 *
 * @module
 */

import { errnoCell, lazyLibc, result } from "./call.ts";
import { EACCES, ESRCH, OSError } from "./errno.ts";
import { KqueueWatch } from "./kqueue_watch.ts";
import { NO_PROCESS, type ProcessDescriptor } from "./process.ts";

const KQ_NOTE_EXIT = 0x8000_0000;

const libc = lazyLibc({
  // int kill(pid_t pid, int sig)
  kill: { parameters: ["i32", "i32"], result: "i32" },
});

/** A kqueue that reports the end of a process. */
export class KqueueProcess implements ProcessDescriptor {
  readonly #watch = new KqueueWatch();
  // Wait status, undefined if it is not known, null while the process runs.
  #status: number | undefined | null = null;
  #hasStatus = true;

  /** Opens a kqueue for a process. */
  constructor(pid: number) {
    const { filters, exitStatus } = this.#watch.system;
    let outcome = this.#watch.add(pid, filters.PROC, 0, KQ_NOTE_EXIT | exitStatus, 0);
    if (outcome === -EACCES && exitStatus !== 0) {
      this.#hasStatus = false; // macOS reports the status only to the parent
      outcome = this.#watch.add(pid, filters.PROC, 0, KQ_NOTE_EXIT, 0);
    }
    if (outcome === -ESRCH && exists(pid)) {
      // The process is a child that has ended, and Deno has not reaped it yet: macOS does not watch such a process.
      this.#status = undefined;
      this.#watch.trigger();
    } else if (outcome < 0) {
      this.#watch.close();
      const meaning = outcome === -ESRCH ? { text: NO_PROCESS } : {};
      throw new OSError("kevent", -outcome, `process ${pid}`, meaning);
    }
  }

  get fd(): number {
    return this.#watch.fd;
  }

  status(): number | undefined | null {
    if (this.#status !== null) return this.#status;
    const event = this.#watch.take();
    if (event === null) return null;
    this.#status = this.#hasStatus ? Number(event.data) : undefined;
    this.#watch.trigger(); // because take() removed the event, and the descriptor has to stay readable
    return this.#status;
  }

  close(): void {
    this.#watch.close();
  }
}

function exists(pid: number): boolean {
  return result(libc().kill(pid, 0), errnoCell[0]!) !== -ESRCH;
}
