/**
 * The descriptors that this process has open.
 *
 * @module
 */

const DIRECTORY = "/proc/self/fd";

/** Returns the open descriptors, and what they stand for. */
export function openDescriptors(): Map<number, string> {
  const found = new Map<number, string>();
  for (const { name } of Deno.readDirSync(DIRECTORY)) {
    try {
      found.set(Number(name), Deno.readLinkSync(`${DIRECTORY}/${name}`));
    } catch (error) {
      // The descriptor of the listing itself is closed by now.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return found;
}
