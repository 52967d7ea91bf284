/**
 * Whether a number stands for an open descriptor, for those calls that wait which do not ask it themselves.
 *
 * @module
 */

import { EBADF, errnoCell, lazyLibc, OSError, result } from "./errno.ts";
import { os } from "./platform.ts";
import { SO_TYPE, SOL_SOCKET } from "./socket_constants.ts";
import { getsockopt } from "./winsock.ts";

const F_GETFD = 1;

const libc = lazyLibc({
  fcntl: {
    parameters: [
      "i32", // int fd
      "i32", // int cmd; F_GETFD takes no further argument, so that fcntl's being variadic does not matter
    ],
    result: "i32",
  },
});

function isDescriptor(fd: number): boolean {
  return result(libc().fcntl(fd, F_GETFD), errnoCell[0]!) >= 0;
}

function isSocket(fd: number): boolean {
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, new Uint8Array(4), new Uint32Array([4])) >= 0;
}

/** Tells whether a descriptor is open, and, on Windows, a socket. */
export const isOpen: (fd: number) => boolean = os === "windows" ? isSocket : isDescriptor;

/**
 * Refuses a descriptor that is not open.
 *
 * @throws {OSError} EBADF if it is not
 */
export function checkOpen(fd: number, syscall: string): void {
  if (!isOpen(fd)) throw new OSError(syscall, EBADF, `fd ${fd}`);
}
