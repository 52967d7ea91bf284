/**
 * Measures the cost of importing the package, and of a registration.
 *
 * Usage: `footprint.ts import <module>` prints `{"ms": …, "libraries": …}`: the time to import a module, and the number
 * of libraries that the import opens. `footprint.ts register` prints `{"bytes": …}`: the memory of one registered
 * descriptor, in the heap and in external buffers; it needs `--v8-flags=--expose-gc`.
 *
 * @module
 */

const KEYS = 10_000;

async function timeImport(module: string): Promise<{ ms: number; libraries: number }> {
  let libraries = 0;
  const { dlopen } = Deno;
  Deno.dlopen = ((...args: Parameters<typeof dlopen>) => {
    libraries++;
    return dlopen(...args);
  }) as typeof dlopen;
  const start = performance.now();
  await import(module);
  return { ms: performance.now() - start, libraries };
}

function usedBytes(): number {
  (globalThis as unknown as { gc(): void }).gc();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

async function measureKeys(): Promise<{ bytes: number }> {
  const { EpollSelector, EVENT_READ } = await import("../mod.ts");
  const { idleEventfds } = await import("./eventfd.ts");
  const fds = idleEventfds(KEYS);
  // The first registration allocates more, so it is not measured.
  const first = new EpollSelector();
  first.register(fds[0]!, EVENT_READ);
  using selector = new EpollSelector();
  const before = usedBytes();
  for (const fd of fds) selector.register(fd, EVENT_READ);
  return { bytes: (usedBytes() - before) / KEYS };
}

const [what, module] = Deno.args;
console.log(JSON.stringify(what === "import" ? await timeImport(module!) : await measureKeys()));
