/**
 * The example `http_server`, with Deno's `fetch`, with `curl` if it is installed, and with raw bytes.
 *
 * @module
 */

import { assertEquals, assertLess, assertMatch } from "@std/assert";
import { SHUT_WR, Socket } from "../ffi/socket/mod.ts";
import { CTRL_C, PROC } from "./support/needs.ts";
import { describeProgram, HttpClient, interrupt, isThere, memoryOf, Program, run } from "./support/program.ts";
import { bytes, test, text } from "./support/util.ts";

/** Sizes of the pieces in which the tests send requests. */
const CUTS = [1, 7, 1000] as const;

const CURL = await isThere("curl", "--version") ? null : "curl is not installed";

async function httpServer(): Promise<Program & { port: number; url: string }> {
  const program = Program.example("http_server.ts", "0");
  const [port] = await program.line(/^Listening on port (\d+); try: curl/);
  return Object.assign(program, { port: Number(port), url: `http://127.0.0.1:${port}` });
}

/** Sends requests unchanged, in pieces, and returns all responses without their dates. */
function answersTo(port: number, requests: string, piece = requests.length): string {
  using socket = new Socket();
  socket.connect({ hostname: "127.0.0.1", port });
  for (let at = 0; at < requests.length; at += piece) socket.sendAll(bytes(requests.slice(at, at + piece)));
  socket.shutdown(SHUT_WR);
  let answers = "";
  for (let chunk; (chunk = socket.recv(65_536)).length > 0;) answers += text(chunk);
  return answers.replaceAll(/Date: .*\r\n/g, "");
}

function answer(body: string, connection = "keep-alive", status = "200 OK"): string {
  return `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n` +
    `Connection: ${connection}\r\n\r\n${body}`;
}

