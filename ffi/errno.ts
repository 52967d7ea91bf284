/**
 * Error numbers of the C library, {@linkcode OSError}, and the only code that compares a result with -1.
 *
 * ## How errno is read, and why so
 *
 * Deno's foreign functions do not save errno, and V8 may run between a call's return and the next step of the program:
 * a garbage collection waits on futexes and leaves `EAGAIN` behind, which is the very value that a non-blocking program
 * trusts; and on entry to a function V8 may begin to compile it, which reads files that are not there and leaves `ENOENT`.
 * Four rules keep the window shut:
 *
 * - Whatever can fail is declared with an `i32` result, also where C says `ssize_t`: an `isize` becomes a BigInt, which
 *   is allocated, and an allocation may collect.
 * - errno is read from a view laid over the thread's own cell, in the list of arguments that begins with the call:
 *   `result(libc.recv(...), errnoCell[0])`. Arguments are evaluated in order, and no function is entered between the two.
 * - A function that cannot read errno so (a nonblocking one runs on another thread, whose errno is another cell) must
 *   find its failure out in another way.
 * - `EAGAIN` from a call that never gives it is a collection's, and means "ask again".
 *
 * From here on a failure is a negative number, `-errno`, as in the kernel itself: it needs no exception and no
 * allocation where would-block and interruption are everyday.
 *
 * @module
 */

import { type Functions, lazy, openLibc, type Os, os } from "./platform.ts";

/** One error of the C library: its name, its text, and its number on each family of systems. */
type ErrnoRow = readonly [code: string, message: string, linux: number];

/** Errors that descriptors, sockets and the calls that wait for them are known to give. Linux: asm-generic/errno.h. */
const ERRNO_TABLE: readonly ErrnoRow[] = [
  ["EPERM", "Operation not permitted", 1],
  ["ENOENT", "No such file or directory", 2],
  ["ESRCH", "No such process", 3],
  ["EINTR", "Interrupted system call", 4],
  ["EIO", "Input/output error", 5],
  ["ENXIO", "No such device or address", 6],
  ["E2BIG", "Argument list too long", 7],
  ["EBADF", "Bad file descriptor", 9],
  ["ECHILD", "No child processes", 10],
  ["EAGAIN", "Resource temporarily unavailable", 11],
  ["ENOMEM", "Cannot allocate memory", 12],
  ["EACCES", "Permission denied", 13],
  ["EFAULT", "Bad address", 14],
  ["EBUSY", "Device or resource busy", 16],
  ["EEXIST", "File exists", 17],
  ["ENODEV", "No such device", 19],
  ["ENOTDIR", "Not a directory", 20],
  ["EISDIR", "Is a directory", 21],
  ["EINVAL", "Invalid argument", 22],
  ["ENFILE", "Too many open files in system", 23],
  ["EMFILE", "Too many open files", 24],
  ["ENOTTY", "Inappropriate ioctl for device", 25],
  ["EFBIG", "File too large", 27],
  ["ENOSPC", "No space left on device", 28],
  ["ESPIPE", "Illegal seek", 29],
  ["EROFS", "Read-only file system", 30],
  ["EPIPE", "Broken pipe", 32],
  ["EDOM", "Numerical argument out of domain", 33],
  ["ERANGE", "Numerical result out of range", 34],
  ["EDEADLK", "Resource deadlock avoided", 35],
  ["ENAMETOOLONG", "File name too long", 36],
  ["ENOLCK", "No locks available", 37],
  ["ENOSYS", "Function not implemented", 38],
  ["ELOOP", "Too many levels of symbolic links", 40],
  ["ENODATA", "No data available", 61],
  ["ETIME", "Timer expired", 62],
  ["ENOLINK", "Link has been severed", 67],
  ["ECOMM", "Communication error on send", 70],
  ["EPROTO", "Protocol error", 71],
  ["EBADMSG", "Bad message", 74],
  ["EOVERFLOW", "Value too large for defined data type", 75],
  ["EILSEQ", "Invalid or incomplete multibyte or wide character", 84],
  ["EUSERS", "Too many users", 87],
  ["ENOTSOCK", "Socket operation on non-socket", 88],
  ["EDESTADDRREQ", "Destination address required", 89],
  ["EMSGSIZE", "Message too long", 90],
  ["EPROTOTYPE", "Protocol wrong type for socket", 91],
  ["ENOPROTOOPT", "Protocol not available", 92],
  ["EPROTONOSUPPORT", "Protocol not supported", 93],
  ["ESOCKTNOSUPPORT", "Socket type not supported", 94],
  ["EOPNOTSUPP", "Operation not supported", 95],
  ["EPFNOSUPPORT", "Protocol family not supported", 96],
  ["EAFNOSUPPORT", "Address family not supported by protocol", 97],
  ["EADDRINUSE", "Address already in use", 98],
  ["EADDRNOTAVAIL", "Cannot assign requested address", 99],
  ["ENETDOWN", "Network is down", 100],
  ["ENETUNREACH", "Network is unreachable", 101],
  ["ENETRESET", "Network dropped connection on reset", 102],
  ["ECONNABORTED", "Software caused connection abort", 103],
  ["ECONNRESET", "Connection reset by peer", 104],
  ["ENOBUFS", "No buffer space available", 105],
  ["EISCONN", "Transport endpoint is already connected", 106],
  ["ENOTCONN", "Transport endpoint is not connected", 107],
  ["ESHUTDOWN", "Cannot send after transport endpoint shutdown", 108],
  ["ETOOMANYREFS", "Too many references: cannot splice", 109],
  ["ETIMEDOUT", "Connection timed out", 110],
  ["ECONNREFUSED", "Connection refused", 111],
  ["EHOSTDOWN", "Host is down", 112],
  ["EHOSTUNREACH", "No route to host", 113],
  ["EALREADY", "Operation already in progress", 114],
  ["EINPROGRESS", "Operation now in progress", 115],
  ["EDQUOT", "Disk quota exceeded", 122],
  ["ECANCELED", "Operation canceled", 125],
];

