/**
 * Runs a shell on a pseudoterminal, types a command, and prints what the terminal shows until the shell ends.
 *
 * script(1) from util-linux opens the pseudoterminal. One end of a socket pair is the standard input and output of
 * script(1). This program uses the other end as two streams: it writes the keystrokes, and reads what the terminal
 * shows.
 *
 * ```sh
 * deno run --allow-ffi --allow-run --allow-env jsr:@selectors/selectors/examples/pty-shell 'tty; ls --color=auto'
 * ```
 *
 * @module
 */

import { spawn } from "node:child_process";
import { socketpair } from "@selectors/selectors/socket";
import { toReadableStream, toWritableStream } from "@selectors/selectors/streams";

/** tty(1) prints the path of the terminal. */
const command = Deno.args.join(" ") || "tty";

const [here, there] = socketpair();
const end = there.fileno();
const shell = spawn("script", ["--quiet", "--command", "sh", "/dev/null"], { stdio: [end, end, "inherit"] });
shell.on("error", (error) => console.error(`pty_shell: ${error.message}`)); // script(1) is not installed
there.close(); // script(1) has duplicates of this end, so the stream ends when script(1) ends

// The two streams close the socket when both have ended.
const screen = toReadableStream(here).pipeThrough(new TextDecoderStream());
const keyboard = toWritableStream(here).getWriter();

await type(`${command}\n`);
await type("exit\n");
for await (const text of screen) Deno.stdout.writeSync(new TextEncoder().encode(text));
await keyboard.close();

/** Types text on the terminal, which also shows the text. */
function type(text: string): Promise<void> {
  return keyboard.write(new TextEncoder().encode(text));
}