describeProgram("http_server", () => {
  test("http_server answers fetch() requests with sized and chunked bodies", async () => {
    await using server = await httpServer();
    using http = new HttpClient();
    for (let round = 0; round < 3; round++) {
      const get = await http.fetch(`${server.url}/hello?world`);
      assertEquals([get.status, await get.text()], [200, "GET /hello?world with 0 bytes\n"]);
      const post = await http.fetch(server.url, { method: "POST", body: new Uint8Array(3_000_000) });
      assertEquals(await post.text(), "POST / with 3000000 bytes\n");
      const chunked = await http.fetch(server.url, {
        method: "PUT",
        body: new Blob([new Uint8Array(300_000)]).stream(),
      });
      assertEquals(await chunked.text(), "PUT / with 300000 bytes\n");
      const head = await http.fetch(server.url, { method: "HEAD" });
      assertEquals([head.headers.get("content-length"), await head.text()], ["20", ""]);
      assertLess(Math.abs(Date.parse(head.headers.get("date")!) - Date.now()), 60_000);
    }
    await Promise.all(Array.from({ length: 100 }, async (_, index) => {
      assertEquals(await (await http.fetch(`${server.url}/${index}`)).text(), `GET /${index} with 0 bytes\n`);
    }));
  });

  test("http_server answers pipelined requests in order, however they are split", async () => {
    await using server = await httpServer();
    const requests =
      "GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\nHost: x\r\n\r\nPOST /c HTTP/1.1\r\nContent-Length: 3\r\n\r\n" +
      "abcPOST /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" +
      "GET /e HTTP/1.1\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\n\r\n";
    const expected = answer("GET /a with 0 bytes\n") + answer("HEAD /b with 0 bytes\n").split("\r\n\r\n")[0] +
      "\r\n\r\n" +
      answer("POST /c with 3 bytes\n") + answer("POST /d with 5 bytes\n") + answer("GET /e with 0 bytes\n", "close");
    for (const piece of CUTS) assertEquals(answersTo(server.port, requests, piece), expected);
    const many = 1000;
    assertEquals(
      answersTo(server.port, "GET / HTTP/1.1\r\n\r\n".repeat(many)),
      answer("GET / with 0 bytes\n").repeat(many),
    );
  });

  test("http_server closes the connection after HTTP/1.0, an unknown upgrade, and a malformed request", async () => {
    await using server = await httpServer();
    using http = new HttpClient();
    const cases: [request: string, expected: string | RegExp][] = [
      ["GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n", answer("GET / with 0 bytes\n", "close")],
      [
        "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nwhatever",
        answer("GET / with 0 bytes\n", "close"),
      ],
      ["hello\r\n\r\n", answer("Parse Error\n", "close", "400 Bad Request")],
      ["GET / HTTP/1.1\r\nContent-Length: -18\r\n\r\n", /^HTTP\/1.1 400 .*\n\nInvalid body length\n$/s],
      ["POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n", /^HTTP\/1.1 400 /],
      ["POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", /^HTTP\/1.1 400 /],
      ["POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", /^HTTP\/1.1 400 /],
      // On a negative length, the parser would move backward and loop forever.
      ["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-6\r\nX", ""],
      [
        `POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${"0".repeat(200_000)}`,
        /^HTTP\/1.1 400 .*\n\nToo long\n$/s,
      ],
      ["HEAD / HTTP/1.1\r\n\r\nwhat\r\n\r\n", /^HTTP\/1.1 200 .*\n\nHTTP\/1.1 400 .*\n\nParse Error\n$/s],
      [
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\nPOST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        answer("GET / with 0 bytes\n", "close"),
      ],
      [`GET / HTTP/1.1\r\nX: ${"x".repeat(200_000)}`, /^HTTP\/1.1 400 /],
      ["GET / HTTP/1.1\r\n", ""],
      ["", ""],
    ];
    for (const [request, expected] of cases) {
      const answers = answersTo(server.port, request);
      if (typeof expected === "string") assertEquals(answers, expected, request.slice(0, 40));
      else assertMatch(answers.replaceAll("\r", ""), expected);
    }
    assertEquals(await (await http.fetch(server.url)).text(), "GET / with 0 bytes\n");
  });

  test("http_server stops reading a client that does not read its responses", { needs: [PROC] }, async () => {
    await using server = await httpServer();
    using http = new HttpClient();
    await (await http.fetch(server.url)).text();
    const memory = memoryOf(server.pid);
    const buffer = new Uint8Array(65_536);
    using client = new Socket();
    client.connect({ hostname: "127.0.0.1", port: server.port });
    client.setBlocking(false);
    const requests = bytes("GET / HTTP/1.1\r\n\r\n".repeat(3000));
    let sent = 0;
    for (let quiet = 0; quiet < 20; quiet++) {
      for (let count; (count = client.trySend(requests.subarray(sent % requests.length))) !== null; quiet = 0) {
        sent += count;
      }
      assertEquals(await (await http.fetch(server.url)).text(), "GET / with 0 bytes\n");
      assertLess(sent, 100 << 20);
    }
    assertLess(memoryOf(server.pid) - memory, 32 << 20);
    // Every request gets its response once the client reads.
    client.setBlocking(true);
    client.shutdown(SHUT_WR);
    const length = answer("GET / with 0 bytes\n").length + `Date: ${new Date().toUTCString()}\r\n`.length;
    let received = 0;
    for (let count; (count = client.recvInto(buffer)) > 0;) received += count;
    assertEquals(received, Math.floor(sent / 18) * length);
  });

  test("http_server closes its connections and exits on Ctrl-C", { needs: [CTRL_C] }, async () => {
    await using server = await httpServer();
    using socket = new Socket();
    socket.connect({ hostname: "127.0.0.1", port: server.port });
    socket.send(bytes("GET / HTTP/1.1\r\n\r\n"));
    assertMatch(text(socket.recv(1000)), /^HTTP\/1.1 200 OK\r\n/);
    await interrupt(server);
    assertEquals(socket.recv(1000).length, 0);
  });

  test(
    "http_server answers curl, which keeps its connection and waits for 100 Continue",
    { needs: [CURL] },
    async () => {
      await using server = await httpServer();
      const file = await Deno.makeTempFile();
      await Deno.writeFile(file, new Uint8Array(2_000_000));
      const { out, error } = await run(
        "curl",
        "-sv",
        `${server.url}/one`,
        "--data-binary",
        `@${file}`,
        `${server.url}/two`,
      );
      await Deno.remove(file);
      assertEquals(out, "POST /one with 2000000 bytes\nPOST /two with 2000000 bytes\n");
      assertMatch(error, /100 Continue/);
      assertMatch(error, /Re-?using existing (\S+: )?connection/); // the wording varies between versions
    },
  );
});
