/**
 * The faults: which errors a function may give, and from a recording of what a scenario calls, the runs to make of it.
 *
 * @module
 */

import { constants } from "node:os";

/** Calls of a function that fail. */
export interface Fault {
  /** The function. */
  name: string;
  /** The error, by name. */
  code: string;
  /** The first call that fails. */
  nth: number;
  /** Whether all later ones fail too. */
  isLasting: boolean;
}

/** How often a scenario calls each function. */
export type Recording = Record<string, number>;

const NO_ROOM = ["EMFILE", "ENFILE", "ENOMEM"];
const NO_MEMORY = ["ENOBUFS", "ENOMEM"];

/** The errors that each function gives in the course of things, or where the kernel has no room. */
export const ERRORS: Readonly<Record<string, readonly string[]>> = {
  accept4: ["EINTR", "EAGAIN", "ECONNABORTED", "EMFILE", "ENFILE", "ENOBUFS", "EPERM"],
  bind: ["EACCES", "EADDRINUSE", "EADDRNOTAVAIL"],
  close: ["EINTR", "EIO"],
  connect: ["EINTR", "EAGAIN", "ECONNREFUSED", "ETIMEDOUT", "EADDRNOTAVAIL", "ENETUNREACH"],
  dup3: ["EBUSY", "EINTR", "EMFILE"],
  epoll_create1: NO_ROOM,
  epoll_ctl: ["EBADF", "EEXIST", "ENOENT", "ENOMEM", "ENOSPC", "EPERM"],
  epoll_pwait2: ["EINTR", "ENOSYS", "EPERM", "EAGAIN", "EINVAL"],
  epoll_wait: ["EINTR", "EAGAIN", "EINVAL"],
  fcntl: ["EBADF"],
  getaddrinfo: ["EAI_AGAIN", "EAI_MEMORY", "EAI_SYSTEM"],
  getpeername: ["ENOTCONN", "ENOBUFS"],
  getsockname: ["ENOBUFS"],
  getsockopt: ["ENOPROTOOPT", "ENOMEM"],
  listen: ["EADDRINUSE"],
  pipe2: NO_ROOM,
  poll: ["EINTR", "EAGAIN", "ENOMEM"],
  ppoll: ["EINTR", "EAGAIN", "ENOMEM"],
  pselect: ["EINTR", "EAGAIN", "ENOMEM"],
  read: ["EINTR", "EAGAIN", "EIO"],
  recv: ["EINTR", "EAGAIN", "ECONNRESET", "ENOMEM"],
  recvfrom: ["EINTR", "EAGAIN", "ENOMEM"],
  send: ["EINTR", "ENOBUFS", "ENOMEM"],
  sendto: ["EINTR", "EAGAIN", "ENOBUFS", "ENETUNREACH"],
  setsockopt: ["ENOPROTOOPT", ...NO_MEMORY],
  shutdown: ["ENOTCONN", "ENOBUFS"],
  socket: [...NO_ROOM, "ENOBUFS", "EACCES"],
  socketpair: [...NO_ROOM, "ENOBUFS"],
  write: ["EINTR", "EAGAIN", "EPIPE", "EIO", "ENOSPC"],
};

/** Errors that pass: a call that is made again often enough succeeds. */
const PASSING: readonly string[] = ["EINTR", "EAGAIN", "ECONNABORTED"];

/** How often such an error comes in a row. */
const ROW = 100;

/** Errors that say something untrue of what is registered: they come once, since a selector would have to believe more. */
const UNTRUE: readonly string[] = ["EBADF", "ENOENT"];

/** How many calls of one function are made to fail, each by itself. */
const MOST_CALLS = 12;

/** Numbers of getaddrinfo()'s own errors, which it returns; EAI_SYSTEM shows as the error that is in errno. */
const EAI: Readonly<Record<string, number>> = { EAI_AGAIN: -3, EAI_MEMORY: -10, EAI_SYSTEM: -11 };

/** Returns the number of an error. */
export function errnoOf(code: string): number {
  return EAI[code] ?? constants.errno[code as keyof typeof constants.errno];
}

/** Returns the code that an error shows. */
export function shownCode(code: string): string {
  return code === "EAI_SYSTEM" ? "ENOMEM" : code;
}

/** Returns how many calls a fault concerns. */
export function countOf({ code, isLasting }: Fault): number {
  return !isLasting ? 1 : PASSING.includes(code) ? ROW : 1_000_000_000;
}

/** Returns every fault of a recording that a scenario does not exclude. */
export function faultsOf(recording: Recording, excluded: readonly string[] = []): Fault[] {
  const faults: Fault[] = [];
  for (const [name, calls] of Object.entries(recording)) {
    for (const code of ERRORS[name]!) {
      if (excluded.includes(`${name} ${code}`)) continue;
      for (let nth = 1; nth <= Math.min(calls, MOST_CALLS); nth++) {
        faults.push({ name, code, nth, isLasting: false });
        const canLast = !UNTRUE.includes(code) && !excluded.includes(`${name} lasting`);
        if (canLast) faults.push({ name, code, nth, isLasting: true });
      }
    }
  }
  return faults;
}

/** Shows a fault as it stands in a report. */
export function show(fault: Fault | null): string {
  if (fault === null) return "no fault";
  const { name, code, nth, isLasting } = fault;
  return `${name} ${code}, ${isLasting ? `from call ${nth} on` : `call ${nth}`}`;
}
