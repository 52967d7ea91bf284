/**
 * Sockets of Windows, under the names of `posix.ts`: numbers in, numbers out, a negative number being `-errno`, and errno
 * one of Winsock's own (10004 and above).
 *
 * ## What Windows has otherwise
 *
 * - A descriptor is a socket, and nothing else can be waited for: `read`, `write` and `close` are `recv`, `send` and
 *   `closesocket`, and there is no `pipe`. Descriptors of the C runtime (files, standard input) are other numbers.
 * - A SOCKET is a handle as wide as a pointer, of which Windows uses 32 bits. It is a number outside this file, and a
 *   BigInt on its way into a call.
 * - Whether a socket blocks cannot be asked, only told, so that what was told is kept here. A connection that is accepted
 *   from a non-blocking listener does not block either; here it does, as on Linux.
 * - "Not a socket" is also what Winsock says of a closed one. It is EBADF here, as everywhere.
 * - A connection that is being made is "would block" (WSAEWOULDBLOCK). It is EINPROGRESS here.
 * - A connection that was gone before it was accepted is "reset" (WSAECONNRESET). It is ECONNABORTED here.
 * - Of a datagram that is longer than the buffer Winsock gives the beginning and an error (WSAEMSGSIZE). Here it gives the
 *   beginning.
 * - There are no pairs of sockets: those of TCP and UDP are made by connecting.
 *
 * @module
 */

import { openWithErrno, result } from "./call.ts";
import { EAGAIN, EBADF, ECONNABORTED, ECONNRESET, EINPROGRESS, EMSGSIZE, ENOTSOCK, EOPNOTSUPP } from "./errno.ts";
import { lazy, openLibrary } from "./library.ts";
import { byteLengthOf } from "./bytes.ts";
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

/** Flags of WSASocketW(): as socket() makes it, and not inherited by child processes. */
const WSA_FLAG_OVERLAPPED = 0x01;
const WSA_FLAG_NO_HANDLE_INHERIT = 0x80;
/** Request of ioctlsocket(): block, or not. */
const FIONBIO = 0x8004_667e;
/** Flag of a handle: child processes inherit it. */
const HANDLE_FLAG_INHERIT = 0x1;

/**
 * Option of a socket: what it is, as a
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

/** The family of what {@linkcode socketpair} makes. */
export const PAIR_FAMILY: number = AF_INET;

const ws2 = lazy(() =>
  openWithErrno("winsock", {
    WSAGetLastError: { parameters: [], result: "i32" },
    WSASocketW: {
      parameters: [
        "i32", // int af
        "i32", // int type
        "i32", // int protocol
        "pointer", // WSAPROTOCOL_INFOW *lpProtocolInfo
        "u32", // GROUP g
        "u32", // DWORD dwFlags
      ],
      result: "i32", // SOCKET, of which the low half says all: INVALID_SOCKET has every bit
    },
    bind: {
      parameters: [
        "usize", // SOCKET s
        "buffer", // const struct sockaddr *name
        "i32", // int namelen
      ],
      result: "i32",
    },
    listen: {
      parameters: [
        "usize", // SOCKET s
        "i32", // int backlog
      ],
      result: "i32",
    },
    accept: {
      parameters: [
        "usize", // SOCKET s
        "buffer", // struct sockaddr *addr
        "buffer", // int *addrlen
      ],
      result: "i32", // SOCKET
    },
    connect: {
      parameters: [
        "usize", // SOCKET s
        "buffer", // const struct sockaddr *name
        "i32", // int namelen
      ],
      result: "i32",
    },
    recv: {
      parameters: [
        "usize", // SOCKET s
        "buffer", // char *buf
        "i32", // int len
        "i32", // int flags
      ],
      result: "i32",
    },
    recvfrom: {
      parameters: [
        "usize", // SOCKET s
        "buffer", // char *buf
        "i32", // int len
        "i32", // int flags
        "buffer", // struct sockaddr *from
        "buffer", // int *fromlen
      ],
      result: "i32",
    },
    send: {
      parameters: [
        "usize", // SOCKET s
        "buffer", // const char *buf
        "i32", // int len
        "i32", // int flags
      ],
      result: "i32",
    },
    sendto: {
      parameters: [
        "usize", // SOCKET s
        "buffer", // const char *buf
        "i32", // int len
        "i32", // int flags
        "buffer", // const struct sockaddr *to
        "i32", // int tolen
      ],
      result: "i32",
    },
    shutdown: {
      parameters: [
        "usize", // SOCKET s
        "i32", // int how
      ],
      result: "i32",
    },
    getsockname: {
      parameters: [
        "usize", // SOCKET s
        "buffer", // struct sockaddr *name
        "buffer", // int *namelen
      ],
      result: "i32",
    },
    getpeername: {
      parameters: [
        "usize", // SOCKET s
        "buffer", // struct sockaddr *name
        "buffer", // int *namelen
      ],
      result: "i32",
    },
    setsockopt: {
      parameters: [
        "usize", // SOCKET s
        "i32", // int level
        "i32", // int optname
        "buffer", // const char *optval
        "i32", // int optlen
      ],
      result: "i32",
    },
    getsockopt: {
      parameters: [
        "usize", // SOCKET s
        "i32", // int level
        "i32", // int optname
        "buffer", // char *optval
        "buffer", // int *optlen
      ],
      result: "i32",
    },
    ioctlsocket: {
      parameters: [
        "usize", // SOCKET s
        "u32", // long cmd
        "buffer", // u_long *argp
      ],
      result: "i32",
    },
    closesocket: {
      parameters: ["usize"], // SOCKET s
      result: "i32",
    },
  })
);

