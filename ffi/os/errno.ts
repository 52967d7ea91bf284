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
 * Winsock has `WSAGetLastError()` in the place of errno: a call, which stands where the view does, in the arguments.
 *
 * From here on a failure is a negative number, `-errno`, as in the kernel itself: it needs no exception and no
 * allocation where would-block and interruption are everyday.
 *
 * @module
 */

import { type Functions, lazy, type Library, openLibrary, type Os, os } from "./platform.ts";

/** One error: its name, its text, and its number on each family of systems, 0 where it has none. */
type ErrnoRow = readonly [
  code: string,
  message: string,
  linux: number,
  darwin: number,
  freebsd: number,
  netbsd: number,
  solaris: number,
  windows: number,
];

/**
 * Errors that descriptors, sockets and the calls that wait for them are known to give.
 *
 * Linux: asm-generic/errno.h. The others: their <sys/errno.h>. Windows: the WSAE* numbers of winsock2.h.
 */
const ERRNO_TABLE: readonly ErrnoRow[] = [
  ["EPERM", "Operation not permitted", 1, 1, 1, 1, 1, 0],
  ["ENOENT", "No such file or directory", 2, 2, 2, 2, 2, 0],
  ["ESRCH", "No such process", 3, 3, 3, 3, 3, 0],
  ["EINTR", "Interrupted system call", 4, 4, 4, 4, 4, 10004],
  ["EIO", "Input/output error", 5, 5, 5, 5, 5, 0],
  ["ENXIO", "No such device or address", 6, 6, 6, 6, 6, 0],
  ["E2BIG", "Argument list too long", 7, 7, 7, 7, 7, 0],
  ["EBADF", "Bad file descriptor", 9, 9, 9, 9, 9, 10009],
  ["ECHILD", "No child processes", 10, 10, 10, 10, 10, 0],
  ["EAGAIN", "Resource temporarily unavailable", 11, 35, 35, 35, 11, 10035],
  ["ENOMEM", "Cannot allocate memory", 12, 12, 12, 12, 12, 0],
  ["EACCES", "Permission denied", 13, 13, 13, 13, 13, 10013],
  ["EFAULT", "Bad address", 14, 14, 14, 14, 14, 10014],
  ["EBUSY", "Device or resource busy", 16, 16, 16, 16, 16, 0],
  ["EEXIST", "File exists", 17, 17, 17, 17, 17, 0],
  ["ENODEV", "No such device", 19, 19, 19, 19, 19, 0],
  ["ENOTDIR", "Not a directory", 20, 20, 20, 20, 20, 0],
  ["EISDIR", "Is a directory", 21, 21, 21, 21, 21, 0],
  ["EINVAL", "Invalid argument", 22, 22, 22, 22, 22, 10022],
  ["ENFILE", "Too many open files in system", 23, 23, 23, 23, 23, 0],
  ["EMFILE", "Too many open files", 24, 24, 24, 24, 24, 10024],
  ["ENOTTY", "Inappropriate ioctl for device", 25, 25, 25, 25, 25, 0],
  ["EFBIG", "File too large", 27, 27, 27, 27, 27, 0],
  ["ENOSPC", "No space left on device", 28, 28, 28, 28, 28, 0],
  ["ESPIPE", "Illegal seek", 29, 29, 29, 29, 29, 0],
  ["EROFS", "Read-only file system", 30, 30, 30, 30, 30, 0],
  ["EPIPE", "Broken pipe", 32, 32, 32, 32, 32, 0],
  ["EDOM", "Numerical argument out of domain", 33, 33, 33, 33, 33, 0],
  ["ERANGE", "Numerical result out of range", 34, 34, 34, 34, 34, 0],
  ["EDEADLK", "Resource deadlock avoided", 35, 11, 11, 11, 45, 0],
  ["ENAMETOOLONG", "File name too long", 36, 63, 63, 63, 78, 10063],
  ["ENOLCK", "No locks available", 37, 77, 77, 77, 46, 0],
  ["ENOSYS", "Function not implemented", 38, 78, 78, 78, 89, 0],
  ["ELOOP", "Too many levels of symbolic links", 40, 62, 62, 62, 90, 10062],
  ["ENODATA", "No data available", 61, 96, 0, 89, 61, 0],
  ["ETIME", "Timer expired", 62, 101, 0, 92, 62, 0],
  ["ENOLINK", "Link has been severed", 67, 97, 91, 95, 67, 0],
  ["ECOMM", "Communication error on send", 70, 0, 0, 0, 70, 0],
  ["EPROTO", "Protocol error", 71, 100, 92, 96, 71, 0],
  ["EBADMSG", "Bad message", 74, 94, 89, 88, 77, 0],
  ["EOVERFLOW", "Value too large for defined data type", 75, 84, 84, 84, 79, 0],
  ["EILSEQ", "Invalid or incomplete multibyte or wide character", 84, 92, 86, 85, 88, 0],
  ["EUSERS", "Too many users", 87, 68, 68, 68, 94, 10068],
  ["ENOTSOCK", "Socket operation on non-socket", 88, 38, 38, 38, 95, 10038],
  ["EDESTADDRREQ", "Destination address required", 89, 39, 39, 39, 96, 10039],
  ["EMSGSIZE", "Message too long", 90, 40, 40, 40, 97, 10040],
  ["EPROTOTYPE", "Protocol wrong type for socket", 91, 41, 41, 41, 98, 10041],
  ["ENOPROTOOPT", "Protocol not available", 92, 42, 42, 42, 99, 10042],
  ["EPROTONOSUPPORT", "Protocol not supported", 93, 43, 43, 43, 120, 10043],
  ["ESOCKTNOSUPPORT", "Socket type not supported", 94, 44, 44, 44, 121, 10044],
  ["EOPNOTSUPP", "Operation not supported", 95, 102, 45, 45, 122, 10045],
  ["EPFNOSUPPORT", "Protocol family not supported", 96, 46, 46, 46, 123, 10046],
  ["EAFNOSUPPORT", "Address family not supported by protocol", 97, 47, 47, 47, 124, 10047],
  ["EADDRINUSE", "Address already in use", 98, 48, 48, 48, 125, 10048],
  ["EADDRNOTAVAIL", "Cannot assign requested address", 99, 49, 49, 49, 126, 10049],
  ["ENETDOWN", "Network is down", 100, 50, 50, 50, 127, 10050],
  ["ENETUNREACH", "Network is unreachable", 101, 51, 51, 51, 128, 10051],
  ["ENETRESET", "Network dropped connection on reset", 102, 52, 52, 52, 129, 10052],
  ["ECONNABORTED", "Software caused connection abort", 103, 53, 53, 53, 130, 10053],
  ["ECONNRESET", "Connection reset by peer", 104, 54, 54, 54, 131, 10054],
  ["ENOBUFS", "No buffer space available", 105, 55, 55, 55, 132, 10055],
  ["EISCONN", "Transport endpoint is already connected", 106, 56, 56, 56, 133, 10056],
  ["ENOTCONN", "Transport endpoint is not connected", 107, 57, 57, 57, 134, 10057],
  ["ESHUTDOWN", "Cannot send after transport endpoint shutdown", 108, 58, 58, 58, 143, 10058],
  ["ETOOMANYREFS", "Too many references: cannot splice", 109, 59, 59, 59, 144, 10059],
  ["ETIMEDOUT", "Connection timed out", 110, 60, 60, 60, 145, 10060],
  ["ECONNREFUSED", "Connection refused", 111, 61, 61, 61, 146, 10061],
  ["EHOSTDOWN", "Host is down", 112, 64, 64, 64, 147, 10064],
  ["EHOSTUNREACH", "No route to host", 113, 65, 65, 65, 148, 10065],
  ["EALREADY", "Operation already in progress", 114, 37, 37, 37, 149, 10037],
  ["EINPROGRESS", "Operation now in progress", 115, 36, 36, 36, 150, 10036],
  ["EDQUOT", "Disk quota exceeded", 122, 69, 69, 69, 49, 10069],
  ["ECANCELED", "Operation canceled", 125, 89, 85, 87, 47, 10103],
];

