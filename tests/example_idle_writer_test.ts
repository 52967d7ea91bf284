/**
 * The example `idle_writer`.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { read, setBlocking, write } from "../ffi/socket/mod.ts";
import { EVENT_READ, EVENT_WRITE, PollSelector } from "../mod.ts";
import { lackedBy, LINUX } from "./support/needs.ts";
import { checkIdle, describeProgram, EXAMPLES, Program, run, until } from "./support/program.ts";
import { Cleanup, fifo, test, text } from "./support/util.ts";

/** A delay in seconds that is longer than a test waits for a line of output. */
const ENDLESS = "600";

const PIPES = lackedBy({ windows: "Windows can only wait for sockets" });

const O_RDWR = 2;

/** Returns true if a program has an epoll entry with EPOLLOUT, EPOLLERR and EPOLLHUP. */
function waitsForRoom(pid: number): boolean {
  const directory = `/proc/${pid}/fdinfo`;
  return [...Deno.readDirSync(directory)].some(({ name }) => {
    try {
      return /^tfd:\s+\d+ events:\s+1c /m.test(Deno.readTextFileSync(`${directory}/${name}`));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false; // the program has closed the descriptor
      throw error;
    }
  });
}

describeProgram("idle_writer", () => {
  const example = [
    Deno.execPath(),
    "run",
    "--no-prompt",
    "--allow-ffi",
    "--allow-write",
    join(EXAMPLES, "idle_writer.ts"),
  ];

  test(
    "idle_writer exits without another write when the reader of its standard output exits",
    { needs: [PIPES] },
    async () => {
      // The shell waits for both programs.
      await using program = new Program("sh", ["-c", '{ "$0" "$@" 2>&3 | head -n 1; } 3>&1', ...example, "-", ENDLESS]);
      await program.line(/^line 1 at \d{4}-/);
      await program.line(/^The reader is gone; lines written: 1$/);
      assertEquals(await program.ended(), { code: 0, signal: null });
    },
  );

  const fifos = LINUX === null ? null : "kqueue rejects FIFOs, and select() cannot report errors";
  test("idle_writer exits when the last reader of a FIFO closes it, or on Ctrl-C", { needs: [fifos] }, async () => {
    const directory = await Deno.makeTempDir();
    const path = join(directory, "fifo");
    assertEquals((await run("mkfifo", path)).code, 0);
    for (const end of ["reader", "Ctrl-C"]) {
      await using program = new Program("sh", ["-c", 'exec "$0" "$@" 2>&1', ...example, path, ENDLESS]);
      using one = await Deno.open(path);
      const other = await Deno.open(path);
      const buffer = new Uint8Array(1000);
      assertMatch(text(buffer.subarray(0, (await one.read(buffer))!)), /^line 1 at .*\n$/);
      other.close();
      await checkIdle(program.pid);
      if (end === "reader") {
        one.close();
        await program.line(/^The reader is gone; lines written: 1$/);
      } else {
        program.kill("SIGINT");
      }
      assertEquals(await program.ended(), { code: 0, signal: null });
    }
    await Deno.remove(directory, { recursive: true });
  });

  test("idle_writer does not block on a slow reader", { needs: [LINUX] }, async () => {
    using cleanup = new Cleanup();
    const [path, fd] = fifo(cleanup, O_RDWR);
    setBlocking(fd, false);
    const selector = cleanup.add(new PollSelector());
    selector.register(fd, EVENT_WRITE);
    const buffer = new Uint8Array(4096); // PIPE_BUF: a pipe is writable if it has this much room
    for (const end of ["Ctrl-C", "drain"]) {
      while (selector.select(0).length > 0) write(fd, buffer);
      await using program = new Program(example[0]!, [...example.slice(1), path, ENDLESS]);
      await until(() => waitsForRoom(program.pid));
      if (end === "drain") {
        for (let found = ""; !/line 1 at .*\n/.test(found);) {
          const data = new Uint8Array(1 << 20);
          selector.modify(fd, EVENT_READ);
          await selector.selectAsync();
          found += text(data.subarray(0, read(fd, data)));
        }
      }
      program.kill("SIGINT");
      assertEquals(await program.ended(), { code: 0, signal: null });
    }
  });

  test("idle_writer prints its usage if its output is not a pipe", { needs: [LINUX] }, async () => {
    const { code, out, error } = await run("sh", "-c", 'exec "$0" "$@" > /dev/null', ...example);
    assertEquals([code, out], [1, ""]);
    assertMatch(
      error,
      /^idle_writer: .*\(EPERM\)\nidle_writer: write to a pipe or .* a FIFO; to try it, append: \| head -n 1\n$/,
    );
  });
});
