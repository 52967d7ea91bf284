/**
 * Interrupts the system calls of the thread that imports it, when asked.
 *
 * The Worker that does it is started once, by the import, and stays: Deno keeps some of a Worker's descriptors open after
 * its end, which would look like a test's.
 *
 * @module
 */

import { os } from "../../ffi/os/systems.ts";
import { LIBC, libc } from "./util.ts";

/** A signal that does nothing without a listener, and interrupts calls with one: on macOS and the BSDs, and on Linux. */
const SIGURG = os === "darwin" || os === "freebsd" || os === "netbsd" ? 16 : 23;

/** Parts of the memory that is shared with the Worker. */
const RUN = 0;
const COUNT = 1;
const state = new Int32Array(new SharedArrayBuffer(8));

/** Whether the system has signals that interrupt calls. */
export const hasSignals: boolean = libc !== null;

if (libc !== null) {
  Deno.addSignalListener("SIGURG", () => {});
  const worker = new Worker(import.meta.resolve("./signals_worker.ts"), { type: "module" });
  const started = new Promise((resolve) => worker.onmessage = resolve);
  worker.postMessage({ state, library: LIBC, thread: libc.pthread_self(), signal: SIGURG });
  await started;
}

/** Calls a function while this thread is interrupted every millisecond; gives how often it was. */
export async function interrupted(body: () => void | Promise<void>): Promise<number> {
  Atomics.store(state, COUNT, 0);
  Atomics.store(state, RUN, 1);
  Atomics.notify(state, RUN);
  try {
    await body();
  } finally {
    Atomics.store(state, RUN, 0);
  }
  return Atomics.load(state, COUNT);
}
