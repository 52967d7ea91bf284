/**
 * Runs a shell on a pseudoterminal, types a command, and prints what the terminal shows, up to the end of the shell.
 *
 * script(1) of util-linux opens the pseudoterminal. One end of a socket pair is its keyboard and screen, and the other end
 * is a stream in each direction here.
 *
 * ```sh
 * deno run --allow-ffi --allow-run --allow-env jsr:@selectors/selectors/examples/pty-shell 'tty; ls --color=auto'
 * ```
 *
 * @module
 */

import { spawn } from "node:child_process";
import { socketpair } from "../ffi/socket/mod.ts";
import { toReadableStream, toWritableStream } from "../selectors/streams.ts";

const command = Deno.args.join(" ") || "tty";

const [here, there] = socketpair();
const end = there.fileno();
const shell = spawn("script", ["--quiet", "--command", "sh", "/dev/null"], { stdio: [end, end, "inherit"] });
shell.on("error", (error) => console.error(`pty_shell: ${error.message}`)); // there is no script(1)
there.close(); // script has a duplicate, and its end is the end of the stream

// The two streams close the socket when both have ended.
const screen = toReadableStream(here).pipeThrough(new TextDecoderStream());
const keyboard = toWritableStream(here).getWriter();

await type(`${command}\n`);
await type("exit\n");
for await (const text of screen) Deno.stdout.writeSync(new TextEncoder().encode(text));
await keyboard.close();

/** Types on the terminal, which shows the typed text as well. */
function type(text: string): Promise<void> {
  return keyboard.write(new TextEncoder().encode(text));
}