/** Which number of an {@linkcode ErrnoRow} counts on each system; the others follow with their backends. */
const ERRNO_COLUMN: Readonly<Partial<Record<Os, 2>>> = { linux: 2, android: 2 };

const rows = ERRNO_TABLE.map((row) => ({ code: row[0], message: row[1], errno: row[ERRNO_COLUMN[os] ?? 2] }));
const rowOf = new Map(rows.map((row) => [row.errno, row]));

/** The number that this system gives the error `code`. */
function errnoOf(code: string): number {
  return rows.find((row) => row.code === code)!.errno;
}

/** Number of "operation not permitted". */
export const EPERM: number = errnoOf("EPERM");
/** Number of "no such file or directory". */
export const ENOENT: number = errnoOf("ENOENT");
/** Number of "interrupted system call". */
export const EINTR: number = errnoOf("EINTR");
/** Number of "bad file descriptor". */
export const EBADF: number = errnoOf("EBADF");
/** Number of "resource temporarily unavailable", which is also would-block. */
export const EAGAIN: number = errnoOf("EAGAIN");
/** Number of "file exists". */
export const EEXIST: number = errnoOf("EEXIST");
/** Number of "function not implemented". */
export const ENOSYS: number = errnoOf("ENOSYS");
/** Number of "software caused connection abort". */
export const ECONNABORTED: number = errnoOf("ECONNABORTED");
/** Number of "operation now in progress". */
export const EINPROGRESS: number = errnoOf("EINPROGRESS");

/** Gives the name of error number `errno`, for example `"EADDRINUSE"`, or `"E4095"` if it has none here. */
export function errnoCode(errno: number): string {
  return rowOf.get(errno)?.code ?? `E${errno}`;
}

