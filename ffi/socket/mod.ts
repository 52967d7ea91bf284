/**
 * Sockets: the part of Python's `socket` module that a program with a selector needs.
 *
 * A {@linkcode Socket} has a file descriptor that a selector can wait for. The socket classes of Deno and Node.js hide
 * their descriptors.
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
 * Start with one of these:
 *
 * | function                          | returns                                                           |
 * | --------------------------------- | ----------------------------------------------------------------- |
 * | {@linkcode createServer}          | a listening socket, for TCP or a Unix path                        |
 * | `new Socket()`, then `connect`    | a TCP client                                                      |
 * | `new Socket(AF_INET, SOCK_DGRAM)` | a UDP socket                                                      |
 * | {@linkcode socketpair}            | two connected sockets                                             |
 * | {@linkcode Socket.fromFd}         | a socket for an existing descriptor, for example an inherited one |
 * | {@linkcode pipe}                  | the descriptors of the two ends of a pipe                         |
 * | {@linkcode getaddrinfo}           | the addresses of a hostname                                       |
 *
 * {@linkcode read}, {@linkcode write}, {@linkcode close} and {@linkcode setBlocking} work with any descriptor, such as
 * one end of a pipe. Every descriptor that this module opens is close-on-exec: it is closed when the process executes
 * another program.
 *
 * ## With a selector
 *
 * As in Python, a socket is blocking until you call `setBlocking(false)`: each call waits until it can complete, and
 * stops Deno's event loop meanwhile. Make a socket non-blocking if you wait for it with a selector. Then `tryRecvInto`,
 * `trySend` and `tryAccept` return null instead of waiting.
 *
 * ```ts
 * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 *
 * const [here, there] = socketpair();
 * here.setBlocking(false);
 * using selector = new DefaultSelector();
 * selector.register(here, EVENT_READ);
 * setTimeout(() => there.sendAll(new TextEncoder().encode("hello")), 10);
 *
 * const buffer = new Uint8Array(1024);
 * for await (const [key] of selector) {
 *   const count = here.tryRecvInto(buffer);
 *   if (count === null) continue; // no longer ready
 *   console.log(key.fd, new TextDecoder().decode(buffer.subarray(0, count)));
 *   break; // a server would go on until count is 0, the end of the stream
 * }
 * selector.unregister(here);
 * here.close();
 * there.close();
 * ```
 *
 * See {@link [default] | the main module} for how to choose a wait and for common mistakes.
 *
 * ## A socket with a timeout
 *
 * In place of Python's `settimeout`, use a non-blocking socket and a wait with a timeout.
 * {@linkcode [select].select | select} can wait for a single socket. To wait without blocking Deno's event loop, use
 * {@linkcode [default].waitFor | waitFor}, or a selector's `selectAsync`.
 *
 * ```ts
 * import { select } from "@selectors/selectors/select";
 * import {
 *   createServer,
 *   getaddrinfo,
 *   OSError,
 *   SO_ERROR,
 *   Socket,
 *   SOL_SOCKET,
 * } from "@selectors/selectors/socket";
 *
 * function connect(hostname: string, port: number, seconds: number): Socket {
 *   // Resolving the hostname has no timeout.
 *   const [{ family, address }] = getaddrinfo(hostname, port);
 *   const socket = new Socket(family);
 *   try {
 *     socket.setBlocking(false);
 *     const code = socket.connectEx(address);
 *     if (code !== null && code !== "EINPROGRESS") {
 *       throw new Error(`Cannot connect: ${code}`);
 *     }
 *     // Windows reports a failed connection in the third list.
 *     const [, connected, failed] = select([], [socket], [socket], seconds);
 *     if (connected.length + failed.length === 0) {
 *       throw new Error(`No connection within ${seconds} s`);
 *     }
 *     const errno = socket.getsockopt(SOL_SOCKET, SO_ERROR);
 *     if (errno !== 0) throw new OSError("connect", errno);
 *     return socket;
 *   } catch (error) {
 *     socket.close();
 *     throw error;
 *   }
 * }
 *
 * // Returns the number of bytes, or null if none arrive in time.
 * function receive(
 *   socket: Socket,
 *   buffer: Uint8Array,
 *   seconds: number,
 * ): number | null {
 *   const count = socket.tryRecvInto(buffer);
 *   if (count !== null) return count;
 *   const [readable] = select([socket], [], [], seconds);
 *   return readable.length === 0 ? null : socket.tryRecvInto(buffer);
 * }
 *
 * using listener = createServer({ hostname: "127.0.0.1", port: 0 });
 * using client = connect("127.0.0.1", listener.getsockname().port, 5);
 * // Prints null after a tenth of a second.
 * console.log(receive(client, new Uint8Array(100), 0.1));
 * ```
 *
 * ## From Python
 *
 * | `socket`                                                                                    | here                                                                                                        |
 * | ------------------------------------------------------------------------------------------- | ----------------------------------------------------------------------------------------------------------- |
 * | `socket(family, type, proto)`, `socket(fileno=fd)`                                          | `new Socket(family, type, protocol)`, `Socket.fromFd(fd)`                                                   |
 * | `family`, `type`, `proto`                                                                   | `family`, `type`, `protocol`                                                                                |
 * | `bind`, `listen`, `accept`, `connect`                                                       | the same; an address is `{ hostname, port }` or `{ path }`, as in Deno                                      |
 * | `connect_ex`                                                                                | `connectEx`, which returns null or an error code such as `"EINPROGRESS"`                                    |
 * | `recv`, `recv_into`, `recvfrom`, `recvfrom_into`                                            | `recv`, `recvInto`, `recvFrom`, `recvFromInto`; `tryRecvInto` returns null where `recvInto` throws `EAGAIN` |
 * | `send`, `sendall`, `sendto`                                                                 | `send`, `sendAll`, `sendTo`; `trySend` returns null where `send` throws `EAGAIN`                            |
 * | `recvmsg`, `recvmsg_into`, `sendmsg`                                                        | `recvMsg`, `recvMsgInto`, `sendMsg`                                                                         |
 * | `recv_fds(sock, ...)`, `send_fds(sock, ...)`                                                | the methods `recvFds` and `sendFds` of a `Socket`                                                           |
 * | `CMSG_LEN`, `CMSG_SPACE`                                                                    | the same                                                                                                    |
 * | `shutdown`, `close`, `detach`, `fileno`                                                     | the same; `fileno()` is -1 after `close()`, as in Python                                                    |
 * | `getsockname`, `getpeername`, `getsockopt`, `setsockopt`                                    | the same                                                                                                    |
 * | `setblocking`, `getblocking`                                                                | `setBlocking`, `getBlocking`                                                                                |
 * | `create_server`, `socketpair`, `getaddrinfo`                                                | `createServer`, `socketpair`, `getaddrinfo`                                                                 |
 * | `AF_*`, `SOCK_*`, `SOL_*`, `SO_*`, `IPPROTO_*`, `TCP_*`, `MSG_*`, `SCM_*`, `SHUT_*`, `AI_*` | the common ones, with this system's values; pass any other constant as a number                             |
 * | `gaierror`, `error`, `herror`                                                               | {@linkcode OSError}, with a code such as `"EAI_NONAME"`                                                     |
 * | `settimeout`, `gettimeout`, `timeout`, `setdefaulttimeout`, `getdefaulttimeout`             | left out: see "A socket with a timeout"                                                                     |
 * | `create_connection`                                                                         | left out: call `getaddrinfo`, then `connect` for each address                                               |
 * | `makefile`                                                                                  | `toReadableStream` and `toWritableStream` from `@selectors/selectors/streams`                               |
 * | `fromfd(fd, family, type)`                                                                  | `Socket.fromFd(fd)`, which does not duplicate the descriptor                                                |
 * | `sendfile`                                                                                  | left out: read the file with `node:fs`, and call `sendAll`                                                  |
 * | `dup`                                                                                       | left out: `sendFds` and `recvFds` over a socket pair duplicate a descriptor                                 |
 * | `sendmsg_afalg`                                                                             | left out: use the Web Crypto API                                                                            |
 * | `set_inheritable`, `get_inheritable`                                                        | left out: every descriptor is close-on-exec                                                                 |
 * | `gethostbyname`, `gethostname`, `inet_aton`, `htons`, `if_nameindex` and the like           | left out: use `node:dns`, `Deno.hostname()`, `Deno.networkInterfaces()` and `DataView`                      |
 *
 * The functions `pipe`, `read`, `write` and `close` come from Python's `os` module. `setBlocking` is `os.set_blocking`.
 *
 * @module
 */