const kernel32 = lazy(() =>
  openLibrary("handles", {
    SetHandleInformation: {
      parameters: [
        "usize", // HANDLE hObject
        "u32", // DWORD dwMask
        "u32", // DWORD dwFlags
      ],
      result: "i32",
    },
  })
);

/** The sockets that do not block, by number, which is free again once the socket is closed. */
const nonBlocking = new Set<number>();

// A BigInt costs more to make than a fast call. Handles are small multiples of 4, given the lowest first.
const SLOTS = 4096;
const slotNumbers = new Int32Array(SLOTS);
const slotHandles: bigint[] = new Array(SLOTS).fill(0n);

/** A socket's number as a SOCKET; -1, which stands for a closed one, becomes INVALID_SOCKET. */
function handle(fd: number): bigint {
  const slot = (fd >>> 2) % SLOTS;
  if (slotNumbers[slot] !== fd) {
    slotHandles[slot] = BigInt.asUintN(64, BigInt(fd));
    slotNumbers[slot] = fd;
  }
  return slotHandles[slot]!;
}

/** The greatest number that a C `int` can carry. */
const INT_MAX = 0x7fff_ffff;

/** Returns the length of an array as the C `int` that Winsock takes; of a longer array only the beginning is used. */
function sizeOf(bytes: Bytes): number {
  return Math.min(byteLengthOf(bytes), INT_MAX);
}

/** As {@linkcode result}, with one name for a number that is no socket; both arguments have to be calls. */
function outcome(returned: number, error: number): number {
  const value = result(returned, error);
  return value === -ENOTSOCK ? -EBADF : value;
}

/** Makes a socket that child processes do not inherit. */
export function socket(domain: number, type: number, protocol: number): number {
  const { WSASocketW, WSAGetLastError } = ws2();
  const flags = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
  const fd = outcome(WSASocketW(domain, type, protocol, null, 0, flags), WSAGetLastError());
  nonBlocking.delete(fd);
  return fd;
}

/**
 * Makes two sockets that are connected, of TCP or of UDP; there are no others.
 *
 * The port is open for a moment, in which a stranger can connect to it: see {@linkcode connectPair}.
 */
export function socketpair(domain: number, type: number, protocol: number, pair: Int32Array<ArrayBuffer>): number {
  if (domain === AF_INET && type === SOCK_DGRAM) return datagramPair(protocol, pair);
  if (domain !== AF_INET || type !== SOCK_STREAM) return -EOPNOTSUPP;
  const listener = socket(domain, type, protocol);
  if (listener < 0) return listener;
  try {
    // Without it any program could take the port over, by SO_REUSEADDR.
    const failure = lowest(
      setsockopt(listener, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, ON),
      bind(listener, LOOPBACK),
      listen(listener, BACKLOG),
    );
    return failure < 0 ? failure : connectPair(listener, protocol, pair);
  } finally {
    close(listener);
  }
}

