/**
 * Bindings to kqueue (macOS, FreeBSD, NetBSD; libkqueue on Linux): the instance with its event buffer, and Python's
 * `select.kqueue` and `select.kevent` over it.
 *
 * @module
 */

import { check, errnoCell, lazyLibc, openWithErrno, result } from "./errno.ts";
import { filenoOf, type FileObject, show } from "./arguments.ts";
import { arch, lazySystem, type Os, os } from "./platform.ts";
import {
  deadlineAfter,
  isInterruption,
  leftUntil,
  monotonicMs,
  type Timeout,
  timeoutToMs,
  Timespec,
} from "./timeout.ts";

/** Where the fields of a `struct kevent` are, in bytes. `flags` follows `filter`, and so tells how wide both are. */
export interface KeventLayout {
  /** Bytes of the whole. */
  readonly size: number;
  /** `uintptr_t` */
  readonly ident: number;
  /** 16 bits with a sign, or 32 without */
  readonly filter: number;
  /** As wide as `filter` */
  readonly flags: number;
  /** 32 bits */
  readonly fflags: number;
  /** `int64_t` */
  readonly data: number;
  /** `void *` */
  readonly udata: number;
}

/** Numbers of the filters; NaN, which no event has, where the system lacks one. */
export interface KqueueFilters {
  /** Readable. */
  readonly READ: number;
  /** Writable. */
  readonly WRITE: number;
  /** Asynchronous requests. */
  readonly AIO: number;
  /** Files. */
  readonly VNODE: number;
  /** Processes. */
  readonly PROC: number;
  /** Signals. */
  readonly SIGNAL: number;
  /** Timers. */
  readonly TIMER: number;
  /** Network devices. */
  readonly NETDEV: number;
  /** Events that the program itself triggers. */
  readonly USER: number;
}

/** A kind of file that kqueue cannot wait for. */
interface Unwatchable {
  /** Its type, as `st_mode` has it. */
  readonly type: number;
  /** Whether only those that are in a file system are meant: a pipe has the type of a FIFO, and is on no device. */
  readonly onDevice: boolean;
  /** Why not, and what to use. */
  readonly text: string;
}

/** What kqueue is on one system. */
export interface KqueueSystem {
  /** `struct kevent`. */
  readonly kevent: KeventLayout;
  /** The EVFILT_* numbers. */
  readonly filters: KqueueFilters;
  /** NOTE_PCTRLMASK: the bits of EVFILT_PROC that say what to watch for. */
  readonly processMask: number;
  /** KQ_EV_ENABLE, which tells whether a filter is still there, or 0 where it may not be said. */
  readonly confirm: number;
  /** FIOCLEX: the ioctl(2) that sets close-on-exec. */
  readonly closeOnExec: number;
  /** Those fields of `struct stat` that tell of what kind a file is; of use only where there is something unwatchable. */
  readonly stat: { readonly st_dev: number; readonly st_mode: number };
  /** What is refused, since kqueue would never report it, or not as other systems do. */
  readonly unwatchable: readonly Unwatchable[];
}

/**
 * struct kevent {         macOS   FreeBSD >= 12   libkqueue
 *   uintptr_t ident;      // +0   +0              +0
 *   int16_t   filter;     // +8   +8              +8
 *   uint16_t  flags;      // +10  +10             +10
 *   uint32_t  fflags;     // +12  +12             +12
 *   int64_t   data;       // +16  +16             +16
 *   void     *udata;      // +24  +24             +24
 *   uint64_t  ext[4];     //      +32
 * };                      // 32   64              32
 *
 * FreeBSD's 32 bytes without `ext` belong to kevent@FBSD_1.0, which is not what dlsym() finds.
 */
const KEVENT: KeventLayout = { size: 32, ident: 0, filter: 8, flags: 10, fflags: 12, data: 16, udata: 24 };
const KEVENT_FREEBSD: KeventLayout = { ...KEVENT, size: 64 };

/**
 * struct kevent {         NetBSD
 *   uintptr_t ident;      // +0
 *   uint32_t  filter;     // +8
 *   uint32_t  flags;      // +12
 *   uint32_t  fflags;     // +16
 *   int64_t   data;       // +24
 *   void     *udata;      // +32
 * };                      // 40
 */