/** Which number of an {@linkcode ErrnoRow} counts on each system. */
const ERRNO_COLUMN: Readonly<Record<Os, 2 | 3 | 4 | 5 | 6 | 7>> = {
  linux: 2,
  android: 2,
  darwin: 3,
  freebsd: 4,
  netbsd: 5,
  solaris: 6,
  illumos: 6,
  aix: 2,
  windows: 7,
};

/** Gives the number that a system gives the error `code`; 0 if it has none. */
export function errnoOn(system: Os, code: string): number {
  return ERRNO_TABLE.find((row) => row[0] === code)?.[ERRNO_COLUMN[system]] ?? 0;
}

const rows = ERRNO_TABLE.map((row) => ({ code: row[0], message: row[1], errno: row[ERRNO_COLUMN[os]] }));
const rowOf = new Map(rows.filter((row) => row.errno !== 0).map((row) => [row.errno, row]));

/** The number that this system gives the error `code`; NaN, which no outcome equals, if it has none. */
function errnoOf(code: string): number {
  return errnoOn(os, code) || NaN;
}

/** Number of "operation not permitted". */
export const EPERM: number = errnoOf("EPERM");
/** Number of "no such file or directory". */
export const ENOENT: number = errnoOf("ENOENT");
/** Number of "interrupted system call". */
export const EINTR: number = errnoOf("EINTR");
/** Number of "input/output error". */
export const EIO: number = errnoOf("EIO");
/** Number of "bad file descriptor". */
export const EBADF: number = errnoOf("EBADF");
/** Number of "resource temporarily unavailable", which is also would-block. */
export const EAGAIN: number = errnoOf("EAGAIN");
/** Number of "invalid argument". */
export const EINVAL: number = errnoOf("EINVAL");
/** Number of "socket operation on non-socket". */
export const ENOTSOCK: number = errnoOf("ENOTSOCK");
/** Number of "message too long". */
export const EMSGSIZE: number = errnoOf("EMSGSIZE");
/** Number of "operation not supported". */
export const EOPNOTSUPP: number = errnoOf("EOPNOTSUPP");
/** Number of "file exists". */
export const EEXIST: number = errnoOf("EEXIST");
/** Number of "function not implemented". */
export const ENOSYS: number = errnoOf("ENOSYS");
/** Number of "software caused connection abort". */
export const ECONNABORTED: number = errnoOf("ECONNABORTED");
/** Number of "connection reset by peer". */
export const ECONNRESET: number = errnoOf("ECONNRESET");
/** Number of "cannot allocate memory". */
export const ENOMEM: number = errnoOf("ENOMEM");
/** Number of "no buffer space available". */
export const ENOBUFS: number = errnoOf("ENOBUFS");
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
  const libc = openLibrary("libc", {
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

/** The version of Winsock that is asked for, 2.2, and the size of the struct that it fills in return. */
const WINSOCK_VERSION = 0x0202;
const WSADATA_SIZE = 408;

/** Starts Winsock, which refuses every call before that. It is never ended: a socket may be the process's last act. */
const startWinsock = lazy(() => {
  const { WSAStartup } = openLibrary("winsock", {
    WSAStartup: {
      parameters: [
        "u16", // WORD wVersionRequested
        "buffer", // WSADATA *lpWSAData
      ],
      result: "i32",
    },
  });
  const failure = WSAStartup(WINSOCK_VERSION, new Uint8Array(WSADATA_SIZE));
  if (failure !== 0) throw new OSError("WSAStartup", failure);
});

/** What has to be done once, before errors can be read. */
const findErrors = ({ windows: startWinsock } as Partial<Record<Os, () => void>>)[os] ?? findErrno;

/**
 * Declares functions of the C library, to be opened by the first call of what is returned.
 *
 * errno is found first, since to find it is to make calls that change it.
 */
export function lazyLibc<const Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
): () => Functions<Symbols> {
  return lazy(() => openWithErrno("libc", symbols));
}

/** Declares functions that convert and resolve addresses, as {@linkcode lazyLibc} does. */
export function lazyResolver<const Symbols extends Deno.ForeignLibraryInterface>(
  symbols: Symbols,
): () => Functions<Symbols> {
  return lazy(() => openWithErrno("resolver", symbols));
}

/** Opens a library whose functions leave their errors in errno, which is found first; or Winsock, which is started. */
export function openWithErrno<const Symbols extends Deno.ForeignLibraryInterface>(
  library: Library,
  symbols: Symbols,
): Functions<Symbols> {
  findErrors();
  return openLibrary(library, symbols);
}

/**
 * Turns the result of a C function into a number that says all: as it is, or, for -1, `-errno`.
 *
 * @param returned The result; the call must stand in the argument itself
 * @param errno What {@linkcode errnoCell} has after the call, or what `WSAGetLastError()` gives
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
