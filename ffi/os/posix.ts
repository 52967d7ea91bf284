/**
 * File descriptors and sockets on Unix. Arguments and results are numbers; a failure is `-errno`.
 *
 * `winsock.ts` has the same names in the same order, for ws2_32. `sys.ts` chooses one of the two, so that the files
 * that import it need no test for the system.
 *
 * @module
 */

import { errnoCell, lazyLibc, result } from "./call.ts";
import { lazy } from "./library.ts";
import { byteLengthOf } from "./arguments.ts";
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

const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const F_GETFL = 3;
const F_SETFL = 4;

/** Default address family of {@linkcode socketpair}. */
export const PAIR_FAMILY: number = AF_UNIX;

// A result of type ssize_t is declared as i32, because an isize would be a BigInt: see "How errno is read" in call.ts.
// An i32 is enough, since the kernel transfers less than 2 GiB at once.
const libc = lazyLibc({
  // int socket(int domain, int type, int protocol)
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int socketpair(int domain, int type, int protocol, int sv[2])
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int bind(int sockfd, const struct sockaddr *addr, socklen_t addrlen)
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int listen(int sockfd, int backlog)
  listen: { parameters: ["i32", "i32"], result: "i32" },
  // int accept(int sockfd, struct sockaddr *addr, socklen_t *addrlen)
  accept: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int accept4(int sockfd, struct sockaddr *addr, socklen_t *addrlen, int flags)
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32", optional: true },
  // int connect(int sockfd, const struct sockaddr *addr, socklen_t addrlen)
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // ssize_t recv(int sockfd, void *buf, size_t len, int flags)
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  // ssize_t recvfrom(int sockfd, void *buf, size_t len, int flags, struct sockaddr *src_addr, socklen_t *addrlen)
  recvfrom: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "buffer"], result: "i32" },
  // ssize_t send(int sockfd, const void *buf, size_t len, int flags)
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  // ssize_t sendto(int sockfd, const void *buf, size_t len, int flags, const struct sockaddr *dest_addr,
  //                socklen_t addrlen)
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "i32" },
  // int shutdown(int sockfd, int how)
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  // int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen)
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int getpeername(int sockfd, struct sockaddr *addr, socklen_t *addrlen)
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int setsockopt(int sockfd, int level, int optname, const void *optval, socklen_t optlen)
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // int getsockopt(int sockfd, int level, int optname, void *optval, socklen_t *optlen)
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // int pipe(int pipefd[2])
  pipe: { parameters: ["buffer"], result: "i32" },
  // int pipe2(int pipefd[2], int flags)
  pipe2: { parameters: ["buffer", "i32"], result: "i32", optional: true },
  // ssize_t read(int fd, void *buf, size_t count)
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // ssize_t write(int fd, const void *buf, size_t count)
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
  // int isatty(int fd)
  isatty: { parameters: ["i32"], result: "i32" },
  // char *ptsname(int fd)
  ptsname: { parameters: ["i32"], result: "usize" },
  // int fcntl(int fd, int cmd, ...): Apple's arm64 passes a variadic argument on the stack, other ABIs in a register.
  // Seven copies fill every remaining register and the first stack slot, so that the argument arrives everywhere.
  fcntl: { parameters: ["i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32"], result: "i32" },
});

type Libc = ReturnType<typeof libc>;

/** Memory that C can read or write in place. */
export type Bytes = Uint8Array;

/** Creates a socket, close-on-exec. */
export function socket(domain: number, type: number, protocol: number): number {
  return makers().socket(domain, type, protocol);
}

/** Creates two connected sockets, close-on-exec. */
export function socketpair(domain: number, type: number, protocol: number, pair: Int32Array<ArrayBuffer>): number {
  return makers().socketpair(domain, type, protocol, pair);
}

/** Binds a socket to an address. */
export function bind(fd: number, sockaddr: Bytes): number {
  return result(libc().bind(fd, sockaddr, byteLengthOf(sockaddr)), errnoCell[0]!);
}

