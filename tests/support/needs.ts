/**
 * Needs that not every system meets. Each is null, or the reason why this system lacks it: `{ needs: [DUP2] }`.
 *
 * @module
 */

import { arch, os } from "../../ffi/os/systems.ts";
import { isEmulated, isLinux, isWindows, type Need } from "./util.ts";

/** Reasons why systems lack something. */
export interface Reasons {
  /** Every system except Linux. */
  notLinux?: string;
  darwin?: string;
  windows?: string;
  /** An emulator for another processor. */
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

/** `dup()` and `dup2()`, which duplicate a descriptor, to a chosen number if necessary. */
export const DUP2: Need = lackedBy({ windows: "Windows cannot duplicate a socket to another number" });

/** Signals that interrupt a system call. */
export const SIGNALS: Need = lackedBy({ windows: "Windows has no such signals" });

/** Waits for files and pipes, not only for sockets. */
export const FILES: Need = lackedBy({ windows: "Windows can only wait for sockets" });

/** A limit on the size of one write, so that a larger write has to wait. */
export const LIMITED_WRITES: Need = lackedBy({ windows: "one send() on Windows accepts any amount of data" });

/** `select()` with descriptors above 1,023. */
export const WIDE_SELECT: Need = lackedBy({
  emulated: "the emulator crashes in select() at a descriptor above 1,023",
});

/** `/proc`, which shows the memory and the descriptors of other processes. */
export const PROC: Need = lackedBy({
  notLinux: "this system has no /proc",
});

/** Ctrl-C that a test can send. */
export const CTRL_C: Need = lackedBy({ windows: "a test cannot send Ctrl-C on Windows" });
