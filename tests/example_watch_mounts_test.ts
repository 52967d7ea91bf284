/**
 * The example `watch_mounts`.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { LINUX } from "./support/needs.ts";
import { checkIdle, describeProgram, EXAMPLES, isThere, Program, run } from "./support/program.ts";
import { test } from "./support/util.ts";

const MOUNTS = LINUX ??
  (await isThere("unshare", "-m", "nsenter", "--version") ? null : "unshare -m fails: it needs util-linux and root");

const example = join(EXAMPLES, "watch_mounts.ts");

describeProgram("watch_mounts", () => {
  test("watch_mounts prints mounts, changes and unmounts", { needs: [MOUNTS] }, async () => {
    const directory = await Deno.makeTempDir();
    const place = join(directory, "a b");
    await Deno.mkdir(place);
    {
      // The program runs in its own mount namespace, which ends when the program exits.
      const args = ["-m", Deno.execPath(), "run", "--no-prompt", "--allow-all", example];
      await using program = new Program("unshare", args);
      await program.line(/^[1-9]\d* file systems are mounted; try: sudo mount/);
      const change = async (...words: string[]) => {
        const { code, error } = await run("nsenter", "-m", "-t", String(program.pid), ...words);
        assertEquals([code, error], [0, ""]);
      };
      const line = (word: string, mode: string) =>
        program.line(new RegExp(`^${word} ${place} \\(tmpfs on some\\\\thing, ${mode},.*\\)$`));
      await checkIdle(program.pid);
      for (let round = 0; round < 3; round++) {
        await change("mount", "-t", "tmpfs", "some\\thing", place);
        await line("Mounted", "rw");
        await change("mount", "-o", "remount,ro", place);
        await line("Unmounted", "rw");
        await line("Mounted", "ro");
        await change("mount", "-t", "tmpfs", "some\\thing", place); // mounted over the first
        await line("Mounted", "rw");
        await change("mount", "-o", "remount,ro", place); // its line in the table equals the line of the first
        await line("Unmounted", "rw");
        await line("Mounted", "ro");
        for (let times = 0; times < 2; times++) {
          await change("umount", place);
          await line("Unmounted", "ro");
        }
      }
    }
    await Deno.remove(directory, { recursive: true });
  });

  test("watch_mounts prints one line if it cannot open the table", { needs: [LINUX] }, async () => {
    const { code, out, error } = await run(
      Deno.execPath(),
      "run",
      "--no-prompt",
      "--allow-ffi",
      "--allow-read",
      example,
    );
    assertEquals([code, out], [1, ""]);
    assertMatch(error, /^watch_mounts: .*--allow-all.*\n$/);
  });
});
