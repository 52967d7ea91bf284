/**
 * Sends a signal to one thread every millisecond while a flag in the shared memory is set.
 *
 * @module
 */

/** Indices of the shared memory. */
const RUN = 0;
const COUNT = 1;

const scope = self as unknown as { onmessage: (event: MessageEvent) => void; postMessage(message: unknown): void };

scope.onmessage = ({ data: { state, library, thread, signal } }) => {
  const libc = Deno.dlopen(library, {
    // int pthread_kill(pthread_t thread, int sig)
    pthread_kill: { parameters: ["usize", "i32"], result: "i32" },
    usleep: { parameters: ["u32"], result: "i32" },
  }).symbols;
  scope.postMessage("started");
  for (;;) {
    Atomics.wait(state, RUN, 0);
    libc.usleep(1_000);
    if (libc.pthread_kill(thread, signal) === 0) Atomics.add(state, COUNT, 1);
  }
};
