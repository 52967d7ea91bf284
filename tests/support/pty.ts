/**
 * Pseudoterminals.
 *
 * @module
 */

import { assertEquals, assertNotEquals } from "@std/assert";
import { os } from "../../ffi/os/systems.ts";
import { bytes, type Cleanup, isWindows, LIBC } from "./util.ts";

const libc = isWindows ? null : Deno.dlopen(LIBC, {
  posix_openpt: { parameters: ["i32"], result: "i32" },
  grantpt: { parameters: ["i32"], result: "i32" },
  unlockpt: { parameters: ["i32"], result: "i32" },
  ptsname: { parameters: ["i32"], result: "pointer" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  tcgetattr: { parameters: ["i32", "buffer"], result: "i32" },
  tcsetattr: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  cfmakeraw: { parameters: ["buffer"], result: "void" },
}).symbols;

const O_RDWR = 2;
const O_NOCTTY = os === "darwin" ? 0x2_0000 : 0x100;
/** Exceeds the size of `struct termios` on every system. */
const TERMIOS_SIZE = 256;

/** The descriptors of a pseudoterminal, and the path of its slave. */
export interface Pty {
  master: number;
  slave: number;
  path: string;
}

/** Opens a pseudoterminal. Ends that the test does not close are closed at its end. */
export function openPty(cleanup: Cleanup, mode: "raw" | "lines" = "raw"): Pty {
  const master = libc!.posix_openpt(O_RDWR | O_NOCTTY);
  assertNotEquals(master, -1);
  cleanup.own(master);
  assertEquals([libc!.grantpt(master), libc!.unlockpt(master)], [0, 0]);
  const path = new Deno.UnsafePointerView(libc!.ptsname(master)!).getCString();
  const slave = libc!.open(bytes(`${path}\0`), O_RDWR | O_NOCTTY);
  assertNotEquals(slave, -1);
  cleanup.own(slave);
  if (mode === "raw") {
    const termios = attributesOf(slave);
    libc!.cfmakeraw(termios);
    assertEquals(libc!.tcsetattr(slave, 0, termios), 0);
  }
  return { master, slave, path };
}

/** Returns the attributes of a terminal as bytes to compare. */
export function attributesOf(terminal: number): Uint8Array<ArrayBuffer> {
  const termios = new Uint8Array(TERMIOS_SIZE);
  assertEquals(libc!.tcgetattr(terminal, termios), 0);
  return termios;
}
