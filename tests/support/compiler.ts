/**
 * Runs C programs to get values from this machine's headers.
 *
 * @module
 */

import { assert } from "@std/assert";
import { join } from "@std/path";
import { arch, os } from "../../ffi/os/systems.ts";

/** Compiles and runs a program that prints `name=value` lines; returns the values, or null without a compiler. */
export function answersOf(program: () => string): Map<string, string> | null {
  if (os === "windows") return null;
  const directory = Deno.makeTempDirSync();
  try {
    const [source, binary] = [join(directory, "layout.c"), join(directory, "layout")];
    Deno.writeTextFileSync(source, program());
    const machine = new Deno.Command("cc", { args: ["-dumpmachine"] }).outputSync();
    // Apple calls the aarch64 processor arm64.
    const target = new TextDecoder().decode(machine.stdout).replace(/^arm64/, "aarch64");
    if (!target.startsWith(arch)) return null; // the compiler is for another processor
    const compiled = new Deno.Command("cc", { args: ["-o", binary, source] }).outputSync();
    assert(compiled.success, new TextDecoder().decode(compiled.stderr));
    const { stdout } = new Deno.Command(binary).outputSync();
    const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
    return new Map(lines.map((line) => line.split("=") as [string, string]));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}
