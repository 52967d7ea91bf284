/**
 * Makes system calls of a program fail on demand (Linux). Deno preloads this module:
 *
 * ```sh
 * deno run --allow-all --preload "file:///…/tests/support/example_faults.ts?/tmp/faults" examples/echo_server.ts
 * echo 2 > /tmp/faults/register # the next two registrations fail
 * ```
 *
 * It replaces `Deno.dlopen`, so that each call of a system function first checks for such a file.
 *
 * @module
 */

/** Calls that can fail, and their errno. */
const ERRNO = {
  accept: 24, // EMFILE
  register: 28, // ENOSPC
  modify: 12, // ENOMEM
  send: 11, // EAGAIN: the socket's buffer is full
} as const;

/** A call that can fail; "lose" closes an accepted descriptor before the program gets its number. */
export type Fault = keyof typeof ERRNO | "lose";

type Call = (...args: number[]) => number;

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_MOD = 3;

/** Creates the replacement for each function. */
const REPLACEMENTS: Readonly<Record<string, (real: Call) => Call>> = {
  accept4: (real) => (...args) => {
    if (isDue("accept")) return failure("accept");
    const fd = real(...args);
    if (fd !== -1 && isDue("lose")) libc!.close(fd);
    return fd;
  },
  epoll_ctl: (real) => (...args) => {
    const [, op] = args;
    if (op === EPOLL_CTL_ADD && isDue("register")) return failure("register");
    if (op === EPOLL_CTL_MOD && isDue("modify")) return failure("modify");
    return real(...args);
  },
  send: (real) => (...args) => isDue("send") ? failure("send") : real(...args),
};

const directory = decodeURIComponent(new URL(import.meta.url).search.slice(1));
const { dlopen } = Deno;
let libc: ReturnType<typeof openLibc> | undefined;

function openLibc(name: string) {
  const { symbols: { close, location } } = dlopen(name, {
    close: { parameters: ["i32"], result: "i32" },
    location: { name: "__errno_location", parameters: [], result: "pointer" },
  });
  return { close, errno: new Int32Array(Deno.UnsafePointerView.getArrayBuffer(location()!, 4)) };
}

/** Returns true if a call has to fail, and counts the failure. */
function isDue(fault: Fault): boolean {
  const path = `${directory}/${fault}`;
  try {
    const left = Number(Deno.readTextFileSync(path)) - 1;
    if (left > 0) Deno.writeTextFileSync(path, String(left));
    else Deno.removeSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function failure(call: keyof typeof ERRNO): number {
  libc!.errno[0] = ERRNO[call];
  return -1;
}

Object.assign(Deno, {
  dlopen(name: string, declarations: Deno.ForeignLibraryInterface) {
    const library = dlopen(name, declarations);
    libc ??= openLibc(name);
    const symbols: Record<string, unknown> = { ...library.symbols };
    for (const [call, replacementOf] of Object.entries(REPLACEMENTS)) {
      if (typeof symbols[call] === "function") symbols[call] = replacementOf(symbols[call] as Call);
    }
    return { symbols, close: () => library.close() };
  },
});

const { Worker } = globalThis;
if (Worker !== undefined) {
  // Deno does not preload modules in a Worker.
  globalThis.Worker = class extends Worker {
    constructor(specifier: string | URL, options?: WorkerOptions) {
      const source = [import.meta.url, specifier].map((url) => `import ${JSON.stringify(url)};`).join("");
      super(`data:application/javascript,${encodeURIComponent(source)}`, options);
    }
  };
}
