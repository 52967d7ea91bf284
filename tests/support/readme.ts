/**
 * The README's code.
 *
 * @module
 */

import { join } from "@std/path";
import { ROOT } from "./program.ts";

/** Text of the README. */
export const README: string = Deno.readTextFileSync(join(ROOT, "README.md"));

/** Returns the text below a second-level heading, up to the next such heading. */
export function section(heading: string): string {
  return README.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
}

/** Returns the code blocks in a language. */
export function blocks(language: string, text: string = README): string[] {
  return [...text.matchAll(new RegExp("^```" + language + "\\n([^]*?)^```$", "gm"))].map((match) => match[1]!);
}
