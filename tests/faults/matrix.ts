/**
 * The faults: the errors that each function may return, and the faults to inject into a recorded scenario.
 *
 * @module
 */

import { constants } from "node:os";

/** A fault: one function fails in some of its calls. */
export interface Fault {
  /** The name of the function. */
  name: string;
  /** The name of the error. */
  code: string;
  /** The first call that fails. */
  nth: number;
  /** True if the later calls fail too. */
  isLasting: boolean;
}

/** Number of calls of each function in a run of a scenario. */
export type Recording = Record<string, number>;

const NO_ROOM = ["EMFILE", "ENFILE", "ENOMEM"];
const NO_MEMORY = ["ENOBUFS", "ENOMEM"];

/** Errors that each function can return in normal operation or when the kernel is out of resources. */
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
  recvmsg: ["EINTR", "EAGAIN", "ENOMEM"],
  send: ["EINTR", "ENOBUFS", "ENOMEM"],
  sendmsg: ["EINTR", "EAGAIN", "ENOBUFS", "ETOOMANYREFS"],
  sendto: ["EINTR", "EAGAIN", "ENOBUFS", "ENETUNREACH"],
  setsockopt: ["ENOPROTOOPT", ...NO_MEMORY],
  shutdown: ["ENOTCONN", "ENOBUFS"],
  socket: [...NO_ROOM, "ENOBUFS", "EACCES"],
  socketpair: [...NO_ROOM, "ENOBUFS"],
  write: ["EINTR", "EAGAIN", "EPIPE", "EIO", "ENOSPC"],
};

/** Transient errors: a repeated call eventually succeeds. */
const PASSING: readonly string[] = ["EINTR", "EAGAIN", "ECONNABORTED"];

/** Number of consecutive calls that fail with a transient error. */
const ROW = 100;

/** Errors that misreport a registration. They are injected only once, because a selector cannot detect a repeat. */
const UNTRUE: readonly string[] = ["EBADF", "ENOENT"];

/** Maximum number of calls of one function that get a fault; each call gets its own run. */
const MOST_CALLS = 12;

/** Return values of getaddrinfo(). The package reports the value of errno for EAI_SYSTEM. */
const EAI: Readonly<Record<string, number>> = { EAI_AGAIN: -3, EAI_MEMORY: -10, EAI_SYSTEM: -11 };

/** Returns the number of an error name. */
export function errnoOf(code: string): number {
  return EAI[code] ?? constants.errno[code as keyof typeof constants.errno];
}

/** Returns the `code` of the error that the package throws for an injected error. */
export function shownCode(code: string): string {
  return code === "EAI_SYSTEM" ? "ENOMEM" : code;
}

/** Returns the number of calls that a fault makes fail. */
export function countOf({ code, isLasting }: Fault): number {
  return !isLasting ? 1 : PASSING.includes(code) ? ROW : 1_000_000_000;
}

/** Returns every fault for the calls of a recording, except those that the scenario excludes. */
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

/** Formats a fault for the report. */
export function show(fault: Fault | null): string {
  if (fault === null) return "no fault";
  const { name, code, nth, isLasting } = fault;
  return `${name} ${code}, ${isLasting ? `from call ${nth} on` : `call ${nth}`}`;
}
