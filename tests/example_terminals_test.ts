/**
 * The examples that use terminals: single keys, and a shell in a pseudoterminal.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "@std/path";
import { getBlocking } from "../ffi/os/sys.ts";
import { toReadableStream } from "../selectors/streams.ts";
import { write } from "../ffi/socket/mod.ts";
import { FILES, LINUX } from "./support/needs.ts";
import { deno, describeProgram, EXAMPLES, isThere, run } from "./support/program.ts";
import { attributesOf, openPty } from "./support/pty.ts";
import { bytes, Cleanup, test } from "./support/util.ts";

/** script(1) of util-linux. */
const SCRIPT = await isThere("script", "--version") ? null : "script(1) is not installed";

describeProgram("raw_terminal", () => {
  for (const [end, name] of [["\x03", "Ctrl-C (03)"], ["q", "q (71)"]] as const) {
    test(`raw_terminal shows keys until ${name}, and restores the terminal`, { needs: [FILES] }, async () => {
      using cleanup = new Cleanup();
      const { master, slave } = openPty(cleanup, "lines");
      const state = () => [attributesOf(slave), getBlocking(slave)];
      const before = state();
      const program = spawn(
        Deno.execPath(),
        ["run", "--no-prompt", "--allow-ffi", join(EXAMPLES, "raw_terminal.ts")],
        { stdio: [slave, slave, "inherit"] },
      );
      const patience = setTimeout(() => program.kill("SIGKILL"), 30_000);
      const screen = toReadableStream(master, { autoClose: false }).pipeThrough(new TextDecoderStream()).getReader();
      let shown = "";
      async function sees(text: string): Promise<void> {
        while (!shown.includes(text)) shown += (await screen.read()).value;
      }
      const ended = once(program, "exit");
      await sees("Press keys; q or Ctrl-C ends the program\r\n");
      for (
        const [typed, text] of [
          ["a", "\ra (61)\r\n"],
          ["\x1b[A", "\rUp (1b5b41)\r\n"],
          ["xyz", "\rz (7a)\r\n"],
          ["ü", "\rü (c3bc)\r\n"],
          ["\x1b", "\rEscape (1b)\r\n"],
          ["\x01", "\rCtrl-A (01)\r\n"],
          [end, `\r${name}\r\n`],
        ] as const
      ) {
        write(master, bytes(typed));
        await sees(text);
      }
      await sees("Done\r\n");
      assertEquals(await ended, [0, null]);
      clearTimeout(patience);
      assertEquals(state(), before);
      await screen.cancel();
    });
  }

  test("raw_terminal reports that standard input is not a terminal", async () => {
    const { code, error } = await deno("raw_terminal.ts");
    assertEquals([code, error], [1, "raw_terminal: standard input is not a terminal\n"]);
  });
});

describeProgram("pty_shell", () => {
  test(
    "pty_shell runs a command in its own terminal, and exits when the shell exits",
    { needs: [LINUX, SCRIPT] },
    async () => {
      const { code, out, error } = await run(
        Deno.execPath(),
        ...["run", "--no-prompt", "--allow-ffi", "--allow-run=script", "--allow-env"],
        join(EXAMPLES, "pty_shell.ts"),
        "tty; echo $((6 * 7))",
      );
      assertEquals([code, error], [0, ""]);
      assertMatch(out, /\/dev\/pts\/\d+$/m); // a prompt may precede it
      assertMatch(out, /^42$/m);
    },
  );
});
