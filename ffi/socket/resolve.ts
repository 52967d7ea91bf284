/**
 * Name resolution with getaddrinfo(3).
 *
 * @module
 */

import { errnoCell, lazyResolver, result } from "../os/call.ts";
import { errnoCode, OSError } from "../os/errno.ts";
import { checkInt, show } from "../os/arguments.ts";
import { lazyLibrary, openLibrary } from "../os/library.ts";
import { type System, system } from "../os/systems.ts";
import {
  type Address,
  type AddressFamily,
  AF_INET,
  AF_INET6,
  AF_UNIX,
  checkPort,
  cString,
  decodeAddress,
  encodeNumeric,
  encodeUnix,
  fromCString,
  type InetAddress,
  isUnix,
  showAddress,
  SOCKADDR,
} from "./sockaddr.ts";
import { AF_UNSPEC, AI_PASSIVE, SOCK_STREAM } from "../os/socket_constants.ts";

type AddrinfoField =
  | "ai_flags"
  | "ai_family"
  | "ai_socktype"
  | "ai_protocol"
  | "ai_addrlen"
  | "ai_addr"
  | "ai_canonname"
  | "ai_next";

/**
 * Returns the layout of a result of getaddrinfo():
 *
 * struct addrinfo {              Linux   others
 *   int       ai_flags;          // +0    +0
 *   int       ai_family;         // +4    +4
 *   int       ai_socktype;       // +8    +8
 *   int       ai_protocol;       // +12   +12
 *   socklen_t ai_addrlen;        // +16   +16    on Windows a size_t
 *   sockaddr *ai_addr;           // +24   +32
 *   char     *ai_canonname;      // +32   +24
 *   addrinfo *ai_next;           // +40   +40
 * };                             // 48    48
 */
export function addrinfoOf({ getaddrinfo }: System): Readonly<Record<AddrinfoField | "size", number>> {
  return {
    size: 48,
    ai_flags: 0,
    ai_family: 4,
    ai_socktype: 8,
    ai_protocol: 12,
    ai_addrlen: 16,
    ...(getaddrinfo === "linux" ? { ai_addr: 24, ai_canonname: 32 } : { ai_canonname: 24, ai_addr: 32 }),
    ai_next: 40,
  };
}

/** Layout of a result on this system. */
export const ADDRINFO: Readonly<Record<AddrinfoField | "size", number>> = addrinfoOf(system);

/** A getaddrinfo() error: its name, its text, and its number on each system, or 0 if a system does not have it. */
type EaiRow = readonly [code: string, text: string, linux: number, bsd: number, windows: number];

/** glibc: netdb.h. BSD, macOS, Android, Solaris: <netdb.h>. Windows: ws2tcpip.h, with the numbers of Winsock errors. */
const EAI_TABLE: readonly EaiRow[] = [
  ["EAI_BADFLAGS", "Bad value for the flags", -1, 3, 10022],
  ["EAI_NONAME", "Name or service not known", -2, 8, 11001],
  ["EAI_AGAIN", "Temporary failure in name resolution", -3, 2, 11002],
  ["EAI_FAIL", "Non-recoverable failure in name resolution", -4, 4, 11003],
  ["EAI_NODATA", "No address associated with the name", -5, 7, 11004],
  ["EAI_FAMILY", "Address family not supported", -6, 5, 10047],
  ["EAI_SOCKTYPE", "Socket type not supported", -7, 10, 10044],
  ["EAI_SERVICE", "Service not supported for the socket type", -8, 9, 10109],
  ["EAI_ADDRFAMILY", "The name has no address of this family", -9, 1, 0],
  ["EAI_MEMORY", "Out of memory", -10, 6, 8],
  ["EAI_SYSTEM", "System error", -11, 11, 0],
  ["EAI_OVERFLOW", "Argument too long", -12, 14, 0],
];
const EAI_COLUMN = { linux: 2, bsd: 3, windows: 4 } as const;
const eai = new Map(EAI_TABLE.map((row) => [row[EAI_COLUMN[system.getaddrinfo]], row]));

