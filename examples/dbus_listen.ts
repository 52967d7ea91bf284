/**
 * Prints the signals on a D-Bus message bus with libdbus, without blocking Deno's event loop.
 *
 * Shows how to use a C library that has its own buffers. A message may already be in a buffer of libdbus when the
 * descriptor is not ready, so the program takes all messages before each wait. Ctrl-C ends the program.
 *
 * Install libdbus (Debian package `libdbus-1-3`). The argument is a match rule, `type='signal'` by default. The program
 * listens on the session bus, whose address is in `DBUS_SESSION_BUS_ADDRESS`.
 *
 * ```sh
 * dbus-run-session bash # only if there is no session bus
 * deno run --allow-ffi jsr:@selectors/selectors/examples/dbus-listen "type='signal',interface='org.example.Weather'" &
 * dbus-send --type=signal /today org.example.Weather.Changed string:sunny int32:25
 * ```
 *
 * @module
 */

import { EVENT_READ, EVENT_WRITE, waitFor } from "@selectors/selectors";

const DBUS_BUS_SESSION = 0;
const DBUS_MESSAGE_TYPE_SIGNAL = 4;

/** Functions that read a value of a basic type, by type code; a string is a pointer to its text. */
const BASIC = new Map<string, (value: DataView<ArrayBuffer>) => unknown>([
  ["b", (value) => value.getUint32(0, true) !== 0],
  ["i", (value) => value.getInt32(0, true)],
  ["u", (value) => value.getUint32(0, true)],
  ["d", (value) => value.getFloat64(0, true)],
  ["s", (value) => fromC(Deno.UnsafePointer.create(value.getBigUint64(0, true)))],
  ["o", (value) => fromC(Deno.UnsafePointer.create(value.getBigUint64(0, true)))],
]);

const { symbols: libdbus } = Deno.dlopen("libdbus-1.so.3", {
  // DBusConnection *dbus_bus_get(DBusBusType type, DBusError *error)
  dbus_bus_get: { parameters: ["i32", "buffer"], result: "pointer" },
  // void dbus_error_init(DBusError *error)
  dbus_error_init: { parameters: ["buffer"], result: "void" },
  // void dbus_connection_set_exit_on_disconnect(DBusConnection *connection, dbus_bool_t exit_on_disconnect)
  dbus_connection_set_exit_on_disconnect: { parameters: ["pointer", "u32"], result: "void" },
  // void dbus_bus_add_match(DBusConnection *connection, const char *rule, DBusError *error)
  dbus_bus_add_match: { parameters: ["pointer", "buffer", "buffer"], result: "void" },
  // dbus_bool_t dbus_connection_get_unix_fd(DBusConnection *connection, int *fd)
  dbus_connection_get_unix_fd: { parameters: ["pointer", "buffer"], result: "u32" },
  // dbus_bool_t dbus_connection_has_messages_to_send(DBusConnection *connection)
  dbus_connection_has_messages_to_send: { parameters: ["pointer"], result: "u32" },
  // dbus_bool_t dbus_connection_read_write(DBusConnection *connection, int timeout_milliseconds)
  dbus_connection_read_write: { parameters: ["pointer", "i32"], result: "u32" },
  // DBusMessage *dbus_connection_pop_message(DBusConnection *connection)
  dbus_connection_pop_message: { parameters: ["pointer"], result: "pointer" },
  // int dbus_message_get_type(DBusMessage *message)
  dbus_message_get_type: { parameters: ["pointer"], result: "i32" },
  // const char *dbus_message_get_path(DBusMessage *message)
  dbus_message_get_path: { parameters: ["pointer"], result: "pointer" },
  // const char *dbus_message_get_interface(DBusMessage *message)
  dbus_message_get_interface: { parameters: ["pointer"], result: "pointer" },
  // const char *dbus_message_get_member(DBusMessage *message)
  dbus_message_get_member: { parameters: ["pointer"], result: "pointer" },
  // dbus_bool_t dbus_message_iter_init(DBusMessage *message, DBusMessageIter *iter)
  dbus_message_iter_init: { parameters: ["pointer", "buffer"], result: "u32" },
  // int dbus_message_iter_get_arg_type(DBusMessageIter *iter)
  dbus_message_iter_get_arg_type: { parameters: ["buffer"], result: "i32" },
  // void dbus_message_iter_get_basic(DBusMessageIter *iter, void *value)
  dbus_message_iter_get_basic: { parameters: ["buffer", "buffer"], result: "void" },
  // dbus_bool_t dbus_message_iter_next(DBusMessageIter *iter)
  dbus_message_iter_next: { parameters: ["buffer"], result: "u32" },
  // void dbus_message_unref(DBusMessage *message)
  dbus_message_unref: { parameters: ["pointer"], result: "void" },
});

const toC = (text: string) => new TextEncoder().encode(`${text}\0`);
const fromC = (text: Deno.PointerValue) => text === null ? "" : Deno.UnsafePointerView.getCString(text);

// struct DBusError { const char *name; const char *message; … }, 32 bytes
const error = new BigUint64Array(4);
const messageOf = () => fromC(Deno.UnsafePointer.create(error[1]!));
libdbus.dbus_error_init(error);
const connection = libdbus.dbus_bus_get(DBUS_BUS_SESSION, error);
if (connection === null) fail(messageOf());
libdbus.dbus_connection_set_exit_on_disconnect(connection, 0);
// Blocks until the bus answers. No later call blocks.
libdbus.dbus_bus_add_match(connection, toC(Deno.args[0] ?? "type='signal'"), error);
if (error[0] !== 0n) fail(messageOf());
const fd = new Int32Array(1);
libdbus.dbus_connection_get_unix_fd(connection, fd);
console.log("Listening; try: dbus-send --type=signal / org.example.News.Changed string:hello");

while (libdbus.dbus_connection_read_write(connection, 0) === 1) { // reads and writes without blocking
  for (let message; (message = libdbus.dbus_connection_pop_message(connection)) !== null;) {
    if (libdbus.dbus_message_get_type(message) === DBUS_MESSAGE_TYPE_SIGNAL) report(message);
    libdbus.dbus_message_unref(message);
  }
  await waitFor(
    fd[0]!,
    EVENT_READ | (libdbus.dbus_connection_has_messages_to_send(connection) === 1 ? EVENT_WRITE : 0),
  );
}
fail("the bus has closed the connection");

/** Prints a signal with its arguments. */
function report(signal: Deno.PointerValue): void {
  const words = [
    fromC(libdbus.dbus_message_get_path(signal)),
    `${fromC(libdbus.dbus_message_get_interface(signal))}.${fromC(libdbus.dbus_message_get_member(signal))}`,
  ];
  const iterator = new BigUint64Array(16); // 128 bytes; an opaque DBusMessageIter has 72
  const value = new DataView(new ArrayBuffer(8));
  for (
    let more = libdbus.dbus_message_iter_init(signal, iterator);
    more;
    more = libdbus.dbus_message_iter_next(iterator)
  ) {
    const type = String.fromCharCode(libdbus.dbus_message_iter_get_arg_type(iterator));
    const reader = BASIC.get(type);
    if (reader !== undefined) libdbus.dbus_message_iter_get_basic(iterator, value);
    words.push(reader === undefined ? `(${type})` : JSON.stringify(reader(value)));
  }
  console.log(words.join(" "));
}

function fail(message: string): never {
  console.error(`dbus_listen: ${message}`);
  Deno.exit(1);
}
