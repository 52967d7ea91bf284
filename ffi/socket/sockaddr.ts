/**
 * Socket addresses: objects as in Deno, and C structs.
 *
 * @module
 */

import { lazyResolver } from "../os/call.ts";
import { numberError, show } from "../os/arguments.ts";
import { type System, system } from "../os/systems.ts";
import * as constants from "../os/socket_constants.ts";

/** An IPv4 address, IPv6 address or hostname, and a port, as in `Deno.NetAddr`. */
export interface InetAddress {
  /** Address or hostname; `""` means all addresses of this machine, and `"<broadcast>"` the IPv4 broadcast address. */
  hostname: string;
  /** Port from 0 to 65535; with 0, `bind` chooses a free port. */
  port: number;
}

/** The address of a Unix socket, as in `Deno.UnixAddr`. */
export interface UnixAddress {
  /**
   * Path of a file; on Linux also an abstract name, which begins with `"\0"` and has no file. The path of an unnamed
   * socket is `""`.
   *
   * Methods reject a path that contains a lone surrogate. In a returned path, each byte that is not part of a UTF-8
   * character is a lone surrogate from U+DC80 to U+DCFF, as with Python's `surrogateescape`.
   */
  path: string;
}

/** Address of a socket. */
export type Address = InetAddress | UnixAddress;

/**
 * Number of an address family. For the compiler, the number also carries the type of the family's addresses.
 *
 * Declare a variable that can hold different families as a `number`: `let family: number = AF_INET`.
 *
 * @typeParam A Type of the family's addresses
 */
export type AddressFamily<A extends Address = Address> = number & {
  /** Exists for the compiler only, not at run time. */
  readonly addressType?: A;
};

/** Address family: Unix sockets, whose addresses are paths on this machine. */
export const AF_UNIX: AddressFamily<UnixAddress> = constants.AF_UNIX;
/** Address family: IPv4. */
export const AF_INET: AddressFamily<InetAddress> = constants.AF_INET;
/** Address family: IPv6. */
export const AF_INET6: AddressFamily<InetAddress> = constants.AF_INET6;

/**
 * Returns the fields of these layouts that differ between systems:
 *
 * struct sockaddr_in {             struct sockaddr_in6 {              struct sockaddr_un {
 *   sa_family_t sin_family; // +0    sa_family_t sin6_family;   // +0    sa_family_t sun_family; // +0
 *   in_port_t   sin_port;   // +2    in_port_t   sin6_port;     // +2    char        sun_path[]; // +2
 *   in_addr     sin_addr;   // +4    uint32_t    sin6_flowinfo; // +4  };                        // 2 + SUN_PATH
 *   char        sin_zero[8];         in6_addr    sin6_addr;     // +8
 * };                        // 16    uint32_t    sin6_scope_id; // +24
 *                                  };                           // 28
 *
 * Ports and addresses are in network byte order. On systems with a length field (sa_len), the first byte is the length,
 * and the second byte is the family.
 */
export function sockaddrOf({ sockaddr }: System): { family: number; port: number; sun_path: number } {
  return { family: sockaddr.hasLength ? 1 : 0, port: 2, sun_path: sockaddr.sunPath };
}

/** Layout of a `sockaddr_in`. */
export const SOCKADDR_IN = { size: 16, sin_addr: 4 };
/** Layout of a `sockaddr_in6`. */
export const SOCKADDR_IN6 = { size: 28, sin6_flowinfo: 4, sin6_addr: 8, sin6_scope_id: 24 };
/** Layout of a `sockaddr_un`. */
export const SOCKADDR_UN = { sun_path: 2 };

/** Writes the family into an address that is all zeros, and the length too on systems with a length field. */
const setFamily: (sockaddr: Uint8Array, family: number) => void = system.sockaddr.hasLength
  ? (sockaddr, family) => sockaddr.set([sockaddr.length, family])
  : (sockaddr, family) => sockaddr.set([family]);

/** Layout of a socket address on this system: the offsets of family and port, and the size of a path. */
export const SOCKADDR: { family: number; port: number; sun_path: number } = sockaddrOf(system);

const resolver = lazyResolver({
  inet_pton: {
    parameters: [
      "i32", // int af
      "buffer", // const char *src
      "buffer", // void *dst
    ],
    result: "i32",
  },
  inet_ntop: {
    parameters: [
      "i32", // int af
      "buffer", // const void *src
      "buffer", // char *dst
      "u32", // socklen_t size
    ],
    result: "usize", // const char *
  },
});

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }); // U+FEFF can be part of a path

/** Returns the bytes of a string for C, with a null byte at the end. */
export function cString(string: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(string + "\0");
}

/** Returns the string that C has written to the start of an array, up to the null byte. */
export function fromCString(bytes: Uint8Array): string {
  return decoder.decode(untilZero(bytes));
}

function untilZero(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end === -1 ? bytes : bytes.subarray(0, end);
}

/**
 * Returns the string for the bytes of a path.
 *
 * Each byte that is not part of a UTF-8 character becomes a lone surrogate from U+DC80 to U+DCFF, as with Python's
 * `surrogateescape`. If U+FFFD replaced the byte, the string would be the path of another file.
 */
function decodePath(bytes: Uint8Array): string {
  const whole = decodeStrictly(bytes);
  if (whole !== null) return whole;
  let path = "";
  for (let at = 0; at < bytes.length;) {
    const [length, character] = characterAt(bytes, at);
    path += character;
    at += length;
  }
  return path;
}

