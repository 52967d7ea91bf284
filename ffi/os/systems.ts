/**
 * Differences between operating systems, in one record for each system.
 *
 * To support a new system, add a record. No other file of the package compares names of systems or reads `Deno.build`.
 *
 * @module
 */

import { KQUEUE_SYSTEMS, type KqueueSystem } from "./kqueue_system.ts";
import { BSD, DARWIN, FREEBSD, LINUX, NETBSD, type SocketConstants, SOLARIS, WINDOWS } from "./socket_numbers.ts";

const { os: name, arch } = Deno.build;

/** Operating systems with a record. Deno's type also has `aix`, for which there is no Deno. */
export type Os = Exclude<typeof Deno.build.os, "aix">;

/** Processor architectures that Deno knows. */
export type Arch = typeof Deno.build.arch;

export { arch };

/** File names of a library, most likely first. */
type Files = readonly string[];

/** Libraries of a system, by purpose. */
interface Libraries {
  /** The C library: descriptors, sockets, and most calls that wait. */
  readonly libc?: Files;
  /** Winsock. */
  readonly winsock?: Files;
  /** Functions that convert and resolve addresses, the same on every system. */
  readonly resolver?: Files;
  /** Functions that read memory by its address. */
  readonly memory?: Files;
  /** Windows functions for handles: duplicates, completion ports, memory. */
  readonly handles?: Files;
  /** Native Windows functions: devices and completion ports. */
  readonly ntdll?: Files;
  /** kqueue() and kevent(). */
  readonly kqueue?: Files;
  /** Functions that open and drive /dev/poll. */
  readonly devpoll?: Files;
}

/** Name of a library in {@linkcode Libraries}. */
export type Library = keyof Libraries;

/** One operating system. */
export interface System {
  readonly libraries: Libraries;
  /** Symbols of functions whose plain names do not exist, or mean an older version with other structs. */
  readonly symbols: {
    readonly pselect?: string;
    readonly kevent?: string;
    readonly fstat?: string;
    readonly sendmsg?: string;
    readonly recvmsg?: string;
  };
  /** Function that returns the address of errno; null for Winsock, which has WSAGetLastError() instead. */
  readonly errnoLocation: string | null;
  /** Column of the errno table. */
  readonly errno: "linux" | "darwin" | "freebsd" | "netbsd" | "solaris" | "windows";
  /** Numbers of `<sys/socket.h>` and related headers. */
  readonly constants: SocketConstants;
  /** Bits of `<poll.h>` that differ; 0 where the system does not define one. */
  readonly poll: {
    readonly POLLWRNORM: number;
    readonly POLLWRBAND: number;
    readonly POLLMSG: number;
    readonly POLLRDHUP: number;
  };
  /** Events that poll(2) reports correctly, in addition to readable and writable. */
  readonly pollReports: { readonly priority: boolean; readonly readClosed: boolean; readonly hangup: boolean };
  readonly sockaddr: {
    /** True if a socket address begins with its length (sa_len). */
    readonly hasLength: boolean;
    /** Bytes of `sun_path`. */
    readonly sunPath: number;
    /** True if a path that begins with a zero byte is a name in the abstract namespace, without a file. */
    readonly hasAbstractNames: boolean;
  };
  readonly message: {
    /** True if the lengths in a msghdr and a cmsghdr are of type size_t, and not int or socklen_t. */
    readonly hasLongLengths: boolean;
    /** Alignment of control messages and their data. */
    readonly alignment: 4 | 8;
    /** True if the kernel closes descriptors for which a control message has no room. */
    readonly closesTruncated: boolean;
  };
  /** Layout of `struct addrinfo`, and column of the EAI table. */
  readonly getaddrinfo: "linux" | "bsd" | "windows";
  /** Layouts and numbers of kqueue. A system without kqueue has FreeBSD's, as values for the exported constants. */
  readonly kqueue: KqueueSystem;
  /** Twin with the functions for descriptors and sockets. */
  readonly sys: "posix" | "winsock";
  /** Form of the sets of select(2). */
  readonly select: "bitmaps" | "arrays";
  /** Mechanism of `DefaultSelector`. */
  readonly best: "epoll" | "kqueue" | "devpoll" | "select";
  /**
   * System call that parked waits share: select where poll() has gaps. WSAPoll() on Windows does not report a refused
   * connection, and poll() on macOS cannot wait for terminals.
   */
  readonly park: "poll" | "select";
  /** Mechanism of `Timer`, or null if the system has none. */
  readonly timer: "timerfd" | "kqueue" | null;
  /** Mechanism of `ProcessExit`, or null if the system has none. */
  readonly process: "pidfd" | "kqueue" | null;
  /** Column of the table in signals.ts. */
  readonly signals: "linux" | "bsd" | "solaris" | "windows";
  /** Bytes for which a pipe has room while poll(2) or select(2) reports it writable: `<limits.h>`. */
  readonly PIPE_BUF: number;
}

