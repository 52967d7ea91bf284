import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { CTRL_C } from "./support/needs.ts";
import { describeProgram, EXAMPLES, Program, run } from "./support/program.ts";
import { PROCESSES } from "./support/sources.ts";
import { test } from "./support/util.ts";

const needs = [PROCESSES, CTRL_C];
const FLAGS = ["run", "--no-prompt", "--allow-ffi", "--allow-run", join(EXAMPLES, "supervisor.ts")];

describeProgram("supervisor", () => {
  test("supervisor restarts a command that fails, and stops all commands on Ctrl-C", { needs }, async () => {
    await using program = new Program(Deno.execPath(), [...FLAGS, "exit 3", "exec sleep 60"]);
    const [first] = await program.line(/^\[(\d+)\] started: exit 3$/);
    const [sleeper] = await program.line(/^\[(\d+)\] started: exec sleep 60$/);
    await program.line(/^Running; press Ctrl-C to end$/);
    await program.line(new RegExp(`^\\[${first}\\] ended with code 3: exit 3$`));
    await program.line(/^\[(\d+)\] started: exit 3$/);
    await program.line(/^\[(\d+)\] ended with code 3: exit 3$/);
    program.kill("SIGINT");
    await program.line(/^SIGINT: ending 1 commands$/);
    await program.line(new RegExp(`^\\[${sleeper}\\] ended with SIGTERM: exec sleep 60$`));
    await program.line(/^All commands have ended$/);
    assertEquals(await program.ended(), { code: 0, signal: null });
  });

  test("supervisor kills a command that ignores SIGTERM", { needs }, async () => {
    await using program = new Program(Deno.execPath(), [
      ...FLAGS,
      "trap '' TERM; echo deaf; while :; do sleep 0.1; done",
    ]);
    await program.line(/^deaf$/);
    program.kill("SIGTERM");
    await program.line(/^SIGTERM: ending 1 commands$/);
    await program.line(/^\[\d+\] ended with SIGKILL: /);
    assertEquals(await program.ended(), { code: 0, signal: null });
  });

  test("supervisor exits when every command has succeeded", { needs }, async () => {
    const { code, out } = await run(Deno.execPath(), ...FLAGS, "exit 0", "echo hello");
    assertEquals(code, 0);
    assertEquals(out.split("\n").at(-2), "All commands have ended");
  });

  test("supervisor prints its usage without commands", async () => {
    const { code, out, error } = await run(Deno.execPath(), ...FLAGS);
    const usage = 'supervisor: pass one or more shell commands, for example "sleep 2; exit 1" "sleep 5"\n';
    assertEquals([code, out, error], [1, "", usage]);
  });
});
