/**
 * An echo server on `Deno.listen`. Prints the port that it listens on.
 *
 * It reads into one array per connection, which costs less than `connection.readable.pipeTo(connection.writable)`. A
 * larger array would cost memory without saving time.
 *
 * @module
 */

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });

async function echo(connection: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(16 * 1024);
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) return connection.close();
    for (let sent = 0; sent < count;) sent += await connection.write(buffer.subarray(sent, count));
  }
}

console.log(listener.addr.port);
for await (const connection of listener) echo(connection).catch(() => connection.close());