/**
 * Files of Linux's C library. Their names have a version, because glibc's `libc.so` is a linker script. A bare name
 * needs unrestricted `--allow-ffi`; an absolute name can be granted by itself.
 */
const LINUX_LIBC: Files = [
  "libc.so.6",
  `/lib/${arch}-linux-gnu/libc.so.6`,
  `/usr/lib/${arch}-linux-gnu/libc.so.6`,
  "/lib64/libc.so.6",
  "/usr/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
  "/lib/libc.so.6",
  `libc.musl-${arch}.so.1`,
  `/lib/libc.musl-${arch}.so.1`,
  `/lib/ld-musl-${arch}.so.1`,
];
const ANDROID_LIBC: Files = ["libc.so", "/system/lib64/libc.so"];
/** macOS keeps the library in its dyld cache, not on disk. */
const DARWIN_LIBC: Files = ["libSystem.B.dylib", "/usr/lib/libSystem.B.dylib"];
const FREEBSD_LIBC: Files = ["libc.so.7", "/lib/libc.so.7"];
const NETBSD_LIBC: Files = ["libc.so.12", "/lib/libc.so.12"];
const SOLARIS_LIBC: Files = ["libc.so.1", "/lib/64/libc.so.1"];
const WS2_32: Files = ["ws2_32.dll", "C:\\Windows\\System32\\ws2_32.dll"];

/** Returns the libraries of a Unix system, most of which are its C library. */
function unixLibraries(libc: Files, others: Libraries = {}): Libraries {
  return { libc, resolver: libc, memory: libc, ...others };
}

const LINUX_POLL = { POLLWRNORM: 0x100, POLLWRBAND: 0x200, POLLMSG: 0x400, POLLRDHUP: 0x2000 };
const BSD_POLL = { POLLWRNORM: 0x004, POLLWRBAND: 0x100, POLLMSG: 0, POLLRDHUP: 0 };

const linux: System = {
  libraries: unixLibraries(LINUX_LIBC, {
    kqueue: ["libkqueue.so.0", `/usr/lib/${arch}-linux-gnu/libkqueue.so.0`, "/usr/lib64/libkqueue.so.0"],
  }),
  symbols: {},
  errnoLocation: "__errno_location",
  errno: "linux",
  constants: LINUX,
  poll: LINUX_POLL,
  pollReports: { priority: true, readClosed: true, hangup: true },
  sockaddr: { hasLength: false, sunPath: 108, hasAbstractNames: true },
  message: { hasLongLengths: true, alignment: 8, closesTruncated: true },
  getaddrinfo: "linux",
  kqueue: arch === "x86_64" ? KQUEUE_SYSTEMS.linux : {
    ...KQUEUE_SYSTEMS.linux,
    stat: { ...KQUEUE_SYSTEMS.linux.stat, st_mode: 16 },
  },
  sys: "posix",
  select: "bitmaps",
  best: "epoll",
  park: "poll",
  timer: "timerfd",
  process: "pidfd",
  signals: "linux",
  PIPE_BUF: 4096,
};

const android: System = {
  ...linux,
  libraries: unixLibraries(ANDROID_LIBC),
  errnoLocation: "__errno",
  getaddrinfo: "bsd",
};

const freebsd: System = {
  libraries: unixLibraries(FREEBSD_LIBC, { kqueue: FREEBSD_LIBC }),
  symbols: {},
  errnoLocation: "__error",
  errno: "freebsd",
  constants: FREEBSD,
  poll: { ...BSD_POLL, POLLRDHUP: 0x4000 },
  pollReports: { priority: true, readClosed: false, hangup: true },
  sockaddr: { hasLength: true, sunPath: 104, hasAbstractNames: false },
  message: { hasLongLengths: false, alignment: 8, closesTruncated: false },
  getaddrinfo: "bsd",
  kqueue: KQUEUE_SYSTEMS.freebsd,
  sys: "posix",
  select: "bitmaps",
  best: "kqueue",
  park: "poll",
  timer: "kqueue",
  process: "kqueue",
  signals: "bsd",
  PIPE_BUF: 512,
};