import { check, EAGAIN, ECONNABORTED, ECONNRESET, EINPROGRESS, EINTR, errnoCode, OSError } from "../os/errno.ts";
import {
  byteLengthOf,
  checkBytes,
  checkInt,
  checkSize,
  filenoOf,
  type FileObject,
  restOf,
  show,
} from "../os/arguments.ts";
import { EVENT_WRITE } from "../os/events.ts";
import {
  CMSG_LEN,
  type ControlMessage,
  decodeControl,
  descriptorsIn,
  encodeControl,
  recvmsg,
  sendmsg,
} from "../os/message.ts";
import { system } from "../os/systems.ts";
import { resolve } from "./resolve.ts";
import { SelectSet, setsOf } from "../os/select.ts";
import {
  type Address,
  type AddressFamily,
  AF_INET,
  AF_INET6,
  AF_UNIX,
  checkAddress,
  decodeAddress,
  type InetAddress,
  isUnix,
  showAddress,
  type UnixAddress,
} from "./sockaddr.ts";
import * as sys from "../os/sys.ts";
import { retryUntil } from "../os/timeout.ts";
import {
  MSG_CTRUNC,
  SCM_RIGHTS,
  SO_ERROR,
  SO_EXCLUSIVEADDRUSE,
  SO_REUSEADDR,
  SOCK_STREAM,
  SOCKADDR_STORAGE_SIZE,
  SOL_SOCKET,
  SOMAXCONN,
} from "../os/socket_constants.ts";

