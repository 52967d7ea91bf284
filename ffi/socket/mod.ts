/**
 * Python's `socket` module, as far as selectors need it: sockets whose descriptors can be waited for.
 *
 * ```ts
 * import { Socket } from "@selectors/selectors/socket";
 *
 * using listener = new Socket();
 * listener.bind({ hostname: "127.0.0.1", port: 0 });
 * listener.listen();
 *
 * using client = new Socket();
 * client.connect(listener.getsockname());
 * const [server, address] = listener.accept();
 * client.sendAll(new TextEncoder().encode("hello"));
 * console.log(new TextDecoder().decode(server.recv(1024)), "from", address);
 * server.close();
 * ```
 *
 * Sockets block until `setBlocking(false)`, as Python's do; a blocking call stops Deno's event loop. All descriptors are
 * closed when another program is executed.
 *
 * ## From Python
 *
 * | `socket`                                                    | here                                                       |
 * | ----------------------------------------------------------- | ---------------------------------------------------------- |
 * | `socket(family, type, proto)`, `socket(fileno=fd)`          | `new Socket(family, type, protocol)`, `Socket.fromFd(fd)`  |
 * | `family`, `type`, `proto`                                   | `family`, `type`, `protocol`                               |
 * | `bind`, `listen`, `accept`, `connect`, `connect_ex`         | the same, `connectEx`, which gives the code or null; addresses are Deno's: `{ hostname, port }` or `{ path }` |
 * | `recv`, `recv_into`, `recvfrom`                             | `recv`, `recvInto`, `recvFrom`; `tryRecvInto` gives null where `recvInto` throws `EAGAIN` |
 * | `send`, `sendall`, `sendto`                                 | `send`, `sendAll`, `sendTo`; `trySend` as above            |
 * | `shutdown`, `close`, `detach`, `fileno`                     | the same; `fileno()` is -1 once closed, as in Python       |
 * | `getsockname`, `getpeername`, `getsockopt`, `setsockopt`    | the same                                                   |
 * | `setblocking`, `getblocking`                                | `setBlocking`, `getBlocking`                               |
 * | `create_server`, `socketpair`, `getaddrinfo`                | `createServer`, `socketpair`, `getaddrinfo`                |
 * | `AF_*`, `SOCK_*`, `SOL_*`, `SO_*`, `IPPROTO_*`, `TCP_*`, `MSG_*`, `SHUT_*`, `AI_*` | those in use, with this system's values; any other can be given as a number |
 * | `gaierror`, `error`, `herror`                               | {@linkcode OSError}, with a code such as `"EAI_NONAME"`    |
 * | `settimeout`, `gettimeout`, `timeout`, `setdefaulttimeout`, `getdefaulttimeout` | left out: a selector has the timeout   |
 * | `create_connection`                                         | left out: `getaddrinfo`, and a `connect` to each address   |
 * | `makefile`, `sendfile`, `dup`, `fromfd`                     | left out: `node:fs` and `node:net` are there, and take descriptors |
 * | `recvmsg`, `sendmsg`, `recv_fds`, `send_fds`, `recvfrom_into`, `recvmsg_into`, `sendmsg_afalg` | left out: no selector needs them |
 * | `set_inheritable`, `get_inheritable`                        | left out: every descriptor is closed when another program is executed |
 * | `gethostbyname`, `gethostname`, `inet_aton`, `htons`, `if_nameindex` and the like | left out: `node:dns`, `Deno.hostname()`, `Deno.networkInterfaces()` and `DataView` are there |
 *
 * Of Python's `os` there are {@linkcode pipe}, {@linkcode read}, {@linkcode write}, {@linkcode close} and
 * {@linkcode setBlocking} (`set_blocking`), for descriptors that are no sockets.
 *
 * @module
 */

