/**
 * The example `slow_handler`.
 *
 * @module
 */

import { assertEquals, assertGreater } from "@std/assert";
import { CTRL_C } from "./support/needs.ts";
import { describeProgram, interrupt, listening, Program } from "./support/program.ts";
import { bytes, test, text } from "./support/util.ts";

describeProgram("slow_handler", () => {
  test("slow_handler counts more reports than requests without MODE_ONCE, and equally many with it", async () => {
    await using program = Program.example("slow_handler.ts", "0");
    const [level] = await program.line(/^Without MODE_ONCE, 3 requests are reported (\d+) times$/);
    assertGreater(Number(level), 3);
    await program.line(/^With MODE_ONCE, 3 requests are reported 3 times$/);
  });

  test("slow_handler handles requests of several clients at once, until Ctrl-C", { needs: [CTRL_C] }, async () => {
    const [program, connect] = await listening("slow_handler.ts", "600");
    await using _ = program;
    const clients = [connect(), connect(), connect()];
    for (const client of clients) {
      client.send(bytes("hello"));
      await program.line(/^fd \d+: handling 5 bytes$/);
    }
    await interrupt(program);
    for (const client of clients) client.close();
  });

  test("slow_handler answers each client with its own request", async () => {
    const [program, connect] = await listening("slow_handler.ts", "0.1");
    await using _ = program;
    const clients = Array.from({ length: 10 }, connect);
    for (const [index, client] of clients.entries()) client.send(bytes(`request ${index}`));
    for (const [index, client] of clients.entries()) assertEquals(text(client.recv(100)), `request ${index}`);
    for (const client of clients) client.close();
  });

  test("slow_handler handles the requests of one client one after another", async () => {
    const [program, connect] = await listening("slow_handler.ts", "0.1");
    await using _ = program;
    using client = connect();
    for (let round = 0; round < 3; round++) {
      client.send(bytes("hello"));
      const [fd] = await program.line(/^fd (\d+): handling 5 bytes$/);
      client.send(bytes("hi"));
      const steps = [await program.line(/^fd (\d+): (.*)$/), await program.line(/^fd (\d+): (.*)$/)];
      assertEquals(steps, [[fd!, "answered"], [fd!, "handling 2 bytes"]]);
      await program.line(/^fd \d+: answered$/);
      for (let received = ""; received !== "hellohi";) received += text(client.recv(100));
    }
  });
});
