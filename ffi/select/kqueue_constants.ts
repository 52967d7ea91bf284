/**
 * Constants for Python's `select.kqueue`, with this system's values.
 *
 * @module
 */

import { system } from "../os/systems.ts";

const HERE = system.kqueue;

/** Filter: a descriptor is readable; `data` is the number of bytes to read or connections to accept. */
export const KQ_FILTER_READ: number = HERE.filters.READ;
/** Filter: a descriptor is writable; `data` is the number of bytes that the buffer has room for. */
export const KQ_FILTER_WRITE: number = HERE.filters.WRITE;
/** Filter: an asynchronous I/O request completes. */
export const KQ_FILTER_AIO: number = HERE.filters.AIO;
/** Filter: a file changes; the VNODE flags in `fflags` select the changes. */
export const KQ_FILTER_VNODE: number = HERE.filters.VNODE;
/** Filter: a process exits, forks or executes a program, as selected by PROC flags; `ident` is the process ID. */
export const KQ_FILTER_PROC: number = HERE.filters.PROC;
/** Filter: a signal arrives; `ident` is the signal number, and `data` is the number of arrivals. */
export const KQ_FILTER_SIGNAL: number = HERE.filters.SIGNAL;
/** Filter: a timer expires; `data` is the period in milliseconds, or in a reported event the number of expirations. */
export const KQ_FILTER_TIMER: number = HERE.filters.TIMER;
/** Filter: a network device changes. No system that Deno supports has it; {@linkcode Kevent} rejects its value, NaN. */
export const KQ_FILTER_NETDEV: number = HERE.filters.NETDEV;
/** Filter: the program triggers the event with KQ_NOTE_TRIGGER. */
export const KQ_FILTER_USER: number = HERE.filters.USER;

/** Action: add the event, or change it if it exists. */
export const KQ_EV_ADD = 0x0001;
/** Action: remove the event. */
export const KQ_EV_DELETE = 0x0002;
/** Action: enable the event after KQ_EV_DISABLE. */
export const KQ_EV_ENABLE = 0x0004;
/** Action: keep the event, but do not report it. */
export const KQ_EV_DISABLE = 0x0008;
/** Flag: report the event once, and then remove it. */
export const KQ_EV_ONESHOT = 0x0010;
/** Flag: edge-triggered; reset the state of the event after each report. */
export const KQ_EV_CLEAR = 0x0020;
/** Flag: return an event with KQ_EV_ERROR for the change even if it succeeds, with 0 as its `data`. */
export const KQ_EV_RECEIPT = 0x0040;
/** Flag: report the event once, and then disable it. */
export const KQ_EV_DISPATCH = 0x0080;
/** Mask of the bits that are reserved for the system. */
export const KQ_EV_SYSFLAGS = 0xf000;
/** Flag whose meaning depends on the filter. */
export const KQ_EV_FLAG1 = 0x2000;
/** Result: an error; `data` is the error number. */
export const KQ_EV_ERROR = 0x4000;
/** Result: end of file, or the peer has closed its end. */
export const KQ_EV_EOF = 0x8000;

/** READ, WRITE: `data` is the low-water mark, the minimum number of bytes for which the descriptor is ready. */
export const KQ_NOTE_LOWAT = 0x0001;

/** VNODE: the file was deleted. */
export const KQ_NOTE_DELETE = 0x0001;
/** VNODE: data was written to the file. */
export const KQ_NOTE_WRITE = 0x0002;
/** VNODE: the file grew. */
export const KQ_NOTE_EXTEND = 0x0004;
/** VNODE: the attributes of the file changed. */
export const KQ_NOTE_ATTRIB = 0x0008;
/** VNODE: the link count of the file changed. */
export const KQ_NOTE_LINK = 0x0010;
/** VNODE: the file was renamed. */
export const KQ_NOTE_RENAME = 0x0020;
/** VNODE: access to the file was revoked, or the file system was unmounted. */
export const KQ_NOTE_REVOKE = 0x0040;

/** PROC: the process ended. */
export const KQ_NOTE_EXIT = 0x8000_0000;
/** PROC: the process forked. */
export const KQ_NOTE_FORK = 0x4000_0000;
/** PROC: the process executed another program. */
export const KQ_NOTE_EXEC = 0x2000_0000;
/** PROC: mask of the bits that select events. */
export const KQ_NOTE_PCTRLMASK: number = HERE.processMask;
/** PROC: mask of the bits that carry data. */
export const KQ_NOTE_PDATAMASK = 0x000f_ffff;
/** PROC: report events for the children of the process too. */
export const KQ_NOTE_TRACK = 0x0001;
/** PROC, result: the system could not add an event for a child. */
export const KQ_NOTE_TRACKERR = 0x0002;
/** PROC, result: the event is for a child process; `data` is the process ID of its parent. */
export const KQ_NOTE_CHILD = 0x0004;

/** NETDEV: the link is up. */
export const KQ_NOTE_LINKUP = 0x0001;
/** NETDEV: the link is down. */
export const KQ_NOTE_LINKDOWN = 0x0002;
/** NETDEV: the state of the link is unknown. */
export const KQ_NOTE_LINKINV = 0x0004;

/** USER: trigger the event. */
export const KQ_NOTE_TRIGGER = 0x0100_0000;
/** USER: leave the user flags of the event, the lower 24 bits of `fflags`, unchanged. */
export const KQ_NOTE_FFNOP = 0x0000_0000;
/** USER: combine the user flags of the event with the given flags by bitwise AND. */
export const KQ_NOTE_FFAND = 0x4000_0000;
/** USER: combine the user flags of the event with the given flags by bitwise OR. */
export const KQ_NOTE_FFOR = 0x8000_0000;
/** USER: replace the user flags of the event with the given flags. */
export const KQ_NOTE_FFCOPY = 0xc000_0000;
/** USER: mask of the bits that select one of the four operations above. */
export const KQ_NOTE_FFCTRLMASK = 0xc000_0000;
/** USER: mask of the user flags. */
export const KQ_NOTE_FFLAGSMASK = 0x00ff_ffff;
