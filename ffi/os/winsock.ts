/**
 * Sockets on Windows. Arguments and results are numbers; a failure is `-errno`, with Winsock's numbers (from 10004).
 *
 * `posix.ts` has the same names in the same order.
 *
 * ## Differences from Unix
 *
 * - A file descriptor is a socket, and a selector can wait for nothing else. `read`, `write` and `close` are `recv`,
 *   `send` and `closesocket`; there is no `pipe`. File descriptors of the C runtime (files, standard input) are other
 *   numbers.
 * - A SOCKET is a handle as wide as a pointer, but Windows uses only its low 32 bits. It is a number outside this file,
 *   and a BigInt as an argument of a call.
 * - Winsock does not report whether a socket blocks, so this file records the mode that was set last. In Winsock, an
 *   accepted connection inherits the mode of its listener. Here, it blocks, as on Linux.
 * - For a closed socket, Winsock reports WSAENOTSOCK ("not a socket"). Here, the error is EBADF, as on Unix.
 * - Winsock reports a connection in progress as WSAEWOULDBLOCK. Here, the error is EINPROGRESS.
 * - Winsock reports a connection that ended before accept() as WSAECONNRESET. Here, the error is ECONNABORTED.
 * - For a datagram that is longer than the buffer, Winsock writes its beginning, and fails with WSAEMSGSIZE. Here, the
 *   call returns the size of the buffer, as on Unix.
 * - Winsock has no socketpair(). Here, a pair is two TCP or UDP sockets that are connected to each other.
 *
 * @module
 */

import { openWithErrno, result } from "./call.ts";
import { EAGAIN, EBADF, ECONNABORTED, ECONNRESET, EINPROGRESS, EMSGSIZE, ENOTSOCK, EOPNOTSUPP } from "./errno.ts";
import { lazyLibrary, openLibrary } from "./library.ts";
import { byteLengthOf } from "./arguments.ts";
import type { Bytes } from "./posix.ts";
import {
  AF_INET,
  IPPROTO_TCP,
  SO_EXCLUSIVEADDRUSE,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_NODELAY,
} from "./socket_constants.ts";

/** Flag of WSASocketW() that socket() sets too. */
const WSA_FLAG_OVERLAPPED = 0x01;
/** Flag of WSASocketW(): child processes do not inherit the socket. */
const WSA_FLAG_NO_HANDLE_INHERIT = 0x80;
/** Request of ioctlsocket(): sets whether the socket blocks. */
const FIONBIO = 0x8004_667e;
/** Flag of a handle: child processes inherit it. */
const HANDLE_FLAG_INHERIT = 0x1;

/**
 * Socket option that describes the socket in a
 *
 * struct WSAPROTOCOL_INFOW {
 *   DWORD dwServiceFlags1, …;   // +0
 *   int   iAddressFamily;       // +76
 *   int   iSocketType;          // +88
 *   int   iProtocol;            // +92
 *   WCHAR szProtocol[256];      // +116
 * };                            // 628
 */
const SO_PROTOCOL_INFOW = 0x2005;
const WSAPROTOCOL_INFOW = { size: 628, iAddressFamily: 76, iSocketType: 88, iProtocol: 92 };

/** Address family of {@linkcode socketpair}. */
export const PAIR_FAMILY: number = AF_INET;