import { byteLengthOf, checkBytes, restOf } from "../os/bytes.ts";
import { check, EAGAIN, ECONNABORTED, ECONNRESET, EINPROGRESS, EINTR, errnoCode, OSError } from "../os/errno.ts";
import { checkInt, filenoOf, numberError, show } from "../os/arguments.ts";
import { EVENT_WRITE } from "../os/events.ts";
import { system } from "../os/systems.ts";
import { resolve } from "./resolve.ts";
import { SelectSet, setsOf } from "../os/select.ts";
import { type Address, checkAddress, decodeAddress, showAddress } from "./sockaddr.ts";
import * as sys from "../os/sys.ts";
import { retryUntil } from "../os/timeout.ts";
import {
  AF_INET,
  AF_UNIX,
  SO_ERROR,
  SO_EXCLUSIVEADDRUSE,
  SO_REUSEADDR,
  SOCK_STREAM,
  SOCKADDR_STORAGE_SIZE,
  SOL_SOCKET,
  SOMAXCONN,
} from "../os/socket_constants.ts";

export { OSError };
export { type AddressHints, type AddressInfo, getaddrinfo } from "./resolve.ts";
export type { Address, InetAddress, UnixAddress } from "./sockaddr.ts";
export {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  AF_UNSPEC,
  AI_CANONNAME,
  AI_NUMERICHOST,
  AI_NUMERICSERV,
  AI_PASSIVE,
  IP_ADD_MEMBERSHIP,
  IP_DROP_MEMBERSHIP,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_TTL,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV6_JOIN_GROUP,
  IPV6_LEAVE_GROUP,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  SO_ACCEPTCONN,
  SO_BROADCAST,
  SO_ERROR,
  SO_EXCLUSIVEADDRUSE,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_OOBINLINE,
  SO_PROTOCOL,
  SO_RCVBUF,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
  SOMAXCONN,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_NODELAY,
} from "../os/socket_constants.ts";

/** Shut down the half that receives. */
export const SHUT_RD = 0;
/** Shut down the half that sends. */
export const SHUT_WR = 1;
/** Shut down both halves. */
export const SHUT_RDWR = 2;

/** The bits of a socket type; on every system the flags that `socket` takes besides are above them. */
const TYPE_MASK = 0xf;

// Written by C and read at once, so that every socket can share them.
const sockaddr = new Uint8Array(SOCKADDR_STORAGE_SIZE);
const sockaddrLength = new Uint32Array(1);
const optionInt = new Int32Array(1);
const optionBytes = new Uint8Array(optionInt.buffer);
const optionLength = new Uint32Array(1);

/** What `recv` and `recvFrom` receive into, when asked for no more than this. */
const scratch = new Uint8Array(64 * 1024);

/**
 * A socket of the operating system, after Python's `socket.socket`.
 *
 * Its `try` methods give null where a non-blocking socket would block, the others throw an OSError `EAGAIN` there.
 *
 * Close every socket, with `using` or `close()`, or give its descriptor away with `detach()`. Python closes a socket that
 * is garbage-collected, and warns. Here its descriptor stays open until the process ends, without a warning.
 *
 * @see {@link https://docs.python.org/3/library/socket.html#socket-objects | Python's socket objects}
 *
 * @example Usage
 * ```ts
 * import { AF_INET, SOCK_DGRAM, Socket } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * using receiver = new Socket(AF_INET, SOCK_DGRAM);
 * receiver.bind({ hostname: "127.0.0.1", port: 0 });
 * using sender = new Socket(AF_INET, SOCK_DGRAM);
 * sender.sendTo(new Uint8Array([1, 2, 3]), receiver.getsockname());
 * const [datagram] = receiver.recvFrom(1500);
 * assertEquals(datagram, new Uint8Array([1, 2, 3]));
 * ```
 */
export class Socket implements Disposable {
  // No FinalizationRegistry reports a dropped socket: to register one takes 0.2 µs, a tenth of new Socket() and close().
  #fd: number;
  readonly #family: number;
  readonly #type: number;
  readonly #protocol: number;

