/**
 * Sockets for the tests of `ffi/socket/mod.ts`, and needs of these tests.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { select } from "../../ffi/select/mod.ts";
import { AF_INET, AF_INET6, type InetAddress, OSError, SOCK_DGRAM, Socket } from "../../ffi/socket/mod.ts";
import { lackedBy } from "./needs.ts";
import { BROKEN_CODES, type Cleanup } from "./util.ts";

/** Unix sockets of every type. */
export const UNIX_SOCKETS = lackedBy({ windows: "Windows has no sockets with paths here, or no such type of them" });

/** Unix errors. */
export const UNIX_ERRORS = lackedBy({ windows: "Winsock gives another error, or none" });

/** Pipes. */
export const PIPES = lackedBy({ windows: "Windows has no pipes that can be waited for" });

/** Options of any size. */
export const ANY_OPTION = lackedBy({ emulated: "the emulator does not support this option or its size" });

/** Traffic on `::1`. */
export const IPV6 = hasInet6() ? null : "this machine has no ::1";

function hasInet6(): boolean {
  try {
    using socket = new Socket(AF_INET6);
    socket.bind({ hostname: "::1", port: 0 });
    return true;
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    return false;
  }
}

/** URL of the module as a JavaScript string literal, for programs that import it. */
export const SOCKET = JSON.stringify(new URL("../../ffi/socket/mod.ts", import.meta.url).href);

/** Loopback address of each family. */
export const LOOPBACK: Readonly<Record<number, string>> = { [AF_INET]: "127.0.0.1", [AF_INET6]: "::1" };

/** Returns a socket that listens on the loopback address. */
export function listener(cleanup: Cleanup, family: number = AF_INET, backlog?: number): Socket {
  const socket = cleanup.add(new Socket(family));
  socket.bind({ hostname: LOOPBACK[family]!, port: 0 });
  socket.listen(backlog);
  return socket;
}

/** Returns a datagram socket that is bound to a loopback address. */
export function udp(cleanup: Cleanup, family: number = AF_INET): Socket {
  const socket = cleanup.add(new Socket(family, SOCK_DGRAM));
  socket.bind({ hostname: LOOPBACK[family]!, port: 0 });
  return socket;
}

/** Creates a directory for socket paths. */
export function folder(cleanup: Cleanup): string {
  const path = Deno.makeTempDirSync();
  cleanup.defer(() => Deno.removeSync(path, { recursive: true }));
  return path;
}

export function portOf(socket: Socket): number {
  return (socket.getsockname() as InetAddress).port;
}

export function assertCode(body: () => unknown, code: string, syscall?: string): void {
  const error = assertThrows(body, OSError);
  assertEquals(error.code, code);
  if (syscall !== undefined) assertEquals(error.syscall, syscall);
}

export function assertBroken(body: () => unknown, syscall?: string): void {
  const error = assertThrows(body, OSError);
  assert(BROKEN_CODES.includes(error.code), error.message);
  if (syscall !== undefined) assertEquals(error.syscall, syscall);
}

export function waitReadable(socket: Socket): void {
  assertEquals(select([socket], [], [], 10)[0], [socket], "Nothing has come within 10 seconds");
}

export function detached(): Uint8Array {
  const array = new Uint8Array(8);
  structuredClone(array, { transfer: [array.buffer] });
  return array;
}

/** A socket whose send() accepts few bytes at a time. A blocking socket does so only if a signal interrupts it. */
export class InParts extends Socket {
  override send(data: Uint8Array, flags?: number): number {
    return super.send(new Uint8Array(data).subarray(0, 3), flags);
  }
}