const ws2 = lazyLibrary(() =>
  openWithErrno("winsock", {
    // SOCKET WSASocketW(int af, int type, int protocol, WSAPROTOCOL_INFOW *lpProtocolInfo, GROUP g, DWORD dwFlags)
    // The low half of a SOCKET is enough, since INVALID_SOCKET has every bit set.
    WSASocketW: { parameters: ["i32", "i32", "i32", "pointer", "u32", "u32"], result: "i32" },
    // int bind(SOCKET s, const struct sockaddr *name, int namelen)
    bind: { parameters: ["usize", "buffer", "i32"], result: "i32" },
    // int listen(SOCKET s, int backlog)
    listen: { parameters: ["usize", "i32"], result: "i32" },
    // SOCKET accept(SOCKET s, struct sockaddr *addr, int *addrlen)
    accept: { parameters: ["usize", "buffer", "buffer"], result: "i32" },
    // int connect(SOCKET s, const struct sockaddr *name, int namelen)
    connect: { parameters: ["usize", "buffer", "i32"], result: "i32" },
    // int recv(SOCKET s, char *buf, int len, int flags)
    recv: { parameters: ["usize", "buffer", "i32", "i32"], result: "i32" },
    // int recvfrom(SOCKET s, char *buf, int len, int flags, struct sockaddr *from, int *fromlen)
    recvfrom: { parameters: ["usize", "buffer", "i32", "i32", "buffer", "buffer"], result: "i32" },
    // int send(SOCKET s, const char *buf, int len, int flags)
    send: { parameters: ["usize", "buffer", "i32", "i32"], result: "i32" },
    // int sendto(SOCKET s, const char *buf, int len, int flags, const struct sockaddr *to, int tolen)
    sendto: { parameters: ["usize", "buffer", "i32", "i32", "buffer", "i32"], result: "i32" },
    // int shutdown(SOCKET s, int how)
    shutdown: { parameters: ["usize", "i32"], result: "i32" },
    // int getsockname(SOCKET s, struct sockaddr *name, int *namelen)
    getsockname: { parameters: ["usize", "buffer", "buffer"], result: "i32" },
    // int getpeername(SOCKET s, struct sockaddr *name, int *namelen)
    getpeername: { parameters: ["usize", "buffer", "buffer"], result: "i32" },
    // int setsockopt(SOCKET s, int level, int optname, const char *optval, int optlen)
    setsockopt: { parameters: ["usize", "i32", "i32", "buffer", "i32"], result: "i32" },
    // int getsockopt(SOCKET s, int level, int optname, char *optval, int *optlen)
    getsockopt: { parameters: ["usize", "i32", "i32", "buffer", "buffer"], result: "i32" },
    // int closesocket(SOCKET s)
    closesocket: { parameters: ["usize"], result: "i32" },
    // int ioctlsocket(SOCKET s, long cmd, u_long *argp)
    ioctlsocket: { parameters: ["usize", "u32", "buffer"], result: "i32" },
    // int WSAGetLastError(void)
    WSAGetLastError: { parameters: [], result: "i32" },
  })
);

const kernel32 = lazyLibrary(() =>
  openLibrary("handles", {
    // BOOL SetHandleInformation(HANDLE hObject, DWORD dwMask, DWORD dwFlags)
    SetHandleInformation: { parameters: ["usize", "u32", "u32"], result: "i32" },
  })
);

/** Creates a socket that child processes do not inherit. */
export function socket(domain: number, type: number, protocol: number): number {
  const { WSASocketW, WSAGetLastError } = ws2();
  const flags = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
  const fd = outcome(WSASocketW(domain, type, protocol, null, 0, flags), WSAGetLastError());
  nonBlocking.delete(fd);
  return fd;
}

/** Creates two connected sockets of TCP or UDP; the result is EOPNOTSUPP for other types. */
export function socketpair(domain: number, type: number, protocol: number, pair: Int32Array<ArrayBuffer>): number {
  if (domain === AF_INET && type === SOCK_DGRAM) return datagramPair(protocol, pair);
  if (domain === AF_INET && type === SOCK_STREAM) return streamPair(protocol, pair);
  return -EOPNOTSUPP;
}

/** Binds a socket to an address. */
export function bind(fd: number, sockaddr: Bytes): number {
  const { bind, WSAGetLastError } = ws2();
  return outcome(bind(handle(fd), sockaddr, sizeOf(sockaddr)), WSAGetLastError());
}

/** Makes a socket accept connections. */
export function listen(fd: number, backlog: number): number {
  const { listen, WSAGetLastError } = ws2();
  return outcome(listen(handle(fd), backlog), WSAGetLastError());
}

