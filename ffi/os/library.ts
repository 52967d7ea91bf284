/**
 * Opens foreign libraries. Nothing else in the package calls `Deno.dlopen`.
 *
 * Every library is opened at its first use, so that importing the package succeeds on every system and without
 * `--allow-ffi`.
 *
 * @module
 */

import { arch, type Library, type Os, os, system } from "./systems.ts";

/** The functions of a library that was opened with `Symbols`. */
export type Functions<Symbols extends Deno.ForeignLibraryInterface> = Deno.DynamicLibrary<Symbols>["symbols"];

/** Calls `make` the first time that the returned function is called, and remembers its result. */
export function lazy<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/**
 * Opens a library of this system.
 *
 * @throws {Deno.errors.NotCapable} if foreign functions are not permitted; the message names the flag
 * @throws {Deno.errors.NotSupported} if this system does not have the library
 */
export function openLibrary<const Symbols extends Deno.ForeignLibraryInterface>(
  library: Library,
  symbols: Symbols,
): Functions<Symbols> {
  const failures: string[] = [];
  for (const file of permitted(library, system.libraries[library] ?? [])) {
    try {
      return Deno.dlopen(file, symbols).symbols;
    } catch (error) {
      failures.push(`${file}: ${error instanceof Error ? error.message : error}`);
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
 * @param functions The functions, by the names with which the library is opened
 * @param system The system whose layouts and constants they speak
 */
export function standIn(library: Library, functions: unknown, system: Os): void {
  standIns.set(library, { functions, system });
}

/** Returns true if this system has a library, without opening it and so without a permission. */
export function hasLibrary(library: Library): boolean {
  return standIns.has(library) || system.libraries[library] !== undefined;
}

/**
 * Declares functions of a library that may have a stand-in.
 *
 * @returns A function that returns them and their system; they are opened at its first call
 */
export function lazySystem<const Symbols extends Deno.ForeignLibraryInterface>(
  library: Library,
  open: () => Functions<Symbols>,
): () => { functions: Functions<Symbols>; system: Os } {
  const real = lazy(() => ({ functions: open(), system: os }));
  return () => (standIns.get(library) as ReturnType<typeof real> | undefined) ?? real();
}

/**
 * Returns the files that may be opened.
 *
 * With anything but the whole of `--allow-ffi`, Deno joins a bare name to the current directory, and does so even when its
 * user has just answered "yes" to the prompt (denoland/deno#29246). So only absolute names are tried under a grant for a
 * path, or beside a denial of some path, and the prompt asks for the whole permission.
 */
function permitted(library: Library, files: readonly string[]): readonly string[] {
  if (hasWholePermission()) return files;
  const paths = files.filter((file) => /^(\/|C:)/.test(file));
  const states = paths.map((path) => Deno.permissions.querySync({ name: "ffi", path }).state);
  // A denial of one name of the library is meant for all of them.
  if (!states.includes("denied")) {
    const granted = paths.filter((_, index) => states[index] === "granted");
    if (granted.length > 0) return granted;
    if (Deno.permissions.requestSync({ name: "ffi" }).state === "granted" && hasWholePermission()) return files;
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
