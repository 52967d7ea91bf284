/**
 * Lists the open file descriptors of this process.
 *
 * @module
 */

const DIRECTORY = "/proc/self/fd";

/** Returns the open file descriptors and the targets of their links in /proc. */
export function openDescriptors(): Map<number, string> {
  const found = new Map<number, string>();
  for (const { name } of Deno.readDirSync(DIRECTORY)) {
    try {
      found.set(Number(name), Deno.readLinkSync(`${DIRECTORY}/${name}`));
    } catch (error) {
      // The listing includes its own descriptor, which is closed by now.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return found;
}