/**
 * A system call that failed.
 *
 * @example Usage
 * ```ts
 * import { OSError, Socket } from "@selectors/selectors/socket";
 * import { assert } from "@std/assert";
 *
 * using first = new Socket();
 * first.bind({ hostname: "127.0.0.1", port: 0 });
 * first.listen();
 * using second = new Socket();
 * try {
 *   second.bind(first.getsockname());
 * } catch (error) {
 *   assert(error instanceof OSError && error.code === "EADDRINUSE" && error.syscall === "bind");
 * }
 * ```
 */
export class OSError extends Error {
  /** Name of the error, for example `"EADDRINUSE"`. */
  readonly code: string;
  /** Number of the error on this system; of getaddrinfo()'s own errors, which have names of their own. */
  readonly errno: number;
  /** System call that failed, for example `"bind"`. */
  readonly syscall: string;

  /**
   * Makes the error of a failed system call.
   *
   * @param syscall Name of the call, for example `"bind"`
   * @param errno Number of the error on this system, positive
   * @param target What the call was applied to, for example `"127.0.0.1:80"` or `"fd 5"`
   * @param meaning What the number means here, in place of the system's own text and name
   */
  constructor(syscall: string, errno: number, target?: string, meaning: { code?: string; text?: string } = {}) {
    const code = meaning.code ?? errnoCode(errno);
    const text = meaning.text ?? rowOf.get(errno)?.message ?? `Unknown error ${errno}`;
    super(`${syscall}${target === undefined ? "" : ` ${target}`}: ${text} (${code})`);
    this.name = "OSError";
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** Name of the function that gives the address of the calling thread's errno. */
const ERRNO_LOCATION: Readonly<Partial<Record<Os, string>>> = {
  linux: "__errno_location",
  android: "__errno",
  darwin: "__error",
  freebsd: "__error",
  netbsd: "__errno",
  solaris: "___errno",
  illumos: "___errno",
};

/** A view over this thread's errno; under a permission that forbids such a view, a copy that `refresh` makes. */
export let errnoCell: Int32Array = new Int32Array(1);
let refresh: (() => void) | null = null;

const findErrno = lazy(() => {
  const name = ERRNO_LOCATION[os] ?? "__errno_location";
  const libc = openLibc({
    location: { name, parameters: [], result: "pointer" },
    address: { name, parameters: [], result: "usize" },
    memcpy: {
      parameters: [
        "buffer", // void *dest
        "usize", // const void *src
        "usize", // size_t n
      ],
      result: "void",
    },
  });
  if (Deno.permissions.querySync({ name: "ffi" }).state === "granted") {
    errnoCell = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(libc.location()!, 4));
  } else {
    // --allow-ffi=<path of the C library> permits its functions and no pointer. The copy is made in result(), on entry to
    // which errno may be lost, as rarely as V8 compiles it: here the window cannot be shut, only be kept small.
    const address = libc.address();
    const { memcpy } = libc;
    refresh = () => memcpy(errnoCell, address, 4n);
  }
});

/**
 * Declares functions of the C library, to be opened by the first call of what is returned.
 *
 * errno is found first, since to find it is to make calls that change it.
 */
export function lazyLibc<const Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
): () => Functions<Symbols> {
  return lazy(() => {
    findErrno();
    return openLibc(symbols);
  });
}

/**
 * Turns the result of a C function into a number that says all: as it is, or, for -1, `-errno`.
 *
 * @param returned The result; the call must stand in the argument itself
 * @param errno What {@linkcode errnoCell} has after the call
 */
export function result(returned: number, errno: number): number {
  if (returned !== -1) return returned;
  if (refresh === null) return -errno;
  refresh();
  return -errnoCell[0]!;
}

/**
 * Throws what {@linkcode result} gave if it is an error, and gives it back otherwise.
 *
 * @param outcome A result, or `-errno`
 * @param syscall Name of the call
 * @param target What the call was applied to; a number is a descriptor
 * @throws {OSError} if `outcome` is negative
 */
export function check(outcome: number, syscall: string, target?: string | number): number {
  if (outcome >= 0) return outcome;
  throw new OSError(syscall, -outcome, typeof target === "number" ? `fd ${target}` : target);
}
