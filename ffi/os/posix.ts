/**
 * Descriptors and sockets of a Unix C library: numbers in, numbers out, a negative number being `-errno`.
 *
 * `winsock.ts` has the same names over ws2_32, and `sys.ts` chooses, so that nothing above asks which system it is on.
 *
 * @module
 */

import { errnoCell, lazyLibc, result } from "./call.ts";
import { lazy } from "./library.ts";
import { byteLengthOf } from "./bytes.ts";
import {
  AF_UNIX,
  familyOf,
  O_CLOEXEC,
  O_NONBLOCK,
  SO_PROTOCOL,
  SO_TYPE,
  SOCK_CLOEXEC,
  SOCKADDR_STORAGE_SIZE,
  SOL_SOCKET,
} from "./socket_constants.ts";

/** The family of what {@linkcode socketpair} makes, if it is not told. */
export const PAIR_FAMILY: number = AF_UNIX;

const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const F_GETFL = 3;
const F_SETFL = 4;

const libc = lazyLibc({
  socket: {
    parameters: [
      "i32", // int domain
      "i32", // int type
      "i32", // int protocol
    ],
    result: "i32",
  },
  socketpair: {
    parameters: [
      "i32", // int domain
      "i32", // int type
      "i32", // int protocol
      "buffer", // int sv[2]
    ],
    result: "i32",
  },
  bind: {
    parameters: [
      "i32", // int sockfd
      "buffer", // const struct sockaddr *addr
      "u32", // socklen_t addrlen
    ],
    result: "i32",
  },
  listen: {
    parameters: [
      "i32", // int sockfd
      "i32", // int backlog
    ],
    result: "i32",
  },
  accept4: {
    parameters: [
      "i32", // int sockfd
      "buffer", // struct sockaddr *addr
      "buffer", // socklen_t *addrlen
      "i32", // int flags
    ],
    result: "i32",
    optional: true,
  },
  accept: {
    parameters: [
      "i32", // int sockfd
      "buffer", // struct sockaddr *addr
      "buffer", // socklen_t *addrlen
    ],
    result: "i32",
  },
  connect: {
    parameters: [
      "i32", // int sockfd
      "buffer", // const struct sockaddr *addr
      "u32", // socklen_t addrlen
    ],
    result: "i32",
  },
  recv: {
    parameters: [
      "i32", // int sockfd
      "buffer", // void *buf
      "usize", // size_t len
      "i32", // int flags
    ],
    result: "i32", // ssize_t; see "How errno is read" in errno.ts. The kernel moves less than 2 GiB at once.
  },
  recvfrom: {
    parameters: [
      "i32", // int sockfd
      "buffer", // void *buf
      "usize", // size_t len
      "i32", // int flags
      "buffer", // struct sockaddr *src_addr
      "buffer", // socklen_t *addrlen
    ],
    result: "i32", // ssize_t
  },
  send: {
    parameters: [
      "i32", // int sockfd
      "buffer", // const void *buf
      "usize", // size_t len
      "i32", // int flags
    ],
    result: "i32", // ssize_t
  },
  sendto: {
    parameters: [
      "i32", // int sockfd
      "buffer", // const void *buf
      "usize", // size_t len
      "i32", // int flags
      "buffer", // const struct sockaddr *dest_addr
      "u32", // socklen_t addrlen
    ],
    result: "i32", // ssize_t
  },
  shutdown: {
    parameters: [
      "i32", // int sockfd
      "i32", // int how
    ],
    result: "i32",
  },
  getsockname: {
    parameters: [
      "i32", // int sockfd
      "buffer", // struct sockaddr *addr
      "buffer", // socklen_t *addrlen
    ],
    result: "i32",
  },
  getpeername: {
    parameters: [
      "i32", // int sockfd
      "buffer", // struct sockaddr *addr
      "buffer", // socklen_t *addrlen
    ],
    result: "i32",
  },
  setsockopt: {
    parameters: [
      "i32", // int sockfd
      "i32", // int level
      "i32", // int optname
      "buffer", // const void *optval
      "u32", // socklen_t optlen
    ],
    result: "i32",
  },
  getsockopt: {
    parameters: [
      "i32", // int sockfd
      "i32", // int level
      "i32", // int optname
      "buffer", // void *optval
      "buffer", // socklen_t *optlen
    ],
    result: "i32",
  },
  pipe2: {
    parameters: [
      "buffer", // int pipefd[2]
      "i32", // int flags
    ],
    result: "i32",
    optional: true,
  },
  pipe: {
    parameters: ["buffer"], // int pipefd[2]
    result: "i32",
  },
  read: {
    parameters: [
      "i32", // int fd
      "buffer", // void *buf
      "usize", // size_t count
    ],
    result: "i32", // ssize_t
  },
  write: {
    parameters: [
      "i32", // int fd
      "buffer", // const void *buf
      "usize", // size_t count
    ],
    result: "i32", // ssize_t
  },
  close: {
    parameters: ["i32"], // int fd
    result: "i32",
  },
  // Variadic. 64-bit Arm machines of Apple's take variadic arguments from the stack, others from registers: with the
  // value in every register that is left, and in the first place of the stack, it arrives everywhere.
  fcntl: {
    parameters: [
      "i32", // int fd
      "i32", // int cmd
      "i32",
      "i32",
      "i32",
      "i32",
      "i32",
      "i32",
      "i32", // int arg, the last of seven
    ],
    result: "i32",
  },
});

