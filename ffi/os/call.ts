/**
 * Calls of C functions: opens them so that errno can be read, and the only code that compares a result with -1.
 *
 * ## How errno is read, and why
 *
 * Deno's foreign functions do not save errno, and V8 may run between the return of a call and the next step of the program.
 * A garbage collection waits on futexes and leaves `EAGAIN`, the very value that a non-blocking program trusts. On entry to
 * a function, V8 may begin to compile it, which reads files that do not exist and leaves `ENOENT`. Four rules prevent both:
 *
 * - Whatever can fail is declared with an `i32` result, also where C says `ssize_t`: an `isize` becomes a BigInt, which
 *   is allocated, and an allocation may collect.
 * - errno is read from a view laid over the thread's own cell, in the list of arguments that begins with the call:
 *   `result(libc.recv(...), errnoCell[0])`. Arguments are evaluated in order, and no function is entered between the two.
 * - A function that cannot read errno so (a nonblocking one runs on another thread, whose errno is another cell) must
 *   find its failure out in another way.
 * - `EAGAIN` from a call that never gives it is a collection's, and means "ask again".
 *
 * Winsock has `WSAGetLastError()` in the place of errno: a call, which stands where the view does, in the arguments.
 *
 * From here on a failure is a negative number, `-errno`, as in the kernel itself: it needs no exception and no
 * allocation where would-block and interruption are everyday.
 *
 * @module
 */

import { OSError } from "./errno.ts";
import { type Functions, lazy, openLibrary } from "./library.ts";
import { type Library, system } from "./systems.ts";

/** View of this thread's errno; under a permission that forbids such a view, a copy that `refresh` makes. */
export let errnoCell: Int32Array = new Int32Array(1);
let refresh: (() => void) | null = null;

const findErrno = lazy(() => {
  const name = system.errnoLocation!;
  const libc = openLibrary("libc", {
    // int *__errno_location(void), and the same as a number
    location: { name, parameters: [], result: "pointer" },
    address: { name, parameters: [], result: "usize" },
    // void *memcpy(void *dest, const void *src, size_t n)
    memcpy: { parameters: ["buffer", "usize", "usize"], result: "void" },
  });
  if (Deno.permissions.querySync({ name: "ffi" }).state === "granted") {
    errnoCell = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(libc.location()!, 4));
  } else {
    // --allow-ffi=<path of the C library> permits its functions and no pointers. The copy is made in result(). On entry to
    // it errno may be lost, as rarely as V8 compiles it: here the window can only be kept small.
    const address = libc.address();
    const { memcpy } = libc;
    refresh = () => memcpy(errnoCell, address, 4n);
  }
});

/** Version 2.2 of Winsock, and the size of the struct that describes it. */
const WINSOCK_VERSION = 0x0202;
const WSADATA_SIZE = 408;

/** Starts Winsock, which rejects every call before that. It is never stopped: a socket may be used until the process ends. */
const startWinsock = lazy(() => {
  const { WSAStartup } = openLibrary("winsock", {
    // int WSAStartup(WORD wVersionRequested, WSADATA *lpWSAData)
    WSAStartup: { parameters: ["u16", "buffer"], result: "i32" },
  });
  const failure = WSAStartup(WINSOCK_VERSION, new Uint8Array(WSADATA_SIZE));
  if (failure !== 0) throw new OSError("WSAStartup", failure);
});

/** Prepares for reading errors, once. */
const findErrors = system.errnoLocation === null ? startWinsock : findErrno;

/**
 * Declares functions of the C library; the first call of the returned function opens them.
 *
 * errno is found first, since finding it makes calls that change it.
 */
export function lazyLibc<const Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
): () => Functions<Symbols> {
  return lazy(() => openWithErrno("libc", symbols));
}

/** Declares functions that convert and resolve addresses, like {@linkcode lazyLibc}. */
export function lazyResolver<const Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
): () => Functions<Symbols> {
  return lazy(() => openWithErrno("resolver", symbols));
}

/** Opens a library whose functions leave their errors in errno, or in Winsock. */
export function openWithErrno<const Symbols extends Deno.ForeignLibraryInterface>(
  library: Library,
  symbols: Symbols,
): Functions<Symbols> {
  findErrors();
  return openLibrary(library, symbols);
}

/**
 * Returns the result of a C function, or `-errno` for -1.
 *
 * @param returned The result; the call must stand in the argument itself
 * @param errno Value of {@linkcode errnoCell} after the call, or of `WSAGetLastError()`
 */
export function result(returned: number, errno: number): number {
  if (returned !== -1) return returned;
  if (refresh === null) return -errno;
  refresh();
  return -errnoCell[0]!;
}
