/**
 * kqueue on each system that has it: layouts, numbers, and kinds of files that it cannot wait for.
 *
 * @module
 */

/** Offsets of the fields of a `struct kevent`, in bytes. `filter` and `flags` are equally wide and adjacent. */
export interface KeventLayout {
  /** Size of the struct. */
  readonly size: number;
  /** `uintptr_t` */
  readonly ident: number;
  /** 16 bits, signed, or 32 bits, unsigned */
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

/** Numbers of the filters; NaN, which equals no number of an event, for a filter that a system does not have. */
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
  /** Exceptional conditions, such as urgent data. */
  readonly EXCEPT: number;
  /** Events that the program triggers itself. */
  readonly USER: number;
}

/** A kind of file that kqueue cannot wait for. */
interface Unwatchable {
  /** Its type in `st_mode`. */
  readonly type: number;
  /** True if only files on a device are meant: a pipe has the type of a FIFO, but is not on a device. */
  readonly onDevice: boolean;
  /** Reason, and what to use instead. */
  readonly text: string;
}

/** kqueue of one system. */
export interface KqueueSystem {
  /** `struct kevent`. */
  readonly kevent: KeventLayout;
  /** The EVFILT_* numbers. */
  readonly filters: KqueueFilters;
  /** NOTE_PCTRLMASK: the bits of EVFILT_PROC that select events of a process. */
  readonly processMask: number;
  /** NOTE_EXITSTATUS: makes EVFILT_PROC report the wait status; 0 where it always does. */
  readonly exitStatus: number;
  /** KQ_EV_ENABLE, which fails if a filter no longer exists, or 0 for a system on which it must not be used. */
  readonly confirm: number;
  /** True if a filter with EV_CLEAR reports the end of a connection, with its error. */
  readonly reportsEnds: boolean;
  /** FIOCLEX: the ioctl(2) that sets close-on-exec. */
  readonly closeOnExec: number;
  /** True if poll(2) and select(2) report the kqueue descriptor as readable while events are pending. */
  readonly isPollable: boolean;
  /** Longest timeout that kevent() accepts, in milliseconds. */
  readonly longestMs: number;
  /** Offsets of the fields of `struct stat` with the type and the identity of a file. */
  readonly stat: { readonly st_dev: number; readonly st_ino: number; readonly st_mode: number };
  /**
   * Kinds of files that are rejected because kqueue never reports them, or reports them differently from other
   * mechanisms.
   */
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
 * Older versions of FreeBSD have a struct of 32 bytes, without `ext`. FreeBSD 12 and later use it only in
 * kevent@FBSD_1.0, a symbol version that dlsym() does not return.
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

/** FreeBSD's filters, most of which the other systems share. */
const FILTERS: KqueueFilters = {
  READ: -1,
  WRITE: -2,
  AIO: -3,
  VNODE: -4,
  PROC: -5,
  SIGNAL: -6,
  TIMER: -7,
  NETDEV: NaN, // until FreeBSD 5
  EXCEPT: NaN,
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
  EXCEPT: NaN,
  USER: 8, // since NetBSD 10
};

// Types of files in st_mode.
const S_IFIFO = 0o010000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

/** Files and directories: kqueue reports them as readable only while unread data is left, on some systems only once. */
const NO_FILES: readonly Unwatchable[] = [
  {
    type: S_IFREG,
    onDevice: true,
    text:
      'kqueue cannot wait for a regular file, which is always ready; create the selector with { fallback: "select" }',
  },
  {
    type: S_IFDIR,
    onDevice: true,
    text: 'kqueue cannot wait for a directory, which is always ready; create the selector with { fallback: "select" }',
  },
];
const NO_FIFOS: Unwatchable = {
  type: S_IFIFO,
  onDevice: true,
  text: "kqueue on macOS cannot wait for a FIFO, whose end of file it never reports; " +
    'create the selector with { fallback: "select" }',
};

/**
 * struct stat {                   macOS     FreeBSD >= 12   NetBSD   Linux x86-64   Linux arm64
 *   dev_t  st_dev;                // +0     +0              +0       +0             +0
 *   ino_t  st_ino;                // +8     +8              +16      +8             +8
 *   mode_t st_mode;               // +4     +24             +8       +24            +16
 *   ...
 * };                              // 144    224             152      144            128
 *
 * st_mode has 16 bits on macOS and FreeBSD, and 32 on NetBSD and Linux.
 *
 * The package reads the lower 32 bits of st_dev and st_ino, and only compares st_dev with 0.
 */

/** macOS rejects timeouts above 100,000,000 seconds. */
const LONGEST_MS = 100_000_000 * 1000;

/** The systems that have kqueue. */
export const KQUEUE_SYSTEMS: Readonly<Record<"darwin" | "freebsd" | "netbsd" | "linux", KqueueSystem>> = {
  darwin: {
    kevent: KEVENT,
    filters: { ...FILTERS, USER: -10, EXCEPT: -15 },
    processMask: 0xfff0_0000,
    exitStatus: 0x0400_0000,
    confirm: 0x0004,
    reportsEnds: true,
    closeOnExec: 0x2000_6601,
    isPollable: true,
    longestMs: LONGEST_MS,
    stat: { st_dev: 0, st_ino: 8, st_mode: 4 },
    unwatchable: [...NO_FILES, NO_FIFOS],
  },
  freebsd: {
    kevent: KEVENT_FREEBSD,
    filters: FILTERS,
    processMask: 0xf000_0000,
    exitStatus: 0,
    confirm: 0x0004,
    reportsEnds: true,
    closeOnExec: 0x2000_6601,
    isPollable: true,
    longestMs: LONGEST_MS,
    stat: { st_dev: 0, st_ino: 8, st_mode: 24 },
    unwatchable: NO_FILES,
  },
  netbsd: {
    kevent: KEVENT_NETBSD,
    filters: FILTERS_NETBSD,
    processMask: 0xf000_0000,
    exitStatus: 0,
    confirm: 0x0004,
    reportsEnds: true,
    closeOnExec: 0x2000_6601,
    isPollable: true,
    longestMs: LONGEST_MS,
    stat: { st_dev: 0, st_ino: 16, st_mode: 8 },
    unwatchable: NO_FILES,
  },
  linux: {
    kevent: KEVENT, // include/sys/event.h of libkqueue 2
    filters: FILTERS,
    processMask: 0xf000_0000,
    exitStatus: 0,
    confirm: 0, // libkqueue 2.7 fails to change a filter for reading, with a stale errno
    reportsEnds: false, // libkqueue misses the end if unread data remains, clears SO_ERROR, and ignores NOTE_LOWAT
    closeOnExec: 0x5451,
    isPollable: false, // the descriptor is the writing end of a pipe; the epoll instance behind it is libkqueue's own
    longestMs: 0x7fff_ffff, // libkqueue passes an int to epoll_wait(2), and does not check for an overflow
    stat: { st_dev: 0, st_ino: 8, st_mode: 24 },
    unwatchable: NO_FILES,
  },
};
