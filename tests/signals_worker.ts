/**
 * Sends a signal to one thread every millisecond, whenever the shared memory says so.
 *
 * @module
 */

/** Parts of the shared memory. */
const RUN = 0;
const COUNT = 1;

const libc = Deno.dlopen("libc.so.6", {
  tgkill: { parameters: ["i32", "i32", "i32"], result: "i32" },
  usleep: { parameters: ["u32"], result: "i32" },
}).symbols;

const scope = self as unknown as { onmessage: (event: MessageEvent) => void; postMessage(message: unknown): void };

scope.onmessage = ({ data: { state, pid, tid, signal } }) => {
  scope.postMessage("started");
  for (;;) {
    Atomics.wait(state, RUN, 0);
    libc.usleep(1_000);
    if (libc.tgkill(pid, tid, signal) === 0) Atomics.add(state, COUNT, 1);
  }
};