  /**
   * Makes a socket.
   *
   * @param family AF_INET (the default), AF_INET6 or AF_UNIX
   * @param type SOCK_STREAM (the default), SOCK_DGRAM, SOCK_SEQPACKET or SOCK_RAW
   * @param protocol Protocol, or 0 for the usual one
   * @throws {OSError} EMFILE if too many descriptors are open, EAFNOSUPPORT and others if there is no such socket
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   */
  constructor(family?: number, type?: number, protocol?: number);
  constructor(family: number = AF_INET, type: number = SOCK_STREAM, protocol: number = 0, fd?: number) {
    this.#family = checkInt(family, "address family");
    type = checkInt(type, "socket type");
    this.#type = type & TYPE_MASK;
    this.#protocol = checkInt(protocol, "protocol");
    this.#fd = fd ?? check(sys.socket(this.#family, type, this.#protocol), "socket");
  }

  /**
   * Takes over a descriptor that is a socket, for example an inherited one.
   *
   * @param fd Number of the descriptor; closing the socket closes it
   * @throws {OSError} EBADF if it is closed, ENOTSOCK if it is not a socket
   * @throws {RangeError} if it is not from 0 to 2^31-1
   */
  static fromFd(fd: number): Socket {
    fd = filenoOf(fd);
    const kind = new Int32Array(3);
    check(sys.kindOf(fd, kind), "getsockopt", fd);
    return adopt(fd, kind[0]!, kind[1]!, kind[2]!);
  }

  /** Address family: AF_INET, AF_INET6 or AF_UNIX. */
  get family(): number {
    return this.#family;
  }

  /** Socket type: SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET or SOCK_RAW, without the flags given to the constructor. */
  get type(): number {
    return this.#type;
  }

  /** Protocol; 0 is the usual one of family and type. */
  get protocol(): number {
    return this.#protocol;
  }

  /** Gives the number of the descriptor, -1 once the socket is closed or detached. */
  fileno(): number {
    return this.#fd;
  }

