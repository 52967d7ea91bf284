/**
 * A Worker that acts while the main thread waits: it writes to a file descriptor or wakes a selector.
 *
 * @module
 */

import { wake } from "../../mod.ts";
import { real, shim } from "./shim.ts";

/** A task for the Worker. The Worker gives up when the shared integer is 0, and always answers. */
export type Order = { isWanted: Int32Array<SharedArrayBuffer> } & ({ write: number } | { wake: number });

/** The result of a task. An error comes from `wake()`, which the Worker then repeated without a fault. */
export type Answer = { isDone: boolean; error?: unknown };

const scope = self as unknown as { onmessage: (event: MessageEvent<Order>) => void; postMessage(answer: Answer): void };

scope.onmessage = ({ data }) => {
  while (shim.waiting() === 0) {
    if (Atomics.load(data.isWanted, 0) === 0) return scope.postMessage({ isDone: false });
    real.usleep(100);
  }
  if ("write" in data) {
    real.write(data.write, new Uint8Array(1), 1n);
    return scope.postMessage({ isDone: true });
  }
  try {
    wake(data.wake);
    scope.postMessage({ isDone: true });
  } catch (error) {
    // The main thread still waits, and only this Worker can wake it.
    shim.clear();
    wake(data.wake);
    const { name, message, code } = error as { name: string; message: string; code?: string };
    scope.postMessage({ isDone: true, error: { name, message, code } });
  }
};

scope.postMessage({ isDone: true });