/** Makes a socket accept connections. */
export function listen(fd: number, backlog: number): number {
  return result(libc().listen(fd, backlog), errnoCell[0]!);
}

/** Accepts a connection as a blocking socket, close-on-exec, and writes the peer's address. */
export function accept(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number {
  return makers().accept(fd, sockaddr, length);
}

/** Connects a socket to an address. */
export function connect(fd: number, sockaddr: Bytes): number {
  return result(libc().connect(fd, sockaddr, byteLengthOf(sockaddr)), errnoCell[0]!);
}

/** Receives bytes. */
export function recv(fd: number, bytes: Bytes, flags: number): number {
  return result(libc().recv(fd, bytes, sizeT(bytes), flags), errnoCell[0]!);
}

/** Receives bytes and writes the sender's address. */
export function recvfrom(
  fd: number,
  bytes: Bytes,
  flags: number,
  sockaddr: Bytes,
  length: Uint32Array<ArrayBuffer>,
): number {
  return result(libc().recvfrom(fd, bytes, sizeT(bytes), flags, sockaddr, length), errnoCell[0]!);
}

/** Sends bytes. */
export function send(fd: number, bytes: Bytes, flags: number): number {
  return result(libc().send(fd, bytes, sizeT(bytes), flags), errnoCell[0]!);
}

/** Sends bytes to an address. */
export function sendto(fd: number, bytes: Bytes, flags: number, sockaddr: Bytes): number {
  return result(libc().sendto(fd, bytes, sizeT(bytes), flags, sockaddr, byteLengthOf(sockaddr)), errnoCell[0]!);
}

/** Shuts down one or both halves of a connection. */
export function shutdown(fd: number, how: number): number {
  return result(libc().shutdown(fd, how), errnoCell[0]!);
}

/** Writes the address of a socket. */
export function getsockname(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number {
  return result(libc().getsockname(fd, sockaddr, length), errnoCell[0]!);
}

/** Writes the address of a socket's peer. */
export function getpeername(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number {
  return result(libc().getpeername(fd, sockaddr, length), errnoCell[0]!);
}

/** Sets a socket option. */
export function setsockopt(fd: number, level: number, option: number, value: Bytes): number {
  return result(libc().setsockopt(fd, level, option, value, byteLengthOf(value)), errnoCell[0]!);
}

/** Writes the value of a socket option. */
export function getsockopt(
  fd: number,
  level: number,
  option: number,
  value: Bytes,
  length: Uint32Array<ArrayBuffer>,
): number {
  return result(libc().getsockopt(fd, level, option, value, length), errnoCell[0]!);
}

/** Writes the family, type and protocol of a socket, in this order. */
export function kindOf(fd: number, kind: Int32Array<ArrayBuffer>): number {
  const value = new Int32Array(1);
  const bytes = new Uint8Array(value.buffer);
  const type = getsockopt(fd, SOL_SOCKET, SO_TYPE, bytes, new Uint32Array([bytes.byteLength]));
  if (type < 0) return type;
  kind[1] = value[0]!;
  // Some systems, and some families, do not know SO_PROTOCOL.
  const protocol = getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, bytes, new Uint32Array([bytes.byteLength]));
  kind[2] = protocol < 0 ? 0 : value[0]!;
  const sockaddr = new Uint8Array(SOCKADDR_STORAGE_SIZE);
  const name = getsockname(fd, sockaddr, new Uint32Array([sockaddr.byteLength]));
  kind[0] = familyOf(sockaddr);
  return name;
}

/** Creates a pipe, close-on-exec. */
export function pipe(pair: Int32Array<ArrayBuffer>): number {
  return makers().pipe(pair);
}

/** Reads bytes from a file descriptor. */
export function read(fd: number, bytes: Bytes): number {
  return result(libc().read(fd, bytes, sizeT(bytes)), errnoCell[0]!);
}

/** Writes bytes to a file descriptor. */
export function write(fd: number, bytes: Bytes): number {
  return result(libc().write(fd, bytes, sizeT(bytes)), errnoCell[0]!);
}

/** Closes a file descriptor. */
export function close(fd: number): number {
  return result(libc().close(fd), errnoCell[0]!);
}

/** Returns true if a file descriptor is a terminal. */
export function isTerminal(fd: number): boolean {
  return libc().isatty(fd) === 1;
}

/** Returns true if a file descriptor is the master of a pseudoterminal: only a master has a slave's name. */
export function isPtyMaster(fd: number): boolean {
  return libc().ptsname(fd) !== 0n;
}

/** Returns true if a file descriptor is open. */
export function isOpen(fd: number): boolean {
  return fcntl(fd, F_GETFD, 0) >= 0;
}

/** Sets whether calls on a file descriptor block. */
export function setBlocking(fd: number, isBlocking: boolean): number {
  const flags = fcntl(fd, F_GETFL, 0);
  if (flags < 0) return flags;
  return fcntl(fd, F_SETFL, isBlocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/** Returns 1 if calls on a file descriptor block, and 0 if not. */
export function getBlocking(fd: number): number {
  const flags = fcntl(fd, F_GETFL, 0);
  return flags < 0 ? flags : (flags & O_NONBLOCK) === 0 ? 1 : 0;
}

// Helpers that only this twin needs.

function fcntl(fd: number, cmd: number, arg: number): number {
  return result(libc().fcntl(fd, cmd, arg, arg, arg, arg, arg, arg, arg), errnoCell[0]!);
}

// A size_t is a BigInt, and creating one costs more than a fast call. The BigInts are kept: a program uses few sizes.
const SIZES = 1024;
const sizeNumbers = new Int32Array(SIZES);
const sizeBigInts: bigint[] = new Array(SIZES).fill(0n);

/** Returns the length of an array as a size_t. */
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

/** Functions that create file descriptors, close-on-exec. */
interface Makers {
  socket(domain: number, type: number, protocol: number): number;
  socketpair(domain: number, type: number, protocol: number, pair: Int32Array<ArrayBuffer>): number;
  accept(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number;
  pipe(pair: Int32Array<ArrayBuffer>): number;
}

const makers = lazy(() => {
  const { accept4, pipe2 } = libc();
  return accept4 === null || pipe2 === null ? inSteps() : atOnce(accept4, pipe2);
});

/** Returns makers that use one system call, so that no program started in between inherits the descriptor. */
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

/** Returns makers that set close-on-exec with a second system call, for macOS, which lacks accept4() and pipe2(). */
export function inSteps(): Makers {
  const { socket, socketpair, accept, pipe } = libc();
  return {
    socket: (domain, type, protocol) => setCloseOnExec(result(socket(domain, type, protocol), errnoCell[0]!)),
    socketpair: (domain, type, protocol, pair) =>
      setBothCloseOnExec(result(socketpair(domain, type, protocol, pair), errnoCell[0]!), pair),
    accept(fd, sockaddr, length) {
      const accepted = setCloseOnExec(result(accept(fd, sockaddr, length), errnoCell[0]!));
      // On macOS and the BSDs, a connection inherits the status flags of its listener.
      if (accepted >= 0) setBlocking(accepted, true);
      return accepted;
    },
    pipe: (pair) => setBothCloseOnExec(result(pipe(pair), errnoCell[0]!), pair),
  };
}

/** Sets close-on-exec, if `fd` is a descriptor and not a failure; returns `fd`. */
export function setCloseOnExec(fd: number): number {
  if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
}

function setBothCloseOnExec(outcome: number, pair: Int32Array<ArrayBuffer>): number {
  if (outcome >= 0) pair.forEach(setCloseOnExec);
  return outcome;
}
