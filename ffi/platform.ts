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
const LIBC_NAMES: Readonly<Record<Os, readonly string[]>> = {
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
  aix: [],
  windows: [],
};

/** The functions of a library that was opened with `Symbols`. */
export type Functions<Symbols extends Deno.ForeignLibraryInterface> = Deno.DynamicLibrary<Symbols>["symbols"];

/** Calls `make` the first time the returned function is called, and remembers what it gave. */
export function lazy<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/**
 * Opens the C library of this system.
 *
 * @throws {Deno.errors.NotCapable} if foreign functions are not permitted; the message names the flag
 * @throws {Deno.errors.NotSupported} if this system has no C library that is known here
 */
export function openLibc<const Symbols extends Deno.ForeignLibraryInterface>(symbols: Symbols): Functions<Symbols> {
  return openFirst(LIBC_NAMES[os], symbols);
}

function openFirst<const Symbols extends Deno.ForeignLibraryInterface>(
  names: readonly string[],
  symbols: Symbols,
): Functions<Symbols> {
  const failures: string[] = [];
  for (const name of permitted(names)) {
    try {
      return Deno.dlopen(name, symbols).symbols;
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  throw new Deno.errors.NotSupported(
    `Cannot open the C library on ${os} ${arch}: ${failures.join("; ") || "no name for it is known"}`,
  );
}

/**
 * The names that may be opened.
 *
 * With anything but the whole of `--allow-ffi`, Deno joins a bare name to the current directory, and does so even when
 * its user has just answered "yes" to the prompt (denoland/deno#29246). So only absolute names are tried under a grant
 * for a path, and the prompt asks for the whole permission.
 */
function permitted(names: readonly string[]): readonly string[] {
  if (Deno.permissions.querySync({ name: "ffi" }).state === "granted") return names;
  const granted = names.filter((name) =>
    name.startsWith("/") && Deno.permissions.querySync({ name: "ffi", path: name }).state === "granted"
  );
  if (granted.length > 0) return granted;
  if (Deno.permissions.requestSync({ name: "ffi" }).state === "granted") return names;
  throw new Deno.errors.NotCapable(
    "Cannot open the C library: foreign functions are not permitted; run Deno with --allow-ffi",
  );
}
