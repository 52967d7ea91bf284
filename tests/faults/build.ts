/**
 * Compiles shim.c on systems that support it.
 *
 * @module
 */

/** Compiles the library into a directory. Returns its path, or the reason why this system cannot build or load it. */
export async function buildShim(directory: string): Promise<{ path: string } | { reason: string }> {
  if (Deno.build.os !== "linux") return { reason: "the fault injection library wraps the libc of Linux" };
  const path = `${directory}/shim.so`;
  const source = new URL("./shim.c", import.meta.url).pathname;
  const args = ["-std=gnu11", "-O1", "-Wall", "-shared", "-fPIC", "-pthread", "-o", path, source, "-ldl"];
  try {
    const { success, stderr } = await new Deno.Command("cc", { args, stdin: "null" }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    Deno.dlopen("libc.so.6", {}).close();
    return { path };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { reason: "no C compiler named cc is installed" };
    if (/libc\.so\.6/.test(String(error))) return { reason: "the C library is not glibc" };
    throw error;
  }
}
