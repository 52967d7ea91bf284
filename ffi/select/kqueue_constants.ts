/**
 * Constants of Python's `select.kqueue`, with the values of this system.
 *
 * @module
 */

import { system } from "../os/systems.ts";

const HERE = system.kqueue;

/** Filter: a descriptor is readable; `data` is how many bytes or connections there are. */
export const KQ_FILTER_READ: number = HERE.filters.READ;
/** Filter: a descriptor is writable; `data` is how many bytes there is room for. */
export const KQ_FILTER_WRITE: number = HERE.filters.WRITE;
/** Filter: asynchronous requests. */
export const KQ_FILTER_AIO: number = HERE.filters.AIO;
/** Filter: a file changes, as the KQ_NOTE_* of files say. */
export const KQ_FILTER_VNODE: number = HERE.filters.VNODE;
/** Filter: a process does something, as the KQ_NOTE_* of processes say; `ident` is its number. */
export const KQ_FILTER_PROC: number = HERE.filters.PROC;
/** Filter: a signal arrives; `ident` is its number, `data` how often. */
export const KQ_FILTER_SIGNAL: number = HERE.filters.SIGNAL;
/** Filter: a timer expires; `data` is the period in milliseconds, and then how often it did. */
export const KQ_FILTER_TIMER: number = HERE.filters.TIMER;
/** Filter: a network device changes. NaN, which {@linkcode Kevent} refuses: no system that Deno knows has it any more. */
export const KQ_FILTER_NETDEV: number = HERE.filters.NETDEV;
/** Filter: the program itself triggers the event, with KQ_NOTE_TRIGGER. */
export const KQ_FILTER_USER: number = HERE.filters.USER;

/** Action: add the event, or change it if it is there. */
export const KQ_EV_ADD = 0x0001;
/** Action: remove the event. */
export const KQ_EV_DELETE = 0x0002;
/** Action: report the event again. */
export const KQ_EV_ENABLE = 0x0004;
/** Action: keep the event, and do not report it. */
export const KQ_EV_DISABLE = 0x0008;
/** Flag: remove the event once it was reported. */
export const KQ_EV_ONESHOT = 0x0010;
/** Flag: report changes (edges), by forgetting the state once it was reported. */
export const KQ_EV_CLEAR = 0x0020;
/** Flag: answer a change by an entry with KQ_EV_ERROR, whose `data` is 0 if it was made. */
export const KQ_EV_RECEIPT = 0x0040;
/** Flag: disable the event once it was reported. */
export const KQ_EV_DISPATCH = 0x0080;
/** The flags that are the system's own. */
export const KQ_EV_SYSFLAGS = 0xf000;
/** A flag whose meaning depends on the filter. */
export const KQ_EV_FLAG1 = 0x2000;
/** Result: an error, whose number is in `data`. */
export const KQ_EV_ERROR = 0x4000;
/** Result: the end; the peer has closed. */
export const KQ_EV_EOF = 0x8000;

/** READ and WRITE: `data` is the least that has to be there. */
export const KQ_NOTE_LOWAT = 0x0001;

/** VNODE: the file was deleted. */
export const KQ_NOTE_DELETE = 0x0001;
/** VNODE: the file was written. */
export const KQ_NOTE_WRITE = 0x0002;
/** VNODE: the file grew. */
export const KQ_NOTE_EXTEND = 0x0004;
/** VNODE: the attributes changed. */
export const KQ_NOTE_ATTRIB = 0x0008;
/** VNODE: the number of links changed. */
export const KQ_NOTE_LINK = 0x0010;
/** VNODE: the file was renamed. */
export const KQ_NOTE_RENAME = 0x0020;
/** VNODE: access was revoked, or the file system unmounted. */
export const KQ_NOTE_REVOKE = 0x0040;

/** PROC: the process ended. */
export const KQ_NOTE_EXIT = 0x8000_0000;
/** PROC: the process forked. */
export const KQ_NOTE_FORK = 0x4000_0000;
/** PROC: the process executed another program. */
export const KQ_NOTE_EXEC = 0x2000_0000;
/** PROC: the bits that say what to watch for. */
export const KQ_NOTE_PCTRLMASK: number = HERE.processMask;
/** PROC: the bits that carry data. */
export const KQ_NOTE_PDATAMASK = 0x000f_ffff;
/** PROC: follow the process into its children. */
export const KQ_NOTE_TRACK = 0x0001;
/** PROC, result: a child could not be followed. */
export const KQ_NOTE_TRACKERR = 0x0002;
/** PROC, result: the event is of a child, whose parent is in `data`. */
export const KQ_NOTE_CHILD = 0x0004;

/** NETDEV: the link is up. */
export const KQ_NOTE_LINKUP = 0x0001;
/** NETDEV: the link is down. */
export const KQ_NOTE_LINKDOWN = 0x0002;
/** NETDEV: the state of the link is not known. */
export const KQ_NOTE_LINKINV = 0x0004;

/** USER: trigger the event. */
export const KQ_NOTE_TRIGGER = 0x0100_0000;
/** USER: leave the 24 bits that the event carries. */
export const KQ_NOTE_FFNOP = 0x0000_0000;
/** USER: AND the given bits to those that the event carries. */
export const KQ_NOTE_FFAND = 0x4000_0000;
/** USER: OR the given bits to those that the event carries. */
export const KQ_NOTE_FFOR = 0x8000_0000;
/** USER: replace the bits that the event carries. */
export const KQ_NOTE_FFCOPY = 0xc000_0000;
/** USER: the bits that say what to do with the others. */
export const KQ_NOTE_FFCTRLMASK = 0xc000_0000;
/** USER: the bits that the event carries. */
export const KQ_NOTE_FFLAGSMASK = 0x00ff_ffff;
