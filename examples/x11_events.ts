/**
 * Prints which windows open, move and close on an X display with Xlib, without blocking Deno's event loop.
 *
 * Shows how to use a C library that has its own buffers. `XPending` sends the requests in the buffer of Xlib, and reads
 * the events that have arrived. An event may already be in a buffer when the descriptor is not ready, so the program
 * takes all events before each wait. It ends on Ctrl-C, or when the connection to the X server ends.
 *
 * Install Xlib (Debian package `libx11-6`). The variable `DISPLAY` names the display. Without a screen, run `Xvfb :7`
 * first.
 *
 * ```sh
 * DISPLAY=:7 deno run --allow-ffi jsr:@selectors/selectors/examples/x11-events &
 * DISPLAY=:7 xterm
 * ```
 *
 * @module
 */

import { EVENT_READ, waitFor } from "@selectors/selectors";

const SubstructureNotifyMask = 1n << 19n;

/** Types of window events, with the words to print. */
const WORDS = new Map([
  [16, "created"], // CreateNotify
  [17, "destroyed"], // DestroyNotify
  [18, "hidden"], // UnmapNotify
  [19, "shown"], // MapNotify
  [22, "moved or resized"], // ConfigureNotify
]);
/** Types of window events that have a position and a size. */
const PLACED = new Set([16, 22]);

/**
 * typedef struct { int type; …; Window window; int x, y; int width, height; … } XCreateWindowEvent, on a 64-bit system
 *
 * XConfigureEvent has the same fields at the same offsets. The structs of the other types are the same up to `window`.
 */
const XCreateWindowEvent = { type: 0, window: 40, x: 48, y: 52, width: 56, height: 60 };
/** sizeof(XEvent) */
const XEVENT_BYTES = 192;

const { symbols: xlib } = Deno.dlopen("libX11.so.6", {
  // Display *XOpenDisplay(const char *display_name)
  XOpenDisplay: { parameters: ["buffer"], result: "pointer" },
  // int XConnectionNumber(Display *display)
  XConnectionNumber: { parameters: ["pointer"], result: "i32" },
  // Window XDefaultRootWindow(Display *display)
  XDefaultRootWindow: { parameters: ["pointer"], result: "u64" },
  // int XSelectInput(Display *display, Window w, long event_mask)
  XSelectInput: { parameters: ["pointer", "u64", "i64"], result: "i32" },
  // int XPending(Display *display)
  XPending: { parameters: ["pointer"], result: "i32" },
  // int XNextEvent(Display *display, XEvent *event_return)
  XNextEvent: { parameters: ["pointer", "buffer"], result: "i32" },
});

const display = xlib.XOpenDisplay(null); // null: the display that DISPLAY names
if (display === null) {
  console.error("x11_events: cannot open the display; set DISPLAY");
  Deno.exit(1);
}
xlib.XSelectInput(display, xlib.XDefaultRootWindow(display), SubstructureNotifyMask);
console.log("Watching; try: xterm");

const event = new DataView(new ArrayBuffer(XEVENT_BYTES));
for (;;) {
  while (xlib.XPending(display) > 0) {
    xlib.XNextEvent(display, event); // does not block, because an event is there
    report();
  }
  await waitFor(xlib.XConnectionNumber(display), EVENT_READ);
}

function report(): void {
  const type = event.getInt32(XCreateWindowEvent.type, true);
  const word = WORDS.get(type);
  if (word === undefined) return;
  const window = event.getBigUint64(XCreateWindowEvent.window, true);
  const [x, y, width, height] = (["x", "y", "width", "height"] as const)
    .map((name) => event.getInt32(XCreateWindowEvent[name], true));
  const place = PLACED.has(type) ? `: ${width}x${height} at ${x},${y}` : "";
  console.log(`window 0x${window.toString(16)} ${word}${place}`);
}
