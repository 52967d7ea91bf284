/**
 * From names to addresses: getaddrinfo(3).
 *
 * @module
 */

import { errnoCell, lazyResolver, result } from "../os/call.ts";
import { errnoCode, OSError } from "../os/errno.ts";
import { checkInt, show } from "../os/arguments.ts";
import { lazy, openLibrary } from "../os/library.ts";
import { type System, system } from "../os/systems.ts";
import {
  type Address,
  checkPort,
  cString,
  decodeAddress,
  encodeNumeric,
  encodeUnix,
  fromCString,
  isUnix,
  showAddress,
  SOCKADDR,
} from "./sockaddr.ts";
import { AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, AI_PASSIVE, SOCK_STREAM } from "../os/socket_constants.ts";

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
 * Gives the layout of what is found:
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

/** The layout here. */
export const ADDRINFO: Readonly<Record<AddrinfoField | "size", number>> = addrinfoOf(system);

/** One of getaddrinfo()'s own errors: its name, its text, and its number, 0 where it has none. */
type EaiRow = readonly [code: string, text: string, linux: number, bsd: number, windows: number];

/** glibc: netdb.h. BSD, macOS, Android, Solaris: <netdb.h>. Windows: ws2tcpip.h, which takes numbers of Winsock's own. */
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
  ["EAI_SYSTEM", "Look at errno", -11, 11, 0],
  ["EAI_OVERFLOW", "Argument too long", -12, 14, 0],
];
const EAI_COLUMN = { linux: 2, bsd: 3, windows: 4 } as const;
const eai = new Map(EAI_TABLE.map((row) => [row[EAI_COLUMN[system.getaddrinfo]], row]));

/** NI_MAXHOST: the longest name that getaddrinfo() gives. */
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

const memory = lazy(() =>
  openLibrary("memory", {
    // To read C's memory by address: a permission for the one library allows its functions, and no UnsafePointerView.
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

/** What {@linkcode getaddrinfo} is asked for. */
export interface AddressHints {
  /** AF_INET, AF_INET6, or AF_UNSPEC for both, which is the default. */
  family?: number;
  /** SOCK_STREAM (the default), SOCK_DGRAM, or 0 for every type. */
  type?: number;
  /** Protocol, or 0 for any, which is the default. */
  protocol?: number;
  /** Any of the `AI_*` flags. */
  flags?: number;
}

/** What {@linkcode getaddrinfo} found. */
export interface AddressInfo {
  /** Address family, for `new Socket`. */
  family: number;
  /** Socket type, for `new Socket`. */
  type: number;
  /** Protocol, for `new Socket`. */
  protocol: number;
  /** The canonical name, if AI_CANONNAME was asked for; `""` otherwise. */
  canonname: string;
  /** The address, in numbers. */
  address: Address;
}

/**
 * Finds the addresses of a name, the best first, as Python's `socket.getaddrinfo` does.
 *
 * It blocks until the system's resolver has answered.
 *
 * @param hostname A name or an address; null for this machine: the loopback address, or, with AI_PASSIVE, every one
 * @param port A port from 0 to 65535, as a number or in digits
 * @param hints What is wanted
 * @throws {OSError} whose code begins with `EAI_`, for example `"EAI_NONAME"`, if nothing is found
 * @throws {RangeError} if `port` is not an integer from 0 to 65535
 * @throws {TypeError} if `hostname` is not a string or null, or `port` neither a number nor a string
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

/** What was found, beside the bytes of the address, which say more than numbers do (the scope of an IPv6 address). */
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
  const target = hostname ?? "without a name";
  if (code !== 0) {
    const [name, text] = eai.get(code) ?? [errnoCode(code), `Unknown error ${code}`];
    if (name === "EAI_SYSTEM") throw new OSError("getaddrinfo", -result(-1, errno), target);
    throw new OSError("getaddrinfo", code, target, { code: name, text });
  }
  try {
    // There is a first one: to find nothing is an error of getaddrinfo()'s.
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
      address: decodeAddress(sockaddr, length),
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
  // C would take what stands before a zero for the whole name, and the encoder would write U+FFFD for a lone surrogate.
  if (typeof hostname === "string" && !hostname.includes("\0") && hostname.isWellFormed()) return hostname;
  throw new TypeError(`Cannot resolve ${show(hostname)}: a name must be a string without zeros or lone surrogates`);
}

/**
 * Gives the bytes of an address for a socket of the given family, resolving a name.
 *
 * @throws {OSError} if the name has no address of this family
 * @throws {TypeError} if the address is of the wrong kind for the family
 */
export function resolve(family: number, address: Address): Uint8Array<ArrayBuffer> {
  if (isUnix(address)) {
    if (family === AF_UNIX) return encodeUnix(address.path);
    throw new TypeError(`Cannot use ${showAddress(address)} with an internet socket: it wants { hostname, port }`);
  }
  if (family !== AF_INET && family !== AF_INET6) {
    throw new TypeError(`Cannot use ${showAddress(address)} with this socket: it wants { path }`);
  }
  const hostname = address.hostname === "<broadcast>" && family === AF_INET ? "255.255.255.255" : address.hostname;
  const numeric = encodeNumeric(family, hostname, address.port);
  if (numeric !== null) return numeric;
  // Of any type and service: a raw socket has no port, and a type may carry flags.
  const [[, sockaddr]] = lookUp(hostname, null, { family, type: 0, flags: AI_PASSIVE });
  new DataView(sockaddr.buffer).setUint16(SOCKADDR.port, address.port);
  return sockaddr;
}
