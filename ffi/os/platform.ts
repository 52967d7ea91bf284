/**
 * What differs from system to system, and the only door to foreign libraries.
 *
 * Nothing else in the package reads `Deno.build` or calls `Deno.dlopen`. Everything is opened lazily, so that importing
 * the package succeeds on every system and without `--allow-ffi`.
 *
 * @module
 */

const { os, arch } = Deno.build;

/** Operating systems that Deno knows. */
export type Os = typeof Deno.build.os;

/** Processor architectures that Deno knows. */
export type Arch = typeof Deno.build.arch;

export { arch, os };

/**
 * File names of the C library, the likeliest first.
 *
 * glibc's `libc.so` is a linker script, which is why the version stands in the name. macOS keeps the library in its
 * dyld cache, not on disk. A bare name needs the whole of `--allow-ffi`; an absolute one can be granted alone.
 */
const LIBC: Readonly<Partial<Record<Os, readonly string[]>>> = {
  linux: [
    "libc.so.6",
    `/lib/${arch}-linux-gnu/libc.so.6`,
    `/usr/lib/${arch}-linux-gnu/libc.so.6`,
    "/lib64/libc.so.6",
    "/usr/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
    "/lib/libc.so.6",
    `libc.musl-${arch}.so.1`,
    `/lib/libc.musl-${arch}.so.1`,
    `/lib/ld-musl-${arch}.so.1`,
  ],
  android: ["libc.so", "/system/lib64/libc.so"],
  darwin: ["libSystem.B.dylib", "/usr/lib/libSystem.B.dylib"],
  freebsd: ["libc.so.7", "/lib/libc.so.7"],
  netbsd: ["libc.so.12", "/lib/libc.so.12"],
  solaris: ["libc.so.1", "/lib/64/libc.so.1"],
  illumos: ["libc.so.1", "/lib/64/libc.so.1"],
};

/** File names of Winsock. */
const WINSOCK: readonly string[] = ["ws2_32.dll", "C:\\Windows\\System32\\ws2_32.dll"];

/** The libraries that are opened, and the names of their files on each system that has them. */
const LIBRARIES = {
  /** The C library: descriptors, sockets, and most calls that wait. */
  libc: LIBC,
  /** Winsock. */
  winsock: { windows: WINSOCK },
  /** What converts and resolves addresses, by the same functions everywhere. */
  resolver: { ...LIBC, windows: WINSOCK },
  /** What reads memory by its address. */
  memory: { ...LIBC, windows: ["msvcrt.dll", "C:\\Windows\\System32\\msvcrt.dll"] },
  /** What knows of every handle of Windows whether child processes inherit it. */
  handles: { windows: ["kernel32.dll", "C:\\Windows\\System32\\kernel32.dll"] },
  /** What has kqueue() and kevent(): the C library of the BSDs, and a library over epoll on Linux. */
  kqueue: {
    darwin: LIBC.darwin,
    freebsd: LIBC.freebsd,
    netbsd: LIBC.netbsd,
    linux: ["libkqueue.so.0", `/usr/lib/${arch}-linux-gnu/libkqueue.so.0`, "/usr/lib64/libkqueue.so.0"],
  },
  /** What opens and drives /dev/poll. */
  devpoll: { solaris: LIBC.solaris, illumos: LIBC.illumos },
} as const satisfies Record<string, Readonly<Partial<Record<Os, readonly string[] | undefined>>>>;

/** A library that can be opened, by the name that it has here. */
export type Library = keyof typeof LIBRARIES;

/** The functions of a library that was opened with `Symbols`. */
export type Functions<Symbols extends Deno.ForeignLibraryInterface> = Deno.DynamicLibrary<Symbols>["symbols"];

/** Calls `make` the first time the returned function is called, and remembers what it gave. */
export function lazy<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/**
 * Opens a library of this system.
 *
 * @throws {Deno.errors.NotCapable} if foreign functions are not permitted; the message names the flag
 * @throws {Deno.errors.NotSupported} if this system has no such library
 */
export function openLibrary<const Symbols extends Deno.ForeignLibraryInterface>(
  library: Library,
  symbols: Symbols,
): Functions<Symbols> {
  const names = (LIBRARIES[library] as Partial<Record<Os, readonly string[]>>)[os] ?? [];
  const failures: string[] = [];
  for (const name of permitted(library, names)) {
    try {
      return Deno.dlopen(name, symbols).symbols;
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  throw new Deno.errors.NotSupported(
    `Cannot open ${library} on ${os} ${arch}: ${
      failures.join("; ") || "this system has no such library; use DefaultSelector"
    }`,
  );
}

/** Functions in the place of a library's, and the system that they pretend to be. */
interface StandIn {
  functions: unknown;
  system: Os;
}

const standIns = new Map<Library, StandIn>();

/**
 * Puts functions in the place of a library's, for tests of kernels that are not at hand.
 *
 * @param library Whose place
 * @param functions The functions, by the names that the library is opened with
 * @param system The system whose layouts and constants they speak
 */
export function standIn(library: Library, functions: unknown, system: Os): void {
  standIns.set(library, { functions, system });
}

/** Tells whether this system has a library at all, without opening it and so without a permission. */
export function hasLibrary(library: Library): boolean {
  return standIns.has(library) || (LIBRARIES[library] as Partial<Record<Os, readonly string[]>>)[os] !== undefined;
}

/**
 * Declares functions of a library for which there may be a stand-in.
 *
 * @returns What gives the functions and the system that they are of; they are opened when it is first called
 */
export function lazySystem<const Symbols extends Deno.ForeignLibraryInterface>(
  library: Library,
  open: () => Functions<Symbols>,
): () => { functions: Functions<Symbols>; system: Os } {
  const real = lazy(() => ({ functions: open(), system: os }));
  return () => (standIns.get(library) as ReturnType<typeof real> | undefined) ?? real();
}

/**
 * The names that may be opened.
 *
 * With anything but the whole of `--allow-ffi`, Deno joins a bare name to the current directory, whatever lies there,
 * and does so even when its user has just answered "yes" to the prompt (denoland/deno#29246). So only absolute names are
 * tried under a grant for a path, or beside a denial of some path, and the prompt asks for the whole permission.
 */
function permitted(library: Library, names: readonly string[]): readonly string[] {
  if (hasWholePermission()) return names;
  const paths = names.filter((name) => /^(\/|C:)/.test(name));
  const states = paths.map((path) => Deno.permissions.querySync({ name: "ffi", path }).state);
  // Whoever denies the library by one of its names means all of them.
  if (!states.includes("denied")) {
    const granted = paths.filter((_, index) => states[index] === "granted");
    if (granted.length > 0) return granted;
    if (Deno.permissions.requestSync({ name: "ffi" }).state === "granted" && hasWholePermission()) return names;
  }
  throw new Deno.errors.NotCapable(
    `Cannot open ${library}: foreign functions are not permitted; run Deno with --allow-ffi` +
      (paths.length > 0 ? `, or with --allow-ffi=${paths[0]}` : ""),
  );
}

function hasWholePermission(): boolean {
  const { state, partial } = Deno.permissions.querySync({ name: "ffi" });
  return state === "granted" && partial !== true;
}
