/**
 * Error numbers of the C library, and {@linkcode OSError}.
 *
 * @module
 */

import { type Os, system, SYSTEMS } from "./systems.ts";

/** Name and text of an error, and its number on each family of systems; 0 where a family does not have the error. */
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
 * Errors of descriptors, sockets and the calls that wait for them.
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

/** Column of each family of systems in an {@linkcode ErrnoRow}. */
const COLUMNS = { linux: 2, darwin: 3, freebsd: 4, netbsd: 5, solaris: 6, windows: 7 } as const;

/** Returns the number of an error on a system; 0 if the system does not have it. */
export function errnoOn(name: Os, code: string): number {
  return ERRNO_TABLE.find((row) => row[0] === code)?.[COLUMNS[SYSTEMS[name].errno]] ?? 0;
}

const rows = ERRNO_TABLE.map((row) => ({ code: row[0], message: row[1], errno: row[COLUMNS[system.errno]] }));
const rowOf = new Map(rows.filter((row) => row.errno !== 0).map((row) => [row.errno, row]));

const errnoByCode = new Map(rows.map((row) => [row.code, row.errno]));

/** Returns the number of an error on this system; NaN, which equals no outcome, if the system does not have it. */
function errnoOf(code: string): number {
  return errnoByCode.get(code) || NaN;
}

/** Number of "operation not permitted". */
export const EPERM: number = errnoOf("EPERM");
/** Number of "no such file or directory". */
export const ENOENT: number = errnoOf("ENOENT");
/** Number of "no such process". */
export const ESRCH: number = errnoOf("ESRCH");
/** Number of "interrupted system call". */
export const EINTR: number = errnoOf("EINTR");
/** Number of "input/output error". */
export const EIO: number = errnoOf("EIO");
/** Number of "bad file descriptor". */
export const EBADF: number = errnoOf("EBADF");
/** Number of "resource temporarily unavailable", which is also EWOULDBLOCK. */
export const EAGAIN: number = errnoOf("EAGAIN");
/** Number of "permission denied". */
export const EACCES: number = errnoOf("EACCES");
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

/** Returns the name of an error number, for example `"EADDRINUSE"`, or `"E4095"` if 4095 is not in the table. */
export function errnoCode(errno: number): string {
  return rowOf.get(errno)?.code ?? `E${errno}`;
}

/**
 * Error of a failed system call. Compare its `code`, because the numbers differ between systems.
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
 *   assert(error instanceof OSError && error.code === "EADDRINUSE");
 *   // bind 127.0.0.1:33445: Address already in use (EADDRINUSE)
 *   console.log(error.message);
 * }
 * ```
 */
export class OSError extends Error {
  /** Name of the error, for example `"EADDRINUSE"`. */
  readonly code: string;
  /** Number of the error on this system: an errno, or the EAI_* number of getaddrinfo(). */
  readonly errno: number;
  /** System call that failed, for example `"bind"`. */
  readonly syscall: string;

  /**
   * Creates the error of a failed system call, for example from the value of the socket option `SO_ERROR`.
   *
   * @param syscall Name of the call, for example `"bind"`
   * @param errno Number of the error on this system, positive
   * @param target Object of the call, for example `"127.0.0.1:80"` or `"fd 5"`, if it has one
   * @param meaning Text and name of the error; each defaults to the entry for `errno` in the table of this package
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

/**
 * Throws an OSError for a negative outcome, and returns any other outcome.
 *
 * @param outcome A result, or `-errno`
 * @param syscall Name of the call
 * @param target Object of the call; a number is a descriptor
 * @throws {OSError} if `outcome` is negative
 */
export function check(outcome: number, syscall: string, target?: string | number): number {
  if (outcome >= 0) return outcome;
  throw new OSError(syscall, -outcome, typeof target === "number" ? `fd ${target}` : target);
}
