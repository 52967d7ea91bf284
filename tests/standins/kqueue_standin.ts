/**
 * A stand-in for kqueue on systems without it: kqueue(2) and kevent(2) over ppoll(2), with the struct layouts of macOS,
 * FreeBSD, NetBSD or libkqueue.
 *
 * The stand-in shares no number, layout or function with the code under test. Its constants come from the headers and
 * manuals of the systems, so that it detects a wrong number in the package. Each call scans all descriptors.
 *
 * The stand-in limits the length of its waits and the number of calls. It throws at the limit, so that a wrong call
 * fails the test instead of hanging it.
 *
 * @module
 */

import { assert } from "@std/assert";
import { standIn } from "../../ffi/os/library.ts";
import { arch, os } from "../../ffi/os/systems.ts";

/** A system that the stand-in can imitate. */
export type StandInSystem = "darwin" | "freebsd" | "netbsd" | "linux";

/** Functions of the libc under the stand-in. */
const c = (os !== "linux" ? null : Deno.dlopen("libc.so.6", {
  __errno_location: { parameters: [], result: "pointer" },
  close: { parameters: ["i32"], result: "i32" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  fstat: { parameters: ["i32", "buffer"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  ppoll: { parameters: ["buffer", "u64", "buffer", "pointer"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  syscall: { parameters: ["i64", "i32", "u32"], result: "i32" },
  timerfd_create: { parameters: ["i32", "i32"], result: "i32" },
  timerfd_settime: { parameters: ["i32", "i32", "buffer", "pointer"], result: "i32" },
  write: { parameters: ["i32", "buffer", "u64"], result: "i64" },
  waitid: { parameters: ["i32", "i32", "buffer", "i32"], result: "i32" },
}).symbols)!;

const errno = new Int32Array(
  os === "linux" ? Deno.UnsafePointerView.getArrayBuffer(c.__errno_location()!, 4) : new ArrayBuffer(4),
);

const [ENOENT, ESRCH, EBADF, EACCES, EFAULT, EINVAL] = [2, 3, 9, 13, 14, 22];
const [POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDHUP] = [0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x2000];
const ECONNRESET = 54; // its number on the BSDs

/** Layout of struct kevent, and the numbers of its filters. */
interface Dialect {
  size: number;
  filterBytes: 2 | 4;
  flags: number;
  fflags: number;
  data: number;
  udata: number;
  read: number;
  write: number;
  timer: number;
  proc: number;
  user: number;
  /** Only macOS has this filter. */
  except?: number;
  FIOCLEX: number;
}

const DIALECTS: Record<StandInSystem, Dialect> = {
  // xnu, bsd/sys/event.h
  darwin: {
    size: 32,
    filterBytes: 2,
    flags: 10,
    fflags: 12,
    data: 16,
    udata: 24,
    read: -1,
    write: -2,
    timer: -7,
    proc: -5,
    user: -10,
    except: -15,
    FIOCLEX: 0x20006601,
  },
  // FreeBSD 12, sys/sys/event.h
  freebsd: {
    size: 64,
    filterBytes: 2,
    flags: 10,
    fflags: 12,
    data: 16,
    udata: 24,
    read: -1,
    write: -2,
    timer: -7,
    proc: -5,
    user: -11,
    FIOCLEX: 0x20006601,
  },
  // NetBSD 10, sys/sys/event.h
  netbsd: {
    size: 40,
    filterBytes: 4,
    flags: 12,
    fflags: 16,
    data: 24,
    udata: 32,
    read: 0,
    write: 1,
    timer: 6,
    proc: 4,
    user: 8,
    FIOCLEX: 0x20006601,
  },
  // libkqueue, include/sys/event.h.in
  linux: {
    size: 32,
    filterBytes: 2,
    flags: 10,
    fflags: 12,
    data: 16,
    udata: 24,
    read: -1,
    write: -2,
    timer: -7,
    proc: -5,
    user: -11,
    FIOCLEX: 0x5451,
  },
};

/** Flags, with the same values on every system. */
const EV = {
  ADD: 0x1,
  DELETE: 0x2,
  ENABLE: 0x4,
  DISABLE: 0x8,
  ONESHOT: 0x10,
  CLEAR: 0x20,
  RECEIPT: 0x40,
  DISPATCH: 0x80,
  ERROR: 0x4000,
  EOF: 0x8000,
};

interface Event {
  ident: bigint;
  filter: number;
  flags: number;
  fflags: number;
  data: bigint;
  udata: bigint;
}

/** The state of a registered event. */
interface Note extends Event {
  disabled: boolean;
  /** Device and inode of the descriptor at the time of EV_ADD. */
  identity: string;
  isSocket: boolean;
  isPipe: boolean;
  /** EV_CLEAR: the last reported state, or null if the next event must be reported. */
  reported: bigint | null;
  /** EVFILT_USER: true if triggered. EVFILT_TIMER uses `expires`, the time of the next expiry. */
  triggered: boolean;
  expires: number;
  /** A Linux descriptor that becomes readable at an event without a file, or -1. */
  mirror: number;
}

/** EVFILT_PROC on macOS, FreeBSD and NetBSD. */
const NOTE_EXIT = 0x8000_0000;
/** EVFILT_PROC on macOS: reports the wait status, but only to the parent of the process. */
const NOTE_EXITSTATUS = 0x0400_0000;

const [P_PID, WEXITED, WNOHANG, WNOWAIT] = [1, 4, 1, 0x0100_0000];
const SYS_PIDFD_OPEN = 434n;

/** Returns the wait status of a child that has ended, null for a running child, and undefined for any other process. */
function childStatus(pid: number): number | null | undefined {
  const info = new Int32Array(32);
  if (c.waitid(P_PID, pid, info, WEXITED | WNOHANG | WNOWAIT) !== 0) return undefined;
  if (info[4] === 0) return null;
  return info[2] === 1 ? info[6]! << 8 : info[6]!;
}

/** Returns true if poll(2) reports a Linux descriptor. */
function isReadable(fd: number): boolean {
  const pollfd = new Int32Array([fd, POLLIN]);
  return c.ppoll(new Uint8Array(pollfd.buffer), 1n, new BigInt64Array(2), null) > 0;
}

/** Returns the identity and mode of a file, from Linux's struct stat on x86_64 and aarch64. */
function fileOf(fd: number): { identity: string; mode: number; device: bigint } | null {
  if (c.fstat(fd, statBytes) !== 0) return null;
  const mode = statView.getUint32(arch === "x86_64" ? 24 : 16, true);
  return { identity: `${statWords[0]}:${statWords[1]}`, mode, device: statWords[0]! };
}
const statBytes = new Uint8Array(256);
const statView = new DataView(statBytes.buffer);
const statWords = new BigUint64Array(statBytes.buffer);

const kindOf = (mode: number) => mode & 0o170000;
const [S_IFIFO, S_IFCHR, S_IFSOCK] = [0o010000, 0o020000, 0o140000];

function intFrom(call: (cell: Int32Array<ArrayBuffer>) => number): number {
  const cell = new Int32Array(1);
  return call(cell) === 0 ? cell[0]! : 0;
}

/** The parts of the stand-in that a test can inspect and break. */
export interface KqueueStandIn {
  /** Number of changes of each kevent() call. */
  calls: number[];
  /** Errno values by filter; every EV_ADD of the filter fails with its errno. */
  refuse: Map<number, number>;
  /** Events that the next kevent() returns before its own. */
  inject: { fd: number; filter: number; flags?: number; udata: bigint }[];
  /** True if the stand-in supports EV_RECEIPT. */
  knowsReceipts: boolean;
  /** Maximum total length of all waits in milliseconds; every test needs less than half of it. */
  patienceMs: number;
  /** Maximum number of calls and scanned descriptors; the largest set has 65,536, and is scanned a few times. */
  looks: number;
  /** Errno values with which the next kevent() calls fail. */
  fail: number[];
  /** Lets the timers with an identifier expire. */
  expire(ident: number): void;
  /** Returns the filters that are registered for a descriptor. */
  filtersOf(fd: number): number[];
  /** Replaces the functions of the kqueue library, and makes the package believe that it runs on a system. */
  install(as?: StandInSystem): void;
}

/** Creates a stand-in that imitates a system. */
export function kqueueStandIn(system: StandInSystem): KqueueStandIn {
  const dialect = DIALECTS[system];
  const queues = new Map<number, Map<string, Note>>();

  const control: KqueueStandIn = {
    calls: [],
    refuse: new Map(),
    inject: [],
    knowsReceipts: true,
    patienceMs: 1_000,
    looks: 1_000_000,
    fail: [],
    filtersOf: (fd) =>
      [...queues.values()].flatMap((notes) => [...notes.values()])
        .filter((note) => note.ident === BigInt(fd)).map((note) => note.filter).sort(),
    expire(ident) {
      for (const note of [...queues.values()].flatMap((notes) => [...notes.values()])) {
        if (note.filter !== dialect.timer || note.ident !== BigInt(ident)) continue;
        c.timerfd_settime(note.mirror, 0, new BigInt64Array([0n, 0n, 0n, 1n]), null);
      }
    },
    install: (as = system) => standIn("kqueue", functions, as),
  };

  /** Sets errno and returns -1. */
  function fails(number: number): -1 {
    errno[0] = number;
    return -1;
  }

  function read(view: DataView, index: number): Event {
    const at = index * dialect.size;
    const isNarrow = dialect.filterBytes === 2;
    return {
      ident: view.getBigUint64(at, true),
      filter: isNarrow ? view.getInt16(at + 8, true) : view.getUint32(at + 8, true),
      flags: isNarrow ? view.getUint16(at + dialect.flags, true) : view.getUint32(at + dialect.flags, true),
      fflags: view.getUint32(at + dialect.fflags, true),
      data: view.getBigInt64(at + dialect.data, true),
      udata: view.getBigUint64(at + dialect.udata, true),
    };
  }

  function write(view: DataView, index: number, event: Event): void {
    const at = index * dialect.size;
    // A kernel does not clear the padding, so the package must not rely on it.
    for (let byte = 0; byte < dialect.size; byte++) view.setUint8(at + byte, 0xa5);
    view.setBigUint64(at, event.ident, true);
    if (dialect.filterBytes === 2) {
      view.setInt16(at + 8, event.filter, true);
      view.setUint16(at + dialect.flags, event.flags, true);
    } else {
      view.setUint32(at + 8, event.filter, true);
      view.setUint32(at + dialect.flags, event.flags, true);
    }
    view.setUint32(at + dialect.fflags, event.fflags, true);
    view.setBigInt64(at + dialect.data, event.data, true);
    view.setBigUint64(at + dialect.udata, event.udata, true);
  }

  function isOfFile(filter: number): boolean {
    return filter === dialect.read || filter === dialect.write || filter === dialect.except;
  }

  /** Removes an event; returns false if there is none. */
  function drop(notes: Map<string, Note>, name: string): boolean {
    const note = notes.get(name);
    if (note !== undefined && note.mirror >= 0) c.close(note.mirror);
    return notes.delete(name);
  }

  /** Returns a Linux descriptor that becomes readable when the event occurs, or `-errno`. */
  function mirrorOf(event: Event): number {
    if (event.filter === dialect.proc) {
      const pid = Number(event.ident);
      const status = childStatus(pid);
      if (system === "darwin") {
        if (typeof status === "number") return -ESRCH; // a zombie
        if (status === undefined && (event.fflags & NOTE_EXITSTATUS) !== 0) return -EACCES;
      }
      assert((event.fflags & NOTE_EXIT) !== 0, "EVFILT_PROC without NOTE_EXIT");
      const fd = c.syscall(SYS_PIDFD_OPEN, pid, 0);
      return fd < 0 ? -errno[0]! : fd;
    }
    if (event.filter === dialect.user) return c.eventfd(0, 0);
    if (event.filter !== dialect.timer || (event.flags & EV.ONESHOT) === 0) return -1;
    assert(event.data > 0n, "A timer of 0 ms differs between systems");
    const fd = c.timerfd_create(1, 0);
    c.timerfd_settime(fd, 0, new BigInt64Array([0n, 0n, event.data / 1000n, event.data % 1000n * 1_000_000n]), null);
    return fd;
  }

  /** Applies a change to the queue `kq`. Returns 0 or an errno. */
  function change(kq: number, notes: Map<string, Note>, event: Event): number {
    const known = [dialect.read, dialect.write, dialect.timer, dialect.proc, dialect.user, dialect.except];
    if (!known.includes(event.filter)) return EINVAL;
    const isFile = isOfFile(event.filter);
    const NOTE_OOB = 2;
    if (event.filter === dialect.except && event.fflags !== NOTE_OOB && (event.flags & EV.ADD) !== 0) return EINVAL;
    const file = isFile ? event.ident < 2n ** 31n ? fileOf(Number(event.ident)) : null : undefined;
    const name = `${event.filter}:${event.ident}`;
    if (file === null) {
      drop(notes, name); // close() has removed the event
      return system === "linux" ? EFAULT : EBADF; // libkqueue up to 2.7.0 has no other errno for a failed EV_ADD
    }
    let note = notes.get(name);
    // The kernel removes the events of a descriptor when it is closed.
    if (note !== undefined && file !== undefined && note.identity !== file.identity) {
      drop(notes, name);
      note = undefined;
    }
    const refused = control.refuse.get(event.filter);
    if (refused !== undefined && (event.flags & EV.ADD) !== 0) return refused;
    if ((event.flags & EV.DELETE) !== 0) return drop(notes, name) ? 0 : ENOENT;
    if (note === undefined) {
      if ((event.flags & EV.ADD) === 0) return ENOENT;
      const kind = kindOf(file?.mode ?? 0);
      if (system === "darwin" && kind === S_IFCHR) return EINVAL; // /dev/tty, /dev/null
      if (system === "linux" && kind === S_IFCHR) return EFAULT; // /dev/null, but not terminals
      const fd = mirrorOf(event);
      if (fd < -1) return -fd;
      if (fd >= 0) c.epoll_ctl(kq, 1, fd, new Int32Array([POLLIN, 0, 0, 0])); // EPOLL_CTL_ADD
      note = {
        ...event,
        disabled: false,
        identity: file?.identity ?? "",
        isSocket: kind === S_IFSOCK,
        isPipe: kind === S_IFIFO,
        reported: null,
        triggered: false,
        expires: performance.now() + Number(event.data),
        fflags: event.filter === dialect.proc ? event.fflags : 0,
        mirror: fd,
      };
      notes.set(name, note);
    } else if ((event.flags & EV.ADD) !== 0) {
      note.udata = event.udata;
      note.flags = event.flags;
      note.reported = null;
    }
    if ((event.flags & EV.ADD) !== 0) note.data = event.data;
    if ((event.flags & (EV.ADD | EV.ENABLE)) !== 0) {
      note.disabled = false;
      note.reported = null;
    }
    if ((event.flags & EV.DISABLE) !== 0) note.disabled = true;
    if (event.filter === dialect.user) {
      const [operation, bits] = [event.fflags >>> 30, event.fflags & 0xffffff];
      note.fflags = [note.fflags, note.fflags & bits, note.fflags | bits, bits][operation]!;
      if ((event.fflags & 0x1000000) !== 0) {
        note.triggered = true;
        c.write(note.mirror, new BigUint64Array([1n]), 8n);
      }
    }
    return 0;
  }

  /**
   * Makes the descriptor of the queue readable when the queue has an event, so that other selectors can wait for it.
   *
   * The descriptor is an epoll instance with the same registrations. It may be readable without an event, as after
   * EV_CLEAR. The descriptor of libkqueue is the write end of a pipe and is never readable.
   */
  function mirror(kq: number, notes: Map<string, Note>, ident: bigint): void {
    if (system === "linux") return;
    const [reads, writes] = [dialect.read, dialect.write].map((filter) => notes.has(`${filter}:${ident}`));
    const mask = (reads ? POLLIN | POLLRDHUP : 0) | (writes ? POLLOUT : 0) |
      (notes.has(`${dialect.except}:${ident}`) ? POLLPRI : 0);
    const fd = Number(BigInt.asIntN(32, ident));
    const [EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD] = [1, 2, 3];
    const event = new Int32Array([mask, 0, 0, 0]); // struct epoll_event, with room to spare
    if (mask === 0) c.epoll_ctl(kq, EPOLL_CTL_DEL, fd, event);
    else if (c.epoll_ctl(kq, EPOLL_CTL_MOD, fd, event) !== 0) c.epoll_ctl(kq, EPOLL_CTL_ADD, fd, event);
  }

  /** Returns true if a state has less data than another state, and the same flags. */
  function isLess(state: bigint, other: bigint): boolean {
    return (state & 0xffffn) === (other & 0xffffn) && state >> 16n < other >> 16n;
  }

  /** Returns the current state of a file for a filter, or null if the file is not ready. */
  function stateOf(note: Note, revents: number): { data: bigint; flags: number; fflags?: number } | null {
    const fd = Number(note.ident);
    if (note.filter === dialect.except) return (revents & POLLPRI) === 0 ? null : { data: 1n, flags: 0, fflags: 2 };
    const fflags = note.isSocket && (revents & POLLERR) !== 0 ? ECONNRESET : 0;
    if (note.filter === dialect.read) {
      if ((revents & (POLLIN | POLLHUP | POLLERR | POLLRDHUP)) === 0) return null;
      const flags = (revents & (POLLHUP | POLLERR | POLLRDHUP)) !== 0 ? EV.EOF : 0;
      const waiting = BigInt(intFrom((cell) => c.ioctl(fd, 0x541bn, cell))); // FIONREAD
      const isListener = note.isSocket &&
        intFrom((cell) => c.getsockopt(fd, 1, 30, cell, new Int32Array([4]))) === 1;
      // NOTE_LOWAT, which is bounded by the size of the buffer, as in XNU.
      const lowat = Math.min(Number(note.data), 200_000);
      if (!isListener && flags === 0 && Number(waiting) < lowat) return null;
      return { data: isListener ? 1n : waiting, flags, fflags };
    }
    if ((revents & (POLLOUT | POLLHUP | POLLERR)) === 0) return null;
    const flags = (revents & (POLLHUP | POLLERR)) !== 0 ? EV.EOF : 0;
    const size = note.isPipe
      ? c.fcntl(fd, 1032, 0) // F_GETPIPE_SZ
      : intFrom((cell) => c.getsockopt(fd, 1, 7, cell, new Int32Array([4]))); // SO_SNDBUF
    const used = intFrom((cell) => c.ioctl(fd, note.isPipe ? 0x541bn : 0x5411n, cell)); // FIONREAD, SIOCOUTQ
    return { data: BigInt(Math.max(size - used, 1)), flags, fflags };
  }

  /** Subtracts calls or scanned descriptors from the limit. */
  function look(count: number): void {
    control.looks -= count;
    assert(control.looks > 0, "kevent() is called in a loop, or scans all descriptors at each change");
  }

  /** Calls ppoll() within the limits of the stand-in. Returns the result, or `-errno`. */
  function poll(pollfds: DataView<ArrayBuffer>, count: number, waitMs: number): number {
    look(20 + count); // the call itself costs as much as twenty descriptors
    const boundMs = Math.min(waitMs, control.patienceMs);
    const time = new BigInt64Array([
      BigInt(Math.floor(boundMs / 1000)),
      BigInt(Math.min(Math.ceil((boundMs % 1000) * 1e6), 999_999_999)),
    ]);
    const start = performance.now();
    const ready = c.ppoll(new Uint8Array(pollfds.buffer), BigInt(count), time, null);
    const outcome = ready < 0 ? -errno[0]! : ready;
    // Delays of a busy machine do not count, so that they cannot exhaust the limit.
    if (outcome <= 0) control.patienceMs -= Math.min(performance.now() - start, boundMs);
    assert(outcome !== 0 || boundMs === waitMs, "kevent() waits for an event that never comes");
    return outcome;
  }

  /** Waits for events. Returns the events, or the errno of the wait. */
  function scan(notes: Map<string, Note>, room: number, timeoutMs: number): Event[] | number {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      let waitMs = Math.max(deadline - performance.now(), 0);
      const files: [name: string, note: Note][] = [];
      for (const [name, note] of notes) {
        if (!isOfFile(note.filter)) continue;
        if (fileOf(Number(note.ident))?.identity !== note.identity) drop(notes, name);
        else if (!note.disabled) files.push([name, note]);
      }
      const pollfds = new DataView(new ArrayBuffer(Math.max(8 * files.length, 8)));
      for (const [index, [, note]] of files.entries()) {
        pollfds.setInt32(8 * index, Number(note.ident), true);
        const { filter } = note;
        const asked = filter === dialect.write ? POLLOUT : filter === dialect.read ? POLLIN | POLLRDHUP : POLLPRI;
        pollfds.setInt16(8 * index + 4, asked, true);
        // An unchanged event that was already reported would end each wait at once, so the loop polls instead.
        if (note.reported !== null) waitMs = 0;
      }
      for (const note of notes.values()) {
        if (note.disabled) continue;
        if (note.filter === dialect.user && note.triggered) waitMs = 0;
        if (note.filter === dialect.proc) waitMs = isReadable(note.mirror) ? 0 : Math.min(waitMs, 5);
        if (note.filter === dialect.timer) waitMs = Math.min(waitMs, Math.max(note.expires - performance.now(), 0));
      }
      const outcome = poll(pollfds, files.length, waitMs);
      if (outcome < 0) return -outcome;

      const found: [name: string, note: Note, event: Event][] = [];
      const revents = new Map(files.map(([name], index) => [name, pollfds.getInt16(8 * index + 6, true)]));
      for (const [name, note] of notes) {
        if (found.length === room) break;
        if (note.disabled) continue;
        const { ident, filter, udata } = note;
        const event: Event = { ident, filter, flags: note.flags & 0xfff & ~EV.RECEIPT, fflags: 0, data: 0n, udata };
        if (filter === dialect.user) {
          if (note.triggered) found.push([name, note, { ...event, fflags: note.fflags }]);
        } else if (filter === dialect.proc) {
          if (!isReadable(note.mirror)) continue;
          const tells = system !== "darwin" || (note.fflags & NOTE_EXITSTATUS) !== 0;
          const status = tells ? childStatus(Number(ident)) ?? 0 : 0;
          // The kernel adds both flags, because a process ends only once.
          const flags = event.flags | EV.EOF | EV.ONESHOT;
          found.push([name, note, { ...event, flags, fflags: NOTE_EXIT, data: BigInt(status) }]);
        } else if (filter === dialect.timer) {
          if (note.mirror >= 0) {
            if (isReadable(note.mirror)) found.push([name, note, { ...event, data: 1n }]);
            continue;
          }
          const period = Math.max(Number(note.data), 1);
          const times = Math.floor((performance.now() - note.expires) / period) + 1;
          if (times <= 0) continue;
          note.expires += times * period;
          found.push([name, note, { ...event, data: BigInt(times) }]);
        } else {
          const bits = revents.get(name)!;
          if ((bits & POLLNVAL) !== 0) continue;
          const state = stateOf(note, bits);
          const seen = state === null ? null : state.data << 16n | BigInt(state.flags);
          if (state === null) note.reported = null;
          else if (note.reported !== null && isLess(seen!, note.reported)) note.reported = seen;
          else if (seen !== note.reported) {
            const { data, flags, fflags = 0 } = state;
            found.push([name, note, { ...event, data, flags: event.flags | flags, fflags }]);
            if ((note.flags & EV.CLEAR) !== 0) note.reported = seen;
          }
        }
      }
      for (const [name, note] of found) {
        // Move the event to the end of the queue, so that a short event list reports every event in turn.
        if ((note.flags & EV.ONESHOT) !== 0 || note.filter === dialect.proc) drop(notes, name);
        else {
          notes.delete(name);
          notes.set(name, note);
        }
        if ((note.flags & EV.DISPATCH) !== 0) note.disabled = true;
        if (note.filter === dialect.user && (note.flags & EV.CLEAR) !== 0) note.triggered = false;
      }
      if (found.length > 0 || performance.now() >= deadline) return found.map(([, , event]) => event);
    }
  }

  /** Returns a view of the bytes of a parameter, which is a buffer or an address. */
  function bytesOf(parameter: BufferSource | bigint | null, count: number): DataView | null {
    if (parameter === null || count === 0) return null;
    if (typeof parameter === "bigint") {
      const pointer = Deno.UnsafePointer.create(parameter)!;
      return new DataView(Deno.UnsafePointerView.getArrayBuffer(pointer, count * dialect.size));
    }
    const isView = ArrayBuffer.isView(parameter);
    const view = isView
      ? new DataView(parameter.buffer, parameter.byteOffset, parameter.byteLength)
      : new DataView(parameter);
    if (view.byteLength < count * dialect.size) throw new Error("The list is shorter than its count");
    return view;
  }

  function kevent(
    kq: number,
    changelist: BufferSource | null,
    nchanges: bigint,
    eventlist: BufferSource | bigint | null,
    nevents: bigint,
    timeout: Int32Array<ArrayBuffer> | null,
  ): number {
    look(1);
    control.calls.push(Number(nchanges));
    const failure = control.fail.shift();
    if (failure !== undefined) return fails(failure);
    const notes = queues.get(kq);
    if (notes === undefined) return fails(EBADF);
    let timeoutMs = Infinity;
    if (timeout !== null) {
      const [seconds, nanoseconds] = new BigInt64Array(timeout.buffer, timeout.byteOffset, 2);
      if (seconds! < 0n || seconds! > 100_000_000n || nanoseconds! < 0n || nanoseconds! >= 1_000_000_000n) {
        return fails(EINVAL);
      }
      timeoutMs = Number(seconds) * 1000 + Number(nanoseconds) / 1e6;
    }
    const room = Number(nevents);
    const changes = bytesOf(changelist, Number(nchanges));
    const events = bytesOf(eventlist, room);
    let filled = 0;
    for (let index = 0; index < Number(nchanges); index++) {
      const event = read(changes!, index);
      const error = change(kq, notes, event);
      if (event.filter === dialect.read || event.filter === dialect.write) mirror(kq, notes, event.ident);
      const wantsReceipt = control.knowsReceipts && (event.flags & EV.RECEIPT) !== 0;
      if (error === 0 && !wantsReceipt) continue;
      if (filled === room) return error === 0 ? 0 : fails(error);
      // FreeBSD sets only EV_ERROR; macOS adds it to the other flags; newer versions of macOS omit it if there is no
      // error.
      const flags = system === "darwin" ? event.flags | (error === 0 ? 0 : EV.ERROR) : EV.ERROR;
      write(events!, filled++, { ...event, flags, data: BigInt(error) });
    }
    if (filled > 0 || room === 0) return filled;
    if (nchanges === 0n) {
      for (const { fd, filter, flags = 0, udata } of control.inject.splice(0)) {
        write(events!, filled++, { ident: BigInt(fd), filter, flags, fflags: 0, data: 0n, udata });
      }
    }
    if (filled > 0) return filled;
    const found = scan(notes, room, timeoutMs);
    if (typeof found === "number") return fails(found);
    for (const event of found) write(events!, filled++, event);
    return filled;
  }

  const functions = {
    kqueue(): number {
      const fd = c.epoll_create1(0);
      if (fd >= 0) queues.set(fd, new Map());
      return fd;
    },
    kevent,
    keventAt: kevent,
    ioctl(fd: number, request: bigint): number {
      if (Number(request) !== dialect.FIOCLEX) return fails(EINVAL);
      return c.fcntl(fd, 2, 1); // F_SETFD, FD_CLOEXEC
    },
    /** Fills in struct stat with the layout of the imitated system. */
    fstat(fd: number, buffer: Int32Array<ArrayBuffer>): number {
      const file = fileOf(fd);
      if (file === null) return fails(EBADF);
      const view = new DataView(buffer.buffer);
      for (let byte = 0; byte < view.byteLength; byte++) view.setUint8(byte, 0xa5);
      const isPipe = kindOf(file.mode) === S_IFIFO && Deno.readLinkSync(`/proc/self/fd/${fd}`).startsWith("pipe:");
      const device = isPipe ? 0n : file.device;
      if (system === "darwin") {
        view.setInt32(0, Number(device), true);
        view.setUint16(4, file.mode, true);
      } else if (system === "freebsd") {
        view.setBigUint64(0, device, true);
        view.setUint16(24, file.mode, true);
      } else if (system === "netbsd") {
        view.setBigUint64(0, device, true);
        view.setUint32(8, file.mode, true);
      } else {
        new Uint8Array(buffer.buffer).set(statBytes); // libkqueue runs on Linux, so the layout is the same
      }
      return 0;
    },
    close(fd: number): number {
      for (const { mirror } of queues.get(fd)?.values() ?? []) if (mirror >= 0) c.close(mirror);
      queues.delete(fd);
      return c.close(fd);
    },
  };
  return control;
}