/** NI_MAXHOST: maximum length of a name from getaddrinfo(). */
const MAX_NAME = 1025n;

const resolver = lazyResolver({
  getaddrinfo: {
    parameters: [
      "buffer", // const char *node
      "buffer", // const char *service
      "buffer", // const struct addrinfo *hints
      "buffer", // struct addrinfo **res
    ],
    result: "i32",
  },
  freeaddrinfo: {
    parameters: ["usize"], // struct addrinfo *res
    result: "void",
  },
});

const memory = lazyLibrary(() =>
  openLibrary("memory", {
    // memcpy() reads memory by address. UnsafePointerView would need more than the permission for the C library's path.
    memcpy: {
      parameters: [
        "buffer", // void *dest
        "usize", // const void *src
        "usize", // size_t n
      ],
      result: "void",
    },
    strnlen: {
      parameters: [
        "usize", // const char *s
        "usize", // size_t maxlen
      ],
      result: "u32", // size_t
    },
  })
);

/** Options for {@linkcode getaddrinfo}. */
export interface AddressHints {
  /** AF_INET, AF_INET6, or AF_UNSPEC for both; defaults to AF_UNSPEC. */
  family?: number;
  /** SOCK_STREAM, SOCK_DGRAM, or 0 for every type; defaults to SOCK_STREAM. */
  type?: number;
  /** Protocol number, or 0 for every protocol; defaults to 0. */
  protocol?: number;
  /** A combination of `AI_*` flags; defaults to 0. */
  flags?: number;
}

/** One of the addresses that {@linkcode getaddrinfo} returns. */
export interface AddressInfo {
  /** Address family, for `new Socket`. */
  family: AddressFamily<InetAddress>;
  /** Socket type, for `new Socket`. */
  type: number;
  /** Protocol number, for `new Socket`. */
  protocol: number;
  /** Canonical name, in the first result if `flags` contains AI_CANONNAME; otherwise `""`. */
  canonname: string;
  /** Numeric address. */
  address: InetAddress;
}

/**
 * Returns the addresses of a hostname, best first, as Python's `socket.getaddrinfo` does.
 *
 * The call blocks until the system's resolver has answered.
 *
 * @param hostname A hostname or an address; null means the loopback address, or with AI_PASSIVE every address of this
 * machine
 * @param port A port from 0 to 65535, as a number or a string of digits
 * @param hints Family, type, protocol and flags; by default, the addresses are for stream sockets of any family
 * @returns At least one address
 * @throws {OSError} with a code such as `"EAI_NONAME"` if no address is found
 * @throws {RangeError} if `port` is not an integer from 0 to 65535
 * @throws {TypeError} if `hostname` is neither null nor a valid string, or `port` is neither a number nor a string
 *
 * @see {@link https://man7.org/linux/man-pages/man3/getaddrinfo.3.html | getaddrinfo(3)}
 *
 * @example Usage
 * ```ts
 * import { AF_INET, getaddrinfo } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [first] = getaddrinfo("127.0.0.1", 80);
 * assertEquals(first?.family, AF_INET);
 * assertEquals(first?.address, { hostname: "127.0.0.1", port: 80 });
 * ```
 */
export function getaddrinfo(
  hostname: string | null,
  port: number | string,
  hints: AddressHints = {},
): [AddressInfo, ...AddressInfo[]] {
  const [first, ...others] = lookUp(hostname, port, hints);
  return [first[0], ...others.map(([info]) => info)];
}

/** A result, and the bytes of its address, because inet_pton() cannot encode an IPv6 address with a scope. */
type Found = [info: AddressInfo, sockaddr: Uint8Array<ArrayBuffer>];