/** Accepts a connection as a blocking socket that child processes do not inherit, and writes the peer's address. */
export function accept(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number {
  const { accept, WSAGetLastError } = ws2();
  const accepted = outcome(accept(handle(fd), sockaddr, length), WSAGetLastError());
  if (accepted < 0) return accepted === -ECONNRESET ? -ECONNABORTED : accepted;
  kernel32().SetHandleInformation(handle(accepted), HANDLE_FLAG_INHERIT, 0);
  // Always set: the connection has inherited the mode of its listener, which this file may not know.
  const isBlocking = setBlocking(accepted, true);
  return isBlocking < 0 ? abandon(accepted, isBlocking) : accepted;
}

/** Connects a socket to an address. */
export function connect(fd: number, sockaddr: Bytes): number {
  const { connect, WSAGetLastError } = ws2();
  const connected = outcome(connect(handle(fd), sockaddr, sizeOf(sockaddr)), WSAGetLastError());
  return connected === -EAGAIN ? -EINPROGRESS : connected;
}

/** Receives bytes. */
export function recv(fd: number, bytes: Bytes, flags: number): number {
  const { recv, WSAGetLastError } = ws2();
  const size = sizeOf(bytes);
  const count = outcome(recv(handle(fd), bytes, size, flags), WSAGetLastError());
  return count === -EMSGSIZE ? size : count;
}

/** Receives bytes and writes the sender's address. */
export function recvfrom(
  fd: number,
  bytes: Bytes,
  flags: number,
  sockaddr: Bytes,
  length: Uint32Array<ArrayBuffer>,
): number {
  const { recvfrom, WSAGetLastError } = ws2();
  const size = sizeOf(bytes);
  const count = outcome(recvfrom(handle(fd), bytes, size, flags, sockaddr, length), WSAGetLastError());
  return count === -EMSGSIZE ? size : count;
}

/** Sends bytes. */
export function send(fd: number, bytes: Bytes, flags: number): number {
  const { send, WSAGetLastError } = ws2();
  return outcome(send(handle(fd), bytes, sizeOf(bytes), flags), WSAGetLastError());
}

/** Sends bytes to an address. */
export function sendto(fd: number, bytes: Bytes, flags: number, sockaddr: Bytes): number {
  const { sendto, WSAGetLastError } = ws2();
  return outcome(sendto(handle(fd), bytes, sizeOf(bytes), flags, sockaddr, sizeOf(sockaddr)), WSAGetLastError());
}

/** Shuts down one or both halves of a connection. */
export function shutdown(fd: number, how: number): number {
  const { shutdown, WSAGetLastError } = ws2();
  return outcome(shutdown(handle(fd), how), WSAGetLastError());
}

/** Writes the address of a socket. */
export function getsockname(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number {
  const { getsockname, WSAGetLastError } = ws2();
  return outcome(getsockname(handle(fd), sockaddr, length), WSAGetLastError());
}

/** Writes the address of a socket's peer. */
export function getpeername(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number {
  const { getpeername, WSAGetLastError } = ws2();
  return outcome(getpeername(handle(fd), sockaddr, length), WSAGetLastError());
}

/** Sets a socket option. */
export function setsockopt(fd: number, level: number, option: number, value: Bytes): number {
  const { setsockopt, WSAGetLastError } = ws2();
  return outcome(setsockopt(handle(fd), level, option, value, sizeOf(value)), WSAGetLastError());
}

/** Writes the value of a socket option. */
export function getsockopt(
  fd: number,
  level: number,
  option: number,
  value: Bytes,
  length: Uint32Array<ArrayBuffer>,
): number {
  const { getsockopt, WSAGetLastError } = ws2();
  return outcome(getsockopt(handle(fd), level, option, value, length), WSAGetLastError());
}

/** Writes the family, type and protocol of a socket, in this order. */
export function kindOf(fd: number, kind: Int32Array<ArrayBuffer>): number {
  const info = new Uint8Array(WSAPROTOCOL_INFOW.size);
  const failure = getsockopt(fd, SOL_SOCKET, SO_PROTOCOL_INFOW, info, lengthOf(info));
  if (failure < 0) return failure;
  const { iAddressFamily, iSocketType, iProtocol } = WSAPROTOCOL_INFOW;
  const view = new DataView(info.buffer);
  kind.set([iAddressFamily, iSocketType, iProtocol].map((field) => view.getInt32(field, true)));
  return 0;
}

/** Throws `Deno.errors.NotSupported`: Windows has pipes, but select() cannot wait for them. */
export function pipe(_pair: Int32Array<ArrayBuffer>): number {
  throw new Deno.errors.NotSupported("Cannot create a pipe: Windows can wait for sockets only; use socketpair()");
}

/** Receives bytes, since a file descriptor is a socket. */
export function read(fd: number, bytes: Bytes): number {
  return recv(fd, bytes, 0);
}

/** Sends bytes, since a file descriptor is a socket. */
export function write(fd: number, bytes: Bytes): number {
  return send(fd, bytes, 0);
}

/** Closes a socket. */
export function close(fd: number): number {
  const { closesocket, WSAGetLastError } = ws2();
  nonBlocking.delete(fd);
  return outcome(closesocket(handle(fd)), WSAGetLastError());
}

/** Returns false, because every file descriptor is a socket on Windows. */
export function isTerminal(_fd: number): boolean {
  return false;
}

/** Returns false, because every file descriptor is a socket on Windows. */
export function isPtyMaster(_fd: number): boolean {
  return false;
}

/** Returns true if a file descriptor is an open socket. */
export function isOpen(fd: number): boolean {
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, new Uint8Array(4), new Uint32Array([4])) >= 0;
}

/** Sets whether calls on a socket block. */
export function setBlocking(fd: number, isBlocking: boolean): number {
  const { ioctlsocket, WSAGetLastError } = ws2();
  const set = outcome(ioctlsocket(handle(fd), FIONBIO, new Uint32Array([isBlocking ? 0 : 1])), WSAGetLastError());
  if (set < 0) return set;
  if (isBlocking) nonBlocking.delete(fd);
  else nonBlocking.add(fd);
  return 0;
}

/** Returns 1 if calls on a socket block, and 0 if not, as {@linkcode setBlocking} set it last. */
export function getBlocking(fd: number): number {
  const value = new Uint8Array(4);
  const failure = getsockopt(fd, SOL_SOCKET, SO_TYPE, value, lengthOf(value));
  return failure < 0 ? failure : nonBlocking.has(fd) ? 0 : 1;
}

// Helpers that only this twin needs.

/** Sockets that do not block, by number; removed when the socket is closed, since Windows reuses the number. */
const nonBlocking = new Set<number>();

// A SOCKET is a BigInt, and creating one costs more than a fast call. Handles are small multiples of 4, because Windows
// reuses them, so their BigInts are kept.
const SLOTS = 4096;
const slotNumbers = new Int32Array(SLOTS);
const slotHandles: bigint[] = new Array(SLOTS).fill(0n);

/** Returns a file descriptor as a SOCKET; -1, the number of a closed socket, becomes INVALID_SOCKET. */
function handle(fd: number): bigint {
  const slot = (fd >>> 2) % SLOTS;
  if (slotNumbers[slot] !== fd) {
    slotHandles[slot] = BigInt.asUintN(64, BigInt(fd));
    slotNumbers[slot] = fd;
  }
  return slotHandles[slot]!;
}

/** Largest value of a C `int`. */
const INT_MAX = 0x7fff_ffff;

/** Returns the length of an array as a C `int`. Of a longer array, Winsock uses the first INT_MAX bytes. */
function sizeOf(bytes: Bytes): number {
  return Math.min(byteLengthOf(bytes), INT_MAX);
}

/** Returns the length of a socket address in the array from which Winsock reads it. */
function lengthOf(sockaddr: Bytes): Uint32Array<ArrayBuffer> {
  return new Uint32Array([sizeOf(sockaddr)]);
}

/** Returns {@linkcode result}, with EBADF in place of ENOTSOCK; write both calls themselves as the arguments. */
function outcome(returned: number, error: number): number {
  const value = result(returned, error);
  return value === -ENOTSOCK ? -EBADF : value;
}

/** Returns the first failure among outcomes, or 0. The calls after a failure were made too, which does no harm. */
function firstFailure(...outcomes: number[]): number {
  return outcomes.find((outcome) => outcome < 0) ?? 0;
}

/** Closes a socket and returns the failure for which it is closed. */
function abandon(fd: number, failure: number): number {
  close(fd);
  return failure;
}

/** Value of an option that is switched on. */
const ON = new Uint8Array(new Int32Array([1]).buffer);
/** Address 127.0.0.1, port 0: any free port. */
const LOOPBACK = new Uint8Array([AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
/** Backlog: room for other programs' connections too, because a full queue would reject the expected connection. */
const BACKLOG = 16;

/**
 * Creates two TCP sockets that are connected to each other.
 *
 * Another program can connect to the port while it is open: {@linkcode connectPair} closes such a connection.
 */
function streamPair(protocol: number, pair: Int32Array<ArrayBuffer>): number {
  const listener = socket(AF_INET, SOCK_STREAM, protocol);
  if (listener < 0) return listener;
  try {
    // Without this option, another program could take over the port with SO_REUSEADDR.
    const failure = firstFailure(
      setsockopt(listener, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, ON),
      bind(listener, LOOPBACK),
      listen(listener, BACKLOG),
    );
    return failure < 0 ? failure : connectPair(listener, protocol, pair);
  } finally {
    close(listener);
  }
}

/**
 * Connects a new socket to a listener of this process, and accepts that connection and no other.
 *
 * @param pair Array that receives both file descriptors
 */
export function connectPair(listener: number, protocol: number, pair: Int32Array<ArrayBuffer>): number {
  const client = socket(AF_INET, SOCK_STREAM, protocol);
  if (client < 0) return client;
  const address = new Uint8Array(LOOPBACK.length);
  const failure = firstFailure(
    getsockname(listener, address, lengthOf(address)),
    connect(client, address),
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, ON),
  );
  for (let server = failure; failure >= 0;) {
    const peer = new Uint8Array(LOOPBACK.length);
    server = accept(listener, peer, lengthOf(peer));
    if (server === -ECONNABORTED) continue; // a connection of another program, which is closed already
    if (server < 0) return abandon(client, server);
    if (areStrangers(client, server)) {
      close(server);
      continue;
    }
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, ON); // a pair delivers each write at once
    pair[0] = client;
    pair[1] = server;
    return 0;
  }
  return abandon(client, failure);
}

/** Returns true if two connected sockets are not the two ends of one connection. */
function areStrangers(client: number, server: number): boolean {
  return nameOf(getsockname, client) !== nameOf(getpeername, server) ||
    nameOf(getpeername, client) !== nameOf(getsockname, server);
}

/** Returns an address as a string; for a socket without an address, a string that equals no other socket's. */
function nameOf(call: typeof getsockname, fd: number): string {
  const name = new Uint8Array(LOOPBACK.length);
  return call(fd, name, lengthOf(name)) < 0 ? `no name of ${fd}` : name.join();
}

/** Creates two UDP sockets that receive from each other only. */
function datagramPair(protocol: number, pair: Int32Array<ArrayBuffer>): number {
  for (const index of [0, 1]) {
    const fd = socket(AF_INET, SOCK_DGRAM, protocol);
    if (fd < 0) return index === 0 ? fd : abandon(pair[0]!, fd);
    pair[index] = fd;
  }
  const [one, other] = [pair[0]!, pair[1]!];
  const failure = firstFailure(
    ...[one, other].flatMap((fd) => [setsockopt(fd, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, ON), bind(fd, LOOPBACK)]),
    connectTo(one, other),
    connectTo(other, one),
    discard(one),
    discard(other),
  );
  if (failure < 0) abandon(one, abandon(other, failure));
  return failure;
}

function connectTo(fd: number, other: number): number {
  const address = new Uint8Array(LOOPBACK.length);
  return firstFailure(getsockname(other, address, lengthOf(address)), connect(fd, address));
}

/** Receives and drops datagrams that other programs sent before the socket was connected. */
function discard(fd: number): number {
  const space = new Uint8Array(1);
  setBlocking(fd, false);
  while (recv(fd, space, 0) >= 0);
  return setBlocking(fd, true);
}