/** The value of an option that is switched on. */
const ON = new Uint8Array(new Int32Array([1]).buffer);
/** 127.0.0.1, and any port that is free. */
const LOOPBACK = new Uint8Array([AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
/** Room for strangers in the queue of a listener that waits for one connection: a full one refuses ours. */
const BACKLOG = 16;

/** The first failure, or 0: of calls that are all made, since those after a failure do no harm. */
function lowest(...outcomes: number[]): number {
  return outcomes.find((outcome) => outcome < 0) ?? 0;
}

/**
 * Connects a socket to a listener of this process, and takes that connection and no other's from its queue.
 *
 * @param pair Where the two numbers go
 */
export function connectPair(listener: number, protocol: number, pair: Int32Array<ArrayBuffer>): number {
  const client = socket(AF_INET, SOCK_STREAM, protocol);
  if (client < 0) return client;
  const address = new Uint8Array(LOOPBACK.length);
  const failure = lowest(
    getsockname(listener, address, lengthOf(address)),
    connect(client, address),
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, ON),
  );
  for (let server = failure; failure >= 0;) {
    const peer = new Uint8Array(LOOPBACK.length);
    server = accept(listener, peer, lengthOf(peer));
    if (server === -ECONNABORTED) continue; // a stranger that has gone
    if (server < 0) return abandon(client, server);
    if (areStrangers(client, server)) {
      close(server);
      continue;
    }
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, ON); // what is sent through a pair arrives at once
    pair[0] = client;
    pair[1] = server;
    return 0;
  }
  return abandon(client, failure);
}