type Libc = ReturnType<typeof libc>;

/** Bytes of any kind that C can read or write in place. */
export type Bytes = Uint8Array;

// size_t has 64 bits, hence a BigInt, whose making costs more than a fast call. The sizes of a program repeat.
const SIZES = 1024;
const sizeNumbers = new Int32Array(SIZES);
const sizeBigInts: bigint[] = new Array(SIZES).fill(0n);

function sizeT(bytes: Bytes): bigint {
  const size = byteLengthOf(bytes);
  if (size > 0x7fff_ffff) return BigInt(size); // sizeNumbers keeps 32 bits only
  const slot = size & (SIZES - 1);
  if (sizeNumbers[slot] !== size) {
    sizeBigInts[slot] = BigInt(size);
    sizeNumbers[slot] = size;
  }
  return sizeBigInts[slot]!;
}

/** What makes descriptors, all of them close-on-exec. */
interface Makers {
  socket(domain: number, type: number, protocol: number): number;
  socketpair(domain: number, type: number, protocol: number, pair: Int32Array<ArrayBuffer>): number;
  accept(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number;
  pipe(pair: Int32Array<ArrayBuffer>): number;
}

/** By one system call each, so that no program which is executed meanwhile inherits the descriptor. */
function atOnce(accept4: NonNullable<Libc["accept4"]>, pipe2: NonNullable<Libc["pipe2"]>): Makers {
  const { socket, socketpair } = libc();
  return {
    socket: (domain, type, protocol) => result(socket(domain, type | SOCK_CLOEXEC, protocol), errnoCell[0]!),
    socketpair: (domain, type, protocol, pair) =>
      result(socketpair(domain, type | SOCK_CLOEXEC, protocol, pair), errnoCell[0]!),
    accept: (fd, sockaddr, length) => result(accept4(fd, sockaddr, length, SOCK_CLOEXEC), errnoCell[0]!),
    pipe: (pair) => result(pipe2(pair, O_CLOEXEC), errnoCell[0]!),
  };
}

/** In two steps, where the C library (macOS) has no way to do it at once. */
export function inSteps(): Makers {
  const { socket, socketpair, accept, pipe } = libc();
  return {
    socket: (domain, type, protocol) => closedOnExec(result(socket(domain, type, protocol), errnoCell[0]!)),
    socketpair: (domain, type, protocol, pair) =>
      bothClosedOnExec(result(socketpair(domain, type, protocol, pair), errnoCell[0]!), pair),
    accept(fd, sockaddr, length) {
      const accepted = closedOnExec(result(accept(fd, sockaddr, length), errnoCell[0]!));
      // The BSDs let a connection have its listener's flags.
      if (accepted >= 0) setBlocking(accepted, true);
      return accepted;
    },
    pipe: (pair) => bothClosedOnExec(result(pipe(pair), errnoCell[0]!), pair),
  };
}

function closedOnExec(fd: number): number {
  if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
}

function bothClosedOnExec(outcome: number, pair: Int32Array<ArrayBuffer>): number {
  if (outcome >= 0) pair.forEach(closedOnExec);
  return outcome;
}

const makers = lazy(() => {
  const { accept4, pipe2 } = libc();
  return accept4 === null || pipe2 === null ? inSteps() : atOnce(accept4, pipe2);
});

/** Makes a socket, close-on-exec. */
export function socket(domain: number, type: number, protocol: number): number {
  return makers().socket(domain, type, protocol);
}

/** Makes two sockets that are connected, close-on-exec. */
export function socketpair(domain: number, type: number, protocol: number, pair: Int32Array<ArrayBuffer>): number {
  return makers().socketpair(domain, type, protocol, pair);
}

/** Gives a socket its address. */
export function bind(fd: number, sockaddr: Bytes): number {
  return result(libc().bind(fd, sockaddr, byteLengthOf(sockaddr)), errnoCell[0]!);
}

/** Makes a socket take connections. */
export function listen(fd: number, backlog: number): number {
  return result(libc().listen(fd, backlog), errnoCell[0]!);
}

/** Takes the next connection, close-on-exec and blocking, and the peer's address. */
export function accept(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number {
  return makers().accept(fd, sockaddr, length);
}

/** Connects a socket. */
export function connect(fd: number, sockaddr: Bytes): number {
  return result(libc().connect(fd, sockaddr, byteLengthOf(sockaddr)), errnoCell[0]!);
}

/** Receives bytes. */
export function recv(fd: number, bytes: Bytes, flags: number): number {
  return result(libc().recv(fd, bytes, sizeT(bytes), flags), errnoCell[0]!);
}

/** Receives bytes and the sender's address. */
export function recvfrom(
  fd: number,
  bytes: Bytes,
  flags: number,
  sockaddr: Bytes,
  length: Uint32Array<ArrayBuffer>,
): number {
  return result(
    libc().recvfrom(
      fd,
      bytes,
      sizeT(bytes),
      flags,
      sockaddr,
      length,
    ),
    errnoCell[0]!,
  );
}

/** Sends bytes. */
export function send(fd: number, bytes: Bytes, flags: number): number {
  return result(libc().send(fd, bytes, sizeT(bytes), flags), errnoCell[0]!);
}

/** Sends bytes to an address. */
export function sendto(fd: number, bytes: Bytes, flags: number, sockaddr: Bytes): number {
  return result(
    libc().sendto(
      fd,
      bytes,
      sizeT(bytes),
      flags,
      sockaddr,
      byteLengthOf(sockaddr),
    ),
    errnoCell[0]!,
  );
}

/** Shuts one or both halves of a connection down. */
export function shutdown(fd: number, how: number): number {
  return result(libc().shutdown(fd, how), errnoCell[0]!);
}

/** Gives the address of a socket. */
export function getsockname(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number {
  return result(libc().getsockname(fd, sockaddr, length), errnoCell[0]!);
}

/** Gives the address of a socket's peer. */
export function getpeername(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number {
  return result(libc().getpeername(fd, sockaddr, length), errnoCell[0]!);
}

/** Sets an option. */
export function setsockopt(fd: number, level: number, option: number, value: Bytes): number {
  return result(libc().setsockopt(fd, level, option, value, byteLengthOf(value)), errnoCell[0]!);
}

/** Reads an option. */
export function getsockopt(
  fd: number,
  level: number,
  option: number,
  value: Bytes,
  length: Uint32Array<ArrayBuffer>,
): number {
  return result(libc().getsockopt(fd, level, option, value, length), errnoCell[0]!);
}

/** Finds out what a socket is: its family, type and protocol, in this order. */
export function kindOf(fd: number, kind: Int32Array<ArrayBuffer>): number {
  const value = new Int32Array(1);
  const bytes = new Uint8Array(value.buffer);
  const type = getsockopt(fd, SOL_SOCKET, SO_TYPE, bytes, new Uint32Array([bytes.byteLength]));
  if (type < 0) return type;
  kind[1] = value[0]!;
  // Not every system knows SO_PROTOCOL, nor every family.
  const protocol = getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, bytes, new Uint32Array([bytes.byteLength]));
  kind[2] = protocol < 0 ? 0 : value[0]!;
  const sockaddr = new Uint8Array(SOCKADDR_STORAGE_SIZE);
  const name = getsockname(fd, sockaddr, new Uint32Array([sockaddr.byteLength]));
  kind[0] = familyOf(sockaddr);
  return name;
}

/** Makes a pipe, close-on-exec. */
export function pipe(pair: Int32Array<ArrayBuffer>): number {
  return makers().pipe(pair);
}

/** Reads from a descriptor. */
export function read(fd: number, bytes: Bytes): number {
  return result(libc().read(fd, bytes, sizeT(bytes)), errnoCell[0]!);
}

/** Writes to a descriptor. */
export function write(fd: number, bytes: Bytes): number {
  return result(libc().write(fd, bytes, sizeT(bytes)), errnoCell[0]!);
}

/** Closes a descriptor. */
export function close(fd: number): number {
  return result(libc().close(fd), errnoCell[0]!);
}

/** Returns true if a descriptor is open. */
export function isOpen(fd: number): boolean {
  return fcntl(fd, F_GETFD, 0) >= 0;
}

/** Makes calls on a descriptor block, or not. */
export function setBlocking(fd: number, isBlocking: boolean): number {
  const flags = fcntl(fd, F_GETFL, 0);
  if (flags < 0) return flags;
  return fcntl(fd, F_SETFL, isBlocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/** Tells whether calls on a descriptor block: 1, or 0. */
export function getBlocking(fd: number): number {
  const flags = fcntl(fd, F_GETFL, 0);
  return flags < 0 ? flags : (flags & O_NONBLOCK) === 0 ? 1 : 0;
}

function fcntl(fd: number, cmd: number, arg: number): number {
  return result(libc().fcntl(fd, cmd, arg, arg, arg, arg, arg, arg, arg), errnoCell[0]!);
}
