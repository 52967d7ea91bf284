/**
 * The example `side_by_side`, which uses a selector together with a timer, a server and standard input.
 *
 * @module
 */

import { assertEquals, assertGreater } from "@std/assert";
import { join } from "@std/path";
import { describeProgram, EXAMPLES, HttpClient, Program } from "./support/program.ts";
import { test, text } from "./support/util.ts";

describeProgram("side_by_side", () => {
  test("side_by_side answers the selector, the timer, the server and the input", async () => {
    const args = ["run", "--no-prompt", "--allow-ffi", "--allow-net=127.0.0.1", join(EXAMPLES, "side_by_side.ts")];
    await using program = new Program(Deno.execPath(), args, { stdin: "piped" });
    using http = new HttpClient();
    const [port] = await program.line(/^The selector waits for: nc 127\.0\.0\.1 (\d+)$/);
    const [url] = await program.line(/^Deno\.serve answers: curl (\S+)$/);
    let before = 0;
    for (let visitor = 1; visitor <= 3; visitor++) {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
      const buffer = new Uint8Array(100);
      const count = await connection.read(buffer);
      assertEquals(text(buffer.subarray(0, count!)).startsWith(`You are visitor ${visitor}, after`), true);
      const answer = await (await http.fetch(url!)).json();
      assertEquals(answer.visitors, visitor);
      await program.type("hello\n");
      const [ticks] = await program.line(/^hello: \{"ticks":(\d+),"visitors":\d\}$/);
      while ((await (await http.fetch(url!)).json()).ticks <= Number(ticks));
      assertGreater(Number(ticks), before - 1);
      before = Number(ticks);
    }
    await program.endInput();
    await program.line(/^Everything has stopped$/);
    assertEquals((await program.ended()).code, 0);
  });
});