const darwin: System = {
  ...freebsd,
  libraries: unixLibraries(DARWIN_LIBC, { kqueue: DARWIN_LIBC }),
  // Plain pselect() rejects descriptors from FD_SETSIZE on, and plain fstat() on x86-64 has an older struct stat.
  symbols: { pselect: "pselect$DARWIN_EXTSN", fstat: arch === "x86_64" ? "fstat$INODE64" : "fstat" },
  errno: "darwin",
  constants: DARWIN,
  poll: BSD_POLL,
  message: { hasLongLengths: false, alignment: 4, closesTruncated: false },
  // XNU does not report urgent data, and misses a hang-up if the mask has no other event.
  pollReports: { priority: false, readClosed: false, hangup: false },
  kqueue: KQUEUE_SYSTEMS.darwin,
  park: "select",
};

const netbsd: System = {
  ...freebsd,
  libraries: unixLibraries(NETBSD_LIBC, { kqueue: NETBSD_LIBC }),
  symbols: { pselect: "__pselect50", kevent: "__kevent50", fstat: "__fstat50" },
  errnoLocation: "__errno",
  errno: "netbsd",
  message: { hasLongLengths: false, alignment: arch === "x86_64" ? 8 : 4, closesTruncated: false },
  constants: NETBSD,
  poll: BSD_POLL,
  kqueue: KQUEUE_SYSTEMS.netbsd,
};

const solaris: System = {
  libraries: unixLibraries(SOLARIS_LIBC, { devpoll: SOLARIS_LIBC }),
  // The plain names use an older msghdr, without control messages.
  symbols: { sendmsg: "__xnet_sendmsg", recvmsg: "__xnet_recvmsg" },
  errnoLocation: "___errno",
  errno: "solaris",
  constants: SOLARIS,
  poll: { ...BSD_POLL, POLLRDHUP: 0x4000 },
  pollReports: { priority: true, readClosed: false, hangup: true },
  sockaddr: { hasLength: false, sunPath: 108, hasAbstractNames: false },
  message: { hasLongLengths: false, alignment: 4, closesTruncated: false },
  getaddrinfo: "bsd",
  kqueue: KQUEUE_SYSTEMS.freebsd,
  sys: "posix",
  select: "bitmaps",
  best: "devpoll",
  park: "poll",
  timer: null,
  process: null,
  signals: "solaris",
  PIPE_BUF: 5120,
};

const windows: System = {
  libraries: {
    winsock: WS2_32,
    resolver: WS2_32,
    memory: ["msvcrt.dll", "C:\\Windows\\System32\\msvcrt.dll"],
    handles: ["kernel32.dll", "C:\\Windows\\System32\\kernel32.dll"],
    ntdll: ["ntdll.dll", "C:\\Windows\\System32\\ntdll.dll"],
  },
  symbols: {},
  errnoLocation: null,
  errno: "windows",
  constants: WINDOWS,
  poll: BSD_POLL,
  pollReports: { priority: false, readClosed: false, hangup: false },
  sockaddr: { hasLength: false, sunPath: 108, hasAbstractNames: false },
  message: { hasLongLengths: true, alignment: 8, closesTruncated: false },
  getaddrinfo: "windows",
  kqueue: KQUEUE_SYSTEMS.freebsd,
  sys: "winsock",
  select: "arrays",
  best: "select",
  park: "select",
  timer: null,
  process: null,
  signals: "windows",
  PIPE_BUF: 512,
};

/** Records of the systems, by their names in Deno. */
export const SYSTEMS: Readonly<Record<Os, System>> = {
  linux,
  android,
  darwin,
  freebsd,
  netbsd,
  solaris,
  illumos: solaris,
  windows,
};

/** Record of an unknown system: importing the package works; opening a library throws `Deno.errors.NotSupported`. */
const unknown: System = {
  ...freebsd,
  libraries: {},
  constants: BSD,
  best: "select",
  timer: null,
  process: null,
};

/** Returns the record of a system by its name in Deno. */
export function systemOf(name: string): System {
  return (SYSTEMS as Partial<Record<string, System>>)[name] ?? unknown;
}

/** Name of this system. */
export const os: Os = name as Os;

/** Record of this system. */
export const system: System = systemOf(name);
