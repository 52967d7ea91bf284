/**
 * The needs of tests that not every system meets, each null or the reason why it is missing: `{ needs: [DUP2] }`.
 *
 * @module
 */

import { arch, os } from "../../ffi/os/systems.ts";
import { isEmulated, isLinux, isWindows, type Need } from "./util.ts";

/** Reasons why systems lack something. */
export interface Reasons {
  /** Every system but Linux. */
  notLinux?: string;
  darwin?: string;
  windows?: string;
  /** An emulator of another processor. */
  emulated?: string;
}

/** Returns the reason why this system lacks something, or null. */
export function lackedBy({ notLinux, darwin, windows, emulated }: Reasons): Need {
  return (isEmulated ? emulated : undefined) ?? (isWindows ? windows : undefined) ??
    (os === "darwin" ? darwin : undefined) ?? (isLinux ? undefined : notLinux) ?? null;
}

/** Linux. */
export const LINUX: Need = lackedBy({ notLinux: `only Linux has it, and this is ${os} ${arch}` });

/** Winsock. */
export const WINSOCK: Need = isWindows ? null : "only Windows has Winsock";

/** epoll. */
export const EPOLL: Need = lackedBy({ notLinux: `${os} has no epoll` });

/** `dup()` and `dup2()`, which give a descriptor another number, or reuse a number. */
export const DUP2: Need = lackedBy({ windows: "Windows cannot give a socket another number" });

/** Signals that interrupt a system call. */
export const SIGNALS: Need = lackedBy({ windows: "Windows has no such signals" });

/** Waits for files and pipes, and not only for sockets. */
export const FILES: Need = lackedBy({ windows: "Windows waits for sockets only" });

/** A limit of what one write takes, so that a large one has to wait. */
export const LIMITED_WRITES: Need = lackedBy({ windows: "one send() of Winsock takes as much as it is given" });

/** `select()` with descriptors above 1,023. */
export const WIDE_SELECT: Need = lackedBy({
  emulated: "the emulator ends the process at a descriptor above 1,023 in select()",
});

/** `/proc`, with the memory and the descriptors of another process. */
export const PROC: Need = lackedBy({
  notLinux: "there is no /proc to read another process's memory and descriptors from",
});

/** Ctrl-C, pressed by a test. */
export const CTRL_C: Need = lackedBy({ windows: "a test cannot press Ctrl-C there" });
