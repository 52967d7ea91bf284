/**
 * The writer of `delivery.ts`: when it is told, it waits until the other side sleeps, notes the time, and writes a byte.
 *
 * @module
 */

import { write } from "../ffi/socket/mod.ts";
import { nowNs } from "./clock.ts";

/** So long after the word the other side sleeps. */
const PAUSE_NS = 400_000;

const byte = new Uint8Array(1);

// What a Worker's own scope has; this file is checked as one of a window's.
const scope = self as unknown as {
  onmessage: (event: MessageEvent<{ fd: number; buffer: SharedArrayBuffer }>) => void;
  postMessage(message: unknown): void;
  close(): void;
};

scope.onmessage = ({ data: { fd, buffer } }) => {
  const rounds = new Int32Array(buffer, 0, 1);
  const time = new Float64Array(buffer, 8, 1);
  scope.postMessage("ready");
  for (let round = 0; Atomics.wait(rounds, 0, round) !== "timed-out"; round++) {
    if (Atomics.load(rounds, 0) < 0) return scope.close();
    for (const start = nowNs(); nowNs() - start < PAUSE_NS;);
    time[0] = nowNs();
    write(fd, byte);
  }
};
