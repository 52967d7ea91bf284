/**
 * The Worker of `delivery.ts`. On request, it waits until the receiver sleeps, stores the time, and writes a byte.
 *
 * @module
 */

import { write } from "../ffi/socket/mod.ts";
import { nowNs } from "./clock.ts";

/** Time from the request until the receiver sleeps. */
const PAUSE_NS = 400_000;

const byte = new Uint8Array(1);

// Declares the members of a Worker's scope, because the type check treats this file as part of a window.
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