export { OSError };
export type { FileObject } from "../os/arguments.ts";
export { CMSG_LEN, CMSG_SPACE, type ControlMessage } from "../os/message.ts";
export { type AddressHints, type AddressInfo, getaddrinfo } from "./resolve.ts";
export { AF_INET, AF_INET6, AF_UNIX } from "./sockaddr.ts";
export type { Address, AddressFamily, InetAddress, UnixAddress } from "./sockaddr.ts";
export {
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
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_EOR,
  MSG_NOSIGNAL,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  SCM_RIGHTS,
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

/** Shuts down the receiving half of a connection. */
export const SHUT_RD = 0;
/** Shuts down the sending half of a connection. */
export const SHUT_WR = 1;
/** Shuts down both halves of a connection. */
export const SHUT_RDWR = 2;

/** Mask of a socket type; on every system, flags such as SOCK_NONBLOCK are in higher bits. */
const TYPE_MASK = 0xf;

// Shared by all sockets. C writes to these arrays, and each method reads them before the next call.
const sockaddr = new Uint8Array(SOCKADDR_STORAGE_SIZE);
const sockaddrLength = new Uint32Array(1);
const optionInt = new Int32Array(1);
const optionBytes = new Uint8Array(optionInt.buffer);
const optionLength = new Uint32Array(1);

/** Result of the last `recvMsg`. */
const received = { nameLength: 0, controlLength: 0, flags: 0 };

/** Size of a descriptor in a control message, in bytes. */
const FD_SIZE = 4;

/** Maximum number of descriptors in one control message on any system: UIPC_MAX_CMSG_FD on macOS. */
const MAX_FDS = 512;

/** Receive buffer that `recv`, `recvFrom` and `recvMsg` share, for sizes up to its length. */
const scratch = new Uint8Array(64 * 1024);

/**
 * An operating system socket, modeled on Python's `socket.socket`.
 *
 * A socket is blocking until you call `setBlocking(false)`. If a non-blocking socket is not ready, the `try` methods
 * return null, and the other methods throw an OSError with the code `EAGAIN`.
 *
 * Close every socket with `using` or `close()`, or hand over its descriptor with `detach()`. Python closes a socket
 * that is garbage-collected, and issues a warning. Here, the descriptor stays open until the process ends, and there is
 * no warning.
 *
 * @typeParam A Type of the addresses that the methods return: `InetAddress` for AF_INET and AF_INET6, `UnixAddress` for
 * AF_UNIX, or `Address` if the compiler does not know the family, as in `new Socket()`
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
export class Socket<A extends Address = Address> implements Disposable {
  // There is no FinalizationRegistry to report forgotten sockets: registering a socket would take 0.2 µs, a tenth of
  // the time of new Socket() and close().
  #fd: number;
  readonly #family: number;
  readonly #type: number;
  readonly #protocol: number;

  /**
   * Creates a socket.
   *
   * @param family AF_INET (IPv4), AF_INET6 or AF_UNIX; defaults to AF_INET
   * @param type SOCK_STREAM (TCP), SOCK_DGRAM (UDP), SOCK_SEQPACKET or SOCK_RAW; defaults to SOCK_STREAM
   * @param protocol Protocol number; defaults to 0, the default protocol for the family and type
   * @throws {OSError} EMFILE if too many descriptors are open, an error such as EAFNOSUPPORT if the system does not
   * support such a socket
   * @throws {RangeError} if an argument is a number, but not a 32-bit integer
   * @throws {TypeError} if an argument is not a number
   * @throws {Deno.errors.NotCapable} without `--allow-ffi`
   */
  constructor(family?: AddressFamily<A> | number, type?: number, protocol?: number);
  /** @ignore */
  constructor(family: number = AF_INET, type: number = SOCK_STREAM, protocol: number = 0, fd?: number) {
    this.#family = checkInt(family, "address family");
    type = checkInt(type, "socket type");
    this.#type = type & TYPE_MASK;
    this.#protocol = checkInt(protocol, "protocol");
    this.#fd = fd ?? check(sys.socket(this.#family, type, this.#protocol), "socket");
  }

  /**
   * Wraps the descriptor of an open socket, for example an inherited descriptor.
   *
   * @param fd File descriptor; closing the socket closes the descriptor
   * @returns The socket; its family, type and protocol come from the system
   * @throws {OSError} EBADF if the descriptor is closed, ENOTSOCK if it is not a socket
   * @throws {RangeError} if `fd` is negative or above `2^31-1`
   * @throws {TypeError} if `fd` is not an integer
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

  /** Socket type: SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET or SOCK_RAW, without flags passed to the constructor. */
  get type(): number {
    return this.#type;
  }

  /** Protocol number; 0 means the default protocol for the family and type. */
  get protocol(): number {
    return this.#protocol;
  }

  /** Returns the file descriptor, or -1 after `close()` or `detach()`. */
  fileno(): number {
    return this.#fd;
  }

  /**
   * Binds the socket to an address.
   *
   * @param address `{ hostname, port }`, where port 0 means any free port, or `{ path }`
   * @throws {OSError} EADDRINUSE, EADDRNOTAVAIL or EACCES; a code such as EAI_NONAME if the hostname cannot be resolved
   * @throws {RangeError} if the port is not an integer from 0 to 65535, or the path is too long or contains a null
   * character or a lone surrogate
   * @throws {TypeError} if the address does not fit the socket's family
   */
  bind(address: Address): void {
    const encoded = this.#encode(address); // first, because its getters could close the socket
    check(sys.bind(this.#fd, encoded), "bind", showAddress(address));
  }

  /**
   * Starts to listen for connections.
   *
   * @param backlog Maximum number of connections that wait to be accepted; the kernel may use a lower limit. Defaults
   * to SOMAXCONN
   */
  listen(backlog: number = SOMAXCONN): void {
    check(sys.listen(this.#fd, checkInt(backlog, "backlog")), "listen", this.#fd);
  }

  /**
   * Accepts the next connection; a blocking socket waits for a connection.
   *
   * @returns A blocking socket for the connection, and the address of its peer
   * @throws {OSError} EAGAIN if there is no connection and the socket is non-blocking; EMFILE if too many descriptors
   * are open
   */
  accept(): [connection: Socket<A>, address: A] {
    return this.tryAccept() ?? raiseAgain("accept", this.#fd);
  }

  /**
   * Accepts the next connection, or returns null if there is none and the socket is non-blocking.
   *
   * @returns A blocking socket for the connection, and the address of its peer
   * @throws {OSError} EMFILE if too many descriptors are open
   */
  tryAccept(): [connection: Socket<A>, address: A] | null {
    for (;;) {
      sockaddrLength[0] = sockaddr.length;
      const fd = sys.accept(this.#fd, sockaddr, sockaddrLength);
      if (fd >= 0) {
        const address = decodeAddress(sockaddr, sockaddrLength[0]!) as A;
        return [adopt(fd, this.#family, this.#type, this.#protocol), address];
      }
      if (fd === -EAGAIN) return null;
      // ECONNABORTED: the peer closed the connection before it was accepted. The listener itself is fine.
      if (fd !== -EINTR && fd !== -ECONNABORTED) check(fd, "accept", this.#fd);
    }
  }

  /**
   * Connects the socket.
   *
   * @param address `{ hostname, port }` or `{ path }`; resolving a hostname blocks
   * @throws {OSError} if connecting fails, for example ECONNREFUSED or ETIMEDOUT; EINPROGRESS if the socket is
   * non-blocking: wait until it is writable, and then read the result with `getsockopt(SOL_SOCKET, SO_ERROR)`
   */
  connect(address: Address): void {
    check(this.#connect(address), "connect", showAddress(address));
  }

  /**
   * Connects the socket, and returns the error code instead of throwing the error.
   *
   * @param address `{ hostname, port }` or `{ path }`; resolving a hostname blocks
   * @returns Null if the socket is connected, otherwise an error code such as `"EINPROGRESS"`
   * @throws {OSError} if the hostname cannot be resolved
   */
  connectEx(address: Address): string | null {
    const outcome = this.#connect(address);
    return outcome < 0 ? errnoCode(-outcome) : null;
  }

  #connect(address: Address): number {
    const encoded = this.#encode(address); // first, because its getters could close the socket
    const outcome = sys.connect(this.#fd, encoded);
    if (outcome !== -EINTR) return outcome;
    // After EINTR, the kernel continues to connect, and a second connect() would fail: see connect(2).
    if (sys.getBlocking(this.#fd) === 0) return -EINPROGRESS;
    const set = new SelectSet();
    set.set(this.#fd, setsOf(EVENT_WRITE));
    check(retryUntil(Infinity, (timeoutMs) => set.wait(timeoutMs)), "select", this.#fd);
    return -getsockoptInt(this.#fd, SOL_SOCKET, SO_ERROR);
  }

  /**
   * Receives bytes into a new array.
   *
   * @param size Maximum number of bytes
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @returns The bytes; an empty array at the end of the stream
   * @throws {OSError} EAGAIN if there are no bytes and the socket is non-blocking, ECONNRESET if the peer has reset the
   * connection
   */
  recv(size: number, flags: number = 0): Uint8Array<ArrayBuffer> {
    const buffer = bufferFor(size, flags);
    return taken(buffer, this.recvInto(buffer, flags));
  }

  /**
   * Receives bytes into an array.
   *
   * @param buffer Array to fill, from its beginning
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @returns Number of bytes received; 0 at the end of the stream
   * @throws {OSError} EAGAIN if there are no bytes and the socket is non-blocking, ECONNRESET if the peer has reset the
   * connection
   * @throws {TypeError} if the buffer is detached or not a Uint8Array
   */
  recvInto(buffer: Uint8Array, flags: number = 0): number {
    return this.tryRecvInto(buffer, flags) ?? raiseAgain("recv", this.#fd);
  }

  /**
   * Receives bytes into an array, or returns null if there are no bytes and the socket is non-blocking.
   *
   * @param buffer Array to fill, from its beginning
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @returns Number of bytes received; 0 at the end of the stream
   * @throws {OSError} ECONNRESET if the peer has reset the connection
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
   * Receives a datagram and its sender's address. On a stream socket, the address is empty.
   *
   * @param size Maximum number of bytes; the rest of a longer datagram is discarded
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @returns The datagram, and the sender's address
   * @throws {OSError} EAGAIN if there is no datagram and the socket is non-blocking
   */
  recvFrom(size: number, flags: number = 0): [data: Uint8Array<ArrayBuffer>, address: A] {
    const buffer = bufferFor(size, flags);
    const [count, address] = this.recvFromInto(buffer, flags);
    return [taken(buffer, count), address];
  }

  /**
   * Receives a datagram into an array, and returns its sender's address. On a stream socket, the address is empty.
   *
   * @param buffer Array to fill, from its beginning; the rest of a longer datagram is discarded
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @returns Number of bytes received, and the sender's address
   * @throws {OSError} EAGAIN if there is no datagram and the socket is non-blocking
   * @throws {TypeError} if the buffer is detached or not a Uint8Array
   */
  recvFromInto(buffer: Uint8Array, flags: number = 0): [count: number, address: A] {
    checkBytes(buffer);
    for (;;) {
      sockaddr.fill(0, 0, 2); // clears length and family
      sockaddrLength[0] = sockaddr.length;
      const count = sys.recvfrom(this.#fd, buffer, checkInt(flags, "flags"), sockaddr, sockaddrLength);
      if (count >= 0) return [count, this.#sender(sockaddrLength[0]!)];
      if (count !== -EINTR) check(count, "recvfrom", this.#fd);
    }
  }

  /** Returns the sender's address of a received message, which C has written. */
  #sender(length: number): A {
    // For a stream socket, C writes no address: Unix sets the length to 0, and Winsock leaves the address unchanged.
    // Calling getpeername() instead could fail, and the received data would be lost.
    const isNameless = (length === 0 || (sockaddr[0] === 0 && sockaddr[1] === 0)) && this.#family !== AF_UNIX;
    return (isNameless ? { hostname: "", port: 0 } : decodeAddress(sockaddr, length)) as A;
  }

  /**
   * Receives a message and ancillary data.
   *
   * Received descriptors (SCM_RIGHTS) are close-on-exec; the caller has to close them. If `ancillarySize` is too small
   * for all descriptors, some systems, such as macOS, leave the missing descriptors open.
   * {@linkcode Socket.prototype.recvFds | recvFds} is simpler, and closes them.
   *
   * @param size Maximum number of bytes of the message
   * @param ancillarySize Maximum number of bytes of ancillary data: see {@linkcode CMSG_SPACE}; defaults to 0, which
   * receives none
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @returns The message, the ancillary data, `MSG_*` flags such as MSG_TRUNC and MSG_CTRUNC, and the sender's address,
   * which is empty on a stream socket
   * @throws {OSError} EAGAIN if there is no message and the socket is non-blocking
   * @throws {RangeError} if a size is not an integer from 0 to `2^31-1`
   * @throws {Deno.errors.NotSupported} on Windows: use `recv` or `recvFrom`
   */
  recvMsg(size: number, ancillarySize: number = 0, flags: number = 0): [
    data: Uint8Array<ArrayBuffer>,
    ancillary: ControlMessage<Uint8Array<ArrayBuffer>>[],
    flags: number,
    address: A,
  ] {
    const buffer = bufferFor(size, flags);
    const [count, ancillary, messageFlags, address] = this.recvMsgInto([buffer], ancillarySize, flags);
    return [taken(buffer, count), ancillary, messageFlags, address];
  }

  /**
   * Receives a message and ancillary data; the bytes of the message fill several arrays, one after the other.
   *
   * @param buffers Arrays to fill
   * @param ancillarySize As in {@linkcode Socket.prototype.recvMsg | recvMsg}; defaults to 0
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @returns Number of bytes received, and then the ancillary data, the flags and the address, as in
   * {@linkcode Socket.prototype.recvMsg | recvMsg}
   * @throws {OSError} EAGAIN if there is no message and the socket is non-blocking, EMSGSIZE if there are too many
   * arrays
   * @throws {RangeError} if `ancillarySize` is not an integer from 0 to `2^31-1`
   * @throws {TypeError} if a buffer is detached or not a Uint8Array
   * @throws {Deno.errors.NotSupported} on Windows: use `recvInto` or `recvFromInto`
   */
  recvMsgInto(buffers: Iterable<Uint8Array>, ancillarySize: number = 0, flags: number = 0): [
    count: number,
    ancillary: ControlMessage<Uint8Array<ArrayBuffer>>[],
    flags: number,
    address: A,
  ] {
    const arrays = arraysOf(buffers);
    const control = checkSize(ancillarySize) === 0 ? null : new Uint8Array(ancillarySize);
    flags = checkInt(flags, "flags");
    arrays.forEach(checkBytes); // last, because the iterable could detach a buffer
    for (;;) {
      sockaddr.fill(0, 0, 2); // clears length and family
      const count = recvmsg(this.#fd, arrays, control, flags, sockaddr, received);
      if (count >= 0) {
        const ancillary = control === null ? [] : decodeControl(control.subarray(0, received.controlLength));
        return [count, ancillary, received.flags, this.#sender(received.nameLength)];
      }
      if (count !== -EINTR) check(count, "recvmsg", this.#fd);
    }
  }

  /**
   * Receives a message and file descriptors over a Unix socket.
   *
   * The descriptors are close-on-exec. The caller has to close each of them, with {@linkcode close} or through a Socket
   * from {@linkcode Socket.fromFd}. If the message has more than `maxFds` descriptors, the rest are closed at once, and
   * the returned flags contain MSG_CTRUNC.
   *
   * @param size Maximum number of bytes of the message
   * @param maxFds Maximum number of descriptors
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @returns The message, the descriptors, `MSG_*` flags such as MSG_TRUNC and MSG_CTRUNC, and the sender's address,
   * which is empty on a stream socket
   * @throws {OSError} EAGAIN if there is no message and the socket is non-blocking
   * @throws {RangeError} if a number is not an integer from 0 to `2^31-1`
   * @throws {Deno.errors.NotSupported} on Windows
   *
   * @example Usage
   * ```ts
   * import {
   *   close,
   *   pipe,
   *   read,
   *   socketpair,
   *   write,
   * } from "@selectors/selectors/socket";
   * import { assertEquals } from "@std/assert";
   *
   * const [here, there] = socketpair();
   * const [reader, writer] = pipe();
   * here.sendFds([new TextEncoder().encode("a pipe")], [reader]);
   * close(reader); // the message contains a duplicate
   *
   * const [data, [received]] = there.recvFds(100, 1);
   * assertEquals(new TextDecoder().decode(data), "a pipe");
   * write(writer, new Uint8Array([1, 2, 3]));
   * assertEquals(read(received!, new Uint8Array(10)), 3);
   *
   * close(received!);
   * close(writer);
   * here.close();
   * there.close();
   * ```
   */
  recvFds(
    size: number,
    maxFds: number,
    flags: number = 0,
  ): [data: Uint8Array<ArrayBuffer>, fds: number[], flags: number, address: A] {
    checkSize(maxFds);
    // Some kernels leave descriptors open that do not fit. For them, the buffer has room for the largest message.
    const room = system.message.closesTruncated ? maxFds : Math.max(maxFds, MAX_FDS);
    const [data, ancillary, messageFlags, address] = this.recvMsg(size, CMSG_LEN(room * FD_SIZE), flags);
    const fds = descriptorsIn(ancillary);
    const excess = fds.splice(maxFds);
    for (const fd of excess) sys.close(fd);
    return [data, fds, excess.length > 0 ? messageFlags | MSG_CTRUNC : messageFlags, address];
  }

  /**
   * Sends bytes.
   *
   * @param data Bytes to send
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @returns Number of bytes sent, which may be less than the length of `data`
   * @throws {OSError} EAGAIN if the send buffer is full and the socket is non-blocking, EPIPE or ECONNRESET if the peer
   * has closed the connection
   * @throws {TypeError} if the data is detached or not a Uint8Array
   */
  send(data: Uint8Array, flags: number = 0): number {
    return this.trySend(data, flags) ?? raiseAgain("send", this.#fd);
  }

  /**
   * Sends bytes, or returns null if the send buffer is full and the socket is non-blocking.
   *
   * @param data Bytes to send
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @returns Number of bytes sent, which may be less than the length of `data`
   * @throws {OSError} EPIPE or ECONNRESET if the peer has closed the connection
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
   * Sends all bytes on a blocking socket.
   *
   * @param data Bytes to send
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @throws {OSError} EPIPE or ECONNRESET if the peer has closed the connection; the number of bytes sent before the
   * error is unknown
   * @throws {TypeError} if the data is detached or not a Uint8Array
   */
  sendAll(data: Uint8Array, flags: number = 0): void {
    let sent = this.send(data, flags);
    const size = byteLengthOf(data);
    while (sent < size) sent += this.send(restOf(data, sent), flags);
  }

  /**
   * Sends a datagram to an address.
   *
   * @param data Bytes to send
   * @param address `{ hostname, port }` or `{ path }`
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @returns Number of bytes sent
   * @throws {OSError} EAGAIN if the send buffer is full and the socket is non-blocking, EMSGSIZE if the datagram is too
   * long
   * @throws {TypeError} if the data is detached or not a Uint8Array, or the address does not fit the socket's family
   */
  sendTo(data: Uint8Array, address: Address, flags: number = 0): number {
    const encoded = this.#encode(address); // first, because its getters could detach the data or close the socket
    checkBytes(data);
    for (;;) {
      const count = sys.sendto(this.#fd, data, checkInt(flags, "flags"), encoded);
      if (count !== -EINTR) return check(count, "sendto", showAddress(address));
    }
  }

  /**
   * Sends the bytes of several arrays as one message, with ancillary data.
   *
   * @param buffers Arrays of bytes
   * @param ancillary Items of ancillary data, each `[level, type, data]`; defaults to none
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @param address `{ hostname, port }` or `{ path }`; undefined or null sends to the connected peer. Defaults to
   * undefined
   * @returns Number of bytes sent, not counting the ancillary data
   * @throws {OSError} EAGAIN if the send buffer is full and the socket is non-blocking, EMSGSIZE if the message is too
   * long or has too many arrays
   * @throws {TypeError} if an array is detached or not a Uint8Array, or the address does not fit the socket's family
   * @throws {Deno.errors.NotSupported} on Windows: use `send` or `sendTo`
   *
   * @example Usage
   * ```ts
   * import { socketpair } from "@selectors/selectors/socket";
   * import { assertEquals } from "@std/assert";
   *
   * const [here, there] = socketpair();
   * const header = new Uint8Array([0, 3]);
   * assertEquals(here.sendMsg([header, new Uint8Array([7, 8, 9])]), 5);
   * const [data, ancillary] = there.recvMsg(100);
   * assertEquals([data, ancillary], [new Uint8Array([0, 3, 7, 8, 9]), []]);
   * here.close();
   * there.close();
   * ```
   */
  sendMsg(
    buffers: Iterable<Uint8Array>,
    ancillary: Iterable<ControlMessage> = [],
    flags: number = 0,
    address?: Address | null,
  ): number {
    const arrays = arraysOf(buffers);
    const messages = [...ancillary].map(checkMessage);
    const sockaddr = address === undefined || address === null ? null : this.#encode(address);
    flags = checkInt(flags, "flags");
    // Last, because the iterables and the address's getters could detach a buffer.
    for (const [, , data] of messages) checkBytes(data);
    arrays.forEach(checkBytes);
    const control = messages.length === 0 ? null : encodeControl(messages);
    for (;;) {
      const count = sendmsg(this.#fd, arrays, control, flags, sockaddr);
      if (count !== -EINTR) return check(count, "sendmsg", address ? showAddress(address) : this.#fd);
    }
  }

  /**
   * Sends a message and file descriptors over a Unix socket.
   *
   * The receiver gets duplicates. The caller keeps its own descriptors, and may close them at once. On a stream socket,
   * the message must contain at least one byte.
   *
   * @param buffers Arrays of bytes
   * @param fds Descriptors or file objects; Linux accepts at most 253
   * @param flags A combination of `MSG_*` flags; defaults to 0
   * @param address `{ path }`; undefined or null sends to the connected peer. Defaults to undefined
   * @returns Number of bytes sent
   * @throws {OSError} EAGAIN if the send buffer is full and the socket is non-blocking, EBADF if a descriptor is
   * closed, EINVAL if there are too many descriptors, ETOOMANYREFS if too many sent descriptors have not been received
   * yet
   * @throws {RangeError} if a descriptor is negative or above `2^31-1`
   * @throws {TypeError} if an array is detached or not a Uint8Array, or an element of `fds` is not a file object
   * @throws {Deno.errors.NotSupported} on Windows
   */
  sendFds(
    buffers: Iterable<Uint8Array>,
    fds: Iterable<FileObject>,
    flags: number = 0,
    address?: Address | null,
  ): number {
    const data = new Uint8Array(Int32Array.from([...fds], (fd) => filenoOf(fd)).buffer);
    return this.sendMsg(buffers, [[SOL_SOCKET, SCM_RIGHTS, data]], flags, address);
  }

  /**
   * Shuts down one or both halves of the connection. After SHUT_WR or SHUT_RDWR, the peer reads the end of the stream.
   *
   * @param how SHUT_RD, SHUT_WR or SHUT_RDWR
   * @throws {OSError} ENOTCONN if the socket is not connected
   */
  shutdown(how: number): void {
    check(sys.shutdown(this.#fd, checkInt(how, "shutdown mode")), "shutdown", this.#fd);
  }

  /** Closes the socket; a second call has no effect. Unregister the socket from selectors first. */
  close(): void {
    const fd = this.detach();
    if (fd === -1) return;
    const outcome = sys.close(fd);
    // The descriptor is closed even after EINTR, and after ECONNRESET, which FreeBSD returns if the peer has reset the
    // connection.
    if (outcome !== -EINTR && outcome !== -ECONNRESET) check(outcome, "close", fd);
  }

  /**
   * Marks the socket as closed without closing its descriptor, and returns the descriptor.
   *
   * The caller has to close the descriptor, or pass it on, for example to `new net.Socket({ fd })`.
   */
  detach(): number {
    const fd = this.#fd;
    this.#fd = -1;
    return fd;
  }

  /** Returns the socket's own address. */
  getsockname(): A {
    return nameOf(sys.getsockname, "getsockname", this.#fd) as A;
  }

  /**
   * Returns the address of the peer.
   *
   * @throws {OSError} ENOTCONN if the socket is not connected
   */
  getpeername(): A {
    return nameOf(sys.getpeername, "getpeername", this.#fd) as A;
  }

  /**
   * Sets an option.
   *
   * @param level SOL_SOCKET, or a protocol such as IPPROTO_TCP
   * @param option Option, for example SO_REUSEADDR
   * @param value A number or a boolean, or bytes if the option is not an integer
   * @throws {OSError} ENOPROTOOPT if the option does not exist, EINVAL if the system rejects the value
   * @throws {RangeError} if a number is not a 32-bit integer
   * @throws {TypeError} if the value has another type, or its buffer is detached
   */
  setsockopt(level: number, option: number, value: number | boolean | Uint8Array): void {
    let bytes: Uint8Array = optionBytes;
    if (typeof value === "object") bytes = checkBytes(value);
    else optionInt[0] = checkInt(typeof value === "boolean" ? Number(value) : value, "option value");
    check(
      sys.setsockopt(this.#fd, checkInt(level, "level"), checkInt(option, "option"), bytes),
      "setsockopt",
      this.#fd,
    );
  }

  /**
   * Returns the value of an integer option.
   *
   * @param level SOL_SOCKET, or a protocol such as IPPROTO_TCP
   * @param option Option, for example SO_ERROR
   * @returns The value
   * @throws {OSError} ENOPROTOOPT if the option does not exist
   */
  getsockopt(level: number, option: number): number;
  /**
   * Returns the value of an option that is not an integer, as bytes.
   *
   * @param level SOL_SOCKET, or a protocol such as IPPROTO_TCP
   * @param option Option, for example SO_LINGER
   * @param size Maximum number of bytes to return
   * @returns The bytes of the value, which may be fewer than `size`
   * @throws {OSError} ENOPROTOOPT if the option does not exist
   */
  getsockopt(level: number, option: number, size: number): Uint8Array<ArrayBuffer>;
  /** @ignore */
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
   * Makes the socket blocking or non-blocking.
   *
   * @param isBlocking True for blocking
   */
  setBlocking(isBlocking: boolean): void {
    check(sys.setBlocking(this.#fd, isBlocking), "fcntl", this.#fd);
  }

  /** Returns true if the socket is blocking. */
  getBlocking(): boolean {
    return check(sys.getBlocking(this.#fd), "fcntl", this.#fd) === 1;
  }

  /** Closes the socket at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Returns the text that `Deno.inspect` and `console.log` show: the descriptor, family, type and protocol.
   *
   * @ignore
   */
  [Symbol.for("Deno.customInspect")](): string {
    return `Socket { fd: ${this.#fd}, family: ${this.#family}, type: ${this.#type}, protocol: ${this.#protocol} }`;
  }

  #encode(address: Address): Uint8Array<ArrayBuffer> {
    return resolve(this.#family, checkAddress(address));
  }
}

/**
 * Option that lets a restarted server bind its port while old connections are in TIME_WAIT.
 *
 * Windows allows that without an option. There, SO_REUSEADDR would let another program take over the port, and
 * SO_EXCLUSIVEADDRUSE prevents this.
 */
const SERVER_OPTION = system.sys === "winsock" ? SO_EXCLUSIVEADDRUSE : SO_REUSEADDR;

/** Options for {@linkcode createServer}. */
export interface ServerOptions {
  /** Address family; defaults to AF_UNIX for a path, AF_INET6 for a hostname with a colon, otherwise AF_INET. */
  family?: number;
  /** Maximum number of connections that wait to be accepted, as in `listen`; defaults to SOMAXCONN. */
  backlog?: number;
}

/**
 * Creates a socket that listens on an address, as Python's `socket.create_server` does.
 *
 * A restarted server can bind the same port at once. No other program can bind the port at the same time.
 *
 * The address determines the family: AF_UNIX for a path, AF_INET6 for a hostname with a colon, such as `"::1"`, and
 * AF_INET for any other hostname.
 *
 * @param address `{ hostname, port }`, where port 0 means any free port, or `{ path }`
 * @param options Address family and backlog; by default, the family of the address, and SOMAXCONN
 * @returns The listening socket, which is blocking
 * @throws {OSError} EADDRINUSE, EADDRNOTAVAIL or EACCES; a code such as EAI_NONAME if the hostname cannot be resolved
 * @throws {RangeError} if the port is not an integer from 0 to 65535, or the path is too long or contains a null
 * character or a lone surrogate
 * @throws {TypeError} if the address does not fit the family
 *
 * @example Usage
 * ```ts
 * import { createServer } from "@selectors/selectors/socket";
 *
 * using listener = createServer({ hostname: "127.0.0.1", port: 0 });
 * console.log("Listening at", listener.getsockname());
 * ```
 */
export function createServer(address: InetAddress, options?: ServerOptions): Socket<InetAddress>;
/** Creates a Unix socket that listens on a path. */
export function createServer(address: UnixAddress, options?: ServerOptions): Socket<UnixAddress>;
/** Creates a socket that listens on an address of either kind. */
export function createServer(address: Address, options?: ServerOptions): Socket;
export function createServer(address: Address, options: ServerOptions = {}): Socket {
  const { family = familyFor(checkAddress(address)), backlog } = options;
  const listener = new Socket(family);
  try {
    if (listener.family !== AF_UNIX) listener.setsockopt(SOL_SOCKET, SERVER_OPTION, true);
    listener.bind(address);
    listener.listen(backlog);
    return listener;
  } catch (error) {
    listener.close();
    throw error;
  }
}

/** Returns the family of an address; of all hostnames, only IPv6 addresses contain a colon. */
function familyFor(address: Address): AddressFamily {
  if (isUnix(address)) return AF_UNIX;
  return address.hostname.includes(":") ? AF_INET6 : AF_INET;
}

/**
 * Creates two sockets that are connected to each other.
 *
 * On Windows, they are TCP or UDP sockets on the loopback address.
 *
 * @typeParam A Type of the sockets' addresses
 * @param family Address family; defaults to AF_UNIX, or on Windows to AF_INET
 * @param type SOCK_STREAM, SOCK_DGRAM, or SOCK_SEQPACKET if the system supports it; defaults to SOCK_STREAM
 * @param protocol Protocol number; defaults to 0, the default protocol for the family and type
 * @returns The two sockets, which are blocking
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
export function socketpair<A extends Address = Address>(
  family: AddressFamily<A> | number = sys.PAIR_FAMILY,
  type: number = SOCK_STREAM,
  protocol: number = 0,
): [Socket<A>, Socket<A>] {
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
 * Creates a pipe.
 *
 * @returns Two blocking descriptors: the end to read from, and the end to write to
 * @throws {OSError} EMFILE if too many descriptors are open
 * @throws {Deno.errors.NotSupported} on Windows, where a selector can wait for sockets only: use {@linkcode socketpair}
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
 * Reads from any descriptor. On Windows, the descriptor must be a socket.
 *
 * @param fd File descriptor
 * @param buffer Array to fill, from its beginning
 * @returns Number of bytes read; 0 at the end of the stream or file
 * @throws {OSError} EAGAIN if there are no bytes and the descriptor is non-blocking, EBADF if it is closed
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
 * Writes to any descriptor. On Windows, the descriptor must be a socket.
 *
 * @param fd File descriptor
 * @param data Bytes to write
 * @returns Number of bytes written, which may be less than the length of `data`
 * @throws {OSError} EAGAIN if the buffer is full and the descriptor is non-blocking, EPIPE if the reading end is closed
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
 * Closes any descriptor. On Windows, the descriptor must be a socket.
 *
 * Close a descriptor from `node:fs` with `closeSync()` from `node:fs` instead. Otherwise, Deno keeps the descriptor in
 * a table, and closes the next file that it opens with the same number.
 *
 * @param fd File descriptor
 * @throws {OSError} EBADF if it is already closed
 */
export function close(fd: number): void {
  const outcome = sys.close(filenoOf(fd));
  if (outcome !== -EINTR) check(outcome, "close", fd); // the descriptor is closed even after EINTR
}

/**
 * Makes any descriptor blocking or non-blocking. On Windows, the descriptor must be a socket.
 *
 * @param fd File descriptor
 * @param isBlocking True for blocking
 * @throws {OSError} EBADF if it is closed
 */
export function setBlocking(fd: number, isBlocking: boolean): void {
  check(sys.setBlocking(filenoOf(fd), isBlocking), "fcntl", fd);
}

/** Creates a Socket for a descriptor with the internal last parameter of the constructor. */
function adopt<A extends Address>(fd: number, family: number, type: number, protocol: number): Socket<A> {
  return Reflect.construct(Socket, [family, type, protocol, fd]);
}

function nameOf(call: typeof sys.getsockname, syscall: string, fd: number): Address {
  sockaddrLength[0] = sockaddr.length;
  check(call(fd, sockaddr, sockaddrLength), syscall, fd);
  return decodeAddress(sockaddr, sockaddrLength[0]!);
}

/** Reads an int option into `optionInt`. Returns 0 or `-errno`, not the value, because a value can be negative too. */
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

/**
 * Returns a buffer of `size` bytes.
 *
 * With flags, the buffer is not the shared one: with MSG_TRUNC, the count includes bytes that C did not write, and the
 * shared buffer still contains older data there.
 */
function bufferFor(size: number, flags: number): Uint8Array<ArrayBuffer> {
  return checkSize(size) <= scratch.length && flags === 0 ? scratch.subarray(0, size) : new Uint8Array(size);
}

function taken(buffer: Uint8Array<ArrayBuffer>, count: number): Uint8Array<ArrayBuffer> {
  // Copies the bytes if they fill less than half of the buffer, so the result does not keep the whole buffer alive.
  return buffer.buffer === scratch.buffer || count < buffer.length / 2
    ? buffer.slice(0, count)
    : buffer.subarray(0, count);
}

/** Returns the arrays of an iterable. Rejects a Uint8Array, which is an iterable of numbers. */
function arraysOf(buffers: Iterable<Uint8Array>): Uint8Array[] {
  if (!ArrayBuffer.isView(buffers) && typeof buffers?.[Symbol.iterator] === "function") return [...buffers];
  throw new TypeError(`Cannot use ${show(buffers)} as the buffers of a message: use an array of Uint8Arrays`);
}

/** Rejects a value that is not an item of ancillary data. The caller checks the data in the item. */
function checkMessage(message: ControlMessage): ControlMessage {
  if (!Array.isArray(message) || message.length !== 3) {
    throw new TypeError(`Cannot use ${show(message)} as ancillary data: use [level, type, data]`);
  }
  const [level, type, data] = message;
  return [checkInt(level, "level"), checkInt(type, "type of ancillary data"), data];
}