  /**
   * Gives the socket its address.
   *
   * @param address `{ hostname, port }`, where port 0 means any that is free, or `{ path }`
   * @throws {OSError} EADDRINUSE, EADDRNOTAVAIL, EACCES; `EAI_NONAME` and others if the name cannot be resolved
   * @throws {RangeError} if the port is not from 0 to 65535, or the path too long or not a well-formed string
   * @throws {TypeError} if the address is not of the socket's family
   */
  bind(address: Address): void {
    check(sys.bind(this.#fd, this.#encode(address)), "bind", showAddress(address));
  }

  /**
   * Makes the socket take connections.
   *
   * @param backlog How many may wait to be accepted; the kernel has a bound of its own
   */
  listen(backlog: number = SOMAXCONN): void {
    check(sys.listen(this.#fd, checkInt(backlog, "backlog")), "listen", this.#fd);
  }

  /**
   * Takes the next connection, and waits for it if the socket blocks.
   *
   * @returns A socket for the connection, which blocks, and the address of its peer
   * @throws {OSError} EAGAIN if there is none and the socket does not block; EMFILE if too many descriptors are open
   */
  accept(): [connection: Socket, address: Address] {
    return this.tryAccept() ?? raiseAgain("accept", this.#fd);
  }

  /**
   * Takes the next connection, or gives null if there is none and the socket does not block.
   *
   * @returns A socket for the connection, which blocks, and the address of its peer
   * @throws {OSError} EMFILE if too many descriptors are open
   */
  tryAccept(): [connection: Socket, address: Address] | null {
    for (;;) {
      sockaddrLength[0] = sockaddr.length;
      const fd = sys.accept(this.#fd, sockaddr, sockaddrLength);
      if (fd >= 0) {
        return [adopt(fd, this.#family, this.#type, this.#protocol), decodeAddress(sockaddr, sockaddrLength[0]!)];
      }
      if (fd === -EAGAIN) return null;
      // A peer that went away before it was accepted is not this socket's failure.
      if (fd !== -EINTR && fd !== -ECONNABORTED) check(fd, "accept", this.#fd);
    }
  }

  /**
   * Connects the socket.
   *
   * @param address `{ hostname, port }` or `{ path }`; a name is resolved, which blocks
   * @throws {OSError} ECONNREFUSED, ETIMEDOUT and others; EINPROGRESS if the socket does not block: wait then until it
   * is writable, and read the outcome with `getsockopt(SOL_SOCKET, SO_ERROR)`
   */
  connect(address: Address): void {
    check(this.#connect(address), "connect", showAddress(address));
  }

  /**
   * Connects the socket, and gives the code of the error instead of throwing it.
   *
   * @param address `{ hostname, port }` or `{ path }`; a name is resolved, which blocks
   * @returns Null if it is connected, otherwise for example `"EINPROGRESS"`
   * @throws {OSError} if a name cannot be resolved
   */
  connectEx(address: Address): string | null {
    const outcome = this.#connect(address);
    return outcome < 0 ? errnoCode(-outcome) : null;
  }

  #connect(address: Address): number {
    const outcome = sys.connect(this.#fd, this.#encode(address));
    if (outcome !== -EINTR) return outcome;
    // The connection goes on being made, and cannot be asked for again.
    if (sys.getBlocking(this.#fd) === 0) return -EINPROGRESS;
    const set = new SelectSet();
    set.set(this.#fd, setsOf(EVENT_WRITE));
    check(retryUntil(Infinity, (timeoutMs) => set.wait(timeoutMs)), "select", this.#fd);
    return -getsockoptInt(this.#fd, SOL_SOCKET, SO_ERROR);
  }

  /**
   * Receives bytes into a new array.
   *
   * @param size The greatest number of bytes
   * @param flags Any of the `MSG_*` flags
   * @returns The bytes; none if the peer has shut down
   * @throws {OSError} EAGAIN if there are none and the socket does not block, ECONNRESET and others
   */
  recv(size: number, flags: number = 0): Uint8Array<ArrayBuffer> {
    const buffer = bufferFor(size, flags);
    return taken(buffer, this.recvInto(buffer, flags));
  }

  /**
   * Receives bytes into an array.
   *
   * @param buffer Where they go, from its beginning
   * @param flags Any of the `MSG_*` flags
   * @returns How many there are; 0 if the peer has shut down
   * @throws {OSError} EAGAIN if there are none and the socket does not block, ECONNRESET and others
   * @throws {TypeError} if the buffer is detached or not a Uint8Array
   */
  recvInto(buffer: Uint8Array, flags: number = 0): number {
    return this.tryRecvInto(buffer, flags) ?? raiseAgain("recv", this.#fd);
  }

  /**
   * Receives bytes into an array, or gives null if there are none and the socket does not block.
   *
   * @param buffer Where they go, from its beginning
   * @param flags Any of the `MSG_*` flags
   * @returns How many there are; 0 if the peer has shut down
   * @throws {OSError} ECONNRESET and others
   * @throws {TypeError} if the buffer is detached or not a Uint8Array
   */
  tryRecvInto(buffer: Uint8Array, flags: number = 0): number | null {
    checkBytes(buffer);
    for (;;) {
      const count = sys.recv(this.#fd, buffer, checkInt(flags, "flags"));
      if (count >= 0) return count;
      if (count === -EAGAIN) return null;
      if (count !== -EINTR) check(count, "recv", this.#fd);
    }
  }

  /**
   * Receives a datagram and its sender's address, which is empty on a stream.
   *
   * @param size The greatest number of bytes; what the datagram has more is lost
   * @param flags Any of the `MSG_*` flags
   * @throws {OSError} EAGAIN if there is none and the socket does not block
   */
  recvFrom(size: number, flags: number = 0): [data: Uint8Array<ArrayBuffer>, address: Address] {
    const buffer = bufferFor(size, flags);
    for (;;) {
      sockaddr.fill(0, 0, 2); // neither length nor family
      sockaddrLength[0] = sockaddr.length;
      const count = sys.recvfrom(this.#fd, buffer, checkInt(flags, "flags"), sockaddr, sockaddrLength);
      if (count >= 0) {
        const data = taken(buffer, count);
        // Of a stream the call names no sender: Unix gives no length, and Winsock leaves what it was given. To ask for the
        // peer could fail, and the data would be lost.
        const isNameless = (sockaddrLength[0] === 0 || (sockaddr[0] === 0 && sockaddr[1] === 0)) &&
          this.#family !== AF_UNIX;
        return [data, isNameless ? { hostname: "", port: 0 } : decodeAddress(sockaddr, sockaddrLength[0]!)];
      }
      if (count !== -EINTR) check(count, "recvfrom", this.#fd);
    }
  }

  /**
   * Sends bytes.
   *
   * @param data The bytes
   * @param flags Any of the `MSG_*` flags
   * @returns How many were taken, which may be fewer
   * @throws {OSError} EAGAIN if there is no room and the socket does not block, EPIPE, ECONNRESET and others
   * @throws {TypeError} if the data is detached or not a Uint8Array
   */
  send(data: Uint8Array, flags: number = 0): number {
    return this.trySend(data, flags) ?? raiseAgain("send", this.#fd);
  }

  /**
   * Sends bytes, or gives null if there is no room and the socket does not block.
   *
   * @param data The bytes
   * @param flags Any of the `MSG_*` flags
   * @returns How many were taken, which may be fewer
   * @throws {OSError} EPIPE, ECONNRESET and others
   * @throws {TypeError} if the data is detached or not a Uint8Array
   */
  trySend(data: Uint8Array, flags: number = 0): number | null {
    checkBytes(data);
    for (;;) {
      const count = sys.send(this.#fd, data, checkInt(flags, "flags"));
      if (count >= 0) return count;
      if (count === -EAGAIN) return null;
      if (count !== -EINTR) check(count, "send", this.#fd);
    }
  }

  /**
   * Sends all bytes of a blocking socket.
   *
   * @param data The bytes
   * @param flags Any of the `MSG_*` flags
   * @throws {OSError} EPIPE, ECONNRESET and others; how much was sent is not known then
   */
  sendAll(data: Uint8Array, flags: number = 0): void {
    let sent = this.send(data, flags);
    const size = byteLengthOf(data);
    while (sent < size) sent += this.send(restOf(data, sent), flags);
  }

  /**
   * Sends a datagram to an address.
   *
   * @param data The bytes
   * @param address `{ hostname, port }` or `{ path }`
   * @param flags Any of the `MSG_*` flags
   * @returns How many bytes were taken
   * @throws {OSError} EAGAIN if there is no room and the socket does not block, EMSGSIZE and others
   */
  sendTo(data: Uint8Array, address: Address, flags: number = 0): number {
    const encoded = this.#encode(address); // first: reading the address may run code that detaches the data
    checkBytes(data);
    for (;;) {
      const count = sys.sendto(this.#fd, data, checkInt(flags, "flags"), encoded);
      if (count !== -EINTR) return check(count, "sendto", showAddress(address));
    }
  }

  /**
   * Shuts one or both halves of the connection down; the peer then sees its end.
   *
   * @param how SHUT_RD, SHUT_WR or SHUT_RDWR
   * @throws {OSError} ENOTCONN if the socket is not connected
   */
  shutdown(how: number): void {
    check(sys.shutdown(this.#fd, checkInt(how, "half")), "shutdown", this.#fd);
  }

  /** Closes the socket; once is enough, and twice does no harm. Unregister it from selectors before. */
  close(): void {
    const fd = this.detach();
    if (fd === -1) return;
    const outcome = sys.close(fd);
    // After an interruption it is closed all the same, and after a reset by the peer, of which FreeBSD tells here.
    if (outcome !== -EINTR && outcome !== -ECONNRESET) check(outcome, "close", fd);
  }

  /** Gives the descriptor away, for example to `new net.Socket({ fd })` of `node:net`; this socket counts as closed. */
  detach(): number {
    const fd = this.#fd;
    this.#fd = -1;
    return fd;
  }

  /** Gives the socket's own address. */
  getsockname(): Address {
    return nameOf(sys.getsockname, "getsockname", this.#fd);
  }

  /**
   * Gives the address of the peer.
   *
   * @throws {OSError} ENOTCONN if the socket is not connected
   */
  getpeername(): Address {
    return nameOf(sys.getpeername, "getpeername", this.#fd);
  }

  /**
   * Sets an option.
   *
   * @param level SOL_SOCKET, or one of the protocols
   * @param option Which one, for example SO_REUSEADDR
   * @param value A number, a switch, or bytes for options of other types
   * @throws {OSError} ENOPROTOOPT if there is no such option, EINVAL if the value is refused
   * @throws {RangeError} if a number is not an integer of 32 bits
   * @throws {TypeError} if the value is of another type, or its buffer is detached
   */
  setsockopt(level: number, option: number, value: number | boolean | Uint8Array): void {
    let bytes: Uint8Array = optionBytes;
    if (typeof value === "object") bytes = checkBytes(value);
    else optionInt[0] = checkInt(typeof value === "boolean" ? Number(value) : value, "value of an option");
    check(
      sys.setsockopt(this.#fd, checkInt(level, "level"), checkInt(option, "option"), bytes),
      "setsockopt",
      this.#fd,
    );
  }

  /**
   * Reads an option that is a number.
   *
   * @param level SOL_SOCKET, or one of the protocols
   * @param option Which one, for example SO_ERROR
   * @throws {OSError} ENOPROTOOPT if there is no such option
   */
  getsockopt(level: number, option: number): number;
  /**
   * Reads an option of another type.
   *
   * @param level SOL_SOCKET, or one of the protocols
   * @param option Which one, for example SO_LINGER
   * @param size The greatest number of bytes
   * @throws {OSError} ENOPROTOOPT if there is no such option
   */
  getsockopt(level: number, option: number, size: number): Uint8Array<ArrayBuffer>;
  getsockopt(level: number, option: number, size?: number): number | Uint8Array<ArrayBuffer> {
    level = checkInt(level, "level");
    option = checkInt(option, "option");
    if (size === undefined) return getsockoptInt(this.#fd, level, option);
    const value = new Uint8Array(checkSize(size));
    optionLength[0] = size;
    check(sys.getsockopt(this.#fd, level, option, value, optionLength), "getsockopt", this.#fd);
    return value.subarray(0, optionLength[0]);
  }

  /**
   * Makes calls on this socket block, or not.
   *
   * @param isBlocking Whether they shall block
   */
  setBlocking(isBlocking: boolean): void {
    check(sys.setBlocking(this.#fd, isBlocking), "fcntl", this.#fd);
  }

  /** Tells whether calls on this socket block. */
  getBlocking(): boolean {
    return check(sys.getBlocking(this.#fd), "fcntl", this.#fd) === 1;
  }

  /** Closes the socket at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Shows the descriptor and the kind where the socket is printed. */
  [Symbol.for("Deno.customInspect")](): string {
    return `Socket { fd: ${this.#fd}, family: ${this.#family}, type: ${this.#type}, protocol: ${this.#protocol} }`;
  }

  #encode(address: Address): Uint8Array<ArrayBuffer> {
    return resolve(this.#family, checkAddress(address));
  }
}

/**
 * The option that a server sets before it binds, so that it can start again while its former connections linger.
 *
 * Windows lets it do so in any case. There SO_REUSEADDR would let any other program take the port over, which this one
 * forbids.
 */
const SERVER_OPTION = system.sys === "winsock" ? SO_EXCLUSIVEADDRUSE : SO_REUSEADDR;

/** What {@linkcode createServer} is asked for. */
export interface ServerOptions {
  /** Address family: AF_INET (the default), AF_INET6 or AF_UNIX. */
  family?: number;
  /** How many connections may wait to be accepted; the kernel has a bound of its own. */
  backlog?: number;
}

/**
 * Makes a socket that listens at an address, as Python's `socket.create_server` does.
 *
 * A server can have its port again at once after it has ended, and shares it with no other program.
 *
 * @param address `{ hostname, port }`, where port 0 means any that is free, or `{ path }`
 * @param options What is wanted
 * @throws {OSError} EADDRINUSE, EADDRNOTAVAIL, EACCES; `EAI_NONAME` and others if the name cannot be resolved
 * @throws {RangeError} if the port is not from 0 to 65535, or the path too long or not a well-formed string
 * @throws {TypeError} if the address is not of the family
 *
 * @example Usage
 * ```ts
 * import { createServer } from "@selectors/selectors/socket";
 *
 * using listener = createServer({ hostname: "127.0.0.1", port: 0 });
 * console.log("Listening at", listener.getsockname());
 * ```
 */
export function createServer(address: Address, options: ServerOptions = {}): Socket {
  const listener = new Socket(options.family);
  try {
    if (listener.family !== AF_UNIX) listener.setsockopt(SOL_SOCKET, SERVER_OPTION, true);
    listener.bind(address);
    listener.listen(options.backlog);
    return listener;
  } catch (error) {
    listener.close();
    throw error;
  }
}

/**
 * Makes two sockets that are connected to each other.
 *
 * On Windows they are TCP sockets of the loopback address.
 *
 * @param family AF_UNIX (the default), on Windows AF_INET (the default there)
 * @param type SOCK_STREAM (the default); on Unix also SOCK_DGRAM or SOCK_SEQPACKET
 * @param protocol Protocol, or 0 for the usual one
 * @throws {OSError} EMFILE if too many descriptors are open
 *
 * @example Usage
 * ```ts
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * here.send(new Uint8Array([42]));
 * assertEquals(there.recv(10), new Uint8Array([42]));
 * here.close();
 * there.close();
 * ```
 */
export function socketpair(
  family: number = sys.PAIR_FAMILY,
  type: number = SOCK_STREAM,
  protocol: number = 0,
): [Socket, Socket] {
  const pair = new Int32Array(2);
  check(
    sys.socketpair(
      checkInt(family, "address family"),
      checkInt(type, "socket type"),
      checkInt(protocol, "protocol"),
      pair,
    ),
    "socketpair",
  );
  return [adopt(pair[0]!, family, type, protocol), adopt(pair[1]!, family, type, protocol)];
}

/**
 * Makes a pipe.
 *
 * @returns The descriptors of its two ends, which both block: the one to read from, the one to write to
 * @throws {OSError} EMFILE if too many descriptors are open
 * @throws {Deno.errors.NotSupported} on Windows, where only sockets can be waited for: use {@linkcode socketpair}
 *
 * @example Usage
 * ```ts
 * import { close, pipe, read, write } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [reader, writer] = pipe();
 * write(writer, new Uint8Array([1, 2, 3]));
 * close(writer);
 * assertEquals(read(reader, new Uint8Array(10)), 3);
 * assertEquals(read(reader, new Uint8Array(10)), 0);
 * close(reader);
 * ```
 */
export function pipe(): [reader: number, writer: number] {
  const pair = new Int32Array(2);
  check(sys.pipe(pair), "pipe");
  return [pair[0]!, pair[1]!];
}

/**
 * Reads from any descriptor; on Windows from a socket.
 *
 * @param fd Number of the descriptor
 * @param buffer Where the bytes go, from its beginning
 * @returns How many there are; 0 at the end
 * @throws {OSError} EAGAIN if there are none and the descriptor does not block, EBADF if it is closed
 * @throws {TypeError} if the buffer is detached or not a Uint8Array
 */
export function read(fd: number, buffer: Uint8Array): number {
  fd = filenoOf(fd);
  checkBytes(buffer);
  for (;;) {
    const count = sys.read(fd, buffer);
    if (count !== -EINTR) return check(count, "read", fd);
  }
}

/**
 * Writes to any descriptor; on Windows to a socket.
 *
 * @param fd Number of the descriptor
 * @param data The bytes
 * @returns How many were taken, which may be fewer
 * @throws {OSError} EAGAIN if there is no room and the descriptor does not block, EPIPE if nobody reads
 * @throws {TypeError} if the data is detached or not a Uint8Array
 */
export function write(fd: number, data: Uint8Array): number {
  fd = filenoOf(fd);
  checkBytes(data);
  for (;;) {
    const count = sys.write(fd, data);
    if (count !== -EINTR) return check(count, "write", fd);
  }
}

/**
 * Closes any descriptor; on Windows a socket.
 *
 * @param fd Number of the descriptor
 * @throws {OSError} EBADF if it is closed already
 */
export function close(fd: number): void {
  const outcome = sys.close(filenoOf(fd));
  if (outcome !== -EINTR) check(outcome, "close", fd); // after an interruption it is closed all the same
}

/**
 * Makes calls on any descriptor block, or not; on Windows on a socket.
 *
 * @param fd Number of the descriptor
 * @param isBlocking Whether they shall block
 * @throws {OSError} EBADF if it is closed
 */
export function setBlocking(fd: number, isBlocking: boolean): void {
  check(sys.setBlocking(filenoOf(fd), isBlocking), "fcntl", fd);
}

/** Makes a socket of a descriptor; the class's last parameter is not for users, who have `fromFd`. */
function adopt(fd: number, family: number, type: number, protocol: number): Socket {
  return Reflect.construct(Socket, [family, type, protocol, fd]);
}

function nameOf(call: typeof sys.getsockname, syscall: string, fd: number): Address {
  sockaddrLength[0] = sockaddr.length;
  check(call(fd, sockaddr, sockaddrLength), syscall, fd);
  return decodeAddress(sockaddr, sockaddrLength[0]!);
}

/** Reads an option of type int into `optionInt`; only the outcome is given, since an option can be negative too. */
function readOption(fd: number, level: number, option: number): number {
  optionInt[0] = 0;
  optionLength[0] = optionInt.byteLength;
  return sys.getsockopt(fd, level, option, optionBytes, optionLength);
}

function getsockoptInt(fd: number, level: number, option: number): number {
  check(readOption(fd, level, option), "getsockopt", fd);
  return optionInt[0]!;
}

function raiseAgain(syscall: string, fd: number): never {
  throw new OSError(syscall, EAGAIN, `fd ${fd}`);
}

/** Room for `size` bytes. With flags it is not shared: MSG_TRUNC counts bytes that were not written. */
function bufferFor(size: number, flags: number): Uint8Array<ArrayBuffer> {
  return checkSize(size) <= scratch.length && flags === 0 ? scratch.subarray(0, size) : new Uint8Array(size);
}

function taken(buffer: Uint8Array<ArrayBuffer>, count: number): Uint8Array<ArrayBuffer> {
  // What is kept should not keep much more alive.
  return buffer.buffer === scratch.buffer || count < buffer.length / 2
    ? buffer.slice(0, count)
    : buffer.subarray(0, count);
}

function checkSize(size: number): number {
  if (Number.isInteger(size) && size >= 0 && size <= 0x7fff_ffff) return size;
  throw numberError(size, `Cannot take ${show(size)} bytes: the size must be an integer from 0 to 2147483647`);
}