const KEVENT_NETBSD: KeventLayout = { size: 40, ident: 0, filter: 8, flags: 12, fflags: 16, data: 24, udata: 32 };

/** FreeBSD's, of which the others have most. */
const FILTERS: KqueueFilters = {
  READ: -1,
  WRITE: -2,
  AIO: -3,
  VNODE: -4,
  PROC: -5,
  SIGNAL: -6,
  TIMER: -7,
  NETDEV: NaN, // until FreeBSD 5
  USER: -11,
};
const FILTERS_NETBSD: KqueueFilters = {
  READ: 0,
  WRITE: 1,
  AIO: 2,
  VNODE: 3,
  PROC: 4,
  SIGNAL: 5,
  TIMER: 6,
  NETDEV: NaN,
  USER: 8, // since NetBSD 10
};

// Types of files in st_mode.
const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

/** kqueue reports a file as readable only while something is left to read, and on some systems only once. */
const NO_FILES: readonly Unwatchable[] = [
  {
    type: S_IFREG,
    onDevice: true,
    text: "kqueue cannot wait for a regular file, which is always ready; SelectSelector says so",
  },
  {
    type: S_IFDIR,
    onDevice: true,
    text: "kqueue cannot wait for a directory, which is always ready; SelectSelector says so",
  },
];
const NO_FIFOS: Unwatchable = {
  type: S_IFIFO,
  onDevice: true,
  text: "kqueue of macOS cannot wait for a FIFO, whose end it never reports; use SelectSelector",
};

/**
 * struct stat {                   macOS     FreeBSD >= 12   NetBSD
 *   dev_t  st_dev;                // +0     +0              +0
 *   mode_t st_mode;               // +4     +24             +8    16 bits, but 32 on NetBSD
 *   ...
 * };                              // 144    224             152
 *
 * All that is used of st_dev is whether its lower 32 bits are 0.
 */
const STAT_BYTES = 512;

/** The systems that have kqueue. */
export const KQUEUE_SYSTEMS: Readonly<Record<"darwin" | "freebsd" | "netbsd" | "linux", KqueueSystem>> = {
  darwin: {
    kevent: KEVENT,
    filters: { ...FILTERS, USER: -10 },
    processMask: 0xfff0_0000,
    confirm: 0x0004,
    closeOnExec: 0x2000_6601,
    stat: { st_dev: 0, st_mode: 4 },
    unwatchable: [...NO_FILES, NO_FIFOS],
  },
  freebsd: {
    kevent: KEVENT_FREEBSD,
    filters: FILTERS,
    processMask: 0xf000_0000,
    confirm: 0x0004,
    closeOnExec: 0x2000_6601,
    stat: { st_dev: 0, st_mode: 24 },
    unwatchable: NO_FILES,
  },
  netbsd: {
    kevent: KEVENT_NETBSD,
    filters: FILTERS_NETBSD,
    processMask: 0xf000_0000,
    confirm: 0x0004,
    closeOnExec: 0x2000_6601,
    stat: { st_dev: 0, st_mode: 8 },
    unwatchable: NO_FILES,
  },
  linux: {
    kevent: KEVENT, // include/sys/event.h of libkqueue 2
    filters: FILTERS,
    processMask: 0xf000_0000,
    confirm: 0, // libkqueue 2.7 fails to change a filter for reading, with whatever errno there was
    closeOnExec: 0x5451,
    stat: { st_dev: 0, st_mode: 0 },
    unwatchable: [],
  },
};

function kqueueSystem(system: Os): KqueueSystem {
  // Where there is no kqueue, the constants have FreeBSD's numbers, and nothing takes them.
  return (KQUEUE_SYSTEMS as Partial<Record<Os, KqueueSystem>>)[system] ?? KQUEUE_SYSTEMS.freebsd;
}

const HERE = kqueueSystem(os);

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

/** Names of functions whose plain names stand for older versions with other structs. */
const NAMES: Readonly<Partial<Record<Os, { kevent?: string; fstat?: string }>>> = {
  darwin: { fstat: arch === "x86_64" ? "fstat$INODE64" : "fstat" },
  netbsd: { kevent: "__kevent50", fstat: "__fstat50" },
};

