/**
 * File descriptors and sockets of this system: `posix.ts` or its twin `winsock.ts`, chosen when the module loads.
 *
 * Each function is a constant, not a member of the chosen module, so that a call costs no more than a call of an
 * imported function. `winsock.ts` is loaded only on Windows; on other systems, this saves a tenth of the import time.
 *
 * @module
 */

import { system } from "./systems.ts";
import * as posix from "./posix.ts";
import type * as winsock from "./winsock.ts";

/** Functions that both twins have. */
type Sys = Pick<typeof posix, keyof typeof winsock & keyof typeof posix>;

const sys: Sys = system.sys === "winsock" ? await import("./winsock.ts") : posix;

export const {
  PAIR_FAMILY,
  accept,
  bind,
  close,
  connect,
  getBlocking,
  getpeername,
  getsockname,
  getsockopt,
  isOpen,
  isPtyMaster,
  isTerminal,
  kindOf,
  listen,
  pipe,
  read,
  recv,
  recvfrom,
  send,
  sendto,
  setBlocking,
  setsockopt,
  shutdown,
  socket,
  socketpair,
  write,
} = sys;