function characterAt(bytes: Uint8Array, at: number): [length: number, character: string] {
  for (let length = 1; length <= 4; length++) {
    const character = decodeStrictly(bytes.subarray(at, at + length));
    if (character !== null) return [length, character];
  }
  return [1, String.fromCharCode(0xdc00 + bytes[at]!)];
}

function decodeStrictly(bytes: Uint8Array): string | null {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return null; // not UTF-8
  }
}

/** Rejects a port that C would truncate. A string of digits, for example from a command line, is accepted. */
export function checkPort(port: number | string): number {
  const number = typeof port === "string" && /^\d+$/.test(port) ? Number(port) : port;
  if (typeof number === "number" && Number.isInteger(number) && number >= 0 && number <= 0xffff) return number;
  const message = `Cannot use port ${show(port)}: it must be an integer from 0 to 65535`;
  throw typeof port === "string" ? new RangeError(message) : numberError(port, message);
}

/** Rejects a value that is not an address. */
export function checkAddress(address: Address): Address {
  if (typeof address === "object" && address !== null) {
    if (isUnix(address)) return address;
    if (typeof address.hostname === "string") {
      if (typeof address.port === "number") checkPort(address.port);
      else throw new TypeError(`Cannot use port ${show(address.port)}: it must be a number`);
      if (address.hostname.includes("\0")) {
        throw new TypeError(
          `Cannot use ${JSON.stringify(address.hostname)} as a hostname: it contains a null character`,
        );
      }
      if (!address.hostname.isWellFormed()) {
        throw new TypeError(
          `Cannot use ${JSON.stringify(address.hostname)} as a hostname: it contains a lone surrogate`,
        );
      }
      return address;
    }
  }
  throw new TypeError(`Cannot use ${show(address)} as an address: it must be { hostname, port } or { path }`);
}

/** Returns true for the address of a Unix socket. */
export function isUnix(address: Address): address is UnixAddress {
  return "path" in address && typeof address.path === "string";
}

/** Returns a short form of an address, for error messages. */
export function showAddress(address: Address): string {
  if (isUnix(address)) return JSON.stringify(address.path);
  return `${address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname}:${address.port}`;
}

/** Returns the bytes of a Unix address. */
export function encodeUnix(path: string): Uint8Array<ArrayBuffer> {
  if (!path.isWellFormed()) {
    // TextEncoder would write U+FFFD, and the result would be the path of another file.
    throw new RangeError(`Cannot use ${JSON.stringify(path)} as a socket path: it contains a lone surrogate`);
  }
  // The length of the struct ends an abstract name; a null byte ends a path.
  const isAbstract = path.startsWith("\0");
  const bytes = encoder.encode(path === "" || isAbstract ? path : path + "\0");
  if (bytes.length > SOCKADDR.sun_path) {
    const most = isAbstract ? SOCKADDR.sun_path : SOCKADDR.sun_path - 1;
    throw new RangeError(`Cannot use ${JSON.stringify(path)} as a socket path: it is longer than ${most} bytes`);
  }
  if (!isAbstract && path.includes("\0")) {
    throw new RangeError(`Cannot use ${JSON.stringify(path)} as a socket path: it contains a null character`);
  }
  const sockaddr = new Uint8Array(SOCKADDR_UN.sun_path + bytes.length);
  setFamily(sockaddr, AF_UNIX);
  sockaddr.set(bytes, SOCKADDR_UN.sun_path);
  return sockaddr;
}

/** Returns the bytes of a numeric address, or null if `hostname` is a name, or an address of another family. */
export function encodeNumeric(family: number, hostname: string, port: number): Uint8Array<ArrayBuffer> | null {
  const isInet6 = family === AF_INET6;
  const sockaddr = new Uint8Array(isInet6 ? SOCKADDR_IN6.size : SOCKADDR_IN.size);
  setFamily(sockaddr, family);
  new DataView(sockaddr.buffer).setUint16(SOCKADDR.port, port);
  if (hostname === "") return sockaddr;
  const addr = sockaddr.subarray(isInet6 ? SOCKADDR_IN6.sin6_addr : SOCKADDR_IN.sin_addr);
  return resolver().inet_pton(family, cString(hostname), addr) === 1 ? sockaddr : null;
}

/** Returns the socket address that C has written. */
export function decodeAddress(sockaddr: Uint8Array<ArrayBuffer>, length: number): Address {
  // The length that C returns may exceed the buffer: for a path that fills the struct, it includes a null byte. See
  // unix(7).
  const view = new DataView(sockaddr.buffer, sockaddr.byteOffset, Math.min(length, sockaddr.byteLength));
  const family = length < SOCKADDR.port ? AF_UNIX : constants.familyOf(sockaddr);
  if (family === AF_INET) {
    const at = SOCKADDR_IN.sin_addr;
    return {
      hostname: `${sockaddr[at]}.${sockaddr[at + 1]}.${sockaddr[at + 2]}.${sockaddr[at + 3]}`,
      port: view.getUint16(SOCKADDR.port),
    };
  }
  if (family === AF_INET6) {
    const text = new Uint8Array(46); // INET6_ADDRSTRLEN
    resolver().inet_ntop(AF_INET6, sockaddr.subarray(SOCKADDR_IN6.sin6_addr), text, text.length);
    const scope = view.getUint32(SOCKADDR_IN6.sin6_scope_id, true);
    return { hostname: fromCString(text) + (scope === 0 ? "" : `%${scope}`), port: view.getUint16(SOCKADDR.port) };
  }
  const path = sockaddr.subarray(SOCKADDR_UN.sun_path, view.byteLength);
  const hasName = path[0] === 0 && system.sockaddr.hasAbstractNames;
  return { path: decodePath(hasName ? path : untilZero(path)) };
}