/** The parameters of kevent(). The counts are `int`, but `size_t` on NetBSD: the wider one serves both. */
const KEVENT_PARAMETERS = [
  "i32", // int kq
  "buffer", // const struct kevent *changelist
  "usize", // int nchanges
  "buffer", // struct kevent *eventlist
  "usize", // int nevents
  "buffer", // const struct timespec *timeout
] as const;

const SYMBOLS = {
  kqueue: {
    parameters: [],
    result: "i32",
  },
  /** For changes. */
  kevent: {
    name: NAMES[os]?.kevent ?? "kevent",
    parameters: KEVENT_PARAMETERS,
    result: "i32",
  },
  /** The same, with the list of events by its address. */
  keventAt: {
    name: NAMES[os]?.kevent ?? "kevent",
    parameters: [...KEVENT_PARAMETERS.slice(0, 3), "usize", ...KEVENT_PARAMETERS.slice(4)] as unknown as readonly [
      "i32",
      "buffer",
      "usize",
      "usize",
      "usize",
      "buffer",
    ],
    result: "i32",
  },
  /** Variadic, but not with a request that takes no argument. */
  ioctl: {
    parameters: [
      "i32", // int fd
      "usize", // unsigned long request
    ],
    result: "i32",
  },
  fstat: {
    name: NAMES[os]?.fstat ?? "fstat",
    parameters: [
      "i32", // int fd
      "buffer", // struct stat *buf
    ],
    result: "i32",
    optional: true, // glibc had none before 2.33, nor is any needed there
  },
  close: {
    parameters: ["i32"], // int fd
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

const lib = lazySystem("kqueue", () => {
  try {
    return openWithErrno("kqueue", SYMBOLS);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotSupported)) throw error;
    throw new Deno.errors.NotSupported(
      `Cannot create a kqueue: ${os} has none; use DefaultSelector (${error.message})`,
      { cause: error },
    );
  }
});

const libc = lazyLibc({
  memmove: {
    parameters: [
      "buffer", // void *dest
      "buffer", // const void *src
      "usize", // size_t n
    ],
    result: "usize",
  },
});

/** Counts of changes as C takes them. */
const COUNTS = [0n, 1n, 2n] as const;

/** A `struct timespec` of no time. */
const NO_TIME = new Int32Array(4);

/** A kqueue descriptor and its event buffer, with numbers in and out: a negative result is `-errno`. */
export class KqueueInstance {
  /** Number of the kqueue descriptor. */
  readonly fd: number;
  /** The system whose kqueue this is. */
  readonly system: KqueueSystem;
  readonly #functions: ReturnType<typeof lib>["functions"];
  readonly #timespec = new Timespec();
  readonly #stat = new Int32Array(STAT_BYTES / 4);
  // The layout in steps of an Int32Array. How far the flags are in their word, and how far a filter is from the end of its.
  readonly #stride: number;
  readonly #filter: number;
  readonly #flags: number;
  readonly #flagsShift: number;
  readonly #filterShift: number;
  readonly #data: number;
  readonly #udata: number;
  // What changes, and what comes of it: one entry for each filter of a descriptor.
  readonly #changes: Int32Array<ArrayBuffer>;
  readonly #receipts: Int32Array<ArrayBuffer>;
  #events: Int32Array<ArrayBuffer>;
  #address: bigint;
  #room = 64;
  #roomCount = 64n;

  /** Creates an instance, close-on-exec, or takes over the one whose number is given. */
  constructor(fd?: number) {
    const { functions, system } = lib();
    const { memmove } = libc(); // which finds errno, also if there is a stand-in
    this.#functions = functions;
    this.system = kqueueSystem(system);
    const { size, filter, flags, data, udata } = this.system.kevent;
    this.#stride = size / 4;
    this.#filter = filter >> 2;
    this.#flags = flags >> 2;
    this.#flagsShift = (flags & 3) * 8;
    this.#filterShift = 32 - (flags - filter) * 8;
    this.#data = data / 4;
    this.#udata = udata / 4;
    this.#changes = new Int32Array(2 * this.#stride);
    this.#receipts = new Int32Array(2 * this.#stride);
    this.#events = new Int32Array(this.#room * this.#stride);
    this.#address = memmove(this.#events, this.#events, 0n);
    this.fd = fd ?? check(result(functions.kqueue(), errnoCell[0]!), "kqueue");
    if (fd !== undefined) return;
    const outcome = result(functions.ioctl(this.fd, BigInt(this.system.closeOnExec)), errnoCell[0]!);
    if (outcome < 0) this.close();
    check(outcome, "ioctl", this.fd);
  }

