/**
 * Opens C functions so that their errno can be read, and turns a result of -1 into `-errno`.
 *
 * ## How errno is read, and why
 *
 * Deno's foreign functions do not save errno, and V8 may run between the return of a call and the next step of the
 * program. A garbage collection waits on futexes and leaves `EAGAIN`, the value that a non-blocking program relies on.
 * On entry to a function, V8 may begin to compile it, which looks for files that do not exist and leaves `ENOENT`. Four
 * rules prevent both:
 *
 * - A function that can fail is declared with an `i32` result, even where C says `ssize_t`: an `isize` becomes a
 *   BigInt, and allocating one may start a garbage collection.
 * - The call is the first argument of {@linkcode result}, and errno is the second, read from a view of the thread's
 *   errno: `result(libc.recv(...), errnoCell[0])`. Arguments are evaluated in order, and no function is entered between
 *   the two.
 * - A nonblocking function runs on another thread, which has an errno of its own. The caller detects its failure in
 *   another way.
 * - A call that cannot fail with `EAGAIN` is repeated if errno is `EAGAIN`, because the value comes from a garbage
 *   collection.
 *
 * Winsock has `WSAGetLastError()` in place of errno. A call to it is the second argument of {@linkcode result}.
 *
 * The result of a failed call is a negative number, `-errno`, as in the kernel itself. Would-block and interruption are
 * frequent, and a number needs neither an exception nor an allocation.
 *
 * @module
 */

import { OSError } from "./errno.ts";
import { type Functions, lazy, lazyLibrary, openLibrary } from "./library.ts";
import { type Library, system } from "./systems.ts";

/** View of this thread's errno. If the permission does not allow such a view: a copy, which `refresh` updates. */
export let errnoCell: Int32Array = new Int32Array(1);
let refresh: (() => void) | null = null;

const findErrno = lazy(() => {
  const name = system.errnoLocation!;
  const libc = openLibrary("libc", {
    // int *__errno_location(void), and the same function with the address as a number
    location: { name, parameters: [], result: "pointer" },
    address: { name, parameters: [], result: "usize" },
    // void *memcpy(void *dest, const void *src, size_t n)
    memcpy: { parameters: ["buffer", "usize", "usize"], result: "void" },
  });
  if (Deno.permissions.querySync({ name: "ffi" }).state === "granted") {
    errnoCell = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(libc.location()!, 4));
  } else {
    // --allow-ffi=<path of the C library> permits its functions, but not pointers, so result() copies errno. If V8
    // compiles result() on entry, errno may be lost before it is copied: this is rare, and nothing prevents it.
    const address = libc.address();
    const { memcpy } = libc;
    refresh = () => memcpy(errnoCell, address, 4n);
  }
});

/** Version 2.2 of Winsock, and the size of the struct that describes it. */
const WINSOCK_VERSION = 0x0202;
const WSADATA_SIZE = 408;

/**
 * Starts Winsock, which rejects every earlier call. Winsock is never stopped, because a socket may be used until the
 * process ends.
 */
const startWinsock = lazy(() => {
  const { WSAStartup } = openLibrary("winsock", {
    // int WSAStartup(WORD wVersionRequested, WSADATA *lpWSAData)
    WSAStartup: { parameters: ["u16", "buffer"], result: "i32" },
  });
  const failure = WSAStartup(WINSOCK_VERSION, new Uint8Array(WSADATA_SIZE));
  if (failure !== 0) throw new OSError("WSAStartup", failure);
});

/** Prepares for reading errors; later calls do nothing. */
const prepareErrors = system.errnoLocation === null ? startWinsock : findErrno;

/**
 * Declares functions of the C library; the first call of the returned function opens them.
 *
 * That call finds errno first, because finding errno makes calls that change it.
 */
export function lazyLibc<const Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
): () => Functions<Symbols> {
  return lazyLibrary(() => openWithErrno("libc", symbols));
}

/** Declares functions that convert and resolve addresses, like {@linkcode lazyLibc}. */
export function lazyResolver<const Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
): () => Functions<Symbols> {
  return lazyLibrary(() => openWithErrno("resolver", symbols));
}

/** Opens a library whose functions report errors in errno or with `WSAGetLastError()`. */
export function openWithErrno<const Symbols extends Deno.ForeignLibraryInterface>(
  library: Library,
  symbols: Symbols,
): Functions<Symbols> {
  prepareErrors();
  return openLibrary(library, symbols);
}

/**
 * Returns the result of a C function, or `-errno` for -1.
 *
 * @param returned The result; write the call itself as this argument
 * @param errno Value of {@linkcode errnoCell} after the call, or of `WSAGetLastError()`
 */
export function result(returned: number, errno: number): number {
  if (returned !== -1) return returned;
  if (refresh === null) return -errno;
  refresh();
  return -errnoCell[0]!;
}
