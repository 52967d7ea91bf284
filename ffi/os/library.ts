/**
 * Opens foreign libraries. Nothing else in the package calls `Deno.dlopen`, except the Worker of `signal_worker.ts`,
 * which cannot import this file.
 *
 * Every library is opened at its first use, so that importing the package succeeds on every system and without
 * `--allow-ffi`.
 *
 * @module
 */

import { arch, type Library, type Os, os, system } from "./systems.ts";

/** Functions of a library that was opened with `Symbols`. */
export type Functions<Symbols extends Deno.ForeignLibraryInterface> = Deno.DynamicLibrary<Symbols>["symbols"];

/** Returns a function that calls `make` at its first call, and returns the same result at every call. */
export function lazy<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

const openers: (() => unknown)[] = [];

/** Returns {@linkcode lazy} for a function that opens a library; {@linkcode openLibraries} calls it too. */
export function lazyLibrary<T>(open: () => T): () => T {
  const opened = lazy(open);
  openers.push(opened);
  return opened;
}

/**
 * Opens the libraries of all imported modules of the package now, instead of at their first use.
 *
 * A library stays open until the process ends, and Deno counts it as a leak of the test that used it first. Such a test
 * fails if it has `sanitizeResources`. To avoid that, call this function at the top of the test file.
 *
 * @throws {Deno.errors.NotCapable} without `--allow-ffi`
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, openLibraries } from "@selectors/selectors";
 *
 * openLibraries();
 *
 * Deno.test({
 *   name: "a selector can be closed",
 *   sanitizeResources: true,
 *   fn: () => new DefaultSelector().close(),
 * });
 * ```
 */
export function openLibraries(): void {
  for (const open of openers) {
    try {
      open();
    } catch (error) {
      // NotSupported: the system does not have this library, or the library does not have all functions.
      if (!(error instanceof Deno.errors.NotSupported)) throw error;
    }
  }
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
  const { libraries } = system;
  const files = libraries[library];
  if (files === undefined) {
    // On an unknown system, DefaultSelector would fail in the same way.
    const isKnown = Object.keys(libraries).length > 0;
    const reason = isKnown ? "this system has no such library; use DefaultSelector" : "this system is not supported";
    throw notSupported(library, reason);
  }
  const failures: string[] = [];
  for (const file of permitted(library, files)) {
    try {
      return Deno.dlopen(file, symbols).symbols;
    } catch (error) {
      failures.push(`${file}: ${error instanceof Error ? error.message : error}`);
    }
  }
  throw notSupported(library, failures.join("; "));
}

function notSupported(library: Library, reason: string): Error {
  return new Deno.errors.NotSupported(`Cannot open ${library} on ${os} ${arch}: ${reason}`);
}

/**
 * Returns the files of a library that may be opened, most likely first, for a Worker that opens the library itself.
 *
 * @throws {Deno.errors.NotCapable} if foreign functions are not permitted; the message names the flag
 */
export function filesOf(library: Library): readonly string[] {
  return permitted(library, system.libraries[library] ?? []);
}

/** Functions that replace those of a library, and the system that they imitate. */
interface StandIn {
  functions: unknown;
  system: Os;
}

const standIns = new Map<Library, StandIn>();

/**
 * Replaces the functions of a library, so that tests can imitate another kernel.
 *
 * @param functions The functions, by name
 * @param system System whose layouts and constants the functions use
 */
export function standIn(library: Library, functions: unknown, system: Os): void {
  standIns.set(library, { functions, system });
}

/** Returns true if this system has a library; opens nothing and needs no permission. */
export function hasLibrary(library: Library): boolean {
  return standIns.has(library) || system.libraries[library] !== undefined;
}

/**
 * Declares functions of a library that may have a stand-in.
 *
 * @returns A function that opens them at its first call, and returns them and their system
 */
export function lazySystem<const Symbols extends Deno.ForeignLibraryInterface>(
  library: Library,
  open: () => Functions<Symbols>,
): () => { functions: Functions<Symbols>; system: Os } {
  // openLibraries() does not open libkqueue, because it is not part of the system.
  const real = (system.best === library ? lazyLibrary : lazy)(() => ({ functions: open(), system: os }));
  return () => (standIns.get(library) as ReturnType<typeof real> | undefined) ?? real();
}

/**
 * Returns the files that may be opened.
 *
 * Without unrestricted `--allow-ffi`, Deno looks for a bare name in the current directory, even right after a "yes" to
 * the prompt (denoland/deno#29246). So if the permission is granted or denied only for some paths, this function
 * returns only absolute names. The prompt asks for the unrestricted permission.
 */
function permitted(library: Library, files: readonly string[]): readonly string[] {
  if (hasWholePermission()) return files;
  const paths = files.filter((file) => /^(\/|C:)/.test(file));
  const states = paths.map((path) => Deno.permissions.querySync({ name: "ffi", path }).state);
  // If one file of the library is denied, all of them are.
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