  /**
   * Why kqueue cannot wait for a descriptor, or null if it may.
   *
   * Some kinds it takes and never reports. Of what it refuses by itself, `change` tells.
   */
  refusal(fd: number): string | null {
    const { unwatchable, stat } = this.system;
    const { fstat } = this.#functions;
    if (unwatchable.length === 0 || fstat === null) return null;
    if (result(fstat(fd, this.#stat), errnoCell[0]!) < 0) return null; // closed, as kevent() will say
    const type = this.#stat[stat.st_mode / 4]! & S_IFMT;
    const isOnDevice = this.#stat[stat.st_dev / 4] !== 0;
    return unwatchable.find((kind) => kind.type === type && (isOnDevice || !kind.onDevice))?.text ?? null;
  }

  /**
   * Adds, confirms or removes the filters of a descriptor, by one system call, and gives 0, or the first error.
   *
   * Each change is answered by an entry of its own (KQ_EV_RECEIPT), so that the second is made even if the first fails.
   * A system too old to know receipts answers errors only, and perhaps with events, which come again with the next wait.
   *
   * @param readFlags KQ_EV_ADD, KQ_EV_ENABLE, which fails if the filter is not there, or KQ_EV_DELETE; 0 leaves it
   * @param writeFlags The same for writing
   * @param tag A number of 32 bits that comes back with each event, beside the descriptor
   */
  change(fd: number, readFlags: number, writeFlags: number, tag: number): number {
    const { READ, WRITE } = this.system.filters;
    let count = 0;
    // A removal comes last: libkqueue answers EBADF to what is added right after the last filter was removed.
    if ((readFlags & ~KQ_EV_DELETE) !== 0) this.#put(count++, fd, READ, readFlags, tag);
    if (writeFlags !== 0) this.#put(count++, fd, WRITE, writeFlags, tag);
    if ((readFlags & KQ_EV_DELETE) !== 0) this.#put(count++, fd, READ, readFlags, tag);
    for (;;) {
      const outcome = result(
        this.#functions.kevent(this.fd, this.#changes, COUNTS[count]!, this.#receipts, COUNTS[count]!, NO_TIME),
        errnoCell[0]!,
      );
      if (outcome >= 0) return this.#failureOf(outcome);
      // To make a change once more does nothing else than it did.
      if (!isInterruption(outcome)) return outcome;
    }
  }

  #put(index: number, fd: number, filter: number, flags: number, tag: number): void {
    const changes = this.#changes;
    const at = index * this.#stride;
    changes[at] = fd;
    changes[at + this.#flags] = 0;
    changes[at + this.#filter] = filter << this.#filterShift >>> this.#filterShift;
    changes[at + this.#flags]! |= (flags | KQ_EV_RECEIPT) << this.#flagsShift;
    changes[at + this.#udata] = tag;
  }

  #failureOf(count: number): number {
    const receipts = this.#receipts;
    for (let index = 0; index < count; index++) {
      const at = index * this.#stride;
      const flags = receipts[at + this.#flags]! >>> this.#flagsShift;
      const errno = receipts[at + this.#data]!;
      if ((flags & KQ_EV_ERROR) !== 0 && errno !== 0) return -errno;
    }
    return 0;
  }

  /** Makes room for `count` events in one wait. */
  reserve(count: number): void {
    if (count <= this.#room) return;
    const room = Math.max(count, this.#room * 2);
    const events = new Int32Array(room * this.#stride); // may throw, and then nothing has changed
    // Stays as long as the array does: see EpollInstance.
    this.#address = libc().memmove(events, events, 0n);
    this.#events = events;
    this.#room = room;
    this.#roomCount = BigInt(room);
  }

  /** How many events one wait can bring. */
  get room(): number {
    return this.#room;
  }

  /**
   * Waits for events, by one system call, and gives their number.
   *
   * @param timeoutMs Milliseconds, rounded up to nanoseconds
   */
  wait(timeoutMs: number): number {
    const timeout = timeoutMs === 0 ? NO_TIME : timeoutMs === Infinity ? null : this.#timespec.set(timeoutMs);
    return result(
      this.#functions.keventAt(this.fd, null, 0n, this.#address, this.#roomCount, timeout),
      errnoCell[0]!,
    );
  }

  /** The descriptor of event `index` of the last wait. */
  fdAt(index: number): number {
    return this.#events[index * this.#stride]!;
  }

  /** Whether event `index` of the last wait is one of reading, and not of writing. */
  isReadAt(index: number): boolean {
    const filter = this.#events[index * this.#stride + this.#filter]! << this.#filterShift >> this.#filterShift;
    return filter === this.system.filters.READ;
  }

  /** The tag of event `index` of the last wait. */
  tagAt(index: number): number {
    return this.#events[index * this.#stride + this.#udata]!;
  }

  /**
   * Makes changes and waits for events, by one system call, with the structs of C in and out.
   *
   * @param changes As many `struct kevent` as fit
   * @param events Room for events
   * @param timeoutMs Milliseconds
   */
  control(changes: Uint8Array<ArrayBuffer>, events: Uint8Array<ArrayBuffer>, timeoutMs: number): number {
    const { size } = this.system.kevent;
    const timeout = timeoutMs === Infinity ? null : this.#timespec.set(timeoutMs);
    const [changeCount, eventCount] = [BigInt(changes.length / size), BigInt(events.length / size)];
    return result(
      this.#functions.kevent(this.fd, changes, changeCount, events, eventCount, timeout),
      errnoCell[0]!,
    );
  }

  /** Closes the descriptor; not to be called twice, since its number may be another's by then. */
  close(): void {
    result(this.#functions.close(this.fd), errnoCell[0]!);
  }
}

/**
 * Python's `select.kevent`: something to wait for, or what came of it.
 *
 * Numbers of 64 bits are BigInts where a number cannot carry them. An event does not change once it is made.
 *
 * @see {@link https://docs.python.org/3/library/select.html#kevent-objects | Python's select.kevent}
 */
export class Kevent {
  /** What is meant: for most filters a descriptor. */
  readonly ident: number | bigint;
  /** Which kind of event: KQ_FILTER_*. */
  readonly filter: number;
  /** What to do, and what came of it: KQ_EV_*. */
  readonly flags: number;
  /** Flags whose meaning depends on the filter: KQ_NOTE_*. */
  readonly fflags: number;
  /** A number whose meaning depends on the filter. */
  readonly data: number | bigint;
  /** A number of the program's own, which comes back with each event. */
  readonly udata: number | bigint;

  /**
   * Makes an event.
   *
   * @param ident A descriptor or file object, or another number, as the filter wants it
   * @param filter Any of KQ_FILTER_*
   * @param flags Any of KQ_EV_*
   * @param fflags Any of KQ_NOTE_*
   * @param data A number as the filter wants it
   * @param udata A number that comes back with each event
   * @throws {RangeError} if a number is not an integer that its field can carry
   * @throws {TypeError} if `ident` is neither a number nor a file object
   */
  constructor(
    ident: FileObject | bigint,
    filter: number = KQ_FILTER_READ,
    flags: number = KQ_EV_ADD,
    fflags: number = 0,
    data: number | bigint = 0,
    udata: number | bigint = 0,
  ) {
    this.ident = typeof ident === "object" ? filenoOf(ident) : integerOf(ident, "ident", 0n, 2n ** 64n);
    const [lowest, end, flagsEnd] = isWide(HERE.kevent) ? [0n, 2n ** 32n, 2n ** 32n] : [-0x8000n, 0x8000n, 0x1_0000n];
    this.filter = integerOf(filter, "filter", lowest, end);
    this.flags = integerOf(flags, "flags", 0n, flagsEnd);
    // JavaScript's `KQ_NOTE_EXIT | KQ_NOTE_FORK` is negative: both readings of the 32 bits are meant.
    this.fflags = integerOf(fflags, "fflags", -(2n ** 31n), 2n ** 32n) >>> 0;
    this.data = integerOf(data, "data", -(2n ** 63n), 2n ** 63n);
    this.udata = integerOf(udata, "udata", 0n, 2n ** 64n);
  }

  /** Tells whether another event has the same fields; what is no event is never equal. */
  equals(other: unknown): boolean {
    return other instanceof Kevent && this.compareTo(other) === 0;
  }

  /**
   * Orders events by `ident`, `filter`, `flags`, `fflags`, `data` and `udata`, for `events.sort((a, b) => a.compareTo(b))`.
   *
   * @returns A negative number, 0 or a positive one, as this event comes before, with or after the other
   * @throws {TypeError} if the other is no event
   */
  compareTo(other: Kevent): number {
    if (!(other instanceof Kevent)) throw new TypeError(`Cannot compare an event with ${show(other)}`);
    for (const field of ["ident", "filter", "flags", "fflags", "data", "udata"] as const) {
      if (this[field] < other[field]) return -1;
      if (this[field] > other[field]) return 1;
    }
    return 0;
  }
}

/** Whether filters and flags have 32 bits. */
function isWide({ filter, flags }: KeventLayout): boolean {
  return flags - filter === 4;
}

/** Gives an integer within bounds, as a number if a number can carry it. */
function integerOf<N extends number | bigint>(value: N, field: string, lowest: bigint, end: bigint): N {
  const isInteger = typeof value === "bigint" || Number.isSafeInteger(value);
  if (!isInteger || BigInt(value) < lowest || BigInt(value) >= end) {
    const bounds = `from ${lowest} to ${end - 1n}`;
    throw new RangeError(`Cannot use ${show(value)} as ${field} of an event: it must be an integer ${bounds}`);
  }
  return narrowed(BigInt(value)) as N;
}

function narrowed(value: bigint): number | bigint {
  return BigInt(Number(value)) === value && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** The bytes of events, as C has them. */
function encode(kevents: readonly Kevent[], layout: KeventLayout): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(kevents.length * layout.size));
  for (const [index, kevent] of kevents.entries()) {
    const at = index * layout.size;
    const { filter, flags } = kevent;
    view.setBigUint64(at + layout.ident, BigInt(kevent.ident), true);
    if (isWide(layout)) view.setUint32(at + layout.filter, filter, true);
    else view.setInt16(at + layout.filter, filter, true);
    if (isWide(layout)) view.setUint32(at + layout.flags, flags, true);
    else view.setUint16(at + layout.flags, flags, true);
    view.setUint32(at + layout.fflags, kevent.fflags, true);
    view.setBigInt64(at + layout.data, BigInt(kevent.data), true);
    view.setBigUint64(at + layout.udata, BigInt(kevent.udata), true);
  }
  return new Uint8Array(view.buffer);
}

/** The events of bytes that C wrote. */
function decode(bytes: Uint8Array<ArrayBuffer>, count: number, layout: KeventLayout): Kevent[] {
  const view = new DataView(bytes.buffer);
  return Array.from({ length: count }, (_, index) => {
    const at = index * layout.size;
    return new Kevent(
      view.getBigUint64(at + layout.ident, true),
      isWide(layout) ? view.getUint32(at + layout.filter, true) : view.getInt16(at + layout.filter, true),
      isWide(layout) ? view.getUint32(at + layout.flags, true) : view.getUint16(at + layout.flags, true),
      view.getUint32(at + layout.fflags, true),
      view.getBigInt64(at + layout.data, true),
      view.getBigUint64(at + layout.udata, true),
    );
  });
}

/**
 * Python's `select.kqueue`: a kernel queue with every filter and flag that the system has.
 *
 * A selector is simpler where readable and writable are enough. This class has what a selector hides: edges, one-shot
 * events, files, processes, signals, timers.
 *
 * @see {@link https://docs.python.org/3/library/select.html#kqueue-objects | Python's select.kqueue}
 * @see {@link https://man.freebsd.org/cgi/man.cgi?kqueue | kqueue(2)}
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, KqueueSelector } from "@selectors/selectors";
 * import { Kevent, KQ_FILTER_READ, Kqueue } from "@selectors/selectors/select";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * if (DefaultSelector === KqueueSelector) {
 *   const [here, there] = socketpair();
 *   using kqueue = new Kqueue();
 *   kqueue.control([new Kevent(here, KQ_FILTER_READ)], 0);
 *   there.send(new TextEncoder().encode("ping"));
 *   const [event] = kqueue.control(null, 1, 5);
 *   assertEquals([event!.ident, event!.data], [here.fileno(), 4]); // four bytes to read
 *   here.close();
 *   there.close();
 * }
 * ```
 */
export class Kqueue implements Disposable {
  #instance: KqueueInstance | null;

  /**
   * Creates a kernel queue, close-on-exec.
   *
   * @throws {OSError} EMFILE, ENFILE or ENOMEM if the kernel has no room
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   * @throws {Deno.errors.NotSupported} if the system has no kqueue
   */
  constructor();
  constructor(adopted?: KqueueInstance) {
    this.#instance = adopted ?? new KqueueInstance();
  }

  /**
   * Wraps a kqueue descriptor that exists; closing the wrapper closes it.
   *
   * @param fd Number of the kqueue descriptor
   * @throws {RangeError} if `fd` is not from 0 to 2^31-1
   */
  static fromfd(fd: number): Kqueue {
    return Reflect.construct(Kqueue, [new KqueueInstance(filenoOf(fd))]);
  }

  /** Whether the queue has been closed. */
  get closed(): boolean {
    return this.#instance === null;
  }

  /** Gives the number of the kqueue descriptor, which can itself be registered elsewhere. */
  fileno(): number {
    return this.#open("ask for the descriptor").fd;
  }

  /**
   * Makes changes, and then waits for events.
   *
   * The error of a change is an entry with KQ_EV_ERROR and the error's number as `data`, if there is room for one, and is
   * thrown if not. An interruption by a signal is not seen: the wait goes on for the time that is left.
   *
   * @param changelist What to add, change and remove, or null
   * @param maxEvents The greatest number of events to give; with 0, nothing is waited for
   * @param timeout Seconds or a duration; null for ever
   * @returns The events
   * @throws {RangeError} if `maxEvents` is negative or no integer, or `timeout` negative or NaN
   * @throws {TypeError} if `changelist` has something else than events
   * @throws {OSError} if a change fails and there is no room for its error: EBADF if the descriptor is closed, ENOENT if
   * what is to be removed is not there, EINVAL if the filter does not apply
   */
  control(changelist: Iterable<Kevent> | null, maxEvents: number, timeout?: Timeout): Kevent[] {
    const instance = this.#open("control");
    const { kevent } = instance.system;
    const kevents = eventsOf(changelist);
    if (!Number.isInteger(maxEvents) || maxEvents < 0 || maxEvents > 0xff_ffff) {
      throw new RangeError(`Cannot wait for ${show(maxEvents)} events: use a number from 0 to 16777215`);
    }
    const timeoutMs = timeoutToMs(timeout);
    if (timeoutMs < 0) throw new RangeError(`Cannot wait for ${show(timeout)}: the timeout must not be negative`);
    const events = new Uint8Array(maxEvents * kevent.size);
    const deadlineMs = deadlineAfter(timeoutMs);
    let changes = encode(kevents, kevent);
    for (let leftMs = timeoutMs;; leftMs = leftUntil(deadlineMs)) {
      const count = instance.control(changes, events, leftMs);
      const isOver = count !== 0 || maxEvents === 0 || leftMs === 0 || monotonicMs() >= deadlineMs;
      if (isOver && !isInterruption(count)) return decode(events, check(count, "kevent", instance.fd), kevent);
      changes = new Uint8Array(0); // kevent(2): "all changes contained in the changelist have been applied"
    }
  }

  /** Closes the kqueue descriptor; once is enough, and twice does no harm. */
  close(): void {
    this.#instance?.close();
    this.#instance = null;
  }

  /** Closes the kqueue descriptor at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  #open(action: string): KqueueInstance {
    if (this.#instance !== null) return this.#instance;
    throw new Deno.errors.BadResource(`Cannot ${action}: the kqueue is closed`);
  }
}

function eventsOf(changelist: Iterable<Kevent> | null): Kevent[] {
  if (changelist === null) return [];
  if (typeof changelist?.[Symbol.iterator] !== "function") {
    throw new TypeError(`Cannot make the changes ${show(changelist)}: use an iterable of events, or null`);
  }
  const kevents = [...changelist];
  const strange = kevents.find((kevent) => !(kevent instanceof Kevent));
  if (strange === undefined && !kevents.includes(undefined as never)) return kevents;
  throw new TypeError(`Cannot make the change ${show(strange)}: it is no event`);
}
