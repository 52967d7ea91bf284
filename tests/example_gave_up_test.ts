/**
 * The example `gave_up`.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { SHUT_WR, SO_LINGER, type Socket, SOL_SOCKET } from "../ffi/socket/mod.ts";
import { CTRL_C, lackedBy, PROC } from "./support/needs.ts";
import { describeProgram, descriptorsOf, interrupt, listening, OF_WAITING, until } from "./support/program.ts";
import { bytes, RESET_ON_CLOSE, test, text } from "./support/util.ts";

/** A delay in seconds that is longer than a test waits for a line of output. */
const ENDLESS = "600";

const READ_CLOSED = lackedBy({ windows: "select() on Windows cannot report EVENT_READ_CLOSED" });

describeProgram("gave_up", () => {
  test("gave_up answers several clients, one after another", { needs: [READ_CLOSED] }, async () => {
    const [program, connect] = await listening("gave_up.ts", "0.05");
    await using _ = program;
    const clients = Array.from({ length: 10 }, connect);
    for (const question of ["one", "two"]) {
      for (const client of clients) client.send(bytes(`${question}\n`));
      for (const client of clients) assertEquals(text(client.recv(100)), `The answer to "${question}" is 42\n`);
    }
    for (const client of clients) client.close();
  });

  for (
    const [title, leave] of Object.entries({
      closes: (client: Socket) => client.close(),
      "resets the connection": (client: Socket) => {
        client.setsockopt(SOL_SOCKET, SO_LINGER, RESET_ON_CLOSE);
        client.close();
      },
      "closes after it has sent more": (client: Socket) => {
        client.send(new Uint8Array(10_000));
        client.close();
      },
      "shuts down writing, and reads to the end": (client: Socket) => {
        client.shutdown(SHUT_WR);
        assertEquals(client.recv(100).length, 0);
        client.close();
      },
    })
  ) {
    test(`gave_up cancels its work when the client ${title}`, { needs: [READ_CLOSED, PROC] }, async () => {
      const [program, connect] = await listening("gave_up.ts", ENDLESS);
      await using _ = program;
      using witness = connect();
      witness.send(bytes("witness"));
      await program.line(/^fd \d+: working on "witness"$/);
      const descriptors = descriptorsOf(program.pid);
      const client = connect();
      client.send(bytes("hello\n"));
      const [fd] = await program.line(/^fd (\d+): working on "hello"$/);
      leave(client);
      await program.line(new RegExp(`^fd ${fd}: the client gave up; stopped after 0 of 5 steps$`));
      await until(() => descriptorsOf(program.pid) <= descriptors + OF_WAITING);
    });
  }

  test("gave_up continues its work while the client sends more", { needs: [READ_CLOSED] }, async () => {
    const [program, connect] = await listening("gave_up.ts", "0.3");
    await using _ = program;
    using client = connect();
    client.send(bytes("one"));
    await program.line(/working on "one"$/);
    client.send(bytes("two"));
    client.send(bytes("three"));
    assertEquals(text(client.recv(100)), 'The answer to "one" is 42\n');
    assertEquals(text(client.recv(100)), 'The answer to "twothree" is 42\n');
  });

  test("gave_up cancels its work and exits on Ctrl-C", { needs: [READ_CLOSED, CTRL_C] }, async () => {
    const [program, connect] = await listening("gave_up.ts", ENDLESS);
    await using _ = program;
    using client = connect();
    client.send(bytes("hello"));
    await program.line(/working on "hello"$/);
    await interrupt(program);
  });
});
