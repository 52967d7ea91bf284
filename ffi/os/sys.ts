/**
 * File descriptors and sockets of this system: `posix.ts` or its twin `winsock.ts`, chosen when the module loads.
 *
 * Each function is a constant, not a member of the chosen module, so that it costs no more than an imported function.
 *
 * @module
 */

import { system } from "./systems.ts";
import * as posix from "./posix.ts";
import * as winsock from "./winsock.ts";

/** Functions of a twin. */
type Sys = typeof posix;

const sys: Pick<Sys, keyof typeof winsock & keyof Sys> = system.sys === "winsock" ? winsock : posix;

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