/** Makes two sockets of UDP that hear each other alone. */
function datagramPair(protocol: number, pair: Int32Array<ArrayBuffer>): number {
  for (const index of [0, 1]) {
    const fd = socket(AF_INET, SOCK_DGRAM, protocol);
    if (fd < 0) return index === 0 ? fd : abandon(pair[0]!, fd);
    pair[index] = fd;
  }
  const [one, other] = [pair[0]!, pair[1]!];
  const failure = lowest(
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
  return lowest(getsockname(other, address, lengthOf(address)), connect(fd, address));
}

/** Takes what strangers sent to a socket before it was connected. */
function discard(fd: number): number {
  const space = new Uint8Array(1);
  setBlocking(fd, false);
  while (recv(fd, space, 0) >= 0);
  return setBlocking(fd, true);
}

/** Tells whether two connected sockets are not each other's ends. */
function areStrangers(client: number, server: number): boolean {
  return nameOf(getsockname, client) !== nameOf(getpeername, server) ||
    nameOf(getpeername, client) !== nameOf(getsockname, server);
}

/** An address as a string, and another one for each socket that has none. */
function nameOf(call: typeof getsockname, fd: number): string {
  const name = new Uint8Array(LOOPBACK.length);
  return call(fd, name, lengthOf(name)) < 0 ? `no name of ${fd}` : name.join();
}

function lengthOf(sockaddr: Bytes): Uint32Array<ArrayBuffer> {
  return new Uint32Array([sizeOf(sockaddr)]);
}

function abandon(fd: number, failure: number): number {
  close(fd);
  return failure;
}

/** Gives a socket its address. */
export function bind(fd: number, sockaddr: Bytes): number {
  const { bind, WSAGetLastError } = ws2();
  return outcome(bind(handle(fd), sockaddr, sizeOf(sockaddr)), WSAGetLastError());
}

/** Makes a socket take connections. */
export function listen(fd: number, backlog: number): number {
  const { listen, WSAGetLastError } = ws2();
  return outcome(listen(handle(fd), backlog), WSAGetLastError());
}

/** Takes the next connection, which blocks and which child processes do not inherit, and the peer's address. */
export function accept(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number {
  const { accept, WSAGetLastError } = ws2();
  const accepted = outcome(accept(handle(fd), sockaddr, length), WSAGetLastError());
  if (accepted < 0) return accepted === -ECONNRESET ? -ECONNABORTED : accepted;
  kernel32().SetHandleInformation(handle(accepted), HANDLE_FLAG_INHERIT, 0);
  // Nothing is known of the new socket but its listener, of whose state it has taken its own.
  const isBlocking = setBlocking(accepted, true);
  return isBlocking < 0 ? abandon(accepted, isBlocking) : accepted;
}

/** Connects a socket. */
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

/** Receives bytes and the sender's address. */
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
  return outcome(
    sendto(
      handle(fd),
      bytes,
      sizeOf(bytes),
      flags,
      sockaddr,
      sizeOf(sockaddr),
    ),
    WSAGetLastError(),
  );
}

/** Shuts one or both halves of a connection down. */
export function shutdown(fd: number, how: number): number {
  const { shutdown, WSAGetLastError } = ws2();
  return outcome(shutdown(handle(fd), how), WSAGetLastError());
}

/** Gives the address of a socket. */
export function getsockname(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number {
  const { getsockname, WSAGetLastError } = ws2();
  return outcome(getsockname(handle(fd), sockaddr, length), WSAGetLastError());
}

/** Gives the address of a socket's peer. */
export function getpeername(fd: number, sockaddr: Bytes, length: Uint32Array<ArrayBuffer>): number {
  const { getpeername, WSAGetLastError } = ws2();
  return outcome(getpeername(handle(fd), sockaddr, length), WSAGetLastError());
}

/** Sets an option. */
export function setsockopt(fd: number, level: number, option: number, value: Bytes): number {
  const { setsockopt, WSAGetLastError } = ws2();
  return outcome(setsockopt(handle(fd), level, option, value, sizeOf(value)), WSAGetLastError());
}

/** Reads an option. */
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

/** Finds out what a socket is: its family, type and protocol, in this order. */
export function kindOf(fd: number, kind: Int32Array<ArrayBuffer>): number {
  const info = new Uint8Array(WSAPROTOCOL_INFOW.size);
  const failure = getsockopt(fd, SOL_SOCKET, SO_PROTOCOL_INFOW, info, lengthOf(info));
  if (failure < 0) return failure;
  const { iAddressFamily, iSocketType, iProtocol } = WSAPROTOCOL_INFOW;
  const view = new DataView(info.buffer);
  kind.set([iAddressFamily, iSocketType, iProtocol].map((field) => view.getInt32(field, true)));
  return 0;
}

/** Fails: Windows has pipes, but none that could be waited for beside sockets. */
export function pipe(_pair: Int32Array<ArrayBuffer>): number {
  throw new Deno.errors.NotSupported("Cannot make a pipe: on Windows only sockets can be waited for; use socketpair()");
}

/** Receives bytes: a descriptor is a socket. */
export function read(fd: number, bytes: Bytes): number {
  return recv(fd, bytes, 0);
}

/** Sends bytes: a descriptor is a socket. */
export function write(fd: number, bytes: Bytes): number {
  return send(fd, bytes, 0);
}

/** Closes a socket. */
export function close(fd: number): number {
  const { closesocket, WSAGetLastError } = ws2();
  nonBlocking.delete(fd);
  return outcome(closesocket(handle(fd)), WSAGetLastError());
}

/** Returns true if a number is an open socket. */
export function isOpen(fd: number): boolean {
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, new Uint8Array(4), new Uint32Array([4])) >= 0;
}

/** Makes calls on a socket block, or not. */
export function setBlocking(fd: number, isBlocking: boolean): number {
  const { ioctlsocket, WSAGetLastError } = ws2();
  const set = outcome(ioctlsocket(handle(fd), FIONBIO, new Uint32Array([isBlocking ? 0 : 1])), WSAGetLastError());
  if (set < 0) return set;
  if (isBlocking) nonBlocking.delete(fd);
  else nonBlocking.add(fd);
  return 0;
}

/** Tells whether calls on a socket block: 1, or 0; as {@linkcode setBlocking} was last told. */
export function getBlocking(fd: number): number {
  const value = new Uint8Array(4);
  const failure = getsockopt(fd, SOL_SOCKET, SO_TYPE, value, lengthOf(value));
  return failure < 0 ? failure : nonBlocking.has(fd) ? 0 : 1;
}
