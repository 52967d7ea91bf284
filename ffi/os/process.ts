/**
 * The interface that `pidfd.ts` and `kqueue_process.ts` implement: a descriptor for the end of a process.
 *
 * @module
 */

/** A descriptor that becomes readable when a process ends, and stays readable. */
export interface ProcessDescriptor {
  /** Descriptor that becomes readable. */
  readonly fd: number;

  /**
   * Returns the wait status of the process, as wait(2) stores it.
   *
   * @returns Null while the process runs; undefined if it has ended and the system does not report its status
   */
  status(): number | undefined | null;

  /** Closes the descriptor. Call it once: a second call could close another file with the same number. */
  close(): void;
}

/** Text of ESRCH. */
export const NO_PROCESS =
  "No such process; create the ProcessExit right after spawn(), before an await lets Deno reap the child";
