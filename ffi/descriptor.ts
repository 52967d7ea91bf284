/**
 * Whether a number stands for an open descriptor, for those calls that wait which do not ask it themselves.
 *
 * @module
 */

import { EBADF, errnoCell, lazyLibc, OSError, result } from "./errno.ts";

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

/** Tells whether a descriptor is open. */
export function isOpen(fd: number): boolean {
  return result(libc().fcntl(fd, F_GETFD), errnoCell[0]!) >= 0;
}

/**
 * Refuses a descriptor that is not open.
 *
 * @throws {OSError} EBADF if it is not
 */
export function checkOpen(fd: number, syscall: string): void {
  if (!isOpen(fd)) throw new OSError(syscall, EBADF, `fd ${fd}`);
}
