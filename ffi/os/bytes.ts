/**
 * Checks of the arrays that callers hand to C.
 *
 * C writes as many bytes as its caller says, so a length that is too large overwrites other memory. A subclass
 * of Uint8Array, or a property of one array, can redefine `byteLength`, `buffer` or `subarray`. The functions here read the
 * array itself: they use JavaScript's own getters, captured at load time.
 *
 * @module
 */

import { show } from "./arguments.ts";

/** Returns one of JavaScript's own getters as a function of the object that it reads. */
function getterOf<T>(prototype: object, name: PropertyKey): (object: unknown) => T {
  return Function.prototype.call.bind(Object.getOwnPropertyDescriptor(prototype, name)!.get!);
}

const TypedArrayPrototype: object = Object.getPrototypeOf(Uint8Array.prototype);
/** Returns the name of a typed array's built-in class; undefined for any other object, a Proxy of an array among them. */
const classNameOf = getterOf<string | undefined>(TypedArrayPrototype, Symbol.toStringTag);
const bufferOf = getterOf<ArrayBufferLike>(TypedArrayPrototype, "buffer");
const byteOffsetOf = getterOf<number>(TypedArrayPrototype, "byteOffset");
const isDetached = getterOf<boolean>(ArrayBuffer.prototype, "detached");
const isResizable = getterOf<boolean>(ArrayBuffer.prototype, "resizable");

/** Returns the number of bytes that C may read or write in an array. */
export const byteLengthOf: (bytes: Uint8Array) => number = getterOf(TypedArrayPrototype, "byteLength");

/** Returns a view of the rest of an array; `subarray()` would use the array's own class. */
export function restOf(bytes: Uint8Array, offset: number): Uint8Array {
  return new Uint8Array(bufferOf(bytes), byteOffsetOf(bytes) + offset, byteLengthOf(bytes) - offset);
}

/**
 * Rejects a value that is not a Uint8Array, and an array whose buffer was detached or shrunk.
 *
 * C would see such an array as an empty one, and a `recv` of 0 bytes means the end of the stream.
 *
 * @throws {TypeError} if the value is not a Uint8Array, or its buffer is detached or was shrunk
 */
export function checkBytes(bytes: Uint8Array): Uint8Array {
  if (classNameOf(bytes) !== "Uint8Array") throw new TypeError(`Cannot use ${show(bytes)} as bytes: use a Uint8Array`);
  if (byteLengthOf(bytes) === 0 && hasLostBytes(bufferOf(bytes))) {
    throw new TypeError("Cannot use the Uint8Array: its buffer is detached or was shrunk; use a new array");
  }
  return bytes;
}

function hasLostBytes(buffer: ArrayBufferLike): boolean {
  try {
    return isDetached(buffer) || isResizable(buffer);
  } catch {
    return false; // these getters throw for a SharedArrayBuffer, which can be neither detached nor shrunk
  }
}