function lookUp(hostname: string | null, port: number | string | null, hints: AddressHints): [Found, ...Found[]] {
  const service = port === null ? null : cString(String(checkPort(port)));
  const { getaddrinfo, freeaddrinfo } = resolver();
  const wanted = new Int32Array(ADDRINFO.size / 4);
  wanted[ADDRINFO.ai_flags / 4] = checkInt(hints.flags ?? 0, "flags");
  wanted[ADDRINFO.ai_family / 4] = checkInt(hints.family ?? AF_UNSPEC, "address family");
  wanted[ADDRINFO.ai_socktype / 4] = checkInt(hints.type ?? SOCK_STREAM, "socket type");
  wanted[ADDRINFO.ai_protocol / 4] = checkInt(hints.protocol ?? 0, "protocol");
  const found = new BigUint64Array(1);
  const node = hostname === null ? null : cString(checkName(hostname));
  const code = getaddrinfo(node, service, wanted, found);
  const errno = errnoCell[0]!;
  const target = hostname ?? "without a hostname";
  if (code !== 0) {
    const [name, text] = eai.get(code) ?? [errnoCode(code), `Unknown error ${code}`];
    if (name === "EAI_SYSTEM") throw new OSError("getaddrinfo", -result(-1, errno), target);
    throw new OSError("getaddrinfo", code, target, { code: name, text });
  }
  try {
    // There is at least one result: getaddrinfo() reports an error if it finds none.
    return [...walk(found[0]!)] as [Found, ...Found[]];
  } finally {
    freeaddrinfo(found[0]!);
  }
}

function* walk(address: bigint): Generator<Found> {
  while (address !== 0n) {
    const info = new DataView(readMemory(address, ADDRINFO.size).buffer);
    const length = info.getUint32(ADDRINFO.ai_addrlen, true);
    const sockaddr = readMemory(info.getBigUint64(ADDRINFO.ai_addr, true), length);
    const canonname = info.getBigUint64(ADDRINFO.ai_canonname, true);
    yield [{
      family: info.getInt32(ADDRINFO.ai_family, true),
      type: info.getInt32(ADDRINFO.ai_socktype, true),
      protocol: info.getInt32(ADDRINFO.ai_protocol, true),
      canonname: canonname === 0n ? "" : fromCString(readMemory(canonname, memory().strnlen(canonname, MAX_NAME))),
      // Not a UnixAddress, because the lookup had a port, or the family AF_INET or AF_INET6.
      address: decodeAddress(sockaddr, length) as InetAddress,
    }, sockaddr];
    address = info.getBigUint64(ADDRINFO.ai_next, true);
  }
}

function readMemory(address: bigint, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  memory().memcpy(bytes, address, BigInt(size));
  return bytes;
}

function checkName(hostname: string): string {
  // C would read the name only up to a null character, and TextEncoder would write U+FFFD for a lone surrogate.
  if (typeof hostname === "string" && !hostname.includes("\0") && hostname.isWellFormed()) return hostname;
  throw new TypeError(
    `Cannot resolve ${show(hostname)}: a hostname must be a string without null characters or lone surrogates`,
  );
}

/**
 * Returns the bytes of an address for a socket of the given family, and resolves its hostname if necessary.
 *
 * @throws {OSError} if the hostname has no address of this family
 * @throws {TypeError} if the address does not fit the family
 */
export function resolve(family: number, address: Address): Uint8Array<ArrayBuffer> {
  if (isUnix(address)) {
    if (family === AF_UNIX) return encodeUnix(address.path);
    throw new TypeError(
      `Cannot use ${showAddress(address)} with a socket that is not AF_UNIX: use { hostname, port }`,
    );
  }
  if (family !== AF_INET && family !== AF_INET6) {
    throw new TypeError(
      `Cannot use ${showAddress(address)} with a socket that is neither AF_INET nor AF_INET6: use { path }`,
    );
  }
  const hostname = address.hostname === "<broadcast>" && family === AF_INET ? "255.255.255.255" : address.hostname;
  const numeric = encodeNumeric(family, hostname, address.port);
  if (numeric !== null) return numeric;
  // The lookup gets no type and no port, because the type may contain flags, and a raw socket has no port.
  const [[, sockaddr]] = lookUp(hostname, null, { family, type: 0, flags: AI_PASSIVE });
  new DataView(sockaddr.buffer).setUint16(SOCKADDR.port, address.port);
  return sockaddr;
}
