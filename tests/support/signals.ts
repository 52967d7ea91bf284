/**
 * Interrupts system calls of the importing thread with signals.
 *
 * The import starts the Worker that sends the signals. The Worker is never terminated, because Deno keeps some of a
 * Worker's descriptors open after its end, and the test would appear to leak them.
 *
 * @module
 */

import { os } from "../../ffi/os/systems.ts";
import { LIBC, libc } from "./util.ts";

/** SIGURG, which has no effect without a listener: its number on macOS and the BSDs, and on Linux. */
const SIGURG = os === "darwin" || os === "freebsd" || os === "netbsd" ? 16 : 23;

/** Indices of the shared memory. */
const RUN = 0;
const COUNT = 1;
const state = new Int32Array(new SharedArrayBuffer(8));

if (libc !== null) {
  Deno.addSignalListener("SIGURG", () => {});
  const worker = new Worker(import.meta.resolve("./signals_worker.ts"), { type: "module" });
  const started = new Promise((resolve) => worker.onmessage = resolve);
  worker.postMessage({ state, library: LIBC, thread: libc.pthread_self(), signal: SIGURG });
  await started;
}

/** Calls a function while signals interrupt this thread every millisecond, and returns the number of signals. */
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
